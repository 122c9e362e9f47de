//! A request, from its first byte to its answer, step by step.
//!
//! Every request takes the same way: read what it is about, find a place among those in flight, find out who asks, let
//! them act as somebody else if they may, ask whether they may do this, route, answer, count. There are no layers beside
//! this one; a step that a request must not skip is a line of its `run`. Counters and the audit log hear of every
//! request, also of one whose client went away before there was an answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use machinery::request::{RequestInfo, Verb};
use machinery::status::ApiError;
use tokio::time::Instant;
use tracing::{debug, error};

use crate::audit::{self, Decision};
use crate::auth::{self, Actor, oauth};
use crate::body::Body;
use crate::context::Ctx;
use crate::fairness::{Kind, Place};
use crate::listen::{Answer, Handler, Peer};
use crate::metrics::Counted;
use crate::resource::{self, Resource};
use crate::rest::{self, Call};
use crate::{gzip, hooks, limits, respond, routes};

/// Answers requests to the API.
#[derive(Debug)]
pub struct Pipeline {
    ctx: Ctx,
}

impl Pipeline {
    /// A pipeline over a context.
    pub fn new(ctx: Ctx) -> Pipeline {
        Pipeline { ctx }
    }
}

impl Handler for Pipeline {
    fn handle(self: Arc<Self>, peer: Arc<Peer>, request: Request<Incoming>) -> Answer {
        // Boxed once here, so that the size of one handler's future is not everybody's.
        Box::pin(async move { self.answer(&peer, request).await })
    }
}

/// What is known of a request, for its counters and the audit log, which it tells when dropped: a request whose client
/// goes away is not answered, it is just no more.
struct Seen<'a> {
    ctx: &'a Ctx,
    start: Instant,
    source: Option<SocketAddr>,
    request_id: String,
    counted: Counted,
    info: Option<Arc<RequestInfo<'static>>>,
    actor: Option<Arc<Actor>>,
    decision: Decision,
    code: u16,
}

impl<'a> Seen<'a> {
    fn new(ctx: &'a Ctx, peer: &Peer, request_id: String) -> Seen<'a> {
        Seen {
            ctx,
            start: Instant::now(),
            source: peer.address,
            request_id,
            counted: Counted::default(),
            info: None,
            actor: None,
            decision: Decision::None,
            code: audit::GONE,
        }
    }

    fn user(&self) -> &str {
        self.actor.as_deref().map(|actor| actor.user.as_str()).unwrap_or_default()
    }
}

impl Drop for Seen<'_> {
    fn drop(&mut self) {
        let latency = self.start.elapsed();
        self.ctx.metrics.request(&self.counted, self.code, latency.as_secs_f64());
        if self.ctx.audit.is_on() {
            self.ctx.audit.write(&audit::Entry {
                time: self.ctx.clock.timestamp(),
                id: &self.request_id,
                actor: self.actor.as_deref(),
                source: self.source,
                info: self.info.as_deref(),
                decision: self.decision,
                code: self.code,
                latency,
            });
        }
    }
}

