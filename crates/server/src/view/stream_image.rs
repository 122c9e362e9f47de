//! `ImageStreamImage`: an image as a member of a stream, found by its digest or the start of it.

use machinery::image::{GROUP, Image, ImageStream, ImageStreamImage, ImageStreamLayers, parse_stream_image};
use machinery::meta::ObjectMeta;
use machinery::status::{ApiError, GroupResource};
use machinery::time::Time;

use crate::image;
use crate::stream::matches_image;

/// Splits the name in a path.
///
/// # Errors
/// 400 when it is not `stream@image`.
pub fn parse_name(name: &str) -> Result<(&str, &str), ApiError> {
    parse_stream_image(name)
        .ok_or_else(|| ApiError::bad_request("ImageStreamImages must be retrieved with <name>@<id>"))
}

/// The image of the stream that an id means: the one of that name, else the first whose name begins so.
///
/// # Errors
/// 404 when the stream has none.
pub fn find<'a>(layers: &'a ImageStreamLayers, id: &str) -> Result<&'a str, ApiError> {
    if let Some((name, _)) = layers.images.get_key_value(id) {
        return Ok(name);
    }
    layers.images.keys().find(|name| matches_image(name, id)).map(String::as_str).ok_or_else(|| {
        let name = format!("{}@{id}", layers.metadata.name);
        ApiError::not_found(GroupResource::new(GROUP, "imagestreamimage"), &name)
    })
}

/// Builds the view; `id` is the image as the request named it.
pub fn build(stream: &ImageStream, image: &Image, id: &str, now: Time) -> ImageStreamImage {
    ImageStreamImage {
        metadata: ObjectMeta {
            name: format!("{}@{id}", stream.metadata.name),
            namespace: stream.metadata.namespace.clone(),
            creation_timestamp: image.metadata.creation_timestamp,
            annotations: stream.metadata.annotations.clone(),
            ..Default::default()
        },
        image: image::without_raw(image, now),
    }
}
