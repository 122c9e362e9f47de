//! `ImageStreamTag`: a tag of a stream together with its image.
//!
//! Its identity and labels are the stream's, its annotations those of the spec tag, its time that of the tag's current
//! entry. An entry without image (a mere reference) does not make one.

use machinery::field::{FieldError, FieldErrors};
use machinery::image::{Image, ImageStream, ImageStreamTag, TagEvent};
use machinery::meta::ObjectMeta;
use machinery::status::ApiError;
use machinery::time::Time;
use machinery::validate::{self, Scope};
use serde_json::json;

use super::tag::{self, Change, TagBase, TagKind};
use crate::image;
use crate::stream::{AllowedRegistries, Exempt, StreamSettings, check_tag, is_insecure, resolve_reference};

const KIND: TagKind = TagKind::ImageStreamTag;

/// The image that a tag points at now, if it points at one.
pub fn head_image<'a>(stream: &'a ImageStream, tag: &str) -> Option<&'a str> {
    stream.status.head(tag).map(|head| head.image.as_str()).filter(|image| !image.is_empty())
}

/// Builds the view. `image` is what was loaded for [`head_image`].
///
/// # Errors
/// 404 when the tag points at no image.
pub fn build(
    stream: &ImageStream,
    tag: &str,
    image: Option<&Image>,
    now: Time,
) -> Result<ImageStreamTag, ApiError> {
    match stream.status.head(tag).filter(|head| !head.image.is_empty()) {
        Some(head) => Ok(view(stream, tag, head, image, now)),
        None => Err(ApiError::not_found(KIND.resource(), &format!("{}:{tag}", stream.metadata.name))),
    }
}

/// Builds the view whether or not there is an image: for answers to writes, and as the base of patches.
pub fn build_or_empty(stream: &ImageStream, tag: &str, image: Option<&Image>, now: Time) -> ImageStreamTag {
    match stream.status.head(tag).filter(|head| !head.image.is_empty()) {
        Some(head) => view(stream, tag, head, image, now),
        None => {
            let head = TagEvent { created: stream.metadata.creation_timestamp, ..Default::default() };
            view(stream, tag, &head, image, now)
        }
    }
}

/// Every tag of a stream that points at an image, by name; images are named but not filled in.
pub fn list(stream: &ImageStream) -> Vec<ImageStreamTag> {
    stream
        .status
        .tags
        .iter()
        .filter_map(|entry| Some((entry, entry.items.first().filter(|head| !head.image.is_empty())?)))
        .map(|(entry, head)| view(stream, &entry.tag, head, None, Time::ZERO))
        .collect()
}

fn view(
    stream: &ImageStream,
    tag: &str,
    head: &TagEvent,
    image: Option<&Image>,
    now: Time,
) -> ImageStreamTag {
    let spec = stream.spec.tag(tag);
    let annotations = spec.map(|spec| spec.annotations.clone()).unwrap_or_default();
    let mut shown = match image {
        Some(image) => {
            let mut shown = image::without_raw(image, now);
            shown.metadata.annotations.extend(annotations.clone());
            shown
        }
        None => {
            let mut shown = image::empty();
            shown.metadata.name.clone_from(&head.image);
            shown
        }
    };
    shown.docker_image_reference = resolve_reference(stream, tag, head);
    ImageStreamTag {
        metadata: ObjectMeta {
            name: format!("{}:{tag}", stream.metadata.name),
            namespace: stream.metadata.namespace.clone(),
            uid: stream.metadata.uid.clone(),
            resource_version: stream.metadata.resource_version.clone(),
            creation_timestamp: head.created,
            labels: stream.metadata.labels.clone(),
            annotations,
            ..Default::default()
        },
        tag: spec.cloned(),
        generation: head.generation,
        lookup_policy: stream.spec.lookup_policy.clone(),
        conditions: stream.status.tag(tag).map(|entry| entry.conditions.clone()).unwrap_or_default(),
        image: shown,
    }
}

/// Prepares and checks a request to create a tag; namespace and name must be set.
///
/// # Errors
/// 422.
pub fn check_create(request: &mut ImageStreamTag, settings: &StreamSettings) -> Result<(), ApiError> {
    prepare_create(request, settings);
    refuse(request, &create_errors(request, settings))
}

