//! `set triggers`: what makes a workload roll out: changes of itself, and of the tags its images come from.
//!
//! Kubernetes' workloads keep their triggers in an annotation, one entry a container; deployment configurations have a
//! field for them. Both are read into one form, changed there, and written back whole.

use oci::reference::Reference;
use serde_json::{Value, json};

use super::Common;
use super::template::{container_names, pod_spec};
use crate::app::App;
use crate::failure::{Failure, plain};
use crate::golang::{at, items_at, text_at};
use crate::select::Info;
use crate::tabs::{Layout, align};

/// Annotation with the triggers of a workload.
const ANNOTATION: &str = "image.openshift.io/triggers";

/// `set triggers TYPE/NAME`
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// TYPE/NAME…
    args: Vec<String>,
    /// Roll out when the object itself changes
    #[arg(long)]
    from_config: bool,
    /// [PROJECT/]STREAM:TAG whose moves roll out
    #[arg(long)]
    from_image: Option<String>,
    /// Containers that run the image
    #[arg(short, long, value_delimiter = ',')]
    containers: Vec<String>,
    /// Let the triggers act
    #[arg(long)]
    auto: bool,
    /// Keep the triggers, but do not let them act
    #[arg(long)]
    manual: bool,
    /// Remove the trigger
    #[arg(long)]
    remove: bool,
    /// Remove all triggers
    #[arg(long)]
    remove_all: bool,
    #[command(flatten)]
    common: Common,
}

/// An image whose moves roll out.
#[derive(Debug, Clone, PartialEq)]
struct ImageTrigger {
    name: String,
    /// Empty for the object's own project.
    namespace: String,
    containers: Vec<String>,
    auto: bool,
}

/// All triggers of an object.
#[derive(Debug, Clone, PartialEq)]
struct Triggers {
    config: bool,
    images: Vec<ImageTrigger>,
}

/// The tag that `--from-image` names.
#[derive(Debug, Clone)]
struct From {
    name: String,
    namespace: String,
}

pub(super) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let from = check(args, app.namespace())?;
    let common = &args.common;
    let visited = common.objects(app, &args.args).await?;
    let single = visited.single;
    let (mut infos, mut failures) = visited.split();
    if !single {
        infos.retain(|info| supported(&info.resource.kind));
    }
    let changes = args.from_config || from.is_some() || args.auto || args.manual || args.remove_all;
    if !changes {
        let mut text = "NAME\tTYPE\tVALUE\tAUTO\n".to_owned();
        for info in &infos {
            match supported(&info.resource.kind) {
                true => text.push_str(&rows(info)),
                false => failures.push(unsupported(info)),
            }
        }
        if !infos.is_empty() && failures.is_empty() {
            app.io.print(&align(&text, Layout::SET))?;
        }
        return Failure::gather(failures);
    }
    for info in &infos {
        if let Err(error) = update(app, args, common, from.as_ref(), info).await {
            failures.push(error);
        }
    }
    Failure::gather(failures)
}

fn supported(kind: &str) -> bool {
    matches!(kind, "Deployment" | "DaemonSet" | "StatefulSet" | "CronJob" | "DeploymentConfig")
}

fn unsupported(info: &Info) -> Failure {
    plain(format!("{} does not support triggers", info.short()))
}

fn check(args: &Args, namespace: &str) -> Result<Option<From>, Failure> {
    if args.auto && args.manual {
        return Err(plain("you must specify at most one of --auto or --manual"));
    }
    if args.remove && args.remove_all {
        return Err(plain("you must specify either --remove or --remove-all"));
    }
    let kinds = usize::from(args.from_config) + usize::from(args.from_image.is_some());
    if args.remove_all && (kinds > 0 || args.auto || args.manual) {
        return Err(plain("--remove-all may not be used with any other flag"));
    }
    if args.remove && kinds == 0 {
        return Err(plain("--remove requires a flag defining a trigger type to be specified"));
    }
    if kinds > 1 {
        return Err(plain("you may only set one trigger type at a time"));
    }
    let Some(text) = &args.from_image else { return Ok(None) };
    let reference = Reference::parse(text).map_err(|error| {
        plain(format!(
            "the value of --from-image does not appear to be a valid reference to an image: {error}"
        ))
    })?;
    if !reference.registry.is_empty() || !reference.id.is_empty() {
        return Err(plain("the value of --from-image must point to an image stream tag on this server"));
    }
    if reference.tag.is_empty() {
        return Err(plain("the value of --from-image must include the tag you wish to pull from"));
    }
    let own = reference.namespace == namespace;
    Ok(Some(From {
        name: reference.name_string(),
        namespace: if own { String::new() } else { reference.namespace },
    }))
}

