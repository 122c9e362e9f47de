//! `apply`: make objects what files say, and leave alone what the files never said.

use serde_json::{Value, json};

use super::create::{LAST_APPLIED, Validate, annotate, last_applied};
use crate::app::App;
use crate::client::{Call, JSON, target};
use crate::failure::{Failure, plain, usage};
use crate::files;
use crate::flags::{DryRun, DryRunFlag, FileFlags, PrintFlags};
use crate::golang::text_at;
use crate::print::{self, Printer};
use crate::select::{Info, Narrow};
use crate::three_way;

/// `apply -f FILE`
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    print: PrintFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
    #[command(flatten)]
    validate: Validate,
    /// Let the server merge, and keep who set which field
    #[arg(long)]
    server_side: bool,
    /// Take over fields that others set
    #[arg(long)]
    force_conflicts: bool,
    /// Who makes the change
    #[arg(long)]
    field_manager: Option<String>,
    #[command(subcommand)]
    more: Option<More>,
}

#[derive(Debug, clap::Subcommand)]
enum More {
    /// Show an object as it was applied last
    ViewLastApplied(ViewArgs),
}

/// `apply view-last-applied TYPE/NAME`
#[derive(Debug, Clone, clap::Args)]
struct ViewArgs {
    /// TYPE NAME or TYPE/NAME
    args: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    /// yaml or json
    #[arg(short, long, default_value = "yaml")]
    output: String,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    if let Some(More::ViewLastApplied(own)) = &args.more {
        return view(app, own).await;
    }
    if args.files.filename.is_empty() {
        return Err(plain("must specify one of -f and -k"));
    }
    let dry_run = args.dry_run.get()?;
    if args.force_conflicts && !args.server_side {
        return Err(plain("--force-conflicts only works with --server-side"));
    }
    if args.server_side && dry_run == DryRun::Client {
        return Err(plain(
            "--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)",
        ));
    }
    let work = Work {
        app,
        args,
        dry_run,
        printer: print::printer(&args.print)?,
        validation: args.validate.parameter()?,
    };
    let mut failures = Vec::new();
    let mut count = 0;
    for info in files::read(app, &args.files).await? {
        count += 1;
        let applied = match info {
            Ok(info) if args.server_side => work.on_the_server(&info).await,
            Ok(info) => work.here(&info).await,
            Err(error) => Err(error),
        };
        failures.extend(applied.err());
    }
    if count == 0 {
        return Err(plain("no objects passed to apply"));
    }
    Failure::gather(failures)
}

struct Work<'a> {
    app: &'a App,
    args: &'a Args,
    dry_run: DryRun,
    printer: Option<Printer>,
    validation: &'static str,
}

