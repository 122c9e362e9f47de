//! Projects: the ones every server has, and the end of those that are deleted.
//!
//! A deleted namespace is kept, terminating, until everything in it is gone; nothing new can be made in it meanwhile. The
//! work is level-triggered: it looks at what is there, so a restart in the middle loses nothing.

use std::sync::Arc;
use std::time::Duration;

use machinery::meta::ObjectMeta;
use machinery::options::DeleteOptions;
use machinery::status::ApiError;
use serde_json::json;
use store::{CommitError, Txn};
use tracing::{info, warn};

use crate::auth::Actor;
use crate::auth::actor::SERVICE_ACCOUNTS;
use crate::auth::rbac::{self, Subject};
use crate::context::Ctx;
use crate::plain::Plain;
use crate::resource::{self, RESOURCES, Resource};
use crate::rest::{self, Call};
use crate::stored::Storable;
use crate::streams::{self, fill_identity};

/// Namespaces that every server has: the usual one, and the one whose streams are for everybody.
const FIRST: [&str; 2] = ["default", "openshift"];
/// How long to wait before looking again at a namespace that is not empty yet.
const RETRY: Duration = Duration::from_secs(1);

/// Makes the namespaces that every server has.
///
/// # Errors
/// When the store does not take them.
pub async fn make_first(ctx: &Ctx) -> Result<(), ApiError> {
    for name in FIRST {
        ensure(ctx, name).await?;
    }
    Ok(())
}

/// Makes a namespace if it is not there.
pub(crate) async fn ensure(ctx: &Ctx, name: &str) -> Result<(), ApiError> {
    let key = streams::key(&resource::namespaces().key("", name))?;
    if ctx.cache.snapshot().get(key.as_str()).is_some() {
        return Ok(());
    }
    let mut namespace = Plain {
        metadata: ObjectMeta { name: name.to_owned(), ..ObjectMeta::default() },
        fields: serde_json::Map::new(),
    };
    fill_identity(ctx, namespace.metadata_mut());
    (crate::plain::NAMESPACE.prepare)(&mut namespace, None);
    match ctx.store.commit(Txn::new().create(key, namespace.encode())).await {
        Ok(revision) => ctx.settle(revision).await,
        // Another server on the same store was faster.
        Err(CommitError::Conflict { .. }) => Ok(()),
        Err(error) => Err(ApiError::unavailable(error.to_string())),
    }
}

/// Whether a namespace is one that every server has, which cannot be deleted.
pub fn is_protected(name: &str) -> bool {
    FIRST.contains(&name)
}

/// Service accounts that a project begins with.
const ACCOUNTS: [&str; 3] = ["builder", "default", "deployer"];

/// Adds to a transaction what a new project begins with: service accounts, and bindings for them, for whoever pulls
/// inside the project, and for its administrator.
///
/// # Errors
/// 400 for a name that cannot be stored.
pub fn furnish(ctx: &Ctx, mut txn: Txn, namespace: &str, admin: Option<&str>) -> Result<Txn, ApiError> {
    let subject = |kind: &str, name: &str| {
        let account = kind == "ServiceAccount";
        Subject {
            kind: kind.to_owned(),
            api_group: if account { String::new() } else { rbac::GROUP.to_owned() },
            name: name.to_owned(),
            namespace: if account { namespace.to_owned() } else { String::new() },
        }
    };
    let everybody = format!("{SERVICE_ACCOUNTS}:{namespace}");
    let mut bindings = vec![
        ("system:image-pullers", "system:image-puller", subject("Group", &everybody)),
        ("system:image-builders", "system:image-builder", subject("ServiceAccount", "builder")),
        ("system:deployers", "system:deployer", subject("ServiceAccount", "deployer")),
    ];
    bindings.extend(admin.map(|user| ("admin", "admin", subject("User", user))));
    let table = |group, plural| resource::find(group, "v1", plural, "").expect("the table lists these kinds");
    let mut objects: Vec<(&Resource, Plain)> = Vec::new();
    for (name, role, subject) in bindings {
        let binding = rbac::defaults::binding(namespace, name, "ClusterRole", role, vec![subject]);
        objects.push((table(rbac::GROUP, "rolebindings"), binding));
    }
    for name in ACCOUNTS {
        let mut account = Plain::default();
        name.clone_into(&mut account.metadata.name);
        namespace.clone_into(&mut account.metadata.namespace);
        objects.push((table("", "serviceaccounts"), account));
    }
    for (resource, mut object) in objects {
        fill_identity(ctx, object.metadata_mut());
        let key = streams::key(&resource.key(namespace, &object.metadata.name))?;
        // What is left over from a project of the same name is replaced.
        txn = txn.put(key, object.encode());
    }
    Ok(txn)
}

/// Empties and removes terminating namespaces until the server stops.
pub async fn run(ctx: Ctx) {
    let prefix = resource::namespaces().prefix();
    while !ctx.tasks.is_stopping() {
        let snapshot = ctx.cache.snapshot();
        let Ok(mut cursor) = ctx.cache.subscribe(&prefix, snapshot.revision) else { continue };
        loop {
            let left = sweep(&ctx).await;
            let wait =
                async { if left { tokio::time::sleep(RETRY).await } else { std::future::pending().await } };
            tokio::select! {
                event = cursor.next() => if event.is_err() { break },
                () = wait => {}
                () = ctx.tasks.stopping() => return,
            }
        }
    }
}

/// Looks at every terminating namespace once; true when one is not gone yet.
async fn sweep(ctx: &Ctx) -> bool {
    let snapshot = ctx.cache.snapshot();
    let terminating: Vec<String> = snapshot
        .range(&resource::namespaces().prefix(), None)
        .filter(|entry| entry.object.terminating)
        .map(|entry| entry.key.name().to_owned())
        .collect();
    let mut left = false;
    for name in terminating {
        match finish(ctx, &name).await {
            Ok(true) => info!(namespace = name, "removed with everything in it"),
            Ok(false) => left = true,
            Err(error) => {
                warn!(namespace = name, %error, "not removed yet");
                left = true;
            }
        }
    }
    left
}

/// Deletes what is in a namespace, then the namespace; false when something is held by finalizers.
async fn finish(ctx: &Ctx, name: &str) -> Result<bool, ApiError> {
    let actor = Arc::new(Actor::controller("namespace-controller"));
    let mut held = false;
    for resource in RESOURCES.iter().filter(|resource| resource.is_stored() && resource.namespaced) {
        let snapshot = ctx.cache.snapshot();
        for entry in snapshot.range(&resource.prefix_in(name), None) {
            let call = Call::internal(ctx, &actor, resource, name, entry.key.name());
            match rest::delete_any(&call, &DeleteOptions::default()).await {
                Ok(gone) => held |= !gone,
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
    }
    if held {
        return Ok(false);
    }
    let key = resource::namespaces().key("", name);
    let Some(namespace) = streams::load_entry::<Plain>(ctx, &key)? else { return Ok(true) };
    if !namespace.object.metadata.finalizers.is_empty() {
        return Ok(false);
    }
    let key = streams::key(&key)?;
    let txn = Txn::new().guard(key.clone(), store::Expect::At(namespace.revision)).delete(key);
    match ctx.store.commit(txn).await {
        Ok(revision) => ctx.settle(revision).await.map(|()| true),
        Err(CommitError::Conflict { .. }) => Ok(false),
        Err(error) => Err(ApiError::unavailable(error.to_string())),
    }
}

/// The status of a namespace that is being deleted.
pub fn mark_terminating(namespace: &mut Plain) {
    namespace.fields.insert("status".to_owned(), json!({ "phase": "Terminating" }));
}
