//! When which followed tag is due, and whose turn it is.
//!
//! A tag is due at the same moment as all others that follow the same image of the same registry, so that one question
//! answers for all of them: the moment comes from a hash of the image's name and the number of the period, which spreads
//! different images over the whole period and moves each a little from period to period. A tag that could not be imported
//! is due after a pause that doubles with every failure, up to its period.
//!
//! Turns are fair: hosts take turns, and at a host the projects that wait there. A host that wants no more requests now, or
//! is slow, keeps its own tags waiting and nobody else's. All of this can be rebuilt from the streams at any time.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::StreamKey;
use super::limits::{HOST_POLLS, JITTER_PART, RETRY_FIRST, SCHEDULE_RETRY};
use crate::random::Random;

/// What is followed: a tag of a stream, or, with an empty tag, its whole repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Follow {
    /// The stream.
    pub stream: StreamKey,
    /// Its tag.
    pub tag: Arc<str>,
}

impl fmt::Display for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.stream, self.tag)
    }
}

/// How a tag wants to be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The tag; empty for the whole repository.
    pub tag: Arc<str>,
    /// Host and port of the registry.
    pub host: Arc<str>,
    /// Path, and tag or digest, at the registry.
    pub image: Arc<str>,
    /// How often; `None` for the server's own period.
    pub period: Option<Duration>,
    /// Only until it has been had once: what failed is tried again, and nothing more.
    pub once: bool,
}

/// How a poll went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// The registry told what the tag is.
    Told,
    /// It did not, or what it told is of no use.
    Failed,
    /// Somebody else wrote the stream meanwhile.
    Overtaken,
    /// The registry was not asked, because it wants no requests now.
    PutOff,
}

/// How the tags of one host stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostReport {
    /// Tags that are followed there.
    pub followed: usize,
    /// Those that are due and wait for their turn.
    pub waiting: usize,
    /// Until the next is due.
    pub next_due: Option<Duration>,
}

/// How long nothing should be sent to a host.
type Pause = Box<dyn Fn(&str) -> Duration + Send + Sync>;

/// Due times and turns. Shared by the scheduler and by those who know of a change earlier.
pub struct Timetable {
    state: Mutex<State>,
    changed: Notify,
    period: Duration,
    pace: Pace,
    pause: Pause,
}

/// How many polls may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As many as the hosts allow.
    Free,
    /// So many in a minute; none at all for 0.
    PerMinute(u32),
}

struct State {
    follows: HashMap<Follow, Entry>,
    by_stream: HashMap<StreamKey, BTreeSet<Arc<str>>>,
    hosts: BTreeMap<Arc<str>, Host>,
    /// The host whose turn it was last.
    last_host: Arc<str>,
    next_start: Instant,
    epoch: Instant,
    /// Milliseconds that had passed at the epoch, so that periods are counted alike after a restart.
    passed: u64,
    seed: u64,
}

struct Entry {
    wish: Wish,
    due: Instant,
    state: Where,
    failures: u32,
}

/// Where a tag is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    Later,
    Waiting,
    /// At work; `again` when it became due meanwhile.
    Busy {
        again: bool,
    },
}

#[derive(Default)]
struct Host {
    later: BTreeSet<(Instant, Follow)>,
    waiting: BTreeMap<Arc<str>, VecDeque<Follow>>,
    last_project: Arc<str>,
    busy: usize,
    followed: usize,
}

impl Timetable {
    /// An empty timetable: every tag once in `period` unless it wishes otherwise. `pause` tells how long a host wants to
    /// be left alone.
    pub fn new(period: Duration, pace: Pace, random: &Random, pause: Pause) -> Timetable {
        let now = Instant::now();
        let state = State {
            follows: HashMap::new(),
            by_stream: HashMap::new(),
            hosts: BTreeMap::new(),
            last_host: "".into(),
            next_start: now,
            epoch: now,
            passed: 0,
            seed: random.below(u64::MAX),
        };
        Timetable { state: Mutex::new(state), changed: Notify::new(), period, pace, pause }
    }

