//! Objects of kinds without a text of their own: every field, indented.

use serde_json::Value;

use super::{Sheet, label_rows};
use crate::golang::{at, print, sorted, text_at};
use crate::tabs::{Layout, align};

/// Fields that say nothing to a person.
const HIDDEN: &[&str] = &["managedFields", "name", "namespace", "labels", "annotations", "selfLink"];

/// Every field of an object.
pub(super) fn generic(object: &Value) -> String {
    let mut sheet = Sheet::default();
    sheet.raw("Name", text_at(object, &["metadata", "name"]));
    sheet.raw("Namespace", text_at(object, &["metadata", "namespace"]));
    label_rows(&mut sheet, "Labels", at(object, &["metadata", "labels"]));
    label_rows(&mut sheet, "Annotations", at(object, &["metadata", "annotations"]));
    sheet.raw("API Version", text_at(object, &["apiVersion"]));
    sheet.raw("Kind", text_at(object, &["kind"]));
    if let Some(map) = object.as_object() {
        for (key, value) in sorted(map) {
            match key.as_str() {
                "apiVersion" | "kind" => {}
                _ => field(&mut sheet, key, value, 0, key == "metadata"),
            }
        }
    }
    align(&sheet.0, Layout::DESCRIBE_BLANKS)
}

fn field(sheet: &mut Sheet, key: &str, value: &Value, depth: usize, meta: bool) {
    let margin = "  ".repeat(depth);
    let label = format!("{margin}{}", words(key));
    match value {
        Value::Object(map) if map.is_empty() => {}
        Value::Object(map) => {
            sheet.line(&format!("{label}:"));
            for (key, value) in sorted(map) {
                if !(meta && HIDDEN.contains(&key.as_str())) {
                    field(sheet, key, value, depth + 1, false);
                }
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            sheet.line(&format!("{label}:"));
            for item in items {
                match item.as_object() {
                    Some(map) => {
                        for (key, value) in sorted(map) {
                            field(sheet, key, value, depth + 1, false);
                        }
                    }
                    None => sheet.line(&format!("{margin}  {}", print(item))),
                }
            }
        }
        Value::Array(items) => {
            sheet.line(&format!("{label}:"));
            for item in items {
                sheet.line(&format!("{margin}  {}", print(item)));
            }
        }
        other => sheet.raw(&label, &print(other)),
    }
}

/// `dockerImageReference` is `Docker Image Reference`.
fn words(key: &str) -> String {
    let mut out = String::new();
    let mut before = ' ';
    for c in key.chars() {
        if out.is_empty() {
            out.extend(c.to_uppercase());
        } else {
            if c.is_uppercase() && before.is_lowercase() {
                out.push(' ');
            }
            out.push(c);
        }
        before = c;
    }
    out
}
