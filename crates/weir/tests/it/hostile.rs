//! Upstream registries that lie, and a disk that is full: what is stored stays right, and somebody is told why.
//!
//! The registry here serves one good image first; then it misbehaves, each repository in its own way, and the tag that was
//! imported from it is imported again. Whatever happens, the tag keeps its image, and its condition says what is wrong.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::{
    api::{Api, Request},
    server::Server,
};

const GROUP: &str = "/apis/image.openshift.io/v1/namespaces/hostile";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// How a repository answers for its manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Good,
    /// A manifest of more than 4 MiB.
    Large,
    /// An index with more than a thousand children.
    Crowded,
    /// Fewer bytes than the header says.
    Short,
    /// Bytes that are not those of the digest in the header.
    OtherDigest,
    /// No manifest at all.
    Garbage,
    /// JSON that is nested deeper than anybody needs.
    Deep,
    /// A server that is broken.
    Broken,
    /// Somebody who was asked too often.
    Busy,
}

/// A registry on a free port whose repositories change their manners.
#[derive(Clone, Default)]
struct Upstream(Arc<Mutex<HashMap<String, Manner>>>);

impl Upstream {
    #[expect(
        clippy::disallowed_methods,
        reason = "the tasks end with the runtime of the one test that they serve"
    )]
    async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let upstream = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let upstream = upstream.clone();
                // A client that goes away in the middle is its own affair.
                tokio::spawn(async move { upstream.answer(stream).await.ok() });
            }
        });
        address
    }

    fn set(&self, repository: &str, manner: Manner) {
        self.0.lock().expect("nobody panicked").insert(repository.to_owned(), manner);
    }

    async fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut first = String::new();
        reader.read_line(&mut first).await?;
        let mut line = String::new();
        while reader.read_line(&mut line).await? > 2 {
            line.clear();
        }
        let path = first.split(' ').nth(1).unwrap_or_default();
        let manner = path
            .strip_prefix("/v2/")
            .and_then(|rest| rest.split_once("/manifests/"))
            .and_then(|(repository, _)| self.0.lock().expect("nobody panicked").get(repository).copied());
        let mut answer = match (path, manner) {
            ("/v2/", _) => whole("application/json", b"{}"),
            (path, None) if path.ends_with(&digest(&config())) => whole("application/json", &config()),
            (_, Some(manner)) => manifest(manner),
            _ => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec(),
        };
        if first.starts_with("HEAD") {
            let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head has an end");
            answer.truncate(end + 4);
        }
        reader.get_mut().write_all(&answer).await?;
        reader.get_mut().shutdown().await?;
        reader.read_to_end(&mut Vec::new()).await.map(drop)
    }
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn config() -> Vec<u8> {
    br#"{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#.to_vec()
}

fn good() -> Vec<u8> {
    let config = config();
    json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [],
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": config.len(), "digest": digest(&config)},
    })
    .to_string()
    .into_bytes()
}

fn manifest(manner: Manner) -> Vec<u8> {
    match manner {
        Manner::Good => whole(OCI_MANIFEST, &good()),
        Manner::Large => whole(OCI_MANIFEST, &[good(), vec![b' '; 5 << 20]].concat()),
        Manner::Crowded => {
            let child = json!({"mediaType": OCI_MANIFEST, "size": 100, "digest": digest(b"child")});
            let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": vec![child; 1001]});
            whole(OCI_INDEX, index.to_string().as_bytes())
        }
        Manner::Short => {
            // Another image than before, so that its digest cannot be recognised from the head.
            let body = [good(), b" ".to_vec()].concat();
            let mut answer = whole(OCI_MANIFEST, &body);
            answer.truncate(answer.len() - 10);
            answer
        }
        Manner::OtherDigest => answer(200, OCI_MANIFEST, &digest(b"something else"), &good()),
        Manner::Garbage => whole(OCI_MANIFEST, b"<html>please log in</html>"),
        Manner::Deep => whole(OCI_MANIFEST, &[b'['; 100_000]),
        Manner::Broken => answer(500, "text/plain", "", b"out of order"),
        Manner::Busy => answer(429, "text/plain", "", b"slow down"),
    }
}

