//! The envelope in which Kubernetes keeps and sends protobuf: four magic bytes, then a message that names the type of the
//! object and holds its bytes.
//!
//! This is how images and streams are stored; what older servers stored as JSON is read as well.

mod dynamic;
pub mod transcode;

use prost::Message;
use serde::de::DeserializeOwned;

pub(crate) use dynamic::schema as messages;
pub use dynamic::{Misfit, to_json};

use crate::meta::Kind;

/// What every such document begins with.
pub const MAGIC: &[u8; 4] = b"k8s\0";

/// The envelope.
#[derive(Clone, PartialEq, Message)]
pub struct Unknown {
    /// What it holds.
    #[prost(message, required, tag = "1")]
    pub type_meta: TypeMeta,
    /// The object.
    #[prost(bytes = "vec", tag = "2")]
    pub raw: Vec<u8>,
    /// How the object's bytes are encoded; always empty.
    #[prost(string, tag = "3")]
    pub content_encoding: String,
    /// Media type of the object's bytes; empty for protobuf.
    #[prost(string, tag = "4")]
    pub content_type: String,
}

/// The type of an object.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct TypeMeta {
    /// Group and version.
    #[prost(string, tag = "1")]
    pub api_version: String,
    /// The kind.
    #[prost(string, tag = "2")]
    pub kind: String,
}

/// Bytes that are not the object they should be.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Neither protobuf in an envelope nor JSON.
    #[error("the bytes do not begin like protobuf or JSON")]
    NoEnvelope,
    /// The envelope or the object cannot be read.
    #[error("the protobuf message cannot be read: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// A field says that it is longer than what is there.
    #[error("the protobuf message cannot be read: a field is cut off")]
    Truncated,
    /// Text that is no UTF-8.
    #[error("the protobuf message cannot be read: text is not UTF-8")]
    Text,
    /// The JSON document cannot be read.
    #[error("the JSON document cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// The object is of another type.
    #[error("found {kind} of {api_version}, wanted {wanted}")]
    Type {
        /// The kind found.
        kind: String,
        /// Its group and version.
        api_version: String,
        /// The kind wanted.
        wanted: &'static str,
    },
}

/// Encodes an object in its envelope.
pub fn encode<T: Kind>(object: &T) -> Vec<u8> {
    // Written by hand so that a large object is encoded once, right where it belongs.
    let type_meta = TypeMeta { api_version: T::API_VERSION.to_owned(), kind: T::KIND.to_owned() };
    let length = object.encoded_len();
    let mut out = Vec::with_capacity(MAGIC.len() + type_meta.encoded_len() + length + 16);
    out.extend_from_slice(MAGIC);
    prost::encoding::message::encode(1, &type_meta, &mut out);
    prost::encoding::message::encode(2, object, &mut out);
    out
}

/// Reads an object from its envelope, or from JSON.
///
/// # Errors
/// [`DecodeError`] when the bytes are something else.
pub fn decode<T: Kind + DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    if let Some(message) = bytes.strip_prefix(MAGIC) {
        let envelope = Unknown::decode(message)?;
        check_type::<T>(&envelope.type_meta.kind, &envelope.type_meta.api_version)?;
        return Ok(T::decode(envelope.raw.as_slice())?);
    }
    if bytes.first() != Some(&b'{') {
        return Err(DecodeError::NoEnvelope);
    }
    #[derive(Default, serde::Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Header {
        kind: String,
        api_version: String,
    }
    let header: Header = serde_json::from_slice(bytes)?;
    check_type::<T>(&header.kind, &header.api_version)?;
    Ok(serde_json::from_slice(bytes)?)
}

/// Opens an envelope without looking at the object, as for bodies that clients send.
///
/// # Errors
/// [`DecodeError`] when there is none.
pub fn open(bytes: &[u8]) -> Result<Unknown, DecodeError> {
    let message = bytes.strip_prefix(MAGIC).ok_or(DecodeError::NoEnvelope)?;
    Ok(Unknown::decode(message)?)
}

