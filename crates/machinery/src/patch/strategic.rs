//! Strategic merge patches: like merge patches, but some lists merge by a key or as a set, and directives say more.
//!
//! - `$patch: replace|delete|merge` in an object (or in an item of a keyed list) replaces or removes it;
//! - `$setElementOrder/F` gives the order of list `F`;
//! - `$deleteFromPrimitiveList/F` removes words from list `F`;
//! - `$retainKeys` removes the fields of an object that it does not name.
//!
//! The order of a merged list without an order of its own follows the reference: known items stay where they are
//! relative to each other, new ones come before what only the server has.

use serde_json::{Map, Value};

use super::schema::{NONE, Rule};
use crate::schema::Object as Schema;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ORDER_PREFIX: &str = "$setElementOrder/";
const DELETE_PREFIX: &str = "$deleteFromPrimitiveList/";

type Object = Map<String, Value>;

/// Why a strategic merge patch makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StrategicError {
    /// An item of a keyed list lacks the key.
    #[error("map: {item} does not contain declared merge key: {key}")]
    NoMergeKey {
        /// The item, as JSON.
        item: String,
        /// The key.
        key: &'static str,
    },
    /// `$patch` says something unknown.
    #[error("unknown patch type '{word}' in map: {map}")]
    UnknownDirective {
        /// What it says.
        word: String,
        /// The object it stands in, as JSON.
        map: String,
    },
    /// `$patch: merge` in an item of a list.
    #[error("merging lists cannot yet be specified in the patch")]
    MergeInList,
    /// An order lacks items that the patch holds, or has them in another order.
    #[error("The order in patch list:\n{list}\n doesn't match $setElementOrder list:\n{order}\n")]
    Order {
        /// The list, as JSON.
        list: String,
        /// The order, as JSON.
        order: String,
    },
    /// A value that should be a list is none.
    #[error("invalid patch format of {0}: a list is needed")]
    NoList(String),
    /// `$retainKeys` is no list, or the patch holds a field that it does not name.
    #[error("invalid patch format of retainKeys")]
    RetainKeys,
    /// Objects and words in one list.
    #[error("the items of list {0} are of different kinds")]
    MixedList(String),
}

/// Merges a patch into an object. Whatever `object` was, a patch that is no object replaces it.
///
/// # Errors
/// [`StrategicError`] when a directive is wrong; the object is then half changed and must be thrown away.
pub fn strategic_merge(object: &mut Value, patch: Value, schema: &Schema) -> Result<(), StrategicError> {
    match patch {
        Value::Object(patch) => {
            if !object.is_object() {
                *object = Value::Object(Object::new());
            }
            let Value::Object(object) = object else { return Ok(()) };
            merge_map(object, patch, schema)
        }
        other => {
            *object = other;
            Ok(())
        }
    }
}

fn merge_map(object: &mut Object, mut patch: Object, schema: &Schema) -> Result<(), StrategicError> {
    if let Some(word) = patch.get(PATCH) {
        match word.as_str() {
            Some("replace") => {
                patch.remove(PATCH);
                *object = patch;
            }
            Some("delete") => object.clear(),
            Some("merge") => {
                patch.remove(PATCH);
                return merge_map(object, patch, schema);
            }
            _ => return Err(unknown_directive(word, &patch)),
        }
        return Ok(());
    }
    retain_keys(object, &mut patch)?;
    set_element_orders(object, &mut patch, schema)?;
    let (deletions, patch): (Vec<_>, Vec<_>) =
        patch.into_iter().partition(|(field, _)| field.starts_with(DELETE_PREFIX));
    for (field, words) in deletions {
        delete_words(object, &field[DELETE_PREFIX.len()..], &words)?;
    }
    for (field, value) in patch {
        merge_field(object, field, value, schema)?;
    }
    Ok(())
}

