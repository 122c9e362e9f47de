//! What two answers have to have in common to agree.
//!
//! An answer of this run becomes comparable in two steps. [`normalise`] replaces what legitimately differs from run to
//! run by the fixed words that recorded answers hold: `UID`, `RV`, `NOW`, `CONTINUE`, `{ns}` and the like; recorded
//! answers are in that form already. [`ordered`], which both sides go through, leaves out what is no part of the
//! contract: the order of a list's objects and of a table's rows, relative times, and when an image that is embedded in
//! another answer was stored, because an earlier case may have imported it. Encoded credentials are shown decoded.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use regex::{Captures, Regex};
use serde_json::{Map, Value};

use super::names::Names;

/// A time is of this run when it is no further from now than this, in seconds.
const RECENT: i64 = 7200;

/// The hosts of the upstream registries when the recordings were made. They are still in there where the recorder did
/// not look: in base64.
const RECORDED_HOSTS: [(&str, &str); 2] = [("registry", "127.0.0.1:5001"), ("private", "127.0.0.1:5002")];

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern")
}

static UUID: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"));
static TIME: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.\d+)?Z"));
static AGO: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^(Less than a second|\d+ seconds?|About a minute|\d+ minutes) ago$"));
static ENCODED: LazyLock<Regex> = LazyLock::new(|| pattern(r"[A-Za-z0-9+/]{40,}={0,2}"));
/// Resource versions inside messages, and what stands there in recordings.
static VERSIONS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    vec![
        (pattern(r"resource version to \d+"), "resource version to RV"),
        (pattern(r#"(resourceVersion\\?":\\?")\d+"#), "${1}RV"),
        (pattern(r"ResourceVersion in record \(\d+\)"), "ResourceVersion in record (RV)"),
        (pattern(r#"updated from "\d+" to "\d+""#), r#"updated from "RV" to "RV""#),
        (pattern(r"too old resource version: \d+ \(\d+\)"), "too old resource version: RV (RV)"),
    ]
});

/// This run's answer with fixed words; `managed` keeps `metadata.managedFields`.
pub(crate) fn normalise(value: &Value, names: &Names, managed: bool) -> Value {
    within(value, &names.masks(), None, managed)
}

fn within(value: &Value, masks: &[(&str, &str)], key: Option<&str>, managed: bool) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| {
                let name = name.as_str();
                (name != "managedFields" || managed)
                    && (name != "description" || key != Some("columnDefinitions"))
            })
            .map(|(name, item)| (words(name, masks, None), within(item, masks, Some(name), managed)))
            .collect(),
        Value::Array(items) => items.iter().map(|item| within(item, masks, key, managed)).collect(),
        Value::String(text) => Value::String(words(text, masks, key)),
        // JSON knows one kind of number: 1.0 is 1.
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                Value::from(float as i64)
            }
            _ => value.clone(),
        },
        other => other.clone(),
    }
}

fn words(text: &str, masks: &[(&str, &str)], key: Option<&str>) -> String {
    match key {
        Some("resourceVersion") if !text.is_empty() => return "RV".to_owned(),
        Some("continue") if !text.is_empty() => return "CONTINUE".to_owned(),
        _ => {}
    }
    let mut text = secrets(text, masks);
    for (name, word) in masks {
        if text.contains(word) {
            text = text.replace(word, &format!("{{{name}}}"));
        }
    }
    text = UUID.replace_all(&text, "UID").into_owned();
    for (version, fixed) in VERSIONS.iter() {
        text = version.replace_all(&text, *fixed).into_owned();
    }
    recent_times(&text)
}

/// Shows what is inside encoded credentials for registries: it holds their hosts, which differ from run to run.
pub(crate) fn secrets(text: &str, hosts: &[(&str, &str)]) -> String {
    ENCODED
        .replace_all(text, |captures: &Captures<'_>| {
            let inside = STANDARD.decode(&captures[0]).ok().and_then(|raw| String::from_utf8(raw).ok());
            match inside.filter(|inside| inside.contains("\"auths\"")) {
                Some(inside) => {
                    let masked = hosts
                        .iter()
                        .fold(inside, |inside, (name, host)| inside.replace(host, &format!("{{{name}}}")));
                    format!("base64({masked})")
                }
                None => captures[0].to_owned(),
            }
        })
        .into_owned()
}

/// The same for what was recorded.
pub(crate) fn recorded_secrets(text: &str) -> String {
    secrets(text, &RECORDED_HOSTS)
}

/// Times of this run become `NOW`; others are facts.
pub(crate) fn recent_times(text: &str) -> String {
    let now = now();
    TIME.replace_all(text, |found: &Captures<'_>| {
        let recent = format!("{}Z", &found[1])
            .parse::<Timestamp>()
            .is_ok_and(|at| (now.as_second() - at.as_second()).abs() < RECENT);
        if recent { "NOW".to_owned() } else { found[0].to_owned() }
    })
    .into_owned()
}

/// Uids become `UID`.
pub(crate) fn uids(text: &str) -> String {
    UUID.replace_all(text, "UID").into_owned()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test of the whole program compares with the machine's clock"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

/// The value without what is no part of the contract.
pub(crate) fn ordered(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Map<String, Value> =
                fields.iter().map(|(name, item)| (name.clone(), ordered(item))).collect();
            sort(&mut fields, "items", "metadata.name");
            sort(&mut fields, "rows", "cells");
            forget_storage(&mut fields);
            Value::Object(fields)
        }
        Value::Array(items) => items.iter().map(ordered).collect(),
        Value::String(text) => Value::String(AGO.replace(&recorded_secrets(text), "AGO").into_owned()),
        other => other.clone(),
    }
}

fn sort(fields: &mut Map<String, Value>, list: &str, by: &str) {
    if let Some(Value::Array(items)) = fields.get_mut(list) {
        items.sort_by_cached_key(|item| pick(item, by).unwrap_or(&Value::Null).to_string());
    }
}

/// An image inside another answer may have been stored by an earlier case.
fn forget_storage(fields: &mut Map<String, Value>) {
    if !fields.contains_key("dockerImageMetadata") || fields.contains_key("kind") {
        return;
    }
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        metadata.retain(|name, _| !matches!(name.as_str(), "creationTimestamp" | "resourceVersion" | "uid"));
    }
}

/// Whether everything recorded was found; more may be there, but no longer lists.
pub(crate) fn subset(recorded: &Value, found: &Value) -> bool {
    match (recorded, found) {
        (Value::Object(recorded), Value::Object(found)) => {
            recorded.iter().all(|(name, value)| found.get(name).is_some_and(|other| subset(value, other)))
        }
        (Value::Array(recorded), Value::Array(found)) => {
            recorded.len() == found.len() && recorded.iter().zip(found).all(|(one, other)| subset(one, other))
        }
        _ => recorded == found,
    }
}

/// The value at a dotted path; a number is an index, a negative one counts from the end.
pub(crate) fn pick<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, part| match value {
        Value::Array(items) => {
            let index: isize = part.parse().ok()?;
            let index =
                if index < 0 { items.len().checked_add_signed(index)? } else { index.cast_unsigned() };
            items.get(index)
        }
        Value::Object(fields) => fields.get(part),
        _ => None,
    })
}
