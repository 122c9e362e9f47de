//! `import-image`: ask the server to import images into a stream, and show what came of it.
//!
//! The stream is read once and never written: what to import is decided here, the server does the rest in one request.

use machinery::image::{
    ImageImportSpec, ImageStream, ImageStreamImport, RepositoryImportSpec, TagImportPolicy,
    TagReferencePolicy, well_known,
};
use machinery::meta::{LocalObjectReference, ObjectReference};
use oci::reference::Reference;

use crate::app::App;
use crate::client::{Call, JSON_OR_ANY, segment};
use crate::describe;
use crate::discovery::check_name;
use crate::failure::{Failure, plain};
use crate::flags::PrintFlags;
use crate::print;
use crate::streams::{Lost, follow};

mod progress;

/// On a request: whether what is kept beside an image is imported with it. On a stream or a tag it says so for every import.
const SIGNATURES: &str = "weir.dev/import-signatures";

/// `import-image STREAM[:TAG]`
#[derive(Debug, Clone, Default, clap::Args)]
#[command(
    after_help = "Examples:\n  # Import the latest of an image into a new stream\n  weir import-image app --from=quay.io/org/app --confirm\n\n  # Import all tags of a repository\n  weir import-image app --from=quay.io/org/app --all --confirm"
)]
pub(crate) struct Args {
    /// Stream, or stream and tag
    args: Vec<String>,
    /// Image or repository to import from
    #[arg(long, default_value = "")]
    from: String,
    /// Allow the stream to be made, or to get another source
    #[arg(long)]
    confirm: bool,
    /// Import all tags
    #[arg(long)]
    all: bool,
    /// How workloads pull the image: source or local
    #[arg(long, default_value = "")]
    reference_policy: String,
    /// What to import of an index: Legacy (one image) or PreserveOriginal (all of it)
    #[arg(long, default_value = "")]
    import_mode: String,
    /// Fetch the images but do not keep them
    #[arg(long)]
    dry_run: bool,
    /// Import again and again
    #[arg(long)]
    scheduled: bool,
    /// Import also the signatures, attestations and bills of materials that are kept beside the image
    #[arg(long)]
    signatures: bool,
    /// The source may be reached by HTTP or with a bad certificate
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = crate::flags::truth)]
    insecure: Option<bool>,
    #[command(flatten)]
    print: PrintFlags,
}

/// What the argument and the flags say, checked.
#[derive(Debug, Clone, Default)]
struct Wish {
    /// The argument as typed.
    target: String,
    name: String,
    /// Empty with `--all`.
    tag: String,
    from: String,
    confirm: bool,
    all: bool,
    local: bool,
    mode: String,
    scheduled: bool,
    insecure: Option<bool>,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let printer = print::printer(&args.print)?;
    let wish = wish(args)?;
    check_name(&wish.name)?;
    let project = format!("/apis/image.openshift.io/v1/namespaces/{}", segment(app.namespace()));
    let api = app.api().await?;
    let found =
        api.document(Call::get(format!("{project}/imagestreams/{}", segment(&wish.name)), JSON_OR_ANY)).await;
    let stream: Option<ImageStream> = match found {
        Ok(document) => Some(serde_json::from_value(document).map_err(|error| plain(error.to_string()))?),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error),
    };
    let mut request = plan(&wish, stream.as_ref())?;
    app.namespace().clone_into(&mut request.metadata.namespace);
    request.spec.import = !args.dry_run;
    if args.signatures {
        request.metadata.annotations.insert(SIGNATURES.to_owned(), "true".to_owned());
    }
    let body = machinery::json::object(&request);
    let call =
        Call::bytes(http::Method::POST, format!("{project}/imagestreamimports"), crate::client::JSON, body);
    let answer = progress::watched(app, "importing", api.document(call)).await?;
    let result: ImageStreamImport =
        serde_json::from_value(answer).map_err(|error| plain(error.to_string()))?;
    let (text, failed) = report(app, &wish, &result)?;
    match printer {
        Some(printer) => {
            let before = shown_stream(app, &wish, stream);
            printer.typed(&["spec", "lookupPolicy", "status"]).print(&before, &app.io)?;
        }
        None => {
            let outcome = if failed { "imported with errors" } else { "imported" };
            let dry = if args.dry_run { " (dry run)" } else { "" };
            app.io.line(&format!("imagestream.image.openshift.io/{} {outcome}{dry}\n\n{text}", wish.name))?;
        }
    }
    if failed { Err(plain("imported completed with errors")) } else { Ok(()) }
}

