//! Answers in protobuf, made from the JSON that everything else is made of.
//!
//! Image kinds have types of their own; Kubernetes' kinds, metadata alone and a Status go by the table of their fields. Few
//! clients want the form, so it is made for each of them.

use std::borrow::Cow;

use prost::Message;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::dynamic::{self, Misfit};
use super::{MAGIC, TypeMeta};
use crate::RawExtension;
use crate::image::{
    Image, ImageSignature, ImageStream, ImageStreamImage, ImageStreamImport, ImageStreamLayers,
    ImageStreamMapping, ImageStreamTag, ImageTag,
};
use crate::meta::ListMeta;

/// The image kinds that have the form.
const KINDS: &[&str] = &[
    "Image",
    "ImageSignature",
    "ImageStream",
    "ImageStreamImage",
    "ImageStreamImport",
    "ImageStreamLayers",
    "ImageStreamMapping",
    "ImageStreamTag",
    "ImageTag",
];

/// True for kinds that can be answered with in protobuf.
pub fn is_offered(api_version: &str, kind: &str) -> bool {
    (api_version == crate::image::GROUP_VERSION && KINDS.contains(&kind))
        || dynamic::is_known(api_version, kind)
}

/// JSON that has no protobuf form.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// It is no object of its kind.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A field holds what its message cannot.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// The kind has no such form.
    #[error("{0} has no protobuf form")]
    Kind(String),
}

/// An object (with or without its type header) in protobuf.
///
/// # Errors
/// When the JSON is no object of the kind, or the kind has no such form.
pub fn object(api_version: &str, kind: &str, json: &[u8]) -> Result<Vec<u8>, EncodeError> {
    Ok(envelope(api_version, kind, &message(api_version, kind, json)?))
}

/// An object without its envelope.
fn message(api_version: &str, kind: &str, json: &[u8]) -> Result<Vec<u8>, EncodeError> {
    fn typed<T: Message + Default + DeserializeOwned>(json: &[u8]) -> Result<Vec<u8>, EncodeError> {
        Ok(serde_json::from_slice::<T>(json)?.encode_to_vec())
    }
    if api_version == crate::image::GROUP_VERSION {
        return match kind {
            "Image" => typed::<Image>(json),
            "ImageSignature" => typed::<ImageSignature>(json),
            "ImageStream" => typed::<ImageStream>(json),
            "ImageStreamImage" => typed::<ImageStreamImage>(json),
            "ImageStreamImport" => typed::<ImageStreamImport>(json),
            "ImageStreamLayers" => typed::<ImageStreamLayers>(json),
            "ImageStreamMapping" => typed::<ImageStreamMapping>(json),
            "ImageStreamTag" => typed::<ImageStreamTag>(json),
            "ImageTag" => typed::<ImageTag>(json),
            _ => Err(EncodeError::Kind(kind.to_owned())),
        };
    }
    let value: Value = serde_json::from_slice(json)?;
    dynamic::from_json(api_version, kind, &value)?.ok_or_else(|| EncodeError::Kind(kind.to_owned()))
}

/// A list in protobuf: its metadata, and items as JSON.
///
/// # Errors
/// When an item is no object of the kind.
pub fn list<'a>(
    api_version: &str,
    kind: &str,
    metadata: &ListMeta,
    items: impl Iterator<Item = Cow<'a, [u8]>>,
) -> Result<Vec<u8>, EncodeError> {
    let mut raw = Vec::with_capacity(4096);
    prost::encoding::message::encode(1, metadata, &mut raw);
    for item in items {
        // Inside of a list objects have no envelope of their own.
        prost::encoding::bytes::encode(2, &message(api_version, kind, &item)?, &mut raw);
    }
    Ok(envelope(api_version, &format!("{kind}List"), &raw))
}

