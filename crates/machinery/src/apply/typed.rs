//! Whether a document fits its type, in the words of the reference.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use serde_json::Value;

use super::element::Element;
use super::shape::{Items, Scalar, Walk};
use crate::field::quote;
use crate::limits::MAX_FIELD_WARNINGS;
use crate::schema::{Merge, Shape};

/// What does not fit, each with its path in front.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub(super) struct Misfits(Vec<String>);

impl Misfits {
    fn text(&self) -> String {
        match self.0.as_slice() {
            [one] => one.clone(),
            several => {
                let lines: String = several.iter().map(|line| format!("\n  {line}")).collect();
                format!("errors:{lines}")
            }
        }
    }
}

/// Checks that a document fits a type. Lists whose items are known by key may hold each once, unless `duplicates`.
///
/// # Errors
/// [`Misfits`] with everything that does not fit.
pub(super) fn check(value: &Value, shape: Shape, duplicates: bool) -> Result<(), Misfits> {
    let mut check = Check { misfits: Vec::new(), duplicates };
    check.value(value, shape, &Path::Root);
    if check.misfits.is_empty() { Ok(()) } else { Err(Misfits(check.misfits)) }
}

struct Check {
    misfits: Vec<String>,
    duplicates: bool,
}

/// Where a value is; only written out when it does not fit.
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
    Item(&'a Path<'a>, &'a Element),
    Word(&'a Path<'a>, Items, &'a Value),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Field(above, name) => write!(f, "{above}.{name}"),
            Path::Index(above, index) => write!(f, "{above}[{index}]"),
            Path::Item(above, element) => write!(f, "{above}{element}"),
            Path::Word(above, items, item) => match items.element(item) {
                Ok(element) => write!(f, "{above}{element}"),
                Err(_) => write!(f, "{above}[]"),
            },
        }
    }
}

impl Check {
    fn refuse(&mut self, path: &Path<'_>, why: &str) {
        if self.misfits.len() < MAX_FIELD_WARNINGS {
            let colon = if matches!(path, Path::Root) { "" } else { ": " };
            self.misfits.push(format!("{path}{colon}{why}"));
        }
    }

    fn value(&mut self, value: &Value, shape: Shape, path: &Path<'_>) {
        match Walk::of(shape, Some(value)) {
            Walk::Scalar(scalar) => {
                if let Some(why) = unfit(scalar, value) {
                    self.refuse(path, &why);
                }
            }
            Walk::List(items) => match value {
                Value::Null => {}
                Value::Array(list) => self.items(list, items, path),
                other => self.refuse(path, &format!("expected list, got &{{{}}}", plain(other))),
            },
            Walk::Map(fields) => match value {
                Value::Null => {}
                Value::Object(map) => {
                    for (name, value) in map {
                        let path = Path::Field(path, name);
                        let Some(shape) = fields.shape(name) else {
                            return self.refuse(&path, "field not declared in schema");
                        };
                        self.value(value, shape, &path);
                    }
                }
                other => self.refuse(path, &format!("expected map, got &{{{}}}", plain(other))),
            },
        }
    }

    fn items(&mut self, list: &[Value], items: Items, path: &Path<'_>) {
        if items.merge == Merge::Atomic {
            for (index, item) in list.iter().enumerate() {
                self.value(item, items.item, &Path::Index(path, index));
            }
            return;
        }
        let (mut seen, mut words) = (BTreeSet::new(), HashSet::new());
        for (index, item) in list.iter().enumerate() {
            if let Some(word) = items.word(item) {
                if !self.duplicates && !words.insert(word) {
                    let step = Path::Word(&Path::Root, items, item);
                    self.refuse(path, &format!("duplicate entries for key {step}"));
                }
                self.value(item, items.item, &Path::Word(path, items, item));
                continue;
            }
            let element = match items.element(item) {
                Ok(element) => element,
                Err(why) => return self.refuse(path, &format!("element {index}: {why}")),
            };
            if !self.duplicates && seen.contains(&element) {
                self.refuse(path, &format!("duplicate entries for key {element}"));
            }
            self.value(item, items.item, &Path::Item(path, &element));
            if !self.duplicates {
                seen.insert(element);
            }
        }
    }
}

fn unfit(scalar: Scalar, value: &Value) -> Option<String> {
    let text = match (scalar, value) {
        (_, Value::Null)
        | (Scalar::Text, Value::String(_))
        | (Scalar::Number, Value::Number(_))
        | (Scalar::Bool, Value::Bool(_))
        | (Scalar::Any, Value::Bool(_) | Value::Number(_) | Value::String(_)) => return None,
        (Scalar::Text, other) => {
            format!("expected string, got &value.valueUnstructured{{Value:{}}}", detailed(other))
        }
        (Scalar::Number, other) => format!("expected numeric (int or float), got {}", type_name(other)),
        (Scalar::Bool, other) => format!("expected boolean, got &{{{}}}", plain(other)),
        (Scalar::Any, other) => format!("expected any scalar, got &{{{}}}", plain(other)),
    };
    Some(text)
}

/// A value as Go prints it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let mut fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}:{}", plain(value))).collect();
            fields.sort_unstable();
            format!("map[{}]", fields.join(" "))
        }
        other => other.to_string(),
    }
}

/// A value as Go prints it with its type.
fn detailed(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::String(text) => quote(text),
        Value::Array(items) => {
            format!("[]interface {{}}{{{}}}", items.iter().map(detailed).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => {
            let mut fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{}:{}", quote(name), detailed(value))).collect();
            fields.sort_unstable();
            format!("map[string]interface {{}}{{{}}}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::IMAGE_STREAM;

    fn misfits(value: &Value) -> String {
        check(value, Shape::Object(&IMAGE_STREAM), false).unwrap_err().to_string()
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert_eq!(misfits(&json!({"spec": {"tagz": 1}})), ".spec.tagz: field not declared in schema");
        assert_eq!(
            misfits(&json!({"spec": {"tags": [{"name": "x"}, {"name": "x"}]}})),
            ".spec.tags: duplicate entries for key [name=\"x\"]"
        );
        assert_eq!(
            misfits(&json!({"metadata": {"labels": {"a": true}}})),
            ".metadata.labels.a: expected string, got &value.valueUnstructured{Value:true}"
        );
        assert_eq!(
            misfits(&json!({"spec": {"lookupPolicy": {"local": "yes"}, "tags": {"a": 1}}})),
            "errors:\n  .spec.lookupPolicy.local: expected boolean, got &{yes}\n  .spec.tags: expected list, got &{map[a:1]}"
        );
        assert_eq!(
            misfits(&json!({"status": {"tags": [{"tag": "x", "items": [{"generation": "1"}]}]}})),
            ".status.tags[tag=\"x\"].items[0].generation: expected numeric (int or float), got string"
        );
    }

    #[test]
    fn a_key_that_is_left_out_has_its_default() {
        assert_eq!(check(&json!({"spec": {"tags": [{}]}}), Shape::Object(&IMAGE_STREAM), false), Ok(()));
        assert_eq!(
            misfits(&json!({"spec": {"tags": [null]}})),
            ".spec.tags: element 0: associative list with keys may not have a null element"
        );
    }

    #[test]
    fn nothing_fits_everywhere() {
        let value = json!({"metadata": null, "spec": {"tags": null, "lookupPolicy": {"local": null}}});
        assert_eq!(check(&value, Shape::Object(&IMAGE_STREAM), false), Ok(()));
    }
}
