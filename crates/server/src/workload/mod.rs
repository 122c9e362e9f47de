//! Workloads: the kinds that run images, kept as the desired state that others act on.
//!
//! They are plain kinds with the defaults of Kubernetes and OpenShift, so that a client that reads back what it wrote
//! sees what a cluster would show. Validation is light: what no cluster would take is refused, the rest is kept as it
//! came. `status` belongs to its subresource; a write of the object leaves it alone. What follows tags lives elsewhere.

mod defaults;
pub mod images;
mod selector;
mod validate;

pub use selector::selector_words;
use serde_json::{Map, Value, json};

use crate::plain::{Plain, PlainRules};
use crate::resource::Resource;

/// The kinds that run images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is named as its kind")]
pub enum Workload {
    Deployment,
    StatefulSet,
    DaemonSet,
    ReplicaSet,
    Job,
    CronJob,
    Pod,
    ReplicationController,
    DeploymentConfig,
    BuildConfig,
    Build,
}

/// Every kind, with its group.
const KINDS: [(&str, &str, Workload); 11] = [
    ("apps", "Deployment", Workload::Deployment),
    ("apps", "StatefulSet", Workload::StatefulSet),
    ("apps", "DaemonSet", Workload::DaemonSet),
    ("apps", "ReplicaSet", Workload::ReplicaSet),
    ("batch", "Job", Workload::Job),
    ("batch", "CronJob", Workload::CronJob),
    ("", "Pod", Workload::Pod),
    ("", "ReplicationController", Workload::ReplicationController),
    ("apps.openshift.io", "DeploymentConfig", Workload::DeploymentConfig),
    ("build.openshift.io", "BuildConfig", Workload::BuildConfig),
    ("build.openshift.io", "Build", Workload::Build),
];

impl Workload {
    /// The kind of a resource, if it is one.
    pub fn of(resource: &Resource) -> Option<Workload> {
        let found = KINDS.iter().find(|(group, kind, _)| *group == resource.group && *kind == resource.kind);
        found.map(|(_, _, workload)| *workload)
    }

    /// Where its pod spec is; builds have none.
    pub fn pod_spec(self) -> Option<&'static [&'static str]> {
        match self {
            Workload::Pod => Some(&["spec"]),
            Workload::CronJob => Some(&["spec", "jobTemplate", "spec", "template", "spec"]),
            Workload::BuildConfig | Workload::Build => None,
            _ => Some(&["spec", "template", "spec"]),
        }
    }

    /// The path to its pod spec as people write it.
    pub fn pod_spec_path(self) -> Option<String> {
        self.pod_spec().map(|path| path.join("."))
    }

    /// The status that it is born with.
    fn first_status(self) -> Value {
        match self {
            Workload::StatefulSet => json!({"replicas": 0, "availableReplicas": 0}),
            Workload::DaemonSet => json!({
                "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
            }),
            Workload::ReplicaSet | Workload::ReplicationController => json!({"replicas": 0}),
            Workload::Pod => json!({"phase": "Pending"}),
            Workload::DeploymentConfig => json!({
                "latestVersion": 0, "observedGeneration": 0, "replicas": 0, "updatedReplicas": 0,
                "availableReplicas": 0, "unavailableReplicas": 0,
            }),
            Workload::BuildConfig => json!({"lastVersion": 0}),
            Workload::Build => json!({"phase": "New", "output": {}}),
            _ => json!({}),
        }
    }
}

/// A value inside an object.
pub fn at<'a>(fields: &'a Map<String, Value>, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(fields.get(*first)?, |value, key| value.get(key))
}

/// A value inside an object, to change it.
pub fn at_mut<'a>(fields: &'a mut Map<String, Value>, path: &[&str]) -> Option<&'a mut Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(fields.get_mut(*first)?, |value, key| value.get_mut(key))
}

/// A text inside a value; empty when it is not there.
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn prepare(kind: Workload, new: &mut Plain, old: Option<&Plain>) {
    let kept = old.and_then(|old| old.fields.get("status")).cloned();
    let own = new.fields.remove("status");
    let status = kept.unwrap_or_else(|| match (kind, own) {
        // Whoever makes a build says why in its status already.
        (Workload::Build, Some(own)) if own.get("phase").is_some() => own,
        _ => kind.first_status(),
    });
    defaults::fill(kind, new, old);
    new.fields.insert("status".to_owned(), status);
}

macro_rules! rules {
    ($($name:ident: $kind:expr;)*) => {
        $(
            #[doc = concat!("Rules of the kind that `", stringify!($kind), "` names.")]
            pub const $name: PlainRules = PlainRules {
                prepare: |new, old| prepare($kind, new, old),
                validate: |new, old| validate::check($kind, new, old),
                label_names: false,
                has_generation: true,
            };
        )*
    };
}

rules! {
    DEPLOYMENT: Workload::Deployment;
    STATEFUL_SET: Workload::StatefulSet;
    DAEMON_SET: Workload::DaemonSet;
    REPLICA_SET: Workload::ReplicaSet;
    JOB: Workload::Job;
    CRON_JOB: Workload::CronJob;
    POD: Workload::Pod;
    REPLICATION_CONTROLLER: Workload::ReplicationController;
    DEPLOYMENT_CONFIG: Workload::DeploymentConfig;
    BUILD_CONFIG: Workload::BuildConfig;
    BUILD: Workload::Build;
}

#[cfg(test)]
mod tests;
