//! The worker: attempts deliveries until they are taken or given up.
//!
//! Deliveries of one trigger and tag form a lane. Only the oldest of a lane is attempted; the next has its turn when that
//! one is delivered or dead, so a receiver sees the moves of a tag in their order. When the next attempt is due is kept
//! in the delivery, so a restart neither forgets nor hurries. What is known here can be rebuilt from the deliveries.

mod book;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, select_all};
use futures_util::{FutureExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use machinery::status::{ApiError, GroupResource};
use machinery::time::Time;
use store::cache::EventKind;
use store::{CommitError, Txn};
use tokio::time::Instant;

use super::limits::{AT_WORK, ERROR, FIRST_PAUSE, GIVE_UP, JITTER_PART, LONGEST_PAUSE};
use super::outcome::Outcome;
use super::send::Failed;
use super::{Spec, State, Status, TRIGGERS, make, resource, resource_of, send, set_status, shortened};
use super::{spec as spec_of, status as status_of};
use crate::changes;
use crate::context::Ctx;
use crate::control::{Done, Queue};
use crate::metrics::OutcomeLabels;
use crate::plain::Plain;
use crate::stored::{Entry, Loaded, Storable};
use crate::streams::{self, decode, load_entry};
use book::{Book, Lane, Owner};

/// Work on a lane, or on none.
type Work<'a> = BoxFuture<'a, (Option<Lane>, Done)>;

/// Attempts deliveries until the server stops.
pub async fn run(ctx: Ctx) {
    let queue = Queue::default();
    let mut book = Book::default();
    // Changes first, then the list, so that nothing falls in between.
    let watched = TRIGGERS.into_iter().chain(["deliveries"]);
    let mut changes = select_all(watched.map(|plural| changes::of(&ctx, resource(plural))));
    let mut at_work: FuturesUnordered<Work<'_>> = FuturesUnordered::new();
    relist(&ctx, &mut book, &queue);
    at_work.extend(orphans(&ctx, &book));
    loop {
        tokio::select! {
            biased;
            () = ctx.tasks.stopping() => return,
            Some(change) = changes.next() => match change {
                None => {
                    relist(&ctx, &mut book, &queue);
                    at_work.extend(orphans(&ctx, &book));
                }
                Some(event) if event.entry.object.resource.plural == "deliveries" => {
                    note(&ctx, &mut book, &queue, &event.entry, event.kind != EventKind::Delete);
                }
                Some(event) if event.kind == EventKind::Delete => {
                    let names = book.of(&owner(&event.entry));
                    let namespace = event.entry.key.namespace().unwrap_or_default().to_owned();
                    at_work.push(forget(&ctx, namespace, names).boxed());
                }
                Some(_) => {}
            },
            Some((lane, done)) = at_work.next() => if let Some(lane) = lane {
                queue.done(&lane, done);
            },
            lane = queue.next(), if at_work.len() < AT_WORK => {
                let (first, excess) = (book.first(&lane), book.excess(&lane.owner()));
                let (ctx, queue) = (&ctx, &queue);
                at_work.push(async move {
                    let done = match first {
                        Some(name) => attempt(ctx, queue, &lane, &name, &excess).await,
                        None => Done::Settled,
                    };
                    (Some(lane), done)
                }.boxed());
            }
        }
    }
}

fn owner(trigger: &Entry) -> Owner {
    Owner {
        namespace: trigger.key.namespace().unwrap_or_default().to_owned(),
        kind: trigger.object.resource.kind.to_owned(),
        name: trigger.key.name().to_owned(),
    }
}

/// The work of removing the deliveries whose trigger went while nobody looked.
fn orphans<'a>(ctx: &'a Ctx, book: &Book) -> Vec<Work<'a>> {
    let snapshot = ctx.cache.snapshot();
    let is_there = |owner: &Owner| {
        let key = resource_of(&owner.kind).map(|resource| resource.key(&owner.namespace, &owner.name));
        key.is_some_and(|key| snapshot.get(&key).is_some())
    };
    let gone = book.owners().into_iter().filter(|owner| !is_there(owner));
    gone.map(|owner| forget(ctx, owner.namespace.clone(), book.of(&owner)).boxed()).collect()
}

fn relist(ctx: &Ctx, book: &mut Book, queue: &Queue<Lane>) {
    book.clear();
    let snapshot = ctx.cache.snapshot();
    for entry in snapshot.range(&resource("deliveries").prefix(), None) {
        note(ctx, book, queue, entry, true);
    }
}

