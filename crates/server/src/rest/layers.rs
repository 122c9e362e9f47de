//! `imagestreams/<stream>/layers`: every blob and image a stream has ever held.

use std::sync::Arc;

use machinery::image::{Image, ImageStream, ImageStreamLayers};
use machinery::json;
use machinery::status::ApiError;

use super::call::Call;
use super::reply::Reply;
use super::stream_tags::decorated;
use crate::resource;
use crate::streams;
use crate::view::layers::{self, ImageParts};

/// GET.
///
/// # Errors
/// 404, or 422 when an image contradicts itself.
pub(super) fn get(call: &Call) -> Result<Reply, ApiError> {
    let (_, layers) = load(call, &call.info.name)?;
    Ok(Reply::object(200, json::object(&layers)))
}

/// The layers of a stream, with the stream; both from one snapshot.
///
/// # Errors
/// As [`get`].
pub(super) fn load(call: &Call, name: &str) -> Result<(ImageStream, ImageStreamLayers), ApiError> {
    let snapshot = call.ctx.cache.snapshot();
    let key = resource::streams().key(call.namespace(), name);
    let entry = snapshot.get(&key).ok_or_else(|| ApiError::not_found(call.of(), name))?;
    let stream = decorated(call, streams::decode::<ImageStream>(entry)?.into_inner());
    let parts = |image: &str| {
        let entry = snapshot.get(&resource::images().key("", image))?;
        let image = streams::decode::<Image>(entry).ok()?;
        Some(Arc::new(ImageParts::of(&image.object)))
    };
    let layers = layers::build(&stream, &parts)?;
    Ok((stream, layers))
}
