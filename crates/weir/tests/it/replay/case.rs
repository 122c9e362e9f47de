//! One recorded API conversation: its form, and walking through it.
//!
//! Every step is made, also after a difference: later steps may agree all the same, and a case that differs in one
//! step says so once. A step that gets no answer at all ends the case.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use similar::TextDiff;
use tokio::time::{Instant, sleep};

use super::{
    Peer,
    names::{Names, quote},
    normal::{normalise, ordered, pick, subset},
};
use crate::api::{Answer, Request};

/// How long a step with `until` is repeated unless it says otherwise, in seconds, and how often.
pub(crate) const PATIENCE: f64 = 30.0;
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    #[serde(rename = "about")]
    _about: String,
    #[serde(default = "one")]
    pub(crate) namespaces: usize,
    pub(crate) steps: Vec<Step>,
}

fn one() -> usize {
    1
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Step {
    pub(crate) method: String,
    pub(crate) path: String,
    body: Option<Box<RawValue>>,
    #[serde(default)]
    headers: BTreeMap<String, Header>,
    r#as: Option<String>,
    until: Option<BTreeMap<String, Value>>,
    seconds: Option<f64>,
    #[serde(default)]
    pub(crate) save: BTreeMap<String, String>,
    #[serde(default)]
    managed_fields: bool,
    show: Option<Vec<String>>,
    pub(crate) shown: Option<BTreeMap<String, Vec<String>>>,
    pub(crate) status: u16,
    pub(crate) answer: Value,
    #[serde(default)]
    pub(crate) compare: Compare,
    /// What has to have happened before this step.
    #[serde(skip)]
    before: Option<Box<Step>>,
}

/// Steps that wait where a recording took for granted that a controller had been quicker than the next request.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Waits(BTreeMap<String, BTreeMap<usize, Wait>>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    #[serde(rename = "why")]
    _why: String,
    step: Step,
}

impl Waits {
    pub(crate) fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    /// Puts each wait before its step of these cases.
    pub(crate) fn insert(self, cases: &mut [Case]) {
        for (name, waits) in self.0 {
            let Some(case) = cases.iter_mut().find(|case| case.name == name) else { continue };
            for (number, wait) in waits {
                let step = number.checked_sub(1).and_then(|index| case.steps.get_mut(index));
                step.unwrap_or_else(|| panic!("{name} has no step {number}")).before =
                    Some(Box::new(wait.step));
            }
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Header {
    Once(String),
    Each(Vec<String>),
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compare {
    #[default]
    Exact,
    Subset,
    Status,
}

/// One step that was answered otherwise than recorded.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) step: String,
    pub(crate) text: String,
}

/// How much a replay takes upon itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Lines of a difference that are shown.
    pub(crate) lines: usize,
    /// The longest that a step waits, in seconds.
    pub(crate) patience: f64,
}

impl Case {
    pub(crate) fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    /// Makes every step; empty means that the case agrees.
    pub(crate) async fn replay(
        &self,
        peer: &impl Peer,
        names: &mut Names,
        limits: Limits,
    ) -> Vec<Difference> {
        let mut differences = Vec::new();
        for (number, step) in self.steps.iter().enumerate() {
            let title = format!("step {}: {} {}", number + 1, step.method, step.path);
            let waited = match &step.before {
                Some(wait) => wait.make(peer, names, limits.patience).await.map(drop),
                None => Ok(()),
            };
            let found = match waited {
                Ok(()) => step.make(peer, names, limits.patience).await,
                Err(error) => Err(error),
            };
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    differences.push(Difference { step: title, text: format!("could not run: {error}") });
                    return differences;
                }
            };
            if let Some(text) = step.difference(&found, names, limits.lines) {
                differences.push(Difference { step: title, text });
            }
        }
        differences
    }
}

