//! `adm`: what administrators do.

mod groups;
mod prune;

use crate::app::App;
use crate::failure::Failure;

/// `adm VERB …`
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Keep groups of users
    Groups(groups::Args),
    /// Remove what is old and unused
    Prune(prune::Args),
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::Groups(args) => groups::run(app, args).await,
        What::Prune(args) => prune::run(app, args).await,
    }
}
