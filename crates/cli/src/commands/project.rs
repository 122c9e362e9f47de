//! `new-project`, `project` and `projects`: which projects there are, and in which one we work.
//!
//! The current project is the namespace of the kubeconfig's current context; switching writes that file. A server
//! without projects is asked for namespaces instead.

use kube::config::{Context, Kubeconfig};
use serde_json::{Value, json};

use crate::app::App;
use crate::client::{Call, JSON, JSON_OR_ANY, segment};
use crate::config::{self, context_name, switch_to};
use crate::failure::{Failure, plain};
use crate::golang::{items_at, text_at};

/// Where projects are.
pub(crate) const ROOT: &str = "/apis/project.openshift.io/v1";

/// `project [NAME]`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Project (or kubeconfig context) to switch to
    args: Vec<String>,
    /// Print only the name
    #[arg(short = 'q', long, visible_alias = "quiet")]
    short: bool,
}

/// `projects`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ListArgs {
    args: Vec<String>,
    /// Print only names
    #[arg(short = 'q', long, visible_alias = "quiet")]
    short: bool,
}

/// `new-project NAME`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct NewArgs {
    /// Name of the project
    args: Vec<String>,
    /// Name for people
    #[arg(long, default_value = "")]
    display_name: String,
    /// What the project is for
    #[arg(long, default_value = "")]
    description: String,
    /// Do not switch to the project
    #[arg(long)]
    skip_config_write: bool,
}

pub(crate) async fn create(app: &App, args: &NewArgs) -> Result<(), Failure> {
    let [name] = args.args.as_slice() else {
        return Err(plain("must have exactly one argument"));
    };
    let api = app.api().await?;
    let requests = format!("{ROOT}/projectrequests");
    api.call(Call::get(requests.clone(), JSON_OR_ANY)).await?;
    let mut body = json!({
        "kind": "ProjectRequest", "apiVersion": "project.openshift.io/v1", "metadata": {"name": name},
    });
    if !args.display_name.is_empty() {
        body["displayName"] = args.display_name.as_str().into();
    }
    if !args.description.is_empty() {
        body["description"] = args.description.as_str().into();
    }
    api.call(Call::send(http::Method::POST, requests, &body)).await?;
    let server = &app.settings.server;
    let program = crate::PROGRAM;
    if args.skip_config_write {
        return app.io.line(&format!(
            "Project \"{name}\" created on server \"{server}\".\n\nTo switch to this project and start adding image streams, use:\n\n    {program} project {name}"
        ));
    }
    switch(app, name).await?;
    app.io.line(&format!(
        "Now using project \"{name}\" on server \"{server}\".\n\nYou can add image streams to this project with the 'import-image' command. For example, try:\n\n    {program} import-image python --from=quay.io/fedora/python-312 --confirm\n"
    ))
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    match args.args.as_slice() {
        [] => show(app, args.short).await,
        [name] => choose(app, name, args.short).await,
        _ => Err(plain("Only one argument is supported (project name or context name).")),
    }
}

/// A project; a namespace where there are no projects or they may not be read.
async fn fetch(app: &App, name: &str) -> Result<Value, Failure> {
    let api = app.api().await?;
    crate::discovery::check_name(name)?;
    match api.document(Call::get(format!("{ROOT}/projects/{}", segment(name)), JSON_OR_ANY)).await {
        Err(error) if error.is_not_found() || error.is_forbidden() => {
            match api.document(Call::get(format!("/api/v1/namespaces/{}", segment(name)), JSON)).await {
                Ok(namespace) => Ok(namespace),
                Err(_) => Err(error),
            }
        }
        other => other,
    }
}

/// All projects that may be seen.
async fn all(app: &App) -> Result<Vec<Value>, Failure> {
    let api = app.api().await?;
    let found = match api.document(Call::get(format!("{ROOT}/projects"), JSON_OR_ANY)).await {
        Err(error) if error.is_not_found() || error.is_forbidden() => {
            api.document(Call::get("/api/v1/namespaces", JSON)).await?
        }
        other => other?,
    };
    Ok(items_at(&found, &["items"]).to_vec())
}

async fn show(app: &App, short: bool) -> Result<(), Failure> {
    let name = app.namespace();
    match fetch(app, name).await {
        Err(error) if error.is_not_found() || error.is_forbidden() => {
            return Err(plain(format!(
                "you do not have rights to view project \"{name}\" specified in your config or the project doesn't exist"
            )));
        }
        other => drop(other?),
    }
    if short {
        return app.io.line(name);
    }
    app.io.line(&format!("Using project \"{name}\"{}.", place(app)))
}

/// ` on server "URL"`, with the context's name when it is none of ours.
fn place(app: &App) -> String {
    let server = &app.settings.server;
    match app.settings.context(&app.globals) {
        Some((name, context)) => {
            let namespace = context.namespace.as_deref().unwrap_or("default");
            let user = context.user.as_deref().unwrap_or_default();
            let own = context_name(namespace, &context.cluster, user);
            if name == own || app.settings.namespace_given {
                format!(" on server \"{server}\"")
            } else {
                format!(" from context named \"{name}\" on server \"{server}\"")
            }
        }
        None => format!(" on server \"{server}\""),
    }
}

