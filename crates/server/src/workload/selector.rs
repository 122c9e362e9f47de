//! Selectors of workloads in the words of queries.

use serde_json::Value;

use super::text;

/// A selector as it is written in queries: what labels must be, and the further conditions, by name of the label.
pub fn selector_words(selector: &Value) -> String {
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    let labels = match selector.get("matchLabels") {
        Some(labels) => labels.as_object(),
        None if expressions.is_some() => None,
        // The older kinds have nothing but labels.
        None => selector.as_object(),
    };
    let mut all: Vec<(&str, String)> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), format!("{key}={}", value.as_str().unwrap_or_default())))
        .collect();
    for expression in expressions.into_iter().flatten() {
        let key = text(expression, "key");
        let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
        let mut values: Vec<&str> = values.filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        all.push((
            key,
            match text(expression, "operator") {
                "In" => format!("{key} in ({values})"),
                "NotIn" => format!("{key} notin ({values})"),
                "DoesNotExist" => format!("!{key}"),
                _ => key.to_owned(),
            },
        ));
    }
    all.sort_by_key(|(key, _)| *key);
    all.into_iter().map(|(_, word)| word).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_are_written_as_queries() {
        let check = |selector: Value, want: &str| assert_eq!(selector_words(&selector), want);
        check(json!({"b": "2", "a": "1"}), "a=1,b=2");
        check(json!({"matchLabels": {"app": "x"}}), "app=x");
        check(
            json!({"matchLabels": {"z": "1"}, "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["b", "a"]},
                {"key": "a", "operator": "DoesNotExist"},
                {"key": "k", "operator": "Exists"},
                {"key": "n", "operator": "NotIn", "values": ["x"]},
            ]}),
            "!a,k,n notin (x),tier in (a,b),z=1",
        );
        check(json!({}), "");
    }
}
