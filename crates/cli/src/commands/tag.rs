//! `tag`: point tags of image streams at images, or delete them.
//!
//! What a source means is decided before anything is sent: a tag of a stream is resolved *now*, to the image it points
//! at, so that a later move of the source does not move the copy (unless `--alias` asks for just that).

use machinery::image::{ImageStream, ImageStreamTag, TagReference, well_known};
use machinery::meta::ObjectReference;
use oci::reference::Reference;

use crate::app::App;
use crate::client::{Api, Call, JSON_OR_ANY, segment};
use crate::discovery::check_name;
use crate::failure::{Failure, plain, usage};
use crate::limits;
use crate::streams::latest;

/// `tag [--source=TYPE] SOURCE DEST…`, `tag -d DEST…`
#[derive(Debug, Clone, Default, clap::Args)]
#[command(
    after_help = "Examples:\n  # Point latest at the image that 2.0 points at now\n  weir tag ruby:2.0 ruby:latest\n\n  # Follow an image of another registry\n  weir tag --scheduled quay.io/org/app:1 app:1\n\n  # Delete a tag\n  weir tag -d ruby:latest"
)]
pub(crate) struct Args {
    /// SOURCE DEST…, or tags to delete
    args: Vec<String>,
    /// Kind of the source: imagestreamtag, istag, imagestreamimage, isimage or docker
    #[arg(long, default_value = "")]
    source: String,
    /// Delete the tags
    #[arg(short, long)]
    delete: bool,
    /// Track the source tag instead of copying where it points now
    #[arg(long)]
    alias: bool,
    /// Only refer to the image; do not import it
    #[arg(long)]
    reference: bool,
    /// Import again and again
    #[arg(long)]
    scheduled: bool,
    /// The source may be reached by HTTP or with a bad certificate
    #[arg(long)]
    insecure: bool,
    /// How workloads pull the image: from the source, or through the local registry
    #[arg(long, default_value = "source")]
    reference_policy: String,
    /// What to import of an index: Legacy (one image) or PreserveOriginal (all of it)
    #[arg(long, default_value = "")]
    import_mode: String,
}

/// A source that was read.
#[derive(Debug, Clone, PartialEq, Default)]
struct Source {
    kind: String,
    reference: Reference,
}

/// A destination: a tag of a stream in a project.
#[derive(Debug, Clone, PartialEq)]
struct Destination {
    namespace: String,
    /// As typed behind the project: `stream:tag`.
    name: String,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    if args.args.is_empty() && args.delete {
        return Err(plain("at least a destination is required"));
    }
    if args.args.is_empty() {
        return Err(usage(
            "tag",
            "you must specify a source and at least one destination or one or more tags to delete",
        ));
    }
    let kind = source_kind(app, &args.source).await?;
    let (source, destinations) = if args.delete {
        (Source { kind, ..Source::default() }, args.args.as_slice())
    } else {
        let (text, destinations) =
            args.args.split_first().ok_or_else(|| plain("at least a destination is required"))?;
        let mut source = read_source(text, &kind, app.namespace())?;
        if source.kind == well_known::IMAGE_STREAM_TAG && !args.alias {
            source = resolve(app, text, source).await?;
        }
        (source, destinations)
    };
    let destinations = destinations
        .iter()
        .map(|text| read_destination(text, app.namespace()))
        .collect::<Result<Vec<_>, _>>()?;
    validate(args, &source, &destinations, app.namespace())?;
    for destination in &destinations {
        if args.delete {
            delete(app, destination).await?;
        } else {
            set(app, args, &source, destination).await?;
        }
    }
    Ok(())
}

/// The kind that `--source` names; empty when the source itself must tell.
async fn source_kind(app: &App, text: &str) -> Result<String, Failure> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let mapped = app
        .mapper()
        .await?
        .resources
        .iter()
        .find(|r| {
            r.group == machinery::image::GROUP
                && (r.plural == text
                    || r.singular == text
                    || r.kind == text
                    || r.short_names.iter().any(|s| s == text))
        })
        .map(|r| r.kind.clone());
    let kind = match mapped {
        Some(kind) => kind,
        None if matches!(text.to_lowercase().as_str(), "docker" | "dockerimage") => "DockerImage".to_owned(),
        None => text.to_owned(),
    };
    match kind.to_lowercase().as_str() {
        "docker" | "dockerimage" | "imagestreamimage" | "imagestreamtag" | "isimage" | "istag" => Ok(kind),
        _ => Err(usage(
            "tag",
            format!(
                "invalid source \"{text}\"; valid values are docker, dockerimage, imagestreamimage, imagestreamtag, isimage, istag"
            ),
        )),
    }
}

