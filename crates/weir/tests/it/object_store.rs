//! An object store that speaks S3 over real HTTP: one that works, and one that drops connections, delays and fails.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use s3s::{
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

const BUCKET: &str = "images";
const KEY: &str = "weir";
const SECRET: &str = "secret-of-weir";

/// What the store does to some requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Good,
    /// Of eleven requests one is refused, one is dropped, one has to wait, and the answer of one is lost.
    Bad,
}

/// A running object store.
pub(crate) struct ObjectStore {
    folder: TempDir,
    address: std::net::SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl ObjectStore {
    #[expect(clippy::disallowed_methods, reason = "the other side of the network has no tasks of ours")]
    pub(crate) async fn start(mood: Mood) -> Self {
        let folder = tempfile::tempdir().expect("a folder for objects");
        fs::create_dir(folder.path().join(BUCKET)).expect("a bucket");
        let files = s3s_fs::FileSystem::new(folder.path()).expect("a store of objects");
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::default();
        tokio::spawn(listen(listener, builder.build(), mood, Arc::clone(&requests)));
        Self { folder, address, requests }
    }

    /// The part of a server's configuration that names this store, and the file that it speaks of.
    pub(crate) fn configuration(&self, redirect: bool) -> (String, [(&'static str, &'static [u8]); 1]) {
        let text = format!(
            "registry:\n  s3:\n    bucket: {BUCKET}\n    region: nowhere\n    endpoint: 'http://{}'\n    \
             accessKeyId: {KEY}\n    secretAccessKeyFile: '{{folder}}/secret'\n    allowHttp: true\n    \
             redirect: {redirect}\n",
            self.address
        );
        (text, [("secret", SECRET.as_bytes())])
    }

    /// Requests that have come.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// All objects with their contents.
    pub(crate) fn objects(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut folders = vec![self.folder.path().join(BUCKET)];
        let mut found = BTreeMap::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder of objects") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let bytes = fs::read(&path).expect("an object");
                    found.insert(path, bytes);
                }
            }
        }
        found
    }
}

#[expect(clippy::disallowed_methods, reason = "the other side of the network has no tasks of ours")]
async fn listen(listener: TcpListener, service: S3Service, mood: Mood, requests: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, service.clone(), mood, Arc::clone(&requests)));
    }
}

async fn serve(stream: TcpStream, service: S3Service, mood: Mood, requests: Arc<AtomicUsize>) {
    let answer = service_fn(move |request: http::Request<Incoming>| {
        let (service, number) = (service.clone(), requests.fetch_add(1, Ordering::SeqCst));
        async move {
            let trouble = if mood == Mood::Bad { number % 11 } else { 0 };
            match trouble {
                1 => {
                    let refused = http::Response::builder().status(500).body(s3s::Body::empty());
                    return Ok(refused.expect("an answer"));
                }
                4 => return Err("the connection is dropped".to_owned()),
                7 => tokio::time::sleep(Duration::from_millis(50)).await,
                _ => {}
            }
            let answered = hyper::service::Service::call(&service, request).await;
            let answered = answered.map_err(|error| format!("{error:?}"));
            // It was carried out, and nobody hears of it.
            if trouble == 10 { Err("the answer is lost".to_owned()) } else { answered }
        }
    });
    // Connections that were dropped end with an error, as they should.
    let _: Result<(), _> =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}
