//! `imagestreamimages`: images as members of a stream, by digest or a beginning of it.

use machinery::json;
use machinery::status::{ApiError, GroupResource};

use super::call::Call;
use super::layers;
use super::reply::Reply;
use crate::streams;
use crate::view::stream_image;

/// GET.
///
/// # Errors
/// 400 for names that are none, 404 for streams and images that are not there.
pub(super) fn get(call: &Call) -> Result<Reply, ApiError> {
    let (stream_name, id) = stream_image::parse_name(&call.info.name)?;
    let (stream, held) = layers::load(call, stream_name)?;
    let name = stream_image::find(&held, id)?;
    let image = streams::load_image(&call.ctx, name)?.ok_or_else(|| {
        ApiError::not_found(GroupResource::new(call.resource.group, call.resource.plural), name)
    })?;
    let shown = stream_image::build(&stream, &image.object, id, call.ctx.clock.now());
    Ok(Reply::object(200, json::object(&shown)))
}
