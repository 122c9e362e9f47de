//! Who asks, and what they may do: the seam to whoever knows users.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;

use crate::name::Repository;
use crate::registry::Origin;

/// Who makes a request. Uploads are bound to `user`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Name.
    pub user: String,
    /// Identity beyond the name.
    pub uid: String,
    /// Groups, from this request's credentials alone.
    pub groups: Vec<String>,
    /// Further words about the user.
    pub extra: BTreeMap<String, Vec<String>>,
    /// True for somebody who showed nothing.
    pub anonymous: bool,
    /// The request; audit and history name it.
    pub request_id: String,
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right<'a> {
    /// Read a repository's tags, manifests, blobs and signatures.
    Pull(&'a Repository),
    /// Upload blobs and put manifests into a repository.
    Push(&'a Repository),
    /// Remove a tag of a repository.
    DeleteTag(&'a Repository, &'a str),
    /// Remove manifests and blobs by digest.
    DeleteContent,
    /// Read the registry's counters.
    Metrics,
    /// Sign an image of a repository.
    Sign(&'a Repository),
}

/// Why nobody can be told from credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The token is not good, or no longer.
    #[error("access denied")]
    Refused,
    /// Wrong passwords came too often.
    #[error("too many failed logins, please try again later")]
    Guessing,
    /// Nobody knows at the moment. Never the same as "good".
    #[error("credentials cannot be checked: {0}")]
    Unavailable(String),
}

/// Knows who is who and who may do what.
pub trait Access: Send + Sync + 'static {
    /// Finds out whose token this is.
    fn subject<'a>(
        &'a self,
        token: &'a str,
        request_id: &'a str,
    ) -> BoxFuture<'a, Result<Subject, AccessError>>;

    /// Finds out who has this name and password, where people log in that way.
    fn person<'a>(
        &'a self,
        user: &'a str,
        password: &'a str,
        origin: &'a Origin,
    ) -> BoxFuture<'a, Result<Subject, AccessError>>;

    /// A token that stands for such a person, and the seconds that it is good for.
    fn token_for<'a>(&'a self, who: &'a Subject) -> BoxFuture<'a, Result<(String, u64), AccessError>>;

    /// Somebody who showed nothing.
    fn anonymous(&self, request_id: &str) -> Subject;

    /// Whether somebody may do something now.
    fn may<'a>(&'a self, who: &'a Subject, right: Right<'a>) -> BoxFuture<'a, Result<bool, AccessError>>;
}
