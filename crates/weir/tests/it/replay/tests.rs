//! The replay is tested on its own: a peer that answers what was recorded agrees, one that answers anything else
//! does not.

use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{Timestamp, ToSpan};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::{
    Peer,
    case::{Case, Difference, Limits, PATIENCE, Step},
    names::{Names, quote},
    normal::{normalise, ordered, recent_times, subset},
    ratchet::{Ratchet, Verdict},
};
use crate::{
    api::{Answer, Request},
    conformance::case_files,
    recording,
};

const LIMITS: Limits = Limits { lines: 40, patience: PATIENCE };

/// Answers each step of a case with what was recorded, in the words of this run, after `change` had a look at it.
struct Script<'a, F> {
    case: &'a Case,
    names: &'a Names,
    next: Cell<usize>,
    change: F,
}

impl<F: Fn(usize, &mut Answer)> Script<'_, F> {
    fn answer(&self) -> Answer {
        let number = self.next.replace(self.next.get() + 1);
        let step = &self.case.steps[number];
        let mut answer = Answer {
            status: step.status,
            headers: headers(step),
            body: self.in_words_of_this_run(&step.answer),
        };
        (self.change)(number, &mut answer);
        answer
    }

    fn in_words_of_this_run(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let now = now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
                let text = text.replace("UID", "0a1b2c3d-0000-4000-8000-0123456789ab").replace("NOW", &now);
                Value::String(self.names.text(&text))
            }
            Value::Array(items) => items.iter().map(|item| self.in_words_of_this_run(item)).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, item)| {
                    let item = if name == "resourceVersion" && item == "RV" { &json!("4711") } else { item };
                    (self.names.text(name), self.in_words_of_this_run(item))
                })
                .collect(),
            other => other.clone(),
        }
    }
}

fn headers(step: &Step) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, values) in step.shown.iter().flatten() {
        for value in values {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
    }
    headers
}

impl<F: Fn(usize, &mut Answer)> Peer for Script<'_, F> {
    async fn call(&self, _: &Request) -> Result<Answer, String> {
        Ok(self.answer())
    }

    async fn copy(&self, _: &str, _: &str) -> Result<Answer, String> {
        Ok(self.answer())
    }

    async fn remove(&self, _: &str) -> Result<Answer, String> {
        Ok(self.answer())
    }
}

#[expect(clippy::disallowed_methods, reason = "recorded answers say NOW")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn names() -> Names {
    let mut names = Names::fresh("127.0.0.1:5001", "127.0.0.1:5002");
    names.learn("ns", "case-0a1b2c3d");
    names.learn("ns2", "case-0a1b2c3d-2");
    names
}

async fn replay(case: &Case, change: impl Fn(usize, &mut Answer)) -> Vec<Difference> {
    let names = names();
    let script = Script { case, names: &names, next: Cell::new(0), change };
    case.replay(&script, &mut names.clone(), LIMITS).await
}

#[tokio::test]
async fn every_recorded_case_agrees_with_its_own_recording() {
    let files = case_files();
    assert!(files.len() > 100, "{} cases", files.len());
    for file in files {
        let case = Case::read(&file);
        let differences = replay(&case, |_, _| {}).await;
        assert!(differences.is_empty(), "{}: {differences:#?}", case.name);
    }
}

#[tokio::test]
async fn another_status_is_a_difference_in_every_step_of_every_case() {
    for file in case_files() {
        let case = Case::read(&file);
        let differences = replay(&case, |_, answer| answer.status += 1).await;
        assert_eq!(differences.len(), case.steps.len(), "{}", case.name);
    }
}

#[tokio::test]
async fn another_field_is_a_difference_wherever_bodies_are_compared_exactly() {
    for file in case_files() {
        let case = Case::read(&file);
        let exact: Vec<usize> = (0..case.steps.len())
            .filter(|&number| {
                let step = &case.steps[number];
                step.compare == super::case::Compare::Exact && step.answer.is_object()
            })
            .collect();
        let differences = replay(&case, |number, answer| {
            if exact.contains(&number) {
                answer.body["oneMore"] = json!("field");
            }
        })
        .await;
        assert_eq!(differences.len(), exact.len(), "{}: {differences:#?}", case.name);
        assert!(differences.iter().all(|difference| difference.text.contains("oneMore")), "{differences:#?}");
    }
}

