//! The rules about whole metadata, for new objects and for updates.

use serde_json::{Value, json};

use super::names::{dns_label_errors, label_value_errors, qualified_name_errors};
use super::{NameRule, Scope};
use crate::field::{FieldError, FieldErrors, quote};
use crate::limits::{MAX_ANNOTATIONS_BYTES, MAX_FIELD_MANAGER_BYTES};
use crate::meta::{ManagedFieldsEntry, ObjectMeta, OwnerReference};

use std::collections::BTreeMap;

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";
/// Finalizers that need no domain in front.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", ORPHAN, FOREGROUND];
const MAX_SUBRESOURCE_BYTES: usize = 256;

/// Everything that is wrong with an object's metadata. `name_rule` is the kind's rule for names.
pub fn object_meta(meta: &ObjectMeta, scope: Scope, name_rule: NameRule) -> FieldErrors {
    let mut errors = Vec::new();
    if !meta.generate_name.is_empty() {
        let found = name_rule(&meta.generate_name, true);
        errors.extend(invalid_each("metadata.generateName", &meta.generate_name, found));
    }
    if meta.name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else {
        errors.extend(invalid_each("metadata.name", &meta.name, name_rule(&meta.name, false)));
    }
    match (scope, meta.namespace.as_str()) {
        (Scope::Namespaced, "") => errors.push(FieldError::required("metadata.namespace", "")),
        (Scope::Namespaced, namespace) => {
            errors.extend(invalid_each("metadata.namespace", namespace, dns_label_errors(namespace, false)));
        }
        (Scope::Cluster, "") => {}
        (Scope::Cluster, _) => {
            errors.push(FieldError::forbidden("metadata.namespace", "not allowed on this type"));
        }
    }
    if meta.generation < 0 {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid("metadata.generation", meta.generation, detail));
    }
    common(meta, &mut errors);
    errors.extend(finalizers(&meta.finalizers));
    errors.extend(managed_fields(&meta.managed_fields));
    errors
}

/// Everything that is wrong with an update of an object's metadata.
pub fn object_meta_update(new: &ObjectMeta, old: &ObjectMeta) -> FieldErrors {
    let mut errors = Vec::new();
    if old.deletion_timestamp.is_some() {
        errors.extend(new_finalizer_errors(&new.finalizers, &old.finalizers));
    }
    if new.resource_version.is_empty() {
        errors.push(FieldError::invalid("metadata.resourceVersion", "", "must be specified for an update"));
    }
    if new.generation < old.generation {
        errors.push(FieldError::invalid("metadata.generation", new.generation, "must not be decremented"));
    }
    let mut immutable = |field: &str, changed: bool, value: Value| {
        if changed {
            errors.push(FieldError::invalid(format!("metadata.{field}"), value, "field is immutable"));
        }
    };
    immutable("name", new.name != old.name, json!(new.name));
    immutable("namespace", new.namespace != old.namespace, json!(new.namespace));
    immutable("uid", new.uid != old.uid, json!(new.uid));
    immutable(
        "creationTimestamp",
        new.creation_timestamp != old.creation_timestamp,
        json!(new.creation_timestamp),
    );
    immutable(
        "deletionTimestamp",
        new.deletion_timestamp != old.deletion_timestamp,
        json!(new.deletion_timestamp),
    );
    immutable(
        "deletionGracePeriodSeconds",
        new.deletion_grace_period_seconds != old.deletion_grace_period_seconds,
        json!(new.deletion_grace_period_seconds),
    );
    common(new, &mut errors);
    errors.extend(managed_fields(&new.managed_fields));
    errors
}

/// Finalizers that an update adds to an object that is being deleted.
pub fn new_finalizer_errors(new: &[String], old: &[String]) -> FieldErrors {
    let mut extra: Vec<&String> = new.iter().filter(|finalizer| !old.contains(finalizer)).collect();
    if extra.is_empty() {
        return Vec::new();
    }
    extra.sort();
    extra.dedup();
    let list: Vec<String> = extra.iter().map(|finalizer| quote(finalizer)).collect();
    let detail = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        list.join(", ")
    );
    vec![FieldError::forbidden("metadata.finalizers", detail)]
}

/// The stricter rule of the built-in kinds: a finalizer without a domain must be one of the known ones.
pub fn check_standard_finalizers(finalizers: &[String]) -> FieldErrors {
    let detail = "name is neither a standard finalizer name nor is it fully qualified";
    finalizers
        .iter()
        .filter(|name| !name.contains('/') && !STANDARD_FINALIZERS.contains(&name.as_str()))
        .map(|name| FieldError::invalid("metadata.finalizers", name.as_str(), detail))
        .collect()
}

