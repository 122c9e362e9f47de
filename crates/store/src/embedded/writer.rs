//! The only place that writes to the database: groups of proposals, one fsync each.
//!
//! A group is whatever queued up while the previous one was being made durable. Its order is the order of the queue.
//! Nobody is answered, not even a loser, before the group is durable and published: a conflict may be with a winner of
//! the same group, and a loser who looks must find it. After the first failure of the database nothing is written or
//! acknowledged any more, because what reached the disk is unknown from then on (an fsync that failed once may
//! "succeed" the next time without having written anything).

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::apply::{Group, LogBounds};
use super::failure::Failure;
use super::feed::Feed;
use super::tables::Meta;
use crate::limits::{GROUP_BYTES, GROUP_TXNS};
use crate::{Change, CommitError, Revision, Txn};

/// Work for the writer, with the way back to whoever waits.
pub(super) enum Proposal {
    Commit(Txn, oneshot::Sender<Result<Revision, CommitError>>),
    Compact(Revision, oneshot::Sender<Result<(), CommitError>>),
}

/// A group that is durable.
struct Written {
    /// One a proposal, in order.
    results: Vec<Result<Revision, CommitError>>,
    /// `None` when the group left everything as it was.
    changed: Option<(Meta, Vec<Change>)>,
}

/// Whoever holds this is the one writer.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) bounds: LogBounds,
}

impl Writer {
    /// Serves the queue until everybody who could add to it is gone.
    pub(super) fn run(self, mut queue: mpsc::Receiver<Proposal>) {
        let mut group = Vec::new();
        while let Some(first) = queue.blocking_recv() {
            let mut bytes = first.bytes();
            group.push(first);
            while group.len() < GROUP_TXNS && bytes < GROUP_BYTES {
                let Ok(more) = queue.try_recv() else { break };
                bytes += more.bytes();
                group.push(more);
            }
            self.commit_group(&mut group);
        }
    }

    /// Makes a group durable, publishes it and answers it.
    pub(super) fn commit_group(&self, group: &mut Vec<Proposal>) {
        let feed = &self.shared.feed;
        let _watchdog = Watchdog { feed };
        if let Some(reason) = feed.stopped() {
            refuse(group.drain(..), reason);
            return;
        }
        match self.write(group) {
            Ok(written) => {
                if let Some((meta, changes)) = written.changed {
                    feed.publish(&meta, changes);
                }
                for (proposal, result) in group.drain(..).zip(written.results) {
                    proposal.answer(result);
                }
            }
            Err(failure) => {
                let reason = failure.to_string();
                feed.stop(&reason);
                refuse(group.drain(..), &reason);
            }
        }
    }

    fn write(&self, group: &[Proposal]) -> Result<Written, Failure> {
        let mut txn = self.shared.db.begin_write()?;
        // Two syncs a commit; in return a torn commit is never mistaken for a whole one, and a restart after a crash
        // does not have to walk the file.
        txn.set_quick_repair(true);
        let mut tables = Group::open(&txn)?;
        let mut results = Vec::with_capacity(group.len());
        for proposal in group {
            results.push(match proposal {
                Proposal::Commit(txn, _) => tables.commit(txn)?,
                Proposal::Compact(revision, _) => tables.compact(*revision).map(|()| Ok(*revision))?,
            });
        }
        let changed = tables.finish(self.bounds)?;
        if changed.is_some() {
            txn.commit()?;
        } else {
            txn.abort()?;
        }
        Ok(Written { results, changed })
    }
}

impl Proposal {
    /// Bytes of the values it wants to write.
    fn bytes(&self) -> usize {
        match self {
            Proposal::Commit(txn, _) => {
                txn.writes.iter().filter_map(|(_, value)| value.as_ref()).map(bytes::Bytes::len).sum()
            }
            Proposal::Compact(..) => 0,
        }
    }

    /// Whoever asked may be gone; that changes nothing.
    fn answer(self, result: Result<Revision, CommitError>) {
        match self {
            Proposal::Commit(_, reply) => drop(reply.send(result)),
            Proposal::Compact(_, reply) => drop(reply.send(result.map(|_| ()))),
        }
    }
}

/// Answers everybody that the store is gone.
fn refuse(group: impl Iterator<Item = Proposal>, reason: &str) {
    for proposal in group {
        proposal.answer(Err(CommitError::Unavailable(reason.to_owned())));
    }
}

/// Stops the engine when the writer panics: its thread is gone then, and nobody must wait for it.
struct Watchdog<'a> {
    feed: &'a Feed,
}

impl Drop for Watchdog<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.feed.stop("the writer panicked");
        }
    }
}
