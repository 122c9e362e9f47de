//! What triggers and deliveries must look like.

use machinery::field::{FieldError, FieldErrors};
use serde_json::{Map, Value, json};

use super::limits::{ADDRESS, PATTERNS, TEMPLATE};
use super::template;
use crate::plain::{LENIENT, Plain, PlainRules};
use crate::resource::{RESOURCES, Resource, Source};
use crate::workload::text;

/// Triggers that send.
pub const WEBHOOK_TRIGGER: PlainRules = PlainRules {
    prepare: |new, _| keep(new),
    validate: |new, _| validate_webhook(new),
    // The names of deliveries begin with it, labels hold it.
    label_names: true,
    has_generation: true,
};

/// Triggers that make objects.
pub const OBJECT_TRIGGER: PlainRules =
    PlainRules { validate: |new, _| validate_object(new), ..WEBHOOK_TRIGGER };

/// Deliveries: only the server writes them.
pub const DELIVERY: PlainRules = LENIENT;

fn keep(new: &mut Plain) {
    new.fields.retain(|key, _| key == "spec");
}

fn spec(new: &Plain) -> Map<String, Value> {
    new.fields.get("spec").and_then(Value::as_object).cloned().unwrap_or_default()
}

fn of<'a>(spec: &'a Map<String, Value>, key: &str) -> &'a str {
    spec.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn unknown(spec: &Map<String, Value>, known: &[&str], errors: &mut FieldErrors) {
    for key in spec.keys().filter(|key| !known.contains(&key.as_str())) {
        errors.push(FieldError::not_supported(format!("spec.{key}"), key.as_str(), known));
    }
}

fn validate_source(spec: &Map<String, Value>, errors: &mut FieldErrors) {
    if of(spec, "stream").is_empty() {
        errors.push(FieldError::required("spec.stream", "the name of the stream in this project"));
    }
    match spec.get("tags") {
        None | Some(Value::Null) => {}
        Some(Value::Array(tags)) if tags.len() > PATTERNS => {
            errors.push(FieldError::invalid("spec.tags", tags.len(), format!("at most {PATTERNS} patterns")));
        }
        Some(Value::Array(tags))
            if tags.iter().all(|tag| tag.as_str().is_some_and(|tag| !tag.is_empty())) => {}
        Some(other) => {
            errors.push(FieldError::invalid(
                "spec.tags",
                other.clone(),
                "must be a list of patterns of tags",
            ));
        }
    }
}

fn validate_webhook(new: &Plain) -> FieldErrors {
    let (spec, mut errors) = (spec(new), Vec::new());
    unknown(&spec, &["stream", "tags", "url", "secretRef", "template"], &mut errors);
    validate_source(&spec, &mut errors);
    if let Err(why) = address(of(&spec, "url")) {
        errors.push(FieldError::invalid("spec.url", of(&spec, "url"), why));
    }
    let secret = spec.get("secretRef").cloned().unwrap_or_default();
    for key in ["name", "key"] {
        if text(&secret, key).is_empty() {
            let why = "events are signed: name a secret of this project and the key in it";
            errors.push(FieldError::required(format!("spec.secretRef.{key}"), why));
        }
    }
    if let Some(template) = spec.get("template") {
        check_template(template, &mut errors);
    }
    errors
}

/// Reads the address of a receiver.
///
/// # Errors
/// What is wrong with it.
pub(super) fn address(text: &str) -> Result<http::Uri, String> {
    if text.len() > ADDRESS {
        return Err(format!("must be no longer than {ADDRESS} bytes"));
    }
    let uri: http::Uri = text.parse().map_err(|error| format!("is no address: {error}"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("must begin with https:// or http://".to_owned());
    }
    match uri.authority() {
        None => Err("must name a host".to_owned()),
        Some(authority) if authority.as_str().contains('@') => {
            Err("must not hold a name and a password: events are signed instead".to_owned())
        }
        Some(authority) if authority.host().is_empty() => Err("must name a host".to_owned()),
        Some(_) => Ok(uri),
    }
}

fn check_template(template: &Value, errors: &mut FieldErrors) {
    if template.to_string().len() > TEMPLATE {
        errors.push(FieldError::too_long("spec.template", TEMPLATE));
    }
    for name in template::unknown(template) {
        errors.push(FieldError::not_supported("spec.template", name, &template::NAMES));
    }
}

/// Groups whose objects no trigger makes: they hand out rights, or are triggers themselves.
const NEVER: [&str; 3] = ["rbac.authorization.k8s.io", "weir.dev", "oauth.openshift.io"];

/// The resource of the objects that a template makes.
///
/// # Errors
/// Why there is none.
pub fn made_of(template: &Value) -> Result<&'static Resource, String> {
    let (version, kind) = (text(template, "apiVersion"), text(template, "kind"));
    let fits = |entry: &&Resource| entry.kind == kind && entry.api_version() == version && entry.is_stored();
    let found = RESOURCES.iter().find(fits).ok_or_else(|| {
        format!("no kind {kind:?} in {version:?} is stored here, so no object of it can be made")
    })?;
    if !found.namespaced || NEVER.contains(&found.group) || !matches!(found.source, Source::Plain(_)) {
        return Err(format!("objects of the kind {kind} are not made by triggers"));
    }
    Ok(found)
}

fn validate_object(new: &Plain) -> FieldErrors {
    let (spec, mut errors) = (spec(new), Vec::new());
    unknown(&spec, &["stream", "tags", "template"], &mut errors);
    validate_source(&spec, &mut errors);
    let template = spec.get("template").cloned().unwrap_or_else(|| json!({}));
    if let Err(why) = made_of(&template) {
        errors.push(FieldError::invalid("spec.template.kind", text(&template, "kind"), why));
    }
    for key in ["name", "generateName", "namespace"] {
        if template.pointer(&format!("/metadata/{key}")).is_some() {
            let why = "the object is named after the trigger and the move, and is made in this project";
            errors.push(FieldError::forbidden(format!("spec.template.metadata.{key}"), why));
        }
    }
    check_template(&template, &mut errors);
    errors
}
