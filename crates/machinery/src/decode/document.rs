//! JSON documents in which a key may stand twice: the last one counts, and every repetition is noted with its path.

use std::cell::RefCell;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::field::quote;
use crate::limits::{MAX_DEPTH, MAX_FIELD_WARNINGS};

/// A document and the paths of keys that stood in it more than once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Document {
    /// What it says.
    pub(super) value: Value,
    /// `duplicate field "metadata.name"`, one a repeated key.
    pub(super) duplicates: Vec<String>,
}

/// Reads a document. Nesting beyond [`MAX_DEPTH`] is an error.
pub(super) fn parse(bytes: &[u8]) -> Result<Document, serde_json::Error> {
    let duplicates = RefCell::default();
    let mut input = serde_json::Deserializer::from_slice(bytes);
    let value = Node { path: &Path::Root, depth: 0, duplicates: &duplicates }.deserialize(&mut input)?;
    input.end()?;
    Ok(Document { value, duplicates: duplicates.into_inner() })
}

/// Where in a document something stands.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    /// The names of fields alone, without indices: how Go names a field.
    pub(super) fn fields(&self) -> String {
        match self {
            Path::Root => String::new(),
            Path::Index(parent, _) => parent.fields(),
            Path::Field(parent, name) => joined(parent.fields(), name),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Path::Field(Path::Root, name) => f.write_str(name),
            Path::Field(parent, name) => write!(f, "{parent}.{name}"),
        }
    }
}

fn joined(parent: String, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { parent + "." + name }
}

#[derive(Clone, Copy)]
struct Node<'a> {
    path: &'a Path<'a>,
    depth: usize,
    duplicates: &'a RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > MAX_DEPTH {
            return Err(D::Error::custom("exceeded max depth"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let path = Path::Index(self.path, list.len());
            match items.next_element_seed(Node { path: &path, depth: self.depth + 1, ..self })? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let path = Path::Field(self.path, &key);
            if map.contains_key(&key) && self.duplicates.borrow().len() < MAX_FIELD_WARNINGS {
                self.duplicates.borrow_mut().push(format!("duplicate field {}", quote(&path.to_string())));
            }
            let value = entries.next_value_seed(Node { path: &path, depth: self.depth + 1, ..self })?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn duplicates_are_noted_and_the_last_one_counts() {
        let document = parse(br#"{"a":[{"b":1,"b":2}],"c":null,"a2":1.5}"#).unwrap();
        assert_eq!(document.value, json!({"a": [{"b": 2}], "c": null, "a2": 1.5}));
        assert_eq!(document.duplicates, ["duplicate field \"a[0].b\""]);
    }

    #[test]
    fn one_document_of_bounded_depth_is_all_there_may_be() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(90).as_bytes()).is_ok());
        for text in ["{} {}", "", &nested(110), &"[".repeat(1_000_000)] {
            assert!(parse(text.as_bytes()).is_err());
        }
    }
}
