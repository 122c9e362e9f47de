//! The fields of images.

use super::meta::{OBJECT_META, RAW_EXTENSION};
use super::{Merge, Object, Shape, field};

/// `Image`.
pub static IMAGE: Object = Object::new(
    "com.github.openshift.api.image.v1.Image",
    "A container image: the immutable result of one manifest. Cluster scoped; its name is \
        the manifest's digest.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("dockerImageConfig", Shape::Text, "The raw configuration, where it is kept."),
        field(
            "dockerImageLayers",
            Shape::List(&Shape::Object(&IMAGE_LAYER), Merge::Atomic),
            "Layers, oldest first.",
        ),
        field("dockerImageManifest", Shape::Text, "The raw manifest, where it is kept."),
        field("dockerImageManifestMediaType", Shape::Text, "Media type of the manifest."),
        field(
            "dockerImageManifests",
            Shape::List(&Shape::Object(&IMAGE_MANIFEST), Merge::Atomic),
            "Children, when the image is a manifest list or index.",
        ),
        field(
            "dockerImageMetadata",
            Shape::Object(&RAW_EXTENSION),
            "What the image says of itself: architecture, size, configuration.",
        )
        .replaced(),
        field("dockerImageMetadataVersion", Shape::Text, "Version of the above, `1.0`."),
        field("dockerImageReference", Shape::Text, "The pull spec the image can be fetched with."),
        field(
            "dockerImageSignatures",
            Shape::List(&Shape::Bytes, Merge::Atomic),
            "Signatures that came inside a schema 1 manifest.",
        ),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field(
            "metadata",
            Shape::Object(&OBJECT_META),
            "Standard object metadata. The name of an image is its digest.",
        )
        .filled(),
        field(
            "signatures",
            Shape::List(&Shape::Object(&IMAGE_SIGNATURE), Merge::ByKey(&["name"])),
            "Signatures of the image.",
        ),
    ],
)
.kind("image.openshift.io", "v1", "Image");

/// `ImageLayer`.
pub static IMAGE_LAYER: Object = Object::new(
    "com.github.openshift.api.image.v1.ImageLayer",
    "One layer of an image.",
    &[
        field("mediaType", Shape::Text, "Media type of the blob.").required().filled(),
        field("name", Shape::Text, "Digest of the layer's blob.").required().filled(),
        field("size", Shape::Int64, "Bytes, compressed.").required().filled(),
    ],
);

/// `ImageManifest`.
pub static IMAGE_MANIFEST: Object = Object::new(
    "com.github.openshift.api.image.v1.ImageManifest",
    "One child of a manifest list or index.",
    &[
        field("architecture", Shape::Text, "CPU architecture it is for.").required().filled(),
        field("digest", Shape::Text, "Digest of the child manifest.").required().filled(),
        field("manifestSize", Shape::Int64, "Its size in bytes.").required().filled(),
        field("mediaType", Shape::Text, "Its media type.").required().filled(),
        field("os", Shape::Text, "Operating system it is for.").required().filled(),
        field("variant", Shape::Text, "Variant of the CPU."),
    ],
);

/// `ImageSignature`.
pub static IMAGE_SIGNATURE: Object = Object::new(
    "com.github.openshift.api.image.v1.ImageSignature",
    "A signature over an image.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field(
            "conditions",
            Shape::List(&Shape::Object(&SIGNATURE_CONDITION), Merge::ByKey(&["type"])),
            "Verdicts about the signature.",
        ),
        field("content", Shape::Bytes, "The signature itself.").required(),
        field("created", Shape::Time, "When it was signed."),
        field("imageIdentity", Shape::Text, "What the signature says it is about."),
        field("issuedBy", Shape::Object(&SIGNATURE_ISSUER), "Who issued the certificate or key."),
        field("issuedTo", Shape::Object(&SIGNATURE_SUBJECT), "Who signed."),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field("signedClaims", Shape::Map(&Shape::Text), "Claims from the signature."),
        field("type", Shape::Text, "Kind of signature, `AtomicImageV1`.").required().filled(),
    ],
)
.kind("image.openshift.io", "v1", "ImageSignature");

/// `SignatureCondition`.
pub static SIGNATURE_CONDITION: Object = Object::new(
    "com.github.openshift.api.image.v1.SignatureCondition",
    "A verdict about a signature.",
    &[
        field("lastProbeTime", Shape::Time, "When it was last checked."),
        field("lastTransitionTime", Shape::Time, "When the verdict last changed."),
        field("message", Shape::Text, "Text for people."),
        field("reason", Shape::Text, "Machine readable reason."),
        field("status", Shape::Text, "`True`, `False` or `Unknown`.").required().filled(),
        field("type", Shape::Text, "`Trusted`, `ForImage`, `Expired` or `Revoked`.").required().filled(),
    ],
);

/// `SignatureIssuer`.
pub static SIGNATURE_ISSUER: Object = Object::new(
    "com.github.openshift.api.image.v1.SignatureIssuer",
    "Who issued the certificate or key of a signature.",
    &[
        field("commonName", Shape::Text, "Name of who issued the key."),
        field("organization", Shape::Text, "Organization of who issued the key."),
    ],
);

/// `SignatureSubject`.
pub static SIGNATURE_SUBJECT: Object = Object::new(
    "com.github.openshift.api.image.v1.SignatureSubject",
    "Who made a signature.",
    &[
        field("commonName", Shape::Text, "Name of who the key belongs to."),
        field("organization", Shape::Text, "Organization of who the key belongs to."),
        field("publicKeyID", Shape::Text, "The key, as hexadecimal digits of its identifier.")
            .required()
            .filled(),
    ],
);
