//! `wait`: until objects are there, gone, or as they should be.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::delete::wait_gone;
use crate::app::App;
use crate::client::{Call, JSON, target};
use crate::failure::{Failure, plain};
use crate::flags::{FileFlags, PrintFlags};
use crate::golang::{items_at, print as shown, text_at};
use crate::jsonpath::Template;
use crate::limits;
use crate::print;
use crate::select::{Info, Narrow, Target, read};

/// `wait TYPE/NAME --for=CONDITION`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// TYPE [NAME…] or TYPE/NAME…
    args: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    print: PrintFlags,
    /// condition=NAME[=VALUE], jsonpath={PATH}[=VALUE], create or delete
    #[arg(long = "for", default_value = "")]
    condition: String,
    /// How long to wait; 0 looks once, less waits a week
    #[arg(long, default_value = "30s")]
    timeout: String,
    /// All objects of the type
    #[arg(long)]
    all: bool,
    /// Objects of all projects
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only objects with these labels
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// Only objects with these fields
    #[arg(long)]
    field_selector: Option<String>,
}

/// What is waited for.
#[derive(Debug)]
enum Until {
    Gone,
    There,
    Condition { name: String, value: String },
    Path { path: Template, value: Option<String> },
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let printer = print::printer(&args.print)?;
    let until = until(&args.condition)?;
    let limit = match crate::duration::parse_signed(&args.timeout) {
        Ok((_, true)) => limits::DELETE_WAIT,
        Ok((nanos, false)) => Duration::from_nanos(nanos),
        Err(error) => {
            return Err(Failure::Verbatim(format!(
                "error: invalid argument {} for \"--timeout\" flag: {error}\nSee '{} wait --help' for usage.",
                machinery::field::quote(&args.timeout),
                crate::PROGRAM
            )));
        }
    };
    let deadline = Instant::now() + limit;
    let narrow =
        Narrow::new(args.selector.as_ref(), args.field_selector.as_ref(), args.all, args.all_namespaces);
    let infos = match until {
        Until::There => named(app, args, &narrow).await?,
        Until::Gone => present(app, args, &narrow).await?,
        _ => app.visit(&args.args, &args.files, &narrow, false).await?.all()?,
    };
    if infos.is_empty() {
        if matches!(until, Until::Gone) {
            return Ok(());
        }
        return Err(plain("no matching resources found"));
    }
    let mut failures = Vec::new();
    for info in infos {
        match wait(app, &info, &until, deadline, limit.is_zero()).await {
            Ok(object) => match &printer {
                Some(printer) => printer.print(&object, &app.io)?,
                None => app.io.line(&format!("{} condition met", info.display()))?,
            },
            Err(error) => failures.push(error),
        }
    }
    Failure::gather(failures)
}

fn until(text: &str) -> Result<Until, Failure> {
    let lower = text.to_lowercase();
    if lower == "delete" {
        return Ok(Until::Gone);
    }
    if lower == "create" {
        return Ok(Until::There);
    }
    if let Some(rest) = text.strip_prefix("condition=") {
        let (name, value) = rest.split_once('=').unwrap_or((rest, "true"));
        return Ok(Until::Condition { name: name.to_lowercase(), value: value.to_lowercase() });
    }
    if let Some(rest) = text.strip_prefix("jsonpath=") {
        return json_path(rest);
    }
    Err(plain(format!("unrecognized condition: {}", machinery::field::quote(text))))
}

/// `{.a.b}=value`; the value may be left out.
fn json_path(text: &str) -> Result<Until, Failure> {
    let text = text.trim_matches('\'');
    let end = text.find('}').map_or(0, |at| at + 1);
    let (path, rest) = match end {
        0 => text.split_once('=').map_or((text, None), |(path, value)| (path, Some(value))),
        end => (text[..end].trim_matches('\''), text[end..].trim_start_matches('\'').strip_prefix('=')),
    };
    if end > 0 && rest.is_none() && !text[end..].trim_matches('\'').is_empty() {
        return Err(plain(
            "jsonpath wait format must be --for=jsonpath='{.status.readyReplicas}'=3 or --for=jsonpath='{.status.readyReplicas}'",
        ));
    }
    if rest == Some("") {
        return Err(plain(
            "jsonpath wait has to have a value after equal sign, e.g. --for=jsonpath='{.status.readyReplicas}'=3",
        ));
    }
    let value = rest.map(|value| value.trim_matches(['\'', '"']).to_owned());
    let path = Template::parse_relaxed(path).map_err(plain)?;
    Ok(Until::Path { path, value })
}

/// The objects a line names, whether they are there or not.
async fn named(app: &App, args: &Args, narrow: &Narrow) -> Result<Vec<Info>, Failure> {
    if !args.files.filename.is_empty() {
        return crate::files::read(app, &args.files).await?.into_iter().collect();
    }
    let mut infos = Vec::new();
    for target in read(app.mapper().await?, &args.args, narrow, false)?.targets {
        match target {
            Target::Named { resource, name } => infos.push(Info {
                namespace: app.namespace_of(&resource),
                resource,
                name,
                object: Value::Null,
                source: None,
            }),
            Target::All(resource) => {
                infos.extend(
                    app.list(&resource, narrow).await?.into_iter().map(|item| Info::of(&resource, item)),
                );
            }
        }
    }
    Ok(infos)
}

