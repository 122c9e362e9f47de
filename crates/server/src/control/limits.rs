//! Bounds of the controllers.

use std::time::Duration;

/// Pause before a stream whose import met an error of our own (a conflict, say) is tried again; doubles each time.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(1);
/// The longest such pause.
pub const BACKOFF_MOST: Duration = Duration::from_secs(1000);
/// Streams worked on at once. Most of them wait for their turn at a registry, so that many wait for a slow one while
/// the others go on.
pub const STREAMS: usize = 256;
/// Imports of streams that have begun at one host; the others at it wait.
pub const HOST_IMPORTS: usize = 16;
/// Longest time one import of a stream may take in the background.
pub const IMPORT_TIME: Duration = Duration::from_secs(300);
/// Part of the period by which a poll is moved from period to period, so that images that are due together once do not
/// stay together: one tenth.
pub const JITTER_PART: u32 = 10;
/// Polls of one host at once; the others at it wait, and those at other hosts do not.
pub const HOST_POLLS: usize = 32;
/// Pause before an import that failed is tried again by itself; doubles with every failure, up to the period.
pub const RETRY_FIRST: Duration = Duration::from_secs(60);
/// Least time between two polls of a tag that anybody may ask for.
pub const PERIOD_LEAST: Duration = Duration::from_secs(10);
/// Most time between two polls of a tag that anybody may ask for: thirty days.
pub const PERIOD_MOST: Duration = Duration::from_secs(30 * 24 * 3600);
/// Time after which a scheduled import that met another write is tried once more.
pub const SCHEDULE_RETRY: Duration = Duration::from_secs(5);
/// Imports of one repository in a row, each with as many new tags as one import stores.
pub const REPOSITORY_ROUNDS: usize = 64;
