//! Bounds of hooks.

use std::time::Duration;

/// Largest body of a request (bytes).
pub const BODY: usize = 1024 * 1024;
/// Time that a sender may take for its body.
pub const BODY_TIME: Duration = Duration::from_secs(10);
/// Images that one request may name.
pub const MENTIONS: usize = 1000;
/// Shortest secret (bytes).
pub const SECRET: usize = 16;
/// How far the time of a signed request may be from now (seconds).
pub const WINDOW: i64 = 300;
/// Requests a second from one source, and at once.
pub const SOURCE_RATE: (f64, f64) = (10.0, 50.0);
/// Genuine requests a second to one hook, and at once.
pub const HOOK_RATE: (f64, f64) = (20.0, 100.0);
/// Sources that are remembered.
pub const SOURCES: usize = 10_000;
/// Identities of requests that are remembered for each hook.
pub const REMEMBERED: usize = 10_000;
/// Requests that the status of a hook shows.
pub const SHOWN: usize = 10;
/// How long a status waits for more requests before it is written.
pub const GATHER: Duration = Duration::from_secs(1);
/// The same where there were only refused ones: strangers do not make us write.
pub const GATHER_REFUSED: Duration = Duration::from_secs(60);
/// Requests that are read at once.
pub const PLACES: usize = 64;
