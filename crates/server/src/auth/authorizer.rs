//! The policy of a running server, compiled from the roles and bindings that are stored.

use std::sync::Arc;

use super::Actor;
use super::Decision;
use super::compiled::{Compile, Compiled, read};
use super::rbac::policy::Policy;
use super::rbac::{Attributes, GROUP};
use crate::stored::{Cache, Entry};

/// Answers questions about rights.
#[derive(Debug)]
pub struct Authorizer {
    policy: Compiled<Policy>,
}

impl Authorizer {
    /// An authorizer over a cache.
    pub fn new(cache: Arc<Cache>) -> Authorizer {
        Authorizer { policy: Compiled::new(cache) }
    }

    /// Whether somebody may do something; without the words for why, which most who ask do not need.
    ///
    /// # Errors
    /// Why not, if there is more to say than that no rule allows it.
    pub fn allow(&self, actor: &Actor, wanted: &Attributes<'_>) -> Result<(), String> {
        if actor.is_admin() {
            return Ok(());
        }
        self.with(|policy| policy.search(actor, wanted).map(|_| ()))
    }

    /// Whether somebody may do something, and why.
    pub fn decide(&self, actor: &Actor, wanted: &Attributes<'_>) -> Decision {
        if actor.is_admin() {
            return Decision { allowed: true, reason: String::new() };
        }
        let verdict = self.with(|policy| policy.decide(actor, wanted));
        Decision { allowed: verdict.allowed, reason: verdict.reason }
    }

    /// Looks at the policy as it is now.
    pub fn with<T>(&self, look: impl FnOnce(&Policy) -> T) -> T {
        self.policy.with(look)
    }
}

impl Compile for Policy {
    const SOURCES: (&'static str, &'static [&'static str]) =
        (GROUP, &["clusterroles", "roles", "clusterrolebindings", "rolebindings"]);

    fn take(&mut self, entry: &Entry, is_there: bool) {
        let (namespace, name) = (entry.key.namespace().unwrap_or_default(), entry.key.name());
        match entry.object.resource.plural {
            "clusterroles" | "roles" => self.set_role(namespace, name, read(entry, is_there)),
            _ => self.set_binding(namespace, name, read(entry, is_there)),
        }
    }

    fn settle(&mut self) {
        Policy::settle(self);
    }
}
