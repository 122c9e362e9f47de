//! What the listener can do at best: Weir's own listener and TLS settings with a handler that always gives the same bytes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use server::body::Body;
use server::clock::Clock;
use server::listen::{self, Answer, Handler, Peer};
use server::pki::Authority;
use server::random::Random;
use server::serve::tls_settings;
use server::settings::Settings;
use server::tasks::Tasks;
use tokio::net::TcpListener;

struct Constant(Bytes);

impl Handler for Constant {
    fn handle(self: Arc<Self>, _: Arc<Peer>, _: Request<Incoming>) -> Answer {
        Box::pin(async move {
            let mut response = Response::new(Body::from(self.0.clone()));
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            response
        })
    }
}

/// Serves the file `body` of a data directory until the process is killed; prints the address.
#[expect(clippy::print_stdout, reason = "whoever started this process reads the address there")]
pub(crate) async fn serve(data: PathBuf) -> Result<()> {
    let body = std::fs::read(data.join("body")).context("the bytes to serve")?;
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let address = listener.local_addr()?;
    let (clock, random) = (Clock::system(), Random::system());
    let authority = Authority::open(&data.join("pki"), clock.timestamp(), &random)?;
    let tls = tls_settings(&authority, &settings(&data, address), address, &clock, &random)?;
    println!("{address}");
    listen::serve(
        listener,
        Some(tls),
        listen::Traffic::Messages,
        Arc::new(Constant(body.into())),
        Tasks::new(),
    )
    .await;
    Ok(())
}

fn settings(data: &Path, address: SocketAddr) -> Settings {
    Settings {
        data_dir: data.to_owned(),
        listen: address,
        registry_listen: address,
        names: Vec::new(),
        images: Default::default(),
        requests: server::settings::RequestSettings::default(),
        audit: server::settings::AuditSettings { log: "off".to_owned(), ..Default::default() },
        login: None,
        front_proxy: None,
        registry: Default::default(),
        oidc: None,
        webhooks: Default::default(),
        workloads: Default::default(),
    }
}
