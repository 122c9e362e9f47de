//! Walks a document along the nodes of a template.

use std::cmp::Ordering;

use serde_json::Value;

use super::parse::{Filter, Node, Slice};
use crate::golang;

/// Something found: a piece of the document, or a literal of the template.
#[derive(Debug, Clone)]
pub(super) enum Found<'a> {
    Borrowed(&'a Value),
    Owned(Value),
}

impl<'a> Found<'a> {
    pub(super) fn value(&self) -> &Value {
        match self {
            Found::Borrowed(value) => value,
            Found::Owned(value) => value,
        }
    }

    pub(super) fn into_value(self) -> Value {
        match self {
            Found::Borrowed(value) => value.clone(),
            Found::Owned(value) => value,
        }
    }

    /// The piece of the document; literals have no parts.
    fn document(&self) -> Option<&'a Value> {
        match self {
            Found::Borrowed(value) => Some(value),
            Found::Owned(_) => None,
        }
    }
}

type Results<'a> = Result<Vec<Found<'a>>, String>;

/// Evaluates a whole template.
pub(super) fn run<'a>(
    parts: &[Vec<Node>],
    document: &'a Value,
    lenient: bool,
) -> Result<Vec<Vec<Found<'a>>>, String> {
    let mut run = Run { parts, lenient, out: Vec::new() };
    run.block(0, &[Found::Borrowed(document)], false, true)?;
    Ok(run.out)
}

struct Run<'t, 'a> {
    parts: &'t [Vec<Node>],
    lenient: bool,
    out: Vec<Vec<Found<'a>>>,
}

impl<'a> Run<'_, 'a> {
    /// Runs the parts from `at` on; says where the `{end}` was that ended the block, if any. Nothing is kept (but
    /// everything is checked) when `keep` is false: that is how an empty range finds its end.
    fn block(
        &mut self,
        mut at: usize,
        current: &[Found<'a>],
        inside: bool,
        keep: bool,
    ) -> Result<Option<usize>, String> {
        while at < self.parts.len() {
            let part = &self.parts[at];
            match part.first() {
                Some(Node::Word(word)) if word == "range" => {
                    let items = walk(current.to_vec(), &part[1..], self.lenient)?;
                    let mut end = None;
                    for item in &items {
                        end = self.block(at + 1, std::slice::from_ref(item), true, keep)?;
                    }
                    if items.is_empty() {
                        end = self.block(at + 1, &[], true, false)?;
                    }
                    // Without an end the rest was the body, and is a template of its own once more.
                    at = end.unwrap_or(at);
                }
                Some(Node::Word(word)) if word == "end" => {
                    if inside {
                        return Ok(Some(at));
                    }
                    return Err("not in range, nothing to end".to_owned());
                }
                _ => {
                    let found = walk(current.to_vec(), part, self.lenient)?;
                    if keep {
                        self.out.push(found);
                    }
                }
            }
            at += 1;
        }
        Ok(None)
    }
}

fn walk<'a>(mut current: Vec<Found<'a>>, nodes: &[Node], lenient: bool) -> Results<'a> {
    for node in nodes {
        current = step(&current, node, lenient)?;
    }
    Ok(current)
}

fn step<'a>(input: &[Found<'a>], node: &Node, lenient: bool) -> Results<'a> {
    match node {
        Node::Literal(value) => Ok(vec![Found::Owned(value.clone())]),
        Node::Word(word) => Err(format!("unrecognized identifier {word}")),
        Node::Field(name) => field(input, name, lenient),
        Node::Wildcard => Ok(documents(input).flat_map(children).map(Found::Borrowed).collect()),
        Node::Recursive => {
            let mut out = Vec::new();
            for value in documents(input) {
                descend(value, &mut out);
            }
            Ok(out)
        }
        Node::Slice(bounds) => slice(input, bounds),
        Node::Union(parts) => {
            let mut out = Vec::new();
            for part in parts {
                out.extend(walk(input.to_vec(), part, lenient)?);
            }
            Ok(out)
        }
        Node::Filter(filter) => filtered(input, filter, lenient),
    }
}

fn documents<'a, 'f>(input: &'f [Found<'a>]) -> impl Iterator<Item = &'a Value> + use<'a, 'f> {
    input.iter().filter_map(Found::document)
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => golang::sorted(map).into_iter().map(|(_, value)| value).collect(),
        _ => Vec::new(),
    }
}

/// A value that holds something, then whatever it holds. The document's own depth bounds the recursion.
fn descend<'a>(value: &'a Value, out: &mut Vec<Found<'a>>) {
    let holds = match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => false,
    };
    if holds {
        out.push(Found::Borrowed(value));
        for child in children(value) {
            descend(child, out);
        }
    }
}

