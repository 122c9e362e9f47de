//! When which stream's scheduled tags are due, and how many polls may start in a minute.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::StreamKey;
use super::limits::{JITTER_PART, SCHEDULE_RETRY};
use crate::random::Random;

/// Due times of streams. Shared by the scheduler and by those who import on its behalf.
#[derive(Debug)]
pub struct Timetable {
    state: Mutex<State>,
    changed: Notify,
    period: Duration,
    /// Time between two starts; `None` when nothing may start at all.
    pace: Option<Duration>,
}

#[derive(Debug)]
struct State {
    due: BTreeSet<(Instant, StreamKey)>,
    by_key: HashMap<StreamKey, Instant>,
    next_start: Instant,
    random: Random,
}

impl Timetable {
    /// An empty timetable: every stream once in `period`, at most `per_minute` in a minute (0 for none at all).
    pub fn new(period: Duration, per_minute: u32, random: Random) -> Timetable {
        let state =
            State { due: BTreeSet::new(), by_key: HashMap::new(), next_start: Instant::now(), random };
        let pace = Duration::from_secs(60).checked_div(per_minute);
        Timetable { state: Mutex::new(state), changed: Notify::new(), period, pace }
    }

    /// Takes in a stream found at start: it is due some time within a period.
    pub fn found(&self, key: &StreamKey, scheduled: bool) {
        let mut state = self.lock();
        if scheduled && !state.by_key.contains_key(key) {
            let wait = state.part_of(self.period);
            state.set(key, Instant::now() + wait);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Takes in that a stream changed: one that is scheduled from now on is due in a period, one that was before stays
    /// where it is, so that busy streams are not put off for ever.
    pub fn changed(&self, key: &StreamKey, scheduled: bool) {
        let mut state = self.lock();
        match (scheduled, state.by_key.contains_key(key)) {
            (true, false) => {
                let wait = state.jittered(self.period);
                state.set(key, Instant::now() + wait);
            }
            (false, true) => state.remove(key),
            _ => return,
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Takes in that a stream is being imported into anyway: its next poll is due in a period.
    pub fn imported(&self, key: &StreamKey) {
        let mut state = self.lock();
        if state.by_key.contains_key(key) {
            let wait = state.jittered(self.period);
            state.set(key, Instant::now() + wait);
        }
    }

    /// Wants a stream polled again soon.
    pub fn retry(&self, key: &StreamKey) {
        let mut state = self.lock();
        if state.by_key.contains_key(key) {
            state.set(key, Instant::now() + SCHEDULE_RETRY.min(self.period));
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for the next stream that is due and may start; it is due again in a period. Cancel-safe.
    pub async fn next(&self) -> StreamKey {
        let Some(pace) = self.pace else { return std::future::pending().await };
        loop {
            let changed = self.changed.notified();
            let wait = match self.take(pace) {
                Ok(key) => return key,
                Err(wait) => wait,
            };
            match wait {
                Some(at) => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// When a stream is due.
    pub fn due(&self, key: &StreamKey) -> Option<Instant> {
        self.lock().by_key.get(key).copied()
    }

    fn take(&self, pace: Duration) -> Result<StreamKey, Option<Instant>> {
        let mut state = self.lock();
        let now = Instant::now();
        let (due, key) = state.due.first().cloned().ok_or(None)?;
        let start = due.max(state.next_start);
        if start > now {
            return Err(Some(start));
        }
        state.next_start = now + pace;
        let wait = state.jittered(self.period);
        state.set(&key, now + wait);
        Ok(key)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn set(&mut self, key: &StreamKey, at: Instant) {
        self.remove(key);
        self.by_key.insert(key.clone(), at);
        self.due.insert((at, key.clone()));
    }

    fn remove(&mut self, key: &StreamKey) {
        if let Some(at) = self.by_key.remove(key) {
            self.due.remove(&(at, key.clone()));
        }
    }

    /// A random part of a time.
    fn part_of(&self, whole: Duration) -> Duration {
        let millis = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.random.below(millis))
    }

    /// A time that is a little shorter or longer, at random.
    fn jittered(&self, period: Duration) -> Duration {
        let swing = period / JITTER_PART;
        (period - swing) + self.part_of(swing * 2)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const PERIOD: Duration = Duration::from_secs(900);

    fn key(name: &str) -> StreamKey {
        StreamKey::new("ns", name)
    }

    fn timetable(per_minute: u32) -> Timetable {
        Timetable::new(PERIOD, per_minute, Random::seeded(7))
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_due_once_a_period_within_a_tenth() {
        let table = timetable(60);
        table.changed(&key("a"), true);
        for _ in 0..50 {
            let before = Instant::now();
            assert_eq!(table.next().await, key("a"));
            let waited = before.elapsed();
            assert!(waited >= PERIOD * 9 / 10 && waited <= PERIOD * 11 / 10, "{waited:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn streams_found_at_start_are_spread_over_a_period() {
        let table = timetable(60_000);
        let start = Instant::now();
        for at in 0..100 {
            table.found(&key(&at.to_string()), true);
        }
        let due: Vec<Duration> =
            (0..100).map(|at| table.due(&key(&at.to_string())).unwrap() - start).collect();
        assert!(due.iter().all(|due| *due < PERIOD));
        let early = due.iter().filter(|due| **due < PERIOD / 2).count();
        assert!((30..70).contains(&early), "{early}");
    }

    #[tokio::test(start_paused = true)]
    async fn starts_are_paced_and_nobody_starves() {
        let table = timetable(6);
        for at in 0..10 {
            table.found(&key(&at.to_string()), true);
        }
        tokio::time::advance(PERIOD).await;
        let start = Instant::now();
        let mut started = BTreeSet::new();
        for _ in 0..10 {
            started.insert(table.next().await);
        }
        assert_eq!(start.elapsed().as_secs(), 90);
        assert_eq!(started.len(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn an_import_puts_the_next_poll_off_and_other_changes_do_not() {
        let table = timetable(60);
        table.changed(&key("a"), true);
        let due = table.due(&key("a")).unwrap();
        tokio::time::advance(PERIOD / 2).await;
        table.changed(&key("a"), true);
        assert_eq!(table.due(&key("a")), Some(due));
        table.imported(&key("a"));
        assert!(table.due(&key("a")).unwrap() >= Instant::now() + PERIOD * 9 / 10);
        table.changed(&key("a"), false);
        assert_eq!(table.due(&key("a")), None);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_starts_when_nothing_may() {
        let table = timetable(0);
        table.found(&key("a"), true);
        tokio::time::advance(PERIOD * 3).await;
        assert_eq!(table.next().now_or_never(), None);
    }
}
