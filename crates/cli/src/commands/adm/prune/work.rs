//! Doing what was decided, or saying it in a dry run: stream by stream, then image by image.

use std::cell::{Cell, RefCell};

use machinery::image::ImageStream;
use serde_json::{Value, json};

use super::Flags;
use super::plan::{Inventory, Rules, StreamPlan, repository};
use super::registry::Registry;
use crate::app::App;
use crate::client::{Call, JSON, JSON_OR_ANY, segment};
use crate::failure::{Failure, plain};
use crate::limits;

const IMAGE: &str = "/apis/image.openshift.io/v1";

/// What was done, or would have been.
#[derive(Default)]
pub(super) struct Done {
    images: Cell<usize>,
    items: Cell<usize>,
    streams: Cell<usize>,
    layer_links: Cell<usize>,
    manifest_links: Cell<usize>,
    blobs: Cell<usize>,
    pub(super) failures: RefCell<Vec<Failure>>,
}

fn count(counter: &Cell<usize>, more: usize) {
    counter.set(counter.get() + more);
}

impl Done {
    pub(super) fn summary(&self) -> String {
        let counts = [
            ("deleted", &self.images, "image object(s)"),
            ("deleted", &self.items, "image stream tag item(s)"),
            ("updated", &self.streams, "image stream(s)"),
            ("deleted", &self.layer_links, "layer link(s)"),
            ("deleted", &self.manifest_links, "manifest link(s)"),
            ("deleted", &self.blobs, "blob(s)"),
        ];
        let said: Vec<String> = counts
            .iter()
            .filter(|(_, counter, _)| counter.get() > 0)
            .map(|(verb, counter, what)| format!("{verb} {} {what}", counter.get()))
            .collect();
        if said.is_empty() {
            "Summary: deleted 0 objects".to_owned()
        } else {
            format!("Summary: {}", said.join(", "))
        }
    }
}

pub(super) struct Pruner<'a> {
    pub(super) app: &'a App,
    pub(super) flags: &'a Flags,
    pub(super) rules: Rules,
    pub(super) inventory: &'a Inventory,
    /// Nothing in a dry run, and when the registry is left alone.
    pub(super) registry: Option<Registry>,
    pub(super) done: Done,
}

