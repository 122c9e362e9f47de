//! The annotation `image.openshift.io/triggers`: a JSON list of tags and the containers whose image they decide.
//!
//! It is written by people and by tools, so everything can stand there. A text that is no list of triggers is one error;
//! a trigger that names no container is one complaint, and the others go on. Keys are read as the reference reads them:
//! without regard to case, unknown ones ignored, `null` as if absent.

use std::collections::BTreeSet;

use machinery::field::quote;
use serde_json::{Map, Value};

use super::limits::ANNOTATION;
use super::path::{self, PathError};
use super::spot::Spot;
use super::{Follower, Reaction, TAG, TagName, Tags};
use crate::control::StreamKey;
use crate::plain::Plain;
use crate::workload::{Workload, at};

/// The annotation's key.
pub const KEY: &str = "image.openshift.io/triggers";

/// API versions that a reference to a tag may carry.
const VERSIONS: [&str; 3] = ["", "v1", "image.openshift.io/v1"];

/// One trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trigger {
    /// Kind of what is followed; only `ImageStreamTag` works.
    pub kind: String,
    /// `stream:tag`.
    pub name: String,
    /// Project of the stream; empty for the object's own.
    pub namespace: String,
    /// Version of the kind; mostly empty.
    pub api_version: String,
    /// Which image it decides.
    pub field_path: String,
    /// It waits.
    pub paused: bool,
}

/// Why an annotation holds no triggers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationError {
    /// It is too long to be read.
    #[error("the annotation {KEY} is longer than {ANNOTATION} bytes")]
    TooLong,
    /// It is no JSON.
    #[error("the annotation {KEY} is not JSON: {0}")]
    NotJson(String),
    /// It is JSON of another form.
    #[error("the annotation {KEY} is not a list of triggers: {place} must be {want}, not {found}")]
    Form {
        /// Where.
        place: String,
        /// What should be there.
        want: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// Two triggers decide the same field.
    #[error("the annotation {KEY} has two triggers for the field {0}")]
    Twice(String),
}

/// Reads an annotation.
///
/// # Errors
/// [`AnnotationError`]; then none of its triggers counts.
pub fn parse(text: &str) -> Result<Vec<Trigger>, AnnotationError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if text.len() > ANNOTATION {
        return Err(AnnotationError::TooLong);
    }
    let value: Value =
        serde_json::from_str(text).map_err(|error| AnnotationError::NotJson(error.to_string()))?;
    let items = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) => items,
        other => return Err(form("it", "a list", &other)),
    };
    let mut seen = BTreeSet::new();
    let mut triggers = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let trigger = trigger(index, item)?;
        if !seen.insert(trigger.field_path.clone()) {
            return Err(AnnotationError::Twice(trigger.field_path));
        }
        triggers.push(trigger);
    }
    Ok(triggers)
}

fn form(place: impl Into<String>, want: &'static str, found: &Value) -> AnnotationError {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    AnnotationError::Form { place: place.into(), want, found }
}

