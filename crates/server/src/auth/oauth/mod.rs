//! Login by name and password: OAuth 2.0 as OpenShift's clients speak it.
//!
//! A client without a browser asks for a code with HTTP basic authentication and exchanges it for an access token; the
//! code is bound to the client by a challenge (PKCE) and good once. Tokens are kept as objects named by their hash, so
//! that whoever can read the store cannot use them. A token is good as long as its user is in the file of passwords.

mod endpoints;
mod htpasswd;
mod throttle;

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use machinery::status::ApiError;
use machinery::time::Time;
use serde_json::json;
use sha2::{Digest, Sha256};
use store::{CommitError, Expect, Txn};
use tokio::sync::Semaphore;

pub use self::endpoints::{Asked, answer, is_endpoint};
use self::htpasswd::Htpasswd;
use self::throttle::Throttle;
use super::Actor;
use super::actor::AUTHENTICATED_OAUTH;
use crate::context::{Context, Ctx};
use crate::plain::{LENIENT, Plain, PlainRules};
use crate::resource::{self, Resource};
use crate::settings::LoginSettings;
use crate::stored::{Loaded, Storable};
use crate::streams::{self, fill_identity, load_entry};

/// The API group of tokens.
pub const GROUP: &str = "oauth.openshift.io";
/// What tokens and their names begin with.
const PREFIX: &str = "sha256~";
/// Seconds a code is good for.
const CODE_SECONDS: i64 = 300;
/// Passwords that are checked at once: each takes a processor for a good while.
const CHECKS_AT_ONCE: usize = 2;

/// Tokens and codes: their name is everything that must be right.
pub const TOKEN: PlainRules = PlainRules { ..LENIENT };

/// Login by name and password.
#[derive(Debug)]
pub struct Login {
    passwords: Htpasswd,
    throttle: Throttle,
    checks: Semaphore,
    token_seconds: i64,
}

impl Login {
    /// Opens the file of passwords.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(settings: &LoginSettings) -> Result<Login, String> {
        Ok(Login {
            passwords: Htpasswd::open(&settings.htpasswd_file)?,
            throttle: Throttle::default(),
            checks: Semaphore::new(CHECKS_AT_ONCE),
            token_seconds: i64::try_from(settings.access_token_seconds).unwrap_or(i64::MAX),
        })
    }
}

/// Who logs in with a name and a password; `None` when either is wrong, or nobody logs in that way.
///
/// # Errors
/// 429 for those who guess.
pub async fn password_owner(
    ctx: &Ctx,
    address: Option<IpAddr>,
    user: &str,
    password: &str,
) -> Result<Option<Actor>, ApiError> {
    let Some(login) = &ctx.authenticator.login else { return Ok(None) };
    if user.is_empty() || !endpoints::check(ctx, login, address, user, password.to_owned()).await? {
        return Ok(None);
    }
    Ok(Some(ctx.groups.join(person(user))))
}

/// A token for a person who has shown who they are.
///
/// # Errors
/// When the store does not take it.
pub async fn short_token(ctx: &Ctx, client: &str, user: &str, seconds: i64) -> Result<String, ApiError> {
    let grant = Grant {
        client: client.to_owned(),
        user: user.to_owned(),
        redirect_uri: String::new(),
        challenge: String::new(),
        challenge_method: String::new(),
    };
    let made = make_token(ctx, &grant, seconds, None).await?;
    made.ok_or_else(|| ApiError::internal("the token could not be kept"))
}

/// Everybody who can log in by name and password, by name.
pub fn user_names(ctx: &Context) -> Vec<String> {
    ctx.authenticator.login.as_ref().map(|login| login.passwords.names()).unwrap_or_default()
}

fn person(user: &str) -> Actor {
    let mut actor = Actor::named(user, [AUTHENTICATED_OAUTH.to_owned()]);
    Arc::make_mut(&mut actor.extra)
        .insert("scopes.authorization.openshift.io".to_owned(), vec!["user:full".to_owned()]);
    actor
}

/// Whose an access token is.
pub fn token_owner(ctx: &Context, token: &str) -> Option<Actor> {
    let login = ctx.authenticator.login.as_ref()?;
    let secret = token.strip_prefix(PREFIX)?;
    let snapshot = ctx.cache.snapshot();
    let entry = snapshot.get(&access_tokens().key("", &name_of(secret)))?;
    let stored = Plain::decode(&entry.object).ok()?;
    if has_ended(&stored, ctx.clock.now()) {
        return None;
    }
    let user = text(&stored, "userName");
    if user.is_empty() || !login.passwords.knows(user) {
        return None;
    }
    Some(person(user))
}

fn text<'a>(token: &'a Plain, field: &str) -> &'a str {
    token.fields.get(field).and_then(serde_json::Value::as_str).unwrap_or_default()
}

