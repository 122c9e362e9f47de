//! Requests to the API server and its answers.
//!
//! Everything goes through the Kubernetes client library's HTTP stack, which knows certificates, tokens and credential
//! plugins. Bodies are JSON. A request is repeated only when the server asks for it (429 or 5xx with `Retry-After`).
//! Warnings of the server reach standard error once each.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use kube::client::Body;
use machinery::meta::{Status, StatusDetails};
use machinery::query::parameter;
pub(crate) use machinery::query::segment;
use serde_json::Value;
use tokio::time::Instant;

use crate::failure::{Failure, plain};
use crate::io::Io;
use crate::limits;

/// Wants plain objects.
pub(crate) const JSON: &str = "application/json";
/// Wants plain objects, as the typed clients of the reference ask for them.
pub(crate) const JSON_OR_ANY: &str = "application/json, */*";
/// Wants tables.
pub(crate) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

/// A connection to one server.
pub(crate) struct Api {
    client: kube::Client,
    timeout: Option<Duration>,
    verbosity: u8,
    io: Io,
    warned: RefCell<BTreeSet<String>>,
    /// `host:port`, for messages.
    host: String,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("host", &self.host).finish_non_exhaustive()
    }
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) accept: &'static str,
    pub(crate) body: Option<(&'static str, Bytes)>,
}

impl Call {
    /// Reads something.
    pub(crate) fn get(target: impl Into<String>, accept: &'static str) -> Call {
        Call { method: Method::GET, target: target.into(), accept, body: None }
    }

    /// Sends a document.
    pub(crate) fn send(method: Method, target: impl Into<String>, document: &Value) -> Call {
        Call {
            method,
            target: target.into(),
            accept: JSON,
            body: Some((JSON, Bytes::from(machinery::json::compact(document)))),
        }
    }

    /// Sends a document that is encoded already, of a media type of its own.
    pub(crate) fn bytes(
        method: Method,
        target: impl Into<String>,
        media: &'static str,
        body: Vec<u8>,
    ) -> Call {
        Call { method, target: target.into(), accept: JSON, body: Some((media, Bytes::from(body))) }
    }
}

/// An answer that is no error.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Bytes,
}

impl Answer {
    /// The answer as a document.
    pub(crate) fn document(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|error| plain(format!("the server's answer is no JSON: {error}")))
    }
}

