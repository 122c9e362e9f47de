//! `imagestreams/status`: what tags point at, written directly; for those who push and prune.

use machinery::field::FieldError;
use machinery::image::ImageStream;
use machinery::json;
use machinery::patch::{self, PatchKind};
use machinery::request::Verb;
use machinery::schema;
use machinery::status::ApiError;

use super::call::Call;
use super::fields;
use super::reply::Reply;
use super::write::{accept_patched, settle_name, settle_namespace, unfit_patch};
use crate::ledger::Cause;
use crate::limits;
use crate::stored::Loaded;
use crate::stream::Writer;
use crate::streams;

/// Answers a request. What is answered is the stored object: repositories are shown as they were written.
///
/// # Errors
/// As for streams.
pub(super) async fn answer(call: &Call) -> Result<Reply, ApiError> {
    match call.info.verb {
        Verb::Get => Ok(Reply::object(200, json::object(&*load(call)?.object))),
        Verb::Update => update(call).await,
        Verb::Patch => patch(call).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}

fn load(call: &Call) -> Result<Loaded<ImageStream>, ApiError> {
    streams::load(&call.ctx, call.namespace(), &call.info.name)?
        .ok_or_else(|| ApiError::not_found(call.of(), &call.info.name))
}

async fn update(call: &Call) -> Result<Reply, ApiError> {
    let mut request: ImageStream = call.object()?;
    request.normalize(call.ctx.settings.images.import_mode());
    settle_namespace(call, &mut request.metadata)?;
    settle_name(call, &mut request.metadata)?;
    let old = load(call)?;
    if request.metadata.resource_version.is_empty() {
        let error = FieldError::invalid("metadata.resourceVersion", 0, "must be specified for an update");
        return Err(ApiError::invalid(call.of(), &call.info.name, &[error]));
    }
    if request.metadata.resource_version != old.revision.to_string() {
        return Err(ApiError::modified(call.of(), &call.info.name));
    }
    write(call, &old, request).await
}

async fn patch(call: &Call) -> Result<Reply, ApiError> {
    let kind = call.patch_kind()?;
    if kind == PatchKind::Apply {
        return apply(call).await;
    }
    let change = call.patch_body()?;
    for _ in 0..limits::CONFLICT_RETRIES {
        let old = load(call)?;
        let base = super::strategy::typed_value(call.resource, &*old.object);
        let patched = patch::apply(kind, &base, change.clone(), &schema::IMAGE_STREAM)?;
        let decoded = machinery::decode::patched(&patched).map_err(|why| unfit_patch(&patched, &why))?;
        let mut request: ImageStream = accept_patched(call, decoded, &patched)?;
        request.normalize(call.ctx.settings.images.import_mode());
        settle_namespace(call, &mut request.metadata)?;
        settle_name(call, &mut request.metadata)?;
        let version = &request.metadata.resource_version;
        if !version.is_empty() && *version != old.revision.to_string() {
            return Err(ApiError::modified(call.of(), &call.info.name));
        }
        match write(call, &old, request).await {
            Err(error) if error.is_conflict() => {}
            other => return other,
        }
    }
    Err(ApiError::modified(call.of(), &call.info.name))
}

/// A server-side apply through the subresource; it makes no streams.
async fn apply(call: &Call) -> Result<Reply, ApiError> {
    let document = fields::document(call)?;
    for _ in 0..limits::CONFLICT_RETRIES {
        let old = load(call)?;
        let mut request: ImageStream =
            fields::applied(call, Some(&old), &document, |old| as_stored(call, old))?;
        settle_namespace(call, &mut request.metadata)?;
        settle_name(call, &mut request.metadata)?;
        let version = &request.metadata.resource_version;
        if !version.is_empty() && *version != old.revision.to_string() {
            return Err(ApiError::modified(call.of(), &call.info.name));
        }
        match commit(call, &old, request).await {
            Err(error) if error.is_conflict() => {}
            other => return other,
        }
    }
    Err(ApiError::modified(call.of(), &call.info.name))
}

fn as_stored(call: &Call, stream: &ImageStream) -> serde_json::Value {
    super::strategy::typed_value(call.resource, stream)
}

async fn write(call: &Call, old: &Loaded<ImageStream>, mut new: ImageStream) -> Result<Reply, ApiError> {
    fields::track(call, Some(old), &mut new, &[], |old| as_stored(call, old))?;
    commit(call, old, new).await
}

async fn commit(call: &Call, old: &Loaded<ImageStream>, mut new: ImageStream) -> Result<Reply, ApiError> {
    let dry_run = call.write_options()?.dry_run;
    super::write::keep_system_fields(&old.object.metadata, &mut new.metadata);
    let write = streams::Write {
        namespace: call.namespace(),
        name: &call.info.name,
        old: Some(old),
        new,
        writer: Writer::Status,
        images: Vec::new(),
        cause: Cause::Status,
        actor: &call.actor,
        reason: "",
        dry_run,
        request_resource: call.of().resource,
    };
    let written = streams::write(&call.ctx, write).await?;
    Ok(Reply::object(200, json::object(&*written.stream.object)))
}
