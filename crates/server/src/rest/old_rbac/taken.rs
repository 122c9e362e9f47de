//! From the older form of roles and bindings to the one that is stored.

use machinery::meta::ObjectMeta;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::auth::actor::split_service_account;
use crate::auth::rbac::{AggregationRule, Binding, GROUP, PolicyRule, Role, RoleRef, Subject};
use crate::plain::Plain;
use crate::resource::Resource;

/// An object of the older form, as it is stored. `namespace` is the request's.
///
/// # Errors
/// What cannot be said in the newer form, or is no such object.
pub(super) fn taken(resource: &Resource, namespace: &str, value: &Value) -> Result<Plain, String> {
    let told = |error: serde_json::Error| error.to_string();
    let new = if resource.kind.ends_with("Binding") {
        let old = OldBinding::deserialize(value).map_err(told)?;
        serde_json::to_value(old.taken(namespace)?)
    } else {
        let old = OldRole::deserialize(value).map_err(told)?;
        serde_json::to_value(old.taken()?)
    };
    serde_json::from_value(new.map_err(told)?).map_err(told)
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct OldRole {
    metadata: ObjectMeta,
    #[serde(deserialize_with = "nullable")]
    rules: Vec<OldRule>,
    aggregation_rule: Option<AggregationRule>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct OldRule {
    #[serde(flatten)]
    rule: PolicyRule,
    attribute_restrictions: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct OldBinding {
    metadata: ObjectMeta,
    user_names: Option<Vec<String>>,
    group_names: Option<Vec<String>>,
    #[serde(deserialize_with = "nullable")]
    subjects: Vec<OldReference>,
    #[serde(deserialize_with = "nullable")]
    role_ref: OldReference,
}

/// A role or a subject.
#[derive(Deserialize, Default)]
#[serde(default)]
struct OldReference {
    #[serde(deserialize_with = "nullable")]
    kind: String,
    #[serde(deserialize_with = "nullable")]
    namespace: String,
    #[serde(deserialize_with = "nullable")]
    name: String,
}

fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(input: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(input).map(Option::unwrap_or_default)
}

impl OldRole {
    fn taken(self) -> Result<Role, String> {
        let rules: Result<Vec<PolicyRule>, String> = self.rules.into_iter().map(OldRule::taken).collect();
        Ok(Role { metadata: self.metadata, rules: rules?, aggregation_rule: self.aggregation_rule })
    }
}

impl OldRule {
    /// A rule without groups is about the core group; one that allows everything there, about all of them.
    fn taken(self) -> Result<PolicyRule, String> {
        if self.attribute_restrictions.is_some_and(|value| !value.is_null()) {
            return Err("attributeRestrictions are not supported".to_owned());
        }
        let mut rule = self.rule;
        if rule.api_groups.is_empty() && !rule.resources.is_empty() {
            let is_all = |words: &[String]| words == ["*"];
            let everything = is_all(&rule.verbs) && is_all(&rule.resources) && rule.resource_names.is_empty();
            rule.api_groups.push(if everything { "*" } else { "" }.to_owned());
        }
        Ok(rule)
    }
}

impl OldBinding {
    fn taken(self, namespace: &str) -> Result<Binding, String> {
        let role = &self.role_ref;
        if !role.namespace.is_empty() && role.namespace != namespace {
            return Err(format!(
                "role binding in namespace {namespace:?} can't reference role in different namespace {:?}",
                role.namespace
            ));
        }
        let kind = if role.namespace.is_empty() { "ClusterRole" } else { "Role" };
        let role_ref =
            RoleRef { api_group: GROUP.to_owned(), kind: kind.to_owned(), name: role.name.clone() };
        // The names are the oldest form: whoever sends them means them.
        let subjects = if self.user_names.is_none() && self.group_names.is_none() {
            let subjects: Result<_, String> =
                self.subjects.into_iter().map(|subject| subject.taken(namespace)).collect();
            subjects?
        } else {
            let users = self.user_names.unwrap_or_default().into_iter().map(user);
            users
                .chain(self.group_names.unwrap_or_default().into_iter().map(|name| rbac("Group", name)))
                .collect()
        };
        Ok(Binding { metadata: self.metadata, subjects, role_ref })
    }
}

impl OldReference {
    fn taken(self, namespace: &str) -> Result<Subject, String> {
        match self.kind.as_str() {
            "User" | "SystemUser" => Ok(user(self.name)),
            "Group" | "SystemGroup" => Ok(rbac("Group", self.name)),
            "ServiceAccount" => {
                Ok(account(if self.namespace.is_empty() { namespace } else { &self.namespace }, &self.name))
            }
            other => Err(format!("invalid kind of a subject: {other:?}")),
        }
    }
}

fn user(name: String) -> Subject {
    match split_service_account(&name) {
        Some((namespace, account_name)) => account(namespace, account_name),
        None => rbac("User", name),
    }
}

fn rbac(kind: &str, name: String) -> Subject {
    Subject { kind: kind.to_owned(), api_group: GROUP.to_owned(), name, namespace: String::new() }
}

fn account(namespace: &str, name: &str) -> Subject {
    Subject {
        kind: "ServiceAccount".to_owned(),
        api_group: String::new(),
        name: name.to_owned(),
        namespace: namespace.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::shown::shown;
    use super::*;
    use crate::resource;
    use serde_json::json;

    fn resource(kind: &str) -> &'static Resource {
        let plural = format!("{}s", kind.to_lowercase());
        resource::find("authorization.openshift.io", "v1", &plural, "").unwrap()
    }

    fn new(kind: &str, value: &Value) -> Result<Value, String> {
        let plain = taken(resource(kind), "p", value)?;
        Ok(Value::Object(plain.fields))
    }

    #[test]
    fn names_count_more_than_subjects_and_accounts_are_found_among_them() {
        let subject = |kind: &str, name: &str| json!({"kind": kind, "apiGroup": GROUP, "name": name});
        let robot = json!({"kind": "ServiceAccount", "name": "robot", "namespace": "q"});
        let old = json!({"roleRef": {"name": "view"}, "userNames": ["eve", "system:serviceaccount:q:robot"],
            "groupNames": ["devs"], "subjects": [{"kind": "User", "name": "ignored"}]});
        let role = json!({"apiGroup": GROUP, "kind": "ClusterRole", "name": "view"});
        assert_eq!(
            new("RoleBinding", &old).unwrap(),
            json!({"subjects": [subject("User", "eve"), robot, subject("Group", "devs")], "roleRef": role})
        );
        let old = json!({"roleRef": {"name": "r", "namespace": "p"}, "userNames": null, "groupNames": null,
            "subjects": [{"kind": "SystemUser", "name": "system:admin"}, {"kind": "SystemGroup", "name": "g"},
                {"kind": "ServiceAccount", "name": "own"}]});
        let own = json!({"kind": "ServiceAccount", "name": "own", "namespace": "p"});
        assert_eq!(
            new("RoleBinding", &old).unwrap(),
            json!({"subjects": [subject("User", "system:admin"), subject("Group", "g"), own],
                "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": "r"}})
        );
    }

    #[test]
    fn what_the_newer_form_cannot_say_is_refused() {
        let check = |kind: &str, value: Value, why: &str| {
            assert_eq!(new(kind, &value).unwrap_err(), why);
        };
        check(
            "RoleBinding",
            json!({"roleRef": {"name": "r", "namespace": "q"}}),
            "role binding in namespace \"p\" can't reference role in different namespace \"q\"",
        );
        check(
            "RoleBinding",
            json!({"roleRef": {"name": "r"}, "subjects": [{"kind": "Robot", "name": "x"}]}),
            "invalid kind of a subject: \"Robot\"",
        );
        check(
            "Role",
            json!({"rules": [{"verbs": ["get"], "resources": ["x"], "attributeRestrictions": {"kind": "y"}}]}),
            "attributeRestrictions are not supported",
        );
    }

    #[test]
    fn rules_without_groups_are_about_the_core_group() {
        let rules = |rule: Value| new("ClusterRole", &json!({"rules": [rule]})).unwrap()["rules"][0].clone();
        let plain = rules(
            json!({"verbs": ["get"], "apiGroups": null, "resources": ["pods"], "attributeRestrictions": null}),
        );
        assert_eq!(plain, json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}));
        let all = rules(json!({"verbs": ["*"], "resources": ["*"]}));
        assert_eq!(all["apiGroups"], json!(["*"]));
        let path = rules(json!({"verbs": ["get"], "resources": [], "nonResourceURLs": ["/x"]}));
        assert_eq!(path, json!({"verbs": ["get"], "nonResourceURLs": ["/x"]}));
    }

    #[test]
    fn there_and_back_is_the_same() {
        let role_ref = json!({"name": "view"});
        let binding = json!({"metadata": {"name": "a", "namespace": "p"},
            "userNames": ["eve"], "groupNames": ["devs"], "roleRef": role_ref,
            "subjects": [{"kind": "User", "name": "eve"}, {"kind": "Group", "name": "devs"}]});
        let stored = taken(resource("RoleBinding"), "p", &binding).unwrap();
        assert_eq!(shown(resource("RoleBinding"), &stored).unwrap(), binding);
    }
}
