//! What stored service accounts, configuration maps, limit ranges and quotas must look like.

use machinery::field::{FieldError, FieldErrors};
use machinery::quantity::Quantity;
use serde_json::{Map, Value, json};

use crate::plain::{LENIENT, Plain, PlainRules};

/// Service accounts.
pub const SERVICE_ACCOUNT: PlainRules = PlainRules { prepare: |new, _| prepare_account(new), ..LENIENT };
/// Configuration maps.
pub const CONFIG_MAP: PlainRules =
    PlainRules { prepare: |new, _| prepare_map(new), validate: validate_map, ..LENIENT };
/// Limits of single objects in a project.
pub const LIMIT_RANGE: PlainRules =
    PlainRules { prepare: |new, _| keep(new, &["spec"]), validate: |new, _| validate_limits(new), ..LENIENT };
/// Limits of what a project holds in all.
pub const RESOURCE_QUOTA: PlainRules =
    PlainRules { prepare: prepare_quota, validate: |new, _| validate_quota(new), ..LENIENT };

/// Bytes a configuration map may hold in all.
const MAP_SIZE: usize = 1024 * 1024;

fn keep(new: &mut Plain, known: &[&str]) {
    new.fields.retain(|key, value| known.contains(&key.as_str()) && !value.is_null());
}

fn prepare_account(new: &mut Plain) {
    keep(new, &["secrets", "imagePullSecrets", "automountServiceAccountToken"]);
}

fn prepare_map(new: &mut Plain) {
    keep(new, &["data", "binaryData", "immutable"]);
}

fn validate_map(new: &Plain, old: Option<&Plain>) -> FieldErrors {
    let mut errors = Vec::new();
    let empty = Map::new();
    let mut total = 0;
    for field in ["data", "binaryData"] {
        let data = match new.fields.get(field) {
            None => &empty,
            Some(Value::Object(data)) => data,
            Some(_) => {
                errors.push(FieldError::invalid(field, "", "must be a map of names to text"));
                continue;
            }
        };
        for (key, value) in data {
            crate::plain::check_key(field, key, &mut errors);
            match value.as_str() {
                Some(text) => total += text.len(),
                None => errors.push(FieldError::invalid(format!("{field}[{key}]"), "", "must be text")),
            }
        }
    }
    let both = new.fields.get("data").and_then(Value::as_object).into_iter().flatten();
    for (key, _) in both {
        if new.fields.get("binaryData").is_some_and(|binary| binary.get(key).is_some()) {
            let why = format!("duplicate of key present in data: {key}");
            errors.push(FieldError::invalid(format!("binaryData[{key}]"), key.as_str(), why));
        }
    }
    if total > MAP_SIZE {
        errors.push(FieldError::too_long("", MAP_SIZE));
    }
    if let Some(old) = old.filter(|old| old.fields.get("immutable") == Some(&Value::Bool(true))) {
        for field in ["immutable", "data", "binaryData"] {
            if new.fields.get(field) != old.fields.get(field) {
                errors.push(FieldError::forbidden(field, "field is immutable when `immutable` is set"));
            }
        }
    }
    errors
}

/// Checks a map of resource names to amounts.
fn check_amounts(amounts: Option<&Value>, path: &str, errors: &mut FieldErrors) {
    match amounts {
        None | Some(Value::Null) => {}
        Some(Value::Object(amounts)) => {
            for (name, amount) in amounts {
                if quantity(amount).is_none() {
                    let field = format!("{path}[{name}]");
                    errors.push(FieldError::invalid(
                        field,
                        amount.clone(),
                        "must be a quantity that is not negative",
                    ));
                }
            }
        }
        Some(other) => errors.push(FieldError::invalid(path, other.clone(), "must be a map of amounts")),
    }
}

/// An amount, written as text or number.
pub fn quantity(amount: &Value) -> Option<Quantity> {
    let text = match amount {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    text.parse().ok().filter(|quantity: &Quantity| quantity.value() >= 0)
}

fn validate_limits(new: &Plain) -> FieldErrors {
    let mut errors = Vec::new();
    let limits = new.fields.get("spec").and_then(|spec| spec.get("limits"));
    let mut kinds = Vec::new();
    for (index, item) in limits.and_then(Value::as_array).into_iter().flatten().enumerate() {
        let path = format!("spec.limits[{index}]");
        match item.get("type").and_then(Value::as_str).filter(|kind| !kind.is_empty()) {
            None => errors.push(FieldError::required(format!("{path}.type"), "")),
            Some(kind) if kinds.contains(&kind) => {
                errors.push(FieldError::duplicate(format!("{path}.type"), kind));
            }
            Some(kind) => kinds.push(kind),
        }
        for field in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
            check_amounts(item.get(field), &format!("{path}.{field}"), &mut errors);
        }
    }
    errors
}

fn prepare_quota(new: &mut Plain, old: Option<&Plain>) {
    keep(new, &["spec"]);
    // The status has a path of its own.
    let status = old.and_then(|old| old.fields.get("status")).cloned().unwrap_or_else(|| json!({}));
    new.fields.insert("status".to_owned(), status);
}

fn validate_quota(new: &Plain) -> FieldErrors {
    let mut errors = Vec::new();
    check_amounts(new.fields.get("spec").and_then(|spec| spec.get("hard")), "spec.hard", &mut errors);
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &PlainRules, value: Value, want: &[&str]) {
        let mut new: Plain = serde_json::from_value(value).unwrap();
        (rules.prepare)(&mut new, None);
        let found: Vec<String> = (rules.validate)(&new, None).into_iter().map(|error| error.field).collect();
        assert_eq!(found, want, "{new:?}");
    }

    #[test]
    fn amounts_are_quantities() {
        check(&RESOURCE_QUOTA, json!({"spec": {"hard": {"pods": "1", "memory": "1Gi", "cpu": 2}}}), &[]);
        check(&RESOURCE_QUOTA, json!({"spec": {"hard": {"pods": "many"}}}), &["spec.hard[pods]"]);
        check(&RESOURCE_QUOTA, json!({"spec": {"hard": {"pods": "-1"}}}), &["spec.hard[pods]"]);
        check(
            &LIMIT_RANGE,
            json!({"spec": {"limits": [{"max": {"x": "y"}}]}}),
            &["spec.limits[0].type", "spec.limits[0].max[x]"],
        );
        let twice = json!({"spec": {"limits": [{"type": "Pod"}, {"type": "Pod"}]}});
        check(&LIMIT_RANGE, twice, &["spec.limits[1].type"]);
    }

    #[test]
    fn maps_hold_text_under_good_names() {
        check(&CONFIG_MAP, json!({"data": {"a": "b"}, "other": 1}), &[]);
        check(&CONFIG_MAP, json!({"data": {"a b": "b"}}), &["data[a b]"]);
        check(&CONFIG_MAP, json!({"data": {"a": 1}}), &["data[a]"]);
        check(&CONFIG_MAP, json!({"data": {"a": ""}, "binaryData": {"a": ""}}), &["binaryData[a]"]);
    }
}
