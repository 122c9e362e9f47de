//! The commands, one module each (or a family of them).

mod adm;
mod annotate;
mod api_resources;
mod apply;
mod auth;
mod completion;
mod create;
mod delete;
mod deliveries;
mod describe;
mod diff;
mod edit;
mod get;
mod image;
mod import;
mod ledger;
mod login;
mod patch;
mod policy;
mod project;
mod registries;
mod registry;
mod replace;
mod secrets;
mod set;
mod tag;
mod triggers;
mod version;
mod wait;
mod watch;
mod whoami;

use clap::{Command, Subcommand};

use crate::app::App;
use crate::failure::Failure;

/// Everything the client can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Point tags of image streams at images
    Tag(tag::Args),
    /// Import images from other registries into an image stream
    ImportImage(import::Args),
    /// Show one or many objects
    Get(get::Args),
    /// Show an object in detail
    Describe(describe::Args),
    /// Create objects
    Create(create::Args),
    /// Delete objects
    Delete(delete::Args),
    /// Change labels
    Label(annotate::LabelArgs),
    /// Change annotations
    Annotate(annotate::AnnotateArgs),
    /// Change fields of objects
    Patch(patch::Args),
    /// Make objects what files say
    Apply(apply::Args),
    /// Show what apply would change
    Diff(diff::Args),
    /// Put what files say in the place of what is there
    Replace(replace::Args),
    /// Change objects in an editor
    Edit(edit::Args),
    /// Wait until objects are there, gone, or as they should be
    Wait(wait::Args),
    /// Show who follows a tag, and what they last got
    Triggers(triggers::Args),
    /// Deliver events and objects again
    Deliveries(deliveries::Args),
    /// Change single settings of objects
    Set(set::Args),
    /// Make a project and switch to it
    NewProject(project::NewArgs),
    /// Show the current project, or switch to another
    Project(project::Args),
    /// List projects
    Projects(project::ListArgs),
    /// Give roles in the project to people, and take them away
    Policy(policy::Args),
    /// Ask what you may do
    Auth(auth::Args),
    /// Administer the server
    Adm(adm::Args),
    /// Link secrets to service accounts
    Secrets(secrets::Args),
    /// Show images that lie in registries
    Image(image::Args),
    /// Find the integrated registry and log in to it
    Registry(registry::Args),
    /// Show who moved the tags of an image stream, when and why
    Ledger(ledger::Args),
    /// Show the registries that images come from, their budgets and what is due there
    Registries(registries::Args),
    /// Log in to a server
    Login(login::Args),
    /// End the session with the server
    Logout(login::logout::Args),
    /// Show who you are to the server
    Whoami(whoami::Args),
    /// List the kinds of objects that the server has
    ApiResources(api_resources::Args),
    /// Show the version of the client and the server
    Version(version::Args),
    /// Print a script that completes commands in a shell
    Completion(completion::Args),
}

/// Runs a command.
pub(crate) async fn run(app: &App, verb: Verb, root: &Command) -> Result<(), Failure> {
    match verb {
        Verb::Tag(args) => tag::run(app, &args).await,
        Verb::ImportImage(args) => import::run(app, &args).await,
        Verb::Get(args) => get::run(app, &args).await,
        Verb::Describe(args) => describe::run(app, &args).await,
        Verb::Create(args) => create::run(app, args).await,
        Verb::Delete(args) => delete::run(app, &args).await,
        Verb::Label(args) => annotate::label(app, &args).await,
        Verb::Annotate(args) => annotate::annotate(app, &args).await,
        Verb::Patch(args) => patch::run(app, &args).await,
        Verb::Apply(args) => apply::run(app, &args).await,
        Verb::Diff(args) => diff::run(app, &args).await,
        Verb::Replace(args) => replace::run(app, &args).await,
        Verb::Edit(args) => edit::run(app, &args).await,
        Verb::Wait(args) => wait::run(app, &args).await,
        Verb::Triggers(args) => triggers::run(app, &args).await,
        Verb::Deliveries(args) => deliveries::run(app, &args).await,
        Verb::Set(args) => set::run(app, &args).await,
        Verb::NewProject(args) => project::create(app, &args).await,
        Verb::Project(args) => project::run(app, &args).await,
        Verb::Projects(args) => project::list(app, &args).await,
        Verb::Policy(args) => policy::run(app, &args).await,
        Verb::Auth(args) => auth::run(app, &args).await,
        Verb::Adm(args) => adm::run(app, &args).await,
        Verb::Secrets(args) => secrets::run(app, &args).await,
        Verb::Image(args) => image::run(app, &args).await,
        Verb::Registry(args) => registry::run(app, &args).await,
        Verb::Ledger(args) => ledger::run(app, &args).await,
        Verb::Registries(args) => registries::run(app, &args).await,
        Verb::Login(args) => login::run(app, &args).await,
        Verb::Logout(args) => login::logout::run(app, &args).await,
        Verb::Whoami(args) => whoami::run(app, &args).await,
        Verb::ApiResources(args) => api_resources::run(app, &args).await,
        Verb::Version(args) => version::run(app, &args).await,
        Verb::Completion(args) => completion::run(app, &args, root),
    }
}
