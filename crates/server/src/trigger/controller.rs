//! The trigger controller: brings workloads up to date with the tags that they follow.
//!
//! It keeps an index of who follows which stream. A change of a stream wakes its followers, a change of a workload wakes
//! that one; each is then looked at as it is. Lost races are run again after a pause.

use std::sync::Arc;

use futures_util::stream::{BoxStream, FuturesUnordered};
use futures_util::{StreamExt, stream::select_all};
use machinery::status::ApiError;
use store::cache::EventKind;

use super::index::{Index, ObjectKey};
use super::limits::AT_WORK;
use super::witness::{self, Seen, Witness};
use super::{FOLLOWERS, Reaction, annotation, build, deployment, streams};
use crate::auth::Actor;
use crate::changes;
use crate::context::Ctx;
use crate::control::{Done, Queue, StreamKey};
use crate::plain::Plain;
use crate::resource::{self, RESOURCES, Resource};
use crate::rest;
use crate::stored::{Entry, Loaded};
use crate::streams::{decode, load_entry};
use crate::workload::Workload;

/// What happened.
enum Change {
    /// A workload was made or changed, or is gone.
    Workload(ObjectKey, Option<Entry>),
    /// A stream was made or changed, or is gone.
    Stream(StreamKey),
    /// Something was missed.
    Missed,
}

/// Runs the controller until the server stops.
pub async fn run(ctx: Ctx) {
    let queue = Queue::default();
    let mut index = Index::default();
    let actor = Arc::new(Actor::controller("image-trigger-controller"));
    // Changes first, then the list, so that nothing falls in between.
    let followers = FOLLOWERS.map(|kind| changes(&ctx, resource_of(kind), Some(kind)));
    let mut changes = select_all(followers.into_iter().chain([changes(&ctx, resource::streams(), None)]));
    relist(&ctx, &mut index, &queue);
    let mut at_work = FuturesUnordered::new();
    loop {
        // In a fixed order, so that a simulation can be repeated.
        tokio::select! {
            biased;
            () = ctx.tasks.stopping() => return,
            Some(change) = changes.next() => match change {
                Change::Missed => relist(&ctx, &mut index, &queue),
                Change::Stream(stream) => index.followers(&stream).for_each(|key| queue.add(key.clone())),
                Change::Workload(key, entry) => note(&mut index, &queue, key, entry.as_ref()),
            },
            Some((key, done)) = at_work.next() => queue.done(&key, done),
            key = queue.next(), if at_work.len() < AT_WORK => {
                let (ctx, actor) = (&ctx, &actor);
                at_work.push(async move {
                    let done = reconcile(ctx, actor, &key).await;
                    (key, done)
                });
            }
        }
    }
}

/// The table's entry of a kind.
pub(crate) fn resource_of(kind: Workload) -> &'static Resource {
    let mut stored = RESOURCES.iter().filter(|entry| entry.is_stored());
    stored.find(|entry| Workload::of(entry) == Some(kind)).expect("the table lists every workload")
}

/// Takes in everything that is there.
fn relist(ctx: &Ctx, index: &mut Index, queue: &Queue<ObjectKey>) {
    index.clear();
    let snapshot = ctx.cache.snapshot();
    for kind in FOLLOWERS {
        for entry in snapshot.range(&resource_of(kind).prefix(), None) {
            note(index, queue, object_key(kind, entry), Some(entry));
        }
    }
}

fn object_key(kind: Workload, entry: &Entry) -> ObjectKey {
    let namespace = entry.key.namespace().unwrap_or_default().to_owned();
    ObjectKey { kind, namespace, name: entry.key.name().to_owned() }
}

/// Notes what a workload follows now and wants it looked at if that (or a complaint about it) is possible.
fn note(index: &mut Index, queue: &Queue<ObjectKey>, key: ObjectKey, entry: Option<&Entry>) {
    let object = entry.filter(|entry| may_follow(key.kind, entry)).map(decode::<Plain>);
    match object {
        Some(Ok(object)) => {
            index.set(&key, streams(key.kind, &object.object));
            queue.add(key);
        }
        // What cannot be read was told of when it was taken into the cache.
        None | Some(Err(_)) => index.set(&key, Default::default()),
    }
}

