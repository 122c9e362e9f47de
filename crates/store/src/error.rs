//! What can go wrong at the store's boundary, named by what the caller can do about it.

use crate::{Key, Revision, Versioned};

/// Why a transaction was not (known to be) committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A guard did not hold; nothing was written.
    #[error("{key} is not as expected")]
    Conflict {
        /// The first key whose guard failed.
        key: Key,
        /// What is there instead, so that a retry needs no read.
        current: Option<Box<Versioned>>,
    },
    /// The transaction exceeds a limit; nothing was written.
    #[error("transaction too large: {size} {unit}, at most {limit}")]
    TooLarge {
        /// What it has.
        size: usize,
        /// What is allowed.
        limit: usize,
        /// Of what: `bytes` or `keys`.
        unit: &'static str,
    },
    /// The transaction writes a key twice; nothing was written.
    #[error("{key} is written twice")]
    Duplicate {
        /// The key.
        key: Key,
    },
    /// The store cannot say whether it was written, and possibly cannot write any more.
    #[error("store unavailable: {0}")]
    Unavailable(String),
}

/// Why a range or watch was not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The revision is too old.
    #[error("revision is compacted, the oldest is {oldest}")]
    Compacted {
        /// The oldest revision that can still be read and watched from.
        oldest: Revision,
    },
    /// The revision has not happened.
    #[error("revision is in the future, the current is {current}")]
    Future {
        /// The store's revision.
        current: Revision,
    },
    /// The store cannot read.
    #[error("store unavailable: {0}")]
    Unavailable(String),
}
