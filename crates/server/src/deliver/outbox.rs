//! The outbox: from a move to its deliveries, without losing one.
//!
//! The transaction that moves tags writes one key here when a trigger of the project follows the stream; however many
//! tags move and triggers follow, the move itself does not get heavier. A task turns keys, oldest first, into deliveries
//! and removes each with the last of them. After a crash in between the same names come out again and are there already.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{CommitError, Key, Range, Txn, Versioned};
use tokio::sync::Notify;

use super::limits::{BATCH, OUTBOX_PAGE, OUTBOX_PERIOD, OUTBOX_RETRY, WAITING};
use super::{Spec, State, Status, TRIGGER_LABEL, TRIGGERS, TriggerRef, event, resource, set_status};
use crate::context::Ctx;
use crate::ledger::{self, Row};
use crate::plain::Plain;
use crate::stored::{Entry, Storable};
use crate::stream::wildcard_match;
use crate::streams::{decode, fill_identity};

/// Where all keys are.
const PREFIX: &str = "/weir.dev/outbox/";

/// Wakes the task that empties the outbox.
#[derive(Debug, Default)]
pub struct Outbox(Notify);

impl Outbox {
    /// Something was put into it.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// What one transaction moved.
#[derive(Debug, Serialize, Deserialize)]
struct Moves {
    namespace: String,
    stream: String,
    /// Names of rows of the ledger.
    rows: Vec<String>,
}

/// The triggers of a project that follow a stream.
pub(super) fn followers(ctx: &Ctx, namespace: &str, stream: &str) -> Vec<Entry> {
    let snapshot = ctx.cache.snapshot();
    let follows = |entry: &&Entry| {
        let field = entry.object.fields.iter().find(|(name, _)| *name == "spec.stream");
        field.is_some_and(|(_, followed)| followed == stream)
    };
    let all = TRIGGERS.map(|plural| resource(plural).prefix_in(namespace));
    all.iter().flat_map(|prefix| snapshot.range(prefix, None).filter(follows).cloned()).collect()
}

/// The write that goes with rows of the ledger; `None` when nobody follows the stream.
pub fn note(
    ctx: &Ctx,
    namespace: &str,
    stream: &str,
    rows: &[(Key, Option<Bytes>)],
) -> Option<(Key, Option<Bytes>)> {
    let (first, _) = rows.first()?;
    if followers(ctx, namespace, stream).is_empty() {
        return None;
    }
    let key = Key::new(&format!("{PREFIX}{namespace}/{stream}/{}", first.name())).ok()?;
    let rows = rows.iter().map(|(key, _)| key.name().to_owned()).collect();
    let moves = Moves { namespace: namespace.to_owned(), stream: stream.to_owned(), rows };
    Some((key, Some(machinery::json::compact(&moves).into())))
}

/// Empties the outbox until the server stops.
pub async fn run(ctx: Ctx) {
    loop {
        let pause = match empty(&ctx).await {
            Ok(()) => OUTBOX_PERIOD,
            Err(error) => {
                tracing::warn!(error, "deliveries could not be written and will be again");
                OUTBOX_RETRY
            }
        };
        tokio::select! {
            biased;
            () = ctx.tasks.stopping() => return,
            () = ctx.outbox.0.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn empty(ctx: &Ctx) -> Result<(), String> {
    loop {
        let range = Range { limit: OUTBOX_PAGE, ..Range::of(PREFIX) };
        let page = ctx.store.range(range).await.map_err(|error| error.to_string())?;
        if page.items.is_empty() {
            return Ok(());
        }
        let mut items = page.items;
        items.sort_by_key(|item| item.created);
        for item in &items {
            expand(ctx, item).await?;
        }
    }
}

/// Makes the deliveries of one key and removes it.
async fn expand(ctx: &Ctx, item: &Versioned) -> Result<(), String> {
    let moves: Moves = match serde_json::from_slice(&item.value) {
        Ok(moves) => moves,
        Err(error) => {
            tracing::error!(key = item.key.as_str(), %error, "an entry of the outbox cannot be read; it is dropped");
            return finish(ctx, Txn::new(), item).await;
        }
    };
    let triggers = followers(ctx, &moves.namespace, &moves.stream);
    let mut txn = Txn::new();
    for id in &moves.rows {
        let Some(row) = read_row(ctx, &moves, id).await? else { continue };
        for trigger in &triggers {
            let Some(delivery) = delivery(ctx, trigger, &moves.namespace, id, &row) else { continue };
            let name = &delivery.metadata.name;
            let text = resource("deliveries").key(&moves.namespace, name);
            if ctx.cache.snapshot().get(&text).is_some() {
                continue;
            }
            let Ok(key) = Key::new(&text) else { continue };
            txn = txn.create(key, delivery.encode());
            if txn.writes.len() >= BATCH {
                commit(ctx, std::mem::take(&mut txn)).await?;
            }
        }
    }
    finish(ctx, txn, item).await
}

async fn read_row(ctx: &Ctx, moves: &Moves, id: &str) -> Result<Option<Row>, String> {
    let text = format!("{}{id}", ledger::prefix(&moves.namespace, &moves.stream));
    let Ok(key) = Key::new(&text) else { return Ok(None) };
    let found = ctx.store.get(&key, None).await.map_err(|error| error.to_string())?;
    let Some(found) = found else { return Ok(None) };
    match serde_json::from_slice::<Row>(&found.value) {
        Ok(row) => Ok(Some(Row { revision: found.modified.to_string(), ..row })),
        Err(error) => {
            tracing::error!(key = text, %error, "a ledger row cannot be read");
            Ok(None)
        }
    }
}

async fn finish(ctx: &Ctx, txn: Txn, item: &Versioned) -> Result<(), String> {
    commit(ctx, txn.delete(item.key.clone())).await
}

async fn commit(ctx: &Ctx, txn: Txn) -> Result<(), String> {
    match ctx.store.commit(txn).await {
        Ok(revision) => ctx.settle(revision).await.map_err(|error| error.to_string()),
        // Another server made the same ones: the next look finds them there.
        Err(error @ CommitError::Conflict { .. }) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// The delivery of a move for a trigger, when its patterns take the tag.
fn delivery(ctx: &Ctx, trigger: &Entry, namespace: &str, id: &str, row: &Row) -> Option<Plain> {
    let object = match decode::<Plain>(trigger) {
        Ok(object) => object.object,
        Err(error) => {
            tracing::error!(key = trigger.key.as_str(), %error, "a trigger cannot be read");
            return None;
        }
    };
    if !takes(&object, &row.tag) {
        return None;
    }
    let of = TriggerRef {
        kind: trigger.object.resource.kind.to_owned(),
        name: object.metadata.name.clone(),
        uid: object.metadata.uid.clone(),
    };
    let mut delivery = Plain { fields: Map::new(), ..Plain::default() };
    delivery.metadata.name = name(&of, id);
    namespace.clone_into(&mut delivery.metadata.namespace);
    delivery.metadata.labels.insert(TRIGGER_LABEL.to_owned(), of.name.clone());
    fill_identity(ctx, &mut delivery.metadata);
    let spec = Spec {
        trigger: of,
        stream: row.stream.clone(),
        tag: row.tag.clone(),
        r#move: id.to_owned(),
        revision: row.revision.parse().unwrap_or_default(),
        event: event::data(namespace, id, row),
    };
    delivery.fields.insert("spec".to_owned(), serde_json::to_value(&spec).ok()?);
    let mut status = Status::default();
    if waiting(ctx, namespace, &spec.trigger) >= WAITING {
        status.state = State::Dead;
        status.last_error = format!("{WAITING} deliveries of this trigger were waiting already");
        status.finished = ctx.clock.now();
    }
    set_status(&mut delivery, &status);
    Some(delivery)
}

/// Deliveries of a trigger that wait.
fn waiting(ctx: &Ctx, namespace: &str, trigger: &TriggerRef) -> usize {
    let snapshot = ctx.cache.snapshot();
    let prefix = format!("{}{}.", resource("deliveries").prefix_in(namespace), kind_mark(trigger));
    let pending = |entry: &&Entry| entry.object.fields.iter().any(|(_, value)| value == "Pending");
    snapshot.range(&prefix, None).filter(pending).count()
}

/// What the names of a trigger's deliveries begin with: triggers of both kinds may share a name.
fn kind_mark(trigger: &TriggerRef) -> String {
    let mark = if trigger.kind == "ObjectTrigger" { "make" } else { "send" };
    format!("{}.{mark}", trigger.name)
}

/// The name of the delivery of a move for a trigger.
fn name(trigger: &TriggerRef, id: &str) -> String {
    format!("{}.{}", kind_mark(trigger), id.to_ascii_lowercase())
}

/// Whether a trigger follows a tag.
pub(crate) fn follows(trigger: &Plain, stream: &str, tag: &str) -> bool {
    let followed = trigger.fields.get("spec").and_then(|spec| spec.get("stream")).and_then(Value::as_str);
    followed == Some(stream) && takes(trigger, tag)
}

/// Whether a trigger's patterns take a tag; without patterns all are taken.
fn takes(trigger: &Plain, tag: &str) -> bool {
    let patterns = trigger.fields.get("spec").and_then(|spec| spec.get("tags")).and_then(Value::as_array);
    let Some(patterns) = patterns.filter(|patterns| !patterns.is_empty()) else { return true };
    patterns.iter().filter_map(Value::as_str).any(|pattern| wildcard_match(tag, pattern))
}
