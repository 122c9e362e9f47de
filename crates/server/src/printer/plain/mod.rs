//! Tables of plain kinds, with the columns that Kubernetes and OpenShift show of them.
//!
//! Scripts and eyes know these columns, so names and order are theirs. Cells are read from the JSON as it is stored;
//! what is not there reads as zero or nothing, as it does in a typed server.

mod weir;
mod workload;

use machinery::duration;
use machinery::table::{Cell, Column};
use machinery::time::Time;
use serde_json::Value;

use crate::plain::Plain;

/// How one kind is shown.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) columns: &'static [Column],
    pub(super) cells: fn(&Plain, Time) -> Vec<Cell>,
}

/// The layout of a plain kind.
pub(super) fn layout(group: &str, plural: &str) -> &'static Layout {
    match (group, plural) {
        (
            _,
            "deployments/scale"
            | "replicasets/scale"
            | "statefulsets/scale"
            | "replicationcontrollers/scale"
            | "deploymentconfigs/scale",
        ) => &workload::SCALES,
        ("", "namespaces") => &NAMESPACES,
        ("", "secrets") => &SECRETS,
        ("", "configmaps") => &CONFIG_MAPS,
        ("", "serviceaccounts") => &SERVICE_ACCOUNTS,
        ("", "resourcequotas") => &QUOTAS,
        ("", "events") => &EVENTS,
        ("", "pods") => &workload::PODS,
        ("", "replicationcontrollers") | ("apps", "replicasets") => &workload::REPLICA_SETS,
        ("apps", "deployments") => &workload::DEPLOYMENTS,
        ("apps", "statefulsets") => &workload::STATEFUL_SETS,
        ("apps", "daemonsets") => &workload::DAEMON_SETS,
        ("batch", "jobs") => &workload::JOBS,
        ("batch", "cronjobs") => &workload::CRON_JOBS,
        ("apps.openshift.io", "deploymentconfigs") => &workload::DEPLOYMENT_CONFIGS,
        ("build.openshift.io", "buildconfigs") => &workload::BUILD_CONFIGS,
        ("build.openshift.io", "builds") => &workload::BUILDS,
        ("project.openshift.io", "projects") => &PROJECTS,
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => &ROLE_BINDINGS,
        ("authorization.openshift.io", "rolebindings" | "clusterrolebindings") => &OLD_ROLE_BINDINGS,
        ("authorization.openshift.io", "roles" | "clusterroles") => &NAMES,
        ("user.openshift.io", "users") => &USERS,
        ("user.openshift.io", "groups") => &GROUPS,
        ("user.openshift.io", "identities") => &IDENTITIES,
        ("weir.dev", "upstreams") => &weir::UPSTREAMS,
        ("weir.dev", "deliveries") => &weir::DELIVERIES,
        ("weir.dev", "hooks") => &weir::HOOKS,
        ("weir.dev", "webhooktriggers") => &weir::WEBHOOK_TRIGGERS,
        ("weir.dev", "objecttriggers") => &weir::OBJECT_TRIGGERS,
        ("config.openshift.io" | "operator.openshift.io", _) => &CUSTOM,
        _ => &OTHERS,
    }
}

const AGE: Column = Column::text("Age", "How long ago it was made.");

const fn number(name: &'static str, description: &'static str) -> Column {
    Column::text(name, description).of_type("integer")
}

static NAMESPACES: Layout = Layout {
    columns: &[Column::NAME, Column::text("Status", "The status of the namespace"), AGE],
    cells: |plain, now| vec![name(plain), text(plain, "/status/phase").into(), age(plain, now)],
};

static SECRETS: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Type", "What the secret is for."),
        Column::text("Data", "How many entries it has."),
        AGE,
    ],
    cells: |plain, now| {
        vec![name(plain), text(plain, "/type").into(), size(plain, "/data").into(), age(plain, now)]
    },
};

static CONFIG_MAPS: Layout = Layout {
    columns: &[Column::NAME, Column::text("Data", "How many entries it has."), AGE],
    cells: |plain, now| {
        vec![name(plain), (size(plain, "/data") + size(plain, "/binaryData")).into(), age(plain, now)]
    },
};

static SERVICE_ACCOUNTS: Layout = Layout {
    columns: &[Column::NAME, Column::text("Secrets", "How many secrets it may use."), AGE],
    cells: |plain, now| vec![name(plain), size(plain, "/secrets").into(), age(plain, now)],
};

static QUOTAS: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Request", "Used and allowed, of everything but limits."),
        Column::text("Limit", "Used and allowed, of limits."),
        AGE,
    ],
    cells: |plain, now| {
        let (limits, requests): (Vec<_>, Vec<_>) =
            quota(plain).into_iter().partition(|entry| entry.starts_with("limits"));
        vec![name(plain), requests.join(", ").into(), limits.join(", ").into(), age(plain, now)]
    },
};

