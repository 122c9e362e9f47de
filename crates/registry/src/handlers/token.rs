//! The token endpoint: a token in as a password, the same token out as a bearer token.
//!
//! Scopes are checked for nonsense and otherwise passed over: what somebody may do is asked at every request. There is
//! no second kind of token that could outlive the first.

use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::json;

use crate::access::AccessError;
use crate::body::Body;
use crate::name::Repository;
use crate::registry::Registry;
use crate::wire::{self, ANONYMOUS_TOKEN, Credentials};

/// Answers a request for a token.
pub(crate) async fn answer(registry: &Registry, parts: &Parts, request_id: &str) -> Response<Body> {
    if parts.method != Method::GET {
        // Clients that try to POST fall back to GET.
        return wire::empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    for scope in wire::parameters(parts.uri.query(), "scope") {
        if let Some(details) = scope.split(' ').find_map(nonsense) {
            return refused(Some(&details));
        }
    }
    let is_basic = parts
        .headers
        .get(header::AUTHORIZATION)
        .map(|value| value.as_bytes().get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"basic ")));
    match (is_basic, wire::credentials(&parts.headers)) {
        (None, _) => granted(ANONYMOUS_TOKEN),
        (Some(true), Credentials::Token(token)) => match registry.access.subject(&token, request_id).await {
            Ok(_) => granted(&token),
            Err(AccessError::Refused) => refused(None),
            Err(AccessError::Unavailable(why)) => {
                tracing::warn!(why, "a token cannot be checked");
                refused(Some("unable to validate token"))
            }
        },
        (Some(_), _) => refused(None),
    }
}

/// What is wrong with a scope: `type:name:actions` whose name can be no repository.
fn nonsense(scope: &str) -> Option<String> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, _) = rest.rsplit_once(':')?;
    let kind = kind.split('(').next().unwrap_or_default();
    if !["repository", "signature"].contains(&kind) {
        return None;
    }
    Repository::parse(name).err().map(|error| error.to_string())
}

fn granted(token: &str) -> Response<Body> {
    let mut response = wire::json(&json!({"token": token, "access_token": token}));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refused(details: Option<&str>) -> Response<Body> {
    let mut response = match details {
        Some(details) => wire::json(&json!({"details": details})),
        None => wire::empty(StatusCode::UNAUTHORIZED),
    };
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    wire::set(&mut response, header::CONTENT_TYPE, "application/json");
    response
}
