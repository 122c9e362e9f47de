//! Role-based access control: roles are lists of rules, bindings give them to subjects, in one project or everywhere.
//!
//! The shapes are those of `rbac.authorization.k8s.io/v1`. Everything is additive: no rule takes a right away. What is
//! stored is compiled into [`policy::Policy`], which answers requests; [`cover`] compares sets of rules, so that nobody
//! hands out more than they have.

pub mod cover;
pub mod defaults;
pub mod escalation;
pub mod kinds;
pub mod policy;
#[cfg(test)]
mod rights_tests;

use std::collections::BTreeMap;

use machinery::meta::ObjectMeta;
use serde::{Deserialize, Serialize};

/// The API group.
pub const GROUP: &str = "rbac.authorization.k8s.io";
/// In rules: everything.
pub const ALL: &str = "*";

/// What a role allows: any of the verbs on any of the resources (or plain paths).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PolicyRule {
    /// What may be done.
    #[serde(deserialize_with = "nullable")]
    pub verbs: Vec<String>,
    /// Of which groups; the core group is empty.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// To which resources, with subresources behind a slash.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// To which objects; empty means all.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Paths outside the API; a `*` at the end stands for anything.
    #[serde(
        rename = "nonResourceURLs",
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub non_resource_urls: Vec<String>,
}

/// A `Role` or `ClusterRole`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Role {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// What it allows.
    #[serde(deserialize_with = "nullable")]
    pub rules: Vec<PolicyRule>,
    /// Which cluster roles it is made of, instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregation_rule: Option<AggregationRule>,
}

/// Which cluster roles another one is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AggregationRule {
    /// Any of these.
    #[serde(deserialize_with = "nullable")]
    pub cluster_role_selectors: Vec<Selector>,
}

/// A selector of labels as objects hold it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Selector {
    /// Labels with these values.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements, all of which must hold.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

/// One requirement of a selector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// What the first two compare with.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

impl Selector {
    /// Whether labels are selected; an operator that nobody knows selects nothing.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }
}

impl Requirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator.as_str() {
            "In" => value.is_some_and(|value| self.values.contains(value)),
            "NotIn" => value.is_none_or(|value| !self.values.contains(value)),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    }
}

/// A `RoleBinding` or `ClusterRoleBinding`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Binding {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Who gets the role.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<Subject>,
    /// Which role.
    pub role_ref: RoleRef,
}

/// Who gets a role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: String,
    /// The group of that kind.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    /// Name.
    pub name: String,
    /// Project of a service account.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// Which role a binding gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RoleRef {
    /// The RBAC group.
    #[serde(deserialize_with = "nullable")]
    pub api_group: String,
    /// `Role` or `ClusterRole`.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// Clients write `null` for empty.
fn nullable<'de, D, T>(input: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(input).map(Option::unwrap_or_default)
}

/// What a request wants, as rules see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// What is to be done.
    pub verb: &'a str,
    /// The path, where it is outside the API; the fields below are empty then.
    pub path: Option<&'a str>,
    /// Group.
    pub group: &'a str,
    /// Resource, plural.
    pub resource: &'a str,
    /// The part of the object that is meant.
    pub subresource: &'a str,
    /// Project; empty for all of them and for cluster-scoped resources.
    pub namespace: &'a str,
    /// The object; empty for collections.
    pub name: &'a str,
}

impl PolicyRule {
    /// Whether the rule allows a request (the project does not matter here: the binding's decides).
    pub fn allows(&self, wanted: &Attributes<'_>) -> bool {
        let any = |list: &[String], word: &str| list.iter().any(|held| held == ALL || held == word);
        if !any(&self.verbs, wanted.verb) {
            return false;
        }
        match wanted.path {
            Some(path) => self.non_resource_urls.iter().any(|held| path_matches(held, path)),
            None => {
                any(&self.api_groups, wanted.group)
                    && self.resources.iter().any(|held| resource_matches(held, wanted))
                    && (self.resource_names.is_empty()
                        || self.resource_names.iter().any(|held| held == wanted.name))
            }
        }
    }
}

