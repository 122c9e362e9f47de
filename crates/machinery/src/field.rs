//! Validation errors: what is wrong with which field, in Kubernetes' words.
//!
//! The text of an error and the entry it makes among a Status' causes are both part of what clients show and parse.

use std::fmt;

use serde_json::Value;

use crate::meta::StatusCause;

/// Everything that is wrong with an object.
pub type FieldErrors = Vec<FieldError>;

/// One thing that is wrong with one field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// What kind of mistake it is.
    pub kind: FieldErrorKind,
    /// Path of the field, as `spec.tags[latest].from.name`.
    pub field: String,
    /// The offending value; not shown for every kind.
    pub value: Value,
    /// Text for people; may be empty.
    pub detail: String,
}

/// Kinds of mistakes, with the words Kubernetes has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are named as Kubernetes names them")]
pub enum FieldErrorKind {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    TypeInvalid,
    Internal,
}

impl FieldErrorKind {
    /// The machine-readable reason of a cause.
    pub fn reason(self) -> &'static str {
        match self {
            FieldErrorKind::NotFound => "FieldValueNotFound",
            FieldErrorKind::Required => "FieldValueRequired",
            FieldErrorKind::Duplicate => "FieldValueDuplicate",
            FieldErrorKind::Invalid => "FieldValueInvalid",
            FieldErrorKind::NotSupported => "FieldValueNotSupported",
            FieldErrorKind::Forbidden => "FieldValueForbidden",
            FieldErrorKind::TooLong => "FieldValueTooLong",
            FieldErrorKind::TooMany => "FieldValueTooMany",
            FieldErrorKind::TypeInvalid => "FieldValueTypeInvalid",
            FieldErrorKind::Internal => "InternalError",
        }
    }

    fn words(self) -> &'static str {
        match self {
            FieldErrorKind::NotFound => "Not found",
            FieldErrorKind::Required => "Required value",
            FieldErrorKind::Duplicate => "Duplicate value",
            FieldErrorKind::Invalid | FieldErrorKind::TypeInvalid => "Invalid value",
            FieldErrorKind::NotSupported => "Unsupported value",
            FieldErrorKind::Forbidden => "Forbidden",
            FieldErrorKind::TooLong => "Too long",
            FieldErrorKind::TooMany => "Too many",
            FieldErrorKind::Internal => "Internal error",
        }
    }

    fn shows_value(self) -> bool {
        !matches!(
            self,
            FieldErrorKind::Required
                | FieldErrorKind::Forbidden
                | FieldErrorKind::TooLong
                | FieldErrorKind::Internal
        )
    }
}

impl FieldError {
    /// The value of a field is wrong.
    pub fn invalid(
        field: impl Into<String>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) -> FieldError {
        FieldError::new(FieldErrorKind::Invalid, field, value.into(), detail)
    }

    /// A field is missing.
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> FieldError {
        FieldError::new(FieldErrorKind::Required, field, Value::Null, detail)
    }

    /// A field may not be set, or not to this.
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> FieldError {
        FieldError::new(FieldErrorKind::Forbidden, field, Value::Null, detail)
    }

    /// A field names something that is not there.
    pub fn not_found(field: impl Into<String>, value: impl Into<Value>) -> FieldError {
        FieldError::new(FieldErrorKind::NotFound, field, value.into(), "")
    }

    /// A value occurs twice.
    pub fn duplicate(field: impl Into<String>, value: impl Into<Value>) -> FieldError {
        FieldError::new(FieldErrorKind::Duplicate, field, value.into(), "")
    }

    /// A value is none of those that are known.
    pub fn not_supported(field: impl Into<String>, value: impl Into<Value>, known: &[&str]) -> FieldError {
        let list: Vec<String> = known.iter().map(|word| format!("{word:?}")).collect();
        FieldError::new(
            FieldErrorKind::NotSupported,
            field,
            value.into(),
            format!("supported values: {}", list.join(", ")),
        )
    }

    /// A value is longer than it may be.
    pub fn too_long(field: impl Into<String>, limit: usize) -> FieldError {
        let detail = format!("may not be more than {limit} bytes");
        FieldError::new(FieldErrorKind::TooLong, field, Value::Null, detail)
    }

    /// Checking the field failed.
    pub fn internal(field: impl Into<String>, detail: impl Into<String>) -> FieldError {
        FieldError::new(FieldErrorKind::Internal, field, Value::Null, detail)
    }

    fn new(
        kind: FieldErrorKind,
        field: impl Into<String>,
        value: Value,
        detail: impl Into<String>,
    ) -> FieldError {
        FieldError { kind, field: field.into(), value, detail: detail.into() }
    }

    /// The text without the path.
    pub fn body(&self) -> String {
        let mut text = self.kind.words().to_owned();
        if self.kind.shows_value() {
            text.push_str(": ");
            text.push_str(&shown(&self.value));
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }

    /// The entry among the causes of a Status.
    pub fn cause(&self) -> StatusCause {
        StatusCause { reason: self.kind.reason().to_owned(), message: self.body(), field: self.field.clone() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        other => other.to_string(),
    }
}

/// Quotes a string as Go's `%q` does.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Joins errors as Kubernetes' aggregates do: one alone, several in brackets, equal texts once.
pub fn aggregate<I: IntoIterator<Item = String>>(errors: I) -> String {
    let mut seen: Vec<String> = Vec::new();
    for error in errors {
        if !seen.contains(&error) {
            seen.push(error);
        }
    }
    if seen.len() == 1 { seen.remove(0) } else { format!("[{}]", seen.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_print_in_kubernetes_words() {
        let check = |error: FieldError, want: &str| assert_eq!(error.to_string(), want);
        check(FieldError::required("a.b", ""), "a.b: Required value");
        check(FieldError::required("a", "why"), "a: Required value: why");
        check(FieldError::invalid("a", "x\"y", "no"), "a: Invalid value: \"x\\\"y\": no");
        check(FieldError::invalid("a", true, "no"), "a: Invalid value: true: no");
        check(FieldError::invalid("a", Value::Null, "no"), "a: Invalid value: null: no");
        check(FieldError::not_found("a", "x"), "a: Not found: \"x\"");
        check(FieldError::forbidden("a", "x"), "a: Forbidden: x");
        check(FieldError::internal("[]", "x"), "[]: Internal error: x");
        check(
            FieldError::not_supported("a", "x", &["b", "c"]),
            "a: Unsupported value: \"x\": supported values: \"b\", \"c\"",
        );
    }

    #[test]
    fn equal_errors_are_listed_once() {
        let text = |list: &[&str]| aggregate(list.iter().map(|&t| t.to_owned()));
        assert_eq!(text(&["a"]), "a");
        assert_eq!(text(&["a", "b", "a"]), "[a, b]");
    }
}
