//! The token endpoint: a token in as a password, the same token out as a bearer token; a person's name and password in, a
//! token out that stands for them for a few minutes.
//!
//! Scopes are checked for nonsense and otherwise passed over: what somebody may do is asked at every request. There is
//! no kind of token that the rest of the server does not know.

use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::json;

use crate::access::AccessError;
use crate::body::Body;
use crate::name::Repository;
use crate::registry::{Origin, Registry};
use crate::wire::{self, ANONYMOUS_TOKEN, Credentials};

/// Answers a request for a token.
pub(crate) async fn answer(registry: &Registry, parts: &Parts, origin: &Origin) -> Response<Body> {
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
        (None, _) => granted(&json!({"token": ANONYMOUS_TOKEN, "access_token": ANONYMOUS_TOKEN})),
        (Some(true), Credentials::Basic { user, password }) => {
            match log_in(registry, &user, &password, origin).await {
                Ok(answer) => granted(&answer),
                Err(AccessError::Refused) => refused(None),
                Err(error @ AccessError::Guessing) => {
                    let mut response = refused(Some(&error.to_string()));
                    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
                    response
                }
                Err(AccessError::Unavailable(why)) => {
                    tracing::warn!(why, "a token cannot be checked");
                    refused(Some("unable to validate token"))
                }
            }
        }
        (Some(_), _) => refused(None),
    }
}

/// The same token for a token, one that stands for the password for a password.
async fn log_in(
    registry: &Registry,
    user: &str,
    password: &str,
    origin: &Origin,
) -> Result<serde_json::Value, AccessError> {
    let (who, is_token) = registry.basic(user, password, origin).await?;
    if is_token {
        return Ok(json!({"token": password, "access_token": password}));
    }
    let (token, seconds) = registry.access.token_for(&who).await?;
    Ok(json!({"token": token, "access_token": token, "expires_in": seconds}))
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

fn granted(answer: &serde_json::Value) -> Response<Body> {
    let mut response = wire::json(answer);
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
