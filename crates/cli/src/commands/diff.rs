//! `diff`: what `apply` would change, as the program `diff` (or `$KUBECTL_EXTERNAL_DIFF`) shows it.
//!
//! The server is asked what it would make of each object; that and what is there now go into two folders that only we can
//! read. Values of secrets are never written there. The exit status is that of the program: 1 says that there are
//! differences.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::create::{LAST_APPLIED, annotate, last_applied};
use crate::app::App;
use crate::client::{Call, JSON, target};
use crate::failure::{Failure, plain};
use crate::files;
use crate::flags::{DryRun, FileFlags};
use crate::golang::text_at;
use crate::select::Info;
use crate::three_way;

/// `diff -f FILE`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    files: FileFlags,
    /// Let the server merge, as `apply --server-side` does
    #[arg(long)]
    server_side: bool,
    /// With --server-side: take over fields that others set
    #[arg(long)]
    force_conflicts: bool,
    /// Who would make the change
    #[arg(long)]
    field_manager: Option<String>,
    /// Show managedFields, too
    #[arg(long)]
    show_managed_fields: bool,
}

/// An object as it is and as it would be.
struct Pair {
    live: Option<Value>,
    merged: Value,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    if args.files.filename.is_empty() {
        return Err(plain("must specify one of -f and -k"));
    }
    if args.force_conflicts && !args.server_side {
        return Err(plain("--force-conflicts only works with --server-side"));
    }
    let (live, merged) = (Folder::new("LIVE")?, Folder::new("MERGED")?);
    for info in files::read(app, &args.files).await? {
        let info = info?;
        let mut pair = compare(app, args, &info).await?;
        if !args.show_managed_fields {
            pair.live.iter_mut().chain([&mut pair.merged]).for_each(without_managers);
        }
        if info.resource.group.is_empty() && info.resource.kind == "Secret" {
            hide(&mut pair);
        }
        let name = file_name(&info, &pair.merged);
        if let Some(object) = &pair.live {
            live.write(&name, object)?;
        }
        merged.write(&name, &pair.merged)?;
    }
    show(app, &live.0, &merged.0).await
}

async fn compare(app: &App, args: &Args, info: &Info) -> Result<Pair, Failure> {
    let api = app.api().await?;
    let live = match api.document(Call::get(info.path()?, JSON)).await {
        Ok(object) => Some(object),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error),
    };
    let usual = if args.server_side { "kubectl" } else { "kubectl-client-side-apply" };
    let manager = args.field_manager.clone().unwrap_or_else(|| usual.to_owned());
    let mut query = DryRun::Server.query(vec![("fieldManager", manager)]);
    if args.server_side {
        query.push(("force", args.force_conflicts.to_string()));
        let (path, body) = (target(&info.path()?, &query), machinery::json::compact(&info.object));
        let call = Call::bytes(http::Method::PATCH, path, "application/apply-patch+yaml", body);
        return Ok(Pair { live, merged: api.document(call).await? });
    }
    let mut modified = info.object.clone();
    annotate(&mut modified, last_applied(&info.object));
    let Some(current) = &live else {
        let namespace = (!info.namespace.is_empty()).then_some(info.namespace.as_str());
        let path = target(&info.resource.collection(namespace), &query);
        let merged = api.document(Call::send(http::Method::POST, path, &modified)).await?;
        return Ok(Pair { live, merged });
    };
    let held = text_at(current, &["metadata", "annotations", LAST_APPLIED]);
    let original: Value = serde_json::from_str(held).unwrap_or_default();
    let schema = three_way::schema(text_at(current, &["apiVersion"]), text_at(current, &["kind"]));
    let patch = three_way::patch(&original, &modified, current, schema);
    let merged = if patch == json!({}) {
        current.clone()
    } else {
        let (path, body) = (target(&info.path()?, &query), machinery::json::compact(&patch));
        let call = Call::bytes(http::Method::PATCH, path, three_way::media_type(schema), body);
        api.document(call).await?
    };
    Ok(Pair { live, merged })
}

