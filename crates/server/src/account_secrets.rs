//! Credentials of service accounts for the integrated registry: a docker configuration for each, made and kept fresh.
//!
//! Every account has one secret of type `kubernetes.io/dockercfg`, named in its annotation and referred to by its
//! `secrets` and `imagePullSecrets`, with a token for every name of the registry; the user's name is `<token>`, as
//! OpenShift's tools expect. The token is bound to the secret: who deletes the secret revokes it, and gets a new one. It is
//! renewed when three fifths of its time are over. What somebody took out of the account or the secret is put back;
//! secrets of accounts that are gone are removed.
//!
//! Level-triggered: the work on an account looks at what is there. Account and secret change in one transaction.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use machinery::meta::OwnerReference;
use machinery::status::ApiError;
use serde_json::{Map, Value, json};
use store::{CommitError, Expect, Txn};
use tokio::time::Instant;

use crate::auth::tokens::{self, Bound, ISSUER, Named, Request};
use crate::context::Ctx;
use crate::control::{Done, Queue, StreamKey};
use crate::plain::Plain;
use crate::resource::{self, Resource};
use crate::stored::{Loaded, Storable};
use crate::streams::{self, fill_identity, load_entry};

/// On an account: the name of its secret.
const SECRET_REF: &str = "openshift.io/internal-registry-pull-secret-ref";
/// On a secret: the account it belongs to.
const ACCOUNT: &str = "openshift.io/internal-registry-auth-token.service-account";
/// On a secret: how its token lives.
const BINDING: (&str, &str) = ("openshift.io/internal-registry-auth-token.binding", "bound");
const TYPE: &str = "kubernetes.io/dockercfg";
const DATA_KEY: &str = ".dockercfg";
/// Seconds that a token is good for.
const TOKEN_SECONDS: i64 = 24 * 3600;
/// Longest name of an account that is kept whole in the secret's name.
const NAME_LENGTH: usize = 47;

fn table(plural: &str) -> &'static Resource {
    resource::find("", "v1", plural, "").expect("the table lists these kinds")
}

/// Looks after all accounts until the server stops.
pub async fn run(ctx: Ctx) {
    let queue = Queue::default();
    let prefixes = [table("serviceaccounts").prefix(), resource::secrets().prefix()];
    while !ctx.tasks.is_stopping() {
        // Changes first, then the list, so that nothing falls in between.
        let revision = ctx.cache.snapshot().revision;
        let [Ok(mut accounts), Ok(mut secrets)] =
            [0, 1].map(|which| ctx.cache.subscribe(&prefixes[which], revision))
        else {
            continue;
        };
        for entry in ctx.cache.snapshot().range(&prefixes[0], None) {
            queue.add(StreamKey::new(entry.key.namespace().unwrap_or_default(), entry.key.name()));
        }
        loop {
            tokio::select! {
                event = accounts.next() => match event {
                    Ok(event) => {
                        let key = &event.entry.key;
                        queue.add(StreamKey::new(key.namespace().unwrap_or_default(), key.name()));
                    }
                    Err(_lagged) => break,
                },
                event = secrets.next() => match event {
                    Ok(event) => queue_owner(&queue, &event.entry),
                    Err(_lagged) => break,
                },
                key = queue.next() => {
                    let done = work(&ctx, &queue, &key).await;
                    queue.done(&key, done);
                }
                () = ctx.tasks.stopping() => return,
            }
        }
    }
}

/// A secret that changed concerns the account it belongs to.
fn queue_owner(queue: &Queue<StreamKey>, entry: &crate::stored::Entry) {
    let is_ours = entry.object.fields.iter().any(|(name, value)| *name == "type" && value == TYPE);
    if !is_ours {
        return;
    }
    if let Ok(secret) = streams::decode::<Plain>(entry)
        && let Some(account) = secret.object.metadata.annotations.get(ACCOUNT)
    {
        queue.add(StreamKey::new(&secret.object.metadata.namespace, account));
    }
}

