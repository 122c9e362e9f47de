//! A consistent view of all cached objects at one revision, immutable and cheap to keep: snapshots share what they
//! have in common.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use imbl::OrdMap;

use super::Entry;
use crate::{Key, Revision};

/// All cached objects at a revision.
pub struct Snapshot<T> {
    /// The revision.
    pub revision: Revision,
    objects: OrdMap<Key, Arc<Entry<T>>>,
    /// How many objects there are of each resource, by its prefix.
    counts: OrdMap<Arc<str>, usize>,
}

impl<T> Snapshot<T> {
    pub(super) fn empty(revision: Revision) -> Snapshot<T> {
        Snapshot { revision, objects: OrdMap::new(), counts: OrdMap::new() }
    }

    /// The object at a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Arc<Entry<T>>> {
        self.objects.get(key)
    }

    /// The objects whose keys start with `prefix` and sort after `after` (which need not exist), in key order.
    pub fn range<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Arc<Entry<T>>> + use<'a, T> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let entries = self.objects.range::<_, str>((start, Bound::Unbounded)).map(|(_, entry)| entry);
        entries.take_while(move |entry| entry.key.as_str().starts_with(prefix))
    }

    /// How many objects start with `prefix`. Immediate for everything and for one resource, otherwise counted.
    #[must_use]
    pub fn len_of(&self, prefix: &str) -> usize {
        if prefix == "/" {
            return self.objects.len();
        }
        let is_resource = prefix.ends_with('/') && prefix.matches('/').count() == 3;
        if is_resource {
            return self.counts.get(prefix).copied().unwrap_or(0);
        }
        self.range(prefix, None).count()
    }

    /// The same objects at a later revision.
    pub(super) fn at(&self, revision: Revision) -> Snapshot<T> {
        Snapshot { revision, objects: self.objects.clone(), counts: self.counts.clone() }
    }

    /// Adds or replaces; returns what was there.
    pub(super) fn insert(&mut self, entry: &Arc<Entry<T>>) -> Option<Arc<Entry<T>>> {
        let previous = self.objects.insert(entry.key.clone(), Arc::clone(entry));
        if previous.is_none() {
            match self.counts.get_mut(entry.key.resource_prefix()) {
                Some(count) => *count += 1,
                None => drop(self.counts.insert(Arc::from(entry.key.resource_prefix()), 1)),
            }
        }
        previous
    }

    /// Removes; returns what was there.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<Entry<T>>> {
        let previous = self.objects.remove(key.as_str())?;
        if let Some(count) = self.counts.get_mut(key.resource_prefix()) {
            *count -= 1;
        }
        Some(previous)
    }
}

impl<T> fmt::Debug for Snapshot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut snapshot = f.debug_struct("Snapshot");
        snapshot.field("revision", &self.revision).field("objects", &self.objects.len()).finish()
    }
}