fn field<'a>(input: &[Found<'a>], name: &str, lenient: bool) -> Results<'a> {
    if name.is_empty() {
        return Ok(input.to_vec());
    }
    let found: Vec<Found<'a>> =
        documents(input).filter_map(|value| value.get(name)).map(Found::Borrowed).collect();
    if found.is_empty() && !lenient && !input.is_empty() {
        return Err(format!("{name} is not found"));
    }
    Ok(found)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn slice<'a>(input: &[Found<'a>], bounds: &Slice) -> Results<'a> {
    let mut out = Vec::new();
    for value in documents(input).filter(|value| !value.is_null()) {
        let Value::Array(items) = value else {
            return Err(format!("{} is not array or slice", type_name(value)));
        };
        let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let from = bounds.from.map_or(0, |from| if from < 0 { from + length } else { from });
        let to = bounds
            .to
            .map_or(length, |to| if to < 0 || (to == 0 && bounds.single) { to + length } else { to });
        if from == to {
            return Ok(out);
        }
        if from >= length || from < 0 {
            return Err(format!("array index out of bounds: index {from}, length {length}"));
        }
        if to > length || to < 0 {
            return Err(format!("array index out of bounds: index {}, length {length}", to - 1));
        }
        if from > to {
            return Err(format!("starting index {from} is greater than ending index {to}"));
        }
        let step = bounds.step.unwrap_or(1);
        let Some(step) = usize::try_from(step).ok().filter(|step| *step > 0) else {
            return Err("step must be > 0".to_owned());
        };
        let (from, to) = (usize::try_from(from).unwrap_or(0), usize::try_from(to).unwrap_or(0));
        out.extend(items[from..to].iter().step_by(step).map(Found::Borrowed));
    }
    Ok(out)
}

fn filtered<'a>(input: &[Found<'a>], filter: &Filter, lenient: bool) -> Results<'a> {
    let mut out = Vec::new();
    for value in documents(input) {
        let Value::Array(items) = value else {
            return Err(format!("{} is not array or slice and cannot be filtered", type_name(value)));
        };
        for item in items {
            let left = walk(vec![Found::Borrowed(item)], &filter.left, lenient);
            let Some((operator, right)) = &filter.compare else {
                if left.is_ok_and(|found| !found.is_empty()) {
                    out.push(Found::Borrowed(item));
                }
                continue;
            };
            let Some(left) = single(left?)? else { continue };
            let Some(right) = single(walk(vec![Found::Borrowed(item)], right, lenient)?)? else { continue };
            if compare(operator, left.value(), right.value())? {
                out.push(Found::Borrowed(item));
            }
        }
    }
    Ok(out)
}

fn single(mut found: Vec<Found<'_>>) -> Result<Option<Found<'_>>, String> {
    if found.len() > 1 {
        return Err("can only compare one element at a time".to_owned());
    }
    Ok(found.pop())
}

fn compare(operator: &str, left: &Value, right: &Value) -> Result<bool, String> {
    let equal = || equals(left, right);
    let order = || ordering(left, right);
    match operator {
        "==" => equal(),
        "!=" => equal().map(|equal| !equal),
        "<" => order().map(Ordering::is_lt),
        "<=" => order().map(Ordering::is_le),
        ">" => order().map(Ordering::is_gt),
        ">=" => order().map(Ordering::is_ge),
        other => Err(format!("unrecognized filter operator {other}")),
    }
}

fn equals(left: &Value, right: &Value) -> Result<bool, String> {
    match (left, right) {
        (Value::Bool(_), Value::Bool(_)) | (Value::String(_), Value::String(_)) => Ok(left == right),
        (Value::Number(_), Value::Number(_)) => Ok(ordering(left, right)?.is_eq()),
        (Value::Null | Value::Array(_) | Value::Object(_), _)
        | (_, Value::Null | Value::Array(_) | Value::Object(_)) => {
            Err("invalid type for comparison".to_owned())
        }
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

fn ordering(left: &Value, right: &Value) -> Result<Ordering, String> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Ok(left.cmp(right)),
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Ok(a.cmp(&b)),
            _ => Ok(a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal)),
        },
        (Value::Bool(_), Value::Bool(_)) => Err("invalid type for comparison".to_owned()),
        (Value::Null | Value::Array(_) | Value::Object(_), _) => {
            Err("invalid type for comparison".to_owned())
        }
        _ => Err("incompatible types for comparison".to_owned()),
    }
}
