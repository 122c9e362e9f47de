//! A watcher's place in a ring. It costs nothing while it does nothing: no queue, no task, no lock.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use super::ring::{Read, Ring};
use super::{Cache, Event, Render};
use crate::Revision;

/// The events that the cursor had not read were let go. Its watcher must list again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too slow: events up to revision {oldest} are gone")]
pub struct Lagged {
    /// Where one can still watch from.
    pub oldest: Revision,
}

/// Reads the events of one resource, in order, none twice. Made by [`Cache::subscribe`].
pub struct Cursor<R: Render> {
    cache: Arc<Cache<R>>,
    ring: Arc<Ring<R::Object>>,
    wakes: watch::Receiver<Revision>,
    /// The number of the next event.
    next: u64,
    position: Revision,
}

impl<R: Render> Cursor<R> {
    pub(super) fn new(
        cache: Arc<Cache<R>>,
        ring: Arc<Ring<R::Object>>,
        next: u64,
        position: Revision,
    ) -> Cursor<R> {
        let wakes = ring.wakes();
        Cursor { cache, ring, wakes, next, position }
    }

    /// The next event. Cancel-safe.
    pub async fn next(&mut self) -> Result<Arc<Event<R::Object>>, Lagged> {
        loop {
            if let Some(event) = self.next_batch(1).await?.pop() {
                return Ok(event);
            }
        }
    }

    /// The next event, if there is one.
    pub fn try_next(&mut self) -> Result<Option<Arc<Event<R::Object>>>, Lagged> {
        Ok(self.try_batch(1)?.pop())
    }

    /// Waits for an event, and returns all there are, at most `max` (which is not zero). Cancel-safe.
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<Arc<Event<R::Object>>>, Lagged> {
        loop {
            // Before looking, so that what comes in between wakes.
            self.wakes.mark_unchanged();
            let events = self.try_batch(max)?;
            if !events.is_empty() {
                return Ok(events);
            }
            self.wakes.changed().await.expect("the cursor holds the ring, which holds the other end");
        }
    }

    /// All the events there are, at most `max`, possibly none.
    pub fn try_batch(&mut self, max: usize) -> Result<Vec<Arc<Event<R::Object>>>, Lagged> {
        let Read { events, position } = self.ring.read(self.next, max, self.cache.revision())?;
        self.next += events.len() as u64;
        self.position = self.position.max(position);
        Ok(events)
    }

    /// Up to which revision every event has been returned: what a bookmark may say. Moves on with the whole store,
    /// not only with the resource.
    pub fn progress(&mut self) -> Result<Revision, Lagged> {
        self.try_batch(0)?;
        Ok(self.position)
    }
}

impl<R: Render> fmt::Debug for Cursor<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cursor = f.debug_struct("Cursor");
        cursor.field("next", &self.next).field("position", &self.position).finish_non_exhaustive()
    }
}
