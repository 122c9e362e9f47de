//! `patch`: change fields of objects by a patch on the command line or in a file.

use serde_json::Value;

use crate::app::App;
use crate::client::{Call, target};
use crate::failure::{Failure, plain};
use crate::flags::{DryRun, DryRunFlag, FileFlags, PrintFlags};
use crate::print;
use crate::select::Narrow;

/// `patch TYPE NAME -p PATCH`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// TYPE NAME or TYPE/NAME
    args: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    print: PrintFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
    /// The patch, in JSON or YAML
    #[arg(short, long)]
    patch: Option<String>,
    /// A file with the patch
    #[arg(long)]
    patch_file: Option<String>,
    /// json, merge or strategic
    #[arg(long, default_value = "strategic")]
    r#type: String,
    /// Part of the object, status for instance
    #[arg(long)]
    subresource: Option<String>,
    /// Who makes the change
    #[arg(long, default_value = "kubectl-patch")]
    field_manager: String,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let printer = print::printer(&args.print)?;
    let dry_run = args.dry_run.get()?;
    let media = match args.r#type.to_lowercase().as_str() {
        "json" => "application/json-patch+json",
        "merge" => "application/merge-patch+json",
        "strategic" => "application/strategic-merge-patch+json",
        _ => {
            return Err(plain(format!(
                "--type must be one of [json merge strategic], not {}",
                machinery::field::quote(&args.r#type)
            )));
        }
    };
    let patch = document(args)?;
    let infos = app.visit(&args.args, &args.files, &Narrow::default(), false).await?.all()?;
    for info in infos {
        let mut path = info.path()?;
        if let Some(part) = &args.subresource {
            path = format!("{path}/{}", crate::client::segment(part));
        }
        let result = if dry_run == DryRun::Client {
            super::annotate::merged(&info.object, &patch)
        } else {
            let query = dry_run.query(vec![("fieldManager", args.field_manager.clone())]);
            let body = machinery::json::compact(&patch);
            app.api()
                .await?
                .document(Call::bytes(http::Method::PATCH, target(&path, &query), media, body))
                .await?
        };
        match &printer {
            Some(printer) => printer.print(&result, &app.io)?,
            None => {
                let same =
                    if result == info.object && dry_run != DryRun::Client { " (no change)" } else { "" };
                app.io.line(&format!("{} patched{}{same}", info.display(), dry_run.suffix()))?;
            }
        }
    }
    Ok(())
}

fn document(args: &Args) -> Result<Value, Failure> {
    let text = match (&args.patch, &args.patch_file) {
        (Some(_), Some(_)) => return Err(plain("cannot specify --patch and --patch-file together")),
        (Some(text), None) if !text.is_empty() => text.clone(),
        (None, Some(file)) => std::fs::read_to_string(file)
            .map_err(|error| plain(format!("unable to read patch file: {error}")))?,
        _ => return Err(plain("must specify --patch or --patch-file containing the contents of the patch")),
    };
    machinery::yaml::parse(&text, machinery::yaml::Duplicates::LastWins)
        .map_err(|error| plain(format!("unable to parse {}: {error}", machinery::field::quote(&text))))
}
