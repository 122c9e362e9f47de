//! Who follows the clients' streams: a receiver of events, a maker of objects and a workload for each, and what must be
//! true of them.
//!
//! - Every move of a tag came to the receiver, at least once, the moves of a tag in their order.
//! - Every move made one object, and no second one.
//! - A workload has the image that its tag points at, and was written at most once for every move.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use oci::client::{ResponseBody, Transport, TransportError, Trust};
use serde_json::{Value, json};
use store::sim::Chance;
use tokio::time::{Instant, sleep};

use super::client::Client;
use super::clients::{GROUP, STREAMS};
use super::world::World;
use super::{CLIENTS, Seen};

const WEIR: &str = "/apis/weir.dev/v1alpha1/namespaces/sim";
/// One event in so many is not taken, or taken and not answered for.
const TROUBLE_ONE_IN: u64 = 4;
/// Longest time until deliveries that met trouble are through: two of the longest pauses.
const PATIENCE: Duration = Duration::from_secs(3 * 3600);

/// Takes events.
#[derive(Debug)]
pub(super) struct Receiver {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    chance: Chance,
    /// Moves by stream and tag, as they came.
    taken: BTreeMap<(String, String), Vec<String>>,
    repeats: usize,
}

impl Receiver {
    pub(super) fn new(seed: u64) -> Receiver {
        let state = State { chance: Chance::new(seed), taken: BTreeMap::new(), repeats: 0 };
        Receiver { state: Mutex::new(state) }
    }

    fn take(&self, body: &[u8]) -> Result<StatusCode, TransportError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let fate = state.chance.below(TROUBLE_ONE_IN * 3);
        if fate == 0 {
            let cause = "connect: connection refused".to_owned();
            return Err(TransportError::Connect { address: "receiver.sim:443".to_owned(), cause });
        }
        if fate == 1 {
            return Ok(StatusCode::SERVICE_UNAVAILABLE);
        }
        let event: Value = serde_json::from_slice(body).expect("an event is JSON");
        let text = |key: &str| event["data"][key].as_str().expect("events are complete").to_owned();
        let moves = state.taken.entry((text("stream"), text("tag"))).or_default();
        // A repeat is known by its identity and counts where it came first.
        if moves.contains(&text("move")) {
            state.repeats += 1;
        } else {
            moves.push(text("move"));
        }
        // Taken, but the answer does not say so.
        Ok(if fate == 2 { StatusCode::BAD_GATEWAY } else { StatusCode::NO_CONTENT })
    }
}

impl Transport for Receiver {
    fn send(
        &self,
        request: Request<Bytes>,
        _: Trust,
    ) -> BoxFuture<'_, Result<Response<ResponseBody>, TransportError>> {
        Box::pin(async move {
            sleep(Duration::from_millis(30)).await;
            let status = self.take(request.body())?;
            let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
            let mut answer = Response::new(body);
            *answer.status_mut() = status;
            Ok(answer)
        })
    }
}

fn names() -> impl Iterator<Item = String> {
    (0..CLIENTS).flat_map(|client| (0..STREAMS).map(move |stream| format!("c{client}-{stream}")))
}

/// Makes them all, before there is any stream.
pub(super) async fn make(client: &mut Client) {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "signing"},
        "stringData": {"key": "a secret of some length"},
    });
    client.must("POST", "/api/v1/namespaces/sim/secrets", Some(&secret)).await;
    for name in names() {
        let webhook = json!({
            "apiVersion": "weir.dev/v1alpha1", "kind": "WebhookTrigger", "metadata": {"name": name}, "spec": {
                "stream": name, "url": "https://receiver.sim/", "secretRef": {"name": "signing", "key": "key"},
            },
        });
        client.must("POST", &format!("{WEIR}/webhooktriggers"), Some(&webhook)).await;
        let maker = json!({
            "apiVersion": "weir.dev/v1alpha1", "kind": "ObjectTrigger", "metadata": {"name": name}, "spec": {
                "stream": name,
                "template": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"move": "${weir.move}"}},
            },
        });
        client.must("POST", &format!("{WEIR}/objecttriggers"), Some(&maker)).await;
        let follows = json!([{
            "from": {"kind": "ImageStreamTag", "name": format!("{name}:pushed")},
            "fieldPath": "spec.template.spec.containers[0].image",
        }]);
        let labels = json!({"app": name});
        let workload = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "annotations": {"image.openshift.io/triggers": follows.to_string()}},
            "spec": {"selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "none"}]},
            }},
        });
        client.must("POST", "/apis/apps/v1/namespaces/sim/deployments", Some(&workload)).await;
    }
}

