//! The audit log as an operator finds it: a line for every request, whatever became of it, and no secrets.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::TcpListener,
    time::{Instant, sleep},
};

use crate::{api::Request, server::Server};

const IMPORTS: &str = "/apis/image.openshift.io/v1/namespaces/default/imagestreamimports";
const PATIENCE: Duration = Duration::from_secs(30);

fn lines(server: &Server) -> Vec<Value> {
    let text = fs::read_to_string(server.data().join("audit.log")).expect("the log is there");
    // The last line may be half written while the server runs.
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect()
}

/// The line of the request with this id, once it is there.
async fn line(server: &Server, id: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(line) = lines(server).into_iter().find(|line| line["id"] == id) {
            return line;
        }
        assert!(Instant::now() < deadline, "no line of {id}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn every_request_leaves_a_line_and_no_secret() {
    let mut server = Server::start().await;
    let api = server.api();
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"password": "hush-hush"}});
    let secrets = "/api/v1/namespaces/default/secrets";
    let created = Request::new("POST", secrets).json(&secret).header("Audit-Id", "made");
    assert_eq!(api.call(&created).await.expect("answered").status, 201);
    let forbidden = Request::new("GET", format!("{secrets}/s?token=hush-hush"))
        .header("Impersonate-User", "eva")
        .header("Audit-Id", "refused");
    assert_eq!(api.call(&forbidden).await.expect("answered").status, 403);

    let made = line(&server, "made").await;
    let what = ["user", "verb", "resource", "namespace", "decision", "code"].map(|key| made[key].clone());
    assert_eq!(
        Value::from(what.to_vec()),
        json!(["system:admin", "create", "secrets", "default", "allow", 201])
    );
    let refused = line(&server, "refused").await;
    let what = ["user", "impersonator", "name", "decision", "code"].map(|key| refused[key].clone());
    assert_eq!(Value::from(what.to_vec()), json!(["eva", "system:admin", "s", "forbid", 403]));

    server.terminate();
    assert!(server.ended().await.success());
    let text = fs::read_to_string(server.data().join("audit.log")).expect("the log is there");
    assert!(!text.contains("hush-hush") && !text.contains(&server.token()));
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_its_line_too() {
    let server = Server::start().await;
    // A registry that takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let host = silent.local_addr().expect("it listens");
    let body = json!({"metadata": {"name": "s"}, "spec": {"import": true, "images": [
        {"from": {"kind": "DockerImage", "name": format!("{host}/a/b:1")}, "to": {"name": "t"}, "importPolicy": {"insecure": true}}]}})
    .to_string();
    let mut client = server.connect().await;
    let head = format!(
        "POST {IMPORTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nAudit-Id: gone\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        server.token(),
        body.len()
    );
    client.write_all(head.as_bytes()).await.expect("sent");
    client.flush().await.expect("sent");
    // The server asks the registry, so it is in the middle of the request.
    let _connection = silent.accept().await.expect("the server asks");
    drop(client);
    let gone = line(&server, "gone").await;
    assert_eq!((&gone["code"], &gone["decision"]), (&json!(499), &json!("allow")));
    assert_eq!(gone["resource"], "imagestreamimports");
}
