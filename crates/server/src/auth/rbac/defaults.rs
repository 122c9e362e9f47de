//! The roles and bindings that every server has, and how they are kept.
//!
//! A start makes what is missing and adds rules and subjects that an existing default lacks; it never takes anything
//! away, so that what an operator adds stays. An object with the annotation [`AUTOUPDATE`] set to `false` is left alone
//! altogether: that is how an operator takes something away for good. The contents are data (`defaults.json`).

use std::collections::BTreeMap;

use machinery::status::ApiError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use store::{CommitError, Expect, Txn};

use super::cover::missing;
use super::{AggregationRule, Binding, GROUP, PolicyRule, Role, RoleRef, Selector, Subject};
use crate::context::Ctx;
use crate::plain::Plain;
use crate::resource;
use crate::stored::Storable;
use crate::streams::{self, fill_identity, load_entry};

/// Whether a default follows the server's own idea of it; `false` says no.
pub const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
/// What marks objects that a server makes by itself.
const BOOTSTRAPPING: (&str, &str) = ("kubernetes.io/bootstrapping", "rbac-defaults");
/// Words for people.
const DESCRIPTION: &str = "openshift.io/description";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Defaults {
    cluster_roles: Vec<DefaultRole>,
    cluster_role_bindings: Vec<DefaultBinding>,
    shared_role: SharedRole,
}

#[derive(Deserialize)]
struct DefaultRole {
    name: String,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    aggregate: BTreeMap<String, String>,
    #[serde(default)]
    description: String,
    rules: Vec<PolicyRule>,
}

#[derive(Deserialize)]
struct DefaultBinding {
    name: String,
    role: String,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    groups: Vec<String>,
}

#[derive(Deserialize)]
struct SharedRole {
    namespace: String,
    name: String,
    rules: Vec<PolicyRule>,
    binding: String,
    groups: Vec<String>,
}

fn defaults() -> Defaults {
    serde_json::from_str(include_str!("defaults.json")).expect("the defaults are part of the program")
}

/// One object that every server has.
struct Wanted {
    plural: &'static str,
    object: Plain,
}

/// Makes or completes the default roles and bindings.
///
/// # Errors
/// When the store does not take them.
pub async fn reconcile(ctx: &Ctx) -> Result<(), ApiError> {
    for _ in 0..crate::limits::CONFLICT_RETRIES {
        let mut txn = Txn::new();
        for wanted in all() {
            add(ctx, &mut txn, wanted)?;
        }
        if txn.writes.is_empty() {
            return Ok(());
        }
        match ctx.store.commit(txn).await {
            Ok(revision) => return ctx.settle(revision).await,
            // Another server on the same store is starting, too.
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(ApiError::unavailable(error.to_string())),
        }
    }
    Err(ApiError::unavailable("the default roles could not be stored: others kept writing them"))
}

fn add(ctx: &Ctx, txn: &mut Txn, wanted: Wanted) -> Result<(), ApiError> {
    let resource = resource::find(GROUP, "v1", wanted.plural, "").expect("the table lists these kinds");
    let metadata = &wanted.object.metadata;
    let text = resource.key(&metadata.namespace, &metadata.name);
    let key = streams::key(&text)?;
    match load_entry::<Plain>(ctx, &text)? {
        None => {
            let mut object = wanted.object;
            fill_identity(ctx, object.metadata_mut());
            txn.guards.push((key.clone(), Expect::Absent));
            txn.writes.push((key, Some(object.encode())));
        }
        Some(held) => {
            if let Some(completed) = complete(&held.object, &wanted.object) {
                txn.guards.push((key.clone(), Expect::At(held.revision)));
                txn.writes.push((key, Some(completed.encode())));
            }
        }
    }
    Ok(())
}

