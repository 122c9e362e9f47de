//! What is derived from an image's raw manifest and configuration: layers, size, media type, metadata.
//!
//! Both are read leniently, as whatever was stored once must stay readable. What is there already is not derived again.

use std::collections::{BTreeMap, BTreeSet};

use machinery::image::well_known::{LAYERS_ASCENDING, LAYERS_DESCENDING, LAYERS_ORDER};
use machinery::image::{DockerConfig, DockerImage, DockerMetadataError, Image, ImageLayer};
use machinery::time::Time;
use oci::config::{ContainerConfig, ImageConfig, schema1_layer_size};
use oci::json::JsonError;
use oci::manifest::{AnyManifest, ManifestError};
use oci::media;

/// Why an image's metadata cannot be derived.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are what the texts name")]
pub enum DeriveError {
    /// The stored metadata document cannot be read.
    #[error(transparent)]
    Metadata(#[from] DockerMetadataError),
    /// The manifest (or the newest entry of its history) is not the JSON it should be.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The manifest is not what its media type says.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A schema 1 manifest whose layers and history do not belong together.
    #[error(
        "the image {name} ({reference}) has mismatched history and fslayer cardinality ({history} != {layers})"
    )]
    Mismatch { name: String, reference: String, history: usize, layers: usize },
    /// A schema 1 manifest that says nothing.
    #[error("the image {name} ({reference}) has a schema 1 manifest, but it doesn't have history")]
    NoHistory { name: String, reference: String },
    /// There is a manifest but not the configuration it names.
    #[error("dockerImageConfig must not be empty for manifest type {0:?}")]
    NoConfig(String),
    /// The configuration is not the JSON it should be.
    #[error("failed to parse dockerImageConfig: {0}")]
    Config(JsonError),
    /// A manifest of an unknown schema.
    #[error("unrecognized container image manifest schema {schema} for {name:?} ({reference})")]
    Schema { schema: i64, name: String, reference: String },
}

/// Fills in what a raw manifest says; without one, nothing happens. `now` is the creation time of lists, which have
/// none of their own.
///
/// # Errors
/// When manifest or configuration cannot be used; the image is then as far as it could be filled in.
pub fn derive(image: &mut Image, now: Time) -> Result<(), DeriveError> {
    if image.docker_image_manifest.is_empty() {
        return Ok(());
    }
    order_layers(image);
    let version = image.docker_image_metadata_version.clone();
    let mut metadata = DockerImage::decode(&image.docker_image_metadata, &version)?;
    if !image.docker_image_layers.is_empty()
        && metadata.size > 0
        && !image.docker_image_manifest_media_type.is_empty()
    {
        return Ok(());
    }
    let manifest = AnyManifest::parse(image.docker_image_manifest.as_bytes())?;
    if media::is_index(&manifest.media_type) {
        metadata.id.clone_from(&image.metadata.name);
        metadata.created = now;
    } else {
        if image.docker_image_layers.is_empty() {
            image.docker_image_layers = layers(image, &manifest)?;
            set_ascending(image);
        }
        fill(image, &manifest, &mut metadata)?;
    }
    image.docker_image_metadata = metadata.encode(&version);
    Ok(())
}

/// An image as views show it: derived if it has a raw manifest, which is then left out with the configuration.
pub fn without_raw(image: &Image, now: Time) -> Image {
    let mut shown = image.clone();
    // What cannot be derived now could not be derived when the image was stored, and was reported then.
    let _ = derive(&mut shown, now);
    shown.docker_image_manifest.clear();
    shown.docker_image_config.clear();
    shown
}

/// Oldest layer first. Registries that wrote the newest first said nothing about it.
fn order_layers(image: &mut Image) {
    if image.docker_image_layers.is_empty() {
        return;
    }
    let descending = match image.metadata.annotations.get(LAYERS_ORDER) {
        Some(order) => order == LAYERS_DESCENDING,
        None => match image.docker_image_manifest_media_type.as_str() {
            media::DOCKER_SCHEMA1 | media::DOCKER_SCHEMA1_SIGNED => false,
            media::DOCKER_SCHEMA2 | media::OCI_MANIFEST => true,
            _ => return,
        },
    };
    if descending {
        image.docker_image_layers.reverse();
    }
    set_ascending(image);
}

fn set_ascending(image: &mut Image) {
    image.metadata.annotations.insert(LAYERS_ORDER.to_owned(), LAYERS_ASCENDING.to_owned());
}

