//! Bounds of deliveries.

use std::time::Duration;

/// Deliveries that are attempted at once.
pub const AT_WORK: usize = 32;
/// Time that one attempt may take, redirects included.
pub const ATTEMPT_TIME: Duration = Duration::from_secs(15);
/// The pause after the first failed attempt; it doubles with each.
pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, also where a receiver asks for a longer one.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// A pause is longer or shorter by at most this part of it.
pub const JITTER_PART: u32 = 5;
/// Time after the first attempt when a delivery is given up.
pub const GIVE_UP: Duration = Duration::from_secs(24 * 3600);
/// Finished deliveries of one trigger that are kept.
pub const HISTORY: usize = 50;
/// Deliveries of one trigger that may wait; what comes on top is given up at once, and told.
pub const WAITING: usize = 10_000;
/// Redirects that one attempt follows.
pub const REDIRECTS: usize = 3;
/// Bytes of a receiver's address.
pub const ADDRESS: usize = 2048;
/// Bytes of a template.
pub const TEMPLATE: usize = 64 * 1024;
/// Patterns of tags in one trigger.
pub const PATTERNS: usize = 64;
/// Bytes of an error that is kept.
pub const ERROR: usize = 512;
/// Deliveries that are made in one transaction.
pub const BATCH: usize = 200;
/// Moves of the outbox that are read at once.
pub const OUTBOX_PAGE: usize = 500;
/// How often the outbox is looked at without being told to.
pub const OUTBOX_PERIOD: Duration = Duration::from_secs(30);
/// The pause after a failure to write deliveries.
pub const OUTBOX_RETRY: Duration = Duration::from_secs(1);
