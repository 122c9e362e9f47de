//! Bounds of the triggers.

use std::time::Duration;

/// Workloads that are brought up to date at once; their writes share the store's commits.
pub const AT_WORK: usize = 64;
/// Bytes of an annotation that is read; more is no list of triggers that somebody wrote.
pub const ANNOTATION: usize = 256 * 1024;
/// Bytes of a complaint; events take no more.
pub const COMPLAINT: usize = 1024;
/// Steps of a field path.
pub const PATH_STEPS: usize = 32;
/// Changes of another cluster that may wait to be looked at.
pub const NEWS: usize = 1024;
/// Time to connect to another cluster.
pub const CLUSTER_CONNECT: Duration = Duration::from_secs(10);
/// Time for which another cluster may be silent: longer than a watch of it lasts.
pub const CLUSTER_SILENCE: Duration = Duration::from_secs(300);
/// Time that a watch of another cluster lasts.
pub const CLUSTER_WATCH: Duration = Duration::from_secs(240);
/// Objects in one page of a list of another cluster.
pub const CLUSTER_LIST: usize = 500;
/// Bytes of one page, or of one answer.
pub const CLUSTER_PAGE: usize = 64 << 20;
/// Bytes of one event of a watch.
pub const CLUSTER_OBJECT: usize = 4 << 20;
/// The pause after another cluster could not be asked; it doubles with every failure.
pub const CLUSTER_PAUSE_FIRST: Duration = Duration::from_secs(1);
/// The longest such pause.
pub const CLUSTER_PAUSE_MOST: Duration = Duration::from_secs(60);
/// The pause before a kind that another cluster does not serve is looked for again.
pub const CLUSTER_ABSENT: Duration = Duration::from_secs(300);
