//! Every bound of this crate, in one place.
//!
//! Whatever comes from outside is capped before memory is set aside for it: a registry is somebody else's program and
//! may be broken or hostile.

use std::time::Duration;

/// The largest manifest that is read, in bytes.
pub const MANIFEST_BYTES: usize = 4 * 1024 * 1024;
/// The largest image configuration that is read, in bytes.
pub const CONFIG_BYTES: usize = 8 * 1024 * 1024;
/// How many children an index or manifest list may have.
pub const INDEX_CHILDREN: usize = 1_000;
/// How deep indexes are looked for in indexes.
pub const INDEX_DEPTH: usize = 8;
/// How many layers (or schema 1 history entries) a manifest may have.
pub const MANIFEST_LAYERS: usize = 1_000;
/// How deeply JSON from outside may be nested.
pub const JSON_DEPTH: usize = 128;

/// The largest page of a tag list, in bytes.
pub const TAG_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// How many tags one page may name.
pub const TAG_PAGE_ENTRIES: usize = 10_000;
/// How many pages of a tag list are followed.
pub const TAG_PAGES: usize = 1_000;
/// How many tags one repository may have in all.
pub const TAGS: usize = 200_000;

/// How many pages of a list of referrers are followed.
pub const REFERRER_PAGES: usize = 50;
/// The largest list of referrers that is taken, in bytes: whoever asked for it keeps it.
pub const REFERRERS_BYTES: usize = 1024 * 1024;

/// How much of an error answer is read, in bytes.
pub const ERROR_BYTES: usize = 64 * 1024;
/// The largest answer of a token endpoint, in bytes.
pub const TOKEN_ANSWER_BYTES: usize = 1024 * 1024;
/// The longest token that is put into a header, in bytes.
pub const TOKEN_BYTES: usize = 64 * 1024;
/// The longest `WWW-Authenticate` or `Link` header that is looked at, in bytes.
pub const HEADER_BYTES: usize = 16 * 1024;
/// How many challenges of one answer are looked at.
pub const CHALLENGES: usize = 16;

/// How many redirects one request may take.
pub const REDIRECTS: usize = 10;
/// How long a ping of `/v2/` may take, redirects included.
pub const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a token request may take.
pub const TOKEN_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the headers of any other answer may take.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a small body (manifest, configuration, tags, error) may take.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long opening a connection may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may stay silent in the middle of a body.
pub const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Tokens live at least this long, whatever the endpoint says: older endpoints name no lifetime at all.
pub const TOKEN_MINIMUM_LIFETIME: Duration = Duration::from_secs(60);
/// Tokens are renewed at the latest after this long, whatever the endpoint says.
pub const TOKEN_MAXIMUM_LIFETIME: Duration = Duration::from_secs(3600);

/// How often a request that failed for a passing reason is sent again.
pub const RETRIES: u32 = 2;
/// The pause before a request is repeated after a network time-out.
pub const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The pause before a request is repeated after 429 Too Many Requests.
pub const RETRY_PAUSE_BUSY: Duration = Duration::from_secs(2);

/// A registry that wants a longer pause than this is not asked again; the caller is told instead.
pub const RETRY_PAUSE_MOST: Duration = Duration::from_secs(5);

/// Requests a second to one repository.
pub const REPOSITORY_RATE: f64 = 5.0;
/// Requests to one repository that may be made at once before the rate counts.
pub const REPOSITORY_BURST: u32 = 5;

/// The largest pull secret that is parsed, in bytes.
pub const SECRET_BYTES: usize = 1024 * 1024;
