//! What goes wrong below the engine: all of it ends the engine's life when it happens to the writer.

use std::fmt;

/// An error of the database or of what it holds. The text says what and, where known, where.
#[derive(Debug)]
pub(super) enum Failure {
    /// The database or the disk under it.
    Database(redb::Error),
    /// The database is whole, but what this engine wrote there does not fit together.
    Damaged(String),
}

impl Failure {
    pub(super) fn damaged(what: impl Into<String>) -> Failure {
        Failure::Damaged(what.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Database(error) => fmt::Display::fmt(error, f),
            Failure::Damaged(what) => write!(f, "data is damaged: {what}"),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Failure::Database(error) => Some(error),
            Failure::Damaged(_) => None,
        }
    }
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Database(error.into())
    }
}
