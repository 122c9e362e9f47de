//! What no cluster would take.

use machinery::field::{FieldError, FieldErrors};
use machinery::validate::dns_label_errors;
use serde_json::{Map, Value};

use super::{Workload, at, text};
use crate::plain::Plain;

/// Finds what is wrong with a workload.
pub(super) fn check(kind: Workload, new: &Plain, old: Option<&Plain>) -> FieldErrors {
    let mut errors = Vec::new();
    let Some(spec) = new.fields.get("spec").and_then(Value::as_object) else {
        errors.push(FieldError::invalid("spec", "", "must be an object"));
        return errors;
    };
    if let Some(replicas) = spec.get("replicas") {
        match replicas.as_i64() {
            Some(count) if count >= 0 => {}
            Some(count) => {
                errors.push(FieldError::invalid(
                    "spec.replicas",
                    count,
                    "must be greater than or equal to 0",
                ));
            }
            None => errors.push(FieldError::invalid("spec.replicas", replicas.clone(), "must be an integer")),
        }
    }
    match kind {
        Workload::Deployment | Workload::StatefulSet | Workload::DaemonSet | Workload::ReplicaSet => {
            check_selector(kind, spec, &mut errors);
        }
        Workload::ReplicationController | Workload::DeploymentConfig => {
            check_plain_selector(spec, &mut errors);
        }
        Workload::CronJob if text_of(spec, "schedule").is_empty() => {
            errors.push(FieldError::required("spec.schedule", ""));
        }
        Workload::BuildConfig => check_triggers(new, &mut errors),
        _ => {}
    }
    if let Some(path) = kind.pod_spec() {
        check_pod(kind, new, path, &mut errors);
    }
    if let Some(old) = old {
        check_change(kind, new, old, &mut errors);
    }
    errors
}

fn text_of<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn template_labels(spec: &Map<String, Value>) -> Option<&Map<String, Value>> {
    spec.get("template")?.get("metadata")?.get("labels")?.as_object()
}

fn check_selector(kind: Workload, spec: &Map<String, Value>, errors: &mut FieldErrors) {
    let Some(selector) = spec.get("selector").and_then(Value::as_object) else {
        errors.push(FieldError::required("spec.selector", ""));
        return;
    };
    let wanted = selector.get("matchLabels").and_then(Value::as_object);
    let expressions =
        selector.get("matchExpressions").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
    if wanted.is_none_or(Map::is_empty) && !expressions {
        let value = Value::Object(selector.clone());
        let why = format!("empty selector is invalid for {}", format!("{kind:?}").to_lowercase());
        errors.push(FieldError::invalid("spec.selector", value, why));
    }
    check_labels(spec, wanted, errors);
}

fn check_plain_selector(spec: &Map<String, Value>, errors: &mut FieldErrors) {
    let selector = spec.get("selector").and_then(Value::as_object);
    if selector.is_none_or(Map::is_empty) {
        errors.push(FieldError::required("spec.selector", ""));
        return;
    }
    check_labels(spec, selector, errors);
}

fn check_labels(spec: &Map<String, Value>, wanted: Option<&Map<String, Value>>, errors: &mut FieldErrors) {
    if spec.get("template").is_none() {
        errors.push(FieldError::required("spec.template", ""));
        return;
    }
    let empty = Map::new();
    let labels = template_labels(spec).unwrap_or(&empty);
    if wanted.is_some_and(|wanted| wanted.iter().any(|(key, value)| labels.get(key) != Some(value))) {
        let value = Value::Object(labels.clone());
        let why = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid("spec.template.metadata.labels", value, why));
    }
}

fn check_pod(kind: Workload, object: &Plain, path: &[&str], errors: &mut FieldErrors) {
    let place = path.join(".");
    let Some(pod) = at(&object.fields, path).filter(|pod| pod.is_object()) else {
        errors.push(FieldError::required(place, ""));
        return;
    };
    if pod.get("containers").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        errors.push(FieldError::required(format!("{place}.containers"), ""));
    }
    let mut seen = std::collections::BTreeSet::new();
    for list in super::images::LISTS {
        let containers = match pod.get(list) {
            None => continue,
            Some(Value::Array(containers)) => containers,
            Some(_) => {
                errors.push(FieldError::invalid(format!("{place}.{list}"), "", "must be a list"));
                continue;
            }
        };
        for (index, container) in containers.iter().enumerate() {
            let at = format!("{place}.{list}[{index}]");
            let name = text(container, "name");
            if name.is_empty() {
                errors.push(FieldError::required(format!("{at}.name"), ""));
            } else {
                let wrong = dns_label_errors(name, false).into_iter();
                errors.extend(wrong.map(|why| FieldError::invalid(format!("{at}.name"), name, why)));
                if !seen.insert(name) {
                    errors.push(FieldError::duplicate(format!("{at}.name"), name));
                }
            }
            if text(container, "image").is_empty() && !image_comes_later(kind, object, name) {
                errors.push(FieldError::required(format!("{at}.image"), ""));
            }
        }
    }
}

/// A deployment configuration may leave an image to one of its triggers.
fn image_comes_later(kind: Workload, object: &Plain, container: &str) -> bool {
    let triggers = at(&object.fields, &["spec", "triggers"]).and_then(Value::as_array);
    kind == Workload::DeploymentConfig
        && triggers.into_iter().flatten().any(|trigger| {
            let names = trigger.get("imageChangeParams").and_then(|params| params.get("containerNames"));
            names.and_then(Value::as_array).is_some_and(|names| names.iter().any(|name| name == container))
        })
}

/// Two triggers of a build configuration may not follow the same tag.
fn check_triggers(object: &Plain, errors: &mut FieldErrors) {
    let default = crate::trigger::build::strategy_from(object);
    let triggers = at(&object.fields, &["spec", "triggers"]).and_then(Value::as_array);
    let mut seen = std::collections::BTreeSet::new();
    for (index, trigger) in triggers.into_iter().flatten().enumerate() {
        let Some(change) = trigger.get("imageChange").filter(|_| text(trigger, "type") == "ImageChange")
        else {
            continue;
        };
        let Some(from) = change.get("from").or(default) else { continue };
        let namespace = match text(from, "namespace") {
            "" => object.metadata.namespace.as_str(),
            namespace => namespace,
        };
        if !seen.insert((text(from, "kind"), namespace, text(from, "name"))) {
            errors.push(FieldError::invalid(
                format!("spec.triggers[{index}].imageChange.from"),
                from.clone(),
                "multiple ImageChange triggers refer to the same image stream tag",
            ));
        }
    }
}

fn check_change(kind: Workload, new: &Plain, old: &Plain, errors: &mut FieldErrors) {
    let immutable: &[&[&str]] = match kind {
        Workload::Deployment | Workload::DaemonSet | Workload::ReplicaSet => &[&["spec", "selector"]],
        Workload::StatefulSet => {
            &[&["spec", "selector"], &["spec", "serviceName"], &["spec", "podManagementPolicy"]]
        }
        Workload::Job => &[&["spec", "selector"], &["spec", "template"], &["spec", "completionMode"]],
        _ => &[],
    };
    for path in immutable {
        let (now, before) = (at(&new.fields, path), at(&old.fields, path));
        if now != before {
            let value = now.cloned().unwrap_or(Value::Null);
            errors.push(FieldError::invalid(path.join("."), value, "field is immutable"));
        }
    }
}
