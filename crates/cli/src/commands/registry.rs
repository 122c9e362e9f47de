//! `registry`: where the integrated registry is, and credentials for it.
//!
//! The registry's name is learned from an image stream: of the current project, else of the project `openshift`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use machinery::image::ImageStream;
use oci::client::{RepositoryClient, RepositorySettings, WebSettings, WebTransport};
use serde_json::{Value, json};

use super::whoami;
use crate::app::App;
use crate::client::{Call, JSON, JSON_OR_ANY, segment};
use crate::failure::{Failure, plain};
use crate::golang::{items_at, text_at};

/// `registry VERB …`
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Print where the integrated registry is
    #[command(hide = true)]
    Info(Info),
    /// Save credentials for the integrated registry
    Login(Login),
}

/// `registry info`
#[derive(Debug, Clone, clap::Args)]
struct Info {
    #[arg(hide = true)]
    args: Vec<String>,
    /// Its name inside the cluster
    #[arg(long)]
    internal: bool,
    /// Its name for everybody
    #[arg(long)]
    public: bool,
    /// Make sure that it answers
    #[arg(long)]
    check: bool,
}

/// `registry login`
#[derive(Debug, Clone, clap::Args)]
struct Login {
    /// File to save to
    #[arg(short = 'a', long = "to", visible_alias = "registry-config", default_value = "")]
    to: String,
    /// USER:PASSWORD instead of the session's token
    #[arg(long, default_value = "")]
    auth_basic: String,
    /// Service account whose token to save
    #[arg(short = 'z', long = "service-account", default_value = "")]
    service_account: String,
    /// Host of the registry
    #[arg(long, default_value = "")]
    registry: String,
    /// Accepted for compatibility: credentials are never tried out
    #[arg(long)]
    skip_check: bool,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::Info(own) => info(app, own).await,
        What::Login(own) => login(app, own).await,
    }
}

/// Internal and public name; either may be empty.
async fn hosts(app: &App) -> Result<Option<(String, String)>, Failure> {
    for namespace in [app.namespace(), "openshift"] {
        let path = format!("/apis/image.openshift.io/v1/namespaces/{}/imagestreams", segment(namespace));
        let list = match app.api().await?.document(Call::get(path, JSON_OR_ANY)).await {
            Ok(list) => list,
            Err(error) if error.is_unauthorized() => return Err(error),
            Err(_) => continue,
        };
        if let Some(first) = items_at(&list, &["items"]).first() {
            let stream: ImageStream =
                serde_json::from_value(first.clone()).map_err(|error| plain(error.to_string()))?;
            let host = |text: &str| text.split('/').next().unwrap_or_default().to_owned();
            let status = &stream.status;
            return Ok(Some((
                host(&status.docker_image_repository),
                host(&status.public_docker_image_repository),
            )));
        }
    }
    Ok(None)
}

async fn info(app: &App, args: &Info) -> Result<(), Failure> {
    app.io.complain("Command \"info\" is deprecated, and will be removed in the future version.");
    if args.internal && args.public {
        return Err(plain("only one of --internal or --public may be specified at a time"));
    }
    let Some((internal, public)) = hosts(app).await? else {
        return Err(plain(
            "no image streams could be located to retrieve registry info, please specify a namespace with image streams",
        ));
    };
    if internal.is_empty() && public.is_empty() {
        return Err(plain("the integrated registry has not been configured"));
    }
    if args.public && public.is_empty() {
        return Err(plain("registry does not have public hostname"));
    }
    let shown = if args.internal || (public.is_empty() && !args.public) { internal } else { public };
    if args.check {
        let answered = contact(&shown).await;
        answered.map_err(|error| plain(format!("registry could not be contacted at {shown}: {error}")))?;
    }
    app.io.line(&shown)
}