async fn update(
    app: &App,
    args: &Args,
    common: &Common,
    from: Option<&From>,
    info: &Info,
) -> Result<(), Failure> {
    if !supported(&info.resource.kind) {
        return Err(unsupported(info));
    }
    let named = |message: String| plain(format!("{} {message}", info.short()));
    let mut triggers = read(info).map_err(named)?;
    change(args, from, info, &mut triggers).map_err(named)?;
    let modified = write(info, &triggers, args.remove_all);
    if modified == info.object {
        return Ok(());
    }
    let patch = machinery::patch::merge_diff(&info.object, &modified);
    common.change(app, info, modified, ("application/merge-patch+json", &patch), "triggers updated").await
}

fn change(args: &Args, from: Option<&From>, info: &Info, triggers: &mut Triggers) -> Result<(), String> {
    if args.remove_all {
        triggers.config = false;
        triggers.images.clear();
        return Ok(());
    }
    let auto = !args.manual;
    if args.from_config {
        triggers.config = !args.remove && auto;
        return Ok(());
    }
    let Some(from) = from else {
        triggers.config = auto;
        triggers.images.iter_mut().for_each(|image| image.auto = auto);
        return Ok(());
    };
    if args.remove {
        triggers.images.retain(|image| image.name != from.name);
        return Ok(());
    }
    if args.containers.is_empty() {
        return Err("you must specify --containers when setting --from-image".to_owned());
    }
    let path = pod_spec(&info.resource.kind).unwrap_or(&["spec"]);
    let known = container_names(&info.object, path);
    let unknown: Vec<&str> = args
        .containers
        .iter()
        .map(String::as_str)
        .filter(|name| !known.iter().any(|held| held == name))
        .collect();
    if !unknown.is_empty() {
        return Err(format!(
            "not all container names exist: {} (accepts: {})",
            unknown.join(", "),
            known.join(", ")
        ));
    }
    let wanted = ImageTrigger {
        name: from.name.clone(),
        namespace: from.namespace.clone(),
        containers: args.containers.clone(),
        auto,
    };
    let same = |image: &ImageTrigger| image.name == wanted.name && image.namespace == wanted.namespace;
    let place = triggers.images.iter().position(&same).unwrap_or(triggers.images.len());
    triggers.images.retain(|image| !same(image));
    if let Some(taken) = wanted
        .containers
        .iter()
        .find(|name| triggers.images.iter().any(|image| image.containers.contains(name)))
    {
        return Err(format!("only one trigger may reference each container: {taken}"));
    }
    triggers.images.insert(place.min(triggers.images.len()), wanted);
    Ok(())
}

/// The triggers of an object.
fn read(info: &Info) -> Result<Triggers, String> {
    if info.resource.kind == "DeploymentConfig" {
        return Ok(read_config(info));
    }
    let text = text_at(&info.object, &["metadata", "annotations", ANNOTATION]);
    let entries: Value = if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(text).map_err(|error| format!("unable to read its triggers: {error}"))?
    };
    if !entries.is_null() && !entries.is_array() {
        return Err("unable to read its triggers: they are no list".to_owned());
    }
    let path = pod_spec(&info.resource.kind).unwrap_or(&["spec"]);
    let images = items_at(&entries, &[])
        .iter()
        .filter_map(|entry| {
            let container = container_of(text_at(entry, &["fieldPath"]), &info.object, path)?;
            Some(ImageTrigger {
                name: text_at(entry, &["from", "name"]).to_owned(),
                namespace: text_at(entry, &["from", "namespace"]).to_owned(),
                containers: vec![container],
                auto: entry["paused"] != true && entry["paused"] != "true",
            })
        })
        .collect();
    let paused = info.resource.kind == "Deployment" && at(&info.object, &["spec", "paused"]) == true;
    Ok(Triggers { config: !paused, images })
}

