//! Where a text stands in an object: what a trigger decides.
//!
//! In kinds that run pods that is the image of a container. Every other kind is addressed by a JSON path that means one
//! text: keys (`spec.image`, `data['app.image']`), places (`[0]`) and members by what they hold
//! (`[?(@.name=="web")]`).

use serde_json::{Map, Value};

use super::limits::PATH_STEPS;
use super::path::PathError;
use crate::workload::images::Place;

/// Where a text stands in an object: the keys and places on the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot(Vec<Step>);

/// One step of the way to a text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
    /// A member of a list by a text that it holds.
    Holding {
        key: String,
        text: String,
    },
}

impl Spot {
    /// The image of a container of the pod spec at `pod`.
    pub fn of_container(pod: &[&str], place: Place) -> Spot {
        let keys = pod.iter().copied().chain([place.list]).map(|key| Step::Key(key.to_owned()));
        Spot(keys.chain([Step::Index(place.index), Step::Key("image".to_owned())]).collect())
    }

    /// What a JSON path means in an object.
    ///
    /// # Errors
    /// [`PathError`]: the path has another form, or leads to no text. The last key may be missing.
    pub fn find(fields: &Map<String, Value>, path: &str) -> Result<Spot, PathError> {
        let steps = steps(path).ok_or_else(|| PathError::Form(path.to_owned()))?;
        let nothing = || PathError::Nothing(path.to_owned());
        let mut found = Vec::with_capacity(steps.len());
        let mut at: Option<&Value> = None;
        let last = steps.len() - 1;
        for (number, step) in steps.into_iter().enumerate() {
            let step = match step {
                Step::Holding { key, text } => {
                    let list = at.and_then(Value::as_array).ok_or_else(nothing)?;
                    let holds = |member: &Value| member.get(&key).and_then(Value::as_str) == Some(&text);
                    Step::Index(list.iter().position(holds).ok_or_else(nothing)?)
                }
                step => step,
            };
            let next = match (&step, at) {
                (Step::Key(key), None) => fields.get(key),
                (step, at) => at.and_then(|at| step.of(at)),
            };
            let may_be_new = number == last
                && matches!(step, Step::Key(_))
                && (number == 0 || at.is_some_and(Value::is_object));
            if next.is_none() && !may_be_new {
                return Err(nothing());
            }
            found.push(step);
            at = next;
        }
        match at {
            None | Some(Value::String(_)) => Ok(Spot(found)),
            Some(_) => Err(PathError::NoText(path.to_owned())),
        }
    }

    /// The text; empty while there is none.
    pub fn text<'a>(&self, fields: &'a Map<String, Value>) -> &'a str {
        let Some((Step::Key(first), rest)) = self.0.split_first() else { return "" };
        let found = rest.iter().try_fold(fields.get(first), |at, step| Some(step.of(at?)));
        found.flatten().and_then(Value::as_str).unwrap_or_default()
    }

    /// Sets the text, if what is on the way to it is there.
    pub fn set(&self, fields: &mut Map<String, Value>, text: &str) {
        let Some((Step::Key(last), way)) = self.0.split_last() else { return };
        let Some((Step::Key(first), rest)) = way.split_first() else {
            fields.insert(last.clone(), text.into());
            return;
        };
        let found = rest.iter().try_fold(fields.get_mut(first), |at, step| Some(step.of_mut(at?)));
        if let Some(Value::Object(parent)) = found.flatten() {
            parent.insert(last.clone(), text.into());
        }
    }
}

impl Step {
    fn of<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        match self {
            Step::Key(key) => value.get(key),
            Step::Index(index) => value.get(index),
            Step::Holding { .. } => None,
        }
    }

    fn of_mut<'a>(&self, value: &'a mut Value) -> Option<&'a mut Value> {
        match self {
            Step::Key(key) => value.get_mut(key),
            Step::Index(index) => value.get_mut(index),
            Step::Holding { .. } => None,
        }
    }
}

/// Reads a JSON path: it begins with a key, its last step is one, and none is empty.
fn steps(path: &str) -> Option<Vec<Step>> {
    // As people write it for other tools: `{.spec.image}`, `$.spec.image`.
    let path = path.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or(path);
    let path = path.strip_prefix('$').unwrap_or(path);
    let mut rest = path.strip_prefix('.').unwrap_or(path);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if steps.len() == PATH_STEPS {
            return None;
        }
        if let Some(bracket) = rest.strip_prefix('[') {
            let (step, after) = bracketed(bracket)?;
            steps.push(step);
            rest = after;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let key = &rest[..end];
            if key.is_empty() {
                return None;
            }
            steps.push(Step::Key(key.to_owned()));
            rest = &rest[end..];
        }
        if let Some(after) = rest.strip_prefix('.') {
            if after.is_empty() || after.starts_with('[') {
                return None;
            }
            rest = after;
        } else if !rest.is_empty() && !rest.starts_with('[') {
            return None;
        }
    }
    let is_key = |step: Option<&Step>| matches!(step, Some(Step::Key(_)));
    (is_key(steps.first()) && is_key(steps.last())).then_some(steps)
}

