//! What happened in the registry, for those who want to be told.

use http::{Method, StatusCode};

/// One thing that happened and was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub action: Action,
    /// `project/name`
    pub repository: String,
    /// The tag, where one was named.
    pub tag: Option<String>,
    /// The digest, where it is known.
    pub digest: Option<String>,
    /// The manifest's media type, where it is known.
    pub media_type: Option<String>,
    /// Who did it.
    pub user: String,
    /// The request.
    pub request_id: String,
}

/// What happened to a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It was put.
    Push,
    /// It was read.
    Pull,
    /// It, or a tag, was removed.
    Delete,
}

impl Action {
    /// What a request did to a manifest, if it was answered well. A question without a body pulls nothing.
    pub(crate) fn of(method: &Method, status: StatusCode) -> Option<Action> {
        match (method, status.as_u16()) {
            (&Method::PUT, 201) => Some(Action::Push),
            (&Method::GET, 200) => Some(Action::Pull),
            (&Method::DELETE, 202) => Some(Action::Delete),
            _ => None,
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Push => "push",
            Action::Pull => "pull",
            Action::Delete => "delete",
        }
    }
}
