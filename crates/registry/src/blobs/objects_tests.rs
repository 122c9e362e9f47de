//! Content in a real object store over real HTTP, one that works and one that drops connections, delays and fails.

use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use store::embedded::{Embedded, Options};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

use super::*;

const BUCKET: &str = "images";
const KEYS: (&str, &str) = ("weir", "secret-of-weir");

/// What an object store does to every so many requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Good,
    Bad,
    Gone,
}

/// A running object store and everything that a test needs of it.
struct Place {
    blobs: ObjectBlobs,
    dir: TempDir,
    requests: Arc<AtomicUsize>,
}

async fn place(mood: Mood) -> Place {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("s3");
    std::fs::create_dir_all(root.join(BUCKET)).unwrap();
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(&root).unwrap());
    builder.set_auth(SimpleAuth::from_single(KEYS.0, KEYS.1));
    let requests = Arc::new(AtomicUsize::new(0));
    let address = listen(builder.build(), mood, Arc::clone(&requests)).await;
    let names = Arc::new(Embedded::open(dir.path().join("store"), Options::default()).unwrap());
    let settings = ObjectSettings {
        bucket: BUCKET.to_owned(),
        region: Some("nowhere".to_owned()),
        endpoint: Some(format!("http://{address}")),
        keys: Some((KEYS.0.to_owned(), KEYS.1.to_owned())),
        allow_http: true,
        redirect: false,
        spool: dir.path().join("spool"),
        patience: if mood == Mood::Gone { Duration::from_millis(100) } else { Duration::from_secs(30) },
    };
    Place { blobs: ObjectBlobs::open(&settings, names).unwrap(), dir, requests }
}

#[expect(clippy::disallowed_methods, reason = "the other side of the network has no tasks of ours")]
async fn listen(service: S3Service, mood: Mood, requests: Arc<AtomicUsize>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { return };
            tokio::spawn(serve(stream, service.clone(), mood, Arc::clone(&requests)));
        }
    });
    address
}

async fn serve(stream: TcpStream, service: S3Service, mood: Mood, requests: Arc<AtomicUsize>) {
    let answer = service_fn(move |request: http::Request<Incoming>| {
        let (service, number) = (service.clone(), requests.fetch_add(1, Ordering::SeqCst));
        async move {
            let answer = |code: u16| http::Response::builder().status(code).body(s3s::Body::empty()).unwrap();
            match (mood, number % 7) {
                (Mood::Gone, _) | (Mood::Bad, 1) => return Ok(answer(500)),
                (Mood::Bad, 3) => return Err("the connection is dropped".to_owned()),
                (Mood::Bad, 5) => tokio::time::sleep(Duration::from_millis(20)).await,
                _ => {}
            }
            let answered =
                hyper::service::Service::call(&service, request).await.map_err(|error| format!("{error:?}"));
            // A request that was carried out, and whose answer is lost.
            if mood == Mood::Bad && number % 7 == 6 { Err("the answer is lost".to_owned()) } else { answered }
        }
    });
    // Connections that were dropped end with an error, as they should.
    let _: Result<(), _> =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

async fn opened(mood: Mood) -> (ObjectBlobs, Place) {
    let place = place(mood).await;
    (place.blobs.clone(), place)
}

crate::blobs::conformance::blobs_conformance!(good_store, opened(Mood::Good).await);
crate::blobs::conformance::blobs_conformance!(bad_store, opened(Mood::Bad).await);

/// Files of the bucket.
fn objects(place: &Place) -> usize {
    let mut folders = vec![place.dir.path().join("s3").join(BUCKET)];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files += 1 }
        }
    }
    files
}

#[tokio::test]
async fn a_blob_is_one_object_and_nothing_is_left_beside_it() {
    let (blobs, place) = opened(Mood::Good).await;
    let content = Bytes::from(vec![5; 3 * PART + 17]);
    let digest = Digest::sha256(&content);
    for id in ["one", "two"] {
        let upload = blobs.open(id, Resume::New(Algorithm::Sha256)).await.unwrap();
        upload.write(vec![content.slice(..PART + 1)]).await.unwrap();
        upload.sync().await.unwrap();
        upload.write(vec![content.slice(PART + 1..)]).await.unwrap();
        upload.commit(&digest).await.unwrap();
        blobs.abort(id).await.unwrap();
        assert_eq!(objects(&place), 1, "after {id}");
    }
    blobs.delete(&digest).await.unwrap();
    assert_eq!(objects(&place), 0);
}

#[tokio::test]
async fn four_parts_cost_as_many_requests_as_there_are_and_a_handful_more() {
    let (blobs, place) = opened(Mood::Good).await;
    let content = Bytes::from(vec![5; 4 * PART]);
    let digest = Digest::sha256(&content);
    let upload = blobs.open("one", Resume::New(Algorithm::Sha256)).await.unwrap();
    upload.write(vec![content]).await.unwrap();
    upload.commit(&digest).await.unwrap();
    // Begin, four parts, complete: no copy, no list.
    assert_eq!(place.requests.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn a_store_that_is_gone_is_an_error_and_found_by_the_check() {
    let (blobs, _place) = opened(Mood::Gone).await;
    assert!(blobs.check().await.is_err());
    let upload = blobs.open("one", Resume::New(Algorithm::Sha256)).await.unwrap();
    upload.write(vec![Bytes::from_static(b"weir")]).await.unwrap();
    assert!(upload.commit(&Digest::sha256(b"weir")).await.is_err());
    assert_eq!(blobs.size(&Digest::sha256(b"weir")).await.unwrap(), None);
    let (blobs, _place) = opened(Mood::Good).await;
    blobs.check().await.unwrap();
}

#[tokio::test]
async fn clients_are_sent_to_the_store_where_that_is_wanted() {
    let (mut blobs, _place) = opened(Mood::Good).await;
    let digest = Digest::sha256(b"weir");
    let upload = blobs.open("one", Resume::New(Algorithm::Sha256)).await.unwrap();
    upload.write(vec![Bytes::from_static(b"weir")]).await.unwrap();
    upload.commit(&digest).await.unwrap();
    assert_eq!(blobs.redirect(&digest).await.unwrap(), None);
    blobs.redirect = true;
    let url = blobs.redirect(&digest).await.unwrap().unwrap();
    assert!(url.contains("/images/blobs/one?") && url.contains("X-Amz-Signature="), "{url}");
}
