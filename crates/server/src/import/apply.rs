//! What an import's results do to its stream: a pure function from (stream, results, time) to a new stream.
//!
//! The rules are those that clients and the import controller count on. A failure leaves the history alone and is told
//! by a condition whose generation equals the spec tag's, so nobody tries again by himself; the same failure once more
//! changes nothing at all. A success that changes nothing leaves everything but the import policy as it was. Spec tags
//! that were tried get generation 0, which the write turns into the stream's next generation.

use machinery::image::{
    Image, ImageImportSpec, ImageImportStatus, ImageStream, ImageStreamImportSpec, ImageStreamImportStatus,
    RepositoryImportSpec, TagEvent, TagEventCondition, TagImportPolicy, TagReference, TagReferencePolicy,
    well_known,
};
use machinery::meta::{ObjectMeta, ObjectReference, Status};
use machinery::time::Time;
use oci::Reference;

use super::failure as reasons;
use crate::stream::add_tag_event;

/// What there is to write.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The stream after the import.
    pub stream: ImageStream,
    /// False when the stored stream already says all this, so that nothing needs to be written.
    pub changed: bool,
    /// Images that must exist before the stream names them: children first, each once, without raw documents.
    pub images: Vec<Image>,
}

/// The stream a request works on: the stored one, or a new one of that name.
pub fn subject(stream: Option<&ImageStream>, namespace: &str, name: &str) -> ImageStream {
    stream.cloned().unwrap_or_else(|| ImageStream {
        metadata: ObjectMeta { name: name.to_owned(), namespace: namespace.to_owned(), ..Default::default() },
        ..Default::default()
    })
}

/// Puts the results of an import into its stream.
pub fn apply(
    base: &ImageStream,
    exists: bool,
    spec: &ImageStreamImportSpec,
    status: &ImageStreamImportStatus,
    now: Time,
) -> Applied {
    let mut work =
        Work { stream: base.clone(), images: Vec::new(), generation: base.metadata.generation + 1, now };
    if let (Some(spec), Some(status)) = (&spec.repository, &status.repository) {
        for entry in &status.images {
            work.repository_entry(spec, entry);
        }
    }
    for (spec, status) in spec.images.iter().zip(&status.images) {
        work.image_entry(spec, status);
    }
    let mut stream = work.stream;
    let checked_before = base.metadata.annotations.contains_key(well_known::REPOSITORY_CHECK);
    let changed = !exists || !checked_before || stream != *base;
    if changed {
        stream.metadata.annotations.insert(well_known::REPOSITORY_CHECK.to_owned(), now.to_string());
    }
    Applied { stream, changed, images: work.images }
}

/// Adds what was found beside images. It becomes history alone: a tag of the spec with such a name is its owner's word.
pub fn attach(mut applied: Applied, found: &[ImageImportStatus], now: Time) -> Applied {
    let generation = applied.stream.metadata.generation;
    let mut work = Work { stream: applied.stream, images: applied.images, generation, now };
    for entry in found {
        applied.changed |= work.beside(entry);
    }
    Applied { stream: work.stream, images: work.images, ..applied }
}

/// What to write when a limit forbids the import: the stream as it was, with a condition on every tag that would have
/// been new. `None` when there is none.
pub fn refused(base: &ImageStream, wanted: &ImageStream, error: &Status, now: Time) -> Option<ImageStream> {
    let mut stream = base.clone();
    let generation = base.metadata.generation + 1;
    let new = wanted.status.tags.iter().filter(|tag| base.status.tag(&tag.tag).is_none());
    let condition = failure(error, generation, now);
    for tag in new {
        stream.status.tag_or_insert(&tag.tag).conditions = vec![condition.clone()];
    }
    (stream != *base).then_some(stream)
}

/// True for an entry that brought an image.
pub fn is_success(entry: &ImageImportStatus) -> bool {
    entry.status.status == "Success" && entry.image.is_some()
}

struct Work {
    stream: ImageStream,
    images: Vec<Image>,
    generation: i64,
    now: Time,
}

/// Where a tag's image comes from and under which policies.
struct Origin<'a> {
    from: ObjectReference,
    import_policy: &'a TagImportPolicy,
    reference_policy: &'a TagReferencePolicy,
}

impl Work {
    fn repository_entry(&mut self, spec: &RepositoryImportSpec, entry: &ImageImportStatus) {
        if !is_success(entry) {
            self.fail(&entry.tag, &entry.status);
            return;
        }
        let from = ObjectReference {
            kind: well_known::DOCKER_IMAGE.to_owned(),
            name: format!("{}:{}", spec.from.name, entry.tag),
            ..Default::default()
        };
        let origin =
            Origin { from, import_policy: &spec.import_policy, reference_policy: &spec.reference_policy };
        self.succeed(&entry.tag, origin, entry);
    }

    fn image_entry(&mut self, spec: &ImageImportSpec, entry: &ImageImportStatus) {
        let Some(to) = &spec.to else { return };
        let from = ObjectReference {
            kind: well_known::DOCKER_IMAGE.to_owned(),
            name: spec.from.name.clone(),
            ..Default::default()
        };
        let origin =
            Origin { from, import_policy: &spec.import_policy, reference_policy: &spec.reference_policy };
        if is_success(entry) {
            self.succeed(&to.name, origin, entry);
            return;
        }
        self.fail(&to.name, &entry.status);
        if self.stream.spec.tag(&to.name).is_none() {
            self.stream.spec.set_tag(origin.tag(&to.name));
        }
    }

