//! Kubernetes' protobuf envelope: four magic bytes, then `runtime.Unknown` with the type and the object's own encoding.
//!
//! It is what image kinds are stored as, byte for byte what an OpenShift cluster's etcd holds, and what typed clients send
//! and receive. JSON is read too, because very old objects are stored so.

use prost::Message;

use crate::meta::Kind;

/// The first bytes of every envelope.
pub const MAGIC: [u8; 4] = *b"k8s\0";
/// The media type of envelopes.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// What an envelope says of its content.
#[derive(Clone, PartialEq, Message)]
pub struct TypeMeta {
    /// Group and version.
    #[prost(string, tag = "1")]
    pub api_version: String,
    /// Kind.
    #[prost(string, tag = "2")]
    pub kind: String,
}

/// An envelope without its magic bytes.
#[derive(Clone, PartialEq, Message)]
pub struct Unknown {
    /// What is inside.
    #[prost(message, required, tag = "1")]
    pub type_meta: TypeMeta,
    /// The object's own bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub raw: Vec<u8>,
    /// Never set.
    #[prost(string, tag = "3")]
    pub content_encoding: String,
    /// Never set for protobuf.
    #[prost(string, tag = "4")]
    pub content_type: String,
}

/// Why bytes are no object of the kind that was wanted.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// They are neither an envelope nor JSON.
    #[error("the bytes are neither a protobuf envelope nor JSON")]
    Form,
    /// The object is of another kind.
    #[error("{found} where {wanted} was expected")]
    Kind {
        /// What it is.
        found: String,
        /// What was wanted.
        wanted: String,
    },
    /// The protobuf is broken.
    #[error("broken protobuf: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// The JSON is broken.
    #[error("broken JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Puts an object into an envelope.
pub fn encode<T: Kind>(object: &T) -> Vec<u8> {
    let envelope = Unknown {
        type_meta: TypeMeta { api_version: T::API_VERSION.to_owned(), kind: T::KIND.to_owned() },
        raw: object.encode_to_vec(),
        ..Unknown::default()
    };
    let mut out = Vec::with_capacity(MAGIC.len() + envelope.encoded_len());
    out.extend_from_slice(&MAGIC);
    envelope.encode(&mut out).expect("a vector grows as needed");
    out
}

/// Takes an object out of its envelope, or reads it from JSON.
///
/// # Errors
/// [`EnvelopeError`] when the bytes hold something else.
pub fn decode<T: Kind + serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, EnvelopeError> {
    let Some(rest) = bytes.strip_prefix(&MAGIC) else {
        return if bytes.first() == Some(&b'{') {
            Ok(serde_json::from_slice(bytes)?)
        } else {
            Err(EnvelopeError::Form)
        };
    };
    let envelope = Unknown::decode(rest)?;
    if envelope.type_meta.kind != T::KIND || envelope.type_meta.api_version != T::API_VERSION {
        let TypeMeta { api_version, kind } = envelope.type_meta;
        return Err(EnvelopeError::Kind {
            found: format!("{api_version} {kind}"),
            wanted: format!("{} {}", T::API_VERSION, T::KIND),
        });
    }
    Ok(T::decode(envelope.raw.as_slice())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Image, ImageStream, TagReference};
    use crate::time::Time;

    fn stream() -> ImageStream {
        let mut stream = ImageStream::default();
        stream.metadata.name = "ruby".to_owned();
        stream.metadata.creation_timestamp = Time::from_unix(1_700_000_000);
        stream.metadata.labels.insert("a".to_owned(), "b".to_owned());
        stream.spec.tags.push(TagReference { name: "1".into(), generation: Some(0), ..Default::default() });
        stream.status.tag_or_insert("1");
        stream
    }

    #[test]
    fn objects_come_out_as_they_went_in() {
        let bytes = encode(&stream());
        assert_eq!(bytes[..4], MAGIC);
        assert_eq!(decode::<ImageStream>(&bytes).unwrap(), stream());
    }

    #[test]
    fn json_is_read_as_well() {
        let json = serde_json::to_vec(&stream()).unwrap();
        assert_eq!(decode::<ImageStream>(&json).unwrap(), stream());
    }

    #[test]
    fn other_kinds_and_other_bytes_are_refused() {
        assert!(matches!(decode::<Image>(&encode(&stream())), Err(EnvelopeError::Kind { .. })));
        assert!(matches!(decode::<Image>(b"k8s"), Err(EnvelopeError::Form)));
        assert!(matches!(decode::<Image>(b"k8s\0\xff\xff"), Err(EnvelopeError::Protobuf(_))));
    }
}
