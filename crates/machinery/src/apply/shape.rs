//! How a value of a described type is walked: as a plain value, a list or a map.
//!
//! Values whose type is not described are taken for what they look like: maps field by field, lists as a whole. A list
//! item is known by its key, and a key that an item leaves out has the default of its field.

use serde_json::{Map, Value};

use super::element::Element;
use crate::schema::{Merge, Object, Shape};

/// What a value is walked as.
#[derive(Clone, Copy, Debug)]
pub(super) enum Walk {
    Scalar(Scalar),
    List(Items),
    Map(Fields),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Text,
    Number,
    Bool,
    Any,
}

/// The items of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Items {
    pub(super) item: Shape,
    pub(super) merge: Merge,
}

/// The fields of an object or map.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    object: Option<&'static Object>,
    /// The type of fields that are not described; `None` where there may be none.
    element: Option<Shape>,
    pub(super) atomic: bool,
}

impl Walk {
    /// How a value is walked; nothing at all is walked as whatever its type allows first.
    pub(super) fn of(shape: Shape, value: Option<&Value>) -> Walk {
        match shape {
            Shape::Text | Shape::Bytes | Shape::Time => Walk::Scalar(Scalar::Text),
            Shape::Bool => Walk::Scalar(Scalar::Bool),
            Shape::Int32 | Shape::Int64 => Walk::Scalar(Scalar::Number),
            Shape::IntOrText | Shape::Quantity => Walk::Scalar(Scalar::Any),
            Shape::Object(object) => {
                // An object without any described field is free.
                let free = object.open || object.fields.is_empty();
                let element = free.then_some(Shape::Any);
                Walk::Map(Fields { object: Some(object), element, atomic: object.atomic })
            }
            Shape::Map(item) => Walk::Map(Fields { object: None, element: Some(*item), atomic: false }),
            Shape::List(item, merge) => Walk::List(Items { item: *item, merge }),
            Shape::Any => match value {
                Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => Walk::Scalar(Scalar::Any),
                Some(Value::Array(_)) => Walk::List(Items { item: Shape::Any, merge: Merge::Atomic }),
                _ => Walk::Map(Fields { object: None, element: Some(Shape::Any), atomic: false }),
            },
        }
    }

    /// True for two ways of walking that are of one kind.
    pub(super) fn is_like(&self, other: &Walk) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl Fields {
    /// The type of a field; `None` when there is no such field.
    pub(super) fn shape(&self, name: &str) -> Option<Shape> {
        self.described(name).or(self.element)
    }

    /// The type of a field that the object's type names.
    pub(super) fn described(&self, name: &str) -> Option<Shape> {
        self.object.and_then(|object| object.field(name)).map(|field| field.shape)
    }
}

impl Items {
    /// The text that alone tells an item from the others, where that is so.
    pub(super) fn word<'a>(&self, item: &'a Value) -> Option<&'a str> {
        match (self.merge, item) {
            // An empty one is as one that is left out.
            (Merge::ByKey([key]), Value::Object(fields)) => {
                fields.get(*key)?.as_str().filter(|word| !word.is_empty())
            }
            _ => None,
        }
    }

    /// True when both lists have the same items, told apart by a word each, in the same order.
    pub(super) fn are_paired(&self, a: &[Value], b: &[Value]) -> bool {
        let pairs = || a.iter().zip(b);
        a.len() == b.len()
            && pairs().all(|(a, b)| self.word(a).is_some_and(|word| self.word(b) == Some(word)))
    }

    /// What tells an item from the others.
    ///
    /// # Errors
    /// When the item has nothing that does.
    pub(super) fn element(&self, item: &Value) -> Result<Element, String> {
        match self.merge {
            Merge::Atomic => Err("invalid indexing of non-associative list".to_owned()),
            Merge::Set => match item {
                Value::Object(_) => {
                    Err("associative list without keys has an element that's a map type".to_owned())
                }
                Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
                _ => Ok(Element::Value(item.clone())),
            },
            Merge::ByKey(keys) => match item {
                Value::Null => Err("associative list with keys may not have a null element".to_owned()),
                Value::Object(fields) => self.key(keys, fields),
                _ => Err("associative list with keys may not have non-map elements".to_owned()),
            },
        }
    }

    /// What an item has in the fields that tell it apart; one of several may be left out.
    fn key(&self, keys: &'static [&'static str], fields: &Map<String, Value>) -> Result<Element, String> {
        let mut values: Vec<(Box<str>, Value)> = Vec::with_capacity(keys.len());
        for &key in keys {
            if let Some(value) = fields.get(key).cloned().or_else(|| self.default(key)) {
                values.push((key.into(), value));
            } else if keys.len() == 1 {
                return Err(format!(
                    "associative list with keys has an element that omits key field {} \
                     (and doesn't have default value)",
                    crate::field::quote(key)
                ));
            }
        }
        if values.is_empty() {
            return Err(format!(
                "associative list with keys has an element that omits all key fields {keys:?}"
            ));
        }
        values.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Element::Key(values.into()))
    }

    fn default(&self, key: &str) -> Option<Value> {
        let Shape::Object(object) = self.item else { return None };
        let field = object.field(key).filter(|field| field.filled)?;
        match field.shape {
            Shape::Text => Some(field.default.into()),
            Shape::Bool => Some(Value::Bool(false)),
            Shape::Int32 | Shape::Int64 => Some(0.into()),
            _ => None,
        }
    }
}

/// The object in a value, if it is one.
pub(super) fn map(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

/// The list in a value, if it is one.
pub(super) fn list(value: Option<&Value>) -> Option<&Vec<Value>> {
    value.and_then(Value::as_array)
}
