//! A client of the API over a connection in memory: real HTTP through the real listener and pipeline.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use super::world::TOKEN;
use crate::listen::{self, Peer};
use crate::pipeline::Pipeline;
use crate::tasks::Tasks;

/// Longer than the server takes for anything but a watch.
const PATIENCE: Duration = Duration::from_secs(120);

/// One connection.
pub(super) struct Client(SendRequest<Full<Bytes>>);

impl Client {
    pub(super) async fn connect(pipeline: Arc<Pipeline>, tasks: &Tasks) -> Client {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let inner = tasks.clone();
        tasks.spawn_small(async move {
            let peer = Peer { address: None, certificate: None, tls: false };
            listen::serve_connection(far, peer, listen::Traffic::Messages, pipeline, &inner).await;
        });
        let (sender, connection) =
            http1::handshake(TokioIo::new(near)).await.expect("a connection in memory");
        tasks.spawn_small(async move {
            // However it ends, the requests on it end with it.
            let _ = connection.await;
        });
        Client(sender)
    }

    /// A request and the whole answer; `None` when there is none.
    pub(super) async fn call(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Option<(u16, Value)> {
        self.exchange(None, method, path, body).await
    }

    async fn exchange(
        &mut self,
        user: Option<&str>,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Option<(u16, Value)> {
        let exchange = async {
            let mut answer = self.send_as(user, method, path, body).await?;
            let code = answer.status().as_u16();
            let body = answer.body_mut().collect().await.ok()?.to_bytes();
            Some((code, serde_json::from_slice(&body).unwrap_or_default()))
        };
        tokio::time::timeout(PATIENCE, exchange).await.ok().flatten()
    }

    /// The same as somebody else.
    pub(super) async fn call_as(
        &mut self,
        user: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Option<(u16, Value)> {
        self.exchange(Some(user), method, path, body).await
    }

    /// As [`Client::call`], of a server that has power and therefore answers with 2xx.
    pub(super) async fn must(&mut self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.call(method, path, body).await;
        match answer {
            Some((200..=299, value)) => value,
            other => panic!("{method} {path}: {other:?}"),
        }
    }

    /// Sends a request; the body of the answer comes as it likes.
    pub(super) async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Option<http::Response<Incoming>> {
        self.send_as(None, method, path, body).await
    }

    async fn send_as(
        &mut self,
        user: Option<&str>,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Option<http::Response<Incoming>> {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let mut request = Request::builder();
        if let Some(user) = user {
            request = request.header("impersonate-user", user);
        }
        let request = request
            .method(method)
            .uri(path)
            .header(header::HOST, "weir")
            .header(header::CONTENT_TYPE, kind)
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .body(Full::new(bytes))
            .expect("a request");
        self.0.ready().await.ok()?;
        self.0.send_request(request).await.ok()
    }
}
