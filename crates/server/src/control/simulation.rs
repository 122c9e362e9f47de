//! A day of following thousands of tags over registries that fail, in simulated time, from one seed.
//!
//! Tags appear, move and vanish upstream; hosts go down, answer 429, are slow, and one tells a limit and means it; the
//! scheduler is started anew in the middle and has forgotten everything. The auditor looks on:
//!
//! - a change is seen within its bound: a period and its jitter, what a few retries take, and whatever the host was down;
//!   at the host with a limit, also the time in which it lets everything be asked for that is there; counted from the
//!   start when the scheduler was started anew meanwhile,
//! - the host with a limit is never asked more than it allows,
//! - no tag points at what was not there under its name, and one that vanished or cannot be asked for keeps its image.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use oci::client::{ResponseBody, Transport, TransportError, Trust};
use store::sim::Chance;
use tokio::time::{Instant, sleep, sleep_until};

use super::import::tests::set_tag;
use super::{Pace, Streams, Timetable, import, schedule};
use crate::import::Surroundings;
use crate::import::testing::Upstream;
use crate::import::world::World;
use crate::random::Random;

const HOUR: Duration = Duration::from_secs(3600);
const PERIOD: Duration = HOUR.saturating_mul(4);
/// A period with its jitter, and the retries after passing trouble.
const BOUND: Duration = PERIOD.saturating_mul(5).checked_div(4).expect("four is not zero");
const HOSTS: [&str; 4] = ["a.test", "b.test", "c.test", LIMITED];
/// The host that means its limit.
const LIMITED: &str = "limited.test";
/// Questions that the first look at an image takes: its manifest and its configuration.
const FIRST_LOOK: usize = 2;

/// How large a run is.
#[derive(Clone, Copy)]
struct Size {
    streams: usize,
    tags: usize,
    images: usize,
    time: Duration,
    changes: u64,
    /// Requests that the host with a limit answers in an hour.
    limit: u64,
}

impl Size {
    /// Time within which a change at a host is seen.
    fn bound(&self, host: &str) -> Duration {
        if host != LIMITED {
            return BOUND;
        }
        // A tenth is kept for people. All images may be new at once: at the start, and again for whoever forgot them.
        let images = self.images.div_ceil(HOSTS.len()) * FIRST_LOOK;
        let hours = images as f64 / (self.limit as f64 * 0.9);
        BOUND + HOUR.mul_f64(hours)
    }
}

/// What a run went through.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    requests: u64,
    /// A number that is another one when any request was another one, or came at another time.
    trace: u64,
    compared: usize,
    moved: usize,
    vanished: usize,
    refused: u64,
    most_in_a_window: u64,
}

/// The network: the upstream behind bad weather.
#[derive(Debug)]
struct Weather {
    upstream: Arc<Upstream>,
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    chance: Chance,
    outages: Vec<Outage>,
    limit: u64,
    requests: u64,
    refused: u64,
    trace: DefaultHasher,
    /// Requests to the limited host, by window.
    windows: BTreeMap<u64, u64>,
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    host: &'static str,
    from: Instant,
    to: Instant,
    /// Whether it answers 429 instead of nothing.
    answers: bool,
}

impl Weather {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the last outage of a host that has begun is over.
    fn last_trouble(&self, host: &str, now: Instant) -> Instant {
        let state = self.state();
        let begun = state.outages.iter().filter(|outage| outage.host == host && outage.from <= now);
        begun.map(|outage| outage.to).max().unwrap_or(self.start)
    }

    /// What becomes of a request beside its answer.
    fn fate(&self, request: &Request<Bytes>) -> Fate {
        let (mut state, now) = (self.state(), Instant::now());
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        (now - self.start, request.method().as_str(), request.uri().to_string()).hash(&mut state.trace);
        state.requests += 1;
        if let Some(outage) =
            state.outages.iter().find(|outage| outage.host == host && outage.from <= now && now < outage.to)
        {
            return if outage.answers { Fate::Busy(Some(600)) } else { Fate::Down };
        }
        // Pings and tokens are not what limits are about.
        let counts = request.uri().path().contains("/manifests/") || request.uri().path().contains("/blobs/");
        if host == LIMITED && counts {
            let window = (now - self.start).as_secs() / HOUR.as_secs();
            let used = state.windows.entry(window).or_default();
            *used += 1;
            let (used, limit) = (*used, state.limit);
            if used > limit {
                state.refused += 1;
                return Fate::Busy(None);
            }
            return Fate::Told { limit, left: limit - used };
        }
        match state.chance.below(400) {
            0 => Fate::Status(503),
            1 => Fate::Busy(Some(20)),
            2..=5 => Fate::Slow,
            _ => Fate::Good,
        }
    }
}

