//! `ImageStreamMapping`: a push. The image is stored, the tag gets a new entry, and the tags that follow it move along.

use machinery::image::well_known::MANAGED;
use machinery::image::{GROUP, ImageStream, ImageStreamMapping, TagEvent};
use machinery::status::{ApiError, GroupResource};
use machinery::time::Time;
use oci::{Digest, Reference};

use crate::stream::{StreamSettings, add_tag_event, follow};
use crate::validate;

/// Prepares and checks a mapping; namespace must be set.
///
/// # Errors
/// 422.
pub fn check(mapping: &mut ImageStreamMapping, settings: &StreamSettings) -> Result<(), ApiError> {
    if mapping.image.docker_image_reference.is_empty() && !settings.internal_registry_hostname.is_empty() {
        let image = mapping.image.metadata.name.clone();
        let repository = Reference {
            registry: settings.internal_registry_hostname.clone(),
            namespace: mapping.metadata.namespace.clone(),
            name: mapping.metadata.name.clone(),
            id: image,
            ..Default::default()
        };
        mapping.image.docker_image_reference = repository.exact();
    }
    mapping.image.signatures.clear();
    let errors = validate::mapping(mapping);
    if errors.is_empty() {
        return Ok(());
    }
    let kind = GroupResource::new(GROUP, "ImageStreamMapping");
    Err(ApiError::invalid(kind, &mapping.metadata.name, &errors))
}

/// The entry that the pushed tag gets. `existed` says that the image was stored before: one that is in the integrated
/// registry is then named by this stream's repository, as the stored one keeps the name of the first.
pub fn event(mapping: &ImageStreamMapping, stream: &ImageStream, existed: bool, now: Time) -> TagEvent {
    let image = mapping.image.metadata.name.as_str();
    let submitted = || mapping.image.docker_image_reference.clone();
    let is_managed = mapping.image.metadata.annotations.get(MANAGED).is_some_and(|value| value == "true");
    let repository = [&stream.status.docker_image_repository, &stream.spec.docker_image_repository]
        .into_iter()
        .find(|repository| !repository.is_empty());
    let reference = match repository.map(|repository| Reference::parse(repository)) {
        Some(Ok(reference)) if existed && is_managed => match Digest::parse(image) {
            Ok(_) => Reference { tag: String::new(), id: image.to_owned(), ..reference }.exact(),
            Err(_) => submitted(),
        },
        _ => submitted(),
    };
    TagEvent {
        created: now,
        docker_image_reference: reference,
        image: image.to_owned(),
        generation: stream.metadata.generation,
    }
}

/// The stream after a push, to be stored with [`crate::stream::Writer::Status`]; `None` when it says all of it already.
pub fn apply(stream: &ImageStream, tag: &str, event: TagEvent) -> Option<ImageStream> {
    let mut stream = stream.clone();
    if !add_tag_event(&mut stream, tag, event).is_change() {
        return None;
    }
    follow(&mut stream, tag);
    Some(stream)
}

/// Whether a push that met another write may try again: not when that write moved the same tag elsewhere.
pub fn may_retry(before: &ImageStream, now: &ImageStream, tag: &str) -> bool {
    match (before.status.head(tag), now.status.head(tag)) {
        (Some(before), Some(now)) => {
            before.image == now.image && before.docker_image_reference == now.docker_image_reference
        }
        _ => true,
    }
}
