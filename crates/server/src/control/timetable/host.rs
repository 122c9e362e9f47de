//! The tags of one host: those that are due later, those that wait for their turn, and those that are being looked at.
//!
//! Projects take turns. What a registry told of itself goes before what is merely due.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use tokio::time::Instant;

use super::{Follow, HostReport};

#[derive(Default)]
pub(super) struct Host {
    pub(super) later: BTreeSet<(Instant, Follow)>,
    waiting: BTreeMap<Arc<str>, VecDeque<Follow>>,
    /// What the registry told of.
    told: VecDeque<Follow>,
    last_project: Arc<str>,
    pub(super) busy: usize,
    pub(super) followed: usize,
}

impl Host {
    /// The next tag whose turn it is; only one that the registry told of with `only_told`.
    pub(super) fn take_turn(&mut self, only_told: bool) -> Option<Follow> {
        let follow = match self.told.pop_front() {
            Some(follow) => follow,
            None if only_told => return None,
            None => self.take_waiting()?,
        };
        self.busy += 1;
        Some(follow)
    }

    fn take_waiting(&mut self) -> Option<Follow> {
        let after =
            self.waiting.range::<Arc<str>, _>((Bound::Excluded(&self.last_project), Bound::Unbounded));
        let project = after.map(|(project, _)| project).next().or_else(|| self.waiting.keys().next())?;
        let project = Arc::clone(project);
        let queue = self.waiting.get_mut(&project)?;
        let follow = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&project);
        }
        self.last_project = project;
        follow
    }

    /// Lets a tag wait for its turn.
    pub(super) fn wait(&mut self, follow: Follow, is_told: bool) {
        if is_told {
            self.told.push_back(follow);
        } else {
            self.waiting.entry(Arc::clone(&follow.stream.namespace)).or_default().push_back(follow);
        }
    }

    /// Takes away a tag that waits.
    pub(super) fn leave(&mut self, follow: &Follow) {
        self.told.retain(|waiting| waiting != follow);
        let project = &follow.stream.namespace;
        if let Some(queue) = self.waiting.get_mut(project) {
            queue.retain(|waiting| waiting != follow);
            if queue.is_empty() {
                self.waiting.remove(project);
            }
        }
    }

    /// Whether one waits that may be taken.
    pub(super) fn has_waiting(&self, only_told: bool) -> bool {
        !self.told.is_empty() || (!only_told && !self.waiting.is_empty())
    }

    pub(super) fn report(&self, now: Instant) -> HostReport {
        HostReport {
            followed: self.followed,
            waiting: self.waiting.values().map(VecDeque::len).sum::<usize>() + self.told.len(),
            next_due: self.later.first().map(|(at, _)| at.saturating_duration_since(now)),
        }
    }
}
