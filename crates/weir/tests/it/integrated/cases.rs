//! Recorded conversations with a registry: what a correct one answers, replayed against the real server.
//!
//! A case is a list of steps with what each has to be answered; a step that is answered otherwise ends it. The form is
//! described in `tests/conformance/README.md`. What agreed once has to agree for ever (`agreed-registry.txt`).

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, time::Duration};

use futures_util::{StreamExt, stream};
use regex::bytes::Regex;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use super::{
    content::{Contents, digest},
    world::{Raw, World, local},
};
use crate::{random_hex, recording, registry::Registries, replay::ratchet::Ratchet, setting};

/// Cases that run at once.
const AT_ONCE: usize = 4;
const PAUSE: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_conversations_with_a_registry_agree() {
    let text = fs::read_to_string(recording("registry-cases.json")).expect("the recordings are there");
    let document: Value = serde_json::from_str(&text).expect("the recordings are JSON");
    let shared = document["blobs"].as_object().expect("shared contents");
    let filter = setting("WEIR_CASES").unwrap_or_default();
    let all = document["cases"].as_array().expect("cases");
    let cases: Vec<&Value> = all.iter().filter(|case| text_of(case, "name").contains(&filter)).collect();
    assert!(!cases.is_empty(), "no case's name contains {filter:?}");

    let (world, upstream) = (World::open().await, Registries::start());
    let results: BTreeMap<String, Result<(), String>> = stream::iter(cases)
        .map(|case| {
            let (world, upstream) = (&world, &upstream);
            async move {
                (
                    text_of(case, "name").to_owned(),
                    Case::new(world, &upstream.open.host, shared, case).run().await,
                )
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;

    let report = report(&results);
    println!("{report}");
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("registry-cases.txt"), &report)
        .expect("the report is kept");
    let (agreed, known) = (recording("agreed-registry.txt"), recording("known-differences.json"));
    let ratchet = Ratchet::read(&agreed, &known, "registry");
    let results: BTreeMap<String, bool> =
        results.into_iter().map(|(name, result)| (name, result.is_ok())).collect();
    if setting("WEIR_BLESS").is_some() {
        ratchet.bless(&results, &agreed);
    }
    let verdict = Ratchet::read(&agreed, &known, "registry").judge(&results, filter.is_empty());
    assert!(verdict.open.is_empty(), "neither agreed nor known to differ: {:?}", verdict.open);
    if let Some(complaint) = verdict.complaint() {
        panic!("{complaint}");
    }
}

fn report(results: &BTreeMap<String, Result<(), String>>) -> String {
    let mut text = String::new();
    for (name, result) in results {
        match result {
            Ok(()) => writeln!(text, "ok    {name}"),
            Err(why) => writeln!(text, "DIFF  {name}\n  {why}"),
        }
        .expect("memory takes any text");
    }
    let agree = results.values().filter(|result| result.is_ok()).count();
    writeln!(text, "{agree} of {} cases agree", results.len()).expect("memory takes any text");
    text
}

fn text_of<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

struct Case<'w> {
    world: &'w World,
    steps: &'w [Value],
    contents: Contents,
}

impl<'w> Case<'w> {
    fn new(world: &'w World, upstream: &str, shared: &Map<String, Value>, case: &'w Value) -> Self {
        let run = random_hex(4);
        let slug = text_of(case, "name").replace('/', "-");
        let name = format!("{}-{run}", &slug[..slug.len().min(40)]);
        let (project, other) = (&world.project, &world.other);
        let words = [
            ("project", project.clone()),
            ("other", other.clone()),
            ("run", run),
            ("host", world.server.registry().to_owned()),
            ("upstream", upstream.to_owned()),
            ("repo", format!("{project}/{name}")),
            ("repo2", format!("{project}/{name}-b")),
            ("otherrepo", format!("{other}/{name}")),
            ("name2", format!("{name}-b")),
            ("othername", name.clone()),
            ("name", name),
        ];
        let words = words.into_iter().map(|(word, text)| (word.to_owned(), text));
        let words = words.chain(world.token_words()).collect();
        let contents = Contents::new(shared, case["blobs"].as_object(), words);
        Case { world, steps: case["steps"].as_array().expect("a case has steps"), contents }
    }

    async fn run(mut self) -> Result<(), String> {
        for (number, step) in self.steps.iter().enumerate() {
            let title = match step.get("push").or_else(|| step.get("upload")) {
                Some(name) => format!("push {name}"),
                None => format!("{} {}", text_of(step, "method"), self.contents.fill(text_of(step, "path"))),
            };
            self.step(step).await.map_err(|why| format!("step {} ({title}): {why}", number + 1))?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Value) -> Result<(), String> {
        let repository = self.contents.fill(step["repo"].as_str().unwrap_or("{repo}"));
        let who = step["as"].as_str().unwrap_or("admin");
        if let Some(name) = step["upload"].as_str() {
            return self.world.upload(who, &repository, &self.contents.named(name)).await;
        }
        if let Some(name) = step["push"].as_str() {
            let reference = step["to"].as_str().map(|to| self.contents.fill(to));
            return self.push(who, &repository, name, reference).await;
        }
        let deadline = Instant::now() + Duration::from_secs_f64(step["until"].as_f64().unwrap_or_default());
        let answer = loop {
            let answer = self.send(who, step).await?;
            match self.compare(step, &answer) {
                Ok(()) => break answer,
                Err(why) if Instant::now() >= deadline => return Err(why),
                Err(_) => sleep(PAUSE).await,
            }
        };
        for (name, source) in fields(&step["save"]) {
            let found = source.as_str().and_then(|source| pick(&answer, source));
            let found = found.ok_or_else(|| format!("nothing to save from {source}"))?;
            self.contents.learn(name, found);
        }
        Ok(())
    }

    /// Pushes what a manifest consists of, and it.
    async fn push(
        &self,
        who: &str,
        repository: &str,
        name: &str,
        reference: Option<String>,
    ) -> Result<(), String> {
        let (blobs, children) = self.contents.parts(name);
        for blob in &blobs {
            self.world.upload(who, repository, &self.contents.named(blob)).await?;
        }
        for child in &children {
            Box::pin(self.push(who, repository, child, None)).await?;
        }
        let bytes = self.contents.named(name);
        let reference = reference.unwrap_or_else(|| digest(&bytes));
        let headers = [("Content-Type", self.contents.media_type(name).to_owned())];
        let path = format!("/v2/{repository}/manifests/{reference}");
        let answer = self.world.call(who, "PUT", &path, &headers, Some(bytes)).await;
        match answer.status {
            201 => Ok(()),
            status => Err(format!("PUT of manifest {name} answered {status} {}", answer.text())),
        }
    }

    async fn send(&self, who: &str, step: &Value) -> Result<Raw, String> {
        let method = text_of(step, "method");
        let mut path = local(&self.contents.fill(text_of(step, "path")));
        for (key, value) in fields(&step["query"]) {
            let value = self.contents.fill(value.as_str().unwrap_or_default());
            let encoded: String = value
                .bytes()
                .map(|byte| match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'/' => {
                        char::from(byte).to_string()
                    }
                    _ => format!("%{byte:02X}"),
                })
                .collect();
            let separator = if path.contains('?') { '&' } else { '?' };
            path = format!("{path}{separator}{key}={encoded}");
        }
        let mut headers: Vec<(&str, String)> = fields(&step["headers"])
            .map(|(name, value)| (name.as_str(), self.contents.fill(value.as_str().unwrap_or_default())))
            .collect();
        let body = match step.get("body") {
            Some(definition) => Some(self.contents.make(definition)),
            None => ["POST", "PUT", "PATCH"].contains(&method).then(Vec::new),
        };
        if step["api"] == true {
            headers.push(("Accept", "application/json".to_owned()));
            let request = crate::api::Request {
                method: method.to_owned(),
                path,
                headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
                body: body.filter(|body| !body.is_empty()),
            };
            let response = self.world.api.open(&request).await.map_err(|error| format!("{error:?}"))?;
            return Raw::read(response).await.map_err(|error| format!("{error:?}"));
        }
        let body = body.map(|body| match step["chunked"] == true {
            true => {
                let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
                    body.chunks(100).map(|piece| Ok(piece.to_vec())).collect();
                reqwest::Body::wrap_stream(stream::iter(pieces))
            }
            false => body.into(),
        });
        let sent = self.world.send(who, method, &path, &headers, body).await;
        let response = sent.map_err(|error| format!("no answer: {error:?}"))?;
        Raw::read(response).await.map_err(|error| format!("no whole answer: {error:?}"))
    }

    fn compare(&self, step: &Value, answer: &Raw) -> Result<(), String> {
        let status = &step["status"];
        let allowed = status == answer.status
            || status.as_array().is_some_and(|all| all.contains(&answer.status.into()));
        if !allowed {
            return Err(format!("status {}, expected {status}; body {}", answer.status, answer.text()));
        }
        for (name, wanted) in fields(&step["expect"]) {
            let found = answer.header(name);
            let right = match wanted.as_str() {
                None => found.is_none(),
                Some(wanted) => found.is_some_and(|found| matches(&self.contents.fill(wanted), found)),
            };
            if !right {
                return Err(format!("header {name}: {found:?}, expected {wanted}"));
            }
        }
        if let Some(wanted) = step.get("code") {
            let found: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let codes: Vec<&Value> =
                found["errors"].as_array().into_iter().flatten().map(|e| &e["code"]).collect();
            let right = codes
                .iter()
                .any(|code| *code == wanted || wanted.as_array().is_some_and(|wanted| wanted.contains(code)));
            if !right {
                return Err(format!("error codes {codes:?}, expected {wanted}; body {}", answer.text()));
            }
        }
        self.compare_body(&step["answer"], answer)
    }

    fn compare_body(&self, wanted: &Value, answer: &Raw) -> Result<(), String> {
        let body = &answer.body;
        if let Some(name) = wanted["is"].as_str()
            && *body != self.contents.named(name)
        {
            return Err(format!("{} bytes that are not {name}: {}", body.len(), answer.text()));
        }
        if let Some(size) = wanted["size"].as_u64()
            && body.len() as u64 != size
        {
            return Err(format!("{} bytes, expected {size}", body.len()));
        }
        if let Some(text) = wanted["absent"].as_str().map(|text| self.contents.fill(text))
            && String::from_utf8_lossy(body).contains(&text)
        {
            return Err(format!("{text:?} is in the answer"));
        }
        if let Some(json) = wanted.get("json") {
            let found = serde_json::from_slice(body).map_err(|_| format!("no JSON: {}", answer.text()))?;
            holds(&self.contents.fill_all(json), &found, "")?;
        }
        Ok(())
    }
}

/// `~` begins a regular expression.
fn matches(wanted: &str, found: &str) -> bool {
    match wanted.strip_prefix('~') {
        Some(pattern) => Regex::new(pattern).expect("a regular expression").is_match(found.as_bytes()),
        None => wanted == found,
    }
}

/// Whether a document has at least these fields, and lists exactly these elements.
fn holds(wanted: &Value, found: &Value, path: &str) -> Result<(), String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            for (key, value) in wanted {
                let path = format!("{path}.{key}");
                holds(value, found.get(key).ok_or_else(|| format!("{path} is missing"))?, &path)?;
            }
            Ok(())
        }
        (Value::Array(all), Value::Array(items)) if all.len() == items.len() => {
            all.iter().zip(items).try_for_each(|(one, other)| holds(one, other, &format!("{path}[]")))
        }
        (Value::String(text), Value::String(other)) if matches(text, other) => Ok(()),
        _ if wanted == found => Ok(()),
        _ => Err(format!("{path}: {found}, expected {wanted}")),
    }
}

/// `header:Name` or `json:dotted.path`.
fn pick(answer: &Raw, source: &str) -> Option<String> {
    match source.split_once(':')? {
        ("header", name) => answer.header(name).map(str::to_owned),
        (_, path) => {
            let document: Value = serde_json::from_slice(&answer.body).ok()?;
            let found = path.split('.').try_fold(&document, |value, part| match part.parse::<usize>() {
                Ok(position) => value.get(position),
                Err(_) => value.get(part),
            })?;
            Some(found.as_str().map_or_else(|| found.to_string(), str::to_owned))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_has_at_least_what_is_wanted() {
        let check = |wanted: Value, found: Value, right: bool| {
            assert_eq!(holds(&wanted, &found, "").is_ok(), right, "{wanted} {found}");
        };
        check(json!({"a": 1}), json!({"a": 1, "b": 2}), true);
        check(json!({"a": [1]}), json!({"a": [1, 2]}), false);
        check(json!({"a": "~^x"}), json!({"a": "xyz"}), true);
        check(json!({"a": "~^y"}), json!({"a": "xyz"}), false);
        check(json!({"a": null}), json!({}), false);
    }
}
