//! Lists and watches, together the way clients keep up with a server: whoever lists and then watches knows what is there.
//!
//! The protobuf frames are taken apart by hand: nothing here knows the product's types.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use futures_util::future;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    api::{Api, Request, parse},
    server::Server,
};

const STREAMS: &str = "/apis/image.openshift.io/v1/namespaces/watched/imagestreams";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// Changes that watches live through.
const CHANGES: usize = 10_000;
/// Clients that make them, each with names of its own.
const WRITERS: usize = 50;
const PATIENCE: Duration = Duration::from_secs(240);

/// What somebody knows: the resource version of every object by name.
type Known = BTreeMap<String, String>;

/// Numbers as random as this needs (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn stream(name: &str, label: u64) -> Value {
    json!({"metadata": {"name": name, "labels": {"n": label.to_string()}}})
}

async fn namespace(api: &Api) {
    let body = json!({"metadata": {"name": "watched"}});
    api.must(Request::new("POST", "/api/v1/namespaces").json(&body)).await;
}

/// Makes changes to a few objects: they come, change and go.
async fn write(api: Api, writer: usize, changes: usize, seed: u64) {
    let mut dice = Dice(seed | 1);
    let mut there = [false; 5];
    for _ in 0..changes {
        let slot = usize::try_from(dice.roll(5)).expect("a small number");
        let name = format!("w{writer}-{slot}");
        let path = format!("{STREAMS}/{name}");
        let request = match (there[slot], dice.roll(4)) {
            (false, _) => Request::new("POST", STREAMS).json(&stream(&name, 0)),
            (true, 0) => Request::new("DELETE", path),
            (true, _) => Request::new("PATCH", path)
                .header("Content-Type", "application/merge-patch+json")
                .json(&stream(&name, dice.roll(1 << 40))),
        };
        there[slot] = request.method != "DELETE";
        api.must(request).await;
    }
}

fn note(known: &mut Known, word: &str, name: &str, version: String) {
    match word {
        "DELETED" => assert!(known.remove(name).is_some(), "{name} was not there"),
        "ADDED" => assert!(known.insert(name.to_owned(), version).is_none(), "{name} was there"),
        "MODIFIED" => assert!(known.insert(name.to_owned(), version).is_some(), "{name} was not there"),
        other => panic!("{other}"),
    }
}

