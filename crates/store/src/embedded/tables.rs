//! The engine's tables and the encodings of what is in them.
//!
//! - `objects`: key → object. The current state, and nothing else: opening a store reads no objects.
//! - `undo`: (key, revision) → the object that this revision replaced or deleted. A creation replaces nothing and has
//!   no entry, so that the usual load (new images) costs nothing here.
//! - `log`: revision → the keys it changed. Every revision after the floor is in it, none before.
//! - `meta`: name → number.
//!
//! The log holds no values. The value that revision `r` gave a key is either still the current one, or it is what the
//! key's next `undo` entry holds; the state at `r` is the first `undo` entry after `r`, or else the current object.
//! Both are right only because `log`, `undo` and `objects` change in the same transaction.

use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError};

use super::failure::Failure;
use crate::{Key, Revision, Versioned};

pub(super) const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
pub(super) const UNDO: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("undo");
pub(super) const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// The version of everything that this module describes.
pub(super) const FORMAT: u64 = 1;

/// Bytes before an object's value: when it was created and when it was changed.
pub(super) const OBJECT_HEADER: usize = 16;

const META_FORMAT: &str = "format";
const META_REVISION: &str = "revision";
const META_FLOOR: &str = "floor";
const META_LOG_CHANGES: &str = "log_changes";
const META_LOG_BYTES: &str = "log_bytes";

/// The numbers that change with every transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) revision: Revision,
    /// The oldest revision that ranges and watches can reach.
    pub(super) floor: Revision,
    /// Entries in the log.
    pub(super) log_changes: u64,
    /// Bytes of old and new values behind the entries in the log.
    pub(super) log_bytes: u64,
}

impl Meta {
    pub(super) const EMPTY: Meta =
        Meta { revision: Revision::FIRST, floor: Revision::FIRST, log_changes: 0, log_bytes: 0 };

    pub(super) fn read(table: &impl ReadableTable<&'static str, u64>) -> Result<Meta, Failure> {
        let number = |name: &'static str| -> Result<u64, Failure> {
            let stored = table.get(name)?;
            stored.map(|stored| stored.value()).ok_or_else(|| Failure::damaged(format!("no {name} in meta")))
        };
        Ok(Meta {
            revision: Revision(number(META_REVISION)?),
            floor: Revision(number(META_FLOOR)?),
            log_changes: number(META_LOG_CHANGES)?,
            log_bytes: number(META_LOG_BYTES)?,
        })
    }

    pub(super) fn write(&self, table: &mut redb::Table<'_, &'static str, u64>) -> Result<(), Failure> {
        for (name, number) in [
            (META_FORMAT, FORMAT),
            (META_REVISION, self.revision.0),
            (META_FLOOR, self.floor.0),
            (META_LOG_CHANGES, self.log_changes),
            (META_LOG_BYTES, self.log_bytes),
        ] {
            table.insert(name, number)?;
        }
        Ok(())
    }
}

