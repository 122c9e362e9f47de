//! Triggers of deployment configurations, which have fields of their own.
//!
//! An automatic trigger sets the image of the containers it names and notes it in `lastTriggeredImage`. A configuration
//! is changed as a whole or not at all: as long as the tag of one of its triggers has never pointed anywhere, nothing
//! happens, so that no rollout starts with half of its images.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{TagName, Tags};
use crate::control::StreamKey;
use crate::plain::Plain;
use crate::workload::images::{Place, containers};
use crate::workload::{at, at_mut, text};

const TRIGGERS: [&str; 2] = ["spec", "triggers"];
const POD: [&str; 3] = ["spec", "template", "spec"];

/// Which triggers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// Those that act by themselves.
    Automatic,
    /// All but those of these types: somebody asked for a rollout.
    AllBut(&'a [&'a str]),
}

/// An image trigger.
struct ImageChange<'a> {
    index: usize,
    tag: TagName<'a>,
    last: &'a str,
    places: Vec<Place>,
}

fn image_changes<'a>(object: &'a Plain, which: Which<'_>) -> Vec<ImageChange<'a>> {
    let triggers = at(&object.fields, &TRIGGERS).and_then(Value::as_array).into_iter().flatten();
    let pod = at(&object.fields, &POD).unwrap_or(&Value::Null);
    let mut found = Vec::new();
    for (index, trigger) in triggers.enumerate() {
        let params = trigger.get("imageChangeParams").filter(|_| text(trigger, "type") == "ImageChange");
        let Some(params) = params else { continue };
        let counts = match which {
            Which::Automatic => params.get("automatic") == Some(&Value::Bool(true)),
            Which::AllBut(types) => !types.contains(&"ImageChange"),
        };
        let tag = params.get("from").and_then(|from| TagName::of_reference(from, &object.metadata.namespace));
        let (true, Some(tag)) = (counts, tag) else { continue };
        let names = params.get("containerNames").and_then(Value::as_array);
        let named = |name: &str| names.is_some_and(|names| names.iter().any(|held| held == name));
        let places = containers(pod).filter(|(_, name)| named(name)).map(|(place, _)| place).collect();
        found.push(ImageChange { index, tag, last: text(params, "lastTriggeredImage"), places });
    }
    found
}

/// The streams that a configuration follows.
pub fn streams(object: &Plain) -> BTreeSet<StreamKey> {
    let changes = image_changes(object, Which::Automatic);
    changes.iter().filter(|change| !change.places.is_empty()).map(|change| change.tag.stream()).collect()
}

/// What became of a configuration's image triggers.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// One of its tags has never pointed anywhere.
    Waiting,
    /// It has the images of its tags.
    Current,
    /// It should be this.
    Changed(Box<Plain>),
}

/// Gives a configuration the images of its tags.
pub fn react(object: &Plain, which: Which<'_>, tags: &dyn Tags) -> Outcome {
    let mut changed = object.clone();
    for change in image_changes(object, which) {
        let image = match tags.image(&change.tag) {
            Some(image) => image,
            None if change.last.is_empty() => return Outcome::Waiting,
            None => change.last.to_owned(),
        };
        if let Some(pod) = at_mut(&mut changed.fields, &POD) {
            for place in &change.places {
                place.set_image(pod, &image);
            }
        }
        let params = at_mut(&mut changed.fields, &TRIGGERS)
            .and_then(|triggers| triggers.get_mut(change.index)?.get_mut("imageChangeParams"));
        if let Some(params) = params.and_then(Value::as_object_mut) {
            params.insert("lastTriggeredImage".to_owned(), image.into());
        }
    }
    if changed.fields == object.fields { Outcome::Current } else { Outcome::Changed(Box::new(changed)) }
}

/// What somebody asks of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    /// Take the newest images first.
    pub latest: bool,
    /// Roll out although nothing changed.
    pub force: bool,
    /// Types of triggers that do not count.
    pub exclude: &'a [&'a str],
}

/// Why a configuration cannot be rolled out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RolloutError {
    /// It is paused.
    #[error("cannot deploy a paused deployment config")]
    Paused,
    /// It has an image that is not known yet.
    #[error("cannot trigger a deployment for {0} because it contains unresolved images")]
    Unresolved(String),
}

/// The configuration with its next rollout noted; `None` when there is nothing to do.
///
/// # Errors
/// [`RolloutError`].
pub fn roll_out(
    object: &Plain,
    request: &Request<'_>,
    tags: &dyn Tags,
) -> Result<Option<Plain>, RolloutError> {
    if at(&object.fields, &["spec", "paused"]) == Some(&Value::Bool(true)) {
        return Err(RolloutError::Paused);
    }
    let unresolved = || RolloutError::Unresolved(machinery::field::quote(&object.metadata.name));
    let mut new = object.clone();
    let mut causes = Vec::new();
    if request.latest {
        match react(object, Which::AllBut(request.exclude), tags) {
            Outcome::Waiting => return Err(unresolved()),
            Outcome::Current => {}
            Outcome::Changed(changed) => {
                causes = image_causes(object, &changed);
                new = *changed;
            }
        }
    }
    let pod = at(&new.fields, &POD).unwrap_or(&Value::Null);
    if containers(pod).any(|(place, _)| place.image(pod).trim().is_empty()) {
        return Err(unresolved());
    }
    let version = at(&new.fields, &["status", "latestVersion"]).and_then(Value::as_i64).unwrap_or(0);
    let (message, causes) = if request.force {
        ("manual change", vec![json!({"type": "Manual"})])
    } else if version == 0 {
        ("config change", vec![json!({"type": "ConfigChange"})])
    } else if causes.is_empty() {
        return Ok(None);
    } else {
        ("image change", causes)
    };
    if let Some(status) = new.fields.get_mut("status").and_then(Value::as_object_mut) {
        status.insert("latestVersion".to_owned(), version.saturating_add(1).into());
        status.insert("details".to_owned(), json!({"message": message, "causes": causes}));
    }
    Ok(Some(new))
}

/// The images by which two states of a configuration differ.
fn image_causes(old: &Plain, new: &Plain) -> Vec<Value> {
    let pod = |object| at(object, &POD).unwrap_or(&Value::Null);
    let (before, after) = (pod(&old.fields), pod(&new.fields));
    let changed = containers(after).filter(|(place, _)| place.image(before) != place.image(after));
    let images: BTreeSet<&str> = changed.map(|(place, _)| place.image(after)).collect();
    let cause = |image: &str| json!({"type": "ImageChange", "imageTrigger": {"from": {"kind": "DockerImage", "name": image}}});
    images.into_iter().map(cause).collect()
}
