//! `label` and `annotate`: change texts in an object's metadata.
//!
//! Both are the same work on different maps; they differ in what they say and in what they refuse.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::app::App;
use crate::client::{Call, target};
use crate::failure::{Failure, plain};
use crate::flags::{DryRun, DryRunFlag, FileFlags, PrintFlags};
use crate::golang::{at, sorted};
use crate::print::{self, Printer};
use crate::select::{Info, Narrow};

#[derive(Debug, Clone, clap::Args)]
struct Common {
    /// TYPE [NAME…] KEY=VALUE… KEY-…
    args: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    print: PrintFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
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
    /// Replace values that are there
    #[arg(long)]
    overwrite: bool,
    /// Show what is there
    #[arg(long)]
    list: bool,
    /// Only change the object if it has this version
    #[arg(long)]
    resource_version: Option<String>,
    /// Do not ask the server
    #[arg(long)]
    local: bool,
    /// Who makes the change
    #[arg(long)]
    field_manager: Option<String>,
}

/// `label TYPE NAME KEY=VALUE… KEY-…`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LabelArgs {
    #[command(flatten)]
    common: Common,
}

/// `annotate TYPE NAME KEY=VALUE… KEY-…`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AnnotateArgs {
    #[command(flatten)]
    common: Common,
}

pub(crate) async fn label(app: &App, args: &LabelArgs) -> Result<(), Failure> {
    run(app, &args.common, Field::Labels).await
}

pub(crate) async fn annotate(app: &App, args: &AnnotateArgs) -> Result<(), Failure> {
    run(app, &args.common, Field::Annotations).await
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Field {
    Labels,
    Annotations,
}

impl Field {
    fn key(self) -> &'static str {
        match self {
            Field::Labels => "labels",
            Field::Annotations => "annotations",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Field::Labels => "label",
            Field::Annotations => "annotation",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Field::Labels => "label",
            Field::Annotations => "annotate",
        }
    }
}

/// What to set and what to remove.
#[derive(Debug, Default, PartialEq)]
struct Changes {
    set: BTreeMap<String, String>,
    remove: BTreeSet<String>,
}

/// Splits the words of a line into objects and changes: changes hold a `=` or end in a `-`.
fn split(args: &[String], field: Field) -> Result<(Vec<String>, Changes), Failure> {
    let is_change = |word: &String| word.contains('=') || word.ends_with('-');
    let first = args.iter().position(is_change).unwrap_or(args.len());
    let (objects, words) = args.split_at(first);
    let mut changes = Changes::default();
    for word in words {
        let invalid = || plain(format!("invalid {} spec: {word}", field.noun()));
        if let Some((key, value)) = word.split_once('=') {
            if key.is_empty() || (field == Field::Labels && value.contains('=')) {
                return Err(invalid());
            }
            changes.set.insert(key.to_owned(), value.to_owned());
        } else if let Some(key) = word.strip_suffix('-').filter(|key| !key.is_empty()) {
            changes.remove.insert(key.to_owned());
        } else if field == Field::Labels {
            return Err(plain(format!("unknown label spec: {word}")));
        } else {
            return Err(invalid());
        }
    }
    if changes.remove.iter().any(|key| changes.set.contains_key(key)) {
        return Err(plain(match field {
            Field::Labels => "can not both modify and remove a label in the same command",
            Field::Annotations => {
                "can not both modify and remove the following annotation(s) in the same command"
            }
        }));
    }
    Ok((objects.to_vec(), changes))
}

async fn run(app: &App, args: &Common, field: Field) -> Result<(), Failure> {
    let printer = print::printer(&args.print)?;
    let dry_run = args.dry_run.get()?;
    let (objects, changes) = split(&args.args, field)?;
    if objects.is_empty() && args.files.filename.is_empty() {
        return Err(plain(
            "one or more resources must be specified as <resource> <name> or <resource>/<name>",
        ));
    }
    if changes == Changes::default() && !args.list {
        return Err(plain(format!("at least one {} update is required", field.noun())));
    }
    let narrow =
        Narrow::new(args.selector.as_ref(), args.field_selector.as_ref(), args.all, args.all_namespaces);
    let infos = if args.local {
        if args.files.filename.is_empty() {
            return Err(plain("one or more files must be specified as -f when --local is set"));
        }
        crate::files::read(app, &args.files).await?.into_iter().collect::<Result<Vec<_>, _>>()?
    } else {
        app.visit(&objects, &args.files, &narrow, false).await?.all()?
    };
    let many = infos.len() > 1;
    if many && args.resource_version.is_some() {
        return Err(plain("--resource-version may only be used with a single resource"));
    }
    let work = Work { app, args, field, changes: &changes, dry_run, printer: printer.as_ref() };
    let mut failures = Vec::new();
    for info in infos {
        if args.list {
            list(app, &info, field, many)?;
        } else if let Err(failure) = work.change(info).await {
            failures.push(failure);
        }
    }
    Failure::gather(failures)
}

