//! Controllers: what the server does by itself to make streams what their specs say.
//!
//! Each one is level-triggered: it looks at a stream as it is now, works out what is missing and does that, so it does
//! not matter which changes it saw, or whether the server was restarted in between. Their state is a queue that can be
//! rebuilt from the streams at any time. They import through the same engine and the same rules as everybody.

pub mod decide;
pub mod import;
pub mod limits;
pub mod queue;
pub mod schedule;
pub mod timetable;

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use machinery::image::{ImageStream, ImageStreamImport};
use machinery::status::ApiError;
use tokio::time::Instant;

pub use queue::{Done, Queue};
pub use timetable::{Pace, Timetable};

/// Names a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey {
    /// Project.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl StreamKey {
    /// The key of a stream.
    pub fn new(namespace: &str, name: &str) -> StreamKey {
        StreamKey { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What happened to the streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A stream was made, changed or deleted.
    Stream(StreamKey),
    /// Some changes were missed: every stream may have changed.
    Missed,
}

/// Why a controller imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The spec is newer than what was imported.
    Spec,
    /// It is time: the tag was due then.
    Schedule {
        /// When it was due.
        due: Instant,
    },
    /// The registry told of it.
    Hook {
        /// The hook.
        name: Arc<str>,
        /// When.
        at: Instant,
    },
}

/// The streams, as controllers see them.
pub trait Streams: Send + Sync {
    /// All there are.
    fn all(&self) -> Vec<StreamKey>;
    /// One of them in its stored form, with its resource version.
    ///
    /// # Errors
    /// When the stored value is broken.
    fn get(&self, key: &StreamKey) -> Result<Option<Arc<ImageStream>>, ApiError>;
    /// What happens to them from now on. Never ends.
    fn changes(&self) -> BoxStream<'static, Change>;
    /// Imports into one; the answer says what became of each image.
    fn import<'a>(
        &'a self,
        key: &'a StreamKey,
        request: ImageStreamImport,
        why: Why,
    ) -> BoxFuture<'a, Result<ImageStreamImport, ApiError>>;
}

#[cfg(test)]
mod simulation;
