//! `replace`: put what files say in the place of what is there.

use serde_json::Value;
use tokio::time::Instant;

use super::create::{Validate, remember};
use super::delete::{self, Manner};
use crate::app::App;
use crate::client::{Call, JSON, target};
use crate::failure::{Failure, plain};
use crate::files;
use crate::flags::{DryRun, DryRunFlag, FileFlags, PrintFlags};
use crate::golang::text_at;
use crate::limits;
use crate::print;
use crate::select::Info;

/// `replace -f FILE`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    print: PrintFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
    #[command(flatten)]
    validate: Validate,
    /// Delete the objects first, then make them anew
    #[arg(long)]
    force: bool,
    /// Remember the object in its annotations, for later use by apply
    #[arg(long)]
    save_config: bool,
    /// Who makes the change
    #[arg(long, default_value = "kubectl-replace")]
    field_manager: String,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    if args.files.filename.is_empty() {
        return Err(plain("must specify --filename to replace"));
    }
    let printer = print::printer(&args.print)?;
    let dry_run = args.dry_run.get()?;
    let validation = args.validate.parameter()?;
    if args.force && dry_run != DryRun::None {
        return Err(plain("--dry-run can not be used when --force is set"));
    }
    let mut infos = Vec::new();
    let mut failures = Vec::new();
    for info in files::read(app, &args.files).await? {
        match info {
            Ok(mut info) => {
                if args.save_config {
                    remember(&mut info.object);
                }
                infos.push(info);
            }
            Err(error) => failures.push(error),
        }
    }
    if args.force {
        remove(app, &infos).await?;
    }
    for info in infos {
        let query = dry_run.query(vec![
            ("fieldManager", args.field_manager.clone()),
            ("fieldValidation", validation.to_owned()),
        ]);
        let source = info.source.clone().unwrap_or_default();
        let replaced = if args.force {
            create(app, &info, query).await
        } else if dry_run == DryRun::Client {
            Ok(info.object.clone())
        } else {
            put(app, &info, query).await
        };
        match (replaced, &printer) {
            (Ok(object), Some(printer)) => printer.print(&object, &app.io)?,
            (Ok(_), None) => app.io.line(&format!("{} replaced{}", info.display(), dry_run.suffix()))?,
            (Err(error), _) => failures.push(error.prefixed(&format!("error when replacing \"{source}\": "))),
        }
    }
    Failure::gather(failures)
}

/// Deletes what is there and waits until it is gone.
async fn remove(app: &App, infos: &[Info]) -> Result<(), Failure> {
    let manner = Manner {
        dry_run: DryRun::None,
        policy: "Background",
        grace: Some(0),
        force: false,
        names_only: false,
    };
    for info in infos {
        match delete::delete(app, info, &manner).await {
            Ok(uid) => delete::wait_gone(app, info, &uid, Instant::now() + limits::DELETE_WAIT).await?,
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn create(app: &App, info: &Info, query: Vec<(&str, String)>) -> Result<Value, Failure> {
    let namespace = (!info.namespace.is_empty()).then_some(info.namespace.as_str());
    let path = target(&info.resource.collection(namespace), &query);
    app.api().await?.document(Call::send(http::Method::POST, path, &info.object)).await
}

/// Replaces the version that is there, unless the file names another.
async fn put(app: &App, info: &Info, query: Vec<(&str, String)>) -> Result<Value, Failure> {
    let api = app.api().await?;
    let path = info.path()?;
    let mut object = info.object.clone();
    if text_at(&object, &["metadata", "resourceVersion"]).is_empty() {
        // Whatever is wrong with reading, writing will say it better.
        if let Ok(current) = api.document(Call::get(path.clone(), JSON)).await {
            object["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"].clone();
        }
    }
    api.document(Call::send(http::Method::PUT, target(&path, &query), &object)).await
}