fn layers(image: &Image, manifest: &AnyManifest) -> Result<Vec<ImageLayer>, DeriveError> {
    match manifest.schema_version {
        1 if manifest.history.len() != manifest.fs_layers.len() => Err(DeriveError::Mismatch {
            name: image.metadata.name.clone(),
            reference: image.docker_image_reference.clone(),
            history: manifest.history.len(),
            layers: manifest.fs_layers.len(),
        }),
        1 => {
            let newest_first = manifest.fs_layers.iter().zip(&manifest.history);
            Ok(newest_first
                .rev()
                .map(|(blob, history)| ImageLayer {
                    name: blob.clone(),
                    size: schema1_layer_size(history),
                    media_type: media::SCHEMA1_LAYER.to_owned(),
                })
                .collect())
        }
        2 => Ok(manifest
            .layers
            .iter()
            .map(|layer| ImageLayer {
                name: layer.digest.clone(),
                size: layer.size,
                media_type: layer.media_type.clone(),
            })
            .collect()),
        schema => Err(unknown_schema(image, schema)),
    }
}

fn fill(image: &mut Image, manifest: &AnyManifest, metadata: &mut DockerImage) -> Result<(), DeriveError> {
    let (config, own_size) = match manifest.schema_version {
        1 => {
            media::DOCKER_SCHEMA1.clone_into(&mut image.docker_image_manifest_media_type);
            let newest = manifest.history.first().ok_or_else(|| DeriveError::NoHistory {
                name: image.metadata.name.clone(),
                reference: image.docker_image_reference.clone(),
            })?;
            let config = ImageConfig::parse(newest.as_bytes())?;
            metadata.id.clone_from(&config.id);
            (config, 0)
        }
        2 => {
            if !manifest.media_type.is_empty() {
                image.docker_image_manifest_media_type.clone_from(&manifest.media_type);
            } else if image.docker_image_manifest_media_type.is_empty() {
                media::DOCKER_SCHEMA2.clone_into(&mut image.docker_image_manifest_media_type);
            }
            if image.docker_image_config.is_empty() {
                return Err(DeriveError::NoConfig(image.docker_image_manifest_media_type.clone()));
            }
            let config =
                ImageConfig::parse(image.docker_image_config.as_bytes()).map_err(DeriveError::Config)?;
            metadata.id.clone_from(&manifest.config.digest);
            (config, image.docker_image_config.len())
        }
        schema => return Err(unknown_schema(image, schema)),
    };
    describe(config, metadata);
    metadata.size = i64::try_from(own_size).unwrap_or(i64::MAX);
    let mut counted = BTreeSet::new();
    if manifest.schema_version == 2 {
        counted.insert(manifest.config.digest.as_str());
    }
    for layer in &image.docker_image_layers {
        if counted.insert(&layer.name) {
            metadata.size = metadata.size.saturating_add(layer.size);
        }
    }
    Ok(())
}

fn unknown_schema(image: &Image, schema: i64) -> DeriveError {
    DeriveError::Schema {
        schema,
        name: image.metadata.name.clone(),
        reference: image.docker_image_reference.clone(),
    }
}

/// Copies what a configuration says of an image, but for its id and size.
pub fn describe(config: ImageConfig, metadata: &mut DockerImage) {
    metadata.parent = config.parent;
    metadata.comment = config.comment;
    metadata.created = config.created.map_or(Time::ZERO, Time::from);
    metadata.container = config.container;
    metadata.container_config = container(config.container_config);
    metadata.docker_version = config.docker_version;
    metadata.author = config.author;
    metadata.config = config.config.map(container);
    metadata.architecture = config.architecture;
}

fn container(config: ContainerConfig) -> DockerConfig {
    let keys = |list: Option<Vec<String>>| -> BTreeMap<String, _> {
        list.unwrap_or_default().into_iter().map(|key| (key, Default::default())).collect()
    };
    DockerConfig {
        hostname: config.hostname,
        domainname: config.domainname,
        user: config.user,
        memory: config.memory,
        memory_swap: config.memory_swap,
        cpu_shares: config.cpu_shares,
        cpuset: config.cpuset,
        attach_stdin: config.attach_stdin,
        attach_stdout: config.attach_stdout,
        attach_stderr: config.attach_stderr,
        port_specs: config.port_specs.unwrap_or_default(),
        exposed_ports: keys(config.exposed_ports),
        tty: config.tty,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        env: config.env.unwrap_or_default(),
        cmd: config.cmd.unwrap_or_default(),
        dns: config.dns.unwrap_or_default(),
        image: config.image,
        volumes: keys(config.volumes),
        volumes_from: config.volumes_from,
        working_dir: config.working_dir,
        entrypoint: config.entrypoint.unwrap_or_default(),
        network_disabled: config.network_disabled,
        security_opts: config.security_opts.unwrap_or_default(),
        on_build: config.on_build.unwrap_or_default(),
        labels: config.labels.unwrap_or_default(),
    }
}
