//! How the lists of workloads belong together: which containers, volumes and variables are the same in two documents.
//!
//! Workloads are stored as they come and everything else in them is whatever it is found to be; only what server-side
//! apply and strategic merge patches must know is described, so that two people who change different containers of one
//! template do not get in each other's way.

use super::meta::OBJECT_META;
use super::{Merge, Object, Shape, field};

/// Items that only their name tells apart.
static NAMED: Object =
    Object::new("dev.weir.Named", "An item with a name.", &[field("name", Shape::Text, "Its name.")]).open();
static MOUNT: Object = Object::new(
    "dev.weir.Mount",
    "Where something is in a container.",
    &[
        field("devicePath", Shape::Text, "Where a device is."),
        field("mountPath", Shape::Text, "Where a volume is."),
    ],
)
.open();
static PORT: Object = Object::new(
    "dev.weir.Port",
    "A port of a container; one number may be a port of several protocols.",
    &[
        field("containerPort", Shape::Int32, "Its number."),
        field("protocol", Shape::Text, "TCP, UDP or SCTP.").filled_with("TCP"),
    ],
)
.open();
static CONSTRAINT: Object = Object::new(
    "dev.weir.TopologySpreadConstraint",
    "How pods spread over the places of a cluster.",
    &[
        field("topologyKey", Shape::Text, "The label that names places."),
        field("whenUnsatisfiable", Shape::Text, "What comes of a pod that does not fit."),
    ],
)
.open();
static ALIAS: Object =
    Object::new("dev.weir.Alias", "Names of an address.", &[field("ip", Shape::Text, "The address.")]).open();
static CONDITION: Object =
    Object::new("dev.weir.Condition", "What holds.", &[field("type", Shape::Text, "Which.")]).open();

static CONTAINER: Object = Object::new(
    "dev.weir.Container",
    "A container of a pod.",
    &[
        field("env", Shape::List(&Shape::Object(&NAMED), Merge::ByKey(&["name"])), "Variables."),
        field("name", Shape::Text, "Its name."),
        field(
            "ports",
            Shape::List(&Shape::Object(&PORT), Merge::ByKey(&["containerPort", "protocol"])),
            "Ports.",
        ),
        field(
            "volumeDevices",
            Shape::List(&Shape::Object(&MOUNT), Merge::ByKey(&["devicePath"])),
            "Devices.",
        ),
        field("volumeMounts", Shape::List(&Shape::Object(&MOUNT), Merge::ByKey(&["mountPath"])), "Volumes."),
    ],
)
.open();

const CONTAINERS: Shape = Shape::List(&Shape::Object(&CONTAINER), Merge::ByKey(&["name"]));

static POD_SPEC: Object = Object::new(
    "dev.weir.PodSpec",
    "What a pod is made of.",
    &[
        field("containers", CONTAINERS, "Containers."),
        field("ephemeralContainers", CONTAINERS, "Containers for a look inside."),
        field(
            "hostAliases",
            Shape::List(&Shape::Object(&ALIAS), Merge::ByKey(&["ip"])),
            "Names of addresses.",
        ),
        field(
            "imagePullSecrets",
            Shape::List(&Shape::Object(&NAMED), Merge::ByKey(&["name"])),
            "Credentials.",
        ),
        field("initContainers", CONTAINERS, "Containers that run first."),
        field(
            "topologySpreadConstraints",
            Shape::List(&Shape::Object(&CONSTRAINT), Merge::ByKey(&["topologyKey", "whenUnsatisfiable"])),
            "How the pods spread.",
        ),
        field("volumes", Shape::List(&Shape::Object(&NAMED), Merge::ByKey(&["name"])), "Volumes."),
    ],
)
.open();

static TEMPLATE: Object = Object::new(
    "dev.weir.PodTemplate",
    "What pods are made from.",
    &[
        field("metadata", Shape::Object(&OBJECT_META), "Metadata of the pods.").filled(),
        field("spec", Shape::Object(&POD_SPEC), "What the pods are made of.").filled(),
    ],
)
.open();

static SPEC: Object = Object::new(
    "dev.weir.WorkloadSpec",
    "What is wanted.",
    &[
        field("jobTemplate", Shape::Object(&JOB_TEMPLATE), "What jobs are made from."),
        field("template", Shape::Object(&TEMPLATE), "What pods are made from."),
    ],
)
.open();

static JOB_TEMPLATE: Object = Object::new(
    "dev.weir.JobTemplate",
    "What jobs are made from.",
    &[
        field("metadata", Shape::Object(&OBJECT_META), "Metadata of the jobs.").filled(),
        field("spec", Shape::Object(&SPEC), "What is wanted.").filled(),
    ],
)
.open();

static STATUS: Object = Object::new(
    "dev.weir.WorkloadStatus",
    "What is there.",
    &[field("conditions", Shape::List(&Shape::Object(&CONDITION), Merge::ByKey(&["type"])), "What holds.")],
)
.open();

/// Kinds with a template of pods, or of jobs.
static WORKLOAD: Object = Object::new(
    "dev.weir.Workload",
    "A workload.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object."),
        field("kind", Shape::Text, "The kind of this object."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field("spec", Shape::Object(&SPEC), "What is wanted."),
        field("status", Shape::Object(&STATUS), "What is there."),
    ],
)
.open();

static POD: Object = Object::new(
    "dev.weir.Pod",
    "A pod.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object."),
        field("kind", Shape::Text, "The kind of this object."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field("spec", Shape::Object(&POD_SPEC), "What it is made of."),
        field("status", Shape::Object(&STATUS), "What is there."),
    ],
)
.open();

static SCALE_SPEC: Object = Object::new(
    "io.k8s.api.autoscaling.v1.ScaleSpec",
    "What is wanted.",
    &[field("replicas", Shape::Int32, "How many pods there are to be.")],
);
static SCALE_STATUS: Object = Object::new(
    "io.k8s.api.autoscaling.v1.ScaleStatus",
    "What is there.",
    &[
        field("replicas", Shape::Int32, "How many pods there are.").required().filled(),
        field("selector", Shape::Text, "What selects them, in the words of a query."),
    ],
);

/// `Scale`.
pub static SCALE: Object = Object::new(
    "io.k8s.api.autoscaling.v1.Scale",
    "How many pods of a workload there are to be.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field("spec", Shape::Object(&SCALE_SPEC), "What is wanted.").filled(),
        field("status", Shape::Object(&SCALE_STATUS), "What is there.").filled(),
    ],
)
.kind("autoscaling", "v1", "Scale");

static BUILD: Object = Object::new(
    "dev.weir.Build",
    "A build.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object."),
        field("kind", Shape::Text, "The kind of this object."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
        field("status", Shape::Object(&STATUS), "What is there."),
    ],
)
.open();

/// How the fields of a kind merge, whatever else is known of it.
pub fn merging(group: &str, version: &str, kind: &str) -> &'static Object {
    super::of(group, version, kind).or_else(|| workload(group, kind)).unwrap_or(&super::UNDESCRIBED)
}

/// How the fields of a workload merge; `None` for other kinds.
pub fn workload(group: &str, kind: &str) -> Option<&'static Object> {
    match (group, kind) {
        ("", "Pod") => Some(&POD),
        ("build.openshift.io", "Build") => Some(&BUILD),
        ("", "ReplicationController")
        | ("apps", "DaemonSet" | "Deployment" | "ReplicaSet" | "StatefulSet")
        | ("batch", "CronJob" | "Job")
        | ("apps.openshift.io", "DeploymentConfig") => Some(&WORKLOAD),
        _ => None,
    }
}
