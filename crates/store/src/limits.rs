//! Every bound of this crate, by name, with the reason for its size.

use std::time::Duration;

/// Longest key. A group and a name of 253, a resource and a namespace of 63 fit with room for repository paths.
pub const MAX_KEY_BYTES: usize = 1024;

/// Most keys that one transaction may guard, and most that it may write: an import of every tag of a large repository
/// with its sub-manifests.
pub const MAX_TXN_KEYS: usize = 1024;

/// Most bytes of keys and values in one transaction.
pub const MAX_TXN_BYTES: usize = 8 << 20;

/// Objects in a page when the reader does not say.
pub const DEFAULT_PAGE_OBJECTS: usize = 1000;

/// A page ends when it holds so many bytes of values, whatever its limit; it has at least one object.
pub const MAX_PAGE_BYTES: usize = 16 << 20;

/// Ranges of at most so many objects are read on the calling task; larger ones are moved off it.
pub const INLINE_RANGE_OBJECTS: usize = 16;

/// Transactions waiting for the writer. Beyond it, commits wait their turn to queue.
pub const COMMIT_QUEUE: usize = 1024;

/// Transactions that share one fsync.
pub const GROUP_TXNS: usize = 256;

/// Bytes that share one fsync: a group ends with the transaction that reaches it.
pub const GROUP_BYTES: usize = 16 << 20;

/// Changes kept in the store's log for ranges and watches in the past.
pub const LOG_CHANGES: u64 = 50_000;

/// Bytes of values behind the changes in the log, old and new. Watches of a running server go on from memory; this is for
/// those that come back after a restart, and it bounds what a restart replays and then holds.
pub const LOG_BYTES: u64 = 16 << 20;

/// Log entries that one commit removes beyond those it adds, so that a lowered bound is reached in small steps.
pub const TRIM_STEP: u64 = 64;

/// Changes kept in memory for the engine's own watchers, so that those who keep up read no disk.
pub const TAIL_CHANGES: usize = 4096;

/// Bytes of values kept in memory for the engine's own watchers.
pub const TAIL_BYTES: usize = 8 << 20;

/// Changes that a watch which reads the log takes in one step.
pub const REPLAY_CHANGES: usize = 1000;

/// Bytes of values that a watch which reads the log takes in one step, unless one revision alone has more.
pub const REPLAY_BYTES: usize = 1 << 20;

/// The engine's page cache. Small: the watch cache holds every object already, and what a commit reads again are the
/// upper pages of the trees.
pub const ENGINE_CACHE_BYTES: usize = 4 << 20;

/// Events kept for the watchers of one resource.
pub const RING_EVENTS: usize = 32_768;

/// Bytes kept for the watchers of one resource beyond what the current snapshot holds anyway: replaced and deleted
/// objects, as the renderer weighs them, and the encoded frames of events.
pub const RING_BYTES: usize = 32 << 20;

/// What an event weighs by itself.
pub const EVENT_OVERHEAD: usize = 400;

/// Encodings of an event that its watchers share: a few media types, times the ways an event can look to a selector.
pub const EVENT_FRAMES: usize = 6;

/// Recent snapshots kept for lists at an exact revision, one a revision.
pub const RECENT_SNAPSHOTS: usize = 512;

/// Snapshots pinned by the pages of lists that are being read.
pub const PINNED_SNAPSHOTS: usize = 256;

/// How long a pinned snapshot is kept after its last use.
pub const PIN_AGE: Duration = Duration::from_secs(300);

/// Objects in a page when the cache is filled. Two pages are in memory at once.
pub const FILL_PAGE_OBJECTS: usize = 200;

/// How often the cache begins to fill again because the past it fills from was compacted meanwhile.
pub const FILL_ATTEMPTS: usize = 5;