/// Waits until nothing is on its way any more, and holds everybody to what they promise.
pub(super) async fn audit(world: &World, receiver: &Receiver, seen: &mut Seen) {
    let mut client = world.client().await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let list = client.must("GET", &format!("{WEIR}/deliveries"), None).await;
        let all = list["items"].as_array().expect("a list");
        if let Some(dead) = all.iter().find(|delivery| delivery["status"]["state"] == "Dead") {
            panic!("a delivery was given up: {dead}");
        }
        let waiting = all.iter().filter(|delivery| delivery["status"]["state"] == "Pending").count();
        if waiting == 0 {
            break;
        }
        assert!(Instant::now() < deadline, "{waiting} deliveries are still on their way");
        sleep(Duration::from_secs(60)).await;
    }
    let made = objects(&mut client).await;
    for name in names() {
        let moves = ledger(&mut client, &name).await;
        told(receiver, &name, &moves);
        let made = made.get(&name).cloned().unwrap_or_default();
        let wanted: Vec<&String> = moves.iter().map(|(_, id, _)| id).collect();
        assert_eq!(made.iter().collect::<BTreeSet<_>>(), wanted.iter().copied().collect(), "{name}");
        assert_eq!(made.len(), wanted.len(), "{name}: a move made a second object");
        workload(&mut client, &name, &moves).await;
        seen.triggered += moves.len();
    }
    seen.repeats = receiver.state.lock().unwrap_or_else(PoisonError::into_inner).repeats;
}

/// The moves of a stream's tags, in the order in which they were stored: tag, name, and image where there is one.
type Moves = Vec<(String, String, Option<String>)>;

async fn ledger(client: &mut Client, stream: &str) -> Moves {
    let (mut moves, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("{WEIR}/imagestreams/{stream}/ledger?continue={after}");
        let page = client.must("GET", &path, None).await;
        for row in page["items"].as_array().expect("rows") {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            let revision: u64 = text("revision").parse().expect("a revision");
            moves.push((revision, text("tag"), text("name"), row["to"]["image"].as_str().map(str::to_owned)));
        }
        match page["metadata"]["continue"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    // No time may pass between two moves here, and then their names do not tell which was first.
    moves.sort();
    moves.into_iter().map(|(_, tag, id, to)| (tag, id, to)).collect()
}

/// Every move of every tag came, in order.
fn told(receiver: &Receiver, stream: &str, moves: &Moves) {
    let state = receiver.state.lock().unwrap_or_else(PoisonError::into_inner);
    let tags: BTreeSet<&String> = moves.iter().map(|(tag, _, _)| tag).collect();
    for tag in tags {
        let wanted: Vec<&String> = moves.iter().filter(|(of, _, _)| of == tag).map(|(_, id, _)| id).collect();
        let came = state.taken.get(&(stream.to_owned(), tag.clone())).into_iter().flatten();
        assert_eq!(came.collect::<Vec<_>>(), wanted, "what the receiver was told of {stream}:{tag}");
    }
}

/// The moves for which an object was made, by trigger.
async fn objects(client: &mut Client) -> BTreeMap<String, Vec<String>> {
    let list = client.must("GET", "/api/v1/namespaces/sim/configmaps", None).await;
    let mut made: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for object in list["items"].as_array().expect("a list") {
        let trigger = object["metadata"]["labels"]["weir.dev/trigger"].as_str();
        let of = object["data"]["move"].as_str();
        if let (Some(trigger), Some(of)) = (trigger, of) {
            made.entry(trigger.to_owned()).or_default().push(of.to_owned());
        }
    }
    made
}

/// The workload has what its tag last pointed at, and was not written more often than that moved.
async fn workload(client: &mut Client, name: &str, moves: &Moves) {
    let held = client.must("GET", &format!("/apis/apps/v1/namespaces/sim/deployments/{name}"), None).await;
    let image = held["spec"]["template"]["spec"]["containers"][0]["image"].as_str().expect("an image");
    let of_tag: Vec<_> = moves.iter().filter(|(tag, _, to)| tag == "pushed" && to.is_some()).collect();
    let writes = held["metadata"]["generation"].as_u64().expect("a generation") - 1;
    assert!(writes <= of_tag.len() as u64, "{name} was written {writes} times for {} moves", of_tag.len());
    let stream = client.call("GET", &format!("{GROUP}/imagestreams/{name}"), None).await;
    let Some((200, stream)) = stream else { return };
    if let Some(head) = super::audit::head(&stream, "pushed") {
        assert!(image.ends_with(head), "{name} has {image}, its tag points at {head}");
    }
}
