//! The integrated registry in the server: its listener, its catalog over image streams, its rights.
//!
//! A push ends in the same door as every other write of a stream, so a tag that was pushed is there with its history,
//! its followers and its ledger row when the client hears of it. A pull asks the stream what its tag means now.

mod access;
mod adoption;
mod catalog;
mod contents;
mod images;
pub mod measures;
mod notify;
mod places;
mod push;
mod storage;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::registry::{Code, Error, MetricsAccess, Origin, Registry, RequestBody, Settings, Surroundings};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use self::access::Rights;
use self::catalog::Streams;
pub use self::notify::Endpoints;
use crate::body::Body;
use crate::context::Ctx;
use crate::limits;
use crate::listen::{self, Answer, Handler, Peer, TlsSettings, Traffic};

/// Directory of the registry's content below the data directory.
const DIRECTORY: &str = "registry";
/// Time between two collections of content that nobody needs.
const COLLECT_PERIOD: Duration = Duration::from_secs(3600);

/// Opens the registry and tidies up what a crash left. Beside it, who is told what happens in it.
///
/// # Errors
/// When its directories cannot be used or its records cannot be read.
pub async fn open(ctx: &Ctx) -> io::Result<(Arc<Registry>, Arc<Endpoints>)> {
    let directory = ctx.settings.data_dir.join(DIRECTORY);
    let inner = storage::open(ctx, &directory)?;
    ctx.tasks.spawn("registry storage", storage::watch(Arc::clone(ctx), Arc::clone(&inner)));
    let blobs = Arc::new(storage::Measured { ctx: Arc::clone(ctx), inner });
    let (clock, random, counted, told) = (ctx.clock, Arc::clone(ctx), Arc::clone(ctx), Arc::clone(ctx));
    let endpoints = Endpoints::start(ctx, &directory)?;
    let telling = Arc::clone(&endpoints);
    let around = Surroundings {
        now: Box::new(move || u64::try_from(clock.timestamp().as_second()).unwrap_or(0)),
        random: Box::new(move |buffer| random.random.fill(buffer)),
        spawn: spawner(ctx),
        notify: Box::new(move |event| telling.tell(&told, &event)),
        counters: Box::new(move || counted.metrics.images.text()),
    };
    let catalog = Arc::new(Streams::new(Arc::clone(ctx)));
    let access = Arc::new(Rights::new(Arc::clone(ctx)));
    let store = Arc::clone(&ctx.store);
    let own = &ctx.settings.registry;
    let metrics = own.metrics.enabled.then(|| MetricsAccess { secret: own.metrics.secret.clone() });
    let settings = Settings { mirror: own.mirror, agent: ctx.agent.clone(), metrics, ..Settings::default() };
    let registry = Arc::new(Registry::new(catalog, access, blobs, store, around, settings));
    let left = registry.recover().await.map_err(io::Error::other)?;
    if left > 0 {
        info!(left, "removed what unfinished uploads left behind");
    }
    if let Some(directory) = &ctx.settings.registry.adopt {
        let volume = adoption::open(directory)?;
        ctx.tasks.spawn("adoption", adoption::run(Arc::clone(ctx), Arc::clone(&registry), volume));
    }
    Ok((registry, endpoints))
}

/// Transfers from other registries end with the server; nothing of them counts before they are whole.
fn spawner(ctx: &Ctx) -> ::registry::Spawn {
    let tasks = ctx.tasks.clone();
    Box::new(move |transfer| {
        let stop = tasks.clone();
        tasks.spawn_small(async move {
            tokio::select! {
                () = transfer => {}
                () = stop.stopping() => {}
            }
        });
    })
}

/// Starts to listen. On a loopback address the registry speaks plain HTTP, as clients expect of one there; elsewhere TLS.
pub fn start(
    ctx: &Ctx,
    registry: &Arc<Registry>,
    listener: TcpListener,
    address: SocketAddr,
    tls: TlsSettings,
) {
    let tls = Some(tls).filter(|_| !address.ip().is_loopback());
    let handler = Arc::new(Front { ctx: Arc::clone(ctx), registry: Arc::clone(registry) });
    ctx.tasks.spawn("registry", listen::serve(listener, tls, Traffic::Content, handler, ctx.tasks.clone()));
    crate::account_secrets::start(ctx);
    ctx.tasks.spawn("registry collection", collect(Arc::clone(ctx), Arc::clone(registry)));
}

async fn collect(ctx: Ctx, registry: Arc<Registry>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(COLLECT_PERIOD) => {}
            () = ctx.tasks.stopping() => {
                if let Err(error) = registry.rest().await {
                    warn!(%error, "uploads that have begun could not be noted");
                }
                return;
            }
        }
        match registry.collect().await {
            Ok(done) if done == Default::default() => debug!("nothing to collect"),
            Ok(done) => info!(
                blobs = done.blobs,
                bytes = done.bytes,
                links = done.links,
                uploads = done.uploads,
                strays = done.strays,
                "collected content that nobody needs"
            ),
            Err(error) => warn!(%error, "content that nobody needs could not be collected"),
        }
    }
}

/// Takes requests to the registry's listener.
#[derive(Debug)]
struct Front {
    ctx: Ctx,
    registry: Arc<Registry>,
}

impl Handler for Front {
    fn handle(self: Arc<Self>, peer: Arc<Peer>, request: Request<Incoming>) -> Answer {
        Box::pin(async move { self.answer(&peer, request).await })
    }
}

impl Front {
    async fn answer(&self, peer: &Peer, request: Request<Incoming>) -> Response<Body> {
        let start = Instant::now();
        let address = peer.address.map(|address| address.ip());
        let origin = Origin { tls: peer.tls, address, request_id: self.ctx.random.uid() };
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let measures = &self.ctx.metrics.images;
        let in_flight = measures.begin(request.body().size_hint().exact());
        let request = request.map(|body| RequestBody::new(body.map_err(Into::into)));
        let response = match self.ctx.storage_trouble.load().as_ref() {
            Some(why) => Error::unavailable(why).into_response(),
            None if is_too_long(request.headers()) => {
                let error = Error::new(Code::Unsupported).message("the request's headers are too long");
                error.status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE).into_response()
            }
            None => Arc::clone(&self.registry).answer(origin.clone(), request).await,
        };
        drop(in_flight);
        let (code, seconds) = (response.status().as_u16(), start.elapsed().as_secs_f64());
        measures.answered(&method, &path, &response, seconds);
        if code >= 500 {
            error!(%method, path, code, request_id = origin.request_id, "a request to the registry failed");
        }
        debug!(%method, path, code, seconds, request_id = origin.request_id, "registry");
        let mut response = response.map(Body::Registry);
        if let Ok(id) = origin.request_id.parse() {
            response.headers_mut().insert(header::HeaderName::from_static("audit-id"), id);
        }
        response
    }
}

/// Connections for content take more at once than headers may have.
fn is_too_long(headers: &HeaderMap) -> bool {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>() > limits::HEADERS
}
