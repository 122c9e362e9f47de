//! Views that are computed from streams and images and never stored.

use std::collections::BTreeMap;

use prost::Message;
use serde::{Deserialize, Serialize};

use super::{Image, ImageLookupPolicy, NamedTagEventList, TagEventCondition, TagReference};
use crate::meta::ObjectMeta;
use crate::serial::{null_if_empty, nullable};

/// A tag of a stream together with its image.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageStreamTag {
    /// Name `stream:tag`; identity and labels of the stream.
    #[prost(message, required, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub metadata: ObjectMeta,
    /// Where the tag comes from; null for tags that were only pushed to.
    #[prost(message, optional, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub tag: Option<TagReference>,
    /// Generation of the tag's current entry.
    #[prost(int64, tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub generation: i64,
    /// The stream's.
    #[prost(message, required, tag = "6")]
    #[serde(deserialize_with = "nullable")]
    pub lookup_policy: ImageLookupPolicy,
    /// The tag's.
    #[prost(message, repeated, tag = "4")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<TagEventCondition>,
    /// The image it points at.
    #[prost(message, required, tag = "5")]
    #[serde(deserialize_with = "nullable")]
    pub image: Image,
}

/// A tag of a stream with desired and actual state side by side.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageTag {
    /// The stream's, with the name `stream:tag`.
    #[prost(message, required, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub metadata: ObjectMeta,
    /// Where the tag comes from.
    #[prost(message, optional, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub spec: Option<TagReference>,
    /// Its history.
    #[prost(message, optional, tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub status: Option<NamedTagEventList>,
    /// The image it points at.
    #[prost(message, optional, tag = "4")]
    #[serde(deserialize_with = "nullable")]
    pub image: Option<Image>,
}

/// An image as a member of a stream.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageStreamImage {
    /// Name `stream@digest`.
    #[prost(message, required, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub metadata: ObjectMeta,
    /// The image.
    #[prost(message, required, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub image: Image,
}

/// A request to point a tag at a pushed image.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageStreamMapping {
    /// Name of the stream.
    #[prost(message, required, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub metadata: ObjectMeta,
    /// The image.
    #[prost(message, required, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub image: Image,
    /// The tag.
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub tag: String,
}

/// Every blob and image a stream has ever held.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageStreamLayers {
    /// The stream's.
    #[prost(message, required, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub metadata: ObjectMeta,
    /// Blobs by digest.
    #[prost(btree_map = "string, message", tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub blobs: BTreeMap<String, ImageLayerData>,
    /// Images by digest.
    #[prost(btree_map = "string, message", tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub images: BTreeMap<String, ImageBlobReferences>,
}

/// What is known of a blob.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageLayerData {
    /// Bytes; null where not known.
    #[prost(int64, optional, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub size: Option<i64>,
    /// Its media type.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub media_type: String,
}

/// What an image consists of.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageBlobReferences {
    /// The stream names the image, but it is gone.
    #[prost(bool, tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub image_missing: bool,
    /// Digests of the layers.
    #[prost(string, repeated, tag = "1")]
    #[serde(deserialize_with = "nullable", serialize_with = "null_if_empty")]
    pub layers: Vec<String>,
    /// Digest of the configuration.
    #[prost(string, optional, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub config: Option<String>,
    /// Digests of the children of a list.
    #[prost(string, repeated, tag = "4")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<String>,
}
