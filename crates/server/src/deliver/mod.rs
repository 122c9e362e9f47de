//! Deliveries: what is sent, or made, for every move of a tag.
//!
//! A `WebhookTrigger` wants a signed event sent, an `ObjectTrigger` wants an object made. The transaction that moves a tag
//! also writes one key of the [`outbox`], so no move is forgotten; the outbox becomes one `Delivery` for each trigger and
//! move, named after both, so that doing it twice makes no second one. The [`worker`] attempts deliveries, those of one
//! trigger and tag one after the other in the order of the moves, for a day with growing pauses. Each is attempted at
//! least once and has an identity by which a receiver knows a repeat. Triggers see streams of their own project only.

pub mod event;
pub mod kinds;
pub mod limits;
mod make;
pub mod outbox;
mod outcome;
mod send;
mod template;
mod worker;

use machinery::time::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plain::Plain;
use crate::resource::{self, Resource};

pub use outbox::Outbox;
pub use outcome::{Outcome, outcomes};
pub(crate) use send::secret;
pub use worker::{retry, run};

/// The label that says whose delivery it is.
pub const TRIGGER_LABEL: &str = "weir.dev/trigger";

/// What is to be delivered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// Who wants it.
    pub trigger: TriggerRef,
    /// The stream.
    pub stream: String,
    /// The tag.
    pub tag: String,
    /// The name of the move in the ledger.
    pub r#move: String,
    /// The store's revision of the move: deliveries are in this order.
    pub revision: u64,
    /// The move itself.
    pub event: Value,
}

/// The trigger that a delivery belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TriggerRef {
    /// `WebhookTrigger` or `ObjectTrigger`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its identity: one of the same name that is made later is another.
    pub uid: String,
}

/// How far a delivery has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It is to be attempted.
    #[default]
    Pending,
    /// It was taken.
    Delivered,
    /// It was given up; somebody may want it again.
    Dead,
}

/// How a delivery went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Status {
    /// How far it has come.
    pub state: State,
    /// Attempts so far.
    pub attempts: u32,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_error: String,
    /// When it was first attempted.
    #[serde(skip_serializing_if = "Time::is_zero")]
    pub first_attempt: Time,
    /// When it is attempted next.
    #[serde(skip_serializing_if = "Time::is_zero")]
    pub next_attempt: Time,
    /// When it was delivered or given up.
    #[serde(skip_serializing_if = "Time::is_zero")]
    pub finished: Time,
    /// What the receiver answered, or what was made.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub answer: String,
}

/// The kinds of triggers.
pub const TRIGGERS: [&str; 2] = ["webhooktriggers", "objecttriggers"];

/// A resource of this group.
pub(crate) fn resource(plural: &str) -> &'static Resource {
    resource::find("weir.dev", "v1alpha1", plural, "").expect("the table lists the kinds of deliveries")
}

/// The resource of a kind of triggers.
fn resource_of(kind: &str) -> Option<&'static Resource> {
    TRIGGERS.into_iter().map(resource).find(|resource| resource.kind == kind)
}

fn field<T: serde::de::DeserializeOwned>(object: &Plain, name: &str) -> Result<T, String> {
    let value = object.fields.get(name).cloned().unwrap_or_else(|| Value::Object(Default::default()));
    serde_json::from_value(value).map_err(|error| format!("its {name} cannot be read: {error}"))
}

/// What a delivery is about.
///
/// # Errors
/// What is wrong with it.
pub fn spec(delivery: &Plain) -> Result<Spec, String> {
    field(delivery, "spec")
}

/// How far a delivery has come.
///
/// # Errors
/// What is wrong with it.
pub fn status(delivery: &Plain) -> Result<Status, String> {
    field(delivery, "status")
}

fn set_status(delivery: &mut Plain, status: &Status) {
    let value = serde_json::to_value(status).expect("a status is plain data");
    delivery.fields.insert("status".to_owned(), value);
}

/// The first bytes of a text, whole characters.
fn shortened(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