enum Fate {
    Good,
    Slow,
    Told { limit: u64, left: u64 },
    Status(u16),
    Busy(Option<u64>),
    Down,
}

impl Transport for Weather {
    fn send(
        &self,
        request: Request<Bytes>,
        trust: Trust,
    ) -> BoxFuture<'_, Result<Response<ResponseBody>, TransportError>> {
        Box::pin(async move {
            let refuse = |status: u16, pause: Option<u64>| {
                let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
                let mut answer = Response::new(body);
                *answer.status_mut() = StatusCode::from_u16(status).unwrap();
                if let Some(pause) = pause {
                    answer.headers_mut().insert("retry-after", pause.into());
                }
                Ok(answer)
            };
            let head = request.method() == Method::HEAD;
            match self.fate(&request) {
                Fate::Status(status) => return refuse(status, None),
                Fate::Busy(pause) => return refuse(429, pause),
                Fate::Down => {
                    let address = request.uri().authority().unwrap().to_string();
                    let cause = "connect: connection refused".to_owned();
                    return Err(TransportError::Connect { address, cause });
                }
                Fate::Slow => sleep(Duration::from_secs(5)).await,
                Fate::Good => sleep(Duration::from_millis(if head { 20 } else { 50 })).await,
                Fate::Told { limit, left } => {
                    let mut answer = self.upstream.send(request, trust).await?;
                    let told = [("ratelimit-limit", limit), ("ratelimit-remaining", left)];
                    for (name, number) in told {
                        answer.headers_mut().insert(name, format!("{number};w=3600").parse().unwrap());
                    }
                    return Ok(answer);
                }
            }
            self.upstream.send(request, trust).await
        })
    }
}

/// What a followed image was upstream.
#[derive(Clone, Debug, Default)]
struct Image {
    /// What it is now; `None` when it is not there.
    now: Option<String>,
    since: Option<Instant>,
    ever: BTreeSet<String>,
}

/// The upstream as the auditor knows it.
struct Truth {
    size: Size,
    images: Vec<Image>,
    chance: Chance,
    made: usize,
    /// When this life of the scheduler began: it draws the due times anew.
    begun: Instant,
    /// Tags that had an image once.
    had: BTreeSet<(usize, usize)>,
}

fn repository(image: usize) -> String {
    format!("{}/x/i{image}", HOSTS[image % HOSTS.len()])
}

impl Truth {
    fn change(&mut self, upstream: &Upstream, seen: &mut Seen) {
        let at = usize::try_from(self.chance.below(self.images.len() as u64)).unwrap();
        let image = &mut self.images[at];
        if image.now.is_some() && self.chance.odds(1, 5) {
            upstream.remove_image(&format!("{}:t", repository(at)));
            image.now = None;
            seen.vanished += 1;
        } else {
            self.made += 1;
            let digest = upstream.image(&repository(at), "t", &format!("image {}", self.made)).to_string();
            image.ever.insert(digest.clone());
            image.now = Some(digest);
            seen.moved += 1;
        }
        image.since = Some(Instant::now());
    }

    /// Compares every tag with what it follows.
    fn audit(&mut self, world: &World, weather: &Weather, seen: &mut Seen) {
        let now = Instant::now();
        let mut troubles = HashMap::new();
        for stream in 0..self.size.streams {
            let held = world.held(&format!("s{stream}")).expect("streams stay");
            for tag in 0..self.size.tags {
                let at = (stream * self.size.tags + tag) % self.images.len();
                let (image, host) = (&self.images[at], HOSTS[at % HOSTS.len()]);
                let head = held.status.head(&tag.to_string()).map(|head| head.image.clone());
                if let Some(head) = &head {
                    assert!(
                        image.ever.contains(head),
                        "s{stream}:{tag} points at {head}, which was never there"
                    );
                }
                match head {
                    Some(_) => drop(self.had.insert((stream, tag))),
                    None => assert!(!self.had.contains(&(stream, tag)), "s{stream}:{tag} lost its image"),
                }
                let trouble = *troubles.entry(host).or_insert_with(|| weather.last_trouble(host, now));
                let settled = image.since.unwrap_or(weather.start).max(trouble).max(self.begun);
                let settled = settled + self.size.bound(host);
                if settled > now {
                    continue;
                }
                if let Some(wanted) = &image.now {
                    assert_eq!(head.as_ref(), Some(wanted), "s{stream}:{tag} of {host} is late");
                }
                seen.compared += 1;
            }
        }
    }
}

fn run(seed: u64, size: Size) -> Seen {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(day(seed, size))
}

