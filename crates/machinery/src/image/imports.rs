//! Requests to import images, with their outcome.

use prost::Message;
use serde::{Deserialize, Serialize};

use super::{Image, ImageStream, TagImportPolicy, TagReferencePolicy};
use crate::meta::{LocalObjectReference, ObjectMeta, ObjectReference, Status};
use crate::serial::{is_false, nullable};

/// A request to import images into a stream, with its outcome.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageStreamImport {
    /// Name of the stream.
    #[prost(message, required, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub metadata: ObjectMeta,
    /// What to import.
    #[prost(message, required, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub spec: ImageStreamImportSpec,
    /// How it went.
    #[prost(message, required, tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub status: ImageStreamImportStatus,
}

/// What to import.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageStreamImportSpec {
    /// Whether to store the result; otherwise only look.
    #[prost(bool, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub import: bool,
    /// A whole repository.
    #[prost(message, optional, tag = "2")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryImportSpec>,
    /// Single images.
    #[prost(message, repeated, tag = "3")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageImportSpec>,
}

/// How an import went.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageStreamImportStatus {
    /// The stream as stored.
    #[prost(message, optional, tag = "1")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    pub import: Option<ImageStream>,
    /// Outcome of the repository import.
    #[prost(message, optional, tag = "2")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryImportStatus>,
    /// Outcome of each image, in the order asked for.
    #[prost(message, repeated, tag = "3")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageImportStatus>,
}

/// Import all tags of a repository.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct RepositoryImportSpec {
    /// The repository, kind `DockerImage`.
    #[prost(message, required, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub from: ObjectReference,
    /// How its tags are imported.
    #[prost(message, required, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub import_policy: TagImportPolicy,
    /// How consumers see its tags.
    #[prost(message, required, tag = "4")]
    #[serde(deserialize_with = "nullable")]
    pub reference_policy: TagReferencePolicy,
    /// Answer with raw manifests.
    #[prost(bool, tag = "3")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_false")]
    pub include_manifest: bool,
}

/// Outcome of a repository import.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct RepositoryImportStatus {
    /// The whole of it.
    #[prost(message, required, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub status: Status,
    /// Outcome of each tag.
    #[prost(message, repeated, tag = "2")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageImportStatus>,
    /// Tags that were not imported because there are too many.
    #[prost(string, repeated, tag = "3")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub additional_tags: Vec<String>,
}

/// Import one image.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageImportSpec {
    /// The image, kind `DockerImage`.
    #[prost(message, required, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub from: ObjectReference,
    /// The tag to point at it.
    #[prost(message, optional, tag = "2")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    pub to: Option<LocalObjectReference>,
    /// How it is imported.
    #[prost(message, required, tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub import_policy: TagImportPolicy,
    /// How consumers see it.
    #[prost(message, required, tag = "5")]
    #[serde(deserialize_with = "nullable")]
    pub reference_policy: TagReferencePolicy,
    /// Answer with the raw manifest.
    #[prost(bool, tag = "4")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_false")]
    pub include_manifest: bool,
}

/// Outcome of importing one image.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageImportStatus {
    /// Success, or what went wrong.
    #[prost(message, required, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub status: Status,
    /// The image.
    #[prost(message, optional, tag = "2")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// The tag it was found under.
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub tag: String,
    /// Children, when a list was imported whole.
    #[prost(message, repeated, tag = "4")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<Image>,
}
