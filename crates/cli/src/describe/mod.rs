//! What `describe` says about an object.
//!
//! Kinds of images have texts of their own, which other commands print too; a few kinds of Kubernetes have theirs;
//! everything else is shown as it is, field by field.

mod attached;
mod fields;
mod image;
mod stream;
mod workloads;

use std::collections::BTreeMap;

use machinery::image::{Image, ImageStream, ImageStreamImage, ImageStreamTag, ImageTag};
use machinery::meta::ObjectMeta;
use machinery::time::Time;
use serde_json::Value;

use crate::discovery::Resource;
use crate::failure::{Failure, plain};
use crate::golang::sorted;
use crate::human;

pub(crate) use attached::attached;
pub(crate) use image::image;
pub(crate) use stream::{Tries, stream};

/// The text of an object, with a newline at its end.
pub(crate) fn object(
    resource: &Resource,
    object: &Value,
    tries: &Tries,
    now: Time,
) -> Result<String, Failure> {
    let decode = |error: serde_json::Error| plain(format!("unable to read the server's answer: {error}"));
    if resource.group == machinery::image::GROUP {
        match resource.kind.as_str() {
            "ImageStream" => {
                let found: ImageStream = serde_json::from_value(object.clone()).map_err(decode)?;
                return Ok(stream(&found, tries, now));
            }
            "Image" => {
                let found: Image = serde_json::from_value(object.clone()).map_err(decode)?;
                return image(&found, None, now);
            }
            "ImageStreamTag" => {
                let found: ImageStreamTag = serde_json::from_value(object.clone()).map_err(decode)?;
                let name = &found.metadata.name;
                machinery::image::parse_stream_tag(name).ok_or_else(|| plain(bad_tag_name(name)))?;
                return image(&found.image, Some(&found.image.metadata.name), now);
            }
            "ImageStreamImage" => {
                let found: ImageStreamImage = serde_json::from_value(object.clone()).map_err(decode)?;
                return image(&found.image, Some(&found.image.metadata.name), now);
            }
            "ImageTag" => {
                let found: ImageTag = serde_json::from_value(object.clone()).map_err(decode)?;
                let found = found.image.ok_or_else(|| plain("the tag has no image yet"))?;
                return image(&found, Some(&found.metadata.name), now);
            }
            _ => {}
        }
    }
    Ok(match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Secret") => workloads::secret(object),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => workloads::binding(object),
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => workloads::role(object),
        ("", "Namespace") => workloads::namespace(object),
        ("project.openshift.io", "Project") => workloads::project(object, now),
        _ => fields::generic(object),
    })
}

/// Why a text is not the name of a tag in a stream.
pub(crate) fn bad_tag_name(name: &str) -> String {
    let quoted = machinery::field::quote(name);
    if name.contains('@') {
        format!("{quoted} is an image stream image, not an image stream tag")
    } else if name.matches(':').count() != 1 {
        format!("expected exactly one : delimiter in the istag {quoted}")
    } else {
        format!("image stream tag name {quoted} must have a name and a tag")
    }
}

/// A text under construction: lines of a label, a tab and a value.
#[derive(Default)]
pub(crate) struct Sheet(pub(crate) String);

impl Sheet {
    /// A labelled value, `<none>` when empty.
    fn row(&mut self, label: &str, value: &str) {
        let value = if value.is_empty() { "<none>" } else { value };
        self.raw(label, value);
    }

    pub(crate) fn raw(&mut self, label: &str, value: &str) {
        self.0.push_str(label);
        self.0.push_str(":\t");
        self.0.push_str(value);
        self.0.push('\n');
    }

    /// A line without a label.
    fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    /// A label and a line a value.
    pub(crate) fn rows<'a>(&mut self, label: &str, values: impl IntoIterator<Item = &'a str>) {
        let mut label = format!("{label}:");
        for value in values {
            self.0.push_str(&label);
            self.0.push('\t');
            self.line(value);
            label.clear();
        }
    }

    /// `k=v` lines, or `<none>`.
    pub(crate) fn map(&mut self, label: &str, map: &BTreeMap<String, String>) {
        if map.is_empty() {
            return self.raw(label, "<none>");
        }
        let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key}={value}")).collect();
        self.rows(label, pairs.iter().map(String::as_str));
    }

    /// The description and the other annotations.
    fn annotations(&mut self, map: &BTreeMap<String, String>) {
        if let Some(text) = map.get("description").filter(|text| !text.is_empty()) {
            self.raw("Description", &text.replace('\n', "\n\t"));
        }
        let mut others = map.iter().filter(|(key, _)| *key != "description");
        match others.next() {
            None => self.raw("Annotations", "<none>"),
            Some((key, value)) => self.raw("Annotations", &format!("{key}={value}").replace('\n', "\n\t")),
        }
        for (key, value) in others {
            self.line(&format!("\t{key}={value}"));
        }
    }

    /// Name, project and age.
    fn meta(&mut self, meta: &ObjectMeta, now: Time) {
        self.row("Name", &meta.name);
        if !meta.namespace.is_empty() {
            self.row("Namespace", &meta.namespace);
        }
        if !meta.creation_timestamp.is_zero() {
            self.row("Created", &human::ago(now, meta.creation_timestamp));
        }
    }
}

/// `a=b` lines of a JSON map in Kubernetes' own layout.
fn label_rows(sheet: &mut Sheet, label: &str, map: &Value) {
    match map.as_object().filter(|map| !map.is_empty()) {
        None => sheet.raw(label, "<none>"),
        Some(map) => {
            let pairs: Vec<String> = sorted(map)
                .into_iter()
                .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                .collect();
            sheet.rows(label, pairs.iter().map(String::as_str));
        }
    }
}

#[cfg(test)]
mod tests;