fn read_source(text: &str, kind: &str, namespace: &str) -> Result<Source, Failure> {
    let mut reference = Reference::parse(text).map_err(|error| plain(format!("invalid SOURCE: {error}")))?;
    if kind == well_known::IMAGE_STREAM_TAG || kind == well_known::IMAGE_STREAM_IMAGE {
        if !reference.registry.is_empty() {
            return Err(plain("server in SOURCE is only allowed when providing a container image"));
        }
        if reference.namespace == "library" {
            namespace.clone_into(&mut reference.namespace);
        }
        if kind == well_known::IMAGE_STREAM_TAG && reference.tag.is_empty() {
            return Err(plain("--source=ImageStreamTag requires a valid <name>:<tag> in SOURCE"));
        }
        if kind == well_known::IMAGE_STREAM_IMAGE && reference.id.is_empty() {
            return Err(plain("--source=ImageStreamImage requires a valid <name>@<id> in SOURCE"));
        }
    }
    let kind = match kind {
        "" if !reference.registry.is_empty() => well_known::DOCKER_IMAGE,
        "" if !reference.id.is_empty() => well_known::IMAGE_STREAM_IMAGE,
        "" if !reference.tag.is_empty() => well_known::IMAGE_STREAM_TAG,
        "" => well_known::DOCKER_IMAGE,
        kind => kind,
    };
    Ok(Source { kind: kind.to_owned(), reference })
}

/// From a tag to the image it points at now.
async fn resolve(app: &App, text: &str, source: Source) -> Result<Source, Failure> {
    let namespace =
        if source.reference.namespace.is_empty() { app.namespace() } else { &source.reference.namespace };
    let path = stream_path(namespace, &source.reference.name)?;
    let answer = app.api().await?.document(Call::get(path, JSON_OR_ANY)).await?;
    let stream: ImageStream = serde_json::from_value(answer).map_err(|error| plain(error.to_string()))?;
    pin(&stream, text, source)
}

fn pin(stream: &ImageStream, text: &str, source: Source) -> Result<Source, Failure> {
    let Some(event) = latest(stream, &source.reference.tag) else {
        return Err(plain(format!(
            "\"{text}\" is not currently pointing to an image, cannot use it as the source of a tag"
        )));
    };
    if event.image.is_empty() {
        let reference = Reference::parse(&event.docker_image_reference).map_err(|error| {
            plain(format!(
                "the image stream tag \"{text}\" has an invalid pull spec and cannot be used to tag: {error}"
            ))
        })?;
        return Ok(Source { kind: well_known::DOCKER_IMAGE.to_owned(), reference });
    }
    let reference = Reference { id: event.image.clone(), tag: String::new(), ..source.reference };
    Ok(Source { kind: well_known::IMAGE_STREAM_IMAGE.to_owned(), reference })
}

fn read_destination(text: &str, namespace: &str) -> Result<Destination, Failure> {
    match text.split('/').collect::<Vec<_>>().as_slice() {
        [name] => Ok(Destination { namespace: namespace.to_owned(), name: (*name).to_owned() }),
        ["", _] => Err(plain(format!("invalid namespace \"\" for image stream \"{text}\""))),
        [_, ""] => Err(plain(format!("invalid name \"\" for image stream \"{text}\""))),
        [namespace, name] => Ok(Destination { namespace: (*namespace).to_owned(), name: (*name).to_owned() }),
        _ => Err(plain(format!("invalid image stream \"{text}\""))),
    }
}

