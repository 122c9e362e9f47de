//! The registry: its parts, and the way of a request from its route to its answer.
//!
//! Every request goes the same way: the route, the credentials, the repository's name, the right, the method, the
//! handler. Who has no credentials hears about nothing else first, so that answers tell nobody what there is.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, header};
use oci::Digest;
use serde_json::{Value, json};
use store::Store;

use crate::access::{Access, AccessError, Right, Subject};
use crate::blobs::Blobs;
use crate::body::{Body, RequestBody};
use crate::catalog::{Catalog, Presence};
use crate::error::{Code, Error};
use crate::event::{Action, Event};
use crate::flight::Flights;
use crate::handlers::manifest::Manifests;
use crate::handlers::{blob, listing, manifest, referrers, signatures, token, uploads};
use crate::intake::Intake;
use crate::limits;
use crate::name::Repository;
use crate::pull::ManifestFlights;
use crate::ready::Ready;
use crate::route::{Route, RouteError};
use crate::sessions::Sessions;
use crate::wire::{self, Credentials};

/// What an operator can set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The realm of Basic challenges.
    pub realm: String,
    /// Path of the token endpoint that challenges name.
    pub token_path: String,
    /// Whether content that is pulled through is kept.
    pub mirror: bool,
    /// What this server calls itself when it asks other registries; empty when it does not say. A request that comes with
    /// that name is a circle, and is not sent on.
    pub agent: String,
    /// Whether the registry's counters can be read here; with a secret, who has it may.
    pub metrics: Option<MetricsAccess>,
}

/// Who may read counters beside those who have the right to.
#[derive(Clone, Default)]
pub struct MetricsAccess {
    /// A token that is good for this alone; empty for none.
    pub secret: String,
}

impl std::fmt::Debug for MetricsAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MetricsAccess")
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            realm: "openshift".to_owned(),
            token_path: "/openshift/token".to_owned(),
            mirror: true,
            agent: String::new(),
            metrics: None,
        }
    }
}

/// Fills a buffer with random bytes.
pub type Chance = Box<dyn Fn(&mut [u8]) + Send + Sync>;

/// Starts something that goes on by itself.
pub type Spawn = Box<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// Time, chance and tasks.
pub struct Surroundings {
    /// Seconds since 1970.
    pub now: Box<dyn Fn() -> u64 + Send + Sync>,
    /// Random bytes that nobody can guess.
    pub random: Chance,
    /// Runs a transfer from another registry.
    pub spawn: Spawn,
    /// Is told what happened.
    pub notify: Box<dyn Fn(Event) + Send + Sync>,
    /// The registry's counters as text.
    pub counters: Box<dyn Fn() -> String + Send + Sync>,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Surroundings")
    }
}

/// Where a request came from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Whose connection it is; guessers are told apart by it.
    pub address: Option<IpAddr>,
    /// The request; audit and history name it.
    pub request_id: String,
}

/// The integrated registry. Share it behind an [`Arc`].
pub struct Registry {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) access: Arc<dyn Access>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) settings: Settings,
    pub(crate) sessions: Sessions,
    pub(crate) intake: Intake,
    pub(crate) manifests: Manifests,
    pub(crate) small: Ready<Bytes>,
    pub(crate) flights: Flights,
    pub(crate) manifest_flights: ManifestFlights,
    pub(crate) fetches: tokio::sync::Semaphore,
    pub(crate) around: Surroundings,
    digest_locks: Vec<tokio::sync::Mutex<()>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A request on its way, as handlers see it.
pub(crate) struct Call<'a> {
    pub(crate) registry: &'a Arc<Registry>,
    pub(crate) parts: &'a Parts,
    pub(crate) who: Subject,
}

impl Call<'_> {
    /// The first value of a query parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        wire::parameter(self.parts.uri.query(), name)
    }

    /// A header's text.
    pub(crate) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether content may be fetched from elsewhere for this request: not when it is this server that asks.
    pub(crate) fn may_fetch(&self) -> bool {
        let agent = &self.registry.settings.agent;
        agent.is_empty() || self.header(header::USER_AGENT) != Some(agent)
    }

    /// Whether only headers are wanted.
    pub(crate) fn is_head(&self) -> bool {
        self.parts.method == Method::HEAD
    }
}

