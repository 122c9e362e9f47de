//! Pull-through: content that a repository holds because it was imported, and that is not here yet.
//!
//! It is fetched from the places that the catalog names, in their order, once however many ask, checked, and kept (unless
//! the operator wants otherwise). Content that another repository brought here is not given to this one merely because
//! an imported manifest names it: the manifest may have been written by anybody. It counts once it came from one of this
//! repository's own places; which place gave what is noted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::BodyExt;
use oci::{Digest, Manifest};
use store::Txn;
use tokio::sync::OnceCell;

use crate::blobs::{Resume, Upload};
use crate::body::{BoxError, RequestBody};
use crate::error::{Code, Error};
use crate::flight::Flight;
use crate::intake::{Broken, Terms};
use crate::limits;
use crate::name::Repository;
use crate::records::{self, BlobRecord};
use crate::registry::Registry;
use crate::upstream::{Upstream, UpstreamError};

/// Manifests on their way.
#[derive(Default)]
pub(crate) struct ManifestFlights(Mutex<HashMap<String, ManifestFlight>>);

type ManifestFlight = Arc<OnceCell<Result<Manifest, UpstreamError>>>;

type Upstreams = Vec<Arc<dyn Upstream>>;

impl Registry {
    /// The places of a blob that the repository holds because it was imported; empty when there are none.
    pub(crate) async fn elsewhere(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Upstreams, Error> {
        if self.catalog.holds_blob(repository, digest).await?.is_none() {
            return Ok(Vec::new());
        }
        Ok(self.catalog.upstreams(repository, digest).await?)
    }

    /// A blob's length as the first place that answers claims it.
    pub(crate) async fn claimed_size(
        &self,
        upstreams: &Upstreams,
        digest: &Digest,
    ) -> Result<Option<u64>, Error> {
        let mut first = None;
        for upstream in upstreams {
            match upstream.size(digest).await {
                Ok(size) => return Ok(size),
                Err(error) => passed_over(&mut first, upstream, error, digest)?,
            }
        }
        Err(not_had(first, digest))
    }

    /// Whether one of the repository's places has given this content before: then it counts as the repository's.
    pub(crate) async fn came_from_own_place(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, Error> {
        for upstream in self.catalog.upstreams(repository, digest).await? {
            let key = records::origin_key(digest, upstream.place());
            if self.store.get(&key, None).await?.is_some() {
                let link = self.new_link(&self.catalog.presence(repository).await?);
                return self.attach(repository, digest, &link).await;
            }
        }
        Ok(false)
    }

    /// The flight of a blob: the one that is under way, or a new one.
    pub(crate) fn fetch(self: &Arc<Self>, upstreams: Upstreams, digest: &Digest, keep: bool) -> Arc<Flight> {
        let places: Vec<&str> = upstreams.iter().map(|upstream| upstream.place()).collect();
        let key = format!("{digest} {keep} {}", places.join(" "));
        let (flight, is_new) = self.flights.join(&key);
        if is_new {
            let (registry, flying, digest) = (Arc::clone(self), Arc::clone(&flight), digest.clone());
            (self.around.spawn)(Box::pin(async move {
                let landing = Landing { registry: &registry, key, flight: &flying };
                let outcome = registry.fly(&flying, &upstreams, &digest, keep).await;
                landing.land(outcome);
            }));
        }
        flight
    }

    /// Fetches a blob that a repository holds and keeps it; `None` when it holds no such blob.
    pub(crate) async fn obtain(
        self: &Arc<Self>,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<BlobRecord>, Error> {
        let upstreams = self.elsewhere(repository, digest).await?;
        if upstreams.is_empty() {
            return Ok(None);
        }
        self.fetch(upstreams, digest, true).landed().await.map_err(|error| blob_error(error, digest))?;
        let link = self.new_link(&self.catalog.presence(repository).await?);
        self.attach(repository, digest, &link).await?;
        self.stored(digest).await
    }

    /// Asks place after place, and writes what comes into an upload.
    async fn fly(
        &self,
        flight: &Flight,
        upstreams: &Upstreams,
        digest: &Digest,
        keep: bool,
    ) -> Result<Arc<str>, UpstreamError> {
        let _permit = self.fetches.acquire().await;
        let mut first = None;
        for upstream in upstreams {
            let id = self.random_id();
            let tried = self.try_place(flight, &**upstream, digest, &id).await;
            if keep && tried.is_ok() {
                // Who reads it need not wait for the disk.
                flight.update(|state| state.is_right = true);
            }
            let landed = match tried {
                Ok(upload) if keep => self.keep_fetched(&upload, digest, upstream.place()).await,
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            // Nothing is left of it when it became content; who reads it still can.
            if let Err(error) = self.blobs.abort(&id).await {
                tracing::warn!(%error, "a transfer could not be tidied up");
            }
            match landed {
                Ok(()) => return Ok(upstream.place().into()),
                Err(error @ UpstreamError::TooManyRequests { .. }) => return Err(error),
                Err(error) => {
                    tracing::info!(place = upstream.place(), %digest, %error, "a blob could not be fetched");
                    first.get_or_insert(error);
                }
            }
            if !flight.restart() {
                break;
            }
        }
        Err(first.unwrap_or_else(|| UpstreamError::Failed("nobody has it".to_owned())))
    }

    async fn try_place(
        &self,
        flight: &Flight,
        upstream: &dyn Upstream,
        digest: &Digest,
        id: &str,
    ) -> Result<Arc<dyn Upload>, UpstreamError> {
        let failed = |why: String| UpstreamError::Failed(format!("{}: {why}", upstream.place()));
        let blob = upstream.open(digest).await?;
        let upload = self.blobs.open(id, Resume::Shared(digest.algorithm())).await;
        let upload = upload.map_err(|error| failed(error.to_string()))?;
        flight.update(|state| {
            state.upload = Some(Arc::clone(&upload));
            state.size = blob.size;
        });
        let body = RequestBody::new(blob.body.map_err(BoxError::from));
        let limit = blob.size.unwrap_or(limits::FETCH_BYTES).min(limits::FETCH_BYTES);
        let terms = Terms { limit: Some(limit), silence: limits::SILENCE, eager: true };
        let arrived = |offset, chunks| {
            flight.update(|state| {
                state.arrived = offset;
                state.recent.add(chunks);
            });
        };
        self.intake.take_in(&*upload, body, terms, &arrived).await.map_err(|broken| match broken {
            Broken::Lost(why) => failed(why),
            Broken::TooMuch => failed("it sent more than it had announced".to_owned()),
            Broken::Storage(error) => {
                tracing::error!(%error, "a blob from elsewhere could not be written");
                failed("the registry's storage failed".to_owned())
            }
        })?;
        let found = upload.digest(digest.algorithm()).await.map_err(|error| failed(error.to_string()))?;
        let length = upload.progress().offset;
        if found != *digest || blob.size.is_some_and(|size| size != length) {
            return Err(failed(format!("content integrity error: {length} bytes came, which are {found}")));
        }
        Ok(upload)
    }

    /// Makes a blob that came from a place content, and notes the place.
    async fn keep_fetched(
        &self,
        upload: &Arc<dyn Upload>,
        digest: &Digest,
        place: &str,
    ) -> Result<(), UpstreamError> {
        let failed =
            |error: Error| UpstreamError::Failed(format!("it could not be stored: {}", error.text()));
        self.keep(upload, digest, None, None).await.map_err(failed)?;
        let noted = self
            .store
            .commit(Txn::new().put(records::origin_key(digest, place), Bytes::from_static(b"{}")))
            .await;
        noted.map_err(|error| failed(error.into()))?;
        Ok(())
    }

    /// A manifest that a repository holds because it was imported, fetched once however many ask.
    pub(crate) async fn fetch_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Manifest>, Error> {
        let upstreams = self.catalog.upstreams(repository, digest).await?;
        if upstreams.is_empty() {
            return Ok(None);
        }
        let places: Vec<&str> = upstreams.iter().map(|upstream| upstream.place()).collect();
        let key = format!("{digest} {}", places.join(" "));
        let cell = Arc::clone(self.manifest_flights.lock().entry(key.clone()).or_default());
        let fetched = cell.get_or_init(|| self.bring_manifest(&upstreams, digest)).await.clone();
        self.manifest_flights.lock().remove(&key);
        let manifest = fetched.map_err(|error| manifest_error(error, digest))?;
        if self.is_to_keep(&manifest, digest) {
            let presence = self.catalog.presence(repository).await?;
            self.bind(repository, digest, &manifest, &presence, Vec::new()).await?;
        }
        Ok(Some(manifest))
    }
}

impl Registry {
    /// Asks for a manifest and keeps it; who asks from then on finds it here.
    async fn bring_manifest(
        &self,
        upstreams: &Upstreams,
        digest: &Digest,
    ) -> Result<Manifest, UpstreamError> {
        let manifest = ask_for_manifest(upstreams, digest).await?;
        if self.is_to_keep(&manifest, digest) {
            let kept = self.keep_bytes(digest, manifest.raw()).await;
            kept.map_err(|error| UpstreamError::Failed(format!("it could not be stored: {}", error.text())))?;
        }
        Ok(manifest)
    }

    /// The digest of a signed manifest of the first schema is not taken over all of it: it is no content.
    fn is_to_keep(&self, manifest: &Manifest, digest: &Digest) -> bool {
        self.settings.mirror && digest.matches(manifest.raw())
    }
}

impl ManifestFlights {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, ManifestFlight>> {
        // A flight is in the map or not, whatever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a flight also when its task is dropped in the middle.
struct Landing<'f> {
    registry: &'f Registry,
    key: String,
    flight: &'f Flight,
}

impl Landing<'_> {
    fn land(self, outcome: Result<Arc<str>, UpstreamError>) {
        self.flight.update(|state| {
            state.is_right |= outcome.is_ok();
            state.outcome = Some(outcome);
        });
    }
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.registry.flights.end(&self.key);
        self.flight.update(|state| {
            let given_up = || Err(UpstreamError::Failed("the transfer was given up".to_owned()));
            state.outcome.get_or_insert_with(given_up);
        });
    }
}

async fn ask_for_manifest(upstreams: &Upstreams, digest: &Digest) -> Result<Manifest, UpstreamError> {
    let mut first = None;
    for upstream in upstreams {
        let failed = match upstream.manifest(digest).await {
            Ok(manifest) => return Ok(manifest),
            Err(error @ UpstreamError::TooManyRequests { .. }) => return Err(error),
            Err(UpstreamError::Failed(why)) => UpstreamError::Failed(format!("{}: {why}", upstream.place())),
        };
        tracing::info!(%digest, %failed, "a manifest could not be fetched");
        first.get_or_insert(failed);
    }
    Err(first.unwrap_or_else(|| UpstreamError::Failed("nobody has it".to_owned())))
}

/// Goes on to the next place, unless this one wants to be left alone.
fn passed_over(
    first: &mut Option<UpstreamError>,
    upstream: &Arc<dyn Upstream>,
    error: UpstreamError,
    digest: &Digest,
) -> Result<(), Error> {
    tracing::info!(place = upstream.place(), %digest, %error, "a blob could not be asked about");
    if matches!(error, UpstreamError::TooManyRequests { .. }) {
        return Err(blob_error(error, digest));
    }
    first.get_or_insert(error);
    Ok(())
}

fn not_had(first: Option<UpstreamError>, digest: &Digest) -> Error {
    blob_error(first.unwrap_or_else(|| UpstreamError::Failed("nobody has it".to_owned())), digest)
}

/// What a client hears of a blob that cannot be had. A 4xx, so that clients show it instead of trying again and again.
pub(crate) fn blob_error(error: UpstreamError, digest: &Digest) -> Error {
    match error {
        UpstreamError::TooManyRequests { retry_after, why } => {
            too_many("unable to pullthrough blob", retry_after, &why)
        }
        UpstreamError::Failed(why) => Error::new(Code::BlobUnknown)
            .message(format!("blob unknown to registry: unable to pull it through: {why}"))
            .detail(digest.as_str()),
    }
}

fn manifest_error(error: UpstreamError, digest: &Digest) -> Error {
    match error {
        UpstreamError::TooManyRequests { retry_after, why } => {
            too_many("unable to pullthrough manifest", retry_after, &why)
        }
        UpstreamError::Failed(why) => Error::new(Code::PullThroughManifest)
            .message(format!("unable to pull manifest from {why}"))
            .detail(digest.as_str()),
    }
}

fn too_many(what: &str, retry_after: Option<u64>, why: &str) -> Error {
    let error = Error::new(Code::TooManyRequests).message(format!("{what}: {why}"));
    match retry_after {
        Some(seconds) => error.header(http::header::RETRY_AFTER, &seconds.to_string()),
        None => error,
    }
}