/// The format version that the file says it has; `None` for an empty file.
pub(super) fn format(txn: &ReadTransaction) -> Result<Option<u64>, Failure> {
    match txn.open_table(META) {
        Ok(meta) => Ok(Some(meta.get(META_FORMAT)?.map_or(0, |format| format.value()))),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Fills `out`, which has the length of header and value, with an object.
pub(super) fn encode_object(out: &mut [u8], created: Revision, modified: Revision, value: &[u8]) {
    out[..8].copy_from_slice(&created.0.to_be_bytes());
    out[8..OBJECT_HEADER].copy_from_slice(&modified.0.to_be_bytes());
    out[OBJECT_HEADER..].copy_from_slice(value);
}

/// Created, modified, value.
pub(super) fn decode_object(stored: &[u8]) -> Result<(Revision, Revision, &[u8]), Failure> {
    let (created, rest) = stored.split_first_chunk().ok_or_else(|| Failure::damaged("object too short"))?;
    let (modified, value) = rest.split_first_chunk().ok_or_else(|| Failure::damaged("object too short"))?;
    Ok((Revision(u64::from_be_bytes(*created)), Revision(u64::from_be_bytes(*modified)), value))
}

/// An owned copy of a stored object.
pub(super) fn versioned(key: Key, stored: &[u8]) -> Result<Versioned, Failure> {
    let (created, modified, value) = decode_object(stored)?;
    Ok(Versioned { key, value: Bytes::copy_from_slice(value), created, modified })
}

/// What the log says about one key that a revision changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogEntry<'a> {
    pub(super) key: &'a str,
    /// Whether the change is a deletion.
    pub(super) deleted: bool,
    /// Whether there was an object before, which is then in `undo`.
    pub(super) replaced: bool,
    pub(super) created: Revision,
    /// Bytes of the old and the new value.
    pub(super) bytes: u64,
}

const DELETED: u8 = 1;
const REPLACED: u8 = 2;

/// Appends an entry to a log record.
pub(super) fn push_log_entry(record: &mut Vec<u8>, entry: LogEntry<'_>) {
    let flags = if entry.deleted { DELETED } else { 0 } | if entry.replaced { REPLACED } else { 0 };
    let key_len = u16::try_from(entry.key.len()).expect("keys are at most MAX_KEY_BYTES long");
    record.push(flags);
    record.extend_from_slice(&entry.created.0.to_be_bytes());
    record.extend_from_slice(&entry.bytes.to_be_bytes());
    record.extend_from_slice(&key_len.to_be_bytes());
    record.extend_from_slice(entry.key.as_bytes());
}

/// The entries of a log record, in the order of the transaction's writes.
pub(super) fn log_entries(record: &[u8]) -> impl Iterator<Item = Result<LogEntry<'_>, Failure>> {
    let mut rest = record;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let entry = split_log_entry(rest);
        rest = entry.map_or(&[], |(_, rest)| rest);
        Some(entry.map(|(entry, _)| entry).ok_or_else(|| Failure::damaged("log record cut short")))
    })
}

fn split_log_entry(record: &[u8]) -> Option<(LogEntry<'_>, &[u8])> {
    let (flags, rest) = record.split_first()?;
    let (created, rest) = rest.split_first_chunk()?;
    let (bytes, rest) = rest.split_first_chunk()?;
    let (key_len, rest) = rest.split_first_chunk()?;
    let (key, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*key_len)))?;
    let entry = LogEntry {
        key: std::str::from_utf8(key).ok()?,
        deleted: flags & DELETED != 0,
        replaced: flags & REPLACED != 0,
        created: Revision(u64::from_be_bytes(*created)),
        bytes: u64::from_be_bytes(*bytes),
    };
    Some((entry, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_record_reads_back_and_a_cut_one_is_damaged() {
        let entries = [
            LogEntry { key: "/a/b/c", deleted: false, replaced: false, created: Revision(7), bytes: 12 },
            LogEntry { key: "/a/b/d", deleted: true, replaced: true, created: Revision(3), bytes: 900 },
        ];
        let mut record = Vec::new();
        for entry in entries {
            push_log_entry(&mut record, entry);
        }
        let read: Vec<_> = log_entries(&record).collect::<Result<_, _>>().unwrap();
        assert_eq!(read, entries);
        let cut: Result<Vec<_>, _> = log_entries(&record[..record.len() - 1]).collect();
        assert!(cut.is_err());
    }

    #[test]
    fn an_object_reads_back_and_a_short_one_is_damaged() {
        let mut stored = vec![0; OBJECT_HEADER + 3];
        encode_object(&mut stored, Revision(2), Revision(9), b"abc");
        assert_eq!(decode_object(&stored).unwrap(), (Revision(2), Revision(9), &b"abc"[..]));
        assert!(decode_object(&stored[..OBJECT_HEADER - 1]).is_err());
    }
}
