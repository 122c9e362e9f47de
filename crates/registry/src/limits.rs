//! Every bound of this crate, by name.

use std::time::Duration;

/// The largest manifest that is taken, in bytes; the distribution specification asks for as much.
pub const MANIFEST_BYTES: usize = oci::limits::MANIFEST_BYTES;
/// The largest configuration that is read to describe an image, in bytes.
pub const CONFIG_BYTES: u64 = 1024 * 1024;
/// The largest signature that the signature extension takes, in bytes.
pub const SIGNATURE_BYTES: usize = 1024 * 1024;
/// How long a manifest or a signature may take to arrive.
pub const SMALL_BODY_TIME: Duration = Duration::from_secs(60);
/// How long a client may stay silent in the middle of an upload.
pub const SILENCE: Duration = Duration::from_secs(120);

/// Bytes of one body that are written (and hashed) in one step, at the most and at the least.
pub const WRITE_BYTES: usize = 2 << 20;
/// See [`WRITE_BYTES`].
pub const WRITE_BYTES_LEAST: usize = 256 * 1024;
/// Bytes of all bodies that are in memory before they are written, while there are not so many bodies that the least
/// steps are more.
pub const INTAKE_BYTES: usize = 32 << 20;
/// Bytes from which on one thread hashes what another writes.
pub const SPLIT_BYTES: u64 = 128 * 1024;
/// Bytes that an upload of many bytes makes room for at once.
pub const ALLOCATE_BYTES: u64 = 4 << 20;
/// Bytes of one upload after which the disk begins with them, while more comes.
pub const SETTLE_BYTES: u64 = 16 << 20;
/// The same where others read while it arrives: they wait for the processor, and nobody for the disk.
pub const SETTLE_SHARED_BYTES: u64 = 256 << 20;
/// Bytes of the disk that content leaves free: what else is on it, the records first of all, must go on.
pub const RESERVE: u64 = 128 << 20;
/// Blobs of other registries that are fetched at once.
pub const FETCHES: usize = 64;
/// The largest blob that is fetched from another registry.
pub const FETCH_BYTES: u64 = 64 << 30;
/// The last bytes of a blob on its way that are kept in memory for those who read it: the two steps that came last.
pub const RECENT_BYTES: usize = 2 << 20;
/// Blobs of other registries up to this size are given away when they are all here.
pub const WHOLE_BYTES: u64 = 1024 * 1024;

/// Bytes of a download that are read in one step; two steps are in memory at once.
pub const READ_BYTES: u64 = 256 * 1024;

/// Upload sessions that are kept open in memory.
pub const OPEN_SESSIONS: usize = 1024;
/// Sessions that are open while a new one may be without a record.
pub const UNNOTED_SESSIONS: usize = 256;
/// How long a request waits for another one that writes to the same upload.
pub const SESSION_WAIT: Duration = Duration::from_secs(10);
/// Age at which an upload that nobody went on with is forgotten, in seconds.
pub const SESSION_AGE: u64 = 7 * 24 * 3600;

/// Manifests kept ready in memory, in bytes.
pub const CACHED_MANIFEST_BYTES: usize = 32 * 1024 * 1024;
/// The largest blob that is kept ready in memory: configurations are that large, layers are not.
pub const SMALL_BLOB_BYTES: u64 = 64 * 1024;
/// Small blobs kept ready in memory, in bytes.
pub const CACHED_BLOB_BYTES: usize = 16 * 1024 * 1024;

/// Entries of a page of tags when the client does not say, and at the most.
pub const TAG_PAGE: usize = 10_000;
/// Entries of a page of the catalog when the client does not say.
pub const CATALOG_PAGE: usize = 100;
/// Entries of a page of the catalog at the most.
pub const CATALOG_PAGE_MOST: usize = 1000;
/// Bytes of one answer about referrers; the specification bounds it like a manifest.
pub const REFERRERS_BYTES: usize = MANIFEST_BYTES - 64 * 1024;
/// Records read in one step of a walk.
pub const WALK_PAGE: usize = 500;
/// Keys of one transaction that tidies up.
pub const TIDY_KEYS: usize = 200;

/// Bytes of all warnings of one answer.
pub const WARNING_BYTES: usize = 4096;

/// How long content stays although nothing refers to it, in seconds: a push may rely on it between its question
/// whether the content is there and its manifest.
pub const GRACE: u64 = 24 * 3600;
/// Content that was needed longer ago than this is noted as needed again when it is asked for, in seconds.
pub const NEEDED_STEP: u64 = 3600;
/// Attempts of a transaction that met another one.
pub const ATTEMPTS: usize = 10;
/// Locks that keep the removal and the arrival of the same content apart.
pub const DIGEST_LOCKS: usize = 64;

/// Words of a repository's name that a volume of another registry may have.
pub const VOLUME_DEPTH: usize = 16;
/// Entries of one directory of such a volume.
pub const VOLUME_ENTRIES: usize = 1_000_000;
