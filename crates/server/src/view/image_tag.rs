//! `ImageTag`: a tag of a stream with what it should follow and what it points at side by side.
//!
//! Its metadata is the stream's, whole, but for the name. Only its `spec` can be written.

use machinery::field::{FieldError, FieldErrors};
use machinery::image::{Image, ImageStream, ImageTag};
use machinery::meta::ObjectMeta;
use machinery::status::ApiError;
use machinery::time::Time;
use machinery::validate::{self, Scope};
use serde_json::json;

use super::tag::{self, Change, TagBase, TagKind};
use crate::image;
use crate::stream::{AllowedRegistries, Exempt, StreamSettings, check_tag, is_insecure, resolve_reference};

const KIND: TagKind = TagKind::ImageTag;
const ONLY_SPEC: &str = "may not update fields other than spec";

/// Builds the view. `image` is what was loaded for the tag's current entry, if anything.
///
/// # Errors
/// 404 when the tag is neither in spec nor in status.
pub fn build(
    stream: &ImageStream,
    tag: &str,
    image: Option<&Image>,
    now: Time,
) -> Result<ImageTag, ApiError> {
    if stream.spec.tag(tag).is_none() && stream.status.tag(tag).is_none() {
        return Err(ApiError::not_found(KIND.resource(), &format!("{}:{tag}", stream.metadata.name)));
    }
    Ok(build_or_empty(stream, tag, image, now))
}

/// Builds the view even if there is nothing to show: for answers to writes, and as the base of patches.
pub fn build_or_empty(stream: &ImageStream, tag: &str, image: Option<&Image>, now: Time) -> ImageTag {
    let head = stream.status.head(tag);
    let image = image.zip(head).map(|(image, head)| {
        let mut shown = image::without_raw(image, now);
        shown.docker_image_reference = resolve_reference(stream, tag, head);
        shown
    });
    ImageTag {
        metadata: ObjectMeta { name: format!("{}:{tag}", stream.metadata.name), ..stream.metadata.clone() },
        spec: stream.spec.tag(tag).cloned(),
        status: stream.status.tag(tag).cloned(),
        image,
    }
}

/// Every tag of a stream, in spec or status, by name; without images.
pub fn list(stream: &ImageStream) -> Vec<ImageTag> {
    let spec = stream.spec.tags.iter().map(|tag| tag.name.as_str());
    let names: std::collections::BTreeSet<&str> =
        spec.chain(stream.status.tags.iter().map(|entry| entry.tag.as_str())).collect();
    names.into_iter().map(|tag| build_or_empty(stream, tag, None, Time::ZERO)).collect()
}

/// Prepares and checks a request to create a tag; namespace and name must be set.
///
/// # Errors
/// 422.
pub fn check_create(request: &mut ImageTag, settings: &StreamSettings) -> Result<(), ApiError> {
    request.status = None;
    request.image = None;
    fill_spec(request, settings);
    let mut errors =
        validate::object_meta(&request.metadata, Scope::Namespaced, validate::path_segment_errors);
    if request.spec.is_none() {
        errors.push(FieldError::required("spec", "spec is a required field during creation"));
    }
    errors.extend(spec_errors(request, settings, &Exempt::default()));
    refuse(request, &errors)
}

fn fill_spec(request: &mut ImageTag, settings: &StreamSettings) {
    if let Some(spec) = &mut request.spec {
        if let Some((_, tag)) = request.metadata.name.split_once(':')
            && spec.name.is_empty()
        {
            tag.clone_into(&mut spec.name);
        }
        spec.set_defaults(settings.import_mode());
    }
}

fn spec_errors(request: &ImageTag, settings: &StreamSettings, exempt: &Exempt) -> FieldErrors {
    let Some(spec) = &request.spec else { return Vec::new() };
    let mut errors = Vec::new();
    let (_, tag, complete) = machinery::image::split_stream_tag(&request.metadata.name);
    if !complete || spec.name != tag {
        errors.push(FieldError::invalid("spec.name", spec.name.as_str(), "must match image tag name"));
    }
    errors.extend(check_tag(
        spec,
        "spec",
        is_insecure(&request.metadata),
        &AllowedRegistries::of(settings),
        exempt,
    ));
    errors
}

fn refuse(request: &ImageTag, errors: &[FieldError]) -> Result<(), ApiError> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(KIND.kind(), &request.metadata.name, errors))
}

/// The stream that creating a tag leaves; `request` has passed [`check_create`].
///
/// # Errors
/// 409 when the tag is there, 400 or 500 when the name is none.
pub fn create(loaded: Option<&ImageStream>, request: &ImageTag) -> Result<Change, ApiError> {
    let metadata = &request.metadata;
    tag::create(KIND, loaded, &metadata.namespace, &metadata.name, request.spec.as_ref())
}

/// The stream that updating a tag leaves. A request without spec removes the spec tag.
///
/// # Errors
/// 404 and 409 about the version, 422 about the content.
pub fn update(base: TagBase, mut request: ImageTag, settings: &StreamSettings) -> Result<Change, ApiError> {
    let blind = base.check_version(KIND, &mut request.metadata)?;
    if base.exists {
        check_update(&base, &mut request, settings)?;
    } else {
        request.metadata.namespace.clone_from(&base.stream.metadata.namespace);
        check_create(&mut request, settings)?;
    }
    Ok(match request.spec {
        Some(spec) => base.with_spec_tag(spec, blind),
        None => base.without_spec_tag(blind),
    })
}

fn check_update(base: &TagBase, request: &mut ImageTag, settings: &StreamSettings) -> Result<(), ApiError> {
    let old = build_or_empty(&base.stream, &base.tag, None, Time::ZERO);
    base.restore_system_fields(&mut request.metadata, &old.metadata);
    request.image = None;
    if let Some(spec) = &mut request.spec {
        spec.set_defaults(settings.import_mode());
    }
    let exempt = Exempt::of_tag(old.spec.as_ref());
    let mut errors = validate::object_meta_update(&request.metadata, &old.metadata);
    errors.extend(errors.clone());
    errors.extend(spec_errors(request, settings, &exempt));
    if request.metadata != old.metadata {
        errors.push(FieldError::invalid("metadata", json!(""), ONLY_SPEC));
    }
    if request.status != old.status {
        errors.push(FieldError::invalid("status", json!(""), ONLY_SPEC));
    }
    refuse(request, &errors)
}