fn merge_field(
    object: &mut Object,
    field: String,
    value: Value,
    schema: &Schema,
) -> Result<(), StrategicError> {
    if value.is_null() {
        object.remove(&field);
        return Ok(());
    }
    let rule = Rule::of(schema, &field);
    let Some(held) = object.get_mut(&field) else {
        object.insert(field, without_directives(value));
        return Ok(());
    };
    match (held, value) {
        (held @ Value::Object(_), value @ Value::Object(_)) if matches!(rule, Some(Rule::Replace)) => {
            *held = value;
        }
        (Value::Object(held), Value::Object(value)) => match rule {
            Some(Rule::Object(fields)) => merge_map(held, value, fields)?,
            Some(Rule::Map(item)) => {
                let fields = held.keys().chain(value.keys()).cloned().collect::<Vec<_>>();
                merge_map_of(held, value, item, &fields)?;
            }
            _ => merge_map(held, value, &NONE)?,
        },
        (Value::Array(held), Value::Array(value)) => {
            let old = std::mem::take(held);
            *held = merge_list(&field, &old, value, rule)?;
        }
        (held, value) => *held = value,
    }
    Ok(())
}

/// A map whose values all follow one schema.
fn merge_map_of(
    object: &mut Object,
    mut patch: Object,
    item: &'static Schema,
    fields: &[String],
) -> Result<(), StrategicError> {
    if patch.contains_key(PATCH) {
        return merge_map(object, patch, &NONE);
    }
    retain_keys(object, &mut patch)?;
    for field in fields {
        let Some(value) = patch.remove(field) else { continue };
        match (object.get_mut(field), value) {
            (_, Value::Null) => {
                object.remove(field);
            }
            (Some(Value::Object(held)), Value::Object(value)) => merge_map(held, value, item)?,
            (_, value) => {
                object.insert(field.clone(), without_directives(value));
            }
        }
    }
    Ok(())
}

fn merge_list(
    field: &str,
    old: &[Value],
    patch: Vec<Value>,
    rule: Option<Rule>,
) -> Result<Vec<Value>, StrategicError> {
    let key = match rule {
        Some(Rule::List { key, .. }) => Some(key),
        Some(Rule::Set) => None,
        _ => return Ok(patch),
    };
    let objects = old.iter().chain(&patch).filter(|item| item.is_object()).count();
    let wanted = if key.is_some() { old.len() + patch.len() } else { 0 };
    if objects != wanted {
        return Err(StrategicError::MixedList(field.to_owned()));
    }
    let (merged, patched) = match rule {
        Some(Rule::List { key, item }) => merge_items(old.to_vec(), patch, key, item)?,
        _ => (without_repetition(old.iter().chain(&patch)), patch),
    };
    Ok(ordered(merged, &patched, old, key))
}

/// Merges the items of a keyed list. Also returns the patch's items without the special ones.
fn merge_items(
    mut old: Vec<Value>,
    patch: Vec<Value>,
    key: &'static str,
    schema: &'static Schema,
) -> Result<(Vec<Value>, Vec<Value>), StrategicError> {
    let mut replace = false;
    let mut plain = Vec::with_capacity(patch.len());
    for item in patch {
        match item.get(PATCH) {
            None => plain.push(item),
            Some(word) => match word.as_str() {
                Some("delete") => {
                    let wanted = item.get(key).ok_or_else(|| no_merge_key(&item, key))?;
                    old.retain(|held| held.get(key) != Some(wanted));
                }
                Some("replace") => replace = true,
                Some("merge") => return Err(StrategicError::MergeInList),
                _ => {
                    let map = item.as_object().cloned().unwrap_or_default();
                    return Err(unknown_directive(word, &map));
                }
            },
        }
    }
    if replace {
        return Ok((plain, Vec::new()));
    }
    for item in &plain {
        let wanted = item.get(key).ok_or_else(|| no_merge_key(item, key))?;
        match old.iter_mut().find(|held| held.get(key) == Some(wanted)) {
            Some(held) => strategic_merge(held, item.clone(), schema)?,
            None => old.push(without_directives(item.clone())),
        }
    }
    Ok((old, plain))
}

