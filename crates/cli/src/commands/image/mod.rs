//! `image`: images as they lie in registries.
//!
//! These commands ask registries themselves, not the API server, with the credentials that container tools keep.

mod config;
mod info;
mod source;
mod text;

use crate::app::App;
use crate::failure::Failure;

/// `image VERB …`
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show images that lie in registries
    Info(info::Args),
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::Info(args) => info::run(app, args).await,
    }
}
