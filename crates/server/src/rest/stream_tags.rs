//! `imagestreamtags`: tags of streams with their images. Reading puts them together, writing changes the stream.

use std::sync::Arc;

use bytes::Bytes;
use machinery::image::{Image, ImageStream, ImageStreamTag};
use machinery::json;
use machinery::meta::{ListMeta, ObjectMeta, Status};
use machinery::options::ListOptions;
use machinery::patch::{self, PatchKind};
use machinery::request::Verb;
use machinery::schema;
use machinery::status::ApiError;

use super::call::Call;
use super::fields;
use super::read;
use super::reply::Reply;
use super::write::{accept_patched, check_namespace, settle_name, settle_namespace, unfit_patch};
use super::{delete_options, tag_writes};
use crate::limits;
use crate::resource;
use crate::stored::Loaded;
use crate::stream;
use crate::streams::{self, Written};
use crate::view::{self, Change, TagBase, TagKind, stream_tag};

const KIND: TagKind = TagKind::ImageStreamTag;

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

/// A tag that was rendered before is good as long as neither its stream nor its image has changed.
fn get(call: &Call) -> Result<Reply, ApiError> {
    let (stream_name, tag) = view::parse_name(KIND, &call.info.name)?;
    let snapshot = call.ctx.cache.snapshot();
    let key = resource::streams().key(call.namespace(), stream_name);
    let entry = snapshot.get(&key).ok_or_else(|| ApiError::not_found(call.of(), stream_name))?;
    let path = format!("{}/{}", call.namespace(), call.info.name);
    if let Some((name, revision, bytes)) = call.ctx.rendered.get(&path, entry.modified)
        && snapshot.get(&resource::images().key("", &name)).is_some_and(|image| image.modified == revision)
    {
        return Ok(Reply::object(200, bytes));
    }
    let stream = decorated(call, streams::decode::<ImageStream>(entry)?.into_inner());
    let Some(name) = stream_tag::head_image(&stream, tag) else {
        return Err(ApiError::not_found(call.of(), &call.info.name));
    };
    let image = streams::load_image(&call.ctx, name)?.ok_or_else(|| ApiError::not_found(call.of(), name))?;
    let shown = stream_tag::build(&stream, tag, Some(&image.object), call.ctx.clock.now())?;
    let bytes: Bytes = json::object(&shown).into();
    call.ctx.rendered.put(&path, entry.modified, name, image.revision, bytes.clone());
    Ok(Reply::object(200, bytes))
}

/// A stream as reads through it see it.
pub(super) fn decorated(call: &Call, mut stream: ImageStream) -> ImageStream {
    stream::decorate(&mut stream, &call.ctx.settings.images);
    stream
}

/// The streams that a list of tags is made of, and the selection that is applied to the tags as well.
pub(super) async fn streams_of(call: &Call) -> Result<(Vec<ImageStream>, ListOptions), ApiError> {
    let options = ListOptions::parse(&call.query)?;
    let listed = read::list_entries(&call.to(resource::streams()), &options).await?;
    let mut found = Vec::with_capacity(listed.entries.len());
    for entry in &listed.entries {
        found.push(decorated(call, streams::decode::<ImageStream>(entry)?.into_inner()));
    }
    Ok((found, options))
}

/// Whether a tag is among those that a list means.
pub(super) fn is_selected(metadata: &ObjectMeta, options: &ListOptions) -> bool {
    options.label_selector.matches(&metadata.labels)
        && options.field_selector.matches(|field| match field {
            "metadata.name" => metadata.name.as_str(),
            "metadata.namespace" => metadata.namespace.as_str(),
            _ => "",
        })
}

async fn list(call: &Call) -> Result<Reply, ApiError> {
    let (streams, options) = streams_of(call).await?;
    let tags = streams.iter().flat_map(stream_tag::list);
    let items = tags.filter(|tag| is_selected(&tag.metadata, &options)).map(|tag| item(&tag)).collect();
    Ok(Reply::list(ListMeta::default(), items))
}

/// An object as the item of a list: without its opening brace.
pub(super) fn item<T: serde::Serialize>(object: &T) -> Bytes {
    Bytes::from(json::compact(object)).slice(1..)
}

