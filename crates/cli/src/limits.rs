//! Sizes and counts this client keeps to, in one place.

use std::time::Duration;

/// Objects asked for in one page of a list.
pub(crate) const CHUNK_SIZE: u64 = 500;
/// Attempts of a write that meets a conflict, the first one included.
pub(crate) const CONFLICT_ATTEMPTS: u32 = 5;
/// Pause between two attempts after a conflict.
pub(crate) const CONFLICT_PAUSE: Duration = Duration::from_millis(10);
/// Times a request is repeated because the server asked for that with `Retry-After`.
pub(crate) const RETRY_AFTER_ATTEMPTS: u32 = 10;
/// Longest pause between such repetitions, whatever the server asks for.
pub(crate) const RETRY_AFTER_LONGEST: Duration = Duration::from_secs(30);
/// Largest answer read into memory.
pub(crate) const LARGEST_ANSWER: usize = 512 << 20;
/// Largest manifest file read.
pub(crate) const LARGEST_FILE: u64 = 64 << 20;
/// Discovery documents fetched at once.
pub(crate) const DISCOVERY_AT_ONCE: usize = 16;
/// How deep a JSONPath or a template may nest before it is refused.
pub(crate) const NESTING: usize = 64;
/// How long a deletion is waited for when nobody says otherwise.
pub(crate) const DELETE_WAIT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Pause between two looks at an object that is waited for without a watch.
pub(crate) const POLL_PAUSE: Duration = Duration::from_millis(200);
/// How long an operation runs before a spinner appears on a terminal.
pub(crate) const SPINNER_AFTER: Duration = Duration::from_millis(400);
/// Longest line that a person may answer a question with.
pub(crate) const LONGEST_LINE: usize = 64 << 10;
/// Largest configuration of an image that is read.
pub(crate) const IMAGE_CONFIG: usize = 8 << 20;
/// Images asked for in one page when everything is looked at.
pub(crate) const PRUNE_PAGE: usize = 5000;
/// Streams or images that are pruned at once, at the most.
pub(crate) const PRUNE_WORKERS: usize = 100;
/// Largest answer of a registry to a deletion that is read.
pub(crate) const REGISTRY_ANSWER: usize = 64 << 10;
