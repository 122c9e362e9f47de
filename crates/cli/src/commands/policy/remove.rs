//! Taking roles away: one role from some, or all roles from somebody.

use serde_json::{Value, json};

use super::{Grant, Scope, bindings, same};
use crate::app::App;
use crate::client::{Call, segment, target};
use crate::failure::{Failure, plain};
use crate::flags::{DryRun, DryRunFlag};
use crate::golang::{items_at, text_at};

/// Flags of taking everything.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AllFlags {
    /// NAME…
    args: Vec<String>,
    #[command(flatten)]
    dry_run: DryRunFlag,
}

pub(super) async fn role(app: &App, grant: &Grant<'_>) -> Result<(), Failure> {
    let named = &grant.flags.rolebinding_name;
    let of_role: Vec<Value> = bindings(app, grant.scope)
        .await?
        .into_iter()
        .filter(|binding| grant.is_of(binding))
        .filter(|binding| named.is_empty() || text_at(binding, &["metadata", "name"]) == named)
        .collect();
    let Some(first) = of_role.first().cloned() else {
        let kind = grant.scope.kind();
        return Err(plain(format!("unable to locate any {kind} for {} \"{}\"", grant.kind, grant.role)));
    };
    let mut found = false;
    for binding in &of_role {
        let gone = |known: &Value| grant.subjects.iter().any(|subject| same(known, subject));
        if items_at(binding, &["subjects"]).iter().any(gone) {
            found = true;
            without(app, grant.scope, binding, gone, grant.dry_run).await?;
        }
    }
    if !found {
        return Err(plain(format!("unable to find target [{}]", grant.names.join(" "))));
    }
    grant.tell(app, &first, "removed")
}

/// Takes subjects out of a binding; one that is empty then goes.
async fn without(
    app: &App,
    scope: Scope,
    binding: &Value,
    gone: impl Fn(&Value) -> bool,
    dry_run: DryRun,
) -> Result<(), Failure> {
    if dry_run == DryRun::Client {
        return Ok(());
    }
    let path = format!("{}/{}", scope.path(app), segment(text_at(binding, &["metadata", "name"])));
    let left: Vec<Value> =
        items_at(binding, &["subjects"]).iter().filter(|known| !gone(known)).cloned().collect();
    let mut changed = binding.clone();
    let call = if left.is_empty() {
        let mut options = json!({"kind": "DeleteOptions", "apiVersion": "rbac.authorization.k8s.io/v1"});
        if dry_run == DryRun::Server {
            options["dryRun"] = json!(["All"]);
        }
        Call::send(http::Method::DELETE, path, &options)
    } else {
        changed["subjects"] = left.into();
        Call::send(http::Method::PUT, target(&path, &dry_run.query(Vec::new())), &changed)
    };
    app.api().await?.call(call).await.map(drop)
}

pub(super) async fn all(app: &App, flags: &AllFlags, kind: &str) -> Result<(), Failure> {
    let noun = kind.to_lowercase();
    if flags.args.is_empty() {
        return Err(plain(format!("you must specify at least one argument: <{noun}> [{noun}]...")));
    }
    let dry_run = flags.dry_run.get()?;
    let mut found = false;
    for binding in bindings(app, Scope::Project).await? {
        let is_named = |known: &Value, name: &str| known["kind"] == kind && text_at(known, &["name"]) == name;
        let gone = |known: &Value| flags.args.iter().any(|name| is_named(known, name));
        let subjects = items_at(&binding, &["subjects"]);
        let hit: Vec<&str> = flags
            .args
            .iter()
            .map(String::as_str)
            .filter(|name| subjects.iter().any(|known| is_named(known, name)))
            .collect();
        if hit.is_empty() {
            continue;
        }
        found = true;
        without(app, Scope::Project, &binding, gone, dry_run).await?;
        app.io.line(&format!(
            "Removing {} from {noun}s [{}] in project {}.{}",
            text_at(&binding, &["roleRef", "name"]),
            hit.join(" "),
            app.namespace(),
            dry_run.suffix()
        ))?;
    }
    if !found {
        app.io.line(&format!(
            "{kind}s [{}] were not bound to roles in project {}.",
            flags.args.join(" "),
            app.namespace()
        ))?;
    }
    Ok(())
}
