//! JSON as the Go servers write it: compact, `<`, `>`, `&` and the two line separators escaped, one newline at the end
//! (or, pretty, two spaces of indentation and no newline).
//!
//! Documents that are embedded raw must already have been written by this module.

use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, PrettyFormatter, Serializer};

use crate::meta::Kind;

/// Bytes most objects fit in; saves the first few reallocations.
const TYPICAL_OBJECT: usize = 4096;

/// Encodes a value compactly, without a newline.
pub fn compact<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(TYPICAL_OBJECT);
    compact_into(&mut out, value);
    out
}

/// Appends a value's compact encoding.
pub fn compact_into<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let mut serializer = Serializer::with_formatter(&mut *out, Html(CompactFormatter));
    value.serialize(&mut serializer).expect("API types serialize to JSON: string keys, no failing field");
}

/// Encodes an object with its `kind` and `apiVersion` in front and a newline at the end, ready to be sent.
pub fn object<T: Kind>(value: &T) -> Vec<u8> {
    let mut out = with_type(T::KIND, T::API_VERSION, value);
    out.push(b'\n');
    out
}

/// Encodes a struct with `kind` and `apiVersion` as its first keys.
pub fn with_type<T: Serialize + ?Sized>(kind: &str, api_version: &str, value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(TYPICAL_OBJECT);
    out.extend_from_slice(b"{\"kind\":");
    compact_into(&mut out, kind);
    out.extend_from_slice(b",\"apiVersion\":");
    compact_into(&mut out, api_version);
    let comma = out.len();
    compact_into(&mut out, value);
    // The value begins with `{`: that byte becomes the comma, or goes if there is nothing behind it.
    if out[comma..] == *b"{}" {
        out.truncate(comma);
        out.push(b'}');
    } else {
        out[comma] = b',';
    }
    out
}

/// Indents a document by two spaces, as `?pretty=true` asks for; no newline at the end.
///
/// # Errors
/// When `document` is no JSON.
pub fn pretty(document: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::with_capacity(document.len() * 2);
    let document: Ordered = serde_json::from_slice(document)?;
    let mut serializer = Serializer::with_formatter(&mut out, Html(PrettyFormatter::with_indent(b"  ")));
    document.serialize(&mut serializer)?;
    Ok(out)
}

/// Indents a serializable value by the given indent.
pub fn pretty_value<T: Serialize + ?Sized>(value: &T, indent: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(TYPICAL_OBJECT);
    let mut serializer = Serializer::with_formatter(&mut out, Html(PrettyFormatter::with_indent(indent)));
    value.serialize(&mut serializer).expect("API types serialize to JSON: string keys, no failing field");
    out
}

/// Brings a document that somebody else wrote into the form of this module, without reading it: blanks between tokens
/// go, characters that must be escaped are. The order of keys and the spelling of numbers stay.
pub fn compact_raw(document: Vec<u8>) -> Vec<u8> {
    let odd = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'<' | b'>' | b'&' | 0xe2);
    if !document.iter().any(odd) {
        return document;
    }
    let mut out = Vec::with_capacity(document.len() + 16);
    let (mut in_string, mut escaped) = (false, false);
    let mut at = 0;
    while at < document.len() {
        let byte = document[at];
        let separator = matches!(document.get(at..at + 3), Some([0xe2, 0x80, 0xa8 | 0xa9]));
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' if !in_string => {}
            b'<' => out.extend_from_slice(b"\\u003c"),
            b'>' => out.extend_from_slice(b"\\u003e"),
            b'&' => out.extend_from_slice(b"\\u0026"),
            _ if separator => {
                out.extend_from_slice(if document[at + 2] == 0xa8 { b"\\u2028" } else { b"\\u2029" });
                at += 2;
            }
            _ => out.push(byte),
        }
        if byte == b'"' && !escaped {
            in_string = !in_string;
        }
        escaped = in_string && byte == b'\\' && !escaped;
        at += 1;
    }
    out
}

/// Levels of nesting; 0 for plain values. The value must not be deeper than the stack allows, which holds for everything
/// that was decoded within [`MAX_DEPTH`](crate::limits::MAX_DEPTH).
pub fn depth(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        serde_json::Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// What Go's decoder calls a kind of value in its messages.
pub fn go_kind(value: &serde_json::Value) -> &'static str {
    match value {
        serde_json::Value::Null => "null",
        serde_json::Value::Bool(_) => "bool",
        serde_json::Value::Number(_) => "number",
        serde_json::Value::String(_) => "string",
        serde_json::Value::Array(_) => "array",
        serde_json::Value::Object(_) => "object",
    }
}