impl Registry {
    /// A registry over its parts.
    pub fn new(
        catalog: Arc<dyn Catalog>,
        access: Arc<dyn Access>,
        blobs: Arc<dyn Blobs>,
        store: Arc<dyn Store>,
        around: Surroundings,
        settings: Settings,
    ) -> Registry {
        Registry {
            catalog,
            access,
            blobs,
            store,
            settings,
            sessions: Sessions::default(),
            intake: Intake::default(),
            manifests: Manifests::new(limits::CACHED_MANIFEST_BYTES),
            small: Ready::new(limits::CACHED_BLOB_BYTES),
            flights: Flights::default(),
            manifest_flights: ManifestFlights::default(),
            fetches: tokio::sync::Semaphore::new(limits::FETCHES),
            around,
            digest_locks: (0..limits::DIGEST_LOCKS).map(|_| tokio::sync::Mutex::default()).collect(),
        }
    }

    /// Answers one request.
    pub fn answer(
        self: Arc<Self>,
        origin: Origin,
        request: Request<RequestBody>,
    ) -> BoxFuture<'static, Response<Body>> {
        // Boxed here, so that nobody else's future is as large as the largest handler's.
        Box::pin(async move { self.route(&origin, request).await })
    }

    async fn route(self: &Arc<Self>, origin: &Origin, request: Request<RequestBody>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let route = match Route::parse(&path) {
            Ok(Route::Health) => {
                let mut response = wire::empty(StatusCode::OK);
                wire::set(&mut response, header::CACHE_CONTROL, "no-cache");
                return response;
            }
            Ok(Route::Metrics) if self.settings.metrics.is_none() => {
                return marked(wire::text(StatusCode::NOT_FOUND, "404 page not found\n"));
            }
            Ok(route) => route,
            Err(RouteError::Unknown) => {
                return marked(wire::text(StatusCode::NOT_FOUND, "404 page not found\n"));
            }
            Err(RouteError::MissingSlash) => {
                let mut response = wire::empty(StatusCode::MOVED_PERMANENTLY);
                let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
                wire::set(&mut response, header::LOCATION, format!("{path}/{query}"));
                return marked(response);
            }
        };
        if route == Route::Token {
            return marked(token::answer(self, &parts, origin).await);
        }
        let answered = self.run(origin, route, &parts, body).await;
        let mut response = marked(answered.unwrap_or_else(Error::into_response));
        wire::set(&mut response, header::HeaderName::from_static("x-registry-supports-signatures"), "1");
        response
    }

    async fn run(
        self: &Arc<Self>,
        origin: &Origin,
        route: Route<'_>,
        parts: &Parts,
        body: RequestBody,
    ) -> Result<Response<Body>, Error> {
        if route == Route::Metrics && self.knows_metrics_secret(&parts.headers) {
            return Ok(wire::text(StatusCode::OK, (self.around.counters)()));
        }
        let who = self.authenticate(origin, route, parts).await?;
        let repository = match route.name() {
            Some(name) => Some(Repository::parse(name).map_err(|error| {
                Error::new(Code::NameInvalid).message(error.to_string()).detail(error.to_string())
            })?),
            None => None,
        };
        self.authorize(&who, route, &parts.method, repository.as_ref()).await?;
        if !route.methods().contains(&parts.method) {
            return Ok(wrong_method(route));
        }
        let call = Call { registry: self, parts, who };
        let Some(repository) = repository else {
            return match route {
                Route::Catalog => listing::catalog(&call).await,
                Route::AdminBlob { digest } => blob::purge(&call, digest).await,
                Route::Metrics => Ok(wire::text(StatusCode::OK, (self.around.counters)())),
                _ => Ok(wire::json(&json!({}))),
            };
        };
        match route {
            Route::Tags { .. } => listing::tags(&call, &repository).await,
            Route::Manifest { reference, .. } => {
                let response = manifest::answer(&call, &repository, reference, body).await?;
                self.tell(&call, &repository, reference, &response);
                Ok(response)
            }
            Route::Referrers { digest, .. } => referrers::answer(&call, &repository, digest).await,
            Route::Blob { digest, .. } => blob::answer(&call, &repository, digest).await,
            Route::Uploads { .. } => uploads::start(&call, &repository, body).await,
            Route::Upload { id, .. } => uploads::answer(&call, &repository, id, body).await,
            Route::Signatures { digest, .. } => signatures::answer(&call, &repository, digest, body).await,
            Route::Health
            | Route::Version
            | Route::Token
            | Route::Metrics
            | Route::Catalog
            | Route::AdminBlob { .. } => Ok(wire::json(&json!({}))),
        }
    }

    async fn authenticate(&self, origin: &Origin, route: Route<'_>, parts: &Parts) -> Result<Subject, Error> {
        let found = match wire::credentials(&parts.headers) {
            Credentials::None => {
                return Err(self.bearer_challenge(origin, parts).detail(records(route, &parts.method)));
            }
            Credentials::Anonymous => return Ok(self.access.anonymous(&origin.request_id)),
            Credentials::Unreadable => return Err(self.basic_challenge("failed to decode credentials")),
            Credentials::Token(token) => self.access.subject(&token, &origin.request_id).await,
            Credentials::Basic { user, password } => {
                self.basic(&user, &password, origin).await.map(|(who, _)| who)
            }
        };
        found.map_err(|error| match error {
            AccessError::Refused => {
                self.basic_challenge("access denied").detail(records(route, &parts.method))
            }
            other => refused(&other),
        })
    }

    /// Whether a request shows the secret for counters. Compared by hash, so that the time tells nothing about it.
    fn knows_metrics_secret(&self, headers: &http::HeaderMap) -> bool {
        let secret = self.settings.metrics.as_ref().map(|access| access.secret.as_str()).unwrap_or_default();
        match wire::credentials(headers) {
            Credentials::Token(token) if !secret.is_empty() => {
                Digest::sha256(token.as_bytes()) == Digest::sha256(secret.as_bytes())
            }
            _ => false,
        }
    }

    /// Who shows a name and a password, and whether the password was a token: then the name means nothing.
    pub(crate) async fn basic(
        &self,
        user: &str,
        password: &str,
        origin: &Origin,
    ) -> Result<(Subject, bool), AccessError> {
        match self.access.subject(password, &origin.request_id).await {
            Err(AccessError::Refused) => Ok((self.access.person(user, password, origin).await?, false)),
            found => found.map(|who| (who, true)),
        }
    }

    async fn authorize(
        &self,
        who: &Subject,
        route: Route<'_>,
        method: &Method,
        repository: Option<&Repository>,
    ) -> Result<(), Error> {
        for right in needed(route, method, repository) {
            if !self.may(who, right).await? {
                return Err(self.basic_challenge("access denied").detail(records(route, method)));
            }
        }
        Ok(())
    }

    /// Tells what a request did to a manifest.
    fn tell(&self, call: &Call<'_>, repository: &Repository, reference: &str, response: &Response<Body>) {
        let Some(action) = Action::of(&call.parts.method, response.status()) else { return };
        let text = |name: header::HeaderName| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let (tag, named) = match reference.contains(':') {
            true => (None, Some(reference.to_owned())),
            false => (Some(reference.to_owned()), None),
        };
        let media_type = match action {
            Action::Push => call.header(header::CONTENT_TYPE).map(str::to_owned),
            Action::Pull => text(header::CONTENT_TYPE),
            Action::Delete => None,
        };
        (self.around.notify)(Event {
            action,
            repository: repository.to_string(),
            tag,
            digest: text(wire::CONTENT_DIGEST).or(named),
            media_type,
            user: call.who.user.clone(),
            request_id: call.who.request_id.clone(),
        });
    }

    /// Whether somebody may do something.
    pub(crate) async fn may(&self, who: &Subject, right: Right<'_>) -> Result<bool, Error> {
        match self.access.may(who, right).await {
            Ok(allowed) => Ok(allowed),
            Err(AccessError::Refused) => Ok(false),
            Err(error) => Err(refused(&error)),
        }
    }

    fn bearer_challenge(&self, origin: &Origin, parts: &Parts) -> Error {
        let host = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
        let host = host.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str));
        let (scheme, host) = wire::address(&parts.headers, host, origin.tls);
        let path = &self.settings.token_path;
        Error::new(Code::Unauthorized).header(
            header::WWW_AUTHENTICATE,
            &format!("Bearer realm=\"{scheme}://{host}{path}\",service=\"{host}\""),
        )
    }

    fn basic_challenge(&self, why: &str) -> Error {
        let realm = &self.settings.realm;
        Error::new(Code::Unauthorized)
            .header(header::WWW_AUTHENTICATE, &format!("Basic realm={realm},error=\"{why}\""))
    }

    /// Seconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        (self.around.now)()
    }

    /// A name that nobody can guess, in the form of a UUID.
    pub(crate) fn random_id(&self) -> String {
        let mut bytes = [0_u8; 16];
        (self.around.random)(&mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// Keeps the arrival and the removal of the same content apart.
    pub(crate) async fn lock_digest(&self, digest: &Digest) -> tokio::sync::MutexGuard<'_, ()> {
        let first = u8::from_str_radix(&digest.hex()[..2], 16).unwrap_or(0);
        self.digest_locks[usize::from(first) % self.digest_locks.len()].lock().await
    }

    /// The repository's presence; an error when not even its project is there.
    pub(crate) async fn project(&self, repository: &Repository) -> Result<Presence, Error> {
        match self.catalog.presence(repository).await? {
            Presence::NoProject => Err(Error::new(Code::NameUnknown)
                .message(format!("project {:?} does not exist", repository.project()))),
            presence => Ok(presence),
        }
    }
}

