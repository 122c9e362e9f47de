//! Where workloads keep their pods.

use serde_json::Value;

use crate::golang::{at, items_at, text_at};

/// Keys that lead from an object of a kind to its pod specification; nothing for kinds without pods.
pub(super) fn pod_spec(kind: &str) -> Option<&'static [&'static str]> {
    match kind {
        "Pod" => Some(&["spec"]),
        "CronJob" => Some(&["spec", "jobTemplate", "spec", "template", "spec"]),
        "Deployment"
        | "StatefulSet"
        | "DaemonSet"
        | "ReplicaSet"
        | "Job"
        | "ReplicationController"
        | "DeploymentConfig" => Some(&["spec", "template", "spec"]),
        _ => None,
    }
}

/// Lists of containers in a pod specification.
pub(super) const LISTS: [&str; 2] = ["initContainers", "containers"];

/// Names of all containers of an object, sorted.
pub(super) fn container_names(object: &Value, path: &[&str]) -> Vec<String> {
    let spec = at(object, path);
    let mut names: Vec<String> = LISTS
        .iter()
        .flat_map(|list| items_at(spec, &[list]))
        .map(|container| text_at(container, &["name"]).to_owned())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The value at a path of keys, to change it.
pub(super) fn at_mut<'a>(value: &'a mut Value, path: &[&str]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, key| value.get_mut(*key))
}
