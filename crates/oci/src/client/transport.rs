//! How requests leave the process: a seam with one method.
//!
//! A transport sends exactly one request and returns the answer as it comes. It follows no redirect, knows no
//! credentials and repeats nothing; all of that is decided above it, where tests can see it.

use std::fmt;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;

/// An answer's body, streamed.
pub type ResponseBody = UnsyncBoxBody<Bytes, TransportError>;

/// Whether the peer of an https connection must prove who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Certificates are verified.
    Verified,
    /// Any certificate will do, and plain http is allowed.
    Insecure,
}

/// Sends one request.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Prepares what the first request would otherwise wait for. Blocks; for a thread that may.
    fn warm(&self) {}

    /// Sends a request with an absolute URL and returns the answer once its headers are there.
    fn send(
        &self,
        request: Request<Bytes>,
        trust: Trust,
    ) -> BoxFuture<'_, Result<Response<ResponseBody>, TransportError>>;
}

/// Why there is no answer, or no more of it; prints in Go's words, which users know from every registry client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection to an address.
    #[error("dial tcp {address}: {cause}")]
    Connect {
        /// `ip:port`
        address: String,
        /// `connect: connection refused`, `i/o timeout`…
        cause: String,
    },
    /// No address for a name.
    #[error("dial tcp: lookup {host}{}: {cause}", server.as_ref().map(|server| format!(" on {server}")).unwrap_or_default())]
    Lookup {
        /// The name.
        host: String,
        /// The name server that was asked, as `ip:port`.
        server: Option<String>,
        /// `no such host` or `server misbehaving`
        cause: &'static str,
    },
    /// The peer's certificate was not accepted.
    #[error("tls: failed to verify certificate: x509: {0}")]
    Certificate(String),
    /// Any other trouble with TLS.
    #[error("{0}")]
    Tls(String),
    /// The peer speaks http where https was expected.
    #[error("http: server gave HTTP response to HTTPS client")]
    PlainHttp,
    /// The connection was closed before an answer.
    #[error("EOF")]
    Closed,
    /// The connection was closed in the middle of an answer.
    #[error("the answer ended before all of it had come: unexpected EOF")]
    Truncated,
    /// The connection was reset.
    #[error("read: connection reset by peer")]
    Reset,
    /// It took too long.
    #[error("context deadline exceeded (Client.Timeout exceeded while {0})")]
    Timeout(&'static str),
    /// The address may not be reached from here.
    #[error("dial tcp {0}: address is not allowed")]
    AddressRefused(String),
    /// Anything else, in its own words.
    #[error("{0}")]
    Other(String),
}

impl TransportError {
    /// Waiting for headers took too long.
    pub(crate) const AWAITING_HEADERS: Self = TransportError::Timeout("awaiting headers");
    /// Reading a body took too long.
    pub(crate) const READING_BODY: Self = TransportError::Timeout("reading body");

    /// Whether it was a matter of time.
    pub fn is_timeout(&self) -> bool {
        match self {
            TransportError::Timeout(_) => true,
            TransportError::Connect { cause, .. } => cause == "i/o timeout",
            _ => false,
        }
    }
}
