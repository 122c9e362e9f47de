//! Finding out who sent a request.
//!
//! In this order: a front proxy's word, a bearer token, a client certificate, nobody. A wrong token is refused even if a
//! good certificate came with it. Nothing in a token or header names a key or is believed without proof; the headers of
//! a front proxy count only on a connection whose certificate the proxy's own authority has signed.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use machinery::status::ApiError;
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};

use super::front_proxy::FrontProxy;
use super::jwt::Signer;
use super::oauth::Login;
use super::oidc::Oidc;
use super::{Actor, oauth, tokens};
use crate::bootstrap::{ADMIN_GROUP, ADMIN_USER};
use crate::context::Context;
use crate::listen::Peer;

/// What credentials are checked with. Holds only hashes of tokens.
#[derive(Debug)]
pub struct Authenticator {
    admin_token: [u8; 32],
    /// Signs and checks tokens of service accounts.
    pub(super) signer: Signer,
    /// The proxy whose word is taken, if there is one.
    pub(super) front_proxy: Option<FrontProxy>,
    /// Login by name and password, if there is a file of passwords.
    pub(super) login: Option<Login>,
    /// Another identity provider, if there is one.
    pub(crate) oidc: Option<Oidc>,
}

/// Whose a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOwner {
    /// Who.
    pub actor: Actor,
    /// For whom the token is good, among those that were asked about.
    pub audiences: Vec<String>,
}

impl Authenticator {
    /// An authenticator that knows the administrator's token.
    pub fn new(
        admin_token: &str,
        signer: Signer,
        front_proxy: Option<FrontProxy>,
        login: Option<Login>,
        oidc: Option<Oidc>,
    ) -> Authenticator {
        Authenticator {
            admin_token: Sha256::digest(admin_token.as_bytes()).into(),
            signer,
            front_proxy,
            login,
            oidc,
        }
    }

    fn is_admin_token(&self, token: &str) -> bool {
        // Hashes are compared, so that the time it takes says nothing about the token itself.
        let given: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        given.iter().zip(&self.admin_token).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
    }
}

/// Gets what [`authenticate`] may need from elsewhere: the keys of another identity provider, when a token names one that is
/// not known yet.
pub async fn prepare(ctx: &Context, headers: &HeaderMap) {
    let Some(oidc) = &ctx.authenticator.oidc else { return };
    if let Some(token) = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer) {
        oidc.prepare(token).await;
    }
}

/// Finds out who sent a request.
///
/// # Errors
/// 401 for credentials that are shown but wrong.
pub fn authenticate(ctx: &Context, peer: &Peer, headers: &HeaderMap) -> Result<Actor, ApiError> {
    let mut certificate = peer.certificate.as_ref();
    if let (Some(proxy), Some(shown)) = (&ctx.authenticator.front_proxy, certificate) {
        let now = ctx.clock.timestamp();
        if proxy.is_signed(shown, now) {
            if let Some(actor) = proxy.actor(shown, headers) {
                return Ok(actor);
            }
            // The proxy's authority says nothing about users: it must not make one by a name in a certificate.
            certificate = None;
        }
    }
    if let Some(value) = headers.get(AUTHORIZATION) {
        let token = value.to_str().ok().and_then(bearer).ok_or_else(ApiError::unauthorized)?;
        return token_owner(ctx, token, None).map(|owner| owner.actor).ok_or_else(ApiError::unauthorized);
    }
    match certificate {
        Some(certificate) => by_certificate(certificate),
        None => Ok(Actor::anonymous()),
    }
}

/// Whose a token is; `None` for one that is wrong, has expired, or is meant for none of `audiences` (this server's own
/// when nobody says).
pub fn token_owner(ctx: &Context, token: &str, audiences: Option<&[String]>) -> Option<TokenOwner> {
    let own = [tokens::ISSUER.to_owned()];
    let audiences = audiences.unwrap_or(&own);
    if token.matches('.').count() == 2
        && let Some((actor, audiences)) = tokens::owner(ctx, token, audiences)
    {
        return Some(TokenOwner { actor, audiences });
    }
    // The other tokens are good for this server alone.
    if !audiences.contains(&own[0]) {
        return None;
    }
    let foreign = || ctx.authenticator.oidc.as_ref()?.owner(token, ctx.clock.timestamp());
    let actor = if let Some(actor) = foreign() {
        ctx.groups.join(actor)
    } else if ctx.authenticator.is_admin_token(token) {
        Actor::named(ADMIN_USER, [ADMIN_GROUP.to_owned()])
    } else {
        ctx.groups.join(oauth::token_owner(ctx, token)?)
    };
    Some(TokenOwner { actor, audiences: own.to_vec() })
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The common name is the user, each organisation a group. The chain was verified in the handshake.
fn by_certificate(certificate: &CertificateDer<'_>) -> Result<Actor, ApiError> {
    let (_, parsed) =
        x509_parser::parse_x509_certificate(certificate.as_ref()).map_err(|_| ApiError::unauthorized())?;
    let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| value.as_str().map(str::to_owned).ok();
    let user = parsed.subject().iter_common_name().find_map(text).ok_or_else(ApiError::unauthorized)?;
    Ok(Actor::named(user, parsed.subject().iter_organization().filter_map(text)))
}
