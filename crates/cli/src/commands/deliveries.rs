//! `deliveries retry`: wants what was given up, or delivered already, delivered again.

use http::Method;
use serde_json::json;

use crate::app::App;
use crate::client::{Call, segment};
use crate::failure::{Failure, usage};
use crate::print;

/// `deliveries VERB …`
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Deliver again, from the start
    Retry {
        /// Names of deliveries, as `get deliveries` shows them
        names: Vec<String>,
    },
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let What::Retry { names } = &args.what;
    if names.is_empty() {
        return Err(usage("deliveries retry", "name a delivery, as get deliveries shows them"));
    }
    let mut failures = Vec::new();
    for name in names {
        let root = format!("/apis/weir.dev/v1alpha1/namespaces/{}/deliveries", segment(app.namespace()));
        let path = format!("{root}/{}/retry", segment(name));
        match app.api().await?.document(Call::send(Method::POST, path, &json!({}))).await {
            Ok(delivery) => app.io.line(&format!("{} is delivered again", print::name_of(&delivery)))?,
            Err(error) => failures.push(error),
        }
    }
    Failure::gather(failures)
}
