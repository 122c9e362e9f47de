//! The image object of a manifest that was pushed.

use ::registry::{Push, Repository};
use machinery::field::FieldErrors;
use machinery::image::well_known::{LAYERS_ASCENDING, LAYERS_ORDER, MANAGED, MANIFEST_BLOB_STORED};
use machinery::image::{Image, ImageLayer};
use machinery::time::Time;
use oci::Reference;

use crate::image;

/// What a platform is called that nobody named; tools that build lists write the same.
const UNKNOWN: &str = "unknown";

/// Makes the image of a push, ready to be stored: described from manifest and configuration, without their texts, which
/// the registry keeps.
///
/// # Errors
/// What is wrong with it.
pub(super) fn describe(push: &Push<'_>, host: &str, now: Time) -> Result<Image, FieldErrors> {
    let manifest = push.manifest;
    let mut new = image::empty();
    push.digest.as_str().clone_into(&mut new.metadata.name);
    let mut annotate = |key: &str, value: &str| {
        new.metadata.annotations.insert(key.to_owned(), value.to_owned());
    };
    annotate(MANAGED, "true");
    annotate(MANIFEST_BLOB_STORED, "true");
    annotate(LAYERS_ORDER, if manifest.children().is_some() { "" } else { LAYERS_ASCENDING });
    new.docker_image_reference = reference(push.repository, push.digest.as_str(), host);
    manifest.media_type().clone_into(&mut new.docker_image_manifest_media_type);
    if let Some(parts) = manifest.image() {
        new.docker_image_layers = parts
            .layers
            .iter()
            .map(|layer| ImageLayer {
                name: layer.digest.to_string(),
                size: i64::try_from(layer.size).unwrap_or(i64::MAX),
                media_type: layer.media_type.clone(),
            })
            .collect();
    }
    // Both are JSON and therefore text; what is not is described by nothing but its name.
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap_or_default();
    new.docker_image_manifest = text(manifest.raw());
    new.docker_image_config = push.config.map(|config| text(config)).unwrap_or_default();
    if let Some(why) = image::prepare_create(&mut new, now) {
        tracing::debug!(image = new.metadata.name, %why, "stored without metadata");
    }
    for child in &mut new.docker_image_manifests {
        for part in [&mut child.architecture, &mut child.os] {
            if part.is_empty() {
                UNKNOWN.clone_into(part);
            }
        }
    }
    let errors = image::validate(&new);
    if errors.is_empty() { Ok(new) } else { Err(errors) }
}

/// `<host>/<project>/<name>@<digest>`
pub(super) fn reference(repository: &Repository, digest: &str, host: &str) -> String {
    Reference {
        registry: host.to_owned(),
        namespace: repository.project().to_owned(),
        name: repository.name().to_owned(),
        id: digest.to_owned(),
        ..Default::default()
    }
    .exact()
}
