//! Who is asking, and may they?
//!
//! Authentication takes, in this order, a bearer token, then a client certificate, then nobody. A wrong token is refused
//! even if a good certificate came with it. Nothing in a token or header names a key or is believed without proof.
//! Authorization knows one rule so far: the group `system:masters` may do everything, others may see health, version
//! and discovery.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use machinery::request::{RequestInfo, Verb};
use machinery::status::{ApiError, GroupResource};
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};

use crate::bootstrap::{ADMIN_GROUP, ADMIN_USER};
use crate::listen::Peer;

/// Group of everybody who has proved who they are.
pub const AUTHENTICATED: &str = "system:authenticated";
/// User name and group of everybody else.
pub const ANONYMOUS: &str = "system:anonymous";
const UNAUTHENTICATED: &str = "system:unauthenticated";

/// Who makes a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// Name.
    pub user: String,
    /// Identity beyond the name, where the source of users has one.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Further words about the user.
    pub extra: BTreeMap<String, Vec<String>>,
    /// Who really asks, when this user is impersonated.
    pub impersonator: Option<String>,
    /// The request; audit and ledger name it.
    pub request_id: String,
}

impl Actor {
    /// A part of the server itself.
    pub fn controller(name: &str) -> Actor {
        Actor {
            user: format!("system:serviceaccount:weir:{name}"),
            groups: vec![ADMIN_GROUP.to_owned(), AUTHENTICATED.to_owned()],
            ..Actor::default()
        }
    }

    /// Somebody who showed nothing.
    pub fn anonymous() -> Actor {
        Actor { user: ANONYMOUS.to_owned(), groups: vec![UNAUTHENTICATED.to_owned()], ..Actor::default() }
    }

    fn named(user: String, mut groups: Vec<String>) -> Actor {
        groups.push(AUTHENTICATED.to_owned());
        Actor { user, groups, ..Actor::default() }
    }

    /// True for administrators of the whole server.
    pub fn is_admin(&self) -> bool {
        self.groups.iter().any(|group| group == ADMIN_GROUP)
    }
}

/// What a caller may do about something, with the authorizer's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// Why, for people; mostly empty.
    pub reason: String,
}

/// Checks credentials. Holds only hashes of tokens.
#[derive(Debug)]
pub struct Authenticator {
    admin_token: [u8; 32],
}

impl Authenticator {
    /// An authenticator that knows the administrator's token.
    pub fn new(admin_token: &str) -> Authenticator {
        Authenticator { admin_token: Sha256::digest(admin_token.as_bytes()).into() }
    }

    /// Finds out who sent a request.
    ///
    /// # Errors
    /// 401 for credentials that are shown but wrong.
    pub fn authenticate(&self, peer: &Peer, headers: &HeaderMap) -> Result<Actor, ApiError> {
        if let Some(value) = headers.get(AUTHORIZATION) {
            let token = value.to_str().ok().and_then(bearer).ok_or_else(ApiError::unauthorized)?;
            return self.token(token);
        }
        match &peer.certificate {
            Some(certificate) => by_certificate(certificate),
            None => Ok(Actor::anonymous()),
        }
    }

    /// Finds out whose token this is.
    ///
    /// # Errors
    /// 401 for one that is nobody's.
    pub fn token(&self, token: &str) -> Result<Actor, ApiError> {
        // Hashes are compared, so that the time it takes says nothing about the token itself.
        let given: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let differ = given.iter().zip(&self.admin_token).fold(0, |sum, (a, b)| sum | (a ^ b));
        if differ == 0 {
            Ok(Actor::named(ADMIN_USER.to_owned(), vec![ADMIN_GROUP.to_owned()]))
        } else {
            Err(ApiError::unauthorized())
        }
    }
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
    let groups = parsed.subject().iter_organization().filter_map(text).collect();
    Ok(Actor::named(user, groups))
}