    /// Makes what is due when the same after every start: `server` names this server, and `time` has passed since a moment
    /// that never changes.
    #[must_use]
    pub fn continued(self, server: &str, time: Duration) -> Timetable {
        let mut state = self.lock();
        let mut hasher = DefaultHasher::new();
        server.hash(&mut hasher);
        state.seed = hasher.finish();
        state.passed = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        drop(state);
        self
    }

    /// Takes in what a stream wishes now; nothing for one that is gone. What it wished before keeps its due time, so that
    /// busy streams are not put off for ever.
    pub fn set(&self, stream: &StreamKey, wishes: Vec<Wish>) {
        let mut state = self.lock();
        let before = state.by_stream.remove(stream).unwrap_or_default();
        let mut tags = BTreeSet::new();
        for wish in wishes {
            tags.insert(Arc::clone(&wish.tag));
            let follow = Follow { stream: stream.clone(), tag: Arc::clone(&wish.tag) };
            if state.follows.get(&follow).is_some_and(|entry| entry.wish == wish) {
                continue;
            }
            state.remove(&follow);
            let due = state.first_due(&wish, self.period);
            state.insert(follow, wish, due);
        }
        for gone in before.difference(&tags) {
            state.remove(&Follow { stream: stream.clone(), tag: Arc::clone(gone) });
        }
        if !tags.is_empty() {
            state.by_stream.insert(stream.clone(), tags);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Makes every tag due at once that follows an image: the one of that tag, or all of the repository. Says how many.
    pub fn hurry(&self, host: &str, path: &str, tag: Option<&str>) -> usize {
        let mut state = self.lock();
        let is_meant = |wish: &Wish| {
            let (repository, named) = wish.image.split_once(':').unwrap_or((&wish.image, ""));
            *wish.host == *host
                && repository == path
                && (named.is_empty() || tag.is_none_or(|tag| tag == named))
        };
        let meant: Vec<Follow> = state
            .follows
            .iter()
            .filter(|(_, entry)| is_meant(&entry.wish))
            .map(|(follow, _)| follow.clone())
            .collect();
        for follow in &meant {
            state.due_now(follow);
        }
        drop(state);
        self.changed.notify_one();
        meant.len()
    }

    /// Waits for the next tag whose turn it is; the time it was due comes with it. It counts as being polled until
    /// [`Timetable::done`] is told of it. Cancel-safe.
    pub async fn next(&self) -> (Follow, Instant) {
        if self.pace == Pace::PerMinute(0) {
            return std::future::pending().await;
        }
        loop {
            let changed = self.changed.notified();
            match self.take() {
                Ok(found) => return found,
                Err(Some(at)) => {
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
                Err(None) => changed.await,
            }
        }
    }

    /// Takes in how a poll went; says when the tag is due again, if it still is followed.
    pub fn done(&self, follow: &Follow, how: Polled) -> Option<Instant> {
        let mut state = self.lock();
        let due = state.done(follow, how, self.period);
        drop(state);
        self.changed.notify_one();
        due
    }

    /// When a tag is due.
    pub fn due(&self, follow: &Follow) -> Option<Instant> {
        self.lock().follows.get(follow).map(|entry| entry.due)
    }

    /// How the tags of every host stand.
    pub fn report(&self) -> BTreeMap<Arc<str>, HostReport> {
        let (state, now) = (self.lock(), Instant::now());
        let report = |host: &Host| HostReport {
            followed: host.followed,
            waiting: host.waiting.values().map(VecDeque::len).sum(),
            next_due: host.later.first().map(|(at, _)| at.saturating_duration_since(now)),
        };
        state.hosts.iter().map(|(name, host)| (Arc::clone(name), report(host))).collect()
    }

    fn take(&self) -> Result<(Follow, Instant), Option<Instant>> {
        let mut state = self.lock();
        let now = Instant::now();
        state.wake(now);
        if state.next_start > now && state.hosts.values().any(|host| !host.waiting.is_empty()) {
            return Err(Some(state.next_start));
        }
        let (ready, at) = state.ready_host(now, &self.pause);
        let Some(name) = ready else { return Err(at) };
        state.last_host = Arc::clone(&name);
        let follow = state.hosts.get_mut(&name).and_then(Host::take_turn).ok_or(None)?;
        if let Pace::PerMinute(many) = self.pace {
            state.next_start = now + Duration::from_secs(60).checked_div(many).unwrap_or_default();
        }
        let entry = state.follows.get_mut(&follow).ok_or(None)?;
        entry.state = Where::Busy { again: false };
        let due = entry.due;
        Ok((follow, due))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timetable").field("follows", &self.lock().follows.len()).finish_non_exhaustive()
    }
}

impl Host {
    /// The next tag of the project whose turn it is.
    fn take_turn(&mut self) -> Option<Follow> {
        let after = self.waiting.range::<Arc<str>, _>((
            std::ops::Bound::Excluded(&self.last_project),
            std::ops::Bound::Unbounded,
        ));
        let project = after.map(|(project, _)| project).next().or_else(|| self.waiting.keys().next())?;
        let project = Arc::clone(project);
        let queue = self.waiting.get_mut(&project)?;
        let follow = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&project);
        }
        self.last_project = project;
        self.busy += 1;
        follow
    }

    fn wait(&mut self, follow: Follow) {
        self.waiting.entry(Arc::clone(&follow.stream.namespace)).or_default().push_back(follow);
    }
}

impl State {
    fn insert(&mut self, follow: Follow, wish: Wish, due: Instant) {
        let host = self.hosts.entry(Arc::clone(&wish.host)).or_default();
        host.followed += 1;
        host.later.insert((due, follow.clone()));
        self.follows.insert(follow, Entry { wish, due, state: Where::Later, failures: 0 });
    }

