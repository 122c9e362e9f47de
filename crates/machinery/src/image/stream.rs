//! Image streams, as stored: what each tag should follow (`spec`) and what it points at, with history (`status`).
//!
//! Both lists of tags are sorted by name and hold each name once.

use std::collections::BTreeMap;

use prost::Message;
use serde::{Deserialize, Serialize};

use crate::meta::{ObjectMeta, ObjectReference};
use crate::serial::{is_false, null_if_empty, nullable};
use crate::time::Time;

/// Named, versioned pointers to images.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageStream {
    /// Standard object metadata.
    #[prost(message, required, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub metadata: ObjectMeta,
    /// What the stream should follow.
    #[prost(message, required, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub spec: ImageStreamSpec,
    /// What it points at, with history.
    #[prost(message, required, tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub status: ImageStreamStatus,
}

/// What a stream should follow.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageStreamSpec {
    /// Whether workloads of the project may name images by the stream.
    #[prost(message, required, tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub lookup_policy: ImageLookupPolicy,
    /// A repository all of whose tags are imported.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub docker_image_repository: String,
    /// Where each tag comes from; sorted by name.
    #[prost(message, repeated, tag = "2")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<TagReference>,
}

/// How other resources may name a stream's images.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageLookupPolicy {
    /// Single-segment image names of the project resolve to this stream.
    #[prost(bool, tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub local: bool,
}

/// Where a tag comes from.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct TagReference {
    /// The tag.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Free-form words about the tag.
    #[prost(btree_map = "string, string", tag = "2")]
    #[serde(deserialize_with = "nullable", serialize_with = "null_if_empty")]
    pub annotations: BTreeMap<String, String>,
    /// An image, image stream tag or image stream image; absent for tags that are only pushed to.
    #[prost(message, optional, tag = "3")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    pub from: Option<ObjectReference>,
    /// Only record the reference, never import.
    #[prost(bool, tag = "4")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_false")]
    pub reference: bool,
    /// Generation of the stream at which this tag last changed; 0 asks for a new import.
    #[prost(int64, optional, tag = "5")]
    #[serde(deserialize_with = "nullable")]
    pub generation: Option<i64>,
    /// How it is imported.
    #[prost(message, required, tag = "6")]
    #[serde(deserialize_with = "nullable")]
    pub import_policy: TagImportPolicy,
    /// How consumers see the pull spec.
    #[prost(message, required, tag = "7")]
    #[serde(deserialize_with = "nullable")]
    pub reference_policy: TagReferencePolicy,
}

/// How a tag is imported.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct TagImportPolicy {
    /// Unverified TLS or plain HTTP is allowed.
    #[prost(bool, tag = "1")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_false")]
    pub insecure: bool,
    /// Import again and again.
    #[prost(bool, tag = "2")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_false")]
    pub scheduled: bool,
    /// `Legacy` (one platform) or `PreserveOriginal` (the whole list).
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub import_mode: String,
}

/// How consumers see a tag's pull spec.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct TagReferencePolicy {
    /// `Source` (where it came from) or `Local` (through the integrated registry).
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub r#type: String,
}

/// What a stream points at.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageStreamStatus {
    /// The stream's repository in the integrated registry.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub docker_image_repository: String,
    /// The same as seen from outside.
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub public_docker_image_repository: String,
    /// History of each tag; sorted by name.
    #[prost(message, repeated, tag = "2")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<NamedTagEventList>,
}

/// The history of one tag.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct NamedTagEventList {
    /// The tag.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub tag: String,
    /// Newest first; the first is current.
    #[prost(message, repeated, tag = "2")]
    #[serde(deserialize_with = "nullable", serialize_with = "null_if_empty")]
    pub items: Vec<TagEvent>,
    /// What went wrong last.
    #[prost(message, repeated, tag = "3")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<TagEventCondition>,
}

/// One entry of a tag's history.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct TagEvent {
    /// When the tag began to point here.
    #[prost(message, required, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub created: Time,
    /// The pull spec.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub docker_image_reference: String,
    /// Name of the image; empty for mere references.
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub image: String,
    /// Generation of the spec that led to the entry.
    #[prost(int64, tag = "4")]
    #[serde(deserialize_with = "nullable")]
    pub generation: i64,
}

/// What is the matter with a tag.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct TagEventCondition {
    /// `ImportSuccess`.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub r#type: String,
    /// `True`, `False` or `Unknown`.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub status: String,
    /// When it last changed.
    #[prost(message, required, tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub last_transition_time: Time,
    /// Machine readable reason.
    #[prost(string, tag = "4")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Text for people.
    #[prost(string, tag = "5")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Generation of the spec it is about.
    #[prost(int64, tag = "6")]
    #[serde(deserialize_with = "nullable")]
    pub generation: i64,
}
