//! `policy`: who has which role in a project.
//!
//! Every call that gives a role makes a binding of its own with just the new subjects; only a binding that is named
//! grows. Taking a role away changes the bindings that are there, and deletes those without subjects. `adm policy` does
//! the same for the whole server, too.

pub(super) mod adm;
mod remove;
mod who;

use serde_json::{Value, json};

use crate::app::App;
use crate::client::{Call, JSON, segment, target};
use crate::failure::{Failure, plain};
use crate::flags::{DryRun, DryRunFlag, PrintFlags};
use crate::golang::{items_at, text_at};
use crate::print;

const ROOT: &str = "/apis/rbac.authorization.k8s.io/v1";
const GROUP: &str = "rbac.authorization.k8s.io";
/// Bindings of one role that get numbers of their own before we give up.
const MOST_BINDINGS: usize = 100;

/// `policy VERB …`
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Give a role to users or service accounts
    AddRoleToUser(Flags),
    /// Give a role to groups
    AddRoleToGroup(Flags),
    /// Take a role from users or service accounts
    RemoveRoleFromUser(Flags),
    /// Take a role from groups
    RemoveRoleFromGroup(Flags),
    /// Take all roles from users
    RemoveUser(remove::AllFlags),
    /// Take all roles from groups
    RemoveGroup(remove::AllFlags),
    /// List who may do something
    WhoCan(who::Args),
}

/// Flags of giving and taking.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Flags {
    /// ROLE NAME…
    args: Vec<String>,
    /// Service account of the project; may be repeated
    #[arg(short = 'z', long, value_delimiter = ',')]
    serviceaccount: Vec<String>,
    /// Project of the role; a cluster role when not given
    #[arg(long, default_value = "")]
    role_namespace: String,
    /// Name of the binding to change or make
    #[arg(long, default_value = "")]
    rolebinding_name: String,
    #[command(flatten)]
    print: PrintFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
}

#[derive(Clone, Copy, PartialEq)]
enum Who {
    Users,
    Groups,
}

/// Where a role is given.
#[derive(Clone, Copy, PartialEq)]
enum Scope {
    Project,
    Server,
}

impl Scope {
    fn kind(self) -> &'static str {
        if self == Scope::Project { "RoleBinding" } else { "ClusterRoleBinding" }
    }

    /// Where the bindings are.
    fn path(self, app: &App) -> String {
        match self {
            Scope::Project => format!("{ROOT}/namespaces/{}/rolebindings", segment(app.namespace())),
            Scope::Server => format!("{ROOT}/clusterrolebindings"),
        }
    }
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let grant = |flags, who| Grant::read(app, flags, who, Scope::Project);
    match &args.what {
        What::AddRoleToUser(flags) => add(app, &grant(flags, Who::Users)?).await,
        What::AddRoleToGroup(flags) => add(app, &grant(flags, Who::Groups)?).await,
        What::RemoveRoleFromUser(flags) => remove::role(app, &grant(flags, Who::Users)?).await,
        What::RemoveRoleFromGroup(flags) => remove::role(app, &grant(flags, Who::Groups)?).await,
        What::RemoveUser(flags) => remove::all(app, flags, "User").await,
        What::RemoveGroup(flags) => remove::all(app, flags, "Group").await,
        What::WhoCan(args) => who::run(app, args).await,
    }
}

/// What is given or taken.
struct Grant<'a> {
    flags: &'a Flags,
    scope: Scope,
    role: String,
    /// `Role` or `ClusterRole`
    kind: &'static str,
    subjects: Vec<Value>,
    /// The subjects as typed.
    names: Vec<String>,
    dry_run: DryRun,
}

impl Grant<'_> {
    fn read<'a>(app: &App, flags: &'a Flags, who: Who, scope: Scope) -> Result<Grant<'a>, Failure> {
        let (role, names) = match (flags.args.split_first(), who) {
            (Some((role, names)), Who::Users) if !names.is_empty() || !flags.serviceaccount.is_empty() => {
                (role, names)
            }
            (Some((role, names)), Who::Groups) if !names.is_empty() => (role, names),
            (None, Who::Users) => return Err(plain("you must specify a role")),
            (Some(_), Who::Users) => {
                return Err(plain("you must specify at least one user or service account"));
            }
            (_, Who::Groups) => {
                return Err(plain("you must specify at least two arguments: <role> <group> [group]..."));
            }
        };
        let namespace = app.namespace();
        if scope == Scope::Server && !flags.role_namespace.is_empty() {
            return Err(plain("a role of a project cannot be given in the whole server"));
        }
        if !flags.role_namespace.is_empty() && flags.role_namespace != namespace {
            return Err(plain(format!(
                "role binding in namespace \"{namespace}\" can't reference role in different namespace \"{}\"",
                flags.role_namespace
            )));
        }
        let mut subjects: Vec<Value> = names.iter().map(|name| subject(name, who)).collect();
        subjects.extend(flags.serviceaccount.iter().map(|name| account(namespace, name)));
        let names = names.iter().chain(&flags.serviceaccount).cloned().collect();
        let kind = if flags.role_namespace.is_empty() { "ClusterRole" } else { "Role" };
        Ok(Grant { flags, scope, role: role.clone(), kind, subjects, names, dry_run: flags.dry_run.get()? })
    }

    fn is_of(&self, binding: &Value) -> bool {
        text_at(binding, &["roleRef", "name"]) == self.role
            && text_at(binding, &["roleRef", "kind"]) == self.kind
    }

    /// `clusterrole.rbac.authorization.k8s.io/view added: "bob"`
    fn tell(&self, app: &App, binding: &Value, word: &str) -> Result<(), Failure> {
        if let Some(printer) = print::printer(&self.flags.print)? {
            return printer.print(binding, &app.io);
        }
        let names = match self.names.as_slice() {
            [only] => machinery::field::quote(only),
            several => {
                let quoted: Vec<String> = several.iter().map(|name| machinery::field::quote(name)).collect();
                format!("[{}]", quoted.join(" "))
            }
        };
        let what = if self.dry_run == DryRun::Client {
            print::name_of(binding)
        } else {
            format!("{}.{GROUP}/{}", self.kind.to_lowercase(), self.role)
        };
        app.io.line(&format!("{what} {word}: {names}{}", self.dry_run.suffix()))
    }
}

