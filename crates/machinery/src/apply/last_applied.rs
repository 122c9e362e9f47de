//! The way from `kubectl apply` in its old form to the new: what the annotation of the old form says a user set is no
//! conflict for the same tool's new form, and the annotation is kept up to date for those who go back.

use serde_json::Value;

use super::{Apply, Conflicts, Set, compare, owned, typed};
use crate::json;
use crate::limits::MAX_ANNOTATIONS_BYTES;
use crate::schema::Shape;

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The one manager that the annotation is the business of.
const TOOL: &str = "kubectl";

fn annotation(live: &Value) -> Option<&str> {
    live.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str().filter(|text| !text.is_empty())
}

/// Whether conflicts of an apply may pass at all.
pub(super) fn may_permit(apply: &Apply<'_>) -> bool {
    apply.manager.name == TOOL && !apply.force
}

/// Lets conflicts pass when all are about fields that the user of the tool had set with its old form.
///
/// # Errors
/// The conflicts that are left.
pub(super) fn permit(apply: &Apply<'_>, conflicts: Conflicts) -> Result<(), Conflicts> {
    let Some(mine) = annotation(apply.live).and_then(|text| set_before(apply, text)) else {
        return Err(conflicts);
    };
    let left = conflicts.0.into_iter().map(|(manager, fields)| (manager, fields.difference(&mine)));
    let left: Vec<_> = left.filter(|(_, fields)| !fields.is_empty()).collect();
    if left.is_empty() { Ok(()) } else { Err(Conflicts(left)) }
}

/// The fields that were applied before and are still as they were.
fn set_before(apply: &Apply<'_>, text: &str) -> Option<Set> {
    let shape = Shape::Object(apply.object);
    let applied: Value = serde_json::from_str(text).ok()?;
    if applied.get("apiVersion") != apply.live.get("apiVersion")
        || typed::check(&applied, shape, false).is_err()
    {
        return None;
    }
    let found = compare::compare(&applied, apply.live, shape);
    let mine = owned::fields(&applied, shape);
    Some(mine.difference(&found.modified).difference(&found.added).difference(&found.removed))
}

/// Writes what was applied into the annotation, where there is one.
pub(super) fn renew(apply: &Apply<'_>, object: Option<Value>, document: &Value) -> Option<Value> {
    if apply.manager.name != TOOL {
        return object;
    }
    let current = object.as_ref().unwrap_or(apply.live);
    let Some(before) = annotation(current) else { return object };
    let mut document = document.clone();
    if let Some(annotations) = document.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(ANNOTATION);
    }
    let mut text = json::compact(&document);
    text.push(b'\n');
    let text = String::from_utf8(text).expect("JSON is text");
    if before == text {
        return object;
    }
    let mut object = object.unwrap_or_else(|| apply.live.clone());
    if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.insert(ANNOTATION.to_owned(), text.into());
        let size: usize =
            annotations.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
        if size > MAX_ANNOTATIONS_BYTES {
            annotations.remove(ANNOTATION);
        }
    }
    Some(object)
}
