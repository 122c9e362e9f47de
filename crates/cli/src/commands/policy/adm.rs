//! `adm policy`: roles in a project, and roles in the whole server.

use super::{Flags, Grant, Scope, Who, add, remove, who};
use crate::app::App;
use crate::failure::Failure;

/// `adm policy VERB …`
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(in crate::commands) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Give a role in the project to users or service accounts
    AddRoleToUser(Flags),
    /// Give a role in the project to groups
    AddRoleToGroup(Flags),
    /// Take a role in the project from users or service accounts
    RemoveRoleFromUser(Flags),
    /// Take a role in the project from groups
    RemoveRoleFromGroup(Flags),
    /// Give a role in the whole server to users or service accounts
    AddClusterRoleToUser(Flags),
    /// Give a role in the whole server to groups
    AddClusterRoleToGroup(Flags),
    /// Take a role in the whole server from users or service accounts
    RemoveClusterRoleFromUser(Flags),
    /// Take a role in the whole server from groups
    RemoveClusterRoleFromGroup(Flags),
    /// List who may do something
    WhoCan(who::Args),
}

pub(in crate::commands) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    use Scope::{Project, Server};
    use Who::{Groups, Users};
    let grant = |flags, who, scope| Grant::read(app, flags, who, scope);
    match &args.what {
        What::AddRoleToUser(flags) => add(app, &grant(flags, Users, Project)?).await,
        What::AddRoleToGroup(flags) => add(app, &grant(flags, Groups, Project)?).await,
        What::RemoveRoleFromUser(flags) => remove::role(app, &grant(flags, Users, Project)?).await,
        What::RemoveRoleFromGroup(flags) => remove::role(app, &grant(flags, Groups, Project)?).await,
        What::AddClusterRoleToUser(flags) => add(app, &grant(flags, Users, Server)?).await,
        What::AddClusterRoleToGroup(flags) => add(app, &grant(flags, Groups, Server)?).await,
        What::RemoveClusterRoleFromUser(flags) => remove::role(app, &grant(flags, Users, Server)?).await,
        What::RemoveClusterRoleFromGroup(flags) => remove::role(app, &grant(flags, Groups, Server)?).await,
        What::WhoCan(args) => who::run(app, args).await,
    }
}
