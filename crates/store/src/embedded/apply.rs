//! One transaction group inside one database transaction: guards, writes, log, trimming.
//!
//! Nothing here is visible or durable before the database transaction commits; a group that fails on the way is
//! dropped whole. A transaction whose guard fails leaves no trace, whatever else is in its group.

use bytes::Bytes;
use redb::{ReadableTable, Table, WriteTransaction};

use super::failure::Failure;
use super::tables::{
    LOG, LogEntry, META, Meta, OBJECT_HEADER, OBJECTS, UNDO, decode_object, encode_object, log_entries,
    push_log_entry, versioned,
};
use crate::limits::TRIM_STEP;
use crate::{Change, CommitError, Expect, Key, Revision, Txn, Versioned};

/// How much of the past the log keeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogBounds {
    pub(super) changes: u64,
    pub(super) bytes: u64,
}

/// The open tables of a group that is being applied.
pub(super) struct Group<'txn> {
    objects: Table<'txn, &'static str, &'static [u8]>,
    undo: Table<'txn, (&'static str, u64), &'static [u8]>,
    log: Table<'txn, u64, &'static [u8]>,
    meta_table: Table<'txn, &'static str, u64>,
    meta: Meta,
    before: Meta,
    changes: Vec<Change>,
}

impl<'txn> Group<'txn> {
    pub(super) fn open(txn: &'txn WriteTransaction) -> Result<Group<'txn>, Failure> {
        let meta_table = txn.open_table(META)?;
        let meta = Meta::read(&meta_table)?;
        Ok(Group {
            objects: txn.open_table(OBJECTS)?,
            undo: txn.open_table(UNDO)?,
            log: txn.open_table(LOG)?,
            meta_table,
            meta,
            before: meta,
            changes: Vec::new(),
        })
    }

    /// Applies one transaction on top of those before it. The inner error is the transaction's own.
    pub(super) fn commit(&mut self, txn: &Txn) -> Result<Result<Revision, CommitError>, Failure> {
        if let Some(conflict) = self.conflict(txn)? {
            return Ok(Err(conflict));
        }
        let revision = self.meta.revision.next();
        let mut record = Vec::new();
        for (key, value) in &txn.writes {
            let change = match value {
                Some(value) => Some(self.put(key, value, revision)?),
                None => self.delete(key, revision)?,
            };
            if let Some(change) = change {
                self.record(&mut record, &change);
                self.changes.push(change);
            }
        }
        if record.is_empty() {
            return Ok(Ok(self.meta.revision));
        }
        self.log.insert(revision.0, record.as_slice())?;
        self.meta.revision = revision;
        Ok(Ok(revision))
    }

    /// Raises the floor to `revision`, which must not be in the future.
    pub(super) fn compact(&mut self, revision: Revision) -> Result<(), Failure> {
        while self.meta.floor < revision {
            self.trim_oldest()?;
        }
        Ok(())
    }

    /// Brings the log towards its bounds and writes the counters. Returns them with the changes, or `None` when the
    /// group has changed nothing.
    pub(super) fn finish(mut self, bounds: LogBounds) -> Result<Option<(Meta, Vec<Change>)>, Failure> {
        let mut budget = self.changes.len() as u64 + TRIM_STEP;
        while budget > 0 && (self.meta.log_changes > bounds.changes || self.meta.log_bytes > bounds.bytes) {
            budget = budget.saturating_sub(self.trim_oldest()?);
        }
        if self.meta == self.before {
            return Ok(None);
        }
        self.meta.write(&mut self.meta_table)?;
        Ok(Some((self.meta, self.changes)))
    }

    fn conflict(&self, txn: &Txn) -> Result<Option<CommitError>, Failure> {
        for (key, expect) in &txn.guards {
            let found = match expect {
                Expect::Any => continue,
                Expect::Absent | Expect::At(_) => self.objects.get(key.as_str())?,
            };
            let modified = match &found {
                Some(found) => Some(decode_object(found.value())?.1),
                None => None,
            };
            let holds = match expect {
                Expect::At(revision) => modified == Some(*revision),
                Expect::Absent => modified.is_none(),
                Expect::Any => true,
            };
            if !holds {
                let current = found.map(|found| versioned(key.clone(), found.value())).transpose()?;
                return Ok(Some(CommitError::Conflict { key: key.clone(), current: current.map(Box::new) }));
            }
        }
        Ok(None)
    }

    fn put(&mut self, key: &Key, value: &Bytes, revision: Revision) -> Result<Change, Failure> {
        let previous = self.keep_previous(key, revision)?;
        let created = previous.as_ref().map_or(revision, |previous| previous.created);
        let mut slot = self.objects.insert_reserve(key.as_str(), OBJECT_HEADER + value.len())?;
        encode_object(slot.as_mut(), created, revision, value);
        Ok(Change { key: key.clone(), value: Some(value.clone()), previous, created, revision })
    }

    fn delete(&mut self, key: &Key, revision: Revision) -> Result<Option<Change>, Failure> {
        let Some(previous) = self.keep_previous(key, revision)? else { return Ok(None) };
        self.objects.remove(key.as_str())?;
        let created = previous.created;
        Ok(Some(Change { key: key.clone(), value: None, previous: Some(previous), created, revision }))
    }

    /// Copies what `key` holds into `undo` before `revision` replaces it.
    fn keep_previous(&mut self, key: &Key, revision: Revision) -> Result<Option<Versioned>, Failure> {
        let Some(stored) = self.objects.get(key.as_str())? else { return Ok(None) };
        self.undo.insert((key.as_str(), revision.0), stored.value())?;
        Ok(Some(versioned(key.clone(), stored.value())?))
    }

    fn record(&mut self, record: &mut Vec<u8>, change: &Change) {
        let old = change.previous.as_ref().map_or(0, |previous| previous.value.len());
        let new = change.value.as_ref().map_or(0, Bytes::len);
        let entry = LogEntry {
            key: change.key.as_str(),
            deleted: change.value.is_none(),
            replaced: change.previous.is_some(),
            created: change.created,
            bytes: (old + new) as u64,
        };
        push_log_entry(record, entry);
        self.meta.log_changes += 1;
        self.meta.log_bytes += entry.bytes;
    }

    /// Forgets the oldest revision of the log; returns how many entries that were.
    fn trim_oldest(&mut self) -> Result<u64, Failure> {
        let Some((revision, record)) = self.log.pop_first()? else {
            return Err(Failure::damaged("the log is empty but counts entries"));
        };
        let revision = revision.value();
        let mut entries = 0;
        for entry in log_entries(record.value()) {
            let entry = entry?;
            if entry.replaced {
                self.undo.remove((entry.key, revision))?;
            }
            self.meta.log_bytes = self.meta.log_bytes.saturating_sub(entry.bytes);
            entries += 1;
        }
        self.meta.log_changes = self.meta.log_changes.saturating_sub(entries);
        self.meta.floor = Revision(revision);
        Ok(entries)
    }
}
