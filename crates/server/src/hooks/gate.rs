//! Who may come how often, and what has been here before. All of it is in memory and bounded.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::limits::{REMEMBERED, SOURCES};

/// A bucket that says no instead of letting somebody wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    tokens: f64,
    last: Instant,
}

impl Bucket {
    pub(super) fn new((_, burst): (f64, f64), now: Instant) -> Bucket {
        Bucket { tokens: burst, last: now }
    }

    /// Takes a token; the time until there is one when there is none.
    pub(super) fn take(&mut self, (rate, burst): (f64, f64), now: Instant) -> Result<(), Duration> {
        let since = now.saturating_duration_since(self.last).as_secs_f64();
        self.tokens = since.mul_add(rate, self.tokens).min(burst);
        self.last = now;
        if self.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / rate));
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

/// A bucket for each source.
#[derive(Debug, Default)]
pub(super) struct Sources(HashMap<IpAddr, Bucket>);

impl Sources {
    pub(super) fn take(&mut self, source: IpAddr, rate: (f64, f64), now: Instant) -> Result<(), Duration> {
        let source = network(source);
        if self.0.len() >= SOURCES && !self.0.contains_key(&source) {
            // Whoever has not come for the time that fills a bucket needs none.
            let idle = Duration::from_secs_f64(rate.1 / rate.0);
            self.0.retain(|_, bucket| now.saturating_duration_since(bucket.last) < idle);
            if self.0.len() >= SOURCES {
                return Err(Duration::from_secs(1));
            }
        }
        self.0.entry(source).or_insert_with(|| Bucket::new(rate, now)).take(rate, now)
    }
}

/// A source by address; of version 6 everybody has a whole network.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Identities that have been here.
#[derive(Debug, Default)]
pub(super) struct Memory {
    known: HashSet<[u8; 16]>,
    order: VecDeque<[u8; 16]>,
}

impl Memory {
    /// True when one of these was here before; otherwise all are known from now on.
    pub(super) fn repeats(&mut self, ids: &[String]) -> bool {
        let short = |id: &String| {
            let mut short = [0; 16];
            short.copy_from_slice(&Sha256::digest(id.as_bytes())[..16]);
            short
        };
        let ids: Vec<[u8; 16]> = ids.iter().map(short).collect();
        if ids.iter().any(|id| self.known.contains(id)) {
            return true;
        }
        for id in ids {
            if self.known.insert(id) {
                self.order.push_back(id);
            }
            if self.order.len() > REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_its_burst_and_then_its_rate_and_memory_is_bounded() {
        let (mut sources, rate, now) = (Sources::default(), (2.0, 3.0), Instant::now());
        let source: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::2".parse().unwrap();
        let mut take =
            |source, after: u64| sources.take(source, rate, now + Duration::from_millis(after)).is_ok();
        assert_eq!([0, 0, 0, 0].map(|at| take(source, at)), [true, true, true, false]);
        assert!(!take(neighbour, 0), "a network is one source");
        assert!(take(source, 500));
        for number in 0..SOURCES as u32 + 5 {
            let _ = sources.take(IpAddr::V4(number.into()), rate, now);
        }
        assert_eq!(sources.0.len(), SOURCES);
        let later = now + Duration::from_secs(60);
        assert!(sources.take("192.0.2.1".parse().unwrap(), rate, later).is_ok());
    }

    #[test]
    fn a_repeat_is_known_and_the_oldest_are_forgotten() {
        let mut memory = Memory::default();
        let id = |number: usize| vec![number.to_string()];
        assert!(!memory.repeats(&id(0)));
        assert!(memory.repeats(&id(0)));
        for number in 1..=REMEMBERED {
            assert!(!memory.repeats(&id(number)));
        }
        assert!(!memory.repeats(&id(0)));
        assert_eq!(memory.known.len(), memory.order.len());
    }
}
