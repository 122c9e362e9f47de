//! What differs between two documents of a type.
//!
//! Subtrees that are equal cost nothing but the comparison: steps are only made for what differs.

use serde_json::{Map, Value};

use super::element::{Element, same};
use super::set::{Node, Set};
use super::shape::{Fields, Items, Walk, list, map};
use crate::schema::{Merge, Shape};

/// What differs: each field in one of the three sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) added: Set,
    pub(super) removed: Set,
    pub(super) modified: Set,
}

impl Comparison {
    /// True when the documents are the same.
    pub(super) fn is_same(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.modified.is_empty()
    }
}

/// Compares two documents.
pub(super) fn compare(old: &Value, new: &Value, shape: Shape) -> Comparison {
    value(shape, Some(old), Some(new)).below.finish()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Added,
    Removed,
    Modified,
}

/// What differs at and below one value.
#[derive(Default)]
struct Difference {
    itself: Option<Change>,
    below: Below,
}

/// The nodes of three sets.
#[derive(Default)]
struct Below {
    added: Vec<Node>,
    removed: Vec<Node>,
    modified: Vec<Node>,
}

impl Below {
    fn finish(self) -> Comparison {
        Comparison {
            added: Set::from_nodes(self.added),
            removed: Set::from_nodes(self.removed),
            modified: Set::from_nodes(self.modified),
        }
    }

    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.modified.is_empty()
    }

    /// Hangs what differs below a step into the sets.
    fn attach(&mut self, element: &Element, difference: Difference) {
        let Difference { itself, below } = difference;
        let Comparison { added, removed, modified } = below.finish();
        let sets = [
            (&mut self.added, added, Change::Added),
            (&mut self.removed, removed, Change::Removed),
            (&mut self.modified, modified, Change::Modified),
        ];
        for (nodes, below, change) in sets {
            let member = itself == Some(change);
            if member || !below.is_empty() {
                nodes.push(Node { element: element.clone(), member, below });
            }
        }
    }
}

/// Compares two values, at least one of which is there.
fn value(shape: Shape, old: Option<&Value>, new: Option<&Value>) -> Difference {
    let (before, after) = (Walk::of(shape, old), Walk::of(shape, new));
    let (mut difference, is_leaf) = match (old, new) {
        (_, None) => walk(before, old, new),
        (None, _) => walk(after, old, new),
        _ if before.is_like(&after) => walk(after, old, new),
        // Something else stands here now: what was below goes, what is below comes.
        _ => {
            let (gone, _) = walk(before, old, None);
            let (mut come, _) = walk(after, None, new);
            come.below.removed = gone.below.removed;
            come.itself = Some(Change::Modified);
            (come, true)
        }
    };
    if !is_leaf {
        if old.is_none() {
            difference.itself = Some(Change::Added);
        } else if new.is_none() {
            difference.itself = Some(Change::Removed);
        }
    }
    difference
}

/// Compares two values that are walked in one way; also tells whether they are leaves.
fn walk(walk: Walk, old: Option<&Value>, new: Option<&Value>) -> (Difference, bool) {
    match walk {
        Walk::Scalar(_) => (leaf(old, new), true),
        Walk::List(items) => {
            let (before, after) = (list(old), list(new));
            let empty = before.is_none_or(Vec::is_empty) && after.is_none_or(Vec::is_empty);
            if items.merge == Merge::Atomic || empty {
                return (leaf(old, new), true);
            }
            let none = Vec::new();
            let below = compare_lists(items, before.unwrap_or(&none), after.unwrap_or(&none));
            (Difference { itself: None, below }, false)
        }
        Walk::Map(fields) => {
            let (before, after) = (map(old), map(new));
            let empty = before.is_none_or(Map::is_empty) && after.is_none_or(Map::is_empty);
            if fields.atomic || empty {
                return (leaf(old, new), true);
            }
            let below = compare_maps(fields, before, after);
            (Difference { itself: None, below }, false)
        }
    }
}

fn leaf(old: Option<&Value>, new: Option<&Value>) -> Difference {
    let itself = match (old, new) {
        (None, _) => Some(Change::Added),
        (_, None) => Some(Change::Removed),
        (Some(old), Some(new)) => (!same(old, new)).then_some(Change::Modified),
    };
    Difference { itself, below: Below::default() }
}

fn compare_maps(fields: Fields, old: Option<&Map<String, Value>>, new: Option<&Map<String, Value>>) -> Below {
    let mut below = Below::default();
    let get = |map: Option<&Map<String, Value>>, name: &str| map.is_some_and(|map| map.contains_key(name));
    let both =
        old.into_iter().flatten().map(|(name, value)| (name, Some(value), new.and_then(|new| new.get(name))));
    let only_new = new.into_iter().flatten().filter(|(name, _)| !get(old, name));
    for (name, old, new) in both.chain(only_new.map(|(name, value)| (name, None, Some(value)))) {
        let Some(shape) = fields.shape(name) else { continue };
        let difference = value(shape, old, new);
        if difference.itself.is_some() || !difference.below.is_empty() {
            below.attach(&Element::field(name), difference);
        }
    }
    below
}

/// The items of both lists by what tells them apart.
struct Pair<'a> {
    element: &'a Element,
    old: Vec<&'a Value>,
    new: Vec<&'a Value>,
}

/// Items that may differ in lists that are otherwise the same, for a comparison without sorting.
const FEW: usize = 8;

