//! How the fields of each kind take part in a strategic merge. It is what their description says: nothing is listed twice.

use crate::schema::{Merge, Object, Shape};

/// How a field takes part in a strategic merge, where it does not simply merge: objects by key, lists as a whole.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// An object with fields of its own.
    Object(&'static Object),
    /// A map of objects with fields of their own.
    Map(&'static Object),
    /// A list of objects that belong together when the key's value is equal.
    List {
        /// The key.
        key: &'static str,
        /// The type of the items.
        item: &'static Object,
    },
    /// A list of words without order or repetition.
    Set,
    /// A value that is replaced as a whole.
    Replace,
}

impl Rule {
    /// The rule of a field; `None` for those that have none of their own, or that are not described.
    pub fn of(object: &Object, field: &str) -> Option<Rule> {
        let field = object.field(field)?;
        if field.replaced {
            return Some(Rule::Replace);
        }
        match field.shape {
            Shape::Object(inner) => Some(Rule::Object(inner)),
            Shape::Map(Shape::Object(inner)) => Some(Rule::Map(inner)),
            Shape::List(Shape::Object(item), Merge::ByKey(keys)) => Some(Rule::List { key: keys[0], item }),
            Shape::List(_, Merge::Set) => Some(Rule::Set),
            _ => None,
        }
    }
}

/// An object none of whose fields is special.
pub(super) static NONE: Object = Object::FREE;
