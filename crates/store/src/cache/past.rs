//! Snapshots of the past: the latest few, one a revision, and those that the pages of a list are being read from.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use super::{CacheLimits, Snapshot};
use crate::Revision;

#[derive(Debug)]
pub(super) struct Past<T> {
    /// In order of revision; never empty.
    recent: VecDeque<Arc<Snapshot<T>>>,
    /// In order of last use.
    pinned: VecDeque<Pin<T>>,
}

#[derive(Debug)]
struct Pin<T> {
    /// What it was asked for as. The snapshot's own may be lower, if nothing in the cache changed since.
    revision: Revision,
    snapshot: Arc<Snapshot<T>>,
    used: Instant,
}

impl<T> Past<T> {
    pub(super) fn new(first: Arc<Snapshot<T>>) -> Past<T> {
        Past { recent: VecDeque::from([first]), pinned: VecDeque::new() }
    }

    /// Adds newer snapshots; returns those that were let go, to be freed without the lock.
    pub(super) fn append(
        &mut self,
        snapshots: Vec<Arc<Snapshot<T>>>,
        now: Instant,
        limits: &CacheLimits,
    ) -> Vec<Arc<Snapshot<T>>> {
        self.recent.extend(snapshots);
        let excess = self.recent.len().saturating_sub(limits.recent_snapshots.max(1));
        let mut dropped: Vec<_> = self.recent.drain(..excess).collect();
        while let Some(pin) = self.pinned.pop_front_if(|pin| now - pin.used > limits.pin_age) {
            dropped.push(pin.snapshot);
        }
        dropped
    }

    /// The state at `revision`, which is not in the future; `None` when it is gone.
    pub(super) fn at(
        &self,
        revision: Revision,
        now: Instant,
        limits: &CacheLimits,
    ) -> Option<Arc<Snapshot<T>>> {
        let later = self.recent.partition_point(|snapshot| snapshot.revision <= revision);
        if let Some(index) = later.checked_sub(1) {
            return Some(Arc::clone(&self.recent[index]));
        }
        let pin = self.pinned.iter().find(|pin| pin.revision == revision)?;
        (now - pin.used <= limits.pin_age).then(|| Arc::clone(&pin.snapshot))
    }

    /// The oldest revision that is here without having been pinned.
    pub(super) fn oldest(&self) -> Revision {
        self.recent.front().map_or(Revision::ZERO, |snapshot| snapshot.revision)
    }

    /// Keeps `snapshot` as the state at `revision`, as the most recently used.
    pub(super) fn pin(
        &mut self,
        revision: Revision,
        snapshot: &Arc<Snapshot<T>>,
        now: Instant,
        limits: &CacheLimits,
    ) {
        self.pinned.retain(|pin| pin.revision != revision);
        self.pinned.push_back(Pin { revision, snapshot: Arc::clone(snapshot), used: now });
        while self.pinned.len() > limits.pinned_snapshots {
            self.pinned.pop_front();
        }
    }
}
