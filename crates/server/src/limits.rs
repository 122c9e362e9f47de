//! Every bound of the server, by name.

use std::time::Duration;

/// Largest body of an API request (bytes); the reference takes as much.
pub const BODY: usize = 3 * 1024 * 1024;
/// Header bytes of a request.
pub const HEADERS: usize = 64 * 1024;
/// Bytes of content that are read from a connection in one step.
pub const CONTENT_STEP: usize = 256 * 1024;
/// Time a client may take to send its headers.
pub const HEADER_TIME: Duration = Duration::from_secs(10);
/// Time a client may take to send a body.
pub const BODY_TIME: Duration = Duration::from_secs(60);
/// Time a TLS handshake may take.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Connections at once to one listener; more wait in the kernel's queue.
pub const CONNECTIONS: usize = 8192;
/// Streams at once on one HTTP/2 connection: an aggregator sends all its users over few connections.
pub const H2_STREAMS: u32 = 1000;
/// Requests that read, in flight at once, unless the settings say otherwise.
pub const READS: usize = 400;
/// Requests that change something, in flight at once.
pub const WRITES: usize = 200;
/// Imports, in flight at once.
pub const IMPORTS: usize = 200;
/// Watches, in flight at once.
pub const WATCHES: usize = 10_000;
/// What a client is told to wait when there are too many requests (seconds).
pub const RETRY_AFTER: i32 = 1;
/// Attempts of a write that met another one before the client is told.
pub const CONFLICT_RETRIES: usize = 10;
/// Default and least time a watch is kept open; up to twice as long, at random.
pub const WATCH_TIME: Duration = Duration::from_secs(30 * 60);
/// Longest time-out a watch may ask for.
pub const WATCH_TIME_MOST: Duration = Duration::from_secs(24 * 3600);
/// Time between bookmarks of a watch.
pub const BOOKMARK_PERIOD: Duration = Duration::from_secs(60);
/// Events put into one chunk of a watch at the most.
pub const WATCH_BATCH: usize = 256;
/// Bytes of one chunk of a long list.
pub const LIST_CHUNK: usize = 64 * 1024;
/// Time that requests in flight have at shutdown.
pub const DRAIN_TIME: Duration = Duration::from_secs(20);
/// Time the tasks have to end after that.
pub const JOIN_TIME: Duration = Duration::from_secs(5);
/// Time a list waits for a resource version from the future.
pub const FUTURE_VERSION_WAIT: Duration = Duration::from_secs(3);
/// Rendered tags kept ready for reading.
pub const RENDERED_TAGS: usize = 8192;
/// Decoded streams, and as many decoded images, that are remembered for whoever looks at them next.
pub const DECODED_OBJECTS: usize = 128;
/// Largest time an import request may take; the reference gives up then too.
pub const IMPORT_TIME: Duration = Duration::from_secs(34);
/// Lines of the audit log that wait for the disk; more are dropped and counted.
pub const AUDIT_QUEUE: usize = 16_384;
/// Lines of the audit log that are written at once.
pub const AUDIT_BATCH: usize = 4096;
/// How long lines of the audit log are gathered before they are written together.
pub const AUDIT_GATHER: Duration = Duration::from_millis(20);
/// Bytes of a text in the audit log that callers choose.
pub const AUDIT_FIELD: usize = 1024;
/// Groups of a user that the audit log shows.
pub const AUDIT_GROUPS: usize = 64;
/// Time the last lines of the audit log have to be written at shutdown.
pub const AUDIT_TIME: Duration = Duration::from_secs(2);
/// Bytes from which an answer is compressed for clients that want it; Kubernetes' number.
pub const GZIP_LEAST: u64 = 128 * 1024;
/// The same for documents that are compressed once and sent often.
pub const GZIP_DOCUMENT_LEAST: usize = 4 * 1024;

/// Digests of one name at another registry whose first sight is kept.
pub const SEEN_DIGESTS: usize = 200;

/// Time between two looks at the keys of another identity provider.
pub const OIDC_PERIOD: Duration = Duration::from_secs(3600);

/// The same after a failure, and the least time between two looks.
pub const OIDC_RETRY: Duration = Duration::from_secs(10);

/// Time for fetching keys.
pub const OIDC_TIME: Duration = Duration::from_secs(10);

/// Bytes of an identity provider's configuration, and of its keys.
pub const OIDC_BODY: usize = 256 * 1024;

/// Keys of an identity provider that are looked at.
pub const OIDC_KEYS: usize = 100;

/// Tokens whose signatures are remembered as good.
pub const PROVED_TOKENS: usize = 4096;