/// Takes in a delivery as it is now.
fn note(ctx: &Ctx, book: &mut Book, queue: &Queue<Lane>, entry: &Entry, is_there: bool) {
    let namespace = entry.key.namespace().unwrap_or_default();
    let name = entry.key.name();
    let read = |entry: &Entry| {
        let object = decode::<Plain>(entry).map_err(|error| error.to_string())?.object;
        Ok::<(Spec, Status), String>((spec_of(&object)?, status_of(&object)?))
    };
    let known = match is_there.then(|| read(entry)).transpose() {
        Ok(known) => known,
        Err(error) => {
            tracing::error!(namespace, name, error, "a delivery cannot be read");
            None
        }
    };
    let Some((spec, status)) = known else {
        if let Some(lane) = book.forget(namespace, name) {
            queue.add(lane);
        }
        return;
    };
    let lane = Lane {
        namespace: namespace.to_owned(),
        kind: spec.trigger.kind,
        trigger: spec.trigger.name,
        tag: spec.tag,
    };
    book.set(&lane, spec.revision, name, status.state == State::Pending);
    let wait = wait(ctx, &status);
    match book.first(&lane) {
        Some(first) if first == name => queue.add_at(lane, Instant::now() + wait),
        Some(_) => queue.add(lane),
        None => {}
    }
}

/// The time until a delivery may be attempted.
fn wait(ctx: &Ctx, status: &Status) -> Duration {
    if status.next_attempt.is_zero() {
        return Duration::ZERO;
    }
    Duration::from_secs(status.next_attempt.seconds_since(ctx.clock.now()).max(0).unsigned_abs())
}

/// Removes the deliveries of a trigger that is gone.
async fn forget(ctx: &Ctx, namespace: String, names: Vec<String>) -> (Option<Lane>, Done) {
    for names in names.chunks(super::limits::BATCH) {
        let mut txn = Txn::new();
        for name in names {
            if let Ok(key) = streams::key(&resource("deliveries").key(&namespace, name)) {
                txn = txn.delete(key);
            }
        }
        if let Err(error) = ctx.store.commit(txn).await {
            tracing::warn!(namespace, %error, "deliveries of a trigger that is gone could not be removed");
        }
    }
    (None, Done::Settled)
}

/// Attempts a delivery, and lets go of old ones that `excess` names once it is finished.
async fn attempt(ctx: &Ctx, queue: &Queue<Lane>, lane: &Lane, name: &str, excess: &[String]) -> Done {
    let delivery = match load_entry::<Plain>(ctx, &resource("deliveries").key(&lane.namespace, name)) {
        Ok(Some(delivery)) => delivery,
        Ok(None) => return Done::Settled,
        Err(error) => {
            tracing::error!(namespace = lane.namespace, name, %error, "a delivery cannot be read");
            return Done::Settled;
        }
    };
    let (Ok(spec), Ok(status)) = (spec_of(&delivery.object), status_of(&delivery.object)) else {
        return Done::Settled;
    };
    if status.state != State::Pending {
        return Done::Settled;
    }
    let wait = wait(ctx, &status);
    if !wait.is_zero() {
        // A later move may have woken the lane in the middle of the pause, which goes on.
        queue.add_at(lane.clone(), Instant::now() + wait);
        return Done::Settled;
    }
    let Some(trigger) = trigger(ctx, &lane.namespace, &spec) else {
        let (_, done) = forget(ctx, lane.namespace.clone(), vec![name.to_owned()]).await;
        return done;
    };
    let id = delivery.object.metadata.uid.clone();
    let tried = match spec.trigger.kind.as_str() {
        "ObjectTrigger" => make::make(ctx, &spec, &trigger).await,
        _ => send::send(ctx, &id, &spec.event, &trigger).await,
    };
    let status = after(status, tried, ctx.clock.timestamp(), ctx.random.below(1000));
    let outcome = match status.state {
        State::Pending => "failed",
        State::Delivered => "delivered",
        State::Dead => "dead",
    };
    ctx.metrics.deliveries.get_or_create(&OutcomeLabels { outcome: outcome.to_owned() }).inc();
    if status.state == State::Dead {
        let (namespace, error) = (&lane.namespace, &status.last_error);
        tracing::warn!(namespace, name, error, "a delivery was given up");
    }
    match store(ctx, &delivery, &spec, &status, excess).await {
        Ok(()) => Done::Settled,
        Err(error) => {
            tracing::warn!(namespace = lane.namespace, name, %error, "a delivery could not be noted; it is repeated");
            Done::Failed
        }
    }
}

/// The trigger of a delivery, if it is still the one.
fn trigger(ctx: &Ctx, namespace: &str, spec: &Spec) -> Option<Arc<Plain>> {
    let resource = resource_of(&spec.trigger.kind)?;
    let found = load_entry::<Plain>(ctx, &resource.key(namespace, &spec.trigger.name)).ok()??;
    (found.object.metadata.uid == spec.trigger.uid).then_some(found.object)
}

/// The status after an attempt; `dice` is below 1000.
fn after(mut status: Status, tried: Result<String, Failed>, now: Timestamp, dice: u64) -> Status {
    status.attempts = status.attempts.saturating_add(1);
    if status.first_attempt.is_zero() {
        status.first_attempt = Time::from(now);
    }
    status.next_attempt = Time::ZERO;
    match tried {
        Ok(answer) => {
            status.state = State::Delivered;
            status.finished = Time::from(now);
            status.last_error.clear();
            status.answer = answer;
        }
        Err(failed) => {
            shortened(&failed.why, ERROR).clone_into(&mut status.last_error);
            let spent = Time::from(now).seconds_since(status.first_attempt);
            if spent >= i64::try_from(GIVE_UP.as_secs()).unwrap_or(i64::MAX) {
                status.state = State::Dead;
                status.finished = Time::from(now);
            } else {
                let pause = pause(status.attempts, dice).max(failed.after.unwrap_or_default());
                status.next_attempt = Time::from(later(now, pause));
            }
        }
    }
    status
}

