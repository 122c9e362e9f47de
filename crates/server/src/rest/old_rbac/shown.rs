//! From the stored form of roles and bindings to the older one.

use machinery::status::ApiError;
use machinery::validate::path_segment_errors;
use serde_json::{Value, json};

use crate::auth::rbac::kinds::{binding_of, role_of};
use crate::auth::rbac::{Binding, PolicyRule, Subject};
use crate::plain::Plain;
use crate::resource::Resource;

/// An object in the older form, without its type header.
pub(super) fn shown(resource: &Resource, object: &Plain) -> Result<Value, ApiError> {
    let broken = |why| ApiError::internal(&format!("{} cannot be shown: {why}", object.metadata.name));
    if resource.kind.ends_with("Binding") {
        let binding = binding_of(object).map_err(broken)?;
        return Ok(of_binding(&binding));
    }
    let role = role_of(object).map_err(broken)?;
    let rules: Vec<Value> = role.rules.iter().map(rule).collect();
    let mut value = json!({ "metadata": role.metadata, "rules": rules });
    if resource.kind == "ClusterRole"
        && let Some(aggregation) = &role.aggregation_rule
    {
        value["aggregationRule"] = json!(aggregation);
    }
    Ok(value)
}

/// Words of a rule are sets there: in order, each once.
fn rule(rule: &PolicyRule) -> Value {
    let sorted = |words: &[String]| {
        let mut words: Vec<&String> = words.iter().collect();
        words.sort_unstable();
        words.dedup();
        json!(words)
    };
    let mut value = json!({
        "verbs": sorted(&rule.verbs),
        "attributeRestrictions": null,
        "apiGroups": if rule.api_groups.is_empty() { Value::Null } else { json!(rule.api_groups) },
        "resources": sorted(&rule.resources),
    });
    if !rule.resource_names.is_empty() {
        value["resourceNames"] = sorted(&rule.resource_names);
    }
    if !rule.non_resource_urls.is_empty() {
        value["nonResourceURLs"] = sorted(&rule.non_resource_urls);
    }
    value
}

fn of_binding(binding: &Binding) -> Value {
    let namespace = &binding.metadata.namespace;
    let mut role = json!({ "name": binding.role_ref.name });
    if binding.role_ref.kind == "Role" {
        role["namespace"] = namespace.as_str().into();
    }
    let names = |wanted: fn(&Subject) -> bool| {
        let names: Vec<String> = binding
            .subjects
            .iter()
            .filter(|subject| wanted(subject))
            .map(|subject| match subject.kind.as_str() {
                "ServiceAccount" => {
                    let place = if subject.namespace.is_empty() { namespace } else { &subject.namespace };
                    format!("system:serviceaccount:{place}:{}", subject.name)
                }
                _ => subject.name.clone(),
            })
            .collect();
        if names.is_empty() { Value::Null } else { json!(names) }
    };
    json!({
        "metadata": binding.metadata,
        "userNames": names(|subject| subject.kind != "Group"),
        "groupNames": names(|subject| subject.kind == "Group"),
        "subjects": binding.subjects.iter().map(subject).collect::<Vec<_>>(),
        "roleRef": role,
    })
}

/// Names that no person or group can have are those of the system.
fn subject(subject: &Subject) -> Value {
    let system = subject.name.contains(':') || !path_segment_errors(&subject.name, false).is_empty();
    let kind = match (subject.kind.as_str(), system) {
        ("User", true) => "SystemUser",
        ("Group", true) => "SystemGroup",
        (kind, _) => kind,
    };
    let mut value = json!({ "kind": kind, "name": subject.name });
    if !subject.namespace.is_empty() {
        value["namespace"] = subject.namespace.as_str().into();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource;

    fn plain(object: Value) -> Plain {
        serde_json::from_value(object).unwrap()
    }

    fn old(kind: &str, object: Value) -> Value {
        let plural = format!("{}s", kind.to_lowercase());
        let resource = resource::find("authorization.openshift.io", "v1", &plural, "").unwrap();
        let mut value = shown(resource, &plain(object)).unwrap();
        value.as_object_mut().unwrap().remove("metadata");
        value
    }

    #[test]
    fn bindings_name_users_groups_and_accounts() {
        let object = json!({"metadata": {"name": "a", "namespace": "p"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [
            {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "eve"},
            {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "system:admin"},
            {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:authenticated"},
            {"kind": "ServiceAccount", "name": "robot", "namespace": "q"},
        ]});
        assert_eq!(
            old("RoleBinding", object),
            json!({
                "userNames": ["eve", "system:admin", "system:serviceaccount:q:robot"],
                "groupNames": ["system:authenticated"],
                "subjects": [
                    {"kind": "User", "name": "eve"},
                    {"kind": "SystemUser", "name": "system:admin"},
                    {"kind": "SystemGroup", "name": "system:authenticated"},
                    {"kind": "ServiceAccount", "name": "robot", "namespace": "q"},
                ],
                "roleRef": {"name": "view"},
            })
        );
        let own =
            json!({"metadata": {"name": "a", "namespace": "p"}, "roleRef": {"kind": "Role", "name": "r"}});
        let own = old("RoleBinding", own);
        assert_eq!(own["roleRef"], json!({"name": "r", "namespace": "p"}));
        assert_eq!((&own["userNames"], &own["subjects"]), (&Value::Null, &json!([])));
    }

    #[test]
    fn words_of_rules_are_in_order() {
        let object = json!({"metadata": {"name": "a"}, "rules": [
            {"verbs": ["list", "get"], "apiGroups": [""], "resources": ["b", "a"], "resourceNames": ["x"]},
            {"verbs": ["get"], "nonResourceURLs": ["/x"]},
        ]});
        assert_eq!(
            old("ClusterRole", object)["rules"],
            json!([
                {"verbs": ["get", "list"], "attributeRestrictions": null, "apiGroups": [""],
                    "resources": ["a", "b"], "resourceNames": ["x"]},
                {"verbs": ["get"], "attributeRestrictions": null, "apiGroups": null, "resources": [],
                    "nonResourceURLs": ["/x"]},
            ])
        );
    }
}
