//! `imagesignatures`: signatures as parts of images; made and deleted by name `image@signature`.

use machinery::field::FieldError;
use machinery::image::ImageSignature;
use machinery::json;
use machinery::meta::Status;
use machinery::request::Verb;
use machinery::status::{ApiError, GroupResource};

use super::call::Call;
use super::reply::Reply;
use super::{delete_options, strategy, tag_writes};
use crate::image;
use crate::resource;
use crate::streams::{fill_identity, load_image};

/// Answers a request.
///
/// # Errors
/// 422 for bad signatures, 404 for images that are not there, 409 for signatures that are.
pub(super) async fn answer(call: &Call) -> Result<Reply, ApiError> {
    match call.info.verb {
        Verb::Create => create(call).await,
        Verb::Delete => delete(call).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}

fn images() -> GroupResource<'static> {
    GroupResource::new(machinery::image::GROUP, "images")
}

async fn create(call: &Call) -> Result<Reply, ApiError> {
    let dry_run = call.write_options()?.dry_run;
    let mut request: ImageSignature = call.object()?;
    request.metadata.namespace.clear();
    tag_writes::require_name(call, &request.metadata)?;
    fill_identity(&call.ctx, &mut request.metadata);
    let signature = image::prepare_signature(request)?;
    let (image_name, _) = image::parse_signature_name(&signature.metadata.name)?;
    let loaded =
        load_image(&call.ctx, image_name)?.ok_or_else(|| ApiError::not_found(images(), image_name))?;
    let changed = image::add_signature(&loaded.object, signature.clone())?;
    save(call, &loaded, changed, dry_run).await?;
    Ok(Reply::object(201, json::object(&signature)))
}

async fn delete(call: &Call) -> Result<Reply, ApiError> {
    let options = delete_options(call)?;
    let (image_name, _) = image::parse_signature_name(&call.info.name)?;
    let loaded =
        load_image(&call.ctx, image_name)?.ok_or_else(|| ApiError::not_found(images(), image_name))?;
    let changed = image::remove_signature(&loaded.object, &call.info.name)?;
    save(call, &loaded, changed, options.dry_run).await?;
    Ok(Reply::status(200, &Status::success()))
}

async fn save(
    call: &Call,
    loaded: &crate::stored::Loaded<machinery::image::Image>,
    mut changed: machinery::image::Image,
    dry_run: bool,
) -> Result<(), ApiError> {
    let now = call.ctx.clock.now();
    if let Some(why) = image::prepare_update(&mut changed, &loaded.object, now) {
        tracing::warn!(image = changed.metadata.name, %why, "metadata could not be derived");
    }
    let errors: Vec<FieldError> = image::validate_update(&changed, &loaded.object);
    let to_images = call.to(resource::images());
    strategy::reject(&to_images, &changed.metadata.name, &errors)?;
    strategy::commit(&to_images, Some(loaded), changed, dry_run).await.map(drop)
}