fn wish(args: &Args) -> Result<Wish, Failure> {
    let target = args.args.first().cloned().unwrap_or_default();
    let reference = Reference::parse(&target).map_err(|_| {
        plain("the image name must be a valid container image pull spec or reference to an image stream (e.g. myregistry/myteam/image:tag)")
    })?;
    if !reference.id.is_empty() {
        return Err(plain("to import images by ID, use the 'tag' command"));
    }
    if !reference.tag.is_empty() && args.all {
        return Err(plain(format!("cannot specify a tag \"{target}\" as well as --all")));
    }
    let local = match args.reference_policy.to_lowercase().as_str() {
        "" | "source" => false,
        "local" => true,
        _ => return Err(plain("valid reference policy values are source or local")),
    };
    if !matches!(args.import_mode.as_str(), "" | well_known::LEGACY | well_known::PRESERVE_ORIGINAL) {
        return Err(plain("valid ImportMode values are Legacy or PreserveOriginal"));
    }
    let tag = match (args.all, reference.tag) {
        (true, _) => String::new(),
        (false, tag) if tag.is_empty() => "latest".to_owned(),
        (false, tag) => tag,
    };
    Ok(Wish {
        target,
        name: reference.name,
        tag,
        from: args.from.clone(),
        confirm: args.confirm,
        all: args.all,
        local,
        mode: if args.import_mode.is_empty() {
            well_known::LEGACY.to_owned()
        } else {
            args.import_mode.clone()
        },
        scheduled: args.scheduled,
        insecure: args.insecure,
    })
}

/// What to ask the server for.
fn plan(wish: &Wish, stream: Option<&ImageStream>) -> Result<ImageStreamImport, Failure> {
    let mut request = ImageStreamImport::default();
    request.metadata.name.clone_from(&wish.name);
    let Some(stream) = stream else {
        if !wish.confirm {
            return Err(plain(format!(
                "no image stream named \"{}\" exists, pass --confirm to create and import",
                wish.name
            )));
        }
        let from = if wish.from.is_empty() { &wish.target } else { &wish.from };
        if wish.all {
            request.spec.repository = Some(wish.repository(from, None));
        } else {
            request.spec.images.push(wish.image(from, &wish.tag, None, false, false));
        }
        return Ok(request);
    };
    request.metadata.name.clone_from(&stream.metadata.name);
    request.metadata.resource_version.clone_from(&stream.metadata.resource_version);
    if wish.all {
        whole_repository(wish, stream, &mut request)?;
    } else {
        request.spec.images.push(one_tag(wish, stream)?);
    }
    Ok(request)
}

fn whole_repository(
    wish: &Wish,
    stream: &ImageStream,
    request: &mut ImageStreamImport,
) -> Result<(), Failure> {
    let current = &stream.spec.docker_image_repository;
    if wish.from.is_empty() {
        if !current.is_empty() {
            request.spec.repository = Some(wish.repository(current, Some(stream)));
            return Ok(());
        }
        for tag in &stream.spec.tags {
            if let Some(from) = tag.from.as_ref().filter(|from| from.kind == well_known::DOCKER_IMAGE) {
                let policy = &tag.import_policy;
                request.spec.images.push(wish.image(
                    &from.name,
                    &tag.name,
                    Some(stream),
                    policy.insecure,
                    policy.scheduled,
                ));
            }
        }
        if request.spec.images.is_empty() {
            return Err(plain("image stream does not have tags pointing to external container images"));
        }
        return Ok(());
    }
    if wish.from != *current && !wish.confirm {
        return Err(plain(if current.is_empty() {
            "the image stream does not currently import an entire Docker repository, pass --confirm to update"
                .to_owned()
        } else {
            format!("the image stream has a different import spec \"{current}\", pass --confirm to update")
        }));
    }
    request.spec.repository = Some(wish.repository(&wish.from, Some(stream)));
    Ok(())
}

fn one_tag(wish: &Wish, stream: &ImageStream) -> Result<ImageImportSpec, Failure> {
    let tag = &wish.tag;
    let found = match follow(stream, tag) {
        Ok(found) => found,
        Err(Lost::Invalid) => {
            return Err(plain(format!("tag \"{tag}\" points to an invalid imagestreamtag")));
        }
        Err(Lost::OtherStream) => {
            return Err(plain(format!("tag \"{tag}\" points to an imagestreamtag from another ImageStream")));
        }
        Err(Lost::Circle) => {
            return Err(plain(format!("tag \"{tag}\" on the image stream is a reference to same tag")));
        }
        Err(Lost::Missing(_)) => {
            let from = if wish.from.is_empty() && tag == "latest" {
                &stream.spec.docker_image_repository
            } else {
                &wish.from
            };
            if from.is_empty() {
                return Err(plain(format!(
                    "the tag \"{tag}\" does not exist on the image stream - choose an existing tag to import or use the 'tag' command to create a new tag"
                )));
            }
            return Ok(wish.image(from, tag, Some(stream), false, false));
        }
    };
    let Some(from) = &found.spec.from else {
        return Err(plain(format!(
            "tag \"{tag}\" already exists - you must use the 'tag' command if you want to change the source to \"{}\"",
            wish.from
        )));
    };
    if from.kind != well_known::DOCKER_IMAGE {
        return Err(plain(format!(
            "tag \"{tag}\" points to existing {} \"{}\", it cannot be re-imported",
            from.kind, from.name
        )));
    }
    if !wish.from.is_empty() && wish.from != from.name {
        let via =
            if found.hops { format!("the tag \"{}\" which points to ", found.tag) } else { String::new() };
        return Err(plain(format!(
            "the tag \"{tag}\" points to {via}\"{}\" - use the 'tag' command if you want to change the source to \"{}\"",
            from.name, wish.from
        )));
    }
    let policy = &found.spec.import_policy;
    Ok(wish.image(&from.name, &found.tag, Some(stream), policy.insecure, policy.scheduled))
}

