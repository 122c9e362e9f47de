//! Which deliveries wait in which lane, and which are finished.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::limits::{BATCH, HISTORY};

/// Deliveries that go one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lane {
    pub namespace: String,
    pub kind: String,
    pub trigger: String,
    pub tag: String,
}

impl Lane {
    pub(super) fn owner(&self) -> Owner {
        Owner { namespace: self.namespace.clone(), kind: self.kind.clone(), name: self.trigger.clone() }
    }
}

/// The trigger that deliveries belong to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Owner {
    pub namespace: String,
    pub kind: String,
    pub name: String,
}

/// A delivery by its place: the revision of its move, then its name.
type Place = (u64, String);

/// Everything that is known of deliveries.
#[derive(Debug, Default)]
pub(super) struct Book {
    waiting: HashMap<Lane, BTreeSet<Place>>,
    finished: HashMap<Owner, BTreeSet<Place>>,
    /// In order, so that a simulation can be repeated.
    places: BTreeMap<(String, String), (Lane, Place)>,
}

impl Book {
    /// Takes in a delivery.
    pub(super) fn set(&mut self, lane: &Lane, revision: u64, name: &str, waits: bool) {
        self.forget(&lane.namespace, name);
        let place = (revision, name.to_owned());
        let key = (lane.namespace.clone(), name.to_owned());
        self.places.insert(key, (lane.clone(), place.clone()));
        if waits {
            self.waiting.entry(lane.clone()).or_default().insert(place);
        } else {
            self.finished.entry(lane.owner()).or_default().insert(place);
        }
    }

    /// Lets go of a delivery; its lane when it was known.
    pub(super) fn forget(&mut self, namespace: &str, name: &str) -> Option<Lane> {
        let (lane, place) = self.places.remove(&(namespace.to_owned(), name.to_owned()))?;
        remove(&mut self.waiting, &lane, &place);
        remove(&mut self.finished, &lane.owner(), &place);
        Some(lane)
    }

    /// The delivery of a lane that is to be attempted.
    pub(super) fn first(&self, lane: &Lane) -> Option<String> {
        self.waiting.get(lane)?.first().map(|(_, name)| name.clone())
    }

    /// Finished deliveries beyond those that are kept once one more is finished, the oldest.
    pub(super) fn excess(&self, owner: &Owner) -> Vec<String> {
        let Some(finished) = self.finished.get(owner) else { return Vec::new() };
        let more = (finished.len() + 1).saturating_sub(HISTORY).min(BATCH);
        finished.iter().take(more).map(|(_, name)| name.clone()).collect()
    }

    /// All deliveries of a trigger.
    pub(super) fn of(&self, owner: &Owner) -> Vec<String> {
        let mine = |lane: &Lane| lane.owner() == *owner;
        self.places.iter().filter(|(_, (lane, _))| mine(lane)).map(|((_, name), _)| name.clone()).collect()
    }

    /// The triggers that have deliveries.
    pub(super) fn owners(&self) -> BTreeSet<Owner> {
        self.places.values().map(|(lane, _)| lane.owner()).collect()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Book::default();
    }
}

fn remove<K: std::hash::Hash + Eq>(held: &mut HashMap<K, BTreeSet<Place>>, key: &K, place: &Place) {
    if let Some(places) = held.get_mut(key) {
        places.remove(place);
        if places.is_empty() {
            held.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(tag: &str) -> Lane {
        Lane {
            namespace: "ns".to_owned(),
            kind: "WebhookTrigger".to_owned(),
            trigger: "w".to_owned(),
            tag: tag.to_owned(),
        }
    }

    #[test]
    fn a_lane_goes_in_the_order_of_the_moves_and_tags_do_not_wait_for_each_other() {
        let mut book = Book::default();
        book.set(&lane("a"), 9, "late", true);
        book.set(&lane("a"), 7, "early", true);
        book.set(&lane("b"), 8, "other", true);
        assert_eq!(book.first(&lane("a")).as_deref(), Some("early"));
        assert_eq!(book.first(&lane("b")).as_deref(), Some("other"));
        book.set(&lane("a"), 7, "early", false);
        assert_eq!(book.first(&lane("a")).as_deref(), Some("late"));
        assert_eq!(book.forget("ns", "late"), Some(lane("a")));
        assert_eq!(book.first(&lane("a")), None);
    }

    #[test]
    fn the_oldest_finished_ones_are_let_go() {
        let mut book = Book::default();
        for at in 0..HISTORY as u64 + 2 {
            book.set(&lane("a"), at, &format!("d{at}"), false);
        }
        assert_eq!(book.excess(&lane("a").owner()), ["d0", "d1", "d2"]);
    }
}