async fn work(ctx: &Ctx, queue: &Queue<StreamKey>, key: &StreamKey) -> Done {
    match reconcile(ctx, key).await {
        Ok(Some(wait)) => {
            queue.add_at(key.clone(), Instant::now() + wait);
            Done::Settled
        }
        Ok(None) => Done::Settled,
        Err(error) => {
            tracing::warn!(account = %key, %error, "a service account has no fresh credentials for the registry");
            Done::Failed
        }
    }
}

/// Gives one account what it lacks; says when to look again.
async fn reconcile(ctx: &Ctx, key: &StreamKey) -> Result<Option<Duration>, ApiError> {
    let found = load_entry::<Plain>(ctx, &table("serviceaccounts").key(&key.namespace, &key.name))?;
    let Some(account) = found.filter(|account| account.object.metadata.deletion_timestamp.is_none()) else {
        forget(ctx, key).await?;
        return Ok(None);
    };
    let namespace = load_entry::<Plain>(ctx, &resource::namespaces().key("", &key.namespace))?;
    if namespace.is_none_or(|namespace| crate::plain::is_terminating(&namespace.object)) {
        return Ok(None);
    }
    let held = managed(ctx, key)?.into_iter();
    let named = account.object.metadata.annotations.get(SECRET_REF);
    let secret = held
        .filter(|secret| is_owned(&secret.object, &account.object))
        .max_by_key(|secret| named == Some(&secret.object.metadata.name));
    let fresh_for = secret.as_ref().and_then(|secret| fresh_for(ctx, &secret.object));
    let mut txn = Txn::new();
    let mut changes = false;
    let (name, wait) = match (&secret, fresh_for) {
        (Some(secret), Some(wait)) => (secret.object.metadata.name.clone(), wait),
        (secret, _) => {
            let (object, wait) = filled(ctx, secret.as_ref(), &account.object)?;
            let key = streams::key(&resource::secrets().key(&key.namespace, &object.metadata.name))?;
            txn = match secret {
                Some(secret) => txn.update(key, secret.revision, object.encode()),
                None => txn.create(key, object.encode()),
            };
            changes = true;
            (object.metadata.name, wait)
        }
    };
    let at = streams::key(&table("serviceaccounts").key(&key.namespace, &key.name))?;
    match referring(&account.object, &name) {
        Some(changed) => txn = txn.update(at, account.revision, changed.encode()),
        None if !changes => return Ok(Some(wait)),
        None => txn = txn.guard(at, Expect::At(account.revision)),
    }
    match ctx.store.commit(txn).await {
        Ok(revision) => ctx.settle(revision).await.map(|()| Some(wait)),
        Err(CommitError::Conflict { .. }) => Err(ApiError::plain("somebody else changed it")),
        Err(error) => Err(ApiError::unavailable(error.to_string())),
    }
}

/// The secrets that were made for an account of this name.
fn managed(ctx: &Ctx, key: &StreamKey) -> Result<Vec<Loaded<Plain>>, ApiError> {
    let snapshot = ctx.cache.snapshot();
    let mut found = Vec::new();
    for entry in snapshot.range(&resource::secrets().prefix_in(&key.namespace), None) {
        if entry.object.fields.iter().any(|(name, value)| *name == "type" && value == TYPE) {
            let secret = streams::decode::<Plain>(entry)?;
            if secret.object.metadata.annotations.get(ACCOUNT).is_some_and(|account| **account == *key.name) {
                found.push(secret);
            }
        }
    }
    Ok(found)
}

fn is_owned(secret: &Plain, account: &Plain) -> bool {
    secret.metadata.owner_references.iter().any(|owner| owner.uid == account.metadata.uid)
}

/// Removes the secrets of an account that is gone.
async fn forget(ctx: &Ctx, key: &StreamKey) -> Result<(), ApiError> {
    for secret in managed(ctx, key)? {
        let at = streams::key(&resource::secrets().key(&key.namespace, &secret.object.metadata.name))?;
        match ctx.store.commit(Txn::new().guard(at.clone(), Expect::At(secret.revision)).delete(at)).await {
            Ok(revision) => ctx.settle(revision).await?,
            // Somebody else removed or changed it; its event brings it back here.
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(ApiError::unavailable(error.to_string())),
        }
    }
    Ok(())
}