fn trigger(index: usize, item: &Value) -> Result<Trigger, AnnotationError> {
    let place = format!("entry {index}");
    let mut trigger = Trigger::default();
    for (key, value) in members(&place, item)? {
        let place = format!("{place}, {key}");
        match key.to_ascii_lowercase().as_str() {
            "fieldpath" => trigger.field_path = string(&place, value)?,
            "paused" => {
                trigger.paused = value.as_bool().ok_or_else(|| form(&place, "a boolean", value))?;
            }
            "from" => {
                for (key, value) in members(&place, value)? {
                    let place = format!("{place}.{key}");
                    match key.to_ascii_lowercase().as_str() {
                        "kind" => trigger.kind = string(&place, value)?,
                        "name" => trigger.name = string(&place, value)?,
                        "namespace" => trigger.namespace = string(&place, value)?,
                        "apiversion" => trigger.api_version = string(&place, value)?,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(trigger)
}

/// The members of an object that are not null; none of null itself.
fn members<'a>(
    place: &str,
    value: &'a Value,
) -> Result<impl Iterator<Item = (&'a String, &'a Value)>, AnnotationError> {
    let map: Option<&Map<String, Value>> = match value {
        Value::Object(map) => Some(map),
        Value::Null => None,
        other => return Err(form(place, "an object", other)),
    };
    Ok(map.into_iter().flatten().filter(|(_, value)| !value.is_null()))
}

fn string(place: &str, value: &Value) -> Result<String, AnnotationError> {
    value.as_str().map(str::to_owned).ok_or_else(|| form(place, "a text", value))
}

impl Trigger {
    /// The tag that it follows.
    ///
    /// # Errors
    /// Why it follows none.
    pub fn tag<'a>(&'a self, home: &'a str) -> Result<TagName<'a>, String> {
        if self.kind != TAG || !VERSIONS.contains(&self.api_version.as_str()) {
            let version = if self.api_version.is_empty() { "" } else { " of another version" };
            return Err(format!("follows a {}{version}: only {TAG} works", quote(&self.kind)));
        }
        TagName::parse(&self.namespace, &self.name, home)
            .ok_or_else(|| format!("follows {}, which is not of the form stream:tag", quote(&self.name)))
    }
}

/// The triggers of an object.
///
/// # Errors
/// [`AnnotationError`].
pub fn of(object: &Plain) -> Result<Vec<Trigger>, AnnotationError> {
    object.metadata.annotations.get(KEY).map_or_else(|| Ok(Vec::new()), |text| parse(text))
}

/// The streams that an object's annotation follows.
pub fn streams(object: &Plain) -> BTreeSet<StreamKey> {
    let triggers = of(object).unwrap_or_default();
    let active = triggers.iter().filter(|trigger| !trigger.paused);
    active.filter_map(|trigger| Some(trigger.tag(&object.metadata.namespace).ok()?.stream())).collect()
}

/// What is wrong with an object's annotation, as far as that can be told without looking at tags. `follower` is `None`
/// for kinds that follow nothing.
pub fn complaints(kind: &str, follower: Option<Follower>, object: &Plain) -> Vec<String> {
    struct Nothing;
    impl Tags for Nothing {
        fn image(&self, _: &TagName<'_>) -> Option<String> {
            None
        }
    }
    match follower {
        Some(follower) => react(follower, object, &Nothing).complaints,
        None if object.metadata.annotations.contains_key(KEY) => vec![format!(
            "the annotation {KEY} does nothing here: what a {kind} runs is fixed when it is made; an ObjectTrigger \
             makes one for every move of a tag"
        )],
        None => Vec::new(),
    }
}

/// Gives an object the images of the tags that its annotation names. Tags that point nowhere are waited for.
pub fn react(follower: Follower, object: &Plain, tags: &dyn Tags) -> Reaction {
    let mut reaction = Reaction::default();
    // Builds name their tags in fields of their own, and have no containers.
    if !follower.may_be(object) || follower == Follower::Workload(Workload::BuildConfig) {
        return reaction;
    }
    let triggers = match of(object) {
        Ok(triggers) => triggers,
        Err(error) => {
            reaction.complaints.push(error.to_string());
            return reaction;
        }
    };
    let home = object.metadata.namespace.as_str();
    for trigger in triggers.iter().filter(|trigger| !trigger.paused) {
        let spot = match spot(follower, object, trigger) {
            Ok(spot) => spot,
            Err(why) => {
                reaction.complaints.push(why.to_string());
                continue;
            }
        };
        let tag = match trigger.tag(home) {
            Ok(tag) => tag,
            Err(why) => {
                reaction.complaints.push(format!("the trigger for {} {why}", trigger.field_path));
                continue;
            }
        };
        let Some(image) = tags.image(&tag) else { continue };
        let current = reaction.changed.as_ref().unwrap_or(object);
        if spot.text(&current.fields) != image {
            spot.set(&mut reaction.changed.get_or_insert_with(|| object.clone()).fields, &image);
        }
    }
    // Two triggers that name one container differently may undo each other's work.
    reaction.changed = reaction.changed.filter(|changed| changed.fields != object.fields);
    reaction
}

/// What a trigger decides in an object.
fn spot(follower: Follower, object: &Plain, trigger: &Trigger) -> Result<Spot, PathError> {
    let path = &trigger.field_path;
    let pods = match follower {
        Follower::Workload(kind) => kind.pod_spec().zip(kind.pod_spec_path()),
        Follower::ByPath => None,
    };
    let Some((pod_path, prefix)) = pods else { return Spot::find(&object.fields, path) };
    let selector = path::parse(&prefix, path)?;
    let found = at(&object.fields, pod_path).and_then(|pod| path::find(pod, selector));
    let place = found.ok_or_else(|| PathError::NoContainer(path.clone()))?;
    Ok(Spot::of_container(pod_path, place))
}
