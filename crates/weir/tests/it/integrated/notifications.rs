//! Endpoints that are told what happens in the registry.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    time::timeout,
};

use super::{
    content::{OCI, digest},
    world::World,
};
use crate::server::Server;

/// Takes one event, after an answer with this status; its headers and what it says.
async fn take(listener: &TcpListener, status: &str) -> (String, Value) {
    let accepted = timeout(Duration::from_secs(20), listener.accept()).await.expect("an event comes");
    let mut stream = BufReader::new(accepted.expect("a connection").0);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).await.expect("a line") > 0, "the head breaks off: {head}");
    }
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut body = vec![0; length.parse().expect("a number")];
    stream.read_exact(&mut body).await.expect("the body");
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.expect("answered");
    (head, serde_json::from_slice(&body).expect("JSON"))
}

/// Pushes an image without layers to a path of a manifest; its digest.
async fn push(world: &World, path: &str) -> String {
    let config = br#"{"architecture":"amd64","os":"linux"}"#;
    world.upload("builder", &format!("{}/app", world.project), config).await.expect("a builder may");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI, "layers": [],
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": config.len()},
    });
    let manifest = manifest.to_string().into_bytes();
    let image = digest(&manifest);
    let headers = [("Content-Type", OCI.to_owned())];
    assert_eq!(world.call("builder", "PUT", path, &headers, Some(manifest)).await.status, 201);
    image
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_pulls_and_deletions_are_told_until_they_are_heard() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let configuration = format!(
        "registry:\n  notifications:\n  - {{url: 'http://127.0.0.1:1/nobody', actions: [delete]}}\n  \
         - {{url: 'http://{address}/events', tokenFile: '{{folder}}/token'}}\n"
    );
    let world = World::around(Server::configured(&configuration, &[("token", b"sesame\n")]).await).await;
    let repository = format!("{}/app", world.project);
    let path = format!("/v2/{repository}/manifests/v1");
    let image = push(&world, &path).await;
    // It is sent again when the endpoint does not take it.
    let (_, refused) = take(&listener, "503 Service Unavailable").await;
    let (head, pushed) = take(&listener, "204 No Content").await;
    assert_eq!(refused["id"], pushed["id"], "the same event");
    assert!(head.starts_with("post /events ") && head.contains("authorization: bearer sesame"), "{head}");
    assert!(head.contains("content-type: application/cloudevents+json"), "{head}");
    assert_eq!(
        (&pushed["specversion"], &pushed["type"], &pushed["subject"]),
        (&json!("1.0"), &json!("io.weir.registry.push"), &json!(format!("{repository}:v1")))
    );
    let data = &pushed["data"];
    assert_eq!(
        (&data["digest"], &data["mediaType"], &data["tag"]),
        (&json!(image), &json!(OCI), &json!("v1"))
    );
    let builder = format!("system:serviceaccount:{}:builder", world.project);
    assert_eq!(data["actor"]["name"], builder);

    // A question without a body and a refused one are told to nobody.
    assert_eq!(world.call("puller", "HEAD", &path, &[], None).await.status, 200);
    assert_eq!(world.call("none", "GET", &path, &[], None).await.status, 401);
    assert_eq!(world.call("puller", "GET", &path, &[], None).await.status, 200);
    assert_eq!(world.call("admin", "DELETE", &path, &[], None).await.status, 202);
    let (_, pulled) = take(&listener, "200 OK").await;
    assert_eq!(
        (&pulled["type"], &pulled["data"]["digest"]),
        (&json!("io.weir.registry.pull"), &json!(image))
    );
    let (_, deleted) = take(&listener, "200 OK").await;
    assert_eq!(
        (&deleted["type"], &deleted["data"]["tag"]),
        (&json!("io.weir.registry.delete"), &json!("v1"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_took_before_the_server_stopped_is_told_by_the_next_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let configuration =
        format!("registry:\n  notifications:\n  - {{url: 'http://{address}/', actions: [push]}}\n");
    let mut world = World::around(Server::configured(&configuration, &[]).await).await;
    let tags = ["one", "two", "three"];
    for tag in tags {
        push(&world, &format!("/v2/{}/app/manifests/{tag}", world.project)).await;
    }
    // The endpoint takes nothing as long as this server is there.
    let (_, first) = take(&listener, "503 Service Unavailable").await;
    world.server.terminate();
    let busy = async {
        loop {
            take(&listener, "503 Service Unavailable").await;
        }
    };
    let status = tokio::select! {
        status = world.server.ended() => status,
        () = busy => unreachable!("it goes on for ever"),
    };
    assert!(status.success(), "{status}");
    world.server.start_again().await;
    for (number, tag) in tags.iter().enumerate() {
        let (_, event) = take(&listener, "204 No Content").await;
        assert_eq!(event["data"]["tag"], *tag, "in their order");
        assert!(number > 0 || event["id"] == first["id"], "the same event: {event}");
    }
    // What was told is not told again.
    world.server.restart().await;
    push(&world, &format!("/v2/{}/app/manifests/four", world.project)).await;
    let (_, event) = take(&listener, "204 No Content").await;
    assert_eq!(event["data"]["tag"], "four");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_tells_what_waits_first() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let configuration =
        format!("registry:\n  notifications:\n  - {{url: 'http://{address}/', actions: [push]}}\n");
    let mut world = World::around(Server::configured(&configuration, &[]).await).await;
    for tag in ["one", "two"] {
        push(&world, &format!("/v2/{}/app/manifests/{tag}", world.project)).await;
    }
    // The first one is refused, and waits for its next turn when the server is told to stop.
    take(&listener, "503 Service Unavailable").await;
    world.server.terminate();
    for tag in ["one", "two"] {
        let (_, event) = take(&listener, "204 No Content").await;
        assert_eq!(event["data"]["tag"], tag);
    }
    assert!(world.server.ended().await.success());
    assert!(!world.server.data().join("registry/events.json").exists(), "nothing is left to be told");
}