fn path_matches(held: &str, path: &str) -> bool {
    held == ALL || held == path || held.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

fn resource_matches(held: &str, wanted: &Attributes<'_>) -> bool {
    if held == ALL {
        return true;
    }
    match held.split_once('/') {
        None => wanted.subresource.is_empty() && held == wanted.resource,
        Some((resource, subresource)) => {
            !wanted.subresource.is_empty()
                && subresource == wanted.subresource
                && (resource == ALL || resource == wanted.resource)
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn rule(verbs: &str, groups: &str, resources: &str, names: &str) -> PolicyRule {
        let words = |text: &str| text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        let groups: Vec<String> = groups.split(' ').map(|group| group.replace('-', "")).collect();
        PolicyRule {
            verbs: words(verbs),
            api_groups: groups,
            resources: words(resources),
            resource_names: words(names),
            non_resource_urls: Vec::new(),
        }
    }

    fn wanted<'a>(verb: &'a str, group: &'a str, resource: &'a str, name: &'a str) -> Attributes<'a> {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        Attributes { verb, group, resource, subresource, name, ..Attributes::default() }
    }

    #[test]
    fn a_rule_allows_what_it_names_and_no_more() {
        let check = |rule: &PolicyRule, request: (&str, &str, &str, &str), want: bool| {
            let (verb, group, resource, name) = request;
            assert_eq!(rule.allows(&wanted(verb, group, resource, name)), want, "{rule:?} {request:?}");
        };
        let plain = rule("get list", "i", "imagestreams", "");
        check(&plain, ("get", "i", "imagestreams", "a"), true);
        check(&plain, ("delete", "i", "imagestreams", "a"), false);
        check(&plain, ("get", "j", "imagestreams", "a"), false);
        check(&plain, ("get", "i", "imagestreams/layers", "a"), false);
        check(&rule("get", "i", "imagestreams/layers", ""), ("get", "i", "imagestreams/layers", "a"), true);
        check(&rule("get", "i", "imagestreams/layers", ""), ("get", "i", "imagestreams", "a"), false);
        check(&rule("get", "i", "*/layers", ""), ("get", "i", "imagestreams/layers", "a"), true);
        check(&rule("get", "i", "*/layers", ""), ("get", "i", "imagestreams", "a"), false);
        check(&rule("*", "*", "*", ""), ("frobnicate", "x", "y/z", ""), true);
        // A rule for the core group gives nothing in others.
        check(&rule("get", "-", "imagestreams", ""), ("get", "i", "imagestreams", "a"), false);
        let tag = rule("update", "i", "imagestreamtags", "app:prod");
        check(&tag, ("update", "i", "imagestreamtags", "app:prod"), true);
        check(&tag, ("update", "i", "imagestreamtags", "app:test"), false);
        check(&tag, ("update", "i", "imagestreamtags", ""), false);
    }

    #[test]
    fn paths_end_in_a_star_for_anything() {
        let rule = PolicyRule {
            verbs: vec!["get".to_owned()],
            non_resource_urls: vec!["/healthz".to_owned(), "/apis/*".to_owned()],
            ..PolicyRule::default()
        };
        let allows =
            |path| rule.allows(&Attributes { verb: "get", path: Some(path), ..Attributes::default() });
        assert!(allows("/healthz") && allows("/apis/") && allows("/apis/x/y"));
        assert!(!allows("/healthz/") && !allows("/apis") && !allows("/"));
    }

    #[test]
    fn selectors_want_all_they_say() {
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        let expression = |operator: &str, values: &[&str]| Selector {
            match_expressions: vec![Requirement {
                key: "a".to_owned(),
                operator: operator.to_owned(),
                values: values.iter().map(|&value| value.to_owned()).collect(),
            }],
            ..Selector::default()
        };
        assert!(Selector { match_labels: labels.clone(), ..Selector::default() }.matches(&labels));
        assert!(expression("In", &["1", "2"]).matches(&labels));
        assert!(!expression("NotIn", &["1"]).matches(&labels));
        assert!(expression("Exists", &[]).matches(&labels));
        assert!(!expression("DoesNotExist", &[]).matches(&labels));
        assert!(!expression("Near", &["1"]).matches(&labels));
    }
}
