//! From JSON to protobuf.
//!
//! Fields are written by number. What is absent or null in the JSON is not written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::encoding::{WireType, encode_key, encode_varint};
use serde_json::Value;

use super::Misfit;
use super::read::{Instant, IntOrString, Quantity, Texts};
use super::schema::{Field, Kind, Many, Message, message_at};

/// The bytes of a message.
pub(super) fn message(message: &'static Message, object: &Value) -> Result<Vec<u8>, Misfit> {
    let mut out = Vec::new();
    for field in &message.fields {
        let misfit = || Misfit { message: message.name, field: field.name };
        let held = if field.name.is_empty() { object } else { &object[field.name] };
        match (field.many, held) {
            (_, Value::Null) => {}
            (Many::One, value) => {
                let before = out.len();
                one(field, value, &mut out)?.ok_or_else(misfit)?;
                // An embedded message without any of its fields is not there.
                if field.name.is_empty() && out.ends_with(&[0]) && out.len() == before + 2 {
                    out.truncate(before);
                }
            }
            (Many::List, Value::Array(items)) => {
                for item in items {
                    one(field, item, &mut out)?.ok_or_else(misfit)?;
                }
            }
            (Many::Map, Value::Object(map)) => {
                for (key, value) in map {
                    let mut entry = Vec::new();
                    delimited(1, key.as_bytes(), &mut entry);
                    let value_field = Field { number: 2, name: "value", many: Many::One, ..*field };
                    one(&value_field, value, &mut entry)?.ok_or_else(misfit)?;
                    delimited(field.number, &entry, &mut out);
                }
            }
            _ => return Err(misfit()),
        }
    }
    Ok(out)
}

/// One value; `None` when its field cannot hold it.
fn one(field: &Field, value: &Value, out: &mut Vec<u8>) -> Result<Option<()>, Misfit> {
    let number = field.number;
    let written = match field.kind {
        Kind::Message(place) => {
            if !value.is_object() {
                return Ok(None);
            }
            delimited(number, &message(message_at(place), value)?, out);
            Some(())
        }
        Kind::Text => value.as_str().map(|text| delimited(number, text.as_bytes(), out)),
        Kind::Bool => value.as_bool().map(|truth| varint(number, u64::from(truth), out)),
        Kind::Int => value.as_i64().map(|int| varint(number, int.cast_unsigned(), out)),
        Kind::Double => value.as_f64().map(|double| prost::encoding::double::encode(number, &double, out)),
        Kind::Bytes => value
            .as_str()
            .and_then(|text| STANDARD.decode(text).ok())
            .map(|bytes| delimited(number, &bytes, out)),
        Kind::Raw => {
            part(number, &crate::RawExtension { raw: value.to_string().into_bytes() }, out);
            Some(())
        }
        Kind::Time | Kind::MicroTime => instant(value).map(|instant| part(number, &instant, out)),
        Kind::Quantity => quantity(value).map(|string| part(number, &Quantity { string }, out)),
        Kind::IntOrString => either(value).map(|either| part(number, &either, out)),
        Kind::Texts => texts(value).map(|items| part(number, &Texts { items }, out)),
    };
    Ok(written)
}

fn instant(value: &Value) -> Option<Instant> {
    let time: jiff::Timestamp = value.as_str()?.parse().ok()?;
    Some(Instant { seconds: time.as_second(), nanos: time.subsec_nanosecond() })
}

/// Clients may have written a plain number.
fn quantity(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn either(value: &Value) -> Option<IntOrString> {
    match value {
        Value::String(text) => Some(IntOrString { r#type: 1, number: 0, text: text.clone() }),
        Value::Number(number) => {
            let number = i32::try_from(number.as_i64()?).ok()?;
            Some(IntOrString { r#type: 0, number, text: String::new() })
        }
        _ => None,
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

fn part(number: u32, message: &impl prost::Message, out: &mut Vec<u8>) {
    delimited(number, &message.encode_to_vec(), out);
}

fn varint(number: u32, value: u64, out: &mut Vec<u8>) {
    encode_key(number, WireType::Varint, out);
    encode_varint(value, out);
}

fn delimited(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