/// What stands between brackets, and what comes behind them.
fn bracketed(text: &str) -> Option<(Step, &str)> {
    if let Some(condition) = text.strip_prefix("?(@.") {
        let (key, rest) = condition.split_once("==")?;
        let (held, rest) = quoted(rest.trim_start())?;
        let key = key.trim();
        let is_plain = !key.is_empty() && !key.contains(['.', '[', ']', '(', ')']);
        let rest = rest.trim_start().strip_prefix(")]")?;
        return is_plain.then(|| (Step::Holding { key: key.to_owned(), text: held.to_owned() }, rest));
    }
    if text.starts_with(['\'', '"']) {
        let (key, rest) = quoted(text)?;
        let rest = rest.strip_prefix(']')?;
        return (!key.is_empty()).then(|| (Step::Key(key.to_owned()), rest));
    }
    let (index, rest) = text.split_once(']')?;
    let is_number = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Some((Step::Index(index.parse().ok()?), rest)))?
}

/// A text in quotes, and what comes behind it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
    text[1..].split_once(quote)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object() -> Map<String, Value> {
        let Value::Object(fields) = json!({
            "data": {"app.image": "old", "other": "x"},
            "spec": {
                "image": "a", "count": 1, "template": {},
                "steps": [{"name": "build", "image": "b"}, {"name": "test", "image": "c"}],
            },
        }) else {
            unreachable!("it is an object")
        };
        fields
    }

    #[test]
    fn json_paths_mean_one_text() {
        let cases = [
            ("spec.image", Ok("a")),
            ("{.spec.image}", Ok("a")),
            ("$.spec.image", Ok("a")),
            ("data['app.image']", Ok("old")),
            (r#"data["app.image"]"#, Ok("old")),
            ("spec.steps[1].image", Ok("c")),
            (r#"spec.steps[?(@.name=="test")].image"#, Ok("c")),
            ("spec.steps[?(@.name == 'build')].image", Ok("b")),
            ("spec.template.image", Ok("")),
            ("data.new", Ok("")),
            ("image", Ok("")),
            ("spec.nothing.image", Err("Nothing")),
            ("spec.steps[2].image", Err("Nothing")),
            (r#"spec.steps[?(@.name=="x")].image"#, Err("Nothing")),
            ("spec.image.more", Err("Nothing")),
            ("spec.count", Err("NoText")),
            ("spec.steps", Err("NoText")),
            ("", Err("Form")),
            (".", Err("Form")),
            ("[0].image", Err("Form")),
            ("spec..image", Err("Form")),
            ("spec.image.", Err("Form")),
            ("spec.steps[0]", Err("Form")),
            ("spec.steps[-1].image", Err("Form")),
            ("spec.steps[*].image", Err("Form")),
            ("spec.steps[0]image", Err("Form")),
            ("spec.steps[?(@.name=='x'.image", Err("Form")),
            ("data['app.image", Err("Form")),
        ];
        for (path, want) in cases {
            let fields = object();
            let found = Spot::find(&fields, path);
            let told = match &found {
                Ok(spot) => Ok(spot.text(&fields)),
                Err(PathError::Nothing(_)) => Err("Nothing"),
                Err(PathError::NoText(_)) => Err("NoText"),
                Err(PathError::Form(_)) => Err("Form"),
                Err(other) => panic!("{path}: {other}"),
            };
            assert_eq!(told, want, "{path}");
        }
        assert!(Spot::find(&object(), &"a.".repeat(PATH_STEPS + 1)).is_err());
    }

    #[test]
    fn what_is_set_is_there_and_nothing_else_changes() {
        for path in ["spec.steps[1].image", "data.new", "image", "spec.template.image"] {
            let before = object();
            let spot = Spot::find(&before, path).unwrap();
            let mut after = before.clone();
            spot.set(&mut after, "new");
            assert_eq!(spot.text(&after), "new", "{path}");
            let held = spot.text(&before).to_owned();
            let texts = |fields: &Map<String, Value>| Value::Object(fields.clone()).to_string();
            if held.is_empty() {
                assert_eq!(
                    texts(&after).matches("new").count(),
                    texts(&before).matches("new").count() + 1 + usize::from(path == "data.new")
                );
            } else {
                spot.set(&mut after, &held);
                assert_eq!(after, before, "{path}");
            }
        }
    }

    #[test]
    fn a_container_is_a_spot_like_any_other() {
        let Value::Object(mut fields) = json!({"spec": {"containers": [{"name": "web"}]}}) else {
            unreachable!("it is an object")
        };
        let spot = Spot::of_container(&["spec"], Place { list: "containers", index: 0 });
        assert_eq!(spot.text(&fields), "");
        spot.set(&mut fields, "x");
        assert_eq!(fields["spec"]["containers"][0]["image"], "x");
    }
}
