//! The recorded import conversations, replayed against the engine with the same upstream content in memory.
//!
//! Requests about other resources are left out here; the replay against a whole server has them.

use std::collections::BTreeMap;

use machinery::image::{ImageStream, ImageStreamImport};
use machinery::json;
use machinery::meta::Kind;
use machinery::status::ApiError;
use oci::Digest;
use serde::Deserialize;
use serde_json::Value;

use super::PullSecret;
use super::testing::{Trouble, Upstream};
use super::world::{NS, World};
use crate::control::{StreamKey, Streams, Why, decide};
use crate::stream::Writer;

const OPEN: &str = "registry.test:5001";
const PRIVATE: &str = "private.test:5002";
const GROUP: &str = "/apis/image.openshift.io/v1/namespaces/ns1/";

#[derive(Deserialize)]
struct Case {
    name: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    method: String,
    path: String,
    #[serde(default)]
    body: Value,
    status: u16,
    answer: Value,
    #[serde(default)]
    until: Value,
}

#[derive(Deserialize)]
struct Repository {
    manifests: Vec<(String, String, String)>,
    blobs: Vec<String>,
}

/// The open registry with the content that the recordings were made with, and one that wants a password.
fn fill(upstream: &Upstream) {
    let content: BTreeMap<String, Repository> = serde_json::from_str(include_str!("upstream.json")).unwrap();
    for host in [OPEN, PRIVATE] {
        for (path, repository) in &content {
            let name = format!("{host}/{path}");
            for blob in &repository.blobs {
                upstream.blob(&name, blob.as_bytes());
            }
            for (tag, media_type, raw) in &repository.manifests {
                upstream.put(&name, tag, media_type, raw.as_bytes());
            }
        }
    }
    upstream.lock(PRIVATE, "puller:s3cret");
    upstream.trouble("127.0.0.1:1", Some(Trouble::Refused));
}

fn substitute(text: &str) -> String {
    text.replace("{registry}", OPEN).replace("{private}", PRIVATE).replace("{ns}", NS)
}

/// Leaves out what differs from run to run and from server to server.
fn normal(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(key, _)| {
                !matches!(key.as_str(), "uid" | "resourceVersion" | "creationTimestamp" | "managedFields")
            });
            fields.map(|(key, value)| (key, normal(value))).collect::<serde_json::Map<_, _>>().into()
        }
        Value::Array(items) => items.into_iter().map(normal).collect(),
        Value::String(text) if text.starts_with("2026-") && text.ends_with('Z') => "NOW".into(),
        other => other,
    }
}

fn object<T: Kind>(value: &T) -> Value {
    serde_json::from_slice(&json::object(value)).unwrap()
}

fn failure(error: &ApiError) -> (u16, Value) {
    (error.code(), serde_json::from_slice(&error.0.to_json()).unwrap())
}

struct Replay {
    world: World,
}

impl Replay {
    /// Performs a step; `None` when it is about something else.
    async fn step(&self, step: &Step) -> Option<(u16, Value)> {
        match (step.method.as_str(), step.path.as_str()) {
            ("COPY", source) => {
                let target = step.body.as_str().unwrap();
                self.world.upstream.copy(&format!("{OPEN}{source}"), &format!("{OPEN}{target}"));
                return Some((201, Value::Null));
            }
            ("REMOVE", name) => {
                self.world.upstream.remove_image(&format!("{OPEN}{name}"));
                return Some((202, Value::Null));
            }
            (method, path) if path.contains("/secrets") && path.starts_with("/api/") => {
                self.secret(method, step);
                return Some((step.status, step.answer.clone()));
            }
            _ => {}
        }
        let resource = step.path.strip_prefix(GROUP)?;
        match (step.method.as_str(), resource.split_once('/').unwrap_or((resource, ""))) {
            ("POST", ("imagestreamimports", "")) => Some(match self.world.import(step.body.clone()).await {
                Ok(answer) => (201, object::<ImageStreamImport>(&answer)),
                Err(error) => failure(&error),
            }),
            ("POST", ("imagestreams", "")) => {
                let mut stream: ImageStream = serde_json::from_value(step.body.clone()).unwrap();
                stream.metadata.namespace = NS.to_owned();
                Some(match self.world.pass(None, stream, Writer::Main) {
                    Ok(stream) => (201, object(&stream)),
                    Err(error) => failure(&error),
                })
            }
            ("GET", ("imagestreams", name)) if !name.contains('/') => {
                if !step.until.is_null() {
                    self.settle(name).await;
                }
                Some(match self.world.held(name) {
                    Some(mut stream) => {
                        crate::stream::decorate(&mut stream, &self.world.images);
                        (200, object(&stream))
                    }
                    None => {
                        let of = machinery::status::GroupResource::new("image.openshift.io", "imagestreams");
                        failure(&ApiError::not_found(of, name))
                    }
                })
            }
            _ => None,
        }
    }

