//! `delete`: remove objects, and wait until they are gone.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::app::App;
use crate::client::{Call, JSON, target};
use crate::failure::{Failure, plain};
use crate::files;
use crate::flags::{DryRun, DryRunFlag, FileFlags};
use crate::golang::text_at;
use crate::limits;
use crate::select::{Info, NO_RESOURCE, Narrow, Target, read};

/// `delete TYPE NAME…`, `delete TYPE/NAME…`, `delete TYPE -l SELECTOR`, `delete -f FILE`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// TYPE [NAME…] or TYPE/NAME…
    args: Vec<String>,
    #[command(flatten)]
    pub(crate) files: FileFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
    /// name prints only names
    #[arg(short, long)]
    output: Option<String>,
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
    /// Say nothing of objects that are not there
    #[arg(long)]
    ignore_not_found: bool,
    /// What happens to dependent objects: background, foreground or orphan
    #[arg(long, default_value = "background", num_args = 0..=1, require_equals = true, default_missing_value = "background")]
    cascade: String,
    /// Do not wait for objects to end properly
    #[arg(long)]
    force: bool,
    /// Seconds an object has to end properly
    #[arg(long, default_value_t = -1)]
    grace_period: i64,
    /// The shortest grace period
    #[arg(long)]
    now: bool,
    /// How long to wait until the objects are gone; 0 for as long as it takes
    #[arg(long, default_value = "0s", value_parser = crate::duration::parse)]
    timeout: std::time::Duration,
    /// Wait until the objects are gone
    #[arg(long, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", default_value = "true", value_parser = crate::flags::truth)]
    wait: bool,
}

/// How objects are deleted.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    pub(crate) dry_run: DryRun,
    pub(crate) policy: &'static str,
    pub(crate) grace: Option<i64>,
    pub(crate) force: bool,
    pub(crate) names_only: bool,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let (manner, wait) = manner(app, args)?;
    let mut narrow =
        Narrow::new(args.selector.as_ref(), args.field_selector.as_ref(), args.all, args.all_namespaces);
    narrow.all = args.all;
    let mut failures = Vec::new();
    let infos = collect(app, args, &narrow, &mut failures).await?;
    if infos.is_empty() && failures.is_empty() {
        if !args.ignore_not_found || narrow.any() {
            app.io.line("No resources found")?;
        }
        return Ok(());
    }
    let ignore = args.ignore_not_found || narrow.any();
    let mut gone = Vec::new();
    for info in &infos {
        match delete(app, info, &manner).await {
            Ok(uid) => gone.push((info.clone(), uid)),
            Err(error) if ignore && error.is_not_found() => {}
            Err(error) => failures.push(match &info.source {
                Some(source) => error.prefixed(&format!("error when deleting \"{source}\": ")),
                None => error,
            }),
        }
    }
    if wait && manner.dry_run == DryRun::None {
        let limit = if args.timeout.is_zero() { limits::DELETE_WAIT } else { args.timeout };
        let deadline = Instant::now() + limit;
        for (info, uid) in &gone {
            if let Err(error) = wait_gone(app, info, uid, deadline).await {
                failures.push(error);
            }
        }
    }
    Failure::gather(failures)
}

fn manner(app: &App, args: &Args) -> Result<(Manner, bool), Failure> {
    let names_only = match args.output.as_deref() {
        None | Some("") => false,
        Some("name") => true,
        Some(other) => {
            return Err(plain(format!("unexpected -o output mode: {other}. We only support '-o name'")));
        }
    };
    let policy = match args.cascade.as_str() {
        "background" | "true" => "Background",
        "foreground" => "Foreground",
        "orphan" | "false" => "Orphan",
        other => {
            return Err(plain(format!(
                "invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\""
            )));
        }
    };
    if args.now && args.grace_period >= 0 {
        return Err(plain("--now and --grace-period cannot be specified together"));
    }
    let mut grace = (args.grace_period >= 0).then_some(args.grace_period);
    if args.now {
        grace = Some(1);
    }
    let mut wait = args.wait;
    if grace == Some(0) && !args.force {
        // Without force an object still gets the moment it needs to end.
        grace = Some(1);
        wait = true;
    }
    if args.force && args.grace_period < 0 {
        grace = Some(0);
    }
    if args.force && grace == Some(0) {
        app.io.complain("Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.");
    }
    let dry_run = args.dry_run.get()?;
    Ok((Manner { dry_run, policy, grace, force: args.force && grace == Some(0), names_only }, wait))
}

