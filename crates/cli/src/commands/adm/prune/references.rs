//! Which tags and images of streams somebody uses, as the specs of workloads and builds say it.
//!
//! Only the part of an image's name that can be a stream counts: the host is never looked at, because one registry has
//! many names. What cannot be read may mean any image, so it is told and nothing is pruned, unless that is wanted.

use std::collections::BTreeSet;

use oci::reference::{DEFAULT_TAG, Reference};
use serde_json::Value;

use crate::describe::bad_tag_name;
use crate::golang::{at, items_at, text_at};

/// What is used: `NAMESPACE/NAME:TAG` and `NAMESPACE/NAME@DIGEST`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    tags: BTreeSet<String>,
    images: BTreeSet<String>,
    /// References that cannot be read, with the objects that hold them.
    pub(super) bad: Vec<String>,
}

/// Where the template of a workload's pods is.
fn pod_spec<'a>(kind: &str, object: &'a Value) -> &'a Value {
    let path: &[&str] = match kind {
        "pod" => &["spec"],
        "cronjob" => &["spec", "jobTemplate", "spec", "template", "spec"],
        _ => &["spec", "template", "spec"],
    };
    at(object, path)
}

impl Used {
    pub(super) fn has_tag(&self, repository: &str, tag: &str) -> bool {
        self.tags.contains(&format!("{repository}:{tag}"))
    }

    pub(super) fn has_image(&self, repository: &str, digest: &str) -> bool {
        self.images.contains(&format!("{repository}@{digest}"))
    }

    /// The images of a workload's containers.
    pub(super) fn workload(&mut self, kind: &str, object: &Value) {
        let spec = pod_spec(kind, object);
        for list in ["initContainers", "containers"] {
            for container in items_at(spec, &[list]) {
                let image = text_at(container, &["image"]);
                let place = format!("container {}", text_at(container, &["name"]));
                self.image(kind, object, &place, image);
            }
        }
    }

    /// The image that a build starts from.
    pub(super) fn build(&mut self, kind: &str, object: &Value) {
        for strategy in ["sourceStrategy", "dockerStrategy", "customStrategy"] {
            let from = at(object, &["spec", "strategy", strategy, "from"]);
            let name = text_at(from, &["name"]);
            let namespace = match text_at(from, &["namespace"]) {
                "" => text_at(object, &["metadata", "namespace"]),
                other => other,
            };
            match text_at(from, &["kind"]) {
                "DockerImage" => self.image(kind, object, "", name),
                "ImageStreamTag" => match machinery::image::parse_stream_tag(name) {
                    Some((stream, tag)) => {
                        self.tags.insert(format!("{namespace}/{stream}:{tag}"));
                    }
                    None => self.complain(kind, object, "", "ImageStreamTag", name, &bad_tag_name(name)),
                },
                "ImageStreamImage" => match machinery::image::parse_stream_image(name) {
                    Some((stream, digest)) => {
                        self.images.insert(format!("{namespace}/{stream}@{digest}"));
                    }
                    None => {
                        let why = format!("expected exactly one @ in the isimage name {}", quote(name));
                        self.complain(kind, object, "", "ImageStreamImage", name, &why);
                    }
                },
                _ => {}
            }
        }
    }

    fn image(&mut self, kind: &str, object: &Value, place: &str, image: &str) {
        if image.is_empty() {
            return;
        }
        let reference = match Reference::parse(image) {
            Ok(reference) => reference,
            Err(error) => return self.complain(kind, object, place, "image", image, &error.to_string()),
        };
        let Reference { registry, namespace, name, tag, id } = reference;
        if registry.is_empty() || namespace.is_empty() || name.is_empty() || name.contains('/') {
            return;
        }
        if id.is_empty() {
            let tag = if tag.is_empty() { DEFAULT_TAG } else { &tag };
            self.tags.insert(format!("{namespace}/{name}:{tag}"));
        } else {
            self.images.insert(format!("{namespace}/{name}@{id}"));
        }
    }

