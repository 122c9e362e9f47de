//! `create`: objects from files, or from flags for the kinds that people make by hand.

mod access;
mod hook;
mod kinds;
mod secret;
mod stream;

use serde_json::{Value, json};

use crate::app::App;
use crate::client::{Call, segment, target};
use crate::failure::{Failure, plain, usage};
use crate::files;
use crate::flags::{DryRun, DryRunFlag, FileFlags, PrintFlags};
use crate::golang;
use crate::print;

/// Annotation with the object as it was last applied.
pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// `create -f FILE`, `create KIND NAME`
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    print: PrintFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
    #[command(flatten)]
    validate: Validate,
    /// Remember the object in its annotations, for later use by apply
    #[arg(long)]
    save_config: bool,
    #[command(subcommand)]
    kind: Option<Kind>,
}

/// How strictly the server checks fields it does not know.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Validate {
    /// ignore, warn or strict (true)
    #[arg(long, default_value = "ignore", num_args = 0..=1, require_equals = true, default_missing_value = "strict")]
    validate: String,
}

impl Validate {
    pub(crate) fn parameter(&self) -> Result<&'static str, Failure> {
        match self.validate.as_str() {
            "ignore" | "false" => Ok("Ignore"),
            "warn" => Ok("Warn"),
            "strict" | "true" => Ok("Strict"),
            other => Err(plain(format!(
                "invalid - validate option {}; must be one of: strict (or true), warn, ignore (or false)",
                machinery::field::quote(other)
            ))),
        }
    }
}

/// Kinds with flags of their own.
#[derive(Debug, clap::Subcommand)]
enum Kind {
    /// Make an image stream
    #[command(name = "imagestream", visible_alias = "is")]
    ImageStream(stream::StreamArgs),
    /// Make a tag of an image stream
    #[command(name = "imagestreamtag", visible_alias = "istag")]
    ImageStreamTag(stream::TagArgs),
    /// Make a secret
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Secret {
        #[command(subcommand)]
        kind: secret::Kind,
    },
    /// Make a namespace
    #[command(visible_alias = "ns")]
    Namespace(kinds::NamedArgs),
    /// Make a service account
    #[command(visible_alias = "sa")]
    Serviceaccount(kinds::NamedArgs),
    /// Make a map of configuration
    #[command(visible_alias = "cm")]
    Configmap(kinds::ConfigMapArgs),
    /// Make a deployment of an image
    #[command(visible_alias = "deploy")]
    Deployment(kinds::DeploymentArgs),
    /// Make a role
    Role(access::RoleArgs),
    /// Give a role to users, groups or service accounts
    Rolebinding(access::BindingArgs),
    /// Make a hook that registries call when an image changes
    Hook(hook::HookArgs),
    /// Ask for a token of a service account
    Token(access::TokenArgs),
}

/// Flags of every kind.
#[derive(Debug, Clone, clap::Args)]
struct Common {
    #[command(flatten)]
    print: PrintFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
    #[command(flatten)]
    validate: Validate,
    /// Remember the object in its annotations, for later use by apply
    #[arg(long)]
    save_config: bool,
    /// Who makes the object
    #[arg(long, default_value = "kubectl-create")]
    field_manager: String,
}

pub(crate) async fn run(app: &App, args: Args) -> Result<(), Failure> {
    match &args.kind {
        None => from_files(app, &args).await,
        Some(Kind::ImageStream(own)) => stream::stream(app, own).await,
        Some(Kind::ImageStreamTag(own)) => stream::tag(app, own).await,
        Some(Kind::Secret { kind }) => secret::run(app, kind).await,
        Some(Kind::Namespace(own)) => kinds::namespace(app, own).await,
        Some(Kind::Serviceaccount(own)) => kinds::service_account(app, own).await,
        Some(Kind::Configmap(own)) => kinds::config_map(app, own).await,
        Some(Kind::Deployment(own)) => kinds::deployment(app, own).await,
        Some(Kind::Role(own)) => access::role(app, own).await,
        Some(Kind::Rolebinding(own)) => access::binding(app, own).await,
        Some(Kind::Hook(own)) => hook::hook(app, own).await,
        Some(Kind::Token(own)) => access::token(app, own).await,
    }
}

