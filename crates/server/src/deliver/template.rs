//! Templates: JSON with places for what is known of a move, as `${weir.tag}` inside any text.
//!
//! Values are put into texts of parsed JSON, never into its source, so none can change the shape of what comes out.
//! Other dollar signs stay as they are: a job's script has its own.

use serde_json::Value;

/// What can stand in a template.
pub(super) const NAMES: [&str; 9] =
    ["namespace", "stream", "tag", "image", "reference", "move", "revision", "time", "cause"];
const OPEN: &str = "${weir.";

/// The names in a template that nobody knows.
pub(super) fn unknown(template: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(template, &mut |text| {
        for part in text.split(OPEN).skip(1) {
            let name = part.split('}').next().unwrap_or_default();
            if !NAMES.contains(&name) || !part.contains('}') {
                found.push(name.chars().take(64).collect());
            }
        }
    });
    found
}

fn walk(value: &Value, see: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => see(text),
        Value::Array(items) => items.iter().for_each(|item| walk(item, see)),
        Value::Object(map) => map.values().for_each(|item| walk(item, see)),
        _ => {}
    }
}

/// Fills in a template from the data of an event.
pub(super) fn fill(template: &Value, event: &Value) -> Value {
    match template {
        Value::String(text) => Value::String(fill_text(text, event)),
        Value::Array(items) => items.iter().map(|item| fill(item, event)).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (key.clone(), fill(item, event))).collect(),
        other => other.clone(),
    }
}

fn fill_text(text: &str, event: &Value) -> String {
    let mut parts = text.split(OPEN);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('}') {
            Some((name, rest)) if NAMES.contains(&name) => {
                out.push_str(value(name, event));
                out.push_str(rest);
            }
            _ => {
                out.push_str(OPEN);
                out.push_str(part);
            }
        }
    }
    out
}

/// One value of an event; empty where a tag was removed and points nowhere.
fn value<'a>(name: &str, event: &'a Value) -> &'a str {
    let at = match name {
        "image" => "/to/image".to_owned(),
        "reference" => "/to/dockerImageReference".to_owned(),
        name => format!("/{name}"),
    };
    event.pointer(&at).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_stand_in_texts_and_cannot_change_the_shape() {
        let event = json!({"tag": "a\",\"evil\":\"", "stream": "app", "to": {"image": "sha256:1"}});
        let template =
            json!({"text": "${weir.stream}:${weir.tag}@${weir.image} $HOME ${HOME} ${weir.", "n": 1});
        let filled = fill(&template, &event);
        assert_eq!(filled, json!({"text": "app:a\",\"evil\":\"@sha256:1 $HOME ${HOME} ${weir.", "n": 1}));
    }

    #[test]
    fn unknown_names_are_found() {
        assert_eq!(unknown(&json!(["${weir.tag} ${weir.tug} ${OTHER}", {"a": "${weir.x"}])), ["tug", "x"]);
    }
}
