//! Plain paths: health, version, metrics, the list of paths, and the documents about the API.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use machinery::request::{RequestInfo, Verb};
use machinery::status::ApiError;

use crate::body::Body;
use crate::context::Ctx;
use crate::documents;

/// The version of Kubernetes' API that the server speaks; clients compare their own with it.
const KUBERNETES: (&str, &str) = ("1", "34");

/// Answers a request to a plain path; `None` when there is no such path.
///
/// # Errors
/// 405 for methods other than GET and HEAD.
pub fn answer(
    ctx: &Ctx,
    info: &RequestInfo<'_>,
    query: &str,
    headers: &HeaderMap,
) -> Result<Option<Response<Body>>, ApiError> {
    let path = info.path.as_ref();
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    let answer = match path {
        "/version" => Some(json(version())),
        "/metrics" => Some(text(200, ctx.metrics.text())),
        "/healthz" | "/livez" => Some(health(ctx.health())),
        "/readyz" => Some(health(ctx.ready())),
        "/" => Some(json(paths())),
        _ => documents::answer(path, query, headers)?.or_else(|| probe(ctx, path)),
    };
    if answer.is_some() && !matches!(info.verb, Verb::Get | Verb::Head) {
        return Err(ApiError::method_not_allowed());
    }
    Ok(answer)
}

/// Single probes, as `/readyz/store`.
fn probe(ctx: &Ctx, path: &str) -> Option<Response<Body>> {
    let name = ["/healthz/", "/livez/", "/readyz/"].iter().find_map(|prefix| path.strip_prefix(prefix))?;
    match name {
        "ping" | "store" => Some(health(ctx.health())),
        "registry-storage" => Some(health(ctx.storage())),
        _ => None,
    }
}

/// The plain 404 for paths outside the API.
pub fn not_found() -> Response<Body> {
    let mut answer = text(404, "404 page not found\n".to_owned());
    answer.headers_mut().insert("x-content-type-options", http::HeaderValue::from_static("nosniff"));
    answer
}

fn health(found: Result<(), String>) -> Response<Body> {
    match found {
        Ok(()) => text(200, "ok".to_owned()),
        Err(why) => text(500, format!("not ready: {why}\n")),
    }
}

fn version() -> Bytes {
    static VERSION: OnceLock<Bytes> = OnceLock::new();
    VERSION
        .get_or_init(|| {
            let (major, minor) = KUBERNETES;
            let info = serde_json::json!({
                "major": major,
                "minor": minor,
                "gitVersion": git_version(),
                "gitCommit": "",
                "gitTreeState": "clean",
                "buildDate": "1970-01-01T00:00:00Z",
                "goVersion": "none (weir is written in Rust)",
                "compiler": "rustc",
                "platform": format!("{}/{}", std::env::consts::OS, machine()),
            });
            machinery::json::pretty_value(&info, b"  ").into()
        })
        .clone()
}

/// The version of the server, in the form that Kubernetes has.
pub fn git_version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    let (major, minor) = KUBERNETES;
    VERSION.get_or_init(|| format!("v{major}.{minor}.0+weir-{}", env!("CARGO_PKG_VERSION")))
}

/// The processor's name as images have it.
pub fn machine() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

fn paths() -> Bytes {
    let mut paths: Vec<String> = documents::paths();
    paths.extend(["/healthz", "/livez", "/metrics", "/readyz", "/version"].map(str::to_owned));
    paths.sort();
    machinery::json::pretty_value(&serde_json::json!({ "paths": paths }), b"  ").into()
}

fn json(bytes: Bytes) -> Response<Body> {
    let mut answer = Response::new(Body::from(bytes));
    answer.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    answer
}

fn text(code: u16, text: String) -> Response<Body> {
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = http::HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}