/// What is to be deleted; only lists ask the server.
async fn collect(
    app: &App,
    args: &Args,
    narrow: &Narrow,
    failures: &mut Vec<Failure>,
) -> Result<Vec<Info>, Failure> {
    let mut infos = Vec::new();
    if !args.files.filename.is_empty() {
        for info in files::read(app, &args.files).await? {
            match info {
                Ok(info) => infos.push(info),
                Err(error) => failures.push(error),
            }
        }
        return Ok(infos);
    }
    if args.args.is_empty() && !narrow.any() {
        return Err(plain(NO_RESOURCE));
    }
    for target in read(app.mapper().await?, &args.args, narrow, false)?.targets {
        match target {
            Target::Named { resource, name } => infos.push(Info {
                namespace: app.namespace_of(&resource),
                object: Value::Null,
                source: None,
                resource,
                name,
            }),
            Target::All(resource) => match app.list(&resource, narrow).await {
                Ok(items) => infos.extend(items.into_iter().map(|item| Info::of(&resource, item))),
                Err(error) => failures.push(error),
            },
        }
    }
    Ok(infos)
}

/// Deletes one object and says so; the result is the object's UID, as far as the server told it.
pub(crate) async fn delete(app: &App, info: &Info, manner: &Manner) -> Result<String, Failure> {
    let mut uid = String::new();
    if manner.dry_run != DryRun::Client {
        let mut options = json!({"propagationPolicy": manner.policy});
        if let Some(grace) = manner.grace {
            options["gracePeriodSeconds"] = grace.into();
        }
        if manner.dry_run == DryRun::Server {
            options["dryRun"] = json!(["All"]);
        }
        let answer =
            app.api().await?.document(Call::send(http::Method::DELETE, info.path()?, &options)).await?;
        let told = text_at(&answer, &["details", "uid"]);
        uid = if told.is_empty() { text_at(&answer, &["metadata", "uid"]) } else { told }.to_owned();
    }
    if manner.names_only {
        app.io.line(&info.display())?;
        return Ok(uid);
    }
    let kind = info.display();
    let kind = kind.split('/').next().unwrap_or_default();
    let how = if manner.force { "force deleted" } else { "deleted" };
    let place =
        if info.namespace.is_empty() { String::new() } else { format!(" from {} namespace", info.namespace) };
    app.io.line(&format!("{kind} \"{}\" {how}{place}{}", info.name, manner.dry_run.suffix()))?;
    Ok(uid)
}

/// Waits until an object is gone (or another has its name).
pub(crate) async fn wait_gone(app: &App, info: &Info, uid: &str, deadline: Instant) -> Result<(), Failure> {
    let api = app.api().await?;
    loop {
        let object = match api.document(Call::get(info.path()?, JSON)).await {
            Err(error) if error.is_not_found() => return Ok(()),
            other => other?,
        };
        let now = text_at(&object, &["metadata", "uid"]);
        if !uid.is_empty() && now != uid {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(plain(format!("timed out waiting for the condition on {}", info.short())));
        }
        watch_deletion(app, info, text_at(&object, &["metadata", "resourceVersion"]), deadline).await?;
    }
}

