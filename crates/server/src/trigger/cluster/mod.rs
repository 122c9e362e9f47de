//! Workloads of another cluster: they follow the tags of this server through that cluster's own API.
//!
//! What is there is listed and watched, kind by kind; only objects that follow something are kept. An object is changed by
//! a patch that says what it replaces, so whoever changed it meanwhile wins and it is looked at again. While the cluster
//! cannot be reached nothing is done, and nothing is forgotten: a new list shows what every object is behind of.

mod api;
mod patch;
mod reflect;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use http::Method;
use machinery::query::segment;
use machinery::status::{ApiError, GroupResource};
use serde_json::json;
use tokio::sync::mpsc;

use super::site::{Change, Kind, ObjectKey, Site};
use super::{Follower, annotation, build, controller, event, limits};
use crate::context::Ctx;
use crate::plain::Plain;
use crate::settings::WorkloadSettings;
use crate::workload::Workload;
use api::Api;

/// Kinds that are looked for on every cluster. Those that it does not serve are left alone.
const KINDS: [(&str, &str, &str, &str, Workload); 8] = [
    ("apps", "v1", "deployments", "Deployment", Workload::Deployment),
    ("apps", "v1", "statefulsets", "StatefulSet", Workload::StatefulSet),
    ("apps", "v1", "daemonsets", "DaemonSet", Workload::DaemonSet),
    ("apps", "v1", "replicasets", "ReplicaSet", Workload::ReplicaSet),
    ("", "v1", "replicationcontrollers", "ReplicationController", Workload::ReplicationController),
    ("batch", "v1", "cronjobs", "CronJob", Workload::CronJob),
    ("apps.openshift.io", "v1", "deploymentconfigs", "DeploymentConfig", Workload::DeploymentConfig),
    ("build.openshift.io", "v1", "buildconfigs", "BuildConfig", Workload::BuildConfig),
];

