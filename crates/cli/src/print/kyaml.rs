//! `-o kyaml`: YAML in flow style, with every text quoted, so that nothing is mistaken for another type.

use serde_json::Value;

use crate::golang::{number, sorted};

/// A document with its leading `---`.
pub(super) fn document(value: &Value) -> String {
    let mut out = String::from("---\n");
    write(&mut out, value, 0);
    out.push('\n');
    out
}

fn write(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(value) => out.push_str(&number(value)),
        Value::String(value) => text(out, value, indent),
        Value::Object(map) if map.is_empty() => out.push_str("{}"),
        Value::Object(map) => {
            out.push_str("{\n");
            for (key, value) in sorted(map) {
                blanks(out, indent + 2);
                if plain_key(key) {
                    out.push_str(key);
                } else {
                    quoted(out, key);
                }
                out.push_str(": ");
                write(out, value, indent + 2);
                out.push_str(",\n");
            }
            blanks(out, indent);
            out.push('}');
        }
        Value::Array(items) if items.is_empty() => out.push_str("[]"),
        // Brackets of a list of maps cuddle with their braces.
        Value::Array(items)
            if items.iter().all(|item| item.as_object().is_some_and(|map| !map.is_empty())) =>
        {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write(out, item, indent);
            }
            out.push(']');
        }
        Value::Array(items) => {
            out.push_str("[\n");
            for item in items {
                blanks(out, indent + 2);
                write(out, item, indent + 2);
                out.push_str(",\n");
            }
            blanks(out, indent);
            out.push(']');
        }
    }
}

fn blanks(out: &mut String, count: usize) {
    out.extend(std::iter::repeat_n(' ', count));
}

/// A text in quotes; one of several lines is continued line by line.
fn text(out: &mut String, value: &str, indent: usize) {
    if !value.contains('\n') {
        return quoted(out, value);
    }
    out.push_str("\"\\\n");
    for line in value.split_inclusive('\n') {
        blanks(out, indent + 3);
        // Leading blanks would be eaten by the line folding.
        if line.starts_with([' ', '\t']) {
            out.push('\\');
        }
        escaped(out, line);
        out.push_str("\\\n");
    }
    blanks(out, indent + 2);
    out.push('"');
}

fn quoted(out: &mut String, value: &str) {
    out.push('"');
    escaped(out, value);
    out.push('"');
}

fn escaped(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push('\t'),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\u{1b}' => out.push_str("\\e"),
            c if c.is_control() => out.push_str(&format!("\\x{:02X}", u32::from(c))),
            c => out.push(c),
        }
    }
}

/// A key that cannot be mistaken for another type.
fn plain_key(key: &str) -> bool {
    let mistakable = matches!(
        key.to_ascii_lowercase().as_str(),
        "y" | "n" | "t" | "f" | "yes" | "no" | "on" | "off" | "true" | "false" | "null" | "nan" | "inf"
    );
    let starts = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    !mistakable
        && starts
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_are_quoted_and_long_ones_continued() {
        let value = json!({"a": "- item", "d": "two\nlines", "f": "x", "n": 1, "zd": "bell\u{7}", "zl": "\n", "e": {}, "l": [], "t": true});
        assert_eq!(
            document(&value),
            "---\n{\n  a: \"- item\",\n  d: \"\\\n     two\\n\\\n     lines\\\n    \",\n  e: {},\n  \"f\": \"x\",\n  l: [],\n  \"n\": 1,\n  \"t\": true,\n  zd: \"bell\\a\",\n  zl: \"\\\n     \\n\\\n    \",\n}\n"
        );
    }

    #[test]
    fn lists_of_maps_cuddle() {
        assert_eq!(
            document(&json!({"p": [{"a": 1}, {"b": 2}], "s": ["x"]})),
            "---\n{\n  p: [{\n    a: 1,\n  }, {\n    b: 2,\n  }],\n  s: [\n    \"x\",\n  ],\n}\n"
        );
    }
}