/// What is told of credentials that nobody can say anything about now.
fn refused(error: &AccessError) -> Error {
    match error {
        AccessError::Guessing => Error::new(Code::TooManyRequests).message(error.to_string()),
        _ => Error::unavailable(error),
    }
}

/// The rights that a request needs, all of them.
fn needed<'a>(route: Route<'a>, method: &Method, repository: Option<&'a Repository>) -> Vec<Right<'a>> {
    let Some(repository) = repository else {
        return match route {
            Route::AdminBlob { .. } => vec![Right::DeleteContent],
            Route::Metrics => vec![Right::Metrics],
            _ => Vec::new(),
        };
    };
    let (pull, push) = (Right::Pull(repository), Right::Push(repository));
    match (route, method) {
        (Route::Manifest { reference, .. }, &Method::DELETE) if !reference.contains(':') => {
            vec![Right::DeleteTag(repository, reference)]
        }
        (Route::Manifest { .. } | Route::Blob { .. }, &Method::DELETE) => vec![Right::DeleteContent],
        (Route::Manifest { .. }, &Method::PUT) | (Route::Uploads { .. }, _) => vec![pull, push],
        (Route::Upload { .. }, &Method::GET | &Method::HEAD) => vec![pull],
        (Route::Upload { .. }, _) => vec![pull, push],
        (Route::Signatures { .. }, &Method::PUT) => vec![Right::Sign(repository), pull],
        _ => vec![pull],
    }
}

