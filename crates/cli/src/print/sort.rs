//! `--sort-by`: the order of items by a field.
//!
//! Items without the field come first. Numbers compare as numbers, quantities and times as the texts they are,
//! everything else by its text.

use std::cmp::Ordering;

use serde_json::Value;

use crate::failure::{Failure, plain};
use crate::jsonpath::Template;

/// The order of `items` by the field at `path`, as positions.
///
/// # Errors
/// When the path does not parse or no item has the field.
pub(crate) fn order(items: &[&Value], path: &str) -> Result<Vec<usize>, Failure> {
    let template = Template::parse_relaxed(path).map_err(plain)?;
    let keys: Vec<Option<Value>> = items
        .iter()
        .map(|item| Ok(template.find(item, true)?.concat().into_iter().next()))
        .collect::<Result<_, String>>()
        .map_err(plain)?;
    if !items.is_empty() && keys.iter().all(Option::is_none) {
        return Err(plain(format!("couldn't find any field with path \"{path}\" in the list of objects")));
    }
    let mut positions: Vec<usize> = (0..items.len()).collect();
    positions.sort_by(|a, b| compare(keys[*a].as_ref(), keys[*b].as_ref()));
    Ok(positions)
}

fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(Value::Number(a)), Some(Value::Number(b))) => {
            a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal)
        }
        (Some(Value::Bool(a)), Some(Value::Bool(b))) => a.cmp(b),
        (Some(Value::String(a)), Some(Value::String(b))) => natural(a, b),
        (Some(a), Some(b)) => crate::golang::print(a).cmp(&crate::golang::print(b)),
    }
}

/// Runs of digits compare by their value: `v9` before `v10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let (Some(x), Some(y)) = (a.first(), b.first()) {
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (run_a, rest_a) = digits(a);
            let (run_b, rest_b) = digits(b);
            let found = run_a.len().cmp(&run_b.len()).then_with(|| run_a.cmp(run_b));
            if found.is_ne() {
                return found;
            }
            (a, b) = (rest_a, rest_b);
        } else if x != y {
            return x.cmp(y);
        } else {
            (a, b) = (&a[1..], &b[1..]);
        }
    }
    a.len().cmp(&b.len())
}

/// The digits at the front, without leading zeros, and what follows.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (run, rest) = text.split_at(length);
    let zeros = run.iter().take_while(|byte| **byte == b'0').count();
    (&run[zeros..], rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn items_without_the_field_come_first() {
        let items = [json!({"n": "web"}), json!({"n": "db"}), json!({})];
        let items: Vec<&Value> = items.iter().collect();
        assert_eq!(order(&items, ".n").unwrap(), [2, 1, 0]);
        assert!(order(&items, ".nope").is_err());
        assert!(order(&items, "n[").is_err());
        assert!(order(&[], ".n").unwrap().is_empty());
    }

    #[test]
    fn numbers_inside_texts_count() {
        let items = [json!({"n": "v10"}), json!({"n": "v9"})];
        assert_eq!(order(&items.iter().collect::<Vec<_>>(), "{.n}").unwrap(), [1, 0]);
        let items = [json!({"n": 10}), json!({"n": 9})];
        assert_eq!(order(&items.iter().collect::<Vec<_>>(), "{.n}").unwrap(), [1, 0]);
    }
}
