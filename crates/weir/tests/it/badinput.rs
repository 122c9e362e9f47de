//! What a server must not do whatever it is sent: fall over, wait for ever, or write to a folder that is not its own.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::future;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    api::{Api, Request},
    server::{Server, refused},
};

const STREAMS: &str = "/apis/image.openshift.io/v1/namespaces/default/imagestreams";
/// What a body may have at most.
const BODY_LIMIT: usize = 3 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

async fn namespace(api: &Api, name: &str) {
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let answer = api.call(&Request::new("POST", "/api/v1/namespaces").json(&body)).await.expect("answered");
    assert!(matches!(answer.status, 201 | 409), "{answer:?}");
}

/// Sends a body and expects this status, a `Status` object, and a server that goes on.
#[track_caller]
fn check(api: &Api, body: Vec<u8>, status: u16, reason: &'static str) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let request = Request { body: Some(body), ..Request::new("POST", STREAMS) };
        let answer = api.call(&request).await.unwrap_or_else(|error| panic!("{place}: no answer: {error:?}"));
        assert_eq!(answer.status, status, "{place}: {:?}", answer.body);
        assert_eq!(
            (&answer.body["kind"], &answer.body["reason"]),
            (&json!("Status"), &json!(reason)),
            "{place}"
        );
        api.must(Request::new("GET", "/readyz")).await;
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let server = Server::start().await;
    let api = server.api();
    namespace(&api, "default").await;
    let stream = |length: usize| {
        let text = json!({"apiVersion": "image.openshift.io/v1", "kind": "ImageStream",
            "metadata": {"name": "big", "annotations": {"x": ""}}})
        .to_string();
        let filler = "x".repeat(length - text.len());
        text.replace(r#""x":"""#, &format!(r#""x":"{filler}""#)).into_bytes()
    };
    check(&api, stream(BODY_LIMIT + 1), 413, "RequestEntityTooLarge").await;
    // At the limit it is read, and refused for what is in it: annotations may have 256 KiB.
    check(&api, stream(BODY_LIMIT), 422, "Invalid").await;
}

#[tokio::test]
async fn broken_json_is_400() {
    let server = Server::start().await;
    let api = server.api();
    namespace(&api, "default").await;
    for body in [&b"{"[..], b"{\"a\":}", b"\xff\xfe", b"[]", b"\"text\""] {
        check(&api, body.to_vec(), 400, "BadRequest").await;
    }
}

#[tokio::test]
async fn deep_json_is_400_and_no_crash() {
    let server = Server::start().await;
    let api = server.api();
    namespace(&api, "default").await;
    let deep = 200_000;
    check(&api, "[".repeat(deep).into_bytes(), 400, "BadRequest").await;
    check(&api, "{\"a\":".repeat(deep).into_bytes(), 400, "BadRequest").await;
    let valid = format!(
        r#"{{"apiVersion":"image.openshift.io/v1","kind":"ImageStream","metadata":{{"name":"x"}},"x":{}1{}}}"#,
        "[".repeat(deep),
        "]".repeat(deep)
    );
    check(&api, valid.into_bytes(), 400, "BadRequest").await;
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let server = Server::start().await;
    let before = fs::read(server.data().join("serve.json")).expect("serve.json is there");
    let (status, text) = refused(&server.data());
    assert!(status.code().is_some_and(|code| code != 0), "{status}: {text}");
    assert!(text.contains(&*server.data().to_string_lossy()), "the message names no folder: {text}");
    assert!(text.contains("already") || text.contains("in use"), "the message gives no reason: {text}");
    assert!(!text.contains("panicked"), "{text}");
    server.api().must(Request::new("GET", "/readyz")).await;
    assert_eq!(fs::read(server.data().join("serve.json")).expect("serve.json is there"), before);
}

#[tokio::test]
async fn data_of_a_newer_version_is_refused_and_left_alone() {
    let mut server = Server::start().await;
    server.terminate();
    assert!(server.ended().await.success());
    let file = database(&server.data()).expect("the data directory holds a database");
    set_format(&file, 1_000_000);
    let (status, text) = refused(&server.data());
    assert!(status.code().is_some_and(|code| code != 0), "{status}: {text}");
    assert!(text.contains("1000000") && text.contains("newer"), "the message gives no reason: {text}");
    assert!(!text.contains("panicked"), "{text}");
    assert_eq!(set_format(&file, 1_000_000), 1_000_000, "the data was changed");
}

/// The embedded engine's file.
fn database(folder: &Path) -> Option<PathBuf> {
    fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).find_map(|path| {
        match path.is_dir() {
            true => database(&path),
            false => path.extension().is_some_and(|extension| extension == "redb").then_some(path),
        }
    })
}

