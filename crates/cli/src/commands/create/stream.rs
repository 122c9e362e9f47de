//! `create imagestream` and `create imagestreamtag`.

use oci::reference::Reference;
use serde_json::{Map, Value, json};

use super::{Common, Draft, collection, one_name};
use crate::app::App;
use crate::failure::{Failure, plain};

const ROOT: &str = "/apis/image.openshift.io/v1";

/// `create imagestream NAME`
#[derive(Debug, Clone, clap::Args)]
pub(super) struct StreamArgs {
    /// Name of the stream
    args: Vec<String>,
    /// Let workloads of the project use the stream's name as an image
    #[arg(long)]
    lookup_local: bool,
    #[command(flatten)]
    common: Common,
}

/// `create imagestreamtag STREAM:TAG`
#[derive(Debug, Clone, clap::Args)]
pub(super) struct TagArgs {
    /// Stream and tag
    args: Vec<String>,
    /// Image of another registry to follow
    #[arg(long, default_value = "")]
    from_image: String,
    /// [PROJECT/]STREAM:TAG, [PROJECT/]STREAM@IMAGE or :TAG to follow
    #[arg(long, default_value = "")]
    from: String,
    /// Annotation of the tag; may be repeated
    #[arg(long, short = 'A', value_delimiter = ',')]
    annotation: Vec<String>,
    /// Import again and again
    #[arg(long)]
    scheduled: bool,
    /// The source may be reached by HTTP or with a bad certificate
    #[arg(long)]
    insecure: bool,
    /// Only refer to the image; do not import it
    #[arg(long)]
    reference: bool,
    /// How workloads pull the image: source or local
    #[arg(long, default_value = "")]
    reference_policy: String,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn stream(app: &App, args: &StreamArgs) -> Result<(), Failure> {
    let name = one_name(&args.args, "create imagestream")?;
    let draft = Draft {
        path: collection(app, ROOT, "imagestreams"),
        body: json!({
            "kind": "ImageStream", "apiVersion": "image.openshift.io/v1", "metadata": {"name": name},
            "spec": {"lookupPolicy": {"local": args.lookup_local}}, "status": {"dockerImageRepository": ""},
        }),
        order: &["spec", "lookupPolicy", "dockerImageRepository", "tags", "status"],
        managed: false,
        complaint: "",
    };
    draft.create(app, &args.common).await
}

pub(super) async fn tag(app: &App, args: &TagArgs) -> Result<(), Failure> {
    let name = one_name(&args.args, "create imagestreamtag")?;
    let body = tag_body(name, args)?;
    let draft = Draft {
        path: collection(app, ROOT, "imagestreamtags"),
        body,
        order: &[
            "tag",
            "from",
            "reference",
            "generation",
            "importPolicy",
            "referencePolicy",
            "lookupPolicy",
            "image",
        ],
        managed: false,
        complaint: "",
    };
    draft.create(app, &args.common).await
}

fn tag_body(name: &str, args: &TagArgs) -> Result<Value, Failure> {
    let from = source(args)?;
    let policy = match args.reference_policy.to_lowercase().as_str() {
        "" => "",
        "source" => "Source",
        "local" => "Local",
        _ => return Err(plain("valid values for --reference-policy are: source, local")),
    };
    let mut annotations = Map::new();
    for pair in &args.annotation {
        let (key, value) = pair.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
            plain(format!(
                "annotations must be of the form key=value, but is {}",
                machinery::field::quote(pair)
            ))
        })?;
        annotations.insert(key.to_owned(), value.into());
    }
    let mut import = Map::new();
    if args.insecure {
        import.insert("insecure".to_owned(), true.into());
    }
    if args.scheduled {
        import.insert("scheduled".to_owned(), true.into());
    }
    let mut metadata = json!({"name": name});
    if !annotations.is_empty() {
        metadata["annotations"] = Value::Object(annotations.clone());
    }
    let mut tag = json!({
        "name": "", "annotations": annotations, "generation": null, "importPolicy": import,
        "referencePolicy": {"type": policy},
    });
    if let Some(from) = from {
        tag["from"] = from;
    }
    if args.reference {
        tag["reference"] = true.into();
    }
    Ok(json!({
        "kind": "ImageStreamTag", "apiVersion": "image.openshift.io/v1", "metadata": metadata, "tag": tag,
        "generation": 0, "lookupPolicy": {"local": false},
        "image": {"metadata": {}, "dockerImageMetadata": null},
    }))
}

fn source(args: &TagArgs) -> Result<Option<Value>, Failure> {
    if !args.from.is_empty() && !args.from_image.is_empty() {
        return Err(plain("--from and --from-image may not be used together"));
    }
    if !args.from_image.is_empty() {
        return Ok(Some(json!({"kind": "DockerImage", "name": args.from_image})));
    }
    if let Some(tag) = args.from.strip_prefix(':') {
        return Ok(Some(json!({"kind": "ImageStreamTag", "name": tag})));
    }
    if args.from.is_empty() {
        return Ok(None);
    }
    let reference = Reference::parse(&args.from).map_err(|error| {
        plain(format!("Invalid --from, must be a valid image stream tag or image stream image: {error}"))
    })?;
    if !reference.registry.is_empty() {
        return Err(plain("Invalid --from, registry may not be specified"));
    }
    let kind = if reference.id.is_empty() { "ImageStreamTag" } else { "ImageStreamImage" };
    let mut from = json!({"kind": kind, "name": reference.name_string()});
    if !reference.namespace.is_empty() {
        from["namespace"] = reference.namespace.into();
    }
    Ok(Some(from))
}