/// A JSON document whose keys keep their order.
enum Ordered {
    Plain(serde_json::Value),
    List(Vec<Ordered>),
    Map(Vec<(String, Ordered)>),
}

impl<'de> serde::Deserialize<'de> for Ordered {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Ordered, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Ordered;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Ordered, E> {
                Ok(Ordered::Plain(value.into()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Ordered, E> {
                Ok(Ordered::Plain(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Ordered, E> {
                Ok(Ordered::Plain(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Ordered, E> {
                Ok(Ordered::Plain(value.into()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Ordered, E> {
                Ok(Ordered::Plain(value.into()))
            }
            fn visit_unit<E>(self) -> Result<Ordered, E> {
                Ok(Ordered::Plain(serde_json::Value::Null))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Ordered, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Ordered::List(list))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut entries: A) -> Result<Ordered, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Ordered::Map(map))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Serialize for Ordered {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Ordered::Plain(value) => value.serialize(serializer),
            Ordered::List(items) => serializer.collect_seq(items),
            Ordered::Map(entries) => serializer.collect_map(entries.iter().map(|(key, value)| (key, value))),
        }
    }
}

/// A formatter that escapes what could end a script element or a line of JavaScript.
struct Html<F>(F);

impl<F: Formatter> Formatter for Html<F> {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let bytes = fragment.as_bytes();
        let mut written = 0;
        let mut at = 0;
        while at < bytes.len() {
            let escape: Option<(&[u8], usize)> = match bytes[at] {
                b'<' => Some((b"\\u003c", 1)),
                b'>' => Some((b"\\u003e", 1)),
                b'&' => Some((b"\\u0026", 1)),
                0xe2 if bytes[at + 1] == 0x80 && bytes[at + 2] == 0xa8 => Some((b"\\u2028", 3)),
                0xe2 if bytes[at + 1] == 0x80 && bytes[at + 2] == 0xa9 => Some((b"\\u2029", 3)),
                _ => None,
            };
            if let Some((text, length)) = escape {
                writer.write_all(&bytes[written..at])?;
                writer.write_all(text)?;
                at += length;
                written = at;
            } else {
                at += 1;
            }
        }
        writer.write_all(&bytes[written..])
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        match escape {
            // Go knows short forms for \n, \r, \t, \b and \f (since 1.22) and \u00xx for the rest, as serde does.
            CharEscape::Solidus => writer.write_all(b"/"),
            other => CompactFormatter.write_char_escape(writer, other),
        }
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }
    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }
    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }
    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }
    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }
    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }
    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }
    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_characters_are_escaped() {
        assert_eq!(compact("<a&b>\u{2028}é\n"), "\"\\u003ca\\u0026b\\u003e\\u2028é\\n\"".as_bytes());
    }

    #[test]
    fn raw_documents_are_brought_into_form() {
        let check = |text: &str, want: &str| {
            assert_eq!(String::from_utf8(compact_raw(text.as_bytes().to_vec())).unwrap(), want);
        };
        check("{ \"b\" : 1.50,\n \"a\":[ ] }", "{\"b\":1.50,\"a\":[]}");
        check(r#"{"a b":"x \" < \\"}"#, r#"{"a b":"x \" \u003c \\"}"#);
        check("{\"a\":\"\u{2028}é\u{2029}€\"}", r#"{"a":"\u2028é\u2029€"}"#);
        check("{}", "{}");
    }

    #[test]
    fn pretty_keeps_the_order_of_keys() {
        let out = pretty(br#"{"b":1,"a":[true,{}],"c":[]}"#).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\n  \"b\": 1,\n  \"a\": [\n    true,\n    {}\n  ],\n  \"c\": []\n}"
        );
    }

    #[test]
    fn the_type_comes_first() {
        assert_eq!(
            with_type("K", "v1", &serde_json::json!({"a": 1})),
            br#"{"kind":"K","apiVersion":"v1","a":1}"#
        );
        assert_eq!(with_type("K", "v1", &serde_json::json!({})), br#"{"kind":"K","apiVersion":"v1"}"#);
    }
}
