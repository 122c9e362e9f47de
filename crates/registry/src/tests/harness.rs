//! A registry over temporary files, and requests to it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use oci::{Digest, media};
use serde_json::{Value, json};
use store::embedded::{Embedded, Options};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::memory::{Memory, Users};
use crate::blobs::FileBlobs;
use crate::body::{Body, RequestBody};
use crate::registry::{Origin, Registry, Settings, Spawn, Surroundings};

/// A registry that can be stopped and started again.
pub(super) struct Harness {
    pub(super) registry: Arc<Registry>,
    pub(super) catalog: Arc<Memory>,
    pub(super) now: Arc<AtomicU64>,
    pub(super) dir: TempDir,
    transfers: Arc<Transfers>,
}

/// What goes on behind the answers.
type Transfers = Mutex<Vec<JoinHandle<()>>>;

/// What was answered.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) headers: http::HeaderMap,
    pub(super) body: Bytes,
}

impl Answered {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The code of the first error.
    pub(super) fn code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(super) fn is(self, status: u16) -> Answered {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    #[track_caller]
    pub(super) fn fails(self, status: u16, code: &str) -> Answered {
        let answered = self.is(status);
        assert_eq!(answered.code(), code, "{answered:?}");
        answered
    }
}

/// A request that is being put together.
pub(super) struct Asked<'h> {
    harness: &'h Harness,
    request: http::request::Builder,
    body: RequestBody,
}

pub(super) fn body(bytes: impl Into<Bytes>) -> RequestBody {
    RequestBody::new(Full::new(bytes.into()).map_err(|never| match never {}))
}

/// A body that breaks off after these bytes.
pub(super) fn broken_body(bytes: &'static [u8]) -> RequestBody {
    let frames: Vec<Result<_, crate::body::BoxError>> =
        vec![Ok(http_body::Frame::data(Bytes::from_static(bytes))), Err("the client went away".into())];
    RequestBody::new(StreamBody::new(stream::iter(frames)))
}

impl Asked<'_> {
    pub(super) fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.request = self.request.header(name, value.as_ref());
        self
    }

    /// Sends these bytes, with their length.
    pub(super) fn bytes(mut self, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        self.request = self.request.header("content-length", bytes.len());
        self.body = body(bytes);
        self
    }

    /// Sends a body without saying how long it is.
    pub(super) fn streamed(mut self, body: RequestBody) -> Self {
        self.body = body;
        self
    }

    /// The answer as soon as its head is there.
    pub(super) async fn open(self) -> http::Response<Body> {
        let request = self.request.body(self.body).unwrap();
        Arc::clone(&self.harness.registry).answer(Origin::default(), request).await
    }

    pub(super) async fn send(self) -> Answered {
        let (parts, body) = self.open().await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answered { status: parts.status.as_u16(), headers: parts.headers, body }
    }
}

impl Harness {
    pub(super) async fn new() -> Harness {
        Harness::with(Settings::default()).await
    }

    pub(super) async fn with(settings: Settings) -> Harness {
        let dir = tempfile::tempdir().unwrap();
        let (catalog, now) = (Arc::new(Memory::default()), Arc::new(AtomicU64::new(1_700_000_000)));
        let transfers = Arc::default();
        let registry = open(&dir, &catalog, &now, &transfers, settings).await;
        Harness { registry, catalog, now, dir, transfers }
    }

    /// Waits until everything that went on behind the answers has ended.
    pub(super) async fn settled(&self) {
        loop {
            let Some(transfer) = self.transfers.lock().unwrap().pop() else { return };
            transfer.await.unwrap();
        }
    }

    /// Stops the registry in the middle of whatever it is doing, and starts it again.
    pub(super) async fn restarted(self) -> Harness {
        let Harness { registry, catalog, now, dir, transfers } = self;
        let settings = registry.settings.clone();
        drop(registry);
        let registry = open(&dir, &catalog, &now, &transfers, settings).await;
        Harness { registry, catalog, now, dir, transfers }
    }

    /// Starts again with so many bytes of the disk that must stay free.
    pub(super) async fn filled(self, reserve: u64) -> Harness {
        let Harness { registry, catalog, now, dir, transfers } = self;
        let settings = registry.settings.clone();
        drop(registry);
        let registry = open_with(&dir, &catalog, &now, &transfers, settings, reserve).await;
        Harness { registry, catalog, now, dir, transfers }
    }

