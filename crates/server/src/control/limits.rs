//! Bounds of the controllers.

use std::time::Duration;

/// Pause before a stream whose import met an error of our own (a conflict, say) is tried again; doubles each time.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(1);
/// The longest such pause.
pub const BACKOFF_MOST: Duration = Duration::from_secs(1000);
/// Streams worked on at once. Most of them wait for their turn at a registry, so that many wait for a slow one while
/// the others go on.
pub const STREAMS: usize = 256;
/// Longest time one import of a stream may take in the background.
pub const IMPORT_TIME: Duration = Duration::from_secs(300);
/// Parts of the period by which a scheduled import is moved at random, so that streams that began together do not
/// stay together: one tenth, to either side.
pub const JITTER_PART: u32 = 10;
/// Time after which a scheduled import that met another write is tried once more.
pub const SCHEDULE_RETRY: Duration = Duration::from_secs(5);