impl Work<'_> {
    fn query(&self, manager: &str) -> Vec<(&'static str, String)> {
        let manager = self.args.field_manager.clone().unwrap_or_else(|| manager.to_owned());
        self.dry_run.query(vec![("fieldManager", manager), ("fieldValidation", self.validation.to_owned())])
    }

    fn tell(&self, info: &Info, object: &Value, word: &str) -> Result<(), Failure> {
        match &self.printer {
            Some(printer) => printer.print(object, &self.app.io),
            None => self.app.io.line(&format!("{} {word}{}", info.display(), self.dry_run.suffix())),
        }
    }

    /// The client merges: by what the object itself remembers of the last time.
    async fn here(&self, info: &Info) -> Result<(), Failure> {
        let source = info.source.as_deref().unwrap_or_default();
        let generated = text_at(&info.object, &["metadata", "generateName"]);
        if info.name.is_empty() && !generated.is_empty() {
            return Err(plain(format!("from {generated}: cannot use generate name with apply")));
        }
        let remembered = last_applied(&info.object);
        let mut modified = info.object.clone();
        annotate(&mut modified, remembered);
        let api = self.app.api().await?;
        let found = match info.path() {
            Ok(path) => api.document(Call::get(path, JSON)).await,
            Err(error) => Err(error),
        };
        let current = match found {
            Ok(current) => current,
            Err(error) if error.is_not_found() => return self.create(info, &modified).await,
            Err(error) => return Err(retrieving(error, info, source)),
        };
        let held = text_at(&current, &["metadata", "annotations", LAST_APPLIED]);
        if held.is_empty() && self.dry_run != DryRun::Client {
            let program = crate::PROGRAM;
            self.app.io.complain(&format!(
                "Warning: resource {} is missing the {LAST_APPLIED} annotation which is required by {program} apply. {program} apply should only be used on resources created declaratively by either {program} create --save-config or {program} apply. The missing annotation will be patched automatically.",
                info.short()
            ));
        }
        if self.dry_run == DryRun::Client {
            return self.tell(info, &modified, "configured");
        }
        let original: Value = serde_json::from_str(held).unwrap_or_default();
        let schema = three_way::schema(text_at(&current, &["apiVersion"]), text_at(&current, &["kind"]));
        let patch = three_way::patch(&original, &modified, &current, schema);
        if patch == json!({}) {
            return self.tell(info, &current, "unchanged");
        }
        let call = Call::bytes(
            http::Method::PATCH,
            target(&info.path()?, &self.query("kubectl-client-side-apply")),
            three_way::media_type(schema),
            machinery::json::compact(&patch),
        );
        let result = api.document(call).await.map_err(|error| {
            error.prefixed(&format!(
                "error when applying patch:\n{}\nto:\n{}\nfor: \"{source}\": ",
                crate::golang::json(&patch),
                described(info)
            ))
        })?;
        let word = if result == current { "unchanged" } else { "configured" };
        self.tell(info, &result, word)
    }

    async fn create(&self, info: &Info, modified: &Value) -> Result<(), Failure> {
        if self.dry_run == DryRun::Client {
            return self.tell(info, modified, "created");
        }
        let namespace = (!info.namespace.is_empty()).then_some(info.namespace.as_str());
        let path = target(&info.resource.collection(namespace), &self.query("kubectl-client-side-apply"));
        let source = info.source.as_deref().unwrap_or_default();
        let made = self.app.api().await?.document(Call::send(http::Method::POST, path, modified)).await;
        let made = made.map_err(|error| error.prefixed(&format!("error when creating \"{source}\": ")))?;
        self.tell(info, &made, "created")
    }

    /// The server merges.
    async fn on_the_server(&self, info: &Info) -> Result<(), Failure> {
        let mut query = self.query("kubectl");
        query.push(("force", self.args.force_conflicts.to_string()));
        let call = Call::bytes(
            http::Method::PATCH,
            target(&info.path()?, &query),
            "application/apply-patch+yaml",
            machinery::json::compact(&info.object),
        );
        match self.app.api().await?.document(call).await {
            Ok(result) => self.tell(info, &result, "serverside-applied"),
            Err(Failure::Status(status)) if status.reason == "Conflict" => {
                Err(plain(conflict(&status.message)))
            }
            Err(error) => Err(error),
        }
    }
}

/// What to do about fields that others set.
fn conflict(message: &str) -> String {
    format!(
        "{message}\nPlease review the fields above--they currently have other managers. Here\nare the ways you can resolve this warning:\n\
         * If you intend to manage all of these fields, please re-run the apply\n  command with the `--force-conflicts` flag.\n\
         * If you do not intend to manage all of the fields, please edit your\n  manifest to remove references to the fields that should keep their\n  current managers.\n\
         * You may co-own fields by updating your manifest to match the existing\n  value; in this case, you'll become the manager if the other manager(s)\n  stop managing the field (remove it from their configuration).\n\
         See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts"
    )
}

fn described(info: &Info) -> String {
    format!(
        "Resource: \"{}\", GroupVersionKind: \"{}\"\nName: \"{}\", Namespace: \"{}\"",
        info.resource.described(),
        info.resource.described_kind(),
        info.name,
        info.namespace
    )
}

fn retrieving(error: Failure, info: &Info, source: &str) -> Failure {
    error.prefixed(&format!(
        "error when retrieving current configuration of:\n{}\nfrom server for: \"{source}\": ",
        described(info)
    ))
}

async fn view(app: &App, args: &ViewArgs) -> Result<(), Failure> {
    if !matches!(args.output.as_str(), "yaml" | "json" | "") {
        return Err(usage(
            "apply view-last-applied",
            format!("Unexpected -o output mode: {}, the flag 'output' must be one of yaml|json", args.output),
        ));
    }
    for info in app.visit(&args.args, &args.files, &Narrow::default(), false).await?.all()? {
        let held = text_at(&info.object, &["metadata", "annotations", LAST_APPLIED]);
        if held.is_empty() {
            return Err(plain(format!(
                "no last-applied-configuration annotation found on resource: {}",
                info.name
            )));
        }
        let object: Value = serde_json::from_str(held).map_err(|error| plain(error.to_string()))?;
        if args.output == "json" {
            app.io.line(&crate::golang::json_pretty(&object))?;
        } else {
            app.io.print(&machinery::yaml::to_string(&object))?;
        }
    }
    Ok(())
}
