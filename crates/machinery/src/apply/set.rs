//! Sets of fields: which parts of an object somebody owns.
//!
//! A set is a tree of steps. A node is in the set itself, or only leads to fields that are, or both: `spec.tags` may be
//! owned with or without the items in it. Nodes are sorted, and every node is in the set or has something below it.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::element::Element;
use crate::json;

/// A set of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) element: Element,
    pub(super) member: bool,
    pub(super) below: Set,
}

impl Set {
    /// True when nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A set of nodes in any order; no step is there twice.
    pub(super) fn from_nodes(mut nodes: Vec<Node>) -> Set {
        if !nodes.is_sorted_by(|a, b| a.element < b.element) {
            nodes.sort_by(|a, b| a.element.cmp(&b.element));
        }
        Set { nodes }
    }

    pub(super) fn find(&self, element: &Element) -> Option<&Node> {
        let at = self.nodes.binary_search_by(|node| node.element.cmp(element)).ok()?;
        Some(&self.nodes[at])
    }

    /// Puts a path into the set.
    pub fn insert(&mut self, path: &[Element]) {
        let Some((first, rest)) = path.split_first() else { return };
        let at = match self.nodes.binary_search_by(|node| node.element.cmp(first)) {
            Ok(at) => at,
            Err(at) => {
                let node = Node { element: first.clone(), member: false, below: Set::default() };
                self.nodes.insert(at, node);
                at
            }
        };
        if rest.is_empty() {
            self.nodes[at].member = true;
        } else {
            self.nodes[at].below.insert(rest);
        }
    }

    /// True when a path is in the set itself.
    pub fn contains(&self, path: &[Element]) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        self.find(first)
            .is_some_and(|node| if rest.is_empty() { node.member } else { node.below.contains(rest) })
    }

    /// What is in one or the other.
    #[must_use]
    pub fn union(self, other: Set) -> Set {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        let mut nodes = Vec::with_capacity(self.nodes.len().max(other.nodes.len()));
        let (mut left, mut right) = (self.nodes.into_iter().peekable(), other.nodes.into_iter().peekable());
        loop {
            let order = match (left.peek(), right.peek()) {
                (Some(a), Some(b)) => a.element.cmp(&b.element),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => return Set { nodes },
            };
            let from_left = if order.is_le() { left.next() } else { None };
            let from_right = if order.is_ge() { right.next() } else { None };
            nodes.extend(match (from_left, from_right) {
                (Some(a), Some(b)) => Some(Node {
                    element: a.element,
                    member: a.member || b.member,
                    below: a.below.union(b.below),
                }),
                (one, other) => one.or(other),
            });
        }
    }

    /// What is in this and not in the other; a field does not take along what is below it.
    #[must_use]
    pub fn difference(&self, other: &Set) -> Set {
        if other.is_empty() {
            return self.clone();
        }
        let nodes = self.nodes.iter().filter_map(|node| match other.find(&node.element) {
            None => Some(node.clone()),
            Some(taken) => {
                let member = node.member && !taken.member;
                let below = node.below.difference(&taken.below);
                (member || !below.is_empty()).then(|| Node { element: node.element.clone(), member, below })
            }
        });
        Set { nodes: nodes.collect() }
    }

    /// Takes out what is in the other; a field does not take along what is below it.
    pub fn remove(&mut self, other: &Set) {
        if other.is_empty() {
            return;
        }
        self.nodes.retain_mut(|node| {
            let Some(taken) = other.find(&node.element) else { return true };
            node.member &= !taken.member;
            node.below.remove(&taken.below);
            node.member || !node.below.is_empty()
        });
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Set) -> Set {
        if other.is_empty() {
            return Set::default();
        }
        let nodes = self.nodes.iter().filter_map(|node| {
            let found = other.find(&node.element)?;
            let member = node.member && found.member;
            let below = node.below.intersection(&found.below);
            (member || !below.is_empty()).then(|| Node { element: node.element.clone(), member, below })
        });
        Set { nodes: nodes.collect() }
    }

    /// True when everything in this is in the other too.
    pub fn is_subset(&self, other: &Set) -> bool {
        self.nodes.iter().all(|node| {
            other
                .find(&node.element)
                .is_some_and(|found| (!node.member || found.member) && node.below.is_subset(&found.below))
        })
    }

    /// Every path, written out; those of one level before those below it.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths
    }

    fn collect(&self, prefix: &str, paths: &mut Vec<String>) {
        for node in self.nodes.iter().filter(|node| node.member) {
            paths.push(format!("{prefix}{}", node.element));
        }
        for node in self.nodes.iter().filter(|node| !node.below.is_empty()) {
            node.below.collect(&format!("{prefix}{}", node.element), paths);
        }
    }

    /// The set as `FieldsV1`.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.write(false, &mut out);
        out
    }

    fn write(&self, itself: bool, out: &mut Vec<u8>) {
        out.push(b'{');
        if itself {
            out.extend_from_slice(b"\".\":{}");
        }
        for (index, node) in self.nodes.iter().enumerate() {
            if itself || index > 0 {
                out.push(b',');
            }
            json::compact_into(out, &node.element.wire());
            out.push(b':');
            node.below.write(node.member && !node.below.is_empty(), out);
        }
        out.push(b'}');
    }

    /// Reads `FieldsV1`. Steps of kinds that a later version may know are left out.
    ///
    /// # Errors
    /// When the document is no set.
    pub fn from_json(document: &[u8]) -> Result<Set, serde_json::Error> {
        serde_json::from_slice::<Read>(document).map(|read| read.set)
    }
}

/// A set as it was read, and whether it said that the node itself is in.
struct Read {
    set: Set,
    member: bool,
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Read, D::Error> {
        deserializer.deserialize_map(ReadVisitor)
    }
}

struct ReadVisitor;

impl<'de> Visitor<'de> for ReadVisitor {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a set of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Read, A::Error> {
        let mut nodes: Vec<Node> = Vec::new();
        let mut member = false;
        while let Some(key) = entries.next_key::<std::borrow::Cow<'_, str>>()? {
            if key == "." {
                member = true;
                entries.next_value::<IgnoredAny>()?;
                continue;
            }
            let Some(element) = Element::parse(&key).map_err(serde::de::Error::custom)? else {
                entries.next_value::<IgnoredAny>()?;
                continue;
            };
            let below: Read = entries.next_value()?;
            nodes.push(Node { element, member: below.member, below: below.set });
        }
        let member = member || nodes.is_empty();
        let set = Set::from_nodes(nodes);
        // One step in two spellings counts once.
        let mut merged: Vec<Node> = Vec::with_capacity(set.nodes.len());
        for node in set.nodes {
            match merged.last_mut().filter(|last| last.element == node.element) {
                Some(last) => {
                    last.member |= node.member;
                    last.below = std::mem::take(&mut last.below).union(node.below);
                }
                None => merged.push(node),
            }
        }
        Ok(Read { set: Set { nodes: merged }, member })
    }
}

#[cfg(test)]
mod tests;
