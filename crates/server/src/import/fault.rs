//! Why an image could not be fetched, before it is told in somebody's words.

use machinery::meta::Status;
use oci::Named;

use super::failure;
use super::repo::AskError;

/// Why there is no image.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The registry did not give what was asked for.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// It did not answer in time.
    #[error("context deadline exceeded")]
    Late,
    /// The credentials of the project cannot be read.
    #[error("{0}")]
    Secrets(String),
    /// What came is no image that can be imported.
    #[error("{0}")]
    Unusable(String),
}

impl Fault {
    /// The status of an image that was asked for by `reference`.
    pub fn of_manifest(&self, reference: &Named) -> Box<Status> {
        match self {
            Fault::Ask(AskError::Registry(error)) => failure::manifest(error, &reference.to_string()),
            Fault::Ask(AskError::Closed(pause)) => failure::put_off(&format!("{reference}: {self}"), *pause),
            Fault::Late | Fault::Secrets(_) => failure::other(&format!("{reference}: {self}")),
            Fault::Unusable(message) => failure::other(message),
        }
    }

    /// The status of a repository, named as the user wrote it.
    pub fn of_repository(&self, reference: &str) -> Box<Status> {
        match self {
            Fault::Ask(AskError::Registry(error)) => failure::repository(error, reference),
            Fault::Ask(AskError::Closed(pause)) => failure::put_off(&self.to_string(), *pause),
            other => failure::other(&other.to_string()),
        }
    }

    /// True when the connection itself is in doubt.
    pub fn is_transport(&self) -> bool {
        match self {
            Fault::Ask(AskError::Registry(error)) => error.is_transport() || error.is_unauthorized(),
            Fault::Late => true,
            Fault::Ask(AskError::Closed(_)) | Fault::Secrets(_) | Fault::Unusable(_) => false,
        }
    }
}