    fn remove(&mut self, follow: &Follow) {
        let Some(entry) = self.follows.remove(follow) else { return };
        let Some(host) = self.hosts.get_mut(&entry.wish.host) else { return };
        host.followed -= 1;
        match entry.state {
            Where::Later => drop(host.later.remove(&(entry.due, follow.clone()))),
            Where::Waiting => {
                let project = &follow.stream.namespace;
                if let Some(queue) = host.waiting.get_mut(project) {
                    queue.retain(|waiting| waiting != follow);
                    if queue.is_empty() {
                        host.waiting.remove(project);
                    }
                }
            }
            // Its poll goes on, and counts until it is done.
            Where::Busy { .. } => host.busy -= 1,
        }
        if host.followed == 0 {
            self.hosts.remove(&entry.wish.host);
        }
    }

    fn due_now(&mut self, follow: &Follow) {
        let now = Instant::now();
        let Some(entry) = self.follows.get_mut(follow) else { return };
        match entry.state {
            Where::Later => {
                if let Some(host) = self.hosts.get_mut(&entry.wish.host) {
                    host.later.remove(&(entry.due, follow.clone()));
                    host.later.insert((now, follow.clone()));
                }
            }
            // An answer from before now would not do.
            Where::Waiting => {}
            Where::Busy { .. } => entry.state = Where::Busy { again: true },
        }
        entry.due = now;
    }

    /// Lets everything that is due wait for its turn.
    fn wake(&mut self, now: Instant) {
        for host in self.hosts.values_mut() {
            while host.later.first().is_some_and(|(due, _)| *due <= now) {
                let Some((_, follow)) = host.later.pop_first() else { break };
                if let Some(entry) = self.follows.get_mut(&follow) {
                    entry.state = Where::Waiting;
                    host.wait(follow);
                }
            }
        }
    }