    /// Records a failure, unless the very same one is recorded already. That nobody was asked says nothing about a tag of
    /// which something is known: how long a registry wants to be left alone is another number every time.
    fn fail(&mut self, tag: &str, status: &Status) {
        if reasons::is_put_off(status) && self.is_tried(tag) {
            return;
        }
        let next = failure(status, self.generation, self.now);
        let list = self.stream.status.tag_or_insert(tag);
        let same = |held: &TagEventCondition| {
            (&held.r#type, &held.status, &held.reason, &held.message)
                == (&next.r#type, &next.status, &next.reason, &next.message)
        };
        if list.conditions.iter().any(same) {
            return;
        }
        list.conditions = vec![next];
        if let Some(tag) = self.stream.spec.tag_mut(tag) {
            tag.generation = Some(0);
        }
    }

    fn succeed(&mut self, tag: &str, origin: Origin<'_>, entry: &ImageImportStatus) {
        let image = entry.image.as_ref().expect("only entries with an image succeed");
        let event = TagEvent {
            created: self.now,
            docker_image_reference: most_specific(&image.docker_image_reference),
            image: image.metadata.name.clone(),
            generation: self.generation,
        };
        let changed = self.is_change(tag, &event);
        match self.stream.spec.tag_mut(tag) {
            None => {
                self.stream.spec.set_tag(origin.tag(tag));
            }
            Some(held) => {
                held.import_policy = origin.import_policy.clone();
                if changed {
                    held.from = Some(origin.from);
                    held.generation = Some(0);
                    if held.reference_policy.r#type.is_empty() {
                        held.reference_policy = origin.reference_policy.clone();
                    }
                }
            }
        }
        if changed {
            add_tag_event(&mut self.stream, tag, event);
        }
        self.stream.status.tag_or_insert(tag).conditions.clear();
        for image in entry.manifests.iter().chain([image]) {
            self.keep(image);
        }
    }

    /// Whether an import of a tag's present spec has ended before, well or badly.
    fn is_tried(&self, tag: &str) -> bool {
        let Some(held) = self.stream.status.tag(tag) else { return false };
        let tried = held.conditions.iter().find(|condition| condition.r#type == well_known::IMPORT_SUCCESS);
        let head = held.items.first().map_or(0, |head| head.generation);
        let newest = head.max(tried.map_or(0, |condition| condition.generation));
        let wanted = self.stream.spec.tag(tag).and_then(|tag| tag.generation).unwrap_or_default();
        newest >= wanted
    }

    /// True when it is new.
    fn beside(&mut self, entry: &ImageImportStatus) -> bool {
        let Some(image) = entry.image.as_ref().filter(|_| is_success(entry)) else { return false };
        let head = self.stream.status.head(&entry.tag);
        let is_known = head.is_some_and(|head| head.image == image.metadata.name);
        if is_known || self.stream.spec.tag(&entry.tag).is_some() {
            return false;
        }
        let event = TagEvent {
            created: self.now,
            docker_image_reference: most_specific(&image.docker_image_reference),
            image: image.metadata.name.clone(),
            generation: self.generation,
        };
        add_tag_event(&mut self.stream, &entry.tag, event);
        for image in &entry.manifests {
            self.keep(image);
        }
        self.keep_as_it_is(image.clone());
        true
    }

    /// Whether an event says anything that the tag does not say already. A spec that is ahead of its history counts, so
    /// that the history catches up and nobody imports for ever.
    fn is_change(&self, tag: &str, event: &TagEvent) -> bool {
        let Some(head) = self.stream.status.head(tag) else { return true };
        let generation = self.stream.spec.tag(tag).and_then(|tag| tag.generation);
        head.docker_image_reference != event.docker_image_reference
            || head.image != event.image
            || generation.is_none_or(|generation| generation > head.generation)
    }

    /// Lists an image for storing, as it is stored: the raw documents stay with the registry they came from.
    fn keep(&mut self, image: &Image) {
        let mut image = image.clone();
        image.signatures.clear();
        image.docker_image_manifest.clear();
        image.docker_image_config.clear();
        self.keep_as_it_is(image);
    }

    fn keep_as_it_is(&mut self, image: Image) {
        if !self.images.iter().any(|held| held.metadata.name == image.metadata.name) {
            self.images.push(image);
        }
    }
}

impl Origin<'_> {
    fn tag(self, name: &str) -> TagReference {
        TagReference {
            name: name.to_owned(),
            from: Some(self.from),
            generation: Some(0),
            import_policy: self.import_policy.clone(),
            reference_policy: self.reference_policy.clone(),
            ..Default::default()
        }
    }
}

fn failure(status: &Status, generation: i64, now: Time) -> TagEventCondition {
    let message = if status.message.is_empty() { "unknown error prevented import" } else { &status.message };
    TagEventCondition {
        r#type: well_known::IMPORT_SUCCESS.to_owned(),
        status: "False".to_owned(),
        last_transition_time: now,
        reason: status.reason.clone(),
        message: message.to_owned(),
        generation,
    }
}

fn most_specific(reference: &str) -> String {
    Reference::parse(reference).map_or_else(|_| reference.to_owned(), |parsed| parsed.most_specific().exact())
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
