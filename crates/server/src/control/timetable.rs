//! When which followed tag is due, and whose turn it is.
//!
//! A tag is due at the same moment as all others that follow the same image of the same registry, so that one question
//! answers for all of them: the moment comes from a hash of the image's name and the number of the period, which spreads
//! different images over the whole period and moves each a little from period to period. A tag that could not be imported
//! is due after a pause that doubles with every failure, up to its period.
//!
//! Turns are fair: hosts take turns, and at a host the projects that wait there. A host that wants no more requests now, or
//! is slow, keeps its own tags waiting and nobody else's. All of this can be rebuilt from the streams at any time.
//!
//! A registry may tell that a tag moved. Then the tag is due at once and before all that are merely due, within the same
//! budgets; so is one that nobody follows, until it has been looked at.

mod host;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::StreamKey;
use super::limits::{HOST_POLLS, JITTER_PART, RETRY_FIRST, SCHEDULE_RETRY};
use crate::random::Random;
use host::Host;

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

/// A tag whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The tag.
    pub follow: Follow,
    /// When it was due.
    pub due: Instant,
    /// The hook that told of it, if that is why.
    pub hook: Option<Arc<str>>,
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

/// How one tag stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The tag; empty for the whole repository.
    pub tag: Arc<str>,
    /// Host and port of the registry.
    pub host: Arc<str>,
    /// Path, and tag or digest, there.
    pub image: Arc<str>,
    /// Whether it is followed for ever, and not only until it has been had.
    pub is_scheduled: bool,
    /// Failures in a row.
    pub failures: u32,
    /// Since it was looked at last, if this server did since its start.
    pub tried_ago: Option<Duration>,
    /// Until it is due; zero when it waits for its turn.
    pub due_in: Duration,
    /// The hook that told of it.
    pub hook: Option<Arc<str>>,
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
    tried: Option<Instant>,
    /// The hook that told of it, until it has been looked at.
    hook: Option<Arc<str>>,
    /// Whether its stream wishes it; otherwise only a hook does.
    is_wished: bool,
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
            if let Some(entry) = state.follows.get_mut(&follow).filter(|entry| entry.wish == wish) {
                entry.is_wished = true;
                continue;
            }
            let told = state.remove(&follow).and_then(|entry| Some((entry.hook?, entry.due)));
            let due = state.first_due(&wish, self.period);
            state.insert(follow.clone(), wish, due);
            if let Some((hook, at)) = told {
                state.tell(&follow, &hook, at);
            }
        }
        for gone in before.difference(&tags) {
            let follow = Follow { stream: stream.clone(), tag: Arc::clone(gone) };
            match state.follows.get_mut(&follow) {
                Some(entry) if entry.hook.is_some() => entry.is_wished = false,
                _ => drop(state.remove(&follow)),
            }
        }
        if !tags.is_empty() {
            state.by_stream.insert(stream.clone(), tags);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Makes tags of a stream due at once because a hook told of them `at` that moment; an answer from before will not do.
    /// Those that the stream does not wish are looked at this once.
    pub fn hurry(&self, stream: &StreamKey, wishes: Vec<Wish>, hook: &Arc<str>, at: Instant) {
        let mut state = self.lock();
        for wish in wishes {
            let follow = Follow { stream: stream.clone(), tag: Arc::clone(&wish.tag) };
            if !state.follows.contains_key(&follow) {
                state.insert(follow.clone(), wish, at);
                if let Some(entry) = state.follows.get_mut(&follow) {
                    entry.is_wished = false;
                }
            }
            state.tell(&follow, hook, at);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for the next tag whose turn it is. It counts as being polled until [`Timetable::done`] is told of it.
    /// Cancel-safe.
    pub async fn next(&self) -> Turn {
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

    /// How the tags of a stream stand.
    pub fn standings(&self, stream: &StreamKey) -> Vec<Standing> {
        let (state, now) = (self.lock(), Instant::now());
        let tags = state.by_stream.get(stream).into_iter().flatten();
        let standing = |tag: &Arc<str>| {
            let entry = state.follows.get(&Follow { stream: stream.clone(), tag: Arc::clone(tag) })?;
            Some(Standing {
                tag: Arc::clone(tag),
                host: Arc::clone(&entry.wish.host),
                image: Arc::clone(&entry.wish.image),
                is_scheduled: !entry.wish.once,
                failures: entry.failures,
                tried_ago: entry.tried.map(|at| now.saturating_duration_since(at)),
                due_in: entry.due.saturating_duration_since(now),
                hook: entry.hook.clone(),
            })
        };
        tags.filter_map(standing).collect()
    }

    /// How the tags of every host stand.
    pub fn report(&self) -> BTreeMap<Arc<str>, HostReport> {
        let (state, now) = (self.lock(), Instant::now());
        state.hosts.iter().map(|(name, host)| (Arc::clone(name), host.report(now))).collect()
    }

    fn take(&self) -> Result<Turn, Option<Instant>> {
        let mut state = self.lock();
        let now = Instant::now();
        state.wake(now);
        // The pace is for what the server asks by itself; a registry that tells of a change wants to be asked.
        let is_off = self.pace == Pace::PerMinute(0);
        let only_told = is_off || state.next_start > now;
        let (ready, mut at) = state.ready_host(now, only_told, &self.pause);
        if !is_off && only_told && state.hosts.values().any(|host| host.has_waiting(false)) {
            at = Some(at.map_or(state.next_start, |at| at.min(state.next_start)));
        }
        let Some(name) = ready else { return Err(at) };
        state.last_host = Arc::clone(&name);
        let follow = state.hosts.get_mut(&name).and_then(|host| host.take_turn(only_told)).ok_or(None)?;
        let entry = state.follows.get_mut(&follow).ok_or(None)?;
        entry.state = Where::Busy { again: false };
        let (due, hook) = (entry.due, entry.hook.clone());
        if let (Pace::PerMinute(many), None) = (self.pace, &hook) {
            state.next_start = now + Duration::from_secs(60).checked_div(many).unwrap_or_default();
        }
        Ok(Turn { follow, due, hook })
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

impl State {
    fn insert(&mut self, follow: Follow, wish: Wish, due: Instant) {
        let host = self.hosts.entry(Arc::clone(&wish.host)).or_default();
        host.followed += 1;
        host.later.insert((due, follow.clone()));
        let entry =
            Entry { wish, due, state: Where::Later, failures: 0, tried: None, hook: None, is_wished: true };
        self.follows.insert(follow, entry);
    }

    fn remove(&mut self, follow: &Follow) -> Option<Entry> {
        let entry = self.follows.remove(follow)?;
        let host = self.hosts.get_mut(&entry.wish.host)?;
        host.followed -= 1;
        match entry.state {
            Where::Later => drop(host.later.remove(&(entry.due, follow.clone()))),
            Where::Waiting => host.leave(follow),
            // Its poll goes on, and counts until it is done.
            Where::Busy { .. } => host.busy -= 1,
        }
        if host.followed == 0 {
            self.hosts.remove(&entry.wish.host);
        }
        Some(entry)
    }

    /// Lets a tag wait for its turn before all that are merely due.
    fn tell(&mut self, follow: &Follow, hook: &Arc<str>, at: Instant) {
        let Some(entry) = self.follows.get_mut(follow) else { return };
        let Some(host) = self.hosts.get_mut(&entry.wish.host) else { return };
        entry.hook = Some(Arc::clone(hook));
        match entry.state {
            Where::Later => {
                host.later.remove(&(entry.due, follow.clone()));
                host.wait(follow.clone(), true);
                entry.state = Where::Waiting;
            }
            Where::Waiting => {
                host.leave(follow);
                host.wait(follow.clone(), true);
            }
            // An answer from before now would not do.
            Where::Busy { .. } => entry.state = Where::Busy { again: true },
        }
        entry.due = at;
    }

    /// Lets everything that is due wait for its turn.
    fn wake(&mut self, now: Instant) {
        for host in self.hosts.values_mut() {
            while host.later.first().is_some_and(|(due, _)| *due <= now) {
                let Some((_, follow)) = host.later.pop_first() else { break };
                if let Some(entry) = self.follows.get_mut(&follow) {
                    entry.state = Where::Waiting;
                    host.wait(follow, entry.hook.is_some());
                }
            }
        }
    }

    /// The next host, in turn, at which something waits and that may be asked; else when to look again.
    fn ready_host(
        &self,
        now: Instant,
        only_told: bool,
        pause: &Pause,
    ) -> (Option<Arc<str>>, Option<Instant>) {
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
            if !host.has_waiting(only_told) || host.busy >= HOST_POLLS {
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
        if how != Polled::PutOff {
            entry.tried = Some(now);
        }
        if how == Polled::Told && !again {
            entry.hook = None;
            if !entry.is_wished {
                self.remove(follow);
                return None;
            }
        }
        entry.failures = match how {
            Polled::Failed => entry.failures.saturating_add(1),
            // Nothing was learnt: neither that it works nor that it does not.
            Polled::PutOff => entry.failures,
            Polled::Told | Polled::Overtaken => 0,
        };
        let (wish, failures) = (entry.wish.clone(), entry.failures);
        let due = match how {
            // Since when an answer counts is what it was told.
            _ if again => entry.due,
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
