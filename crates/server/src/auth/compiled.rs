//! What is compiled from objects of the watch cache and kept up to date without anybody waiting.
//!
//! Whoever asks after a write sees that write: a question first takes in the events since the last one, which costs
//! next to nothing when there are none. When events were missed, everything is compiled anew.

use std::sync::{Arc, PoisonError, RwLock};

use serde::de::DeserializeOwned;
use store::Revision;
use store::cache::{Cursor, EventKind};
use tracing::{error, warn};

use crate::resource::{self, Resource};
use crate::stored::{Cache, Entry, Renderer};

/// Something that is made of stored objects, one after the other.
pub(super) trait Compile: Default {
    /// Group and plural names of the resources whose objects it is made of.
    const SOURCES: (&'static str, &'static [&'static str]);

    /// Takes in one object as it is now, or that it is no more.
    fn take(&mut self, entry: &Entry, is_there: bool);

    /// Called after objects were taken in, before anybody asks.
    fn settle(&mut self) {}
}

/// A value that follows the objects it is made of.
#[derive(Debug)]
pub(super) struct Compiled<T> {
    cache: Arc<Cache>,
    state: RwLock<State<T>>,
}

#[derive(Debug, Default)]
struct State<T> {
    value: T,
    /// Everything up to here is in the value.
    seen: Revision,
    cursors: Vec<Cursor<Renderer>>,
}

impl<T: Compile> Compiled<T> {
    /// A value over a cache; it is compiled when somebody asks.
    pub(super) fn new(cache: Arc<Cache>) -> Compiled<T> {
        Compiled { cache, state: RwLock::new(State::default()) }
    }

    /// Looks at the value as it is now.
    pub(super) fn with<A>(&self, look: impl FnOnce(&T) -> A) -> A {
        let now = self.cache.revision();
        {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if state.seen >= now && !state.cursors.is_empty() {
                return look(&state.value);
            }
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.seen < now || state.cursors.is_empty() {
            self.catch_up(&mut state, now);
        }
        look(&state.value)
    }

    fn catch_up(&self, state: &mut State<T>, now: Revision) {
        if state.cursors.is_empty() || !follow(state) {
            match self.compile() {
                Some(fresh) => *state = fresh,
                None => return,
            }
        }
        state.value.settle();
        state.seen = state.seen.max(now);
    }

    /// The value from everything that is stored; `None` when the history moves on faster than it can be followed,
    /// and then the next question tries again.
    fn compile(&self) -> Option<State<T>> {
        let snapshot = self.cache.snapshot();
        let mut state: State<T> = State { seen: snapshot.revision, ..State::default() };
        let (group, plurals) = T::SOURCES;
        for plural in plurals {
            let prefix = source(group, plural).prefix();
            match self.cache.subscribe(&prefix, snapshot.revision) {
                Ok(cursor) => state.cursors.push(cursor),
                Err(why) => {
                    error!(%why, plural, "what is made of these objects cannot be compiled now");
                    return None;
                }
            }
            for entry in snapshot.range(&prefix, None) {
                state.value.take(entry, true);
            }
        }
        Some(state)
    }
}

/// Takes in the events since the last time; false when some were missed.
fn follow<T: Compile>(state: &mut State<T>) -> bool {
    let State { value, cursors, .. } = state;
    for cursor in cursors {
        match cursor.try_batch(usize::MAX) {
            Ok(events) => {
                for event in events {
                    value.take(&event.entry, event.kind != EventKind::Delete);
                }
            }
            Err(lagged) => {
                warn!(%lagged, "compiled anew");
                return false;
            }
        }
    }
    true
}

fn source(group: &str, plural: &str) -> &'static Resource {
    resource::find(group, "v1", plural, "").expect("the table lists the resources that others are made of")
}

/// The object of an entry; nothing when it is gone. One that cannot be read gives nothing.
pub(super) fn read<T: DeserializeOwned>(entry: &Entry, is_there: bool) -> Option<T> {
    if !is_there {
        return None;
    }
    match serde_json::from_slice(&entry.object.inner()) {
        Ok(object) => Some(object),
        Err(why) => {
            error!(key = entry.key.as_str(), %why, "an object of the policy cannot be read: it gives nothing");
            None
        }
    }
}