/// What is wrong with labels; `path` is their field.
pub fn validate_labels(labels: &BTreeMap<String, String>, path: &str) -> FieldErrors {
    let mut errors = Vec::new();
    for (key, value) in labels {
        errors.extend(invalid_each(path, key, qualified_name_errors(key)));
        errors.extend(invalid_each(path, value, label_value_errors(value)));
    }
    errors
}

/// What is wrong with annotations; `path` is their field. Keys may be of either case; all together have a limit.
pub fn validate_annotations(annotations: &BTreeMap<String, String>, path: &str) -> FieldErrors {
    let mut errors = Vec::new();
    let mut bytes = 0;
    for (key, value) in annotations {
        bytes += key.len() + value.len();
        errors.extend(invalid_each(path, key, qualified_name_errors(&key.to_lowercase())));
    }
    if bytes > MAX_ANNOTATIONS_BYTES {
        errors.push(FieldError::too_long(path, MAX_ANNOTATIONS_BYTES));
    }
    errors
}

fn common(meta: &ObjectMeta, errors: &mut FieldErrors) {
    errors.extend(validate_labels(&meta.labels, "metadata.labels"));
    errors.extend(validate_annotations(&meta.annotations, "metadata.annotations"));
    errors.extend(owner_references(&meta.owner_references));
}

fn owner_references(owners: &[OwnerReference]) -> FieldErrors {
    let path = "metadata.ownerReferences";
    let mut errors = Vec::new();
    let mut controller: Option<String> = None;
    for owner in owners {
        let mut check = |field: &str, value: &str, wrong: bool, detail: &str| {
            if wrong {
                errors.push(FieldError::invalid(format!("{path}.{field}"), value, detail));
            }
        };
        let version = owner.api_version.rsplit('/').next().unwrap_or_default();
        check("apiVersion", &owner.api_version, version.is_empty(), "version must not be empty");
        check("kind", &owner.kind, owner.kind.is_empty(), "must not be empty");
        check("name", &owner.name, owner.name.is_empty(), "must not be empty");
        check("uid", &owner.uid, owner.uid.is_empty(), "must not be empty");
        if owner.api_version == "v1" && owner.kind == "Event" {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(FieldError::invalid(path, json!(owner), detail));
        }
        if owner.controller == Some(true) {
            let name = format!("{}/{}", owner.kind, owner.name);
            match &controller {
                Some(first) => {
                    let detail = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for \
                         {first} and {name}"
                    );
                    errors.push(FieldError::invalid(path, json!(owners), detail));
                }
                None => controller = Some(name),
            }
        }
    }
    errors
}

fn finalizers(finalizers: &[String]) -> FieldErrors {
    let path = "metadata.finalizers";
    let mut errors: FieldErrors =
        finalizers.iter().flat_map(|name| invalid_each(path, name, qualified_name_errors(name))).collect();
    let has = |wanted: &str| finalizers.iter().any(|name| name == wanted);
    if has(ORPHAN) && has(FOREGROUND) {
        let detail = format!("finalizer {ORPHAN} and {FOREGROUND} cannot be both set");
        errors.push(FieldError::invalid(path, json!(finalizers), detail));
    }
    errors
}

fn managed_fields(entries: &[ManagedFieldsEntry]) -> FieldErrors {
    let mut errors = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("metadata.managedFields[{index}]");
        if !matches!(entry.operation.as_str(), "Apply" | "Update") {
            let detail = "must be `Apply` or `Update`";
            errors.push(FieldError::invalid(format!("{path}.operation"), entry.operation.as_str(), detail));
        }
        if !matches!(entry.fields_type.as_str(), "" | "FieldsV1") {
            let detail = "must be `FieldsV1`";
            errors.push(FieldError::invalid(
                format!("{path}.fieldsType"),
                entry.fields_type.as_str(),
                detail,
            ));
        }
        errors.extend(field_manager(&entry.manager, &format!("{path}.manager")));
        if entry.subresource.len() > MAX_SUBRESOURCE_BYTES {
            errors.push(FieldError::too_long(format!("{path}.subresource"), MAX_SUBRESOURCE_BYTES));
        }
    }
    errors
}

/// What is wrong with the name of a field manager.
pub(crate) fn field_manager(manager: &str, path: &str) -> FieldErrors {
    let mut errors = Vec::new();
    if manager.len() > MAX_FIELD_MANAGER_BYTES {
        errors.push(FieldError::too_long(path, MAX_FIELD_MANAGER_BYTES));
    }
    for (at, c) in manager.char_indices() {
        if c.is_control() || (c.is_whitespace() && c != ' ') {
            let detail = format!("invalid character U+{:04X} (at position {at})", u32::from(c));
            errors.push(FieldError::invalid(path, manager, detail));
        }
    }
    errors
}

