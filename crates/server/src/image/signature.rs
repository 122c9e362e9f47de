//! Signatures are stored inside their image; these are the changes of the image that adding and removing one make.

use machinery::image::{GROUP, Image, ImageSignature, parse_stream_image};
use machinery::status::{ApiError, GroupResource};

use super::check_signature;

/// Spelt in errors with a capital letter in the middle, unlike in paths.
const RESOURCE: GroupResource<'static> = GroupResource::new(GROUP, "imageSignatures");

/// The name of a signature in its two parts, image and signature.
///
/// # Errors
/// 400 when it is not of that form.
pub fn parse_signature_name(name: &str) -> Result<(&str, &str), ApiError> {
    parse_stream_image(name).ok_or_else(|| {
        ApiError::bad_request("ImageSignatures must be accessed with <imageName>@<signatureName>")
    })
}

/// Prepares a signature that is to be added: what only verifiers may say is dropped.
///
/// # Errors
/// 422 when it is not well-formed.
pub fn prepare_signature(mut signature: ImageSignature) -> Result<ImageSignature, ApiError> {
    signature.conditions.clear();
    signature.image_identity.clear();
    signature.signed_claims.clear();
    signature.created = None;
    signature.issued_by = None;
    signature.issued_to = None;
    let errors = check_signature(&signature, "");
    if errors.is_empty() {
        return Ok(signature);
    }
    Err(ApiError::invalid(GroupResource::new(GROUP, "ImageSignature"), &signature.metadata.name, &errors))
}

/// The image with a signature more.
///
/// # Errors
/// 409 when it has one of that name, or one that is the same.
pub fn add_signature(image: &Image, signature: ImageSignature) -> Result<Image, ApiError> {
    let is_same = |held: &ImageSignature| {
        held.metadata.name == signature.metadata.name
            || (held.r#type == signature.r#type && held.content == signature.content)
    };
    if image.signatures.iter().any(is_same) {
        return Err(ApiError::already_exists(RESOURCE, &signature.metadata.name));
    }
    let mut image = image.clone();
    image.signatures.push(signature);
    Ok(image)
}

/// The image without a signature.
///
/// # Errors
/// 404 when it has none of that name.
pub fn remove_signature(image: &Image, name: &str) -> Result<Image, ApiError> {
    let mut image = image.clone();
    let before = image.signatures.len();
    image.signatures.retain(|held| held.metadata.name != name);
    if image.signatures.len() == before {
        return Err(ApiError::not_found(RESOURCE, name));
    }
    Ok(image)
}
