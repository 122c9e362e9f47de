//! The endpoints of a login: what they are, asking for a code, exchanging it for a token.
//!
//! They stand before authentication: whoever comes here has nothing to show yet.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use machinery::query;
use machinery::status::ApiError;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Grant, Login, find_code, make_code, make_token};
use crate::body::Body;
use crate::context::Ctx;
use crate::listen::Peer;

/// The one client: a command that answers challenges.
const CLIENT: &str = "openshift-challenging-client";
/// Where its answers are sent, below the issuer.
const REDIRECT: &str = "/oauth/token/implicit";
const METADATA: &str = "/.well-known/oauth-authorization-server";
const AUTHORIZE: &str = "/oauth/authorize";
const TOKEN: &str = "/oauth/token";
/// Bytes of the longest name or password that is looked at; bcrypt takes 72 of a password.
const LONGEST: usize = 1024;

/// A request to one of the endpoints.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Method.
    pub method: &'a Method,
    /// Path.
    pub path: &'a str,
    /// Raw query.
    pub query: &'a str,
    /// Headers.
    pub headers: &'a HeaderMap,
    /// The server's name as the client wrote it.
    pub host: &'a str,
    /// The body of a POST.
    pub body: &'a Bytes,
}

/// Whether a path is one of the endpoints.
pub fn is_endpoint(path: &str) -> bool {
    matches!(path, METADATA | AUTHORIZE | TOKEN | REDIRECT)
}

/// Answers a request; `None` for other paths, and when nobody can log in here.
///
/// # Errors
/// 429 for those who guess, 5xx when the store fails.
pub async fn answer(ctx: &Ctx, peer: &Peer, asked: Asked<'_>) -> Result<Option<Response<Body>>, ApiError> {
    let Some(login) = &ctx.authenticator.login else { return Ok(None) };
    let reads = matches!(*asked.method, Method::GET | Method::HEAD);
    let answer = match asked.path {
        METADATA if reads => document(200, &metadata(&issuer(&asked))),
        REDIRECT if reads => {
            let text = "This page is where command-line clients are sent with their token.\n";
            let mut answer = Response::new(Body::from(text));
            set(&mut answer, header::CONTENT_TYPE, "text/plain; charset=utf-8");
            answer
        }
        AUTHORIZE if reads || asked.method == Method::POST => authorize(ctx, login, peer, &asked).await?,
        TOKEN if asked.method == Method::POST => exchange(ctx, login, &asked).await?,
        METADATA | REDIRECT | AUTHORIZE | TOKEN => return Err(ApiError::method_not_allowed()),
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

fn issuer(asked: &Asked<'_>) -> String {
    format!("https://{}", asked.host)
}

fn metadata(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}{AUTHORIZE}"),
        "token_endpoint": format!("{issuer}{TOKEN}"),
        "scopes_supported": ["user:check-access", "user:full", "user:info", "user:list-projects"],
        "response_types_supported": ["code", "token"],
        "grant_types_supported": ["authorization_code", "implicit"],
        "code_challenge_methods_supported": ["plain", "S256"],
    })
}

/// The answer to somebody who must show a name and a password first.
fn challenge(warning: Option<&str>) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::UNAUTHORIZED;
    match warning {
        Some(text) => set(&mut answer, header::WARNING, text),
        None => set(&mut answer, header::WWW_AUTHENTICATE, "Basic realm=\"openshift\""),
    }
    answer
}

async fn authorize(
    ctx: &Ctx,
    login: &Login,
    peer: &Peer,
    asked: &Asked<'_>,
) -> Result<Response<Body>, ApiError> {
    let given = |key: &str| query::first(asked.query, key).map(String::from).unwrap_or_default();
    let redirect_uri = format!("{}{REDIRECT}", issuer(asked));
    let named = given("redirect_uri");
    if given("client_id") != CLIENT || (!named.is_empty() && named != redirect_uri) {
        // Nothing is sent to an address that does not belong to the client.
        return Ok(refused(400, "invalid_request", "the client or its redirect URI is not known"));
    }
    let (kind, state) = (given("response_type"), given("state"));
    let challenge_method = given("code_challenge_method");
    let grant = Grant {
        client: CLIENT.to_owned(),
        user: String::new(),
        redirect_uri: redirect_uri.clone(),
        challenge: given("code_challenge"),
        challenge_method: if challenge_method.is_empty() { "plain".to_owned() } else { challenge_method },
    };
    let known = matches!(grant.challenge_method.as_str(), "plain" | "S256");
    if !matches!(kind.as_str(), "code" | "token") || !known {
        return Ok(refused(400, "unsupported_response_type", "ask for a code or a token"));
    }
    if asked.headers.get("x-csrf-token").is_none_or(HeaderValue::is_empty) {
        // A page in somebody's browser cannot set this header, and so cannot use the password the browser knows.
        let why =
            "199 Origin \"A non-empty X-CSRF-Token header is required to receive basic-auth challenges\"";
        return Ok(challenge(Some(why)));
    }
    let Some((user, password)) = basic(asked.headers) else { return Ok(challenge(None)) };
    if !check(ctx, login, peer.address.map(|address| address.ip()), &user, password).await? {
        return Ok(challenge(None));
    }
    info!(user, "logged in");
    let grant = Grant { user, ..grant };
    let location = if kind == "code" {
        let code = make_code(ctx, &grant).await?;
        format!("{redirect_uri}?code={code}&state={}", escape(&state))
    } else {
        let token = make_token(ctx, &grant, login.token_seconds, None)
            .await?
            .ok_or_else(|| ApiError::internal("the token could not be kept"))?;
        format!(
            "{redirect_uri}#access_token={token}&expires_in={}&scope=user%3Afull&state={}&token_type=Bearer",
            login.token_seconds,
            escape(&state)
        )
    };
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::FOUND;
    set(&mut answer, header::LOCATION, &location);
    Ok(answer)
}

