//! `imagetags`: tags of streams with desired and actual state side by side.

use machinery::image::{ImageStream, ImageTag};
use machinery::json;
use machinery::meta::{ListMeta, Status};
use machinery::patch::{self, PatchKind};
use machinery::request::Verb;
use machinery::schema;
use machinery::status::ApiError;

use super::call::Call;
use super::fields;
use super::reply::Reply;
use super::stream_tags::{decorated, head, is_selected, item, streams_of};
use super::write::{accept_patched, check_namespace, settle_name, settle_namespace, unfit_patch};
use super::{delete_options, tag_writes};
use crate::limits;
use crate::stored::Loaded;
use crate::streams::{self, Written};
use crate::view::{self, Change, TagBase, TagKind, image_tag};

const KIND: TagKind = TagKind::ImageTag;

/// Answers a request.
///
/// # Errors
/// As the verb's rules say.
pub(super) async fn answer(call: &Call) -> Result<Reply, ApiError> {
    match call.info.verb {
        Verb::Get => get(call),
        Verb::List => list(call).await,
        Verb::Create => create(call).await,
        Verb::Update => update(call).await,
        Verb::Patch => patch(call).await,
        Verb::Delete => delete(call).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}

fn get(call: &Call) -> Result<Reply, ApiError> {
    let (stream_name, tag) = view::parse_name(KIND, &call.info.name)?;
    let loaded = streams::load(&call.ctx, call.namespace(), stream_name)?
        .ok_or_else(|| ApiError::not_found(call.of(), stream_name))?;
    let stream = decorated(call, loaded.into_inner());
    let image = head(call, &stream, tag)?;
    let shown = image_tag::build(&stream, tag, image.as_deref(), call.ctx.clock.now())?;
    Ok(Reply::object(200, json::object(&shown)))
}

async fn list(call: &Call) -> Result<Reply, ApiError> {
    let (streams, options) = streams_of(call).await?;
    let tags = streams.iter().flat_map(image_tag::list);
    let items = tags.filter(|tag| is_selected(&tag.metadata, &options)).map(|tag| item(&tag)).collect();
    Ok(Reply::list(ListMeta::default(), items))
}

async fn create(call: &Call) -> Result<Reply, ApiError> {
    let dry_run = call.write_options()?.dry_run;
    let mut request: ImageTag = call.object()?;
    settle_namespace(call, &mut request.metadata)?;
    check_namespace(call, call.of(), &request.metadata.name)?;
    tag_writes::check_new(&request.metadata)?;
    image_tag::check_create(&mut request, &call.ctx.settings.images)?;
    for _ in 0..limits::CONFLICT_RETRIES {
        let (stream_name, tag, _) = machinery::image::split_stream_tag(&request.metadata.name);
        let loaded = streams::load(&call.ctx, call.namespace(), stream_name)?;
        let change = image_tag::create(loaded.as_ref().map(|loaded| &*loaded.object), &request)?;
        match tag_writes::write(call, loaded.as_ref(), change, &request.metadata.name, dry_run).await {
            Ok(written) => return shown(call, 201, written, tag),
            Err(error) if tag_writes::is_lost_race(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Err(ApiError::server_timeout(call.of(), "create", tag_writes::RETRY_AFTER))
}

fn shown(call: &Call, code: u16, written: Written, tag: &str) -> Result<Reply, ApiError> {
    let stream = decorated(call, written.stream.into_inner());
    let image = head(call, &stream, tag)?;
    let shown = image_tag::build_or_empty(&stream, tag, image.as_deref(), call.ctx.clock.now());
    Ok(Reply::object(code, json::object(&shown)))
}

/// What an update starts from.
struct Start {
    loaded: Option<Loaded<ImageStream>>,
    base: TagBase,
}

fn start(call: &Call) -> Result<Start, ApiError> {
    let (stream_name, tag) = view::parse_name(KIND, &call.info.name)?;
    let loaded = streams::load(&call.ctx, call.namespace(), stream_name)?;
    let stored = loaded.as_ref().map(|loaded| decorated(call, ImageStream::clone(&loaded.object)));
    let uid = call.ctx.random.uid();
    let now = call.ctx.clock.now();
    let base = TagBase::new(stored, call.namespace(), stream_name, tag, &uid, now);
    Ok(Start { loaded, base })
}

async fn update(call: &Call) -> Result<Reply, ApiError> {
    let mut request: ImageTag = call.object()?;
    settle_namespace(call, &mut request.metadata)?;
    settle_name(call, &mut request.metadata)?;
    let start = start(call)?;
    let change = image_tag::update(start.base, request, &call.ctx.settings.images)?;
    apply(call, start.loaded.as_ref(), change).await
}

async fn patch(call: &Call) -> Result<Reply, ApiError> {
    let kind = call.patch_kind()?;
    if kind == PatchKind::Apply {
        return apply_document(call).await;
    }
    let change = call.patch_body()?;
    for _ in 0..limits::CONFLICT_RETRIES {
        let start = start(call)?;
        let now = call.ctx.clock.now();
        let image = head(call, &start.base.stream, &start.base.tag)?;
        let old = image_tag::build_or_empty(&start.base.stream, &start.base.tag, image.as_deref(), now);
        let base = super::strategy::typed_value(call.resource, &old);
        let patched = patch::apply(kind, &base, change.clone(), &schema::IMAGE_TAG)?;
        let decoded = machinery::decode::patched(&patched).map_err(|why| unfit_patch(&patched, &why))?;
        let mut request: ImageTag = accept_patched(call, decoded, &patched)?;
        settle_namespace(call, &mut request.metadata)?;
        settle_name(call, &mut request.metadata)?;
        let named = request.metadata.resource_version != old.metadata.resource_version;
        let change = image_tag::update(start.base, request, &call.ctx.settings.images)?;
        match apply(call, start.loaded.as_ref(), change).await {
            Err(error) if tag_writes::is_lost_race(&error) && !named => {}
            other => return other,
        }
    }
    Err(ApiError::modified(call.of(), &call.info.name))
}

/// A server-side apply. It makes a tag together with its stream; what is there already cannot note who owns its fields.
async fn apply_document(call: &Call) -> Result<Reply, ApiError> {
    let document = fields::document(call)?;
    let start = start(call)?;
    let now = call.ctx.clock.now();
    let image = head(call, &start.base.stream, &start.base.tag)?;
    let mut shown = image_tag::build_or_empty(&start.base.stream, &start.base.tag, image.as_deref(), now);
    shown.metadata.managed_fields.clear();
    let live = super::strategy::typed_value(call.resource, &shown);
    let empty = super::strategy::typed_value(call.resource, &ImageTag::default());
    let done = fields::apply_value(call, &live, &empty, &[], &document)?;
    let applied = done.object.unwrap_or(live);
    let decoded = machinery::decode::patched(&applied).map_err(|why| unfit_patch(&applied, &why))?;
    let mut request: ImageTag = accept_patched(call, decoded, &applied)?;
    settle_namespace(call, &mut request.metadata)?;
    settle_name(call, &mut request.metadata)?;
    let exists = start.base.exists;
    let change = image_tag::update(start.base, request, &call.ctx.settings.images)?;
    if exists {
        return Err(fields::not_trackable(call, "spec"));
    }
    apply(call, start.loaded.as_ref(), change).await
}

async fn apply(call: &Call, loaded: Option<&Loaded<ImageStream>>, change: Change) -> Result<Reply, ApiError> {
    let (_, tag) = view::parse_name(KIND, &call.info.name)?;
    let dry_run = call.write_options()?.dry_run;
    let code = if change.created { 201 } else { 200 };
    let written = tag_writes::write(call, loaded, change, "", dry_run).await?;
    shown(call, code, written, tag)
}

async fn delete(call: &Call) -> Result<Reply, ApiError> {
    let (stream_name, tag) = view::parse_name(KIND, &call.info.name)?;
    tag_writes::delete(call, KIND, stream_name, tag, &delete_options(call)?).await?;
    Ok(Reply::status(200, &Status::success()))
}