impl Pruner<'_> {
    /// Tells of a failure at once, and of the whole at the end.
    fn failed(&self, told: &str, summed: String) {
        self.app.io.complain(told);
        self.done.failures.borrow_mut().push(plain(summed));
    }

    /// A line of output; a reader that went away is noticed at the end.
    fn say(&self, text: &str) {
        if let Err(error) = self.app.io.line(text) {
            self.done.failures.borrow_mut().push(error);
        }
    }

    /// Prunes a stream; what is left of it, `None` when it is gone.
    pub(super) async fn stream(&self, listed: &ImageStream) -> Option<ImageStream> {
        let name = repository(listed);
        if !self.flags.confirm {
            let plan = self.inventory.plan_stream(&self.rules, listed);
            self.layers(&name, &plan).await;
            self.items(&name, &plan);
            self.manifests(&name, &plan).await;
            return Some(plan.stream);
        }
        match self.write_stream(listed, &name).await {
            Ok(left) => left,
            Err(error) => {
                self.failed(
                    &format!("error updating image stream {name} to remove image references: {error}"),
                    format!("imagestream {name}: failed to update: {error}"),
                );
                // What a stream may still hold is used.
                Some(listed.clone())
            }
        }
    }

    /// Reads a stream anew, and writes it without what goes.
    async fn write_stream(&self, listed: &ImageStream, name: &str) -> Result<Option<ImageStream>, Failure> {
        let metadata = &listed.metadata;
        let path = format!(
            "{IMAGE}/namespaces/{}/imagestreams/{}",
            segment(&metadata.namespace),
            segment(&metadata.name)
        );
        let api = self.app.api().await?;
        for attempt in 1.. {
            let current = match api.document(Call::get(path.clone(), JSON_OR_ANY)).await {
                Err(error) if error.is_not_found() => return Ok(None),
                other => other?,
            };
            let current: ImageStream =
                serde_json::from_value(current).map_err(|error| plain(error.to_string()))?;
            let plan = self.inventory.plan_stream(&self.rules, &current);
            for warning in &plan.warnings {
                self.app.io.complain(&format!("Warning: {warning}"));
            }
            if plan.removed == 0 {
                return Ok(Some(current));
            }
            if attempt == 1 {
                self.layers(name, &plan).await;
            }
            let body = serde_json::to_value(&plan.stream).map_err(|error| plain(error.to_string()))?;
            match api.document(Call::send(http::Method::PUT, format!("{path}/status"), &typed(body))).await {
                Err(error) if error.is_conflict() && attempt < limits::CONFLICT_ATTEMPTS => {
                    tokio::time::sleep(limits::CONFLICT_PAUSE).await;
                    continue;
                }
                Err(error) if error.is_not_found() => return Ok(None),
                other => drop(other?),
            }
            self.items(name, &plan);
            self.manifests(name, &plan).await;
            return Ok(Some(plan.stream));
        }
        unreachable!("the loop ends by its own count")
    }

    fn items(&self, name: &str, plan: &StreamPlan) {
        if plan.removed > 0 {
            self.say(&format!("Deleting {} items from image stream {name}", plan.removed));
            count(&self.done.items, plan.removed);
            count(&self.done.streams, 1);
        }
    }

    async fn layers(&self, name: &str, plan: &StreamPlan) {
        for digest in plan.layer_links.iter().filter(|_| self.flags.prune_registry) {
            self.say(&format!("Deleting layer link {digest} in repository {name}"));
            let Some(registry) = &self.registry else {
                count(&self.done.layer_links, 1);
                continue;
            };
            match registry.delete_layer_link(name, digest).await {
                Ok(()) => count(&self.done.layer_links, 1),
                Err(why) => self.failed(
                    &format!("error deleting repository {name} layer link {digest} from the registry: {why}"),
                    format!("imagestream {name}: failed to delete layer link {digest}: {why}"),
                ),
            }
        }
    }

    async fn manifests(&self, name: &str, plan: &StreamPlan) {
        for digest in plan.manifest_links.iter().filter(|_| self.flags.prune_registry) {
            self.say(&format!("Deleting manifest link {digest} in repository {name}"));
            let Some(registry) = &self.registry else {
                count(&self.done.manifest_links, 1);
                continue;
            };
            match registry.delete_manifest(name, digest).await {
                Ok(()) => count(&self.done.manifest_links, 1),
                Err(why) => self.failed(
                    &format!("error deleting manifest link {digest} from repository {name}: {why}"),
                    format!("imagestream {name}: failed to delete manifest link {digest}: {why}"),
                ),
            }
        }
    }

    /// Deletes an image and the content that nothing else needs.
    pub(super) async fn image(&self, name: &str, content: &[String]) {
        let (mut deleted, mut failed) = (0, 0);
        for digest in content.iter().filter(|_| self.flags.prune_registry) {
            self.say(&format!("Deleting blob {digest}"));
            let outcome = match &self.registry {
                Some(registry) => registry.delete_blob(digest).await,
                None => Ok(()),
            };
            match outcome {
                Ok(()) => deleted += 1,
                Err(why) => {
                    failed += 1;
                    self.failed(
                        &format!("error deleting blob {digest} from the registry: {why}"),
                        format!("image {name}: failed to delete blob {digest}: {why}"),
                    );
                }
            }
        }
        count(&self.done.blobs, deleted);
        if failed > 0 && deleted == 0 {
            return;
        }
        self.say(&format!("Deleting image {name}"));
        if self.flags.confirm
            && let Err(error) = self.delete_image(name).await
        {
            return self.failed(
                &format!("error deleting image {name} from server: {error}"),
                format!("image {name}: failed to delete: {error}"),
            );
        }
        count(&self.done.images, 1);
    }

    async fn delete_image(&self, name: &str) -> Result<(), Failure> {
        let options =
            json!({"kind": "DeleteOptions", "apiVersion": "image.openshift.io/v1", "gracePeriodSeconds": 0});
        let path = format!("{IMAGE}/images/{}", segment(name));
        let call = Call { accept: JSON, ..Call::send(http::Method::DELETE, path, &options) };
        match self.app.api().await?.call(call).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(|_| ()),
        }
    }
}

fn typed(mut stream: Value) -> Value {
    stream["kind"] = "ImageStream".into();
    stream["apiVersion"] = "image.openshift.io/v1".into();
    stream
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_done_is_summed_up() {
        let done = Done::default();
        assert_eq!(done.summary(), "Summary: deleted 0 objects");
        count(&done.items, 4);
        count(&done.streams, 1);
        count(&done.images, 2);
        assert_eq!(
            done.summary(),
            "Summary: deleted 2 image object(s), deleted 4 image stream tag item(s), updated 1 image stream(s)"
        );
    }
}
