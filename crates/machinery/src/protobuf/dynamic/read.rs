//! From protobuf to JSON.
//!
//! A number, truth or text that is zero is left out of the JSON unless the table says that it is told apart from its absence:
//! Kubernetes' writers send the zeros of all plain fields. Messages that are there are kept, even empty ones.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use serde_json::{Map, Number, Value};

use super::schema::{Field, Kind, Many, Message, message_at};
use crate::protobuf::DecodeError;

/// Reads a message into `object`.
pub(super) fn message(
    message: &Message,
    mut bytes: &[u8],
    object: &mut Map<String, Value>,
) -> Result<(), DecodeError> {
    while !bytes.is_empty() {
        let (number, wire) = decode_key(&mut bytes)?;
        let Some(field) = find(message, number) else {
            skip_field(wire, number, &mut bytes, DecodeContext::default())?;
            continue;
        };
        match (field.many, field.kind) {
            (Many::One, Kind::Message(place)) => {
                let inner = delimited(wire, &mut bytes)?;
                nested(message_at(place), field.name, inner, object)?;
            }
            (Many::One, _) => {
                if let Some(value) = value(field, wire, &mut bytes)? {
                    object.insert(field.name.to_owned(), value);
                }
            }
            (Many::List, Kind::Int) if wire == WireType::LengthDelimited => {
                // Numbers may be packed.
                let mut packed = delimited(wire, &mut bytes)?;
                while !packed.is_empty() {
                    let item = element(field, WireType::Varint, &mut packed)?;
                    list(object, field.name).push(item);
                }
            }
            (Many::List, _) => {
                let item = element(field, wire, &mut bytes)?;
                list(object, field.name).push(item);
            }
            (Many::Map, _) => {
                let entry = delimited(wire, &mut bytes)?;
                let (key, value) = map_entry(field, entry)?;
                let slot = object.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(map) = slot {
                    map.insert(key, value);
                }
            }
        }
    }
    Ok(())
}

fn find(message: &Message, number: u32) -> Option<&Field> {
    let place = message.fields.binary_search_by_key(&number, |field| field.number).ok()?;
    message.fields.get(place)
}

fn list<'a>(object: &'a mut Map<String, Value>, name: &str) -> &'a mut Vec<Value> {
    let slot = object.entry(name).or_insert_with(|| Value::Array(Vec::new()));
    slot.as_array_mut().expect("a list's name is nobody else's in its message")
}

/// A message that is there twice is one, as its parts are merged.
fn nested(
    inner: &Message,
    name: &'static str,
    bytes: &[u8],
    object: &mut Map<String, Value>,
) -> Result<(), DecodeError> {
    if name.is_empty() {
        return message(inner, bytes, object);
    }
    let slot = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
    let slot = slot.as_object_mut().expect("a message's name is nobody else's in its message");
    message(inner, bytes, slot)
}

fn map_entry(field: &Field, mut bytes: &[u8]) -> Result<(String, Value), DecodeError> {
    let mut key = String::new();
    let mut found = None;
    while !bytes.is_empty() {
        let (number, wire) = decode_key(&mut bytes)?;
        match number {
            1 => key = text(delimited(wire, &mut bytes)?)?,
            2 => found = Some(element(field, wire, &mut bytes)?),
            _ => skip_field(wire, number, &mut bytes, DecodeContext::default())?,
        }
    }
    let value = match found {
        Some(value) => value,
        None => element(field, WireType::LengthDelimited, &mut [0].as_slice())?,
    };
    Ok((key, value))
}

/// A field that is there once; `None` for a zero that means nothing.
fn value(field: &Field, wire: WireType, bytes: &mut &[u8]) -> Result<Option<Value>, DecodeError> {
    let value = element(field, wire, bytes)?;
    let unset = match &value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Bool(truth) => !*truth && !field.pointer,
        Value::Number(number) => {
            number.as_f64() == Some(0.0) && !field.pointer && field.kind != Kind::IntOrString
        }
        _ => false,
    };
    Ok((!unset).then_some(value))
}

