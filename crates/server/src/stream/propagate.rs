//! From spec to status: what a changed spec tag refers to becomes its current entry.
//!
//! Only what can be known at once is copied: mere references, and tags and images of streams of this server. External
//! images are left to imports. Tags are taken in order of their names, but one that refers to another tag of its
//! stream comes after that one, so that the outcome does not depend on names.

use std::collections::BTreeSet;

use machinery::field::{FieldError, FieldErrors};
use machinery::image::well_known::{DOCKER_IMAGE, IMAGE_STREAM_IMAGE, IMAGE_STREAM_TAG};
use machinery::image::{DEFAULT_TAG, ImageStream, TagEvent, TagReference};
use machinery::meta::ObjectReference;
use oci::Reference;

use super::generation::is_reference_changed;
use super::history::{add_tag_event, follow_all, tracked};
use super::{Passage, Writer, reference};

/// What a tag may refer to, as errors say it.
const FORM: &str = "must be of the form <tag>, <repo>:<tag>, <id>, or <repo>@<id>";

/// Another stream that a passage will ask for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub stream: String,
    /// True when the namespace is another one, so that the requester's rights will be asked for too.
    pub foreign: bool,
}

/// The other streams that letting `new` pass will ask for, each once. `new` should have its defaults filled in, as an
/// import mode that is missing looks like a change.
pub fn sources(old: Option<&ImageStream>, new: &ImageStream, writer: Writer) -> Vec<Source> {
    if writer == Writer::Status {
        return Vec::new();
    }
    let mut sources = BTreeSet::new();
    for tag in changed_tags(old, new) {
        let Some(from) = &tag.from else { continue };
        let foreign = is_foreign(from, new);
        if from.kind == DOCKER_IMAGE && !foreign {
            continue;
        }
        let Ok(target) = target(from, new) else { continue };
        if !target.is_own(new) {
            let (namespace, stream) = (target.namespace.to_owned(), target.stream.to_owned());
            sources.insert(Source { namespace, stream, foreign });
        }
    }
    sources.into_iter().collect()
}

/// Spec tags that are new or refer to something else than before.
pub(super) fn changed_tags<'a>(
    old: Option<&'a ImageStream>,
    new: &'a ImageStream,
) -> impl Iterator<Item = &'a TagReference> {
    new.spec.tags.iter().filter(move |tag| {
        let held = old.and_then(|old| old.spec.tag(&tag.name));
        held.is_none_or(|held| is_reference_changed(held, tag, &new.metadata.namespace))
    })
}

pub(super) fn is_foreign(from: &ObjectReference, stream: &ImageStream) -> bool {
    !from.namespace.is_empty() && from.namespace != stream.metadata.namespace
}

/// What a tag's `from` names.
pub(super) struct Target<'a> {
    pub(super) namespace: &'a str,
    pub(super) stream: &'a str,
    id: &'a str,
}

impl Target<'_> {
    fn is_own(&self, stream: &ImageStream) -> bool {
        self.namespace == stream.metadata.namespace && self.stream == stream.metadata.name
    }
}

/// Splits `from` into stream and tag or id; the error is the text for the field `from.name`.
pub(super) fn target<'a>(
    from: &'a ObjectReference,
    stream: &'a ImageStream,
) -> Result<Target<'a>, &'static str> {
    let separator = match from.kind.as_str() {
        IMAGE_STREAM_TAG => ':',
        IMAGE_STREAM_IMAGE => '@',
        _ => return Err(FORM),
    };
    let namespace = if from.namespace.is_empty() { &stream.metadata.namespace } else { &from.namespace };
    let mut parts = from.name.split(separator);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(id), None, None) => Ok(Target { namespace, stream: &stream.metadata.name, id }),
        (Some(name), Some(id), None) => Ok(Target { namespace, stream: name, id }),
        _ => Err(FORM),
    }
}

/// Brings the status in line with what changed in the spec.
pub(super) fn propagate(
    old: Option<&ImageStream>,
    stream: &mut ImageStream,
    cx: &Passage<'_>,
) -> FieldErrors {
    let mut errors = Vec::new();
    for name in in_order(old, stream) {
        if let Err(error) = propagate_tag(&name, stream, cx) {
            errors.push(error);
        }
    }
    // A plain edit of a stream does not make tags follow: clients of the reference see them stay, and count on it that
    // an edit moves only the tags it names.
    if old.is_none() || cx.writer == Writer::Internal {
        follow_all(stream, &moved(old, stream));
    }
    errors
}

