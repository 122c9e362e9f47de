//! What came of a move, next to its row in the ledger.
//!
//! Rows never change, so what they led to has keys of its own: one for each trigger, written when its delivery ends. It
//! outlives the delivery, whose history is short. What is still on its way is told from the deliveries.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use store::{Key, Range, ReadError};

use super::{Spec, State, Status, resource, spec, status};
use crate::context::Ctx;
use crate::plain::Plain;
use crate::streams::decode;

/// Where all keys are.
const PREFIX: &str = "/weir.dev/triggered/";
/// Outcomes that one answer holds at the most.
const MOST: usize = 5000;

/// What a trigger or a workload did for a move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The kind of the trigger or workload.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The project of a workload; empty for a trigger, which is in the stream's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The cluster of a workload; empty for this server.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// The tag.
    pub tag: String,
    /// The move, by its name in the ledger.
    pub r#move: String,
    /// How far it is.
    #[serde(flatten)]
    pub status: Status,
}

impl Outcome {
    pub(super) fn of(spec: &Spec, status: &Status) -> Outcome {
        Outcome {
            kind: spec.trigger.kind.clone(),
            name: spec.trigger.name.clone(),
            namespace: String::new(),
            cluster: String::new(),
            tag: spec.tag.clone(),
            r#move: spec.r#move.clone(),
            status: status.clone(),
        }
    }

    /// The write that keeps it; `None` while nothing is final.
    pub(crate) fn write(&self, namespace: &str, stream: &str) -> Option<(Key, Option<Bytes>)> {
        if self.status.state == State::Pending {
            return None;
        }
        // One other cluster at the most; its name may hold what keys may not.
        let place = if self.cluster.is_empty() { "" } else { "@" };
        let own =
            if self.namespace.is_empty() { String::new() } else { format!("{place}{}/", self.namespace) };
        let key = format!("{}{}/{}.{own}{}", prefix(namespace, stream), self.r#move, self.kind, self.name);
        Some((Key::new(&key).ok()?, Some(machinery::json::compact(self).into())))
    }
}

fn prefix(namespace: &str, stream: &str) -> String {
    format!("{PREFIX}{namespace}/{stream}/")
}

/// What came of the moves of a stream from the one named `first` on.
///
/// # Errors
/// As the store's range.
pub async fn outcomes(
    ctx: &Ctx,
    namespace: &str,
    stream: &str,
    first: &str,
) -> Result<Vec<Outcome>, ReadError> {
    let prefix = prefix(namespace, stream);
    // The move's name ends the key that all of its outcomes sort behind.
    let after = Key::new(&format!("{prefix}{first}")).ok();
    let page = ctx.store.range(Range { after, limit: MOST, ..Range::of(&prefix) }).await?;
    let mut all = Vec::new();
    for item in &page.items {
        match serde_json::from_slice(&item.value) {
            Ok(outcome) => all.push(outcome),
            Err(error) => tracing::error!(key = item.key.as_str(), %error, "an outcome cannot be read"),
        }
    }
    let snapshot = ctx.cache.snapshot();
    for entry in snapshot.range(&resource("deliveries").prefix_in(namespace), None) {
        let pending = entry.object.fields.iter().any(|(_, value)| value == "Pending");
        let Some(delivery) = pending.then(|| decode::<Plain>(entry).ok()).flatten() else { continue };
        if let (Ok(spec), Ok(status)) = (spec(&delivery.object), status(&delivery.object))
            && spec.stream == stream
            && spec.r#move.as_str() >= first
        {
            all.retain(|held: &Outcome| {
                (&held.r#move, &held.kind, &held.name)
                    != (&spec.r#move, &spec.trigger.kind, &spec.trigger.name)
            });
            all.push(Outcome::of(&spec, &status));
        }
    }
    Ok(all)
}
