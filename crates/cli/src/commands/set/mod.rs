//! `set`: change single settings of objects: which images containers run, what triggers a rollout, how names resolve.

mod image;
mod lookup;
mod template;
mod triggers;

use serde_json::Value;

use crate::app::App;
use crate::client::{Call, target};
use crate::failure::{Failure, plain};
use crate::flags::{DryRun, DryRunFlag, FileFlags, PrintFlags};
use crate::print;
use crate::select::{Info, Narrow, Visited};

/// `set SETTING …`
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Change the images that containers run
    Image(image::Args),
    /// Let workloads use the names of image streams as images
    ImageLookup(lookup::Args),
    /// Show or change what makes a workload roll out
    Triggers(triggers::Args),
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::Image(own) => image::run(app, own).await,
        What::ImageLookup(own) => lookup::run(app, own).await,
        What::Triggers(own) => triggers::run(app, own).await,
    }
}

/// Flags of every setting.
#[derive(Debug, Clone, clap::Args)]
struct Common {
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    print: PrintFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
    /// All objects of the type
    #[arg(long)]
    all: bool,
    /// Only objects with these labels
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// Change the files' objects without asking the server
    #[arg(long)]
    local: bool,
    /// Who makes the change
    #[arg(long, default_value = "kubectl-set")]
    field_manager: String,
}

impl Common {
    fn narrow(&self) -> Narrow {
        Narrow::new(self.selector.as_ref(), None, self.all, false)
    }

    /// The objects that are meant.
    async fn objects(&self, app: &App, args: &[String]) -> Result<Visited, Failure> {
        if self.local {
            if !args.is_empty() {
                return Err(plain("pass files with -f when using --local."));
            }
            let found = crate::files::read(app, &self.files).await?;
            return Ok(Visited { single: found.len() == 1, found });
        }
        app.visit(args, &self.files, &self.narrow(), false).await
    }

    /// Sends a patch (or only shows what it would do) and says so.
    async fn change(
        &self,
        app: &App,
        info: &Info,
        modified: Value,
        patch: (&'static str, &Value),
        word: &str,
    ) -> Result<(), Failure> {
        let printer = print::printer(&self.print)?;
        let dry_run = self.dry_run.get()?;
        let mut result = modified;
        if !self.local && dry_run != DryRun::Client {
            let query = dry_run.query(vec![("fieldManager", self.field_manager.clone())]);
            let body = machinery::json::compact(patch.1);
            let call = Call::bytes(http::Method::PATCH, target(&info.path()?, &query), patch.0, body);
            result = app.api().await?.document(call).await?;
        }
        match printer {
            Some(printer) => printer.print(&result, &app.io),
            None => app.io.line(&format!("{} {word}{}", info.display(), dry_run.suffix())),
        }
    }
}
