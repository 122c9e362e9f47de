//! Reads of the database: ranges, now and in the past, and the replay of the log.
//!
//! Every function opens its own read transaction and closes it before it returns, because a read transaction that
//! lives long keeps the file growing.

use std::iter::Peekable;
use std::ops::Bound;

use bytes::Bytes;
use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase};

use super::failure::Failure;
use super::tables::{LOG, LogEntry, META, Meta, OBJECTS, UNDO, decode_object, log_entries, versioned};
use crate::limits::{DEFAULT_PAGE_OBJECTS, MAX_PAGE_BYTES, REPLAY_BYTES, REPLAY_CHANGES};
use crate::{Batch, Change, Key, Page, Range, Revision, Versioned};

/// What a read in the past can end with.
pub(super) enum Past<T> {
    Found(T),
    /// The floor has risen above the revision.
    Compacted(Revision),
}

/// The page of `range` at revision `at`, which has been committed.
pub(super) fn range(db: &Database, range: &Range, at: Revision) -> Result<Past<Page>, Failure> {
    let txn = db.begin_read()?;
    let meta = Meta::read(&txn.open_table(META)?)?;
    if at < meta.floor {
        return Ok(Past::Compacted(meta.floor));
    }
    let start = match &range.after {
        Some(after) if after.as_str() >= range.prefix.as_str() => Bound::Excluded(after.as_str()),
        _ => Bound::Included(range.prefix.as_str()),
    };
    let objects = txn.open_table(OBJECTS)?;
    let objects = objects
        .range::<&str>((start, Bound::Unbounded))?
        .map(|entry| {
            let (key, stored) = entry?;
            versioned(Key::trusted(key.value()), stored.value())
        })
        .take_while(|entry| within(entry, &range.prefix));
    let page = if at == meta.revision {
        fill_page(objects, range, at)?
    } else {
        let older = Older::open(&txn, start, &range.prefix, at)?.peekable();
        fill_page(Merged { objects: objects.peekable(), older, at }, range, at)?
    };
    Ok(Past::Found(page))
}

/// The changes after `after`, up to `upto`, under `prefix`: as many revisions as one step takes. The batch's revision
/// says how far it got. Both revisions have been committed.
pub(super) fn replay(
    db: &Database,
    prefix: &str,
    after: Revision,
    upto: Revision,
) -> Result<Past<Batch>, Failure> {
    let txn = db.begin_read()?;
    let meta = Meta::read(&txn.open_table(META)?)?;
    if after < meta.floor {
        return Ok(Past::Compacted(meta.floor));
    }
    let past = Log { undo: txn.open_table(UNDO)?, objects: txn.open_table(OBJECTS)? };
    let mut batch = Batch { revision: upto, changes: Vec::new() };
    let mut bytes = 0;
    for record in txn.open_table(LOG)?.range(after.next().0..=upto.0)? {
        let (revision, record) = record?;
        let revision = Revision(revision.value());
        for entry in log_entries(record.value()) {
            let entry = entry?;
            if entry.key.starts_with(prefix) {
                bytes += usize::try_from(entry.bytes).unwrap_or(usize::MAX);
                batch.changes.push(past.change(&entry, revision)?);
            }
        }
        if bytes >= REPLAY_BYTES || batch.changes.len() >= REPLAY_CHANGES {
            batch.revision = revision;
            break;
        }
    }
    Ok(Past::Found(batch))
}

/// Where the values behind the log's entries are.
struct Log {
    undo: ReadOnlyTable<(&'static str, u64), &'static [u8]>,
    objects: ReadOnlyTable<&'static str, &'static [u8]>,
}

impl Log {
    fn change(&self, entry: &LogEntry<'_>, revision: Revision) -> Result<Change, Failure> {
        let key = Key::trusted(entry.key);
        let previous = if entry.replaced {
            let stored = self.undo.get((entry.key, revision.0))?;
            let stored = stored.ok_or_else(|| missing(entry.key, revision))?;
            Some(versioned(key.clone(), stored.value())?)
        } else {
            None
        };
        let value = if entry.deleted { None } else { Some(self.value_given(entry.key, revision)?) };
        Ok(Change { key, value, previous, created: entry.created, revision })
    }

