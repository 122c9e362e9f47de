//! The fields of groups of users.

use super::meta::OBJECT_META;
use super::{Merge, Object, Shape, field};

/// `Group`.
pub static GROUP: Object = Object::new(
    "com.github.openshift.api.user.v1.Group",
    "Users who get rights together.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field("users", Shape::List(&Shape::Text, Merge::Atomic), "Names of those who are in it.").required(),
    ],
)
.kind("user.openshift.io", "v1", "Group");
