//! The transport that really goes out: reqwest over rustls.
//!
//! Redirects, retries and credentials are switched off here; see [`super::exchange`] for who does them. Names are
//! resolved by a resolver of our own that asks the [`AddressPolicy`] about every address, literal addresses are asked
//! about before sending, so every hop is checked against what is connected to. Proxies of the environment are honoured,
//! except for loopback hosts, which no proxy can reach.

mod failure;
mod resolver;

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use reqwest::{Certificate, Client, redirect};

use super::address::AddressPolicy;
use super::transport::{ResponseBody, Transport, TransportError, Trust};
use crate::limits;
use resolver::CheckedResolver;

/// How requests go out.
#[derive(Debug, Clone, Default)]
pub struct WebSettings {
    /// Certificates (PEM bundles) that are trusted beside the system's.
    pub extra_roots: Vec<Vec<u8>>,
    /// Which addresses may be connected to.
    pub addresses: AddressPolicy,
    /// The `User-Agent`; empty for none.
    pub user_agent: String,
    /// Proxies of the environment are not used: a proxy resolves names where nobody asks the policy.
    pub no_proxy: bool,
}

/// Sends requests over the network.
#[derive(Debug)]
pub struct WebTransport {
    roots: Vec<Certificate>,
    addresses: AddressPolicy,
    user_agent: String,
    no_proxy: bool,
    /// Made when first needed: reading the system's certificates takes a while, and many never import.
    clients: Mutex<[Option<Client>; 4]>,
}

impl WebTransport {
    /// A transport; fails when an extra bundle holds no certificates.
    pub fn new(settings: WebSettings) -> Result<Self, TransportError> {
        let mut roots = Vec::new();
        for bundle in &settings.extra_roots {
            let certificates = Certificate::from_pem_bundle(bundle).map_err(|error| {
                TransportError::Other(format!("certificate bundle cannot be read: {error}"))
            })?;
            if certificates.is_empty() {
                return Err(TransportError::Other("certificate bundle holds no certificates".to_owned()));
            }
            roots.extend(certificates);
        }
        let WebSettings { addresses, user_agent, no_proxy, .. } = settings;
        Ok(Self { roots, addresses, user_agent, no_proxy, clients: Mutex::default() })
    }

    fn client(&self, trust: Trust, direct: bool) -> Result<Client, TransportError> {
        let slot = usize::from(trust == Trust::Insecure) * 2 + usize::from(direct);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &clients[slot] {
            return Ok(client.clone());
        }
        let client = self.build(trust, direct).map_err(|error| failure::describe(&error))?;
        clients[slot] = Some(client.clone());
        Ok(client)
    }

    fn build(&self, trust: Trust, direct: bool) -> reqwest::Result<Client> {
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(limits::CONNECT_TIMEOUT)
            .read_timeout(limits::READ_TIMEOUT)
            .dns_resolver(CheckedResolver::new(self.addresses.clone()));
        if !self.user_agent.is_empty() {
            builder = builder.user_agent(self.user_agent.as_str());
        }
        if direct {
            builder = builder.no_proxy();
        }
        builder = match trust {
            Trust::Insecure => builder.tls_danger_accept_invalid_certs(true),
            Trust::Verified if self.roots.is_empty() => builder,
            Trust::Verified => builder.tls_certs_merge(self.roots.clone()),
        };
        builder.build()
    }
}

impl Transport for WebTransport {
    fn warm(&self) {
        for (trust, direct) in [(Trust::Verified, false), (Trust::Insecure, true)] {
            if let Err(error) = self.client(trust, direct) {
                tracing::warn!(%error, "the client for other registries");
            }
        }
    }

    fn send(
        &self,
        request: Request<Bytes>,
        trust: Trust,
    ) -> BoxFuture<'_, Result<Response<ResponseBody>, TransportError>> {
        Box::pin(async move {
            let request = reqwest::Request::try_from(request).map_err(|error| failure::describe(&error))?;
            let url = request.url().clone();
            let literal = resolver::literal(&url);
            if let Some(address) = literal
                && !self.addresses.allows(address.ip())
            {
                return Err(TransportError::AddressRefused(address.to_string()));
            }
            let direct = self.no_proxy
                || literal.is_some_and(|address| address.ip().to_canonical().is_loopback())
                || url.host_str().is_some_and(|host| host == "localhost");
            match self.client(trust, direct)?.execute(request).await {
                Ok(answer) => {
                    let answer: Response<reqwest::Body> = answer.into();
                    Ok(answer.map(|body| body.map_err(|error| failure::describe_body(&error)).boxed_unsync()))
                }
                Err(error) => Err(failure::locate(failure::describe(&error), &url, &self.addresses).await),
            }
        })
    }
}

#[cfg(test)]
mod tests;
