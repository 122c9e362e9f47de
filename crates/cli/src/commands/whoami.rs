//! `whoami`: who the server takes us for.

use serde_json::{Value, json};

use crate::app::App;
use crate::client::{Api, Call, JSON_OR_ANY};
use crate::failure::{Failure, plain};
use crate::flags::PrintFlags;
use crate::golang::{items_at, text_at};
use crate::print;

/// `whoami`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    #[arg(hide = true)]
    args: Vec<String>,
    #[command(flatten)]
    print: PrintFlags,
    /// Print the token of the session
    #[arg(short = 't', long)]
    show_token: bool,
    /// Print the name of the context
    #[arg(short = 'c', long)]
    show_context: bool,
    /// Print the address of the server
    #[arg(long)]
    show_server: bool,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let shows = args.show_token || args.show_context || args.show_server;
    if shows && args.print.output.as_ref().is_some_and(|output| !output.is_empty()) {
        return Err(plain(
            "--output cannot be used with --show-token, --show-context, --show-server, or --show-console",
        ));
    }
    if args.show_token {
        return app.io.line(&token(app).await?);
    }
    if args.show_context {
        let (name, _) = app.settings.context(&app.globals).ok_or_else(|| plain("no context has been set"))?;
        return app.io.line(name);
    }
    if args.show_server {
        return app.io.line(&app.settings.server);
    }
    let printer = print::printer(&args.print)?;
    let user = user(app.api().await?).await?;
    match printer {
        Some(printer) => printer.typed(&["fullName", "identities", "groups"]).print(&user, &app.io),
        None => app.io.line(text_at(&user, &["metadata", "name"])),
    }
}

/// The bearer token of the session.
pub(crate) async fn token(app: &App) -> Result<String, Failure> {
    let config = app.settings.client_config(&app.globals).await?;
    // Its serialized form is the one that shows the token.
    let auth = serde_json::to_value(&config.auth_info).map_err(|error| plain(error.to_string()))?;
    let own = text_at(&auth, &["token"]).to_owned();
    let file = text_at(&auth, &["tokenFile"]);
    let token = if own.is_empty() && !file.is_empty() { std::fs::read_to_string(file)? } else { own };
    match token.trim() {
        "" => Err(plain("no token is currently in use for this session")),
        token => Ok(token.to_owned()),
    }
}

/// Who we are, as an object of the user API.
pub(crate) async fn user(api: &Api) -> Result<Value, Failure> {
    let review =
        json!({"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {}});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    if let Ok(answer) = api.document(Call::send(http::Method::POST, path, &review)).await {
        let info = &answer["status"]["userInfo"];
        let mut user = json!({
            "kind": "User", "apiVersion": "user.openshift.io/v1", "metadata": {"name": text_at(info, &["username"])},
        });
        if !text_at(info, &["uid"]).is_empty() {
            user["metadata"]["uid"] = info["uid"].clone();
        }
        user["groups"] = items_at(info, &["groups"]).to_vec().into();
        return Ok(user);
    }
    api.document(Call::get("/apis/user.openshift.io/v1/users/~", JSON_OR_ANY)).await
}