/// Asks whether a registry is there. Nothing secret is sent, so its certificate proves nothing that matters here.
async fn contact(host: &str) -> Result<(), String> {
    let transport = WebTransport::new(WebSettings::default()).map_err(|error| error.to_string())?;
    let settings = RepositorySettings {
        host: host.to_owned(),
        path: "openshift/any".to_owned(),
        credentials: None,
        insecure: true,
        bucket: None,
    };
    let client = RepositoryClient::new(Arc::new(transport), settings).map_err(|error| error.to_string())?;
    client.ping().await.map_err(|error| error.to_string())
}

async fn login(app: &App, args: &Login) -> Result<(), Failure> {
    if !args.service_account.is_empty() {
        app.io.complain(&format!(
            "Flag --service-account has been deprecated, and will be removed in the future version. Use {} create token instead.",
            crate::PROGRAM
        ));
    }
    let (user, password) = credentials(app, args).await?;
    let host = if args.registry.is_empty() {
        match hosts(app).await? {
            Some((_, public)) if !public.is_empty() => {
                app.io.complain(&format!("info: Using registry public hostname {public}"));
                public
            }
            Some((internal, _)) if !internal.is_empty() => {
                app.io.complain(&format!("info: Using internal registry hostname {internal}"));
                internal
            }
            _ => {
                return Err(plain(
                    "The public hostname of the integrated registry could not be determined. Please specify one with --registry.",
                ));
            }
        }
    } else {
        args.registry.clone()
    };
    let file = file(args)?;
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    save(&file, &host, &auth)
        .map_err(|error| plain(format!("unable to write {}: {error}", file.display())))?;
    app.io.line(&format!("Saved credentials for {host} into {}", file.display()))
}

async fn credentials(app: &App, args: &Login) -> Result<(String, String), Failure> {
    if !args.auth_basic.is_empty() {
        if !args.service_account.is_empty() {
            return Err(plain("You may only specify a single authentication input as --auth-basic"));
        }
        let (user, password) = args
            .auth_basic
            .split_once(':')
            .filter(|(user, password)| !user.is_empty() && !password.is_empty())
            .ok_or_else(|| plain("--auth-basic must be in the form user:password"))?;
        return Ok((user.to_owned(), password.to_owned()));
    }
    if args.service_account.is_empty() {
        return Ok(("user".to_owned(), whoami::token(app).await?));
    }
    let name = &args.service_account;
    crate::discovery::check_name(name)?;
    let project = format!("/api/v1/namespaces/{}", segment(app.namespace()));
    let api = app.api().await?;
    let account = api.document(Call::get(format!("{project}/serviceaccounts/{}", segment(name)), JSON)).await;
    let account = account.map_err(|error| {
        if error.is_not_found() {
            plain(format!("the service account {name} does not exist in namespace {}", app.namespace()))
        } else {
            error
        }
    })?;
    for entry in items_at(&account, &["secrets"]) {
        let path = format!("{project}/secrets/{}", segment(text_at(entry, &["name"])));
        let Ok(secret) = api.document(Call::get(path, JSON)).await else { continue };
        let token = base64::engine::general_purpose::STANDARD.decode(text_at(&secret, &["data", "token"]));
        if let Some(token) =
            token.ok().and_then(|token| String::from_utf8(token).ok()).filter(|t| !t.is_empty())
        {
            return Ok((format!("system-serviceaccount-{}-{name}", app.namespace()), token));
        }
    }
    Err(plain(format!("the service account {name} had no valid secrets associated with it")))
}

/// The file that container tools read.
fn file(args: &Login) -> Result<PathBuf, Failure> {
    if !args.to.is_empty() {
        return Ok(PathBuf::from(&args.to));
    }
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(file) = env("REGISTRY_AUTH_FILE") {
        return Ok(PathBuf::from(file));
    }
    let home = env("HOME").map(PathBuf::from);
    let docker = home.as_ref().map(|home| home.join(".docker/config.json"));
    let podman =
        env("XDG_RUNTIME_DIR").map(|directory| PathBuf::from(directory).join("containers/auth.json"));
    let preferred =
        if env("REGISTRY_AUTH_PREFERENCE").as_deref() == Some("docker") { docker } else { podman.or(docker) };
    preferred.ok_or_else(|| plain("there is no place for credentials; name a file with --to"))
}

