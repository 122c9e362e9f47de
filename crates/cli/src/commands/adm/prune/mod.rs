//! `adm prune images`: takes away history that is old, images that nobody has any more, and their content.
//!
//! Everything is read first. What a stream loses is decided by [`plan`], written through its status (which nobody else may
//! have changed meanwhile), and only then are images deleted. Without `--confirm` the same is said and nothing done. What
//! fails is told, the rest goes on, and the command ends as failed.

mod inventory;
mod plan;
mod references;
mod registry;
mod work;

use futures_util::stream::{self, StreamExt as _};
use machinery::image::ImageStream;
use machinery::time::Time;
use serde_json::Value;

use self::plan::{Inventory, Rules};
use self::registry::Registry;
use self::work::{Done, Pruner};
use crate::app::App;
use crate::commands::whoami;
use crate::failure::{Failure, plain, usage};
use crate::golang::text_at;
use crate::limits;

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

#[cfg(test)]
mod tests {
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
}
