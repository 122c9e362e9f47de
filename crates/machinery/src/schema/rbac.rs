//! The fields of roles and bindings.

use super::meta::OBJECT_META;
use super::{Merge, Object, Shape, field};

/// `Role`.
pub static ROLE: Object = Object::new(
    "io.k8s.api.rbac.v1.Role",
    "Rights within one namespace.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field("rules", Shape::List(&Shape::Object(&POLICY_RULE), Merge::Atomic), "What is allowed."),
    ],
)
.kind("rbac.authorization.k8s.io", "v1", "Role");

/// `ClusterRole`.
pub static CLUSTER_ROLE: Object = Object::new(
    "io.k8s.api.rbac.v1.ClusterRole",
    "Rights everywhere, or in every namespace in which the role is bound.",
    &[
        field("aggregationRule", Shape::Object(&AGGREGATION_RULE), "Roles whose rules make up this one."),
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field("rules", Shape::List(&Shape::Object(&POLICY_RULE), Merge::Atomic), "What is allowed."),
    ],
)
.kind("rbac.authorization.k8s.io", "v1", "ClusterRole");

/// `AggregationRule`.
pub static AGGREGATION_RULE: Object = Object::new(
    "io.k8s.api.rbac.v1.AggregationRule",
    "How the rules of a role are gathered from others.",
    &[field(
        "clusterRoleSelectors",
        Shape::List(&Shape::Object(&LABEL_SELECTOR), Merge::Atomic),
        "Roles that one of these selects lend their rules.",
    )],
);

/// `PolicyRule`.
pub static POLICY_RULE: Object = Object::new(
    "io.k8s.api.rbac.v1.PolicyRule",
    "Verbs that are allowed on some resources.",
    &[
        field(
            "apiGroups",
            Shape::List(&Shape::Text, Merge::Atomic),
            "API groups; empty text is the core group, * all.",
        ),
        field(
            "nonResourceURLs",
            Shape::List(&Shape::Text, Merge::Atomic),
            "Paths outside the API, in cluster roles only.",
        ),
        field("resourceNames", Shape::List(&Shape::Text, Merge::Atomic), "Only objects of these names."),
        field(
            "resources",
            Shape::List(&Shape::Text, Merge::Atomic),
            "Resources, with a slash before a subresource; * is all.",
        ),
        field(
            "verbs",
            Shape::List(&Shape::Text, Merge::Atomic),
            "Verbs, for example get, list, watch, update; * is all.",
        )
        .required(),
    ],
);

/// `RoleBinding`.
pub static ROLE_BINDING: Object = Object::new(
    "io.k8s.api.rbac.v1.RoleBinding",
    "Gives the rights of a role to somebody, within one namespace.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field("roleRef", Shape::Object(&ROLE_REF), "The role. It cannot be changed later.")
            .required()
            .filled(),
        field("subjects", Shape::List(&Shape::Object(&SUBJECT), Merge::Atomic), "Who has the rights."),
    ],
)
.kind("rbac.authorization.k8s.io", "v1", "RoleBinding");

/// `ClusterRoleBinding`.
pub static CLUSTER_ROLE_BINDING: Object = Object::new(
    "io.k8s.api.rbac.v1.ClusterRoleBinding",
    "Gives the rights of a cluster role to somebody, everywhere.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field("roleRef", Shape::Object(&ROLE_REF), "The role. It cannot be changed later.")
            .required()
            .filled(),
        field("subjects", Shape::List(&Shape::Object(&SUBJECT), Merge::Atomic), "Who has the rights."),
    ],
)
.kind("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding");

/// `RoleRef`.
pub static ROLE_REF: Object = Object::new(
    "io.k8s.api.rbac.v1.RoleRef",
    "Points at a role.",
    &[
        field("apiGroup", Shape::Text, "The group of roles.").required().filled(),
        field("kind", Shape::Text, "Role or ClusterRole.").required().filled(),
        field("name", Shape::Text, "Name of the role.").required().filled(),
    ],
)
.atomic();

/// `Subject`.
pub static SUBJECT: Object = Object::new(
    "io.k8s.api.rbac.v1.Subject",
    "Somebody who is given rights.",
    &[
        field(
            "apiGroup",
            Shape::Text,
            "The group of roles for users and groups, empty for service accounts.",
        ),
        field("kind", Shape::Text, "User, Group or ServiceAccount.").required().filled(),
        field("name", Shape::Text, "The name.").required().filled(),
        field("namespace", Shape::Text, "Namespace of a service account."),
    ],
)
.atomic();

/// `LabelSelector`.
pub static LABEL_SELECTOR: Object = Object::new(
    "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector",
    "Selects objects by their labels.",
    &[
        field(
            "matchExpressions",
            Shape::List(&Shape::Object(&LABEL_SELECTOR_REQUIREMENT), Merge::Atomic),
            "Requirements, all of which must hold.",
        ),
        field("matchLabels", Shape::Map(&Shape::Text), "Labels, all of which an object must have."),
    ],
)
.atomic();

/// `LabelSelectorRequirement`.
pub static LABEL_SELECTOR_REQUIREMENT: Object = Object::new(
    "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement",
    "One requirement on a label.",
    &[
        field("key", Shape::Text, "The label.").required().filled(),
        field("operator", Shape::Text, "In, NotIn, Exists or DoesNotExist.").required().filled(),
        field(
            "values",
            Shape::List(&Shape::Text, Merge::Atomic),
            "The values that In and NotIn compare with.",
        ),
    ],
);