/// Adds a registry to a file of credentials, keeping everything else.
fn save(file: &Path, host: &str, auth: &str) -> std::io::Result<()> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) if !text.trim().is_empty() => text,
        Ok(_) => "{}".to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "{}".to_owned(),
        Err(error) => return Err(error),
    };
    let mut document: Value = serde_json::from_str(&text)?;
    if !document["auths"].is_object() {
        document["auths"] = json!({});
    }
    document["auths"][host] = json!({"auth": auth});
    crate::config::write_private(file, &format!("{}\n", crate::golang::json_pretty(&document)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Script, run};

    const OWN: &str = "GET /apis/image.openshift.io/v1/namespaces/ns/imagestreams";
    const SHARED: &str = "GET /apis/image.openshift.io/v1/namespaces/openshift/imagestreams";

    fn streams() -> Value {
        json!({"items": [{"metadata": {"name": "a"}, "status": {"dockerImageRepository": "r:5000/ns/a"}}]})
    }

    #[test]
    fn a_stream_tells_where_the_registry_is() {
        let old = "Command \"info\" is deprecated, and will be removed in the future version.\n";
        let check = |flags: &[&str], steps: Vec<(&'static str, u16, Value)>, out: &str, err: &str| {
            let line: Vec<&str> = ["registry", "info"].iter().chain(flags).copied().collect();
            let got = run(&line, &Script::new(steps), None);
            assert_eq!((got.out.as_str(), got.err), (out, format!("{old}{err}")), "{flags:?}");
        };
        check(&[], vec![(OWN, 200, streams())], "r:5000\n", "");
        check(
            &["extra", "--internal"],
            vec![(OWN, 200, json!({"items": []})), (SHARED, 200, streams())],
            "r:5000\n",
            "",
        );
        check(
            &["--public"],
            vec![(OWN, 200, streams())],
            "",
            "error: registry does not have public hostname\n",
        );
        let got = run(
            &["registry", "info", "--check"],
            &Script::new([(
                OWN,
                200,
                json!({"items": [{"metadata": {"name": "a"}, "status": {"dockerImageRepository": "127.0.0.1:1/ns/a"}}]}),
            )]),
            None,
        );
        assert!(got.err.contains("error: registry could not be contacted at 127.0.0.1:1: "), "{}", got.err);
        assert_eq!(got.out, "");
        check(
            &["--internal", "--public"],
            vec![],
            "",
            "error: only one of --internal or --public may be specified at a time\n",
        );
        check(
            &[],
            vec![(OWN, 200, json!({})), (SHARED, 404, json!({}))],
            "",
            "error: no image streams could be located to retrieve registry info, please specify a namespace with image streams\n",
        );
    }

    #[test]
    fn credentials_are_added_to_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("auth.json");
        std::fs::write(&file, r#"{"auths":{"other":{"auth":"eA=="}},"x":1}"#).unwrap();
        let to = format!("--to={}", file.display());
        let got =
            run(&["registry", "login", &to, "--auth-basic=u:p"], &Script::new([(OWN, 200, streams())]), None);
        assert_eq!(got.out, format!("Saved credentials for r:5000 into {}\n", file.display()));
        assert_eq!(got.err, "info: Using internal registry hostname r:5000\n");
        let saved: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(saved, json!({"auths": {"other": {"auth": "eA=="}, "r:5000": {"auth": "dTpw"}}, "x": 1}));
        let got = run(
            &["registry", "login", &to, "--registry=e.com", "--auth-basic=nope"],
            &Script::default(),
            None,
        );
        assert_eq!(got.err, "error: --auth-basic must be in the form user:password\n");
    }
}