/// The old servers wrote the legacy version without a group: that is fine, as the fields are the same.
fn check_type<T: Kind>(kind: &str, api_version: &str) -> Result<(), DecodeError> {
    if kind == T::KIND && (api_version == T::API_VERSION || api_version == "v1") {
        return Ok(());
    }
    Err(DecodeError::Type { kind: kind.to_owned(), api_version: api_version.to_owned(), wanted: T::KIND })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::RawExtension;
    use crate::image::*;
    use crate::json;
    use crate::meta::{ObjectMeta, ObjectReference, OwnerReference};
    use crate::time::Time;

    fn words() -> impl Strategy<Value = BTreeMap<String, String>> {
        prop::collection::btree_map("[a-z./]{1,8}", ".{0,8}", 0..3)
    }

    fn time() -> impl Strategy<Value = Time> {
        prop_oneof![Just(Time::ZERO), (0i64..4_000_000_000).prop_map(Time::from_unix)]
    }

    fn metadata() -> impl Strategy<Value = ObjectMeta> {
        let owner = ("[a-z]{0,4}", any::<Option<bool>>()).prop_map(|(name, controller)| OwnerReference {
            name,
            controller,
            ..Default::default()
        });
        let deletion = prop::option::of((0i64..4_000_000_000).prop_map(Time::from_unix));
        (
            ".{0,6}",
            ".{0,4}",
            any::<i64>(),
            time(),
            deletion,
            words(),
            words(),
            prop::collection::vec(owner, 0..2),
        )
            .prop_map(|(name, uid, generation, created, deleted, labels, annotations, owners)| {
                ObjectMeta {
                    name,
                    uid,
                    generation,
                    creation_timestamp: created,
                    deletion_timestamp: deleted,
                    deletion_grace_period_seconds: deleted.and(Some(0)),
                    labels,
                    annotations,
                    owner_references: owners,
                    ..Default::default()
                }
            })
    }

    fn stream() -> impl Strategy<Value = ImageStream> {
        let from = prop::option::of((".{0,4}", ".{0,4}").prop_map(|(kind, name)| ObjectReference {
            kind,
            name,
            ..Default::default()
        }));
        let tag = (".{0,5}", words(), from, any::<(bool, bool)>(), any::<Option<i64>>()).prop_map(
            |(name, annotations, from, (reference, scheduled), generation)| TagReference {
                name,
                annotations,
                from,
                reference,
                generation,
                import_policy: TagImportPolicy { scheduled, ..Default::default() },
                ..Default::default()
            },
        );
        let event =
            (time(), ".{0,6}", ".{0,6}", any::<i64>()).prop_map(|(created, reference, image, generation)| {
                TagEvent { created, docker_image_reference: reference, image, generation }
            });
        let history = (".{0,5}", prop::collection::vec(event, 0..3))
            .prop_map(|(tag, items)| NamedTagEventList { tag, items, ..Default::default() });
        (metadata(), prop::collection::vec(tag, 0..3), prop::collection::vec(history, 0..3), any::<bool>())
            .prop_map(|(metadata, tags, histories, local)| ImageStream {
                metadata,
                spec: ImageStreamSpec {
                    tags,
                    lookup_policy: ImageLookupPolicy { local },
                    ..Default::default()
                },
                status: ImageStreamStatus { tags: histories, ..Default::default() },
            })
    }

    fn image() -> impl Strategy<Value = Image> {
        let layer =
            (".{0,6}", any::<i64>()).prop_map(|(name, size)| ImageLayer { name, size, ..Default::default() });
        let signature = (metadata(), any::<Vec<u8>>(), prop::option::of((0i64..9).prop_map(Time::from_unix)))
            .prop_map(|(metadata, content, created)| ImageSignature {
                metadata,
                content,
                created,
                ..Default::default()
            });
        let issuer = prop::collection::vec(any::<Vec<u8>>(), 0..2);
        (
            metadata(),
            ".{0,8}",
            prop::collection::vec(layer, 0..3),
            prop::collection::vec(signature, 0..2),
            issuer,
            0u8..9,
        )
            .prop_map(|(metadata, reference, layers, signatures, old, size)| Image {
                metadata,
                docker_image_reference: reference,
                docker_image_metadata: RawExtension::from_json(format!("{{\"Size\":{size}}}").into_bytes()),
                docker_image_layers: layers,
                signatures,
                docker_image_signatures: old,
                ..Default::default()
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn streams_are_the_same_in_both_encodings(stream in stream()) {
            prop_assert_eq!(&decode::<ImageStream>(&encode(&stream)).unwrap(), &stream);
            prop_assert_eq!(&decode::<ImageStream>(&json::object(&stream)).unwrap(), &stream);
        }

        #[test]
        fn images_are_the_same_in_both_encodings(image in image()) {
            prop_assert_eq!(&decode::<Image>(&encode(&image)).unwrap(), &image);
            prop_assert_eq!(&decode::<Image>(&json::object(&image)).unwrap(), &image);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = decode::<Image>(&bytes);
            let _ = decode::<ImageStream>(&[MAGIC.as_slice(), &bytes].concat());
        }
    }

    #[test]
    fn the_envelope_names_the_type() {
        let bytes = encode(&ImageStream::default());
        let envelope = open(&bytes).unwrap();
        assert_eq!(envelope.type_meta.kind, "ImageStream");
        assert_eq!(envelope.type_meta.api_version, "image.openshift.io/v1");
        assert!(matches!(decode::<Image>(&bytes), Err(DecodeError::Type { .. })));
        assert!(matches!(decode::<Image>(b"nonsense"), Err(DecodeError::NoEnvelope)));
    }
}
