//! Triggers of build configurations, and the builds that they (or somebody by hand) start.
//!
//! What a trigger started last is noted in the configuration's status before its build exists to others: both are
//! written in one transaction, so an image starts one build, never two and never none.

use std::collections::BTreeSet;

use machinery::meta::{ObjectMeta, OwnerReference};
use machinery::time::Time;
use serde_json::{Map, Value, json};

use super::{Reaction, TagName, Tags};
use crate::control::StreamKey;
use crate::plain::Plain;
use crate::workload::{at, at_mut, text};

/// Annotation that stops a configuration from being built.
const PAUSED: &str = "openshift.io/build-config.paused";
const CONFIG_NAME: &str = "openshift.io/build-config.name";
const STRATEGIES: [&str; 3] = ["sourceStrategy", "dockerStrategy", "customStrategy"];
const RECORDED: &str = "imageChangeTriggers";

/// The reference to the image that a configuration (or a build) builds upon.
pub fn strategy_from(object: &Plain) -> Option<&Value> {
    let strategy = at(&object.fields, &["spec", "strategy"])?;
    STRATEGIES.iter().find_map(|name| strategy.get(*name)?.get("from"))
}

/// An image trigger.
#[derive(Clone, Copy, Debug)]
struct ImageChange<'a> {
    tag: TagName<'a>,
    paused: bool,
    /// The image it started last, as an older field tells it.
    last: &'a str,
}

fn image_changes(config: &Plain) -> Vec<ImageChange<'_>> {
    let home = config.metadata.namespace.as_str();
    let default = strategy_from(config);
    let triggers = at(&config.fields, &["spec", "triggers"]).and_then(Value::as_array);
    let changes = triggers.into_iter().flatten().filter(|trigger| text(trigger, "type") == "ImageChange");
    let changes = changes.filter_map(|trigger| {
        let change = trigger.get("imageChange").unwrap_or(&Value::Null);
        let from = change.get("from").or(default)?;
        let tag = TagName::of_reference(from, home)?;
        let paused = change.get("paused") == Some(&Value::Bool(true));
        Some(ImageChange { tag, paused, last: text(change, "lastTriggeredImageID") })
    });
    changes.collect()
}

/// The streams that a configuration follows, and the one that it builds upon: a first build may wait for that.
pub fn streams(config: &Plain) -> BTreeSet<StreamKey> {
    let base = strategy_from(config).and_then(|from| TagName::of_reference(from, &config.metadata.namespace));
    let changes = image_changes(config);
    changes.iter().map(|change| change.tag).chain(base).map(|tag| tag.stream()).collect()
}

fn is_paused(config: &Plain) -> bool {
    config.metadata.annotations.get(PAUSED).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn recorded<'a>(config: &'a Plain, tag: &TagName<'_>) -> Option<&'a Value> {
    let entries = at(&config.fields, &["status", RECORDED]).and_then(Value::as_array)?;
    entries.iter().find(|entry| {
        let from = entry.get("from").unwrap_or(&Value::Null);
        TagName::parse(text(from, "namespace"), text(from, "name"), &config.metadata.namespace) == Some(*tag)
    })
}

/// What is to be built.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Why, as builds tell it.
    pub causes: Vec<Value>,
    /// The image that is the reason.
    pub image: Option<String>,
    /// The tag that the image stands for, as a reference.
    pub from: Option<Value>,
    /// The number of the last build that whoever asks knows of.
    pub last_version: Option<i64>,
    /// Further environment of the build.
    pub env: Vec<Value>,
}

/// What a configuration's triggers ask for now, if they ask for anything.
pub fn wanted(config: &Plain, tags: &dyn Tags) -> Option<Request> {
    if is_paused(config) {
        return None;
    }
    let mut seen = BTreeSet::new();
    let mut request = Request::default();
    for change in image_changes(config).into_iter().filter(|change| !change.paused) {
        let Some(image) = tags.image(&change.tag) else { continue };
        let last = recorded(config, &change.tag).map_or("", |entry| text(entry, "lastTriggeredImageID"));
        if image == last || image == change.last || !seen.insert(change.tag) {
            continue;
        }
        let from = reference(&change.tag);
        let told = json!({"imageID": image, "fromRef": from});
        request.causes.push(json!({"message": "Image change", "imageChangeBuild": told}));
        request.from.get_or_insert(from);
        request.image.get_or_insert(image);
    }
    if !request.causes.is_empty() {
        return Some(request);
    }
    let triggers = at(&config.fields, &["spec", "triggers"]).and_then(Value::as_array);
    let on_change = triggers.into_iter().flatten().any(|trigger| text(trigger, "type") == "ConfigChange");
    (on_change && last_version(config) == 0).then(|| Request {
        causes: vec![json!({"message": "Build configuration change"})],
        last_version: Some(0),
        ..Request::default()
    })
}

