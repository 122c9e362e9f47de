//! Slows those down who guess passwords: after a few failures a name (or an address) must wait, each time longer.
//!
//! Memory is bounded; when it is full, the failure that is the longest ago is forgotten.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures that cost nothing.
const FREE: u32 = 5;
/// The wait after the first that does; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A failure is forgotten after this time without another.
const MEMORY: Duration = Duration::from_secs(15 * 60);
/// Names and addresses that are remembered.
const ENTRIES: usize = 10_000;

/// Who failed how often.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    failures: Mutex<HashMap<String, Failures>>,
}

#[derive(Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    fn wait(&self) -> Duration {
        let extra = self.count.saturating_sub(FREE);
        if extra == 0 {
            return Duration::ZERO;
        }
        FIRST_WAIT.saturating_mul(1 << (extra - 1).min(16)).min(LONGEST_WAIT)
    }
}

impl Throttle {
    /// How long one of these must still wait.
    pub(super) fn wait(&self, keys: &[String], now: Instant) -> Duration {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let left = |held: &Failures| (held.last + held.wait()).saturating_duration_since(now);
        keys.iter().filter_map(|key| failures.get(key)).map(left).max().unwrap_or_default()
    }

    /// Notes a failure.
    pub(super) fn failed(&self, keys: &[String], now: Instant) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            if failures.len() >= ENTRIES && !failures.contains_key(key) {
                let oldest = failures.iter().min_by_key(|(_, held)| held.last).map(|(key, _)| key.clone());
                if let Some(oldest) = oldest {
                    failures.remove(&oldest);
                }
            }
            let held = failures.entry(key.clone()).or_insert(Failures { count: 0, last: now });
            if now.saturating_duration_since(held.last) > MEMORY {
                held.count = 0;
            }
            held.count = held.count.saturating_add(1);
            held.last = now;
        }
    }

    /// Forgets somebody who got it right.
    pub(super) fn succeeded(&self, keys: &[String]) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            failures.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_gets_slower_and_is_forgotten_in_the_end() {
        let throttle = Throttle::default();
        let keys = ["user eve".to_owned(), "address 192.0.2.1".to_owned()];
        let start = Instant::now();
        for _ in 0..FREE {
            throttle.failed(&keys, start);
        }
        assert_eq!(throttle.wait(&keys, start), Duration::ZERO);
        throttle.failed(&keys, start);
        throttle.failed(&keys[..1], start);
        assert_eq!(throttle.wait(&keys, start), Duration::from_secs(2));
        assert_eq!(throttle.wait(&keys[1..], start), Duration::from_secs(1));
        for _ in 0..40 {
            throttle.failed(&keys, start);
        }
        assert_eq!(throttle.wait(&keys, start), LONGEST_WAIT);
        let later = start + MEMORY + Duration::from_secs(1);
        throttle.failed(&keys, later);
        assert_eq!(throttle.wait(&keys, later), Duration::ZERO);
        throttle.succeeded(&keys);
        assert!(throttle.failures.lock().unwrap().is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for number in 0..ENTRIES + 10 {
            throttle.failed(&[format!("user {number}")], now);
        }
        assert_eq!(throttle.failures.lock().unwrap().len(), ENTRIES);
    }
}
