//! The fields that a document sets, as a set: what somebody who applies it owns.

use serde_json::Value;

use super::element::Element;
use super::set::{Node, Set};
use super::shape::{Fields, Items, Walk};
use crate::schema::{Merge, Shape};

/// The fields of a document that fits its type.
pub(super) fn fields(value: &Value, shape: Shape) -> Set {
    below(value, shape).1
}

/// Whether the value itself is owned, and what below it is.
fn below(value: &Value, shape: Shape) -> (bool, Set) {
    match Walk::of(shape, Some(value)) {
        Walk::Scalar(_) => (true, Set::default()),
        Walk::List(items) if items.merge == Merge::Atomic => (true, Set::default()),
        Walk::Map(fields) if fields.atomic => (true, Set::default()),
        Walk::List(items) => (false, of_list(value, items)),
        Walk::Map(fields) => (false, of_map(value, fields)),
    }
}

fn of_map(value: &Value, fields: Fields) -> Set {
    let Value::Object(map) = value else { return Set::default() };
    let nodes = map.iter().filter_map(|(name, value)| {
        let (owned, below) = below(value, fields.shape(name)?);
        let empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
        let member = owned || empty || fields.described(name).is_none();
        (member || !below.is_empty()).then(|| Node { element: Element::field(name), member, below })
    });
    Set::from_nodes(nodes.collect())
}

fn of_list(value: &Value, items: Items) -> Set {
    let Value::Array(list) = value else { return Set::default() };
    let mut nodes: Vec<Node> = Vec::with_capacity(list.len());
    for item in list {
        let Ok(element) = items.element(item) else { continue };
        nodes.push(Node { element, member: true, below: below(item, items.item).1 });
    }
    nodes.sort_by(|a, b| a.element.cmp(&b.element));
    // Of items that are there twice only the place is owned.
    let mut unique: Vec<Node> = Vec::with_capacity(nodes.len());
    for node in nodes {
        match unique.last_mut().filter(|last| last.element == node.element) {
            Some(last) => last.below = Set::default(),
            None => unique.push(node),
        }
    }
    Set::from_nodes(unique)
}

/// The same set with every described field on the way to an owned one.
pub(super) fn with_named_fields(set: &Set, shape: Option<Shape>) -> Set {
    let walk = shape.map(|shape| Walk::of(shape, None));
    let nodes = set.nodes().iter().map(|node| {
        let (named, inner) = match (&node.element, walk) {
            (Element::Field(name), Some(Walk::Map(fields))) => {
                (fields.described(name).is_some(), fields.shape(name))
            }
            (Element::Key(_), Some(Walk::List(items))) => (false, Some(items.item)),
            _ => (false, None),
        };
        let member = node.member || (named && !node.below.is_empty());
        Node { element: node.element.clone(), member, below: with_named_fields(&node.below, inner) }
    });
    Set::from_nodes(nodes.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::IMAGE_STREAM;

    #[test]
    fn leaves_and_items_are_owned() {
        let value = json!({
            "metadata": {"labels": {"l": "1"}, "annotations": {}},
            "spec": {"tags": [{"name": "one", "from": {"kind": "DockerImage", "name": "x"}, "annotations": null}]},
            "status": {"tags": []},
        });
        let set = fields(&value, Shape::Object(&IMAGE_STREAM));
        assert_eq!(
            String::from_utf8(set.to_json()).unwrap(),
            r#"{"f:metadata":{"f:annotations":{},"f:labels":{"f:l":{}}},"f:spec":{"f:tags":{"k:{\"name\":\"one\"}":{".":{},"f:annotations":{},"f:from":{},"f:name":{}}}}}"#
        );
        let named = with_named_fields(&set, Some(Shape::Object(&IMAGE_STREAM)));
        assert_eq!(named.difference(&set).paths(), [".metadata", ".spec", ".metadata.labels", ".spec.tags"]);
    }
}
