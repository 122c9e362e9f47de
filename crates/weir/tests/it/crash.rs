//! What was acknowledged survives: `kill -9` in the middle of a storm of writes, a hundred times on the same folder.
//!
//! Each round opens a project, lets many clients write streams, images and tags until the server is killed under them,
//! starts it again and audits that project: every acknowledged write is there, resource versions went on from the
//! highest that anybody was told, and no stream names an image that does not exist. At the end all projects are
//! audited once more: later crashes must not have taken anything either.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::{StreamExt, future, stream};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    api::{Answer, Api, Request},
    random_hex,
    server::Server,
};

const ROUNDS: usize = 100;
const WRITERS: usize = 16;
/// A storm lasts this long and up to twice as long, so that the kill meets every phase of a commit.
const STORM: Duration = Duration::from_millis(100);

const GROUP: &str = "/apis/image.openshift.io/v1";

/// What one writer was told is stored.
#[derive(Debug, Default)]
struct Acknowledged {
    /// Stream to the label that it was given, once.
    streams: BTreeMap<String, Option<String>>,
    /// Stream and tag to the images that the tag was pointed at, all of which are its history.
    tags: BTreeMap<(String, String), Vec<String>>,
    newest: u64,
}

/// A project and what has to be in it.
#[derive(Debug)]
struct Round {
    namespace: String,
    acknowledged: Vec<Acknowledged>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_a_hundred_kills() {
    let mut server = Server::start().await;
    let mut rounds: Vec<Round> = Vec::new();
    for number in 0..ROUNDS {
        let namespace = format!("storm-{number}");
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        server.api().must(Request::new("POST", "/api/v1/namespaces").json(&body)).await;
        let acknowledged = storm(&mut server, &namespace, number).await;
        let round = Round { namespace, acknowledged };
        server.start_again().await;
        audit(&server.api(), &round).await;
        resource_versions_go_on(&server.api(), &round).await;
        rounds.push(round);
    }
    for round in &rounds {
        audit(&server.api(), round).await;
    }
    let writes: usize = rounds.iter().flat_map(|round| &round.acknowledged).map(Acknowledged::writes).sum();
    println!("{writes} acknowledged writes in {ROUNDS} rounds");
    assert!(writes > ROUNDS * WRITERS, "the storms were too weak to prove anything: {writes} writes");
}

/// Writers write until the server is killed; what each was told comes back.
async fn storm(server: &mut Server, namespace: &str, number: usize) -> Vec<Acknowledged> {
    let api = server.api();
    let writers = future::join_all((0..WRITERS).map(|writer| write(&api, namespace, writer)));
    let length = STORM + STORM.mul_f64(f64::from(u8::try_from(number % 100).expect("below 100")) / 100.0);
    let killer = async {
        sleep(length).await;
        server.kill9();
    };
    future::join(writers, killer).await.0
}

/// One client: streams, images under tags, labels, in turn, until nobody answers.
async fn write(api: &Api, namespace: &str, writer: usize) -> Acknowledged {
    let mut acknowledged = Acknowledged::default();
    for turn in 0.. {
        let stream = format!("app-{writer}-{}", turn / 8);
        if turn % 8 == 0 {
            let body = json!({"apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": {"name": stream}});
            let create =
                Request::new("POST", format!("{GROUP}/namespaces/{namespace}/imagestreams")).json(&body);
            let Some(answer) = told(api, &create).await else { break };
            acknowledged.saw(&answer);
            acknowledged.streams.insert(stream, None);
        } else if turn % 8 == 7 {
            let label = turn.to_string();
            let patch =
                Request::new("PATCH", format!("{GROUP}/namespaces/{namespace}/imagestreams/{stream}"))
                    .header("Content-Type", "application/merge-patch+json")
                    .json(&json!({"metadata": {"labels": {"turn": label}}}));
            let Some(answer) = told(api, &patch).await else { break };
            acknowledged.saw(&answer);
            acknowledged.streams.insert(stream, Some(label));
        } else {
            let (tag, image) = (format!("t{}", turn % 3), format!("sha256:{}", random_hex(32)));
            let Some(_) = told(api, &mapping(namespace, &stream, &tag, &image)).await else { break };
            acknowledged.tags.entry((stream, tag)).or_default().push(image);
        }
    }
    acknowledged
}

/// Points a tag at a new image, as a registry does after a push.
fn mapping(namespace: &str, stream: &str, tag: &str, image: &str) -> Request {
    let body = json!({
        "apiVersion": "image.openshift.io/v1", "kind": "ImageStreamMapping",
        "metadata": {"name": stream, "namespace": namespace},
        "image": {"metadata": {"name": image}, "dockerImageReference": format!("example.com/{stream}@{image}")},
        "tag": tag,
    });
    Request::new("POST", format!("{GROUP}/namespaces/{namespace}/imagestreammappings")).json(&body)
}

/// The answer to a write; nothing once the server is gone. A refusal is a failure: nothing else writes there.
async fn told(api: &Api, request: &Request) -> Option<Answer> {
    let answer = api.call(request).await.ok()?;
    assert!((200..300).contains(&answer.status), "{} {}: {answer:?}", request.method, request.path);
    Some(answer)
}

impl Acknowledged {
    fn saw(&mut self, answer: &Answer) {
        self.newest = self.newest.max(version(&answer.body));
    }

