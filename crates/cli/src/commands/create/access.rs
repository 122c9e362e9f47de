//! `create role`, `rolebinding` and `token`.

use serde_json::{Value, json};

use super::{Common, Draft, collection, one_name};
use crate::app::App;
use crate::client::{Call, segment};
use crate::discovery::check_name;
use crate::failure::{Failure, plain};
use crate::golang::text_at;

const ROOT: &str = "/apis/rbac.authorization.k8s.io/v1";

/// `create role NAME`
#[derive(Debug, Clone, clap::Args)]
pub(super) struct RoleArgs {
    /// Name of the role
    args: Vec<String>,
    /// Verb that is allowed; may be repeated
    #[arg(long, value_delimiter = ',')]
    verb: Vec<String>,
    /// Resource[.group][/subresource]; may be repeated
    #[arg(long, value_delimiter = ',')]
    resource: Vec<String>,
    /// Only objects of this name; may be repeated
    #[arg(long, value_delimiter = ',')]
    resource_name: Vec<String>,
    #[command(flatten)]
    common: Common,
}

/// `create rolebinding NAME`
#[derive(Debug, Clone, clap::Args)]
pub(super) struct BindingArgs {
    /// Name of the binding
    args: Vec<String>,
    /// Cluster role to give
    #[arg(long, default_value = "")]
    clusterrole: String,
    /// Role to give
    #[arg(long, default_value = "")]
    role: String,
    /// User; may be repeated
    #[arg(long, value_delimiter = ',')]
    user: Vec<String>,
    /// Group; may be repeated
    #[arg(long, value_delimiter = ',')]
    group: Vec<String>,
    /// PROJECT:NAME of a service account; may be repeated
    #[arg(long, value_delimiter = ',')]
    serviceaccount: Vec<String>,
    #[command(flatten)]
    common: Common,
}

/// `create token SERVICEACCOUNT`
#[derive(Debug, Clone, clap::Args)]
pub(super) struct TokenArgs {
    /// Name of the service account
    args: Vec<String>,
    /// How long the token is valid
    #[arg(long, value_parser = crate::duration::parse)]
    duration: Option<std::time::Duration>,
    /// Whom the token is for; may be repeated
    #[arg(long)]
    audience: Vec<String>,
}

pub(super) async fn role(app: &App, args: &RoleArgs) -> Result<(), Failure> {
    let name = one_name(&args.args, "create role")?;
    if args.verb.is_empty() {
        return Err(plain("at least one verb must be specified"));
    }
    if args.resource.is_empty() {
        return Err(plain("at least one resource must be specified"));
    }
    let mapper = app.mapper().await?;
    // One rule a group, in the order in which groups are named.
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for word in &args.resource {
        let (word, part) =
            word.split_once('/').map_or((word.as_str(), None), |(word, part)| (word, Some(part)));
        let (group, mut resource) = if word == "*" {
            ("*".to_owned(), "*".to_owned())
        } else {
            let found = mapper.require(word)?;
            (found.group.clone(), found.plural.clone())
        };
        if let Some(part) = part {
            resource = format!("{resource}/{part}");
        }
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, resources)) => resources.push(resource),
            None => groups.push((group, vec![resource])),
        }
    }
    let rules: Vec<Value> = groups
        .into_iter()
        .map(|(group, resources)| {
            let mut rule = json!({"verbs": args.verb, "apiGroups": [group], "resources": resources});
            if !args.resource_name.is_empty() {
                rule["resourceNames"] = json!(args.resource_name);
            }
            rule
        })
        .collect();
    let draft = Draft {
        path: collection(app, ROOT, "roles"),
        body: json!({"kind": "Role", "apiVersion": "rbac.authorization.k8s.io/v1",
            "metadata": {"name": name, "namespace": app.namespace()}, "rules": rules}),
        order: &["rules", "verbs", "apiGroups", "resources", "resourceNames"],
        managed: true,
        complaint: "",
    };
    draft.create(app, &args.common).await
}

pub(super) async fn binding(app: &App, args: &BindingArgs) -> Result<(), Failure> {
    let name = one_name(&args.args, "create rolebinding")?;
    if args.clusterrole.is_empty() == args.role.is_empty() {
        return Err(plain("exactly one of clusterrole or role must be specified"));
    }
    let (kind, role) =
        if args.role.is_empty() { ("ClusterRole", &args.clusterrole) } else { ("Role", &args.role) };
    let person = |kind: &str, name: &String| json!({"kind": kind, "apiGroup": "rbac.authorization.k8s.io", "name": name});
    let mut subjects: Vec<Value> = args.user.iter().map(|name| person("User", name)).collect();
    subjects.extend(args.group.iter().map(|name| person("Group", name)));
    for account in &args.serviceaccount {
        match account.split(':').collect::<Vec<_>>().as_slice() {
            [namespace, name] if !namespace.is_empty() && !name.is_empty() => {
                subjects.push(json!({"kind": "ServiceAccount", "name": name, "namespace": namespace}));
            }
            _ => return Err(plain("serviceaccount must be <namespace>:<name>")),
        }
    }
    let draft = Draft {
        path: collection(app, ROOT, "rolebindings"),
        body: json!({"kind": "RoleBinding", "apiVersion": "rbac.authorization.k8s.io/v1",
            "metadata": {"name": name, "namespace": app.namespace()}, "subjects": subjects,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}}),
        order: &["subjects", "roleRef", "apiGroup"],
        managed: true,
        complaint: "",
    };
    draft.create(app, &args.common).await
}

pub(super) async fn token(app: &App, args: &TokenArgs) -> Result<(), Failure> {
    let name = one_name(&args.args, "create token")?;
    check_name(name)?;
    let mut spec = json!({"audiences": args.audience});
    if let Some(duration) = args.duration.filter(|duration| !duration.is_zero()) {
        spec["expirationSeconds"] = duration.as_secs().into();
    }
    let body = json!({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": {}, "spec": spec});
    let path = format!("{}/{}/token", collection(app, "/api/v1", "serviceaccounts"), segment(name));
    let answer = app.api().await?.document(Call::send(http::Method::POST, path, &body)).await;
    let answer = answer.map_err(|error| match error {
        Failure::Status(status) => plain(format!("failed to create token: {}", status.message)),
        other => other,
    })?;
    match text_at(&answer, &["status", "token"]) {
        "" => Err(plain("failed to create token: no token in server response")),
        token => app.io.line(token),
    }
}
