//! `edit`: change objects in an editor.
//!
//! The editor gets YAML (or JSON) with a few lines of explanation. A file that does not parse or that the server refuses
//! is opened again with the reason, until it is accepted or left as it was.

use std::io::Write;

use serde_json::Value;

use crate::app::App;
use crate::client::{Call, target};
use crate::failure::{Failure, plain};
use crate::flags::{FileFlags, PrintFlags};
use crate::golang::text_at;
use crate::limits;
use crate::print;
use crate::select::{Info, NO_RESOURCE, Narrow};
use crate::three_way;

const HEADER: &str = "# Please edit the object below. Lines beginning with a '#' will be ignored,\n# and an empty file will abort the edit. If an error occurs while saving this file will be\n# reopened with the relevant failures.\n#\n";

/// `edit TYPE NAME`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// TYPE [NAME…] or TYPE/NAME…
    args: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    print: PrintFlags,
    /// Who makes the change
    #[arg(long, default_value = "kubectl-edit")]
    field_manager: String,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    if args.args.is_empty() && args.files.filename.is_empty() {
        return Err(plain(NO_RESOURCE));
    }
    let as_json = match args.print.output.as_deref() {
        None | Some("" | "yaml") => false,
        Some("json") => true,
        Some(_) => return Err(plain("The flag 'output' must be one of yaml|json")),
    };
    let infos = app.visit(&args.args, &args.files, &Narrow::default(), true).await?.all()?;
    if infos.is_empty() {
        return Err(plain("edit cancelled, no objects found"));
    }
    let shown: Vec<Value> = infos.iter().map(|info| tidied(&info.object)).collect();
    let document = if let [only] = shown.as_slice() { only.clone() } else { print::list_of(&shown) };
    let text = if as_json {
        format!("{}\n", crate::golang::json_pretty(&document))
    } else {
        machinery::yaml::to_string(&document)
    };
    let mut body = text.clone();
    let mut problem = String::new();
    loop {
        let opened = format!("{HEADER}{problem}{body}");
        let edited = edit(&opened, as_json).await?;
        let content = without_comments(&edited);
        if content == without_comments(&body) {
            if problem.is_empty() {
                app.io.complain("Edit cancelled, no changes made.");
                return Ok(());
            }
            return Err(plain("Edit cancelled, no valid changes were saved."));
        }
        if content.trim().is_empty() {
            app.io.complain("Edit cancelled, saved file was empty.");
            return Ok(());
        }
        match save(app, args, &infos, &shown, &content).await {
            Ok(()) => return Ok(()),
            Err(error) => {
                problem = explained(&error);
                body = content;
            }
        }
    }
}

fn tidied(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

/// The reason as comments of the file.
fn explained(error: &Failure) -> String {
    let text = error.render(crate::PROGRAM);
    let mut out = String::new();
    for line in text.lines() {
        out.push_str("# ");
        out.push_str(line);
        out.push('\n');
    }
    out.push_str("#\n");
    out
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with('#')).fold(String::new(), |mut out, line| {
        out.push_str(line);
        out.push('\n');
        out
    })
}

/// Lets the user edit a text.
async fn edit(text: &str, as_json: bool) -> Result<String, Failure> {
    let editor = ["KUBE_EDITOR", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_else(|| "vi".to_owned());
    let file = TemporaryFile::new(text, if as_json { "json" } else { "yaml" })?;
    let status = tokio::process::Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg("sh")
        .arg(&file.0)
        .status()
        .await?;
    if !status.success() {
        return Err(plain(format!(
            "there was a problem with the editor {}",
            machinery::field::quote(&editor)
        )));
    }
    let size = std::fs::metadata(&file.0)?.len();
    if size > limits::LARGEST_FILE {
        return Err(plain(format!("the edited file is larger than {} bytes", limits::LARGEST_FILE)));
    }
    Ok(std::fs::read_to_string(&file.0)?)
}

/// A file that only we can read and that goes away with us.
struct TemporaryFile(std::path::PathBuf);

impl TemporaryFile {
    fn new(text: &str, end: &str) -> Result<TemporaryFile, Failure> {
        for attempt in 0..1000u32 {
            let name = format!("weir-edit-{}-{attempt}.{end}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            match options.open(&path) {
                Ok(mut file) => {
                    let path = TemporaryFile(path);
                    file.write_all(text.as_bytes())?;
                    return Ok(path);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(plain("there is no free name for a temporary file"))
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// Sends what was changed.
async fn save(app: &App, args: &Args, infos: &[Info], shown: &[Value], content: &str) -> Result<(), Failure> {
    let parsed = machinery::yaml::parse(content, machinery::yaml::Duplicates::LastWins)
        .map_err(|error| plain(format!("The edited file had a syntax error: {error}")))?;
    let edited = print::each(&parsed);
    for object in edited {
        let name = text_at(object, &["metadata", "name"]);
        let kind = text_at(object, &["kind"]);
        let at = infos.iter().position(|info| info.name == name && info.resource.kind == kind);
        let Some(at) = at else {
            return Err(plain("At least one of apiVersion, kind and name was changed"));
        };
        let info = &infos[at];
        let schema = three_way::schema(text_at(object, &["apiVersion"]), kind);
        let patch = three_way::patch(&shown[at], object, &shown[at], schema);
        if patch == serde_json::json!({}) {
            app.io.line(&format!("{} skipped", info.display()))?;
            continue;
        }
        let query = [("fieldManager", args.field_manager.clone()), ("fieldValidation", "Ignore".to_owned())];
        let call = Call::bytes(
            http::Method::PATCH,
            target(&info.path()?, &query),
            three_way::media_type(schema),
            machinery::json::compact(&patch),
        );
        app.api().await?.document(call).await?;
        app.io.line(&format!("{} edited", info.display()))?;
    }
    Ok(())
}