/// True when a token's or code's time is over.
fn has_ended(token: &Plain, now: Time) -> bool {
    let seconds = token.fields.get("expiresIn").and_then(serde_json::Value::as_i64).unwrap_or_default();
    now.seconds_since(token.metadata.creation_timestamp) >= seconds
}

/// The name of the object that keeps a token, from what stands behind the prefix.
fn name_of(secret: &str) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(Sha256::digest(secret.as_bytes())))
}

fn access_tokens() -> &'static Resource {
    resource::find(GROUP, "v1", "oauthaccesstokens", "").expect("the table lists tokens")
}

fn codes() -> &'static Resource {
    resource::find(GROUP, "v1", "oauthauthorizetokens", "").expect("the table lists codes")
}

/// What a code or token is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    client: String,
    user: String,
    redirect_uri: String,
    challenge: String,
    challenge_method: String,
}

/// A new object for a secret, and the secret.
fn fresh(ctx: &Ctx, grant: &Grant, seconds: i64) -> (Plain, String) {
    let secret = ctx.random.token();
    let mut object = Plain::default();
    object.metadata.name = name_of(&secret);
    fill_identity(ctx, object.metadata_mut());
    let fields = json!({
        "clientName": grant.client,
        "expiresIn": seconds,
        "redirectURI": grant.redirect_uri,
        "scopes": ["user:full"],
        "userName": grant.user,
    });
    if let serde_json::Value::Object(fields) = fields {
        object.fields = fields;
    }
    (object, format!("{PREFIX}{secret}"))
}

/// Makes a code.
///
/// # Errors
/// When the store does not take it.
async fn make_code(ctx: &Ctx, grant: &Grant) -> Result<String, ApiError> {
    let (mut object, code) = fresh(ctx, grant, CODE_SECONDS);
    object.fields.insert("codeChallenge".to_owned(), grant.challenge.as_str().into());
    object.fields.insert("codeChallengeMethod".to_owned(), grant.challenge_method.as_str().into());
    let key = streams::key(&codes().key("", &object.metadata.name))?;
    commit(ctx, Txn::new().create(key, object.encode())).await.map(|_| code)
}

/// Makes an access token; with a code, which is used up by that.
///
/// # Errors
/// When the store does not take it.
async fn make_token(
    ctx: &Ctx,
    grant: &Grant,
    seconds: i64,
    code: Option<&Loaded<Plain>>,
) -> Result<Option<String>, ApiError> {
    let (object, token) = fresh(ctx, grant, seconds);
    let key = streams::key(&access_tokens().key("", &object.metadata.name))?;
    let mut txn = Txn::new().create(key, object.encode());
    if let Some(code) = code {
        let key = streams::key(&codes().key("", &code.object.metadata.name))?;
        txn = txn.guard(key.clone(), Expect::At(code.revision)).delete(key);
    }
    Ok(commit(ctx, txn).await?.then_some(token))
}

/// False when somebody else was faster.
async fn commit(ctx: &Ctx, txn: Txn) -> Result<bool, ApiError> {
    match ctx.store.commit(txn).await {
        Ok(revision) => ctx.settle(revision).await.map(|()| true),
        Err(CommitError::Conflict { .. }) => Ok(false),
        Err(error) => Err(ApiError::unavailable(error.to_string())),
    }
}

/// The code that a client shows, if it is kept and its time is not over.
fn find_code(ctx: &Ctx, code: &str) -> Result<Option<(Loaded<Plain>, Grant)>, ApiError> {
    let Some(secret) = code.strip_prefix(PREFIX) else { return Ok(None) };
    let found = load_entry::<Plain>(ctx, &codes().key("", &name_of(secret)))?;
    let Some(found) = found.filter(|found| !has_ended(&found.object, ctx.clock.now())) else {
        return Ok(None);
    };
    let field = |name: &str| text(&found.object, name).to_owned();
    let grant = Grant {
        client: field("clientName"),
        user: field("userName"),
        redirect_uri: field("redirectURI"),
        challenge: field("codeChallenge"),
        challenge_method: field("codeChallengeMethod"),
    };
    Ok(Some((found, grant)))
}

/// Removes tokens and codes whose time is over, once.
///
/// # Errors
/// When the store does not take it.
pub async fn sweep(ctx: &Ctx) -> Result<usize, ApiError> {
    let now = ctx.clock.now();
    let mut removed = 0;
    for resource in [access_tokens(), codes()] {
        let snapshot = ctx.cache.snapshot();
        for entry in snapshot.range(&resource.prefix(), None) {
            let token = streams::decode::<Plain>(entry)?;
            if has_ended(&token.object, now) {
                let txn =
                    Txn::new().guard(entry.key.clone(), Expect::At(entry.modified)).delete(entry.key.clone());
                removed += usize::from(commit(ctx, txn).await?);
            }
        }
    }
    Ok(removed)
}