/// Returns when the object was deleted, the watch ended, or watching is not possible and a pause has passed.
async fn watch_deletion(app: &App, info: &Info, version: &str, deadline: Instant) -> Result<(), Failure> {
    let namespace = (!info.namespace.is_empty()).then_some(info.namespace.as_str());
    let query = [
        ("fieldSelector", format!("metadata.name={}", info.name)),
        ("resourceVersion", version.to_owned()),
        ("watch", "true".to_owned()),
    ];
    let path = target(&info.resource.collection(namespace), &query);
    let lines = app.api().await?.stream(Call::get(path, JSON)).await;
    let Ok(lines) = lines else {
        tokio::time::sleep_until(deadline.min(Instant::now() + limits::POLL_PAUSE)).await;
        return Ok(());
    };
    let mut lines = lines.until(deadline);
    while let Some(line) = lines.next().await {
        let event: Value = serde_json::from_slice(&line).unwrap_or_default();
        match text_at(&event, &["type"]) {
            "DELETED" => return Ok(()),
            "ERROR" => break,
            _ => {}
        }
    }
    // A watch that ends at once must not make a busy loop.
    tokio::time::sleep_until(deadline.min(Instant::now() + limits::POLL_PAUSE)).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::mapper;
    use crate::fake::{Script, refusal, run};
    use machinery::status::{ApiError, GroupResource};

    const A: &str = "DELETE /apis/image.openshift.io/v1/namespaces/ns/imagestreams/a";
    const GET_A: &str = "GET /apis/image.openshift.io/v1/namespaces/ns/imagestreams/a";

    fn gone() -> Value {
        refusal(&ApiError::not_found(GroupResource::new("image.openshift.io", "imagestreams"), "a"))
    }

    #[track_caller]
    fn check(line: &[&str], steps: Vec<(&'static str, u16, Value)>, out: &str, err: &str) -> Vec<Value> {
        let script = Script::new(steps);
        let got = run(line, &script, Some(mapper()));
        assert_eq!((got.out.as_str(), got.err.as_str()), (out, err), "{line:?}");
        script.finished();
        script.seen().into_iter().map(|seen| seen.body).collect()
    }

    #[test]
    fn an_object_is_deleted_and_waited_for() {
        let told = "imagestream.image.openshift.io \"a\" deleted from ns namespace\n";
        let done = json!({"details": {"uid": "1"}});
        let sent = check(&["delete", "is/a"], vec![(A, 200, done.clone()), (GET_A, 404, gone())], told, "");
        assert_eq!(sent[0], json!({"propagationPolicy": "Background"}));
        // Somebody made it anew.
        check(
            &["delete", "is", "a"],
            vec![(A, 200, done), (GET_A, 200, json!({"metadata": {"uid": "2"}}))],
            told,
            "",
        );
        check(&["delete", "is", "a", "--wait=false"], vec![(A, 200, json!({}))], told, "");
    }

    #[test]
    fn the_manner_is_sent() {
        let sent = check(
            &["delete", "is", "a", "--now", "--cascade=orphan", "--wait=false", "-o", "name"],
            vec![(A, 200, json!({}))],
            "imagestream.image.openshift.io/a\n",
            "",
        );
        assert_eq!(sent[0], json!({"propagationPolicy": "Orphan", "gracePeriodSeconds": 1}));
        let sent = check(
            &["delete", "is", "a", "--dry-run=server"],
            vec![(A, 200, json!({}))],
            "imagestream.image.openshift.io \"a\" deleted from ns namespace (server dry run)\n",
            "",
        );
        assert_eq!(sent[0]["dryRun"], json!(["All"]));
        check(
            &["delete", "is", "a", "--dry-run=client"],
            vec![],
            "imagestream.image.openshift.io \"a\" deleted from ns namespace (dry run)\n",
            "",
        );
    }

    #[test]
    fn what_is_not_there_may_be_ignored() {
        let missing = "Error from server (NotFound): imagestreams.image.openshift.io \"a\" not found\n";
        check(&["delete", "is", "a"], vec![(A, 404, gone())], "", missing);
        check(&["delete", "is", "a", "--ignore-not-found"], vec![(A, 404, gone())], "", "");
        let list = "GET /apis/image.openshift.io/v1/namespaces/ns/imagestreams?labelSelector=x%3Dy&limit=500";
        check(
            &["delete", "is", "-l", "x=y"],
            vec![(list, 200, json!({"items": []}))],
            "No resources found\n",
            "",
        );
    }

    #[test]
    fn lines_that_make_no_sense_are_explained() {
        check(&["delete", "is"], vec![], "", "error: resource(s) were provided, but no name was specified\n");
        check(
            &["delete", "is", "a", "--cascade=nope"],
            vec![],
            "",
            "error: invalid cascade value (nope). Must be \"background\", \"foreground\", or \"orphan\"\n",
        );
        check(
            &["delete", "is", "a", "--all"],
            vec![],
            "",
            "error: name cannot be provided when a selector is specified\n",
        );
    }
}
