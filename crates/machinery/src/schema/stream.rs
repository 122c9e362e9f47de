//! The fields of streams.

use super::meta::{OBJECT_META, OBJECT_REFERENCE};
use super::{Merge, Object, Shape, field};

/// `ImageStream`.
pub static IMAGE_STREAM: Object = Object::new(
    "com.github.openshift.api.image.v1.ImageStream",
    "Named, versioned pointers to container images. Each tag has a desired source (spec) \
        and a history of the images it has pointed at (status); what builds, deployments and \
        users pull by name is found through it.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field("spec", Shape::Object(&IMAGE_STREAM_SPEC), "What the stream should follow.").filled(),
        field("status", Shape::Object(&IMAGE_STREAM_STATUS), "What it points at, with history.").filled(),
    ],
)
.kind("image.openshift.io", "v1", "ImageStream");

/// `ImageStreamSpec`.
pub static IMAGE_STREAM_SPEC: Object = Object::new(
    "com.github.openshift.api.image.v1.ImageStreamSpec",
    "What a stream should follow.",
    &[
        field(
            "dockerImageRepository",
            Shape::Text,
            "A repository of another registry all of whose tags are imported. Rather list tags.",
        ),
        field(
            "lookupPolicy",
            Shape::Object(&IMAGE_LOOKUP_POLICY),
            "Whether workloads of the project may name images by this stream.",
        )
        .filled(),
        field(
            "tags",
            Shape::List(&Shape::Object(&TAG_REFERENCE), Merge::ByKey(&["name"])),
            "Where each tag comes from. A tag that is not listed here is only moved by pushes.",
        ),
    ],
);

/// `ImageStreamStatus`.
pub static IMAGE_STREAM_STATUS: Object = Object::new(
    "com.github.openshift.api.image.v1.ImageStreamStatus",
    "What a stream points at.",
    &[
        field("dockerImageRepository", Shape::Text, "The stream's repository in the integrated registry.")
            .filled(),
        field("publicDockerImageRepository", Shape::Text, "The same as seen from outside."),
        field(
            "tags",
            Shape::List(&Shape::Object(&NAMED_TAG_EVENT_LIST), Merge::ByKey(&["tag"])),
            "What each tag points at, and its history.",
        ),
    ],
);

/// `ImageLookupPolicy`.
pub static IMAGE_LOOKUP_POLICY: Object = Object::new(
    "com.github.openshift.api.image.v1.ImageLookupPolicy",
    "How other resources may name a stream's images.",
    &[field("local", Shape::Bool, "Single-segment image names of the project resolve to this stream.")
        .required()
        .filled()],
);

/// `TagReference`.
pub static TAG_REFERENCE: Object = Object::new(
    "com.github.openshift.api.image.v1.TagReference",
    "Where a tag comes from.",
    &[
        field("annotations", Shape::Map(&Shape::Text), "Free-form words about the tag."),
        field(
            "from",
            Shape::Object(&OBJECT_REFERENCE),
            "What the tag follows: a DockerImage (pull spec), an ImageStreamTag or an \
        ImageStreamImage. Tags without it are only pushed to.",
        ),
        field(
            "generation",
            Shape::Int64,
            "Generation of the stream at which this entry last changed. Write 0 to ask for \
        another import.",
        ),
        field(
            "importPolicy",
            Shape::Object(&TAG_IMPORT_POLICY),
            "How the tag is imported: whether unverified registries will do, whether the import \
        is repeated, and which platforms are taken.",
        )
        .filled(),
        field("name", Shape::Text, "Name of the tag.").required().filled(),
        field("reference", Shape::Bool, "Only record the pull spec; never import the image."),
        field(
            "referencePolicy",
            Shape::Object(&TAG_REFERENCE_POLICY),
            "How others see the pull spec of the tag.",
        )
        .filled(),
    ],
);

/// `TagImportPolicy`.
pub static TAG_IMPORT_POLICY: Object = Object::new(
    "com.github.openshift.api.image.v1.TagImportPolicy",
    "How a tag is imported.",
    &[
        field(
            "importMode",
            Shape::Text,
            "What is taken from a list of images for several platforms: Legacy takes the image of \
        one platform, PreserveOriginal the whole list.",
        ),
        field(
            "insecure",
            Shape::Bool,
            "Plain HTTP or TLS that cannot be verified is good enough for this tag.",
        ),
        field("scheduled", Shape::Bool, "Import the tag again and again, so that it follows its source."),
    ],
);

/// `TagReferencePolicy`.
pub static TAG_REFERENCE_POLICY: Object = Object::new(
    "com.github.openshift.api.image.v1.TagReferencePolicy",
    "How consumers see a tag's pull spec.",
    &[field(
        "type",
        Shape::Text,
        "Source shows the pull spec of the registry that the image came from, Local one of \
        the integrated registry, which then fetches the image when it is asked for.",
    )
    .required()
    .filled()],
);

/// `NamedTagEventList`.
pub static NAMED_TAG_EVENT_LIST: Object = Object::new(
    "com.github.openshift.api.image.v1.NamedTagEventList",
    "The history of one tag.",
    &[
        field(
            "conditions",
            Shape::List(&Shape::Object(&TAG_EVENT_CONDITION), Merge::Atomic),
            "What went wrong last.",
        ),
        field("items", Shape::List(&Shape::Object(&TAG_EVENT), Merge::Atomic), "The objects.").required(),
        field("tag", Shape::Text, "The tag.").required().filled(),
    ],
);

/// `TagEvent`.
pub static TAG_EVENT: Object = Object::new(
    "com.github.openshift.api.image.v1.TagEvent",
    "One entry of a tag's history.",
    &[
        field("created", Shape::Time, "When the tag began to point here.").required(),
        field("dockerImageReference", Shape::Text, "The pull spec.").required().filled(),
        field("generation", Shape::Int64, "Generation of the spec that led to the entry.")
            .required()
            .filled(),
        field("image", Shape::Text, "Name of the image; empty for mere references.").required().filled(),
    ],
);

/// `TagEventCondition`.
pub static TAG_EVENT_CONDITION: Object = Object::new(
    "com.github.openshift.api.image.v1.TagEventCondition",
    "What is the matter with a tag.",
    &[
        field("generation", Shape::Int64, "Generation of the spec it is about.").required().filled(),
        field("lastTransitionTime", Shape::Time, "When it last changed."),
        field("message", Shape::Text, "Text for people."),
        field("reason", Shape::Text, "Machine readable reason."),
        field("status", Shape::Text, "`True`, `False` or `Unknown`.").required().filled(),
        field("type", Shape::Text, "`ImportSuccess`.").required().filled(),
    ],
);
