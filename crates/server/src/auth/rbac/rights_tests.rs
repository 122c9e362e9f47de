//! Every resource that is served × verb × default role: what the roles allow, compared with what is written down.
//!
//! `rights.txt` is that writing, made for people: below each resource the roles that have any right to it, with the verbs.
//! What it says of image resources comes from the reference's roles, whose rules are in `tests/data/cluster-roles.json`
//! and are evaluated here a second time, by other means.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Deserialize;

use super::defaults::default_policy;
use super::policy::Policy;
use super::{Attributes, Binding, PolicyRule, RoleRef, Subject};
use crate::auth::Actor;
use crate::resource::{RESOURCES, Resource};

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const RIGHTS: &str = include_str!("rights.txt");
/// May do everything; listed nowhere.
const OMNIPOTENT: &str = "cluster-admin";
/// In the names of roles that are only parts of others.
const PART: &str = ":aggregate-to-";
const NAMESPACE: &str = "project";

/// The default policy, with a user for each role who has it: in one project, and one who has it everywhere.
fn policy(roles: &[String]) -> Policy {
    let mut policy = default_policy();
    for role in roles {
        for namespace in ["", NAMESPACE] {
            let subject = Subject {
                kind: "User".to_owned(),
                api_group: super::GROUP.to_owned(),
                name: user(role, namespace),
                namespace: String::new(),
            };
            let role_ref = RoleRef {
                api_group: super::GROUP.to_owned(),
                kind: "ClusterRole".to_owned(),
                name: role.clone(),
            };
            let mut binding = Binding { subjects: vec![subject], role_ref, ..Binding::default() };
            binding.metadata.namespace = namespace.to_owned();
            policy.set_binding(namespace, &format!("has-{role}"), Some(binding));
        }
    }
    policy.settle();
    policy
}

/// Somebody who has one role, and not even what everybody has beside it.
fn holder(role: &str, namespace: &str) -> Actor {
    let mut actor = Actor::named(user(role, namespace), []);
    actor.groups = Default::default();
    actor
}

fn user(role: &str, namespace: &str) -> String {
    format!("{role} in {namespace}")
}

fn asked<'a>(resource: &Resource, verb: &'a str, namespace: &'a str) -> Attributes<'a> {
    let (plural, subresource) = resource.plural.split_once('/').unwrap_or((resource.plural, ""));
    Attributes {
        verb,
        group: resource.group,
        resource: plural,
        subresource,
        namespace,
        ..Attributes::default()
    }
}

/// Where a resource is asked for: rights to what lives in no project come from everywhere only.
fn place(resource: &Resource) -> &'static str {
    if resource.namespaced { NAMESPACE } else { "" }
}

fn path(resource: &Resource) -> String {
    let group = if resource.group.is_empty() { "core" } else { resource.group };
    format!("{group} {}", resource.plural)
}

fn sorted() -> Vec<&'static Resource> {
    let mut all: Vec<&Resource> = RESOURCES.iter().collect();
    all.sort_by_key(|resource| path(resource));
    all
}

fn default_roles() -> Vec<String> {
    let policy = default_policy();
    let named = policy.cluster_role_names().filter(|name| *name != OMNIPOTENT && !name.contains(PART));
    named.map(str::to_owned).collect()
}

#[test]
fn every_role_has_the_rights_that_are_written_down() {
    let roles = default_roles();
    let policy = policy(&roles);
    let mut found = String::new();
    for resource in sorted() {
        let mut by_verbs: BTreeMap<Vec<&str>, BTreeSet<&str>> = BTreeMap::new();
        let namespace = place(resource);
        let everybody = [("(everybody)", Actor::named("nobody", [])), ("(anonymous)", Actor::anonymous())];
        let holders = roles.iter().map(|role| (role.as_str(), holder(role, namespace)));
        for (name, actor) in everybody.into_iter().chain(holders) {
            let may = |verb: &&str| policy.decide(&actor, &asked(resource, verb, namespace)).allowed;
            let verbs: Vec<&str> = VERBS.into_iter().filter(may).collect();
            if !verbs.is_empty() {
                by_verbs.entry(verbs).or_default().insert(name);
            }
        }
        writeln!(found, "{}", path(resource)).unwrap();
        for (verbs, roles) in by_verbs {
            let roles: Vec<&str> = roles.into_iter().collect();
            writeln!(found, "  {}: {}", roles.join(", "), verbs.join(" ")).unwrap();
        }
    }
    let written: String =
        RIGHTS.lines().filter(|line| !line.starts_with('#')).fold(String::new(), |mut all, line| {
            all.push_str(line);
            all.push('\n');
            all
        });
    assert_eq!(found, written, "the roles say:\n{found}");
}

#[test]
fn a_right_in_one_project_is_none_in_another_and_none_outside() {
    let roles = default_roles();
    let policy = policy(&roles);
    for resource in RESOURCES {
        for role in &roles {
            let actor = holder(role, NAMESPACE);
            for verb in VERBS {
                for elsewhere in ["another", ""] {
                    let verdict = policy.decide(&actor, &asked(resource, verb, elsewhere));
                    assert!(!verdict.allowed, "{role} {verb} {}: {}", resource.plural, verdict.reason);
                }
            }
        }
    }
}

#[test]
fn who_may_do_everything_may_do_everything() {
    let policy = policy(&[OMNIPOTENT.to_owned()]);
    let actor = holder(OMNIPOTENT, "");
    for resource in RESOURCES {
        for verb in VERBS {
            assert!(policy.decide(&actor, &asked(resource, verb, place(resource))).allowed);
        }
    }
}

/// A role of the reference.
#[derive(Deserialize)]
struct Known {
    name: String,
    rules: Option<Vec<PolicyRule>>,
}

#[test]
fn the_roles_of_the_reference_allow_what_their_rules_say() {
    let known: Vec<Known> =
        serde_json::from_str(include_str!("../../../tests/data/cluster-roles.json")).unwrap();
    let names: Vec<String> = known.iter().map(|role| role.name.clone()).collect();
    let policy = policy(&names);
    let mut compared = 0;
    for Known { name, rules } in known {
        // Those without rules are made of others.
        let Some(rules) = rules else { continue };
        let mut allowed: BTreeSet<(&str, &str, &str)> = BTreeSet::new();
        for rule in rules.iter().filter(|rule| rule.resource_names.is_empty()) {
            for group in &rule.api_groups {
                for resource in &rule.resources {
                    for verb in &rule.verbs {
                        allowed.insert((group, resource, verb));
                    }
                }
            }
        }
        for resource in RESOURCES {
            let namespace = place(resource);
            let actor = holder(&name, namespace);
            for verb in VERBS {
                let verdict = policy.decide(&actor, &asked(resource, verb, namespace));
                let said = allowed.contains(&(resource.group, resource.plural, verb));
                assert_eq!(verdict.allowed, said, "{name}: {verb} {} of {}", resource.plural, resource.group);
                compared += 1;
            }
        }
    }
    assert!(compared > 10_000, "{compared}");
}
