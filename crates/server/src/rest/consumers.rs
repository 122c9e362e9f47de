//! Who follows a tag: `GET …/imagestreams/<stream>/triggers?tag=TAG` of `weir.dev/v1alpha1`.
//!
//! Workloads are asked as the trigger controller asks them, with a tag that notices being looked at; webhooks and makers
//! of objects are those whose patterns take the tag, with their last delivery. Consumers in other projects are shown to
//! those who may list them there.

use std::cell::Cell;
use std::collections::HashMap;

use machinery::status::ApiError;
use machinery::{json, query};
use serde::Serialize;

use super::call::Call;
use super::reply::Reply;
use crate::auth;
use crate::deliver::{self, State, TRIGGERS};
use crate::plain::Plain;
use crate::resource::Resource;
use crate::stored::Entry;
use crate::streams::decode;
use crate::trigger::tags::CurrentTags;
use crate::trigger::{Follower, TagName, Tags, annotation, build, deployment};
use crate::workload::Workload;

/// Somebody who follows a tag.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Consumer {
    kind: String,
    namespace: String,
    name: String,
    /// Where it runs, if not here.
    #[serde(skip_serializing_if = "String::is_empty")]
    cluster: String,
    /// `Current`, `Behind`, `Failing`, or for what is delivered its state.
    state: &'static str,
    /// What it last got.
    #[serde(skip_serializing_if = "String::is_empty")]
    got: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
}

/// Tags of which one notices that somebody looks.
struct Probe<'a> {
    wanted: TagName<'a>,
    /// Only the wanted tag points anywhere.
    alone: bool,
    seen: Cell<bool>,
    current: CurrentTags<'a>,
}

impl Tags for Probe<'_> {
    fn image(&self, tag: &TagName<'_>) -> Option<String> {
        let is_wanted = *tag == self.wanted;
        if is_wanted {
            self.seen.set(true);
        }
        if is_wanted || !self.alone { self.current.image(tag) } else { None }
    }
}

/// GET.
///
/// # Errors
/// 400 without a tag.
pub(super) fn get(call: &Call) -> Result<Reply, ApiError> {
    let stream: &str = &call.info.name;
    let tag = query::first(&call.query, "tag").filter(|tag| !tag.is_empty());
    let tag = tag.ok_or_else(|| ApiError::bad_request("name the tag: ?tag=TAG"))?;
    let wanted = TagName { namespace: call.namespace(), stream, tag: &tag };
    let mut items = workloads(call, wanted);
    items.extend(elsewhere(call, wanted));
    items.extend(deliverers(call, wanted));
    let list = serde_json::json!({ "metadata": {}, "items": items });
    let mut bytes = json::with_type(call.resource.kind, &call.resource.api_version(), &list);
    bytes.push(b'\n');
    Ok(Reply::plain(200, bytes))
}

