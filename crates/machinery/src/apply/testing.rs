//! Documents for property tests: small, so that they meet often.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn object(fields: Vec<(&'static str, Option<Value>)>) -> Value {
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(fields.collect::<Map<String, Value>>())
}

fn words() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[ab]", "[01]", 1..3).prop_map(|words| json!(words))
}

fn tag() -> impl Strategy<Value = Value> {
    let from = "[xy]".prop_map(|name| json!({"kind": "DockerImage", "name": name}));
    (
        prop::option::of(from),
        prop::option::of(any::<bool>().prop_map(Value::from)),
        prop::option::of(words()),
        prop::option::of("[LP]".prop_map(|mode| json!({"importMode": mode}))),
    )
        .prop_map(|(from, reference, annotations, policy)| {
            object(vec![
                ("from", from),
                ("reference", reference),
                ("annotations", annotations),
                ("importPolicy", policy),
            ])
        })
}

/// A stream: labels, tags by name, and a status. Containers that are there hold something.
pub(super) fn stream() -> impl Strategy<Value = Value> {
    let tags = prop::collection::btree_map("[abcd]", tag(), 1..4).prop_map(|tags| {
        let tags = tags.into_iter().map(|(name, mut tag)| {
            tag["name"] = name.into();
            tag
        });
        Value::Array(tags.collect())
    });
    let events = prop::collection::btree_map("[ab]", "[xy]", 1..3).prop_map(|tags| {
        let tags = tags.into_iter().map(|(tag, image)| json!({"tag": tag, "items": [{"image": image}]}));
        Value::Array(tags.collect())
    });
    (prop::option::of(words()), prop::option::of(tags), prop::option::of(events), any::<Option<bool>>())
        .prop_map(|(labels, tags, events, local)| {
            let policy = local.map(|local| json!({"local": local}));
            object(vec![
                ("metadata", labels.map(|labels| json!({"labels": labels}))),
                (
                    "spec",
                    Some(object(vec![("tags", tags), ("lookupPolicy", policy)]))
                        .filter(|spec| spec != &json!({})),
                ),
                ("status", events.map(|events| json!({"tags": events}))),
            ])
        })
}
