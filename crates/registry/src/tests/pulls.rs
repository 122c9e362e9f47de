//! Pull-through, from places elsewhere that do as they are told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use oci::client::{BlobStream, TransportError};
use oci::{Digest, Manifest, media};
use tokio::sync::mpsc;

use super::harness::{Harness, image};
use crate::registry::Settings;
use crate::upstream::{Told, Upstream, UpstreamError};

type Pieces = mpsc::UnboundedReceiver<Result<Bytes, TransportError>>;

/// A place elsewhere: what it answers to a request for each blob, once for each request.
#[derive(Default)]
struct Fake {
    name: &'static str,
    manifests: Mutex<HashMap<Digest, Result<Manifest, UpstreamError>>>,
    blobs: Mutex<HashMap<Digest, Vec<Answer>>>,
    opened: AtomicUsize,
    asked: AtomicUsize,
}

type Answer = Result<(Option<u64>, Pieces), UpstreamError>;

impl Upstream for Fake {
    fn place(&self) -> &str {
        self.name
    }

    fn manifest<'a>(&'a self, digest: &'a Digest) -> Told<'a, Manifest> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let found = self.manifests.lock().unwrap().get(digest).cloned();
        async move { found.unwrap_or_else(|| Err(UpstreamError::Failed("manifest unknown".to_owned()))) }
            .boxed()
    }

    fn size<'a>(&'a self, digest: &'a Digest) -> Told<'a, Option<u64>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answers = self.blobs.lock().unwrap();
        let size = match answers.get(digest).and_then(|answers| answers.first()) {
            Some(Ok((size, _))) => Ok(*size),
            Some(Err(error)) => Err(error.clone()),
            None => Err(UpstreamError::Failed("blob unknown".to_owned())),
        };
        async move { size }.boxed()
    }

    fn open<'a>(&'a self, digest: &'a Digest) -> Told<'a, BlobStream> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.blobs.lock().unwrap();
        let left = answers.get_mut(digest).filter(|answers| !answers.is_empty());
        let answer = match left.map(|answers| answers.remove(0)) {
            None => Err(UpstreamError::Failed("blob unknown".to_owned())),
            Some(Err(error)) => Err(error),
            Some(Ok((size, mut pieces))) => {
                let frames = futures_util::stream::poll_fn(move |cx| pieces.poll_recv(cx));
                let body = StreamBody::new(frames.map(|piece| piece.map(Frame::data)));
                Ok(BlobStream { size, body: body.boxed_unsync() })
            }
        };
        async move { answer }.boxed()
    }
}

impl Fake {
    fn named(name: &'static str) -> Arc<Fake> {
        Arc::new(Fake { name, ..Fake::default() })
    }

    /// Will answer one request for a blob with what is sent.
    fn will_send(
        &self,
        digest: &Digest,
        size: Option<u64>,
    ) -> mpsc::UnboundedSender<Result<Bytes, TransportError>> {
        let (sender, pieces) = mpsc::unbounded_channel();
        self.answer(digest, Ok((size, pieces)));
        sender
    }

    fn answer(&self, digest: &Digest, answer: Answer) {
        self.blobs.lock().unwrap().entry(digest.clone()).or_default().push(answer);
    }

    /// Will answer one request with these bytes, saying this length.
    fn has(&self, digest: &Digest, bytes: &[u8], size: Option<u64>) {
        let sender = self.will_send(digest, size);
        for piece in bytes.chunks(100_000) {
            sender.send(Ok(Bytes::copy_from_slice(piece))).unwrap();
        }
    }

    fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }
}

/// A layer that is too large to be waited for.
fn large() -> String {
    "0123456789abcdef".repeat(200_000)
}

const CONFIG: &str = r#"{"architecture":"amd64","os":"linux"}"#;

/// A registry with a stream whose tag `v1` was imported from these places; the digests of image and layer.
async fn imported(settings: Settings, layer: &str, from: &[&Arc<Fake>]) -> (Harness, Digest, Digest) {
    let harness = Harness::with(settings).await;
    let raw = image(CONFIG, &[layer]).to_string();
    let manifest = Manifest::parse(media::OCI_MANIFEST, raw.clone().into()).unwrap();
    let digest = Digest::sha256(raw.as_bytes());
    let mut places: Vec<Arc<dyn Upstream>> = Vec::new();
    for place in from {
        place.manifests.lock().unwrap().insert(digest.clone(), Ok(manifest.clone()));
        places.push(Arc::clone(place) as Arc<dyn Upstream>);
    }
    harness.catalog.import("demo/app", "v1", manifest, places);
    (harness, digest, Digest::sha256(layer.as_bytes()))
}