/// Lets an administrator act as somebody else, as the `Impersonate-*` headers say.
///
/// # Errors
/// 403 for callers who may not, 400 for headers that do not name a user.
pub fn impersonate(actor: Actor, headers: &HeaderMap) -> Result<Actor, ApiError> {
    let texts = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
    };
    let extras: Vec<_> =
        headers.keys().filter(|name| name.as_str().starts_with("impersonate-extra-")).cloned().collect();
    let (users, groups, uids) =
        (texts("impersonate-user"), texts("impersonate-group"), texts("impersonate-uid"));
    let Some(user) = users.into_iter().next().filter(|user| !user.is_empty()) else {
        if groups.is_empty() && uids.is_empty() && extras.is_empty() {
            return Ok(actor);
        }
        return Err(ApiError::bad_request("requested impersonation without impersonating a user"));
    };
    if !actor.is_admin() {
        let why = format!(
            "User {} cannot impersonate resource \"users\" in API group \"\" at the cluster scope",
            machinery::field::quote(&actor.user)
        );
        return Err(ApiError::forbidden(GroupResource::new("", "users"), &user, &why));
    }
    let mut new = Actor::named(user.clone(), groups);
    new.groups.extend(service_account_groups(&user));
    new.uid = uids.into_iter().next().unwrap_or_default();
    for name in extras {
        let key = name.as_str().trim_start_matches("impersonate-extra-").to_owned();
        new.extra.insert(key, texts(name.as_str()));
    }
    new.impersonator = Some(actor.user);
    Ok(new)
}

/// The groups that every service account is in.
fn service_account_groups(user: &str) -> Vec<String> {
    match user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        Some((namespace, _)) => {
            vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
        }
        None => Vec::new(),
    }
}

/// Decides whether a caller may make a request.
///
/// # Errors
/// 403 in Kubernetes' words; 401 for anonymous callers who would have to log in first.
pub fn authorize(actor: &Actor, info: &RequestInfo<'_>) -> Result<(), ApiError> {
    if actor.is_admin() || is_public(info) {
        return Ok(());
    }
    if info.is_resource {
        let of = GroupResource::new(&info.group, &info.resource);
        return Err(ApiError::forbidden(of, info.target_name(), &denial(actor, info)));
    }
    let why = format!("User {} cannot {} path {}", quoted(&actor.user), info.verb, quoted(&info.path));
    Err(ApiError::new(403, "Forbidden", format!("forbidden: {why}")).with_details(Default::default()))
}

/// Something that somebody wants to do, in the words of roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Act<'a> {
    /// `get`, `update`…
    pub verb: &'a str,
    /// API group.
    pub group: &'a str,
    /// Resource in the plural, with its subresource behind a slash.
    pub resource: &'a str,
    /// Namespace; empty for the whole cluster.
    pub namespace: &'a str,
    /// Name; empty for any.
    pub name: &'a str,
}

/// Whether somebody may do something that is not a request to the API itself.
pub fn may(actor: &Actor, _act: Act<'_>) -> Decision {
    Decision { allowed: actor.is_admin(), reason: String::new() }
}

/// Whether a caller may read the images of a stream in another project (`get imagestreams/layers`).
pub fn may_read_layers(actor: &Actor, _namespace: &str, _stream: &str) -> Decision {
    Decision { allowed: actor.is_admin(), reason: String::new() }
}

fn is_public(info: &RequestInfo<'_>) -> bool {
    let reads = matches!(info.verb, Verb::Get | Verb::Head);
    let path: &str = &info.path;
    !info.is_resource
        && reads
        && (matches!(
            path,
            "/" | "/version" | "/api" | "/api/" | "/apis" | "/apis/" | "/healthz" | "/livez" | "/readyz"
        ) || ["/api/", "/apis/", "/version/", "/healthz/", "/livez/", "/readyz/", "/openapi/"]
            .iter()
            .any(|prefix| path.starts_with(prefix)))
}

fn denial(actor: &Actor, info: &RequestInfo<'_>) -> String {
    let resource = if info.subresource.is_empty() {
        info.resource.to_string()
    } else {
        format!("{}/{}", info.resource, info.subresource)
    };
    let place = if info.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {}", quoted(&info.namespace))
    };
    format!(
        "User {} cannot {} resource {} in API group {} {place}",
        quoted(&actor.user),
        info.verb,
        quoted(&resource),
        quoted(&info.group)
    )
}

fn quoted(text: &str) -> String {
    machinery::field::quote(text)
}

/// An actor shared by the parts of one request.
pub type SharedActor = Arc<Actor>;
