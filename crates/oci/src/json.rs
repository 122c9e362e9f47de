//! JSON from outside, read with the rules and the error texts of Go's decoder.
//!
//! Why not serde: keys are matched without case, `null` leaves a field alone, the last of several equal keys wins, bad
//! UTF-8 is replaced instead of refused, and the texts of errors are shown to users. One small parser gives all of
//! that. Depth is bounded by [`limits::JSON_DEPTH`]; length is the caller's to bound before calling.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::golang::{quote_byte, same_key};
use crate::limits;

/// Why a document could not be read; prints as Go's decoder does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON.
    #[error("{0}")]
    Syntax(String),
    /// It is JSON, with a value of the wrong kind somewhere.
    #[error("json: cannot unmarshal {found} into Go {place} of type {wanted}")]
    Kind {
        /// What stands there: `string`, `number`, `object`…
        found: String,
        /// Where: `value`, or `struct field Manifest.config`.
        place: String,
        /// What should stand there, in Go's words.
        wanted: &'static str,
    },
    /// A text that should be a time is none.
    #[error("parsing time {0} as \"2006-01-02T15:04:05Z07:00\": cannot parse {0} as \"2006\"")]
    Time(String),
    /// A value that should be a time is no text.
    #[error("Time.UnmarshalJSON: input is not a JSON string")]
    NotATime,
}

/// A parsed document, borrowing from its text where nothing had to be unescaped.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as written.
    Number(&'a str),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// A list.
    Array(Vec<Value<'a>>),
    /// An object; keys in document order, duplicates kept.
    Object(Vec<Entry<'a>>),
}

/// One entry of an object: key and value.
pub type Entry<'a> = (Cow<'a, str>, Value<'a>);

/// Parses one complete document.
pub fn parse(text: &[u8]) -> Result<Value<'_>, JsonError> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let value = parser.value()?;
    match parser.next_token() {
        None => Ok(value),
        Some(byte) => Err(parser.offends(byte, "after top-level value")),
    }
}

impl<'a> Value<'a> {
    /// The document as the fields of a Go struct called `name`. `null` is a struct without fields.
    pub fn as_struct<'v>(&'v self, name: &'static str) -> Result<Fields<'v, 'a>, JsonError> {
        match self {
            Value::Object(entries) => Ok(Fields { name, path: String::new(), entries }),
            Value::Null => Ok(Fields { name, path: String::new(), entries: &[] }),
            other => Err(JsonError::Kind { found: other.kind(), place: "value".into(), wanted: name }),
        }
    }

    fn kind(&self) -> String {
        match self {
            Value::Null => "null".into(),
            Value::Bool(_) => "bool".into(),
            Value::Number(_) => "number".into(),
            Value::String(_) => "string".into(),
            Value::Array(_) => "array".into(),
            Value::Object(_) => "object".into(),
        }
    }
}

/// The fields of one object, looked up as Go's decoder fills a struct: absent and `null` mean the zero value.
#[derive(Debug, Clone)]
pub struct Fields<'v, 'a> {
    name: &'static str,
    path: String,
    entries: &'v [Entry<'a>],
}

impl<'v, 'a> Fields<'v, 'a> {
    /// The value of a field; `None` when it is absent or `null`.
    pub fn get(&self, key: &str) -> Option<&'v Value<'a>> {
        // From the end, because the last of several wins; a `null` leaves what an earlier one had set.
        self.entries
            .iter()
            .rev()
            .find(|(name, value)| *value != Value::Null && same_key(name, key))
            .map(|(_, v)| v)
    }

