//! What clients do, and what they may count on afterwards.
//!
//! Every client has streams of its own, so that it knows what they must look like: the values that an acknowledged write
//! leaves, or one of several when an answer did not come. Controllers and the upstream are everybody's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use store::sim::Chance;

use super::Seen;
use super::client::Client;
use super::world::{HOST, Network, World};

pub(super) const GROUP: &str = "/apis/image.openshift.io/v1/namespaces/sim";
/// Streams of one client.
pub(super) const STREAMS: u64 = 3;
/// Tags of one stream that follow a tag of the upstream.
const TAGS: u64 = 2;

/// What a client knows of its streams.
pub(super) struct Known {
    pub(super) number: usize,
    pub(super) streams: BTreeMap<String, Stream>,
}

/// What must be true of one stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    /// `None` when it may or may not be there.
    pub(super) exists: Option<bool>,
    /// Values that the label may have; `None` among them is no label.
    pub(super) labels: BTreeSet<Option<String>>,
    /// Tags that were imported for certain, with an image each of which something later must be left.
    pub(super) imported: BTreeSet<String>,
    /// Images that were mapped for certain, by tag.
    pub(super) mapped: BTreeMap<String, BTreeSet<String>>,
}

impl Known {
    pub(super) fn new(number: usize) -> Known {
        Known { number, streams: BTreeMap::new() }
    }
}

/// One client at work.
pub(super) struct Workload<'a> {
    world: &'a World,
    network: &'a Network,
    known: &'a mut Known,
    chance: Chance,
    client: Option<Client>,
    seen: Seen,
}

