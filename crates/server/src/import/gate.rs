//! Politeness: how many requests one host gets at once, and when it wants none.
//!
//! Every host has a gate of its own, so one that is slow or down holds up only what is asked of it. What the server
//! imports by itself passes a second, common gate *after* the host's, of which one host gets half at the most, and gives
//! its place there back when the answer takes long: whoever waits for a slow host occupies nothing that others need. A
//! host whose connections fail again and again is asked by one background import at a time. A `Retry-After` closes the
//! gate for everybody until then.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oci::client::RegistryError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::limits::{HOST_REQUESTS, HOSTS, PAUSE_MOST, SUSPECT_AFTER};

/// On whose behalf something is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Somebody waits for the answer.
    Interactive,
    /// The server imports by itself.
    Background,
}

/// The gates of all hosts.
#[derive(Debug)]
pub struct Gates {
    hosts: Mutex<HashMap<String, Arc<Gate>>>,
    background: Arc<Semaphore>,
    /// Background requests that one host gets at once.
    share: usize,
}

/// The gate of one host.
#[derive(Debug)]
pub struct Gate {
    requests: Arc<Semaphore>,
    /// The way in for background imports.
    background: Arc<Semaphore>,
    /// The only one while the host is suspect.
    narrow: Arc<Semaphore>,
    failures: AtomicU32,
    closed_until: Mutex<Option<Instant>>,
}

/// Permission to send one request; dropped when the answer has been read.
#[derive(Debug)]
pub struct Pass {
    _host: [Option<OwnedSemaphorePermit>; 3],
    common: Option<OwnedSemaphorePermit>,
}

impl Pass {
    /// Gives the place among all background requests back, because the answer takes long.
    pub fn yield_place(&mut self) {
        self.common = None;
    }
}

/// The host asked for a longer pause than anybody here waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// How long it still wants to be left alone.
    pub remaining: Duration,
}

impl Gates {
    /// Gates that let `background` requests of the server's own pass at once.
    pub fn new(background: usize) -> Gates {
        let background = background.max(1);
        let share = (background / 2).max(1);
        Gates { hosts: Mutex::default(), background: Arc::new(Semaphore::new(background)), share }
    }

    /// The gate of a host.
    pub fn of(&self, host: &str) -> Arc<Gate> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = hosts.get(host) {
            return Arc::clone(gate);
        }
        if hosts.len() >= HOSTS {
            hosts.retain(|_, gate| Arc::strong_count(gate) > 1 || gate.remaining().is_some());
        }
        let gate = Arc::new(Gate {
            requests: Arc::new(Semaphore::new(HOST_REQUESTS)),
            background: Arc::new(Semaphore::new(self.share)),
            narrow: Arc::new(Semaphore::new(1)),
            failures: AtomicU32::new(0),
            closed_until: Mutex::new(None),
        });
        hosts.insert(host.to_owned(), Arc::clone(&gate));
        gate
    }

    /// Waits for a turn at a host, at most `patience` for a pause that the host asked for.
    ///
    /// # Errors
    /// [`Closed`] when the pause is longer.
    pub async fn pass(&self, gate: &Gate, lane: Lane, patience: Duration) -> Result<Pass, Closed> {
        let background = lane == Lane::Background;
        let narrow = acquire_if(background && gate.is_suspect(), &gate.narrow).await;
        let share = acquire_if(background, &gate.background).await;
        let request = acquire_if(true, &gate.requests).await;
        while let Some(remaining) = gate.remaining() {
            if remaining > patience {
                return Err(Closed { remaining });
            }
            tokio::time::sleep(remaining).await;
        }
        let common = acquire_if(background, &self.background).await;
        Ok(Pass { _host: [narrow, share, request], common })
    }
}

impl Gate {
    /// Takes in how a request went.
    pub fn learn<T>(&self, result: &Result<T, RegistryError>) {
        if let Err(error) = result {
            if let Some(pause) = error.retry_after() {
                self.close(pause.min(PAUSE_MOST));
            }
            if error.is_transport() {
                self.failed();
                return;
            }
        }
        self.failures.store(0, Ordering::Relaxed);
    }

    /// Counts a request that got no answer in time.
    pub fn failed(&self) {
        let next = self.failures.load(Ordering::Relaxed).saturating_add(1);
        self.failures.store(next, Ordering::Relaxed);
    }

    /// Closes the gate for a while.
    pub fn close(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut held = self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some(held.map_or(until, |held| held.max(until)));
    }

    fn is_suspect(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= SUSPECT_AFTER
    }

    /// How long the gate stays closed.
    fn remaining(&self) -> Option<Duration> {
        let mut held = self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        let remaining = held.map(|until| until.saturating_duration_since(Instant::now()))?;
        if remaining.is_zero() {
            *held = None;
            return None;
        }
        Some(remaining)
    }
}

async fn acquire_if(wanted: bool, semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    if !wanted {
        return None;
    }
    Some(Arc::clone(semaphore).acquire_owned().await.expect("the gates' semaphores are never closed"))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_host_that_is_full_holds_up_only_itself() {
        let gates = Gates::new(2);
        let (slow, other) = (gates.of("slow"), gates.of("other"));
        let mut held = Vec::new();
        for _ in 0..HOST_REQUESTS {
            held.push(gates.pass(&slow, Lane::Interactive, LONG).await.unwrap());
        }
        assert!(gates.pass(&slow, Lane::Background, LONG).now_or_never().is_none());
        assert!(gates.pass(&other, Lane::Background, LONG).now_or_never().is_some());
        held.pop();
        assert!(gates.pass(&slow, Lane::Background, LONG).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn background_imports_share_and_slow_ones_give_their_place_back() {
        let gates = Gates::new(4);
        let (a, b, c) = (gates.of("a"), gates.of("b"), gates.of("c"));
        let mut held = Vec::new();
        for gate in [&a, &a, &b, &b] {
            held.push(gates.pass(gate, Lane::Background, LONG).now_or_never().unwrap().unwrap());
        }
        assert!(gates.pass(&a, Lane::Background, LONG).now_or_never().is_none());
        assert!(gates.pass(&c, Lane::Background, LONG).now_or_never().is_none());
        held[0].yield_place();
        assert!(gates.pass(&c, Lane::Background, LONG).now_or_never().is_some());
        assert!(gates.pass(&a, Lane::Background, LONG).now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_wants_a_pause_gets_it() {
        let gates = Gates::new(2);
        let gate = gates.of("busy");
        gate.close(Duration::from_secs(30));
        let refused = gates.pass(&gate, Lane::Interactive, Duration::from_secs(10)).await.unwrap_err();
        assert_eq!(refused.remaining, Duration::from_secs(30));
        let start = Instant::now();
        gates.pass(&gate, Lane::Interactive, LONG).await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_suspect_host_is_asked_by_one_background_import_at_a_time() {
        let gates = Gates::new(8);
        let gate = gates.of("down");
        for _ in 0..SUSPECT_AFTER {
            gate.failed();
        }
        let first = gates.pass(&gate, Lane::Background, LONG).await.unwrap();
        assert!(gates.pass(&gate, Lane::Background, LONG).now_or_never().is_none());
        assert!(gates.pass(&gate, Lane::Interactive, LONG).now_or_never().is_some());
        drop(first);
        gate.learn(&Ok(()));
        let _first = gates.pass(&gate, Lane::Background, LONG).await.unwrap();
        assert!(gates.pass(&gate, Lane::Background, LONG).now_or_never().is_some());
    }
}
