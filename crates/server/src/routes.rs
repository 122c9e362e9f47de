//! Plain paths: health, version, metrics, the list of paths, and discovery.
//!
//! Discovery documents never change while the server runs: they are built once and served as bytes.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use machinery::discovery;
use machinery::request::{RequestInfo, Verb};
use machinery::status::ApiError;

use crate::body::Body;
use crate::context::Ctx;
use crate::resource::{RESOURCES, Resource};

/// The version of Kubernetes' API that the server speaks; clients compare their own with it.
const KUBERNETES: (&str, &str) = ("1", "34");

/// Answers a request to a plain path; `None` when there is no such path.
///
/// # Errors
/// 405 for methods other than GET and HEAD.
pub fn answer(
    ctx: &Ctx,
    info: &RequestInfo<'_>,
    _headers: &HeaderMap,
) -> Result<Option<Response<Body>>, ApiError> {
    let path = info.path.as_ref();
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    let answer = match path {
        "/version" => Some(json(version())),
        "/metrics" => Some(text(200, ctx.metrics.text())),
        "/healthz" | "/livez" | "/readyz" => Some(health(ctx)),
        "/" => Some(json(paths())),
        _ => documents().get(path).cloned().map(json).or_else(|| probe(ctx, path)),
    };
    if answer.is_some() && !matches!(info.verb, Verb::Get | Verb::Head) {
        return Err(ApiError::method_not_allowed());
    }
    Ok(answer)
}

/// Single probes, as `/readyz/store`.
fn probe(ctx: &Ctx, path: &str) -> Option<Response<Body>> {
    let name = ["/healthz/", "/livez/", "/readyz/"].iter().find_map(|prefix| path.strip_prefix(prefix))?;
    matches!(name, "ping" | "store").then(|| health(ctx))
}

/// The plain 404 for paths outside the API.
pub fn not_found() -> Response<Body> {
    let mut answer = text(404, "404 page not found\n".to_owned());
    answer.headers_mut().insert("x-content-type-options", http::HeaderValue::from_static("nosniff"));
    answer
}

fn health(ctx: &Ctx) -> Response<Body> {
    match ctx.health() {
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
                "gitVersion": format!("v{major}.{minor}.0+weir-{}", env!("CARGO_PKG_VERSION")),
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
    let mut paths: Vec<String> = documents().keys().cloned().collect();
    paths.extend(["/healthz", "/livez", "/metrics", "/readyz", "/version"].map(str::to_owned));
    paths.sort();
    machinery::json::pretty_value(&serde_json::json!({ "paths": paths }), b"  ").into()
}

/// Discovery documents by path.
fn documents() -> &'static BTreeMap<String, Bytes> {
    static DOCUMENTS: OnceLock<BTreeMap<String, Bytes>> = OnceLock::new();
    DOCUMENTS.get_or_init(|| {
        let table: Vec<discovery::Resource> = RESOURCES.iter().map(discovered).collect();
        let mut documents = BTreeMap::new();
        let core = discovery::ApiVersions::new(vec!["v1"], String::new());
        documents.insert("/api".to_owned(), compact(&core));
        documents.insert("/apis".to_owned(), typed("APIGroupList", &discovery::api_group_list(&table)));
        for entry in &table {
            let path =
                if entry.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", entry.group) };
            if let Some(list) = discovery::api_resource_list(entry.group, entry.version, &table) {
                documents.insert(format!("{path}/{}", entry.version), typed("APIResourceList", &list));
            }
            if let Some(group) = discovery::api_group(entry.group, &table).filter(|_| !entry.group.is_empty())
            {
                documents.insert(path, typed("APIGroup", &group));
            }
        }
        documents
    })
}

fn typed<T: serde::Serialize>(kind: &str, document: &T) -> Bytes {
    let mut bytes = machinery::json::with_type(kind, "v1", document);
    bytes.push(b'\n');
    bytes.into()
}

fn compact<T: serde::Serialize>(document: &T) -> Bytes {
    let mut bytes = machinery::json::compact(document);
    bytes.push(b'\n');
    bytes.into()
}

fn discovered(entry: &Resource) -> discovery::Resource {
    discovery::Resource {
        group: entry.group,
        version: entry.version,
        name: entry.plural,
        singular: entry.singular,
        namespaced: entry.namespaced,
        kind: entry.kind,
        verbs: entry.verbs,
        short_names: entry.short,
        categories: entry.categories,
        stored: entry.is_stored(),
    }
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
