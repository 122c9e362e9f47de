//! Limits that a project's limit ranges set: the size of an image that is pushed, what one stream may hold.

use machinery::image::{DockerImage, Image};
use machinery::quantity::{Format, Quantity};
use machinery::status::{ApiError, GroupResource};
use serde_json::Value;

use super::kinds::quantity;
use crate::context::Context;
use crate::image::DeriveError;
use crate::plain::Plain;
use crate::resource;
use crate::stored::Storable;
use crate::stream::StreamLimits;

const IMAGE_ITEM: &str = "openshift.io/Image";
const STREAM_ITEM: &str = "openshift.io/ImageStream";
const IMAGES: &str = "openshift.io/images";
const IMAGE_TAGS: &str = "openshift.io/image-tags";

/// What one stream of a project may hold: the lowest of all its limit ranges.
pub fn of_streams(ctx: &Context, namespace: &str) -> StreamLimits {
    let max = |item: &Value, name: &str| {
        let amount = item.get("max").and_then(|max| max.get(name)).and_then(quantity);
        amount.map(|amount| amount.value())
    };
    items(ctx, namespace, STREAM_ITEM)
        .iter()
        .map(|item| StreamLimits { images: max(item, IMAGES), image_tags: max(item, IMAGE_TAGS) })
        .fold(StreamLimits::default(), StreamLimits::and)
}

/// Refuses an image that is larger than a project's images may be; one that is just as large passes. One whose size could
/// not be derived (`underived` says why) passes only where nothing is limited.
///
/// # Errors
/// 403 naming size and limit, or what is wrong with the image.
pub fn admit_image(
    ctx: &Context,
    namespace: &str,
    of: GroupResource<'_>,
    name: &str,
    image: &Image,
    underived: Option<&DeriveError>,
) -> Result<(), ApiError> {
    let items = items(ctx, namespace, IMAGE_ITEM);
    if items.is_empty() {
        return Ok(());
    }
    if let Some(why) = underived {
        return Err(ApiError::forbidden(of, name, &why.to_string()));
    }
    let metadata = DockerImage::decode(&image.docker_image_metadata, &image.docker_image_metadata_version)
        .map_err(|why| ApiError::forbidden(of, name, &why.to_string()))?;
    // What is no image of a container (an artifact) has nothing but layers.
    let layers = image.docker_image_layers.iter().map(|layer| layer.size).fold(0, i64::saturating_add);
    let size = Quantity::new(if metadata.size > 0 { metadata.size } else { layers }, Format::Binary);
    for item in &items {
        let max = item.get("max").and_then(|max| max.get("storage")).and_then(quantity);
        if let Some(max) = max.filter(|max| max.value() < size.value()) {
            let why = format!(
                "requested usage of storage exceeds the maximum limit per {IMAGE_ITEM} ({size} > {max})"
            );
            return Err(ApiError::forbidden(of, name, &why));
        }
    }
    Ok(())
}

/// The items of one type in a project's limit ranges.
fn items(ctx: &Context, namespace: &str, kind: &str) -> Vec<Value> {
    let resource = resource::find("", "v1", "limitranges", "").expect("the table lists limit ranges");
    let snapshot = ctx.cache.snapshot();
    let mut found = Vec::new();
    for entry in snapshot.range(&resource.prefix_in(namespace), None) {
        let Ok(range) = Plain::decode(&entry.object) else { continue };
        let limits = range.fields.get("spec").and_then(|spec| spec.get("limits")).and_then(Value::as_array);
        let of_kind = |item: &&Value| item.get("type").and_then(Value::as_str) == Some(kind);
        found.extend(limits.into_iter().flatten().filter(of_kind).cloned());
    }
    found
}
