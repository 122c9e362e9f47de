//! What every object carries: metadata, references to other objects, and the outcome of requests.
//!
//! The shapes are those of `k8s.io/apimachinery` (`meta/v1`): JSON names, protobuf numbers, key order and which empty
//! fields are left out are all part of the contract with clients.

use std::collections::BTreeMap;

use prost::Message;
use serde::{Deserialize, Serialize};

use crate::serial::{RawExtension, is_zero, is_zero_i32, nullable};
use crate::time::Time;

/// What every object carries: its name, identity, version and labels.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ObjectMeta {
    /// Unique within the namespace (or the server, for cluster-scoped kinds).
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Prefix from which the server makes a name when `name` is empty.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub generate_name: String,
    /// The project the object lives in; empty for cluster-scoped kinds.
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Never set; kept so that old stored objects round-trip.
    #[prost(string, tag = "4")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub self_link: String,
    /// Identity in time and space: a new object of the same name has another one.
    #[prost(string, tag = "5")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Opaque version for optimistic locking and watches; the store's revision in decimal.
    #[prost(string, tag = "6")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Counts changes of the desired state.
    #[prost(int64, tag = "7")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_zero")]
    pub generation: i64,
    /// When the object was made.
    #[prost(message, required, tag = "8")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Time::is_zero")]
    pub creation_timestamp: Time,
    /// Set while finalizers hold up a deletion.
    #[prost(message, optional, tag = "9")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<Time>,
    /// Seconds that were granted before the deletion.
    #[prost(int64, optional, tag = "10")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    pub deletion_grace_period_seconds: Option<i64>,
    /// Identifying words that selectors match.
    #[prost(btree_map = "string, string", tag = "11")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Free-form words for tools.
    #[prost(btree_map = "string, string", tag = "12")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Objects this one depends on.
    #[prost(message, repeated, tag = "13")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<OwnerReference>,
    /// Who must act before the object goes.
    #[prost(string, repeated, tag = "14")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
    /// Which manager set which fields.
    #[prost(message, repeated, tag = "17")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub managed_fields: Vec<ManagedFieldsEntry>,
}

/// Points at an object that owns this one.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct OwnerReference {
    /// Group and version of the owner.
    #[prost(string, tag = "5")]
    #[serde(deserialize_with = "nullable")]
    pub api_version: String,
    /// Kind of the owner.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub kind: String,
    /// Name of the owner.
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Identity of the owner.
    #[prost(string, tag = "4")]
    #[serde(deserialize_with = "nullable")]
    pub uid: String,
    /// Whether the owner is the managing controller.
    #[prost(bool, optional, tag = "6")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    pub controller: Option<bool>,
    /// Whether a foreground deletion of the owner waits for this object.
    #[prost(bool, optional, tag = "7")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    pub block_owner_deletion: Option<bool>,
}

/// The fields that one manager set through one version and subresource.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ManagedFieldsEntry {
    /// Name of the manager.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub manager: String,
    /// `Apply` or `Update`.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub operation: String,
    /// Version through which the fields were set.
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// When the entry last changed.
    #[prost(message, optional, tag = "4")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// Always `FieldsV1`.
    #[prost(string, tag = "6")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub fields_type: String,
    /// The set of fields, as nested `f:`/`k:`/`v:` keys.
    #[prost(message, optional, tag = "7")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    pub fields_v1: Option<RawExtension>,
    /// The subresource the fields were set through.
    #[prost(string, tag = "8")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub subresource: String,
}

/// What every list carries.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ListMeta {
    /// Never set.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub self_link: String,
    /// The revision the list is consistent at.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Token for the next page.
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub r#continue: String,
    /// How many items follow this page, when known.
    #[prost(int64, optional, tag = "4")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    pub remaining_item_count: Option<i64>,
}

/// One reason for a failed request.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct StatusCause {
    /// Machine readable reason.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Text for people.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Path of the field in question.
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// What a failed (or successful) request was about.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct StatusDetails {
    /// Name of the object.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its group.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Its resource or kind.
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its identity.
    #[prost(string, tag = "6")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// One entry a problem.
    #[prost(message, repeated, tag = "4")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<StatusCause>,
    /// When to try again.
    #[prost(int32, tag = "5")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_zero_i32")]
    pub retry_after_seconds: i32,
}

/// The outcome of a request that returns no object.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct Status {
    /// Always empty here.
    #[prost(message, required, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub metadata: ListMeta,
    /// `Success` or `Failure`.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// Text for people.
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Machine readable reason.
    #[prost(string, tag = "4")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// More about it.
    #[prost(message, optional, tag = "5")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    pub details: Option<StatusDetails>,
    /// HTTP status.
    #[prost(int32, tag = "6")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_zero_i32")]
    pub code: i32,
}

/// Points at another object.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct ObjectReference {
    /// Kind of the referent.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its project.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its identity.
    #[prost(string, tag = "4")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Its group and version.
    #[prost(string, tag = "5")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Its version.
    #[prost(string, tag = "6")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// A part of it.
    #[prost(string, tag = "7")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub field_path: String,
}

/// Points at an object (or tag) by name alone.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default, rename_all = "camelCase")]
pub struct LocalObjectReference {
    /// The name.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// A kind of object that is sent on its own, with `kind` and `apiVersion` in front.
pub trait Kind: Serialize + Message + Default {
    /// Group and version, `v1` for the core group.
    const API_VERSION: &'static str;
    /// The kind.
    const KIND: &'static str;
    /// The object's metadata.
    fn metadata(&self) -> &ObjectMeta;
    /// The object's metadata, to change it.
    fn metadata_mut(&mut self) -> &mut ObjectMeta;
}
