//! The patch between two states of an object: every change says what it replaces.

use serde_json::{Map, Value, json};

use crate::plain::Plain;

/// A JSON patch that makes `new` of `old`, and fails where something else than `old` is there. Lists keep their lengths:
/// triggers change what is in them. Nothing but fields is compared.
pub(super) fn guarded(old: &Plain, new: &Plain) -> Value {
    let mut operations = Vec::new();
    objects(&mut String::new(), &old.fields, &new.fields, &mut operations);
    if operations.iter().any(|operation| operation["op"] == "add") {
        // That something is not there cannot be tested for.
        let version = &old.metadata.resource_version;
        operations.insert(0, json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}));
    }
    Value::Array(operations)
}

fn objects(
    path: &mut String,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    operations: &mut Vec<Value>,
) {
    for (key, wanted) in new {
        let length = path.len();
        path.push('/');
        path.push_str(&key.replace('~', "~0").replace('/', "~1"));
        match old.get(key) {
            Some(held) => values(path, held, wanted, operations),
            None => operations.push(json!({"op": "add", "path": path, "value": wanted})),
        }
        path.truncate(length);
    }
}

fn values(path: &mut String, old: &Value, new: &Value, operations: &mut Vec<Value>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Value::Object(old), Value::Object(new)) => objects(path, old, new, operations),
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (at, (old, new)) in old.iter().zip(new).enumerate() {
                let length = path.len();
                path.push('/');
                path.push_str(&at.to_string());
                name(path, old, new, operations);
                values(path, old, new, operations);
                path.truncate(length);
            }
        }
        (old, new) => {
            operations.push(json!({"op": "test", "path": path, "value": old}));
            operations.push(json!({"op": "replace", "path": path, "value": new}));
        }
    }
}

/// A member of a list that is told by its name must still stand at its place.
fn name(path: &str, old: &Value, new: &Value, operations: &mut Vec<Value>) {
    if old != new
        && let Some(name) = old.get("name").filter(|name| Some(*name) == new.get("name"))
    {
        operations.push(json!({"op": "test", "path": format!("{path}/name"), "value": name}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(fields: Value) -> Plain {
        let mut plain: Plain = serde_json::from_value(fields).unwrap();
        plain.metadata.resource_version = "7".to_owned();
        plain
    }

    #[test]
    fn every_change_says_what_it_replaces() {
        let old = plain(
            json!({"spec": {"a/b": "x", "list": [{"name": "n", "image": "1"}, {"image": "2"}], "same": 1}}),
        );
        let new = plain(
            json!({"spec": {"a/b": "y", "list": [{"name": "n", "image": "3"}, {"image": "2"}], "same": 1}}),
        );
        let want = json!([
            {"op": "test", "path": "/spec/a~1b", "value": "x"},
            {"op": "replace", "path": "/spec/a~1b", "value": "y"},
            {"op": "test", "path": "/spec/list/0/name", "value": "n"},
            {"op": "test", "path": "/spec/list/0/image", "value": "1"},
            {"op": "replace", "path": "/spec/list/0/image", "value": "3"},
        ]);
        assert_eq!(guarded(&old, &new), want);
        assert_eq!(guarded(&old, &old), json!([]));
    }

    #[test]
    fn what_was_not_there_is_guarded_by_the_version() {
        let (old, new) = (plain(json!({"data": {}})), plain(json!({"data": {"image": "x"}})));
        let want = json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "add", "path": "/data/image", "value": "x"},
        ]);
        assert_eq!(guarded(&old, &new), want);
    }
}
