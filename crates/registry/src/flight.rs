//! Blobs on their way from elsewhere.
//!
//! However many ask for the same blob of the same place, it is fetched once: the first one starts a flight, which is a
//! task of its own and goes on when its clients go away; everybody reads from what it has written so far. The digest is
//! checked before the last byte is given away, so no client can take wrong content for complete.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::watch;

use crate::blobs::Upload;
use crate::limits;
use crate::upstream::UpstreamError;

/// Bytes that nobody is given before the digest is known to be right.
const HELD_BACK: u64 = 1;

/// The flights that are under way, by digest and places.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<String, Arc<Flight>>>);

/// One blob on its way.
pub(crate) struct Flight {
    state: watch::Sender<State>,
}

/// How far a flight is.
#[derive(Clone, Default)]
pub(crate) struct State {
    /// Where the bytes go, once a place has answered.
    pub(crate) upload: Option<Arc<dyn Upload>>,
    /// The length that the place claims.
    pub(crate) size: Option<u64>,
    /// Bytes that can be read.
    pub(crate) arrived: u64,
    /// The last of them, which whoever keeps up is given without a look at the disk.
    pub(crate) recent: Recent,
    /// Whether all is here and what it should be; it may not be kept yet.
    pub(crate) is_right: bool,
    /// Set once somebody reads: from then on the bytes cannot come from another place.
    pub(crate) is_read: bool,
    /// The place that gave the blob, which is right; or why it cannot be had.
    pub(crate) outcome: Option<Result<Arc<str>, UpstreamError>>,
}

/// The last bytes of what has arrived.
#[derive(Clone, Default)]
pub(crate) struct Recent {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    end: u64,
}

impl Recent {
    /// Adds what comes next; the oldest makes room.
    pub(crate) fn add(&mut self, chunks: Vec<Bytes>) {
        for chunk in chunks {
            self.end += chunk.len() as u64;
            self.bytes += chunk.len();
            self.chunks.push_back(chunk);
        }
        while self.bytes > limits::RECENT_BYTES {
            let Some(oldest) = self.chunks.pop_front() else { return };
            self.bytes -= oldest.len();
        }
    }

    /// Some of the bytes of a range that is not empty, from its start on; `None` when they have gone or are to come.
    fn get(&self, range: Range<u64>) -> Option<Bytes> {
        let mut at = self.end - self.bytes as u64;
        if range.start < at {
            return None;
        }
        for chunk in &self.chunks {
            let next = at + chunk.len() as u64;
            if range.start < next {
                let from = (range.start - at) as usize;
                return Some(chunk.slice(from..chunk.len().min((range.end - at) as usize)));
            }
            at = next;
        }
        None
    }
}

impl Flights {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Flight>>> {
        // A flight is in the map or not, whatever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The flight under a key, and whether it was made just now.
    pub(crate) fn join(&self, key: &str) -> (Arc<Flight>, bool) {
        let mut flights = self.lock();
        if let Some(flight) = flights.get(key) {
            return (Arc::clone(flight), false);
        }
        let flight = Arc::new(Flight { state: watch::Sender::new(State::default()) });
        flights.insert(key.to_owned(), Arc::clone(&flight));
        (flight, true)
    }

    /// Ends a flight: whoever asks from now on begins anew, or finds the content.
    pub(crate) fn end(&self, key: &str) {
        self.lock().remove(key);
    }
}

impl Flight {
    /// Changes the state and wakes those who wait.
    pub(crate) fn update(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }

    /// Begins anew elsewhere, unless somebody has read.
    pub(crate) fn restart(&self) -> bool {
        let mut may = false;
        self.update(|state| {
            may = !state.is_read;
            if may {
                *state = State::default();
            }
        });
        may
    }

    /// Waits until the state is as wanted; an error when the flight ended without an outcome.
    async fn when(&self, wanted: impl FnMut(&State) -> bool) -> Result<State, UpstreamError> {
        let mut states = self.state.subscribe();
        let state = states.wait_for(wanted).await.map(|state| state.clone());
        state.map_err(|_| UpstreamError::Failed("the transfer was given up".to_owned()))
    }

    /// Waits until the blob is here and right.
    pub(crate) async fn landed(&self) -> Result<State, UpstreamError> {
        let state = self.when(|state| state.outcome.is_some()).await?;
        match &state.outcome {
            Some(Err(error)) => Err(error.clone()),
            _ => Ok(state),
        }
    }

    /// Waits until reading can begin. Small blobs, and those whose length nobody knows, are waited for to the end:
    /// what goes wrong can be said properly then.
    pub(crate) async fn readable(&self) -> Result<State, UpstreamError> {
        let state = self
            .when(|state| {
                let is_large = state.size.is_some_and(|size| size > limits::WHOLE_BYTES);
                state.outcome.is_some() || (is_large && state.arrived > 0)
            })
            .await?;
        if let Some(Err(error)) = state.outcome {
            return Err(error);
        }
        Ok(state)
    }

    /// Reads a range while it arrives. `None` when the flight has begun anew meanwhile.
    pub(crate) fn read(
        self: Arc<Self>,
        range: Range<u64>,
    ) -> Option<impl Stream<Item = io::Result<Bytes>> + Send + use<>> {
        let mut upload = None;
        self.update(|state| {
            state.is_read = true;
            upload.clone_from(&state.upload);
        });
        let upload = upload?;
        Some(futures_util::stream::try_unfold(range, move |range| {
            let (flight, upload) = (Arc::clone(&self), Arc::clone(&upload));
            async move {
                if range.is_empty() {
                    return Ok(None);
                }
                let (ready, recent) = flight.ready(range.clone()).await?;
                if let Some(piece) = recent {
                    let end = range.start + piece.len() as u64;
                    return Ok(Some((piece, end..range.end)));
                }
                let end = ready.min(range.end).min(range.start + limits::READ_BYTES);
                let piece = upload.read(range.start..end).await?;
                Ok(Some((piece, end..range.end)))
            }
        }))
    }

    /// Waits until there is something of a range; how far one may read then, and its first bytes if they are in memory.
    async fn ready(&self, range: Range<u64>) -> io::Result<(u64, Option<Bytes>)> {
        let free = |state: &State| match state.is_right {
            true => state.arrived,
            false => state.arrived.saturating_sub(HELD_BACK),
        };
        let mut states = self.state.subscribe();
        let waited = states.wait_for(|state| {
            state.is_right || matches!(state.outcome, Some(Err(_))) || free(state) > range.start
        });
        let state = waited.await.map_err(|_| io::Error::other("the transfer was given up"))?;
        let ready = free(&state);
        match &state.outcome {
            Some(Err(error)) if !state.is_right => Err(io::Error::other(error.clone())),
            _ if ready <= range.start => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok((ready, state.recent.get(range.start..ready.min(range.end)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_bytes_are_the_last_ones() {
        let mut recent = Recent::default();
        assert_eq!(recent.get(0..5), None);
        recent.add(vec![Bytes::from_static(b"abc"), Bytes::from_static(b"defg")]);
        for (range, expected) in
            [(0..7, Some("abc")), (1..2, Some("b")), (3..7, Some("defg")), (5..6, Some("f")), (7..9, None)]
        {
            assert_eq!(recent.get(range.clone()).as_deref(), expected.map(str::as_bytes), "{range:?}");
        }
        let large = Bytes::from(vec![1; limits::RECENT_BYTES]);
        recent.add(vec![large.clone()]);
        assert_eq!((recent.get(6..9), recent.get(7..9)), (None, Some(large.slice(..2))));
    }
}
