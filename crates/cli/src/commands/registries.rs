//! `registries`: the registries that images come from, as the server knows them.
//!
//! It is `get` of a kind that this server has and others have not; those answer that they do not know it.

use clap::Parser;

use super::get;
use crate::app::App;
use crate::failure::{Failure, plain};

/// The kind that the server computes.
const KIND: &str = "upstreams.weir.dev";

/// `registries`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Hosts; all by default
    #[arg(value_name = "HOST")]
    hosts: Vec<String>,
    /// Output format, as of get
    #[arg(short = 'o', long)]
    output: Option<String>,
    /// Leave out the headings
    #[arg(long)]
    no_headers: bool,
}

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    get: get::Args,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let mut words = vec!["get".to_owned(), KIND.to_owned()];
    words.extend(args.hosts.iter().cloned());
    words.extend(args.output.iter().map(|output| format!("--output={output}")));
    words.extend(args.no_headers.then(|| "--no-headers".to_owned()));
    let line = Line::try_parse_from(words).map_err(|error| plain(error.to_string()))?;
    get::run(app, &line.get).await
}