/// The changed tags, those first that others of them refer to.
fn in_order(old: Option<&ImageStream>, stream: &ImageStream) -> Vec<String> {
    fn visit<'a>(
        tag: &'a TagReference,
        stream: &'a ImageStream,
        waiting: &mut Vec<&'a TagReference>,
        out: &mut Vec<String>,
    ) {
        let Some(at) = waiting.iter().position(|other| other.name == tag.name) else { return };
        waiting.remove(at);
        if let Some(before) = tracked(stream, tag).and_then(|target| stream.spec.tag(target)) {
            visit(before, stream, waiting, out);
        }
        out.push(tag.name.clone());
    }
    let mut waiting: Vec<&TagReference> = changed_tags(old, stream).collect();
    let mut out = Vec::with_capacity(waiting.len());
    while let Some(&tag) = waiting.first() {
        visit(tag, stream, &mut waiting, &mut out);
    }
    out
}

fn moved(old: Option<&ImageStream>, stream: &ImageStream) -> Vec<String> {
    stream
        .status
        .tags
        .iter()
        .filter(|entry| {
            let before = old.and_then(|old| old.status.head(&entry.tag));
            entry.items.first().is_some_and(|head| Some(head) != before)
        })
        .map(|entry| entry.tag.clone())
        .collect()
}

fn propagate_tag(name: &str, stream: &mut ImageStream, cx: &Passage<'_>) -> Result<(), FieldError> {
    let generation = stream.metadata.generation;
    let Some(tag) = stream.spec.tag_mut(name) else { return Ok(()) };
    let Some(from) = tag.from.clone() else { return Ok(()) };
    let is_reference = tag.reference;
    if from.kind == DOCKER_IMAGE && !from.name.is_empty() {
        if is_reference {
            tag.generation = Some(generation);
            let event = TagEvent {
                created: cx.now,
                docker_image_reference: from.name,
                generation,
                ..Default::default()
            };
            add_tag_event(stream, name, event);
        }
        return Ok(());
    }
    let field = || format!("spec.tags[{name}].from.name");
    let target =
        target(&from, stream).map_err(|why| FieldError::invalid(field(), from.name.as_str(), why))?;
    let failed = |error| {
        FieldError::invalid(field(), from.name.as_str(), format!("error generating tag event: {error}"))
    };
    let (namespace, source_name) = (target.namespace.to_owned(), target.stream.to_owned());
    let event = if target.is_own(stream) {
        let id = target.id.to_owned();
        own_event(&from, &id, stream, generation, cx).map_err(failed)?
    } else {
        let source = cx
            .lookup
            .stream(target.namespace, target.stream)
            .ok_or_else(|| FieldError::not_found(field(), from.name.as_str()))?;
        event(&from, target.id, &source, cx).map_err(failed)?
    };
    let Some(mut event) = event else { return Ok(()) };
    event.generation = generation;
    if !is_reference {
        rehome(&mut event, &namespace, &source_name, stream, cx);
    }
    if let Some(tag) = stream.spec.tag_mut(name) {
        tag.generation = Some(generation);
    }
    add_tag_event(stream, name, event);
    Ok(())
}

/// The entry of the same stream that a tag refers to. A tag that another one is pointed at counts as touched: its
/// current entry gets the new generation too, as clients of the reference see it.
fn own_event(
    from: &ObjectReference,
    id: &str,
    stream: &mut ImageStream,
    generation: i64,
    cx: &Passage<'_>,
) -> Result<Option<TagEvent>, machinery::status::ApiError> {
    let found = event(from, id, stream, cx)?;
    if found.is_some() && from.kind == IMAGE_STREAM_TAG {
        let tag = if id.is_empty() { DEFAULT_TAG } else { id };
        if let Some(head) = stream.status.tag_or_insert(tag).items.first_mut() {
            head.generation = generation;
        }
    }
    Ok(found)
}

fn event(
    from: &ObjectReference,
    id: &str,
    source: &ImageStream,
    cx: &Passage<'_>,
) -> Result<Option<TagEvent>, machinery::status::ApiError> {
    if from.kind == IMAGE_STREAM_IMAGE {
        let found = reference::resolve_image(source, id)?;
        return Ok(Some(TagEvent { created: cx.now, ..found.clone() }));
    }
    Ok(source.status.head(if id.is_empty() { DEFAULT_TAG } else { id }).cloned())
}

/// Makes pulls of an image that is in the integrated registry go through the stream that now names it.
fn rehome(event: &mut TagEvent, namespace: &str, name: &str, stream: &ImageStream, cx: &Passage<'_>) {
    let internal = &cx.settings.internal_registry_hostname;
    if internal.is_empty() {
        return;
    }
    let Ok(reference) = Reference::parse(&event.docker_image_reference) else { return };
    if reference.registry == *internal && reference.namespace == namespace && reference.name == name {
        event.docker_image_reference = Reference {
            namespace: stream.metadata.namespace.clone(),
            name: stream.metadata.name.clone(),
            ..reference
        }
        .exact();
    }
}
