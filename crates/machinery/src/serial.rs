//! How fields of API objects become JSON and back, in Go's manner.
//!
//! A JSON `null` for any field means its zero value; bytes are padded base64; some empty lists and maps print `null`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Reads a value, taking `null` for the zero value.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Prints an empty collection as `null`.
pub(crate) fn null_if_empty<S, T>(value: &T, serializer: S) -> Result<S::Ok, S::Error>
where
    S: Serializer,
    T: Serialize,
    for<'a> &'a T: IntoIterator,
{
    if value.into_iter().next().is_none() { serializer.serialize_none() } else { value.serialize(serializer) }
}

pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

pub(crate) fn is_zero(value: &i64) -> bool {
    *value == 0
}

pub(crate) fn is_zero_i32(value: &i32) -> bool {
    *value == 0
}

/// `[]byte`: padded base64; nothing is `null`.
pub(crate) mod base64_bytes {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(value: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_empty() {
            serializer.serialize_none()
        } else {
            serializer.serialize_str(&STANDARD.encode(value))
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        match Option::<String>::deserialize(deserializer)? {
            Some(text) => STANDARD.decode(text.as_bytes()).map_err(D::Error::custom),
            None => Ok(Vec::new()),
        }
    }
}

/// `[][]byte`.
pub(crate) mod base64_list {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(value: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(value.iter().map(|item| STANDARD.encode(item)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<u8>>, D::Error> {
        let list = Option::<Vec<String>>::deserialize(deserializer)?.unwrap_or_default();
        list.iter().map(|text| STANDARD.decode(text.as_bytes()).map_err(D::Error::custom)).collect()
    }
}

/// A JSON document inside another object, kept as it came, but without blanks and fit to be sent; empty means absent.
#[derive(Clone, PartialEq, Message)]
pub struct RawExtension {
    /// The document.
    #[prost(bytes = "vec", tag = "1")]
    pub raw: Vec<u8>,
}

impl RawExtension {
    /// Wraps a document that is known to be JSON. What is kept takes no more room than it needs.
    pub fn from_json(mut raw: Vec<u8>) -> RawExtension {
        raw.shrink_to_fit();
        RawExtension { raw }
    }

    /// True when there is no document.
    pub fn is_zero(&self) -> bool {
        self.raw.is_empty()
    }

    /// The document as text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.raw).ok()
    }
}

impl fmt::Display for RawExtension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str().unwrap_or("null"))
    }
}

impl Serialize for RawExtension {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.raw.is_empty() {
            return serializer.serialize_none();
        }
        let raw: &RawValue = serde_json::from_slice(&self.raw).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RawExtension {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawExtension, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if raw.get() == "null" {
            return Ok(RawExtension::default());
        }
        Ok(RawExtension { raw: crate::json::compact_raw(String::from(Box::<str>::from(raw)).into_bytes()) })
    }
}
