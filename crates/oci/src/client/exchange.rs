//! One request with its redirects, and bodies with their bounds.
//!
//! Redirects are followed here, not in the transport, so that the rules are in one place: at most
//! [`limits::REDIRECTS`], credentials dropped for good at the first hop to another origin, no step down from https to
//! http unless the caller allowed insecure transport.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, LOCATION};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use reqwest::Url;
use tokio::time::timeout;

use super::error::{Cause, RegistryError};
use super::transport::{ResponseBody, Transport, TransportError, Trust};
use crate::limits;

/// A request to be made.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) method: Method,
    /// Absolute.
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    /// For the headers of the last answer, redirects included.
    pub(super) patience: Duration,
    pub(super) redirects: Redirects,
}

/// Which redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redirects {
    /// All that are safe.
    Anywhere,
    /// Only within the origin of the request.
    SameOrigin,
}

/// An answer, its body not read yet.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Where it came from in the end.
    pub(super) url: Url,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: ResponseBody,
}

/// A transport with the trust that its requests get.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) trust: Trust,
}

impl Exchange {
    /// Sends a request and follows where it leads.
    pub(super) async fn send(&self, outgoing: Outgoing) -> Result<Incoming, RegistryError> {
        let verb = verb(&outgoing.method);
        let url = outgoing.url.clone();
        match timeout(outgoing.patience, self.follow(outgoing)).await {
            Ok(result) => result,
            Err(_) => Err(failed(verb, &url, TransportError::AWAITING_HEADERS)),
        }
    }

    async fn follow(&self, outgoing: Outgoing) -> Result<Incoming, RegistryError> {
        let Outgoing { method, url: mut shown, mut headers, redirects, .. } = outgoing;
        let verb = verb(&method);
        let mut url = Url::parse(&shown).map_err(|_| RegistryError::Address(shown.clone()))?;
        for _ in 0..=limits::REDIRECTS {
            let mut request = Request::new(Bytes::new());
            *request.method_mut() = method.clone();
            *request.uri_mut() =
                url.as_str().parse().map_err(|_| RegistryError::Address(url.as_str().to_owned()))?;
            request.headers_mut().clone_from(&headers);
            let answer = self
                .transport
                .send(request, self.trust)
                .await
                .map_err(|error| failed(verb, &shown, error))?;
            let (parts, body) = answer.into_parts();
            let Some(location) = redirect_target(parts.status, &parts.headers) else {
                return Ok(Incoming { url, status: parts.status, headers: parts.headers, body });
            };
            let next =
                self.next_hop(&url, &location, redirects).map_err(|cause| failed(verb, &shown, cause))?;
            if next.origin() != url.origin() {
                headers.remove(AUTHORIZATION);
            }
            shown = next.to_string();
            url = next;
        }
        let cause = Cause::Redirect(format!("stopped after {} redirects", limits::REDIRECTS));
        Err(failed(verb, &shown, cause))
    }

    fn next_hop(&self, url: &Url, location: &str, redirects: Redirects) -> Result<Url, Cause> {
        let next = url.join(location).map_err(|error| {
            Cause::Redirect(format!("failed to parse Location header {location:?}: {error}"))
        })?;
        if !matches!(next.scheme(), "http" | "https") {
            return Err(Cause::Redirect(format!("unsupported protocol scheme {:?}", next.scheme())));
        }
        if url.scheme() == "https" && next.scheme() == "http" && self.trust == Trust::Verified {
            return Err(Cause::Redirect(format!("refusing to be redirected from https to {next}")));
        }
        if redirects == Redirects::SameOrigin && next.origin() != url.origin() {
            return Err(Cause::Redirect(format!("refusing to be redirected to {next}")));
        }
        Ok(next)
    }
}

impl Incoming {
    /// The whole body, at most `most` bytes.
    pub(super) async fn read(self, what: &'static str, most: usize) -> Result<Bytes, RegistryError> {
        let claimed = content_length(&self.headers);
        if claimed.is_some_and(|claimed| claimed > most as u64) {
            return Err(RegistryError::TooLarge { what, most, unit: "bytes" });
        }
        let body = timeout(limits::BODY_TIMEOUT, collect(self.body, what, most))
            .await
            .map_err(|_| RegistryError::Body(TransportError::READING_BODY))??;
        match claimed {
            Some(claimed) if claimed != body.len() as u64 => {
                Err(RegistryError::Body(TransportError::Truncated))
            }
            _ => Ok(body),
        }
    }

    /// The error that this answer, which is no success, stands for.
    pub(super) async fn into_error(self) -> RegistryError {
        let (status, headers) = (self.status, self.headers);
        // What is cut off or broken is reported as the garbage it is; the status counts.
        let body =
            timeout(limits::BODY_TIMEOUT, head(self.body, limits::ERROR_BYTES)).await.unwrap_or_default();
        RegistryError::from_answer(status, &headers, &body)
    }
}

/// `Get`, `Head`: how errors name a method.
pub(super) fn verb(method: &Method) -> &'static str {
    if *method == Method::HEAD { "Head" } else { "Get" }
}

/// An error of a request that got no answer.
pub(super) fn failed(verb: &'static str, url: &str, cause: impl Into<Cause>) -> RegistryError {
    RegistryError::Request { verb, url: url.to_owned(), cause: Box::new(cause.into()) }
}

/// What an answer claims of its body's length.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn redirect_target(status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let redirects = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = headers.get(LOCATION).filter(|_| redirects)?;
    Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
}

async fn collect(mut body: ResponseBody, what: &'static str, most: usize) -> Result<Bytes, RegistryError> {
    let mut collected = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(RegistryError::Body)?.into_data() else { continue };
        if collected.len() + data.len() > most {
            return Err(RegistryError::TooLarge { what, most, unit: "bytes" });
        }
        collected.extend_from_slice(&data);
    }
    Ok(collected.freeze())
}

/// The beginning of a body, as much as can be had.
async fn head(mut body: ResponseBody, most: usize) -> Vec<u8> {
    let mut collected = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        collected.extend_from_slice(&data[..data.len().min(most - collected.len())]);
        if collected.len() == most {
            break;
        }
    }
    collected
}