/// The first field of a number in a protobuf message.
fn field(message: &[u8], wanted: u64) -> &[u8] {
    let mut rest = message;
    while !rest.is_empty() {
        let key = varint(&mut rest);
        match key & 7 {
            0 => drop(varint(&mut rest)),
            2 => {
                let length = usize::try_from(varint(&mut rest)).expect("a length");
                let (held, after) = rest.split_at(length);
                if key >> 3 == wanted {
                    return held;
                }
                rest = after;
            }
            other => panic!("wire type {other}"),
        }
    }
    &[]
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// Word, name and version of an event in protobuf.
fn event(frame: &[u8]) -> (String, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let object = field(field(frame, 2), 1).strip_prefix(b"k8s\0").expect("an envelope");
    let metadata = field(field(object, 2), 1);
    (text(field(frame, 1)), text(field(metadata, 1)), text(field(metadata, 6)))
}

/// Follows a watch from a version until an object called `last` comes; `accept` says in which encoding.
async fn follow(api: Api, version: String, accept: &str) -> Known {
    let request =
        Request::new("GET", format!("{STREAMS}?watch=true&resourceVersion={version}&timeoutSeconds=300"))
            .header("Accept", accept);
    let mut answer = api.open(&request).await.expect("answered");
    assert_eq!(answer.status(), 200);
    let (mut known, mut buffer) = (Known::new(), Vec::new());
    loop {
        while let Some((length, skip)) = next_frame(&buffer, accept == PROTOBUF) {
            let frame = &buffer[skip..skip + length];
            let (word, name, version) = if accept == PROTOBUF {
                event(frame)
            } else {
                let event: Value = serde_json::from_slice(frame).expect("JSON");
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let metadata = &event["object"]["metadata"];
                (text(&event["type"]), text(&metadata["name"]), text(&metadata["resourceVersion"]))
            };
            note(&mut known, &word, &name, version);
            if name == "last" {
                return known;
            }
            buffer.drain(..skip + length);
        }
        let chunk = timeout(PATIENCE, answer.chunk()).await.expect("in time").expect("no break");
        buffer.extend_from_slice(&chunk.expect("the watch goes on"));
    }
}

/// Length of the next whole frame, and bytes before it.
fn next_frame(buffer: &[u8], protobuf: bool) -> Option<(usize, usize)> {
    if protobuf {
        let (length, rest) = buffer.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        (rest.len() >= length).then_some((length, 4))
    } else {
        buffer.iter().position(|byte| *byte == b'\n').map(|end| (end + 1, 0))
    }
}

fn listed(list: &Value) -> Known {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let items = list["items"].as_array().expect("items");
    let known = items.iter().map(|item| &item["metadata"]);
    known.map(|metadata| (text(&metadata["name"]), text(&metadata["resourceVersion"]))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_live_through_ten_thousand_changes_in_both_encodings() {
    let server = Server::start().await;
    let api = server.api();
    namespace(&api).await;
    let start = api.must(Request::new("GET", STREAMS)).await.body;
    let version = start["metadata"]["resourceVersion"].as_str().expect("a version").to_owned();
    let watches = ["application/json", PROTOBUF].map(|accept| follow(api.clone(), version.clone(), accept));
    let seed = SystemTime::UNIX_EPOCH.elapsed().expect("a time").subsec_nanos();
    let changes = async {
        let writers = (0..WRITERS).map(|writer| {
            let seed = u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(writer as u64);
            write(api.clone(), writer, CHANGES / WRITERS, seed)
        });
        future::join_all(writers).await;
        api.must(Request::new("POST", STREAMS).json(&stream("last", 0))).await;
    };
    let (known, ()) = future::join(future::join_all(watches), changes).await;
    let list = listed(&api.must(Request::new("GET", STREAMS)).await.body);
    assert!(list.len() > 10, "seed {seed}: {list:?}");
    for known in known {
        assert_eq!(known, list, "seed {seed}");
    }
}

/// More than the server remembers of one resource.
const MUCH: usize = 33 << 20;

#[tokio::test]
async fn who_comes_back_too_late_is_told_and_goes_on_from_a_list() {
    const MAPS: &str = "/api/v1/namespaces/watched/configmaps";
    let server = Server::start().await;
    let api = server.api();
    namespace(&api).await;
    let old = api.must(Request::new("GET", MAPS)).await.body["metadata"]["resourceVersion"].clone();
    let old = old.as_str().expect("a version");
    let big = |content: usize| json!({"metadata": {"name": "big"}, "data": {"x": content.to_string().repeat(900_000)}});
    api.must(Request::new("POST", MAPS).json(&big(0))).await;
    for number in 0..=MUCH / 900_000 {
        let change = Request::new("PUT", format!("{MAPS}/big")).json(&big(number % 10));
        api.must(change).await;
    }
    let watch = |version: &str| {
        Request::new("GET", format!("{MAPS}?watch=true&resourceVersion={version}&timeoutSeconds=2"))
    };
    let gone = api.must(watch(old)).await.body;
    assert_eq!((&gone["type"], &gone["object"]["code"]), (&json!("ERROR"), &json!(410)), "{gone}");
    assert_eq!(gone["object"]["reason"], "Expired");
    // In protobuf the refusal is a frame as well.
    let frame = api.open(&watch(old).header("Accept", PROTOBUF)).await.expect("answered").bytes().await;
    let frame = frame.expect("a body");
    let (length, skip) = next_frame(&frame, true).expect("a frame");
    let frame = &frame[skip..skip + length];
    assert_eq!(field(frame, 1), b"ERROR");
    let status = field(field(frame, 2), 1).strip_prefix(b"k8s\0").expect("an envelope");
    assert_eq!(field(field(status, 2), 4), b"Expired");

    let list = api.must(Request::new("GET", format!("{MAPS}?limit=1"))).await.body;
    let following = watch(list["metadata"]["resourceVersion"].as_str().expect("a version"));
    let (events, _) =
        future::join(api.call(&following), api.must(Request::new("DELETE", format!("{MAPS}/big")))).await;
    let event = events.expect("answered").body;
    assert_eq!((&event["type"], &event["object"]["metadata"]["name"]), (&json!("DELETED"), &json!("big")));
}

#[tokio::test]
async fn pages_are_of_one_version_and_say_how_many_follow() {
    let server = Server::start().await;
    let api = server.api();
    namespace(&api).await;
    for number in 0..10 {
        api.must(Request::new("POST", STREAMS).json(&stream(&format!("s{number}"), number))).await;
    }
    let whole = api.must(Request::new("GET", STREAMS)).await.body;
    let (mut paged, mut token, mut left) = (Known::new(), String::new(), 10_u64);
    loop {
        let page = api.must(Request::new("GET", format!("{STREAMS}?limit=4&continue={token}"))).await.body;
        assert_eq!(page["metadata"]["resourceVersion"], whole["metadata"]["resourceVersion"]);
        let names = listed(&page);
        left -= names.len() as u64;
        paged.extend(names);
        assert_eq!(page["metadata"]["remainingItemCount"].as_u64().unwrap_or(0), left);
        // What happens meanwhile is not in it.
        api.must(Request::new("POST", STREAMS).json(&stream(&format!("t{left}"), 0))).await;
        match page["metadata"]["continue"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => break,
        }
    }
    assert_eq!((paged, left), (listed(&whole), 0));
    // With a selector nobody counts what follows.
    let some = api.must(Request::new("GET", format!("{STREAMS}?limit=1&labelSelector=n"))).await.body;
    assert!(
        some["metadata"]["continue"].is_string() && some["metadata"]["remainingItemCount"].is_null(),
        "{some}"
    );
    let refused = api.call(&Request::new("GET", format!("{STREAMS}?limit=1&continue=nonsense"))).await;
    assert_eq!(refused.expect("answered").status, 400);
}

#[tokio::test]
async fn what_is_there_comes_first_and_a_bookmark_ends_it() {
    let server = Server::start().await;
    let api = server.api();
    namespace(&api).await;
    for name in ["a", "b"] {
        api.must(Request::new("POST", STREAMS).json(&stream(name, 1))).await;
    }
    let options =
        "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    for (selector, names) in [("", vec!["a", "b"]), ("&fieldSelector=metadata.name%3Db", vec!["b"])] {
        let path = format!("{STREAMS}?{options}&timeoutSeconds=1{selector}");
        let answer = api.open(&Request::new("GET", path)).await.expect("answered");
        let events = parse(&answer.bytes().await.expect("a body"));
        let events = events.as_array().expect("events");
        let added: Vec<&Value> = events.iter().filter(|event| event["type"] == "ADDED").collect();
        let found: Vec<&str> =
            added.iter().filter_map(|event| event["object"]["metadata"]["name"].as_str()).collect();
        assert_eq!(found, names);
        let end = &events[names.len()];
        assert_eq!(end["type"], "BOOKMARK");
        assert_eq!(end["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    }
}
