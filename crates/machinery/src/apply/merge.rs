//! What becomes of a document when somebody applies another to it: their fields win, lists that have keys merge, the rest
//! stays. And the opposite: taking fields out of a document.
//!
//! Items that both lists hold come in the order of the list that is applied, as far as the others leave them their places.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::element::Element;
use super::set::Set;
use super::shape::{Fields, Items, Walk, list, map};
use crate::schema::{Merge, Shape};

/// The live document with the applied one on top. Both fit the type.
pub(super) fn merge(live: &Value, applied: &Value, shape: Shape) -> Value {
    values(shape, Some(live), Some(applied)).unwrap_or(Value::Null)
}

fn values(shape: Shape, live: Option<&Value>, applied: Option<&Value>) -> Option<Value> {
    let (Some(_), Some(after)) = (live, applied) else {
        // One side is taken as it is, but for containers that hold nothing.
        return applied.or(live).cloned();
    };
    let walk = Walk::of(shape, applied);
    if !walk.is_like(&Walk::of(shape, live)) {
        return Some(after.clone());
    }
    match walk {
        Walk::Scalar(_) => Some(after.clone()),
        Walk::List(items) => {
            let (old, new) = (list(live), list(applied));
            let empty = old.is_none_or(Vec::is_empty) && new.is_none_or(Vec::is_empty);
            if items.merge == Merge::Atomic || empty {
                return Some(after.clone());
            }
            let none = Vec::new();
            Some(Value::Array(lists(items, old.unwrap_or(&none), new.unwrap_or(&none))))
        }
        Walk::Map(fields) => {
            let (old, new) = (map(live), map(applied));
            let empty = old.is_none_or(Map::is_empty) && new.is_none_or(Map::is_empty);
            if fields.atomic || empty {
                return Some(after.clone());
            }
            let none = Map::new();
            Some(Value::Object(maps(fields, old.unwrap_or(&none), new.unwrap_or(&none))))
        }
    }
}

fn maps(fields: Fields, live: &Map<String, Value>, applied: &Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::new();
    for (name, old) in live {
        let merged = match (applied.get(name), fields.shape(name)) {
            (Some(new), Some(shape)) => values(shape, Some(old), Some(new)),
            (Some(new), None) => Some(new.clone()),
            (None, _) => Some(old.clone()),
        };
        out.extend(merged.map(|value| (name.clone(), value)));
    }
    for (name, new) in applied {
        if !live.contains_key(name) {
            out.insert(name.clone(), new.clone());
        }
    }
    out
}

/// Merges two lists whose items are known by their keys.
fn lists(items: Items, live: &[Value], applied: &[Value]) -> Vec<Value> {
    // Most applies leave most items where they are.
    if items.are_paired(live, applied) {
        let pairs = live.iter().zip(applied);
        return pairs.filter_map(|(old, new)| values(items.item, Some(old), Some(new))).collect();
    }
    let elements = |list: &[Value]| -> Vec<Option<Element>> {
        list.iter().map(|item| items.element(item).ok()).collect()
    };
    let (old, new) = (elements(live), elements(applied));
    let old_at: BTreeMap<&Element, usize> = positions(&old);
    let new_at: BTreeMap<&Element, usize> = positions(&new);
    let mut shared = new.iter().flatten().filter(|element| old_at.contains_key(*element)).peekable();
    let mut merged: Vec<bool> = vec![false; new.len()];
    let mut out = Vec::with_capacity(live.len().max(applied.len()));
    let (mut left, mut right) = (0, 0);
    while left < live.len() || right < applied.len() {
        if let (Some(Some(l)), Some(Some(r))) = (old.get(left), new.get(right)) {
            if l == r {
                merged[right] = true;
                out.extend(values(items.item, Some(&live[left]), Some(&applied[right])));
                (left, right) = (left + 1, right + 1);
                shared.next();
                continue;
            }
            if new_at.contains_key(l) && shared.peek().is_some_and(|next| *next != l) {
                // It is wanted, but not here.
                left += 1;
                continue;
            }
        }
        if let Some(l) = old.get(left) {
            match l.as_ref().and_then(|l| new_at.get(l)) {
                None => {
                    out.push(live[left].clone());
                    left += 1;
                    continue;
                }
                Some(at) if merged[*at] => left += 1,
                Some(_) => {}
            }
        }
        if let Some(r) = new.get(right) {
            merged[right] = true;
            let before = r.as_ref().and_then(|r| old_at.get(r)).map(|at| &live[*at]);
            out.extend(values(items.item, before, Some(&applied[right])));
            right += 1;
            if shared.peek().copied() == r.as_ref() {
                shared.next();
            }
        }
    }
    out
}

fn positions(elements: &[Option<Element>]) -> BTreeMap<&Element, usize> {
    let known = elements.iter().enumerate();
    known.filter_map(|(at, element)| element.as_ref().map(|element| (element, at))).collect()
}

