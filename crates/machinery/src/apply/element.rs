//! One step of a path into an object: a field, an item of a list by its key or value, or by its place.
//!
//! Steps are ordered as the reference orders them, so that sets come out in its order. On the wire a step is a text with
//! its kind in front: `f:spec`, `k:{"name":"latest"}`, `v:"x"`, `i:0`.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Value};

use crate::field::quote;

/// One step of a path.
#[derive(Clone, Debug)]
pub enum Element {
    /// A field of an object, or a key of a map.
    Field(Box<str>),
    /// The item of a list whose fields have these values; sorted by name.
    Key(Box<[(Box<str>, Value)]>),
    /// A value of a set.
    Value(Value),
    /// A place in a list.
    Index(i64),
}

/// A step that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no step of a path")]
pub struct NoElement(String);

impl Element {
    /// A field.
    pub fn field(name: &str) -> Element {
        Element::Field(name.into())
    }

    /// The step as it is written; `None` for kinds that a later version may know.
    ///
    /// # Errors
    /// [`NoElement`] when the text cannot be a step.
    pub fn parse(text: &str) -> Result<Option<Element>, NoElement> {
        let bad = || NoElement(text.to_owned());
        let (kind, rest) = match text.as_bytes() {
            [kind, b':', ..] => (*kind, &text[2..]),
            _ => return Err(bad()),
        };
        Ok(Some(match kind {
            b'f' => Element::field(rest),
            b'v' => Element::Value(serde_json::from_str(rest).map_err(|_| bad())?),
            b'i' => Element::Index(rest.parse().map_err(|_| bad())?),
            b'k' => {
                let fields: Map<String, Value> = serde_json::from_str(rest).map_err(|_| bad())?;
                let mut fields: Vec<(Box<str>, Value)> =
                    fields.into_iter().map(|(name, value)| (name.into(), value)).collect();
                fields.sort_by(|a, b| a.0.cmp(&b.0));
                Element::Key(fields.into())
            }
            _ => return Ok(None),
        }))
    }

    /// The step as it is written.
    pub fn wire(&self) -> String {
        match self {
            Element::Field(name) => format!("f:{name}"),
            Element::Value(value) => format!("v:{value}"),
            Element::Index(index) => format!("i:{index}"),
            Element::Key(fields) => {
                let mut text = String::from("k:{");
                for (index, (name, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    text.push_str(&Value::String(name.to_string()).to_string());
                    text.push(':');
                    text.push_str(&value.to_string());
                }
                text.push('}');
                text
            }
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Element::Field(_) => 0,
            Element::Key(_) => 1,
            Element::Value(_) => 2,
            Element::Index(_) => 3,
        }
    }
}

impl Ord for Element {
    fn cmp(&self, other: &Element) -> Ordering {
        match (self, other) {
            (Element::Field(a), Element::Field(b)) => a.cmp(b),
            (Element::Index(a), Element::Index(b)) => a.cmp(b),
            (Element::Value(a), Element::Value(b)) => order(a, b),
            (Element::Key(a), Element::Key(b)) => {
                let pairs = a.iter().zip(b.iter());
                let mut decided = pairs.map(|(a, b)| a.0.cmp(&b.0).then_with(|| order(&a.1, &b.1)));
                decided.find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Element {
    fn partial_cmp(&self, other: &Element) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Element) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Element {}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Field(name) => write!(f, ".{name}"),
            Element::Index(index) => write!(f, "[{index}]"),
            Element::Value(value) => write!(f, "[={}]", shown(value)),
            Element::Key(fields) => {
                f.write_str("[")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    let comma = if index > 0 { "," } else { "" };
                    write!(f, "{comma}{name}={}", shown(value))?;
                }
                f.write_str("]")
            }
        }
    }
}

/// A value inside a path.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        other => other.to_string(),
    }
}

/// True when two values are the same: numbers by what they count, objects whatever the order of their fields.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (Value::Number(_), Value::Number(_)) => order(a, b).is_eq(),
        _ => a == b,
    }
}

/// Numbers before texts, truth values, lists, objects and nothing.
fn order(a: &Value, b: &Value) -> Ordering {
    fn rank(value: &Value) -> u8 {
        match value {
            Value::Number(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            Value::Array(_) => 3,
            Value::Object(_) => 4,
            Value::Null => 5,
        }
    }
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => {
                let float = |number: &serde_json::Number| number.as_f64().unwrap_or_default();
                float(a).total_cmp(&float(b))
            }
        },
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let mut pairs = a.iter().zip(b).map(|(a, b)| order(a, b));
            pairs.find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => {
            let sorted = |map: &Map<String, Value>| {
                let mut entries: Vec<(String, Value)> =
                    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                entries
            };
            let (a, b) = (sorted(a), sorted(b));
            let mut pairs = a.iter().zip(&b).map(|(a, b)| a.0.cmp(&b.0).then_with(|| order(&a.1, &b.1)));
            pairs.find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn steps_are_written_and_read() {
        for text in
            ["f:spec", "f:", "k:{\"name\":\"latest\"}", "k:{\"a\":1,\"b\":true}", "v:\"x\"", "v:3", "i:7"]
        {
            let element = Element::parse(text).unwrap().unwrap();
            assert_eq!(element.wire(), text);
        }
        assert_eq!(Element::parse("z:later"), Ok(None));
        for text in ["", "f", "spec", "k:[]", "k:{", "v:", "i:x"] {
            assert!(Element::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn steps_are_shown_as_people_read_them() {
        let shown = |text: &str| Element::parse(text).unwrap().unwrap().to_string();
        assert_eq!(shown("f:spec"), ".spec");
        assert_eq!(shown("k:{\"name\":\"a\\\"b\",\"n\":1}"), "[n=1,name=\"a\\\"b\"]");
        assert_eq!(shown("v:\"x\""), "[=\"x\"]");
        assert_eq!(shown("i:2"), "[2]");
    }

    #[test]
    fn equal_counts_are_the_same_number() {
        assert!(same(&json!({"a": [1, 2.0]}), &json!({"a": [1.0, 2]})));
        assert!(!same(&json!({"a": null}), &json!({})));
        assert!(order(&json!(2), &json!(10)).is_lt());
        assert!(order(&json!("2"), &json!("10")).is_gt());
        assert!(order(&json!({"a": 1}), &json!({"a": 1, "b": 1})).is_lt());
    }
}
