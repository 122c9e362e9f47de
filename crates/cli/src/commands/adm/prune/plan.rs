//! What is to go: pure decisions over everything that was read.
//!
//! First the history of streams, one stream at a time: a revision stays while it is young, among the newest of its tag, or
//! used. Then images: one goes when no stream has it any more, nor a list that a stream has.

use std::collections::{BTreeMap, BTreeSet};

use machinery::image::{DockerImage, Image, ImageStream, TagEvent};
use machinery::time::Time;

use super::references::Used;

/// What marks images that were pushed to the integrated registry.
pub(super) const MANAGED: &str = "openshift.io/image.managed";

/// What is kept whatever else speaks against it.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) now: Time,
    /// Seconds; what is younger stays. Nothing counts as young without.
    pub(super) younger: Option<i64>,
    /// Revisions of each tag.
    pub(super) revisions: usize,
    /// Only images that are larger than a limit of their project go from history.
    pub(super) over_size: bool,
    /// Images that were not pushed here go, too.
    pub(super) all: bool,
}

impl Rules {
    fn is_young(&self, made: Time) -> bool {
        !self.over_size && self.younger.is_some_and(|limit| self.now.seconds_since(made) < limit)
    }
}

/// What matters of an image.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Layers, and the configuration where it is content of its own; each once.
    pub(super) blobs: Vec<String>,
    /// The children of a list.
    children: Vec<String>,
    pub(super) is_managed: bool,
    pub(super) created: Time,
    pub(super) reference: String,
    size: i64,
}

impl Facts {
    /// Reads an image.
    ///
    /// # Errors
    /// When its metadata cannot be read.
    pub(super) fn of(image: &Image) -> Result<Facts, String> {
        let docker = DockerImage::decode(&image.docker_image_metadata, &image.docker_image_metadata_version)
            .map_err(|error| format!("failed to read image metadata for {}: {error}", image.metadata.name))?;
        let has_config = matches!(
            image.docker_image_manifest_media_type.as_str(),
            oci::media::DOCKER_SCHEMA2 | oci::media::OCI_MANIFEST
        );
        let config = (has_config && !docker.id.is_empty()).then_some(docker.id);
        let layers = image.docker_image_layers.iter().map(|layer| layer.name.clone());
        let mut seen = BTreeSet::new();
        let blobs = layers.chain(config).filter(|blob| seen.insert(blob.clone())).collect();
        Ok(Facts {
            blobs,
            children: image.docker_image_manifests.iter().map(|child| child.digest.clone()).collect(),
            is_managed: image.metadata.annotations.get(MANAGED).is_some_and(|value| value == "true"),
            created: image.metadata.creation_timestamp,
            reference: image.docker_image_reference.clone(),
            size: docker.size,
        })
    }
}

/// Everything that was read.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) images: BTreeMap<String, Facts>,
    pub(super) used: Used,
    /// The largest sizes of images that limits allow, by project.
    pub(super) limits: BTreeMap<String, Vec<i64>>,
}

/// What becomes of one stream.
#[derive(Debug, Default, PartialEq)]
pub(super) struct StreamPlan {
    /// Revisions that go.
    pub(super) removed: usize,
    /// The stream without them.
    pub(super) stream: ImageStream,
    /// Blobs and manifests that no revision of the stream has any more.
    pub(super) layer_links: Vec<String>,
    pub(super) manifest_links: Vec<String>,
    /// What a person should hear.
    pub(super) warnings: Vec<String>,
}

/// `NAMESPACE/NAME`
pub(super) fn repository(stream: &ImageStream) -> String {
    format!("{}/{}", stream.metadata.namespace, stream.metadata.name)
}

/// How often something is needed.
#[derive(Default)]
struct Counts(BTreeMap<String, usize>);

impl Counts {
    fn add(&mut self, name: &str) {
        *self.0.entry(name.to_owned()).or_default() += 1;
    }