async fn create(call: &Call) -> Result<Reply, ApiError> {
    let dry_run = call.write_options()?.dry_run;
    let mut request: ImageStreamTag = call.object()?;
    settle_namespace(call, &mut request.metadata)?;
    check_namespace(call, call.of(), &request.metadata.name)?;
    tag_writes::check_new(&request.metadata)?;
    stream_tag::check_create(&mut request, &call.ctx.settings.images)?;
    for _ in 0..limits::CONFLICT_RETRIES {
        let (stream_name, _, _) = machinery::image::split_stream_tag(&request.metadata.name);
        let loaded = streams::load(&call.ctx, call.namespace(), stream_name)?;
        let change = stream_tag::create(loaded.as_ref().map(|loaded| &*loaded.object), &request)?;
        let (_, tag, _) = machinery::image::split_stream_tag(&request.metadata.name);
        match tag_writes::write(call, loaded.as_ref(), change, &request.metadata.name, dry_run).await {
            Ok(written) => return shown(call, 201, written, tag),
            Err(error) if tag_writes::is_lost_race(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Err(ApiError::server_timeout(call.of(), "create", tag_writes::RETRY_AFTER))
}

/// What a write answers with: the tag as it is now, with or without an image.
fn shown(call: &Call, code: u16, written: Written, tag: &str) -> Result<Reply, ApiError> {
    let stream = decorated(call, written.stream.into_inner());
    let image = head(call, &stream, tag)?;
    let shown = stream_tag::build_or_empty(&stream, tag, image.as_deref(), call.ctx.clock.now());
    Ok(Reply::object(code, json::object(&shown)))
}

/// The image that a tag points at, if both exist.
pub(super) fn head(call: &Call, stream: &ImageStream, tag: &str) -> Result<Option<Arc<Image>>, ApiError> {
    match stream_tag::head_image(stream, tag) {
        Some(name) => Ok(streams::load_image(&call.ctx, name)?.map(|image| image.object)),
        None => Ok(None),
    }
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
    let mut request: ImageStreamTag = call.object()?;
    settle_namespace(call, &mut request.metadata)?;
    settle_name(call, &mut request.metadata)?;
    for _ in 0..limits::CONFLICT_RETRIES {
        let start = start(call)?;
        let change = stream_tag::update(start.base, request.clone(), &call.ctx.settings.images)?;
        match apply(call, start.loaded.as_ref(), change).await {
            Err((error, true)) if tag_writes::is_lost_race(&error) => {}
            other => return other.map_err(|(error, _)| error),
        }
    }
    Err(ApiError::modified(call.of(), &call.info.name))
}

async fn patch(call: &Call) -> Result<Reply, ApiError> {
    let kind = call.patch_kind()?;
    if kind == PatchKind::Apply {
        return apply_document(call).await;
    }
    let change = call.patch_body()?;
    for _ in 0..limits::CONFLICT_RETRIES {
        let start = start(call)?;
        let tag = start.base.tag.clone();
        let old = stream_tag::build_or_empty(&start.base.stream, &tag, None, call.ctx.clock.now());
        let base = super::strategy::typed_value(call.resource, &old);
        let patched = patch::apply(kind, &base, change.clone(), &schema::IMAGE_STREAM_TAG)?;
        let decoded = machinery::decode::patched(&patched).map_err(|why| unfit_patch(&patched, &why))?;
        let mut request: ImageStreamTag = accept_patched(call, decoded, &patched)?;
        settle_namespace(call, &mut request.metadata)?;
        settle_name(call, &mut request.metadata)?;
        let named = request.metadata.resource_version != old.metadata.resource_version;
        let change = stream_tag::update(start.base, request, &call.ctx.settings.images)?;
        match apply(call, start.loaded.as_ref(), change).await {
            Err((error, _)) if tag_writes::is_lost_race(&error) && !named => {}
            other => return other.map_err(|(error, _)| error),
        }
    }
    Err(ApiError::modified(call.of(), &call.info.name))
}

/// A server-side apply. It makes a tag together with its stream; what is there already cannot note who owns its fields.
async fn apply_document(call: &Call) -> Result<Reply, ApiError> {
    let document = fields::document(call)?;
    let start = start(call)?;
    let shown = stream_tag::build_or_empty(&start.base.stream, &start.base.tag, None, call.ctx.clock.now());
    let live = super::strategy::typed_value(call.resource, &shown);
    let empty = super::strategy::typed_value(call.resource, &ImageStreamTag::default());
    let done = fields::apply_value(call, &live, &empty, &[], &document)?;
    let applied = done.object.unwrap_or(live);
    let decoded = machinery::decode::patched(&applied).map_err(|why| unfit_patch(&applied, &why))?;
    let mut request: ImageStreamTag = accept_patched(call, decoded, &applied)?;
    settle_namespace(call, &mut request.metadata)?;
    settle_name(call, &mut request.metadata)?;
    let exists = start.base.exists;
    let change = stream_tag::update(start.base, request, &call.ctx.settings.images)?;
    if exists {
        return Err(fields::not_trackable(call, "metadata.annotations"));
    }
    apply(call, start.loaded.as_ref(), change).await.map_err(|(error, _)| error)
}

/// Writes a changed stream; the flag of an error says whether the request named no version.
async fn apply(
    call: &Call,
    loaded: Option<&Loaded<ImageStream>>,
    change: Change,
) -> Result<Reply, (ApiError, bool)> {
    let blind = change.blind;
    let (_, tag) = view::parse_name(KIND, &call.info.name).map_err(|error| (error, false))?;
    let dry_run = call.write_options().map_err(|error| (error, false))?.dry_run;
    let code = if change.created { 201 } else { 200 };
    let written = tag_writes::write(call, loaded, change, "", dry_run).await.map_err(|e| (e, blind))?;
    shown(call, code, written, tag).map_err(|error| (error, false))
}

async fn delete(call: &Call) -> Result<Reply, ApiError> {
    let (stream_name, tag) = view::parse_name(KIND, &call.info.name)?;
    tag_writes::delete(call, KIND, stream_name, tag, &delete_options(call)?).await?;
    Ok(Reply::status(200, &Status::success()))
}
