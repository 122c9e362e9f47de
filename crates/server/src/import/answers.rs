//! What registries answered a moment ago about tags, for others that follow the same ones.
//!
//! Only imports that nobody waits for use it, and only those with the same credentials: whoever asks for an import gets
//! what the registry says now. Questions under way are shared as well. A registry that tells of a change empties it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use oci::{Digest, Manifest};
use tokio::time::Instant;

use super::fault::Fault;
use super::flight::Flights;
use super::limits::TAGS;
use super::lru::Lru;
use super::plan::Wanted;
use super::repo::{AskError, Repo, RepoKey};

/// Whose tag, and how often registries had told of changes when it was asked for.
type Of = (RepoKey, String, u64);

/// Recent answers, and questions under way.
#[derive(Debug)]
pub struct Answers {
    /// How often registries have told of changes: answers from before do not count.
    told: AtomicU64,
    age: Duration,
    heads: Mutex<Lru<Of, (Instant, Option<Digest>)>>,
    faults: Mutex<Lru<Of, (Instant, Fault)>>,
    asking_heads: Flights<Of, Result<Option<Digest>, AskError>>,
    asking: Flights<Of, Result<Manifest, AskError>>,
}

impl Answers {
    /// No answers yet; those to come count for `age`.
    pub(super) fn new(age: Duration) -> Answers {
        Answers {
            told: AtomicU64::new(0),
            age,
            heads: Mutex::new(Lru::new(TAGS)),
            faults: Mutex::new(Lru::new(TAGS)),
            asking_heads: Flights::default(),
            asking: Flights::default(),
        }
    }

    /// Where a tag is, as HEAD tells or told a moment ago.
    pub(super) async fn head(&self, repo: &Repo, tag: &str) -> Result<Option<Digest>, AskError> {
        let of = self.of(repo, tag);
        if let Some(digest) = self.recent(&self.heads, &of) {
            return Ok(digest);
        }
        let (asked, wanted) = (repo.clone(), Wanted::Tag(tag.to_owned()));
        let work = move || -> BoxFuture<'static, _> { Box::pin(async move { asked.head(&wanted).await }) };
        let digest = self.asking_heads.join(of.clone(), work).await?;
        lock(&self.heads).insert(of, (Instant::now(), digest.clone()), 1);
        Ok(digest)
    }

    /// What a tag names; asked for once however many want it now.
    pub(super) async fn manifest(&self, repo: &Repo, tag: &str) -> Result<Manifest, AskError> {
        let of = self.of(repo, tag);
        let (asked, wanted) = (repo.clone(), Wanted::Tag(tag.to_owned()));
        let work =
            move || -> BoxFuture<'static, _> { Box::pin(async move { asked.manifest(&wanted).await }) };
        let manifest = self.asking.join(of.clone(), work).await?;
        lock(&self.heads).insert(of, (Instant::now(), Some(manifest.digest().clone())), 1);
        Ok(manifest)
    }

    /// Why a tag could not be had a moment ago.
    pub(super) fn fault(&self, repo: &Repo, tag: &str) -> Option<Fault> {
        self.recent(&self.faults, &self.of(repo, tag))
    }

    /// Keeps why a tag cannot be had, or that it can.
    pub(super) fn note<T>(&self, repo: &Repo, tag: &str, result: &Result<T, Fault>) {
        let of = self.of(repo, tag);
        match result {
            Ok(_) => lock(&self.faults).remove(&of),
            Err(fault) => lock(&self.faults).insert(of, (Instant::now(), fault.clone()), 1),
        }
    }

    /// Lets no answer count whose question was asked before now.
    pub(super) fn forget(&self) {
        self.told.fetch_add(1, Ordering::Relaxed);
    }

    fn of(&self, repo: &Repo, tag: &str) -> Of {
        (repo.key.clone(), tag.to_owned(), self.told.load(Ordering::Relaxed))
    }

    fn recent<V: Clone>(&self, held: &Mutex<Lru<Of, (Instant, V)>>, of: &Of) -> Option<V> {
        let mut held = lock(held);
        let (at, value) = held.get(of)?;
        (at.elapsed() < self.age).then(|| value.clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
