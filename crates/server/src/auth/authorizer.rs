//! The policy of a running server: compiled from the watch cache, and kept up to date without anybody waiting.
//!
//! Whoever asks after a write sees that write: a question first takes in the events since the last one, which costs
//! next to nothing when there are none. A server that missed events compiles everything anew.

use std::sync::{Arc, PoisonError, RwLock};

use serde::de::DeserializeOwned;
use store::Revision;
use store::cache::{Cursor, EventKind};
use tracing::{error, warn};

use super::Actor;
use super::Decision;
use super::rbac::policy::Policy;
use super::rbac::{Attributes, GROUP};
use crate::resource::{self, Resource};
use crate::stored::{Cache, Entry, Renderer};

/// Resources that the policy is made of.
const SOURCES: [&str; 4] = ["clusterroles", "roles", "clusterrolebindings", "rolebindings"];

/// Answers questions about rights.
#[derive(Debug)]
pub struct Authorizer {
    cache: Arc<Cache>,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    policy: Policy,
    /// Everything up to here is in the policy.
    seen: Revision,
    cursors: Vec<Cursor<Renderer>>,
}

impl Authorizer {
    /// An authorizer over a cache.
    pub fn new(cache: Arc<Cache>) -> Authorizer {
        Authorizer { cache, state: RwLock::default() }
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
        let now = self.cache.revision();
        {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if state.seen >= now && !state.cursors.is_empty() {
                return look(&state.policy);
            }
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.seen < now || state.cursors.is_empty() {
            self.catch_up(&mut state, now);
        }
        look(&state.policy)
    }

    fn catch_up(&self, state: &mut State, now: Revision) {
        if state.cursors.is_empty() || !follow(state) {
            match self.compile() {
                Some(fresh) => *state = fresh,
                None => return,
            }
        }
        state.policy.settle();
        state.seen = state.seen.max(now);
    }

    /// The policy from everything that is stored; `None` when the history moves on faster than it can be followed,
    /// and then the next question tries again.
    fn compile(&self) -> Option<State> {
        let snapshot = self.cache.snapshot();
        let mut state = State { seen: snapshot.revision, ..State::default() };
        for plural in SOURCES {
            let resource = source(plural);
            let prefix = resource.prefix();
            match self.cache.subscribe(&prefix, snapshot.revision) {
                Ok(cursor) => state.cursors.push(cursor),
                Err(why) => {
                    error!(%why, "the policy cannot be compiled now");
                    return None;
                }
            }
            for entry in snapshot.range(&prefix, None) {
                take(&mut state.policy, entry, true);
            }
        }
        Some(state)
    }
}

/// Takes in the events since the last time; false when some were missed.
fn follow(state: &mut State) -> bool {
    let State { policy, cursors, .. } = state;
    for cursor in cursors {
        match cursor.try_batch(usize::MAX) {
            Ok(events) => {
                for event in events {
                    take(policy, &event.entry, event.kind != EventKind::Delete);
                }
            }
            Err(lagged) => {
                warn!(%lagged, "the policy is compiled anew");
                return false;
            }
        }
    }
    true
}

fn source(plural: &str) -> &'static Resource {
    resource::find(GROUP, "v1", plural, "").expect("the table lists the resources of the policy")
}

/// Takes in one object. One that cannot be read gives nothing.
fn take(policy: &mut Policy, entry: &Entry, is_there: bool) {
    let (namespace, name) = (entry.key.namespace().unwrap_or_default(), entry.key.name());
    match entry.object.resource.plural {
        "clusterroles" | "roles" => policy.set_role(namespace, name, read(entry, is_there)),
        _ => policy.set_binding(namespace, name, read(entry, is_there)),
    }
}

fn read<T: DeserializeOwned>(entry: &Entry, is_there: bool) -> Option<T> {
    if !is_there {
        return None;
    }
    match serde_json::from_slice(&entry.object.inner()) {
        Ok(object) => Some(object),
        Err(why) => {
            error!(key = entry.key.as_str(), %why, "an object of the policy cannot be read: it gives nothing");
            None
        }
    }
}