fn workloads(call: &Call, wanted: TagName<'_>) -> Vec<Consumer> {
    let snapshot = call.ctx.cache.snapshot();
    let mut allowed: HashMap<(String, &'static str), bool> = HashMap::new();
    let mut found = Vec::new();
    for (resource, follower) in Follower::resources() {
        for entry in snapshot.range(&resource.prefix(), None) {
            // What cannot be read was told of when it was taken into the cache.
            let Ok(object) = decode::<Plain>(entry) else { continue };
            let Some(consumer) = consumer(call, follower, &object.object, wanted) else { continue };
            let key = (consumer.namespace.clone(), resource.plural);
            let may = *allowed.entry(key).or_insert_with(|| may_list(call, resource, &consumer.namespace));
            if may {
                found.push(Consumer { kind: resource.kind.to_owned(), ..consumer });
            }
        }
    }
    found
}

fn may_list(call: &Call, resource: &Resource, namespace: &str) -> bool {
    auth::may(&call.ctx, &call.actor, "list", resource.group, resource.plural, namespace, "")
}

/// Workloads of another cluster, as far as whoever asks might list such ones of the same project here.
fn elsewhere(call: &Call, wanted: TagName<'_>) -> Vec<Consumer> {
    let mut found = Vec::new();
    let Some(cluster) = &call.ctx.cluster else { return found };
    cluster.each(|kind, object| {
        let Some(consumer) = consumer(call, kind.follower, object, wanted) else { return };
        let (ctx, actor) = (&call.ctx, &call.actor);
        if auth::may(ctx, actor, "list", &kind.group, &kind.plural, &consumer.namespace, "") {
            found.push(Consumer { kind: kind.kind.clone(), cluster: cluster.name().to_owned(), ..consumer });
        }
    });
    found
}

/// A workload as a consumer of the tag; `None` when it does not follow it.
fn consumer(call: &Call, follower: Follower, object: &Plain, wanted: TagName<'_>) -> Option<Consumer> {
    let alone = !follower.has_own_fields();
    let current = CurrentTags(&call.ctx);
    let probe = Probe { wanted, alone, seen: Cell::new(false), current };
    let (behind, complaints) = match follower {
        Follower::Workload(Workload::BuildConfig) => {
            (build::wanted(object, &probe).is_some(), build::complaints(object).complaints)
        }
        Follower::Workload(Workload::DeploymentConfig) => {
            let outcome = deployment::react(object, deployment::Which::Automatic, &probe);
            (matches!(outcome, deployment::Outcome::Changed(_)), Vec::new())
        }
        _ => {
            let reaction = annotation::react(follower, object, &probe);
            (reaction.changed.is_some(), reaction.complaints)
        }
    };
    if !probe.seen.get() {
        return None;
    }
    let got = if behind { None } else { current.image(&wanted) };
    Some(Consumer {
        namespace: object.metadata.namespace.clone(),
        name: object.metadata.name.clone(),
        state: match (behind, complaints.is_empty()) {
            (_, false) => "Failing",
            (true, true) => "Behind",
            (false, true) => "Current",
        },
        got: got.unwrap_or_default(),
        error: complaints.join("; "),
        ..Consumer::default()
    })
}

fn deliverers(call: &Call, wanted: TagName<'_>) -> Vec<Consumer> {
    let snapshot = call.ctx.cache.snapshot();
    let mut last = last_deliveries(call, wanted);
    let mut found = Vec::new();
    for plural in TRIGGERS {
        let resource = deliver::resource(plural);
        if !may_list(call, resource, wanted.namespace) {
            continue;
        }
        for entry in snapshot.range(&resource.prefix_in(wanted.namespace), None) {
            let Ok(object) = decode::<Plain>(entry) else { continue };
            if !deliver::outbox::follows(&object.object, wanted.stream, wanted.tag) {
                continue;
            }
            let (state, got, error) =
                last.remove(&object.object.metadata.uid).unwrap_or(("Current", String::new(), String::new()));
            found.push(Consumer {
                kind: resource.kind.to_owned(),
                cluster: String::new(),
                namespace: wanted.namespace.to_owned(),
                name: object.object.metadata.name.clone(),
                state,
                got,
                error,
            });
        }
    }
    found
}

/// The newest delivery of the tag for each trigger, by the trigger's identity.
fn last_deliveries(call: &Call, wanted: TagName<'_>) -> HashMap<String, (&'static str, String, String)> {
    let snapshot = call.ctx.cache.snapshot();
    let about = |entry: &&Entry| {
        let field = |name: &str| entry.object.fields.iter().find(|(held, _)| *held == name);
        let is = |name: &str, value: &str| field(name).is_some_and(|(_, held)| held == value);
        is("spec.stream", wanted.stream) && is("spec.tag", wanted.tag)
    };
    let prefix = deliver::resource("deliveries").prefix_in(wanted.namespace);
    let mut newest: HashMap<String, u64> = HashMap::new();
    let mut last = HashMap::new();
    for entry in snapshot.range(&prefix, None).filter(about) {
        let Ok(delivery) = decode::<Plain>(entry) else { continue };
        let (Ok(spec), Ok(status)) = (deliver::spec(&delivery.object), deliver::status(&delivery.object))
        else {
            continue;
        };
        let held = newest.entry(spec.trigger.uid.clone()).or_default();
        if spec.revision < *held {
            continue;
        }
        *held = spec.revision;
        let got = spec.event.pointer("/to/image").and_then(serde_json::Value::as_str).unwrap_or_default();
        let (state, got) = match status.state {
            State::Pending => ("Pending", String::new()),
            State::Delivered => ("Delivered", got.to_owned()),
            State::Dead => ("Dead", String::new()),
        };
        last.insert(spec.trigger.uid, (state, got, status.last_error));
    }
    last
}
