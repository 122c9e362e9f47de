//! Events of the registry, told to endpoints as CloudEvents over HTTP.
//!
//! Each endpoint has a queue of its own, so that one that is slow or gone holds up nobody: not the registry, not the others.
//! An event is sent again, with growing pauses, until the endpoint takes it or its time is over; when the queue is full, new
//! events are counted as lost. A server that stops in order first tells what waits, as long as endpoints take it and for a
//! bounded time; the rest goes into a file, from which the next start goes on. Only a server that is killed forgets its
//! queues: whoever must not miss any event reads the ledger.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::registry::Event;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use oci::client::Trust;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::context::Ctx;
use crate::settings::EndpointSettings;

/// Events that wait for one endpoint.
const QUEUE: usize = 10_000;
/// The first and the longest pause before an event is sent again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Times an event is sent at the most.
const ATTEMPTS: usize = 10;
/// How long an endpoint may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a server that stops goes on telling what waits.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// The file of what nobody was told before the server stopped, in the registry's directory.
const FILE: &str = "events.json";
const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// The endpoints that are told.
#[derive(Debug)]
pub struct Endpoints {
    all: Vec<Arc<Endpoint>>,
    file: PathBuf,
}

/// What waits in the file, by the address of the endpoint.
type Left = BTreeMap<String, Vec<Box<RawValue>>>;

#[derive(Debug)]
struct Endpoint {
    url: http::Uri,
    authorization: Option<HeaderValue>,
    actions: Vec<String>,
    waiting: Mutex<VecDeque<Bytes>>,
    more: Notify,
}

impl Endpoints {
    /// Starts telling the endpoints of the settings, first of all what the last run left in `directory`.
    ///
    /// # Errors
    /// When an address, a token or what was left cannot be read.
    pub(super) fn start(ctx: &Ctx, directory: &Path) -> io::Result<Arc<Endpoints>> {
        let read = |settings| Endpoint::open(settings).map(Arc::new);
        let endpoints: Result<Vec<_>, String> =
            ctx.settings.registry.notifications.iter().map(read).collect();
        let endpoints = Endpoints { all: endpoints.map_err(io::Error::other)?, file: directory.join(FILE) };
        let lost = endpoints.take_up().map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", endpoints.file.display()))
        })?;
        ctx.metrics.images.events_lost.inc_by(lost);
        for endpoint in &endpoints.all {
            ctx.tasks.spawn("registry events", deliver(Arc::clone(ctx), Arc::clone(endpoint)));
        }
        Ok(Arc::new(endpoints))
    }

    /// Queues what the last run left; how many events nobody wants any more. The file goes at the next stop: a server
    /// that is killed before tells them once more rather than never.
    fn take_up(&self) -> io::Result<u64> {
        let text = match std::fs::read(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            text => text?,
        };
        let left: Left = serde_json::from_slice(&text)?;
        let mut lost = 0;
        for (url, events) in left {
            let endpoint = self.all.iter().find(|endpoint| endpoint.url == *url);
            info!(url, events = events.len(), known = endpoint.is_some(), "events of the last run");
            for event in events {
                let body = Bytes::from(String::from(Box::<str>::from(event)));
                if !endpoint.is_some_and(|endpoint| endpoint.push(body)) {
                    lost += 1;
                }
            }
        }
        Ok(lost)
    }

    /// Writes down what still waits. For the very end, when nothing happens any more.
    pub fn write_down(&self) {
        if let Err(error) = self.try_write_down() {
            error!(%error, file = %self.file.display(), "events that nobody was told could not be written down");
        }
    }

    fn try_write_down(&self) -> io::Result<()> {
        let mut left = Left::new();
        for endpoint in &self.all {
            for body in endpoint.lock().iter() {
                let event = RawValue::from_string(String::from_utf8_lossy(body).into_owned())?;
                left.entry(endpoint.url.to_string()).or_default().push(event);
            }
        }
        if left.is_empty() {
            return match std::fs::remove_file(&self.file) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            };
        }
        crate::pki::write_secret(&self.file, &serde_json::to_vec(&left)?).map_err(io::Error::other)
    }

    /// Tells an event to all who want it; never waits.
    pub(super) fn tell(&self, ctx: &Ctx, event: &Event) {
        let action = event.action.as_str();
        let mut wanting = self.all.iter().filter(|endpoint| endpoint.wants(action)).peekable();
        if wanting.peek().is_none() {
            return;
        }
        let body = Bytes::from(cloud_event(ctx, event).to_string());
        for endpoint in wanting {
            if !endpoint.push(body.clone()) {
                ctx.metrics.images.events_lost.inc();
            }
        }
    }
}