fn later(now: Timestamp, pause: Duration) -> Timestamp {
    let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX);
    now.checked_add(pause).unwrap_or(Timestamp::MAX)
}

/// The pause after that many failed attempts; `dice` is below 1000.
fn pause(attempts: u32, dice: u64) -> Duration {
    let doubled =
        FIRST_PAUSE.saturating_mul(1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX));
    let pause = doubled.min(LONGEST_PAUSE);
    let swing = pause / JITTER_PART;
    pause - swing + (swing * 2).mul_f64(f64::from(u32::try_from(dice).unwrap_or(0)) / 1000.0)
}

async fn store(
    ctx: &Ctx,
    delivery: &Loaded<Plain>,
    spec: &Spec,
    status: &Status,
    excess: &[String],
) -> Result<(), CommitError> {
    let metadata = &delivery.object.metadata;
    let mut changed = Plain::clone(&delivery.object);
    set_status(&mut changed, status);
    let all = resource("deliveries");
    let Ok(key) = streams::key(&all.key(&metadata.namespace, &metadata.name)) else { return Ok(()) };
    let mut txn = Txn::new().update(key, delivery.revision, changed.encode());
    if status.state != State::Pending {
        txn.writes.extend(Outcome::of(spec, status).write(&metadata.namespace, &spec.stream));
        let old = excess.iter().filter(|name| **name != metadata.name);
        let keys = old.filter_map(|name| streams::key(&all.key(&metadata.namespace, name)).ok());
        txn.writes.extend(keys.map(|key| (key, None)));
    }
    ctx.store.commit(txn).await.map(drop)
}

/// Wants a delivery attempted again from the start.
///
/// # Errors
/// 404, 409 when it is on its way anyway or changed meanwhile.
pub async fn retry(ctx: &Ctx, namespace: &str, name: &str) -> Result<Plain, ApiError> {
    let all = resource("deliveries");
    let of = GroupResource::new(all.group, all.plural);
    let text = all.key(namespace, name);
    let held = load_entry::<Plain>(ctx, &text)?.ok_or_else(|| ApiError::not_found(of, name))?;
    let status = status_of(&held.object).map_err(|why| ApiError::internal(&why))?;
    if status.state == State::Pending && status.next_attempt.is_zero() {
        return Err(ApiError::conflict(of, name, "the delivery is on its way"));
    }
    let mut changed = Plain::clone(&held.object);
    set_status(&mut changed, &Status { last_error: status.last_error, ..Status::default() });
    let key = streams::key(&text)?;
    let done = ctx.store.commit(Txn::new().update(key, held.revision, changed.encode())).await;
    let revision = done.map_err(|error| streams::commit_failed(&error, of, name, false))?;
    ctx.settle(revision).await?;
    changed.metadata.resource_version = revision.to_string();
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour_and_swing_by_a_fifth() {
        assert_eq!(pause(1, 500), FIRST_PAUSE);
        assert_eq!(pause(4, 500), FIRST_PAUSE * 8);
        assert_eq!(pause(1000, 500), LONGEST_PAUSE);
        assert_eq!(pause(1, 0), FIRST_PAUSE * 4 / 5);
        assert!(pause(1, 999) < FIRST_PAUSE * 6 / 5);
    }

    #[test]
    fn a_delivery_is_attempted_for_a_day_and_then_given_up() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let failed = || Err(Failed { why: "busy".to_owned(), after: None });
        let (mut now, mut status) = (start, Status::default());
        while status.state == State::Pending {
            status = after(status, failed(), now, 500);
            assert!(status.attempts < 100, "{status:?}");
            if status.state == State::Pending {
                let wait = status.next_attempt.seconds_since(Time::from(now));
                assert!((1..=3600).contains(&wait), "{status:?}");
                now = later(now, Duration::from_secs(wait.unsigned_abs()));
            }
        }
        assert_eq!(status.state, State::Dead);
        let spent = Time::from(now).seconds_since(Time::from(start));
        assert!((24 * 3600..25 * 3600).contains(&spent), "{spent}");
        assert_eq!((status.last_error.as_str(), status.attempts), ("busy", 36));
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_pause_and_success_ends_it() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let busy = Failed { why: "x".repeat(2 * ERROR), after: Some(Duration::from_secs(90)) };
        let status = after(Status::default(), Err(busy), now, 500);
        assert_eq!(status.next_attempt.seconds_since(Time::from(now)), 90);
        assert_eq!(status.last_error.len(), ERROR);
        let status = after(status, Ok("200".to_owned()), now, 500);
        assert_eq!((status.state, status.attempts, status.answer.as_str()), (State::Delivered, 2, "200"));
        assert!(status.last_error.is_empty() && status.next_attempt.is_zero());
    }
}
