//! Requests to the other cluster. Certificates, tokens and credential plugins are the Kubernetes client library's.

use std::path::Path;

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream};
use futures_util::{StreamExt, TryStreamExt};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use machinery::meta::Status;
use machinery::status::ApiError;
use serde_json::Value;
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::io::StreamReader;

use super::super::limits;

pub(super) const JSON: &str = "application/json";
pub(super) const JSON_PATCH: &str = "application/json-patch+json";
/// The name under which changes are noted there.
pub(super) const MANAGER: &str = "weir";
/// Instead of a file: the cluster that this server runs in.
const IN_CLUSTER: &str = "in-cluster";

/// A way to the cluster.
pub(super) struct Api {
    client: kube::Client,
}

impl Api {
    /// Reads a kubeconfig; the cluster's name comes along.
    pub(super) async fn open(file: &Path, context: &str) -> Result<(String, Api), String> {
        let (name, mut config) = if file.as_os_str() == IN_CLUSTER {
            let config = kube::Config::incluster();
            (IN_CLUSTER.to_owned(), config.map_err(|error| format!("workloads: {}", causes(&error)))?)
        } else {
            from_file(file, context).await?
        };
        config.default_retry = false;
        config.connect_timeout = Some(limits::CLUSTER_CONNECT);
        config.read_timeout = Some(limits::CLUSTER_SILENCE);
        let client = kube::Client::try_from(config);
        let client = client.map_err(|error| format!("workloads: {}", causes(&error)))?;
        Ok((name, Api { client }))
    }

    /// Reads something.
    pub(super) async fn get(&self, path: &str) -> Result<Bytes, ApiError> {
        whole(self.ask(Method::GET, path, None).await?).await
    }

    /// Sends a document.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        media: &'static str,
        body: &Value,
    ) -> Result<Bytes, ApiError> {
        let bytes = machinery::json::compact(body);
        whole(self.ask(method, path, Some((media, bytes))).await?).await
    }

    /// Reads lines as they come.
    pub(super) async fn lines(
        &self,
        path: &str,
    ) -> Result<BoxStream<'static, Result<String, ApiError>>, ApiError> {
        let response = self.ask(Method::GET, path, None).await?;
        if !response.status().is_success() {
            return Err(whole(response).await.err().unwrap_or_else(|| broken(&"no answer")));
        }
        Ok(lines(response.into_body().into_data_stream()).boxed())
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<Response<Body>, ApiError> {
        let agent = concat!("weir/", env!("CARGO_PKG_VERSION"));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, JSON)
            .header(header::USER_AGENT, agent);
        let body = match body {
            Some((media, bytes)) => {
                request = request.header(header::CONTENT_TYPE, media);
                Body::from(bytes)
            }
            None => Body::empty(),
        };
        let request = request.body(body).map_err(|error| broken(&error))?;
        self.client.send(request).await.map_err(|error| broken(&causes(&error)))
    }
}

async fn from_file(file: &Path, context: &str) -> Result<(String, kube::Config), String> {
    let wrong = |why: String| format!("workloads: {}: {why}", file.display());
    let kubeconfig = Kubeconfig::read_from(file).map_err(|error| wrong(causes(&error)))?;
    let chosen = if context.is_empty() { kubeconfig.current_context.as_deref() } else { Some(context) };
    let held = kubeconfig.contexts.iter().find(|held| Some(held.name.as_str()) == chosen);
    let name = held.and_then(|held| held.context.as_ref()).map(|context| context.cluster.clone());
    let name = name.ok_or_else(|| wrong(format!("there is no context {:?}", chosen.unwrap_or_default())))?;
    let options = KubeConfigOptions { context: chosen.map(str::to_owned), ..KubeConfigOptions::default() };
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Ok((name, config.map_err(|error| wrong(causes(&error)))?))
}

fn lines<E>(
    body: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> impl Stream<Item = Result<String, ApiError>> + Send
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let reader = StreamReader::new(body.map_err(std::io::Error::other).boxed());
    let codec = LinesCodec::new_with_max_length(limits::CLUSTER_OBJECT);
    FramedRead::new(reader, codec).map_err(|error| broken(&error))
}

/// The whole of an answer, if it is no failure.
async fn whole(response: Response<Body>) -> Result<Bytes, ApiError> {
    let code = response.status();
    let read = Limited::new(response.into_body(), limits::CLUSTER_PAGE).collect().await;
    let bytes = read.map_err(|error| broken(&error))?.to_bytes();
    if code.is_success() { Ok(bytes) } else { Err(refused(code, &bytes)) }
}

/// What the cluster said instead of an answer.
fn refused(code: StatusCode, bytes: &[u8]) -> ApiError {
    let said: Option<Status> = serde_json::from_slice(bytes).ok();
    match said.filter(|status| status.status == "Failure") {
        Some(mut status) => {
            status.code = i32::from(code.as_u16());
            ApiError(Box::new(status))
        }
        None if code == StatusCode::NOT_FOUND => ApiError::no_such_path(),
        None => ApiError::unavailable(format!("the cluster answers {code}")),
    }
}

fn broken(why: &dyn std::fmt::Display) -> ApiError {
    ApiError::unavailable(format!("the cluster cannot be asked: {why}"))
}

/// An error with what is behind it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