/// What is stored with what it lacks; `None` when that is nothing, or when it is to be left alone.
fn complete(held: &Plain, wanted: &Plain) -> Option<Plain> {
    if held.metadata.annotations.get(AUTOUPDATE).is_some_and(|value| value == "false") {
        return None;
    }
    let mut new = held.clone();
    for (key, value) in &wanted.metadata.labels {
        new.metadata.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    for (key, value) in &wanted.metadata.annotations {
        new.metadata.annotations.entry(key.clone()).or_insert_with(|| value.clone());
    }
    if wanted.fields.contains_key("roleRef") {
        extend(&mut new, wanted, "subjects", |held: &[Subject], wanted| {
            wanted.into_iter().filter(|subject| !held.contains(subject)).collect()
        });
    } else if let Some(aggregation) = wanted.fields.get("aggregationRule") {
        new.fields.entry("aggregationRule").or_insert_with(|| aggregation.clone());
    } else {
        extend(&mut new, wanted, "rules", |held: &[PolicyRule], wanted| missing(held, &wanted));
    }
    (new != *held).then_some(new)
}

/// Adds to a list of the object what the wanted one has more.
fn extend<T: DeserializeOwned + serde::Serialize>(
    new: &mut Plain,
    wanted: &Plain,
    field: &str,
    more: impl FnOnce(&[T], Vec<T>) -> Vec<T>,
) {
    let read = |plain: &Plain| -> Vec<T> {
        let value = plain.fields.get(field).cloned().unwrap_or_default();
        serde_json::from_value(value).unwrap_or_default()
    };
    let held = read(new);
    let added = more(&held, read(wanted));
    if !added.is_empty() {
        let all: Vec<Value> = held.iter().chain(&added).map(|item| json!(item)).collect();
        new.fields.insert(field.to_owned(), Value::Array(all));
    }
}

/// Everything that every server has.
fn all() -> Vec<Wanted> {
    let Defaults { cluster_roles, cluster_role_bindings, shared_role: shared } = defaults();
    let mut all: Vec<Wanted> = cluster_roles
        .into_iter()
        .map(|role| Wanted { plural: "clusterroles", object: cluster_role(role) })
        .collect();
    all.extend(cluster_role_bindings.into_iter().map(|held| {
        let subjects = subjects(&held.users, &held.groups);
        let object = binding("", &held.name, "ClusterRole", &held.role, subjects);
        Wanted { plural: "clusterrolebindings", object: marked(object) }
    }));
    let mut role = plain(&Role { rules: shared.rules, ..Role::default() });
    role.metadata.name.clone_from(&shared.name);
    role.metadata.namespace.clone_from(&shared.namespace);
    all.push(Wanted { plural: "roles", object: marked(role) });
    let subjects = subjects(&[], &shared.groups);
    let object = binding(&shared.namespace, &shared.binding, "Role", &shared.name, subjects);
    all.push(Wanted { plural: "rolebindings", object: marked(object) });
    all
}

fn cluster_role(held: DefaultRole) -> Plain {
    let aggregation_rule = (!held.aggregate.is_empty()).then(|| AggregationRule {
        cluster_role_selectors: vec![Selector { match_labels: held.aggregate, ..Selector::default() }],
    });
    let mut role = plain(&Role { rules: held.rules, aggregation_rule, ..Role::default() });
    role.metadata.name = held.name;
    role.metadata.labels = held.labels;
    if !held.description.is_empty() {
        role.metadata.annotations.insert(DESCRIPTION.to_owned(), held.description);
    }
    marked(role)
}

fn marked(mut object: Plain) -> Plain {
    let (key, value) = BOOTSTRAPPING;
    object.metadata.labels.insert(key.to_owned(), value.to_owned());
    object.metadata.annotations.insert(AUTOUPDATE.to_owned(), "true".to_owned());
    object
}

fn subjects(users: &[String], groups: &[String]) -> Vec<Subject> {
    let subject = |kind: &str, name: &String| Subject {
        kind: kind.to_owned(),
        api_group: GROUP.to_owned(),
        name: name.clone(),
        namespace: String::new(),
    };
    let users = users.iter().map(|name| subject("User", name));
    users.chain(groups.iter().map(|name| subject("Group", name))).collect()
}

/// A binding as it is stored, without identity.
pub fn binding(namespace: &str, name: &str, kind: &str, role: &str, subjects: Vec<Subject>) -> Plain {
    let role_ref = RoleRef { api_group: GROUP.to_owned(), kind: kind.to_owned(), name: role.to_owned() };
    let mut binding = plain(&Binding { subjects, role_ref, ..Binding::default() });
    name.clone_into(&mut binding.metadata.name);
    namespace.clone_into(&mut binding.metadata.namespace);
    binding
}

fn plain<T: serde::Serialize>(object: &T) -> Plain {
    let value = serde_json::to_value(object).expect("roles and bindings have string keys");
    serde_json::from_value(value).expect("they have metadata, and otherwise anything")
}

/// A policy of nothing but the defaults.
#[cfg(test)]
pub(super) fn default_policy() -> super::policy::Policy {
    use super::kinds;
    let mut policy = super::policy::Policy::default();
    for Wanted { plural, object } in all() {
        let (namespace, name) = (object.metadata.namespace.clone(), object.metadata.name.clone());
        if plural.ends_with("roles") {
            policy.set_role(&namespace, &name, Some(kinds::role_of(&object).expect("it is a role")));
        } else {
            policy.set_binding(&namespace, &name, Some(kinds::binding_of(&object).expect("it is a binding")));
        }
    }
    policy.settle();
    policy
}

#[cfg(test)]
mod tests {
    use super::super::{Attributes, kinds};
    use super::*;
    use crate::auth::Actor;

    #[test]
    fn the_defaults_are_valid_objects() {
        for Wanted { plural, object } in all() {
            let rules = match plural {
                "clusterroles" => &kinds::CLUSTER_ROLE,
                "roles" => &kinds::ROLE,
                "clusterrolebindings" => &kinds::CLUSTER_ROLE_BINDING,
                _ => &kinds::ROLE_BINDING,
            };
            assert_eq!((rules.validate)(&object, None), [], "{}", object.metadata.name);
        }
    }

    /// Resource × verb × role: who may do what with images, by name of the role in one project.
    #[test]
    fn every_role_gives_exactly_its_rights() {
        const VERBS: [&str; 8] =
            ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
        let rw: &[&str] = &VERBS;
        let read: &[&str] = &["get", "list", "watch"];
        let virtuals = ["imagestreamimages", "imagestreammappings", "imagestreamtags", "imagetags"];
        let resources = [
            "imagestreams",
            "imagestreams/secrets",
            "imagestreams/layers",
            "imagestreams/status",
            "imagestreamimports",
            "images",
            "imagesignatures",
        ];
        let wanted = |role: &str, resource: &str| -> Vec<&str> {
            let read_write = matches!(role, "admin" | "edit" | "registry-admin" | "registry-editor");
            let by_role = match (role, resource) {
                (_, "imagestreams/layers") => match role {
                    "system:image-puller"
                    | "system:image-signer"
                    | "registry-viewer"
                    | "view"
                    | "cluster-reader" => &["get"][..],
                    "system:image-auditor" => &[],
                    _ => &["get", "update"],
                },
                (_, "imagestreams/status") => match role {
                    "admin" | "edit" | "view" | "cluster-reader" => read,
                    _ => &[],
                },
                (_, "imagestreamimports") if read_write => &["create"],
                ("system:image-builder", "imagestreams") => &["create"],
                ("cluster-reader", "images" | "imagesignatures") => read,
                ("system:image-auditor", "images") => &["get", "list", "patch", "update", "watch"],
                ("system:image-signer", "images") => &["get"],
                ("system:image-signer", "imagesignatures") => &["create", "delete"],
                (_, "images" | "imagesignatures" | "imagestreamimports") => &[],
                (_, "imagestreams/secrets") if read_write => rw,
                (_, "imagestreams/secrets") => &[],
                _ if read_write => rw,
                ("view" | "registry-viewer" | "cluster-reader", _) => read,
                _ => &[],
            };
            by_role.to_vec()
        };
        let roles = [
            "admin",
            "edit",
            "view",
            "cluster-reader",
            "registry-admin",
            "registry-editor",
            "registry-viewer",
            "system:image-puller",
            "system:image-pusher",
            "system:image-builder",
            "system:image-signer",
            "system:image-auditor",
        ];
        let policy = default_policy();
        for role in roles {
            let rules = policy.cluster_role_rules(role).unwrap();
            for path in resources.iter().chain(&virtuals) {
                let (resource, subresource) = path.split_once('/').unwrap_or((path, ""));
                let allowed: Vec<&str> = VERBS
                    .into_iter()
                    .filter(|verb| {
                        let asked = Attributes {
                            verb,
                            group: "image.openshift.io",
                            resource,
                            subresource,
                            ..Attributes::default()
                        };
                        rules.iter().any(|rule| rule.allows(&asked))
                    })
                    .collect();
                assert_eq!(allowed, wanted(role, path), "{role} {path}");
            }
        }
    }

    #[test]
    fn everybody_reads_the_shared_project_and_nobody_writes_it() {
        let policy = default_policy();
        let may = |verb, resource, namespace| {
            let asked = Attributes {
                verb,
                group: "image.openshift.io",
                resource,
                namespace,
                ..Attributes::default()
            };
            policy.decide(&Actor::named("eve", []), &asked).allowed
        };
        assert!(may("list", "imagestreams", "openshift") && may("get", "imagestreamtags", "openshift"));
        assert!(!may("update", "imagestreams", "openshift") && !may("list", "imagestreams", "default"));
        let stranger = Attributes { verb: "get", path: Some("/healthz"), ..Attributes::default() };
        assert!(policy.decide(&Actor::anonymous(), &stranger).allowed);
        let discovery = Attributes { verb: "get", path: Some("/apis"), ..Attributes::default() };
        assert!(!policy.decide(&Actor::anonymous(), &discovery).allowed);
    }

    #[test]
    fn completing_adds_and_never_takes_away() {
        let wanted =
            all().into_iter().find(|wanted| wanted.object.metadata.name == "registry-viewer").unwrap();
        assert_eq!(complete(&wanted.object, &wanted.object), None);
        let mut held = wanted.object.clone();
        let extra = json!({"verbs": ["get"], "apiGroups": ["x"], "resources": ["y"]});
        let rules = held.fields["rules"].as_array_mut().unwrap();
        rules.clear();
        rules.push(extra.clone());
        let completed = complete(&held, &wanted.object).unwrap();
        let rules = completed.fields["rules"].as_array().unwrap();
        assert_eq!(rules[0], extra);
        assert!(rules.len() > 1);
        held.metadata.annotations.insert(AUTOUPDATE.to_owned(), "false".to_owned());
        assert_eq!(complete(&held, &wanted.object), None);
    }
}
