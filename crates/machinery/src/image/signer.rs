//! Who issued and who made a signature. In JSON both carry the person's fields inline; in protobuf they nest.

use prost::Message;
use serde::{Deserialize, Serialize};

use super::SignatureGenericEntity;
use crate::serial::nullable;

/// Who issued the certificate or key of a signature.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default)]
pub struct SignatureIssuer {
    /// The person or organisation.
    #[prost(message, required, tag = "1")]
    #[serde(flatten)]
    pub entity: SignatureGenericEntity,
}

/// Who made a signature.
#[derive(Clone, PartialEq, Serialize, Deserialize, Message)]
#[serde(default)]
pub struct SignatureSubject {
    /// The person or organisation.
    #[prost(message, required, tag = "1")]
    #[serde(flatten)]
    pub entity: SignatureGenericEntity,
    /// Short identity of the public key.
    #[prost(string, tag = "2")]
    #[serde(rename = "publicKeyID", deserialize_with = "nullable")]
    pub public_key_id: String,
}