#[tokio::test]
async fn shown_headers_are_compared() {
    let case = Case::read(&recording("cases/imagestreams/body-forms.json"));
    let differences = replay(&case, |_, answer| answer.headers.clear()).await;
    assert_eq!(differences.len(), 5, "{differences:#?}");
    assert!(differences.iter().all(|difference| difference.text.starts_with("headers ")), "{differences:#?}");
}

/// Remembers what was asked.
struct Ear(std::cell::RefCell<Vec<Request>>);

impl Peer for Ear {
    async fn call(&self, request: &Request) -> Result<Answer, String> {
        self.0.borrow_mut().push(request.clone());
        let body = json!({"metadata": {"resourceVersion": "12", "name": "q\"uote"}});
        Ok(Answer { status: 200, headers: HeaderMap::new(), body })
    }

    async fn copy(&self, source: &str, target: &str) -> Result<Answer, String> {
        self.call(&Request::new(source, target)).await
    }

    async fn remove(&self, name: &str) -> Result<Answer, String> {
        self.call(&Request::new("gone", name)).await
    }
}

async fn asked(steps: Value) -> Vec<Request> {
    let text = json!({"name": "x", "about": "y", "steps": steps}).to_string();
    let case: Case = serde_json::from_str(&text).expect("a case");
    let ear = Ear(std::cell::RefCell::default());
    case.replay(&ear, &mut names(), LIMITS).await;
    ear.0.into_inner()
}

#[tokio::test]
async fn requests_are_in_the_words_of_this_run() {
    let answer = json!({"status": 200, "answer": {}});
    let step = |more: Value| {
        let mut step = answer.clone();
        step.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        step
    };
    let requests = asked(json!([
        step(json!({"method": "GET", "path": "/a b/{ns}?x={ns2}", "as": "me-{ns}",
            "headers": {"Impersonate-Group": ["g1-{ns}", "g2"], "Accept": "text/plain"},
            "save": {"rv": "metadata.resourceVersion", "odd": "metadata.name", "none": "a.b"}})),
        step(json!({"method": "PUT", "path": "/{rv}", "body": {"v": "{rv}", "o": "{odd}", "{ns}": 1}})),
        step(json!({"method": "POST", "path": "/{none}", "body": "kind: {ns}\n"})),
        step(json!({"method": "COPY", "path": "/library/python:3", "body": "/{ns}/app:1"})),
        step(json!({"method": "REMOVE", "path": "/{ns}/app:1"})),
    ]))
    .await;
    assert_eq!(requests[0].path, "/a%20b/case-0a1b2c3d?x=case-0a1b2c3d-2");
    let sent: Vec<(&str, &str)> =
        requests[0].headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        sent,
        [
            ("Accept", "text/plain"),
            ("Impersonate-Group", "g1-case-0a1b2c3d"),
            ("Impersonate-Group", "g2"),
            ("Impersonate-User", "me-case-0a1b2c3d")
        ]
    );
    assert_eq!(requests[1].path, "/12");
    let body: Value = serde_json::from_slice(requests[1].body.as_ref().expect("a body")).expect("JSON");
    assert_eq!(body, json!({"v": "12", "o": "q\"uote", "case-0a1b2c3d": 1}));
    assert_eq!(requests[2].path, "/%3Ca.b%20was%20not%20in%20the%20answer%3E");
    assert_eq!(requests[2].body.as_deref(), Some(b"kind: case-0a1b2c3d\n".as_slice()));
    assert_eq!(
        (requests[3].method.as_str(), requests[3].path.as_str()),
        ("/library/python:3", "/case-0a1b2c3d/app:1")
    );
    assert_eq!((requests[4].method.as_str(), requests[4].path.as_str()), ("gone", "/case-0a1b2c3d/app:1"));
}

#[tokio::test]
async fn fields_of_a_body_keep_their_recorded_order() {
    let text = r#"{"name":"x","about":"","steps":[{"method":"POST","path":"/","status":200,"answer":{},
        "body":{"z":1,"a":{"y":2,"b":3}}}]}"#;
    let case: Case = serde_json::from_str(text).expect("a case");
    let ear = Ear(std::cell::RefCell::default());
    case.replay(&ear, &mut names(), LIMITS).await;
    let body = ear.0.into_inner()[0].body.clone().expect("a body");
    assert_eq!(String::from_utf8_lossy(&body), r#"{"z":1,"a":{"y":2,"b":3}}"#);
}

