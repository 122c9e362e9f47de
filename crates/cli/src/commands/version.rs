//! `version`: of the client, and of the server it talks to.

use serde_json::{Value, json};

use crate::app::App;
use crate::client::{Call, JSON};
use crate::failure::{Failure, plain};
use crate::golang::{json_typed, text_at};

/// `version`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// json or yaml
    #[arg(short, long, default_value = "")]
    output: String,
    /// Do not ask the server
    #[arg(long)]
    client: bool,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let client = env!("CARGO_PKG_VERSION");
    let mut problem = None;
    let server: Option<Value> = if args.client {
        None
    } else {
        match ask(app).await {
            Ok(server) => Some(server),
            Err(error) => {
                problem = Some(error);
                None
            }
        }
    };
    let mut document = json!({"clientVersion": {"gitVersion": format!("v{client}")}});
    if let Some(server) = &server {
        document["serverVersion"] = server.clone();
    }
    match args.output.as_str() {
        "" => {
            app.io.line(&format!("Client Version: {client}"))?;
            if let Some(server) = &server {
                app.io.line(&format!("Kubernetes Version: {}", text_at(server, &["gitVersion"])))?;
            }
        }
        "json" => app.io.line(&json_typed(&document, &["clientVersion", "serverVersion"], b"  "))?,
        "yaml" => app.io.print(&machinery::yaml::to_string(&document))?,
        _ => return Err(plain("--output must be 'yaml' or 'json'")),
    }
    match problem {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

async fn ask(app: &App) -> Result<Value, Failure> {
    app.api().await?.document(Call::get("/version", JSON)).await
}
