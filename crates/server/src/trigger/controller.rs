//! The trigger controller: brings the objects of a site up to date with the tags that they follow.
//!
//! It keeps an index of who follows which stream. A change of a stream wakes its followers, a change of an object wakes
//! that one; each is then looked at as it is. Lost races are run again after a pause.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use machinery::status::ApiError;

use super::index::Index;
use super::limits::AT_WORK;
use super::site::{Change, ObjectKey, Site};
use super::witness::{self, Seen, Witness};
use super::{Follower, Reaction, annotation, build, deployment, streams};
use crate::changes;
use crate::context::Ctx;
use crate::control::{Done, Queue, StreamKey};
use crate::plain::Plain;
use crate::resource;
use crate::workload::Workload;

/// Runs the controller for a site until the server stops.
pub async fn run(ctx: Ctx, site: Arc<dyn Site>) {
    let queue = Queue::default();
    let mut index = Index::default();
    // Changes first, then the list, so that nothing falls in between.
    let mut changes = site.changes();
    let mut moves = changes::of(&ctx, resource::streams());
    relist(&*site, &mut index, &queue);
    let mut at_work = FuturesUnordered::new();
    loop {
        // In a fixed order, so that a simulation can be repeated.
        tokio::select! {
            biased;
            () = ctx.tasks.stopping() => return,
            Some(change) = changes.next() => match change {
                Change::Missed => relist(&*site, &mut index, &queue),
                Change::Object(key, object) => note(&*site, &mut index, &queue, key, object.as_deref()),
            },
            Some(change) = moves.next() => match change {
                None => relist(&*site, &mut index, &queue),
                Some(event) => {
                    let key = &event.entry.key;
                    let stream = StreamKey::new(key.namespace().unwrap_or_default(), key.name());
                    index.followers(&stream).for_each(|key| queue.add(key.clone()));
                }
            },
            Some((key, done)) = at_work.next() => queue.done(&key, done),
            key = queue.next(), if at_work.len() < AT_WORK => {
                let (ctx, site) = (&ctx, &*site);
                at_work.push(async move {
                    let done = reconcile(ctx, site, &key).await;
                    (key, done)
                });
            }
        }
    }
}

/// Takes in everything that is there.
fn relist(site: &dyn Site, index: &mut Index, queue: &Queue<ObjectKey>) {
    index.clear();
    site.each(&mut |key, object| note(site, index, queue, key, Some(&object)));
}

/// Notes what an object follows now and wants it looked at if that (or a complaint about it) is possible.
fn note(
    site: &dyn Site,
    index: &mut Index,
    queue: &Queue<ObjectKey>,
    key: ObjectKey,
    object: Option<&Plain>,
) {
    match object {
        Some(object) => {
            index.set(&key, streams(site.kinds()[key.kind].follower, object));
            queue.add(key);
        }
        None => index.set(&key, Default::default()),
    }
}

/// Brings one object up to date.
async fn reconcile(ctx: &Ctx, site: &dyn Site, key: &ObjectKey) -> Done {
    let (kind, namespace, name) = (&site.kinds()[key.kind].kind, &key.namespace, &key.name);
    let object = match site.get(key) {
        Ok(Some(object)) if object.metadata.deletion_timestamp.is_none() => object,
        Ok(_) => return Done::Settled,
        Err(error) => {
            tracing::error!(kind, namespace, name, %error, "unreadable");
            return Done::Settled;
        }
    };
    match act(ctx, site, key, &object).await {
        Ok(()) => Done::Settled,
        // Whoever deleted it meanwhile has the last word.
        Err(error) if error.is_not_found() => Done::Settled,
        Err(error) => {
            let cluster = site.cluster();
            if error.is_conflict() {
                tracing::debug!(cluster, kind, namespace, name, %error, "changed meanwhile");
            } else {
                tracing::warn!(cluster, kind, namespace, name, %error, "a trigger could not be applied");
            }
            Done::Failed
        }
    }
}

async fn act(ctx: &Ctx, site: &dyn Site, key: &ObjectKey, object: &Plain) -> Result<(), ApiError> {
    let follower = site.kinds()[key.kind].follower;
    let tags = Witness::new(ctx);
    let (reaction, news) = match follower {
        Follower::Workload(Workload::BuildConfig) => {
            let wanted = build::wanted(object, &tags);
            let news = tags.news(object);
            if let Some(request) = wanted {
                match site.start_build(key, object, &request).await {
                    Ok(()) => witness::note(ctx, site, key, &news).await,
                    Err(error) if error.is_conflict() || error.code() == 503 => return Err(error),
                    // Only a change of the configuration or of its tags helps, and either comes back here.
                    Err(error) => tell(site, key, object, &error.0.message).await,
                }
            }
            (build::complaints(object), Seen::new())
        }
        Follower::Workload(Workload::DeploymentConfig) => {
            let reaction = match deployment::react(object, deployment::Which::Automatic, &tags) {
                deployment::Outcome::Changed(changed) => {
                    Reaction { changed: Some(*changed), complaints: Vec::new() }
                }
                deployment::Outcome::Waiting | deployment::Outcome::Current => Reaction::default(),
            };
            (reaction, tags.news(object))
        }
        _ => (annotation::react(follower, object, &tags), tags.news(object)),
    };
    for complaint in &reaction.complaints {
        tell(site, key, object, complaint).await;
    }
    let Some(changed) = reaction.changed else { return Ok(()) };
    match site.put(key, object, changed).await {
        Err(error) if error.code() == 422 => {
            // The object itself is wrong; trying again helps nobody until somebody changes it.
            tell(site, key, object, &error.0.message).await;
            Ok(())
        }
        Ok(()) => {
            witness::note(ctx, site, key, &news).await;
            Ok(())
        }
        other => other,
    }
}

async fn tell(site: &dyn Site, key: &ObjectKey, object: &Plain, complaint: &str) {
    if let Err(error) = site.tell(key, object, complaint).await {
        tracing::warn!(cluster = site.cluster(), %error, complaint, "an event could not be written");
    }
}
