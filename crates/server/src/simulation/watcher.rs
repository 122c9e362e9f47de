//! A watch of all streams, held against lists.

use std::collections::BTreeMap;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::clients::GROUP;
use super::world::World;

/// Longer than an event takes when nothing goes wrong.
const PATIENCE: Duration = Duration::from_secs(10);
/// The stream that ends a comparison.
const MARK: &str = "the-end";

/// What a client that lists once and then watches knows.
pub(super) struct Watcher {
    streams: BTreeMap<String, Value>,
    version: u64,
    body: Incoming,
    text: Vec<u8>,
}

impl Watcher {
    pub(super) async fn start(world: &World) -> Watcher {
        let mut client = world.client().await;
        let (streams, version) = list(world).await;
        let path = format!("{GROUP}/imagestreams?watch=true&timeoutSeconds=86000&resourceVersion={version}");
        let answer = client.send("GET", &path, None).await.expect("a watch");
        assert_eq!(answer.status(), 200);
        Watcher { streams, version, body: answer.into_body(), text: Vec::new() }
    }

    /// Takes in all events up to now; what they add up to is what a list shows.
    pub(super) async fn catch_up_and_compare(&mut self, world: &World) {
        let mut client = world.client().await;
        let mark = json!({
            "apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": {"name": MARK},
        });
        client.must("POST", &format!("{GROUP}/imagestreams"), Some(&mark)).await;
        while !self.streams.contains_key(MARK) {
            self.event().await;
        }
        client.must("DELETE", &format!("{GROUP}/imagestreams/{MARK}"), None).await;
        while self.streams.contains_key(MARK) {
            self.event().await;
        }
        let (listed, _) = list(world).await;
        assert_eq!(self.streams, listed, "the events of a watch lead elsewhere than a list");
    }

    async fn event(&mut self) {
        let line = loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                break self.text.drain(..=end).collect::<Vec<u8>>();
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("an event comes");
            let frame = frame.expect("the watch goes on").expect("the connection holds");
            self.text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| &data[..]));
        };
        let event: Value = serde_json::from_slice(&line).expect("an event is JSON");
        let object = event["object"].clone();
        let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
        let version = version(&object);
        assert!(version > self.version, "{name} at {version} after {}", self.version);
        self.version = version;
        let held = self.streams.contains_key(&name);
        match event["type"].as_str() {
            Some("ADDED") if !held => drop(self.streams.insert(name, object)),
            Some("MODIFIED") if held => drop(self.streams.insert(name, object)),
            Some("DELETED") if held => drop(self.streams.remove(&name)),
            other => panic!("{other:?} of {name}, which was there: {held}"),
        }
    }
}

async fn list(world: &World) -> (BTreeMap<String, Value>, u64) {
    let list = world.client().await.must("GET", &format!("{GROUP}/imagestreams"), None).await;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let by_name = items.into_iter().map(|mut item| {
        // Items of a list do not say what they are.
        item["kind"] = "ImageStream".into();
        item["apiVersion"] = "image.openshift.io/v1".into();
        (item["metadata"]["name"].as_str().expect("a name").to_owned(), item)
    });
    (by_name.collect(), version(&list))
}

fn version(object: &Value) -> u64 {
    let text = object["metadata"]["resourceVersion"].as_str();
    text.and_then(|text| text.parse().ok()).expect("a resource version")
}