/// Puts a merged list into order: the patch's items as in `order`, the others as in `server`, and both woven together by
/// what the server's order says about them.
fn ordered(merged: Vec<Value>, order: &[Value], server: &[Value], key: Option<&str>) -> Vec<Value> {
    let place = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item, key));
    let (mut patched, mut rest): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| place(order, item).is_some());
    patched.sort_by_key(|item| place(order, item));
    rest.sort_by_key(|item| place(server, item));
    let mut out = Vec::with_capacity(patched.len() + rest.len());
    let mut rest = rest.into_iter().peekable();
    let mut patched = patched.into_iter().peekable();
    loop {
        let rest_first = match (rest.peek(), patched.peek()) {
            (None, None) => return out,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(left), Some(right)) => match (place(server, left), place(server, right)) {
                (Some(left), Some(right)) => left < right,
                _ => false,
            },
        };
        out.extend(if rest_first { rest.next() } else { patched.next() });
    }
}

fn same(a: &Value, b: &Value, key: Option<&str>) -> bool {
    match key {
        Some(key) => a.get(key).is_some() && a.get(key) == b.get(key),
        None => a == b,
    }
}

/// Handles every `$setElementOrder/F`, merging list `F` on the way.
fn set_element_orders(
    object: &mut Object,
    patch: &mut Object,
    schema: &Schema,
) -> Result<(), StrategicError> {
    let orders: Vec<String> = patch.keys().filter(|field| field.starts_with(ORDER_PREFIX)).cloned().collect();
    for directive in orders {
        let field = &directive[ORDER_PREFIX.len()..];
        let Some(Value::Array(order)) = patch.remove(&directive) else {
            return Err(StrategicError::NoList(directive));
        };
        let rule = Rule::of(schema, field);
        let key = if let Some(Rule::List { key, .. }) = rule { Some(key) } else { None };
        let patched = match patch.get(field) {
            None | Some(Value::Null) => None,
            Some(Value::Array(list)) => Some(list.clone()),
            Some(_) => return Err(StrategicError::NoList(field.to_owned())),
        };
        if let Some(list) = &patched {
            check_order(list, &order, key)?;
        }
        let old = match object.get(field) {
            Some(Value::Array(list)) => Some(list.clone()),
            _ => None,
        };
        let merged = match (old.clone(), patched) {
            (None, None) => continue,
            (Some(old), None) => old,
            (None, Some(list)) => match without_directives(Value::Array(list)) {
                Value::Array(list) => list,
                _ => continue,
            },
            (Some(old), Some(list)) => merge_list(field, &old, list, rule)?,
        };
        // A removal of the whole list must still come through.
        if patch.get(field).is_some_and(Value::is_null) {
            continue;
        }
        let merged = ordered(merged, &order, &old.unwrap_or_default(), key);
        object.insert(field.to_owned(), Value::Array(merged));
        patch.remove(field);
    }
    Ok(())
}

/// The order must hold the patch's items, in their order.
fn check_order(list: &[Value], order: &[Value], key: Option<&'static str>) -> Result<(), StrategicError> {
    let mut places = order.iter();
    for item in list.iter().filter(|item| item.get(PATCH).is_none()) {
        if let Some(key) = key
            && item.get(key).is_none()
        {
            return Err(no_merge_key(item, key));
        }
        if !places.any(|place| same(place, item, key)) {
            return Err(StrategicError::Order {
                list: Value::from(list.to_vec()).to_string(),
                order: Value::from(order.to_vec()).to_string(),
            });
        }
    }
    Ok(())
}

fn delete_words(object: &mut Object, field: &str, words: &Value) -> Result<(), StrategicError> {
    let Value::Array(words) = words else {
        return Err(StrategicError::NoList(format!("{DELETE_PREFIX}{field}")));
    };
    if let Some(Value::Array(held)) = object.get_mut(field) {
        held.retain(|word| !words.contains(word));
    }
    Ok(())
}

fn retain_keys(object: &mut Object, patch: &mut Object) -> Result<(), StrategicError> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(keys) = keys else { return Err(StrategicError::RetainKeys) };
    let named = |field: &str| keys.iter().any(|key| key.as_str() == Some(field));
    let directive = |field: &str| field.starts_with(ORDER_PREFIX) || field.starts_with(DELETE_PREFIX);
    if patch.iter().any(|(field, value)| !value.is_null() && !directive(field) && !named(field)) {
        return Err(StrategicError::RetainKeys);
    }
    object.retain(|field, _| named(field));
    Ok(())
}

