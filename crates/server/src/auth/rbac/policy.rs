//! The compiled policy: who may do what, ready to be asked on every request.
//!
//! Bindings are kept by subject and project, so that a request looks only at those that can matter, however many there
//! are. Changes are taken in one by one; roles that are made of others are put together again when a cluster role
//! changes. Nothing here reads the store.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use machinery::field::{aggregate, quote};

use super::{Attributes, Binding, PolicyRule, Role, RoleRef};
use crate::auth::Actor;
use crate::auth::actor::SERVICE_ACCOUNT_PREFIX;

/// Bindings of one subject by project (empty: everywhere), then by name.
type Scopes = HashMap<String, BTreeMap<String, Arc<Binding>>>;

/// The compiled policy.
#[derive(Debug, Default)]
pub struct Policy {
    cluster_roles: BTreeMap<String, Arc<Role>>,
    roles: HashMap<(String, String), Arc<Role>>,
    /// Rules of the cluster roles that are made of others.
    aggregated: HashMap<String, Arc<Vec<PolicyRule>>>,
    users: HashMap<String, Scopes>,
    groups: HashMap<String, Scopes>,
    bindings: HashMap<(String, String), Arc<Binding>>,
    /// A cluster role has changed since the rules above were put together.
    stale: bool,
}

/// The answer to a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whether some rule allows it.
    pub allowed: bool,
    /// Which binding does, or which role is missing.
    pub reason: String,
}

impl Policy {
    /// Takes in a role (with a namespace) or cluster role (without), or its removal.
    pub fn set_role(&mut self, namespace: &str, name: &str, role: Option<Role>) {
        match (namespace.is_empty(), role) {
            (true, role) => {
                self.stale = true;
                match role {
                    Some(role) => drop(self.cluster_roles.insert(name.to_owned(), Arc::new(role))),
                    None => drop(self.cluster_roles.remove(name)),
                }
            }
            (false, Some(role)) => {
                self.roles.insert((namespace.to_owned(), name.to_owned()), Arc::new(role));
            }
            (false, None) => drop(self.roles.remove(&(namespace.to_owned(), name.to_owned()))),
        }
    }

    /// Takes in a binding of one project (with a namespace) or of all (without), or its removal.
    pub fn set_binding(&mut self, namespace: &str, name: &str, binding: Option<Binding>) {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(old) = self.bindings.remove(&key) {
            for subject in &old.subjects {
                let Some((is_group, subject)) = subject_name(subject, namespace) else { continue };
                let map = if is_group { &mut self.groups } else { &mut self.users };
                if let Some(scopes) = map.get_mut(&subject) {
                    if let Some(held) = scopes.get_mut(namespace) {
                        held.remove(name);
                        if held.is_empty() {
                            scopes.remove(namespace);
                        }
                    }
                    if scopes.is_empty() {
                        map.remove(&subject);
                    }
                }
            }
        }
        let Some(binding) = binding.map(Arc::new) else { return };
        for subject in &binding.subjects {
            let Some((is_group, subject)) = subject_name(subject, namespace) else { continue };
            let map = if is_group { &mut self.groups } else { &mut self.users };
            let scopes = map.entry(subject).or_default();
            scopes.entry(namespace.to_owned()).or_default().insert(name.to_owned(), Arc::clone(&binding));
        }
        self.bindings.insert(key, binding);
    }