static EVENTS: Layout = Layout {
    columns: &[
        Column::text("Last Seen", "When it happened last."),
        Column::text("Type", "Normal or Warning."),
        Column::text("Reason", "What happened, in a word."),
        Column::text("Object", "What it happened to."),
        Column::text("Subobject", "Which part of it.").wide(),
        Column::text("Source", "Who tells it.").wide(),
        Column::text("Message", "What happened."),
        Column::text("First Seen", "When it happened first.").wide(),
        Column::text("Count", "How often it happened.").wide(),
        Column { priority: 1, ..Column::NAME },
    ],
    cells: event,
};

static PROJECTS: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Display Name", "What people call it."),
        Column::text("Status", "Whether it is active or being deleted."),
    ],
    cells: |plain, _| {
        let display = plain.metadata.annotations.get("openshift.io/display-name").cloned();
        vec![name(plain), display.unwrap_or_default().into(), text(plain, "/status/phase").into()]
    },
};

static ROLE_BINDINGS: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Role", "The role that is given."),
        AGE,
        Column::text("Users", "Users it is given to.").wide(),
        Column::text("Groups", "Groups it is given to.").wide(),
        Column::text("ServiceAccounts", "Service accounts it is given to.").wide(),
    ],
    cells: |plain, now| {
        let role = format!("{}/{}", text(plain, "/roleRef/kind"), text(plain, "/roleRef/name"));
        let [users, groups, accounts] = ["User", "Group", "ServiceAccount"].map(|kind| subjects(plain, kind));
        vec![name(plain), role.into(), age(plain, now), users.into(), groups.into(), accounts.into()]
    },
};

static OLD_ROLE_BINDINGS: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Role", "The role that is given."),
        Column::text("Users", "Users it is given to."),
        Column::text("Groups", "Groups it is given to."),
        Column::text("Service Accounts", "Service accounts it is given to."),
        Column::text("Subjects", "Whom else it is given to."),
    ],
    cells: |plain, _| {
        let role = format!("{}/{}", text(plain, "/roleRef/namespace"), text(plain, "/roleRef/name"));
        let of = |kinds: [&str; 2]| {
            let found = kinds.map(|kind| subjects(plain, kind));
            found.into_iter().filter(|names| !names.is_empty()).collect::<Vec<_>>().join(", ")
        };
        let (users, groups) = (of(["User", "SystemUser"]), of(["Group", "SystemGroup"]));
        let accounts = subjects(plain, "ServiceAccount");
        vec![name(plain), role.into(), users.into(), groups.into(), accounts.into(), "".into()]
    },
};

static NAMES: Layout = Layout { columns: &[Column::NAME], cells: |plain, _| vec![name(plain)] };

static USERS: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("UID", "Identity of the object."),
        Column::text("Full Name", "What people call them."),
        Column::text("Identities", "How they log in."),
    ],
    cells: |plain, _| {
        let identities: Vec<&str> = items(plain, "/identities").iter().filter_map(Value::as_str).collect();
        let uid = plain.metadata.uid.as_str();
        vec![name(plain), uid.into(), text(plain, "/fullName").into(), identities.join(", ").into()]
    },
};

static GROUPS: Layout = Layout {
    columns: &[Column::NAME, Column::text("Users", "Who is in it.")],
    cells: |plain, _| {
        let users: Vec<&str> = items(plain, "/users").iter().filter_map(Value::as_str).collect();
        vec![name(plain), users.join(", ").into()]
    },
};

static IDENTITIES: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("IDP Name", "Who vouches for them."),
        Column::text("IDP User Name", "Their name there."),
        Column::text("User Name", "Their name here."),
        Column::text("User UID", "Identity of the user."),
    ],
    cells: |plain, _| {
        let cell = |pointer: &str| text(plain, pointer).into();
        vec![
            name(plain),
            cell("/providerName"),
            cell("/providerUserName"),
            cell("/user/name"),
            cell("/user/uid"),
        ]
    },
};

static CUSTOM: Layout =
    Layout { columns: &[Column::NAME, AGE], cells: |plain, now| vec![name(plain), age(plain, now)] };

static OTHERS: Layout = Layout {
    columns: &[Column::NAME, Column::text("Created At", "When it was made.")],
    cells: |plain, _| vec![name(plain), plain.metadata.creation_timestamp.to_string().into()],
};

fn name(plain: &Plain) -> Cell {
    plain.metadata.name.as_str().into()
}

