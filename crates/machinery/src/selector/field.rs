//! Field selectors: `metadata.name=a,spec.x!=b`. In values, `,`, `=` and `\` are escaped with a backslash.

use crate::limits::MAX_SELECTOR_REQUIREMENTS;

/// One condition of a field selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    /// The field, as `metadata.name`.
    pub field: String,
    /// Whether the field must be equal (or must differ).
    pub equal: bool,
    /// The value, unescaped.
    pub value: String,
}

/// All conditions that an object's fields must meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector(pub Vec<FieldRequirement>);

/// Why a field selector cannot be read or used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldSelectorError {
    /// A term without an operator.
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    Term {
        /// The whole selector.
        selector: String,
        /// The term in question.
        term: String,
    },
    /// A backslash in front of something that needs none.
    #[error("invalid field selector: invalid escape sequence: {0}")]
    Escape(String),
    /// A `,` or `=` in a value that is not escaped; its code point.
    #[error("invalid field selector: unescaped character in value: {0}")]
    Unescaped(u32),
    /// A field that the resource cannot be selected by.
    #[error("{0:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")]
    Unknown(String),
    /// Too many conditions.
    #[error("invalid field selector: more than {MAX_SELECTOR_REQUIREMENTS} requirements")]
    TooMany,
}

impl FieldSelector {
    /// Reads a selector; an empty text selects everything.
    ///
    /// # Errors
    /// [`FieldSelectorError`] says what cannot be understood.
    pub fn parse(text: &str) -> Result<FieldSelector, FieldSelectorError> {
        let mut terms = split_terms(text);
        if terms.len() > MAX_SELECTOR_REQUIREMENTS {
            return Err(FieldSelectorError::TooMany);
        }
        terms.sort_unstable();
        let mut requirements = Vec::new();
        for term in terms.into_iter().filter(|term| !term.is_empty()) {
            let Some((field, equal, value)) = split_term(term) else {
                return Err(FieldSelectorError::Term { selector: text.to_owned(), term: term.to_owned() });
            };
            requirements.push(FieldRequirement { field: field.to_owned(), equal, value: unescape(value)? });
        }
        Ok(FieldSelector(requirements))
    }

    /// True when every object matches.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one value that a field must have, if the selector says so.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|requirement| requirement.equal && requirement.field == field)
            .map(|requirement| requirement.value.as_str())
    }

    /// Refuses fields that are not among `known`.
    ///
    /// # Errors
    /// [`FieldSelectorError::Unknown`] with the first such field.
    pub fn check_known(&self, known: &[&str]) -> Result<(), FieldSelectorError> {
        match self.0.iter().find(|requirement| !known.contains(&requirement.field.as_str())) {
            Some(requirement) => Err(FieldSelectorError::Unknown(requirement.field.clone())),
            None => Ok(()),
        }
    }

    /// True when all conditions hold; `value` looks a field up (empty when the object lacks it).
    pub fn matches<'a>(&self, value: impl Fn(&str) -> &'a str) -> bool {
        self.0.iter().all(|requirement| (value(&requirement.field) == requirement.value) == requirement.equal)
    }
}

/// Splits at commas that are not escaped.
fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b',' => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    for (at, _) in term.char_indices() {
        for (operator, equal) in [("!=", false), ("==", true), ("=", true)] {
            if let Some(value) = term[at..].strip_prefix(operator) {
                return Some((&term[..at], equal, value));
            }
        }
    }
    None
}

fn unescape(value: &str) -> Result<String, FieldSelectorError> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(next @ ('\\' | ',' | '=')) => out.push(next),
                Some(next) => return Err(FieldSelectorError::Escape(format!("\\{next}"))),
                None => return Err(FieldSelectorError::Escape("\\".to_owned())),
            },
            ',' | '=' => return Err(FieldSelectorError::Unescaped(u32::from(c))),
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_match_fields() {
        let check = |selector: &str, want: bool| {
            let value = |field: &str| match field {
                "metadata.name" => "a,b",
                "spec.x" => "1",
                _ => "",
            };
            assert_eq!(FieldSelector::parse(selector).unwrap().matches(value), want, "{selector}");
        };
        check("", true);
        check("metadata.name=a\\,b", true);
        check("metadata.name==a\\,b,spec.x=1", true);
        check("metadata.name!=a\\,b", false);
        check("spec.x!=2", true);
        check("spec.y=", true);
        check("spec.x=1,spec.x!=1", false);
    }

    #[test]
    fn bad_selectors_say_what_is_wrong() {
        let check = |selector: &str, want: &str| {
            assert_eq!(FieldSelector::parse(selector).unwrap_err().to_string(), want, "{selector}");
        };
        check("abc", "invalid selector: 'abc'; can't understand 'abc'");
        check("a=b,c", "invalid selector: 'a=b,c'; can't understand 'c'");
        check("a=b\\x", "invalid field selector: invalid escape sequence: \\x");
        check("a=b=c", "invalid field selector: unescaped character in value: 61");
        let selector = FieldSelector::parse("spec.x=a").unwrap();
        assert_eq!(
            selector.check_known(&["metadata.name"]).unwrap_err().to_string(),
            "\"spec.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        );
    }

    #[test]
    fn a_selector_may_single_out_one_value() {
        let selector = FieldSelector::parse("metadata.name=a,metadata.namespace!=b").unwrap();
        assert_eq!(selector.exact("metadata.name"), Some("a"));
        assert_eq!(selector.exact("metadata.namespace"), None);
    }

    proptest::proptest! {
        #[test]
        fn escaped_values_come_back(value in ".{0,30}") {
            let escaped = value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            let selector = FieldSelector::parse(&format!("metadata.name={escaped}")).unwrap();
            proptest::prop_assert_eq!(selector.exact("metadata.name"), Some(value.as_str()));
        }

        #[test]
        fn parsing_never_panics(text in ".{0,60}") {
            let _ = FieldSelector::parse(&text);
        }
    }
}
