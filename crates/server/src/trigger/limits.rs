//! Bounds of the triggers.

/// Workloads that are brought up to date at once; their writes share the store's commits.
pub const AT_WORK: usize = 64;
/// Bytes of an annotation that is read; more is no list of triggers that somebody wrote.
pub const ANNOTATION: usize = 256 * 1024;
/// Bytes of a complaint; events take no more.
pub const COMPLAINT: usize = 1024;
