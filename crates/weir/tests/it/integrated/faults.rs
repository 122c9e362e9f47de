//! The registry under `kill -9`, and clients that stop half-way. Whatever was acknowledged is complete afterwards, and
//! everything that lies in the store under a digest is what the digest says.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use futures_util::future;
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};

use super::{
    content::{OCI, digest, random},
    world::{World, local},
};
use crate::{
    api::{Api, Request},
    random_hex,
    registry::Registries,
};

/// The server is killed at least so often, and until this many pushes and pull-throughs have gone through it.
const ROUNDS: usize = 16;
const TRANSFERS: usize = 200;
/// By then there must be enough.
const ROUNDS_MOST: usize = 80;
const PUSHERS: usize = 4;
const PULLERS: usize = 2;
/// Bytes of a layer: several writes, and large enough to be streamed when it is pulled through.
const LAYER: usize = 1_200_000;

/// An image with a layer of its own.
pub(super) struct Image {
    pub(super) layer: Vec<u8>,
    pub(super) config: Vec<u8>,
    pub(super) manifest: Vec<u8>,
}

impl Image {
    pub(super) fn new(seed: &str, size: usize) -> Self {
        let layer = random(seed, size);
        let config = json!({"architecture": "amd64", "os": "linux", "config": {"Labels": {"seed": seed}}});
        let config = config.to_string().into_bytes();
        let part = |kind: &str, bytes: &[u8]| json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest(bytes), "size": bytes.len()});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI,
            "config": part("config.v1+json", &config), "layers": [part("layer.v1.tar", &layer)],
        });
        Self { layer, config, manifest: manifest.to_string().into_bytes() }
    }

    /// Pushes to any registry; false when it went away.
    pub(super) async fn push(&self, world: &World, repository: &str, tag: &str) -> bool {
        for blob in [&self.layer, &self.config] {
            if !matches!(world.try_upload("builder", repository, blob).await, Some(Ok(()))) {
                return false;
            }
        }
        let headers = [("Content-Type", OCI.to_owned())];
        let path = format!("/v2/{repository}/manifests/{tag}");
        let sent = world.send("builder", "PUT", &path, &headers, Some(self.manifest.clone().into())).await;
        sent.is_ok_and(|answer| answer.status() == 201)
    }

    /// Whether all of it is there.
    pub(super) async fn check(&self, world: &World, repository: &str, reference: &str) {
        let headers = [("Accept", OCI.to_owned())];
        let path = format!("/v2/{repository}/manifests/{reference}");
        let answer = world.call("puller", "GET", &path, &headers, None).await;
        assert_eq!((answer.status, &answer.body), (200, &self.manifest), "{path}");
        for blob in [&self.layer, &self.config] {
            let path = format!("/v2/{repository}/blobs/{}", digest(blob));
            let answer = world.call("puller", "GET", &path, &[], None).await;
            assert!(answer.status == 200 && answer.body == *blob, "{path}: {}", answer.status);
        }
    }
}

/// Everything that lies under a digest is what the digest says.
fn audit(data: &Path) -> usize {
    let mut checked = 0;
    let mut folders = vec![data.join("registry/blobs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let parts: Vec<&str> = path.iter().rev().take(4).filter_map(|part| part.to_str()).collect();
            if let ["data", hex, _, "sha256"] = parts[..] {
                let found = digest(&fs::read(&path).expect("content can be read"));
                assert_eq!(found, format!("sha256:{hex}"), "{}", path.display());
                checked += 1;
            }
        }
    }
    checked
}

/// Pushes blobs and a manifest to the open registry elsewhere.
pub(super) async fn push_elsewhere(
    upstream: &Registries,
    repository: &str,
    reference: &str,
    blobs: &[&[u8]],
    (kind, manifest): (&str, &[u8]),
) {
    let api = Api::new(&format!("http://{}", upstream.open.host), None, None);
    for blob in blobs {
        let started = api.must(Request::new("POST", format!("/v2/{repository}/blobs/uploads/"))).await;
        let location = started.header_values("location").remove(0);
        let path = format!("{}&digest={}", local(&location), digest(blob));
        let put = Request { body: Some(blob.to_vec()), ..Request::new("PUT", path) };
        api.must(put.header("Content-Type", "application/octet-stream")).await;
    }
    let path = format!("/v2/{repository}/manifests/{reference}");
    let put = Request { body: Some(manifest.to_vec()), ..Request::new("PUT", path) };
    api.must(put.header("Content-Type", kind)).await;
}

