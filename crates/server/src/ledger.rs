//! The ledger: the whole story of every tag, one row a move.
//!
//! A row is written in the transaction that moves the tag and never changed. It says what the public history cannot: who
//! moved it, by which request, why, and when the digest was first seen here. Rows are keyed by project, stream and time,
//! are not held in memory, and stay when the stream goes.

use bytes::Bytes;
use jiff::Timestamp;
use machinery::image::TagEvent;
use machinery::time::Time;
use serde::{Deserialize, Serialize};
use store::{Key, Range, ReadError, Store};

use crate::auth::Actor;
use crate::stream::Move;

/// Where all rows are.
pub const PREFIX: &str = "/weir.dev/ledger/";
/// Rows that one answer holds at the most.
pub const PAGE: usize = 500;

/// Why a tag moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// An image was pushed.
    Push,
    /// Somebody asked for an import.
    Import,
    /// A scheduled import found something new.
    Schedule,
    /// A registry told of a change.
    Hook,
    /// A tag was set, or the spec of the stream edited.
    Tag,
    /// A tag was pointed at an image of its own history.
    Rollback,
    /// The tag follows another one, which moved.
    Follow,
    /// The status was written directly.
    Status,
}

/// One move of one tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its name in the ledger; filled in when the row is read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The stream.
    pub stream: String,
    /// The tag.
    pub tag: String,
    /// The store's revision of the move; filled in when the row is read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// When.
    pub time: Time,
    /// Where the tag pointed before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Target>,
    /// Where it points since; absent when it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Target>,
    /// Why.
    pub cause: Cause,
    /// Who.
    pub actor: RowActor,
    /// The request.
    #[serde(rename = "requestID", skip_serializing_if = "String::is_empty", default)]
    pub request_id: String,
    /// When this server first saw the image, for an import: under the name that the tag follows.
    #[serde(default)]
    pub first_seen: Time,
    /// What somebody wrote about it.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub reason: String,
}

/// What a tag pointed at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Digest of the image; empty for mere references.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub image: String,
    /// Where it came from.
    pub docker_image_reference: String,
}

/// Who moved a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowActor {
    /// Name.
    pub user: String,
    /// Groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Who really was it, when the user was impersonated.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub impersonator: Option<String>,
}

/// What all rows of one write have in common.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Project of the stream.
    pub namespace: &'a str,
    /// The stream.
    pub stream: &'a str,
    /// Now, precisely: it orders the rows.
    pub at: Timestamp,
    /// Why.
    pub cause: Cause,
    /// Who.
    pub actor: &'a Actor,
    /// What somebody wrote about it.
    pub reason: &'a str,
}

impl Entry<'_> {
    /// The writes that record moves. `first_seen` tells when the image of a move was first seen, `history` whether the stream held
    /// it before (then a move to it is a rollback), `followed` whether the tag only follows another.
    pub fn rows(
        &self,
        moves: &[Move],
        first_seen: impl Fn(&Move, &str) -> Time,
        cause_of: impl Fn(&Move) -> Cause,
    ) -> Vec<(Key, Option<Bytes>)> {
        let time = Time::from(self.at);
        let nanos = self.at.as_nanosecond();
        let mut writes = Vec::with_capacity(moves.len());
        for (index, moved) in moves.iter().enumerate() {
            let row = Row {
                name: String::new(),
                stream: self.stream.to_owned(),
                tag: moved.tag.clone(),
                revision: String::new(),
                time,
                from: moved.from.as_ref().map(target),
                to: moved.to.as_ref().map(target),
                cause: cause_of(moved),
                actor: RowActor {
                    user: self.actor.user.clone(),
                    groups: self.actor.groups.to_vec(),
                    impersonator: self.actor.impersonator.clone(),
                },
                request_id: self.actor.request_id.clone(),
                first_seen: moved.to.as_ref().map_or(Time::ZERO, |to| first_seen(moved, &to.image)),
                reason: self.reason.to_owned(),
            };
            // The request keeps two writers of the same instant apart.
            let id = format!("{nanos:020}-{index:04}-{}", short(&self.actor.request_id));
            let key = format!("{}{id}", prefix(self.namespace, self.stream));
            if let Ok(key) = Key::new(&key) {
                writes.push((key, Some(machinery::json::compact(&row).into())));
            }
        }
        writes
    }
}

fn short(request_id: &str) -> String {
    let word: String = request_id.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    if word.is_empty() { "0".to_owned() } else { word }
}

fn target(event: &TagEvent) -> Target {
    Target { image: event.image.clone(), docker_image_reference: event.docker_image_reference.clone() }
}

/// Where the rows of a stream are.
pub fn prefix(namespace: &str, stream: &str) -> String {
    format!("{PREFIX}{namespace}/{stream}/")
}

/// Reads the rows of a stream, oldest first, after a key; `Some` second when there are more.
///
/// # Errors
/// As the store's range.
pub async fn read(
    store: &dyn Store,
    namespace: &str,
    stream: &str,
    after: Option<Key>,
    limit: usize,
) -> Result<(Vec<Row>, Option<Key>), ReadError> {
    let range = Range { after, limit: limit.clamp(1, PAGE), ..Range::of(&prefix(namespace, stream)) };
    let page = store.range(range).await?;
    let mut rows = Vec::with_capacity(page.items.len());
    for item in &page.items {
        match serde_json::from_slice::<Row>(&item.value) {
            Ok(row) => {
                let name = item.key.name().to_owned();
                rows.push(Row { name, revision: item.modified.to_string(), ..row });
            }
            Err(error) => tracing::error!(key = item.key.as_str(), %error, "a ledger row cannot be read"),
        }
    }
    Ok((rows, page.next))
}
