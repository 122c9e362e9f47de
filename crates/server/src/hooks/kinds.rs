//! What a hook must look like.

use machinery::field::{FieldError, FieldErrors};
use serde_json::{Value, json};

use super::sender::Sender;
use crate::plain::{Plain, PlainRules};
use crate::workload::text;

/// Hooks.
pub const HOOK: PlainRules =
    PlainRules { prepare, validate: |new, _| validate(new), label_names: true, has_generation: true };

/// Where secrets are looked for that name no project, and where generated ones are put.
pub const HOME: &str = "default";
/// The key of a generated secret.
pub const KEY: &str = "secret";

/// The status is the server's.
fn prepare(new: &mut Plain, old: Option<&Plain>) {
    let kept = old.and_then(|old| old.fields.get("status")).cloned();
    new.fields.retain(|key, _| key == "spec");
    if let Some(status) = kept {
        new.fields.insert("status".to_owned(), status);
    }
    if let Some(reference) = new.fields.get_mut("spec").and_then(|spec| spec.get_mut("secretRef"))
        && text(reference, "namespace").is_empty()
        && reference.is_object()
    {
        reference["namespace"] = HOME.into();
    }
}

fn validate(new: &Plain) -> FieldErrors {
    let spec = new.fields.get("spec").cloned().unwrap_or_else(|| json!({}));
    let mut errors = Vec::new();
    let known = ["type", "secretRef", "registry"];
    for key in spec.as_object().into_iter().flat_map(|spec| spec.keys()) {
        if !known.contains(&key.as_str()) {
            errors.push(FieldError::not_supported(format!("spec.{key}"), key.as_str(), &known));
        }
    }
    match text(&spec, "type") {
        "" => errors.push(FieldError::required("spec.type", "who sends")),
        kind if Sender::named(kind).is_none() => {
            errors.push(FieldError::not_supported("spec.type", kind, &Sender::NAMES));
        }
        _ => {}
    }
    let secret = spec.get("secretRef").unwrap_or(&Value::Null);
    for key in ["namespace", "name", "key"] {
        if text(secret, key).is_empty() {
            errors.push(FieldError::required(format!("spec.secretRef.{key}"), "a hook has a secret"));
        }
    }
    if spec.get("registry").is_some_and(|registry| registry.as_str().is_none_or(str::is_empty)) {
        errors.push(FieldError::invalid("spec.registry", "", "must be HOST or HOST:PORT"));
    }
    errors
}
