//! The fields that every object has, and those of answers and options.

use super::{Merge, Object, Shape, field};

/// `ObjectMeta`.
pub static OBJECT_META: Object = Object::new(
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    "What every object carries: its name, identity, version and labels.",
    &[
        field("annotations", Shape::Map(&Shape::Text), "Free-form words for tools."),
        field("creationTimestamp", Shape::Time, "When the object was made."),
        field("deletionGracePeriodSeconds", Shape::Int64, "Seconds that were granted before the deletion."),
        field("deletionTimestamp", Shape::Time, "Set while finalizers hold up a deletion."),
        field("finalizers", Shape::List(&Shape::Text, Merge::Set), "Who must act before the object goes."),
        field("generateName", Shape::Text, "Prefix from which the server makes a name when `name` is empty."),
        field("generation", Shape::Int64, "Counts changes of the desired state."),
        field("labels", Shape::Map(&Shape::Text), "Identifying words that selectors match."),
        field(
            "managedFields",
            Shape::List(&Shape::Object(&MANAGED_FIELDS_ENTRY), Merge::Atomic),
            "Which manager set which fields.",
        ),
        field("name", Shape::Text, "Unique within the namespace (or the server, for cluster-scoped kinds)."),
        field("namespace", Shape::Text, "The project the object lives in; empty for cluster-scoped kinds."),
        field(
            "ownerReferences",
            Shape::List(&Shape::Object(&OWNER_REFERENCE), Merge::ByKey(&["uid"])),
            "Objects this one depends on.",
        ),
        field(
            "resourceVersion",
            Shape::Text,
            "Opaque version for optimistic locking and watches; the store's revision in decimal.",
        ),
        field("selfLink", Shape::Text, "Never set; kept so that old stored objects round-trip."),
        field(
            "uid",
            Shape::Text,
            "Identity in time and space: a new object of the same name has another one.",
        ),
    ],
);

/// `OwnerReference`.
pub static OWNER_REFERENCE: Object = Object::new(
    "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference",
    "Points at an object that owns this one.",
    &[
        field("apiVersion", Shape::Text, "Group and version of the owner.").required().filled(),
        field(
            "blockOwnerDeletion",
            Shape::Bool,
            "Whether a foreground deletion of the owner waits for this object.",
        ),
        field("controller", Shape::Bool, "Whether the owner is the managing controller."),
        field("kind", Shape::Text, "Kind of the owner.").required().filled(),
        field("name", Shape::Text, "Name of the owner.").required().filled(),
        field("uid", Shape::Text, "Identity of the owner.").required().filled(),
    ],
)
.atomic();

/// `ManagedFieldsEntry`.
pub static MANAGED_FIELDS_ENTRY: Object = Object::new(
    "io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry",
    "The fields that one manager set through one version and subresource.",
    &[
        field("apiVersion", Shape::Text, "Version through which the fields were set."),
        field("fieldsType", Shape::Text, "Always `FieldsV1`."),
        field("fieldsV1", Shape::Object(&FIELDS_V1), "The set of fields, as nested `f:`/`k:`/`v:` keys."),
        field("manager", Shape::Text, "Name of the manager."),
        field("operation", Shape::Text, "`Apply` or `Update`."),
        field("subresource", Shape::Text, "The subresource the fields were set through."),
        field("time", Shape::Time, "When the entry last changed."),
    ],
);

/// `ListMeta`.
pub static LIST_META: Object = Object::new(
    "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta",
    "What every list carries.",
    &[
        field("continue", Shape::Text, "Token for the next page."),
        field("remainingItemCount", Shape::Int64, "How many items follow this page, when known."),
        field("resourceVersion", Shape::Text, "The revision the list is consistent at."),
        field("selfLink", Shape::Text, "Never set."),
    ],
);

/// `Status`.
pub static STATUS: Object = Object::new(
    "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
    "The outcome of a request that returns no object.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("code", Shape::Int32, "HTTP status."),
        field("details", Shape::Object(&STATUS_DETAILS), "More about it."),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("message", Shape::Text, "Text for people."),
        field("metadata", Shape::Object(&LIST_META), "Standard object metadata.").filled(),
        field("reason", Shape::Text, "Machine readable reason."),
        field("status", Shape::Text, "`Success` or `Failure`."),
    ],
)
.kind("", "v1", "Status");

