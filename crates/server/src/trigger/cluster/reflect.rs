//! What one kind of the other cluster is now: a list, then a watch from there on, and again whenever that ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use machinery::status::ApiError;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::super::limits::{
    CLUSTER_ABSENT, CLUSTER_LIST, CLUSTER_PAUSE_FIRST, CLUSTER_PAUSE_MOST, CLUSTER_WATCH,
};
use super::super::site::{Change, ObjectKey};
use super::{Cluster, candidate};
use crate::context::Ctx;
use crate::plain::Plain;

/// Why a watch ended.
enum End {
    /// In peace; it can go on from here.
    At(String),
    /// What was asked for is too old; a new list is needed.
    Expired,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: PageMeta,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PageMeta {
    resource_version: String,
    r#continue: String,
}

#[derive(Deserialize)]
struct Event<'a> {
    r#type: String,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// What every event's object has at the least: an object, a bookmark, or a failure.
#[derive(Deserialize)]
struct Seen {
    #[serde(default)]
    metadata: PageMeta,
    #[serde(default)]
    code: i32,
    #[serde(default)]
    message: String,
}

/// Follows one kind until the server stops.
pub(super) async fn run(ctx: Ctx, cluster: Arc<Cluster>, kind: usize, news: mpsc::Sender<Change>) {
    let mut reflector = Reflector { cluster: &cluster, kind, news };
    tokio::select! {
        biased;
        () = ctx.tasks.stopping() => {}
        () = reflector.go(&ctx) => {}
    }
}

struct Reflector<'a> {
    cluster: &'a Cluster,
    kind: usize,
    news: mpsc::Sender<Change>,
}

impl Reflector<'_> {
    async fn go(&mut self, ctx: &Ctx) {
        let mut failures = 0;
        let mut told = String::new();
        loop {
            let began = tokio::time::Instant::now();
            let Err(error) = self.follow().await else { continue };
            // One that went well for a while is not the same trouble as before.
            if began.elapsed() > CLUSTER_PAUSE_MOST {
                failures = 0;
            }
            let kind = &self.cluster.kinds[self.kind];
            if told != error.0.message {
                told.clone_from(&error.0.message);
                let cluster = &self.cluster.name;
                if error.is_not_found() {
                    tracing::debug!(cluster, kind = kind.kind, "the cluster does not serve this kind");
                } else {
                    tracing::warn!(cluster, kind = kind.kind, %error, "workloads cannot be followed now");
                }
            }
            let pause = if error.is_not_found() { CLUSTER_ABSENT } else { pause(failures) };
            failures = failures.saturating_add(1);
            let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            tokio::time::sleep(pause + Duration::from_millis(ctx.random.below(millis / 4))).await;
        }
    }

    /// A list, and watches for as long as they can go on.
    async fn follow(&mut self) -> Result<(), ApiError> {
        let mut at = self.list().await?;
        loop {
            match self.watch(at).await? {
                End::At(next) => at = next,
                End::Expired => return Ok(()),
            }
        }
    }

    /// Takes in everything that is there; the version of the list comes back.
    async fn list(&mut self) -> Result<String, ApiError> {
        let path = Cluster::path(&self.cluster.kinds[self.kind], "");
        let mut seen = BTreeSet::new();
        let mut next = String::new();
        let version = loop {
            let page = self.cluster.api.get(&format!("{path}?limit={CLUSTER_LIST}{next}")).await?;
            let page: Page<'_> = serde_json::from_slice(&page).map_err(|error| unreadable(&error))?;
            for item in page.items.iter().flatten() {
                if let Some(key) = self.take(item.get()).await? {
                    seen.insert(key);
                }
            }
            if page.metadata.r#continue.is_empty() {
                break page.metadata.resource_version;
            }
            next = format!("&continue={}", machinery::query::parameter(&page.metadata.r#continue));
        };
        let of_kind = |key: &&ObjectKey| key.kind == self.kind && !seen.contains(*key);
        let gone: Vec<ObjectKey> = self.cluster.held().keys().filter(of_kind).cloned().collect();
        for key in gone {
            self.tell(key, None).await;
        }
        Ok(version)
    }

    async fn watch(&mut self, from: String) -> Result<End, ApiError> {
        let path = Cluster::path(&self.cluster.kinds[self.kind], "");
        let seconds = CLUSTER_WATCH.as_secs();
        let query = format!("watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}");
        let asked = self.cluster.api.lines(&format!("{path}?{query}&resourceVersion={from}")).await;
        let mut lines = match asked {
            Err(error) if error.code() == 410 => return Ok(End::Expired),
            other => other?,
        };
        let mut at = from;
        while let Some(line) = lines.next().await {
            // A connection that broke is no trouble: what was seen last is known.
            let Ok(line) = line else { return Ok(End::At(at)) };
            if line.trim().is_empty() {
                continue;
            }
            let event: Event<'_> = serde_json::from_str(&line).map_err(|error| unreadable(&error))?;
            let seen: Seen = serde_json::from_str(event.object.get()).map_err(|error| unreadable(&error))?;
            match event.r#type.as_str() {
                "ERROR" if seen.code == 410 => return Ok(End::Expired),
                "ERROR" => return Err(ApiError::unavailable(seen.message)),
                "BOOKMARK" => {}
                "DELETED" => {
                    let object: Plain =
                        serde_json::from_str(event.object.get()).map_err(|error| unreadable(&error))?;
                    self.tell(self.key(&object), None).await;
                }
                _ => drop(self.take(event.object.get()).await?),
            }
            at = seen.metadata.resource_version;
        }
        Ok(End::At(at))
    }

    /// Takes in one object; its key comes back if it may follow something.
    async fn take(&self, text: &str) -> Result<Option<ObjectKey>, ApiError> {
        let follower = self.cluster.kinds[self.kind].follower;
        let (object, follows) = candidate(follower, text).map_err(|error| unreadable(&error))?;
        let key = self.key(&object);
        self.tell(key.clone(), follows.then(|| Arc::new(object))).await;
        Ok(follows.then_some(key))
    }

    fn key(&self, object: &Plain) -> ObjectKey {
        let of = &object.metadata;
        ObjectKey { kind: self.kind, namespace: of.namespace.clone(), name: of.name.clone() }
    }

    async fn tell(&self, key: ObjectKey, object: Option<Arc<Plain>>) {
        if self.cluster.hold(&key, object.clone()) {
            // The receiver goes when the server stops.
            let _ = self.news.send(Change::Object(key, object)).await;
        }
    }
}

fn unreadable(error: &serde_json::Error) -> ApiError {
    ApiError::unavailable(format!("the cluster's answer cannot be read: {error}"))
}

fn pause(failures: u32) -> Duration {
    let doubled = CLUSTER_PAUSE_FIRST.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX));
    doubled.min(CLUSTER_PAUSE_MOST)
}