fn whole(media_type: &str, body: &[u8]) -> Vec<u8> {
    answer(200, media_type, &digest(body), body)
}

fn answer(status: u16, media_type: &str, digest: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n\
         docker-content-digest: {digest}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body.to_vec()].concat()
}

async fn import(api: &Api, repository: &str, address: SocketAddr) -> Value {
    let body = json!({
        "apiVersion": "image.openshift.io/v1", "kind": "ImageStreamImport", "metadata": {"name": repository},
        "spec": {"import": true, "images": [{
            "from": {"kind": "DockerImage", "name": format!("{address}/{repository}:v1")},
            "to": {"name": "v1"}, "importPolicy": {"insecure": true},
        }]},
    });
    let request = Request::new("POST", format!("{GROUP}/imagestreamimports")).json(&body);
    api.must(request).await.body["status"]["images"][0].clone()
}

#[tokio::test]
async fn a_registry_that_lies_moves_no_tag_and_the_condition_says_why() {
    let (server, upstream) = (Server::start().await, Upstream::default());
    let (api, address) = (server.api(), upstream.start().await);
    let project = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hostile"}});
    api.must(Request::new("POST", "/api/v1/namespaces").json(&project)).await;
    let cases = [
        ("large", Manner::Large, "4194304"),
        ("crowded", Manner::Crowded, "1000"),
        ("short", Manner::Short, "ended before"),
        ("other", Manner::OtherDigest, "digest"),
        ("garbage", Manner::Garbage, "invalid character"),
        ("deep", Manner::Deep, "exceeded max depth"),
        ("broken", Manner::Broken, "500"),
        ("busy", Manner::Busy, "429"),
    ];
    for (repository, manner, word) in cases {
        upstream.set(repository, Manner::Good);
        let first = import(&api, repository, address).await;
        assert_eq!(first["image"]["metadata"]["name"], digest(&good()), "{repository}: {first}");
        upstream.set(repository, manner);
        let second = import(&api, repository, address).await;
        assert_eq!(second["status"]["status"], "Failure", "{repository}: {second}");
        let stream = api.must(Request::new("GET", format!("{GROUP}/imagestreams/{repository}"))).await.body;
        let tag = &stream["status"]["tags"][0];
        assert_eq!(tag["items"][0]["image"], digest(&good()), "{repository}: the last good image stays");
        let condition = &tag["conditions"][0];
        assert_eq!((&condition["type"], &condition["status"]), (&json!("ImportSuccess"), &json!("False")));
        let message = condition["message"].as_str().unwrap_or_default();
        assert!(message.contains(word), "{repository}: {message}");
        assert!(!message.contains("panicked"), "{repository}: {message}");
    }
    api.must(Request::new("GET", "/readyz")).await;
}

#[tokio::test]
async fn a_full_disk_ends_the_server_and_loses_nothing_that_was_acknowledged() {
    /// What a file may have at most, in the units of `ulimit`: 512 bytes each.
    const BLOCKS: u32 = 8 << 10;
    let mut server = Server::start_limited(BLOCKS).await;
    let api = server.api();
    let project = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hostile"}});
    api.must(Request::new("POST", "/api/v1/namespaces").json(&project)).await;
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let name = format!("s{number}");
        let stream = json!({"apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": {"name": name,
            "annotations": {"filler": "x".repeat(100_000)}}});
        match api.call(&Request::new("POST", format!("{GROUP}/imagestreams")).json(&stream)).await {
            Ok(answer) if answer.status == 201 => acknowledged.push(name),
            _ => break,
        }
        assert!(number < 1000, "the disk never fills");
    }
    let status = server.ended().await;
    assert_eq!(status.code(), Some(1), "it ends by itself and in order: {status}");
    let log = server.log();
    assert!(log.contains("the store has failed") && !log.contains("panicked"), "{log}");
    server.start_again().await;
    let api = server.api();
    for name in &acknowledged {
        api.must(Request::new("GET", format!("{GROUP}/imagestreams/{name}"))).await;
    }
    assert!(acknowledged.len() > 5, "{acknowledged:?}");
}