    pub(super) fn later(&self, seconds: u64) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
    }

    /// A request of the administrator's.
    pub(super) fn ask(&self, method: &str, path: &str) -> Asked<'_> {
        self.ask_as("admin", method, path)
    }

    pub(super) fn ask_as(&self, user: &str, method: &str, path: &str) -> Asked<'_> {
        let request = Request::builder().method(method).uri(path).header("host", "registry.test:5000");
        let request = match user {
            "" => request,
            user => request.header("authorization", format!("Bearer {user}")),
        };
        Asked { harness: self, request, body: body("") }
    }

    pub(super) async fn get(&self, path: &str) -> Answered {
        self.ask("GET", path).send().await
    }

    /// Begins an upload; gives its location.
    pub(super) async fn begin(&self, repository: &str) -> String {
        let begun = self.ask("POST", &format!("/v2/{repository}/blobs/uploads/")).send().await.is(202);
        begun.header("location").to_owned()
    }

    /// Uploads a blob.
    pub(super) async fn blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        let location = self.begin(repository).await;
        let put = self.ask("PUT", &format!("{location}?digest={digest}")).bytes(bytes.to_vec()).send().await;
        put.is(201);
        digest
    }

    /// Puts a manifest.
    pub(super) async fn put(&self, repository: &str, reference: &str, manifest: &Value) -> Answered {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let kind = manifest["mediaType"].as_str().unwrap().to_owned();
        self.ask("PUT", &path).header("content-type", kind).bytes(manifest.to_string()).send().await
    }

    /// Pushes an image with one layer; gives its digest.
    pub(super) async fn push(&self, repository: &str, reference: &str, layer: &str) -> Digest {
        let image = self.image(repository, layer).await;
        let digest = Digest::sha256(image.to_string().as_bytes());
        let reference = if reference.is_empty() { digest.to_string() } else { reference.to_owned() };
        self.put(repository, &reference, &image).await.is(201);
        digest
    }

    /// Uploads what an image consists of; gives its manifest.
    pub(super) async fn image(&self, repository: &str, layer: &str) -> Value {
        let config =
            format!(r#"{{"architecture":"amd64","os":"linux","config":{{"Labels":{{"l":"{layer}"}}}}}}"#);
        self.blob(repository, config.as_bytes()).await;
        self.blob(repository, layer.as_bytes()).await;
        image(&config, &[layer])
    }
}

pub(super) fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::sha256(bytes).as_str(), "size": bytes.len()})
}

pub(super) fn image(config: &str, layers: &[&str]) -> Value {
    let layers: Vec<Value> =
        layers.iter().map(|layer| descriptor(media::OCI_LAYER, layer.as_bytes())).collect();
    json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
        "config": descriptor(media::OCI_CONFIG, config.as_bytes()), "layers": layers,
    })
}

async fn open(
    dir: &TempDir,
    catalog: &Arc<Memory>,
    now: &Arc<AtomicU64>,
    transfers: &Arc<Transfers>,
    settings: Settings,
) -> Arc<Registry> {
    open_with(dir, catalog, now, transfers, settings, 0).await
}

async fn open_with(
    dir: &TempDir,
    catalog: &Arc<Memory>,
    now: &Arc<AtomicU64>,
    transfers: &Arc<Transfers>,
    settings: Settings,
    reserve: u64,
) -> Arc<Registry> {
    let store = Embedded::open(dir.path().join("store"), Options::default()).unwrap();
    let blobs = FileBlobs::open(&dir.path().join("registry")).unwrap().with_reserve(reserve);
    let blobs = Arc::new(blobs);
    let (clock, chance) = (Arc::clone(now), AtomicU64::new(fresh()));
    let around = Surroundings {
        now: Box::new(move || clock.load(Ordering::SeqCst)),
        random: Box::new(move |buffer| {
            let next = chance.fetch_add(1, Ordering::SeqCst);
            let digest = Digest::sha256(&next.to_le_bytes());
            buffer.copy_from_slice(&digest.hex().as_bytes()[..buffer.len()]);
        }),
        spawn: spawner(transfers),
        notify: Box::new(|_| {}),
        counters: Box::new(|| "imageregistry_up 1\n".to_owned()),
    };
    let catalog = Arc::clone(catalog);
    let registry = Registry::new(catalog, Arc::new(Users), blobs, Arc::new(store), around, settings);
    registry.recover().await.unwrap();
    Arc::new(registry)
}

#[expect(clippy::disallowed_methods, reason = "there is no server around the registry that would spawn")]
fn spawner(transfers: &Arc<Transfers>) -> Spawn {
    let transfers = Arc::clone(transfers);
    Box::new(move |transfer| transfers.lock().unwrap().push(tokio::spawn(transfer)))
}

/// Every registry of this process draws other names, also after a restart.
fn fresh() -> u64 {
    static REGISTRIES: AtomicU64 = AtomicU64::new(0);
    REGISTRIES.fetch_add(1 << 32, Ordering::SeqCst)
}

#[tokio::test]
async fn a_head_has_the_length_and_no_body() {
    let harness = Harness::new().await;
    let digest = harness.push("demo/app", "v1", "layer").await;
    for path in ["/v2/demo/app/manifests/v1".to_owned(), format!("/v2/demo/app/blobs/{digest}")] {
        let got = harness.get(&path).await.is(200);
        let head = harness.ask("HEAD", &path).send().await.is(200);
        assert_eq!(head.header("content-length"), got.body.len().to_string());
        assert!(head.body.is_empty());
        assert_eq!(head.header("docker-content-digest"), digest.as_str());
    }
    assert_eq!(harness.get("/v2/").await.status, StatusCode::OK);
}