fn read_config(info: &Info) -> Triggers {
    let entries = items_at(&info.object, &["spec", "triggers"]);
    let images = entries.iter().filter(|entry| entry["type"] == "ImageChange").map(|entry| {
        let params = &entry["imageChangeParams"];
        let namespace = text_at(params, &["from", "namespace"]);
        let containers = items_at(params, &["containerNames"]);
        ImageTrigger {
            name: text_at(params, &["from", "name"]).to_owned(),
            namespace: if namespace == info.namespace { String::new() } else { namespace.to_owned() },
            containers: containers.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            auto: params["automatic"] == true,
        }
    });
    Triggers { config: entries.iter().any(|entry| entry["type"] == "ConfigChange"), images: images.collect() }
}

/// The name of the container that a path like `….containers[?(@.name=="web")].image` or `….containers[0].image` means.
fn container_of(path: &str, object: &Value, spec: &[&str]) -> Option<String> {
    let rest = path.strip_prefix(&spec.join("."))?.strip_prefix('.')?;
    let (list, rest) = rest.split_once('[')?;
    let selector = rest.strip_suffix("].image")?;
    if !matches!(list, "containers" | "initContainers") {
        return None;
    }
    let name = match selector.parse::<usize>() {
        Ok(index) => text_at(items_at(at(object, spec), &[list]).get(index)?, &["name"]).to_owned(),
        Err(_) => selector.strip_prefix("?(@.name==\"")?.strip_suffix("\")")?.to_owned(),
    };
    container_names(object, spec).contains(&name).then_some(name)
}

/// The object with its triggers.
fn write(info: &Info, triggers: &Triggers, remove_all: bool) -> Value {
    let mut object = info.object.clone();
    if info.resource.kind == "DeploymentConfig" {
        object["spec"]["triggers"] = write_config(info, triggers);
        return object;
    }
    let path = pod_spec(&info.resource.kind).unwrap_or(&["spec"]).join(".");
    let mut entries = Vec::new();
    for image in &triggers.images {
        for container in &image.containers {
            let namespace = if image.namespace.is_empty() {
                String::new()
            } else {
                format!(",\"namespace\":{}", text(&image.namespace))
            };
            let paused = if image.auto { "" } else { ",\"paused\":true" };
            let field = format!("{path}.containers[?(@.name==\"{container}\")].image");
            entries.push(format!(
                "{{\"from\":{{\"kind\":\"ImageStreamTag\",\"name\":{}{namespace}}},\"fieldPath\":{}{paused}}}",
                text(&image.name),
                text(&field)
            ));
        }
    }
    let before = text_at(&object, &["metadata", "annotations", ANNOTATION]).to_owned();
    // The reference leaves the word `null` where there are no triggers any more.
    let list = if entries.is_empty() { "null".to_owned() } else { format!("[{}]", entries.join(",")) };
    if !entries.is_empty() || remove_all || !before.is_empty() {
        if !object["metadata"]["annotations"].is_object() {
            object["metadata"]["annotations"] = json!({});
        }
        object["metadata"]["annotations"][ANNOTATION] = list.into();
    }
    if info.resource.kind == "Deployment" {
        if triggers.config {
            if let Some(spec) = object["spec"].as_object_mut() {
                spec.remove("paused");
            }
        } else {
            object["spec"]["paused"] = true.into();
        }
    }
    object
}

fn text(value: &str) -> String {
    String::from_utf8(machinery::json::compact(value)).expect("JSON is UTF-8")
}

fn write_config(info: &Info, triggers: &Triggers) -> Value {
    let mut entries = Vec::new();
    if triggers.config {
        entries.push(json!({"type": "ConfigChange"}));
    }
    for image in &triggers.images {
        let namespace = if image.namespace.is_empty() { &info.namespace } else { &image.namespace };
        let mut params = json!({
            "containerNames": image.containers,
            "from": {"kind": "ImageStreamTag", "name": image.name, "namespace": namespace},
        });
        if image.auto {
            params["automatic"] = true.into();
        }
        entries.push(json!({"type": "ImageChange", "imageChangeParams": params}));
    }
    entries.into()
}

/// The rows of an object in a listing.
fn rows(info: &Info) -> String {
    let name = info.short();
    let Ok(triggers) = read(info) else {
        return format!("{name}\t<error>\t\tfalse\n");
    };
    let mut text = format!("{name}\tconfig\t\t{}\n", triggers.config);
    for image in &triggers.images {
        let place = if image.namespace.is_empty() { String::new() } else { format!("{}/", image.namespace) };
        text.push_str(&format!(
            "{name}\timage\t{place}{} ({})\t{}\n",
            image.name,
            image.containers.join(", "),
            image.auto
        ));
    }
    text
}

#[cfg(test)]
mod tests;
