//! One repository as the engine sees it: the client of the `oci` crate behind its host's gate.
//!
//! Every question passes the gate and every answer teaches it. The client's own rate limit is not used: the gate is
//! what keeps us polite, across all requests, and it lets a fast registry be fast.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use oci::client::{BlobStream, RegistryError, RepositoryClient, RepositorySettings, Selector, Transport};
use oci::keyring::Credentials;
use oci::{Digest, Manifest};
use tokio::time::Instant;

use super::gate::{Closed, Errand, Gate, Gates, Lane};
use super::limits::{FETCH_TIME, SLOW_AFTER};
use super::plan::{Source, Wanted};

/// A repository that can be asked.
#[derive(Clone, Debug)]
pub struct Repo {
    client: Arc<RepositoryClient>,
    gate: Arc<Gate>,
    gates: Arc<Gates>,
    /// Whose budget its questions count on: the name of the credentials.
    account: Arc<str>,
    /// Who shares what was learnt about it.
    pub key: RepoKey,
    /// `host/path`.
    pub place: Arc<str>,
    /// What it is asked for, all clones together.
    pub errand: Arc<Errand>,
}

/// What distinguishes one client from another. Shared by all who remember it: there may be one for every followed tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RepoKey(Arc<Identity>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Identity {
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
    #[error("toomanyrequests: the registry wants no more requests for {} seconds", .0.as_secs())]
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
        RepoKey(Arc::new(Identity {
            host: source.name.host().to_owned(),
            path: source.name.path().to_owned(),
            insecure: source.insecure,
            credentials: credentials.cloned(),
        }))
    }
}

impl Kept {
    /// Makes a client for a repository.
    ///
    /// # Errors
    /// When host or path cannot be part of a URL.
    pub fn new(transport: Arc<dyn Transport>, key: &RepoKey) -> Result<Kept, RegistryError> {
        let key = &*key.0;
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
    pub fn open(&self, gates: &Arc<Gates>, key: RepoKey, lane: Lane) -> Repo {
        let of = &*key.0;
        let gate = gates.of(&of.host);
        let place = format!("{}/{}", of.host, of.path).into();
        let account = of.credentials.as_ref().map_or("", |credentials| &credentials.username).into();
        let errand = Arc::new(Errand::new(lane));
        Repo { client: Arc::clone(&self.client), gate, gates: Arc::clone(gates), account, key, place, errand }
    }
}

impl Repo {
    /// The digest that a tag or digest has at the registry; `None` when HEAD does not tell.
    pub async fn head(&self, wanted: &Wanted) -> Result<Option<Digest>, AskError> {
        let selector = selector(wanted);
        let Some(head) = self.ask(|| self.client.head_manifest(&selector).boxed()).await? else {
            return Ok(None);
        };
        self.gate.told(&self.account, &head.rate);
        Ok(head.digest)
    }

    /// A manifest; by digest it is checked.
    pub async fn manifest(&self, wanted: &Wanted) -> Result<Manifest, AskError> {
        let selector = selector(wanted);
        let fetched = self.ask(|| self.client.get_manifest(&selector).boxed()).await?;
        self.gate.told(&self.account, &fetched.rate);
        Ok(fetched.manifest)
    }

    /// A configuration, checked.
    pub async fn config(&self, digest: &Digest) -> Result<Bytes, AskError> {
        self.ask(|| self.client.get_blob(digest, oci::limits::CONFIG_BYTES).boxed()).await
    }

    /// A blob's length, 0 when the registry does not say.
    pub async fn blob_size(&self, digest: &Digest) -> Result<u64, AskError> {
        Ok(self.blob_length(digest).await?.unwrap_or_default())
    }

    /// A blob's length, if the registry says it.
    pub async fn blob_length(&self, digest: &Digest) -> Result<Option<u64>, AskError> {
        self.ask(|| self.client.head_blob(digest).boxed()).await
    }

    /// A blob; nobody has checked its digest yet.
    pub async fn blob(&self, digest: &Digest) -> Result<BlobStream, AskError> {
        self.ask(|| self.client.open_blob(digest).boxed()).await
    }

    /// All tags.
    pub async fn tags(&self) -> Result<Vec<String>, AskError> {
        self.ask(|| self.client.list_tags().boxed()).await
    }

    /// What refers to a manifest, as an index; `None` where the registry does not tell.
    pub async fn referrers(&self, subject: &Digest) -> Result<Option<Manifest>, AskError> {
        self.ask(|| self.client.referrers(subject).boxed()).await
    }

    /// Tells the gate that the registry did not answer in time, and says why there is no answer: a host that was not
    /// asked yet, because it wants no requests now, is not to blame.
    pub fn gave_up(&self) -> Option<AskError> {
        if self.errand.is_put_off() {
            return Some(AskError::Closed(self.gates.wait(&self.key.0.host)));
        }
        self.gate.failed();
        None
    }

    /// Asks when it is this question's turn. Very many may wait for theirs, and a question is large: it is made then.
    async fn ask<'a, T>(
        &'a self,
        question: impl FnOnce() -> BoxFuture<'a, Result<T, RegistryError>>,
    ) -> Result<T, AskError> {
        let mut pass = self.gates.pass(&self.gate, &self.account, &self.errand, FETCH_TIME).await?;
        let mut question = question();
        let answer = match tokio::time::timeout(SLOW_AFTER, &mut question).await {
            Ok(answer) => answer,
            Err(_) => {
                pass.yield_place();
                question.await
            }
        };
        self.gate.learn(&answer);
        Ok(answer?)
    }
}

fn selector(wanted: &Wanted) -> Selector {
    match wanted {
        Wanted::Tag(tag) => Selector::Tag(tag.clone()),
        Wanted::Digest(digest) => Selector::Digest(digest.clone()),
    }
}