/// What a patch adds where there was nothing: directives have nothing to act on, nulls nothing to remove.
fn without_directives(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(field, value)| !value.is_null() && !is_directive(field))
                .map(|(field, value)| (field, without_directives(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(
            items.into_iter().filter(|item| item.get(PATCH).is_none()).map(without_directives).collect(),
        ),
        other => other,
    }
}

fn is_directive(field: &str) -> bool {
    field == PATCH
        || field == RETAIN_KEYS
        || field.starts_with(ORDER_PREFIX)
        || field.starts_with(DELETE_PREFIX)
}

fn without_repetition<'a>(items: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for item in items {
        if !out.contains(item) {
            out.push(item.clone());
        }
    }
    out
}

fn no_merge_key(item: &Value, key: &'static str) -> StrategicError {
    StrategicError::NoMergeKey { item: item.to_string(), key }
}

fn unknown_directive(word: &Value, map: &Object) -> StrategicError {
    let word = word.as_str().map_or_else(|| word.to_string(), str::to_owned);
    StrategicError::UnknownDirective { word, map: Value::Object(map.clone()).to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::diff::tests::any_value;
    use super::*;
    use crate::schema::{IMAGE, IMAGE_STREAM};

    fn stream() -> Value {
        json!({
            "metadata": {"name": "a", "labels": {"k": "v"}, "finalizers": ["x/1", "x/2"]},
            "spec": {"tags": [
                {"name": "one", "annotations": {"a": "1", "b": "2"}, "from": {"kind": "DockerImage", "name": "x:1"}},
                {"name": "two", "from": {"kind": "DockerImage", "name": "x:2"}},
            ]},
        })
    }

    fn merged(patch: Value) -> Result<Value, StrategicError> {
        let mut object = stream();
        strategic_merge(&mut object, patch, &IMAGE_STREAM)?;
        Ok(object)
    }

    fn at(patch: Value, pointer: &str) -> Value {
        merged(patch).unwrap().pointer(pointer).cloned().unwrap_or(Value::Null)
    }

    fn names(patch: Value) -> Vec<String> {
        let tags = at(patch, "/spec/tags");
        tags.as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn keyed_lists_merge_item_by_item() {
        let patch = json!({"spec": {"tags": [{"name": "one", "annotations": {"a": null, "c": "3"}}]}});
        assert_eq!(at(patch.clone(), "/spec/tags/0/annotations"), json!({"b": "2", "c": "3"}));
        assert_eq!(names(patch), ["one", "two"]);
        assert_eq!(names(json!({"spec": {"tags": [{"name": "one", "$patch": "delete"}]}})), ["two"]);
        assert_eq!(names(json!({"spec": {"tags": [{"$patch": "replace"}, {"name": "only"}]}})), ["only"]);
        let patch = json!({"spec": {"$setElementOrder/tags": [{"name": "two"}, {"name": "three"}, {"name": "one"}],
            "tags": [{"name": "three"}]}});
        assert_eq!(names(patch), ["two", "three", "one"]);
        assert_eq!(
            names(json!({"spec": {"$setElementOrder/tags": [{"name": "two"}, {"name": "one"}]}})),
            ["two", "one"]
        );
    }

    #[test]
    fn objects_can_be_replaced_emptied_and_trimmed() {
        let patch =
            json!({"spec": {"tags": [{"name": "one", "annotations": {"$patch": "replace", "c": "3"}}]}});
        assert_eq!(at(patch, "/spec/tags/0/annotations"), json!({"c": "3"}));
        assert_eq!(at(json!({"metadata": {"labels": {"$patch": "delete"}}}), "/metadata/labels"), json!({}));
        let patch =
            json!({"spec": {"tags": [{"name": "one", "from": {"$retainKeys": ["name"], "name": "x:9"}}]}});
        assert_eq!(at(patch, "/spec/tags/0/from"), json!({"name": "x:9"}));
        let mut image = json!({"dockerImageMetadata": {"Id": "a", "Size": 1}});
        strategic_merge(&mut image, json!({"dockerImageMetadata": {"Id": "b"}}), &IMAGE).unwrap();
        assert_eq!(image, json!({"dockerImageMetadata": {"Id": "b"}}));
    }

    #[test]
    fn finalizers_are_a_set() {
        let check = |patch: Value, want: Value| {
            assert_eq!(at(json!({"metadata": patch}), "/metadata/finalizers"), want);
        };
        check(json!({"$deleteFromPrimitiveList/finalizers": ["x/1"]}), json!(["x/2"]));
        check(json!({"finalizers": ["x/2"]}), json!(["x/1", "x/2"]));
        check(json!({"finalizers": ["x/3"]}), json!(["x/3", "x/1", "x/2"]));
        check(
            json!({"finalizers": ["x/3"], "$setElementOrder/finalizers": ["x/3", "x/2", "x/1"]}),
            json!(["x/3", "x/2", "x/1"]),
        );
        check(json!({"finalizers": null}), Value::Null);
    }

    #[test]
    fn other_lists_and_new_values_are_taken_whole() {
        let mut object =
            json!({"status": {"tags": [{"tag": "x", "items": [{"image": "1"}, {"image": "2"}]}]}});
        let patch = json!({"status": {"tags": [{"tag": "x", "items": [{"image": "3"}]}]}});
        strategic_merge(&mut object, patch, &IMAGE_STREAM).unwrap();
        assert_eq!(object, json!({"status": {"tags": [{"tag": "x", "items": [{"image": "3"}]}]}}));
        let patch =
            json!({"extra": {"a": null, "$patch": "merge", "b": [{"$patch": "delete", "c": 1}, {"d": 2}]}});
        assert_eq!(at(patch, "/extra"), json!({"b": [{"d": 2}]}));
        assert_eq!(at(json!({"spec": {"tags": "wrong"}}), "/spec/tags"), json!("wrong"));
    }

    #[test]
    fn wrong_directives_are_errors() {
        let check = |patch: Value, want: &str| {
            let error = merged(patch).unwrap_err().to_string();
            assert!(error.starts_with(want), "{error}");
        };
        check(
            json!({"spec": {"tags": [{"from": {}}]}}),
            "map: {\"from\":{}} does not contain declared merge key",
        );
        check(json!({"spec": {"$patch": "explode"}}), "unknown patch type 'explode' in map");
        check(
            json!({"spec": {"tags": [{"name": "one", "$patch": "explode"}]}}),
            "unknown patch type 'explode'",
        );
        check(
            json!({"spec": {"$setElementOrder/tags": [{"name": "one"}], "tags": [{"name": "three"}]}}),
            "The order in patch list",
        );
        check(
            json!({"spec": {"$retainKeys": ["lookupPolicy"], "tags": []}}),
            "invalid patch format of retainKeys",
        );
        check(json!({"metadata": {"$deleteFromPrimitiveList/finalizers": "x"}}), "invalid patch format");
    }

    proptest! {
        #[test]
        fn nothing_panics(patch in any_value(), field in "spec|status|metadata", inner in "tags|finalizers|\\$patch") {
            let _ = merged(json!({field: {inner: patch}}));
        }

        #[test]
        fn without_schema_and_lists_it_is_a_merge_patch(object in any_value(), patch in any_value()) {
            prop_assume!(patch.is_object() && object.is_object());
            let mut strategic = object.clone();
            strategic_merge(&mut strategic, patch.clone(), &NONE).unwrap();
            let mut merge = object;
            json_patch::merge(&mut merge, &patch);
            prop_assert_eq!(strategic, merge);
        }

        #[test]
        fn merging_twice_is_merging_once(patch in any_value()) {
            let mut once = stream();
            if strategic_merge(&mut once, json!({"spec": patch}), &IMAGE_STREAM).is_ok() {
                let mut twice = once.clone();
                strategic_merge(&mut twice, json!({"spec": patch}), &IMAGE_STREAM).unwrap();
                prop_assert_eq!(once, twice);
            }
        }
    }
}
