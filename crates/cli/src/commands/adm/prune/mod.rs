//! `adm prune images`: takes away history that is old, images that nobody has any more, and their content.
//!
//! Everything is read first. What a stream loses is decided by [`plan`], written through its status (which nobody else may
//! have changed meanwhile), and only then are images deleted. Without `--confirm` the same is said and nothing done. What
//! fails is told, the rest goes on, and the command ends as failed.

mod inventory;
mod plan;
mod references;
mod registry;

use std::cell::{Cell, RefCell};

use futures_util::stream::{self, StreamExt as _};
use machinery::image::ImageStream;
use machinery::time::Time;
use serde_json::{Value, json};

use self::plan::{Inventory, Rules, StreamPlan, repository};
use self::registry::Registry;
use crate::app::App;
use crate::client::{Call, JSON, JSON_OR_ANY, segment};
use crate::commands::whoami;
use crate::failure::{Failure, plain, usage};
use crate::golang::text_at;
use crate::limits;

const IMAGE: &str = "/apis/image.openshift.io/v1";
/// Seconds and revisions that are kept when nobody says otherwise.
const YOUNGER: i64 = 3600;
const REVISIONS: i64 = 3;
/// Streams or images at once.
const WORKERS: i64 = 5;

/// `adm prune WHAT`
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Remove old history of image streams, and images that no stream has
    Images(Flags),
}

/// `adm prune images`
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  # Show what would go\n  weir adm prune images\n\n  # Keep five revisions of each tag and what was made within the last day\n  weir adm prune images --keep-tag-revisions=5 --keep-younger-than=24h --confirm"
)]
struct Flags {
    #[arg(hide = true)]
    args: Vec<String>,
    /// Do it; without this, only say what would be done
    #[arg(long)]
    confirm: bool,
    /// Images that were imported go, too; false: only those that were pushed to the integrated registry
    #[arg(long, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", default_value = "true", value_parser = crate::flags::truth)]
    all: bool,
    /// What is younger stays [default: 60m]
    #[arg(long, value_parser = seconds)]
    keep_younger_than: Option<i64>,
    /// So many revisions of each tag stay [default: 3]
    #[arg(long)]
    keep_tag_revisions: Option<i64>,
    /// Only images that are larger than a limit of their project go
    #[arg(long)]
    prune_over_size_limit: bool,
    /// Remove content from the integrated registry, too
    #[arg(long, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", default_value = "true", value_parser = crate::flags::truth)]
    prune_registry: bool,
    /// Go on when references of workloads cannot be read
    #[arg(long)]
    ignore_invalid_refs: bool,
    /// Streams or images that are worked on at once
    #[arg(long, default_value_t = WORKERS)]
    num_workers: i64,
    #[command(flatten)]
    registry: registry::RegistryFlags,
}

/// Whole seconds, begun ones counted; negative ones too, to be refused in better words.
fn seconds(text: &str) -> Result<i64, String> {
    let (nanos, negative) = crate::duration::parse_signed(text)?;
    let seconds = i64::try_from(nanos.div_ceil(1_000_000_000)).unwrap_or(i64::MAX);
    Ok(if negative { -seconds } else { seconds })
}

impl Flags {
    fn rules(&self, now: Time) -> Result<Rules, Failure> {
        if !self.args.is_empty() {
            return Err(usage("adm prune images", "no arguments are allowed to this command"));
        }
        let over_size = self.prune_over_size_limit;
        if over_size && (self.keep_younger_than.is_some() || self.keep_tag_revisions.is_some()) {
            return Err(plain(
                "--prune-over-size-limit cannot be specified with --keep-tag-revisions nor --keep-younger-than",
            ));
        }
        let younger = self.keep_younger_than.unwrap_or(YOUNGER);
        if younger < 0 {
            return Err(plain("--keep-younger-than must be greater than or equal to 0"));
        }
        let revisions = usize::try_from(self.keep_tag_revisions.unwrap_or(REVISIONS))
            .map_err(|_| plain("--keep-tag-revisions must be greater than or equal to 0"))?;
        self.registry.check()?;
        Ok(Rules { now, younger: (!over_size).then_some(younger), revisions, over_size, all: self.all })
    }

    fn workers(&self) -> usize {
        usize::try_from(self.num_workers)
            .ok()
            .filter(|count| (1..=limits::PRUNE_WORKERS).contains(count))
            .unwrap_or(5)
    }
}

pub(super) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::Images(flags) => images(app, flags).await,
    }
}