    /// A text field.
    pub fn string(&self, key: &str) -> Result<String, JsonError> {
        match self.get(key) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.to_string()),
            Some(other) => Err(self.wrong(key, other, "string")),
        }
    }

    /// A yes-or-no field.
    pub fn bool(&self, key: &str) -> Result<bool, JsonError> {
        match self.get(key) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(other) => Err(self.wrong(key, other, "bool")),
        }
    }

    /// A whole number.
    pub fn integer(&self, key: &str) -> Result<i64, JsonError> {
        match self.get(key) {
            None => Ok(0),
            Some(Value::Number(number)) => number.parse().map_err(|_| JsonError::Kind {
                found: format!("number {number}"),
                place: self.place(key),
                wanted: "int64",
            }),
            Some(other) => Err(self.wrong(key, other, "int64")),
        }
    }

    /// A list of texts; `None` when absent, `null` inside becomes "".
    pub fn strings(&self, key: &str) -> Result<Option<Vec<String>>, JsonError> {
        let Some(items) = self.list(key, "[]string")? else { return Ok(None) };
        items
            .iter()
            .map(|item| match item {
                Value::String(text) => Ok(text.to_string()),
                Value::Null => Ok(String::new()),
                other => Err(self.wrong(key, other, "string")),
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// An object of texts.
    pub fn string_map(&self, key: &str) -> Result<Option<BTreeMap<String, String>>, JsonError> {
        let Some(entries) = self.entries_of(key, "map[string]string")? else { return Ok(None) };
        entries
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) => Ok((name.to_string(), text.to_string())),
                Value::Null => Ok((name.to_string(), String::new())),
                other => Err(self.wrong(key, other, "string")),
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// The keys of an object whose values are empty objects (Go's sets); the values must be objects.
    pub fn key_set(&self, key: &str) -> Result<Option<Vec<String>>, JsonError> {
        let Some(entries) = self.entries_of(key, "map[string]struct {}")? else { return Ok(None) };
        let mut keys = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            if !matches!(value, Value::Object(_) | Value::Null) {
                return Err(self.wrong(key, value, "struct {}"));
            }
            keys.push(name.to_string());
        }
        keys.sort();
        keys.dedup();
        Ok(Some(keys))
    }

    /// A list; `wanted` is its Go type, for the error.
    pub fn list(&self, key: &str, wanted: &'static str) -> Result<Option<&'v [Value<'a>]>, JsonError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.wrong(key, other, wanted)),
        }
    }

    /// The entries of an object, in document order; `wanted` is its Go type, for the error.
    pub fn entries_of(&self, key: &str, wanted: &'static str) -> Result<Option<&'v [Entry<'a>]>, JsonError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(entries)) => Ok(Some(entries)),
            Some(other) => Err(self.wrong(key, other, wanted)),
        }
    }

    /// A nested struct called `name`; `None` when absent.
    pub fn object(&self, key: &str, name: &'static str) -> Result<Option<Fields<'v, 'a>>, JsonError> {
        Ok(self.entries_of(key, name)?.map(|entries| Fields { name, path: self.path_of(key), entries }))
    }

    /// A list of structs called `name`; `null` items become structs without fields.
    pub fn objects(
        &self,
        key: &str,
        name: &'static str,
        wanted: &'static str,
    ) -> Result<Vec<Fields<'v, 'a>>, JsonError> {
        let path = self.path_of(key);
        self.list(key, wanted)?
            .unwrap_or_default()
            .iter()
            .map(|item| match item {
                Value::Object(entries) => Ok(Fields { name, path: path.clone(), entries }),
                Value::Null => Ok(Fields { name, path: path.clone(), entries: &[] }),
                other => Err(self.wrong(key, other, name)),
            })
            .collect()
    }

    /// Every entry of this object, read as a struct called `name`, under its key.
    pub fn structs(&self, name: &'static str) -> Result<Vec<(String, Fields<'v, 'a>)>, JsonError> {
        self.entries
            .iter()
            .map(|(key, value)| {
                let fields = value.as_struct(name)?;
                Ok((key.to_string(), fields))
            })
            .collect()
    }

    /// Every entry of a nested object, read as a struct called `name`, under its key.
    pub fn structs_of(
        &self,
        key: &str,
        name: &'static str,
    ) -> Result<Vec<(String, Fields<'v, 'a>)>, JsonError> {
        match self.object(key, name)? {
            Some(fields) => fields.structs(name),
            None => Ok(Vec::new()),
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn place(&self, key: &str) -> String {
        let own = self.name.rsplit('.').next().unwrap_or(self.name);
        format!("struct field {own}.{}", self.path_of(key))
    }

    fn wrong(&self, key: &str, found: &Value<'_>, wanted: &'static str) -> JsonError {
        JsonError::Kind { found: found.kind(), place: self.place(key), wanted }
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self) -> Result<Value<'a>, JsonError> {
        let Some(byte) = self.next_token() else { return Err(self.ended()) };
        match byte {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::array),
            b'"' => self.string().map(Value::String),
            b't' => self.literal("true", Value::Bool(true)),
            b'f' => self.literal("false", Value::Bool(false)),
            b'n' => self.literal("null", Value::Null),
            b'-' | b'0'..=b'9' => self.number(),
            other => Err(self.offends(other, "looking for beginning of value")),
        }
    }

    fn nested(
        &mut self,
        inner: fn(&mut Self) -> Result<Value<'a>, JsonError>,
    ) -> Result<Value<'a>, JsonError> {
        if self.depth == limits::JSON_DEPTH {
            return Err(JsonError::Syntax("exceeded max depth".into()));
        }
        self.depth += 1;
        self.at += 1;
        let value = inner(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Result<Value<'a>, JsonError> {
        let mut entries = Vec::new();
        loop {
            match self.next_token() {
                Some(b'}') if entries.is_empty() => break,
                Some(b'"') => {}
                Some(other) => return Err(self.offends(other, "looking for beginning of object key string")),
                None => return Err(self.ended()),
            }
            let key = self.string()?;
            match self.next_token() {
                Some(b':') => self.at += 1,
                Some(other) => return Err(self.offends(other, "after object key")),
                None => return Err(self.ended()),
            }
            entries.push((key, self.value()?));
            match self.next_token() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                Some(other) => return Err(self.offends(other, "after object key:value pair")),
                None => return Err(self.ended()),
            }
        }
        self.at += 1;
        Ok(Value::Object(entries))
    }

    fn array(&mut self) -> Result<Value<'a>, JsonError> {
        let mut items = Vec::new();
        if self.next_token() != Some(b']') {
            loop {
                items.push(self.value()?);
                match self.next_token() {
                    Some(b',') => self.at += 1,
                    Some(b']') => break,
                    Some(other) => return Err(self.offends(other, "after array element")),
                    None => return Err(self.ended()),
                }
            }
        }
        self.at += 1;
        Ok(Value::Array(items))
    }

    fn literal(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, JsonError> {
        for expected in word.bytes() {
            match self.peek() {
                Some(byte) if byte == expected => self.at += 1,
                Some(byte) => {
                    let expecting = quote_byte(expected);
                    return Err(self.offends(byte, &format!("in literal {word} (expecting {expecting})")));
                }
                None => return Err(self.ended()),
            }
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<Value<'a>, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            Some(other) => return Err(self.offends(other, "in numeric literal")),
            None => return Err(self.ended()),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.required_digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.required_digits("in exponent of numeric literal")?;
        }
        let number = str::from_utf8(&self.text[start..self.at]).expect("a number is ASCII");
        Ok(Value::Number(number))
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn required_digits(&mut self, place: &str) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'0'..=b'9') => self.digits(),
            Some(other) => return Err(self.offends(other, place)),
            None => return Err(self.ended()),
        }
        Ok(())
    }

    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => return self.escaped_string(start),
                Some(byte) if byte < b' ' => return Err(self.offends(byte, "in string literal")),
                Some(_) => self.at += 1,
                None => return Err(self.ended()),
            }
        }
        let text = String::from_utf8_lossy(&self.text[start..self.at]);
        self.at += 1;
        Ok(text)
    }

    fn escaped_string(&mut self, start: usize) -> Result<Cow<'a, str>, JsonError> {
        let mut bytes = self.text[start..self.at].to_vec();
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    self.at += 1;
                    let character = self.escape()?;
                    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(byte) if byte < b' ' => return Err(self.offends(byte, "in string literal")),
                Some(byte) => {
                    bytes.push(byte);
                    self.at += 1;
                }
                None => return Err(self.ended()),
            }
        }
        self.at += 1;
        Ok(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let Some(byte) = self.peek() else { return Err(self.ended()) };
        let character = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode_escape();
            }
            other => return Err(self.offends(other, "in string escape code")),
        };
        self.at += 1;
        Ok(character)
    }

    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let first = self.four_hex()?;
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with(b"\\u") {
            let rewind = self.at;
            self.at += 2;
            let second = self.four_hex()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            // A half pair: it is replaced, and what follows is read by itself.
            self.at = rewind;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn four_hex(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(byte) = self.peek() else { return Err(self.ended()) };
            let Some(digit) = char::from(byte).to_digit(16) else {
                return Err(self.offends(byte, "in \\u hexadecimal character escape"));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The next byte that is no blank, without taking it.
    fn next_token(&mut self) -> Option<u8> {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.peek()
    }

    fn offends(&self, byte: u8, place: &str) -> JsonError {
        JsonError::Syntax(format!("invalid character {} {place}", quote_byte(byte)))
    }

    fn ended(&self) -> JsonError {
        JsonError::Syntax("unexpected end of JSON input".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        parse(text.as_bytes()).expect_err(text).to_string()
    }

    #[test]
    fn syntax_errors_read_as_go_prints_them() {
        for (text, expected) in [
            ("", "unexpected end of JSON input"),
            ("nope", "invalid character 'o' in literal null (expecting 'u')"),
            ("<html>", "invalid character '<' looking for beginning of value"),
            ("\u{81}", "invalid character 'Â' looking for beginning of value"),
            ("{x}", "invalid character 'x' looking for beginning of object key string"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 2}", "invalid character '2' after object key:value pair"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("[1 2]", "invalid character '2' after array element"),
            ("{} x", "invalid character 'x' after top-level value"),
            ("01", "invalid character '1' after top-level value"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("\"\n\"", "invalid character '\\n' in string literal"),
            ("\"\\q\"", "invalid character 'q' in string escape code"),
            ("\"\\u00g0\"", "invalid character 'g' in \\u hexadecimal character escape"),
        ] {
            assert_eq!(message(text), expected, "{text:?}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = "[".repeat(limits::JSON_DEPTH + 1);
        assert_eq!(message(&deep), "exceeded max depth");
        let fine = format!("{}{}", "[".repeat(limits::JSON_DEPTH), "]".repeat(limits::JSON_DEPTH));
        assert!(parse(fine.as_bytes()).is_ok());
    }

    #[test]
    fn fields_are_found_without_case_and_the_last_one_wins() {
        let value =
            parse(br#"{"Name":"a","NAME":"b","name":null,"n":3,"l":["x",null],"e":{"k":{}}}"#).unwrap();
        let fields = value.as_struct("v1.Thing").unwrap();
        assert_eq!(fields.string("name").unwrap(), "b");
        assert_eq!(fields.integer("N").unwrap(), 3);
        assert_eq!(fields.strings("l").unwrap(), Some(vec!["x".to_owned(), String::new()]));
        assert_eq!(fields.key_set("e").unwrap(), Some(vec!["k".to_owned()]));
        assert_eq!(
            fields.string("n").unwrap_err().to_string(),
            "json: cannot unmarshal number into Go struct field Thing.n of type string"
        );
    }

    #[test]
    fn escapes_and_bad_text_are_read_as_go_reads_them() {
        let value = parse(b"\"a\\u00e9\\ud83d\\ude00\\ud800x\\/\"").unwrap();
        assert_eq!(value, Value::String("aé😀\u{fffd}x/".into()));
        assert_eq!(parse(b"\"\xff\"").unwrap(), Value::String("\u{fffd}".into()));
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_serde_on_what_is_json(text in "[\\[\\]{}:,\"0-9a-z\\\\. eE+-]{0,24}") {
            let ours = parse(text.as_bytes()).is_ok();
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            // serde refuses numbers beyond f64 and lone surrogates; everything else agrees.
            match theirs {
                Ok(_) => proptest::prop_assert!(ours, "{text}"),
                Err(error) if error.to_string().contains("out of range") || error.to_string().contains("surrogate") => {}
                Err(_) => proptest::prop_assert!(!ours, "{text}"),
            }
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let _ = parse(&bytes);
        }
    }
}
