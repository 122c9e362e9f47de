//! Groups of users that administrators keep here (`user.openshift.io`): whoever logs in is in those that name them.
//!
//! Only people are in such groups: who comes with a certificate, as a service account or by a front proxy's word brings
//! their groups along. Names that begin with `system:` are the server's own, so no group can have one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use machinery::field::{FieldError, FieldErrors};
use serde::Deserialize;
use serde_json::Value;

use super::Actor;
use super::compiled::{Compile, Compiled, read};
use crate::plain::{LENIENT, Plain, PlainRules};
use crate::stored::{Cache, Entry};

/// The API group of users and their groups.
pub const GROUP: &str = "user.openshift.io";

/// The rules of a stored group.
pub const RULES: PlainRules =
    PlainRules { prepare: |new, _| prepare(new), validate: |new, _| validate(new), ..LENIENT };

/// Tells in which groups somebody is.
#[derive(Debug)]
pub struct Groups {
    members: Compiled<Members>,
}

impl Groups {
    /// The groups of a cache.
    pub fn new(cache: Arc<Cache>) -> Groups {
        Groups { members: Compiled::new(cache) }
    }

    /// Puts somebody who has logged in into the groups that name them.
    pub fn join(&self, mut actor: Actor) -> Actor {
        self.members.with(|members| {
            for group in members.of(&actor.user) {
                if !actor.groups.contains(group) {
                    Arc::make_mut(&mut actor.groups).push(group.clone());
                }
            }
        });
        actor
    }
}

/// Who is in which groups, and whom each group names.
#[derive(Debug, Default)]
struct Members {
    groups_of: HashMap<String, BTreeSet<String>>,
    users_of: HashMap<String, Vec<String>>,
}

impl Members {
    fn of(&self, user: &str) -> impl Iterator<Item = &String> {
        self.groups_of.get(user).into_iter().flatten()
    }

    /// Makes these the users of a group.
    fn set(&mut self, group: &str, users: Vec<String>) {
        for user in self.users_of.remove(group).unwrap_or_default() {
            if let Some(groups) = self.groups_of.get_mut(&user) {
                groups.remove(group);
                if groups.is_empty() {
                    self.groups_of.remove(&user);
                }
            }
        }
        for user in &users {
            self.groups_of.entry(user.clone()).or_default().insert(group.to_owned());
        }
        if !users.is_empty() {
            self.users_of.insert(group.to_owned(), users);
        }
    }
}

/// The part of a stored group that counts.
#[derive(Debug, Default, Deserialize)]
struct Named {
    #[serde(default)]
    users: Option<Vec<String>>,
}

impl Compile for Members {
    const SOURCES: (&'static str, &'static [&'static str]) = (GROUP, &["groups"]);

    fn take(&mut self, entry: &Entry, is_there: bool) {
        let named: Option<Named> = read(entry, is_there);
        self.set(entry.key.name(), named.and_then(|named| named.users).unwrap_or_default());
    }
}

fn prepare(new: &mut Plain) {
    new.fields.retain(|key, _| key == "users");
    new.fields.entry("users").or_insert(Value::Null);
}

fn validate(new: &Plain) -> FieldErrors {
    let mut errors = Vec::new();
    let name = new.metadata.name.as_str();
    if name == "~" {
        errors.push(FieldError::invalid("metadata.name", name, "may not equal \"~\""));
    }
    if name.contains(':') {
        errors.push(FieldError::invalid("metadata.name", name, "may not contain \":\""));
    }
    let users = match new.fields.get("users") {
        None | Some(Value::Null) => return errors,
        Some(Value::Array(users)) => users,
        Some(_) => {
            errors.push(FieldError::invalid("users", "", "must be a list of names"));
            return errors;
        }
    };
    for (index, user) in users.iter().enumerate() {
        let field = format!("users[{index}]");
        match user.as_str() {
            None => errors.push(FieldError::invalid(field, user.clone(), "must be a name")),
            Some("") => errors.push(FieldError::invalid(field, "", "may not be empty")),
            // Names of another identity provider's users may hold nearly anything.
            Some(user) if user.starts_with("system:") => {
                errors.push(FieldError::invalid(field, user, "may not begin with \"system:\""));
            }
            Some(_) => {}
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn groups(members: &Members, user: &str) -> Vec<String> {
        members.of(user).cloned().collect()
    }

    #[test]
    fn a_user_is_in_the_groups_that_name_them_now() {
        let mut members = Members::default();
        let users = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        members.set("a", users(&["ann", "bob"]));
        members.set("b", users(&["ann", "ann"]));
        assert_eq!(groups(&members, "ann"), ["a", "b"]);
        assert_eq!(groups(&members, "bob"), ["a"]);
        members.set("a", users(&["eve"]));
        assert_eq!(groups(&members, "ann"), ["b"]);
        assert_eq!((groups(&members, "bob").len(), groups(&members, "eve")), (0, vec!["a".to_owned()]));
        members.set("b", Vec::new());
        assert_eq!(members.groups_of.len(), 1, "nobody is kept who is in no group");
        assert_eq!(members.users_of.len(), 1);
    }

    #[test]
    fn groups_have_plain_names_and_name_people() {
        let check = |name: &str, users: Value, want: &[&str]| {
            let mut new: Plain =
                serde_json::from_value(json!({"metadata": {"name": name}, "users": users, "more": 1}))
                    .unwrap();
            prepare(&mut new);
            assert_eq!(new.fields.len(), 1);
            let found: Vec<String> = validate(&new).iter().map(ToString::to_string).collect();
            assert_eq!(found, want, "{name} {users}");
        };
        check("devs", json!(["ann", "https://issuer#bob"]), &[]);
        check("devs", Value::Null, &[]);
        check(
            "system:masters",
            json!([]),
            &["metadata.name: Invalid value: \"system:masters\": may not contain \":\""],
        );
        check("~", json!([]), &["metadata.name: Invalid value: \"~\": may not equal \"~\""]);
        check("devs", json!([""]), &["users[0]: Invalid value: \"\": may not be empty"]);
        check(
            "devs",
            json!(["system:admin"]),
            &["users[0]: Invalid value: \"system:admin\": may not begin with \"system:\""],
        );
    }
}