    /// Puts together the roles that are made of others, if a cluster role has changed.
    pub fn settle(&mut self) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        let made_of_others = self.cluster_roles.iter().filter(|(_, role)| role.aggregation_rule.is_some());
        let put_together = made_of_others.map(|(name, role)| {
            let mut rules = Vec::new();
            self.collect(role, &mut vec![name], &mut rules);
            (name.clone(), Arc::new(rules))
        });
        self.aggregated = put_together.collect();
    }

    /// The rules that an aggregated role is made of; `path` guards against circles.
    fn collect<'a>(&'a self, role: &Role, path: &mut Vec<&'a String>, rules: &mut Vec<PolicyRule>) {
        let Some(aggregation) = &role.aggregation_rule else { return };
        for (name, other) in &self.cluster_roles {
            let selected = aggregation
                .cluster_role_selectors
                .iter()
                .any(|selector| selector.matches(&other.metadata.labels));
            if !selected || path.contains(&name) {
                continue;
            }
            if other.aggregation_rule.is_some() {
                path.push(name);
                self.collect(other, path, rules);
                path.pop();
            } else {
                for rule in &other.rules {
                    if !rules.contains(rule) {
                        rules.push(rule.clone());
                    }
                }
            }
        }
    }

    /// The names of all cluster roles.
    #[cfg(test)]
    pub fn cluster_role_names(&self) -> impl Iterator<Item = &str> {
        self.cluster_roles.keys().map(String::as_str)
    }

    /// The rules of a cluster role.
    pub fn cluster_role_rules(&self, name: &str) -> Option<&[PolicyRule]> {
        if let Some(rules) = self.aggregated.get(name) {
            return Some(rules);
        }
        self.cluster_roles.get(name).map(|role| role.rules.as_slice())
    }

    /// The rules that a reference means, seen from a project (empty: from outside of all).
    ///
    /// # Errors
    /// What is not there, in Kubernetes' words.
    pub fn rules_of(&self, reference: &RoleRef, namespace: &str) -> Result<&[PolicyRule], String> {
        if reference.kind == "ClusterRole" {
            return self.cluster_role_rules(&reference.name).ok_or_else(|| {
                format!("clusterrole.rbac.authorization.k8s.io {} not found", quote(&reference.name))
            });
        }
        let key = (namespace.to_owned(), reference.name.clone());
        self.roles
            .get(&key)
            .map(|role| role.rules.as_slice())
            .ok_or_else(|| format!("role.rbac.authorization.k8s.io {} not found", quote(&reference.name)))
    }

    /// Whether somebody may do something, and why.
    pub fn decide(&self, actor: &Actor, wanted: &Attributes<'_>) -> Verdict {
        match self.search(actor, wanted) {
            Ok(binding) => {
                let reason = format!("RBAC: allowed by {}", describe(binding, actor));
                Verdict { allowed: true, reason }
            }
            Err(reason) => Verdict { allowed: false, reason },
        }
    }

    /// The first binding that allows it.
    ///
    /// # Errors
    /// Which roles were missing; nothing when none was.
    pub fn search(&self, actor: &Actor, wanted: &Attributes<'_>) -> Result<&Binding, String> {
        let mut missing = Vec::new();
        let mut found = None;
        self.visit(actor, wanted.namespace, |binding, rules| match rules {
            Err(why) => {
                missing.push(why);
                ControlFlow::Continue(())
            }
            Ok(rules) if rules.iter().any(|rule| rule.allows(wanted)) => {
                found = Some(binding);
                ControlFlow::Break(())
            }
            Ok(_) => ControlFlow::Continue(()),
        });
        found.ok_or_else(|| {
            if missing.is_empty() { String::new() } else { format!("RBAC: {}", unique(missing)) }
        })
    }

    /// All rules that somebody has in a project, and which roles were missing.
    pub fn rules_for(&self, actor: &Actor, namespace: &str) -> (Vec<PolicyRule>, Vec<String>) {
        let (mut held, mut missing) = (Vec::new(), Vec::new());
        self.visit(actor, namespace, |_, rules| {
            match rules {
                Ok(rules) => held.extend_from_slice(rules),
                Err(why) => missing.push(why),
            }
            ControlFlow::Continue(())
        });
        (held, missing)
    }

    /// Everybody whom a rule allows something: names of users and of groups.
    pub fn subjects_for(&self, wanted: &Attributes<'_>) -> (Vec<String>, Vec<String>) {
        let allowed = |scopes: &Scopes| {
            ["", wanted.namespace].iter().filter_map(|scope| scopes.get(*scope)).flatten().any(
                |(_, binding)| {
                    let rules = self.rules_of(&binding.role_ref, &binding.metadata.namespace);
                    rules.is_ok_and(|rules| rules.iter().any(|rule| rule.allows(wanted)))
                },
            )
        };
        let names = |map: &HashMap<String, Scopes>| {
            let mut names: Vec<String> =
                map.iter().filter(|(_, scopes)| allowed(scopes)).map(|(name, _)| name.clone()).collect();
            names.sort();
            names
        };
        (names(&self.users), names(&self.groups))
    }

    /// Shows the bindings that apply to somebody in a project: those of all projects first, each kind by name.
    fn visit<'a>(
        &'a self,
        actor: &Actor,
        namespace: &str,
        mut see: impl FnMut(&'a Binding, Result<&'a [PolicyRule], String>) -> ControlFlow<()>,
    ) {
        let scopes: &[&str] = if namespace.is_empty() { &[""] } else { &["", namespace] };
        for scope in scopes {
            let of_user = self.users.get(&actor.user);
            let of_groups = actor.groups.iter().filter_map(|group| self.groups.get(group));
            let mut bindings: Vec<(&String, &Arc<Binding>)> =
                of_user.into_iter().chain(of_groups).filter_map(|held| held.get(*scope)).flatten().collect();
            bindings.sort_unstable_by_key(|(name, _)| *name);
            bindings.dedup_by_key(|(name, _)| *name);
            for (_, binding) in bindings {
                let rules = self.rules_of(&binding.role_ref, scope);
                if see(binding, rules).is_break() {
                    return;
                }
            }
        }
    }
}

