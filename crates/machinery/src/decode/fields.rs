//! From a value to a typed object, noting keys that the type does not have.
//!
//! The types' own field names (which serde hands to the deserializer) decide what is known, so nothing is listed twice.
//! Errors are worded as Go's decoder words them: with the struct, the path and the Go type of the field.

use std::cell::RefCell;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer as _, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};

use super::document::Path;
use super::element::element_type;
use crate::json::go_kind;
use crate::limits::MAX_FIELD_WARNINGS;

/// Why a value does not fit a type, in Go's words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Misfit(pub(super) String);

impl serde::de::Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Misfit {
        Misfit(message.to_string())
    }
}

/// Makes an object from a value. Also returns the paths of keys that its type does not have.
///
/// # Errors
/// [`Misfit`] when some value is of the wrong type.
pub(super) fn from_value<T: DeserializeOwned>(value: &Value) -> Result<(T, Vec<String>), Misfit> {
    let unknown = RefCell::new(Vec::new());
    let node = Node { value, path: &Path::Root, owner: "", unknown: &unknown };
    let object = T::deserialize(node)?;
    Ok((object, unknown.into_inner()))
}

#[derive(Clone, Copy)]
struct Node<'a> {
    value: &'a Value,
    path: &'a Path<'a>,
    /// The struct whose field this is.
    owner: &'static str,
    unknown: &'a RefCell<Vec<String>>,
}

impl Node<'_> {
    /// The value is not of the Go type that is wanted.
    fn misfit(&self, wanted: &str) -> Misfit {
        let kind = match self.value {
            Value::Number(number) if number.is_f64() && wanted.starts_with("int") => {
                format!("number {number}")
            }
            other => go_kind(other).to_owned(),
        };
        let path = self.path.fields();
        if path.is_empty() {
            return Misfit(format!("json: cannot unmarshal {kind} into Go value of type {wanted}"));
        }
        let owner = self.owner;
        Misfit(format!("json: cannot unmarshal {kind} into Go struct field {owner}.{path} of type {wanted}"))
    }
}

macro_rules! integers {
    ($($method:ident $go:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            match self.value {
                Value::Number(number) => {
                    if let Some(value) = number.as_i64() {
                        visitor.visit_i64(value).map_err(|_: Misfit| self.misfit($go))
                    } else {
                        Err(self.misfit($go))
                    }
                }
                _ => Err(self.misfit($go)),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::String(value) => visitor.visit_str(value),
            Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(value), ..) => visitor.visit_i64(value),
                (_, Some(value), _) => visitor.visit_u64(value),
                (_, _, Some(value)) => visitor.visit_f64(value),
                _ => Err(self.misfit("float64")),
            },
            Value::Array(items) => self.list(items, visitor),
            Value::Object(fields) => self.map(fields, None, "", visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            _ => Err(self.misfit("bool")),
        }
    }

    integers! {
        deserialize_i8 "int8";
        deserialize_i16 "int16";
        deserialize_i32 "int32";
        deserialize_i64 "int64";
        deserialize_u8 "uint8";
        deserialize_u16 "uint16";
        deserialize_u32 "uint32";
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.value.as_u64() {
            Some(value) => visitor.visit_u64(value),
            None => Err(self.misfit("uint64")),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.value.as_f64() {
            Some(value) => visitor.visit_f64(value),
            None => Err(self.misfit("float64")),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.value {
            Value::String(value) => visitor.visit_str(value),
            _ => Err(self.misfit("string")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.value {
            Value::Array(items) => self.list(items, visitor),
            _ => Err(self.misfit(&format!("[]{}", element_type(visitor)))),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.value {
            Value::Object(fields) => self.map(fields, None, self.owner, visitor),
            _ => Err(self.misfit("map[string]string")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.value {
            Value::Object(map) => self.map(map, Some(fields), name, visitor),
            // Go takes null for a struct that is left alone.
            Value::Null => self.map(&Map::new(), Some(fields), name, visitor),
            _ => Err(self.misfit(&format!("v1.{name}"))),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        // Raw documents are asked for under a name that only serde_json knows.
        let text = crate::json::compact(self.value);
        serde_json::Deserializer::from_reader(text.as_slice())
            .deserialize_newtype_struct(name, visitor)
            .map_err(|error| Misfit(error.to_string()))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier
    }
}

impl<'a> Node<'a> {
    fn list<'de, V: Visitor<'de>>(self, items: &'a [Value], visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_seq(Items { node: self, items: items.iter(), index: 0 })
    }

    fn map<'de, V: Visitor<'de>>(
        self,
        map: &Map<String, Value>,
        known: Option<&'static [&'static str]>,
        owner: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let plain_map = known.is_none();
        visitor.visit_map(Fields { node: self, entries: map.iter(), next: None, known, owner, plain_map })
    }
}

struct Items<'a> {
    node: Node<'a>,
    items: std::slice::Iter<'a, Value>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        let Some(value) = self.items.next() else { return Ok(None) };
        let path = Path::Index(self.node.path, self.index);
        self.index += 1;
        seed.deserialize(Node { value, path: &path, ..self.node }).map(Some)
    }
}

struct Fields<'a, 'm> {
    node: Node<'a>,
    entries: serde_json::map::Iter<'m>,
    next: Option<(&'m str, &'m Value)>,
    known: Option<&'static [&'static str]>,
    owner: &'static str,
    plain_map: bool,
}

impl Fields<'_, '_> {
    /// Objects name their type inline, also where they are embedded.
    fn is_known(&self, key: &str) -> bool {
        self.known.is_none_or(|fields| {
            fields.contains(&key) || (matches!(key, "kind" | "apiVersion") && fields.contains(&"metadata"))
        })
    }
}

impl<'de> MapAccess<'de> for Fields<'_, '_> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        while let Some((key, value)) = self.entries.next() {
            if self.is_known(key) {
                self.next = Some((key, value));
                let key: StrDeserializer<'_, Misfit> = key.as_str().into_deserializer();
                return seed.deserialize(key).map(Some);
            }
            let mut unknown = self.node.unknown.borrow_mut();
            if unknown.len() < MAX_FIELD_WARNINGS {
                unknown.push(Path::Field(self.node.path, key).to_string());
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let Some((key, value)) = self.next.take() else {
            return Err(Misfit("a value without a key".to_owned()));
        };
        let path = Path::Field(self.node.path, key);
        // Go does not name the keys of plain maps.
        let path = if self.plain_map { self.node.path } else { &path };
        seed.deserialize(Node { value, path, owner: self.owner, unknown: self.node.unknown })
    }
}