/// The document without some fields. A container that loses all it has becomes null.
pub(super) fn remove(document: &Value, fields: &Set, shape: Shape) -> Value {
    match Walk::of(shape, Some(document)) {
        Walk::Scalar(_) => document.clone(),
        Walk::List(items) => match document {
            Value::Array(list) if items.merge != Merge::Atomic => remove_items(list, fields, items),
            _ => Value::Null,
        },
        Walk::Map(inner) => match document {
            Value::Object(map) if !inner.atomic => remove_fields(map, fields, inner),
            _ => Value::Null,
        },
    }
}

fn remove_items(list: &[Value], gone: &Set, items: Items) -> Value {
    let mut kept = Vec::with_capacity(list.len());
    for item in list {
        let node = items.element(item).ok().and_then(|element| gone.find(&element));
        match node {
            None => kept.push(item.clone()),
            Some(node) if node.member => {}
            Some(node) => kept.push(remove(item, &node.below, items.item)),
        }
    }
    if kept.is_empty() { Value::Null } else { Value::Array(kept) }
}

fn remove_fields(map: &Map<String, Value>, gone: &Set, fields: Fields) -> Value {
    let mut kept = Map::new();
    for (name, value) in map {
        match gone.find(&Element::field(name)) {
            None => kept.insert(name.clone(), value.clone()),
            Some(node) if node.member => None,
            Some(node) => {
                let shape = fields.shape(name).unwrap_or(Shape::Any);
                kept.insert(name.clone(), remove(value, &node.below, shape))
            }
        };
    }
    if kept.is_empty() { Value::Null } else { Value::Object(kept) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::compare::compare;
    use super::super::owned;
    use super::super::testing::stream;
    use super::*;
    use crate::schema::IMAGE_STREAM;

    const STREAM: Shape = Shape::Object(&IMAGE_STREAM);

    fn order(live: &[&str], applied: &[&str], want: &[&str]) {
        let document = |names: &[&str]| {
            let tags: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
            json!({"spec": {"tags": tags}})
        };
        assert_eq!(
            merge(&document(live), &document(applied), STREAM),
            document(want),
            "{live:?} {applied:?}"
        );
    }

    #[test]
    fn items_keep_their_places_as_far_as_they_can() {
        order(&["a", "b"], &["c"], &["a", "b", "c"]);
        order(&["a", "b", "c"], &["c", "a"], &["b", "c", "a"]);
        order(&["a", "b"], &["b", "a"], &["b", "a"]);
        order(&["a", "b", "c"], &["a", "x", "c"], &["a", "b", "x", "c"]);
        order(&[], &["b", "a"], &["b", "a"]);
    }

    #[test]
    fn fields_that_are_applied_win() {
        let live = json!({"metadata": {"labels": {"a": "1", "b": "1"}}, "spec": {"tags": [{"name": "x", "from": {"kind": "A", "uid": "u"}, "reference": true}]}});
        let applied = json!({"metadata": {"labels": {"b": "2"}}, "spec": {"tags": [{"name": "x", "from": {"kind": "B"}}]}});
        let want = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"tags": [{"name": "x", "from": {"kind": "B"}, "reference": true}]}});
        assert_eq!(merge(&live, &applied, STREAM), want);
    }

    #[test]
    fn what_is_emptied_is_null() {
        let document =
            json!({"spec": {"tags": [{"name": "x", "reference": true}]}, "metadata": {"name": "a"}});
        let gone = Set::from_json(br#"{"f:spec":{"f:tags":{"k:{\"name\":\"x\"}":{}}}}"#).unwrap();
        assert_eq!(
            remove(&document, &gone, STREAM),
            json!({"spec": {"tags": null}, "metadata": {"name": "a"}})
        );
    }

    proptest! {
        #[test]
        fn applying_twice_is_applying_once(live in stream(), applied in stream()) {
            let once = merge(&live, &applied, STREAM);
            prop_assert_eq!(merge(&once, &applied, STREAM), once);
        }

        #[test]
        fn applying_what_is_there_changes_nothing(live in stream()) {
            prop_assert_eq!(merge(&live, &live, STREAM), live);
        }

        #[test]
        fn everything_applied_is_there_and_nothing_else_changes(live in stream(), applied in stream()) {
            let merged = merge(&live, &applied, STREAM);
            let mine = owned::fields(&applied, STREAM);
            prop_assert!(mine.is_subset(&owned::fields(&merged, STREAM)));
            let found = compare(&live, &merged, STREAM);
            let foreign = owned::fields(&live, STREAM).difference(&mine);
            prop_assert!(found.removed.intersection(&foreign).is_empty());
            prop_assert!(found.modified.is_subset(&mine));
        }

        #[test]
        fn what_is_taken_out_is_gone(document in stream(), other in stream()) {
            let gone = owned::fields(&other, STREAM);
            let left = owned::fields(&remove(&document, &gone, STREAM), STREAM);
            // A container that was emptied stands as null, so that its own place may show.
            let containers = compare(&remove(&document, &gone, STREAM), &document, STREAM).modified;
            prop_assert!(left.intersection(&gone).difference(&containers).is_empty());
        }
    }
}
