//! Pull specs of a stream: its own repository, the spec that consumers of a tag see, and images found by their id.

use std::collections::BTreeMap;

use machinery::image::well_known::{INSECURE_REPOSITORY, LOCAL};
use machinery::image::{GROUP, ImageStream, TagEvent};
use machinery::meta::ObjectMeta;
use machinery::status::{ApiError, GroupResource};
use oci::{Digest, Reference};

use super::StreamSettings;

/// Sets the stream's repositories from the settings, as every read and every write shows them.
pub fn decorate(stream: &mut ImageStream, settings: &StreamSettings) {
    let public = if settings.external_registry_hostname.is_empty() {
        String::new()
    } else {
        at_host(stream, &settings.external_registry_hostname)
    };
    stream.status.docker_image_repository = repository(stream, settings);
    stream.status.public_docker_image_repository = public;
}

/// Where the stream's images are pulled from: this server's registry, or the one that the spec names.
pub fn repository(stream: &ImageStream, settings: &StreamSettings) -> String {
    if settings.internal_registry_hostname.is_empty() {
        let plain = &stream.spec.docker_image_repository;
        return without_tag(plain).unwrap_or_else(|| plain.clone());
    }
    at_host(stream, &settings.internal_registry_hostname)
}

fn at_host(stream: &ImageStream, host: &str) -> String {
    format!("{host}/{}/{}", stream.metadata.namespace, stream.metadata.name)
}

/// A repository without tag and digest; `None` when it has none (or is no reference at all).
pub(super) fn without_tag(repository: &str) -> Option<String> {
    let reference = Reference::parse(repository).ok()?;
    (!reference.tag.is_empty() || !reference.id.is_empty()).then(|| reference.as_repository().exact())
}

/// Whether an object's annotations allow unverified transport.
pub fn is_insecure(metadata: &ObjectMeta) -> bool {
    metadata.annotations.get(INSECURE_REPOSITORY).is_some_and(|value| value == "true")
}

/// The pull spec that consumers of a tag see for one of its entries: with policy `Local`, one of the integrated
/// registry.
pub fn resolve_reference(stream: &ImageStream, tag: &str, event: &TagEvent) -> String {
    let local = stream.spec.tag(tag).is_some_and(|tag| tag.reference_policy.r#type == LOCAL);
    let repository = &stream.status.docker_image_repository;
    match Reference::parse(repository) {
        Ok(reference) if local && !event.image.is_empty() => {
            Reference { tag: String::new(), id: event.image.clone(), ..reference }.exact()
        }
        _ => event.docker_image_reference.clone(),
    }
}

/// Whether an image is meant by an id: the start of its name, or of the hexadecimal part when the name is a digest.
pub fn matches_image(image: &str, id: &str) -> bool {
    image.starts_with(id) || Digest::parse(image).is_ok_and(|digest| digest.hex().starts_with(id))
}

/// The one image of a stream's history that an id means, with the pull spec of its newest entry.
///
/// # Errors
/// 404 when there is none, 409 when there are several.
pub fn resolve_image<'a>(stream: &'a ImageStream, id: &str) -> Result<&'a TagEvent, ApiError> {
    const OF: GroupResource<'static> = GroupResource::new(GROUP, "imagestreamimage");
    let mut found: BTreeMap<&str, &TagEvent> = BTreeMap::new();
    for event in stream.status.tags.iter().flat_map(|entry| &entry.items) {
        if !event.image.is_empty() && matches_image(&event.image, id) {
            found.entry(&event.image).or_insert(event);
        }
    }
    let names: Vec<&str> = found.keys().copied().collect();
    match (names.as_slice(), found.pop_first()) {
        ([_], Some((_, event))) => Ok(event),
        ([], _) => Err(ApiError::not_found(OF, id)),
        _ => {
            let why = format!(
                "multiple images match the prefix {}: {}",
                machinery::field::quote(id),
                names.join(", ")
            );
            Err(ApiError::conflict(OF, id, &why))
        }
    }
}
