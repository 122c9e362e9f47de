//! Fields that a Kubernetes kind does not have.
//!
//! Which it has is what its protobuf form says: the table of its messages knows every field by its JSON name. Of kinds that
//! have no such form nothing is known, and nothing is told.

use serde_json::{Map, Value};

use super::document::Path;
use crate::limits::MAX_FIELD_WARNINGS;
use crate::protobuf::messages::{Kind, Many, Message, message_at, message_of};

/// The paths of fields that a kind does not have, as `spec.tmplate` or `spec.template.spec.containers[0].imge`.
pub fn unknown_fields(api_version: &str, kind: &str, object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if let (Some(message), Value::Object(fields)) = (message_of(api_version, kind), object) {
        walk(message, fields, &Path::Root, &mut found);
    }
    found
}

fn walk(message: &'static Message, fields: &Map<String, Value>, path: &Path<'_>, found: &mut Vec<String>) {
    for (name, value) in fields {
        let path = Path::Field(path, name);
        let Some(field) = field(message, name) else {
            // An object says its type wherever it stands.
            let is_type =
                matches!(name.as_str(), "kind" | "apiVersion") && field(message, "metadata").is_some();
            if !is_type && found.len() < MAX_FIELD_WARNINGS {
                found.push(path.to_string());
            }
            continue;
        };
        let Kind::Message(place) = field.kind else { continue };
        let inner = message_at(place);
        match (field.many, value) {
            (Many::One, Value::Object(fields)) => walk(inner, fields, &path, found),
            (Many::List, Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    if let Value::Object(fields) = item {
                        walk(inner, fields, &Path::Index(&path, index), found);
                    }
                }
            }
            (Many::Map, Value::Object(entries)) => {
                for (key, entry) in entries {
                    if let Value::Object(fields) = entry {
                        walk(inner, fields, &Path::Field(&path, key), found);
                    }
                }
            }
            // What is of another form altogether is told by others.
            _ => {}
        }
    }
}

/// A field by its name, also one of a message whose fields belong to the one around it.
fn field(message: &'static Message, name: &str) -> Option<&'static crate::protobuf::messages::Field> {
    message.fields.iter().find_map(|held| match (held.name, held.kind) {
        ("", Kind::Message(place)) => field(message_at(place), name),
        (known, _) => (known == name).then_some(held),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(api_version: &str, kind: &str, object: &Value, want: &[&str]) {
        assert_eq!(unknown_fields(api_version, kind, object), want);
    }

    #[test]
    fn fields_are_looked_for_at_every_depth() {
        check(
            "apps/v1",
            "Deployment",
            &json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "a", "labls": {}}, "spec": {
                "replicas": 1, "replica": 2, "selector": {"matchLabels": {"any": "thing"}},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [
                    {"name": "a", "imge": "x", "env": [{"name": "A", "valueFrom": {"secretKeyRef":
                        {"name": "s", "key": "k", "optional": true, "more": 1}}}]},
                ], "volumes": [{"name": "v", "configMap": {"name": "c"}, "emptyDir": {"size": 1}}]}},
            }}),
            &[
                "metadata.labls",
                "spec.replica",
                "spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef.more",
                "spec.template.spec.containers[0].imge",
                "spec.template.spec.volumes[0].emptyDir.size",
            ],
        );
        check("v1", "Secret", &json!({"stringData": {"a": "b"}, "data": {"c": "ZA=="}, "dat": {}}), &["dat"]);
        check("v1", "Namespace", &json!({"metadata": {"managedFields": [{"fieldsV1": {"f:a": {}}}]}}), &[]);
        check(
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            &json!({"roleRef": {"name": "view", "kind": "ClusterRole", "group": "x"}, "subject": []}),
            &["roleRef.group", "subject"],
        );
        check(
            "autoscaling/v1",
            "Scale",
            &json!({"spec": {"replicas": 1, "replicaz": 2}}),
            &["spec.replicaz"],
        );
    }

    #[test]
    fn of_other_kinds_nothing_is_told() {
        check("config.openshift.io/v1", "Image", &json!({"anything": 1}), &[]);
        check("apps/v1", "Deployment", &json!({"spec": "text"}), &[]);
    }
}