/// False when an object certainly follows nothing; most have no annotation and need not be decoded.
fn may_follow(kind: Workload, entry: &Entry) -> bool {
    if matches!(kind, Workload::DeploymentConfig | Workload::BuildConfig) {
        return true;
    }
    let key = annotation::KEY.as_bytes();
    entry.object.inner().windows(key.len()).any(|window| window == key)
}

fn changes(ctx: &Ctx, of: &'static Resource, kind: Option<Workload>) -> BoxStream<'static, Change> {
    let told = move |change: changes::Change| {
        let Some(event) = change else { return Change::Missed };
        match kind {
            None => {
                let key = &event.entry.key;
                Change::Stream(StreamKey::new(key.namespace().unwrap_or_default(), key.name()))
            }
            Some(kind) => {
                let there = event.kind != EventKind::Delete;
                let key = object_key(kind, &event.entry);
                Change::Workload(key, there.then(|| Arc::clone(&event.entry)))
            }
        }
    };
    changes::of(ctx, of).map(told).boxed()
}

/// Brings one workload up to date.
async fn reconcile(ctx: &Ctx, actor: &Arc<Actor>, key: &ObjectKey) -> Done {
    let resource = resource_of(key.kind);
    let object = match load_entry::<Plain>(ctx, &resource.key(&key.namespace, &key.name)) {
        Ok(Some(object)) if object.object.metadata.deletion_timestamp.is_none() => object,
        Ok(_) => return Done::Settled,
        Err(error) => {
            tracing::error!(kind = ?key.kind, namespace = key.namespace, name = key.name, %error, "unreadable");
            return Done::Settled;
        }
    };
    match act(ctx, actor, key.kind, resource, object).await {
        Ok(()) => Done::Settled,
        // Whoever deleted it meanwhile has the last word.
        Err(error) if error.is_not_found() => Done::Settled,
        Err(error) => {
            let (namespace, name) = (&key.namespace, &key.name);
            if error.is_conflict() {
                tracing::debug!(kind = ?key.kind, namespace, name, %error, "changed meanwhile");
            } else {
                tracing::warn!(kind = ?key.kind, namespace, name, %error, "a trigger could not be applied");
            }
            Done::Failed
        }
    }
}

async fn act(
    ctx: &Ctx,
    actor: &Arc<Actor>,
    kind: Workload,
    resource: &'static Resource,
    object: Loaded<Plain>,
) -> Result<(), ApiError> {
    let tags = Witness::new(ctx);
    let (reaction, news) = match kind {
        Workload::BuildConfig => {
            let wanted = build::wanted(&object.object, &tags);
            let news = tags.news(&object.object);
            if let Some(request) = wanted {
                match rest::start_build(ctx, actor, &object, &request, false).await {
                    Ok(_) => witness::note(ctx, resource, &object.object, &news).await,
                    Err(error) if error.is_conflict() || error.code() == 503 => return Err(error),
                    // Only a change of the configuration or of its tags helps, and either comes back here.
                    Err(error) => tell(ctx, actor, resource, &object.object, &error.0.message).await,
                }
            }
            (build::complaints(&object.object), Seen::new())
        }
        Workload::DeploymentConfig => {
            let reaction = match deployment::react(&object.object, deployment::Which::Automatic, &tags) {
                deployment::Outcome::Changed(changed) => {
                    Reaction { changed: Some(*changed), complaints: Vec::new() }
                }
                deployment::Outcome::Waiting | deployment::Outcome::Current => Reaction::default(),
            };
            (reaction, tags.news(&object.object))
        }
        _ => (annotation::react(kind, &object.object, &tags), tags.news(&object.object)),
    };
    for complaint in &reaction.complaints {
        tell(ctx, actor, resource, &object.object, complaint).await;
    }
    let Some(changed) = reaction.changed else { return Ok(()) };
    match rest::put_workload(ctx, actor, resource, changed).await {
        Err(error) if error.code() == 422 => {
            // The object itself is wrong; trying again helps nobody until somebody changes it.
            tell(ctx, actor, resource, &object.object, &error.0.message).await;
            Ok(())
        }
        Ok(()) => {
            witness::note(ctx, resource, &object.object, &news).await;
            Ok(())
        }
        other => other,
    }
}

async fn tell(ctx: &Ctx, actor: &Arc<Actor>, resource: &'static Resource, object: &Plain, complaint: &str) {
    if let Err(error) = rest::tell(ctx, actor, resource, object, complaint).await {
        tracing::warn!(%error, complaint, "an event could not be written");
    }
}
