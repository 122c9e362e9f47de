//! The fields of the plain kinds of the core group.

use super::meta::{LOCAL_OBJECT_REFERENCE, OBJECT_META, OBJECT_REFERENCE};
use super::{Merge, Object, Shape, field};

/// `Namespace`.
pub static NAMESPACE: Object = Object::new(
    "io.k8s.api.core.v1.Namespace",
    "A project: the place that most objects live in, and what access is granted to.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field("spec", Shape::Object(&NAMESPACE_SPEC), "What holds the namespace.").filled(),
        field("status", Shape::Object(&NAMESPACE_STATUS), "Whether it is going away.").filled(),
    ],
)
.kind("", "v1", "Namespace");

/// `NamespaceSpec`.
pub static NAMESPACE_SPEC: Object = Object::new(
    "io.k8s.api.core.v1.NamespaceSpec",
    "What holds a namespace.",
    &[field(
        "finalizers",
        Shape::List(&Shape::Text, Merge::Atomic),
        "Who must act before the namespace goes.",
    )],
);

/// `NamespaceStatus`.
pub static NAMESPACE_STATUS: Object = Object::new(
    "io.k8s.api.core.v1.NamespaceStatus",
    "The state of a namespace.",
    &[
        field(
            "conditions",
            Shape::List(&Shape::Object(&NAMESPACE_CONDITION), Merge::ByKey(&["type"])),
            "What holds up its deletion.",
        ),
        field("phase", Shape::Text, "Active or Terminating."),
    ],
);

/// `NamespaceCondition`.
pub static NAMESPACE_CONDITION: Object = Object::new(
    "io.k8s.api.core.v1.NamespaceCondition",
    "One thing that is known of a namespace.",
    &[
        field("lastTransitionTime", Shape::Time, "When it last changed."),
        field("message", Shape::Text, "Text for people."),
        field("reason", Shape::Text, "Machine readable reason."),
        field("status", Shape::Text, "True, False or Unknown.").required().filled(),
        field("type", Shape::Text, "What it is about.").required().filled(),
    ],
);

/// `Secret`.
pub static SECRET: Object = Object::new(
    "io.k8s.api.core.v1.Secret",
    "Words and files that must not be seen by everybody, such as credentials for \
        registries.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("data", Shape::Map(&Shape::Bytes), "The content, each value in base64."),
        field("immutable", Shape::Bool, "The content may not be changed any more."),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field(
            "stringData",
            Shape::Map(&Shape::Text),
            "Content as plain text; folded into data when the secret is written, never shown.",
        ),
        field("type", Shape::Text, "What the secret is for; some types must hold certain keys."),
    ],
)
.kind("", "v1", "Secret");

/// `ConfigMap`.
pub static CONFIG_MAP: Object = Object::new(
    "io.k8s.api.core.v1.ConfigMap",
    "Configuration as names and texts.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("binaryData", Shape::Map(&Shape::Bytes), "Content that is not text, each value in base64."),
        field("data", Shape::Map(&Shape::Text), "The content."),
        field("immutable", Shape::Bool, "The content may not be changed any more."),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
    ],
)
.kind("", "v1", "ConfigMap");

/// `ServiceAccount`.
pub static SERVICE_ACCOUNT: Object = Object::new(
    "io.k8s.api.core.v1.ServiceAccount",
    "An identity for programs.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("automountServiceAccountToken", Shape::Bool, "Whether workloads are given its token."),
        field(
            "imagePullSecrets",
            Shape::List(&Shape::Object(&LOCAL_OBJECT_REFERENCE), Merge::Atomic),
            "Secrets of the same namespace with which its workloads pull images.",
        ),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field(
            "secrets",
            Shape::List(&Shape::Object(&OBJECT_REFERENCE), Merge::ByKey(&["name"])),
            "Secrets of the same namespace that its workloads may use.",
        ),
    ],
)
.kind("", "v1", "ServiceAccount");

/// `LimitRange`.
pub static LIMIT_RANGE: Object = Object::new(
    "io.k8s.api.core.v1.LimitRange",
    "Limits for single objects of a namespace.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field("spec", Shape::Object(&LIMIT_RANGE_SPEC), "The limits.").filled(),
    ],
)
.kind("", "v1", "LimitRange");

/// `LimitRangeSpec`.
pub static LIMIT_RANGE_SPEC: Object = Object::new(
    "io.k8s.api.core.v1.LimitRangeSpec",
    "Limits for single objects.",
    &[field(
        "limits",
        Shape::List(&Shape::Object(&LIMIT_RANGE_ITEM), Merge::Atomic),
        "One entry a kind of thing.",
    )
    .required()],
);

/// `LimitRangeItem`.
pub static LIMIT_RANGE_ITEM: Object = Object::new(
    "io.k8s.api.core.v1.LimitRangeItem",
    "Limits for one kind of thing.",
    &[
        field("default", Shape::Map(&Shape::Quantity), "Limits of what says none."),
        field("defaultRequest", Shape::Map(&Shape::Quantity), "Requests of what says none."),
        field("max", Shape::Map(&Shape::Quantity), "The most that is allowed."),
        field("maxLimitRequestRatio", Shape::Map(&Shape::Quantity), "How far limits may exceed requests."),
        field("min", Shape::Map(&Shape::Quantity), "The least that is allowed."),
        field(
            "type",
            Shape::Text,
            "What is limited, for example openshift.io/Image or openshift.io/ImageStream.",
        )
        .required()
        .filled(),
    ],
);

/// `ResourceQuota`.
pub static RESOURCE_QUOTA: Object = Object::new(
    "io.k8s.api.core.v1.ResourceQuota",
    "What a namespace may hold in all.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field("spec", Shape::Object(&RESOURCE_QUOTA_SPEC), "The bounds.").filled(),
        field("status", Shape::Object(&RESOURCE_QUOTA_STATUS), "The bounds, and what is used.").filled(),
    ],
)
.kind("", "v1", "ResourceQuota");

/// `ResourceQuotaSpec`.
pub static RESOURCE_QUOTA_SPEC: Object = Object::new(
    "io.k8s.api.core.v1.ResourceQuotaSpec",
    "Bounds of a namespace.",
    &[
        field("hard", Shape::Map(&Shape::Quantity), "The most of each resource."),
        field("scopeSelector", Shape::Any, "Which objects count."),
        field("scopes", Shape::List(&Shape::Text, Merge::Atomic), "Which objects count, by name."),
    ],
);

/// `ResourceQuotaStatus`.
pub static RESOURCE_QUOTA_STATUS: Object = Object::new(
    "io.k8s.api.core.v1.ResourceQuotaStatus",
    "Bounds and use of a namespace.",
    &[
        field("hard", Shape::Map(&Shape::Quantity), "The most of each resource."),
        field("used", Shape::Map(&Shape::Quantity), "How much there is now."),
    ],
);