/// A user, or the service account that a user's name means.
fn subject(name: &str, who: Who) -> Value {
    if who == Who::Groups {
        return json!({"kind": "Group", "apiGroup": GROUP, "name": name});
    }
    match name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => account(namespace, name),
        _ => json!({"kind": "User", "apiGroup": GROUP, "name": name}),
    }
}

fn account(namespace: &str, name: &str) -> Value {
    json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})
}

fn same(a: &Value, b: &Value) -> bool {
    ["kind", "name", "namespace"].iter().all(|key| text_at(a, &[key]) == text_at(b, &[key]))
}

/// All bindings of the project, or of the server.
async fn bindings(app: &App, scope: Scope) -> Result<Vec<Value>, Failure> {
    let found = app.api().await?.document(Call::get(scope.path(app), JSON)).await?;
    let typed = |item: &Value| {
        let mut item = item.clone();
        item["kind"] = scope.kind().into();
        item["apiVersion"] = format!("{GROUP}/v1").into();
        item
    };
    Ok(items_at(&found, &["items"]).iter().map(typed).collect())
}

async fn add(app: &App, grant: &Grant<'_>) -> Result<(), Failure> {
    let all = bindings(app, grant.scope).await?;
    let named = &grant.flags.rolebinding_name;
    let held =
        all.iter().find(|binding| !named.is_empty() && text_at(binding, &["metadata", "name"]) == named);
    if let Some(other) = held.filter(|binding| !grant.is_of(binding)) {
        return Err(plain(format!(
            "{} {named} found for role {}, not {}",
            grant.scope.kind().to_lowercase(),
            text_at(other, &["roleRef", "name"]),
            grant.role
        )));
    }
    let of_role: Vec<&Value> = match held {
        Some(held) => vec![held],
        None if named.is_empty() => all.iter().filter(|binding| grant.is_of(binding)).collect(),
        None => Vec::new(),
    };
    let bound = |subject: &Value| {
        of_role
            .iter()
            .any(|binding| items_at(binding, &["subjects"]).iter().any(|known| same(known, subject)))
    };
    let fresh: Vec<Value> = grant.subjects.iter().filter(|subject| !bound(subject)).cloned().collect();
    warn(app, grant).await?;
    if fresh.is_empty() {
        let binding = of_role.first().map_or(Value::Null, |binding| (*binding).clone());
        return grant.tell(app, &binding, "added");
    }
    let (method, path, binding) = match held {
        Some(held) => {
            let mut binding = held.clone();
            let mut subjects = items_at(held, &["subjects"]).to_vec();
            subjects.extend(fresh);
            binding["subjects"] = subjects.into();
            (http::Method::PUT, format!("{}/{}", grant.scope.path(app), segment(named)), binding)
        }
        None => {
            let name = if named.is_empty() { free_name(&all, &grant.role)? } else { named.clone() };
            let mut binding = json!({
                "kind": grant.scope.kind(), "apiVersion": format!("{GROUP}/v1"),
                "metadata": {"name": name}, "subjects": fresh,
                "roleRef": {"apiGroup": GROUP, "kind": grant.kind, "name": grant.role},
            });
            if grant.scope == Scope::Project {
                binding["metadata"]["namespace"] = app.namespace().into();
            }
            (http::Method::POST, grant.scope.path(app), binding)
        }
    };
    let mut result = binding.clone();
    if grant.dry_run != DryRun::Client {
        let path = target(&path, &grant.dry_run.query(Vec::new()));
        result = app.api().await?.document(Call::send(method, path, &binding)).await?;
    }
    grant.tell(app, &result, "added")
}

/// The role's name, or the first with a number behind it that is free.
fn free_name(all: &[Value], role: &str) -> Result<String, Failure> {
    let taken = |name: &str| all.iter().any(|binding| text_at(binding, &["metadata", "name"]) == name);
    if !taken(role) {
        return Ok(role.to_owned());
    }
    (0..MOST_BINDINGS)
        .map(|number| format!("{role}-{number}"))
        .find(|name| !taken(name))
        .ok_or_else(|| plain(format!("there are too many rolebindings of role {role}")))
}

/// Warns of roles and service accounts that are not there.
async fn warn(app: &App, grant: &Grant<'_>) -> Result<(), Failure> {
    let api = app.api().await?;
    let path = if grant.kind == "Role" {
        format!("{ROOT}/namespaces/{}/roles/{}", segment(app.namespace()), segment(&grant.role))
    } else {
        format!("{ROOT}/clusterroles/{}", segment(&grant.role))
    };
    if api.call(Call::get(path, JSON)).await.is_err_and(|error| error.is_not_found()) {
        app.io.complain(&format!("Warning: role '{}' not found", grant.role));
    }
    for subject in grant.subjects.iter().filter(|subject| subject["kind"] == "ServiceAccount") {
        let (namespace, name) = (text_at(subject, &["namespace"]), text_at(subject, &["name"]));
        let path = format!("/api/v1/namespaces/{}/serviceaccounts/{}", segment(namespace), segment(name));
        if api.call(Call::get(path, JSON)).await.is_err_and(|error| error.is_not_found()) {
            app.io.complain(&format!("Warning: ServiceAccount '{name}' not found"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