async fn day(seed: u64, size: Size) -> Seen {
    let (mut chance, start) = (Chance::new(seed), Instant::now());
    let outages = outages(&mut chance, start, size.time);
    let state = State {
        chance: Chance::new(chance.number()),
        outages,
        limit: size.limit,
        requests: 0,
        refused: 0,
        trace: DefaultHasher::new(),
        windows: BTreeMap::new(),
    };
    let upstream = Arc::new(Upstream::default());
    let weather = Arc::new(Weather { upstream: Arc::clone(&upstream), start, state: Mutex::new(state) });
    let mut world = Arc::new(World::over(Arc::clone(&upstream), Arc::clone(&weather) as Arc<dyn Transport>));
    let mut seen = Seen::default();
    let images = vec![Image::default(); size.images];
    let mut truth = Truth {
        size,
        images,
        chance: Chance::new(chance.number()),
        made: 0,
        begun: start,
        had: BTreeSet::new(),
    };
    for at in 0..size.images {
        if !at.is_multiple_of(10) {
            truth.made += 1;
            let digest = upstream.image(&repository(at), "t", &format!("image {}", truth.made)).to_string();
            truth.images[at].ever.insert(digest.clone());
            truth.images[at].now = Some(digest);
        }
    }
    for stream in 0..size.streams {
        world.edit(&format!("s{stream}"), |object| {
            for tag in 0..size.tags {
                let at = (stream * size.tags + tag) % size.images;
                set_tag(object, &tag.to_string(), &format!("{}:t", repository(at)), true);
            }
        });
    }
    let end = start + size.time;
    while Instant::now() < end {
        let stop = (Instant::now() + size.time / 3).min(end);
        truth.begun = Instant::now();
        let pause = world.engine().pause();
        let table = Arc::new(Timetable::new(PERIOD, Pace::Free, &Random::seeded(chance.number()), pause));
        let streams: Arc<dyn Streams> = world.clone();
        let life = live(&world, &weather, &mut truth, &mut seen, stop);
        let imports = import::run(Arc::clone(&streams), sleep_until(stop));
        tokio::join!(life, imports, schedule::run(streams, table, sleep_until(stop)));
        // A new life: the engine has learnt nothing, the timetable is empty.
        Arc::get_mut(&mut world).expect("nobody else has it").restart();
    }
    let state = weather.state();
    (seen.requests, seen.trace, seen.refused) = (state.requests, state.trace.finish(), state.refused);
    seen.most_in_a_window = state.windows.values().copied().max().unwrap_or_default();
    seen
}

/// Changes things upstream and looks on, until a life ends.
async fn live(world: &World, weather: &Weather, truth: &mut Truth, seen: &mut Seen, stop: Instant) {
    let step = HOUR / 2;
    while Instant::now() + step < stop {
        // Nothing changes on the half hour, so that nothing is compared while it is seen.
        sleep(step).await;
        for _ in 0..truth.size.changes {
            truth.change(&weather.upstream, seen);
        }
        weather.upstream.requests();
        truth.audit(world, weather, seen);
    }
}

/// One outage of every host that has no limit, and one hour in which another refuses everybody.
fn outages(chance: &mut Chance, start: Instant, time: Duration) -> Vec<Outage> {
    let hosts = HOSTS.iter().filter(|host| **host != LIMITED);
    hosts
        .enumerate()
        .map(|(at, host)| {
            let part = time.as_secs() / 8;
            let from = start + Duration::from_secs(part + chance.below(part));
            let to = from + Duration::from_secs(600 + chance.below(2400));
            Outage { host, from, to, answers: at == 0 }
        })
        .collect()
}

/// A day of a size, and what must be true of it beside what the auditor saw.
fn check(seed: u64, size: Size) {
    let seen = run(seed, size);
    let (compared, moved, vanished) = (10 * size.images, 24 * size.changes as usize, size.changes as usize);
    assert!(
        seen.compared > compared && seen.moved > moved && seen.vanished > vanished,
        "too little happens: {seen:?}"
    );
    assert!(seen.most_in_a_window <= size.limit && seen.refused == 0, "more than the limit: {seen:?}");
    // Every image six times a day, once each however many follow it; pings, what moved and retries come on top.
    assert!(seen.requests < 45 * size.images as u64, "{seen:?}");
}

#[test]
fn followed_tags_come_through_a_day_of_trouble() {
    let size = Size { streams: 100, tags: 5, images: 200, time: HOUR * 24, changes: 4, limit: 400 };
    check(7, size);
}

#[test]
fn five_thousand_followed_tags_come_through_a_day_of_trouble() {
    let size = Size { streams: 1000, tags: 5, images: 1000, time: HOUR * 24, changes: 20, limit: 400 };
    check(8, size);
}

#[test]
fn a_day_can_be_repeated_from_its_seed() {
    let size = Size { streams: 20, tags: 3, images: 30, time: HOUR * 24, changes: 2, limit: 400 };
    for seed in [1, 2] {
        assert_eq!(run(seed, size), run(seed, size));
    }
    assert_ne!(run(1, size).trace, run(2, size).trace);
}
