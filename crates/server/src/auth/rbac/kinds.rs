//! What a stored role or binding must look like.

use machinery::field::{FieldError, FieldErrors};
use machinery::validate;
use serde_json::{Value, json};

use super::{Binding, GROUP, PolicyRule, Role, Subject};
use crate::plain::{LENIENT, Plain, PlainRules};

/// Roles of one project.
pub const ROLE: PlainRules = PlainRules {
    prepare: |new, _| prepare_role(new),
    validate: |new, _| validate_role(new, true),
    ..LENIENT
};
/// Roles of all projects.
pub const CLUSTER_ROLE: PlainRules = PlainRules {
    prepare: |new, _| prepare_role(new),
    validate: |new, _| validate_role(new, false),
    ..LENIENT
};
/// Bindings of one project.
pub const ROLE_BINDING: PlainRules = PlainRules {
    prepare: |new, _| prepare_binding(new),
    validate: |new, old| validate_binding(new, old, true),
    ..LENIENT
};
/// Bindings of all projects.
pub const CLUSTER_ROLE_BINDING: PlainRules = PlainRules {
    prepare: |new, _| prepare_binding(new),
    validate: |new, old| validate_binding(new, old, false),
    ..LENIENT
};

fn prepare_role(new: &mut Plain) {
    new.fields.retain(|key, _| matches!(key.as_str(), "rules" | "aggregationRule"));
    new.fields.entry("rules").or_insert(Value::Null);
}

fn prepare_binding(new: &mut Plain) {
    new.fields.retain(|key, _| matches!(key.as_str(), "subjects" | "roleRef"));
    let default_group = |object: &mut Value, group: &str| {
        let unset = object.get("apiGroup").and_then(Value::as_str).is_none_or(str::is_empty);
        if let Some(object) = object.as_object_mut()
            && unset
        {
            object.insert("apiGroup".to_owned(), group.into());
        }
    };
    if let Some(role) = new.fields.get_mut("roleRef") {
        default_group(role, GROUP);
    }
    let subjects = new.fields.get_mut("subjects").and_then(Value::as_array_mut);
    for subject in subjects.into_iter().flatten() {
        if matches!(subject.get("kind").and_then(Value::as_str), Some("User" | "Group")) {
            default_group(subject, GROUP);
        }
    }
}

/// The object as a role.
///
/// # Errors
/// A field that cannot be read.
pub fn role_of(plain: &Plain) -> Result<Role, FieldError> {
    typed(plain)
}

/// The object as a binding.
///
/// # Errors
/// A field that cannot be read.
pub fn binding_of(plain: &Plain) -> Result<Binding, FieldError> {
    typed(plain)
}

fn typed<T: serde::de::DeserializeOwned>(plain: &Plain) -> Result<T, FieldError> {
    let value = serde_json::to_value(plain).expect("JSON values with string keys serialize");
    serde_json::from_value(value).map_err(|why| FieldError::invalid("", "", why.to_string()))
}

fn validate_role(new: &Plain, namespaced: bool) -> FieldErrors {
    let role = match role_of(new) {
        Ok(role) => role,
        Err(error) => return vec![error],
    };
    let mut errors = Vec::new();
    for (index, rule) in role.rules.iter().enumerate() {
        validate_rule(rule, &format!("rules[{index}]"), namespaced, &mut errors);
    }
    if role.aggregation_rule.as_ref().is_some_and(|rule| rule.cluster_role_selectors.is_empty()) {
        errors.push(FieldError::required(
            "aggregationRule.clusterRoleSelectors",
            "at least one clusterRoleSelector required if aggregationRule is non-nil",
        ));
    }
    errors
}

fn validate_rule(rule: &PolicyRule, path: &str, namespaced: bool, errors: &mut FieldErrors) {
    if rule.verbs.is_empty() {
        errors.push(FieldError::required(format!("{path}.verbs"), "verbs must contain at least one value"));
    }
    if !rule.non_resource_urls.is_empty() {
        let field = format!("{path}.nonResourceURLs");
        let urls = json!(rule.non_resource_urls);
        if namespaced {
            let why = "namespaced rules cannot apply to non-resource URLs";
            errors.push(FieldError::invalid(field.as_str(), urls.clone(), why));
        }
        if !rule.api_groups.is_empty() || !rule.resources.is_empty() || !rule.resource_names.is_empty() {
            let why = "rules cannot apply to both regular resources and non-resource URLs";
            errors.push(FieldError::invalid(field, urls, why));
        }
        return;
    }
    if rule.api_groups.is_empty() {
        let why = "resource rules must supply at least one api group";
        errors.push(FieldError::required(format!("{path}.apiGroups"), why));
    }
    if rule.resources.is_empty() {
        let why = "resource rules must supply at least one resource";
        errors.push(FieldError::required(format!("{path}.resources"), why));
    }
}

