//! A manifest that was put: the image, the tag that moves, and the stream that is made for a first push, in one
//! transaction.

use ::registry::{Life, Push, PushError, Pushed, Subject};
use machinery::image::{GROUP, Image, ImageStream, ImageStreamMapping};
use machinery::meta::ObjectMeta;
use machinery::status::{ApiError, GroupResource};
use store::{CommitError, Txn};

use super::access::actor;
use super::catalog::failed;
use super::images;
use crate::admission;
use crate::auth::{self, Actor};
use crate::context::Ctx;
use crate::ledger::Cause;
use crate::limits;
use crate::plain::{self, Plain};
use crate::resource;
use crate::stored::{Loaded, Storable};
use crate::stream::Writer;
use crate::streams::{self, Write};
use crate::view::mapping;

/// The resource that errors of the door name.
const RESOURCE: &str = "imagestreammappings";

/// Puts a manifest.
///
/// # Errors
/// [`PushError`].
pub(super) async fn put(ctx: &Ctx, push: Push<'_>) -> Result<Pushed, PushError> {
    check_project(ctx, push.repository.project())?;
    let host = &ctx.settings.images.internal_registry_hostname;
    let image = images::describe(&push, host, ctx.clock.now()).map_err(|errors| {
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        PushError::Invalid(texts.join(", "))
    })?;
    let of = GroupResource::new(GROUP, RESOURCE);
    let (project, name) = (push.repository.project(), push.repository.name());
    admission::limits::admit_image(ctx, project, of, name, &image, None).map_err(|error| refused(&error))?;
    match push.tag {
        None => by_digest(ctx, &push, image).await,
        Some(tag) => by_tag(ctx, &push, tag, image).await,
    }
}

fn check_project(ctx: &Ctx, project: &str) -> Result<(), PushError> {
    let key = resource::namespaces().key("", project);
    match streams::load_entry::<Plain>(ctx, &key).map_err(|error| failed(&error))? {
        None => Err(PushError::NoProject),
        Some(found) if plain::is_terminating(&found.object) => Err(PushError::Denied(format!(
            "unable to create new content in namespace {project} because it is being terminated"
        ))),
        Some(_) => Ok(()),
    }
}

/// Makes the image, which belongs to no stream yet.
async fn by_digest(ctx: &Ctx, push: &Push<'_>, mut image: Image) -> Result<Pushed, PushError> {
    let (project, name) = (push.repository.project(), push.repository.name());
    let stream = streams::load(ctx, project, name).map_err(|error| failed(&error))?;
    if stream.is_none() {
        may_make_stream(ctx, &actor(push.who), project, name)?;
    }
    streams::fill_identity(ctx, image.metadata_mut());
    let key =
        streams::key(&resource::images().key("", &image.metadata.name)).map_err(|error| failed(&error))?;
    match ctx.store.commit(Txn::new().create(key, image.encode())).await {
        Ok(revision) => ctx.settle(revision).await.map_err(|error| failed(&error))?,
        // It is what its digest says, whoever put it first.
        Err(CommitError::Conflict { .. }) => {}
        Err(error) => return Err(unavailable(&error)),
    }
    Ok(Pushed { life: stream.map(|stream| Life(stream.object.metadata.uid.clone())), warnings: Vec::new() })
}

async fn by_tag(ctx: &Ctx, push: &Push<'_>, tag: &str, image: Image) -> Result<Pushed, PushError> {
    let (project, name) = (push.repository.project(), push.repository.name());
    let actor = actor(push.who);
    let mapping = ImageStreamMapping {
        metadata: ObjectMeta { namespace: project.to_owned(), name: name.to_owned(), ..Default::default() },
        image,
        tag: tag.to_owned(),
    };
    let mut before = None;
    for _ in 0..limits::CONFLICT_RETRIES {
        let loaded = streams::load(ctx, project, name).map_err(|error| failed(&error))?;
        if let (Some(before), Some(now)) = (&before, &loaded)
            && !mapping::may_retry(before, &now.object, tag)
        {
            return Err(PushError::Denied(format!(
                "the tag {tag:?} was moved by somebody else at the same time"
            )));
        }
        if loaded.is_none() {
            may_make_stream(ctx, &actor, project, name)?;
        }
        let attempt = attempt(ctx, &actor, push.who, &mapping, loaded.as_ref());
        match attempt.await {
            Ok(life) => {
                let made = loaded.is_none().then(|| format!("the image stream {project}/{name} was made"));
                return Ok(Pushed { life: Some(life), warnings: made.into_iter().collect() });
            }
            Err(error) if error.is_conflict() || error.reason() == "AlreadyExists" => {
                before = loaded.map(Loaded::into_inner);
            }
            Err(error) => return Err(refused(&error)),
        }
    }
    Err(unavailable(&"other writers kept getting in the way"))
}

/// Moves the tag once; gives the identity of the stream.
async fn attempt(
    ctx: &Ctx,
    actor: &Actor,
    who: &Subject,
    mapping: &ImageStreamMapping,
    loaded: Option<&Loaded<ImageStream>>,
) -> Result<Life, ApiError> {
    let metadata = &mapping.metadata;
    let fresh;
    let stream = match loaded {
        Some(loaded) => &loaded.object,
        None => {
            fresh = ImageStream {
                metadata: ObjectMeta { generation: 1, ..metadata.clone() },
                ..Default::default()
            };
            &fresh
        }
    };
    let existed = streams::load_image(ctx, &mapping.image.metadata.name)?.is_some();
    let event = mapping::event(mapping, stream, existed, ctx.clock.now());
    let changed = mapping::apply(stream, &mapping.tag, event);
    if let (None, true, Some(loaded)) = (&changed, existed, loaded) {
        return Ok(Life(loaded.object.metadata.uid.clone()));
    }
    tracing::debug!(user = who.user, stream = metadata.name, tag = mapping.tag, "push");
    let write = Write {
        namespace: &metadata.namespace,
        name: &metadata.name,
        old: loaded,
        new: changed.unwrap_or_else(|| stream.clone()),
        writer: if loaded.is_some() { Writer::Status } else { Writer::Internal },
        images: vec![mapping.image.clone()],
        cause: Cause::Push,
        actor,
        reason: "",
        dry_run: false,
        request_resource: RESOURCE,
    };
    let written = streams::write(ctx, write).await?;
    Ok(Life(written.stream.object.metadata.uid.clone()))
}

/// A first push makes the stream as the one who pushes.
fn may_make_stream(ctx: &Ctx, actor: &Actor, project: &str, name: &str) -> Result<(), PushError> {
    if auth::may(ctx, actor, "create", GROUP, "imagestreams", project, "") {
        return Ok(());
    }
    Err(PushError::Denied(format!(
        "the image stream {project}/{name} does not exist, and you may not make it"
    )))
}

fn refused(error: &ApiError) -> PushError {
    match error.code() {
        403 => PushError::Denied(error.to_string()),
        404 => PushError::NoProject,
        422 if error.to_string().contains("exceed") => PushError::Denied(error.to_string()),
        400 | 422 => PushError::Invalid(error.to_string()),
        _ => failed(error).into(),
    }
}

fn unavailable(why: &dyn std::fmt::Display) -> PushError {
    PushError::Catalog(::registry::CatalogError::Unavailable(why.to_string()))
}