/// Writes another format's number, as a later version of the program would; what was there before.
fn set_format(file: &Path, format: u64) -> u64 {
    let database = redb::Database::open(file).expect("the database opens");
    let change = database.begin_write().expect("a transaction begins");
    let before = {
        let mut meta =
            change.open_table(redb::TableDefinition::<&str, u64>::new("meta")).expect("the table is there");
        let before = meta.insert("format", format).expect("the number is written");
        before.expect("every database has a format").value()
    };
    change.commit().expect("the transaction is stored");
    before
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_polite_restart() {
    let mut server = Server::start().await;
    namespace(&server.api(), "default").await;
    let body =
        json!({"apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": {"name": "kept"}});
    let created = server.api().must(Request::new("POST", STREAMS).json(&body)).await.body;
    let token = server.token();
    server.restart().await;
    let found = server.api().must(Request::new("GET", format!("{STREAMS}/kept"))).await.body;
    assert_eq!(found, created);
    assert_eq!(server.token(), token, "a restart must not make everybody log in again");
}

#[tokio::test]
async fn sigterm_ends_watches_and_answers_what_is_in_flight() {
    let mut server = Server::start().await;
    let api = server.api();
    namespace(&api, "default").await;
    let watch =
        api.open(&Request::new("GET", format!("{STREAMS}?watch=true"))).await.expect("the watch begins");
    assert_eq!(watch.status(), 200);
    let body =
        json!({"apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": {"name": "late"}});
    let body = body.to_string();
    let (start, rest) = body.split_at(body.len() / 2);
    let mut request = server.connect().await;
    let head = format!(
        "POST {STREAMS} HTTP/1.1\r\nHost: weir\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        server.token(),
        body.len()
    );
    request.write_all(head.as_bytes()).await.expect("the request begins");
    // This is the sign that the server has begun to read the body, so that the request is in flight.
    let mut go_on = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    timeout(PATIENCE, request.read_exact(&mut go_on))
        .await
        .expect("in time")
        .expect("the server wants the body");
    assert_eq!(String::from_utf8_lossy(&go_on), "HTTP/1.1 100 Continue\r\n\r\n");
    request.write_all(start.as_bytes()).await.expect("half of the body is taken");

    server.terminate();
    let watched = async { timeout(PATIENCE, watch.bytes()).await.expect("the watch ends in time") };
    // The listener closes first, so this is after the server has begun to stop.
    let stopping = async {
        while TcpStream::connect(server.api().base().trim_start_matches("https://")).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    let (watched, ()) =
        future::join(watched, async { timeout(PATIENCE, stopping).await.expect("it stops listening") }).await;
    watched.expect("a watch ends as a whole answer, not as a broken connection");
    request.write_all(rest.as_bytes()).await.expect("the rest is taken");
    let mut answer = [0; b"HTTP/1.1 201 Created".len()];
    timeout(PATIENCE, request.read_exact(&mut answer)).await.expect("in time").expect("answered");
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 201 Created");
    drop(request);
    let status = timeout(PATIENCE, server.ended()).await.expect("the server ends in time");
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn files_with_secrets_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start().await;
    for name in ["admin.kubeconfig", "admin.token"] {
        let mode = fs::metadata(server.data().join(name)).expect("the file is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} has mode {mode:o}");
    }
    let listening: Value =
        serde_json::from_slice(&fs::read(server.data().join("serve.json")).expect("serve.json is there"))
            .expect("JSON");
    assert!(
        listening["api"].as_str().is_some_and(|url| url.starts_with("https://127.0.0.1:")),
        "{listening}"
    );
}

#[tokio::test]
async fn without_a_token_nothing_is_told() {
    let server = Server::start().await;
    let stranger = Api::new(server.api().base(), None, None);
    let answer = stranger.call(&Request::new("GET", STREAMS)).await.expect("answered");
    assert!(matches!(answer.status, 401 | 403), "{answer:?}");
    let liar = Api::new(server.api().base(), Some("not-a-token"), None);
    let answer = liar.call(&Request::new("GET", STREAMS)).await.expect("answered");
    assert_eq!(answer.status, 401, "{answer:?}");
}
