//! `set image-lookup`: whether the name of an image stream may stand for an image in workloads of its project.

use serde_json::{Value, json};

use super::Common;
use super::template::{at_mut, pod_spec};
use crate::app::App;
use crate::failure::{Failure, plain};
use crate::flags::truth;
use crate::golang::at;
use crate::select::{Info, Narrow};
use crate::tabs::{Layout, align};

/// Annotation of workloads whose images are looked up.
const RESOLVE: &str = "alpha.image.policy.openshift.io/resolve-names";

/// `set image-lookup STREAM…`
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// Streams, or TYPE/NAME of workloads
    args: Vec<String>,
    /// Whether names are looked up
    #[arg(long, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", default_value = "true", value_parser = truth)]
    enabled: bool,
    /// Only show how it is
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let common = &args.common;
    let nothing = args.args.is_empty() && common.files.filename.is_empty();
    let shows =
        args.list || (nothing && !common.all && common.selector.is_none() && common.print.output.is_none());
    let infos = if nothing {
        let streams = app.mapper().await?.require("imagestreams.image.openshift.io")?.clone();
        let narrow = Narrow { chunk: 0, ..common.narrow() };
        app.list(&streams, &narrow).await?.into_iter().map(|item| Info::of(&streams, item)).collect()
    } else {
        // A name alone is one of a stream.
        let plain_names = args.args.iter().all(|word| !word.contains('/')) && !args.args.is_empty();
        let mut words = args.args.clone();
        if plain_names {
            words.insert(0, "imagestreams".to_owned());
        }
        common.objects(app, &words).await?.all()?
    };
    if shows {
        return list(app, &infos);
    }
    let mut failures = Vec::new();
    for info in infos {
        if let Err(error) = update(app, args, &info).await {
            failures.push(error);
        }
    }
    Failure::gather(failures)
}

fn is_stream(info: &Info) -> bool {
    info.resource.kind == "ImageStream"
}

fn list(app: &App, infos: &[Info]) -> Result<(), Failure> {
    let mut text = "NAME\tLOCAL\n".to_owned();
    for info in infos {
        if is_stream(info) {
            let local = at(&info.object, &["spec", "lookupPolicy", "local"]) == true;
            text.push_str(&format!("{}\t{local}\n", info.name));
            continue;
        }
        let own = at(&info.object, &["metadata", "annotations"]);
        let mut path = pod_spec(&info.resource.kind).unwrap_or(&["spec"]).to_vec();
        path.pop();
        path.extend(["metadata", "annotations"]);
        let template = at(&info.object, &path);
        let local = if own.is_null() && template.is_null() {
            "UNKNOWN"
        } else if own[RESOLVE] == "*" || template[RESOLVE] == "*" {
            "true"
        } else {
            "false"
        };
        text.push_str(&format!("{}\t{local}\n", info.short()));
    }
    app.io.print(&align(&text, Layout::SET))
}

async fn update(app: &App, args: &Args, info: &Info) -> Result<(), Failure> {
    let mut modified = info.object.clone();
    if is_stream(info) {
        if !modified["spec"].is_object() {
            modified["spec"] = json!({});
        }
        modified["spec"]["lookupPolicy"] = json!({"local": args.enabled});
    } else {
        let Some(path) = pod_spec(&info.resource.kind) else {
            return Err(plain(format!(
                "{} the resource {} does not support altering image lookup",
                info.short(),
                info.resource.described_kind()
            )));
        };
        let holder = at_mut(&mut modified, &path[..path.len() - 1])
            .ok_or_else(|| plain("the object has no template"))?;
        annotate(holder, args.enabled);
    }
    if modified == info.object {
        return Ok(());
    }
    let patch = machinery::patch::merge_diff(&info.object, &modified);
    let media = "application/merge-patch+json";
    args.common.change(app, info, modified, (media, &patch), "image lookup updated").await
}

fn annotate(holder: &mut Value, enabled: bool) {
    if enabled {
        if !holder["metadata"].is_object() {
            holder["metadata"] = json!({});
        }
        if !holder["metadata"]["annotations"].is_object() {
            holder["metadata"]["annotations"] = json!({});
        }
        holder["metadata"]["annotations"][RESOLVE] = "*".into();
    } else if let Some(map) = holder["metadata"]["annotations"].as_object_mut() {
        map.remove(RESOLVE);
    }
}