fn blob(digest: &Digest) -> String {
    format!("/v2/demo/app/blobs/{digest}")
}

#[tokio::test]
async fn however_many_ask_a_blob_is_fetched_once_and_kept() {
    let (place, layer) = (Fake::named("up.example/app"), large());
    let (harness, _, digest) = imported(Settings::default(), &layer, &[&place]).await;
    let sender = place.will_send(&digest, Some(layer.len() as u64));
    let path = blob(&digest);
    let clients = (0..8).map(|_| harness.get(&path));
    let feeding = async {
        for piece in layer.as_bytes().chunks(64 * 1024) {
            sender.send(Ok(Bytes::copy_from_slice(piece))).unwrap();
            tokio::task::yield_now().await;
        }
        drop(sender);
    };
    let (answers, ()) = future::join(future::join_all(clients), feeding).await;
    for answer in answers {
        assert_eq!(answer.header("content-length"), layer.len().to_string());
        assert!(answer.is(200).body == layer);
    }
    assert_eq!(place.opened(), 1);
    assert!(harness.get(&blob(&digest)).await.is(200).body == layer);
    assert_eq!(place.opened(), 1, "it is here now");
}

#[tokio::test]
async fn a_large_blob_is_given_away_while_it_arrives_but_for_its_end() {
    let (place, layer) = (Fake::named("up.example/app"), large());
    let (harness, _, digest) = imported(Settings::default(), &layer, &[&place]).await;
    let sender = place.will_send(&digest, Some(layer.len() as u64));
    sender.send(Ok(Bytes::copy_from_slice(&layer.as_bytes()[..2_000_000]))).unwrap();
    let mut body = harness.ask("GET", &blob(&digest)).open().await.into_body();
    let mut got = Vec::new();
    while got.len() < 1_999_999 {
        got.extend_from_slice(&body.frame().await.unwrap().unwrap().into_data().unwrap());
    }
    // All but the last byte, and then something that is not what the digest says.
    sender.send(Ok(Bytes::from(vec![b'x'; layer.len() - 2_000_000]))).unwrap();
    drop(sender);
    let end = loop {
        match body.frame().await {
            Some(Ok(frame)) => got.extend_from_slice(&frame.into_data().unwrap()),
            end => break end,
        }
    };
    assert!(matches!(end, Some(Err(_))), "the client is told that this was not all");
    assert!(got.len() < layer.len());
    assert_eq!(harness.registry.blobs.size(&digest).await.unwrap(), None);
}

#[tokio::test]
async fn a_place_that_lies_or_breaks_off_is_passed_over_for_the_next() {
    let layer = "a small layer";
    let wrong: [(&[u8], Option<u64>); 4] = [
        (b"another layer", Some(13)),
        (b"a small", Some(13)),
        (b"a small layer and more", Some(13)),
        (b"", None),
    ];
    for (bytes, size) in wrong {
        let (bad, good) = (Fake::named("bad.example/app"), Fake::named("good.example/app"));
        let (harness, _, digest) = imported(Settings::default(), layer, &[&bad, &good]).await;
        bad.has(&digest, bytes, size);
        let failed = harness.get(&blob(&digest)).await.fails(404, "BLOB_UNKNOWN");
        assert!(String::from_utf8_lossy(&failed.body).contains("bad.example/app"), "{failed:?}");
        assert!(harness.registry.blobs.size(&digest).await.unwrap().is_none());
        bad.has(&digest, bytes, size);
        good.has(&digest, layer.as_bytes(), None);
        assert_eq!(harness.get(&blob(&digest)).await.is(200).body, layer);
        assert!(
            harness.registry.blobs.list(u8::from_str_radix(&digest.hex()[..2], 16).unwrap()).await.unwrap()
                == [digest]
        );
    }
}

