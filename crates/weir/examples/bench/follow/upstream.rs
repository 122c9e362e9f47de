//! A registry of very many repositories with one tag each, which counts its questions.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use serde_json::json;
use server::body::Body;
use server::listen::{self, Answer, Handler, Peer, Traffic};
use server::tasks::Tasks;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// The registry; it ends with the process.
pub(super) struct Upstream {
    pub host: String,
    repositories: Arc<Repositories>,
}

struct Repositories {
    all: Vec<Repository>,
    /// Images by the number of their content, 0 for those that never changed.
    images: Mutex<HashMap<u32, Image>>,
    /// Configurations by digest.
    configs: Mutex<HashMap<String, Bytes>>,
}

#[derive(Default)]
struct Repository {
    content: AtomicU32,
    asked: AtomicU32,
}

#[derive(Clone)]
struct Image {
    digest: String,
    manifest: Bytes,
}

impl Upstream {
    pub(super) async fn start(count: usize) -> Result<Upstream> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let host = listener.local_addr()?.to_string();
        let all = (0..count).map(|_| Repository::default()).collect();
        let repositories =
            Arc::new(Repositories { all, images: Mutex::default(), configs: Mutex::default() });
        let handler = Arc::clone(&repositories) as Arc<dyn Handler>;
        let tasks = Tasks::new();
        tasks.spawn("upstream", listen::serve(listener, None, Traffic::Messages, handler, tasks.clone()));
        Ok(Upstream { host, repositories })
    }

    /// Repositories that nobody has asked for.
    pub(super) fn unasked(&self) -> usize {
        self.repositories.all.iter().filter(|one| one.asked.load(Ordering::Relaxed) == 0).count()
    }

    /// Questions about tags since they were forgotten.
    pub(super) fn asked(&self) -> u64 {
        self.repositories.all.iter().map(|one| u64::from(one.asked.load(Ordering::Relaxed))).sum()
    }

    /// Begins to count anew.
    pub(super) fn forget(&self) {
        for one in &self.repositories.all {
            one.asked.store(0, Ordering::Relaxed);
        }
    }

    /// Gives the tag of a repository a new image; its digest comes back.
    pub(super) fn change(&self, number: usize) -> String {
        let content = u32::try_from(number + 1).unwrap_or(u32::MAX);
        self.repositories.all[number].content.store(content, Ordering::Relaxed);
        self.repositories.image(content).digest
    }
}

impl Repositories {
    fn image(&self, content: u32) -> Image {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = images.get(&content) {
            return image.clone();
        }
        let layer = digest(&content.to_be_bytes());
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {}, "created": "2026-02-02T02:02:02Z",
            "rootfs": {"type": "layers", "diff_ids": [layer]}, "history": [{"created_by": content.to_string()}],
        });
        let config = Bytes::from(config.to_string());
        let of_config = digest(&config);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "size": config.len(), "digest": of_config},
            "layers": [{
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 4, "digest": layer,
            }],
        });
        let manifest = Bytes::from(manifest.to_string());
        self.configs.lock().unwrap_or_else(PoisonError::into_inner).insert(of_config, config);
        let image = Image { digest: digest(&manifest), manifest };
        images.insert(content, image.clone());
        image
    }

    fn answer(&self, method: &Method, path: &str) -> Option<Response<Body>> {
        if path == "/v2/" {
            return Some(Response::new(Body::from("{}")));
        }
        let (repository, rest) = path.strip_prefix("/v2/r")?.split_once('/')?;
        let repository = self.all.get(repository.parse::<usize>().ok()?)?;
        let (kind, bytes, name) = match rest.split_once('/')? {
            ("manifests", reference) => {
                if reference == "latest" {
                    repository.asked.fetch_add(1, Ordering::Relaxed);
                }
                let image = self.image(repository.content.load(Ordering::Relaxed));
                (MANIFEST, image.manifest, image.digest)
            }
            ("blobs", name) => {
                let configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
                ("application/octet-stream", configs.get(name)?.clone(), name.to_owned())
            }
            _ => return None,
        };
        let length = bytes.len();
        let body = if *method == Method::HEAD { Body::empty() } else { Body::from(bytes) };
        Response::builder()
            .header(header::CONTENT_TYPE, kind)
            .header(header::CONTENT_LENGTH, length)
            .header("Docker-Content-Digest", name)
            .body(body)
            .ok()
    }
}

impl Handler for Repositories {
    fn handle(self: Arc<Self>, _: Arc<Peer>, request: Request<Incoming>) -> Answer {
        let answered = self.answer(request.method(), request.uri().path());
        Box::pin(async move {
            answered.unwrap_or_else(|| {
                let mut missing = Response::new(Body::empty());
                *missing.status_mut() = StatusCode::NOT_FOUND;
                missing
            })
        })
    }
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
