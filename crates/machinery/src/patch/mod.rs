//! Patches: how a client changes part of an object.
//!
//! All of them work on JSON values and leave decoding, validation and server-side apply (which needs managed fields) to
//! others. A failed patch is an [`ApiError`] in the words of the reference; the object is then as it was.

mod diff;
mod json_patch_ops;
mod schema;
mod strategic;

use serde_json::Value;

pub use diff::merge_diff;
pub use schema::Rule;
pub use strategic::{StrategicError, strategic_merge};

use crate::meta::StatusDetails;
use crate::schema::Object;
use crate::status::ApiError;

/// The kinds of patches, by their media types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// `application/json-patch+json`: a list of operations.
    Json,
    /// `application/merge-patch+json`: values to set, null to remove.
    Merge,
    /// `application/strategic-merge-patch+json`: the same, but lists merge by key.
    Strategic,
    /// `application/apply-patch+yaml`: the fields that a manager wants.
    Apply,
}

impl PatchKind {
    /// The kind that a `Content-Type` names.
    ///
    /// # Errors
    /// 415 for any other type.
    pub fn from_content_type(content_type: &str) -> Result<PatchKind, ApiError> {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        match media_type {
            "application/json-patch+json" => Ok(PatchKind::Json),
            "application/merge-patch+json" => Ok(PatchKind::Merge),
            "application/strategic-merge-patch+json" => Ok(PatchKind::Strategic),
            "application/apply-patch+yaml" => Ok(PatchKind::Apply),
            _ => Err(ApiError::unsupported_media_type("415: Unsupported Media Type")
                .with_details(StatusDetails::default())),
        }
    }
}

/// Applies a JSON patch, a merge patch or a strategic merge patch to an object. An apply is not one of these: see
/// server-side apply.
///
/// # Errors
/// 400 for a patch of the wrong form, 422 for a JSON patch that does not fit, 413 for one that is too large, 500 without
/// a reason for wrong strategic directives.
pub fn apply(kind: PatchKind, object: &Value, patch: Value, schema: &Object) -> Result<Value, ApiError> {
    match kind {
        PatchKind::Json => json_patch_ops::apply(object.clone(), patch),
        PatchKind::Merge => {
            check_object(&patch)?;
            let mut object = object.clone();
            json_patch::merge(&mut object, &patch);
            Ok(object)
        }
        PatchKind::Strategic => {
            check_object(&patch)?;
            let mut object = object.clone();
            strategic_merge(&mut object, patch, schema)
                .map_err(|error| ApiError::plain(error.to_string()))?;
            Ok(object)
        }
        PatchKind::Apply => Err(ApiError::internal("an apply is not a patch of a value")),
    }
}

fn check_object(patch: &Value) -> Result<(), ApiError> {
    if patch.is_object() {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "error decoding patch: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
        crate::json::go_kind(patch)
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::UNDESCRIBED;

    #[test]
    fn the_media_type_says_the_kind() {
        let kind = |text: &str| PatchKind::from_content_type(text);
        assert_eq!(kind("application/merge-patch+json; charset=utf-8"), Ok(PatchKind::Merge));
        let error = kind("text/plain").unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), (415, "415: Unsupported Media Type"));
        assert_eq!(error.0.details, Some(StatusDetails::default()));
    }

    #[test]
    fn a_patch_that_is_no_object_is_a_bad_request() {
        for kind in [PatchKind::Merge, PatchKind::Strategic] {
            for patch in [json!([]), json!(1), json!(null), json!("x")] {
                assert_eq!(apply(kind, &json!({}), patch, &UNDESCRIBED).unwrap_err().code(), 400);
            }
        }
    }

    #[test]
    fn merge_patches_set_and_remove() {
        let object = json!({"a": {"b": 1, "c": 2}, "l": [1, 2]});
        let patch = json!({"a": {"b": null, "d": {"e": null, "f": 1}}, "l": [3]});
        let want = json!({"a": {"c": 2, "d": {"f": 1}}, "l": [3]});
        assert_eq!(apply(PatchKind::Merge, &object, patch, &UNDESCRIBED).unwrap(), want);
    }
}