/// A value by its pointer, which begins with a field beside the metadata.
fn at<'a>(plain: &'a Plain, pointer: &str) -> Option<&'a Value> {
    let mut steps = pointer.strip_prefix('/')?.splitn(2, '/');
    let field = plain.fields.get(steps.next()?)?;
    match steps.next() {
        None => Some(field),
        Some(rest) => field.pointer(&format!("/{rest}")),
    }
}

fn text<'a>(plain: &'a Plain, pointer: &str) -> &'a str {
    at(plain, pointer).and_then(Value::as_str).unwrap_or_default()
}

fn count(plain: &Plain, pointer: &str) -> i64 {
    at(plain, pointer).and_then(Value::as_i64).unwrap_or_default()
}

fn items<'a>(plain: &'a Plain, pointer: &str) -> &'a [Value] {
    at(plain, pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// How many entries a list or a map has.
fn size(plain: &Plain, pointer: &str) -> i64 {
    let length = match at(plain, pointer) {
        Some(Value::Array(items)) => items.len(),
        Some(Value::Object(map)) => map.len(),
        _ => 0,
    };
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn age(plain: &Plain, now: Time) -> Cell {
    since(plain.metadata.creation_timestamp, now).into()
}

fn since(born: Time, now: Time) -> String {
    if born.is_zero() { "<unknown>".to_owned() } else { duration::age(now.seconds_since(born)) }
}

fn time(plain: &Plain, pointer: &str) -> Time {
    text(plain, pointer).parse().unwrap_or(Time::ZERO)
}

/// `resource: used/allowed` of a quota, by name.
fn quota(plain: &Plain) -> Vec<String> {
    let hard = at(plain, "/status/hard").or_else(|| at(plain, "/spec/hard")).and_then(Value::as_object);
    let amount = |value: Option<&Value>| match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => "0".to_owned(),
    };
    let used = at(plain, "/status/used");
    hard.into_iter()
        .flatten()
        .map(|(name, hard)| {
            let used = amount(used.and_then(|used| used.get(name)));
            format!("{name}: {used}/{}", amount(Some(hard)))
        })
        .collect()
}

fn event(plain: &Plain, now: Time) -> Vec<Cell> {
    let when = |pointer: &str, other: &str| {
        let at = time(plain, pointer);
        if at.is_zero() { time(plain, other) } else { at }
    };
    let first = when("/firstTimestamp", "/eventTime");
    let last = when("/lastTimestamp", "/eventTime");
    let kind = text(plain, "/involvedObject/kind").to_lowercase();
    let object = text(plain, "/involvedObject/name");
    let object = if kind.is_empty() { object.to_owned() } else { format!("{kind}/{object}") };
    let source = [text(plain, "/source/component"), text(plain, "/source/host")];
    let source: Vec<&str> = source.into_iter().filter(|part| !part.is_empty()).collect();
    vec![
        since(last, now).into(),
        text(plain, "/type").into(),
        text(plain, "/reason").into(),
        object.into(),
        text(plain, "/involvedObject/fieldPath").into(),
        source.join(", ").into(),
        text(plain, "/message").trim().into(),
        since(first, now).into(),
        count(plain, "/count").max(1).into(),
        name(plain),
    ]
}

/// The subjects of one kind, with the project for those that have one.
fn subjects(plain: &Plain, kind: &str) -> String {
    let named = items(plain, "/subjects").iter().filter(|subject| field(subject, "kind") == kind);
    let names: Vec<String> = named
        .map(|subject| match field(subject, "namespace") {
            "" => field(subject, "name").to_owned(),
            namespace => format!("{namespace}/{}", field(subject, "name")),
        })
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Time = Time::from_unix(1_700_000_000);

    fn check(group: &str, plural: &str, object: Value, want: &Value) {
        let plain: Plain = serde_json::from_value(object).expect("an object");
        let layout = layout(group, plural);
        let cells = (layout.cells)(&plain, NOW);
        assert_eq!(cells.len(), layout.columns.len(), "{plural}: a cell a column");
        assert_eq!(serde_json::to_value(cells).expect("cells are JSON"), *want, "{plural}");
    }

    #[test]
    fn every_kind_shows_the_columns_that_its_users_know() {
        let metadata = json!({"name": "web", "creationTimestamp": "2023-11-14T22:00:00Z"});
        let template = json!({"spec": {"containers": [
            {"name": "a", "image": "one:1"}, {"name": "b", "image": "two:2"}]}});
        let labels = json!({"matchLabels": {"app": "web"}});
        check(
            "apps",
            "deployments",
            json!({"metadata": metadata, "spec": {"replicas": 3, "selector": labels, "template": template},
                   "status": {"readyReplicas": 2, "updatedReplicas": 1}}),
            &json!(["web", "2/3", 1, 0, "13m", "a,b", "one:1,two:2", "app=web"]),
        );
        check(
            "apps",
            "statefulsets",
            json!({"metadata": metadata, "spec": {"replicas": 1, "template": template}}),
            &json!(["web", "0/1", "13m", "a,b", "one:1,two:2"]),
        );
        check(
            "",
            "replicationcontrollers",
            json!({"metadata": metadata, "spec": {"replicas": 2, "selector": {"app": "x"}, "template": template}}),
            &json!(["web", 2, 0, 0, "13m", "a,b", "one:1,two:2", "app=x"]),
        );
        check(
            "batch",
            "cronjobs",
            json!({"metadata": metadata, "spec": {"schedule": "@daily", "suspend": true,
                   "jobTemplate": {"spec": {"template": template}}}}),
            &json!(["web", "@daily", "<none>", "True", 0, "<none>", "13m", "a,b", "one:1,two:2", "<none>"]),
        );
        check(
            "batch",
            "jobs",
            json!({"metadata": metadata, "spec": {"completions": 2, "template": template,
                   "selector": {"matchExpressions": [{"key": "k", "operator": "In", "values": ["a", "b"]}]}},
                   "status": {"succeeded": 1, "startTime": "2023-11-14T22:13:00Z"}}),
            &json!(["web", "Running", "1/2", "20s", "13m", "a,b", "one:1,two:2", "k in (a,b)"]),
        );
        check(
            "apps.openshift.io",
            "deploymentconfigs",
            json!({"metadata": metadata, "spec": {"replicas": 1, "triggers": [{"type": "ConfigChange"},
                   {"type": "ImageChange", "imageChangeParams": {"from": {"name": "app:latest"}}}]},
                   "status": {"latestVersion": 4}}),
            &json!(["web", 4, 1, 0, "config,image(app:latest)"]),
        );
        check(
            "build.openshift.io",
            "buildconfigs",
            json!({"metadata": metadata, "spec": {"strategy": {"sourceStrategy": {}},
                   "source": {"git": {"uri": "u", "ref": "main"}}}, "status": {"lastVersion": 2}}),
            &json!(["web", "Source", "Git@main", 2]),
        );
        check(
            "",
            "resourcequotas",
            json!({"metadata": metadata, "spec": {"hard": {"limits.cpu": "2", "openshift.io/imagestreams": "10"}},
                   "status": {"hard": {"limits.cpu": "2", "openshift.io/imagestreams": "10"},
                              "used": {"openshift.io/imagestreams": "3"}}}),
            &json!(["web", "openshift.io/imagestreams: 3/10", "limits.cpu: 0/2", "13m"]),
        );
        check(
            "rbac.authorization.k8s.io",
            "rolebindings",
            json!({"metadata": metadata, "roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [
                {"kind": "User", "name": "bob"}, {"kind": "User", "name": "ann"},
                {"kind": "ServiceAccount", "namespace": "p", "name": "robot"}]}),
            &json!(["web", "ClusterRole/view", "13m", "bob, ann", "", "p/robot"]),
        );
    }

    #[test]
    fn an_event_says_what_happened_to_what() {
        check(
            "",
            "events",
            json!({"metadata": {"name": "e.1"}, "type": "Warning", "reason": "Bad", "message": " no \n",
                   "involvedObject": {"kind": "Deployment", "name": "web"}, "source": {"component": "weir"},
                   "lastTimestamp": "2023-11-14T22:13:00Z"}),
            &json!(["20s", "Warning", "Bad", "deployment/web", "", "weir", "no", "<unknown>", 1, "e.1"]),
        );
    }

    #[test]
    fn an_upstream_shows_the_account_that_has_least_left() {
        check(
            "weir.dev",
            "upstreams",
            json!({"metadata": {"name": "docker.io"}, "status": {"followed": 3, "waiting": 1, "requests": 12,
                "nextDue": "2023-11-14T22:14:20Z", "lastError": {"time": "2023-11-14T22:12:20Z", "message": "429"},
                "accounts": [
                    {"name": "", "budget": {"limit": 100, "remaining": 40, "resets": "2023-11-14T23:13:20Z"}},
                    {"name": "eva", "budget": {"limit": 200, "remaining": 20, "resets": "2023-11-14T22:43:20Z"}}]}}),
            &json!(["docker.io", 3, 1, 12, "20/200", "30m", "60s", "429", "<none>", "About a minute ago"]),
        );
    }

    #[test]
    fn configuration_with_a_name_that_others_have_is_no_image() {
        check(
            "config.openshift.io",
            "images",
            json!({"metadata": {"name": "cluster"}}),
            &json!(["cluster", "<unknown>"]),
        );
    }
}
