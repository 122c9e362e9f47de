//! Publication: what the writer tells everybody else after a group is durable and before it is acknowledged.
//!
//! Order within one publication: sinks, the tail that watches read, the published revision, one wake-up. Everything
//! that this engine answers is bounded by the published revision, so nobody sees a commit that a sink does not know.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::watch;

use super::tables::Meta;
use crate::limits::{TAIL_BYTES, TAIL_CHANGES};
use crate::{Batch, Change, Revision, Sink};

/// What is done when the engine stops because of a failure; gets the reason.
pub type OnFatal = Box<dyn FnOnce(&str) + Send>;

/// Where the engine stands, as its readers may know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) revision: Revision,
    pub(super) floor: Revision,
}

/// The engine's publications.
pub(super) struct Feed {
    /// Held during a publication, so that whoever holds it sees no new one.
    sinks: Mutex<Vec<Weak<dyn Sink>>>,
    tail: Mutex<Tail>,
    published: watch::Sender<Published>,
    /// Why the engine has stopped.
    stopped: OnceLock<String>,
    on_fatal: Mutex<Option<OnFatal>>,
}

impl Feed {
    pub(super) fn new(meta: &Meta, on_fatal: Option<OnFatal>) -> Feed {
        let published = Published { revision: meta.revision, floor: meta.floor };
        let tail = Tail { floor: meta.revision, batches: VecDeque::new(), changes: 0, bytes: 0 };
        Feed {
            sinks: Mutex::default(),
            tail: Mutex::new(tail),
            published: watch::Sender::new(published),
            stopped: OnceLock::new(),
            on_fatal: Mutex::new(on_fatal),
        }
    }

    /// Makes a durable group known.
    pub(super) fn publish(&self, meta: &Meta, changes: Vec<Change>) {
        let mut sinks = lock(&self.sinks);
        let batch = Arc::new(Batch { revision: meta.revision, changes });
        if !batch.changes.is_empty() {
            sinks.retain(|sink| {
                let Some(sink) = sink.upgrade() else { return false };
                sink.publish(&batch);
                true
            });
        }
        // Under the tail's lock, so that nobody reads there what is not published yet.
        let mut tail = lock(&self.tail);
        if !batch.changes.is_empty() {
            tail.push(batch);
        }
        self.published.send_replace(Published { revision: meta.revision, floor: meta.floor });
    }

    pub(super) fn published(&self) -> Published {
        *self.published.borrow()
    }

    /// A receiver that wakes with every publication, and when the engine stops.
    pub(super) fn subscribe(&self) -> watch::Receiver<Published> {
        self.published.subscribe()
    }

    /// The changes after `after` under `prefix`; `None` when the tail does not reach back so far.
    pub(super) fn tail_after(&self, prefix: &str, after: Revision) -> Option<Batch> {
        let tail = lock(&self.tail);
        if after < tail.floor {
            return None;
        }
        let first = tail.batches.partition_point(|batch| batch.revision <= after);
        let mut batch = Batch { revision: after, changes: Vec::new() };
        for recent in tail.batches.range(first..) {
            let new = recent.changes.iter().filter(|change| change.revision > after);
            batch.changes.extend(new.filter(|change| change.key.as_str().starts_with(prefix)).cloned());
            batch.revision = recent.revision;
        }
        Some(batch)
    }

    /// Lets `catch_up` bring `sink` up to the published revision while nothing is being published, then adds it.
    pub(super) fn attach<E>(
        &self,
        sink: Weak<dyn Sink>,
        catch_up: impl FnOnce(Published) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut sinks = lock(&self.sinks);
        catch_up(self.published())?;
        sinks.push(sink);
        Ok(())
    }

    /// Stops the engine for good; the first reason counts.
    pub(super) fn stop(&self, reason: &str) {
        if self.stopped.set(reason.to_owned()).is_err() {
            return;
        }
        tracing::error!(reason, "the store stops: nothing is acknowledged any more");
        self.published.send_modify(|_| ());
        if let Some(on_fatal) = lock(&self.on_fatal).take() {
            on_fatal(reason);
        }
    }

    /// Why the engine has stopped, if it has.
    pub(super) fn stopped(&self) -> Option<&str> {
        self.stopped.get().map(String::as_str)
    }
}

/// The latest batches, bounded in changes and bytes.
struct Tail {
    /// Every revision after this one is here.
    floor: Revision,
    batches: VecDeque<Arc<Batch>>,
    changes: usize,
    bytes: usize,
}

impl Tail {
    fn push(&mut self, batch: Arc<Batch>) {
        self.changes += batch.changes.len();
        self.bytes += weight(&batch);
        self.batches.push_back(batch);
        while self.changes > TAIL_CHANGES || self.bytes > TAIL_BYTES {
            let Some(oldest) = self.batches.pop_front() else { break };
            self.changes -= oldest.changes.len();
            self.bytes -= weight(&oldest);
            self.floor = oldest.revision;
        }
    }
}

fn weight(batch: &Batch) -> usize {
    let old = batch.changes.iter().filter_map(|change| change.previous.as_ref()).map(|old| old.value.len());
    let new = batch.changes.iter().filter_map(|change| change.value.as_ref()).map(Bytes::len);
    old.sum::<usize>() + new.sum::<usize>()
}

/// A lock whose holder panicked is taken over: each of them guards data that is whole between any two statements.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