/// Answers with a number that grows by one each time.
struct Growing(Cell<u64>);

impl Peer for Growing {
    async fn call(&self, _: &Request) -> Result<Answer, String> {
        let number = self.0.replace(self.0.get() + 1);
        Ok(Answer {
            status: 200,
            headers: HeaderMap::new(),
            body: json!({"n": number, "list": [{"x": "y"}]}),
        })
    }

    async fn copy(&self, _: &str, _: &str) -> Result<Answer, String> {
        Err("nobody copies here".to_owned())
    }

    async fn remove(&self, _: &str) -> Result<Answer, String> {
        Err("nobody removes here".to_owned())
    }
}

async fn waited(until: Value, seconds: f64) -> (u64, Vec<Difference>) {
    let step = json!({"method": "GET", "path": "/", "status": 200, "answer": {"n": 2, "list": [{"x": "y"}]},
        "until": until, "seconds": seconds});
    let text = json!({"name": "x", "about": "", "steps": [step]}).to_string();
    let case: Case = serde_json::from_str(&text).expect("a case");
    let peer = Growing(Cell::new(0));
    let differences = case.replay(&peer, &mut names(), LIMITS).await;
    (peer.0.get(), differences)
}

#[tokio::test(start_paused = true)]
async fn a_step_is_repeated_until_the_answer_holds_what_it_waits_for() {
    let (asked, differences) = waited(json!({"n": 2, "list.-1.x": "*"}), 30.0).await;
    assert_eq!(asked, 3);
    assert!(differences.is_empty(), "{differences:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_step_whose_time_is_over_compares_the_last_answer() {
    let (asked, differences) = waited(json!({"n": -1}), 1.0).await;
    assert!((5..9).contains(&asked), "{asked}");
    assert_eq!(differences.len(), 1);
}

#[tokio::test]
async fn a_step_without_an_answer_ends_the_case() {
    let text = r#"{"name":"x","about":"","steps":[
        {"method":"REMOVE","path":"/a:b","status":202,"answer":null},
        {"method":"GET","path":"/","status":200,"answer":{}}]}"#;
    let case: Case = serde_json::from_str(text).expect("a case");
    let differences = case.replay(&Growing(Cell::new(0)), &mut names(), LIMITS).await;
    assert_eq!(differences.len(), 1);
    assert_eq!(differences[0].text, "could not run: nobody removes here");
}