/// Whether a password is right. Whoever is wrong too often waits.
pub(super) async fn check(
    ctx: &Ctx,
    login: &Login,
    address: Option<IpAddr>,
    user: &str,
    password: String,
) -> Result<bool, ApiError> {
    let mut keys = vec![format!("user {user}")];
    if let Some(address) = address.filter(|ip| !ip.is_loopback()) {
        keys.push(format!("address {address}"));
    }
    let wait = login.throttle.wait(&keys, Instant::now());
    if wait > Duration::ZERO {
        let seconds = i32::try_from(wait.as_secs() + 1).unwrap_or(i32::MAX);
        return Err(ApiError::too_many_requests("too many failed logins, please try again later", seconds));
    }
    if user.len() > LONGEST || password.len() > LONGEST {
        return Ok(false);
    }
    let Ok(_permit) = login.checks.acquire().await else { return Ok(false) };
    let (answer, answered) = oneshot::channel();
    let (inside, name) = (Arc::clone(ctx), user.to_owned());
    ctx.tasks.spawn_blocking(move || {
        let right =
            inside.authenticator.login.as_ref().is_some_and(|login| login.passwords.check(&name, &password));
        // Nobody is interested any more when the client has gone.
        let _ = answer.send(right);
    });
    let right = answered.await.unwrap_or(false);
    if right {
        login.throttle.succeeded(&keys[..1]);
    } else {
        warn!(user, "a login failed");
        login.throttle.failed(&keys, Instant::now());
    }
    Ok(right)
}

async fn exchange(ctx: &Ctx, login: &Login, asked: &Asked<'_>) -> Result<Response<Body>, ApiError> {
    let form = std::str::from_utf8(asked.body).unwrap_or_default();
    let given = |key: &str| query::first(form, key).map(String::from).unwrap_or_default();
    let client = basic(asked.headers).map_or_else(|| given("client_id"), |(client, _)| client);
    if client != CLIENT {
        return Ok(refused(401, "invalid_client", "the client is not known"));
    }
    if given("grant_type") != "authorization_code" {
        return Ok(refused(400, "unsupported_grant_type", "only codes can be exchanged"));
    }
    let bad = || refused(400, "invalid_grant", "the code is wrong, used, or its time is over");
    let Some((code, grant)) = find_code(ctx, &given("code"))? else { return Ok(bad()) };
    if grant.client != client
        || given("redirect_uri") != grant.redirect_uri
        || !proves(&grant, &given("code_verifier"))
    {
        return Ok(bad());
    }
    let Some(token) = make_token(ctx, &grant, login.token_seconds, Some(&code)).await? else {
        return Ok(bad());
    };
    Ok(document(
        200,
        &json!({
            "access_token": token,
            "expires_in": login.token_seconds,
            "scope": "user:full",
            "token_type": "Bearer",
        }),
    ))
}

/// Whether a verifier is what a challenge was made of. Without a challenge there is nothing to prove.
fn proves(grant: &Grant, verifier: &str) -> bool {
    if grant.challenge.is_empty() {
        return verifier.is_empty();
    }
    match grant.challenge_method.as_str() {
        "S256" => URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())) == grant.challenge,
        _ => verifier == grant.challenge,
    }
}

/// Name and password of basic authentication.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, encoded) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    (!user.is_empty()).then(|| (user.to_owned(), password.to_owned()))
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn refused(code: u16, error: &str, why: &str) -> Response<Body> {
    document(code, &json!({ "error": error, "error_description": why }))
}

fn document(code: u16, value: &Value) -> Response<Body> {
    let mut answer = Response::new(Body::from(machinery::json::compact(value)));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    set(&mut answer, header::CONTENT_TYPE, "application/json");
    answer
}

fn set(answer: &mut Response<Body>, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(challenge: &str, method: &str) -> Grant {
        Grant {
            client: CLIENT.to_owned(),
            user: "eve".to_owned(),
            redirect_uri: String::new(),
            challenge: challenge.to_owned(),
            challenge_method: method.to_owned(),
        }
    }

    #[test]
    fn a_code_is_bound_to_whoever_knows_the_verifier() {
        // The example of RFC 7636, appendix B.
        let s256 = grant("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "S256");
        assert!(proves(&s256, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
        assert!(!proves(&s256, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM") && !proves(&s256, ""));
        assert!(proves(&grant("x", "plain"), "x") && !proves(&grant("x", "plain"), ""));
        assert!(proves(&grant("", "plain"), "") && !proves(&grant("", "plain"), "x"));
    }

    #[test]
    fn basic_credentials_may_hold_colons() {
        let mut headers = HeaderMap::new();
        let encoded = STANDARD.encode("eve:a:b");
        headers.insert(header::AUTHORIZATION, format!("basic {encoded}").parse().unwrap());
        assert_eq!(basic(&headers), Some(("eve".to_owned(), "a:b".to_owned())));
        headers.insert(header::AUTHORIZATION, "Basic %%".parse().unwrap());
        assert_eq!(basic(&headers), None);
    }

    #[test]
    fn states_are_escaped() {
        assert_eq!(escape("a b&c=é"), "a%20b%26c%3D%C3%A9");
    }
}