    fn writes(&self) -> usize {
        self.streams.len() + self.tags.values().map(Vec::len).sum::<usize>()
    }
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("a resource version")
}

/// Everything acknowledged is there, and everything that is there has its image.
async fn audit(api: &Api, round: &Round) {
    let path = format!("{GROUP}/namespaces/{}/imagestreams", round.namespace);
    let list = api.must(Request::new("GET", path)).await.body;
    let items = list["items"].as_array().expect("a list has items");
    let streams: BTreeMap<&str, &Value> =
        items.iter().map(|stream| (stream["metadata"]["name"].as_str().expect("a name"), stream)).collect();
    for acknowledged in &round.acknowledged {
        for (name, label) in &acknowledged.streams {
            let stream =
                streams.get(name.as_str()).unwrap_or_else(|| panic!("{}/{name} is lost", round.namespace));
            if let Some(label) = label {
                assert_eq!(stream["metadata"]["labels"]["turn"], **label, "{}/{name}", round.namespace);
            }
        }
        for ((name, tag), images) in &acknowledged.tags {
            let history = streams.get(name.as_str()).map(|stream| history(stream, tag)).unwrap_or_default();
            let lost: Vec<&String> =
                images.iter().filter(|image| !history.contains(&image.as_str())).collect();
            assert!(lost.is_empty(), "{}/{name}:{tag} lost {lost:?}: {history:?}", round.namespace);
        }
    }
    let images: BTreeSet<&str> = streams.values().flat_map(|stream| named(stream)).collect();
    stream::iter(images)
        .for_each_concurrent(WRITERS, |image| async move {
            api.must(Request::new("GET", format!("{GROUP}/images/{image}"))).await;
        })
        .await;
}

/// The next write is newer than anything that anybody was told, and so is the list.
async fn resource_versions_go_on(api: &Api, round: &Round) {
    let newest = round.acknowledged.iter().map(|acknowledged| acknowledged.newest).max().unwrap_or_default();
    let path = format!("{GROUP}/namespaces/{}/imagestreams", round.namespace);
    let list = api.must(Request::new("GET", &path)).await;
    assert!(version(&list.body) >= newest, "the list is at {} after {newest}", version(&list.body));
    let body =
        json!({"apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": {"name": "after"}});
    let created = api.must(Request::new("POST", &path).json(&body)).await;
    assert!(version(&created.body) > newest, "a new stream is at {} after {newest}", version(&created.body));
    assert!(
        version(&created.body) > version(&list.body),
        "a new stream is not newer than the list before it"
    );
}

fn history<'a>(stream: &'a Value, tag: &str) -> Vec<&'a str> {
    tags(stream).filter(|found| found["tag"] == *tag).flat_map(images).collect()
}

fn named(stream: &Value) -> Vec<&str> {
    tags(stream).flat_map(images).collect()
}

fn tags(stream: &Value) -> impl Iterator<Item = &Value> {
    stream["status"]["tags"].as_array().into_iter().flatten()
}

fn images(tag: &Value) -> impl Iterator<Item = &str> {
    tag["items"].as_array().into_iter().flatten().filter_map(|item| item["image"].as_str())
}