fn list(app: &App, info: &Info, field: Field, many: bool) -> Result<(), Failure> {
    let margin = if many { " " } else { "" };
    if many {
        app.io.line(&format!(
            "Listing {} for {}.{}/{}:",
            field.key(),
            info.resource.kind,
            info.resource.group,
            info.name
        ))?;
    }
    let Some(map) = at(&info.object, &["metadata", field.key()]).as_object() else { return Ok(()) };
    for (key, value) in sorted(map) {
        app.io.line(&format!("{margin}{key}={}", value.as_str().unwrap_or_default()))?;
    }
    Ok(())
}

struct Work<'a> {
    app: &'a App,
    args: &'a Common,
    field: Field,
    changes: &'a Changes,
    dry_run: DryRun,
    printer: Option<&'a Printer>,
}

impl Work<'_> {
    async fn change(&self, info: Info) -> Result<(), Failure> {
        let (field, changes) = (self.field, self.changes);
        let before = at(&info.object, &["metadata", field.key()]).as_object().cloned().unwrap_or_default();
        self.refuse_overwriting(&before)?;
        let mut after = before.clone();
        for key in &changes.remove {
            if after.remove(key).is_none() && field == Field::Labels {
                self.app.io.line(&format!("label \"{key}\" not found."))?;
            }
        }
        for (key, value) in &changes.set {
            after.insert(key.clone(), value.as_str().into());
        }
        let changed = before != after;
        let patch = patch(field, &before, &after, self.args.resource_version.as_deref());
        let mut result = merged(&info.object, &patch);
        let send = changed || field == Field::Annotations || self.args.resource_version.is_some();
        if send && !self.args.local && self.dry_run != DryRun::Client {
            let manager =
                self.args.field_manager.clone().unwrap_or_else(|| format!("kubectl-{}", field.verb()));
            let query = self.dry_run.query(vec![("fieldManager", manager)]);
            let call = Call::bytes(
                http::Method::PATCH,
                target(&info.path()?, &query),
                "application/merge-patch+json",
                machinery::json::compact(&patch),
            );
            result = self.app.api().await?.document(call).await?;
        }
        if let Some(printer) = self.printer {
            return printer.print(&result, &self.app.io);
        }
        let word = match field {
            Field::Annotations => "annotated",
            Field::Labels if !changed => "not labeled",
            Field::Labels if changes.set.is_empty() => "unlabeled",
            Field::Labels => "labeled",
        };
        self.app.io.line(&format!("{} {word}{}", info.display(), self.dry_run.suffix()))
    }

    fn refuse_overwriting(&self, before: &Map<String, Value>) -> Result<(), Failure> {
        if self.args.overwrite {
            return Ok(());
        }
        let clashes: Vec<String> = self
            .changes
            .set
            .iter()
            .filter_map(|(key, value)| {
                let held = before.get(key)?.as_str()?;
                (self.field == Field::Annotations || held != value)
                    .then(|| format!("'{key}' already has a value ({held})"))
            })
            .collect();
        if clashes.is_empty() {
            return Ok(());
        }
        let list = clashes.join("; ");
        Err(plain(match self.field {
            Field::Labels => format!("{list}, and --overwrite is false"),
            Field::Annotations => {
                format!("--overwrite is false but found the following declared annotation(s): {list}")
            }
        }))
    }
}

fn patch(
    field: Field,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    version: Option<&str>,
) -> Value {
    let mut map = Map::new();
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        map.insert(key.clone(), Value::Null);
    }
    for (key, value) in after {
        if before.get(key) != Some(value) {
            map.insert(key.clone(), value.clone());
        }
    }
    let mut metadata = Map::new();
    if !map.is_empty() {
        metadata.insert(field.key().to_owned(), Value::Object(map));
    }
    if let Some(version) = version {
        metadata.insert("resourceVersion".to_owned(), version.into());
    }
    json!({"metadata": metadata})
}

