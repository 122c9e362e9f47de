//! What the cache holds: rendered objects and the events between them. All immutable and shared.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::limits::EVENT_FRAMES;
use crate::{Key, Revision};

/// An object as it is served.
#[derive(Debug)]
pub struct Entry<T> {
    /// Its key.
    pub key: Key,
    /// When it was created.
    pub created: Revision,
    /// When it was last changed; for the entry of a deletion, when it was deleted.
    pub modified: Revision,
    /// What the renderer made of its bytes.
    pub object: T,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It has a new state.
    Put {
        /// Whether it did not exist before.
        created: bool,
    },
    /// It is gone.
    Delete,
}

/// One change of one object.
pub struct Event<T> {
    /// The revision that made it. Events of one transaction share it.
    pub revision: Revision,
    /// What happened.
    pub kind: EventKind,
    /// The new state; for a deletion the last one, rendered as modified by the deletion.
    pub entry: Arc<Entry<T>>,
    /// The state before; `None` for a creation.
    pub previous: Option<Arc<Entry<T>>>,
    frames: [OnceLock<Bytes>; EVENT_FRAMES],
    /// Bytes in the frames of all living events of the ring.
    meter: Arc<AtomicUsize>,
}

impl<T> Event<T> {
    pub(super) fn new(
        revision: Revision,
        kind: EventKind,
        entry: Arc<Entry<T>>,
        previous: Option<Arc<Entry<T>>>,
        meter: Arc<AtomicUsize>,
    ) -> Event<T> {
        Event { revision, kind, entry, previous, frames: Default::default(), meter }
    }

    /// The encoding in `slot` (below [`EVENT_FRAMES`]), made by the first watcher that wants it and shared by all
    /// others. What a slot means is the caller's convention.
    pub fn frame(&self, slot: usize, encode: impl FnOnce(&Event<T>) -> Bytes) -> Bytes {
        let frame = self.frames[slot].get_or_init(|| {
            let frame = encode(self);
            self.meter.fetch_add(frame.len(), Ordering::Relaxed);
            frame
        });
        frame.clone()
    }

    /// Bytes in the frames.
    pub(super) fn frame_bytes(&self) -> usize {
        self.frames.iter().filter_map(OnceLock::get).map(Bytes::len).sum()
    }
}

impl<T> Drop for Event<T> {
    fn drop(&mut self) {
        self.meter.fetch_sub(self.frame_bytes(), Ordering::Relaxed);
    }
}

impl<T> fmt::Debug for Event<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut event = f.debug_struct("Event");
        event.field("revision", &self.revision).field("kind", &self.kind).field("key", &self.entry.key);
        event.finish_non_exhaustive()
    }
}
