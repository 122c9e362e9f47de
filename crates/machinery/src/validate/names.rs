//! What names, label keys and label values may look like. Each function lists everything that is wrong with a text;
//! an empty list means that it is fine.

use crate::limits::{MAX_DNS_LABEL_BYTES, MAX_DNS_SUBDOMAIN_BYTES, MAX_LABEL_BYTES};

const DNS_LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const DNS_SUBDOMAIN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const QUALIFIED_NAME: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";

const DNS_LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
    and must start and end with an alphanumeric character";
const DNS_SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
    '-' or '.', and must start and end with an alphanumeric character";
const QUALIFIED_NAME_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
    with an alphanumeric character";
const LABEL_VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' \
    or '.', and must start and end with an alphanumeric character";

/// What can stand in a path: every name, unless its kind is stricter. A prefix may be `.`.
pub fn path_segment_errors(name: &str, prefix: bool) -> Vec<String> {
    if !prefix && matches!(name, "." | "..") {
        return vec![format!("may not be '{name}'")];
    }
    ["/", "%"]
        .iter()
        .filter(|bad| name.contains(**bad))
        .map(|bad| format!("may not contain '{bad}'"))
        .collect()
}

/// A DNS-1123 label: what namespaces are named by.
pub fn dns_label_errors(name: &str, prefix: bool) -> Vec<String> {
    let name = &*mask_trailing_dash(name, prefix);
    let mut errors = Vec::new();
    if name.len() > MAX_DNS_LABEL_BYTES {
        errors.push(too_long(MAX_DNS_LABEL_BYTES));
    }
    if !is_dns_label(name) {
        if is_dns_subdomain(name) {
            errors.push("must not contain dots".to_owned());
        } else {
            errors.push(does_not_match(DNS_LABEL_RULE, DNS_LABEL, &["my-name", "123-abc"]));
        }
    }
    errors
}

/// A DNS-1123 subdomain: what most objects are named by.
pub fn dns_subdomain_errors(name: &str, prefix: bool) -> Vec<String> {
    let name = &*mask_trailing_dash(name, prefix);
    let mut errors = Vec::new();
    if name.len() > MAX_DNS_SUBDOMAIN_BYTES {
        errors.push(too_long(MAX_DNS_SUBDOMAIN_BYTES));
    }
    if !is_dns_subdomain(name) {
        errors.push(does_not_match(DNS_SUBDOMAIN_RULE, DNS_SUBDOMAIN, &["example.com"]));
    }
    errors
}

/// A key of labels, annotations and finalizers: `name` or `example.com/name`.
pub fn qualified_name_errors(key: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let examples = ["MyName", "my.name", "123-abc"];
    let mut parts = key.split('/');
    let name = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, _) => name,
        (Some(""), Some(name), None) => {
            errors.push("prefix part must be non-empty".to_owned());
            name
        }
        (Some(prefix), Some(name), None) => {
            errors
                .extend(dns_subdomain_errors(prefix, false).iter().map(|text| format!("prefix part {text}")));
            name
        }
        _ => {
            let rule = does_not_match(QUALIFIED_NAME_RULE, QUALIFIED_NAME, &examples);
            return vec![format!(
                "a qualified name {rule} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > MAX_LABEL_BYTES {
        errors.push(format!("name part {}", too_long(MAX_LABEL_BYTES)));
    }
    if !is_word(name) {
        errors.push(format!("name part {}", does_not_match(QUALIFIED_NAME_RULE, QUALIFIED_NAME, &examples)));
    }
    errors
}

/// The value of a label; may be empty.
pub fn label_value_errors(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > MAX_LABEL_BYTES {
        errors.push(too_long(MAX_LABEL_BYTES));
    }
    if !value.is_empty() && !is_word(value) {
        errors.push(does_not_match(LABEL_VALUE_RULE, LABEL_VALUE, &["MyValue", "my_value", "12345"]));
    }
    errors
}

fn is_dns_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|&byte| inner(byte))
        && bytes.last().is_some_and(|&byte| inner(byte))
        && bytes.iter().all(|&byte| inner(byte) || byte == b'-')
}

fn is_dns_subdomain(text: &str) -> bool {
    text.split('.').all(is_dns_label)
}

/// Letters, digits, `-`, `_`, `.`; a letter or digit at both ends.
fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// A prefix that ends in a dash is fine, as a generated name goes on with a letter.
fn mask_trailing_dash(name: &str, prefix: bool) -> std::borrow::Cow<'_, str> {
    match name.strip_suffix('-') {
        Some(rest) if prefix && !rest.is_empty() => format!("{rest}a").into(),
        _ => name.into(),
    }
}

fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} bytes")
}

fn does_not_match(rule: &str, pattern: &str, examples: &[&str]) -> String {
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{rule} (e.g. {}regex used for validation is '{pattern}')", examples.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_segments_hold_neither_slash_nor_percent() {
        let check = |name: &str, prefix: bool, want: &[&str]| {
            assert_eq!(path_segment_errors(name, prefix), want, "{name}");
        };
        check("a:b@c", false, &[]);
        check("..", false, &["may not be '..'"]);
        check(".", true, &[]);
        check("a/b", false, &["may not contain '/'"]);
        check("a/b%c", true, &["may not contain '/'", "may not contain '%'"]);
    }

    #[test]
    fn namespaces_are_dns_labels() {
        assert!(dns_label_errors("my-ns1", false).is_empty());
        assert_eq!(dns_label_errors("a.b", false), ["must not contain dots"]);
        assert_eq!(
            dns_label_errors("Bad", false),
            [
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
              and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
              '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ]
        );
        assert!(dns_label_errors("app-", true).is_empty());
        assert_eq!(dns_label_errors("app-", false).len(), 1);
        assert_eq!(dns_label_errors("-", true).len(), 1);
        assert_eq!(dns_label_errors(&"a".repeat(64), false), ["must be no more than 63 bytes"]);
    }

    #[test]
    fn most_names_are_dns_subdomains() {
        for good in ["a", "a.b-c.1", "0"] {
            assert!(dns_subdomain_errors(good, false).is_empty(), "{good}");
        }
        for bad in ["", "a..b", ".a", "a.", "A", "a_b", "-a", "é"] {
            assert_eq!(dns_subdomain_errors(bad, false).len(), 1, "{bad}");
        }
    }

    #[test]
    fn label_keys_are_qualified_names() {
        for good in ["a", "example.com/a", "A_b.c-D", "x/0"] {
            assert!(qualified_name_errors(good).is_empty(), "{good}");
        }
        let first = |key: &str| qualified_name_errors(key).remove(0);
        assert_eq!(first("/a"), "prefix part must be non-empty");
        assert_eq!(first("a/"), "name part must be non-empty");
        assert!(first("a/b/c").starts_with("a qualified name must consist of"));
        assert!(first("A.b/c").starts_with("prefix part a lowercase RFC 1123 subdomain"));
        assert!(first("a b").starts_with("name part must consist of"));
    }

    #[test]
    fn label_values_may_be_empty() {
        assert!(label_value_errors("").is_empty());
        assert!(label_value_errors("v1.2_x-Y").is_empty());
        assert_eq!(label_value_errors("a b").len(), 1);
        assert_eq!(label_value_errors(&"é".repeat(40)).len(), 2);
    }
}