fn validate(
    args: &Args,
    source: &Source,
    destinations: &[Destination],
    namespace: &str,
) -> Result<(), Failure> {
    let importing = args.scheduled || args.insecure;
    let refuse = |message: &str| Err(plain(message));
    if args.alias && args.delete {
        return refuse("--alias and --delete may not be both specified");
    }
    if !matches!(args.reference_policy.as_str(), "source" | "local") {
        return refuse("reference policy must be set to 'source' or 'local'");
    }
    if args.delete {
        if !source.kind.is_empty() {
            return refuse("cannot specify a source kind when deleting");
        }
        if importing {
            return refuse("cannot set flags for importing images when deleting a tag");
        }
        if !args.import_mode.is_empty() {
            return refuse("cannot specify an import mode when deleting");
        }
        return Ok(());
    }
    if destinations.is_empty() {
        return refuse("at least a destination is required");
    }
    if source.kind != well_known::DOCKER_IMAGE && importing {
        return refuse("only container images can have importing flags set");
    }
    if args.alias {
        if importing {
            return refuse("cannot set a container image tag as an alias and also set import flags");
        }
        for destination in destinations {
            let Some((stream, _)) = destination.name.split_once(':') else {
                return Err(no_tag(&destination.name));
            };
            if destination.namespace != namespace || stream != source.reference.name {
                return refuse("cannot set alias across different Image Streams");
            }
        }
    }
    if !matches!(args.import_mode.as_str(), "" | well_known::LEGACY | well_known::PRESERVE_ORIGINAL) {
        return refuse("valid ImportMode values are Legacy or PreserveOriginal");
    }
    Ok(())
}

fn no_tag(name: &str) -> Failure {
    plain(format!("\"{name}\" must be of the form <stream_name>:<tag>"))
}

fn stream_path(namespace: &str, name: &str) -> Result<String, Failure> {
    check_name(name)?;
    Ok(format!("{}/imagestreams/{}", project_path(namespace), segment(name)))
}

fn project_path(namespace: &str) -> String {
    format!("/apis/image.openshift.io/v1/namespaces/{}", segment(namespace))
}

