//! One repository of one registry.
//!
//! Nothing is sent before the first question. Then `/v2/` is pinged once, over https, and (only for repositories that
//! are marked insecure) over plain http when https could not be reached at all; the challenges of that answer are used
//! for every request. Content is checked against the digest it was asked for.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::sync::OnceCell;

use super::auth::{Authorized, Authorizer};
use super::bucket::TokenBucket;
use super::challenge::{Challenge, parse_challenges};
use super::error::{Cause, Facts, RegistryError};
use super::exchange::{Exchange, Incoming, Outgoing, Redirects, content_length, failed, verb};
use super::link;
use super::rate::RateLimit;
use super::transport::{ResponseBody, Transport, Trust};
use crate::digest::{Digest, Hasher};
use crate::keyring::Credentials;
use crate::manifest::{Manifest, View};
use crate::reference::{Named, is_repository_path};
use crate::{json, limits, media};

/// The header in which a registry says which content it answers with.
const CONTENT_DIGEST: &str = "docker-content-digest";

/// Which repository, and how to talk to it.
#[derive(Debug, Clone)]
pub struct RepositorySettings {
    /// `host[:port]` that answers requests; for Docker Hub `registry-1.docker.io`.
    pub host: String,
    /// The repository's path.
    pub path: String,
    /// What to answer challenges with.
    pub credentials: Option<Credentials>,
    /// Whether certificates and https itself may be missing.
    pub insecure: bool,
    /// Shared with everybody who should share the rate; `None` for no limit.
    pub bucket: Option<Arc<TokenBucket>>,
}

impl RepositorySettings {
    /// The settings for a normalised reference: no credentials, verified https, the usual rate.
    pub fn of(named: &Named) -> Self {
        Self {
            host: named.host().to_owned(),
            path: named.path().to_owned(),
            credentials: None,
            insecure: false,
            bucket: Some(Arc::new(TokenBucket::new(limits::REPOSITORY_RATE, limits::REPOSITORY_BURST))),
        }
    }
}

/// What a manifest is asked for by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selector {
    /// A tag.
    Tag(String),
    /// A digest; the answer is checked against it.
    Digest(Digest),
}

impl Selector {
    fn digest(&self) -> Option<&Digest> {
        match self {
            Selector::Digest(digest) => Some(digest),
            Selector::Tag(_) => None,
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Selector::Tag(tag) => tag,
            Selector::Digest(digest) => digest.as_str(),
        }
    }
}

/// A manifest as it came.
#[derive(Debug, Clone)]
pub struct FetchedManifest {
    /// Bytes, digest, view.
    pub manifest: Manifest,
    /// The entity tag of the answer.
    pub etag: Option<String>,
    /// What the answer said about how often one may ask.
    pub rate: RateLimit,
}

/// What a registry says of a manifest without sending it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestHead {
    /// Its digest, when the registry names it. A claim: content is checked when it is fetched.
    pub digest: Option<Digest>,
    /// Its media type, without parameters.
    pub media_type: String,
    /// Its length in bytes.
    pub size: Option<u64>,
    /// The entity tag of the answer.
    pub etag: Option<String>,
    /// What the answer said about how often one may ask.
    pub rate: RateLimit,
}

/// A blob on its way; nobody has checked its digest yet.
#[derive(Debug)]
pub struct BlobStream {
    /// Its length in bytes, when the registry names it.
    pub size: Option<u64>,
    /// The bytes.
    pub body: ResponseBody,
}

/// A client for one repository; share it behind an [`Arc`].
#[derive(Debug)]
pub struct RepositoryClient {
    exchange: Exchange,
    host: String,
    path: String,
    bucket: Option<Arc<TokenBucket>>,
    authorizer: Authorizer,
    endpoint: OnceCell<Endpoint>,
    /// The registry has said that it keeps no lists of what refers to what.
    pub(super) tells_no_referrers: AtomicBool,
}

/// What the ping found out.
#[derive(Debug)]
struct Endpoint {
    /// Scheme and host.
    base: String,
    challenges: Vec<Challenge>,
}

