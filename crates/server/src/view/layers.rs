//! `imagestreams/layers`: every blob and every image that a stream has ever held.
//!
//! The integrated registry decides by it whether a blob may be pulled through a stream, so it covers the whole history,
//! the children of lists, configurations and manifests. Images that are gone are named as missing.

use std::collections::BTreeMap;
use std::sync::Arc;

use machinery::field::{FieldError, FieldErrors};
use machinery::image::{
    DockerImage, Image, ImageBlobReferences, ImageLayer, ImageLayerData, ImageStream, ImageStreamLayers,
};
use machinery::status::{ApiError, GroupResource};
use oci::media;

/// What an image consists of; small enough to be kept for every image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageParts {
    /// Media type of the manifest.
    pub media_type: String,
    /// The layers, oldest first.
    pub layers: Vec<ImageLayer>,
    /// Digest of the configuration, for the kinds of image that have one.
    pub config: Option<String>,
    /// Digests of the children of a list.
    pub manifests: Vec<String>,
}

impl ImageParts {
    /// The parts of an image.
    pub fn of(image: &Image) -> ImageParts {
        let media_type = image.docker_image_manifest_media_type.clone();
        let has_config = matches!(media_type.as_str(), media::DOCKER_SCHEMA2 | media::OCI_MANIFEST);
        let config = has_config.then(|| {
            let version = image.docker_image_metadata_version.as_str();
            DockerImage::decode(&image.docker_image_metadata, version)
                .map(|metadata| metadata.id)
                .unwrap_or_default()
        });
        ImageParts {
            media_type,
            layers: image.docker_image_layers.clone(),
            config,
            manifests: image.docker_image_manifests.iter().map(|child| child.digest.clone()).collect(),
        }
    }
}

/// Builds the view; `parts` finds images by name.
///
/// # Errors
/// 422 when an image's parts contradict each other.
pub fn build(
    stream: &ImageStream,
    parts: &dyn Fn(&str) -> Option<Arc<ImageParts>>,
) -> Result<ImageStreamLayers, ApiError> {
    let mut layers = ImageStreamLayers { metadata: stream.metadata.clone(), ..Default::default() };
    let mut waiting: Vec<Arc<str>> = Vec::new();
    for event in stream.status.tags.iter().flat_map(|entry| &entry.items) {
        if event.image.is_empty() || layers.images.contains_key(&event.image) {
            continue;
        }
        waiting.push(event.image.as_str().into());
        while let Some(image) = waiting.pop() {
            if !layers.images.contains_key(&*image) {
                let found = parts(&image);
                waiting.extend(
                    found.iter().flat_map(|parts| &parts.manifests).map(|child| child.as_str().into()),
                );
                add(&mut layers, &image, found.as_deref());
            }
        }
    }
    let errors = check(&layers);
    if errors.is_empty() {
        return Ok(layers);
    }
    Err(ApiError::invalid(GroupResource::new(machinery::image::GROUP, ""), "", &errors))
}

fn add(layers: &mut ImageStreamLayers, image: &str, parts: Option<&ImageParts>) {
    let Some(parts) = parts else {
        let missing = ImageBlobReferences { image_missing: true, ..Default::default() };
        layers.images.insert(image.to_owned(), missing);
        return;
    };
    let blob =
        |blobs: &mut BTreeMap<String, ImageLayerData>, name: &str, size: Option<i64>, media_type: &str| {
            if !blobs.contains_key(name) {
                blobs.insert(name.to_owned(), ImageLayerData { size, media_type: media_type.to_owned() });
            }
        };
    for layer in &parts.layers {
        blob(&mut layers.blobs, &layer.name, Some(layer.size), &layer.media_type);
    }
    if let Some(config) = &parts.config {
        let media_type =
            if parts.media_type == media::OCI_MANIFEST { media::OCI_CONFIG } else { media::DOCKER_CONFIG };
        blob(&mut layers.blobs, config, None, media_type);
    }
    let media_type = if parts.media_type.is_empty() { media::DOCKER_SCHEMA2 } else { &parts.media_type };
    blob(&mut layers.blobs, image, None, media_type);
    layers.images.insert(
        image.to_owned(),
        ImageBlobReferences {
            image_missing: false,
            layers: parts.layers.iter().map(|layer| layer.name.clone()).collect(),
            config: parts.config.clone(),
            manifests: parts.manifests.clone(),
        },
    );
}

/// What contradicts itself in the view.
fn check(layers: &ImageStreamLayers) -> FieldErrors {
    let mut errors = Vec::new();
    for (name, image) in &layers.images {
        let mut wrong = |key: &str, value: serde_json::Value, detail: &str| {
            errors.push(FieldError::invalid(format!("images[{name}].{key}"), value, detail));
        };
        if image.image_missing {
            if !image.layers.is_empty() {
                wrong("layers", image.layers.clone().into(), "layers must be empty if image is missing");
            }
            if image.config.is_some() {
                wrong("config", image.config.clone().into(), "config must be null if image is missing");
            }
            if !image.manifests.is_empty() {
                wrong(
                    "manifest",
                    image.manifests.clone().into(),
                    "manifests must be empty if image is missing",
                );
            }
        }
        for (i, _) in image.layers.iter().enumerate().filter(|(_, layer)| layer.is_empty()) {
            wrong(&format!("layers[{i}]"), "".into(), "layer cannot be empty");
        }
        if image.config.as_deref() == Some("") {
            wrong("config", "".into(), "config cannot be an empty string");
        }
        for (i, _) in image.manifests.iter().enumerate().filter(|(_, manifest)| manifest.is_empty()) {
            wrong(&format!("manifests[{i}]"), "".into(), "manifest cannot be empty");
        }
        if !image.manifests.is_empty() {
            if !image.layers.is_empty() {
                wrong("layers", image.layers.clone().into(), "layers must be empty if manifests are present");
            }
            if image.config.is_some() {
                wrong("config", image.config.clone().into(), "config must be null if manifests are present");
            }
        }
    }
    errors
}