impl Api {
    /// A connection for a command.
    pub(crate) fn new(
        client: kube::Client,
        host: String,
        timeout: Option<Duration>,
        verbosity: u8,
        io: Io,
    ) -> Api {
        Api { client, timeout, verbosity, io, warned: RefCell::default(), host }
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn call(&self, call: Call) -> Result<Answer, Failure> {
        self.in_time(self.call_patiently(call)).await
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        match self.timeout {
            None => work.await,
            Some(limit) => tokio::time::timeout(limit, work).await.map_err(|_| {
                Failure::Unreachable(
                    "Unable to connect to the server: net/http: request canceled (Client.Timeout exceeded while awaiting headers)"
                        .to_owned(),
                )
            })?,
        }
    }

    /// Sends a request as it is, once, and returns whatever is answered.
    pub(crate) async fn exchange(
        &self,
        request: http::Request<Body>,
    ) -> Result<(http::response::Parts, Bytes), Failure> {
        self.in_time(async {
            let response = self.client.send(request).await.map_err(|error| self.unreachable(&error))?;
            let (head, body) = response.into_parts();
            Ok((head, whole(body).await?))
        })
        .await
    }

    /// Sends a request and reads the answer as a document.
    pub(crate) async fn document(&self, call: Call) -> Result<Value, Failure> {
        self.call(call).await?.document()
    }

    async fn call_patiently(&self, call: Call) -> Result<Answer, Failure> {
        let mut attempts = 0;
        loop {
            let response = self.send(&call).await?;
            let code = response.status().as_u16();
            let (parts, body) = response.into_parts();
            attempts += 1;
            if (code == 429 || code >= 500)
                && attempts < limits::RETRY_AFTER_ATTEMPTS
                && let Some(pause) = retry_after(&parts.headers)
            {
                tokio::time::sleep(pause).await;
                continue;
            }
            let body = whole(body).await?;
            if (200..300).contains(&code) {
                return Ok(Answer { body });
            }
            return Err(refusal(code, &body, &call.method));
        }
    }

    async fn send(&self, call: &Call) -> Result<http::Response<Body>, Failure> {
        let mut request = http::Request::builder()
            .method(call.method.clone())
            .uri(&call.target)
            .header(http::header::ACCEPT, call.accept)
            .header(http::header::USER_AGENT, concat!("weir/", env!("CARGO_PKG_VERSION")));
        let body = match &call.body {
            Some((media, bytes)) => {
                request = request.header(http::header::CONTENT_TYPE, *media);
                Body::from(bytes.clone())
            }
            None => Body::empty(),
        };
        let request = request.body(body).map_err(|error| plain(format!("invalid request: {error}")))?;
        let started = Instant::now();
        let response = self.client.send(request).await.map_err(|error| self.unreachable(&error))?;
        if self.verbosity >= 6 {
            let took = started.elapsed().as_millis();
            self.io.complain(&format!(
                "{} {} {} in {took} milliseconds",
                call.method,
                call.target,
                response.status()
            ));
        }
        self.show_warnings(response.headers());
        Ok(response)
    }

    /// Starts reading an answer that never ends by itself.
    pub(crate) async fn stream(&self, call: Call) -> Result<Lines, Failure> {
        let deadline = self.timeout.map(|limit| Instant::now() + limit);
        let response = self.send(&call).await?;
        let code = response.status().as_u16();
        let body = response.into_body();
        if !(200..300).contains(&code) {
            let body = body.collect().await.map_err(|error| plain(error.to_string()))?.to_bytes();
            return Err(refusal(code, &body, &call.method));
        }
        Ok(Lines { body, buffer: BytesMut::new(), deadline, done: false })
    }

    fn show_warnings(&self, headers: &HeaderMap) {
        for header in headers.get_all(http::header::WARNING) {
            let Some(text) = header.to_str().ok().and_then(warning) else { continue };
            if self.warned.borrow_mut().insert(text.clone()) {
                self.io.complain(&format!("Warning: {text}"));
            }
        }
    }

    fn unreachable(&self, error: &kube::Error) -> Failure {
        let mut texts = vec![error.to_string()];
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            if let Some(io) = cause.downcast_ref::<std::io::Error>()
                && io.kind() == std::io::ErrorKind::ConnectionRefused
            {
                return Failure::Unreachable(format!(
                    "The connection to the server {} was refused - did you specify the right host or port?",
                    self.host
                ));
            }
            texts.push(cause.to_string());
            source = cause.source();
        }
        let cause = texts.pop().unwrap_or_default();
        Failure::Unreachable(format!("Unable to connect to the server: {cause}"))
    }
}

async fn whole(body: Body) -> Result<Bytes, Failure> {
    let body = http_body_util::Limited::new(body, limits::LARGEST_ANSWER).collect().await;
    Ok(body.map_err(|error| plain(format!("reading the server's answer: {error}")))?.to_bytes())
}

/// Lines of an answer, as they come.
pub(crate) struct Lines {
    body: Body,
    buffer: BytesMut,
    deadline: Option<Instant>,
    done: bool,
}

impl Lines {
    /// Lets the stream end by itself at a point in time, unless it does so earlier.
    pub(crate) fn until(mut self, deadline: Instant) -> Lines {
        self.deadline = Some(self.deadline.map_or(deadline, |own| own.min(deadline)));
        self
    }

    /// The next line that is not empty; nothing when the stream ended, broke off or ran into its deadline.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(at) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(at + 1).freeze();
                if line.len() > 1 {
                    return Some(line);
                }
                continue;
            }
            if self.done {
                let rest = self.buffer.split().freeze();
                return (!rest.is_empty()).then_some(rest);
            }
            let frame = match self.deadline {
                Some(deadline) => tokio::time::timeout_at(deadline, self.body.frame()).await.unwrap_or(None),
                None => self.body.frame().await,
            };
            match frame.and_then(Result::ok) {
                Some(frame) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                None => self.done = true,
            }
        }
    }
}