async fn images(app: &App, flags: &Flags) -> Result<(), Failure> {
    let rules = flags.rules(app.now())?;
    let touches_registry = flags.confirm && flags.prune_registry;
    let token = if touches_registry {
        whoami::token(app).await.map_err(|_| plain("you must use a client config with a token"))?
    } else {
        String::new()
    };
    let is_young = |object: &Value| {
        let made = text_at(object, &["metadata", "creationTimestamp"]).parse::<Time>();
        made.is_ok_and(|made| rules.younger.is_some_and(|limit| rules.now.seconds_since(made) < limit))
    };
    let read = inventory::read(app, is_young).await?;
    if !read.inventory.used.bad.is_empty() && !flags.ignore_invalid_refs {
        return Err(refuse(app, &read.inventory));
    }
    if !flags.confirm {
        let note = "Dry run enabled - no modifications will be made. Add --confirm to remove images";
        app.io.complain(note);
    }
    if !flags.prune_registry {
        let note = "Only API objects will be removed.  No modifications to the image registry will be made.";
        app.io.line(note)?;
    }
    let registry = if touches_registry {
        Some(Registry::open(app, &flags.registry, &read.inventory, &read.streams, &token).await?)
    } else {
        None
    };
    let pruner = Pruner { app, flags, rules, inventory: &read.inventory, registry, done: Done::default() };
    let workers = flags.workers();
    let left: Vec<Option<ImageStream>> = stream::iter(&read.streams)
        .map(|stream| pruner.stream(stream))
        .buffer_unordered(workers)
        .collect()
        .await;
    if !app.settings.namespace_given {
        let left: Vec<ImageStream> = left.into_iter().flatten().collect();
        let going = read.inventory.plan_images(&pruner.rules, &left);
        let work = going.iter().map(|(name, content)| pruner.image(name, content));
        stream::iter(work).buffer_unordered(workers).collect::<Vec<()>>().await;
    }
    app.io.line(&pruner.done.summary())?;
    Failure::gather(pruner.done.failures.take())
}

/// Tells what cannot be read.
fn refuse(app: &App, inventory: &Inventory) -> Failure {
    let mut text = "Failed to build graph!\n\nThe following objects have invalid references:\n\n".to_owned();
    for bad in &inventory.used.bad {
        text.push_str(&format!("  {bad}\n"));
    }
    text.push_str("\nEither fix the references or delete the objects to make the pruner proceed.\n");
    app.io.complain(&text);
    plain("failed to build graph - no changes made")
}

/// What was done, or would have been.
#[derive(Default)]
struct Done {
    images: Cell<usize>,
    items: Cell<usize>,
    streams: Cell<usize>,
    layer_links: Cell<usize>,
    manifest_links: Cell<usize>,
    blobs: Cell<usize>,
    failures: RefCell<Vec<Failure>>,
}

fn count(counter: &Cell<usize>, more: usize) {
    counter.set(counter.get() + more);
}

impl Done {
    fn summary(&self) -> String {
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

struct Pruner<'a> {
    app: &'a App,
    flags: &'a Flags,
    rules: Rules,
    inventory: &'a Inventory,
    /// Nothing in a dry run, and when the registry is left alone.
    registry: Option<Registry>,
    done: Done,
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
    async fn stream(&self, listed: &ImageStream) -> Option<ImageStream> {
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
    async fn image(&self, name: &str, content: &[String]) {
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
    use crate::fake::{Script, run};

    #[test]
    fn flags_that_make_no_sense_are_told() {
        let check = |flags: &[&str], why: &str| {
            let line: Vec<&str> = ["adm", "prune", "images"].iter().chain(flags).copied().collect();
            let got = run(&line, &Script::default(), None);
            assert_eq!((got.status, got.err.as_str()), (1, why), "{flags:?}");
        };
        check(
            &["x"],
            "error: no arguments are allowed to this command\nSee 'weir adm prune images -h' for help and examples\n",
        );
        check(
            &["--keep-younger-than=-1s"],
            "error: --keep-younger-than must be greater than or equal to 0\n",
        );
        check(
            &["--keep-tag-revisions=-1"],
            "error: --keep-tag-revisions must be greater than or equal to 0\n",
        );
        check(
            &["--registry-url=h/x"],
            "error: invalid --registry-url flag: no path after <host>[:<port>] is allowed\n",
        );
        check(
            &["--certificate-authority=f", "--force-insecure"],
            "error: --certificate-authority cannot be specified with --force-insecure\n",
        );
    }

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
