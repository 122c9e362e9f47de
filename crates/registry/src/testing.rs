//! An object store for tests, here and in other crates: S3 over real HTTP, one that works and others that refuse, drop
//! connections, delay, and lose answers. Compiled with the feature `testing` only.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::{TcpListener, TcpStream};

/// The bucket that there is.
pub const BUCKET: &str = "images";
/// Who may use it, and how that is shown.
pub const KEYS: (&str, &str) = ("weir", "secret-of-weir");

/// How long a request has to wait that is delayed.
const DELAY: Duration = Duration::from_millis(20);

/// What the store does to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// What they ask for.
    Good,
    /// Of so many, at least six, one is refused, one is dropped, one has to wait, and the answer of one is lost.
    Bad(usize),
    /// Refuses all.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    Refused,
    Dropped,
    Late,
    Lost,
}

impl Mood {
    fn trouble(self, number: usize) -> Trouble {
        match self {
            Mood::Good => Trouble::None,
            Mood::Gone => Trouble::Refused,
            Mood::Bad(cycle) => match number % cycle {
                1 => Trouble::Refused,
                at if at == cycle / 2 => Trouble::Dropped,
                at if at == cycle - 2 => Trouble::Late,
                at if at == cycle - 1 => Trouble::Lost,
                _ => Trouble::None,
            },
        }
    }
}

/// A running object store. It ends with the runtime it was started on.
#[derive(Debug)]
pub struct ObjectStore {
    address: SocketAddr,
    bucket: PathBuf,
    requests: Arc<AtomicUsize>,
}

impl ObjectStore {
    /// Starts one over a folder, which is made.
    ///
    /// # Errors
    /// When that cannot be done.
    #[expect(clippy::disallowed_methods, reason = "the other side of the network has no tasks of ours")]
    pub async fn start(folder: &Path, mood: Mood) -> io::Result<ObjectStore> {
        let bucket = folder.join(BUCKET);
        std::fs::create_dir_all(&bucket)?;
        let files =
            s3s_fs::FileSystem::new(folder).map_err(|error| io::Error::other(format!("{error:?}")))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(KEYS.0, KEYS.1));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let requests = Arc::default();
        tokio::spawn(listen(listener, builder.build(), mood, Arc::clone(&requests)));
        Ok(ObjectStore { address, bucket, requests })
    }

    /// Where it is.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests that have come.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// All objects with their contents.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn objects(&self) -> io::Result<BTreeMap<PathBuf, Vec<u8>>> {
        let (mut folders, mut found) = (vec![self.bucket.clone()], BTreeMap::new());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let bytes = std::fs::read(&path)?;
                    found.insert(path, bytes);
                }
            }
        }
        Ok(found)
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
        let service = service.clone();
        let trouble = mood.trouble(requests.fetch_add(1, Ordering::SeqCst));
        async move {
            match trouble {
                Trouble::Refused => {
                    let mut refused = http::Response::new(s3s::Body::empty());
                    *refused.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                    return Ok(refused);
                }
                Trouble::Dropped => return Err("the connection is dropped".to_owned()),
                Trouble::Late => tokio::time::sleep(DELAY).await,
                Trouble::None | Trouble::Lost => {}
            }
            let answered = hyper::service::Service::call(&service, request).await;
            let answered = answered.map_err(|error| format!("{error:?}"));
            // It was carried out, and nobody hears of it.
            if trouble == Trouble::Lost { Err("the answer is lost".to_owned()) } else { answered }
        }
    });
    // Connections that were dropped end with an error, as they should.
    let _: Result<(), _> =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_store_does_everything_that_is_bad_once_a_cycle() {
        for cycle in [6, 7, 11] {
            let troubles: Vec<Trouble> = (0..cycle).map(|number| Mood::Bad(cycle).trouble(number)).collect();
            for trouble in [Trouble::Refused, Trouble::Dropped, Trouble::Late, Trouble::Lost] {
                assert_eq!(troubles.iter().filter(|found| **found == trouble).count(), 1, "{troubles:?}");
            }
        }
    }
}