/// `StatusDetails`.
pub static STATUS_DETAILS: Object = Object::new(
    "io.k8s.apimachinery.pkg.apis.meta.v1.StatusDetails",
    "What a failed (or successful) request was about.",
    &[
        field("causes", Shape::List(&Shape::Object(&STATUS_CAUSE), Merge::Atomic), "One entry a problem."),
        field("group", Shape::Text, "Its group."),
        field("kind", Shape::Text, "Its resource or kind."),
        field("name", Shape::Text, "Name of the object."),
        field("retryAfterSeconds", Shape::Int32, "When to try again."),
        field("uid", Shape::Text, "Its identity."),
    ],
);

/// `StatusCause`.
pub static STATUS_CAUSE: Object = Object::new(
    "io.k8s.apimachinery.pkg.apis.meta.v1.StatusCause",
    "One reason for a failed request.",
    &[
        field("field", Shape::Text, "Path of the field in question."),
        field("message", Shape::Text, "Text for people."),
        field("reason", Shape::Text, "Machine readable reason."),
    ],
);

/// `DeleteOptions`.
pub static DELETE_OPTIONS: Object = Object::new(
    "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
    "How an object is to be deleted.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field(
            "dryRun",
            Shape::List(&Shape::Text, Merge::Atomic),
            "The word All: check everything, delete nothing.",
        ),
        field("gracePeriodSeconds", Shape::Int64, "Seconds until the object goes; no kind here waits."),
        field(
            "ignoreStoreReadErrorWithClusterBreakingPotential",
            Shape::Bool,
            "Delete even what cannot be read.",
        ),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("orphanDependents", Shape::Bool, "Old form of the propagation policy Orphan."),
        field("preconditions", Shape::Object(&PRECONDITIONS), "Delete only the object that is meant."),
        field(
            "propagationPolicy",
            Shape::Text,
            "What becomes of dependents: Orphan, Background or Foreground.",
        ),
    ],
)
.kind("", "v1", "DeleteOptions");

/// `Preconditions`.
pub static PRECONDITIONS: Object = Object::new(
    "io.k8s.apimachinery.pkg.apis.meta.v1.Preconditions",
    "What must hold of an object before it is deleted.",
    &[
        field("resourceVersion", Shape::Text, "The version it must have."),
        field("uid", Shape::Text, "The identity it must have."),
    ],
);

/// `FieldsV1`.
pub static FIELDS_V1: Object = Object::new(
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
    "A set of fields as nested keys: f: a field, k: a list item by its key, v: a value of \
        a set, and a dot for the item itself.",
    &[],
)
.open();

/// `Patch`.
pub static PATCH: Object = Object::new(
    "io.k8s.apimachinery.pkg.apis.meta.v1.Patch",
    "A change in one of the forms of patches.",
    &[],
)
.open();

/// `RawExtension`.
pub static RAW_EXTENSION: Object =
    Object::new("io.k8s.apimachinery.pkg.runtime.RawExtension", "Any JSON object.", &[]).open();

/// `ObjectReference`.
pub static OBJECT_REFERENCE: Object = Object::new(
    "io.k8s.api.core.v1.ObjectReference",
    "Points at another object.",
    &[
        field("apiVersion", Shape::Text, "Its group and version."),
        field("fieldPath", Shape::Text, "A part of it."),
        field("kind", Shape::Text, "Kind of the referent."),
        field("name", Shape::Text, "Its name."),
        field("namespace", Shape::Text, "Its project."),
        field("resourceVersion", Shape::Text, "Its version."),
        field("uid", Shape::Text, "Its identity."),
    ],
)
.atomic();

/// `LocalObjectReference`.
pub static LOCAL_OBJECT_REFERENCE: Object = Object::new(
    "io.k8s.api.core.v1.LocalObjectReference",
    "Points at an object (or tag) by name alone.",
    &[field("name", Shape::Text, "The name.").filled()],
)
.atomic();
