//! `create hook`: a hook with a secret of its own, and what to tell the sender.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::json;

use super::one_name;
use crate::app::App;
use crate::client::{Call, JSON, segment, target};
use crate::failure::{Failure, plain};
use crate::flags::{DryRun, DryRunFlag, PrintFlags};
use crate::golang::text_at;
use crate::print;

/// `create hook NAME --type=TYPE`
#[derive(Debug, Clone, clap::Args)]
pub(super) struct HookArgs {
    /// Name of the hook
    args: Vec<String>,
    /// Who sends: dockerhub, github, gitlab, harbor, quay, distribution, cloudevents or plain
    #[arg(long = "type", default_value = "plain")]
    kind: String,
    /// Secret to use, as [NAMESPACE/]NAME:KEY; without it one is made
    #[arg(long, default_value = "")]
    secret: String,
    /// Host of the registry, where what is sent does not say
    #[arg(long, default_value = "")]
    registry: String,
    #[command(flatten)]
    print: PrintFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
}

pub(super) async fn hook(app: &App, args: &HookArgs) -> Result<(), Failure> {
    let name = one_name(&args.args, "create hook")?;
    let printer = print::printer(&args.print)?;
    let dry_run = args.dry_run.get()?;
    let mut hook = json!({
        "kind": "Hook", "apiVersion": "weir.dev/v1alpha1", "metadata": {"name": name}, "spec": {"type": args.kind},
    });
    if !args.registry.is_empty() {
        hook["spec"]["registry"] = args.registry.clone().into();
    }
    if !args.secret.is_empty() {
        let (place, key) =
            args.secret.split_once(':').ok_or_else(|| plain("--secret is [NAMESPACE/]NAME:KEY"))?;
        let (namespace, secret) = place.split_once('/').unwrap_or((app.namespace(), place));
        hook["spec"]["secretRef"] = json!({"namespace": namespace, "name": secret, "key": key});
    }
    if dry_run != DryRun::Client {
        let path = target("/apis/weir.dev/v1alpha1/hooks", &dry_run.query(Vec::new()));
        hook = app.api().await?.document(Call::send(Method::POST, path, &hook)).await?;
    }
    if let Some(printer) = printer {
        return printer.print(&hook, &app.io);
    }
    app.io.line(&format!("{} created{}", print::name_of(&hook), dry_run.suffix()))?;
    if dry_run == DryRun::None { tell(app, name, &hook).await } else { Ok(()) }
}

/// What the sender has to know.
async fn tell(app: &App, name: &str, hook: &serde_json::Value) -> Result<(), Failure> {
    let at = |key: &str| text_at(hook, &["spec", "secretRef", key]);
    let (namespace, secret, key) = (at("namespace"), at("name"), at("key"));
    let path = format!("/api/v1/namespaces/{}/secrets/{}", segment(namespace), segment(secret));
    let held = app.api().await?.document(Call::get(path, JSON)).await?;
    let word =
        STANDARD.decode(text_at(&held, &["data", key])).ok().and_then(|word| String::from_utf8(word).ok());
    let word =
        word.ok_or_else(|| plain(format!("the secret {namespace}/{secret} holds no text under {key}")))?;
    let address = format!("{}/hooks/{name}", app.settings.server.trim_end_matches('/'));
    match text_at(hook, &["spec", "type"]) {
        "dockerhub" | "quay" => app.io.line(&format!("Address: {address}?token={word}")),
        "harbor" | "distribution" | "cloudevents" | "plain" => {
            app.io.line(&format!("Address: {address}\nHeader:  Authorization: Bearer {word}"))
        }
        _ => app.io.line(&format!("Address: {address}\nSecret:  {word}")),
    }
}
