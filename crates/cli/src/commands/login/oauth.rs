//! A token for a name and a password: OAuth 2.0 the way OpenShift answers clients without a browser.
//!
//! The password goes to the authorization endpoint alone, once it has asked for it; the code that comes back is bound to
//! this process by a secret (PKCE) and exchanged at the token endpoint. Redirects are read, never followed.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use kube::client::Body;
use kube::config::Cluster;
use machinery::query;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::connect;
use crate::app::App;
use crate::client::{refusal, target};
use crate::failure::{Failure, plain};
use crate::golang::text_at;

const METADATA: &str = "/.well-known/oauth-authorization-server";
const CLIENT: &str = "openshift-challenging-client";
/// Below the issuer: where the code is sent, to be read from the redirect.
const REDIRECT: &str = "/oauth/token/implicit";
/// Bytes of the secret that the code is bound to.
const SECRET: usize = 32;

/// A login at a server.
pub(super) struct Flow<'a> {
    pub(super) app: &'a App,
    pub(super) cluster: &'a Cluster,
}

impl Flow<'_> {
    /// Asks for a token.
    ///
    /// # Errors
    /// When name or password is wrong, or nobody can log in there that way.
    pub(super) async fn token(&self, user: &str, password: &str) -> Result<String, Failure> {
        let metadata = self.metadata().await?;
        let endpoint = |name: &str| text_at(&metadata, &[name]).to_owned();
        let mut secret = [0; SECRET];
        getrandom::fill(&mut secret).map_err(|error| plain(format!("no randomness: {error}")))?;
        let verifier = URL_SAFE_NO_PAD.encode(secret);
        let redirect = format!("{}{REDIRECT}", endpoint("issuer"));
        let code =
            self.code(&endpoint("authorization_endpoint"), &redirect, &verifier, user, password).await?;
        let form = target(
            "",
            &[
                ("grant_type", "authorization_code".to_owned()),
                ("code", code),
                ("code_verifier", verifier),
                ("redirect_uri", redirect),
            ],
        );
        let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:")));
        let headers = [
            (header::CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded"),
            (header::AUTHORIZATION.as_str(), basic.as_str()),
        ];
        let form = form.trim_start_matches('?').to_owned();
        let (status, _, body) = self.ask(Method::POST, &endpoint("token_endpoint"), &headers, form).await?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        match text_at(&answer, &["access_token"]) {
            "" => Err(plain(format!("the server gave no token for the code ({status}): {answer}"))),
            token => Ok(token.to_owned()),
        }
    }

    async fn metadata(&self) -> Result<Value, Failure> {
        let server = self.cluster.server.clone().unwrap_or_default();
        let url = format!("{server}{METADATA}");
        let (status, _, body) = self.ask(Method::GET, &url, &[], String::new()).await?;
        if status != 200 {
            return Err(plain(format!("couldn't get {url}: unexpected response status {status}")));
        }
        serde_json::from_slice(&body).map_err(|error| plain(format!("couldn't get {url}: {error}")))
    }

    /// The code for a name and a password.
    async fn code(
        &self,
        endpoint: &str,
        redirect: &str,
        verifier: &str,
        user: &str,
        password: &str,
    ) -> Result<String, Failure> {
        let url = target(
            endpoint,
            &[
                ("client_id", CLIENT.to_owned()),
                ("code_challenge", URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))),
                ("code_challenge_method", "S256".to_owned()),
                ("redirect_uri", redirect.to_owned()),
                ("response_type", "code".to_owned()),
            ],
        );
        // A page in a browser cannot set this header: the server challenges whoever does.
        let csrf = ("x-csrf-token", "1");
        let (status, headers, body) = self.ask(Method::GET, &url, &[csrf], String::new()).await?;
        let challenge = text_of(&headers, header::WWW_AUTHENTICATE);
        if status == 401 && !challenge.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("basic")) {
            return Err(plain("the server has no login by name and password for clients without a browser"));
        }
        let (status, headers, body) = if status == 401 {
            let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            let headers = [csrf, (header::AUTHORIZATION.as_str(), basic.as_str())];
            self.ask(Method::GET, &url, &headers, String::new()).await?
        } else {
            (status, headers, body)
        };
        if status == 401 {
            self.app
                .io
                .line("Login failed (401 Unauthorized)\nVerify you have provided correct credentials.")?;
            return Err(Failure::Exit(1));
        }
        let location = text_of(&headers, header::LOCATION);
        let parameters = location.split_once('?').map(|(_, query)| query).unwrap_or_default();
        match query::first(parameters, "code") {
            Some(code) if status == 302 && location.starts_with(redirect) => Ok(code.into_owned()),
            _ if status >= 400 => Err(refusal(status, &body, &Method::GET)),
            _ => Err(plain(format!("the server answered the login with {status} and no code"))),
        }
    }

    /// One request to an address of the server's choice.
    async fn ask(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<(u16, HeaderMap, Bytes), Failure> {
        let wrong = || plain(format!("the server names \"{url}\", which is no address"));
        let uri: http::Uri = url.parse().map_err(|_| wrong())?;
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.authority()) else { return Err(wrong()) };
        let own = self.cluster.server.as_deref().unwrap_or_default();
        if scheme != "https" && own.starts_with("https:") {
            return Err(plain(format!("the server names \"{url}\", where a password would not be safe")));
        }
        let there = Cluster { server: Some(format!("{scheme}://{host}")), ..self.cluster.clone() };
        let api = connect(self.app, &there, None).await?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.into_bytes()));
        let request = request.map_err(|error| plain(format!("invalid request: {error}")))?;
        let (head, body) = api.exchange(request).await?;
        Ok((head.status.as_u16(), head.headers, body))
    }
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}