    fn complain(&mut self, kind: &str, object: &Value, place: &str, what: &str, text: &str, why: &str) {
        let [name, namespace] = ["name", "namespace"].map(|key| text_at(object, &["metadata", key]));
        let place = if place.is_empty() { String::new() } else { format!("{place}: ") };
        self.bad.push(format!(
            "{kind}/{name} namespace={namespace}: {place}invalid {what} reference {}: {why}",
            quote(text)
        ));
    }
}

fn quote(text: &str) -> String {
    machinery::field::quote(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const DIGEST: &str = "sha256:4fe2f9054e0d3055e5e84781da96f6d4e31d3f8c10142f229576c23f252a4acf";

    #[track_caller]
    fn check(kind: &str, object: &Value, tags: &[&str], images: &[&str]) {
        let mut used = Used::default();
        used.workload(kind, object);
        used.build(kind, object);
        let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        assert_eq!((list(&used.tags), list(&used.images)), (strings(tags), strings(images)), "{object}");
        assert_eq!(used.bad, Vec::<String>::new());
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    fn pod(image: &str) -> Value {
        json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": {"containers": [{"name": "c", "image": image}]}})
    }

    #[test]
    fn names_that_can_be_streams_count_whatever_the_host() {
        let pinned = format!("any.host:1/ns/app@{DIGEST}");
        let key = format!("ns/app@{DIGEST}");
        check("pod", &pod(&pinned), &[], &[&key]);
        check("pod", &pod(&format!("any.host/ns/app:1@{DIGEST}")), &[], &[&key]);
        check("pod", &pod("h:1/ns/app:2"), &["ns/app:2"], &[]);
        check("pod", &pod("h:1/ns/app"), &["ns/app:latest"], &[]);
        for foreign in ["app", "ns/app:1", "h:1/app", "h:1/a/b/c", ""] {
            check("pod", &pod(foreign), &[], &[]);
        }
    }

    #[test]
    fn every_kind_has_its_pods_somewhere() {
        let spec = pod("h:1/ns/app:2")["spec"].clone();
        check("deployment", &json!({"spec": {"template": {"spec": spec}}}), &["ns/app:2"], &[]);
        let nested = json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}});
        check("cronjob", &nested, &["ns/app:2"], &[]);
        let first = json!({"spec": {"initContainers": [{"image": "h:1/ns/app:3"}]}});
        check("pod", &first, &["ns/app:3"], &[]);
    }

    #[test]
    fn builds_start_from_images_tags_or_images_of_streams() {
        let build = |strategy: &str, kind: &str, name: &str, namespace: &str| {
            json!({"metadata": {"name": "b", "namespace": "ns"},
                "spec": {"strategy": {strategy: {"from": {"kind": kind, "name": name, "namespace": namespace}}}}})
        };
        check("build", &build("sourceStrategy", "DockerImage", "h:1/ns/app:2", ""), &["ns/app:2"], &[]);
        check("build", &build("dockerStrategy", "ImageStreamTag", "app:2", ""), &["ns/app:2"], &[]);
        check(
            "buildconfig",
            &build("customStrategy", "ImageStreamImage", "app@x", "other"),
            &[],
            &["other/app@x"],
        );
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        let mut used = Used::default();
        used.workload("pod", &pod("bad@@ref"));
        let from = json!({"metadata": {"name": "b1", "namespace": "foo"},
            "spec": {"strategy": {"dockerStrategy": {"from": {"kind": "ImageStreamTag", "name": "x@y"}}}}});
        used.build("build", &from);
        assert_eq!(
            used.bad,
            [
                "pod/p namespace=ns: container c: invalid image reference \"bad@@ref\": invalid reference format",
                "build/b1 namespace=foo: invalid ImageStreamTag reference \"x@y\": \"x@y\" is an image stream image, not an image stream tag",
            ]
        );
    }
}
