//! JSON values as Go programs print them: `%v`, `%#v`, `%q`, and encoded JSON with sorted keys.
//!
//! Keys are sorted here, whatever order the map type keeps, because the order of keys is visible to users.

use std::fmt::Write as _;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Number, Value};

/// A map's entries in the order of their keys.
pub(crate) fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| key.as_str());
    entries
}

/// Serializes with sorted keys at every level.
struct Sorted<'a>(&'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => {
                let mut out = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in sorted(map) {
                    out.serialize_entry(key, &Sorted(value))?;
                }
                out.end()
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Sorted)),
            Value::Number(number) => match whole(number) {
                Some(number) => serializer.serialize_i64(number),
                None => number.serialize(serializer),
            },
            other => other.serialize(serializer),
        }
    }
}

/// A float that is a whole number, as Go would write it.
fn whole(number: &Number) -> Option<i64> {
    if number.is_i64() || number.is_u64() {
        return None;
    }
    let float = number.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
    (float.fract() == 0.0 && float.abs() < 1e15).then_some(float as i64)
}

/// One line of JSON.
pub(crate) fn json(value: &Value) -> String {
    text(machinery::json::compact(&Sorted(value)))
}

/// JSON indented by four blanks.
pub(crate) fn json_pretty(value: &Value) -> String {
    text(machinery::json::pretty_value(&Sorted(value), b"    "))
}

/// JSON with the order that the keys have in `value`'s typed form: `kind`, `apiVersion`, `metadata` first, then `order`.
pub(crate) fn json_typed(value: &Value, order: &[&str], indent: &[u8]) -> String {
    text(machinery::json::pretty_value(&Typed { value, order }, indent))
}

/// The same on one line.
pub(crate) fn json_typed_line(value: &Value, order: &[&str]) -> String {
    text(machinery::json::compact(&Typed { value, order }))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// Serializes the way a Go struct would: known keys in the order of their fields, others sorted behind them.
struct Typed<'a> {
    value: &'a Value,
    order: &'a [&'a str],
}

/// Keys that come first wherever they are, and those of object metadata.
const FIRST: &[&str] = &[
    "kind",
    "apiVersion",
    "metadata",
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "labels",
    "annotations",
];

impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Object(map) => {
                let rank = |key: &str| {
                    FIRST
                        .iter()
                        .chain(self.order)
                        .position(|known| *known == key)
                        .unwrap_or(FIRST.len() + self.order.len())
                };
                let mut entries = sorted(map);
                entries.sort_by_key(|(key, _)| rank(key));
                let mut out = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in entries {
                    out.serialize_entry(key, &Typed { value, order: self.order })?;
                }
                out.end()
            }
            Value::Array(items) => {
                serializer.collect_seq(items.iter().map(|value| Typed { value, order: self.order }))
            }
            other => other.serialize(serializer),
        }
    }
}

/// `%v`: `map[a:b]`, `[1 2]`, `<nil>`.
pub(crate) fn print(value: &Value) -> String {
    let mut out = String::new();
    print_into(&mut out, value);
    out
}

fn print_into(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&self::number(number)),
        Value::String(value) => out.push_str(value),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                print_into(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push_str("map[");
            for (at, (key, value)) in sorted(map).into_iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                out.push_str(key);
                out.push(':');
                print_into(out, value);
            }
            out.push(']');
        }
    }
}

/// A number as `%v` prints it.
pub(crate) fn number(number: &Number) -> String {
    if let Some(number) = number.as_i64() {
        return number.to_string();
    }
    if let Some(number) = number.as_u64() {
        return number.to_string();
    }
    let float = number.as_f64().unwrap_or_default();
    if float != 0.0 && !(1e-4..1e21).contains(&float.abs()) {
        // Go's exponent has a sign and two digits at least.
        let text = format!("{float:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    format!("{float}")
}

/// `%#v` of what a JSON document decodes to.
pub(crate) fn syntax(value: &Value) -> String {
    let mut out = String::new();
    syntax_into(&mut out, value);
    out
}

fn syntax_into(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("interface {}(nil)"),
        Value::String(value) => out.push_str(&machinery::field::quote(value)),
        Value::Array(items) => {
            out.push_str("[]interface {}{");
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                syntax_into(out, item);
            }
            out.push('}');
        }
        Value::Object(map) => {
            out.push_str("map[string]interface {}{");
            for (at, (key, value)) in sorted(map).into_iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write!(out, "{}:", machinery::field::quote(key)).expect("writing to a String cannot fail");
                syntax_into(out, value);
            }
            out.push('}');
        }
        other => print_into(out, other),
    }
}

/// The value at a path of keys; null when anything on the way is missing.
pub(crate) fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(value, |value, key| value.get(*key).unwrap_or(&Value::Null))
}

/// The string at a path of keys; empty when missing.
pub(crate) fn text_at<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    at(value, path).as_str().unwrap_or_default()
}

/// The items at a path of keys; none when missing.
pub(crate) fn items_at<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path).as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_print_as_go_prints_them() {
        let value = json!({"b": [1, "x", null], "a": {"c": true}});
        assert_eq!(print(&value), "map[a:map[c:true] b:[1 x <nil>]]");
        assert_eq!(
            syntax(&value),
            r#"map[string]interface {}{"a":map[string]interface {}{"c":true}, "b":[]interface {}{1, "x", interface {}(nil)}}"#
        );
        assert_eq!(json(&value), r#"{"a":{"c":true},"b":[1,"x",null]}"#);
    }

    #[test]
    fn numbers_print_as_go_prints_them() {
        let check = |value: Value, want: &str| assert_eq!(print(&value), want);
        check(json!(3), "3");
        check(json!(1.5), "1.5");
        check(json!(1e21), "1e+21");
        check(json!(0.00001), "1e-05");
        assert_eq!(json(&json!(3.0)), "3");
    }

    #[test]
    fn typed_json_starts_with_the_kind() {
        let value = json!({"metadata": {"name": "a"}, "apiVersion": "v1", "groups": ["x"], "kind": "User"});
        assert_eq!(
            json_typed(&value, &[], b"  "),
            "{\n  \"kind\": \"User\",\n  \"apiVersion\": \"v1\",\n  \"metadata\": {\n    \"name\": \"a\"\n  },\n  \"groups\": [\n    \"x\"\n  ]\n}"
        );
    }
}