/// What is sent for a destination.
fn body(args: &Args, source: &Source, destination: &Destination, namespace: &str) -> ImageStreamTag {
    let (_, tag, _) = machinery::image::split_stream_tag(&destination.name);
    let reference = &source.reference;
    let docker = source.kind == well_known::DOCKER_IMAGE;
    let mut from = ObjectReference { kind: source.kind.clone(), ..ObjectReference::default() };
    if docker {
        from.name = reference.exact();
    } else {
        from.name = reference.name_string();
        if !reference.namespace.is_empty() {
            from.namespace.clone_from(&reference.namespace);
        } else if destination.namespace != namespace {
            namespace.clone_into(&mut from.namespace);
        }
    }
    let mut spec = TagReference {
        name: tag.to_owned(),
        from: Some(from),
        reference: args.reference,
        generation: docker.then_some(0),
        ..TagReference::default()
    };
    spec.import_policy.scheduled = args.scheduled;
    spec.import_policy.insecure = args.insecure;
    spec.import_policy.import_mode =
        if args.import_mode.is_empty() { well_known::LEGACY } else { &args.import_mode }.to_owned();
    let policy = if args.reference_policy == "local" { well_known::LOCAL } else { well_known::SOURCE };
    policy.clone_into(&mut spec.reference_policy.r#type);
    let mut body = ImageStreamTag { tag: Some(spec), ..ImageStreamTag::default() };
    body.metadata.name.clone_from(&destination.name);
    body.metadata.namespace.clone_from(&destination.namespace);
    body
}

/// The line that tells what was done.
fn told(args: &Args, source: &Source, destination: &Destination, namespace: &str) -> String {
    let reference = source.reference.exact();
    let here = destination.namespace == namespace;
    let place = if here {
        destination.name.clone()
    } else {
        format!("{}/{}", destination.namespace, destination.name)
    };
    if args.alias {
        format!("Tag {place} set up to track {reference}.")
    } else if args.scheduled && here {
        format!("Tag {place} set to import {reference} periodically.")
    } else if args.scheduled {
        format!("Tag {place} set to {reference} periodically.")
    } else {
        format!("Tag {place} set to {reference}.")
    }
}

async fn set(app: &App, args: &Args, source: &Source, destination: &Destination) -> Result<(), Failure> {
    if !destination.name.contains(':') {
        return Err(no_tag(&destination.name));
    }
    let (_, tag, _) = machinery::image::split_stream_tag(&destination.name);
    if !oci::reference::is_tag(tag) {
        return Err(plain(format!(
            "invalid tag \"{tag}\" format, tags must start with an alphanumeric character followed by alphanumeric, '.' or '-' characters, and have a maximum of 128 characters"
        )));
    }
    let body = body(args, source, destination, app.namespace());
    let api = app.api().await?;
    retrying(|| put(api, &body)).await?;
    app.io.line(&told(args, source, destination, app.namespace()))
}

/// Repeats a write that meets a conflict.
async fn retrying<F: Future<Output = Result<(), Failure>>>(
    mut attempt: impl FnMut() -> F,
) -> Result<(), Failure> {
    let mut attempts = 1;
    loop {
        match attempt().await {
            Err(error) if error.is_conflict() && attempts < limits::CONFLICT_ATTEMPTS => {
                attempts += 1;
                tokio::time::sleep(limits::CONFLICT_PAUSE).await;
            }
            other => return other,
        }
    }
}

/// Updates the tag; makes it where updates cannot; falls back to the stream itself on servers without tags to write.
async fn put(api: &Api, body: &ImageStreamTag) -> Result<(), Failure> {
    let refused = |error: &Failure| error.is_method_not_allowed() || error.is_forbidden();
    let name = &body.metadata.name;
    check_name(name)?;
    let tags = format!("{}/imagestreamtags", project_path(&body.metadata.namespace));
    let send = |method, path: String| {
        api.call(Call::bytes(method, path, crate::client::JSON, machinery::json::object(body)))
    };
    match send(http::Method::PUT, format!("{tags}/{}", segment(name))).await {
        Err(error) if refused(&error) || error.is_not_found() => {}
        other => return other.map(drop),
    }
    match send(http::Method::POST, tags).await {
        Err(error) if refused(&error) => {}
        other => return other.map(drop),
    }
    let (stream_name, ..) = machinery::image::split_stream_tag(name);
    let namespace = &body.metadata.namespace;
    let path = stream_path(namespace, stream_name)?;
    let (mut stream, exists) = match api.document(Call::get(path.clone(), JSON_OR_ANY)).await {
        Ok(found) => (serde_json::from_value(found).map_err(|error| plain(error.to_string()))?, true),
        Err(error) if error.is_not_found() => {
            let mut stream = ImageStream::default();
            stream_name.clone_into(&mut stream.metadata.name);
            (stream, false)
        }
        Err(error) => return Err(error),
    };
    let mut spec = body.tag.clone().unwrap_or_default();
    if stream.spec.tag(&spec.name).is_some_and(|held| held.generation.is_none()) {
        stream.metadata.annotations.remove(well_known::REPOSITORY_CHECK);
        spec.generation = None;
    }
    stream.spec.set_tag(spec);
    let (method, path) = if exists {
        (http::Method::PUT, path)
    } else {
        (http::Method::POST, format!("{}/imagestreams", project_path(namespace)))
    };
    api.call(Call::bytes(method, path, crate::client::JSON, machinery::json::object(&stream))).await.map(drop)
}

async fn delete(app: &App, destination: &Destination) -> Result<(), Failure> {
    let Destination { namespace, name } = destination;
    if !name.contains(':') {
        return Err(no_tag(name));
    }
    check_name(name)?;
    let api = app.api().await?;
    let options = serde_json::json!({"kind": "DeleteOptions", "apiVersion": machinery::image::GROUP_VERSION});
    let path = format!("{}/imagestreamtags/{}", project_path(namespace), segment(name));
    match api.call(Call::send(http::Method::DELETE, path, &options)).await {
        Err(error) if error.is_method_not_allowed() || error.is_forbidden() => {}
        other => {
            other?;
            return app.io.line(&format!("Deleted tag {namespace}/{name}."));
        }
    }
    let (stream_name, tag, _) = machinery::image::split_stream_tag(name);
    let path = stream_path(namespace, stream_name)?;
    let found = match api.document(Call::get(path.clone(), JSON_OR_ANY)).await {
        Err(error) if error.is_not_found() => {
            return app.io.line(&format!("Image stream \"{stream_name}\" does not exist."));
        }
        other => other?,
    };
    let mut stream: ImageStream = serde_json::from_value(found).map_err(|error| plain(error.to_string()))?;
    if !stream.spec.remove_tag(tag) {
        return Err(plain(format!("destination tag {namespace}/{name} does not exist.\n")));
    }
    let call = Call::bytes(http::Method::PUT, path, crate::client::JSON, machinery::json::object(&stream));
    api.call(call).await?;
    app.io.line(&format!("Deleted tag {namespace}/{name}."))
}

#[cfg(test)]
mod tests;