    /// Does what the import controller would do until nothing is left to do.
    async fn settle(&self, name: &str) {
        let key = StreamKey::new(NS, name);
        while let Some(request) = self.world.get(&key).unwrap().and_then(|stream| decide::needed(&stream)) {
            Streams::import(&self.world, &key, request, Why::Spec).await.unwrap();
        }
    }

    fn secret(&self, method: &str, step: &Step) {
        let mut secrets = self.world.secrets.lock().unwrap();
        let name = if method == "POST" {
            step.body["metadata"]["name"].as_str().unwrap().to_owned()
        } else {
            step.path.rsplit('/').next().unwrap().to_owned()
        };
        if method == "DELETE" {
            secrets.remove(&name);
            return;
        }
        let kind = step.body["type"].as_str().map(str::to_owned);
        let kind = kind.or_else(|| secrets.get(&name).map(|held| held.kind.clone())).unwrap();
        let data = step.body["stringData"].as_object().unwrap().values().next().unwrap();
        secrets.insert(name, PullSecret { kind, data: Some(data.as_str().unwrap().into()) });
    }
}

async fn check(name: &str, compared_steps: usize) {
    let path = format!("{}/../../tests/conformance/cases/imports/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let case: Case = serde_json::from_str(&substitute(&std::fs::read_to_string(&path).unwrap())).unwrap();
    let mut world = World::new();
    world.images.internal_registry_hostname = "172.30.56.218:5000".into();
    fill(&world.upstream);
    let replay = Replay { world };
    let mut compared = 0;
    for (at, step) in case.steps.iter().enumerate() {
        let Some((status, answer)) = replay.step(step).await else {
            // A change that is not made here ends what can be compared.
            if step.method == "GET" {
                continue;
            }
            break;
        };
        let (found, recorded) = (normal(answer), normal(step.answer.clone()));
        let place = format!("{} step {at}: {} {}", case.name, step.method, step.path);
        pretty_assert(&place, &recorded, &found);
        assert_eq!(status, step.status, "{place}");
        compared += 1;
    }
    assert!(compared >= compared_steps, "{name}: only {compared} steps were compared");
}

fn pretty_assert(place: &str, recorded: &Value, found: &Value) {
    let text = |value| serde_json::to_string_pretty(value).unwrap();
    let (recorded, found) = (text(recorded), text(found));
    let differs = recorded.lines().zip(found.lines()).find(|(a, b)| a != b);
    assert!(recorded == found, "{place}: recorded {differs:?}\n--- found\n{found}");
}

macro_rules! replays {
    ($($test:ident $name:literal $steps:literal,)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $test() {
            check($name, $steps).await;
        }
    )*};
}

replays! {
    again "again" 4,
    broken_secret "broken-secret" 5,
    by_digest "by-digest" 3,
    controller "controller" 4,
    fail_then_succeed "fail-then-succeed" 8,
    generation_race "generation-race" 4,
    image_and_repository "image-and-repository" 2,
    invalid "invalid" 10,
    list_legacy "list-legacy" 1,
    list_preserve "list-preserve" 2,
    look_only "look-only" 2,
    mode_changes "mode-changes" 4,
    moved_upstream "moved-upstream" 8,
    no_tag_name "no-tag-name" 3,
    oci_images "oci" 7,
    one "one" 1,
    over_reference_tag "over-reference-tag" 3,
    policy_kept "policy-kept" 6,
    prefer_platform "prefer-platform" 3,
    private "private" 6,
    reference_policy_local "reference-policy-local" 1,
    repository "repository" 2,
    repository_missing "repository-missing" 2,
    rollback "rollback" 2,
    scheduled "scheduled" 2,
    several "several" 1,
    unreachable "unreachable" 2,
}

#[test]
fn the_content_is_what_the_recordings_name() {
    let upstream = Upstream::default();
    fill(&upstream);
    let python = upstream.digest(&format!("{OPEN}/library/python:3.6")).unwrap();
    let recorded = "sha256:4fe2f9054e0d3055e5e84781da96f6d4e31d3f8c10142f229576c23f252a4acf";
    assert_eq!(python, Digest::parse(recorded).unwrap());
}