/// Another cluster whose workloads follow tags of this server.
pub struct Cluster {
    name: String,
    api: Api,
    kinds: Vec<Kind>,
    /// Objects that may follow something, as they were seen last.
    held: Mutex<BTreeMap<ObjectKey, Arc<Plain>>>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Cluster {
    /// The cluster that the settings name, if they name one. It need not answer yet.
    ///
    /// # Errors
    /// When the settings make no sense, or their file cannot be read.
    pub async fn open(settings: &WorkloadSettings) -> Result<Option<Arc<Cluster>>, String> {
        let extra = settings.kinds.iter().map(|text| other_kind(text)).collect::<Result<Vec<Kind>, _>>()?;
        let Some(file) = &settings.kubeconfig else {
            let unused = !extra.is_empty() || !settings.context.is_empty();
            return if unused {
                Err("workloads: name the cluster with a kubeconfig".to_owned())
            } else {
                Ok(None)
            };
        };
        let (name, api) = Api::open(file, &settings.context).await?;
        let mut kinds: Vec<Kind> = KINDS
            .iter()
            .map(|(group, version, plural, kind, workload)| Kind {
                group: (*group).to_owned(),
                version: (*version).to_owned(),
                plural: (*plural).to_owned(),
                kind: (*kind).to_owned(),
                follower: Follower::Workload(*workload),
            })
            .collect();
        for kind in extra {
            if kinds.iter().any(|held| (&held.group, &held.plural) == (&kind.group, &kind.plural)) {
                return Err(format!("workloads.kinds: {} is there already", kind.plural));
            }
            kinds.push(kind);
        }
        Ok(Some(Arc::new(Cluster { name, api, kinds, held: Mutex::default() })))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Every object that may follow something, with its kind.
    pub fn each(&self, mut take: impl FnMut(&Kind, &Plain)) {
        let held = self.held().clone();
        for (key, object) in &held {
            take(&self.kinds[key.kind], object);
        }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Arc<Plain>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how an object is now; true when that is news.
    fn hold(&self, key: &ObjectKey, object: Option<Arc<Plain>>) -> bool {
        let mut held = self.held();
        let Some(object) = object else { return held.remove(key).is_some() };
        let version = object.metadata.resource_version.clone();
        let before = held.insert(key.clone(), object);
        before.is_none_or(|before| before.metadata.resource_version != version)
    }

    /// The path of a kind's objects, in one namespace or in all.
    fn path(kind: &Kind, namespace: &str) -> String {
        let root = if kind.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", kind.group) };
        let within =
            if namespace.is_empty() { String::new() } else { format!("/namespaces/{}", segment(namespace)) };
        format!("{root}/{}{within}/{}", kind.version, kind.plural)
    }

    fn path_of(&self, key: &ObjectKey) -> String {
        format!("{}/{}", Cluster::path(&self.kinds[key.kind], &key.namespace), segment(&key.name))
    }
}

/// A kind as settings name it: `VERSION/KIND`, `GROUP/VERSION/KIND`, or with its name in paths, `GROUP/VERSION/KIND/PLURAL`.
fn other_kind(text: &str) -> Result<Kind, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let (group, version, kind, plural) = match parts.as_slice() {
        [version, kind] => ("", *version, *kind, None),
        [group, version, kind] => (*group, *version, *kind, None),
        [group, version, kind, plural] => (*group, *version, *kind, Some((*plural).to_owned())),
        _ => return Err(format!("workloads.kinds: {text:?} is not of the form GROUP/VERSION/KIND")),
    };
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
    };
    let plural = plural.unwrap_or_else(|| plural_of(kind));
    if !(is_word(version) && is_word(kind) && is_word(&plural) && (group.is_empty() || is_word(group))) {
        return Err(format!("workloads.kinds: {text:?} is not of the form GROUP/VERSION/KIND"));
    }
    Ok(Kind {
        group: group.to_owned(),
        version: version.to_owned(),
        plural,
        kind: kind.to_owned(),
        follower: Follower::ByPath,
    })
}

/// The usual name of a kind in paths.
fn plural_of(kind: &str) -> String {
    let name = kind.to_ascii_lowercase();
    match name.as_bytes() {
        [.., b's' | b'x'] | [.., b'c' | b's', b'h'] => format!("{name}es"),
        [.., before, b'y'] if !b"aeiou".contains(before) => format!("{}ies", &name[..name.len() - 1]),
        _ => format!("{name}s"),
    }
}

/// An object, and whether it may follow anything.
fn candidate(follower: Follower, text: &str) -> Result<(Plain, bool), serde_json::Error> {
    let mut object: Plain = serde_json::from_str(text)?;
    object.fields.remove("kind");
    object.fields.remove("apiVersion");
    object.metadata.managed_fields.clear();
    let follows = follower.has_own_fields() || object.metadata.annotations.contains_key(annotation::KEY);
    Ok((object, follows))
}

/// Runs the controller for the objects of another cluster until the server stops.
pub async fn run(ctx: Ctx, cluster: Arc<Cluster>) {
    let (news, changes) = mpsc::channel(limits::NEWS);
    for kind in 0..cluster.kinds.len() {
        let (ctx, cluster, news) = (Arc::clone(&ctx), Arc::clone(&cluster), news.clone());
        let tasks = ctx.tasks.clone();
        tasks.spawn("cluster", reflect::run(ctx, cluster, kind, news));
    }
    drop(news);
    let there = There { ctx: Arc::clone(&ctx), cluster, changes: Mutex::new(Some(changes)) };
    controller::run(ctx, Arc::new(there)).await;
}

/// The other cluster as a site.
struct There {
    ctx: Ctx,
    cluster: Arc<Cluster>,
    /// What the lists and watches tell, until the controller takes it.
    changes: Mutex<Option<mpsc::Receiver<Change>>>,
}

impl There {
    async fn replace(&self, key: &ObjectKey, old: &Plain, new: &Plain) -> Result<(), ApiError> {
        let change = patch::guarded(old, new);
        let path = format!("{}?fieldManager={}", self.cluster.path_of(key), api::MANAGER);
        let sent = self.cluster.api.send(Method::PATCH, &path, api::JSON_PATCH, &change).await;
        match sent {
            // How it is now, the watch tells: it also brings what others changed meanwhile. Until then a second look at
            // what is held would replace what is no more there, which fails.
            Ok(_) => Ok(()),
            // What was to be replaced is something else by now, or the object is wrong.
            Err(error) if matches!(error.code(), 409 | 422) => {
                let bytes = self.cluster.api.get(&self.cluster.path_of(key)).await?;
                let now: Plain = serde_json::from_slice(&bytes).map_err(|error| {
                    ApiError::unavailable(format!("the cluster's answer is no object: {error}"))
                })?;
                if now.metadata.resource_version == old.metadata.resource_version && error.code() == 422 {
                    return Err(error);
                }
                let kind = &self.cluster.kinds[key.kind];
                let of = GroupResource::new(&kind.group, &kind.plural);
                Err(ApiError::conflict(of, &key.name, "it has changed meanwhile"))
            }
            Err(error) => Err(error),
        }
    }

