//! Keys that wait to be worked on: each at most once in the queue and at most once at work.
//!
//! A key that is added while it is worked on is worked on again afterwards, so no change is missed; a key that failed
//! comes back after a pause that doubles with every failure in a row. Order is by due time, then by who came first.
//! Waiting costs one timer, whatever the number of keys.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::limits::{BACKOFF_FIRST, BACKOFF_MOST};

/// A queue of keys with due times.
#[derive(Debug)]
pub struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<K> {
    due: BTreeMap<(Instant, u64), K>,
    keys: HashMap<K, Entry>,
    sequence: u64,
}

#[derive(Debug, Default)]
struct Entry {
    /// Its place among the due ones.
    place: Option<(Instant, u64)>,
    /// Somebody works on it.
    busy: bool,
    /// When to do it again once the work is done.
    again: Option<Instant>,
    failures: u32,
}

/// How the work on a key went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Forget the key until it is added again.
    Settled,
    /// Try again after a pause.
    Failed,
}

impl<K> Default for Queue<K> {
    fn default() -> Queue<K> {
        let state = State { due: BTreeMap::new(), keys: HashMap::new(), sequence: 0 };
        Queue { state: Mutex::new(state), changed: Notify::new() }
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// Wants a key worked on now.
    pub fn add(&self, key: K) {
        self.add_at(key, Instant::now());
    }

    /// Wants a key worked on at a time, or earlier when that was wanted already.
    pub fn add_at(&self, key: K, at: Instant) {
        self.lock().add(key, at);
        self.changed.notify_one();
    }

    /// The next key that is due. It counts as worked on until [`Queue::done`] is told of it.
    pub async fn next(&self) -> K {
        loop {
            let wait = match self.lock().take(Instant::now()) {
                Ok(key) => return key,
                Err(wait) => wait,
            };
            let changed = self.changed.notified();
            match wait {
                Some(at) => {
                    tokio::select! {
                        // In a fixed order, so that a simulation can be repeated.
                        biased;
                        () = changed => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// Ends the work on a key.
    pub fn done(&self, key: &K, how: Done) {
        self.lock().done(key, how);
        self.changed.notify_one();
    }

    /// Forgets that a key failed, without touching its place.
    pub fn forget(&self, key: &K) {
        if let Some(entry) = self.lock().keys.get_mut(key) {
            entry.failures = 0;
        }
    }

    /// Keys that wait or are worked on.
    pub fn len(&self) -> usize {
        self.lock().keys.len()
    }

    /// True when no key waits or is worked on.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    fn add(&mut self, key: K, at: Instant) {
        let entry = self.keys.entry(key.clone()).or_default();
        if entry.busy {
            entry.again = Some(entry.again.map_or(at, |held| held.min(at)));
            return;
        }
        match entry.place {
            Some(held) if held.0 <= at => {}
            held => {
                self.sequence += 1;
                entry.place = Some((at, self.sequence));
                if let Some(held) = held {
                    self.due.remove(&held);
                }
                self.due.insert((at, self.sequence), key);
            }
        }
    }

    /// The first key that is due, or when to look again.
    fn take(&mut self, now: Instant) -> Result<K, Option<Instant>> {
        let first = self.due.first_entry().ok_or(None)?;
        let at = first.key().0;
        if at > now {
            return Err(Some(at));
        }
        let key = first.remove();
        let entry = self.keys.entry(key.clone()).or_default();
        entry.place = None;
        entry.busy = true;
        Ok(key)
    }

    fn done(&mut self, key: &K, how: Done) {
        let Some(entry) = self.keys.get_mut(key) else { return };
        entry.busy = false;
        let again = entry.again.take();
        match how {
            Done::Settled => {
                entry.failures = 0;
                match again {
                    Some(at) => self.add(key.clone(), at),
                    None => {
                        self.keys.remove(key);
                    }
                }
            }
            Done::Failed => {
                let pause = pause(entry.failures);
                entry.failures = entry.failures.saturating_add(1);
                let at = Instant::now() + pause;
                // A change does not make a failing key come back sooner; the pause is what protects the others.
                self.add(key.clone(), at);
            }
        }
    }
}

/// The pause after that many failures before this one.
fn pause(failures: u32) -> Duration {
    BACKOFF_FIRST.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(BACKOFF_MOST)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn now_due(queue: &Queue<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.next().now_or_never()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_waits_once_however_often_it_is_added() {
        let queue = Queue::default();
        for key in ["a", "b", "a", "a"] {
            queue.add(key);
        }
        assert_eq!(now_due(&queue), ["a", "b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_added_while_at_work_comes_again_afterwards() {
        let queue = Queue::default();
        queue.add("a");
        assert_eq!(now_due(&queue), ["a"]);
        queue.add("a");
        assert_eq!(now_due(&queue), [""; 0]);
        queue.done(&"a", Done::Settled);
        assert_eq!(now_due(&queue), ["a"]);
        queue.done(&"a", Done::Settled);
        assert!(queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_double_the_pause_up_to_a_bound_and_success_resets_it() {
        let queue = Queue::default();
        queue.add("a");
        let mut pauses = Vec::new();
        for _ in 0..24 {
            let before = Instant::now();
            assert_eq!(queue.next().await, "a");
            pauses.push(before.elapsed());
            queue.done(&"a", Done::Failed);
        }
        assert_eq!(pauses[1], BACKOFF_FIRST);
        assert_eq!(pauses[2], BACKOFF_FIRST * 2);
        assert_eq!(*pauses.last().unwrap(), BACKOFF_MOST);
        assert_eq!(queue.next().await, "a");
        queue.done(&"a", Done::Settled);
        assert!(queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_wish_wins_over_a_later_one() {
        let queue = Queue::default();
        let start = Instant::now();
        queue.add_at("a", start + Duration::from_secs(60));
        queue.add_at("a", start + Duration::from_secs(10));
        queue.add_at("a", start + Duration::from_secs(90));
        assert_eq!(queue.next().await, "a");
        assert_eq!(start.elapsed(), Duration::from_secs(10));
    }
}
