//! kubectl's JSONPath templates: text with expressions in braces, ranges, unions, slices and filters.
//!
//! The dialect is its own: a subscript in double quotes is an error, a missing field prints nothing, an unclosed
//! `range` runs over the rest of the template, `..` yields a value before its children. Children of a map come in the
//! order of their keys, so that output is the same on every run. Parsing and evaluation never panic and never recurse
//! deeper than `limits::NESTING` (or the document) allows.

mod eval;
mod parse;

use serde_json::Value;

use crate::golang;
use eval::Found;
use parse::Node;

/// A template that was read.
#[derive(Debug)]
pub(crate) struct Template {
    nodes: Vec<Vec<Node>>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Says what is wrong, in the words of the reference.
    pub(crate) fn parse(text: &str) -> Result<Template, String> {
        Ok(Template { nodes: parse::template(text)? })
    }

    /// Reads a bare path as `--sort-by` and custom columns take it: `.a.b`, `a.b`, `{.a.b}` or `{a.b}`.
    ///
    /// # Errors
    /// Says what is wrong, in the words of the reference.
    pub(crate) fn parse_relaxed(path: &str) -> Result<Template, String> {
        let inner = match path.strip_prefix('{') {
            Some(rest) => rest.strip_suffix('}'),
            None => Some(path),
        };
        let inner = inner.map(|inner| inner.strip_prefix('.').unwrap_or(inner));
        match inner {
            Some(inner) if !inner.is_empty() && !inner.contains(['{', '}']) => {
                Template::parse(&format!("{{.{inner}}}"))
            }
            _ => Err(format!(
                "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{{name1.name2}}' or '{{.name1.name2}}': {path}"
            )),
        }
    }

    /// What each expression (and stretch of text) finds.
    ///
    /// # Errors
    /// An index out of range, a filter on something else than a list, and the like. A missing key is an error only
    /// when `lenient` is false.
    pub(crate) fn find(&self, document: &Value, lenient: bool) -> Result<Vec<Vec<Value>>, String> {
        let found = eval::run(&self.nodes, document, lenient)?;
        Ok(found.into_iter().map(|group| group.into_iter().map(Found::into_value).collect()).collect())
    }

    /// The text of the template for a document.
    ///
    /// # Errors
    /// See [`Template::find`].
    pub(crate) fn render(&self, document: &Value, lenient: bool) -> Result<String, String> {
        let mut out = String::new();
        for group in eval::run(&self.nodes, document, lenient)? {
            for (at, found) in group.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                match found.value() {
                    Value::String(text) => out.push_str(text),
                    value @ (Value::Null | Value::Array(_) | Value::Object(_)) => {
                        out.push_str(&golang::json(value));
                    }
                    value => out.push_str(&golang::print(value)),
                }
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
