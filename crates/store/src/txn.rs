//! What goes into a store and what comes out: transactions, pages, batches of changes.

use bytes::Bytes;

use crate::{Key, Revision};

/// What a transaction demands of a key before it writes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key does not exist.
    Absent,
    /// The key exists and was last changed at this revision.
    At(Revision),
    /// Anything; useful where the guard comes from optional input.
    Any,
}

/// Compare several keys, then write several keys, as one. A key may be written once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// All must hold; the first that does not is reported.
    pub guards: Vec<(Key, Expect)>,
    /// New values; `None` deletes, and deleting an absent key is no error.
    pub writes: Vec<(Key, Option<Bytes>)>,
}

impl Txn {
    /// A transaction that does nothing yet.
    #[must_use]
    pub fn new() -> Txn {
        Txn::default()
    }

    /// Creates a key that must not exist.
    #[must_use]
    pub fn create(self, key: Key, value: Bytes) -> Txn {
        self.guard(key.clone(), Expect::Absent).put(key, value)
    }

    /// Replaces a key that must be at `revision`.
    #[must_use]
    pub fn update(self, key: Key, revision: Revision, value: Bytes) -> Txn {
        self.guard(key.clone(), Expect::At(revision)).put(key, value)
    }

    /// Adds a demand.
    #[must_use]
    pub fn guard(mut self, key: Key, expect: Expect) -> Txn {
        self.guards.push((key, expect));
        self
    }

    /// Writes a key, whatever it held.
    #[must_use]
    pub fn put(mut self, key: Key, value: Bytes) -> Txn {
        self.writes.push((key, Some(value)));
        self
    }

    /// Deletes a key if it exists.
    #[must_use]
    pub fn delete(mut self, key: Key) -> Txn {
        self.writes.push((key, None));
        self
    }
}

/// An object as it was at some revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// Its key.
    pub key: Key,
    /// Its bytes.
    pub value: Bytes,
    /// When it was created; a deletion ends that life.
    pub created: Revision,
    /// When it was last changed.
    pub modified: Revision,
}

/// What to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Only keys that start with this; `/` for all.
    pub prefix: String,
    /// Only keys that sort after this; need not exist.
    pub after: Option<Key>,
    /// At most so many objects; 0 leaves it to the engine.
    pub limit: usize,
    /// The state at this revision instead of the current one.
    pub at: Option<Revision>,
}

impl Range {
    /// Everything under `prefix`, now.
    #[must_use]
    pub fn of(prefix: &str) -> Range {
        Range { prefix: prefix.to_owned(), ..Range::default() }
    }

    /// The range that continues after `page`, at the same revision; `None` when it was the last.
    #[must_use]
    pub fn following(&self, page: &Page) -> Option<Range> {
        let after = page.next.clone()?;
        Some(Range { after: Some(after), at: Some(page.revision), ..self.clone() })
    }
}

/// A part of a range, all at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The revision of the state that was read.
    pub revision: Revision,
    /// Objects in key order. Possibly fewer than the limit, because pages are also bounded in bytes.
    pub items: Vec<Versioned>,
    /// When there is more: the last key of this page, where the next begins (see [`Range::following`]).
    pub next: Option<Key>,
}

/// One key that a transaction changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Key,
    /// The new value, `None` for a deletion.
    pub value: Option<Bytes>,
    /// What was there before, `None` for a creation.
    pub previous: Option<Versioned>,
    /// When the object was created; of a deletion, when the deleted object was.
    pub created: Revision,
    /// The transaction's revision.
    pub revision: Revision,
}

/// The changes of one or more transactions, in revision order, and a promise that nothing up to `revision` is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Everything up to and including this revision has been delivered.
    pub revision: Revision,
    /// None: a progress mark.
    pub changes: Vec<Change>,
}
