//! A map that forgets what was not used for longest once it weighs too much.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// A bounded map; every entry has a weight.
#[derive(Debug)]
pub struct Lru<K, V> {
    entries: HashMap<K, Held<V>>,
    by_use: BTreeMap<u64, K>,
    clock: u64,
    weight: usize,
    most: usize,
}

#[derive(Debug)]
struct Held<V> {
    value: V,
    weight: usize,
    used: u64,
}

impl<K: Clone + Eq + Hash, V> Lru<K, V> {
    /// An empty map that may weigh `most`.
    pub fn new(most: usize) -> Lru<K, V> {
        Lru { entries: HashMap::new(), by_use: BTreeMap::new(), clock: 0, weight: 0, most }
    }

    /// Looks an entry up, which counts as a use.
    pub fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let held = self.entries.get_mut(key)?;
        self.clock += 1;
        if let Some(key) = self.by_use.remove(&held.used) {
            self.by_use.insert(self.clock, key);
        }
        held.used = self.clock;
        Some(&held.value)
    }

    /// Adds or replaces an entry. One that weighs more than everything may is not kept.
    pub fn insert(&mut self, key: K, value: V, weight: usize) {
        self.remove(&key);
        if weight > self.most {
            return;
        }
        self.clock += 1;
        self.weight += weight;
        self.by_use.insert(self.clock, key.clone());
        self.entries.insert(key, Held { value, weight, used: self.clock });
        while self.weight > self.most {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            if let Some(held) = self.entries.remove(&oldest) {
                self.weight -= held.weight;
            }
        }
    }

    /// Removes an entry.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if let Some(held) = self.entries.remove(key) {
            self.by_use.remove(&held.used);
            self.weight -= held.weight;
        }
    }

    /// What all entries weigh together.
    pub fn weight(&self) -> usize {
        self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_go_first() {
        let mut lru = Lru::new(10);
        for key in ["a", "b", "c"] {
            lru.insert(key, key, 3);
        }
        assert_eq!(lru.get("a"), Some(&"a"));
        lru.insert("d", "d", 3);
        assert_eq!((lru.get("b").copied(), lru.get("a").copied(), lru.weight()), (None, Some("a"), 9));
    }

    #[test]
    fn replacing_and_removing_give_the_weight_back() {
        let mut lru = Lru::new(10);
        lru.insert("a", 1, 9);
        lru.insert("a", 2, 4);
        assert_eq!((lru.get("a").copied(), lru.weight()), (Some(2), 4));
        lru.insert("too big", 3, 11);
        assert_eq!((lru.get("too big").copied(), lru.get("a").copied()), (None, Some(2)));
        lru.remove("a");
        assert_eq!(lru.weight(), 0);
    }
}