#[tokio::test]
async fn a_place_that_wants_peace_is_left_in_peace_and_the_client_hears_for_how_long() {
    let place = Fake::named("busy.example/app");
    let (harness, image, digest) = imported(Settings::default(), "layer", &[&place]).await;
    let busy = || UpstreamError::TooManyRequests { retry_after: Some(7), why: "slow down".to_owned() };
    place.answer(&digest, Err(busy()));
    place.answer(&digest, Err(busy()));
    place.manifests.lock().unwrap().insert(image.clone(), Err(busy()));
    for path in [blob(&digest), "/v2/demo/app/manifests/v1".to_owned()] {
        for method in ["GET", "HEAD"] {
            let answer = harness.ask(method, &path).send().await.is(429);
            assert_eq!(answer.header("retry-after"), "7", "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_question_without_a_body_downloads_nothing() {
    let place = Fake::named("up.example/app");
    let (harness, _, digest) = imported(Settings::default(), "layer", &[&place]).await;
    place.has(&digest, b"layer", Some(5));
    let head = harness.ask("HEAD", &blob(&digest)).send().await.is(200);
    assert_eq!((head.header("content-length"), head.header("docker-content-digest")), ("5", digest.as_str()));
    assert_eq!(place.opened(), 0);
    let part = harness.ask("GET", &blob(&digest)).header("range", "bytes=1-3").send().await.is(206);
    assert_eq!((part.header("content-range"), &part.body[..]), ("bytes 1-3/5", &b"aye"[..]));
    let outside = harness.ask("GET", &blob(&digest)).header("range", "bytes=9-").send().await.is(416);
    assert_eq!(outside.header("content-range"), "bytes */5");
}

#[tokio::test]
async fn a_transfer_goes_on_when_its_client_has_gone() {
    let (place, layer) = (Fake::named("up.example/app"), large());
    let (harness, _, digest) = imported(Settings::default(), &layer, &[&place]).await;
    let sender = place.will_send(&digest, Some(layer.len() as u64));
    sender.send(Ok(Bytes::copy_from_slice(&layer.as_bytes()[..2_000_000]))).unwrap();
    drop(harness.ask("GET", &blob(&digest)).open().await);
    sender.send(Ok(Bytes::copy_from_slice(&layer.as_bytes()[2_000_000..]))).unwrap();
    drop(sender);
    harness.settled().await;
    assert!(harness.registry.blobs.size(&digest).await.unwrap().is_some());
    assert!(harness.get(&blob(&digest)).await.is(200).body == layer);
    assert_eq!(place.opened(), 1);
}

#[tokio::test]
async fn nothing_is_kept_when_that_is_switched_off() {
    let (place, layer) = (Fake::named("up.example/app"), large());
    let settings = Settings { mirror: false, ..Settings::default() };
    let (harness, image, digest) = imported(settings, &layer, &[&place]).await;
    for round in 1..=2 {
        place.has(&digest, layer.as_bytes(), Some(layer.len() as u64));
        let (one, other) = future::join(harness.get(&blob(&digest)), harness.get(&blob(&digest))).await;
        assert!(one.is(200).body == layer && other.is(200).body == layer);
        assert_eq!(place.opened(), round);
        harness.get(&format!("/v2/demo/app/manifests/{image}")).await.is(200);
    }
    let uploads = harness.dir.path().join("registry/uploads");
    harness.settled().await;
    assert_eq!(std::fs::read_dir(uploads).unwrap().count(), 0);
    assert!(harness.registry.blobs.size(&digest).await.unwrap().is_none());
    assert!(harness.registry.blobs.size(&image).await.unwrap().is_none());
}

#[tokio::test]
async fn what_was_pulled_through_is_here_when_its_place_is_gone() {
    let place = Fake::named("up.example/app");
    let (harness, image, digest) = imported(Settings::default(), "layer", &[&place]).await;
    place.has(&digest, b"layer", Some(5));
    let (one, other) =
        future::join(harness.get("/v2/demo/app/manifests/v1"), harness.get("/v2/demo/app/manifests/v1"))
            .await;
    assert_eq!(one.is(200).body, other.is(200).body);
    assert_eq!(place.asked.load(Ordering::SeqCst), 1, "one question for two clients");
    harness.get(&blob(&digest)).await.is(200);
    place.manifests.lock().unwrap().clear();
    let harness = harness.restarted().await;
    let answer = harness.get("/v2/demo/app/manifests/v1").await.is(200);
    assert_eq!(answer.header("docker-content-digest"), image.as_str());
    harness.get(&blob(&digest)).await.is(200);
    assert_eq!(place.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_place_that_is_down_is_named_to_the_client() {
    let place = Fake::named("down.example/app");
    let (harness, image, digest) = imported(Settings::default(), "layer", &[&place]).await;
    let down = UpstreamError::Failed("connect: connection refused".to_owned());
    place.manifests.lock().unwrap().insert(image, Err(down));
    let answer = harness.get("/v2/demo/app/manifests/v1").await.fails(404, "OPENSHIFT_PULLTHROUGH_MANIFEST");
    let text = answer.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    assert_eq!(text, "unable to pull manifest from down.example/app: connect: connection refused");
    harness.get(&blob(&digest)).await.fails(404, "BLOB_UNKNOWN");
    harness
        .get("/v2/demo/app/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        .await
        .is(404);
}

/// Whoever knows a digest can write a manifest that names it, and import that.
#[tokio::test]
async fn an_imported_manifest_does_not_open_what_other_projects_have() {
    let (place, honest) = (Fake::named("evil.example/app"), Fake::named("up.example/app"));
    let (harness, _, digest) = imported(Settings::default(), "a secret of other", &[&place]).await;
    harness.push("other/app", "v1", "a secret of other").await;
    assert_eq!(harness.get(&format!("/v2/other/app/blobs/{digest}")).await.is(200).body, "a secret of other");
    harness.ask_as("puller", "GET", &blob(&digest)).send().await.fails(404, "BLOB_UNKNOWN");
    place.answer(&digest, Err(UpstreamError::Failed("no".to_owned())));
    let mount = format!("/v2/demo/b/blobs/uploads/?mount={digest}&from=demo/app");
    harness.ask_as("builder", "POST", &mount).send().await.is(202);
    // The place that really has it proves that the importer may.
    honest.has(&digest, b"a secret of other", None);
    let raw = image(CONFIG, &["a secret of other"]).to_string();
    let manifest = Manifest::parse(media::OCI_MANIFEST, raw.into()).unwrap();
    for name in ["demo/app", "demo/again"] {
        harness.catalog.import(name, "v1", manifest.clone(), vec![Arc::clone(&honest) as Arc<dyn Upstream>]);
        harness.ask_as("puller", "GET", &format!("/v2/{name}/blobs/{digest}")).send().await.is(200);
    }
    assert_eq!(honest.opened(), 1, "the second stream of the same place needs no second proof");
}

#[tokio::test]
async fn a_pushed_image_that_shares_layers_with_an_imported_one_is_complete() {
    let place = Fake::named("up.example/app");
    let (harness, _, digest) = imported(Settings::default(), "layer", &[&place]).await;
    place.has(&digest, b"layer", Some(5));
    let config = r#"{"architecture":"amd64","os":"linux","mine":true}"#;
    harness.blob("demo/app", config.as_bytes()).await;
    harness.put("demo/app", "mine", &image(config, &["layer"])).await.is(201);
    assert_eq!(place.opened(), 1);
    assert_eq!(harness.registry.blobs.size(&digest).await.unwrap(), Some(5));
}

#[tokio::test]
async fn a_server_that_asks_itself_is_not_sent_round_in_circles() {
    let place = Fake::named("itself.example/app");
    let settings = Settings { agent: "weir/1 (me)".to_owned(), ..Settings::default() };
    let (harness, image, digest) = imported(settings, "layer", &[&place]).await;
    for path in
        [blob(&digest), "/v2/demo/app/manifests/v1".to_owned(), format!("/v2/demo/app/manifests/{image}")]
    {
        for method in ["GET", "HEAD"] {
            harness.ask(method, &path).header("user-agent", "weir/1 (me)").send().await.is(404);
        }
    }
    assert_eq!((place.opened(), place.asked.load(Ordering::SeqCst)), (0, 0));
    place.has(&digest, b"layer", Some(5));
    harness.ask("GET", &blob(&digest)).header("user-agent", "weir/1 (another)").send().await.is(200);
}