async fn choose(app: &App, name: &str, short: bool) -> Result<(), Failure> {
    let server = app.settings.server.clone();
    let is_context = app
        .settings
        .kubeconfig
        .as_ref()
        .is_some_and(|config| config.contexts.iter().any(|context| context.name == name));
    if is_context {
        let (namespace, server) = use_context(app, name)?;
        return app.io.line(&if short {
            namespace
        } else {
            format!("Now using project \"{namespace}\" from context named \"{name}\" on server \"{server}\".")
        });
    }
    match fetch(app, name).await {
        Err(error) if error.is_forbidden() || error.is_not_found() => {
            return Err(plain(refusal(app, name, &error).await));
        }
        other => drop(other?),
    }
    let current = app.settings.context(&app.globals).and_then(|(_, context)| context.namespace.clone());
    let already = current.as_deref() == Some(name);
    switch(app, name).await?;
    app.io.line(&match (short, already) {
        (true, _) => name.to_owned(),
        (_, true) => format!("Already on project \"{name}\" on server \"{server}\"."),
        (_, false) => format!("Now using project \"{name}\" on server \"{server}\"."),
    })
}

/// Why a project cannot be used, with those that can.
async fn refusal(app: &App, name: &str, error: &Failure) -> String {
    let Ok(projects) = all(app).await else {
        return format!("You are not a member of project \"{name}\".");
    };
    let names: Vec<&str> = projects.iter().map(|project| text_at(project, &["metadata", "name"])).collect();
    let mut text = if error.is_not_found() {
        format!("A project named \"{name}\" does not exist on \"{}\".", app.settings.server)
    } else {
        format!("You are not a member of project \"{name}\".")
    };
    if !names.is_empty() {
        text.push_str("\nYour projects are:");
        for name in names {
            text.push_str(&format!("\n* {name}"));
        }
    }
    text
}

/// Writes a kubeconfig that works in a project, keeping everything else.
async fn switch(app: &App, namespace: &str) -> Result<(), Failure> {
    let Some((_, context)) = app.settings.context(&app.globals) else {
        return Err(plain("no context has been set"));
    };
    let user = context.user.clone().unwrap_or_default();
    let name = context_name(namespace, &context.cluster, &user);
    let context = Context {
        cluster: context.cluster.clone(),
        user: Some(user).filter(|user| !user.is_empty()),
        namespace: Some(namespace.to_owned()),
        extensions: None,
        other: std::collections::BTreeMap::default(),
    };
    rewrite(app, |config| switch_to(config, name, context))
}

fn use_context(app: &App, name: &str) -> Result<(String, String), Failure> {
    rewrite(app, |config| config.current_context = Some(name.to_owned()))?;
    let config = app.settings.kubeconfig.clone().unwrap_or_default();
    let context =
        config.contexts.iter().find(|known| known.name == name).and_then(|known| known.context.as_ref());
    let server = context
        .and_then(|context| config.clusters.iter().find(|cluster| cluster.name == context.cluster))
        .and_then(|cluster| cluster.cluster.as_ref()?.server.clone());
    let namespace =
        context.and_then(|context| context.namespace.clone()).unwrap_or_else(|| "default".to_owned());
    Ok((namespace, server.unwrap_or_default()))
}

/// Changes the kubeconfig file.
fn rewrite(app: &App, change: impl FnOnce(&mut Kubeconfig)) -> Result<(), Failure> {
    let Some(file) = &app.settings.file else {
        return Err(plain("there is no kubeconfig file to write to"));
    };
    config::rewrite(file, change)
}

pub(crate) async fn list(app: &App, args: &ListArgs) -> Result<(), Failure> {
    if !args.args.is_empty() {
        return Err(plain("no arguments should be passed"));
    }
    let current = app.namespace();
    let exists = fetch(app, current).await.is_ok();
    let mut projects = all(app).await?;
    projects.sort_by(|a, b| text_at(a, &["metadata", "name"]).cmp(text_at(b, &["metadata", "name"])));
    let names: Vec<&str> = projects.iter().map(|project| text_at(project, &["metadata", "name"])).collect();
    if args.short {
        return app.io.line(&names.join("\n"));
    }
    let mut text = String::new();
    match names.as_slice() {
        [] => text.push_str(
            "You are not a member of any projects. You can request a project to be created with the 'new-project' command.\n",
        ),
        [only] => text.push_str(&format!("You have one project on this server: \"{only}\".\n")),
        _ => {
            text.push_str(&format!(
                "You have access to the following projects and can switch between them with '{} project <projectname>':\n\n",
                crate::PROGRAM
            ));
            for (project, name) in projects.iter().zip(&names) {
                let mark = if *name == current { "  * " } else { "    " };
                let shown = text_at(project, &["metadata", "annotations", "openshift.io/display-name"]);
                let shown = if shown.is_empty() { String::new() } else { format!(" - {shown}") };
                text.push_str(&format!("{mark}{name}{shown}\n"));
            }
        }
    }
    if exists {
        text.push_str(&format!("\nUsing project \"{current}\"{}.\n", place(app)));
    }
    app.io.print(&text)
}
