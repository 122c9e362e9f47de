//! The tables of plain kinds: the columns that people know from clusters, read off the objects' JSON.
//!
//! A kind has a row here: its columns, and for each the way to its cell. What an object does not say is shown as Kubernetes
//! shows it: nothing, a zero or `<none>`.

use machinery::duration;
use machinery::table::{Cell, Column};
use machinery::time::Time;
use serde_json::Value;

use crate::plain::Plain;

const AGE: Column = Column::text("Age", "How long ago it was made.");
const CREATED: Column = Column::text("Created At", "When it was made.");
const READY: Column = Column::text("Ready", "How many are ready, of how many there should be.");
const CONTAINERS: Column = Column::text("Containers", "Names of the containers.").wide();
const IMAGES: Column = Column::text("Images", "Images of the containers.").wide();
const SELECTOR: Column = Column::text("Selector", "Which pods belong to it.").wide();

const fn number(name: &'static str, description: &'static str) -> Column {
    Column::text(name, description).of_type("integer")
}

const CONFIG_MAPS: &[Column] = &[Column::NAME, number("Data", "How many entries it has."), AGE];
const SERVICE_ACCOUNTS: &[Column] = &[Column::NAME, number("Secrets", "How many secrets belong to it."), AGE];
const QUOTAS: &[Column] = &[
    Column::NAME,
    Column::text("Request", "What is used, of how much, for requests and counts."),
    Column::text("Limit", "What is used, of how much, for limits."),
    AGE,
];
const BINDINGS: &[Column] = &[
    Column::NAME,
    Column::text("Role", "The role that is given."),
    AGE,
    Column::text("Users", "Users it is given to.").wide(),
    Column::text("Groups", "Groups it is given to.").wide(),
    Column::text("ServiceAccounts", "Service accounts it is given to.").wide(),
];
const DEPLOYMENTS: &[Column] = &[
    Column::NAME,
    READY,
    number("Up-to-date", "How many have the present template."),
    number("Available", "How many are available."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];
const STATEFUL_SETS: &[Column] = &[Column::NAME, READY, AGE, CONTAINERS, IMAGES];
const REPLICA_SETS: &[Column] = &[
    Column::NAME,
    number("Desired", "How many there should be."),
    number("Current", "How many there are."),
    number("Ready", "How many are ready."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];
const DAEMON_SETS: &[Column] = &[
    Column::NAME,
    number("Desired", "On how many nodes it should be."),
    number("Current", "On how many it is."),
    number("Ready", "How many are ready."),
    number("Up-to-date", "How many have the present template."),
    number("Available", "How many are available."),
    Column::text("Node Selector", "Which nodes it should be on."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];
const CRON_JOBS: &[Column] = &[
    Column::NAME,
    Column::text("Schedule", "When it runs."),
    Column::text("Timezone", "Where the schedule's clock is."),
    Column::text("Suspend", "Whether it rests.").of_type("boolean"),
    number("Active", "Jobs that run."),
    Column::text("Last Schedule", "How long ago it last ran."),
    AGE,
    CONTAINERS,
    IMAGES,
];
const PODS: &[Column] = &[
    Column::NAME,
    Column::text("Ready", "How many containers are ready, of how many."),
    Column::text("Status", "What it is doing."),
    number("Restarts", "How often its containers were started again."),
    AGE,
    Column::text("Node", "Where it runs.").wide(),
];
const OTHERS: &[Column] = &[Column::NAME, CREATED];

/// The columns of a resource.
pub(super) fn columns(plural: &str) -> &'static [Column] {
    match plural {
        "configmaps" => CONFIG_MAPS,
        "serviceaccounts" => SERVICE_ACCOUNTS,
        "resourcequotas" => QUOTAS,
        "rolebindings" | "clusterrolebindings" => BINDINGS,
        "deployments" => DEPLOYMENTS,
        "statefulsets" => STATEFUL_SETS,
        "replicasets" | "replicationcontrollers" => REPLICA_SETS,
        "daemonsets" => DAEMON_SETS,
        "cronjobs" => CRON_JOBS,
        "pods" => PODS,
        _ => OTHERS,
    }
}

/// The cells of an object, one for each of its [`columns`].
pub(super) fn cells(plural: &str, plain: &Plain, now: Time) -> Vec<Cell> {
    let name: Cell = plain.metadata.name.as_str().into();
    let age: Cell = age(plain.metadata.creation_timestamp, now).into();
    let (spec, status) = (part(plain, "spec"), part(plain, "status"));
    let template = &spec["template"]["spec"];
    let status_count = |key: &str| Cell::Number(status[key].as_i64().unwrap_or(0));
    let mut cells = vec![name];
    match plural {
        "configmaps" => {
            cells.extend([Cell::Number(entries(plain, "data") + entries(plain, "binaryData")), age]);
        }
        "serviceaccounts" => cells.extend([Cell::Number(entries(plain, "secrets")), age]),
        "resourcequotas" => {
            let [requests, limits] = [false, true].map(|limits| usage(status, spec, limits).into());
            cells.extend([requests, limits, age]);
        }
        "rolebindings" | "clusterrolebindings" => {
            let role = part(plain, "roleRef");
            let role = format!("{}/{}", text(role, "kind"), text(role, "name"));
            cells.extend([role.into(), age]);
            cells.extend(["User", "Group", "ServiceAccount"].map(|kind| subjects(plain, kind).into()));
        }
        "deployments" => {
            cells.extend([
                ready(spec, status),
                status_count("updatedReplicas"),
                status_count("availableReplicas"),
                age,
            ]);
            cells.extend([
                containers(template, "name"),
                containers(template, "image"),
                selector(&spec["selector"]),
            ]);
        }
        "statefulsets" => {
            cells.extend([
                ready(spec, status),
                age,
                containers(template, "name"),
                containers(template, "image"),
            ]);
        }
        "replicasets" | "replicationcontrollers" => {
            let desired = Cell::Number(spec["replicas"].as_i64().unwrap_or(0));
            cells.extend([desired, status_count("replicas"), status_count("readyReplicas"), age]);
            cells.extend([
                containers(template, "name"),
                containers(template, "image"),
                selector(&spec["selector"]),
            ]);
        }
        "daemonsets" => {
            let counts = [
                "desiredNumberScheduled",
                "currentNumberScheduled",
                "numberReady",
                "updatedNumberScheduled",
                "numberAvailable",
            ];
            cells.extend(counts.map(status_count));
            cells.extend([selector(&template["nodeSelector"]), age]);
            cells.extend([
                containers(template, "name"),
                containers(template, "image"),
                selector(&spec["selector"]),
            ]);
        }
        "cronjobs" => {
            let template = &spec["jobTemplate"]["spec"]["template"]["spec"];
            let zone = spec["timeZone"].as_str().unwrap_or("<none>");
            let last: Option<Time> = status["lastScheduleTime"].as_str().and_then(|time| time.parse().ok());
            let last = last.map_or_else(|| "<none>".to_owned(), |last| self::age(last, now));
            let suspended = spec["suspend"].as_bool().unwrap_or(false);
            let active = status["active"].as_array().map_or(0, |active| count(active.len()));
            cells.extend([
                text(spec, "schedule").into(),
                zone.into(),
                Cell::Bool(suspended),
                Cell::Number(active),
                last.into(),
                age,
            ]);
            cells.extend([containers(template, "name"), containers(template, "image")]);
        }
        "pods" => {
            let all = spec["containers"].as_array().map_or(0, Vec::len);
            let told = status["containerStatuses"].as_array().map(Vec::as_slice).unwrap_or_default();
            let ready = told.iter().filter(|told| told["ready"] == true).count();
            let restarts = told.iter().filter_map(|told| told["restartCount"].as_i64()).sum();
            let node = spec["nodeName"].as_str().unwrap_or("<none>");
            cells.extend([
                format!("{ready}/{all}").into(),
                text(status, "phase").into(),
                Cell::Number(restarts),
                age,
                node.into(),
            ]);
        }
        _ => cells.push(plain.metadata.creation_timestamp.to_string().into()),
    }
    cells
}

/// How long ago something was.
pub(super) fn age(born: Time, now: Time) -> String {
    if born.is_zero() { "<unknown>".to_owned() } else { duration::age(now.seconds_since(born)) }
}

fn part<'a>(plain: &'a Plain, key: &str) -> &'a Value {
    plain.fields.get(key).unwrap_or(&Value::Null)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn entries(plain: &Plain, key: &str) -> i64 {
    match part(plain, key) {
        Value::Object(fields) => count(fields.len()),
        Value::Array(items) => count(items.len()),
        _ => 0,
    }
}

/// `ready/wanted`; who says nothing wants one.
fn ready(spec: &Value, status: &Value) -> Cell {
    let (ready, wanted) =
        (status["readyReplicas"].as_i64().unwrap_or(0), spec["replicas"].as_i64().unwrap_or(1));
    format!("{ready}/{wanted}").into()
}

fn containers(template: &Value, key: &str) -> Cell {
    let containers = template["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    containers.iter().map(|container| text(container, key)).collect::<Vec<_>>().join(",").into()
}

/// Labels as a selector; also of the older form that is nothing but labels.
fn selector(value: &Value) -> Cell {
    let labels = value.get("matchLabels").unwrap_or(value);
    let pairs: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    if pairs.is_empty() { "<none>".into() } else { pairs.join(",").into() }
}

fn subjects(plain: &Plain, kind: &str) -> String {
    let subjects = part(plain, "subjects").as_array().map(Vec::as_slice).unwrap_or_default();
    let of_kind = subjects.iter().filter(|subject| subject["kind"] == kind);
    let names = of_kind.map(|subject| match text(subject, "namespace") {
        "" => text(subject, "name").to_owned(),
        namespace => format!("{namespace}/{}", text(subject, "name")),
    });
    names.collect::<Vec<_>>().join(", ")
}

/// `name: used/hard` of the amounts that are limits, or of all others.
fn usage(status: &Value, spec: &Value, limits: bool) -> String {
    let hard = status["hard"].as_object().or_else(|| spec["hard"].as_object());
    let lines = hard.into_iter().flatten().filter(|(name, _)| name.starts_with("limits.") == limits);
    let lines = lines.map(|(name, hard)| {
        let used = status["used"][name.as_str()].as_str().unwrap_or("0");
        format!("{name}: {used}/{}", hard.as_str().unwrap_or_default())
    });
    lines.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(plural: &str, object: Value, want: &Value) {
        let mut plain: Plain = serde_json::from_value(object).unwrap();
        plain.metadata.name = "n".to_owned();
        plain.metadata.creation_timestamp = Time::from_unix(1_700_000_000 - 120);
        let cells = cells(plural, &plain, Time::from_unix(1_700_000_000));
        assert_eq!(cells.len(), columns(plural).len(), "{plural}");
        assert_eq!(serde_json::to_value(cells).unwrap(), *want, "{plural}");
    }

    #[test]
    fn rows_are_those_that_people_know() {
        let template =
            json!({"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]}});
        let selector = json!({"matchLabels": {"app": "n"}});
        check("configmaps", json!({"data": {"a": "b"}, "binaryData": {"c": ""}}), &json!(["n", 2, "2m"]));
        check("serviceaccounts", json!({"secrets": [{"name": "s"}]}), &json!(["n", 1, "2m"]));
        check(
            "resourcequotas",
            json!({"spec": {"hard": {"pods": "2", "limits.cpu": "1"}}, "status": {"hard": {"pods": "2", "limits.cpu": "1"}, "used": {"pods": "1"}}}),
            &json!(["n", "pods: 1/2", "limits.cpu: 0/1", "2m"]),
        );
        check(
            "rolebindings",
            json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "namespace": "x", "name": "s"}]}),
            &json!(["n", "Role/r", "2m", "u", "", "x/s"]),
        );
        check(
            "deployments",
            json!({"spec": {"replicas": 3, "template": template, "selector": selector}, "status": {"readyReplicas": 2, "updatedReplicas": 1}}),
            &json!(["n", "2/3", 1, 0, "2m", "a,b", "x,y", "app=n"]),
        );
        check(
            "statefulsets",
            json!({"spec": {"template": template}}),
            &json!(["n", "0/1", "2m", "a,b", "x,y"]),
        );
        check(
            "replicationcontrollers",
            json!({"spec": {"replicas": 1, "selector": {"app": "n"}}}),
            &json!(["n", 1, 0, 0, "2m", "", "", "app=n"]),
        );
        check("daemonsets", json!({}), &json!(["n", 0, 0, 0, 0, 0, "<none>", "2m", "", "", "<none>"]));
        check(
            "cronjobs",
            json!({"spec": {"schedule": "* * * * *", "suspend": true}, "status": {"lastScheduleTime": "2023-11-14T22:12:20Z"}}),
            &json!(["n", "* * * * *", "<none>", true, 0, "60s", "2m", "", ""]),
        );
        check(
            "pods",
            json!({"spec": {"containers": [{}]}, "status": {"phase": "Pending"}}),
            &json!(["n", "0/1", "Pending", 0, "2m", "<none>"]),
        );
        check("roles", json!({}), &json!(["n", "2023-11-14T22:11:20Z"]));
    }
}
