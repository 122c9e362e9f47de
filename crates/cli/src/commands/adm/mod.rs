//! `adm`: what administrators do.

mod groups;
mod prune;

use super::policy;
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
    /// Give roles to people, in the project or in the whole server, and take them away
    Policy(policy::adm::Args),
    /// Remove what is old and unused
    Prune(prune::Args),
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::Groups(args) => groups::run(app, args).await,
        What::Policy(args) => policy::adm::run(app, args).await,
        What::Prune(args) => prune::run(app, args).await,
    }
}