/// One value, zero or not.
fn element(field: &Field, wire: WireType, bytes: &mut &[u8]) -> Result<Value, DecodeError> {
    Ok(match field.kind {
        Kind::Text => text(delimited(wire, bytes)?)?.into(),
        Kind::Bool => (varint(wire, bytes)? != 0).into(),
        Kind::Int => varint(wire, bytes)?.cast_signed().into(),
        Kind::Double => {
            let mut number = 0.0;
            prost::encoding::double::merge(wire, &mut number, bytes, DecodeContext::default())?;
            Number::from_f64(number).map_or(Value::Null, Value::Number)
        }
        Kind::Bytes => STANDARD.encode(delimited(wire, bytes)?).into(),
        Kind::Time => time(delimited(wire, bytes)?, false)?,
        Kind::MicroTime => time(delimited(wire, bytes)?, true)?,
        Kind::Quantity => {
            let amount = Quantity::decode(delimited(wire, bytes)?)?.string;
            if amount.is_empty() { "0".into() } else { amount.into() }
        }
        Kind::IntOrString => {
            let either = IntOrString::decode(delimited(wire, bytes)?)?;
            if either.r#type == 1 { either.text.into() } else { either.number.into() }
        }
        Kind::Raw => {
            let raw = crate::RawExtension::decode(delimited(wire, bytes)?)?.raw;
            if raw.is_empty() { Value::Null } else { serde_json::from_slice(&raw)? }
        }
        Kind::Texts => Texts::decode(delimited(wire, bytes)?)?.items.into(),
        Kind::Message(place) => {
            let mut object = Map::new();
            message(message_at(place), delimited(wire, bytes)?, &mut object)?;
            Value::Object(object)
        }
    })
}

/// An amount.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Quantity {
    #[prost(string, tag = "1")]
    pub(super) string: String,
}

/// A number (type 0) or text (type 1).
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct IntOrString {
    #[prost(int64, tag = "1")]
    pub(super) r#type: i64,
    #[prost(int32, tag = "2")]
    pub(super) number: i32,
    #[prost(string, tag = "3")]
    pub(super) text: String,
}

/// Several values of one key.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Texts {
    #[prost(string, repeated, tag = "1")]
    pub(super) items: Vec<String>,
}

/// A point in time.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Instant {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

fn time(bytes: &[u8], micros: bool) -> Result<Value, DecodeError> {
    /// Nobody's zero time is worth printing.
    const YEAR_ONE: i64 = -62_135_596_800;
    let instant = Instant::decode(bytes)?;
    if bytes.is_empty() || instant.seconds == YEAR_ONE {
        return Ok(Value::Null);
    }
    let nanos = if micros { instant.nanos.clamp(0, 999_999_999) / 1000 * 1000 } else { 0 };
    let Ok(time) = jiff::Timestamp::new(instant.seconds, nanos) else { return Ok(Value::Null) };
    Ok(if micros { format!("{time:.6}") } else { format!("{time:.0}") }.into())
}

/// The bytes of a field that says its length.
fn delimited<'a>(wire: WireType, bytes: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
    prost::encoding::check_wire_type(WireType::LengthDelimited, wire)?;
    let length = usize::try_from(decode_varint(bytes)?).unwrap_or(usize::MAX);
    let (field, rest) = bytes.split_at_checked(length).ok_or(DecodeError::Truncated)?;
    *bytes = rest;
    Ok(field)
}

fn varint(wire: WireType, bytes: &mut &[u8]) -> Result<u64, DecodeError> {
    prost::encoding::check_wire_type(WireType::Varint, wire)?;
    Ok(decode_varint(bytes)?)
}

fn text(bytes: &[u8]) -> Result<String, DecodeError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| DecodeError::Text)
}