impl Step {
    async fn make(&self, peer: &impl Peer, names: &mut Names, patience: f64) -> Result<Answer, String> {
        let path = quote(&names.text(&self.path));
        let answer = match self.method.as_str() {
            "COPY" => {
                peer.copy(&path, &String::from_utf8_lossy(&self.body(names).unwrap_or_default())).await?
            }
            "REMOVE" => peer.remove(&path).await?,
            _ => self.ask(peer, &self.request(path, names), names, patience).await?,
        };
        for (name, place) in &self.save {
            let word = match pick(&answer.body, place) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => format!("<{place} was not in the answer>"),
            };
            names.learn(name, &word);
        }
        Ok(answer)
    }

    /// Asks once, or until the answer holds what the step waits for or its time is over.
    async fn ask(
        &self,
        peer: &impl Peer,
        request: &Request,
        names: &Names,
        patience: f64,
    ) -> Result<Answer, String> {
        let Some(until) = &self.until else { return peer.call(request).await };
        let until: BTreeMap<String, Value> =
            until.iter().map(|(path, value)| (names.text(path), names.value(value))).collect();
        let deadline =
            Instant::now() + Duration::from_secs_f64(self.seconds.unwrap_or(PATIENCE).min(patience));
        loop {
            let answer = peer.call(request).await?;
            if reached(&answer.body, &until) || Instant::now() > deadline {
                return Ok(answer);
            }
            sleep(PAUSE).await;
        }
    }

    fn request(&self, path: String, names: &Names) -> Request {
        let mut request = Request { body: self.body(names), ..Request::new(&self.method, path) };
        for (name, header) in &self.headers {
            let values = match header {
                Header::Once(value) => std::slice::from_ref(value),
                Header::Each(values) => values.as_slice(),
            };
            for value in values {
                request = request.header(&names.text(name), &names.text(value));
            }
        }
        if let Some(user) = &self.r#as {
            request = request.header("Impersonate-User", &names.text(user));
        }
        request
    }

    /// A body that is a string is sent as it is, any other as the JSON it was recorded in.
    fn body(&self, names: &Names) -> Option<Vec<u8>> {
        let raw = self.body.as_ref()?.get();
        let text = match serde_json::from_str::<String>(raw) {
            Ok(text) => names.text(&text),
            Err(_) => names.document(raw),
        };
        Some(text.into_bytes())
    }

    fn difference(&self, found: &Answer, names: &Names, lines: usize) -> Option<String> {
        let answer = normalise(&found.body, names, self.managed_fields);
        if found.status != self.status {
            let text: String = answer.to_string().chars().take(600).collect();
            return Some(format!("status {}, recorded {}: {text}", found.status, self.status));
        }
        if let Some(show) = &self.show {
            let shown: BTreeMap<String, Vec<String>> = show
                .iter()
                .map(|name| {
                    let values = Value::from(found.header_values(name));
                    let values = normalise(&values, names, false);
                    (name.clone(), serde_json::from_value(values).expect("normalised strings are strings"))
                })
                .collect();
            let recorded = self.shown.clone().unwrap_or_default();
            if shown != recorded {
                return Some(format!("headers {shown:?}, recorded {recorded:?}"));
            }
        }
        let (recorded, answer) = (ordered(&self.answer), ordered(&answer));
        let agrees = match self.compare {
            Compare::Exact => recorded == answer,
            Compare::Subset => subset(&recorded, &answer),
            Compare::Status => true,
        };
        (!agrees).then(|| unified(&pretty(&recorded), &pretty(&answer), lines))
    }
}

/// Whether every dotted path holds the wanted value; `*` is any value.
fn reached(answer: &Value, until: &BTreeMap<String, Value>) -> bool {
    until
        .iter()
        .all(|(path, wanted)| pick(answer, path).is_some_and(|found| wanted == "*" || found == wanted))
}

fn pretty(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("a value has a text");
    text.push('\n');
    text
}

/// The first lines of what differs.
pub(crate) fn unified(recorded: &str, found: &str, lines: usize) -> String {
    let diff = TextDiff::from_lines(recorded, found);
    let text = diff.unified_diff().context_radius(2).header("recorded", "found").to_string();
    text.lines().take(lines).collect::<Vec<_>>().join("\n")
}