/// The names by which clients know the registry.
fn hosts(ctx: &Ctx) -> Vec<&str> {
    let images = &ctx.settings.images;
    let names = [images.internal_registry_hostname.as_str(), images.external_registry_hostname.as_str()];
    let mut names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// How long a secret need not be looked at; `None` when it will not do.
fn fresh_for(ctx: &Ctx, secret: &Plain) -> Option<Duration> {
    let encoded = secret.fields.get("data")?.get(DATA_KEY)?.as_str()?;
    let document: Map<String, Value> = serde_json::from_slice(&STANDARD.decode(encoded).ok()?).ok()?;
    let hosts = hosts(ctx);
    if document.len() != hosts.len() {
        return None;
    }
    let now = ctx.clock.timestamp().as_second();
    let mut left = TOKEN_SECONDS;
    for host in hosts {
        let auth =
            String::from_utf8(STANDARD.decode(document.get(host)?.get("auth")?.as_str()?).ok()?).ok()?;
        let token = auth.strip_prefix("<token>:")?;
        let (made, ends) = tokens::lifetime(ctx, token, &secret.metadata.uid)?;
        left = left.min(made + (ends - made) * 3 / 5 - now);
    }
    u64::try_from(left).ok().filter(|left| *left > 0).map(Duration::from_secs)
}

/// The secret with a new token in it.
fn filled(ctx: &Ctx, old: Option<&Loaded<Plain>>, account: &Plain) -> Result<(Plain, Duration), ApiError> {
    let mut secret = old.map(|old| Plain::clone(&old.object)).unwrap_or_default();
    let metadata = &account.metadata;
    if old.is_none() {
        let base: String = metadata.name.chars().take(NAME_LENGTH).collect();
        secret.metadata.name = format!("{base}-dockercfg-{}", &ctx.random.uid()[..5]);
        secret.metadata.namespace.clone_from(&metadata.namespace);
        secret.metadata.owner_references = vec![OwnerReference {
            api_version: "v1".to_owned(),
            kind: "ServiceAccount".to_owned(),
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
            ..OwnerReference::default()
        }];
        fill_identity(ctx, secret.metadata_mut());
    }
    let mut annotate = |key: &str, value: &str| {
        secret.metadata.annotations.insert(key.to_owned(), value.to_owned());
    };
    annotate(ACCOUNT, &metadata.name);
    annotate(BINDING.0, BINDING.1);
    let bound = Bound::Secret(Named { name: secret.metadata.name.clone(), uid: secret.metadata.uid.clone() });
    let request = Request {
        account: metadata,
        audiences: vec![ISSUER.to_owned()],
        seconds: TOKEN_SECONDS,
        bound: Some(bound),
    };
    let (token, _) = tokens::make(ctx, request)?;
    let auth = STANDARD.encode(format!("<token>:{token}"));
    let entries = hosts(ctx).into_iter().map(|host| (host.to_owned(), json!({"auth": auth})));
    let document = Value::Object(entries.collect()).to_string();
    secret.fields.insert("type".to_owned(), TYPE.into());
    secret.fields.insert("data".to_owned(), json!({DATA_KEY: STANDARD.encode(document)}));
    Ok((secret, Duration::from_secs(TOKEN_SECONDS.unsigned_abs() * 3 / 5)))
}

/// The account with its references to the secret; `None` when it has them.
fn referring(account: &Plain, secret: &str) -> Option<Plain> {
    let mut changed = account.clone();
    let before = changed.metadata.annotations.insert(SECRET_REF.to_owned(), secret.to_owned());
    let before = before.filter(|before| before != secret);
    for list in ["secrets", "imagePullSecrets"] {
        let entry = changed.fields.entry(list).or_insert_with(|| json!([]));
        let Value::Array(items) = entry else {
            *entry = json!([{ "name": secret }]);
            continue;
        };
        items
            .retain(|item| before.is_none() || item.get("name").and_then(Value::as_str) != before.as_deref());
        if !items.iter().any(|item| item.get("name").and_then(Value::as_str) == Some(secret)) {
            items.push(json!({ "name": secret }));
        }
    }
    (changed != *account).then_some(changed)
}

/// Starts looking after accounts.
pub fn start(ctx: &Ctx) {
    ctx.tasks.spawn("account secrets", run(Arc::clone(ctx)));
}
