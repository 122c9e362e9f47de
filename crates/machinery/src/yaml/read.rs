//! From YAML to JSON values.
//!
//! The parser's events are folded without recursion. An alias copies what its anchor holds, which is why nodes and bytes
//! are counted with aliases expanded.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use granit_parser::{Event, Parser, ScalarStyle, ScanError, Tag};
use serde_json::{Map, Number, Value};

use super::scalar::{Scalar, resolve};
use crate::json::depth;
use crate::limits::{MAX_DEPTH, MAX_YAML_BYTES, MAX_YAML_DOCUMENTS, MAX_YAML_NODES};

/// What happens to a key that occurs twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// It is an error.
    Reject,
    /// The last one counts.
    LastWins,
}

/// A text that is no YAML, or none that can be expressed in JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("yaml: line {line}: {message}")]
pub struct YamlError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// Reads the first document; an empty text is null.
///
/// # Errors
/// [`YamlError`] says where and why.
pub fn parse(text: &str, duplicates: Duplicates) -> Result<Value, YamlError> {
    read(text, duplicates, 1).map(|documents| documents.into_iter().next().unwrap_or(Value::Null))
}

/// Reads all documents; empty ones are left out.
///
/// # Errors
/// [`YamlError`] says where and why.
pub fn parse_documents(text: &str, duplicates: Duplicates) -> Result<Vec<Value>, YamlError> {
    let mut documents = read(text, duplicates, MAX_YAML_DOCUMENTS)?;
    documents.retain(|document| !document.is_null());
    Ok(documents)
}

/// A collection that is being read.
enum Frame {
    List { items: Vec<Value>, anchor: usize, cost: Cost },
    Map { fields: Map<String, Value>, key: Option<Key>, merges: Vec<Value>, anchor: usize, cost: Cost },
}

enum Key {
    Name(String),
    /// `<<`: the value's fields are taken over where the map has none of its own.
    Merge,
}

/// What a value takes when aliases are expanded.
#[derive(Clone, Copy, Default)]
struct Cost {
    nodes: usize,
    bytes: usize,
}

impl Cost {
    fn add(&mut self, other: Cost) {
        self.nodes += other.nodes;
        self.bytes += other.bytes;
    }
}

struct Reader {
    duplicates: Duplicates,
    frames: Vec<Frame>,
    anchors: HashMap<usize, (Value, Cost)>,
    total: Cost,
    documents: Vec<Value>,
    line: usize,
}

fn read(text: &str, duplicates: Duplicates, limit: usize) -> Result<Vec<Value>, YamlError> {
    let mut reader = Reader {
        duplicates,
        frames: Vec::new(),
        anchors: HashMap::new(),
        total: Cost::default(),
        documents: Vec::new(),
        line: 1,
    };
    if text.len() > MAX_YAML_BYTES {
        return Err(reader.error(format!("the document is larger than {MAX_YAML_BYTES} bytes")));
    }
    let mut parser = Parser::new_from_str(text);
    let mut pending = true;
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error: ScanError| YamlError {
            line: error.marker().line().max(1),
            message: error.info(),
        })?;
        reader.line = span.start.line().max(1);
        match event {
            Event::DocumentStart(..) => pending = true,
            Event::DocumentEnd => {
                if pending {
                    reader.documents.push(Value::Null);
                }
                if reader.documents.len() >= limit {
                    if limit > 1 {
                        return Err(reader.error(format!("more than {limit} documents")));
                    }
                    break;
                }
                reader.anchors.clear();
            }
            event => {
                reader.take(event)?;
                pending = reader.frames.is_empty() && pending && reader.documents.is_empty();
            }
        }
    }
    Ok(reader.documents)
}

impl Reader {
    fn error(&self, message: impl Into<String>) -> YamlError {
        YamlError { line: self.line, message: message.into() }
    }

