//! The fields of projects.

use super::core::NAMESPACE_CONDITION;
use super::meta::OBJECT_META;
use super::{Merge, Object, Shape, field};

/// `Project`.
pub static PROJECT: Object = Object::new(
    "com.github.openshift.api.project.v1.Project",
    "A namespace as its users see it.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field("spec", Shape::Object(&PROJECT_SPEC), "What holds the project.").filled(),
        field("status", Shape::Object(&PROJECT_STATUS), "Whether it is going away.").filled(),
    ],
)
.kind("project.openshift.io", "v1", "Project");

/// `ProjectSpec`.
pub static PROJECT_SPEC: Object = Object::new(
    "com.github.openshift.api.project.v1.ProjectSpec",
    "What holds a project.",
    &[field("finalizers", Shape::List(&Shape::Text, Merge::Atomic), "Who must act before the project goes.")],
);

/// `ProjectStatus`.
pub static PROJECT_STATUS: Object = Object::new(
    "com.github.openshift.api.project.v1.ProjectStatus",
    "The state of a project.",
    &[
        field(
            "conditions",
            Shape::List(&Shape::Object(&NAMESPACE_CONDITION), Merge::ByKey(&["type"])),
            "What holds up its deletion.",
        ),
        field("phase", Shape::Text, "Active or Terminating."),
    ],
);

/// `ProjectRequest`.
pub static PROJECT_REQUEST: Object = Object::new(
    "com.github.openshift.api.project.v1.ProjectRequest",
    "Asks for a new project; whoever asks becomes its administrator.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("description", Shape::Text, "What the project is for."),
        field("displayName", Shape::Text, "The name that people see."),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
    ],
)
.kind("project.openshift.io", "v1", "ProjectRequest");
