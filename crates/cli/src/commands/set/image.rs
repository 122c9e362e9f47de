//! `set image`: which images the containers of workloads run.

use oci::reference::Reference;
use serde_json::{Map, Value, json};

use super::Common;
use super::template::{LISTS, at_mut, pod_spec};
use crate::app::App;
use crate::client::{Call, JSON_OR_ANY, segment};
use crate::failure::{Failure, plain};
use crate::golang::{at, items_at, text_at};
use crate::select::Info;

/// `set image TYPE/NAME CONTAINER=IMAGE…`
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// TYPE/NAME… CONTAINER=IMAGE…; * means every container
    args: Vec<String>,
    /// What images are: docker, istag, imagestreamtag, isimage or imagestreamimage
    #[arg(long, default_value = "docker")]
    source: String,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let (pairs, words): (Vec<String>, Vec<String>) =
        args.args.iter().cloned().partition(|word| word.contains('='));
    let visited = args.common.objects(app, &words).await?;
    if pairs.is_empty() {
        return Err(plain("at least one image update is required"));
    }
    let (infos, mut failures) = visited.split();
    for info in infos {
        if let Err(error) = update(app, args, &pairs, &info).await {
            failures.push(error);
        }
    }
    Failure::gather(failures)
}

async fn update(app: &App, args: &Args, pairs: &[String], info: &Info) -> Result<(), Failure> {
    let Some(path) = pod_spec(&info.resource.kind) else {
        return Err(plain(format!(
            "{} the object is not a pod or does not have a pod template: *v1.{}",
            info.short(),
            info.resource.kind
        )));
    };
    let mut modified = info.object.clone();
    for pair in pairs {
        let (name, image) = pair.split_once('=').unwrap_or((pair, ""));
        let resolved = resolve(app, &args.source, image).await.map_err(|error| {
            plain(format!("unable to resolve image \"{image}\" for container \"{name}\": {error}"))
        })?;
        let mut found = false;
        for list in LISTS {
            let containers =
                at_mut(&mut modified, path).and_then(|spec| spec.get_mut(list)).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                if name == "*" || text_at(container, &["name"]) == name {
                    found = true;
                    container["image"] = resolved.as_str().into();
                }
            }
        }
        if !found {
            return Err(plain(format!("unable to find container named \"{name}\"")));
        }
    }
    if modified == info.object {
        return Ok(());
    }
    let patch = patch(&info.object, &modified, path);
    let media = "application/strategic-merge-patch+json";
    args.common.change(app, info, modified, (media, &patch), "image updated").await
}

/// Names of all containers in order, and the images of those that changed.
fn patch(before: &Value, after: &Value, path: &[&str]) -> Value {
    let mut spec = Map::new();
    for list in LISTS {
        let (old, new) = (items_at(at(before, path), &[list]), items_at(at(after, path), &[list]));
        let changes: Vec<Value> = old
            .iter()
            .zip(new)
            .filter(|(old, new)| old != new)
            .map(|(_, new)| json!({"name": new["name"], "image": new["image"]}))
            .collect();
        if !changes.is_empty() {
            let order: Vec<Value> = new.iter().map(|container| json!({"name": container["name"]})).collect();
            spec.insert(format!("$setElementOrder/{list}"), order.into());
            spec.insert(list.to_owned(), changes.into());
        }
    }
    path.iter().rev().fold(Value::Object(spec), |inner, key| json!({*key: inner}))
}

/// The pull specification that an image of a source means.
async fn resolve(app: &App, source: &str, image: &str) -> Result<String, Failure> {
    let (resource, what) = match source {
        "docker" | "" => return Ok(image.to_owned()),
        "istag" | "imagestreamtag" => ("imagestreamtags", "tag"),
        "isimage" | "imagestreamimage" => ("imagestreamimages", "image"),
        other => return Err(plain(format!("unable to resolve {other} \"{image}\""))),
    };
    let (namespace, name) = match image.split('/').collect::<Vec<_>>().as_slice() {
        [name] => (app.namespace(), *name),
        [namespace, name] => (*namespace, *name),
        _ => return Err(plain(format!("unable to resolve {source} \"{image}\""))),
    };
    let path =
        format!("/apis/image.openshift.io/v1/namespaces/{}/{resource}/{}", segment(namespace), segment(name));
    let found = app.api().await?.document(Call::get(path, JSON_OR_ANY)).await;
    let found =
        found.map_err(|error| plain(format!("failed to get image stream {what} \"{image}\": {error}")))?;
    let reference = text_at(&found, &["image", "dockerImageReference"]);
    Ok(Reference::parse(reference).map_or_else(|_| reference.to_owned(), |parsed| parsed.to_string()))
}