fn invalid_each(path: &str, value: &str, complaints: Vec<String>) -> impl Iterator<Item = FieldError> {
    complaints.into_iter().map(move |complaint| FieldError::invalid(path, value, complaint))
}

#[cfg(test)]
mod tests {
    use super::super::path_segment_errors;
    use super::*;
    use crate::time::Time;

    fn named(name: &str) -> ObjectMeta {
        ObjectMeta { name: name.into(), namespace: "ns".into(), ..Default::default() }
    }

    fn texts(errors: FieldErrors) -> Vec<String> {
        errors.into_iter().map(|error| error.to_string()).collect()
    }

    fn create(meta: &ObjectMeta) -> Vec<String> {
        texts(object_meta(meta, Scope::Namespaced, path_segment_errors))
    }

    #[test]
    fn a_name_and_a_namespace_are_required() {
        assert!(create(&named("a:b")).is_empty());
        assert_eq!(create(&named("")), ["metadata.name: Required value: name or generateName is required"]);
        assert_eq!(create(&named("..")), ["metadata.name: Invalid value: \"..\": may not be '..'"]);
        let bare = ObjectMeta { name: "a".into(), ..Default::default() };
        assert_eq!(create(&bare), ["metadata.namespace: Required value"]);
        assert_eq!(
            texts(object_meta(&named("a"), Scope::Cluster, path_segment_errors)),
            ["metadata.namespace: Forbidden: not allowed on this type"]
        );
    }

    #[test]
    fn labels_annotations_owners_and_finalizers_are_checked() {
        let mut meta = named("a");
        meta.labels.insert("a b".into(), "c d".into());
        assert_eq!(create(&meta).len(), 2);

        let mut meta = named("a");
        meta.annotations.insert("Example.com/K".into(), "any text".into());
        assert!(create(&meta).is_empty());
        meta.annotations.insert("big".into(), "x".repeat(MAX_ANNOTATIONS_BYTES));
        assert_eq!(create(&meta), ["metadata.annotations: Too long: may not be more than 262144 bytes"]);

        let mut meta = named("a");
        meta.finalizers = vec!["orphan".into(), "foregroundDeletion".into()];
        assert_eq!(
            create(&meta),
            [
                "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer orphan and \
              foregroundDeletion cannot be both set"
            ]
        );
        assert_eq!(
            texts(check_standard_finalizers(&["mine".into(), "orphan".into(), "a.b/c".into()])).len(),
            1
        );

        let owner = |name: &str| OwnerReference {
            api_version: "v1".into(),
            kind: "Pod".into(),
            name: name.into(),
            uid: "u".into(),
            controller: Some(true),
            ..Default::default()
        };
        let mut meta = named("a");
        meta.owner_references = vec![owner("x"), owner("y")];
        assert!(create(&meta)[0].ends_with("Found \"true\" in references for Pod/x and Pod/y"));
        meta.owner_references = vec![OwnerReference::default()];
        assert_eq!(create(&meta).len(), 4);
    }

    #[test]
    fn identity_is_immutable() {
        let old = ObjectMeta { uid: "1".into(), resource_version: "7".into(), ..named("a") };
        assert!(object_meta_update(&old, &old).is_empty());
        let new = ObjectMeta { uid: "2".into(), resource_version: String::new(), ..old.clone() };
        assert_eq!(
            texts(object_meta_update(&new, &old)),
            [
                "metadata.resourceVersion: Invalid value: \"\": must be specified for an update",
                "metadata.uid: Invalid value: \"2\": field is immutable"
            ]
        );
    }

    #[test]
    fn what_is_being_deleted_gets_no_new_finalizers() {
        let old = ObjectMeta {
            resource_version: "7".into(),
            deletion_timestamp: Some(Time::from_unix(1)),
            finalizers: vec!["a/b".into()],
            ..named("a")
        };
        let fewer = ObjectMeta { finalizers: vec![], ..old.clone() };
        assert!(object_meta_update(&fewer, &old).is_empty());
        let more = ObjectMeta { finalizers: vec!["a/b".into(), "a/c".into()], ..old.clone() };
        assert_eq!(
            texts(object_meta_update(&more, &old)),
            [
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found \
              new finalizers []string{\"a/c\"}"
            ]
        );
    }
}
