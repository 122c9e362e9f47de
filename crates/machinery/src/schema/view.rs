//! The fields of views: what is computed from streams and images.

use super::core::SECRET;
use super::image::IMAGE;
use super::meta::{LIST_META, OBJECT_META};
use super::stream::{IMAGE_LOOKUP_POLICY, NAMED_TAG_EVENT_LIST, TAG_EVENT_CONDITION, TAG_REFERENCE};
use super::{Merge, Object, Shape, field};

/// `ImageStreamTag`.
pub static IMAGE_STREAM_TAG: Object = Object::new(
    "com.github.openshift.api.image.v1.ImageStreamTag",
    "A tag of a stream together with its image.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("conditions", Shape::List(&Shape::Object(&TAG_EVENT_CONDITION), Merge::Atomic), "The tag's."),
        field("generation", Shape::Int64, "Generation of the tag's current entry.").required().filled(),
        field("image", Shape::Object(&IMAGE), "The image it points at.").required().filled(),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("lookupPolicy", Shape::Object(&IMAGE_LOOKUP_POLICY), "The stream's.").required().filled(),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field(
            "tag",
            Shape::Object(&TAG_REFERENCE),
            "Where the tag comes from; null for tags that were only pushed to.",
        )
        .required(),
    ],
)
.kind("image.openshift.io", "v1", "ImageStreamTag");

/// `ImageTag`.
pub static IMAGE_TAG: Object = Object::new(
    "com.github.openshift.api.image.v1.ImageTag",
    "A tag of a stream with desired and actual state side by side.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("image", Shape::Object(&IMAGE), "The image it points at.").required(),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field("spec", Shape::Object(&TAG_REFERENCE), "Where the tag comes from.").required(),
        field("status", Shape::Object(&NAMED_TAG_EVENT_LIST), "Its history.").required(),
    ],
)
.kind("image.openshift.io", "v1", "ImageTag");

/// `ImageStreamImage`.
pub static IMAGE_STREAM_IMAGE: Object = Object::new(
    "com.github.openshift.api.image.v1.ImageStreamImage",
    "An image as a member of a stream.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("image", Shape::Object(&IMAGE), "The image.").required().filled(),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
    ],
)
.kind("image.openshift.io", "v1", "ImageStreamImage");

/// `ImageStreamMapping`.
pub static IMAGE_STREAM_MAPPING: Object = Object::new(
    "com.github.openshift.api.image.v1.ImageStreamMapping",
    "A request to point a tag at a pushed image.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("image", Shape::Object(&IMAGE), "The image.").required().filled(),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field("tag", Shape::Text, "The tag.").required().filled(),
    ],
)
.kind("image.openshift.io", "v1", "ImageStreamMapping");

/// `ImageStreamLayers`.
pub static IMAGE_STREAM_LAYERS: Object = Object::new(
    "com.github.openshift.api.image.v1.ImageStreamLayers",
    "Every blob and image a stream has ever held.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("blobs", Shape::Map(&Shape::Object(&IMAGE_LAYER_DATA)), "Blobs by digest.").required(),
        field("images", Shape::Map(&Shape::Object(&IMAGE_BLOB_REFERENCES)), "Images by digest.").required(),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
    ],
)
.kind("image.openshift.io", "v1", "ImageStreamLayers");

/// `ImageLayerData`.
pub static IMAGE_LAYER_DATA: Object = Object::new(
    "com.github.openshift.api.image.v1.ImageLayerData",
    "What is known of a blob.",
    &[
        field("mediaType", Shape::Text, "Its media type.").required().filled(),
        field("size", Shape::Int64, "Bytes; null where not known.").required(),
    ],
);

/// `ImageBlobReferences`.
pub static IMAGE_BLOB_REFERENCES: Object = Object::new(
    "com.github.openshift.api.image.v1.ImageBlobReferences",
    "What an image consists of.",
    &[
        field("config", Shape::Text, "Digest of the configuration."),
        field("imageMissing", Shape::Bool, "The stream names the image, but it is gone.").filled(),
        field("layers", Shape::List(&Shape::Text, Merge::Atomic), "Digests of the layers."),
        field("manifests", Shape::List(&Shape::Text, Merge::Atomic), "Digests of the children of a list."),
    ],
);

/// `SecretList`.
pub static SECRET_LIST: Object = Object::new(
    "com.github.openshift.api.image.v1.SecretList",
    "A list of objects of kind Secret.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("items", Shape::List(&Shape::Object(&SECRET), Merge::Atomic), "The objects.").required(),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&LIST_META), "Standard list metadata.").filled(),
    ],
)
.kind("image.openshift.io", "v1", "SecretList");