    fn take(&mut self, event: Event<'_>) -> Result<(), YamlError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let cost = Cost { nodes: 1, bytes: text.len() };
                let plain = style == ScalarStyle::Plain;
                if plain && &*text == "<<" && self.wants_key() && tag.is_none() {
                    return self.set_key(Key::Merge);
                }
                let value = self.scalar(text, plain, tag.as_deref())?;
                self.complete(value, anchor, cost)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.push(Frame::List { items: Vec::new(), anchor, cost: Cost { nodes: 1, bytes: 0 } })
            }
            Event::MappingStart(_, anchor, _) => self.push(Frame::Map {
                fields: Map::new(),
                key: None,
                merges: Vec::new(),
                anchor,
                cost: Cost { nodes: 1, bytes: 0 },
            }),
            Event::SequenceEnd | Event::MappingEnd => self.pop(),
            Event::Alias(anchor) => {
                let Some((value, cost)) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.error("an anchor contains itself"));
                };
                if self.frames.len() + depth(&value) > MAX_DEPTH {
                    return Err(self.error("exceeded max depth"));
                }
                self.complete(value, 0, cost)
            }
            _ => Ok(()),
        }
    }

    fn push(&mut self, frame: Frame) -> Result<(), YamlError> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(self.error("exceeded max depth"));
        }
        if self.wants_key() {
            return Err(self.error("invalid map key: a list or a map"));
        }
        self.frames.push(frame);
        Ok(())
    }

    fn pop(&mut self) -> Result<(), YamlError> {
        match self.frames.pop() {
            Some(Frame::List { items, anchor, cost }) => self.complete(Value::Array(items), anchor, cost),
            Some(Frame::Map { mut fields, merges, anchor, cost, .. }) => {
                for value in merges.into_iter().rev() {
                    self.merge(&mut fields, value)?;
                }
                self.complete(Value::Object(fields), anchor, cost)
            }
            None => Ok(()),
        }
    }

    /// Takes the fields of a merged map (or of several) over.
    fn merge(&self, fields: &mut Map<String, Value>, value: Value) -> Result<(), YamlError> {
        let wrong = || self.error("map merge requires map or sequence of maps as the value");
        let maps = match value {
            Value::Array(maps) => maps,
            value => vec![value],
        };
        for map in maps {
            let Value::Object(map) = map else { return Err(wrong()) };
            for (key, value) in map {
                fields.entry(key).or_insert(value);
            }
        }
        Ok(())
    }

    fn wants_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame::Map { key: None, .. }))
    }

    fn set_key(&mut self, new: Key) -> Result<(), YamlError> {
        if let Some(Frame::Map { key, fields, .. }) = self.frames.last_mut() {
            if let Key::Name(name) = &new
                && self.duplicates == Duplicates::Reject
                && fields.contains_key(name)
            {
                let message = format!("key {} already set in map", crate::field::quote(name));
                return Err(self.error(message));
            }
            *key = Some(new);
        }
        Ok(())
    }

    /// A value is complete: it becomes a key, goes into the collection around it, or is the document.
    fn complete(&mut self, value: Value, anchor: usize, cost: Cost) -> Result<(), YamlError> {
        if anchor != 0 {
            self.anchors.insert(anchor, (value.clone(), cost));
        }
        if !matches!(value, Value::Array(_) | Value::Object(_)) || anchor == 0 {
            self.total.add(cost);
        }
        if self.total.nodes > MAX_YAML_NODES || self.total.bytes > 4 * MAX_YAML_BYTES {
            return Err(self.error("document contains excessive aliasing"));
        }
        if self.wants_key() {
            let name = self.key(value)?;
            return self.set_key(Key::Name(name));
        }
        match self.frames.last_mut() {
            None => self.documents.push(value),
            Some(Frame::List { items, cost: total, .. }) => {
                total.add(cost);
                items.push(value);
            }
            Some(Frame::Map { fields, key, merges, cost: total, .. }) => {
                total.add(cost);
                match key.take() {
                    Some(Key::Name(name)) => {
                        fields.insert(name, value);
                    }
                    Some(Key::Merge) => merges.push(value),
                    None => {}
                }
            }
        }
        Ok(())
    }

    fn key(&self, value: Value) -> Result<String, YamlError> {
        match value {
            Value::String(text) => Ok(text),
            Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
            Value::Null => Err(self.error("unsupported map key of type: <nil>")),
            Value::Array(_) | Value::Object(_) => Err(self.error("invalid map key: a list or a map")),
        }
    }

    fn scalar(&self, text: Cow<'_, str>, plain: bool, tag: Option<&Tag>) -> Result<Value, YamlError> {
        let tag = tag.and_then(|tag| tag.suffix_in_namespace("tag:yaml.org,2002:"));
        let resolved = match tag.as_deref() {
            None if plain => resolve(&text),
            None | Some("str") => Scalar::Text,
            Some("binary") => return self.binary(&text),
            Some(name) => {
                let resolved = resolve(&text);
                let fits = match name {
                    "null" => matches!(resolved, Scalar::Null),
                    "bool" => matches!(resolved, Scalar::Bool(_)),
                    "int" => matches!(resolved, Scalar::Int(_) | Scalar::Uint(_)),
                    "float" => matches!(resolved, Scalar::Int(_) | Scalar::Uint(_) | Scalar::Float(_)),
                    "timestamp" => matches!(resolved, Scalar::Timestamp),
                    _ => true,
                };
                if !fits {
                    return Err(self.error(format!("cannot decode {text:?} as a !!{name}")));
                }
                resolved
            }
        };
        Ok(match resolved {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(value),
            Scalar::Int(value) => Value::from(value),
            Scalar::Uint(value) => Value::from(value),
            Scalar::Float(value) => match Number::from_f64(value) {
                Some(number) => Value::Number(number),
                None => return Err(self.error(format!("json: unsupported value: {text}"))),
            },
            Scalar::Timestamp | Scalar::Text => Value::String(text.into_owned()),
        })
    }

    fn binary(&self, text: &str) -> Result<Value, YamlError> {
        let packed: String = text.split_whitespace().collect();
        let bytes =
            STANDARD.decode(packed).map_err(|_| self.error("!!binary value contains invalid base64 data"))?;
        Ok(Value::String(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(text: &str) -> Value {
        parse(text, Duplicates::Reject).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refused(text: &str) -> String {
        parse(text, Duplicates::Reject).unwrap_err().to_string()
    }

    #[test]
    fn manifests_become_json() {
        let text = "kind: ImageStream\nmetadata:\n  name: a\nspec:\n  tags:\n  - name: \"3.6\"\n    n: 3.6\n    f: {kind: X, ok: yes}\n  - |-\n    two\n    lines\n";
        let want = json!({"kind": "ImageStream", "metadata": {"name": "a"},
            "spec": {"tags": [{"name": "3.6", "false": 3.6, "f": {"kind": "X", "ok": true}}, "two\nlines"]}});
        assert_eq!(one(text), want);
        assert_eq!(one("{\"a\": [1, null, \"x\"]}"), json!({"a": [1, null, "x"]}));
        assert_eq!(one(""), Value::Null);
        assert_eq!(one("# only a comment\n"), Value::Null);
        assert_eq!(
            one("a: 2024-01-01\nb: !!str 1\nc: 0123\nd: ~"),
            json!({"a": "2024-01-01", "b": "1", "c": 83, "d": null})
        );
        assert_eq!(one("1: a\ntrue: b"), json!({"1": "a", "true": "b"}));
        assert_eq!(one("a: !!binary aGk="), json!({"a": "hi"}));
    }

    #[test]
    fn anchors_and_merges_work() {
        assert_eq!(one("a: &x {b: 1}\nc: *x"), json!({"a": {"b": 1}, "c": {"b": 1}}));
        assert_eq!(
            one("a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3"),
            json!({"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}})
        );
        assert!(refused("d:\n  <<: 1").contains("map merge requires map"));
    }

    #[test]
    fn documents_are_split() {
        let documents = parse_documents("a: 1\n---\n---\nb: 2\n...\n", Duplicates::Reject).unwrap();
        assert_eq!(documents, [json!({"a": 1}), json!({"b": 2})]);
        assert_eq!(one("a: 1\n---\nb: 2"), json!({"a": 1}));
    }

    #[test]
    fn duplicate_keys_are_refused_unless_wanted() {
        assert_eq!(refused("a: 1\nb: 2\na: 3"), "yaml: line 3: key \"a\" already set in map");
        assert_eq!(parse("a: 1\na: 3", Duplicates::LastWins).unwrap(), json!({"a": 3}));
    }

    #[test]
    fn what_is_no_yaml_or_no_json_is_refused() {
        for text in [
            "{",
            "a: [b",
            "a: b: c",
            "? [a]\n: b",
            "~: 1",
            "a: .inf",
            "a: *nope",
            "- a\nb: c",
            "\t- x: [",
            "a: !!int x",
        ] {
            assert!(refused(text).starts_with("yaml: line "), "{text}");
        }
    }

    #[test]
    fn depth_and_aliases_are_bounded() {
        assert!(refused(&"[".repeat(5000)).contains("yaml: line"));
        assert!(refused(&format!("{}1{}", "[".repeat(200), "]".repeat(200))).contains("yaml: line"));
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..10 {
            let last = level - 1;
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{last}"); 10].join(","));
        }
        assert!(refused(&bomb).contains("excessive aliasing"), "{}", refused(&bomb));
    }

    proptest::proptest! {
        #[test]
        fn reading_never_panics(text in "[-:{}\\[\\]&*!|>'\"#%@,? \\na-c0-9~<]{0,60}") {
            let _ = parse_documents(&text, Duplicates::Reject);
        }
    }
}