#[test]
fn what_differs_from_run_to_run_becomes_fixed_words() {
    let recent = now().strftime("%Y-%m-%dT%H:%M:%S.123456Z").to_string();
    let old = (now() - 3.hours()).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let found = json!({
        "metadata": {
            "namespace": "case-0a1b2c3d", "uid": "01234567-89ab-cdef-0123-456789abcdef", "resourceVersion": "17",
            "continue": "abc", "managedFields": [1], "creationTimestamp": recent,
        },
        "columnDefinitions": [{"name": "Name", "description": "long"}],
        "description": "kept",
        "message": "set resource version to 5; too old resource version: 3 (9); updated from \"1\" to \"2\"",
        "last": "{\"resourceVersion\":\"77\"}",
        "other": "case-0a1b2c3d-2 127.0.0.1:5002/x",
        "old": old,
        "number": 1.0,
        "empty": {"resourceVersion": ""},
        "secret": STANDARD.encode(r#"{"auths":{"127.0.0.1:5002":{"username":"puller"}}}"#),
    });
    let wanted = json!({
        "metadata": {
            "namespace": "{ns}", "uid": "UID", "resourceVersion": "RV", "continue": "CONTINUE",
            "creationTimestamp": "NOW",
        },
        "columnDefinitions": [{"name": "Name"}],
        "description": "kept",
        "message": "set resource version to RV; too old resource version: RV (RV); updated from \"RV\" to \"RV\"",
        "last": "{\"resourceVersion\":\"RV\"}",
        "other": "{ns2} {private}/x",
        "old": old,
        "number": 1,
        "empty": {"resourceVersion": ""},
        "secret": r#"base64({"auths":{"{private}":{"username":"puller"}}})"#,
    });
    assert_eq!(normalise(&found, &names(), false), wanted);
    assert_eq!(normalise(&json!({"managedFields": [1]}), &names(), true), json!({"managedFields": [1]}));
    assert_eq!(recent_times("2017-08-01T00:00:00Z"), "2017-08-01T00:00:00Z");
}

#[test]
fn the_order_of_lists_and_rows_does_not_count() {
    let one = json!({"items": [{"metadata": {"name": "b"}}, {"metadata": {"name": "a"}}],
        "rows": [{"cells": ["z", "3 seconds ago"]}, {"cells": ["a", "2 minutes ago"]}]});
    let other = json!({"items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}],
        "rows": [{"cells": ["a", "AGO"]}, {"cells": ["z", "Less than a second ago"]}]});
    assert_eq!(ordered(&one), ordered(&other));
    let tags = |names: [&str; 2]| json!({"tags": names});
    assert_ne!(ordered(&tags(["a", "b"])), ordered(&tags(["b", "a"])));
}

#[test]
fn only_an_embedded_image_forgets_when_it_was_stored() {
    let embedded = json!({"image": {"metadata": {"name": "x", "uid": "UID"}, "dockerImageMetadata": {}}});
    assert_eq!(ordered(&embedded), json!({"image": {"metadata": {"name": "x"}, "dockerImageMetadata": {}}}));
    let whole = json!({"kind": "Image", "metadata": {"name": "x", "uid": "UID"}, "dockerImageMetadata": {}});
    assert_eq!(ordered(&whole), whole);
}

#[test]
fn a_subset_allows_more_fields_but_no_longer_lists() {
    let recorded = json!({"a": [{"b": 1}]});
    assert!(subset(&recorded, &json!({"a": [{"b": 1, "c": 2}], "d": 3})));
    assert!(!subset(&recorded, &json!({"a": [{"b": 1}, {"b": 2}]})));
    assert!(!subset(&recorded, &json!({"a": [{"b": 2}]})));
    assert!(!subset(&recorded, &json!({})));
}

#[test]
fn paths_keep_what_means_something_in_a_url() {
    assert_eq!(quote("/a/b?x=1&y=a%20b,c;d=(e)~*!+@:"), "/a/b?x=1&y=a%20b,c;d=(e)~*!+@:");
    assert_eq!(quote("/a b'\"é"), "/a%20b%27%22%C3%A9");
}

#[test]
fn digests_of_a_run_are_sorted_by_their_names_and_used_once() {
    let (one, other) = (names(), names());
    let mut words = HashMap::new();
    for digit in "0123456789abcdef".chars() {
        let name = format!("d{digit}");
        let word = one.get(&name).expect("every digit has a digest");
        assert_eq!(word.len(), 64);
        assert!(word.starts_with(&digit.to_string().repeat(4)));
        assert_ne!(Some(word), other.get(&name));
        words.insert(name, word);
    }
    assert_eq!(words.len(), 16);
}

#[test]
fn a_ratchet_only_goes_one_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let (agreed, known) = (folder.path().join("agreed.txt"), folder.path().join("known.json"));
    std::fs::write(&agreed, "old\nworn\n").expect("written");
    std::fs::write(&known, r#"{"cases": {"better": "clearer message", "later": "not yet", "gone": "?"}}"#)
        .expect("written");
    let ratchet = Ratchet::read(&agreed, &known, "cases");
    let results: BTreeMap<String, bool> =
        [("old", true), ("worn", false), ("better", false), ("later", true), ("new", true), ("open", false)]
            .map(|(name, agrees)| (name.to_owned(), agrees))
            .into();
    let list = |name: &str| vec![name.to_owned()];
    let verdict = ratchet.judge(&results, true);
    assert_eq!(
        verdict,
        Verdict {
            broken: list("worn"),
            healed: list("later"),
            fresh: list("new"),
            open: list("open"),
            unknown: list("gone")
        }
    );
    assert!(verdict.complaint().is_some_and(|text| text.contains("1 agreed before and differ now: worn")));
    assert_eq!(ratchet.judge(&results, false).unknown, Vec::<String>::new());
    ratchet.bless(&results, &agreed);
    assert_eq!(std::fs::read_to_string(&agreed).expect("read"), "new\nold\n");
    assert_eq!(Ratchet::read(&agreed, &known, "commands").reason("better"), None);
    assert_eq!(Verdict::default().complaint(), None);
}