impl Endpoint {
    fn open(settings: &EndpointSettings) -> Result<Endpoint, String> {
        let url: http::Uri = settings.url.parse().map_err(|error| format!("{}: {error}", settings.url))?;
        if !matches!(url.scheme_str(), Some("http" | "https")) || url.authority().is_none() {
            return Err(format!("{} is no address of an endpoint for events", settings.url));
        }
        let token = match &settings.token_file {
            None => None,
            Some(path) => {
                let text =
                    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
                let mut value = HeaderValue::from_str(&format!("Bearer {}", text.trim()))
                    .map_err(|_| format!("{} holds no token", path.display()))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let known = ["push", "pull", "delete"];
        if let Some(odd) = settings.actions.iter().find(|action| !known.contains(&action.as_str())) {
            return Err(format!("{odd:?} is no action of the registry: there are {}", known.join(", ")));
        }
        let actions = settings.actions.clone();
        Ok(Endpoint { url, authorization: token, actions, waiting: Mutex::default(), more: Notify::new() })
    }

    fn wants(&self, action: &str) -> bool {
        self.actions.is_empty() || self.actions.iter().any(|wanted| wanted == action)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Bytes>> {
        // An event is in the queue or not, whatever panicked.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False when the queue is full.
    fn push(&self, body: Bytes) -> bool {
        let mut waiting = self.lock();
        if waiting.len() >= QUEUE {
            return false;
        }
        waiting.push_back(body);
        self.more.notify_one();
        true
    }

    fn first(&self) -> Option<Bytes> {
        self.lock().front().cloned()
    }

    /// Forgets the first one; nobody but who delivers takes any away.
    fn pop(&self) {
        self.lock().pop_front();
    }

    fn request(&self, body: Bytes) -> Request<Bytes> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
        }
        request
    }
}

async fn deliver(ctx: Ctx, endpoint: Arc<Endpoint>) {
    loop {
        let Some(body) = endpoint.first() else {
            tokio::select! {
                () = endpoint.more.notified() => continue,
                () = ctx.tasks.stopping() => break,
            }
        };
        match send(&ctx, &endpoint, body).await {
            Sent::Taken => endpoint.pop(),
            Sent::GivenUp => {
                endpoint.pop();
                ctx.metrics.images.events_lost.inc();
                warn!(url = %endpoint.url, "an event of the registry could not be told and is given up");
            }
            Sent::Stopped => break,
        }
    }
    say_last_words(&ctx, &endpoint).await;
}

/// Tells what waits, as long as the endpoint takes it and there is time; the rest stays in the queue.
async fn say_last_words(ctx: &Ctx, endpoint: &Endpoint) {
    let end = Instant::now() + LAST_WORDS;
    while let Some(body) = endpoint.first() {
        match tokio::time::timeout_at(end, attempt(ctx, endpoint, body)).await {
            Ok(Ok(())) => endpoint.pop(),
            Ok(Err(why)) => return debug!(url = %endpoint.url, why, "the endpoint takes nothing at the end"),
            Err(_) => return debug!(url = %endpoint.url, "no time is left for events"),
        }
    }
}

/// What became of an event.
enum Sent {
    Taken,
    GivenUp,
    Stopped,
}

/// Sends one event until it is taken, its time is over or the server stops. What is on its way then may arrive: its answer
/// is waited for, or it would be told twice.
async fn send(ctx: &Ctx, endpoint: &Endpoint, body: Bytes) -> Sent {
    let mut pause = PAUSES.0;
    for number in 1..=ATTEMPTS {
        let mut sending = std::pin::pin!(attempt(ctx, endpoint, body.clone()));
        let outcome = tokio::select! {
            outcome = sending.as_mut() => outcome,
            () = ctx.tasks.stopping() => match tokio::time::timeout(LAST_WORDS, sending).await {
                Ok(outcome) => outcome,
                Err(_) => return Sent::Stopped,
            },
        };
        let Err(why) = outcome else { return Sent::Taken };
        debug!(url = %endpoint.url, number, why, "an event of the registry was not taken");
        if number < ATTEMPTS {
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSES.1),
                () = ctx.tasks.stopping() => return Sent::Stopped,
            }
        }
    }
    Sent::GivenUp
}

/// Sends one event once; why it was not taken.
async fn attempt(ctx: &Ctx, endpoint: &Endpoint, body: Bytes) -> Result<(), String> {
    let sending = ctx.transport.send(endpoint.request(body), Trust::Verified);
    match tokio::time::timeout(PATIENCE, sending).await {
        Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
        Ok(Ok(answer)) => Err(format!("it answered {}", answer.status())),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it does not answer".to_owned()),
    }
}

/// An event in the form of CloudEvents 1.0.
fn cloud_event(ctx: &Ctx, event: &Event) -> Value {
    let host = &ctx.settings.images.internal_registry_hostname;
    let mut data = json!({
        "action": event.action.as_str(), "repository": event.repository, "actor": {"name": event.user},
        "request": {"id": event.request_id},
    });
    let known = [("tag", &event.tag), ("digest", &event.digest), ("mediaType", &event.media_type)];
    for (name, value) in known {
        if let Some(value) = value {
            data[name] = value.as_str().into();
        }
    }
    let reference = match (&event.tag, &event.digest) {
        (Some(tag), _) => format!("{}:{tag}", event.repository),
        (None, Some(digest)) => format!("{}@{digest}", event.repository),
        (None, None) => event.repository.clone(),
    };
    json!({
        "specversion": "1.0",
        "id": ctx.random.uid(),
        "source": format!("//{host}"),
        "type": format!("io.weir.registry.{}", event.action.as_str()),
        "subject": reference,
        "time": ctx.clock.now().to_string(),
        "datacontenttype": "application/json",
        "data": data,
    })
}