impl<'a> Workload<'a> {
    pub(super) fn new(
        world: &'a World,
        network: &'a Network,
        known: &'a mut Known,
        seed: u64,
    ) -> Workload<'a> {
        Workload { world, network, known, chance: Chance::new(seed), client: None, seen: Seen::default() }
    }

    /// Does so many things, or as many as there is power for.
    pub(super) async fn run(&mut self, steps: usize) -> Seen {
        for _ in 0..steps {
            if !self.world.has_power() {
                break;
            }
            let name = format!("c{}-{}", self.known.number, self.chance.below(STREAMS));
            match self.chance.below(12) {
                0 | 1 => self.create(&name).await,
                2 | 3 => self.label(&name).await,
                4 | 5 => self.import(&name).await,
                6 => self.track(&name).await,
                7 | 8 => self.map(&name).await,
                9 => self.delete(&name).await,
                10 => self.move_upstream(&name),
                _ => tokio::time::sleep(std::time::Duration::from_secs(self.chance.below(90))).await,
            }
        }
        self.seen.clone()
    }

    /// A request; the connection is made anew when it is gone.
    async fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> Option<(u16, Value)> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => self.world.client().await,
        };
        let answer = client.call(method, path, body).await;
        if answer.is_some() {
            self.client = Some(client);
        }
        // Whoever answers that the server is out of order says nothing about what was done.
        let answer = answer.filter(|(code, _)| *code < 500);
        match &answer {
            Some((200..=299, _)) if method != "GET" => self.seen.acknowledged += 1,
            Some(_) => {}
            None => self.seen.unanswered += 1,
        }
        answer
    }

    fn stream(&mut self, name: &str) -> &mut Stream {
        self.known.streams.entry(name.to_owned()).or_insert_with(|| Stream {
            exists: Some(false),
            labels: BTreeSet::from([None]),
            ..Stream::default()
        })
    }

    async fn create(&mut self, name: &str) {
        let before = self.stream(name).exists;
        let body = json!({
            "apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": {"name": name},
        });
        match self.call("POST", &format!("{GROUP}/imagestreams"), Some(&body)).await {
            Some((201, _)) => {
                assert_ne!(before, Some(true), "{name} was made twice");
                *self.stream(name) =
                    Stream { exists: Some(true), labels: BTreeSet::from([None]), ..Stream::default() };
            }
            Some((409, _)) => assert_ne!(before, Some(false), "{name} is there but nobody made it"),
            Some(other) => panic!("creating {name}: {other:?}"),
            None if before == Some(false) => self.stream(name).exists = None,
            None => {}
        }
    }

    async fn label(&mut self, name: &str) {
        let value = format!("v{}", self.chance.below(1_000_000));
        let body = json!({"metadata": {"labels": {"turn": value}}});
        let answer = self.call("PATCH", &format!("{GROUP}/imagestreams/{name}"), Some(&body)).await;
        let stream = self.stream(name);
        match answer {
            Some((200, _)) => {
                assert_ne!(stream.exists, Some(false), "{name} is gone and was labelled");
                stream.exists = Some(true);
                stream.labels = BTreeSet::from([Some(value)]);
            }
            Some((404, _)) => assert_ne!(stream.exists, Some(true), "{name} is lost"),
            Some(other) => panic!("labelling {name}: {other:?}"),
            None => drop(stream.labels.insert(Some(value))),
        }
    }

    /// The path of the upstream that belongs to a stream, with one of its tags.
    fn source(&mut self, name: &str) -> (String, String) {
        (format!("team/{name}"), format!("t{}", self.chance.below(TAGS)))
    }

    async fn import(&mut self, name: &str) {
        let (path, tag) = self.source(name);
        let before = self.head(name, &tag).await;
        let body = json!({
            "apiVersion": "image.openshift.io/v1", "kind": "ImageStreamImport", "metadata": {"name": name},
            "spec": {"import": true, "images": [{
                "from": {"kind": "DockerImage", "name": format!("{HOST}/{path}:{tag}")}, "to": {"name": tag},
            }]},
        });
        match self.call("POST", &format!("{GROUP}/imagestreamimports"), Some(&body)).await {
            Some((201, done)) => {
                let stream = self.stream(name);
                if stream.exists != Some(true) {
                    // Importing makes the stream.
                    stream.exists = Some(true);
                    stream.labels.insert(None);
                }
                let status = &done["status"]["images"][0]["status"];
                if status["status"] == "Success" {
                    stream.imported.insert(tag);
                    self.seen.imported += 1;
                } else {
                    self.seen.failed_imports += 1;
                    let after = self.head(name, &tag).await;
                    if let (Some(before), Some(after)) = (before, after) {
                        self.still_good(name, &tag, &before, &after, status);
                    }
                }
            }
            // A conflict, or too much time: nothing was written.
            Some((409 | 422, _)) => {}
            Some(other) => panic!("importing into {name}: {other:?}"),
            None => {
                let stream = self.stream(name);
                if stream.exists == Some(false) {
                    stream.exists = None;
                }
            }
        }
    }

    /// After an import that failed, a tag is where it was, or where a controller found it meanwhile.
    fn still_good(&self, name: &str, tag: &str, before: &str, after: &str, status: &Value) {
        let had = self.network.had(&format!("team/{name}:{tag}"));
        let fine = after == before || had.contains(after);
        assert!(
            fine,
            "{name}:{tag} was at {before} and is at {after:?} after an import that failed: {status}"
        );
    }

    /// The image that a tag points at; empty for none, `None` when it cannot be known.
    async fn head(&mut self, name: &str, tag: &str) -> Option<String> {
        match self.call("GET", &format!("{GROUP}/imagestreams/{name}"), None).await? {
            (200, stream) => Some(super::audit::head(&stream, tag).unwrap_or_default().to_owned()),
            _ => Some(String::new()),
        }
    }

    /// Sets a tag that controllers import, now and then again.
    async fn track(&mut self, name: &str) {
        let (path, tag) = self.source(name);
        let body = json!({
            "apiVersion": "image.openshift.io/v1", "kind": "ImageStreamTag",
            "metadata": {"name": format!("{name}:{tag}")},
            "tag": {
                "from": {"kind": "DockerImage", "name": format!("{HOST}/{path}:{tag}")},
                "importPolicy": {"scheduled": true},
            },
        });
        let answer = self.call("PUT", &format!("{GROUP}/imagestreamtags/{name}:{tag}"), Some(&body)).await;
        let stream = self.stream(name);
        match answer {
            Some((200 | 201, _)) => {
                stream.labels.extend((stream.exists != Some(true)).then_some(None));
                stream.exists = Some(true);
            }
            Some((409, _)) => {}
            Some(other) => panic!("tracking {name}:{tag}: {other:?}"),
            None if stream.exists == Some(false) => stream.exists = None,
            None => {}
        }
    }

    /// Points a tag at an image as a push would.
    async fn map(&mut self, name: &str) {
        let (tag, image) = ("pushed", format!("sha256:{:064x}", self.chance.number()));
        let body = json!({
            "apiVersion": "image.openshift.io/v1", "kind": "ImageStreamMapping", "metadata": {"name": name},
            "tag": tag, "image": {
                "metadata": {"name": image}, "dockerImageReference": format!("internal.sim:5000/sim/{name}@{image}"),
            },
        });
        let answer = self.call("POST", &format!("{GROUP}/imagestreammappings"), Some(&body)).await;
        let stream = self.stream(name);
        match answer {
            Some((201, _)) => {
                assert_ne!(stream.exists, Some(false), "{name} is gone and got an image");
                stream.exists = Some(true);
                stream.mapped.entry(tag.to_owned()).or_default().insert(image);
            }
            Some((404, _)) => assert_ne!(stream.exists, Some(true), "{name} is lost"),
            Some((409, _)) | None => {}
            Some(other) => panic!("mapping {name}: {other:?}"),
        }
    }

    async fn delete(&mut self, name: &str) {
        let answer = self.call("DELETE", &format!("{GROUP}/imagestreams/{name}"), None).await;
        let stream = self.stream(name);
        let gone = Stream { exists: Some(false), labels: BTreeSet::from([None]), ..Stream::default() };
        match answer {
            Some((200, _)) => *stream = gone,
            Some((404, _)) => {
                assert_ne!(stream.exists, Some(true), "{name} is lost");
                *stream = gone;
            }
            Some((409, _)) => {}
            Some(other) => panic!("deleting {name}: {other:?}"),
            // Gone or not, and if it is, what was in it is gone too.
            None if stream.exists == Some(false) => {}
            None => {
                stream.exists = None;
                stream.imported.clear();
                stream.mapped.clear();
            }
        }
    }

    fn move_upstream(&mut self, name: &str) {
        let (path, tag) = self.source(name);
        let content = format!("image {}", self.chance.below(1_000_000));
        self.network.put(&path, &tag, &content);
    }
}
