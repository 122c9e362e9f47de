//! Answers in protobuf, made from the JSON that everything else is made of.
//!
//! Image kinds and their lists have this form, and so has a Status. Few clients want it, so it is made for each of them.

use prost::Message;
use serde::de::DeserializeOwned;

use super::{MAGIC, TypeMeta, encode};
use crate::RawExtension;
use crate::image::{
    Image, ImageSignature, ImageStream, ImageStreamImage, ImageStreamImport, ImageStreamLayers,
    ImageStreamMapping, ImageStreamTag, ImageTag,
};
use crate::meta::{Kind, ListMeta, Status};

/// The kinds that have the form.
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
pub fn is_offered(group: &str, kind: &str) -> bool {
    group == crate::image::GROUP && KINDS.contains(&kind)
}

/// An object (with or without its type header) in protobuf; `None` for a kind that has no such form.
///
/// # Errors
/// When the JSON is no object of the kind.
pub fn object(kind: &str, json: &[u8]) -> Result<Option<Vec<u8>>, serde_json::Error> {
    fn typed<T: Kind + DeserializeOwned>(json: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::from_slice::<T>(json).map(|object| encode(&object))
    }
    Ok(Some(match kind {
        "Image" => typed::<Image>(json)?,
        "ImageSignature" => typed::<ImageSignature>(json)?,
        "ImageStream" => typed::<ImageStream>(json)?,
        "ImageStreamImage" => typed::<ImageStreamImage>(json)?,
        "ImageStreamImport" => typed::<ImageStreamImport>(json)?,
        "ImageStreamLayers" => typed::<ImageStreamLayers>(json)?,
        "ImageStreamMapping" => typed::<ImageStreamMapping>(json)?,
        "ImageStreamTag" => typed::<ImageStreamTag>(json)?,
        "ImageTag" => typed::<ImageTag>(json)?,
        "Status" => {
            let status: Status = serde_json::from_slice(json)?;
            envelope("v1", "Status", &status.encode_to_vec())
        }
        _ => return Ok(None),
    }))
}

/// A list in protobuf: its metadata, and items as JSON.
///
/// # Errors
/// When an item is no object of the kind.
pub fn list<'a>(
    kind: &str,
    metadata: &ListMeta,
    items: impl Iterator<Item = std::borrow::Cow<'a, [u8]>>,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut raw = Vec::with_capacity(4096);
    prost::encoding::message::encode(1, metadata, &mut raw);
    for item in items {
        // Inside of a list objects have no envelope of their own.
        if let Some(object) = object(kind, &item)?
            && let Ok(envelope) = super::open(&object)
        {
            prost::encoding::bytes::encode(2, &envelope.raw, &mut raw);
        }
    }
    Ok(envelope(crate::image::GROUP_VERSION, &format!("{kind}List"), &raw))
}

/// A frame of a watch: its length, and an event that holds the object in its envelope.
///
/// # Errors
/// When the JSON is no object of the kind.
pub fn frame(word: &str, kind: &str, json: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let raw = object(kind, json)?.unwrap_or_default();
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
    use std::borrow::Cow;

    use super::*;
    use crate::protobuf::{decode, open};

    const STREAM: &[u8] = br#"{"kind":"ImageStream","metadata":{"name":"a","resourceVersion":"7"},"spec":{"tags":[{"name":"x","generation":2}]}}"#;

    #[test]
    fn every_kind_that_is_offered_has_the_form() {
        for kind in KINDS {
            let bytes = object(kind, br#"{"metadata":{"name":"a"}}"#).unwrap().unwrap();
            assert_eq!(open(&bytes).unwrap().type_meta.kind, *kind);
        }
        assert_eq!(object("Secret", b"{}").unwrap(), None);
        assert!(is_offered("image.openshift.io", "ImageStream") && !is_offered("", "Image"));
    }

    #[test]
    fn objects_keep_what_they_are() {
        let stream: ImageStream = decode(&object("ImageStream", STREAM).unwrap().unwrap()).unwrap();
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
        let bytes = list("ImageStream", &metadata, items.into_iter()).unwrap();
        let envelope = open(&bytes).unwrap();
        assert_eq!(envelope.type_meta.kind, "ImageStreamList");
        let list = List::decode(envelope.raw.as_slice()).unwrap();
        assert_eq!(list.metadata, Some(metadata));
        assert_eq!((list.items.len(), list.items[1].metadata.name.as_str()), (2, "a"));
    }

    #[test]
    fn frames_say_their_length() {
        let frame = frame("ADDED", "ImageStream", STREAM).unwrap();
        let (length, event) = frame.split_at(4);
        assert_eq!(u32::from_be_bytes(length.try_into().unwrap()) as usize, event.len());
        let event = WatchEvent::decode(event).unwrap();
        assert_eq!(event.r#type, "ADDED");
        let stream: ImageStream = decode(&event.object.unwrap().raw).unwrap();
        assert_eq!(stream.metadata.name, "a");
    }
}
