//! Tokens of service accounts: made on request, for named audiences, for a limited time.
//!
//! A token is good as long as its account is: the account must still be there with the identity it had then, and so
//! must the object that the token is bound to. Nothing about tokens is stored.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use machinery::meta::ObjectMeta;
use machinery::status::ApiError;
use serde::{Deserialize, Serialize};

use super::Actor;
use crate::context::Context;
use crate::plain::Plain;
use crate::resource;
use crate::stored::Storable;

/// Who tokens say has made them, and whom they are for when nobody is named.
pub const ISSUER: &str = "https://kubernetes.default.svc";
/// Seconds that a token is good for when nobody says otherwise.
pub const DEFAULT_SECONDS: i64 = 3600;
/// The least and the most that can be asked for.
pub const LEAST_SECONDS: i64 = 600;
/// See [`LEAST_SECONDS`].
pub const MOST_SECONDS: i64 = 1 << 32;
/// Seconds that clocks may differ by.
const LEEWAY: i64 = 10;

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    aud: Vec<String>,
    exp: i64,
    iat: i64,
    iss: String,
    jti: String,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Private,
    nbf: i64,
    sub: String,
    /// Who it makes of its bearer; put together once for all requests with it.
    #[serde(skip)]
    actor: OnceLock<Actor>,
    /// The last revision of everything at which what it is bound to was found there.
    #[serde(skip)]
    found_at: AtomicU64,
}

impl Claims {
    fn actor(&self) -> &Actor {
        self.actor.get_or_init(|| {
            let Private { namespace, serviceaccount: account, .. } = &self.kubernetes;
            let mut actor = Actor::service_account(namespace, &account.name, &account.uid);
            let id = format!("JTI={}", self.jti);
            Arc::make_mut(&mut actor.extra)
                .insert("authentication.kubernetes.io/credential-id".to_owned(), vec![id]);
            actor
        })
    }
}

impl Claims {
    /// Whether its account and what else it is bound to are there, with the identities that they had.
    fn is_bound(&self, ctx: &Context) -> bool {
        let snapshot = ctx.cache.snapshot();
        let now = snapshot.revision.0;
        // Nothing has changed since they were found.
        if now > 0 && self.found_at.load(Ordering::Relaxed) == now {
            return true;
        }
        let Private { namespace, pod, secret, serviceaccount: account } = &self.kubernetes;
        let is_there = |plural: &str, named: &Named| {
            let Some(resource) = resource::find("", "v1", plural, "") else { return false };
            let entry = snapshot.get(&resource.key(namespace, &named.name));
            // Not what is about to go.
            entry.is_some_and(|entry| !entry.object.terminating && *entry.object.uid == *named.uid)
        };
        let is_bound = is_there("serviceaccounts", account)
            && secret.as_ref().is_none_or(|secret| is_there("secrets", secret))
            && pod.as_ref().is_none_or(|pod| is_there("pods", pod));
        if is_bound {
            self.found_at.store(now, Ordering::Relaxed);
        }
        is_bound
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Private {
    namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod: Option<Named>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Named>,
    serviceaccount: Named,
}

/// A name with the identity it had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Name.
    pub name: String,
    /// Identity.
    pub uid: String,
}

/// What a token is bound to beside its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A pod.
    Pod(Named),
    /// A secret.
    Secret(Named),
}

/// A token that somebody asks for.
#[derive(Debug)]
pub struct Request<'a> {
    /// Whose.
    pub account: &'a ObjectMeta,
    /// For whom; never empty.
    pub audiences: Vec<String>,
    /// For how long.
    pub seconds: i64,
    /// What else it lives and dies with.
    pub bound: Option<Bound>,
}

/// Makes a token; returns it with the time it ends (seconds since 1970).
///
/// # Errors
/// 500 when it cannot be signed.
pub fn make(ctx: &Context, request: Request<'_>) -> Result<(String, i64), ApiError> {
    let now = ctx.clock.timestamp().as_second();
    let exp = now.saturating_add(request.seconds);
    let account = request.account;
    let (pod, secret) = match request.bound {
        Some(Bound::Pod(named)) => (Some(named), None),
        Some(Bound::Secret(named)) => (None, Some(named)),
        None => (None, None),
    };
    let claims = Claims {
        aud: request.audiences,
        exp,
        iat: now,
        iss: ISSUER.to_owned(),
        jti: ctx.random.uid(),
        kubernetes: Private {
            namespace: account.namespace.clone(),
            pod,
            secret,
            serviceaccount: Named { name: account.name.clone(), uid: account.uid.clone() },
        },
        nbf: now,
        actor: OnceLock::new(),
        found_at: AtomicU64::new(0),
        sub: format!("{}{}:{}", super::actor::SERVICE_ACCOUNT_PREFIX, account.namespace, account.name),
    };
    let token = ctx
        .authenticator
        .signer
        .sign(&claims)
        .map_err(|_| ApiError::internal("the token could not be signed"))?;
    Ok((token, exp))
}

/// Whose a token is, and for which of `audiences` it is good; `None` for one that is good for nothing.
pub fn owner(ctx: &Context, token: &str, audiences: &[String]) -> Option<(Actor, Vec<String>)> {
    let claims: Arc<Claims> = ctx.authenticator.signer.verify(token)?;
    let now = ctx.clock.timestamp().as_second();
    if claims.iss != ISSUER || now >= claims.exp + LEEWAY || now < claims.nbf - LEEWAY {
        return None;
    }
    let good_for: Vec<String> =
        claims.aud.iter().filter(|audience| audiences.contains(audience)).cloned().collect();
    if good_for.is_empty() {
        return None;
    }
    if !claims.is_bound(ctx) {
        return None;
    }
    Some((claims.actor().clone(), good_for))
}

/// When a token that is bound to a secret (by its identity) was made and when it ends, in seconds since 1970; `None` for
/// any other one.
pub fn lifetime(ctx: &Context, token: &str, secret: &str) -> Option<(i64, i64)> {
    let claims: Arc<Claims> = ctx.authenticator.signer.verify(token)?;
    let bound = claims.kubernetes.secret.as_ref().is_some_and(|bound| bound.uid == secret);
    bound.then_some((claims.iat, claims.exp))
}

/// The object that a token shall be bound to.
///
/// # Errors
/// 404 when it is not there, 409 when it is another one.
pub fn bind(ctx: &Context, namespace: &str, kind: &str, name: &str, uid: &str) -> Result<Bound, ApiError> {
    let plural = if kind == "Pod" { "pods" } else { "secrets" };
    let of = machinery::status::GroupResource::new("", plural);
    let missing = || ApiError::not_found(of, name);
    let resource = resource::find("", "v1", plural, "").ok_or_else(missing)?;
    let snapshot = ctx.cache.snapshot();
    let entry = snapshot.get(&resource.key(namespace, name)).ok_or_else(missing)?;
    let object = Plain::decode(&entry.object).map_err(|why| ApiError::internal(&why))?;
    if !uid.is_empty() && object.metadata.uid != uid {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. \
             The object might have been deleted and then recreated"
        );
        return Err(ApiError::conflict(of, name, &why));
    }
    let named = Named { name: name.to_owned(), uid: object.metadata.uid.clone() };
    Ok(if kind == "Pod" { Bound::Pod(named) } else { Bound::Secret(named) })
}