impl RepositoryClient {
    /// A client; sends nothing yet.
    pub fn new(transport: Arc<dyn Transport>, settings: RepositorySettings) -> Result<Self, RegistryError> {
        let RepositorySettings { host, path, credentials, insecure, bucket } = settings;
        let is_host =
            !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]_".contains(&b));
        if !is_host || !is_repository_path(&path) {
            return Err(RegistryError::Address(format!("{host}/{path}")));
        }
        let exchange =
            Exchange { transport, trust: if insecure { Trust::Insecure } else { Trust::Verified } };
        let authorizer = Authorizer::new(exchange.clone(), &host, &path, credentials);
        let (endpoint, tells_no_referrers) = (OnceCell::new(), AtomicBool::new(false));
        Ok(Self { exchange, host, path, bucket, authorizer, endpoint, tells_no_referrers })
    }

    /// Makes sure that the registry is there and speaks this protocol; asked once, remembered when it does.
    pub async fn ping(&self) -> Result<(), RegistryError> {
        self.endpoint().await.map(|_| ())
    }

    /// The manifest of a tag or digest.
    pub async fn get_manifest(&self, selector: &Selector) -> Result<FetchedManifest, RegistryError> {
        let answer = self.ask(&Method::GET, &self.manifest_target(selector), accepted()).await?;
        let rate = RateLimit::read(&answer.headers);
        let etag = text(&answer.headers, ETAG.as_str());
        let content_type = text(&answer.headers, CONTENT_TYPE.as_str()).unwrap_or_default();
        // What the registry says a tag means: bytes that are something else were changed on the way.
        let claimed = text(&answer.headers, CONTENT_DIGEST).and_then(|digest| Digest::parse(&digest).ok());
        let raw = answer.read("manifest", limits::MANIFEST_BYTES).await?;
        if let Some(expected) = selector.digest().or(claimed.as_ref()) {
            check_before_parsing(expected, &content_type, &raw)?;
        }
        let manifest = Manifest::parse(&content_type, raw)?;
        if let Selector::Digest(expected) = selector
            && !manifest.has_digest(expected)
        {
            let what =
                if matches!(manifest.view(), View::Schema1(_)) { "schema 1 manifest" } else { "manifest" };
            return Err(mismatch(what, expected, manifest.payload()));
        }
        Ok(FetchedManifest { manifest, etag, rate })
    }

    /// What the registry says of a manifest; `None` when it answers 404.
    ///
    /// An answer to HEAD has no body, so it cannot say *what* is missing: ask [`Self::get_manifest`] for the reason
    /// before acting on `None`.
    pub async fn head_manifest(&self, selector: &Selector) -> Result<Option<ManifestHead>, RegistryError> {
        let answer =
            match self.exchange_once(&Method::HEAD, &self.manifest_target(selector), accepted()).await? {
                missing if missing.status == StatusCode::NOT_FOUND => return Ok(None),
                answer if answer.status.is_success() => answer,
                refused => return Err(refused.into_error().await),
            };
        let content_type = text(&answer.headers, CONTENT_TYPE.as_str()).unwrap_or_default();
        Ok(Some(ManifestHead {
            digest: text(&answer.headers, CONTENT_DIGEST).and_then(|digest| Digest::parse(&digest).ok()),
            media_type: crate::manifest::essence(&content_type)?,
            size: content_length(&answer.headers),
            etag: text(&answer.headers, ETAG.as_str()),
            rate: RateLimit::read(&answer.headers),
        }))
    }

    /// A blob of at most `most` bytes, checked against its digest.
    pub async fn get_blob(&self, digest: &Digest, most: usize) -> Result<Bytes, RegistryError> {
        let answer = self.ask(&Method::GET, &format!("blobs/{digest}"), HeaderMap::new()).await?;
        let bytes = answer.read("blob", most).await?;
        if digest.matches(&bytes) { Ok(bytes) } else { Err(mismatch("blob", digest, &bytes)) }
    }

    /// A blob as a stream. Its digest is for the caller to check while the bytes go by.
    pub async fn open_blob(&self, digest: &Digest) -> Result<BlobStream, RegistryError> {
        let answer = self.ask(&Method::GET, &format!("blobs/{digest}"), HeaderMap::new()).await?;
        Ok(BlobStream { size: content_length(&answer.headers), body: answer.body })
    }

    /// A blob's length in bytes, as the registry claims it; `None` when it does not say.
    pub async fn head_blob(&self, digest: &Digest) -> Result<Option<u64>, RegistryError> {
        let answer = self.ask(&Method::HEAD, &format!("blobs/{digest}"), HeaderMap::new()).await?;
        Ok(content_length(&answer.headers))
    }

    /// All tags, in the registry's order, page by page.
    pub async fn list_tags(&self) -> Result<Vec<String>, RegistryError> {
        let mut tags = Vec::new();
        const LIST: &str = "tags/list";
        let mut target = LIST.to_owned();
        for _ in 0..limits::TAG_PAGES {
            let answer = self.ask(&Method::GET, &target, HeaderMap::new()).await?;
            let (url, next) = (answer.url.clone(), link::next_page(&answer.headers));
            let page = read_tags(&answer.read("tag list", limits::TAG_PAGE_BYTES).await?)?;
            tags.extend(page);
            if tags.len() > limits::TAGS {
                return Err(RegistryError::TooLarge { what: "tag list", most: limits::TAGS, unit: "tags" });
            }
            let Some(next) = next else { return Ok(tags) };
            target = self.page_target(&url, &next, LIST)?;
        }
        Err(RegistryError::TooLarge { what: "tag list", most: limits::TAG_PAGES, unit: "pages" })
    }

    /// The next page must be of the same list: pages carry credentials.
    pub(super) fn page_target(
        &self,
        url: &reqwest::Url,
        next: &str,
        list: &str,
    ) -> Result<String, RegistryError> {
        let foreign = || RegistryError::ForeignPage { first: url.to_string(), next: next.to_owned() };
        let joined = url.join(next).map_err(|_| foreign())?;
        if joined.origin() != url.origin() || joined.path() != format!("/v2/{}/{list}", self.path) {
            return Err(foreign());
        }
        Ok(joined.query().map_or_else(|| list.to_owned(), |query| format!("{list}?{query}")))
    }

    fn manifest_target(&self, selector: &Selector) -> String {
        format!("manifests/{}", selector.as_str())
    }

    /// A successful answer, asked for again while it fails for passing reasons.
    pub(super) async fn ask(
        &self,
        method: &Method,
        target: &str,
        headers: HeaderMap,
    ) -> Result<Incoming, RegistryError> {
        let mut repeats = 0;
        loop {
            let error = match self.exchange_once(method, target, headers.clone()).await {
                Ok(answer) if answer.status.is_success() => return Ok(answer),
                Ok(refused) => refused.into_error().await,
                Err(error) => error,
            };
            // Without an endpoint the ping failed, and that has waited long enough by itself.
            let pause =
                retry_pause(&error).filter(|_| repeats < limits::RETRIES && self.endpoint.initialized());
            let Some(pause) = pause else { return Err(error) };
            tracing::debug!(host = self.host, target, %error, "asking the registry again");
            tokio::time::sleep(pause).await;
            repeats += 1;
        }
    }

    /// One request with authorization; a token that was refused is renewed once.
    async fn exchange_once(
        &self,
        method: &Method,
        target: &str,
        headers: HeaderMap,
    ) -> Result<Incoming, RegistryError> {
        let endpoint = self.endpoint().await?;
        if let Some(bucket) = &self.bucket {
            bucket.take().await;
        }
        let (answer, authorized) = self.send(endpoint, method, target, headers.clone()).await?;
        if answer.status == StatusCode::UNAUTHORIZED && authorized == Authorized::WithKeptToken {
            self.authorizer.forget_token().await;
            return self.send(endpoint, method, target, headers).await.map(|(answer, _)| answer);
        }
        Ok(answer)
    }

    async fn send(
        &self,
        endpoint: &Endpoint,
        method: &Method,
        target: &str,
        mut headers: HeaderMap,
    ) -> Result<(Incoming, Authorized), RegistryError> {
        let url = format!("{}/v2/{}/{target}", endpoint.base, self.path);
        let authorized = self
            .authorizer
            .authorize(&endpoint.challenges, &mut headers)
            .await
            .map_err(|cause| failed(verb(method), &url, cause))?;
        let outgoing = Outgoing {
            method: method.clone(),
            url,
            headers,
            patience: limits::ANSWER_TIMEOUT,
            redirects: Redirects::Anywhere,
        };
        Ok((self.exchange.send(outgoing).await?, authorized))
    }

    async fn endpoint(&self) -> Result<&Endpoint, RegistryError> {
        self.endpoint.get_or_try_init(|| self.find_endpoint()).await
    }

    async fn find_endpoint(&self) -> Result<Endpoint, RegistryError> {
        match self.try_endpoint("https").await {
            Err(error) if self.exchange.trust == Trust::Insecure && is_unreachable(&error) => {
                self.try_endpoint("http").await
            }
            other => other,
        }
    }

    async fn try_endpoint(&self, scheme: &str) -> Result<Endpoint, RegistryError> {
        let base = format!("{scheme}://{}", self.host);
        let answer = self
            .exchange
            .send(Outgoing {
                method: Method::GET,
                url: format!("{base}/v2/"),
                headers: HeaderMap::new(),
                patience: limits::PING_TIMEOUT,
                redirects: Redirects::Anywhere,
            })
            .await?;
        let status = answer.status;
        let says_so = answer.headers.contains_key("docker-distribution-api-version");
        let speaks = says_so || status.is_success() || matches!(status.as_u16(), 401 | 403);
        if !speaks {
            let facts = Facts { status, rate: RateLimit::read(&answer.headers) };
            return Err(RegistryError::NotV2 { endpoint: base, facts });
        }
        let challenges =
            if status == StatusCode::UNAUTHORIZED { parse_challenges(&answer.headers) } else { Vec::new() };
        Ok(Endpoint { base, challenges })
    }
}