    /// The value that `revision` gave `key`: what the next change kept of it, or what is there still.
    fn value_given(&self, key: &str, revision: Revision) -> Result<Bytes, Failure> {
        let next = self.undo.range((key, revision.next().0)..=(key, u64::MAX))?.next().transpose()?;
        let given = |stored: &[u8]| -> Result<Option<Bytes>, Failure> {
            let (_, modified, value) = decode_object(stored)?;
            Ok((modified == revision).then(|| Bytes::copy_from_slice(value)))
        };
        if let Some((_, stored)) = next
            && let Some(value) = given(stored.value())?
        {
            return Ok(value);
        }
        let current = self.objects.get(key)?;
        let current = current.map(|stored| given(stored.value())).transpose()?.flatten();
        current.ok_or_else(|| missing(key, revision))
    }
}

fn missing(key: &str, revision: Revision) -> Failure {
    Failure::damaged(format!("the log names {key} at {revision}, whose value is not there"))
}

fn within(entry: &Result<Versioned, Failure>, prefix: &str) -> bool {
    entry.as_ref().map_or(true, |entry| entry.key.as_str().starts_with(prefix))
}

/// For every key that a revision after `at` replaced or deleted: the key, and the object it was at `at`, if any.
///
/// The keys come from `undo`, where each has one entry for every change that replaced something. The first entry
/// after `at` holds the object as it was between its own `modified` and that change; if `modified` is after `at`, the
/// key did not exist at `at`, because otherwise the change at `modified` would have left an entry of its own.
struct Older<'a> {
    undo: redb::Range<'static, (&'static str, u64), &'static [u8]>,
    prefix: &'a str,
    at: Revision,
    last: Option<Key>,
}

impl<'a> Older<'a> {
    fn open(
        txn: &ReadTransaction,
        start: Bound<&str>,
        prefix: &'a str,
        at: Revision,
    ) -> Result<Older<'a>, Failure> {
        let start = match start {
            Bound::Included(key) => Bound::Included((key, 0)),
            Bound::Excluded(key) => Bound::Excluded((key, u64::MAX)),
            Bound::Unbounded => Bound::Unbounded,
        };
        let undo = txn.open_table(UNDO)?.range::<(&str, u64)>((start, Bound::Unbounded))?;
        Ok(Older { undo, prefix, at, last: None })
    }

    fn advance(&mut self) -> Result<Option<(Key, Option<Versioned>)>, Failure> {
        for entry in self.undo.by_ref() {
            let (undone, stored) = entry?;
            let (key, revision) = undone.value();
            if !key.starts_with(self.prefix) {
                return Ok(None);
            }
            let seen = self.last.as_ref().is_some_and(|last| last.as_str() == key);
            if revision <= self.at.0 || seen {
                continue;
            }
            let key = Key::trusted(key);
            self.last = Some(key.clone());
            let (_, modified, _) = decode_object(stored.value())?;
            let state =
                if modified <= self.at { Some(versioned(key.clone(), stored.value())?) } else { None };
            return Ok(Some((key, state)));
        }
        Ok(None)
    }
}

impl Iterator for Older<'_> {
    type Item = Result<(Key, Option<Versioned>), Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

/// The state at `at`, in key order: current objects that are old enough, and the older states of the others.
struct Merged<O: Iterator, U: Iterator> {
    objects: Peekable<O>,
    older: Peekable<U>,
    at: Revision,
}

impl<O, U> Iterator for Merged<O, U>
where
    O: Iterator<Item = Result<Versioned, Failure>>,
    U: Iterator<Item = Result<(Key, Option<Versioned>), Failure>>,
{
    type Item = Result<Versioned, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let object = match self.objects.peek() {
                Some(Err(_)) => return self.objects.next(),
                Some(Ok(object)) => Some(&object.key),
                None => None,
            };
            let take_older = match (object, self.older.peek()) {
                (_, None) => false,
                (None, Some(_)) | (_, Some(Err(_))) => true,
                (Some(object), Some(Ok((older, _)))) => older <= object,
            };
            if !take_older {
                // A newer object without an older state did not exist then.
                match self.objects.next()? {
                    Ok(object) if object.modified > self.at => continue,
                    entry => return Some(entry),
                }
            }
            let (key, state) = match self.older.next()? {
                Ok(older) => older,
                Err(failure) => return Some(Err(failure)),
            };
            self.objects.next_if(|entry| entry.as_ref().is_ok_and(|object| object.key == key));
            if let Some(state) = state {
                return Some(Ok(state));
            }
        }
    }
}

fn fill_page(
    objects: impl Iterator<Item = Result<Versioned, Failure>>,
    range: &Range,
    revision: Revision,
) -> Result<Page, Failure> {
    let limit = if range.limit == 0 { DEFAULT_PAGE_OBJECTS } else { range.limit };
    let mut page = Page { revision, items: Vec::new(), next: None };
    let mut bytes = 0;
    for object in objects {
        let object = object?;
        if page.items.len() >= limit || bytes >= MAX_PAGE_BYTES {
            page.next = page.items.last().map(|last| last.key.clone());
            break;
        }
        bytes += object.value.len();
        page.items.push(object);
    }
    Ok(page)
}