/// Makes an image upstream and a stream here whose tag is imported from it.
pub(super) async fn imported(world: &World, upstream: &Registries, image: &Image, name: &str) {
    let blobs = [&image.layer[..], &image.config[..]];
    push_elsewhere(upstream, &format!("storm/{name}"), "v1", &blobs, (OCI, &image.manifest)).await;
    let body = json!({
        "kind": "ImageStreamImport", "apiVersion": "image.openshift.io/v1", "metadata": {"name": name},
        "spec": {"import": true, "images": [{
            "from": {"kind": "DockerImage", "name": format!("{}/storm/{name}:v1", upstream.open.host)},
            "to": {"name": "v1"}, "importPolicy": {"insecure": true},
        }]},
    });
    let path = format!("/apis/image.openshift.io/v1/namespaces/{}/imagestreamimports", world.project);
    let answer = world.server.api().must(Request::new("POST", path).json(&body)).await;
    assert_eq!(answer.body["status"]["images"][0]["status"]["status"], "Success", "{:?}", answer.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_pushes_survive_kills_and_pull_through_stays_right() {
    let (mut world, upstream) = (World::open().await, Registries::start());
    let mut acknowledged: BTreeMap<String, Image> = BTreeMap::new();
    let mut through: BTreeMap<String, Image> = BTreeMap::new();
    let run = random_hex(2);
    println!("seed {run}");
    for round in 0..ROUNDS_MOST {
        if round >= ROUNDS && acknowledged.len() + through.len() >= TRANSFERS {
            break;
        }
        for puller in 0..PULLERS {
            let name = format!("through-{round}-{puller}");
            let image = Image::new(&format!("{run}-{name}"), LAYER);
            imported(&world, &upstream, &image, &name).await;
            through.insert(name, image);
        }
        // The length of a storm depends on the seed and the round alone.
        let chance = u64::from(random(&format!("{run} {round}"), 1)[0]);
        let length = Duration::from_millis(60 + 2 * chance);
        let pid = world.server.process();
        let pushers = future::join_all((0..PUSHERS).map(|pusher| {
            let (world, run) = (&world, &run);
            async move {
                let mut done = Vec::new();
                for turn in 0.. {
                    let tag = format!("{round}-{pusher}-{turn}");
                    let size = if turn % 4 == 3 { LAYER / 3 } else { 5_000 };
                    let image = Image::new(&format!("{run}-{tag}"), size);
                    if !image.push(world, &format!("{}/pushed", world.project), &tag).await {
                        break;
                    }
                    done.push((tag, image));
                }
                done
            }
        }));
        let pullers = future::join_all((0..PULLERS).map(|puller| {
            let (world, through) = (&world, &through);
            async move {
                let name = format!("through-{round}-{puller}");
                let image = &through[&name];
                let repository = format!("{}/{name}", world.project);
                let accept = [("Accept", OCI.to_owned())];
                for path in ["manifests/v1".to_owned(), format!("blobs/{}", digest(&image.layer))] {
                    let path = format!("/v2/{repository}/{path}");
                    let Ok(answer) = world.send("puller", "GET", &path, &accept, None).await else { return };
                    // Cut off or whole, but never whole and wrong.
                    if let Ok(bytes) = answer.bytes().await {
                        assert!(bytes == image.layer || bytes == image.manifest, "{path}");
                    }
                }
            }
        }));
        let killer = async {
            sleep(length).await;
            pid.kill9();
        };
        let (done, _, ()) = future::join3(pushers, pullers, killer).await;
        world.server.ended().await;
        audit(&world.server.data());
        world.server.start_again().await;
        for (tag, image) in done.into_iter().flatten() {
            image.check(&world, &format!("{}/pushed", world.project), &tag).await;
            acknowledged.insert(tag, image);
        }
    }
    for (tag, image) in &acknowledged {
        image.check(&world, &format!("{}/pushed", world.project), tag).await;
    }
    for (name, image) in &through {
        image.check(&world, &format!("{}/{name}", world.project), "v1").await;
    }
    let contents = audit(&world.server.data());
    println!(
        "{} acknowledged pushes, {} images pulled through, {contents} contents",
        acknowledged.len(),
        through.len()
    );
    assert!(
        acknowledged.len() + through.len() >= TRANSFERS,
        "the storms were too weak to prove anything: {}",
        acknowledged.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_half_way_goes_on_later() {
    let world = World::open().await;
    let repository = format!("{}/half", world.project);
    let bytes = random("half", 2_000_000);
    let started = world
        .call("builder", "POST", &format!("/v2/{repository}/blobs/uploads/"), &[], Some(Vec::new()))
        .await;
    let location = local(started.header("location").expect("a location"));
    let mut stream = TcpStream::connect(world.server.registry()).await.expect("the registry listens");
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nHost: registry\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n",
        world.token("builder"),
        bytes.len()
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(&bytes[..1_000_000]).await.expect("sent");
    stream.shutdown().await.expect("the connection ends");
    drop(stream);
    // The registry reports what it has; the client sends the rest.
    let at = loop {
        let status = world.call("builder", "GET", &location, &[], None).await;
        assert_eq!(status.status, 204);
        let range = status.header("range").expect("a range").to_owned();
        match range.strip_prefix("0-").and_then(|end| end.parse::<usize>().ok()) {
            Some(end) if end > 0 => break end + 1,
            _ => sleep(Duration::from_millis(10)).await,
        }
    };
    assert!(at <= 1_000_000, "{at}");
    let headers = [
        ("Content-Type", "application/octet-stream".to_owned()),
        ("Content-Range", format!("{at}-{}", bytes.len() - 1)),
    ];
    let rest = world.call("builder", "PATCH", &location, &headers, Some(bytes[at..].to_vec())).await;
    assert_eq!(rest.status, 202, "{}", rest.text());
    let path = format!("{location}?digest={}", digest(&bytes));
    assert_eq!(world.call("builder", "PUT", &path, &[], Some(Vec::new())).await.status, 201);
    let path = format!("/v2/{repository}/blobs/{}", digest(&bytes));
    assert!(world.call("builder", "GET", &path, &[], None).await.body == bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_are_too_long_are_refused_whatever_is_read_at_once() {
    let world = World::open().await;
    for (length, expected) in [(1_000, 200), (100_000, 431), (600_000, 431)] {
        let headers = [("X-Long", "x".repeat(length))];
        assert_eq!(world.call("admin", "GET", "/v2/", &headers, None).await.status, expected, "{length}");
    }
}