impl Pipeline {
    async fn answer(&self, peer: &Peer, request: Request<Incoming>) -> Response<Body> {
        let (mut parts, incoming) = request.into_parts();
        let headers = Arc::new(std::mem::take(&mut parts.headers));
        let mut seen = Seen::new(&self.ctx, peer, request_id(&self.ctx, &headers));
        let (method, path) = (&parts.method, parts.uri.path());
        let result = self.run(peer, &parts, &headers, incoming, &mut seen).await;
        let mut response = result.unwrap_or_else(|error| {
            let manner = respond::Manner::of(parts.uri.query().unwrap_or_default(), &headers);
            if error.code() >= 500 {
                let (request_id, user) = (&seen.request_id, seen.user());
                error!(%method, path, request_id, user, %error, "request failed");
            }
            respond::error(&error, manner)
        });
        if gzip::is_wanted(&headers) {
            response = gzip::answer(response);
        }
        seen.code = response.status().as_u16();
        let (code, seconds) = (seen.code, seen.start.elapsed().as_secs_f64());
        debug!(%method, path, code, seconds, user = seen.user(), request_id = seen.request_id, "request");
        if *method == http::Method::HEAD {
            without_body(&mut response);
        }
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&seen.request_id) {
            headers.insert("audit-id", id);
        }
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        response
    }

    async fn run(
        &self,
        peer: &Peer,
        parts: &http::request::Parts,
        headers: &Arc<HeaderMap>,
        incoming: Incoming,
        seen: &mut Seen<'_>,
    ) -> Result<Response<Body>, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        let info = RequestInfo::parse(parts.method.as_str(), parts.uri.path(), query)
            .map_err(|bad| ApiError::bad_request(bad.to_string()))?;
        let info = Arc::new(info.into_owned());
        seen.info = Some(Arc::clone(&info));
        let resource = resource::find(&info.group, &info.version, &info.resource, &info.subresource);
        seen.counted = counted(&info, resource);
        if let Some(name) = hooks::called(parts.uri.path()) {
            let asked =
                hooks::Asked { name, query, headers, source: peer.address.map(|address| address.ip()) };
            return self.hook(&parts.method, &asked, incoming).await;
        }
        let place = self.ctx.in_flight.enter(Kind::of(&info))?;
        if oauth::is_endpoint(parts.uri.path()) {
            let body = if info.verb.is_read_only() { Bytes::new() } else { read_body(incoming).await? };
            let asked = oauth::Asked {
                method: &parts.method,
                path: parts.uri.path(),
                query,
                headers,
                host: host(parts, headers),
                body: &body,
            };
            return Ok(oauth::answer(&self.ctx, peer, asked).await?.unwrap_or_else(routes::not_found));
        }
        seen.decision = Decision::Unauthenticated;
        auth::prepare(&self.ctx, headers).await;
        let actor = auth::authenticate(&self.ctx, peer, headers)?;
        seen.decision = Decision::None;
        let place = place.claim(&actor.user)?;
        seen.decision = Decision::Forbid;
        if auth::is_impersonation(headers) {
            seen.actor = Some(Arc::new(actor.clone()));
        }
        let mut actor = auth::impersonate(&self.ctx, actor, headers)?;
        seen.request_id.clone_into(&mut actor.request_id);
        let actor = Arc::new(actor);
        seen.actor = Some(Arc::clone(&actor));
        auth::authorize(&self.ctx, &actor, &info)?;
        seen.decision = Decision::Allow;
        if !info.is_resource {
            let answered = routes::answer(&self.ctx, &info, query, headers)?;
            return Ok(answered.unwrap_or_else(routes::not_found));
        }
        let resource = resource
            .filter(|resource| !info.has_more && (resource.namespaced || !in_namespace(&info)))
            .ok_or_else(ApiError::no_such_path)?;
        let accepted = rest::form(resource, &info, headers)?;
        let body = if info.verb.is_read_only() { Bytes::new() } else { read_body(incoming).await? };
        let call = Call {
            ctx: Arc::clone(&self.ctx),
            resource,
            actor,
            query: query.to_owned(),
            headers: Arc::clone(headers),
            body,
            accepted,
            warnings: Arc::default(),
            info,
        };
        if !resource.advice.is_empty() {
            call.advise(vec![resource.advice.to_owned()]);
        }
        self.dispatch(call, place).await
    }

    /// A call of a hook, which has a secret of its own instead of a user.
    async fn hook(
        &self,
        method: &http::Method,
        asked: &hooks::Asked<'_>,
        incoming: Incoming,
    ) -> Result<Response<Body>, ApiError> {
        if method != http::Method::POST {
            return Err(ApiError::method_not_allowed());
        }
        let _place = self.ctx.hooks.admit(&self.ctx, asked.source)?;
        let body = read_bounded(incoming, hooks::limits::BODY, hooks::limits::BODY_TIME).await;
        let body = body.map_err(|error| hooks::unread(&self.ctx, asked, error))?;
        let said = hooks::answer(&self.ctx, asked, &body)?;
        Ok(respond::accepted(&said))
    }

    async fn dispatch(&self, call: Call, place: Place) -> Result<Response<Body>, ApiError> {
        let shape = respond::Shape::of(&call)?;
        if call.info.verb == Verb::Watch {
            return rest::watch(call, place).map(|reply| respond::reply(reply, &shape));
        }
        let reply = rest::dispatch(&call).await?;
        drop(place);
        Ok(respond::reply(reply, &shape))
    }
}

/// The server's name as the client wrote it.
fn host<'a>(parts: &'a http::request::Parts, headers: &'a HeaderMap) -> &'a str {
    let header = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    parts.uri.authority().map(http::uri::Authority::as_str).or(header).unwrap_or_default()
}

/// What HEAD is answered with: HTTP/2 would send the body otherwise.
fn without_body(response: &mut Response<Body>) {
    let body = std::mem::replace(response.body_mut(), Body::empty());
    if let Some(length) = body.len() {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// True when the path puts the object into a namespace (a namespace itself is not in one).
fn in_namespace(info: &RequestInfo<'_>) -> bool {
    !info.namespace.is_empty() && info.resource != "namespaces"
}

fn counted(info: &RequestInfo<'_>, resource: Option<&'static Resource>) -> Counted {
    let verb = info.verb.as_str();
    let Some(found) = resource else { return Counted { verb, ..Counted::default() } };
    let (resource, subresource) = found.names();
    Counted { verb, group: found.group, resource, subresource }
}

/// The caller's own id when it looks like one, else a new one.
fn request_id(ctx: &Ctx, headers: &HeaderMap) -> String {
    let given = headers.get("audit-id").and_then(|value| value.to_str().ok());
    match given {
        Some(id) if !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_graphic()) => {
            id.to_owned()
        }
        _ => ctx.random.uid(),
    }
}

async fn read_body(incoming: Incoming) -> Result<Bytes, ApiError> {
    read_bounded(incoming, limits::BODY, limits::BODY_TIME).await
}

async fn read_bounded(incoming: Incoming, most: usize, time: Duration) -> Result<Bytes, ApiError> {
    let collected = tokio::time::timeout(time, Limited::new(incoming, most).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(ApiError::too_large(format!("Request entity too large: limit is {most}")))
        }
        Ok(Err(error)) => Err(ApiError::bad_request(format!("the body could not be read: {error}"))),
        Err(_) => Err(ApiError::bad_request("the body did not arrive in time")),
    }
}

/// An actor as handlers share it.
pub type SharedActor = Arc<Actor>;
