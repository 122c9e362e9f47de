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
/// How much may begin at once at an upstream that was left alone: what its pace allows in this time.
pub const BURST: Duration = Duration::from_secs(1);
/// First pause at an upstream that refuses without saying for how long; doubles each time.
pub const CLOSED_FIRST: Duration = Duration::from_secs(30);
/// Longest pause at an upstream that refuses, also when it asks for a longer one.
pub const CLOSED_MOST: Duration = Duration::from_secs(15 * 60);
/// Time over which requests to an upstream are shown.
pub const USED_WINDOW: Duration = Duration::from_secs(15 * 60);
/// Upstreams that are remembered; idle ones are let go first.
pub const UPSTREAMS: usize = 4096;
/// Tags of one stream that are imported together.
pub const ERRAND_TAGS: usize = 32;
/// Delay after the first failure of a followed tag; doubles each time, up to the tag's period.
pub const RETRY_FIRST: Duration = Duration::from_secs(30);
/// Shortest period that a stream or a tag may ask for.
pub const PERIOD_LEAST: Duration = Duration::from_secs(30);
/// Longest period that a stream or a tag may ask for.
pub const PERIOD_MOST: Duration = Duration::from_secs(366 * 24 * 3600);
