//! Tokens of another identity provider (OpenID Connect): who they say somebody is, when they can be believed.
//!
//! A token is believed when a key of the issuer has signed it ([`keys`]), and issuer, audience, time and the claims that the
//! operator asks for are right. What the token's header says chooses nothing: the key says its algorithm, and the header
//! must agree. Groups are those of this token, never remembered ones. Names and groups that begin with `system:` belong to
//! this server and are not taken from anybody.

mod keys;

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use oci::client::{Transport, WebSettings, WebTransport};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Actor;
use super::actor::AUTHENTICATED_OAUTH;
use crate::settings::OidcSettings;
use crate::tasks::Tasks;
use keys::Issuer;

/// Bytes of the longest token that is looked at.
const LONGEST: usize = 16 * 1024;
/// Seconds that clocks may differ by.
const LEEWAY: i64 = 10;
/// Groups of one token.
const MOST_GROUPS: usize = 1000;
/// What names of this server's own users and groups begin with.
const OURS: &str = "system:";

/// An identity provider whose tokens are taken.
#[derive(Debug)]
pub struct Oidc {
    settings: OidcSettings,
    issuer: Issuer,
}

/// What a token's header says; nothing else in it is looked at.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: String,
    /// Extensions that must be understood: there are none.
    #[serde(default)]
    crit: Option<Value>,
}

/// A token taken apart, nothing of it proved.
struct Parts<'a> {
    header: Header,
    claims: Map<String, Value>,
    message: &'a str,
    signature: Vec<u8>,
}

impl Oidc {
    /// The provider of the settings; its keys are fetched later.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn open(settings: &OidcSettings) -> Result<Oidc, String> {
        let extra_roots = match &settings.ca_file {
            None => Vec::new(),
            Some(path) => vec![
                std::fs::read(path).map_err(|error| format!("oidc.caFile: {}: {error}", path.display()))?,
            ],
        };
        let web = WebTransport::new(WebSettings { extra_roots, ..WebSettings::default() })
            .map_err(|error| format!("oidc.caFile: {error}"))?;
        Oidc::over(settings, Arc::new(web))
    }

    /// The same over any transport.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn over(settings: &OidcSettings, transport: Arc<dyn Transport>) -> Result<Oidc, String> {
        if !settings.issuer_url.starts_with("https://") {
            return Err("oidc.issuerUrl must begin with https://".to_owned());
        }
        if settings.audiences.is_empty() || settings.audiences.iter().any(String::is_empty) {
            return Err("oidc.audiences must name whom tokens are for".to_owned());
        }
        let issuer = Issuer::new(&settings.issuer_url, transport);
        Ok(Oidc { settings: settings.clone(), issuer })
    }

    /// Keeps the keys as new as they can be until the server stops.
    pub async fn run(&self, tasks: &Tasks) {
        self.issuer.run(tasks).await;
    }

    /// Fetches keys when a token names one that is not known, at most now and then.
    pub async fn prepare(&self, token: &str) {
        if let Some(parts) = parts(token)
            && self.is_from_here(&parts)
            && !self.issuer.has(&parts.header.kid)
        {
            self.issuer.fetch_if_due().await;
        }
    }

    /// Whose a token is; `None` for one that is not believed.
    pub fn owner(&self, token: &str, now: Timestamp) -> Option<Actor> {
        let parts = parts(token)?;
        let now = now.as_second();
        let proved = self.is_from_here(&parts)
            && parts.header.crit.is_none()
            && self.issuer.has_signed(&parts.header.kid, &parts.header.alg, parts.message, &parts.signature)
            && self.is_for_us(&parts.claims)
            && is_in_time(&parts.claims, now)
            && self
                .settings
                .required_claims
                .iter()
                .all(|(claim, value)| parts.claims.get(claim).and_then(Value::as_str) == Some(value));
        if !proved {
            return None;
        }
        let user = self.user(&parts.claims)?;
        let mut actor = Actor::named(user, self.groups(&parts.claims)?);
        Arc::make_mut(&mut actor.groups).push(AUTHENTICATED_OAUTH.to_owned());
        if let Some(id) = parts.claims.get("jti").and_then(Value::as_str) {
            let key = "authentication.kubernetes.io/credential-id".to_owned();
            actor.extra = Arc::new(BTreeMap::from([(key, vec![format!("JTI={id}")])]));
        }
        Some(actor)
    }

    fn is_from_here(&self, parts: &Parts<'_>) -> bool {
        parts.claims.get("iss").and_then(Value::as_str) == Some(&self.settings.issuer_url)
    }

    fn is_for_us(&self, claims: &Map<String, Value>) -> bool {
        let ours = |audience: &Value| {
            audience
                .as_str()
                .is_some_and(|audience| self.settings.audiences.iter().any(|our| our == audience))
        };
        match claims.get("aud") {
            Some(Value::Array(audiences)) => audiences.iter().any(ours),
            Some(audience) => ours(audience),
            None => false,
        }
    }

    fn user(&self, claims: &Map<String, Value>) -> Option<String> {
        let claim = self.settings.username_claim.as_str();
        let name = claims.get(claim)?.as_str().filter(|name| !name.is_empty())?;
        // An address that the provider has not checked is whatever its user typed.
        if claim == "email"
            && claims.get("email_verified").is_some_and(|verified| *verified != Value::Bool(true))
        {
            return None;
        }
        let prefix = match &self.settings.username_prefix {
            Some(prefix) => prefix.clone(),
            None if claim == "email" => String::new(),
            None => format!("{}#", self.settings.issuer_url),
        };
        let user = format!("{prefix}{name}");
        (!user.starts_with(OURS)).then_some(user)
    }

    /// `None` when the claim holds something else than groups.
    fn groups(&self, claims: &Map<String, Value>) -> Option<Vec<String>> {
        let named = self.settings.groups_claim.as_ref().and_then(|claim| claims.get(claim));
        let names: Vec<&str> = match named {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) if names.len() <= MOST_GROUPS => {
                names.iter().map(Value::as_str).collect::<Option<_>>()?
            }
            Some(_) => return None,
        };
        let groups = names.into_iter().map(|name| format!("{}{name}", self.settings.groups_prefix));
        Some(groups.filter(|group| !group.starts_with(OURS)).collect())
    }
}

fn parts(token: &str) -> Option<Parts<'_>> {
    if token.len() > LONGEST {
        return None;
    }
    let (message, signature) = token.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    Some(Parts {
        header: serde_json::from_slice(&decode(header)?).ok()?,
        claims: serde_json::from_slice(&decode(claims)?).ok()?,
        message,
        signature: decode(signature)?,
    })
}

/// A token says when it ends; when it begins only if it likes.
fn is_in_time(claims: &Map<String, Value>, now: i64) -> bool {
    // Providers may write fractions of seconds.
    #[expect(clippy::cast_possible_truncation, reason = "times are far from the ends of the range")]
    let seconds = |claim: &str| claims.get(claim).map(|value| value.as_f64().map(|seconds| seconds as i64));
    let ends = seconds("exp").flatten().is_some_and(|end| now < end.saturating_add(LEEWAY));
    let begun =
        seconds("nbf").is_none_or(|begin| begin.is_some_and(|begin| now >= begin.saturating_sub(LEEWAY)));
    ends && begun
}

#[cfg(test)]
mod tests;