fn compare_lists(items: Items, old: &[Value], new: &[Value]) -> Below {
    compare_paired(items, old, new).unwrap_or_else(|| compare_sorted(items, old, new))
}

/// Compares lists of the same items in the same order; `None` for others, and where much differs.
fn compare_paired(items: Items, old: &[Value], new: &[Value]) -> Option<Below> {
    if !items.are_paired(old, new) {
        return None;
    }
    let mut below = Below::default();
    let differ = old.iter().zip(new).filter(|(old, new)| !same(old, new));
    for (count, (before, after)) in differ.enumerate() {
        let word = items.word(before);
        // Items that are there more often are one value.
        if count == FEW || old.iter().filter(|item| items.word(item) == word).count() > 1 {
            return None;
        }
        let pair = Pair { element: &items.element(before).ok()?, old: vec![before], new: vec![after] };
        compare_items(items.item, pair, &mut below);
    }
    Some(below)
}

fn compare_sorted(items: Items, old: &[Value], new: &[Value]) -> Below {
    let mut sides: Vec<(Element, bool, &Value)> = Vec::with_capacity(old.len() + new.len());
    for (is_new, list) in [(false, old), (true, new)] {
        for item in list {
            if let Ok(element) = items.element(item) {
                sides.push((element, is_new, item));
            }
        }
    }
    sides.sort_by(|a, b| a.0.cmp(&b.0));
    let mut below = Below::default();
    for group in sides.chunk_by(|a, b| a.0 == b.0) {
        let side =
            |wanted: bool| group.iter().filter(move |side| side.1 == wanted).map(|side| side.2).collect();
        let pair = Pair { element: &group[0].0, old: side(false), new: side(true) };
        compare_items(items.item, pair, &mut below);
    }
    below
}

/// Items are there once, as a rule; those that are there more often are one value.
fn compare_items(shape: Shape, pair: Pair<'_>, below: &mut Below) {
    let Pair { element, old, new } = pair;
    let difference = match (old.as_slice(), new.as_slice()) {
        ([] | [_], [] | [_]) => value(shape, old.first().copied(), new.first().copied()),
        ([_, _, ..], [_, _, ..]) => {
            let equal = old.len() == new.len() && old.iter().zip(&new).all(|(old, new)| same(old, new));
            Difference { itself: (!equal).then_some(Change::Modified), below: Below::default() }
        }
        (_, []) => Difference { itself: Some(Change::Removed), below: Below::default() },
        ([], _) => Difference { itself: Some(Change::Added), below: Below::default() },
        // Once before and several times now, or the reverse: the place is another one.
        _ => Difference { itself: Some(Change::Modified), below: Below::default() },
    };
    if difference.itself.is_some() || !difference.below.is_empty() {
        below.attach(element, difference);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testing::stream;
    use super::*;
    use crate::schema::IMAGE_STREAM;

    const STREAM: Shape = Shape::Object(&IMAGE_STREAM);

    #[test]
    fn only_what_differs_is_told() {
        let old = json!({"spec": {"tags": [{"name": "a", "reference": true}, {"name": "b"}]}, "metadata": {"labels": {"x": "1"}}});
        let new = json!({"spec": {"tags": [{"name": "a", "reference": false}, {"name": "c", "annotations": {}}]}, "metadata": {}});
        let found = compare(&old, &new, STREAM);
        assert_eq!(
            found.added.paths(),
            [".spec.tags[name=\"c\"]", ".spec.tags[name=\"c\"].annotations", ".spec.tags[name=\"c\"].name"]
        );
        assert_eq!(
            found.removed.paths(),
            [
                ".metadata.labels",
                ".metadata.labels.x",
                ".spec.tags[name=\"b\"]",
                ".spec.tags[name=\"b\"].name"
            ]
        );
        assert_eq!(found.modified.paths(), [".spec.tags[name=\"a\"].reference"]);
    }

    #[test]
    fn items_that_are_there_twice_are_one_value() {
        let tags = |sources: &[&str]| {
            let tags: Vec<Value> =
                sources.iter().map(|source| json!({"name": "a", "from": {"name": source}})).collect();
            json!({"spec": {"tags": tags}})
        };
        let found = compare(&tags(&["x", "y"]), &tags(&["x", "z"]), STREAM);
        assert_eq!(found.modified.paths(), [".spec.tags[name=\"a\"]"]);
        assert!(found.added.is_empty() && found.removed.is_empty());
    }

    #[test]
    fn values_without_a_type_may_change_their_kind() {
        let shape = Shape::Map(&Shape::Any);
        let found = compare(&json!({"a": {"b": 1}}), &json!({"a": [1]}), shape);
        assert_eq!(found.modified.paths(), [".a"]);
        assert_eq!(found.removed.paths(), [".a.b"]);
    }

    proptest! {
        #[test]
        fn equal_documents_do_not_differ(document in stream()) {
            prop_assert!(compare(&document, &document, STREAM).is_same());
        }

        #[test]
        fn what_comes_one_way_goes_the_other(a in stream(), b in stream()) {
            let (there, back) = (compare(&a, &b, STREAM), compare(&b, &a, STREAM));
            prop_assert_eq!(there.added, back.removed);
            prop_assert_eq!(there.removed, back.added);
            prop_assert_eq!(there.modified, back.modified);
        }
    }
}