impl Wish {
    fn image(
        &self,
        from: &str,
        to: &str,
        stream: Option<&ImageStream>,
        insecure: bool,
        scheduled: bool,
    ) -> ImageImportSpec {
        ImageImportSpec {
            from: docker(from),
            to: Some(LocalObjectReference { name: to.to_owned() }),
            import_policy: TagImportPolicy {
                insecure: insecure || self.insecure(stream),
                scheduled: scheduled || self.scheduled,
                import_mode: self.mode.clone(),
            },
            reference_policy: self.policy(),
            include_manifest: false,
        }
    }

    fn repository(&self, from: &str, stream: Option<&ImageStream>) -> RepositoryImportSpec {
        RepositoryImportSpec {
            from: docker(from),
            import_policy: TagImportPolicy {
                insecure: self.insecure(stream),
                scheduled: self.scheduled,
                import_mode: self.mode.clone(),
            },
            reference_policy: self.policy(),
            include_manifest: false,
        }
    }

    fn policy(&self) -> TagReferencePolicy {
        TagReferencePolicy {
            r#type: if self.local { well_known::LOCAL } else { well_known::SOURCE }.to_owned(),
        }
    }

    /// The flag, or else what the stream says of its repository.
    fn insecure(&self, stream: Option<&ImageStream>) -> bool {
        self.insecure.unwrap_or_else(|| {
            stream
                .and_then(|stream| stream.metadata.annotations.get(well_known::INSECURE_REPOSITORY))
                .is_some_and(|value| value == "true")
        })
    }
}

fn docker(name: &str) -> ObjectReference {
    ObjectReference {
        kind: well_known::DOCKER_IMAGE.to_owned(),
        name: name.to_owned(),
        ..ObjectReference::default()
    }
}

/// What `-o` prints: the stream as it was before the import (or a new one).
fn shown_stream(app: &App, wish: &Wish, stream: Option<ImageStream>) -> serde_json::Value {
    let stream = stream.unwrap_or_else(|| {
        let mut stream = ImageStream::default();
        stream.metadata.name.clone_from(&wish.name);
        app.namespace().clone_into(&mut stream.metadata.namespace);
        stream
    });
    serde_json::from_slice(&machinery::json::object(&stream)).unwrap_or_default()
}

/// The text below the first line, and whether the import failed. Failures of single tags are complained about at once.
fn report(app: &App, wish: &Wish, result: &ImageStreamImport) -> Result<(String, bool), Failure> {
    let now = app.now();
    let status = &result.status;
    let repository = status.repository.as_ref();
    let mut text = String::new();
    if let Some(stream) = &status.import {
        text.push_str(&describe::stream(stream, &describe::Tries::new(), now));
        text.push('\n');
    }
    let name = &wish.name;
    let from_repository = repository.map(|repository| repository.images.as_slice()).unwrap_or_default();
    for (images, what) in [(from_repository, "repository tag"), (status.images.as_slice(), "tag")] {
        for image in images {
            let tag = &image.tag;
            let Some(found) = &image.image else {
                app.io.complain(&format!("error: {what} {tag} failed: {}", image.status.message));
                continue;
            };
            match describe::image(found, Some(&format!("{name}:{tag}")), now) {
                Ok(block) => {
                    text.push_str(&block);
                    text.push('\n');
                }
                Err(error) => app.io.complain(&format!("error: tag {tag} failed: {error}")),
            }
        }
    }
    let more = repository.map(|repository| repository.additional_tags.as_slice()).unwrap_or_default();
    if !more.is_empty() {
        text.push_str(&format!(
            "\ninfo: The remote repository contained {} additional tags which were not imported: {}\n",
            more.len(),
            more.join(", ")
        ));
    }
    let failed = status.images.iter().any(|image| image.status.status == "Failure")
        || repository.is_some_and(|repository| repository.status.status == "Failure");
    Ok((text, failed))
}

#[cfg(test)]
mod tests;
