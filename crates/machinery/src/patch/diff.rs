//! The merge patch that leads from one value to another.

use serde_json::{Map, Value};

/// The smallest merge patch that turns `from` into `to`; an empty object when they are equal. Nulls inside `to` cannot be
/// expressed by a merge patch: such fields are removed.
pub fn merge_diff(from: &Value, to: &Value) -> Value {
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => Value::Object(diff_maps(from, to)),
        _ => to.clone(),
    }
}

fn diff_maps(from: &Map<String, Value>, to: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    for key in from.keys().filter(|key| !to.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, new) in to {
        match (from.get(key), new) {
            (Some(old), new) if old == new => {}
            (Some(Value::Object(old)), Value::Object(new)) => {
                patch.insert(key.clone(), Value::Object(diff_maps(old, new)));
            }
            _ => {
                patch.insert(key.clone(), new.clone());
            }
        }
    }
    patch
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// JSON values without nulls.
    pub(crate) fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (-9i64..9).prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-d]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn only_what_differs_is_in_a_diff() {
        let from = json!({"a": 1, "b": {"c": 1, "d": 2}, "l": [1]});
        let to = json!({"a": 1, "b": {"c": 3}, "l": [1, 2], "n": {}});
        let want = json!({"b": {"c": 3, "d": null}, "l": [1, 2], "n": {}});
        assert_eq!(merge_diff(&from, &to), want);
    }

    proptest! {
        #[test]
        fn a_diff_leads_from_one_to_the_other(from in any_value(), to in any_value()) {
            let mut value = from.clone();
            json_patch::merge(&mut value, &merge_diff(&from, &to));
            prop_assert_eq!(value, to);
        }

        #[test]
        fn equal_values_have_an_empty_diff(value in any_value()) {
            if value.is_object() {
                prop_assert_eq!(merge_diff(&value, &value), json!({}));
            }
        }
    }
}
