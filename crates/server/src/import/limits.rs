//! Bounds of the import engine.

use std::time::Duration;

/// Requests to one host at once.
pub const HOST_REQUESTS: usize = 16;
/// Fetches of one import request that run at once.
pub const REQUEST_FETCHES: usize = 16;
/// Time one fetch may take, waiting included: less than a request may, so that the others' results still count.
pub const FETCH_TIME: Duration = Duration::from_secs(25);
/// Time after which an answer counts as slow, so that who waits for it gives room to others.
pub const SLOW_AFTER: Duration = Duration::from_secs(2);
/// Longest pause that is made because a registry asks for one; a fetch that would have to wait longer fails at once.
pub const PAUSE_MOST: Duration = Duration::from_secs(15 * 60);
/// Transport failures in a row after which a host is asked by one background import at a time.
pub const SUSPECT_AFTER: u32 = 3;
/// Hosts that are remembered; idle ones are let go first.
pub const HOSTS: usize = 1024;
/// Bytes of manifests and images that are kept because they cannot change.
pub const CONTENT_BYTES: usize = 8 << 20;
/// Connections to repositories (with what was learnt about them) that are kept.
pub const REPOSITORIES: usize = 1024;
/// How long what was learnt about a repository's registry is believed.
pub const REPOSITORY_AGE: Duration = Duration::from_secs(60);
/// Blobs whose sizes are asked for at once.
pub const BLOB_SIZES: usize = 8;
/// Layer sizes that are remembered.
pub const LAYER_SIZES: usize = 2048;
/// Accounts at one host whose budgets are kept.
pub const ACCOUNTS: usize = 256;
/// The part of an upstream's budget that is left for those who wait for an answer: one tenth.
pub const BUDGET_KEPT_PART: u64 = 10;
/// The window of an upstream's limit when it does not say.
pub const BUDGET_WINDOW: Duration = Duration::from_secs(3600);
/// Answers about tags that are kept for others.
pub const SHARED_ANSWERS: usize = 65_536;
/// New tags that one import of a followed repository stores: each is an image and a row of the ledger in one transaction.
pub const NEW_TAGS: usize = 400;