/// The object after a merge patch.
pub(super) fn merged(object: &Value, patch: &Value) -> Value {
    let mut object = object.clone();
    merge(&mut object, patch);
    // Maps that became empty are not shown.
    for key in ["labels", "annotations"] {
        if let Some(Value::Object(metadata)) = object.get_mut("metadata")
            && metadata.get(key).and_then(Value::as_object).is_some_and(Map::is_empty)
        {
            metadata.remove(key);
        }
    }
    object
}

fn merge(object: &mut Value, patch: &Value) {
    let (Value::Object(patch), true) = (patch, object.is_object()) else {
        *object = patch.clone();
        return;
    };
    let Value::Object(map) = object else { return };
    for (key, value) in patch {
        if value.is_null() {
            map.remove(key);
        } else if value.is_object() {
            merge(map.entry(key.clone()).or_insert_with(|| Value::Object(Map::new())), value);
        } else {
            map.insert(key.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::mapper;
    use crate::fake::{Script, run};

    fn object() -> Value {
        json!({"kind": "ImageStream", "apiVersion": "image.openshift.io/v1",
            "metadata": {"name": "app", "namespace": "ns", "labels": {"a": "b"}, "annotations": {"x": "1"}}})
    }

    #[track_caller]
    fn check(line: &[&str], patch: Option<(&'static str, Value)>, out: &str, err: &str) {
        let mut steps =
            vec![("GET /apis/image.openshift.io/v1/namespaces/ns/imagestreams/app", 200, object())];
        steps.extend(patch.as_ref().map(|(line, _)| (*line, 200, object())));
        let script = Script::new(steps);
        let got = run(line, &script, Some(mapper()));
        assert_eq!((got.out.as_str(), got.err.as_str()), (out, err), "{line:?}");
        script.finished();
        if let Some((_, want)) = patch {
            let sent = script.seen().pop().unwrap();
            assert_eq!((sent.body, sent.content_type.as_str()), (want, "application/merge-patch+json"));
        }
    }

    #[test]
    fn labels_are_set_and_removed() {
        let patch =
            "PATCH /apis/image.openshift.io/v1/namespaces/ns/imagestreams/app?fieldManager=kubectl-label";
        let name = "imagestream.image.openshift.io/app";
        check(
            &["label", "is/app", "c=d"],
            Some((patch, json!({"metadata": {"labels": {"c": "d"}}}))),
            &format!("{name} labeled\n"),
            "",
        );
        check(
            &["label", "is", "app", "a-"],
            Some((patch, json!({"metadata": {"labels": {"a": null}}}))),
            &format!("{name} unlabeled\n"),
            "",
        );
        check(&["label", "is", "app", "a=b"], None, &format!("{name} not labeled\n"), "");
        check(
            &["label", "is", "app", "no-"],
            None,
            &format!("label \"no\" not found.\n{name} not labeled\n"),
            "",
        );
        check(
            &["label", "is", "app", "a=c"],
            None,
            "",
            "error: 'a' already has a value (b), and --overwrite is false\n",
        );
        check(&["label", "is", "app", "--list"], None, "a=b\n", "");
        check(
            &["label", "is", "app", "c=d", "--dry-run=client", "-o", "jsonpath={.metadata.labels}"],
            None,
            "{\"a\":\"b\",\"c\":\"d\"}",
            "",
        );
    }

    #[test]
    fn annotations_always_say_so() {
        let patch =
            "PATCH /apis/image.openshift.io/v1/namespaces/ns/imagestreams/app?fieldManager=kubectl-annotate";
        let name = "imagestream.image.openshift.io/app";
        check(
            &["annotate", "is", "app", "n=two words"],
            Some((patch, json!({"metadata": {"annotations": {"n": "two words"}}}))),
            &format!("{name} annotated\n"),
            "",
        );
        check(
            &["annotate", "is", "app", "none-"],
            Some((patch, json!({"metadata": {}}))),
            &format!("{name} annotated\n"),
            "",
        );
        check(
            &["annotate", "is", "app", "x=2"],
            None,
            "",
            "error: --overwrite is false but found the following declared annotation(s): 'x' already has a value (1)\n",
        );
    }

    #[test]
    fn lines_that_make_no_sense_are_explained() {
        let check = |line: &[&str], want: &str| {
            let got = run(line, &Script::default(), Some(mapper()));
            assert_eq!(got.err, format!("error: {want}\n"), "{line:?}");
        };
        check(&["label", "is", "app", "a=b=c"], "invalid label spec: a=b=c");
        check(&["label", "is", "app"], "at least one label update is required");
        check(
            &["label", "is", "app", "c=1", "c-"],
            "can not both modify and remove a label in the same command",
        );
        check(&["annotate", "is", "app"], "at least one annotation update is required");
    }
}