    async fn build(&self, key: &ObjectKey, config: &Plain, request: &build::Request) -> Result<(), ApiError> {
        let mut body = json!({
            "kind": "BuildRequest", "apiVersion": "build.openshift.io/v1", "metadata": {"name": key.name},
            "triggeredBy": request.causes, "env": request.env,
        });
        if let Some(image) = &request.image {
            body["triggeredByImage"] = json!({"kind": "DockerImage", "name": image});
        }
        if let Some(from) = &request.from {
            body["from"] = from.clone();
        }
        // What is held may be older than a build that was asked for a moment ago: then this one is refused.
        body["lastVersion"] = request.last_version.unwrap_or_else(|| build::last_version(config)).into();
        let path = format!("{}/instantiate", self.cluster.path_of(key));
        self.cluster.api.send(Method::POST, &path, api::JSON, &body).await.map(drop)
    }

    async fn complain(&self, key: &ObjectKey, object: &Plain, complaint: &str) -> Result<(), ApiError> {
        let kind = &self.cluster.kinds[key.kind];
        let all = format!("/api/v1/namespaces/{}/events", segment(&key.namespace));
        let one = format!("{all}/{}", event::name(kind, object, complaint));
        let old = match self.cluster.api.get(&one).await {
            Ok(bytes) => serde_json::from_slice::<Plain>(&bytes).ok(),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        let new = event::about(kind, object, complaint, old.as_ref(), self.ctx.clock.now());
        let Some(new) = new else { return Ok(()) };
        let mut body = serde_json::to_value(&new).unwrap_or_default();
        body["kind"] = "Event".into();
        body["apiVersion"] = "v1".into();
        let (method, path) = if old.is_some() { (Method::PUT, &one) } else { (Method::POST, &all) };
        self.cluster.api.send(method, path, api::JSON, &body).await.map(drop)
    }
}

impl Site for There {
    fn cluster(&self) -> &str {
        &self.cluster.name
    }

    fn kinds(&self) -> &[Kind] {
        &self.cluster.kinds
    }

    fn changes(&self) -> BoxStream<'static, Change> {
        let taken = self.changes.lock().unwrap_or_else(PoisonError::into_inner).take();
        let stream = futures_util::stream::unfold(taken, |receiver| async move {
            let mut receiver = receiver?;
            let change = receiver.recv().await?;
            Some((change, Some(receiver)))
        });
        stream.chain(futures_util::stream::pending()).boxed()
    }

    fn each(&self, take: &mut dyn FnMut(ObjectKey, Arc<Plain>)) {
        let held = self.cluster.held().clone();
        held.into_iter().for_each(|(key, object)| take(key, object));
    }

    fn get(&self, key: &ObjectKey) -> Result<Option<Arc<Plain>>, ApiError> {
        Ok(self.cluster.held().get(key).cloned())
    }

    fn put<'a>(
        &'a self,
        key: &'a ObjectKey,
        old: &'a Plain,
        new: Plain,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        async move { self.replace(key, old, &new).await }.boxed()
    }

    fn start_build<'a>(
        &'a self,
        key: &'a ObjectKey,
        config: &'a Plain,
        request: &'a build::Request,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        self.build(key, config, request).boxed()
    }

    fn tell<'a>(
        &'a self,
        key: &'a ObjectKey,
        object: &'a Plain,
        complaint: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        self.complain(key, object, complaint).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_by_group_version_and_kind() {
        let check = |text: &str, want: Option<(&str, &str, &str)>| {
            let found = other_kind(text).ok();
            let found =
                found.as_ref().map(|kind| (kind.group.as_str(), kind.version.as_str(), kind.plural.as_str()));
            assert_eq!(found, want, "{text}");
        };
        check("v1/ConfigMap", Some(("", "v1", "configmaps")));
        check("argoproj.io/v1alpha1/Rollout", Some(("argoproj.io", "v1alpha1", "rollouts")));
        check("example.org/v1/Policy", Some(("example.org", "v1", "policies")));
        check("example.org/v1/Proxy", Some(("example.org", "v1", "proxies")));
        check("example.org/v1/Gateway", Some(("example.org", "v1", "gateways")));
        check("example.org/v1/Mesh", Some(("example.org", "v1", "meshes")));
        check("example.org/v1/Data/data", Some(("example.org", "v1", "data")));
        for bad in ["", "Rollout", "a/b/c/d/e", "//Rollout", "g/v1/", "g/v1/Ki nd", "g/v1/K?x=y"] {
            check(bad, None);
        }
    }
}