fn validate_binding(new: &Plain, old: Option<&Plain>, namespaced: bool) -> FieldErrors {
    let binding = match binding_of(new) {
        Ok(binding) => binding,
        Err(error) => return vec![error],
    };
    let mut errors = Vec::new();
    let role = &binding.role_ref;
    if role.api_group != GROUP {
        errors.push(FieldError::not_supported("roleRef.apiGroup", role.api_group.as_str(), &[GROUP]));
    }
    let kinds: &[&str] = if namespaced { &["ClusterRole", "Role"] } else { &["ClusterRole"] };
    if !kinds.contains(&role.kind.as_str()) {
        errors.push(FieldError::not_supported("roleRef.kind", role.kind.as_str(), kinds));
    }
    if role.name.is_empty() {
        errors.push(FieldError::required("roleRef.name", ""));
    } else {
        let wrong = validate::path_segment_errors(&role.name, false);
        errors.extend(
            wrong.into_iter().map(|why| FieldError::invalid("roleRef.name", role.name.as_str(), why)),
        );
    }
    for (index, subject) in binding.subjects.iter().enumerate() {
        validate_subject(subject, &format!("subjects[{index}]"), namespaced, &mut errors);
    }
    if let Some(old) = old
        && old.fields.get("roleRef") != new.fields.get("roleRef")
    {
        let shown = new.fields.get("roleRef").cloned().unwrap_or_default();
        errors.push(FieldError::invalid("roleRef", shown, "cannot change roleRef"));
    }
    errors
}

fn validate_subject(subject: &Subject, path: &str, namespaced: bool, errors: &mut FieldErrors) {
    if subject.name.is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    }
    match subject.kind.as_str() {
        "ServiceAccount" => {
            if !subject.name.is_empty() {
                let wrong = validate::dns_subdomain_errors(&subject.name, false);
                errors.extend(
                    wrong
                        .into_iter()
                        .map(|why| FieldError::invalid(format!("{path}.name"), subject.name.as_str(), why)),
                );
            }
            if !subject.api_group.is_empty() {
                let field = format!("{path}.apiGroup");
                errors.push(FieldError::not_supported(field, subject.api_group.as_str(), &[""]));
            }
            if !namespaced && subject.namespace.is_empty() {
                errors.push(FieldError::required(format!("{path}.namespace"), ""));
            }
        }
        "User" | "Group" => {
            if subject.api_group != GROUP {
                let field = format!("{path}.apiGroup");
                errors.push(FieldError::not_supported(field, subject.api_group.as_str(), &[GROUP]));
            }
        }
        other => {
            let known = ["Group", "ServiceAccount", "User"];
            errors.push(FieldError::not_supported(format!("{path}.kind"), other, &known));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(value: Value) -> Plain {
        serde_json::from_value(value).unwrap()
    }

    fn check(rules: &PlainRules, value: Value, want: &[&str]) {
        let mut new = plain(value);
        (rules.prepare)(&mut new, None);
        let found: Vec<String> = (rules.validate)(&new, None).iter().map(ToString::to_string).collect();
        assert_eq!(found, want, "{new:?}");
    }

    #[test]
    fn rules_say_what_they_are_about() {
        let rules = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}]);
        check(&ROLE, json!({"rules": rules}), &[]);
        check(&ROLE, json!({}), &[]);
        check(
            &ROLE,
            json!({"rules": [{}]}),
            &[
                "rules[0].verbs: Required value: verbs must contain at least one value",
                "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
                "rules[0].resources: Required value: resource rules must supply at least one resource",
            ],
        );
        let paths = json!({"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]});
        check(&CLUSTER_ROLE, paths.clone(), &[]);
        check(
            &ROLE,
            paths,
            &[
                "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs",
            ],
        );
    }

    #[test]
    fn a_binding_names_known_kinds_and_its_role_stays() {
        let role = json!({"kind": "ClusterRole", "name": "view"});
        check(&ROLE_BINDING, json!({"roleRef": role, "subjects": [{"kind": "User", "name": "a"}]}), &[]);
        check(
            &CLUSTER_ROLE_BINDING,
            json!({"roleRef": role, "subjects": [{"kind": "ServiceAccount", "name": "a"}]}),
            &["subjects[0].namespace: Required value"],
        );
        check(
            &ROLE_BINDING,
            json!({"roleRef": role, "subjects": [{"kind": "Robot", "name": "a"}]}),
            &[
                "subjects[0].kind: Unsupported value: \"Robot\": supported values: \"Group\", \"ServiceAccount\", \"User\"",
            ],
        );
        let mut old = plain(json!({"roleRef": role}));
        let mut new = plain(json!({"roleRef": {"kind": "ClusterRole", "name": "admin"}}));
        prepare_binding(&mut old);
        prepare_binding(&mut new);
        let errors = (ROLE_BINDING.validate)(&new, Some(&old));
        assert!(errors[0].to_string().ends_with(": cannot change roleRef"), "{errors:?}");
    }
}