fn reference(tag: &TagName<'_>) -> Value {
    json!({"kind": super::TAG, "namespace": tag.namespace, "name": format!("{}:{}", tag.stream, tag.tag)})
}

pub(super) fn last_version(config: &Plain) -> i64 {
    at(&config.fields, &["status", "lastVersion"]).and_then(Value::as_i64).unwrap_or(0)
}

/// Why a configuration cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Somebody paused it.
    #[error("can't instantiate from BuildConfig {0}: BuildConfig is paused")]
    Paused(String),
    /// Another build was started meanwhile.
    #[error(
        "the LastVersion({current}) on build config {config} does not match the build request LastVersion({asked})"
    )]
    Version {
        /// Namespace and name.
        config: String,
        /// The number of the last build.
        current: i64,
        /// The number that whoever asked knew of.
        asked: i64,
    },
    /// This image had its build.
    #[error("build config {config} has already instantiated a build for imageid {image}")]
    Done {
        /// Namespace and name.
        config: String,
        /// The image.
        image: String,
    },
    /// The image to build upon is not there.
    #[error("unable to find latest tagged image {0}")]
    Unresolved(String),
}

/// A build and the configuration that remembers it.
#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    /// The configuration as it should be.
    pub config: Plain,
    /// The build, without identity.
    pub build: Plain,
}

/// Makes a configuration's next build.
///
/// # Errors
/// [`BuildError`].
pub fn start(config: &Plain, request: &Request, tags: &dyn Tags, now: Time) -> Result<Started, BuildError> {
    let name = format!("{}/{}", config.metadata.namespace, config.metadata.name);
    if is_paused(config) {
        return Err(BuildError::Paused(name));
    }
    let last = last_version(config);
    if let Some(asked) = request.last_version.filter(|asked| *asked != last) {
        return Err(BuildError::Version { config: name, current: last, asked });
    }
    let cause =
        request.from.as_ref().and_then(|from| TagName::of_reference(from, &config.metadata.namespace));
    if let (Some(tag), Some(image)) = (&cause, &request.image)
        && recorded(config, tag).is_some_and(|entry| text(entry, "lastTriggeredImageID") == image)
    {
        return Err(BuildError::Done { config: name, image: image.clone() });
    }
    let base = base_image(config, request, cause.as_ref(), tags)?;
    let mut changed = config.clone();
    let number = last.saturating_add(1);
    let entries = record(config, request, cause.as_ref(), tags, now);
    let status = changed.fields.entry("status").or_insert_with(|| json!({}));
    if let Some(status) = status.as_object_mut() {
        status.insert("lastVersion".to_owned(), number.into());
        if !entries.is_empty() {
            status.insert(RECORDED.to_owned(), entries.into());
        }
    }
    Ok(Started { build: build(config, request, number, base.as_deref()), config: changed })
}

/// The pull spec to build upon; `None` when the configuration names it itself (or needs none).
fn base_image(
    config: &Plain,
    request: &Request,
    cause: Option<&TagName<'_>>,
    tags: &dyn Tags,
) -> Result<Option<String>, BuildError> {
    let from = strategy_from(config);
    let Some(tag) = from.and_then(|from| TagName::of_reference(from, &config.metadata.namespace)) else {
        return Ok(None);
    };
    if cause == Some(&tag)
        && let Some(image) = &request.image
    {
        return Ok(Some(image.clone()));
    }
    let unresolved = || BuildError::Unresolved(format!("{}/{}:{}", tag.namespace, tag.stream, tag.tag));
    tags.image(&tag).map(Some).ok_or_else(unresolved)
}