async fn from_files(app: &App, args: &Args) -> Result<(), Failure> {
    if args.files.filename.is_empty() {
        return Err(usage("create", "must specify one of -f and -k"));
    }
    let printer = print::printer(&args.print)?;
    let dry_run = args.dry_run.get()?;
    let validation = args.validate.parameter()?;
    let mut failures = Vec::new();
    let mut count = 0;
    for info in files::read(app, &args.files).await? {
        let mut info = match info {
            Ok(info) => info,
            Err(error) => {
                failures.push(error);
                continue;
            }
        };
        count += 1;
        if args.save_config {
            remember(&mut info.object);
        }
        let source = info.source.clone().unwrap_or_default();
        if dry_run != DryRun::Client {
            let query = dry_run.query(vec![
                ("fieldManager", "kubectl-create".to_owned()),
                ("fieldValidation", validation.to_owned()),
            ]);
            let namespace = (!info.namespace.is_empty()).then_some(info.namespace.as_str());
            let path = target(&info.resource.collection(namespace), &query);
            match app.api().await?.document(Call::send(http::Method::POST, path, &info.object)).await {
                Ok(object) => info = crate::select::Info::of(&info.resource, object),
                Err(error) => {
                    failures.push(error.prefixed(&format!("error when creating \"{source}\": ")));
                    continue;
                }
            }
        }
        match &printer {
            Some(printer) => printer.print(&info.object, &app.io)?,
            None => app.io.line(&format!("{} created{}", info.display(), dry_run.suffix()))?,
        }
    }
    if count == 0 && failures.is_empty() {
        return Err(plain("no objects passed to create"));
    }
    Failure::gather(failures)
}

/// Puts the object itself into its annotations.
pub(super) fn remember(object: &mut Value) {
    let text = last_applied(object);
    annotate(object, text);
}

/// The object as it is remembered: without its own memory, but with a place for it.
pub(super) fn last_applied(object: &Value) -> String {
    let mut bare = object.clone();
    if !bare["metadata"].is_object() {
        bare["metadata"] = json!({});
    }
    let metadata = &mut bare["metadata"];
    if !metadata["annotations"].is_object() {
        metadata["annotations"] = json!({});
    }
    if let Some(annotations) = metadata["annotations"].as_object_mut() {
        annotations.remove(LAST_APPLIED);
    }
    format!("{}\n", golang::json(&bare))
}

/// Sets the annotation.
pub(super) fn annotate(object: &mut Value, text: String) {
    if !object["metadata"]["annotations"].is_object() {
        object["metadata"]["annotations"] = json!({});
    }
    object["metadata"]["annotations"][LAST_APPLIED] = text.into();
}

/// An object made of flags, on its way to the server.
struct Draft {
    /// Collection it is posted to.
    path: String,
    body: Value,
    /// Order of its fields in JSON.
    order: &'static [&'static str],
    /// `fieldManager` and `fieldValidation` are sent.
    managed: bool,
    /// What an error of the server begins with; then it is no longer the server's.
    complaint: &'static str,
}

impl Draft {
    /// Sends the object and says so.
    async fn create(mut self, app: &App, common: &Common) -> Result<(), Failure> {
        let printer = print::printer(&common.print)?;
        let dry_run = common.dry_run.get()?;
        if common.save_config {
            let text = format!("{}\n", golang::json_typed_line(&self.body, self.order));
            annotate(&mut self.body, text);
        }
        let mut result = self.body.clone();
        if dry_run != DryRun::Client {
            let mut query = Vec::new();
            if self.managed {
                query.push(("fieldManager", common.field_manager.clone()));
                query.push(("fieldValidation", common.validate.parameter()?.to_owned()));
            }
            let call = Call::send(http::Method::POST, target(&self.path, &dry_run.query(query)), &self.body);
            result =
                app.api().await?.document(call).await.map_err(|error| match (&error, self.complaint) {
                    (Failure::Status(status), complaint) if !complaint.is_empty() => {
                        plain(format!("{complaint}{}", status.message))
                    }
                    _ => error,
                })?;
        }
        match printer {
            Some(printer) => printer.typed(self.order).print(&result, &app.io),
            None => app.io.line(&format!("{} created{}", print::name_of(&result), dry_run.suffix())),
        }
    }
}

/// The one name of a command.
fn one_name<'a>(args: &'a [String], command: &str) -> Result<&'a str, Failure> {
    match args {
        [name] => Ok(name),
        _ => Err(usage(command, format!("exactly one NAME is required, got {}", args.len()))),
    }
}

/// Path of a collection in the command's project.
fn collection(app: &App, root: &str, plural: &str) -> String {
    format!("{root}/namespaces/{}/{plural}", segment(app.namespace()))
}

#[cfg(test)]
mod tests;
