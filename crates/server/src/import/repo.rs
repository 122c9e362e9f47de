//! One repository as the engine sees it: the client of the `oci` crate behind its host's gate.
//!
//! Every question passes the gate and every answer teaches it. The client's own rate limit is not used: the gate is
//! what keeps us polite, across all requests, and it lets a fast registry be fast.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use oci::client::{
    ManifestHead, RateLimit, RegistryError, RepositoryClient, RepositorySettings, Selector, Transport,
};
use oci::keyring::Credentials;
use oci::{Digest, Manifest};
use tokio::time::Instant;

use super::gate::{Closed, Gate, Gates, Lane};
use super::limits::{FETCH_TIME, SLOW_AFTER};
use super::plan::{Source, Wanted};
use crate::control::budget::{Budgets, Lesson, Upstream};

/// A repository that can be asked.
#[derive(Clone, Debug)]
pub struct Repo {
    client: Arc<RepositoryClient>,
    gate: Arc<Gate>,
    gates: Arc<Gates>,
    budgets: Arc<Budgets>,
    upstream: Upstream,
    /// Who shares what was learnt about it.
    pub key: RepoKey,
    /// `host/path`.
    pub place: Arc<str>,
    /// On whose behalf.
    pub lane: Lane,
}

/// What distinguishes one client from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RepoKey {
    host: String,
    path: String,
    insecure: bool,
    credentials: Option<Credentials>,
}

/// A client that is kept for a while.
#[derive(Clone, Debug)]
pub struct Kept {
    client: Arc<RepositoryClient>,
    since: Instant,
}

/// Why an answer could not be had.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AskError {
    /// The registry's answer, or the way to it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The registry wants to be left alone for longer than we wait.
    #[error("toomanyrequests: the registry asked to be left alone, for {} more seconds", .0.as_secs())]
    Closed(Duration),
}

impl From<Closed> for AskError {
    fn from(closed: Closed) -> AskError {
        AskError::Closed(closed.remaining)
    }
}

impl RepoKey {
    /// The key of a source asked with these credentials.
    pub fn new(source: &Source, credentials: Option<&Credentials>) -> RepoKey {
        RepoKey {
            host: source.name.host().to_owned(),
            path: source.name.path().to_owned(),
            insecure: source.insecure,
            credentials: credentials.cloned(),
        }
    }
}

impl Kept {
    /// Makes a client for a repository.
    ///
    /// # Errors
    /// When host or path cannot be part of a URL.
    pub fn new(transport: Arc<dyn Transport>, key: &RepoKey) -> Result<Kept, RegistryError> {
        let settings = RepositorySettings {
            host: key.host.clone(),
            path: key.path.clone(),
            credentials: key.credentials.clone(),
            insecure: key.insecure,
            bucket: None,
        };
        let client = Arc::new(RepositoryClient::new(transport, settings)?);
        Ok(Kept { client, since: Instant::now() })
    }

    /// True while what it learnt may be believed.
    pub fn is_fresh(&self, age: Duration) -> bool {
        self.since.elapsed() < age
    }

    /// The repository, for one request.
    pub fn open(&self, gates: &Arc<Gates>, budgets: &Arc<Budgets>, key: RepoKey, lane: Lane) -> Repo {
        let gate = gates.of(&key.host);
        let place = format!("{}/{}", key.host, key.path).into();
        let account = key.credentials.as_ref().map_or("", |credentials| &credentials.username);
        let upstream = Upstream { host: key.host.as_str().into(), account: account.into() };
        let (gates, budgets) = (Arc::clone(gates), Arc::clone(budgets));
        Repo { client: Arc::clone(&self.client), gate, gates, budgets, upstream, key, place, lane }
    }
}

impl Repo {
    /// The digest that a tag or digest has at the registry; `None` when HEAD does not tell.
    pub async fn head(&self, wanted: &Wanted) -> Result<Option<Digest>, AskError> {
        let selector = selector(wanted);
        let rate = |head: &Option<ManifestHead>| head.as_ref().map(|head| head.rate).unwrap_or_default();
        let head = self.ask(async { self.client.head_manifest(&selector).await }, rate).await?;
        Ok(head.and_then(|head| head.digest))
    }

    /// A manifest; by digest it is checked.
    pub async fn manifest(&self, wanted: &Wanted) -> Result<Manifest, AskError> {
        let selector = selector(wanted);
        let fetched = self.ask(async { self.client.get_manifest(&selector).await }, |fetched| fetched.rate);
        Ok(fetched.await?.manifest)
    }

    /// A configuration, checked.
    pub async fn config(&self, digest: &Digest) -> Result<Bytes, AskError> {
        self.ask(async { self.client.get_blob(digest, oci::limits::CONFIG_BYTES).await }, untold).await
    }

    /// A blob's length, 0 when the registry does not say.
    pub async fn blob_size(&self, digest: &Digest) -> Result<u64, AskError> {
        Ok(self.ask(async { self.client.head_blob(digest).await }, untold).await?.unwrap_or_default())
    }

    /// All tags.
    pub async fn tags(&self) -> Result<Vec<String>, AskError> {
        self.ask(async { self.client.list_tags().await }, untold).await
    }

    /// Tells the gate that the registry did not answer in time.
    pub fn gave_up(&self) {
        self.gate.failed();
    }

    /// Asks, and learns from the answer; `rate` is what a good one says of limits.
    async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, RegistryError>>,
        rate: impl FnOnce(&T) -> RateLimit,
    ) -> Result<T, AskError> {
        let mut pass = self.gates.pass(&self.gate, self.lane, FETCH_TIME).await?;
        self.budgets.sent(&self.upstream, Instant::now());
        tokio::pin!(question);
        let answer = match tokio::time::timeout(SLOW_AFTER, &mut question).await {
            Ok(answer) => answer,
            Err(_) => {
                pass.yield_place();
                question.await
            }
        };
        self.gate.learn(&answer);
        let lesson = match &answer {
            Ok(answer) => Lesson { rate: rate(answer), ..Lesson::default() },
            Err(error) => Lesson {
                rate: error.facts().map(|facts| facts.rate).unwrap_or_default(),
                refused: error.facts().is_some_and(|facts| facts.status == StatusCode::TOO_MANY_REQUESTS),
                // That something is not there says nothing of the registry.
                error: (!error.is_not_found() && !error.is_repository_unknown()).then(|| error.to_string()),
            },
        };
        self.budgets.learn(&self.upstream, Instant::now(), lesson);
        Ok(answer?)
    }
}

/// The client does not pass on what such an answer says of limits.
fn untold<T>(_: &T) -> RateLimit {
    RateLimit::default()
}

fn selector(wanted: &Wanted) -> Selector {
    match wanted {
        Wanted::Tag(tag) => Selector::Tag(tag.clone()),
        Wanted::Digest(digest) => Selector::Digest(digest.clone()),
    }
}
