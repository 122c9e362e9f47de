//! Which workloads follow which streams.

use std::collections::{BTreeSet, HashMap};

use super::site::ObjectKey;
use crate::control::StreamKey;

/// Both directions of who follows whom.
#[derive(Debug, Default)]
pub(super) struct Index {
    followed: HashMap<ObjectKey, BTreeSet<StreamKey>>,
    followers: HashMap<StreamKey, BTreeSet<ObjectKey>>,
}

impl Index {
    /// Notes which streams a workload follows now; none when it is gone.
    pub(super) fn set(&mut self, key: &ObjectKey, streams: BTreeSet<StreamKey>) {
        let before = self.followed.remove(key).unwrap_or_default();
        for stream in before.difference(&streams) {
            if let Some(followers) = self.followers.get_mut(stream) {
                followers.remove(key);
                if followers.is_empty() {
                    self.followers.remove(stream);
                }
            }
        }
        for stream in streams.difference(&before) {
            self.followers.entry(stream.clone()).or_default().insert(key.clone());
        }
        if !streams.is_empty() {
            self.followed.insert(key.clone(), streams);
        }
    }

    /// The workloads that follow a stream.
    pub(super) fn followers(&self, stream: &StreamKey) -> impl Iterator<Item = &ObjectKey> {
        self.followers.get(stream).into_iter().flatten()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Index::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn followers_are_those_of_the_last_word() {
        let key = |name: &str| ObjectKey { kind: 0, namespace: "ns".to_owned(), name: name.to_owned() };
        let stream = |name: &str| StreamKey::new("ns", name);
        let mut index = Index::default();
        index.set(&key("a"), [stream("x"), stream("y")].into());
        index.set(&key("b"), [stream("x")].into());
        index.set(&key("a"), [stream("y")].into());
        let names = |index: &Index, of: &str| -> Vec<String> {
            index.followers(&stream(of)).map(|key| key.name.clone()).collect()
        };
        assert_eq!(names(&index, "x"), ["b"]);
        assert_eq!(names(&index, "y"), ["a"]);
        index.set(&key("a"), BTreeSet::new());
        index.set(&key("b"), BTreeSet::new());
        assert!(index.followed.is_empty() && index.followers.is_empty());
    }
}
