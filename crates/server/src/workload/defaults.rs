//! What a cluster fills in where a client said nothing.
//!
//! A value that is there is never changed; `null` counts as not there. Filling in twice changes nothing.

use serde_json::{Map, Value, json};

use super::{Workload, at_mut};
use crate::plain::Plain;

/// Fills in the defaults of a kind.
pub(super) fn fill(kind: Workload, new: &mut Plain, old: Option<&Plain>) {
    let spec = new.fields.entry("spec").or_insert_with(|| json!({}));
    drop_nulls(spec);
    let Some(map) = spec.as_object_mut() else { return };
    spec_defaults(kind, map);
    if kind == Workload::Job && old.is_none() {
        job_selector(new);
    }
    if kind == Workload::ReplicationController && new.metadata.labels.is_empty() {
        new.metadata.labels = template_labels(new);
    }
    if kind == Workload::DaemonSet {
        template_generation(new, old);
    }
    if kind == Workload::DeploymentConfig {
        deployment_config(new, old.is_none());
    }
    if let Some(path) = kind.pod_spec() {
        if kind != Workload::Pod {
            let (_, parents) = path.split_last().unwrap_or((&"", path));
            let template = at_mut(&mut new.fields, parents).and_then(Value::as_object_mut);
            if let Some(template) = template {
                template.entry("metadata").or_insert_with(|| json!({}));
                template.entry("spec").or_insert_with(|| json!({}));
            }
        }
        if let Some(pod) = at_mut(&mut new.fields, path).and_then(Value::as_object_mut) {
            pod_spec(kind, pod);
        }
    }
}

/// Takes away members that are null: to a typed server they are not there.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Sets what is missing, in objects inside as well.
fn merge(map: &mut Map<String, Value>, defaults: Value) {
    let Value::Object(defaults) = defaults else { return };
    for (key, default) in defaults {
        match map.get_mut(&key) {
            None => {
                map.insert(key, default);
            }
            Some(Value::Object(inner)) => merge(inner, default),
            Some(_) => {}
        }
    }
}

fn is_of_type(map: &Map<String, Value>, field: &str, kind: &str) -> bool {
    map.get(field).and_then(|value| value.get("type")).and_then(Value::as_str) == Some(kind)
}

