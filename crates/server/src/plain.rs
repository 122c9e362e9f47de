//! Plain kinds: objects that Weir keeps for its users without rules of its own beyond the lightest.
//!
//! One type serves all of them: typed metadata, and the rest as JSON that is kept as it came.

use machinery::field::{FieldError, FieldErrors};
use machinery::meta::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An object of a plain kind, without its `kind` and `apiVersion`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plain {
    /// Standard metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// Everything else.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// The rules of one plain kind.
#[derive(Clone, Copy, Debug)]
pub struct PlainRules {
    /// Fills in what the server decides, before validation. The old object is there on updates.
    pub prepare: fn(new: &mut Plain, old: Option<&Plain>),
    /// Finds what is wrong.
    pub validate: fn(new: &Plain, old: Option<&Plain>) -> FieldErrors,
    /// Whether names must be DNS labels (namespaces) rather than DNS subdomains.
    pub label_names: bool,
    /// Whether a change of `spec` bumps `metadata.generation`.
    pub has_generation: bool,
}

/// Nothing but metadata is looked at.
pub const LENIENT: PlainRules =
    PlainRules { prepare: |_, _| {}, validate: |_, _| Vec::new(), label_names: false, has_generation: false };

/// The cluster's configuration: kept as it comes, with a generation that says when it was last changed.
pub const CONFIGURATION: PlainRules = PlainRules { has_generation: true, ..LENIENT };

/// Namespaces: born active, with the finalizer that holds them until their contents are gone.
pub const NAMESPACE: PlainRules = PlainRules {
    prepare: prepare_namespace,
    validate: |_, _| Vec::new(),
    label_names: true,
    has_generation: false,
};

/// Secrets: `stringData` is folded into `data`, the well-known types must hold what they promise.
pub const SECRET: PlainRules = PlainRules {
    prepare: prepare_secret,
    validate: validate_secret,
    label_names: false,
    has_generation: false,
};

/// The label that says a namespace's name; Kubernetes keeps it on every namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

fn prepare_namespace(new: &mut Plain, old: Option<&Plain>) {
    new.metadata.labels.insert(NAME_LABEL.to_owned(), new.metadata.name.clone());
    match old {
        None => {
            new.fields.insert("spec".to_owned(), serde_json::json!({"finalizers": ["kubernetes"]}));
            new.fields.insert("status".to_owned(), serde_json::json!({"phase": "Active"}));
        }
        Some(old) => {
            // Finalizers go through their own subresource, the phase is the server's.
            for key in ["spec", "status"] {
                match old.fields.get(key) {
                    Some(kept) => new.fields.insert(key.to_owned(), kept.clone()),
                    None => new.fields.remove(key),
                };
            }
        }
    }
}

/// True when a namespace is being deleted.
pub fn is_terminating(namespace: &Plain) -> bool {
    namespace.metadata.deletion_timestamp.is_some()
}

fn prepare_secret(new: &mut Plain, old: Option<&Plain>) {
    use base64::Engine as _;
    if let Some(Value::Object(texts)) = new.fields.remove("stringData") {
        let data = new.fields.entry("data").or_insert_with(|| Value::Object(Map::new()));
        if data.is_null() {
            *data = Value::Object(Map::new());
        }
        if let Some(data) = data.as_object_mut() {
            for (key, text) in texts {
                let bytes = text.as_str().unwrap_or_default();
                data.insert(key, base64::engine::general_purpose::STANDARD.encode(bytes).into());
            }
        }
    }
    if new.fields.get("data").is_some_and(Value::is_null) {
        new.fields.remove("data");
    }
    let unset = new.fields.get("type").and_then(Value::as_str).is_none_or(str::is_empty);
    if unset {
        let kind = old.and_then(|old| old.fields.get("type")).cloned().unwrap_or_else(|| "Opaque".into());
        new.fields.insert("type".to_owned(), kind);
    }
}

/// Bytes a secret may hold in all.
const SECRET_SIZE: usize = 1024 * 1024;

fn validate_secret(new: &Plain, old: Option<&Plain>) -> FieldErrors {
    let mut errors = Vec::new();
    let empty = Map::new();
    let data = match new.fields.get("data") {
        None => &empty,
        Some(Value::Object(data)) => data,
        Some(_) => {
            errors.push(FieldError::invalid("data", "", "must be a map of names to base64 text"));
            return errors;
        }
    };
    let mut total = 0;
    for (key, value) in data {
        check_key("data", key, &mut errors);
        match value.as_str().map(decode) {
            Some(Some(bytes)) => total += bytes.len(),
            _ => {
                errors.push(FieldError::invalid(format!("data[{key}]"), "<redacted>", "illegal base64 data"));
            }
        }
    }
    if total > SECRET_SIZE {
        errors.push(FieldError::too_long("data", SECRET_SIZE));
    }
    let kind = new.fields.get("type").and_then(Value::as_str).unwrap_or_default();
    check_type(kind, new, data, &mut errors);
    if let Some(old) = old {
        check_change(kind, new, old, &mut errors);
    }
    errors
}

fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// Checks the name of an entry in `field` of a secret or configuration map.
pub(crate) fn check_key(field: &str, key: &str, errors: &mut FieldErrors) {
    const RULE: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  \
                        or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
    let path = format!("{field}[{key}]");
    let good =
        !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if key.len() > 253 {
        errors.push(FieldError::invalid(path.as_str(), key, "must be no more than 253 characters"));
    }
    if !good {
        errors.push(FieldError::invalid(path.as_str(), key, RULE));
    } else if key == "." || key == ".." || key.starts_with("..") {
        errors.push(FieldError::invalid(path.as_str(), key, "must not be '.', '..' or begin with '..'"));
    }
}

/// Go's words for a docker configuration that is no JSON object; they name the place, never the content around it.
fn docker_config_error(bytes: &[u8]) -> Result<(), String> {
    match oci::json::parse(bytes) {
        Ok(oci::json::Value::Object(_) | oci::json::Value::Null) => Ok(()),
        Ok(_) => Err("json: cannot unmarshal value into Go value of type map[string]interface {}".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn check_type(kind: &str, new: &Plain, data: &Map<String, Value>, errors: &mut FieldErrors) {
    let mut docker = |key: &str| match data.get(key).and_then(Value::as_str).and_then(decode) {
        None => errors.push(FieldError::required(format!("data[{key}]"), "")),
        Some(bytes) => {
            if let Err(why) = docker_config_error(&bytes) {
                errors.push(FieldError::invalid(format!("data[{key}]"), "<secret contents redacted>", why));
            }
        }
    };
    match kind {
        "kubernetes.io/dockercfg" => docker(".dockercfg"),
        "kubernetes.io/dockerconfigjson" => docker(".dockerconfigjson"),
        "kubernetes.io/basic-auth" if !data.contains_key("username") && !data.contains_key("password") => {
            errors.push(FieldError::required("data[username]", ""));
            errors.push(FieldError::required("data[password]", ""));
        }
        "kubernetes.io/ssh-auth" if !data.contains_key("ssh-privatekey") => {
            errors.push(FieldError::required("data[ssh-privatekey]", ""));
        }
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"] {
                if !data.contains_key(key) {
                    errors.push(FieldError::required(format!("data[{key}]"), ""));
                }
            }
        }
        "kubernetes.io/service-account-token" => {
            let name = "kubernetes.io/service-account.name";
            if new.metadata.annotations.get(name).is_none_or(String::is_empty) {
                errors.push(FieldError::required(format!("metadata.annotations[{name}]"), ""));
            }
        }
        _ => {}
    }
}

fn check_change(kind: &str, new: &Plain, old: &Plain, errors: &mut FieldErrors) {
    let old_kind = old.fields.get("type").and_then(Value::as_str).unwrap_or_default();
    if old_kind != kind {
        errors.push(FieldError::invalid("type", kind, "field is immutable"));
    }
    if old.fields.get("immutable") == Some(&Value::Bool(true)) {
        if new.fields.get("immutable") != Some(&Value::Bool(true)) {
            errors.push(FieldError::forbidden("immutable", "field is immutable when `immutable` is set"));
        }
        if new.fields.get("data") != old.fields.get("data") {
            errors.push(FieldError::forbidden("data", "field is immutable when `immutable` is set"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(json: &Value) -> Plain {
        let mut secret: Plain = serde_json::from_value(json.clone()).unwrap();
        prepare_secret(&mut secret, None);
        secret
    }

    #[test]
    fn string_data_becomes_data_and_wins() {
        let secret = secret(&serde_json::json!({"data": {"a": "eA=="}, "stringData": {"a": "y", "b": "z"}}));
        assert_eq!(secret.fields["data"], serde_json::json!({"a": "eQ==", "b": "eg=="}));
        assert_eq!(secret.fields["type"], "Opaque");
    }

    #[test]
    fn docker_types_must_hold_what_they_promise() {
        let check = |json: Value, want: &[&str]| {
            let errors = validate_secret(&secret(&json), None);
            let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
            assert_eq!(fields, want, "{json}");
        };
        check(serde_json::json!({"type": "kubernetes.io/dockerconfigjson"}), &["data[.dockerconfigjson]"]);
        check(
            serde_json::json!({"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "no"}}),
            &["data[.dockerconfigjson]"],
        );
        check(
            serde_json::json!({"type": "kubernetes.io/dockercfg", "stringData": {".dockercfg": "{}"}}),
            &[],
        );
        check(serde_json::json!({"stringData": {"a b": ""}}), &["data[a b]"]);
        check(serde_json::json!({"data": {"a": "%%"}}), &["data[a]"]);
    }

    #[test]
    fn the_type_of_a_secret_stays() {
        let old = secret(&serde_json::json!({"type": "a"}));
        let new = secret(&serde_json::json!({"type": "b"}));
        assert_eq!(validate_secret(&new, Some(&old)).len(), 1);
    }
}
