//! `imagestreammappings`: pointing a tag at an image that was pushed. The image is made if it is not there, and tags that
//! track this one follow, in one transaction.

use machinery::field::FieldErrors;
use machinery::image::{DEFAULT_TAG, ImageStreamMapping};
use machinery::meta::Status;
use machinery::status::ApiError;

use super::call::Call;
use super::reply::Reply;
use super::tag_writes;
use super::write::{check_namespace, settle_namespace};
use crate::ledger::Cause;
use crate::limits;
use crate::stream::Writer;
use crate::streams;
use crate::view::mapping;
use crate::{admission, image};

/// POST.
///
/// # Errors
/// 422 for bad mappings, 404 when there is no stream (its resource is the mapping's: registries make the stream then),
/// 409 when the tag was moved elsewhere at the same time.
pub(super) async fn create(call: &Call) -> Result<Reply, ApiError> {
    let dry_run = call.write_options()?.dry_run;
    let mut request: ImageStreamMapping = call.object()?;
    image::normalize_metadata(&mut request.image).map_err(|why| {
        let (kind, version) = (call.resource.kind, call.resource.version);
        ApiError::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
    })?;
    settle_namespace(call, &mut request.metadata)?;
    check_namespace(call, call.of(), &request.metadata.name)?;
    tag_writes::check_new(&request.metadata)?;
    mapping::check(&mut request, &call.ctx.settings.images)?;
    if !request.image.metadata.resource_version.is_empty() {
        return Err(ApiError::plain("resourceVersion should not be set on objects to be created"));
    }
    if request.tag.is_empty() {
        DEFAULT_TAG.clone_into(&mut request.tag);
    }
    push(call, &request, dry_run).await?;
    Ok(Reply::status(201, &Status { code: 201, ..Status::success() }))
}

async fn push(call: &Call, request: &ImageStreamMapping, dry_run: bool) -> Result<(), ApiError> {
    let name = request.metadata.name.as_str();
    let mut new_image = request.image.clone();
    let underived = image::prepare_create(&mut new_image, call.ctx.clock.now());
    if let Some(why) = &underived {
        tracing::warn!(image = new_image.metadata.name, %why, "metadata could not be derived; stored without");
    }
    let mut before = None;
    for _ in 0..limits::CONFLICT_RETRIES {
        let loaded = streams::load(&call.ctx, call.namespace(), name)?
            .ok_or_else(|| ApiError::not_found(call.of(), name))?;
        if let Some(before) = &before
            && !mapping::may_retry(before, &loaded.object, &request.tag)
        {
            return Err(ApiError::modified(call.of(), name));
        }
        let existed = streams::load_image(&call.ctx, &new_image.metadata.name)?.is_some();
        if !existed {
            let errors: FieldErrors = image::check(&new_image, "");
            if !errors.is_empty() {
                let of = machinery::status::GroupResource::new(call.resource.group, "Image");
                return Err(ApiError::invalid(of, &new_image.metadata.name, &errors));
            }
        }
        let event = mapping::event(request, &loaded.object, existed, call.ctx.clock.now());
        admission::limits::admit_image(
            &call.ctx,
            call.namespace(),
            call.of(),
            name,
            &new_image,
            underived.as_ref(),
        )?;
        let changed = mapping::apply(&loaded.object, &request.tag, event);
        if changed.is_none() && existed {
            return Ok(());
        }
        let write = streams::Write {
            namespace: call.namespace(),
            name,
            old: Some(&loaded),
            new: changed.unwrap_or_else(|| (*loaded.object).clone()),
            writer: Writer::Status,
            images: vec![new_image.clone()],
            cause: Cause::Push,
            actor: &call.actor,
            reason: "",
            dry_run,
            request_resource: call.resource.plural,
        };
        match streams::write(&call.ctx, write).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_conflict() => before = Some(loaded.into_inner()),
            Err(error) => return Err(error),
        }
    }
    Err(ApiError::plain("timed out waiting for the condition"))
}