/// The pause a server asks for; only whole seconds are understood.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(limits::RETRY_AFTER_LONGEST))
}

/// The text of `299 - "text"`.
fn warning(header: &str) -> Option<String> {
    let quoted = header.strip_prefix("299 ")?.split_once(' ')?.1;
    let mut text = String::new();
    let mut chars = quoted.strip_prefix('"')?.chars();
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => text.push(chars.next()?),
            other => text.push(other),
        }
    }
}

/// The failure behind an answer that is no success: the server's own Status, or words for the bare HTTP code.
pub(crate) fn refusal(code: u16, body: &[u8], method: &Method) -> Failure {
    if let Ok(value) = serde_json::from_slice::<Value>(body)
        && value["kind"] == "Status"
        && let Ok(mut status) = serde_json::from_value::<Status>(value)
    {
        if status.code == 0 {
            status.code = i32::from(code);
        }
        return Failure::Status(Box::new(status));
    }
    let said = String::from_utf8_lossy(body);
    let said = if said.trim().is_empty() { "unknown" } else { said.trim() };
    let (reason, message) = match code {
        400 => ("BadRequest", "the server rejected our request for an unknown reason".to_owned()),
        401 => ("Unauthorized", "the server has asked for the client to provide credentials".to_owned()),
        403 => ("Forbidden", said.to_owned()),
        404 => ("NotFound", "the server could not find the requested resource".to_owned()),
        405 => ("MethodNotAllowed", "the server does not allow this method on the requested resource".to_owned()),
        406 => ("NotAcceptable", said.to_owned()),
        409 if *method == Method::POST => {
            ("AlreadyExists", "the server reported a conflict".to_owned())
        }
        409 => ("Conflict", "the server reported a conflict".to_owned()),
        410 => ("Expired", "the requested resource expired".to_owned()),
        415 => ("UnsupportedMediaType", said.to_owned()),
        422 => {
            ("Invalid", "the server rejected our request due to an error in our request".to_owned())
        }
        429 => ("TooManyRequests", "the server has received too many requests and has asked us to try again later".to_owned()),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request".to_owned()),
        504 => ("Timeout", "the server was unable to return a response in the time allotted, but may still be processing the request".to_owned()),
        500.. => (
            "InternalError",
            format!("an error on the server ({}) has prevented the request from succeeding", machinery::field::quote(said)),
        ),
        _ => ("", format!("the server responded with the status code {code} but did not return more information")),
    };
    Failure::Status(Box::new(Status {
        status: "Failure".to_owned(),
        message,
        reason: reason.to_owned(),
        code: i32::from(code),
        details: Some(StatusDetails::default()),
        ..Status::default()
    }))
}

/// A path with parameters, in the order given.
pub(crate) fn target(path: &str, query: &[(&str, String)]) -> String {
    let pairs: Vec<String> =
        query.iter().map(|(key, value)| format!("{}={}", parameter(key), parameter(value))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_escaped() {
        assert_eq!(
            target("/x", &[("labelSelector", "a in (b)".to_owned())]),
            "/x?labelSelector=a%20in%20%28b%29"
        );
        assert_eq!(target("/x", &[]), "/x");
    }

    #[test]
    fn warnings_are_unquoted() {
        assert_eq!(warning(r#"299 - "unknown field \"a\"""#).as_deref(), Some("unknown field \"a\""));
        assert_eq!(warning("110 - \"stale\""), None);
        assert_eq!(warning("299 - \"open"), None);
    }

    #[test]
    fn a_bare_code_gets_words() {
        assert_eq!(
            refusal(404, b"404 page not found", &Method::GET).render("weir"),
            "Error from server (NotFound): the server could not find the requested resource"
        );
        assert_eq!(
            refusal(422, b"", &Method::PATCH).render("weir"),
            "The request is invalid: the server rejected our request due to an error in our request"
        );
    }
}
