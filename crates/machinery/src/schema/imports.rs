//! The fields of imports.

use super::image::IMAGE;
use super::meta::{LOCAL_OBJECT_REFERENCE, OBJECT_META, OBJECT_REFERENCE, STATUS};
use super::stream::{IMAGE_STREAM, TAG_IMPORT_POLICY, TAG_REFERENCE_POLICY};
use super::{Merge, Object, Shape, field};

/// `ImageStreamImport`.
pub static IMAGE_STREAM_IMPORT: Object = Object::new(
    "com.github.openshift.api.image.v1.ImageStreamImport",
    "Asks the server to fetch metadata of images from other registries, and, if wanted, \
        to point tags of a stream at them. Failures of single images are told in the status.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field("spec", Shape::Object(&IMAGE_STREAM_IMPORT_SPEC), "What to import.").required().filled(),
        field("status", Shape::Object(&IMAGE_STREAM_IMPORT_STATUS), "How it went.").required().filled(),
    ],
)
.kind("image.openshift.io", "v1", "ImageStreamImport");

/// `ImageStreamImportSpec`.
pub static IMAGE_STREAM_IMPORT_SPEC: Object = Object::new(
    "com.github.openshift.api.image.v1.ImageStreamImportSpec",
    "What to import.",
    &[
        field("images", Shape::List(&Shape::Object(&IMAGE_IMPORT_SPEC), Merge::Atomic), "Single images."),
        field("import", Shape::Bool, "Whether to store the result; otherwise only look.").required().filled(),
        field("repository", Shape::Object(&REPOSITORY_IMPORT_SPEC), "A whole repository."),
    ],
);

/// `ImageStreamImportStatus`.
pub static IMAGE_STREAM_IMPORT_STATUS: Object = Object::new(
    "com.github.openshift.api.image.v1.ImageStreamImportStatus",
    "How an import went.",
    &[
        field(
            "images",
            Shape::List(&Shape::Object(&IMAGE_IMPORT_STATUS), Merge::Atomic),
            "Outcome of each image, in the order asked for.",
        ),
        field("import", Shape::Object(&IMAGE_STREAM), "The stream as stored."),
        field("repository", Shape::Object(&REPOSITORY_IMPORT_STATUS), "Outcome of the repository import."),
    ],
);

/// `ImageImportSpec`.
pub static IMAGE_IMPORT_SPEC: Object = Object::new(
    "com.github.openshift.api.image.v1.ImageImportSpec",
    "Import one image.",
    &[
        field("from", Shape::Object(&OBJECT_REFERENCE), "The image, kind `DockerImage`.").required().filled(),
        field("importPolicy", Shape::Object(&TAG_IMPORT_POLICY), "How it is imported.").filled(),
        field("includeManifest", Shape::Bool, "Answer with the raw manifest."),
        field("referencePolicy", Shape::Object(&TAG_REFERENCE_POLICY), "How consumers see it.").filled(),
        field("to", Shape::Object(&LOCAL_OBJECT_REFERENCE), "The tag to point at it."),
    ],
);

/// `ImageImportStatus`.
pub static IMAGE_IMPORT_STATUS: Object = Object::new(
    "com.github.openshift.api.image.v1.ImageImportStatus",
    "Outcome of importing one image.",
    &[
        field("image", Shape::Object(&IMAGE), "The image."),
        field(
            "manifests",
            Shape::List(&Shape::Object(&IMAGE), Merge::Atomic),
            "Children, when a list was imported whole.",
        ),
        field("status", Shape::Object(&STATUS), "Success, or what went wrong.").required().filled(),
        field("tag", Shape::Text, "The tag it was found under."),
    ],
);

/// `RepositoryImportSpec`.
pub static REPOSITORY_IMPORT_SPEC: Object = Object::new(
    "com.github.openshift.api.image.v1.RepositoryImportSpec",
    "Import all tags of a repository.",
    &[
        field("from", Shape::Object(&OBJECT_REFERENCE), "The repository, kind `DockerImage`.")
            .required()
            .filled(),
        field("importPolicy", Shape::Object(&TAG_IMPORT_POLICY), "How its tags are imported.").filled(),
        field("includeManifest", Shape::Bool, "Answer with raw manifests."),
        field("referencePolicy", Shape::Object(&TAG_REFERENCE_POLICY), "How consumers see its tags.")
            .filled(),
    ],
);

/// `RepositoryImportStatus`.
pub static REPOSITORY_IMPORT_STATUS: Object = Object::new(
    "com.github.openshift.api.image.v1.RepositoryImportStatus",
    "Outcome of a repository import.",
    &[
        field(
            "additionalTags",
            Shape::List(&Shape::Text, Merge::Atomic),
            "Tags that were not imported because there are too many.",
        ),
        field(
            "images",
            Shape::List(&Shape::Object(&IMAGE_IMPORT_STATUS), Merge::Atomic),
            "Outcome of each tag.",
        ),
        field("status", Shape::Object(&STATUS), "The whole of it.").filled(),
    ],
);
