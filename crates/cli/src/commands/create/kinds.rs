//! `create namespace`, `serviceaccount`, `configmap` and `deployment`.

use serde_json::{Value, json};

use super::secret::{Data, content_hash};
use super::{Common, Draft, collection, one_name};
use crate::app::App;
use crate::failure::{Failure, plain};

/// `create namespace NAME`, `create serviceaccount NAME`
#[derive(Debug, Clone, clap::Args)]
pub(super) struct NamedArgs {
    /// Name of the object
    args: Vec<String>,
    #[command(flatten)]
    common: Common,
}

/// `create configmap NAME`
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ConfigMapArgs {
    /// Name of the map
    args: Vec<String>,
    /// [KEY=]FILE or a directory; may be repeated
    #[arg(long)]
    from_file: Vec<String>,
    /// KEY=VALUE; may be repeated
    #[arg(long)]
    from_literal: Vec<String>,
    /// File with lines of KEY=VALUE
    #[arg(long)]
    from_env_file: Vec<String>,
    /// Append a hash of the content to the name
    #[arg(long)]
    append_hash: bool,
    #[command(flatten)]
    common: Common,
}

/// `create deployment NAME --image=IMAGE`
#[derive(Debug, Clone, clap::Args)]
pub(super) struct DeploymentArgs {
    /// Name of the deployment
    args: Vec<String>,
    /// Image to run; may be repeated
    #[arg(long, value_delimiter = ',')]
    image: Vec<String>,
    /// How many copies
    #[arg(short, long, default_value_t = 1)]
    replicas: i64,
    /// Port the container listens on
    #[arg(long, default_value_t = -1)]
    port: i64,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn namespace(app: &App, args: &NamedArgs) -> Result<(), Failure> {
    let name = one_name(&args.args, "create namespace")?;
    let draft = Draft {
        path: "/api/v1/namespaces".to_owned(),
        body: json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}, "spec": {}, "status": {}}),
        order: &["spec", "status"],
        managed: true,
        complaint: "",
    };
    draft.create(app, &args.common).await
}

pub(super) async fn service_account(app: &App, args: &NamedArgs) -> Result<(), Failure> {
    let name = one_name(&args.args, "create serviceaccount")?;
    let draft = Draft {
        path: collection(app, "/api/v1", "serviceaccounts"),
        body: json!({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": name, "namespace": app.namespace()}}),
        order: &["secrets", "imagePullSecrets"],
        managed: true,
        complaint: "failed to create serviceaccount: ",
    };
    draft.create(app, &args.common).await
}

pub(super) async fn config_map(app: &App, args: &ConfigMapArgs) -> Result<(), Failure> {
    let name = one_name(&args.args, "create configmap")?;
    if !args.from_env_file.is_empty() && (!args.from_file.is_empty() || !args.from_literal.is_empty()) {
        return Err(plain("from-env-file cannot be combined with from-file or from-literal"));
    }
    let mut data = Data::default();
    data.files(&args.from_file)?;
    data.literals(&args.from_literal)?;
    data.environment(&args.from_env_file)?;
    let texts = data.texts().ok_or_else(|| plain("a value is no text; use a secret for binary content"))?;
    let name = if args.append_hash {
        let content = if texts.is_empty() { Value::from("") } else { Value::Object(texts.clone()) };
        format!("{name}-{}", content_hash(&json!({"data": content, "kind": "ConfigMap", "name": name})))
    } else {
        name.to_owned()
    };
    let mut body = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name, "namespace": app.namespace()}});
    if !texts.is_empty() {
        body["data"] = Value::Object(texts);
    }
    let draft = Draft {
        path: collection(app, "/api/v1", "configmaps"),
        body,
        order: &["data"],
        managed: true,
        complaint: "failed to create configmap: ",
    };
    draft.create(app, &args.common).await
}

pub(super) async fn deployment(app: &App, args: &DeploymentArgs) -> Result<(), Failure> {
    let name = one_name(&args.args, "create deployment")?;
    if args.image.is_empty() {
        return Err(plain("required flag(s) \"image\" not set"));
    }
    let containers: Vec<Value> = args
        .image
        .iter()
        .map(|image| {
            let mut container = json!({"name": container_name(image), "image": image, "resources": {}});
            if args.port > 0 {
                container["ports"] = json!([{"containerPort": args.port}]);
            }
            container
        })
        .collect();
    let labels = json!({"app": name});
    let draft = Draft {
        path: collection(app, "/apis/apps/v1", "deployments"),
        body: json!({
            "kind": "Deployment", "apiVersion": "apps/v1",
            "metadata": {"name": name, "namespace": app.namespace(), "labels": labels},
            "spec": {
                "replicas": args.replicas, "selector": {"matchLabels": labels}, "strategy": {},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
            },
            "status": {},
        }),
        order: &["spec", "replicas", "selector", "template", "strategy", "containers", "image", "status"],
        managed: true,
        complaint: "failed to create deployment: ",
    };
    draft.create(app, &args.common).await
}

/// The last part of an image's name, made a valid name.
fn container_name(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    let bare = last.split([':', '@']).next().unwrap_or(last);
    bare.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}
