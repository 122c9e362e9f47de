//! The recent events of one resource, and the wake-up of those who read them.
//!
//! Events have consecutive numbers, which cursors count by, because several events may share a revision. Everything
//! after the floor is in the ring. What a ring is charged for is what it alone keeps alive: an event's new state is in
//! the current snapshot as well, until a later event replaces it, and that one is charged with it as its previous.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::{CacheLimits, Event, EventKind, Lagged, lock};
use crate::limits::EVENT_OVERHEAD;
use crate::{ReadError, Revision};

/// The events of one resource.
#[derive(Debug)]
pub(super) struct Ring<T> {
    state: Mutex<State<T>>,
    /// Bytes in the frames of its events.
    pub(super) meter: Arc<AtomicUsize>,
    /// The revision of the latest publication that had events for this ring.
    wake: watch::Sender<Revision>,
}

#[derive(Debug)]
struct State<T> {
    events: VecDeque<(Arc<Event<T>>, usize)>,
    /// The number of the first event.
    first: u64,
    /// Every event after this revision is here.
    floor: Revision,
    bytes: usize,
}

/// Events, and how far the reader has come with them.
pub(super) struct Read<T> {
    pub(super) events: Vec<Arc<Event<T>>>,
    /// Everything up to here has been read, now or before.
    pub(super) position: Revision,
}

impl<T> Ring<T> {
    pub(super) fn new(floor: Revision) -> Ring<T> {
        let state = State { events: VecDeque::new(), first: 0, floor, bytes: 0 };
        Ring { state: Mutex::new(state), meter: Arc::default(), wake: watch::Sender::new(floor) }
    }

    /// Adds the events of a publication, and lets the oldest go. `weigh` weighs objects.
    pub(super) fn append(
        &self,
        events: Vec<Arc<Event<T>>>,
        weigh: impl Fn(&T) -> usize,
        limits: &CacheLimits,
    ) {
        let mut evicted = Vec::new();
        let mut state = lock(&self.state);
        for event in events {
            let bytes = charge(&event, &weigh);
            state.bytes += bytes;
            state.events.push_back((event, bytes));
        }
        let frames = self.meter.load(Ordering::Relaxed);
        let mut over = (state.bytes + frames).saturating_sub(limits.ring_bytes);
        while over > 0 || state.events.len() > limits.ring_events {
            let Some((oldest, bytes)) = state.events.pop_front() else { break };
            state.first += 1;
            state.floor = oldest.revision;
            state.bytes -= bytes;
            over = over.saturating_sub(bytes + oldest.frame_bytes());
            evicted.push(oldest);
        }
        // Freeing them is no reason to keep the readers waiting.
        drop(state);
        drop(evicted);
    }

    /// Wakes the readers, once a publication.
    pub(super) fn wake(&self, revision: Revision) {
        self.wake.send_replace(revision);
    }

    pub(super) fn wakes(&self) -> watch::Receiver<Revision> {
        self.wake.subscribe()
    }

    /// The number of the first event after `after`.
    pub(super) fn seek(&self, after: Revision) -> Result<u64, ReadError> {
        let state = lock(&self.state);
        if after < state.floor {
            return Err(ReadError::Compacted { oldest: state.floor });
        }
        let skipped = state.events.partition_point(|(event, _)| event.revision <= after);
        Ok(state.first + skipped as u64)
    }

    /// At most `max` events from number `next` on, none of them after `upto`, which is published.
    pub(super) fn read(&self, next: u64, max: usize, upto: Revision) -> Result<Read<T>, Lagged> {
        let state = lock(&self.state);
        let skip = next.checked_sub(state.first).ok_or(Lagged { oldest: state.floor })?;
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(state.events.len());
        let pending = state.events.range(skip..).map(|(event, _)| event);
        let mut pending = pending.take_while(|event| event.revision <= upto);
        let events: Vec<_> = pending.by_ref().take(max).cloned().collect();
        // The next event may share its revision with the last one read.
        let position = pending.next().map_or(upto, |event| Revision(event.revision.0 - 1));
        Ok(Read { events, position })
    }
}

fn charge<T>(event: &Event<T>, weigh: impl Fn(&T) -> usize) -> usize {
    let replaced = event.previous.as_ref().map_or(0, |previous| weigh(&previous.object));
    let deleted = if event.kind == EventKind::Delete { weigh(&event.entry.object) } else { 0 };
    EVENT_OVERHEAD + replaced + deleted
}
