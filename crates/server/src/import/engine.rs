//! What all imports of this server share: gates to hosts, connections, content that cannot change, work under way.
//!
//! Content is kept by the repository that showed it and by digest, and was checked against that. *Whether* somebody may
//! have it is asked of the registry every time, by the HEAD or GET of the tag or digest that they named; a registry that
//! only claims a digest gets nothing from here that it has not shown itself. A tag is never believed to be where it
//! was: the registry is asked, but only for its digest when the rest is known.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use machinery::image::Image;
use oci::client::{RegistryError, Transport};
use oci::keyring::Credentials;
use oci::{Digest, Manifest};
use tokio::time::Instant;

use super::fault::Fault;
use super::flight::Flights;
use super::gate::{Gates, Lane, Report};
use super::limits::{CONTENT_BYTES, LAYER_SIZES, REPOSITORIES, REPOSITORY_AGE, SHARED_ANSWERS};
use super::plan::Source;
use super::repo::{Kept, Repo, RepoKey};
use crate::lru::Lru;
use crate::settings::Settings;

/// The shared state of imports.
#[derive(Debug)]
pub struct Engine {
    pub(super) gates: Arc<Gates>,
    pub(super) flights: Flights<(RepoKey, Digest), Result<Content, Fault>>,
    clients: Mutex<Lru<RepoKey, Kept>>,
    content: Arc<Mutex<Contents>>,
    tags: Mutex<Lru<(RepoKey, String), Digest>>,
    sizes: Mutex<Lru<Digest, u64>>,
    /// Questions about tags that are being asked by the server itself, and their latest answers.
    pub(super) heads: Flights<Question, Result<Option<Digest>, Fault>>,
    answers: Mutex<Lru<TagKey, (Instant, Option<Digest>)>>,
    pub(super) manifests: Flights<Question, Result<Manifest, Fault>>,
}

/// A tag of a repository, as somebody with certain credentials sees it.
pub(super) type TagKey = (RepoKey, Arc<str>);

/// A question about a tag, with the moment of a change that it is about.
pub(super) type Question = (TagKey, Option<Instant>);

/// Content by repository and digest.
type Contents = Lru<(Arc<str>, Digest), Content>;

/// What a manifest is, worked out once.
#[derive(Clone, Debug)]
pub enum Content {
    /// A single image.
    Image(Arc<Image>),
    /// A list.
    List(Arc<Manifest>),
}

impl Engine {
    /// An engine that has learnt nothing yet.
    pub fn new(settings: &Settings) -> Engine {
        Engine::with_background(settings.images.concurrent_imports)
    }

    /// An engine that sends so many requests at once for imports that nobody waits for.
    pub fn with_background(background: usize) -> Engine {
        Engine {
            gates: Arc::new(Gates::new(background)),
            flights: Flights::default(),
            clients: Mutex::new(Lru::new(REPOSITORIES)),
            content: Arc::new(Mutex::new(Lru::new(CONTENT_BYTES))),
            tags: Mutex::new(Lru::new(REPOSITORIES)),
            sizes: Mutex::new(Lru::new(LAYER_SIZES)),
            heads: Flights::default(),
            answers: Mutex::new(Lru::new(SHARED_ANSWERS)),
            manifests: Flights::default(),
        }
    }

    /// Opens a repository, with what is known of its registry if that is not old.
    ///
    /// # Errors
    /// When it cannot be addressed.
    pub fn open(
        &self,
        transport: &Arc<dyn Transport>,
        source: &Source,
        credentials: Option<&Credentials>,
        lane: Lane,
    ) -> Result<Repo, RegistryError> {
        let key = RepoKey::new(source, credentials);
        let mut clients = lock(&self.clients);
        let fresh = clients.get(&key).filter(|kept| kept.is_fresh(REPOSITORY_AGE)).cloned();
        let kept = match fresh {
            Some(kept) => kept,
            None => {
                let kept = Kept::new(Arc::clone(transport), &key)?;
                clients.insert(key.clone(), kept.clone(), 1);
                kept
            }
        };
        Ok(kept.open(&self.gates, key, lane))
    }

    /// Lets the next request to a repository begin anew.
    pub fn spoil(&self, key: &RepoKey) {
        lock(&self.clients).remove(key);
    }

    pub(super) fn content(&self, repo: &Repo, digest: &Digest) -> Option<Content> {
        lock(&self.content).get(&(Arc::clone(&repo.place), digest.clone())).cloned()
    }

    pub(super) fn shelf(&self, repo: &Repo) -> Shelf {
        Shelf { content: Arc::clone(&self.content), place: Arc::clone(&repo.place) }
    }

    pub(super) fn last_digest(&self, key: &RepoKey, tag: &str) -> Option<Digest> {
        lock(&self.tags).get(&(key.clone(), tag.to_owned())).cloned()
    }

    pub(super) fn remember(&self, key: &RepoKey, tag: &str, digest: &Digest) {
        lock(&self.tags).insert((key.clone(), tag.to_owned()), digest.clone(), 1);
    }

    /// The answer that somebody else who follows the tag got since `due`.
    pub(super) fn shared_answer(&self, key: &TagKey, due: Instant) -> Option<Option<Digest>> {
        let mut answers = lock(&self.answers);
        let (at, answer) = answers.get(key)?;
        (*at >= due).then(|| answer.clone())
    }

    /// Keeps an answer for others who follow the tag.
    pub(super) fn share_answer(&self, key: TagKey, answer: Option<Digest>) {
        lock(&self.answers).insert(key, (Instant::now(), answer), 1);
    }

    /// How every registry stands that was asked for anything.
    pub fn report(&self) -> Vec<Report> {
        self.gates.report()
    }

    /// Tells how long the server should ask nothing of a registry by itself.
    pub fn pause(&self) -> Box<dyn Fn(&str) -> Duration + Send + Sync> {
        let gates = Arc::clone(&self.gates);
        Box::new(move |host| gates.wait(host))
    }

    pub(super) fn size(&self, layer: &Digest) -> Option<u64> {
        lock(&self.sizes).get(layer).copied()
    }

    pub(super) fn remember_size(&self, layer: Digest, size: u64) {
        lock(&self.sizes).insert(layer, size, 1);
    }
}

/// Where content of a repository is put by work that may outlive the request that began it.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    content: Arc<Mutex<Contents>>,
    place: Arc<str>,
}

impl Shelf {
    pub(super) fn keep(&self, digest: &Digest, content: &Content) {
        let key = (Arc::clone(&self.place), digest.clone());
        lock(&self.content).insert(key, content.clone(), content.weight());
    }
}

impl Content {
    /// Bytes it takes in memory, roughly.
    fn weight(&self) -> usize {
        const OBJECT: usize = 1536;
        const ENTRY: usize = 320;
        match self {
            Content::Image(image) => {
                OBJECT
                    + image.docker_image_manifest.len()
                    + image.docker_image_config.len()
                    + image.docker_image_metadata.raw.len()
                    + image.docker_image_layers.len() * ENTRY
            }
            Content::List(list) => OBJECT + list.raw().len() + list.children().map_or(0, <[_]>::len) * ENTRY,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