    /// True for the last one.
    fn take(&mut self, name: &str) -> bool {
        let Some(count) = self.0.get_mut(name) else { return false };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.0.remove(name);
            return true;
        }
        false
    }
}

impl Inventory {
    /// Decides about the history of a stream.
    pub(super) fn plan_stream(&self, rules: &Rules, stream: &ImageStream) -> StreamPlan {
        let mut plan = StreamPlan { stream: stream.clone(), ..StreamPlan::default() };
        if rules.is_young(stream.metadata.creation_timestamp) {
            return plan;
        }
        let repository = repository(stream);
        let (mut manifests, mut blobs) = (Counts::default(), Counts::default());
        for (tag, item) in
            stream.status.tags.iter().flat_map(|tag| tag.items.iter().map(move |item| (tag, item)))
        {
            match self.images.get(&item.image) {
                Some(facts) => {
                    manifests.add(&item.image);
                    facts.blobs.iter().for_each(|blob| blobs.add(blob));
                }
                None => plan.warnings.push(format!(
                    "imagestream {repository}: tag {}: image {} not found",
                    tag.tag, item.image
                )),
            }
        }
        for tag in &mut plan.stream.status.tags {
            let items = std::mem::take(&mut tag.items);
            for (revision, item) in items.into_iter().enumerate() {
                if self.stays(rules, stream, &repository, &tag.tag, revision, &item) {
                    tag.items.push(item);
                    continue;
                }
                plan.removed += 1;
                let Some(facts) = self.images.get(&item.image) else { continue };
                if manifests.take(&item.image) {
                    plan.manifest_links.push(item.image.clone());
                }
                plan.layer_links.extend(facts.blobs.iter().filter(|blob| blobs.take(blob)).cloned());
            }
        }
        plan.stream.status.tags.retain(|tag| !tag.items.is_empty());
        plan
    }

    fn stays(
        &self,
        rules: &Rules,
        stream: &ImageStream,
        repository: &str,
        tag: &str,
        revision: usize,
        item: &TagEvent,
    ) -> bool {
        if rules.is_young(item.created) || (revision == 0 && self.used.has_tag(repository, tag)) {
            return true;
        }
        let Some(facts) = self.images.get(&item.image) else { return false };
        let within = if rules.over_size {
            !self.is_too_large(&stream.metadata.namespace, facts)
        } else {
            revision < rules.revisions
        };
        within || self.used.has_image(repository, &item.image)
    }

    fn is_too_large(&self, namespace: &str, facts: &Facts) -> bool {
        self.limits.get(namespace).is_some_and(|limits| limits.iter().any(|limit| *limit < facts.size))
    }

    /// Decides about images, once it is known what streams are left with: each image that goes, with the content that
    /// nothing else needs then.
    pub(super) fn plan_images(&self, rules: &Rules, left: &[ImageStream]) -> Vec<(&str, Vec<String>)> {
        let items = left.iter().flat_map(|stream| &stream.status.tags).flat_map(|tag| &tag.items);
        let mut used: BTreeSet<&str> = items.map(|item| item.image.as_str()).collect();
        // Lists may hold lists.
        let mut todo: Vec<&str> = used.iter().copied().collect();
        while let Some(name) = todo.pop() {
            let children = self.images.get(name).into_iter().flat_map(|facts| &facts.children);
            todo.extend(children.map(String::as_str).filter(|child| used.insert(child)));
        }
        let mut needed = Counts::default();
        for (name, facts) in &self.images {
            facts.blobs.iter().chain([name]).for_each(|blob| needed.add(blob));
        }
        let goes = |name: &str, facts: &Facts| {
            !used.contains(name) && (rules.all || facts.is_managed) && !rules.is_young(facts.created)
        };
        let going = self.images.iter().filter(|(name, facts)| goes(name, facts));
        going
            .map(|(name, facts)| {
                let content =
                    facts.blobs.iter().chain([name]).filter(|blob| needed.take(blob)).cloned().collect();
                (name.as_str(), content)
            })
            .collect()
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