fn spec_defaults(kind: Workload, spec: &mut Map<String, Value>) {
    match kind {
        Workload::Deployment => {
            merge(
                spec,
                json!({"replicas": 1, "strategy": {"type": "RollingUpdate"},
                "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600}),
            );
            if is_of_type(spec, "strategy", "RollingUpdate") {
                merge(
                    spec,
                    json!({"strategy": {"rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}}),
                );
            }
        }
        Workload::StatefulSet => {
            merge(
                spec,
                json!({"replicas": 1, "serviceName": "", "podManagementPolicy": "OrderedReady",
                "updateStrategy": {"type": "RollingUpdate"}, "revisionHistoryLimit": 10,
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"}}),
            );
            if is_of_type(spec, "updateStrategy", "RollingUpdate") {
                merge(spec, json!({"updateStrategy": {"rollingUpdate": {"partition": 0}}}));
            }
        }
        Workload::DaemonSet => {
            merge(spec, json!({"updateStrategy": {"type": "RollingUpdate"}, "revisionHistoryLimit": 10}));
            if is_of_type(spec, "updateStrategy", "RollingUpdate") {
                merge(
                    spec,
                    json!({"updateStrategy": {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}}),
                );
            }
        }
        Workload::ReplicaSet => merge(spec, json!({"replicas": 1})),
        Workload::ReplicationController => {
            merge(spec, json!({"replicas": 1}));
            selector_from_template(spec);
        }
        Workload::Job => merge(
            spec,
            json!({"parallelism": 1, "completions": 1, "backoffLimit": 6,
            "completionMode": "NonIndexed", "suspend": false, "podReplacementPolicy": "TerminatingOrFailed"}),
        ),
        Workload::CronJob => merge(
            spec,
            json!({"concurrencyPolicy": "Allow", "suspend": false,
            "jobTemplate": {"metadata": {}, "spec": {"template": {}}},
            "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1}),
        ),
        Workload::DeploymentConfig => deployment_config_spec(spec),
        Workload::BuildConfig => {
            merge(
                spec,
                json!({"output": {}, "postCommit": {}, "resources": {}, "source": {}, "strategy": {},
                "runPolicy": "Serial", "successfulBuildsHistoryLimit": 5, "failedBuildsHistoryLimit": 5}),
            );
            spec.entry("nodeSelector").or_insert(Value::Null);
            build_types(spec);
        }
        Workload::Build => {
            merge(
                spec,
                json!({"output": {}, "postCommit": {}, "resources": {}, "source": {}, "strategy": {},
                "serviceAccount": "builder"}),
            );
            spec.entry("nodeSelector").or_insert(Value::Null);
            build_types(spec);
        }
        Workload::Pod => {}
    }
}

/// A build's source and strategy name their type; where they do not, it shows in what they hold.
fn build_types(spec: &mut Map<String, Value>) {
    const STRATEGIES: [(&str, &str); 4] = [
        ("dockerStrategy", "Docker"),
        ("sourceStrategy", "Source"),
        ("customStrategy", "Custom"),
        ("jenkinsPipelineStrategy", "JenkinsPipeline"),
    ];
    const SOURCES: [(&str, &str); 4] =
        [("binary", "Binary"), ("git", "Git"), ("dockerfile", "Dockerfile"), ("images", "Image")];
    for (field, known) in [("strategy", STRATEGIES), ("source", SOURCES)] {
        let Some(held) = spec.get_mut(field).and_then(Value::as_object_mut) else { continue };
        if held.contains_key("type") {
            continue;
        }
        let found = known.iter().find(|(member, _)| held.contains_key(*member)).map(|(_, kind)| *kind);
        let kind = found.or((field == "source").then_some("None"));
        if let Some(kind) = kind {
            held.insert("type".to_owned(), kind.into());
        }
    }
    if let Some(policies) = spec.get_mut("triggers").and_then(Value::as_array_mut) {
        for policy in policies.iter_mut().filter_map(Value::as_object_mut) {
            if policy.get("type").and_then(Value::as_str) == Some("ImageChange") {
                policy.entry("imageChange").or_insert_with(|| json!({}));
            }
        }
    }
}

fn deployment_config_spec(spec: &mut Map<String, Value>) {
    merge(
        spec,
        json!({"strategy": {"type": "Rolling", "resources": {}, "activeDeadlineSeconds": 21600},
        "triggers": [{"type": "ConfigChange"}], "replicas": 0, "revisionHistoryLimit": 10, "test": false}),
    );
    selector_from_template(spec);
    if is_of_type(spec, "strategy", "Rolling") {
        merge(
            spec,
            json!({"strategy": {"rollingParams": {
            "updatePeriodSeconds": 1, "intervalSeconds": 1, "timeoutSeconds": 600}}}),
        );
        let rolling = spec.get_mut("strategy").and_then(|strategy| strategy.get_mut("rollingParams"));
        let rolling = rolling.and_then(Value::as_object_mut);
        if let Some(rolling) = rolling
            && !rolling.contains_key("maxUnavailable")
            && !rolling.contains_key("maxSurge")
        {
            merge(rolling, json!({"maxUnavailable": "25%", "maxSurge": "25%"}));
        }
    }
    if is_of_type(spec, "strategy", "Recreate") {
        merge(spec, json!({"strategy": {"recreateParams": {"timeoutSeconds": 600}}}));
    }
}

/// Triggers name the namespace that they mean; what they did last is theirs, not the creator's.
fn deployment_config(new: &mut Plain, create: bool) {
    let namespace = new.metadata.namespace.clone();
    let Some(triggers) = at_mut(&mut new.fields, &["spec", "triggers"]).and_then(Value::as_array_mut) else {
        return;
    };
    for params in triggers.iter_mut().filter_map(|trigger| trigger.get_mut("imageChangeParams")) {
        let Some(params) = params.as_object_mut() else { continue };
        if create {
            params.remove("lastTriggeredImage");
        }
        if let Some(from) = params.get_mut("from").and_then(Value::as_object_mut)
            && from.get("kind").and_then(Value::as_str) == Some("ImageStreamTag")
            && from.get("namespace").and_then(Value::as_str).is_none_or(str::is_empty)
        {
            from.insert("namespace".to_owned(), namespace.clone().into());
        }
    }
}

fn selector_from_template(spec: &mut Map<String, Value>) {
    let empty = spec.get("selector").and_then(Value::as_object).is_none_or(Map::is_empty);
    let labels = spec
        .get("template")
        .and_then(|template| template.get("metadata"))
        .and_then(|meta| meta.get("labels"));
    if empty && let Some(labels) = labels.cloned() {
        spec.insert("selector".to_owned(), labels);
    }
}

fn template_labels(object: &Plain) -> std::collections::BTreeMap<String, String> {
    let labels = super::at(&object.fields, &["spec", "template", "metadata", "labels"]);
    let labels = labels.and_then(Value::as_object).into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// A job selects its pods by its own identity unless somebody insists on another way.
fn job_selector(new: &mut Plain) {
    let (name, uid) = (new.metadata.name.clone(), new.metadata.uid.clone());
    let Some(spec) = new.fields.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if spec.get("manualSelector") == Some(&Value::Bool(true)) {
        return;
    }
    merge(spec, json!({"selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}}));
    if let Some(template) = spec.get_mut("template").and_then(Value::as_object_mut) {
        merge(
            template,
            json!({"metadata": {"labels": {
            "batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name,
            "controller-uid": uid, "job-name": name}}}),
        );
    }
}

/// Daemon sets count the changes of their template in an annotation.
fn template_generation(new: &mut Plain, old: Option<&Plain>) {
    const KEY: &str = "deprecated.daemonset.template.generation";
    let template = |object: &Plain| super::at(&object.fields, &["spec", "template"]).cloned();
    let before = old.and_then(|old| old.metadata.annotations.get(KEY)?.parse::<u64>().ok()).unwrap_or(0);
    let changed = old.is_none_or(|old| template(old) != template(new));
    let count = if changed { before.saturating_add(1) } else { before };
    new.metadata.annotations.insert(KEY.to_owned(), count.to_string());
}

fn pod_spec(kind: Workload, pod: &mut Map<String, Value>) {
    merge(
        pod,
        json!({"restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst", "securityContext": {}, "schedulerName": "default-scheduler"}),
    );
    if kind == Workload::Pod {
        merge(pod, json!({"enableServiceLinks": true}));
    }
    // The old name of the field is kept equal to the new one.
    for (from, to) in [("serviceAccountName", "serviceAccount"), ("serviceAccount", "serviceAccountName")] {
        if let Some(account) = pod.get(from).cloned() {
            pod.entry(to).or_insert(account);
        }
    }
    for list in ["initContainers", "containers"] {
        let containers = pod.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        containers.filter_map(Value::as_object_mut).for_each(container);
    }
    let volumes = pod.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten();
    for volume in volumes.filter_map(Value::as_object_mut) {
        for source in ["secret", "configMap", "downwardAPI", "projected"] {
            if let Some(source) = volume.get_mut(source).and_then(Value::as_object_mut) {
                merge(source, json!({"defaultMode": 420}));
            }
        }
        if let Some(host) = volume.get_mut("hostPath").and_then(Value::as_object_mut) {
            merge(host, json!({"type": ""}));
        }
    }
}

fn container(container: &mut Map<String, Value>) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = if super::images::is_moving(image) { "Always" } else { "IfNotPresent" };
    merge(
        container,
        json!({"resources": {}, "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File", "imagePullPolicy": policy}),
    );
    let ports = container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten();
    for port in ports.filter_map(Value::as_object_mut) {
        merge(port, json!({"protocol": "TCP"}));
    }
    let environment = container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten();
    for field in environment.filter_map(|entry| entry.get_mut("valueFrom")?.get_mut("fieldRef")) {
        if let Some(field) = field.as_object_mut() {
            merge(field, json!({"apiVersion": "v1"}));
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get_mut(probe).and_then(Value::as_object_mut) else { continue };
        merge(
            probe,
            json!({"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}),
        );
        if let Some(get) = probe.get_mut("httpGet").and_then(Value::as_object_mut) {
            merge(get, json!({"path": "/", "scheme": "HTTP"}));
        }
    }
}