/// A frame of a watch: its length, and an event that holds the object in its envelope.
///
/// # Errors
/// When the JSON is no object of the kind.
pub fn frame(word: &str, api_version: &str, kind: &str, json: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let raw = object(api_version, kind, json)?;
    let event = WatchEvent { r#type: word.to_owned(), object: Some(RawExtension { raw }) };
    let length = event.encoded_len();
    let mut out = Vec::with_capacity(length + 4);
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    event.encode_raw(&mut out);
    Ok(out)
}

/// One event of a watch.
#[derive(Clone, PartialEq, Message)]
pub struct WatchEvent {
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
    #[prost(string, tag = "1")]
    pub r#type: String,
    /// The object in its envelope.
    #[prost(message, optional, tag = "2")]
    pub object: Option<RawExtension>,
}

fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let type_meta = TypeMeta { api_version: api_version.to_owned(), kind: kind.to_owned() };
    let mut out = Vec::with_capacity(raw.len() + 80);
    out.extend_from_slice(MAGIC);
    prost::encoding::message::encode(1, &type_meta, &mut out);
    prost::encoding::bytes::encode(2, &raw.to_vec(), &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::GROUP_VERSION;
    use crate::protobuf::{decode, open, to_json};

    const STREAM: &[u8] = br#"{"kind":"ImageStream","metadata":{"name":"a","resourceVersion":"7"},"spec":{"tags":[{"name":"x","generation":2}]}}"#;

    #[test]
    fn every_kind_that_is_offered_has_the_form() {
        for kind in KINDS {
            let bytes = object(GROUP_VERSION, kind, br#"{"metadata":{"name":"a"}}"#).unwrap();
            assert_eq!(open(&bytes).unwrap().type_meta.kind, *kind);
        }
        assert!(is_offered(GROUP_VERSION, "ImageStream") && is_offered("v1", "Secret"));
        // Another group's kind of the same name is another kind.
        assert!(!is_offered("config.openshift.io/v1", "Image") && !is_offered("v1", "Image"));
        assert!(!is_offered("authorization.openshift.io/v1", "SubjectAccessReview"));
        assert!(matches!(object("config.openshift.io/v1", "Image", b"{}"), Err(EncodeError::Kind(_))));
    }

    #[test]
    fn objects_keep_what_they_are() {
        let stream: ImageStream = decode(&object(GROUP_VERSION, "ImageStream", STREAM).unwrap()).unwrap();
        assert_eq!(stream, serde_json::from_slice(STREAM).unwrap());
    }

    #[test]
    fn lists_hold_metadata_and_items() {
        #[derive(Clone, PartialEq, Message)]
        struct List {
            #[prost(message, optional, tag = "1")]
            metadata: Option<ListMeta>,
            #[prost(message, repeated, tag = "2")]
            items: Vec<ImageStream>,
        }
        let metadata = ListMeta { resource_version: "9".to_owned(), ..Default::default() };
        let items = [Cow::Borrowed(STREAM), Cow::Borrowed(STREAM)];
        let bytes = list(GROUP_VERSION, "ImageStream", &metadata, items.into_iter()).unwrap();
        let envelope = open(&bytes).unwrap();
        assert_eq!(envelope.type_meta.kind, "ImageStreamList");
        let list = List::decode(envelope.raw.as_slice()).unwrap();
        assert_eq!(list.metadata, Some(metadata));
        assert_eq!((list.items.len(), list.items[1].metadata.name.as_str()), (2, "a"));
    }

    #[test]
    fn frames_say_their_length() {
        let frame = frame("ADDED", GROUP_VERSION, "ImageStream", STREAM).unwrap();
        let (length, event) = frame.split_at(4);
        assert_eq!(u32::from_be_bytes(length.try_into().unwrap()) as usize, event.len());
        let event = WatchEvent::decode(event).unwrap();
        assert_eq!(event.r#type, "ADDED");
        let stream: ImageStream = decode(&event.object.unwrap().raw).unwrap();
        assert_eq!(stream.metadata.name, "a");
    }

    #[test]
    fn a_status_has_the_form() {
        let status = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no","reason":"NotFound","details":{"name":"x","causes":[{"reason":"r","message":"m","field":"f"}]},"code":404}"#;
        let value = to_json(&object("v1", "Status", status).unwrap()).unwrap().unwrap();
        assert_eq!(value, serde_json::from_slice::<Value>(status).unwrap());
    }
}