/// The user or group (true) that a subject means; `None` for kinds that nobody is.
fn subject_name(subject: &super::Subject, namespace: &str) -> Option<(bool, String)> {
    match subject.kind.as_str() {
        "User" => Some((false, subject.name.clone())),
        "Group" => Some((true, subject.name.clone())),
        "ServiceAccount" => {
            let of = if subject.namespace.is_empty() { namespace } else { &subject.namespace };
            (!of.is_empty()).then(|| (false, format!("{SERVICE_ACCOUNT_PREFIX}{of}:{}", subject.name)))
        }
        _ => None,
    }
}

/// A binding in the words of Kubernetes: its name, the role, and the first subject that is meant.
fn describe(binding: &Binding, actor: &Actor) -> String {
    let namespace = binding.metadata.namespace.as_str();
    let meant = binding.subjects.iter().find(|subject| {
        subject_name(subject, namespace).is_some_and(|(is_group, name)| {
            if is_group { actor.groups.contains(&name) } else { actor.user == name }
        })
    });
    let subject = meant.map(|subject| match subject.kind.as_str() {
        "ServiceAccount" => {
            let of = if subject.namespace.is_empty() { namespace } else { &subject.namespace };
            format!("ServiceAccount {}", quote(&format!("{}/{of}", subject.name)))
        }
        kind => format!("{kind} {}", quote(&subject.name)),
    });
    let (kind, name) = if namespace.is_empty() {
        ("ClusterRoleBinding", binding.metadata.name.clone())
    } else {
        ("RoleBinding", format!("{}/{namespace}", binding.metadata.name))
    };
    format!(
        "{kind} {} of {} {} to {}",
        quote(&name),
        binding.role_ref.kind,
        quote(&binding.role_ref.name),
        subject.unwrap_or_default()
    )
}

