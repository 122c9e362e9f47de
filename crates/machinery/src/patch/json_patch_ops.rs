//! JSON patches (RFC 6902), bounded: a few operations that copy a document into itself would otherwise make it as large
//! or as deep as memory allows.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use crate::json::{depth, go_kind};
use crate::limits::{MAX_DEPTH, MAX_JSON_PATCH_COPY_BYTES, MAX_JSON_PATCH_OPERATIONS};
use crate::meta::StatusDetails;
use crate::status::ApiError;

/// Applies a patch, all of it or nothing.
pub(super) fn apply(mut object: Value, patch: Value) -> Result<Value, ApiError> {
    let Value::Array(operations) = &patch else {
        return Err(not_operations(&patch, ""));
    };
    if let Some(other) = operations.iter().find(|operation| !operation.is_object()) {
        return Err(not_operations(other, "[]"));
    }
    if operations.len() > MAX_JSON_PATCH_OPERATIONS {
        return Err(ApiError::too_large(format!(
            "The allowed maximum operations in a JSON patch is {MAX_JSON_PATCH_OPERATIONS}, got {}",
            operations.len()
        )));
    }
    let Patch(operations) = serde_json::from_value(patch).map_err(|_| rejected())?;
    let mut copied = 0;
    for operation in &operations {
        copied += cost(&object, operation)?;
        if copied > MAX_JSON_PATCH_COPY_BYTES {
            return Err(ApiError::too_large(format!(
                "Unable to complete the copy, the accumulated size increase of copy is {copied}, exceeding the limit \
                 {MAX_JSON_PATCH_COPY_BYTES}"
            )));
        }
        json_patch::patch(&mut object, std::slice::from_ref(operation)).map_err(|_| rejected())?;
    }
    Ok(object)
}

/// Bytes that an operation copies; an error when it would nest too deeply.
fn cost(object: &Value, operation: &PatchOperation) -> Result<usize, ApiError> {
    let nested = |path: &json_patch::jsonptr::PointerBuf, value: Option<&Value>| {
        if path.tokens().count() + value.map_or(0, depth) > MAX_DEPTH { Err(rejected()) } else { Ok(()) }
    };
    match operation {
        PatchOperation::Add(add) => nested(&add.path, Some(&add.value)).map(|()| 0),
        PatchOperation::Replace(replace) => nested(&replace.path, Some(&replace.value)).map(|()| 0),
        PatchOperation::Move(moved) => nested(&moved.path, object.pointer(moved.from.as_str())).map(|()| 0),
        PatchOperation::Copy(copy) => {
            let source = object.pointer(copy.from.as_str());
            nested(&copy.path, source)?;
            Ok(source.map_or(0, |value| value.to_string().len()))
        }
        PatchOperation::Remove(_) | PatchOperation::Test(_) => Ok(0),
    }
}

fn not_operations(value: &Value, element: &str) -> ApiError {
    let target = if element.is_empty() { "[]handlers.jsonPatchOp" } else { "handlers.jsonPatchOp" };
    ApiError::bad_request(format!(
        "error decoding patch: json: cannot unmarshal {} into Go value of type {target}",
        go_kind(value)
    ))
}

/// The one answer for whatever an operation cannot do.
fn rejected() -> ApiError {
    ApiError::new(422, "Invalid", "the server rejected our request due to an error in our request")
        .with_details(StatusDetails::default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_apply_in_order() {
        let object = json!({"metadata": {"name": "a"}, "list": [1, 2]});
        let patch = json!([
            {"op": "add", "path": "/metadata/annotations", "value": {"k": "v"}},
            {"op": "add", "path": "/list/-", "value": 3},
            {"op": "remove", "path": "/list/0"},
            {"op": "copy", "from": "/metadata/annotations/k", "path": "/copied"},
            {"op": "move", "from": "/copied", "path": "/moved"},
            {"op": "test", "path": "/moved", "value": "v"},
        ]);
        let want =
            json!({"metadata": {"name": "a", "annotations": {"k": "v"}}, "list": [2, 3], "moved": "v"});
        assert_eq!(apply(object, patch).unwrap(), want);
    }

    #[test]
    fn what_cannot_be_done_is_rejected() {
        for patch in [
            json!([{"op": "remove", "path": "/nothing"}]),
            json!([{"op": "replace", "path": "/list/7", "value": 1}]),
            json!([{"op": "jump", "path": "/x"}]),
            json!([{"op": "test", "path": "/list", "value": []}]),
            json!([{"path": "/x"}]),
        ] {
            let error = apply(json!({"list": [1]}), patch).unwrap_err();
            assert_eq!(error.code(), 422);
            assert_eq!(error.to_string(), "the server rejected our request due to an error in our request");
            assert_eq!(error.0.details, Some(StatusDetails::default()));
        }
        let error = apply(json!({}), json!({"op": "add"})).unwrap_err();
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            (
                400,
                "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
            )
        );
    }

    #[test]
    fn copies_cannot_explode() {
        let copy = json!({"op": "copy", "from": "/a", "path": "/a/-"});
        let patch = Value::Array(vec![copy; 5000]);
        assert!(apply(json!({"a": [1]}), patch).is_err());
        let wide = json!({"op": "copy", "from": "/a", "path": "/b/-"});
        let patch = Value::Array(vec![wide; 5000]);
        let error = apply(json!({"a": "x".repeat(4096), "b": []}), patch).unwrap_err();
        assert_eq!(error.code(), 413);
    }

    proptest! {
        #[test]
        fn nothing_panics(
            object in super::super::diff::tests::any_value(),
            op in "add|remove|replace|move|copy|test",
            path in "(/[a-d0-3-]){0,4}",
            from in "(/[a-d0-3-]){0,4}",
            value in super::super::diff::tests::any_value(),
        ) {
            let patch = json!([{"op": op, "path": path, "from": from, "value": value}]);
            let _ = apply(object, patch);
        }
    }
}
