//! Which moves a workload reacted to, and the outcome beside each one's row in the ledger.
//!
//! While a reaction is worked out, every tag that is looked at is noted with where it points. Those whose image the workload
//! did not have before are what it reacted to. A note that cannot be written holds up nobody: the workload is what counts.

use std::cell::RefCell;
use std::collections::BTreeMap;

use machinery::time::Time;
use store::{Key, Txn};

use super::site::{ObjectKey, Site};
use super::tags::CurrentTags;
use super::{TagName, Tags};
use crate::context::Ctx;
use crate::control::StreamKey;
use crate::deliver::{Outcome, State, Status};
use crate::ledger;
use crate::plain::Plain;
use crate::streams;

/// Tags, and what was looked at.
pub(super) struct Witness<'a> {
    tags: CurrentTags<'a>,
    seen: RefCell<Seen>,
}

/// Tags with the images that consumers see.
pub(super) type Seen = BTreeMap<(StreamKey, String), String>;

impl<'a> Witness<'a> {
    pub(super) fn new(ctx: &'a Ctx) -> Witness<'a> {
        Witness { tags: CurrentTags(ctx), seen: RefCell::default() }
    }

    /// What was looked at and is not in the workload yet.
    pub(super) fn news(self, object: &Plain) -> Seen {
        let held = serde_json::Value::Object(object.fields.clone()).to_string();
        let mut seen = self.seen.into_inner();
        seen.retain(|_, image| !held.contains(image.as_str()));
        seen
    }
}

impl Tags for Witness<'_> {
    fn image(&self, tag: &TagName<'_>) -> Option<String> {
        let image = self.tags.image(tag)?;
        self.seen.borrow_mut().insert((tag.stream(), tag.tag.to_owned()), image.clone());
        Some(image)
    }
}

/// Writes what a workload did for the moves that led to it.
pub(super) async fn note(ctx: &Ctx, site: &dyn Site, of: &ObjectKey, news: &Seen) {
    let now = ctx.clock.now();
    let status = |image: &str| Status {
        state: State::Delivered,
        attempts: 1,
        first_attempt: now,
        finished: now,
        answer: image.to_owned(),
        ..Status::default()
    };
    let mut txn = Txn::new();
    for ((stream, tag), image) in news {
        let Some(r#move) = last_move(ctx, stream, tag).await else { continue };
        let outcome = Outcome {
            kind: site.kinds()[of.kind].kind.clone(),
            name: of.name.clone(),
            namespace: of.namespace.clone(),
            cluster: site.cluster().to_owned(),
            tag: tag.clone(),
            r#move,
            status: status(image),
        };
        txn.writes.extend(outcome.write(&stream.namespace, &stream.name));
    }
    if txn.writes.is_empty() {
        return;
    }
    if let Err(error) = ctx.store.commit(txn).await {
        let (kind, namespace, name) = (&site.kinds()[of.kind].kind, &of.namespace, &of.name);
        tracing::warn!(kind, namespace, name, %error, "what a workload reacted to could not be noted");
    }
}

/// The row of the ledger by which a tag came to point where it does.
async fn last_move(ctx: &Ctx, stream: &StreamKey, tag: &str) -> Option<String> {
    let held = streams::load(ctx, &stream.namespace, &stream.name).ok()??.object;
    let head = held.status.head(tag)?;
    let mut after = first_of(stream, head.created);
    let mut found = None;
    loop {
        let read = ledger::read(&*ctx.store, &stream.namespace, &stream.name, after, ledger::PAGE).await;
        let (rows, next) = read.ok()?;
        let to_head =
            |row: &&ledger::Row| row.tag == tag && row.to.as_ref().is_some_and(|to| to.image == head.image);
        found = rows.iter().rev().find(to_head).map(|row| row.name.clone()).or(found);
        after = next;
        if after.is_none() {
            return found;
        }
    }
}

/// What sorts before all rows of a stream since a moment: the time of a history is that of its row, in whole seconds.
fn first_of(stream: &StreamKey, since: Time) -> Option<Key> {
    let nanos = i128::from(since.seconds_since(Time::from_unix(0))) * 1_000_000_000;
    Key::new(&format!("{}{nanos:020}", ledger::prefix(&stream.namespace, &stream.name))).ok()
}
