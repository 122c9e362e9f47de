//! From what a registry sends to an `Image` object.
//!
//! The object is complete but for its reference, which depends on how the repository was spelled, and carries the raw
//! documents, which are dropped before anything is stored. What is derived from them is [`crate::image`]'s business.

use std::collections::HashSet;

use machinery::image::{DockerImage, Image};
use machinery::meta::ObjectMeta;
use machinery::time::Time;
use oci::manifest::View;
use oci::{Digest, Manifest, media};

use crate::image;

/// The architecture taken from lists when none is preferred: the server's own, in Go's words.
pub const ARCHITECTURE: &str = go_architecture();
/// The operating system taken from lists when none is preferred.
pub const OS: &str = std::env::consts::OS;

const METADATA_VERSION: &str = "1.0";

const fn go_architecture() -> &'static str {
    if cfg!(target_arch = "x86_64") {
        "amd64"
    } else if cfg!(target_arch = "aarch64") {
        "arm64"
    } else if cfg!(target_arch = "x86") {
        "386"
    } else if cfg!(all(target_arch = "powerpc64", target_endian = "little")) {
        "ppc64le"
    } else {
        std::env::consts::ARCH
    }
}

/// The image of a single manifest; `config` is its configuration, which schema 1 has none of.
///
/// # Errors
/// Why it cannot be imported, in words for its status.
pub fn single(manifest: &Manifest, config: Option<&[u8]>) -> Result<Image, String> {
    match (manifest.view(), config) {
        (View::Schema1(old), _) if old.history.is_empty() => {
            return Err("image has no v1Compatibility history and cannot be used".to_owned());
        }
        (View::Schema1(_), _) | (View::Schema2(_) | View::Oci(_), Some(_)) => {}
        _ => return Err(format!("unsupported image manifest type: {}", manifest.kind_name())),
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut image = Image {
        metadata: ObjectMeta { name: manifest.digest().to_string(), ..Default::default() },
        docker_image_metadata_version: METADATA_VERSION.to_owned(),
        docker_image_manifest: text(manifest.payload()),
        docker_image_manifest_media_type: manifest.media_type().to_owned(),
        docker_image_config: config.map(text).unwrap_or_default(),
        ..Default::default()
    };
    // Single manifests have their time in their configuration, so none is needed here.
    image::derive(&mut image, Time::ZERO).map_err(|error| error.to_string())?;
    Ok(image)
}

/// The image of a list that is taken whole; its raw form is not kept.
pub fn list(manifest: &Manifest, now: Time) -> Image {
    let id = manifest.digest().to_string();
    let metadata = DockerImage { id: id.clone(), created: now, ..Default::default() };
    Image {
        metadata: ObjectMeta { name: id, ..Default::default() },
        docker_image_metadata: metadata.encode(METADATA_VERSION),
        docker_image_metadata_version: METADATA_VERSION.to_owned(),
        docker_image_manifest_media_type: manifest.media_type().to_owned(),
        docker_image_manifests: image::children(manifest),
        ..Default::default()
    }
}

/// True for an old image none of whose layers has a size.
pub fn lacks_sizes(image: &Image) -> bool {
    image.docker_image_manifest_media_type == media::DOCKER_SCHEMA1
        && !image.docker_image_layers.is_empty()
        && image.docker_image_layers.iter().all(|layer| layer.size == 0)
}

/// The layers' digests, each once.
pub fn distinct_layers(image: &Image) -> Vec<Digest> {
    let mut digests: Vec<Digest> =
        image.docker_image_layers.iter().filter_map(|layer| Digest::parse(&layer.name).ok()).collect();
    digests.sort();
    digests.dedup();
    digests
}

/// The same image with the sizes of its layers.
///
/// # Errors
/// When its metadata cannot be read.
pub fn with_sizes(image: &Image, sizes: &[(Digest, u64)]) -> Result<Image, String> {
    let mut image = image.clone();
    let mut metadata = DockerImage::decode(&image.docker_image_metadata, METADATA_VERSION)
        .map_err(|error| error.to_string())?;
    let signed = |size: u64| i64::try_from(size).unwrap_or(i64::MAX);
    for layer in &mut image.docker_image_layers {
        let known = sizes.iter().find(|(digest, _)| digest.as_str() == layer.name);
        layer.size = known.map_or(0, |(_, size)| signed(*size));
    }
    let mut seen = HashSet::new();
    let distinct = image.docker_image_layers.iter().filter(|layer| seen.insert(layer.name.as_str()));
    metadata.size = distinct.map(|layer| layer.size).fold(0, i64::saturating_add);
    image.docker_image_metadata = metadata.encode(METADATA_VERSION);
    Ok(image)
}
