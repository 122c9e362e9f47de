//! What of a request counts, and the generations that result.
//!
//! A stream's generation counts changes of its spec; a spec tag carries the generation of the stream at which it last
//! changed in a way that asks for a new import. Users can write one generation only: 0, which asks for an import.

use machinery::image::{ImageStream, ImageStreamStatus, TagEvent, TagReference};

use super::{Passage, Writer, reference};

pub(super) fn prepare_create(new: &mut ImageStream, cx: &Passage<'_>) {
    if cx.writer == Writer::Main {
        new.status = ImageStreamStatus::default();
    }
    reference::decorate(new, cx.settings);
    new.metadata.generation = 1;
    for tag in &mut new.spec.tags {
        tag.generation = Some(1);
    }
}

pub(super) fn prepare_update(old: &ImageStream, new: &mut ImageStream, cx: &Passage<'_>) {
    if cx.writer == Writer::Main {
        new.status = old.status.clone();
    }
    new.status.tags.retain(|entry| !entry.items.is_empty() || !entry.conditions.is_empty());
    new.metadata.generation = old.metadata.generation;
    reference::decorate(new, cx.settings);

    for tag in new.spec.tags.iter_mut().filter(|tag| tag.generation != Some(0)) {
        if let Some(held) = old.spec.tag(&tag.name) {
            tag.generation = held.generation;
        }
    }
    if new.spec != old.spec || new.metadata.generation == 0 {
        new.metadata.generation = old.metadata.generation + 1;
    }
    let (namespace, generation) = (new.metadata.namespace.as_str(), new.metadata.generation);
    for tag in &mut new.spec.tags {
        let changed = old.spec.tag(&tag.name).is_none_or(|held| is_reference_changed(held, tag, namespace));
        if changed || tag.generation.unwrap_or(0) == 0 {
            tag.generation = Some(generation);
        }
    }
}

/// A status write keeps what the spec says of tags, and gives entries without a generation one.
pub(super) fn prepare_status(old: &ImageStream, new: &mut ImageStream) {
    new.spec.tags.clone_from(&old.spec.tags);
    new.spec.docker_image_repository.clone_from(&old.spec.docker_image_repository);
    new.metadata.generation = old.metadata.generation;
    if let Some(bare) = reference::without_tag(&new.status.docker_image_repository) {
        new.status.docker_image_repository = bare;
    }
    let stream_generation = new.metadata.generation;
    for entry in &mut new.status.tags {
        let Some(head) = entry.items.first_mut().filter(|head| head.generation == 0) else { continue };
        let spec_generation =
            new.spec.tags.iter().find(|tag| tag.name == entry.tag).and_then(|tag| tag.generation);
        head.generation = match (old.status.head(&entry.tag), spec_generation) {
            (Some(held), Some(generation)) if is_event_changed(held, head) => generation,
            _ => stream_generation,
        };
    }
}

fn is_event_changed(old: &TagEvent, new: &TagEvent) -> bool {
    old.image != new.image
        || old.docker_image_reference != new.docker_image_reference
        || old.generation > new.generation
}

/// Whether a tag refers to something else than before, so that it must be resolved again. Kind, reference policy,
/// annotations, `insecure` and `scheduled` do not count.
pub(super) fn is_reference_changed(old: &TagReference, new: &TagReference, namespace: &str) -> bool {
    let Some(from) = new.from.as_ref().filter(|from| !from.kind.is_empty() || !from.name.is_empty()) else {
        return false;
    };
    let (old_namespace, old_name) =
        old.from.as_ref().map_or(("", ""), |from| (from.namespace.as_str(), from.name.as_str()));
    let or_own = |other: &str| if other.is_empty() { namespace.to_owned() } else { other.to_owned() };
    or_own(old_namespace) != or_own(&from.namespace)
        || old_name != from.name
        || old.reference != new.reference
        || old.import_policy.import_mode != new.import_policy.import_mode
        || matches!((old.generation, new.generation), (Some(held), Some(0)) if held != 0)
}