/// Several reasons as one, each once.
fn unique(reasons: Vec<String>) -> String {
    let mut seen = Vec::with_capacity(reasons.len());
    for reason in reasons {
        if !seen.contains(&reason) {
            seen.push(reason);
        }
    }
    aggregate(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::rbac::tests::rule;
    use crate::auth::rbac::{AggregationRule, Selector, Subject};

    fn subject(kind: &str, name: &str, namespace: &str) -> Subject {
        Subject {
            kind: kind.to_owned(),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            ..Subject::default()
        }
    }

    fn bind(policy: &mut Policy, namespace: &str, name: &str, role: (&str, &str), subjects: Vec<Subject>) {
        let (kind, role) = role;
        let mut binding = Binding {
            subjects,
            role_ref: RoleRef { kind: kind.to_owned(), name: role.to_owned(), ..RoleRef::default() },
            ..Binding::default()
        };
        binding.metadata.name = name.to_owned();
        binding.metadata.namespace = namespace.to_owned();
        policy.set_binding(namespace, name, Some(binding));
    }

    fn role(rules: Vec<PolicyRule>, label: Option<(&str, &str)>) -> Role {
        let mut role = Role { rules, ..Role::default() };
        if let Some((key, value)) = label {
            role.metadata.labels.insert(key.to_owned(), value.to_owned());
        }
        role
    }

    fn get_streams(namespace: &str) -> Attributes<'_> {
        Attributes { verb: "get", group: "i", resource: "imagestreams", namespace, ..Attributes::default() }
    }

    #[test]
    fn a_binding_counts_in_its_project_and_says_so() {
        let mut policy = Policy::default();
        policy.set_role("", "viewer", Some(role(vec![rule("get", "i", "imagestreams", "")], None)));
        policy.settle();
        bind(&mut policy, "p", "b", ("ClusterRole", "viewer"), vec![subject("User", "eve", "")]);
        let eve = Actor::named("eve", []);
        let verdict = policy.decide(&eve, &get_streams("p"));
        assert_eq!(
            verdict.reason,
            "RBAC: allowed by RoleBinding \"b/p\" of ClusterRole \"viewer\" to User \"eve\""
        );
        assert!(!policy.decide(&eve, &get_streams("q")).allowed);
        assert!(!policy.decide(&eve, &get_streams("")).allowed);
        policy.set_binding("p", "b", None);
        assert!(!policy.decide(&eve, &get_streams("p")).allowed);
        assert!(policy.users.is_empty());
    }

    #[test]
    fn service_accounts_and_groups_are_subjects() {
        let mut policy = Policy::default();
        policy.set_role("p", "r", Some(role(vec![rule("get", "i", "imagestreams", "")], None)));
        bind(&mut policy, "p", "sa", ("Role", "r"), vec![subject("ServiceAccount", "bot", "")]);
        bind(&mut policy, "p", "g", ("Role", "r"), vec![subject("Group", "devs", "")]);
        let bot = Actor::service_account("p", "bot", "");
        assert_eq!(
            policy.decide(&bot, &get_streams("p")).reason,
            "RBAC: allowed by RoleBinding \"sa/p\" of Role \"r\" to ServiceAccount \"bot/p\""
        );
        assert!(policy.decide(&Actor::named("x", ["devs".to_owned()]), &get_streams("p")).allowed);
        assert!(!policy.decide(&Actor::service_account("q", "bot", ""), &get_streams("p")).allowed);
        let (users, groups) = policy.subjects_for(&get_streams("p"));
        assert_eq!(
            (users, groups),
            (vec!["system:serviceaccount:p:bot".to_owned()], vec!["devs".to_owned()])
        );
    }

    #[test]
    fn a_role_that_is_missing_is_told() {
        let mut policy = Policy::default();
        bind(&mut policy, "p", "b", ("ClusterRole", "no-such-role"), vec![subject("User", "eve", "")]);
        let verdict = policy.decide(&Actor::named("eve", []), &get_streams("p"));
        assert_eq!(
            (verdict.allowed, verdict.reason.as_str()),
            (false, "RBAC: clusterrole.rbac.authorization.k8s.io \"no-such-role\" not found")
        );
    }

    #[test]
    fn aggregated_roles_follow_their_parts_and_circles_end() {
        let selects = |label: &str| {
            let selector = Selector {
                match_labels: BTreeMap::from([(label.to_owned(), "true".to_owned())]),
                ..Selector::default()
            };
            Some(AggregationRule { cluster_role_selectors: vec![selector] })
        };
        let mut policy = Policy::default();
        let mut edit = role(Vec::new(), Some(("to-admin", "true")));
        edit.aggregation_rule = selects("to-edit");
        let mut admin = role(vec![rule("*", "*", "*", "")], Some(("to-edit", "true")));
        admin.aggregation_rule = selects("to-admin");
        policy.set_role("", "edit", Some(edit));
        policy.set_role("", "admin", Some(admin));
        policy.set_role("", "part", Some(role(vec![rule("get", "i", "x", "")], Some(("to-edit", "true")))));
        policy.settle();
        // The rules written into an aggregated role itself do not count.
        assert_eq!(policy.cluster_role_rules("admin").unwrap(), [rule("get", "i", "x", "")]);
        policy.set_role("", "part", None);
        policy.settle();
        assert!(policy.cluster_role_rules("admin").unwrap().is_empty());
    }

    #[test]
    fn many_bindings_of_others_are_never_looked_at() {
        let mut policy = Policy::default();
        policy.set_role("", "viewer", Some(role(vec![rule("get", "i", "imagestreams", "")], None)));
        policy.settle();
        for number in 0..10_000 {
            let namespace = format!("p{number}");
            let subjects = vec![subject("User", &format!("u{number}"), ""), subject("Group", "all", "")];
            bind(&mut policy, &namespace, "b", ("ClusterRole", "viewer"), subjects);
        }
        let mut seen = 0;
        policy.visit(&Actor::named("u7", ["all".to_owned()]), "p7", |_, _| {
            seen += 1;
            ControlFlow::Continue(())
        });
        assert_eq!(seen, 1);
    }
}
