//! Images and their signatures, as stored.
//!
//! An `Image` is what one manifest is; it never changes but for its signatures, labels and annotations.

use std::collections::BTreeMap;

use prost::Message;
use serde::{Deserialize, Serialize};

use super::{SignatureIssuer, SignatureSubject};
use crate::meta::ObjectMeta;
use crate::serial::{RawExtension, base64_bytes, base64_list, nullable};
use crate::time::Time;

/// A container image: the immutable result of one manifest. Cluster scoped; its name is the manifest's digest.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct Image {
    /// Standard object metadata.
    #[prost(message, required, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub metadata: ObjectMeta,
    /// The pull spec the image can be fetched with.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub docker_image_reference: String,
    /// The image's configuration, a `DockerImage` in its own version.
    #[prost(message, required, tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub docker_image_metadata: RawExtension,
    /// Version of the above, `1.0`.
    #[prost(string, tag = "4")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub docker_image_metadata_version: String,
    /// The raw manifest, where it is kept.
    #[prost(string, tag = "5")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub docker_image_manifest: String,
    /// Layers, oldest first.
    #[prost(message, repeated, tag = "6")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub docker_image_layers: Vec<ImageLayer>,
    /// Signatures of the image.
    #[prost(message, repeated, tag = "7")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<ImageSignature>,
    /// Signatures that came inside a schema 1 manifest.
    #[prost(bytes = "vec", repeated, tag = "8")]
    #[serde(with = "base64_list", skip_serializing_if = "Vec::is_empty")]
    pub docker_image_signatures: Vec<Vec<u8>>,
    /// Media type of the manifest.
    #[prost(string, tag = "9")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub docker_image_manifest_media_type: String,
    /// The raw configuration, where it is kept.
    #[prost(string, tag = "10")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub docker_image_config: String,
    /// Children, when the image is a manifest list or index.
    #[prost(message, repeated, tag = "11")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub docker_image_manifests: Vec<ImageManifest>,
}

/// One layer of an image.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageLayer {
    /// Digest of the layer's blob.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Bytes, compressed.
    #[prost(int64, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub size: i64,
    /// Media type of the blob.
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub media_type: String,
}

/// One child of a manifest list or index.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageManifest {
    /// Digest of the child manifest.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub digest: String,
    /// Its media type.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub media_type: String,
    /// Its size in bytes.
    #[prost(int64, tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub manifest_size: i64,
    /// CPU architecture it is for.
    #[prost(string, tag = "4")]
    #[serde(deserialize_with = "nullable")]
    pub architecture: String,
    /// Operating system it is for.
    #[prost(string, tag = "5")]
    #[serde(deserialize_with = "nullable")]
    pub os: String,
    /// Variant of the CPU.
    #[prost(string, tag = "6")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// A signature over an image.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageSignature {
    /// Standard object metadata.
    #[prost(message, required, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub metadata: ObjectMeta,
    /// Kind of signature, `AtomicImageV1`.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub r#type: String,
    /// The signature itself.
    #[prost(bytes = "vec", tag = "3")]
    #[serde(with = "base64_bytes")]
    pub content: Vec<u8>,
    /// Verdicts about the signature.
    #[prost(message, repeated, tag = "4")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<SignatureCondition>,
    /// What the signature says it is about.
    #[prost(string, tag = "5")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub image_identity: String,
    /// Claims from the signature.
    #[prost(btree_map = "string, string", tag = "6")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub signed_claims: BTreeMap<String, String>,
    /// When it was signed.
    #[prost(message, optional, tag = "7")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    pub created: Option<Time>,
    /// Who issued the certificate or key.
    #[prost(message, optional, tag = "8")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    pub issued_by: Option<SignatureIssuer>,
    /// Who signed.
    #[prost(message, optional, tag = "9")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    pub issued_to: Option<SignatureSubject>,
}

/// A verdict about a signature.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct SignatureCondition {
    /// `Trusted`, `ForImage`, `Expired` or `Revoked`.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub r#type: String,
    /// `True`, `False` or `Unknown`.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub status: String,
    /// When it was last checked.
    #[prost(message, required, tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub last_probe_time: Time,
    /// When the verdict last changed.
    #[prost(message, required, tag = "4")]
    #[serde(deserialize_with = "nullable")]
    pub last_transition_time: Time,
    /// Machine readable reason.
    #[prost(string, tag = "5")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Text for people.
    #[prost(string, tag = "6")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// A person or organisation.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct SignatureGenericEntity {
    /// Organisation.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub organization: String,
    /// Common name.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub common_name: String,
}