fn prepare_create(request: &mut ImageStreamTag, settings: &StreamSettings) {
    if let Some(tag) = &mut request.tag {
        if tag.name.is_empty() {
            machinery::image::split_stream_tag(&request.metadata.name).1.clone_into(&mut tag.name);
        }
        tag.set_defaults(settings.import_mode());
    }
    request.conditions.clear();
    request.image = image::empty();
}

fn create_errors(request: &ImageStreamTag, settings: &StreamSettings) -> FieldErrors {
    let mut errors =
        validate::object_meta(&request.metadata, Scope::Namespaced, validate::path_segment_errors);
    errors.extend(tag_errors(request, settings, &Exempt::default()));
    let metadata = &request.metadata.annotations;
    if let Some(tag) = &request.tag
        && !tag.annotations.is_empty()
        && tag.annotations != *metadata
    {
        errors.push(FieldError::invalid(
            "tag.annotations",
            "<map>",
            "tag annotations must not be provided or must be equal to the object meta annotations",
        ));
    }
    errors
}

fn tag_errors(request: &ImageStreamTag, settings: &StreamSettings, exempt: &Exempt) -> FieldErrors {
    let insecure = is_insecure(&request.metadata);
    let check = |tag| check_tag(tag, "tag", insecure, &AllowedRegistries::of(settings), exempt);
    request.tag.as_ref().map(check).unwrap_or_default()
}

fn refuse(request: &ImageStreamTag, errors: &[FieldError]) -> Result<(), ApiError> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(KIND.kind(), &request.metadata.name, errors))
}

/// The stream that creating a tag leaves; `request` has passed [`check_create`].
///
/// # Errors
/// 409 when the tag is there, 400 or 500 when the name is none.
pub fn create(loaded: Option<&ImageStream>, request: &ImageStreamTag) -> Result<Change, ApiError> {
    let metadata = &request.metadata;
    tag::create(KIND, loaded, &metadata.namespace, &metadata.name, request.tag.as_ref())
}

/// The stream that updating a tag leaves.
///
/// # Errors
/// 404 and 409 about the version, 422 about the content, 400 when there is no tag to update.
pub fn update(
    base: TagBase,
    mut request: ImageStreamTag,
    settings: &StreamSettings,
) -> Result<Change, ApiError> {
    let blind = base.check_version(KIND, &mut request.metadata)?;
    if base.exists {
        check_update(&base, &mut request, settings)?;
    } else {
        request.metadata.namespace.clone_from(&base.stream.metadata.namespace);
        check_create(&mut request, settings)?;
    }
    let held = base.stream.spec.tag(&base.tag);
    let Some(mut tag) = request.tag.or_else(|| held.cloned()) else {
        let ObjectMeta { namespace, name, .. } = &base.stream.metadata;
        return Err(ApiError::bad_request(format!(
            "imagestreamtag {} is not a spec tag in imagestream {namespace}/{name}, cannot be updated",
            base.tag
        )));
    };
    tag.annotations = request.metadata.annotations;
    Ok(base.with_spec_tag(tag, blind))
}

fn check_update(
    base: &TagBase,
    request: &mut ImageStreamTag,
    settings: &StreamSettings,
) -> Result<(), ApiError> {
    let old = build_or_empty(&base.stream, &base.tag, None, Time::ZERO);
    if request.metadata.labels.is_empty() {
        request.metadata.labels.clone_from(&old.metadata.labels);
    }
    base.restore_system_fields(&mut request.metadata, &old.metadata);
    if let Some(tag) = &mut request.tag {
        tag.annotations.clone_from(&request.metadata.annotations);
        tag.set_defaults(settings.import_mode());
    }
    let exempt = Exempt::of_tag(old.tag.as_ref());
    let mut errors = validate::object_meta_update(&request.metadata, &old.metadata);
    errors.extend(errors.clone());
    errors.extend(tag_errors(request, settings, &exempt));
    let without_annotations =
        |metadata: &ObjectMeta| ObjectMeta { annotations: Default::default(), ..metadata.clone() };
    if without_annotations(&request.metadata) != without_annotations(&old.metadata) {
        let detail = "may not update fields other than metadata.annotations";
        errors.push(FieldError::invalid("metadata", json!(""), detail));
    }
    refuse(request, &errors)
}
