//! What hooks lead to: tags that become due, and the statuses of the hooks.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::StreamExt;
use machinery::image::ImageStream;
use machinery::status::ApiError;
use serde_json::{Value, json};
use store::Txn;
use store::cache::EventKind;

use super::kinds::{HOME, KEY};
use super::limits::SHOWN;
use super::{Call, Told, resource};
use crate::auth::Actor;
use crate::changes;
use crate::context::Ctx;
use crate::control::{Done, StreamKey, decide};
use crate::plain::Plain;
use crate::resource as table;
use crate::rest;
use crate::stored::{Entry, Storable};
use crate::streams::{self, decode, load_entry};
use crate::workload::text;

/// Looks at what hooks name, and writes what came of them, until the server stops.
pub async fn run(ctx: Ctx) {
    let mut changes = changes::of(&ctx, table::streams());
    relist(&ctx);
    loop {
        tokio::select! {
            biased;
            () = ctx.tasks.stopping() => return,
            Some(change) = changes.next() => match change {
                Some(event) => {
                    let there = (event.kind != EventKind::Delete).then_some(&event.entry);
                    index(&ctx, &stream_key(&event.entry), there);
                }
                None => relist(&ctx),
            },
            key = ctx.hooks.due.next() => {
                look(&ctx, &key);
                ctx.hooks.due.done(&key, Done::Settled);
            }
            name = ctx.hooks.dirty.next() => {
                let done = write_status(&ctx, &name).await;
                ctx.hooks.dirty.done(&name, done);
            }
        }
    }
}

fn stream_key(entry: &Entry) -> StreamKey {
    StreamKey::new(entry.key.namespace().unwrap_or_default(), entry.key.name())
}

fn relist(ctx: &Ctx) {
    ctx.hooks.lock().index.clear();
    for entry in ctx.cache.snapshot().range(&table::streams().prefix(), None) {
        index(ctx, &stream_key(entry), Some(entry));
    }
}

fn index(ctx: &Ctx, key: &StreamKey, entry: Option<&Entry>) {
    // What cannot be read was told of when it was taken into the cache; it follows nothing.
    let stream = entry.and_then(|entry| decode::<ImageStream>(entry).ok());
    ctx.hooks.lock().index.set(key, stream.as_ref().map(|stream| &*stream.object));
}

/// Makes due what a hook told of a stream.
fn look(ctx: &Ctx, (key, hook): &(StreamKey, Arc<str>)) {
    let told = ctx.hooks.lock().wanted.remove(&(key.clone(), Arc::clone(hook)));
    let Some(Told { tags, at }) = told else { return };
    match streams::load(ctx, &key.namespace, &key.name) {
        Ok(Some(stream)) => {
            let wishes = tags.iter().filter_map(|tag| decide::wish_of_told(&stream.object, tag));
            ctx.timetable.hurry(key, wishes.collect(), hook, at);
        }
        Ok(None) => {}
        Err(error) => tracing::error!(stream = %key, %error, "a stream cannot be read"),
    }
}

/// Writes what came to a hook since the last time.
async fn write_status(ctx: &Ctx, name: &str) -> Done {
    let held = match load_entry::<Plain>(ctx, &resource().key("", name)) {
        Ok(Some(held)) => held,
        Ok(None) => {
            ctx.hooks.lock().hooks.remove(name);
            return Done::Settled;
        }
        Err(error) => {
            tracing::error!(hook = name, %error, "a hook cannot be read");
            return Done::Settled;
        }
    };
    let Some((accepted, refused, recent)) = taken(ctx, name) else { return Done::Settled };
    let mut changed = Plain::clone(&held.object);
    let old = changed.fields.get("status").cloned().unwrap_or_else(|| json!({}));
    let count = |key: &str| old.get(key).and_then(Value::as_u64).unwrap_or_default();
    let mut shown: Vec<Value> = recent.iter().map(|call| json!(call)).collect();
    if shown.len() < SHOWN {
        let older = old.get("deliveries").and_then(Value::as_array).into_iter().flatten();
        let older = older.filter(|call| !shown.contains(call)).cloned().collect::<Vec<_>>();
        shown.extend(older);
        shown.truncate(SHOWN);
    }
    let status = json!({
        "accepted": count("accepted") + accepted, "refused": count("refused") + refused, "deliveries": shown,
    });
    changed.fields.insert("status".to_owned(), status);
    let Ok(key) = streams::key(&resource().key("", name)) else { return Done::Settled };
    match ctx.store.commit(Txn::new().update(key, held.revision, changed.encode())).await {
        Ok(_) => Done::Settled,
        Err(error) => {
            tracing::debug!(hook = name, %error, "the status of a hook could not be written");
            if let Some(calls) = ctx.hooks.lock().hooks.get_mut(name) {
                calls.accepted += accepted;
                calls.refused += refused;
            }
            Done::Failed
        }
    }
}

fn taken(ctx: &Ctx, name: &str) -> Option<(u64, u64, VecDeque<Call>)> {
    let mut state = ctx.hooks.lock();
    let calls = state.hooks.get_mut(name)?;
    Some((std::mem::take(&mut calls.accepted), std::mem::take(&mut calls.refused), calls.recent.clone()))
}

/// Gives a hook that is written without a secret one of its own.
///
/// # Errors
/// As for making the secret.
pub async fn admit(ctx: &Ctx, actor: &Arc<Actor>, new: &mut Plain, dry_run: bool) -> Result<(), ApiError> {
    let name = new.metadata.name.clone();
    let Some(spec) = new.fields.get_mut("spec").and_then(Value::as_object_mut) else { return Ok(()) };
    if spec.get("secretRef").is_some_and(|held| !text(held, "name").is_empty()) || name.is_empty() {
        return Ok(());
    }
    let secret = format!("hook-{name}");
    spec.insert("secretRef".to_owned(), json!({"namespace": HOME, "name": secret, "key": KEY}));
    if dry_run {
        return Ok(());
    }
    let mut object = Plain::default();
    object.metadata.name = secret;
    HOME.clone_into(&mut object.metadata.namespace);
    object.fields.insert("type".to_owned(), "Opaque".into());
    object.fields.insert("stringData".to_owned(), json!({KEY: ctx.random.token()}));
    match rest::make(ctx, actor, table::secrets(), object).await {
        // A hook of that name had it before, or an attempt that failed later.
        Err(error) if error.reason() == "AlreadyExists" => Ok(()),
        other => other,
    }
}