/// What was asked for, as errors name it.
fn records(route: Route<'_>, method: &Method) -> Value {
    let record = |kind: &str, name: &str, action: &str| json!([{"Type": kind, "Class": "", "Name": name, "Action": action}]);
    match (route, route.name()) {
        (Route::Catalog, _) => record("registry", "catalog", "*"),
        (Route::AdminBlob { .. }, _) => record("admin", "", "prune"),
        (_, None) => Value::Null,
        (_, Some(name)) => match *method {
            Method::GET | Method::HEAD => record("repository", name, "pull"),
            Method::DELETE => record("repository", name, "delete"),
            _ => json!([
                {"Type": "repository", "Class": "", "Name": name, "Action": "pull"},
                {"Type": "repository", "Class": "", "Name": name, "Action": "push"},
            ]),
        },
    }
}

fn wrong_method(route: Route<'_>) -> Response<Body> {
    let mut response = wire::text(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed\n");
    let allowed: Vec<&str> = route.methods().iter().map(Method::as_str).collect();
    wire::set(&mut response, header::ALLOW, allowed.join(", "));
    response
}

fn marked(mut response: Response<Body>) -> Response<Body> {
    let name = header::HeaderName::from_static("docker-distribution-api-version");
    wire::set(&mut response, name, "registry/2.0");
    response
}
