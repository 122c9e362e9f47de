//! `dockerImageMetadata`: an image's configuration in the versioned form that clients read.
//!
//! Only the keys modelled here survive; everything else of a configuration is dropped. Two encodings exist: `1.0` with
//! capitalised keys and the old `pre012` with lower-case ones. Keys are matched case-sensitively.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::json;
use crate::serial::{RawExtension, is_false, is_zero, nullable};
use crate::time::Time;

/// What is known of an image's configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the names are Docker's own; most are historical and only carried along")]
pub struct DockerImage {
    #[serde(deserialize_with = "nullable")]
    pub id: String,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub parent: String,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    pub created: Time,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub container: String,
    #[serde(deserialize_with = "nullable")]
    pub container_config: DockerConfig,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub docker_version: String,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub author: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<DockerConfig>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub architecture: String,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_zero")]
    pub size: i64,
}

/// The same with the keys of version `pre012`.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, rename_all = "snake_case")]
struct Pre012 {
    #[serde(deserialize_with = "nullable")]
    id: String,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    parent: String,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    comment: String,
    created: Time,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    container: String,
    #[serde(deserialize_with = "nullable")]
    container_config: DockerConfig,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    docker_version: String,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    author: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<DockerConfig>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    architecture: String,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_zero")]
    size: i64,
}

/// How a container of the image is run by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the names are Docker's own; most are historical and only carried along")]
pub struct DockerConfig {
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub domainname: String,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub user: String,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_zero")]
    pub memory: i64,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_zero")]
    pub memory_swap: i64,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_zero")]
    pub cpu_shares: i64,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub cpuset: String,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_false")]
    pub attach_stdin: bool,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_false")]
    pub attach_stdout: bool,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_false")]
    pub attach_stderr: bool,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub port_specs: Vec<String>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Empty>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_false")]
    pub tty: bool,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_false")]
    pub open_stdin: bool,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_false")]
    pub stdin_once: bool,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub image: String,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Empty>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub volumes_from: String,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_false")]
    pub network_disabled: bool,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub security_opts: Vec<String>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// An object without keys, the value of `ExposedPorts` and `Volumes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// Why a metadata document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DockerMetadataError {
    /// The document names another kind or version.
    #[error("no kind {kind:?} is registered for version {version:?} in scheme \"image.openshift.io\"")]
    Unknown {
        /// The kind it names.
        kind: String,
        /// The version it names.
        version: String,
    },
    /// The document does not have the right shape.
    #[error("{0}")]
    Shape(String),
}

const KIND: &str = "DockerImage";
const VERSION: &str = "1.0";
const PRE012: &str = "pre012";

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TypeHeader {
    #[serde(deserialize_with = "nullable")]
    kind: String,
    #[serde(deserialize_with = "nullable")]
    api_version: String,
}

impl DockerImage {
    /// Reads a metadata document. `default_version` (bare, or empty for `1.0`) counts where it names none itself.
    ///
    /// # Errors
    /// [`DockerMetadataError`] when the document is of another kind or shape.
    pub fn decode(raw: &RawExtension, default_version: &str) -> Result<DockerImage, DockerMetadataError> {
        if raw.is_zero() {
            return Ok(DockerImage::default());
        }
        let shape = |error: serde_json::Error| DockerMetadataError::Shape(error.to_string());
        let header: TypeHeader = serde_json::from_slice(&raw.raw).map_err(shape)?;
        let kind = if header.kind.is_empty() { KIND.to_owned() } else { header.kind };
        let version = match (header.api_version.as_str(), default_version) {
            ("", "") => qualified(VERSION),
            ("", version) => qualified(version),
            (version, _) => version.to_owned(),
        };
        match (kind.as_str(), version.strip_prefix("image.openshift.io/").unwrap_or(&version)) {
            (KIND, VERSION) => serde_json::from_slice(&raw.raw).map_err(shape),
            (KIND, PRE012) => {
                serde_json::from_slice::<Pre012>(&raw.raw).map(DockerImage::from).map_err(shape)
            }
            _ => Err(DockerMetadataError::Unknown { kind, version }),
        }
    }

    /// Writes the document in a version (bare; empty means `1.0`).
    pub fn encode(&self, version: &str) -> RawExtension {
        let version = if version.is_empty() { VERSION } else { version };
        let bare = version.strip_prefix("image.openshift.io/").unwrap_or(version);
        let raw = if bare == PRE012 {
            json::with_type(KIND, &qualified(PRE012), &Pre012::from(self.clone()))
        } else {
            json::with_type(KIND, &qualified(VERSION), self)
        };
        RawExtension::from_json(raw)
    }
}

fn qualified(version: &str) -> String {
    if version.contains('/') { version.to_owned() } else { format!("image.openshift.io/{version}") }
}

impl From<Pre012> for DockerImage {
    fn from(old: Pre012) -> DockerImage {
        DockerImage {
            id: old.id,
            parent: old.parent,
            comment: old.comment,
            created: old.created,
            container: old.container,
            container_config: old.container_config,
            docker_version: old.docker_version,
            author: old.author,
            config: old.config,
            architecture: old.architecture,
            size: old.size,
        }
    }
}

impl From<DockerImage> for Pre012 {
    fn from(new: DockerImage) -> Pre012 {
        Pre012 {
            id: new.id,
            parent: new.parent,
            comment: new.comment,
            created: new.created,
            container: new.container,
            container_config: new.container_config,
            docker_version: new.docker_version,
            author: new.author,
            config: new.config,
            architecture: new.architecture,
            size: new.size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_metadata_has_a_document_all_the_same() {
        let raw = DockerImage::default().encode("");
        assert_eq!(
            raw.as_str().unwrap(),
            r#"{"kind":"DockerImage","apiVersion":"image.openshift.io/1.0","Id":"","Created":null,"ContainerConfig":{}}"#
        );
    }

    #[test]
    fn the_old_version_keeps_its_lower_case_keys() {
        let image = DockerImage { id: "x".into(), size: 3, ..Default::default() };
        let raw = image.encode("pre012");
        assert!(raw.as_str().unwrap().contains(r#""container_config":{}"#), "{raw}");
        assert_eq!(DockerImage::decode(&raw, "").unwrap(), image);
    }

    #[test]
    fn other_kinds_and_versions_are_refused() {
        let raw = RawExtension::from_json(br#"{"kind":"DockerImage","apiVersion":"nope"}"#.to_vec());
        assert!(matches!(DockerImage::decode(&raw, ""), Err(DockerMetadataError::Unknown { .. })));
    }
}
