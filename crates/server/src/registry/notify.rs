//! Events of the registry, told to endpoints as CloudEvents over HTTP.
//!
//! Each endpoint has a queue of its own, so that one that is slow or gone holds up nobody: not the registry, not the others.
//! An event is sent again, with growing pauses, until the endpoint takes it or its time is over; when the queue is full, new
//! events are counted as lost. Events in a queue do not outlive the server: whoever must not miss any reads the ledger.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::registry::Event;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use oci::client::Trust;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tracing::{debug, warn};

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
const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// The endpoints that are told.
#[derive(Debug, Default)]
pub(super) struct Endpoints(Vec<Arc<Endpoint>>);

#[derive(Debug)]
struct Endpoint {
    url: http::Uri,
    authorization: Option<HeaderValue>,
    actions: Vec<String>,
    waiting: Mutex<VecDeque<Bytes>>,
    more: Notify,
}

impl Endpoints {
    /// Starts telling the endpoints of the settings.
    ///
    /// # Errors
    /// When an address or a token cannot be read.
    pub(super) fn start(ctx: &Ctx) -> std::io::Result<Arc<Endpoints>> {
        let read = |settings| Endpoint::open(settings).map(Arc::new);
        let endpoints: Result<Vec<_>, String> =
            ctx.settings.registry.notifications.iter().map(read).collect();
        let endpoints = Endpoints(endpoints.map_err(std::io::Error::other)?);
        for endpoint in &endpoints.0 {
            ctx.tasks.spawn("registry events", deliver(Arc::clone(ctx), Arc::clone(endpoint)));
        }
        Ok(Arc::new(endpoints))
    }

    /// Tells an event to all who want it; never waits.
    pub(super) fn tell(&self, ctx: &Ctx, event: &Event) {
        let action = event.action.as_str();
        let mut wanting = self.0.iter().filter(|endpoint| endpoint.wants(action)).peekable();
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

    /// False when the queue is full.
    fn push(&self, body: Bytes) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= QUEUE {
            return false;
        }
        waiting.push_back(body);
        self.more.notify_one();
        true
    }

    fn pop(&self) -> Option<Bytes> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
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
        let Some(body) = endpoint.pop() else {
            tokio::select! {
                () = endpoint.more.notified() => continue,
                () = ctx.tasks.stopping() => return,
            }
        };
        tokio::select! {
            taken = send(&ctx, &endpoint, body) => if !taken {
                ctx.metrics.images.events_lost.inc();
                warn!(url = %endpoint.url, "an event of the registry could not be told and is given up");
            },
            () = ctx.tasks.stopping() => return,
        }
    }
}

/// Sends one event until it is taken; false when its time is over.
async fn send(ctx: &Ctx, endpoint: &Endpoint, body: Bytes) -> bool {
    let mut pause = PAUSES.0;
    for attempt in 1..=ATTEMPTS {
        let sending = ctx.transport.send(endpoint.request(body.clone()), Trust::Verified);
        let why = match tokio::time::timeout(PATIENCE, sending).await {
            Ok(Ok(answer)) if answer.status().is_success() => return true,
            Ok(Ok(answer)) => format!("it answered {}", answer.status()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not answer".to_owned(),
        };
        debug!(url = %endpoint.url, attempt, why, "an event of the registry was not taken");
        if attempt < ATTEMPTS {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
    false
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
