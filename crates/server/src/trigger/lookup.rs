//! Short image names that mean a stream: `image: app:v1` in a project whose stream `app` allows it.
//!
//! A name is resolved when it is written, never later: a tag that moves afterwards changes nothing (triggers are for
//! that). A stream allows it with `spec.lookupPolicy.local`, or the workload asks for it with an annotation, on itself or
//! on its pod template; then the registry and the project of a name are not looked at either. A tag that does not exist
//! yet still becomes a name of the integrated registry, so that nothing is pulled from outside by accident. Objects that
//! a controller owns are left alone: their template was resolved when that was written.

use machinery::image::ImageStream;
use oci::Reference;
use serde_json::Value;

use crate::plain::Plain;
use crate::stream;
use crate::workload::images::{Place, containers};
use crate::workload::{Workload, at, at_mut, text};

/// The annotation that asks for names to be resolved.
pub const RESOLVE_NAMES: &str = "alpha.image.policy.openshift.io/resolve-names";

/// Streams of a project, with their repositories set.
pub trait Streams {
    /// One of them.
    fn stream(&self, namespace: &str, name: &str) -> Option<ImageStream>;
}

/// Resolves the names of images in a workload that is written; those that did not change are left alone.
pub fn resolve(kind: Workload, new: &mut Plain, old: Option<&Plain>, streams: &dyn Streams) {
    if new.metadata.owner_references.iter().any(|owner| owner.controller == Some(true)) {
        return;
    }
    // What a job or a build runs cannot be changed once it is there.
    if old.is_some() && matches!(kind, Workload::Job | Workload::Build) {
        return;
    }
    let forced = is_forced(kind, new);
    let old = old.filter(|old| is_forced(kind, old) == forced);
    let namespace = new.metadata.namespace.clone();
    let name = |image: &str| full_name(image, &namespace, forced, streams);
    if kind == Workload::Build {
        resolve_build(new, &name);
    }
    let Some(path) = kind.pod_spec() else { return };
    let Some(pod) = at_mut(&mut new.fields, path) else { return };
    let before = old.and_then(|old| at(&old.fields, path));
    let written: Vec<Place> = containers(pod)
        .map(|(place, _)| place)
        .filter(|place| before.is_none_or(|before| place.image(before) != place.image(pod)))
        .collect();
    for place in written {
        if let Some(full) = name(place.image(pod)) {
            place.set_image(pod, &full);
        }
    }
}

fn is_forced(kind: Workload, object: &Plain) -> bool {
    if object.metadata.annotations.get(RESOLVE_NAMES).is_some_and(|value| value == "*") {
        return true;
    }
    let Some((_, template)) = kind.pod_spec().and_then(<[_]>::split_last) else { return false };
    let metadata = at(&object.fields, template).and_then(|template| template.get("metadata"));
    metadata
        .and_then(|metadata| metadata.get("annotations"))
        .is_some_and(|annotations| text(annotations, RESOLVE_NAMES) == "*")
}

/// A build starts from an image, and may take files from others.
fn resolve_build(build: &mut Plain, name: &dyn Fn(&str) -> Option<String>) {
    let resolve = |user: &mut Value| {
        let from = user.get_mut("from").filter(|from| text(from, "kind") == "DockerImage");
        if let Some(from) = from
            && let Some(full) = name(text(from, "name"))
        {
            from["name"] = full.into();
        }
    };
    if let Some(strategy) = at_mut(&mut build.fields, &["spec", "strategy"]).and_then(Value::as_object_mut) {
        strategy.values_mut().for_each(resolve);
    }
    let sources = at_mut(&mut build.fields, &["spec", "source", "images"]).and_then(Value::as_array_mut);
    sources.into_iter().flatten().for_each(resolve);
}

/// The pull spec that a name means here; `None` when it is to stay as it is.
fn full_name(image: &str, namespace: &str, forced: bool, streams: &dyn Streams) -> Option<String> {
    let reference = Reference::parse(image).ok()?;
    let short = reference.registry.is_empty() && reference.namespace.is_empty();
    if !reference.id.is_empty() || !(short || forced) {
        return None;
    }
    let tag = if reference.tag.is_empty() { "latest" } else { &reference.tag };
    let stream = streams.stream(namespace, &reference.name)?;
    if !forced && !stream.spec.lookup_policy.local {
        return None;
    }
    let Some(newest) = stream.status.tag(tag).and_then(|tag| tag.items.first()) else {
        let repository = &stream.status.docker_image_repository;
        return (!repository.is_empty()).then(|| format!("{repository}:{tag}"));
    };
    let found = stream::resolve_reference(&stream, tag, newest);
    if newest.image.is_empty() {
        return Some(found).filter(|found| !found.is_empty());
    }
    let found = Reference::parse(&found).ok()?;
    Some(Reference { tag: String::new(), id: newest.image.clone(), ..found }.exact())
}