/// The objects a line names, as far as they are there.
async fn present(app: &App, args: &Args, narrow: &Narrow) -> Result<Vec<Info>, Failure> {
    let mut found = Vec::new();
    for info in app.visit(&args.args, &args.files, narrow, false).await?.found {
        match info {
            Ok(info) => found.push(info),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

async fn wait(
    app: &App,
    info: &Info,
    until: &Until,
    deadline: Instant,
    once: bool,
) -> Result<Value, Failure> {
    let api = app.api().await?;
    if let Until::Gone = until {
        wait_gone(app, info, text_at(&info.object, &["metadata", "uid"]), deadline).await?;
        return Ok(info.object.clone());
    }
    loop {
        let found = api.document(Call::get(info.path()?, JSON)).await;
        let object = match (found, until) {
            (Ok(object), Until::There) => return Ok(object),
            (Ok(object), _) => Some(object),
            (Err(error), Until::There) if error.is_not_found() => None,
            (Err(error), _) => return Err(error),
        };
        if let Some(object) = &object
            && met(object, until)?
        {
            return Ok(object.clone());
        }
        if once {
            return Err(plain(format!("condition not met for {}", info.short())));
        }
        if Instant::now() >= deadline {
            return Err(plain(match until {
                Until::There => "timed out waiting for the condition".to_owned(),
                _ => format!("timed out waiting for the condition on {}", info.short()),
            }));
        }
        let version = object.as_ref().map(|object| text_at(object, &["metadata", "resourceVersion"]));
        next_change(app, info, version, deadline).await?;
    }
}

/// Returns when the object may have changed: an event came, or watching is not possible and a pause has passed.
async fn next_change(
    app: &App,
    info: &Info,
    version: Option<&str>,
    deadline: Instant,
) -> Result<(), Failure> {
    let pause = deadline.min(Instant::now() + limits::POLL_PAUSE);
    let Some(version) = version else {
        tokio::time::sleep_until(pause).await;
        return Ok(());
    };
    let query = [
        ("fieldSelector", format!("metadata.name={}", info.name)),
        ("resourceVersion", version.to_owned()),
        ("watch", "true".to_owned()),
    ];
    let namespace = (!info.namespace.is_empty()).then_some(info.namespace.as_str());
    let path = target(&info.resource.collection(namespace), &query);
    let lines = app.api().await?.stream(Call::get(path, JSON)).await;
    let changed = match lines {
        Ok(lines) => lines.until(deadline).next().await.is_some(),
        Err(_) => false,
    };
    if !changed {
        tokio::time::sleep_until(pause).await;
    }
    Ok(())
}

fn met(object: &Value, until: &Until) -> Result<bool, Failure> {
    match until {
        Until::Gone => Ok(false),
        Until::There => Ok(true),
        Until::Condition { name, value } => {
            let conditions = items_at(object, &["status", "conditions"]);
            let found = conditions.iter().find(|held| text_at(held, &["type"]).to_lowercase() == *name);
            Ok(found.is_some_and(|held| text_at(held, &["status"]).to_lowercase() == *value))
        }
        Until::Path { path, value } => {
            let found = path.find(object, true).map_err(plain)?.concat();
            match (found.as_slice(), value) {
                ([], _) => Ok(false),
                (_, None) => Ok(true),
                ([Value::Object(_) | Value::Array(_)], Some(_)) => {
                    Err(plain("jsonpath leads to a nested object or list which is not supported"))
                }
                ([only], Some(value)) => Ok(shown(only) == *value),
                _ => Err(plain("given jsonpath expression matches more than one value")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(condition: &str, want: Result<bool, &str>) {
        let object = json!({"metadata": {"name": "a"}, "spec": {"local": true, "tags": [1, 2]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        let got = until(condition).and_then(|until| met(&object, &until));
        assert_eq!(got.map_err(|error| error.to_string()), want.map_err(str::to_owned), "{condition}");
    }

    #[test]
    fn conditions_are_read_and_met() {
        check("jsonpath={.spec.local}=true", Ok(true));
        check("jsonpath='{.spec.local}'=false", Ok(false));
        check("jsonpath={.metadata.name}", Ok(true));
        check("jsonpath='{.metadata.nope}'=x", Ok(false));
        check("condition=ready", Ok(true));
        check("condition=Ready=false", Ok(false));
        check("condition=Other", Ok(false));
        check("x", Err("unrecognized condition: \"x\""));
        check(
            "jsonpath={.spec.tags}=1",
            Err("jsonpath leads to a nested object or list which is not supported"),
        );
        check("jsonpath={.spec.tags[*]}=1", Err("given jsonpath expression matches more than one value"));
    }
}