/// What the triggers last saw: all of them see their tags now, but only the cause has the time.
fn record(
    config: &Plain,
    request: &Request,
    cause: Option<&TagName<'_>>,
    tags: &dyn Tags,
    now: Time,
) -> Vec<Value> {
    let mut entries = Vec::new();
    for change in image_changes(config) {
        let before = recorded(config, &change.tag);
        let is_cause = cause == Some(&change.tag);
        let image = match &request.image {
            Some(image) if is_cause => Some(image.clone()),
            _ => tags.image(&change.tag),
        };
        let from = json!({"namespace": change.tag.namespace,
            "name": format!("{}:{}", change.tag.stream, change.tag.tag)});
        let mut entry = json!({"from": from});
        if let Some(image) = image {
            entry["lastTriggeredImageID"] = image.into();
        }
        let time = if is_cause {
            json!(now)
        } else {
            before.map_or(Value::Null, |entry| entry["lastTriggerTime"].clone())
        };
        entry["lastTriggerTime"] = time;
        entries.push(entry);
    }
    entries
}

fn build(config: &Plain, request: &Request, number: i64, base: Option<&str>) -> Plain {
    const COPIED: [&str; 9] = [
        "source",
        "revision",
        "strategy",
        "output",
        "resources",
        "postCommit",
        "nodeSelector",
        "completionDeadlineSeconds",
        "mountTrustedCA",
    ];
    let of = &config.metadata;
    let spec = config.fields.get("spec").and_then(Value::as_object);
    let field = |name: &str| spec.and_then(|spec| spec.get(name)).cloned();
    let mut fields: Map<String, Value> =
        COPIED.into_iter().filter_map(|name| Some((name.to_owned(), field(name)?))).collect();
    let account = field("serviceAccount").unwrap_or_else(|| "builder".into());
    fields.insert("serviceAccount".to_owned(), account);
    fields.insert("triggeredBy".to_owned(), request.causes.clone().into());
    let mut labels = of.labels.clone();
    labels.insert("buildconfig".to_owned(), of.name.clone());
    labels.insert(CONFIG_NAME.to_owned(), of.name.clone());
    let policy = field("runPolicy").and_then(|policy| policy.as_str().map(str::to_owned));
    labels
        .insert("openshift.io/build.start-policy".to_owned(), policy.unwrap_or_else(|| "Serial".to_owned()));
    let owner = OwnerReference {
        api_version: "build.openshift.io/v1".to_owned(),
        kind: "BuildConfig".to_owned(),
        name: of.name.clone(),
        uid: of.uid.clone(),
        controller: Some(true),
        ..OwnerReference::default()
    };
    let metadata = ObjectMeta {
        name: format!("{}-{number}", of.name),
        namespace: of.namespace.clone(),
        labels,
        annotations: [
            (CONFIG_NAME.to_owned(), of.name.clone()),
            ("openshift.io/build.number".to_owned(), number.to_string()),
        ]
        .into(),
        owner_references: vec![owner],
        ..ObjectMeta::default()
    };
    let config = json!({"kind": "BuildConfig", "namespace": of.namespace, "name": of.name});
    let status = json!({"phase": "New", "config": config, "output": {}});
    let mut build = Plain { metadata, fields: Map::new() };
    build.fields.insert("spec".to_owned(), fields.into());
    build.fields.insert("status".to_owned(), status);
    settle_strategy(&mut build, base, &request.env);
    build
}

/// Puts the image to build upon and further environment into a build's strategy.
fn settle_strategy(build: &mut Plain, base: Option<&str>, env: &[Value]) {
    let Some(strategy) = at_mut(&mut build.fields, &["spec", "strategy"]) else { return };
    for name in STRATEGIES {
        let Some(strategy) = strategy.get_mut(name).and_then(Value::as_object_mut) else { continue };
        if let Some(base) = base {
            strategy.insert("from".to_owned(), json!({"kind": "DockerImage", "name": base}));
        }
        if !env.is_empty() {
            let held = strategy.entry("env").or_insert_with(|| json!([]));
            if let Some(held) = held.as_array_mut() {
                held.extend(env.iter().cloned());
            }
        }
    }
}

/// Triggers that can never work.
pub fn complaints(config: &Plain) -> Reaction {
    let triggers = at(&config.fields, &["spec", "triggers"]).and_then(Value::as_array);
    let mut reaction = Reaction::default();
    for (index, trigger) in triggers.into_iter().flatten().enumerate() {
        if text(trigger, "type") != "ImageChange" {
            continue;
        }
        let from = trigger.get("imageChange").and_then(|change| change.get("from"));
        let from = from.or_else(|| strategy_from(config)).unwrap_or(&Value::Null);
        if TagName::of_reference(from, &config.metadata.namespace).is_none() {
            reaction
                .complaints
                .push(format!("the image trigger {index} names no ImageStreamTag of the form stream:tag"));
        }
    }
    reaction
}