    /// The next host, in turn, at which something waits and that may be asked; else when to look again.
    fn ready_host(&self, now: Instant, pause: &Pause) -> (Option<Arc<str>>, Option<Instant>) {
        let mut look_again: Option<Instant> = None;
        let mut later = |at: Instant| look_again = Some(look_again.map_or(at, |held| held.min(at)));
        let after = self
            .hosts
            .range::<Arc<str>, _>((std::ops::Bound::Excluded(&self.last_host), std::ops::Bound::Unbounded));
        let before = self.hosts.range::<Arc<str>, _>(..=&self.last_host);
        for (name, host) in after.chain(before) {
            if let Some((due, _)) = host.later.first() {
                later(*due);
            }
            if host.waiting.is_empty() || host.busy >= HOST_POLLS {
                continue;
            }
            let wait = pause(name);
            if wait.is_zero() {
                return (Some(Arc::clone(name)), None);
            }
            later(now + wait);
        }
        (None, look_again)
    }

    fn done(&mut self, follow: &Follow, how: Polled, period: Duration) -> Option<Instant> {
        let now = Instant::now();
        let entry = self.follows.get_mut(follow)?;
        let Where::Busy { again } = entry.state else { return Some(entry.due) };
        entry.failures = match how {
            Polled::Failed => entry.failures.saturating_add(1),
            // Nothing was learnt: neither that it works nor that it does not.
            Polled::PutOff => entry.failures,
            Polled::Told | Polled::Overtaken => 0,
        };
        let (wish, failures) = (entry.wish.clone(), entry.failures);
        let due = match how {
            _ if again => now,
            Polled::Told => self.aligned(&wish, period, now),
            Polled::Failed => now + self.pause_after(&wish, failures, period),
            // The host's pause is kept for all of its tags.
            Polled::Overtaken | Polled::PutOff => now + SCHEDULE_RETRY.min(wish.period.unwrap_or(period)),
        };
        let entry = self.follows.get_mut(follow)?;
        (entry.state, entry.due) = (Where::Later, due);
        let host = self.hosts.get_mut(&wish.host)?;
        host.busy -= 1;
        host.later.insert((due, follow.clone()));
        Some(due)
    }

    fn first_due(&self, wish: &Wish, period: Duration) -> Instant {
        let now = Instant::now();
        if wish.once { now + self.pause_after(wish, 1, period) } else { self.aligned(wish, period, now) }
    }

    /// The pause after so many failures in a row: doubling up to the period, a little shorter or longer, as chance has it
    /// for an image: who failed together tries together, and asks once.
    fn pause_after(&self, wish: &Wish, failures: u32, period: Duration) -> Duration {
        let doubled =
            RETRY_FIRST.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
        let pause = doubled.min(wish.period.unwrap_or(period));
        let swing = pause / JITTER_PART;
        let millis = u64::try_from((swing * 2).as_millis()).unwrap_or(u64::MAX);
        pause - swing + Duration::from_millis(self.hash(wish, u64::from(failures)) % millis.max(1))
    }

    /// The next moment after now that everybody has who follows this image in this period.
    fn aligned(&self, wish: &Wish, period: Duration, now: Instant) -> Instant {
        let period = wish.period.unwrap_or(period);
        let millis = u64::try_from(period.as_millis()).unwrap_or(u64::MAX).max(1);
        let swing = (millis / u64::from(JITTER_PART)).max(1);
        let phase = self.hash(wish, u64::MAX) % millis;
        let since = u64::try_from(now.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX);
        let passed = self.passed.saturating_add(since);
        // The moment of the period before may lie in this one.
        let mut cycle = (passed / millis).saturating_sub(1);
        loop {
            // After the phase, by up to a swing, differently in every period.
            let at = cycle * millis + phase + self.hash(wish, cycle) % swing;
            let due = self.epoch + Duration::from_millis(at.saturating_sub(self.passed));
            if due > now {
                return due;
            }
            cycle += 1;
        }
    }

    fn hash(&self, wish: &Wish, salt: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, &wish.host, &wish.image, salt).hash(&mut hasher);
        hasher.finish()
    }
}

#[cfg(test)]
#[path = "timetable_tests.rs"]
mod tests;