/// Whether https could not be spoken at all, so that plain http is worth a try.
fn is_unreachable(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Request { cause, .. } if matches!(cause.as_ref(), Cause::Transport(_)))
}

/// How long to wait before asking again; `None` when that would not help.
fn retry_pause(error: &RegistryError) -> Option<std::time::Duration> {
    if error.transport().is_some_and(super::transport::TransportError::is_timeout) {
        return Some(limits::RETRY_PAUSE);
    }
    match error {
        // A registry that explains itself with codes means it; a bare 429 comes from something in front of it.
        RegistryError::Unparsable { facts, .. } if facts.status == StatusCode::TOO_MANY_REQUESTS => {
            let asked = facts.rate.retry_after.unwrap_or(limits::RETRY_PAUSE_BUSY);
            (asked <= limits::RETRY_PAUSE_MOST).then_some(asked.max(limits::RETRY_PAUSE_BUSY))
        }
        _ => None,
    }
}

fn accepted() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(media::ACCEPTED_MANIFESTS.len());
    for media_type in media::ACCEPTED_MANIFESTS {
        headers.append(ACCEPT, HeaderValue::from_static(media_type));
    }
    headers
}

pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Content under a wrong digest is reported as such, not as whatever it fails to parse as. Schema 1 has to be parsed
/// first, because its digest is not taken over all of it.
fn check_before_parsing(expected: &Digest, content_type: &str, raw: &[u8]) -> Result<(), RegistryError> {
    let media_type = crate::manifest::essence(content_type)?;
    let hashed_whole = [media::DOCKER_SCHEMA2, media::OCI_MANIFEST, media::DOCKER_LIST, media::OCI_INDEX];
    if hashed_whole.contains(&media_type.as_str()) && !expected.matches(raw) {
        return Err(mismatch("manifest", expected, raw));
    }
    Ok(())
}

fn mismatch(what: &'static str, expected: &Digest, content: &[u8]) -> RegistryError {
    let mut hasher = Hasher::new(expected.algorithm());
    hasher.update(content);
    RegistryError::Integrity { what, expected: expected.to_string(), found: hasher.finish().to_string() }
}

fn read_tags(body: &[u8]) -> Result<Vec<String>, RegistryError> {
    let document = json::parse(body)?;
    let tags = document.as_struct("client.tagsResponse")?.strings("tags")?.unwrap_or_default();
    if tags.len() > limits::TAG_PAGE_ENTRIES {
        let most = limits::TAG_PAGE_ENTRIES;
        return Err(RegistryError::TooLarge { what: "tag list page", most, unit: "tags" });
    }
    Ok(tags)
}
