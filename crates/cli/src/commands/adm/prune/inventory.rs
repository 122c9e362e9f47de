//! Reading everything that a decision needs: workloads, builds, limits, streams and images.

use machinery::image::{Image, ImageStream};
use machinery::quantity::Quantity;
use serde_json::Value;

use super::plan::{Facts, Inventory};
use crate::app::App;
use crate::client::{Api, Call, JSON, JSON_OR_ANY, segment, target};
use crate::failure::{Failure, plain};
use crate::golang::{items_at, text_at};
use crate::limits;

/// What may be missing without a word, or with one.
#[derive(Clone, Copy, PartialEq)]
enum Missing {
    /// It must be there.
    Fatal,
    /// A server may not have the kind.
    Kind,
    /// The caller may not see it: told, and taken for nothing.
    Right,
}

/// The kinds that use images: group path, plural, what one is called, what may be missing.
const USERS: [(&str, &str, &str, Missing); 11] = [
    ("/api/v1", "pods", "pod", Missing::Fatal),
    ("/api/v1", "replicationcontrollers", "replicationcontroller", Missing::Fatal),
    ("/apis/build.openshift.io/v1", "buildconfigs", "buildconfig", Missing::Kind),
    ("/apis/build.openshift.io/v1", "builds", "build", Missing::Kind),
    ("/apis/apps/v1", "daemonsets", "daemonset", Missing::Right),
    ("/apis/apps/v1", "deployments", "deployment", Missing::Right),
    ("/apis/apps.openshift.io/v1", "deploymentconfigs", "deploymentconfig", Missing::Kind),
    ("/apis/apps/v1", "replicasets", "replicaset", Missing::Right),
    ("/apis/apps/v1", "statefulsets", "statefulset", Missing::Fatal),
    ("/apis/batch/v1", "jobs", "job", Missing::Fatal),
    ("/apis/batch/v1", "cronjobs", "cronjob", Missing::Fatal),
];
const IMAGE: &str = "/apis/image.openshift.io/v1";

/// Everything that was read.
pub(super) struct Read {
    pub(super) inventory: Inventory,
    pub(super) streams: Vec<ImageStream>,
}

/// Reads it all, in one project or in all of them (images are never in one). `is_young` says of a time whether what was
/// made then is kept for its youth: a pod that has ended counts that long.
///
/// # Errors
/// When something that must be known is not.
pub(super) async fn read(app: &App, is_young: impl Fn(&Value) -> bool) -> Result<Read, Failure> {
    let api = app.api().await?;
    let project = if app.settings.namespace_given {
        format!("/namespaces/{}", segment(app.namespace()))
    } else {
        String::new()
    };
    let mut inventory = Inventory::default();
    for (group, plural, kind, missing) in USERS {
        for object in list(app, api, &format!("{group}{project}/{plural}"), plural, missing).await? {
            match kind {
                "build" | "buildconfig" => inventory.used.build(kind, &object),
                "pod" if !is_running(&object) && !is_young(&object) => {}
                _ => inventory.used.workload(kind, &object),
            }
        }
    }
    for range in pages(api, &format!("/api/v1{project}/limitranges"), &[]).await? {
        let namespace = text_at(&range, &["metadata", "namespace"]).to_owned();
        for limit in items_at(&range, &["spec", "limits"]) {
            let most = text_at(limit, &["max", "storage"]);
            if text_at(limit, &["type"]) == "openshift.io/Image" && !most.is_empty() {
                let most: Quantity = most.parse().map_err(|error| plain(format!("{namespace}: {error}")))?;
                inventory.limits.entry(namespace.clone()).or_default().push(most.value());
            }
        }
    }
    let streams = pages(api, &format!("{IMAGE}{project}/imagestreams"), &[]).await?;
    let streams: Result<Vec<ImageStream>, _> = streams.into_iter().map(serde_json::from_value).collect();
    let page = ("limit", limits::PRUNE_PAGE.to_string());
    for image in pages(api, &format!("{IMAGE}/images"), &[page]).await? {
        let image: Image = serde_json::from_value(image).map_err(|error| unreadable(&error))?;
        inventory.images.insert(image.metadata.name.clone(), Facts::of(&image).map_err(plain)?);
    }
    Ok(Read { inventory, streams: streams.map_err(|error| unreadable(&error))? })
}

fn unreadable(error: &serde_json::Error) -> Failure {
    plain(format!("unable to read the server's answer: {error}"))
}

fn is_running(pod: &Value) -> bool {
    matches!(text_at(pod, &["status", "phase"]), "Running" | "Pending")
}

/// All objects at a path, page by page.
async fn pages(api: &Api, path: &str, query: &[(&str, String)]) -> Result<Vec<Value>, Failure> {
    let accept = if path.starts_with(IMAGE) { JSON_OR_ANY } else { JSON };
    let mut all = Vec::new();
    let mut more = String::new();
    loop {
        let mut query = query.to_vec();
        if !more.is_empty() {
            query.push(("continue", more));
        }
        let mut page = api.document(Call::get(target(path, &query), accept)).await?;
        more = text_at(&page, &["metadata", "continue"]).to_owned();
        match page.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => all.extend(items),
            Some(Value::Null) => {}
            _ => return Err(plain(format!("the server's answer at {path} is no list"))),
        }
        if more.is_empty() {
            return Ok(all);
        }
    }
}

async fn list(
    app: &App,
    api: &Api,
    path: &str,
    plural: &str,
    missing: Missing,
) -> Result<Vec<Value>, Failure> {
    match pages(api, path, &[]).await {
        Err(error) if missing == Missing::Kind && error.is_not_found() => Ok(Vec::new()),
        Err(error) if missing == Missing::Right && error.is_forbidden() => {
            app.io.complain(&format!("Failed to list {plural}: {error}"));
            app.io.complain(" - * Make sure to update clusterRoleBindings.");
            Ok(Vec::new())
        }
        other => other,
    }
}
