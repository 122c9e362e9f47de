//! The patch behind `apply`: from what was applied last, what is applied now and what is there.
//!
//! What is in the file wins; what was in it last time and is no more is removed; everything else stays. Lists of keyed
//! items (tags of a stream) merge item by item, so that tags others made survive.

use machinery::patch::Rule;
use machinery::schema::{self, Object};
use serde_json::{Map, Value, json};

/// How the fields of a kind merge; nothing for kinds that only merge patches are made for.
pub(crate) fn schema(api_version: &str, kind: &str) -> Option<&'static Object> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    schema::of(group, version, kind).or_else(|| schema::workload(group, kind))
}

/// The media type of patches made with (or without) a schema.
pub(crate) fn media_type(schema: Option<&Object>) -> &'static str {
    if schema.is_some() { "application/strategic-merge-patch+json" } else { "application/merge-patch+json" }
}

/// The patch; an empty object when nothing is to be done.
pub(crate) fn patch(original: &Value, modified: &Value, current: &Value, schema: Option<&Object>) -> Value {
    let map = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (original, modified, current) = (map(original), map(modified), map(current));
    Value::Object(maps(&original, &modified, &current, schema))
}

fn maps(
    original: &Map<String, Value>,
    modified: &Map<String, Value>,
    current: &Map<String, Value>,
    schema: Option<&Object>,
) -> Map<String, Value> {
    let mut patch = Map::new();
    for key in original.keys() {
        if !modified.contains_key(key) && current.contains_key(key) {
            patch.insert(key.clone(), Value::Null);
        }
    }
    for (key, wanted) in modified {
        let rule = schema.and_then(|schema| Rule::of(schema, key));
        let held = current.get(key);
        if held == Some(wanted) && !matches!(rule, Some(Rule::List { .. })) {
            continue;
        }
        match (wanted, held, rule) {
            (Value::Object(wanted), Some(Value::Object(held)), rule)
                if !matches!(rule, Some(Rule::Replace)) =>
            {
                let inner = match rule {
                    Some(Rule::Object(inner) | Rule::Map(inner)) => Some(inner),
                    _ => None,
                };
                let before = original.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
                let changes = maps(&before, wanted, held, inner);
                if !changes.is_empty() {
                    patch.insert(key.clone(), Value::Object(changes));
                }
            }
            (Value::Array(wanted), Some(Value::Array(held)), Some(Rule::List { key: by, item })) => {
                let before = original.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
                let (changes, order) = lists(&before, wanted, held, by, item);
                if !changes.is_empty() {
                    patch.insert(key.clone(), Value::Array(changes));
                    patch.insert(format!("$setElementOrder/{key}"), order);
                }
            }
            (Value::Null, None, _) => {}
            _ => {
                patch.insert(key.clone(), wanted.clone());
            }
        }
    }
    patch
}

/// Changes of the items of a keyed list, and the order of those that are wanted.
fn lists(
    original: &[Value],
    modified: &[Value],
    current: &[Value],
    by: &str,
    item: &'static Object,
) -> (Vec<Value>, Value) {
    let find = |list: &[Value], key: &Value| list.iter().find(|item| item.get(by) == Some(key)).cloned();
    let object =
        |value: Option<Value>| value.and_then(|value| value.as_object().cloned()).unwrap_or_default();
    let mut changes = Vec::new();
    for wanted in modified {
        let key = &wanted[by];
        match find(current, key) {
            None => changes.push(wanted.clone()),
            Some(held) => {
                let before = object(find(original, key));
                let mut change =
                    maps(&before, &object(Some(wanted.clone())), &object(Some(held)), Some(item));
                if !change.is_empty() {
                    change.insert(by.to_owned(), key.clone());
                    changes.push(Value::Object(change));
                }
            }
        }
    }
    for gone in original {
        let key = &gone[by];
        if find(modified, key).is_none() && find(current, key).is_some() {
            changes.push(json!({"$patch": "delete", by: key}));
        }
    }
    let order = modified.iter().map(|item| json!({by: item[by]})).collect();
    (changes, order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_others_survive() {
        let tag = |name: &str, from: &str| json!({"name": name, "from": {"name": from}});
        let original = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"tags": [tag("alpha", "x:1"), tag("beta", "y:1")]}});
        let modified = json!({"metadata": {"labels": {"a": "3"}}, "spec": {"tags": [tag("beta", "y:2"), tag("gamma", "z:1")]}});
        let mut current = original.clone();
        current["metadata"]["labels"]["hand"] = "made".into();
        current["spec"]["tags"].as_array_mut().unwrap().push(tag("w", "w:1"));
        let got = patch(&original, &modified, &current, schema("image.openshift.io/v1", "ImageStream"));
        assert_eq!(
            got,
            json!({
                "metadata": {"labels": {"a": "3", "b": null}},
                "spec": {
                    "$setElementOrder/tags": [{"name": "beta"}, {"name": "gamma"}],
                    "tags": [{"name": "beta", "from": {"name": "y:2"}}, tag("gamma", "z:1"), {"$patch": "delete", "name": "alpha"}],
                },
            })
        );
        let mut result = current;
        machinery::patch::strategic_merge(&mut result, got, &schema::IMAGE_STREAM).unwrap();
        let names: Vec<&str> = result["spec"]["tags"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|tag| tag["name"].as_str())
            .collect();
        assert_eq!(names, ["beta", "gamma", "w"]);
        assert_eq!(result["metadata"]["labels"], json!({"a": "3", "hand": "made"}));
    }

    #[test]
    fn nothing_to_do_is_an_empty_patch() {
        let object = json!({"spec": {"tags": [{"name": "a"}]}});
        assert_eq!(
            patch(&object, &object, &object, schema("image.openshift.io/v1", "ImageStream")),
            json!({})
        );
        // Defaults of the server are not ours to remove.
        let current = json!({"spec": {"tags": [{"name": "a", "generation": 1}], "x": 1}});
        assert_eq!(
            patch(&object, &object, &current, schema("image.openshift.io/v1", "ImageStream")),
            json!({})
        );
    }

    #[test]
    fn lists_without_keys_are_replaced() {
        let patch = patch(&json!({}), &json!({"a": [1]}), &json!({"a": [2]}), None);
        assert_eq!(patch, json!({"a": [1]}));
    }
}
