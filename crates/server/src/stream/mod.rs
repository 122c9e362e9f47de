//! The one door through which every tag that moves must go.
//!
//! Whatever writes a stream (an edit of the stream, of one of its tags, an import, a push, a change of the status) ends
//! in [`pass`]: it takes the stored stream and the one somebody wants, and gives the one to store together with the
//! tags that moved, or everything that is wrong. It decides generations, copies what the spec refers to into the
//! status, lets tags follow others of their stream, checks rights to foreign streams, limits and allowed registries.
//!
//! Nothing here waits: what it needs of other streams and of the requester's rights comes through [`Lookup`], and
//! [`sources`] tells beforehand which streams those will be. Identity of objects (names, uid, versions, field
//! managers) is left to the code around it.

mod access;
mod allowed;
mod generation;
mod history;
mod limits;
mod propagate;
mod reference;
mod rules;

use std::sync::Arc;

pub(crate) use allowed::wildcard_match;
pub use allowed::{AllowedError, AllowedRegistries, Exempt, Transport};
pub use history::{Added, add_tag_event, follow};
pub use limits::StreamLimits;
use machinery::field::{FieldError, FieldErrors};
use machinery::image::{GROUP, ImageStream, TagEvent};
use machinery::status::{ApiError, GroupResource};
use machinery::time::Time;
use machinery::validate::object_meta_update;
pub use propagate::{Source, sources};
pub use reference::{decorate, is_insecure, matches_image, repository, resolve_image, resolve_reference};
pub use rules::{check_tag, stream_name_errors};

/// What streams follow besides their own content.
pub use crate::settings::ImageSettings as StreamSettings;

/// Who writes a stream, which decides what of the request counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// A request for the stream itself: the spec counts, the status is kept.
    Main,
    /// A request for the status, or a push: the status counts, what the spec says of tags is kept.
    Status,
    /// A write of a tag or an import: both count.
    Internal,
}

/// What one passage through the door depends on.
#[derive(Clone, Copy)]
pub struct Passage<'a> {
    /// The time of new entries.
    pub now: Time,
    /// Who writes.
    pub writer: Writer,
    /// The server's settings.
    pub settings: &'a StreamSettings,
    /// The other streams, and the requester's rights to them.
    pub lookup: &'a dyn Lookup,
    /// How much a stream of this project may hold.
    pub limits: &'a StreamLimits,
}

impl std::fmt::Debug for Passage<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passage")
            .field("now", &self.now)
            .field("writer", &self.writer)
            .finish_non_exhaustive()
    }
}

/// What can be asked about other streams.
pub trait Lookup: Sync {
    /// A stream by namespace and name.
    fn stream(&self, namespace: &str, name: &str) -> Option<Arc<ImageStream>>;
    /// Whether the requester may pull from a stream of another namespace.
    fn may_read(&self, namespace: &str, stream: &str) -> Access;
}

/// The answer of an access review.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Whether the requester may.
    pub allowed: bool,
    /// Why, in the authorizer's words; often empty.
    pub reason: String,
    /// What went wrong while the rights were evaluated; usually empty.
    pub evaluation_error: String,
    /// Set when no answer could be had at all.
    pub failure: Option<String>,
}

/// A stream that may be stored.
#[derive(Clone, Debug)]
pub struct Passed {
    /// The stream to store.
    pub stream: ImageStream,
    /// The tags whose current entry differs from before, in order of their names.
    pub moves: Vec<Move>,
    /// True when there is nothing to store, as everything but the resource version is as before.
    pub unchanged: bool,
}

/// A tag whose current entry changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// The tag.
    pub tag: String,
    /// What it pointed at.
    pub from: Option<TagEvent>,
    /// What it points at now; `None` when the tag is gone.
    pub to: Option<TagEvent>,
}

impl Move {
    /// True when the tag points elsewhere now; false when the same entry only got another generation or time.
    pub fn points_elsewhere(&self) -> bool {
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => {
                from.image != to.image || from.docker_image_reference != to.docker_image_reference
            }
            _ => true,
        }
    }
}

