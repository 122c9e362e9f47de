//! Answering challenges: basic credentials and bearer tokens.
//!
//! The registry says where its tokens come from, and a registry may be hostile, so the realm is checked: https, or (for
//! registries that are marked insecure) plain http on the registry's own host. Token requests are not redirected to
//! other origins. A token is kept until it expires; one client asks for one at a time.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method};
use reqwest::Url;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::challenge::Challenge;
use super::error::{Cause, RegistryError};
use super::exchange::{Exchange, Outgoing, Redirects};
use super::transport::Trust;
use crate::keyring::Credentials;
use crate::{json, limits};

/// What one repository's requests are authorized with.
#[derive(Debug)]
pub(super) struct Authorizer {
    exchange: Exchange,
    /// The registry, as `host[:port]`.
    host: String,
    scope: String,
    credentials: Option<Credentials>,
    token: Mutex<Option<Token>>,
}

struct Token {
    header: HeaderValue,
    expires: Instant,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// How a request was authorized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Authorized {
    /// With nothing, or with credentials that another try would not change.
    Finally,
    /// With a token that was kept from before and may have been revoked meanwhile.
    WithKeptToken,
}

impl Authorizer {
    pub(super) fn new(exchange: Exchange, host: &str, path: &str, credentials: Option<Credentials>) -> Self {
        Self {
            exchange,
            host: host.to_owned(),
            scope: format!("repository:{path}:pull"),
            credentials: credentials.filter(Credentials::are_complete),
            token: Mutex::new(None),
        }
    }

    /// Puts into `headers` what the challenges ask for. Bearer goes first, so basic overwrites it where both are asked.
    pub(super) async fn authorize(
        &self,
        challenges: &[Challenge],
        headers: &mut HeaderMap,
    ) -> Result<Authorized, Cause> {
        let mut authorized = Authorized::Finally;
        for challenge in challenges.iter().filter(|challenge| challenge.scheme == "bearer") {
            let (header, kept) = self.token(challenge).await?;
            headers.insert(AUTHORIZATION, header);
            authorized = if kept { Authorized::WithKeptToken } else { Authorized::Finally };
        }
        if challenges.iter().any(|challenge| challenge.scheme == "basic") {
            let credentials = self.credentials.as_ref().ok_or(Cause::NoCredentials)?;
            headers.insert(AUTHORIZATION, basic(credentials));
            authorized = Authorized::Finally;
        }
        Ok(authorized)
    }

    /// Forgets the token, so that the next request asks for a new one.
    pub(super) async fn forget_token(&self) {
        *self.token.lock().await = None;
    }

    async fn token(&self, challenge: &Challenge) -> Result<(HeaderValue, bool), Cause> {
        let mut kept = self.token.lock().await;
        if let Some(token) = kept.as_ref().filter(|token| Instant::now() < token.expires) {
            return Ok((token.header.clone(), true));
        }
        let token = self.fetch(challenge).await?;
        let header = token.header.clone();
        *kept = Some(token);
        Ok((header, false))
    }

    async fn fetch(&self, challenge: &Challenge) -> Result<Token, Cause> {
        let mut url = self.realm(challenge)?;
        let mut headers = HeaderMap::new();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = challenge.parameter("service").filter(|service| !service.is_empty()) {
                query.append_pair("service", service);
            }
            query.append_pair("scope", &self.scope);
            if let Some(credentials) = &self.credentials {
                query.append_pair("account", &credentials.username);
                headers.insert(AUTHORIZATION, basic(credentials));
            }
        }
        let outgoing = Outgoing {
            method: Method::GET,
            url: url.to_string(),
            headers,
            patience: limits::TOKEN_TIMEOUT,
            redirects: Redirects::SameOrigin,
        };
        let asked = Instant::now();
        let answer = self.exchange.send(outgoing).await.map_err(Cause::Token)?;
        if !answer.status.is_success() {
            return Err(Cause::Token(answer.into_error().await));
        }
        let body = answer.read("token answer", limits::TOKEN_ANSWER_BYTES).await.map_err(Cause::Token)?;
        read_token(&body, asked)
    }

    /// The checked address of the token endpoint.
    fn realm(&self, challenge: &Challenge) -> Result<Url, Cause> {
        let refused = |text: String| Cause::Challenge(text);
        let realm = challenge
            .parameter("realm")
            .ok_or_else(|| refused("no realm specified for token auth challenge".to_owned()))?;
        let mut url = Url::parse(realm)
            .map_err(|error| refused(format!("invalid token auth challenge realm: {realm:?}: {error}")))?;
        // Names and passwords inside a realm are the registry's, not ours to send.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        match url.scheme() {
            "https" => Ok(url),
            "http"
                if self.exchange.trust == Trust::Insecure
                    && url.host_str() == host_name(&self.host).as_deref() =>
            {
                Ok(url)
            }
            _ => Err(refused(format!("invalid token auth challenge realm: {realm:?} is not secure"))),
        }
    }
}

fn host_name(host: &str) -> Option<String> {
    Url::parse(&format!("http://{host}/")).ok()?.host_str().map(str::to_owned)
}

fn basic(credentials: &Credentials) -> HeaderValue {
    let pair = STANDARD.encode(format!("{}:{}", credentials.username, credentials.password));
    let mut value = HeaderValue::try_from(format!("Basic {pair}")).expect("base64 fits into a header");
    value.set_sensitive(true);
    value
}

fn read_token(body: &[u8], asked: Instant) -> Result<Token, Cause> {
    let unreadable =
        |error: json::JsonError| Cause::Challenge(format!("unable to decode token response: {error}"));
    let document = json::parse(body).map_err(unreadable)?;
    let fields = document.as_struct("auth.getTokenResponse").map_err(unreadable)?;
    let mut token = fields.string("access_token").map_err(unreadable)?;
    if token.is_empty() {
        token = fields.string("token").map_err(unreadable)?;
    }
    if token.is_empty() {
        return Err(Cause::Challenge(
            "authorization server did not include a token in the response".to_owned(),
        ));
    }
    if token.len() > limits::TOKEN_BYTES {
        let most = limits::TOKEN_BYTES;
        return Err(Cause::Token(RegistryError::TooLarge { what: "token", most, unit: "bytes" }));
    }
    let mut header = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Cause::Challenge("the token cannot be sent in a header".to_owned()))?;
    header.set_sensitive(true);
    let seconds = u64::try_from(fields.integer("expires_in").map_err(unreadable)?).unwrap_or(0);
    let lifetime =
        Duration::from_secs(seconds).clamp(limits::TOKEN_MINIMUM_LIFETIME, limits::TOKEN_MAXIMUM_LIFETIME);
    Ok(Token { header, expires: asked + lifetime })
}
