//! The rules of images: what is derived from a raw manifest, what a create or an update may set.
//!
//! An image is what one manifest is, so nearly everything about it is fixed once it is stored: updates that would
//! change more are silently put right. Deriving metadata never fails a write; its error is handed back to be logged.

mod derive;
mod rules;
mod signature;

pub use derive::{DeriveError, derive, describe, without_raw};
use machinery::field::FieldErrors;
use machinery::image::well_known::{MANAGED_SIGNATURE, MANIFEST_BLOB_STORED};
use machinery::image::{DockerImage, DockerMetadataError, Image, ImageManifest};
use machinery::time::Time;
use machinery::validate::object_meta_update;
use oci::manifest::AnyManifest;
use oci::{Digest, Manifest, media};
pub use rules::{check, check_signature};
pub use signature::{add_signature, parse_signature_name, prepare_signature, remove_signature};

/// Version of metadata documents that name none.
const METADATA_VERSION: &str = "1.0";

/// Brings the metadata document of decoded input into the one form that is stored and shown: every image has one, and
/// keys that are not modelled are gone.
///
/// # Errors
/// When the document is of another kind, version or shape.
pub fn normalize_metadata(image: &mut Image) -> Result<(), DockerMetadataError> {
    let version = image.docker_image_metadata_version.as_str();
    let metadata = DockerImage::decode(&image.docker_image_metadata, version)?;
    image.docker_image_metadata = metadata.encode(version);
    if image.docker_image_metadata_version.is_empty() {
        METADATA_VERSION.clone_into(&mut image.docker_image_metadata_version);
    }
    Ok(())
}

/// An image that is nothing yet, as views show one that they do not have.
pub fn empty() -> Image {
    Image {
        docker_image_metadata: DockerImage::default().encode(METADATA_VERSION),
        docker_image_metadata_version: METADATA_VERSION.to_owned(),
        ..Default::default()
    }
}

/// Prepares an image that is to be created. The error, if any, is to be logged.
pub fn prepare_create(image: &mut Image, now: Time) -> Option<DeriveError> {
    let derived = derive(image, now);
    let listed = list_children(image);
    finish(image);
    derived.and(listed).err()
}

/// Prepares an update: what is fixed is put back to what is stored. The error, if any, is to be logged.
pub fn prepare_update(new: &mut Image, old: &Image, now: Time) -> Option<DeriveError> {
    new.docker_image_metadata.clone_from(&old.docker_image_metadata);
    new.docker_image_metadata_version.clone_from(&old.docker_image_metadata_version);
    new.docker_image_layers.clone_from(&old.docker_image_layers);
    if !old.docker_image_signatures.is_empty() {
        new.docker_image_signatures.clone_from(&old.docker_image_signatures);
    }
    let manifest = &new.docker_image_manifest;
    if *manifest != old.docker_image_manifest && !manifest.is_empty() && !is_own_manifest(old, manifest) {
        new.docker_image_manifest.clone_from(&old.docker_image_manifest);
    }
    let config = &new.docker_image_config;
    if *config != old.docker_image_config && !config.is_empty() && !is_own_config(new, config) {
        new.docker_image_config.clone_from(&old.docker_image_config);
    }
    let derived = derive(new, now);
    finish(new);
    derived.err()
}

/// Everything that is wrong with an image that is created.
pub fn validate(image: &Image) -> FieldErrors {
    check(image, "")
}

/// Everything that is wrong with an update, after [`prepare_update`].
pub fn validate_update(new: &Image, old: &Image) -> FieldErrors {
    let mut errors = object_meta_update(&new.metadata, &old.metadata);
    errors.extend(errors.clone());
    errors.extend(check(new, ""));
    errors
}

/// Whether a manifest is the one that the image is named after.
fn is_own_manifest(image: &Image, manifest: &str) -> bool {
    let Ok(name) = Digest::parse(&image.metadata.name) else { return false };
    match image.docker_image_manifest_media_type.as_str() {
        media::OCI_MANIFEST | media::DOCKER_SCHEMA2 => name.matches(manifest.as_bytes()),
        "" | media::DOCKER_SCHEMA1 | media::DOCKER_SCHEMA1_SIGNED => {
            Manifest::parse(media::DOCKER_SCHEMA1_SIGNED, manifest.as_bytes().to_vec().into())
                .is_ok_and(|manifest| manifest.has_digest(&name))
        }
        _ => false,
    }
}

/// Whether a configuration is the one that the image's manifest names.
fn is_own_config(image: &Image, config: &str) -> bool {
    matches!(image.docker_image_manifest_media_type.as_str(), media::OCI_MANIFEST | media::DOCKER_SCHEMA2)
        && AnyManifest::parse(image.docker_image_manifest.as_bytes())
            .ok()
            .and_then(|manifest| Digest::parse(&manifest.config.digest).ok())
            .is_some_and(|digest| digest.matches(config.as_bytes()))
}

/// A list's children are known from its manifest alone.
fn list_children(image: &mut Image) -> Result<(), DeriveError> {
    let media_type = image.docker_image_manifest_media_type.as_str();
    if image.docker_image_manifest.is_empty() || !media::is_index(media_type) {
        return Ok(());
    }
    let raw = image.docker_image_manifest.clone().into_bytes();
    let manifest = Manifest::parse(media_type, raw.into())?;
    image.docker_image_manifests = children(&manifest);
    Ok(())
}

/// The children of a list or index, as image objects name them; empty for other manifests.
pub fn children(manifest: &Manifest) -> Vec<ImageManifest> {
    let descriptors = manifest.children().unwrap_or_default();
    descriptors
        .iter()
        .map(|child| {
            let platform = child.platform.clone().unwrap_or_default();
            ImageManifest {
                digest: child.digest.to_string(),
                media_type: child.media_type.clone(),
                manifest_size: i64::try_from(child.size).unwrap_or(i64::MAX),
                architecture: platform.architecture,
                os: platform.os,
                variant: platform.variant,
            }
        })
        .collect()
}

fn finish(image: &mut Image) {
    if image.metadata.annotations.get(MANIFEST_BLOB_STORED).is_some_and(|value| value == "true") {
        image.docker_image_manifest.clear();
        image.docker_image_config.clear();
    }
    for signature in &mut image.signatures {
        signature.metadata.annotations.remove(MANAGED_SIGNATURE);
    }
}

#[cfg(test)]
mod tests;