/// Lets a stream through the door: `old` is what is stored (none to create), `new` what the writer wants.
///
/// Both must carry namespace and name; `old` must be as stored, brought into normal form. The result of a create has
/// generation 1; uid, creation time and versions are as in `new`.
///
/// # Errors
/// Everything that is wrong, with paths; to be answered as 422 on kind `ImageStream`.
pub fn pass(
    old: Option<&ImageStream>,
    mut new: ImageStream,
    cx: &Passage<'_>,
) -> Result<Passed, FieldErrors> {
    new.normalize(cx.settings.import_mode());
    let errors = match (old, cx.writer) {
        (Some(old), Writer::Status) => {
            generation::prepare_status(old, &mut new);
            check_status(old, &new, cx)
        }
        (Some(old), _) => {
            generation::prepare_update(old, &mut new, cx);
            propagate_and_check(Some(old), &mut new, cx)
        }
        (None, _) => {
            generation::prepare_create(&mut new, cx);
            propagate_and_check(None, &mut new, cx)
        }
    };
    if !errors.is_empty() {
        return Err(errors);
    }
    let moves = moves(old, &new);
    let unchanged = old.is_some_and(|old| is_same(old, &new));
    Ok(Passed { stream: new, moves, unchanged })
}

fn propagate_and_check(old: Option<&ImageStream>, new: &mut ImageStream, cx: &Passage<'_>) -> FieldErrors {
    let mut tag_errors = access::check(old, new, cx.lookup);
    tag_errors.extend(propagate::propagate(old, new, cx));
    // Metadata of an update is looked at by the generic rules and again by those of the kind: clients see both.
    let mut errors = old.map(|old| object_meta_update(&new.metadata, &old.metadata)).unwrap_or_default();
    if tag_errors.is_empty() {
        if let Err(over) = limits::check(old, new, cx) {
            errors.push(wrapped(&over));
        }
    } else {
        let of = GroupResource::new("", "imagestreams");
        errors.push(wrapped(&ApiError::invalid(of, &new.metadata.name, &tag_errors)));
    }
    errors.extend(rules::check(old, new, cx));
    errors
}

fn check_status(old: &ImageStream, new: &ImageStream, cx: &Passage<'_>) -> FieldErrors {
    let mut errors = object_meta_update(&new.metadata, &old.metadata);
    errors.extend(errors.clone());
    if let Err(over) = limits::check(Some(old), new, cx) {
        errors.push(FieldError::forbidden("imageStream", over.to_string()));
    }
    errors.extend(rules::check_new_status(old, new, cx.settings));
    errors
}

/// Errors about rights, targets and limits reach clients as one error without a field.
fn wrapped(error: &ApiError) -> FieldError {
    FieldError::internal("[]", error.to_string())
}

/// The kind, as it stands in errors.
const KIND: GroupResource<'static> = GroupResource::new(GROUP, "ImageStream");

/// The 422 that answers a stream which may not pass.
pub fn invalid(name: &str, errors: &[FieldError]) -> ApiError {
    ApiError::invalid(KIND, name, errors)
}

fn moves(old: Option<&ImageStream>, new: &ImageStream) -> Vec<Move> {
    let nothing = [];
    let before = old.map_or(&nothing[..], |old| &old.status.tags);
    let mut moves = Vec::new();
    for entry in &new.status.tags {
        let from = before.iter().find(|held| held.tag == entry.tag).and_then(|held| held.items.first());
        let to = entry.items.first();
        if from != to {
            moves.push(Move { tag: entry.tag.clone(), from: from.cloned(), to: to.cloned() });
        }
    }
    for entry in before.iter().filter(|held| new.status.tag(&held.tag).is_none()) {
        if let Some(from) = entry.items.first() {
            moves.push(Move { tag: entry.tag.clone(), from: Some(from.clone()), to: None });
        }
    }
    moves.sort_by(|a, b| a.tag.cmp(&b.tag));
    moves
}

fn is_same(old: &ImageStream, new: &ImageStream) -> bool {
    if old.spec != new.spec || old.status != new.status {
        return false;
    }
    if old.metadata.resource_version == new.metadata.resource_version {
        return old.metadata == new.metadata;
    }
    let mut metadata = new.metadata.clone();
    metadata.resource_version.clone_from(&old.metadata.resource_version);
    old.metadata == metadata
}

#[cfg(test)]
mod tests;
