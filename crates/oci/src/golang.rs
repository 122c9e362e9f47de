//! Go's way of printing and comparing text, where users see it.
//!
//! Error texts of the registry protocol's usual clients quote bodies and characters as Go's `%q` does, and JSON keys
//! are compared as Go's decoder compares them. Only what those texts need is here.

use std::fmt::Write;

/// `text` in double quotes with Go's escapes.
pub(crate) fn quote(text: &[u8]) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            escape(&mut quoted, character, '"');
        }
        for byte in chunk.invalid() {
            let _ = write!(quoted, "\\x{byte:02x}");
        }
    }
    quoted.push('"');
    quoted
}

/// One byte in single quotes, as Go's JSON decoder names an offending character.
pub(crate) fn quote_byte(byte: u8) -> String {
    let mut quoted = String::from("'");
    escape(&mut quoted, char::from(byte), '\'');
    quoted.push('\'');
    quoted
}

fn escape(out: &mut String, character: char, delimiter: char) {
    match character {
        '\\' => out.push_str("\\\\"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        c if c == delimiter => {
            out.push('\\');
            out.push(c);
        }
        c if c < ' ' || c == '\u{7f}' => {
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        }
        c if is_printable(c) => out.push(c),
        c if u32::from(c) <= 0xffff => {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        }
        c => {
            let _ = write!(out, "\\U{:08x}", u32::from(c));
        }
    }
}

/// Letters, marks, numbers, symbols and the plain blank; a good approximation of Go's tables for what registries send.
fn is_printable(character: char) -> bool {
    character == ' '
        || !(character.is_control()
            || character.is_whitespace()
            || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{e000}'..='\u{f8ff}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'))
}

/// Whether two JSON keys name the same field to Go's decoder: case does not count, and two letters outside ASCII fold
/// onto ASCII ones.
pub(crate) fn same_key(a: &str, b: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    a == b || a.chars().map(fold).eq(b.chars().map(fold))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_quoted_as_go_quotes_them() {
        assert_eq!(quote(b"<html>\n\"x\"\\\t\x01\xff\xc3\xa9"), r#""<html>\n\"x\"\\\t\x01\xffé""#);
        assert_eq!(quote("\u{85}\u{200b}".as_bytes()), r#""\u0085\u200b""#);
    }

    #[test]
    fn an_offending_byte_is_shown_as_a_latin_one_character() {
        assert_eq!(quote_byte(0x81), r"'\u0081'");
        assert_eq!(quote_byte(b'\''), r"'\''");
        assert_eq!(quote_byte(b'"'), r#"'"'"#);
    }

    #[test]
    fn keys_are_compared_without_case() {
        assert!(same_key("ContainerConfig", "containerconfig"));
        assert!(same_key("fi\u{17f}h", "FISH"));
        assert!(!same_key("container_config", "containerConfig"));
    }
}