fn without_managers(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

/// Puts stars in the place of a secret's values: different ones where they differ.
fn hide(pair: &mut Pair) {
    const PLACES: [&str; 2] = ["/data", "/metadata/annotations"];
    let before = pair.live.clone().unwrap_or_default();
    let after = pair.merged.clone();
    let is_secret = |place: &str, key: &str| place == "/data" || key == LAST_APPLIED;
    let sides =
        [(pair.live.as_mut(), &after, "*** (before)"), (Some(&mut pair.merged), &before, "*** (after)")];
    for (own, other, stars) in sides {
        let Some(own) = own else { continue };
        for place in PLACES {
            let others = other.pointer(place);
            let Some(map) = own.pointer_mut(place).and_then(Value::as_object_mut) else { continue };
            for (key, value) in map.iter_mut().filter(|(key, _)| is_secret(place, key)) {
                let elsewhere = others.and_then(|others| others.get(key));
                let differs = elsewhere.is_some_and(|elsewhere| elsewhere != value);
                *value = if differs { stars } else { "***" }.into();
            }
        }
    }
}

/// `apps.v1.Deployment.NAMESPACE.NAME`
fn file_name(info: &Info, object: &Value) -> String {
    let group_version = text_at(object, &["apiVersion"]).replace('/', ".");
    let name = format!("{group_version}.{}.{}.{}", info.resource.kind, info.namespace, info.name);
    // Names of some kinds hold signs that files cannot have.
    name.replace(['/', '\0'], "_")
}

/// A folder that only we can read and that goes away with us.
struct Folder(PathBuf);

impl Folder {
    fn new(what: &str) -> Result<Folder, Failure> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| plain(format!("no randomness: {error}")))?;
        let path = std::env::temp_dir().join(format!("{what}-{}", u64::from_le_bytes(random)));
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path)?;
        Ok(Folder(path))
    }

    fn write(&self, name: &str, object: &Value) -> Result<(), Failure> {
        Ok(std::fs::write(self.0.join(name), machinery::yaml::to_string(object))?)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Runs the program that shows differences; its exit status is ours.
async fn show(app: &App, live: &Path, merged: &Path) -> Result<(), Failure> {
    let external = std::env::var("KUBECTL_EXTERNAL_DIFF").unwrap_or_default();
    let mut words = external.split_whitespace();
    let (program, flags): (&str, Vec<&str>) = match words.next() {
        Some(program) => (program, words.collect()),
        None => ("diff", vec!["-u", "-N"]),
    };
    let run = tokio::process::Command::new(program)
        .args(flags)
        .args([live, merged])
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .map_err(|error| plain(format!("failed to run {}: {error}", machinery::field::quote(program))))?;
    app.io.print(&String::from_utf8_lossy(&run.stdout))?;
    if !run.stderr.is_empty() {
        app.io.complain(&String::from_utf8_lossy(&run.stderr));
    }
    match run.status.code() {
        Some(0) => Ok(()),
        Some(code) => Err(Failure::Exit(u8::try_from(code).unwrap_or(u8::MAX))),
        None => Err(plain(format!("{} was ended by a signal", machinery::field::quote(program)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Script, run};

    #[test]
    fn values_of_secrets_are_stars() {
        let secret = |data: Value, applied: &str| json!({"data": data, "metadata": {"annotations": {LAST_APPLIED: applied, "x": "y"}}});
        let mut pair = Pair {
            live: Some(secret(json!({"same": "YQ==", "other": "Yg==", "gone": "eA=="}), "1")),
            merged: secret(json!({"same": "YQ==", "other": "Yw==", "new": "eg=="}), "2"),
        };
        hide(&mut pair);
        let stars = |word: &str| format!("*** ({word})");
        assert_eq!(
            pair.live.unwrap(),
            secret(json!({"same": "***", "other": stars("before"), "gone": "***"}), &stars("before"))
        );
        assert_eq!(
            pair.merged,
            secret(json!({"same": "***", "other": stars("after"), "new": "***"}), &stars("after"))
        );
    }

    #[test]
    fn files_must_be_named() {
        let got = run(&["diff"], &Script::default(), None);
        assert_eq!((got.status, got.err.as_str()), (1, "error: must specify one of -f and -k\n"));
    }
}
