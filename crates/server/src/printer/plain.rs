//! Tables of plain kinds, with the columns that Kubernetes and OpenShift show of them.
//!
//! Scripts and eyes know these columns, so names and order are theirs. Cells are read from the JSON as it is stored;
//! what is not there reads as zero or nothing, as it does in a typed server.

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
        ("", "namespaces") => &NAMESPACES,
        ("", "secrets") => &SECRETS,
        ("", "configmaps") => &CONFIG_MAPS,
        ("", "serviceaccounts") => &SERVICE_ACCOUNTS,
        ("", "resourcequotas") => &QUOTAS,
        ("", "events") => &EVENTS,
        ("", "pods") => &PODS,
        ("", "replicationcontrollers") | ("apps", "replicasets") => &REPLICA_SETS,
        ("apps", "deployments") => &DEPLOYMENTS,
        ("apps", "statefulsets") => &STATEFUL_SETS,
        ("apps", "daemonsets") => &DAEMON_SETS,
        ("batch", "jobs") => &JOBS,
        ("batch", "cronjobs") => &CRON_JOBS,
        ("apps.openshift.io", "deploymentconfigs") => &DEPLOYMENT_CONFIGS,
        ("build.openshift.io", "buildconfigs") => &BUILD_CONFIGS,
        ("build.openshift.io", "builds") => &BUILDS,
        ("project.openshift.io", "projects") => &PROJECTS,
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => &ROLE_BINDINGS,
        ("weir.dev", "upstreams") => &UPSTREAMS,
        ("weir.dev", "deliveries") => &DELIVERIES,
        ("weir.dev", "hooks") => &HOOKS,
        ("weir.dev", "webhooktriggers") => &WEBHOOK_TRIGGERS,
        ("weir.dev", "objecttriggers") => &OBJECT_TRIGGERS,
        ("config.openshift.io" | "operator.openshift.io", _) => &CUSTOM,
        _ => &OTHERS,
    }
}

const AGE: Column = Column::text("Age", "How long ago it was made.");

const fn number(name: &'static str, description: &'static str) -> Column {
    Column::text(name, description).of_type("integer")
}

const CONTAINERS: Column = Column::text("Containers", "Names of the containers in the template.").wide();
const IMAGES: Column = Column::text("Images", "Images of the containers in the template.").wide();
const SELECTOR: Column = Column::text("Selector", "Label selector of its pods.").wide();

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
static PODS: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Ready", "How many of its containers are ready."),
        Column::text("Status", "What it is doing."),
        Column::text("Restarts", "How often its containers were started again."),
        AGE,
        Column::text("IP", "Its address.").wide(),
        Column::text("Node", "Where it runs.").wide(),
        Column::text("Nominated Node", "Where it may run next.").wide(),
        Column::text("Readiness Gates", "How many of its conditions hold.").wide(),
    ],
    cells: pod,
};
static REPLICA_SETS: Layout = Layout {
    columns: &[
        Column::NAME,
        number("Desired", "Pods that are wanted."),
        number("Current", "Pods that are there."),
        number("Ready", "Pods that are ready."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: |plain, now| {
        let numbers = ["/spec/replicas", "/status/replicas", "/status/readyReplicas"];
        with_template(plain, numbers.map(|at| count(plain, at).into()), now, true)
    },
};
static DEPLOYMENTS: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Ready", "Pods that are ready, of those that are wanted."),
        Column::text("Up-to-date", "Pods of the newest template."),
        Column::text("Available", "Pods that have been ready long enough."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: |plain, now| {
        let first = [
            ratio(plain, "/status/readyReplicas", "/spec/replicas").into(),
            count(plain, "/status/updatedReplicas").into(),
            count(plain, "/status/availableReplicas").into(),
        ];
        with_template(plain, first, now, true)
    },
};
static STATEFUL_SETS: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Ready", "Pods that are ready, of those that are wanted."),
        AGE,
        CONTAINERS,
        IMAGES,
    ],
    cells: |plain, now| {
        with_template(plain, [ratio(plain, "/status/readyReplicas", "/spec/replicas").into()], now, false)
    },
};
static DAEMON_SETS: Layout = Layout {
    columns: &[
        Column::NAME,
        number("Desired", "Nodes that should run it."),
        number("Current", "Nodes that run it."),
        number("Ready", "Nodes where it is ready."),
        number("Up-to-date", "Nodes with the newest template."),
        number("Available", "Nodes where it has been ready long enough."),
        Column::text("Node Selector", "Which nodes should run it."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: |plain, now| {
        let status = |field: &str| count(plain, &format!("/status/{field}")).into();
        let first = [
            status("desiredNumberScheduled"),
            status("currentNumberScheduled"),
            status("numberReady"),
            status("updatedNumberScheduled"),
            status("numberAvailable"),
            labels(at(plain, "/spec/template/spec/nodeSelector")).into(),
        ];
        with_template(plain, first, now, true)
    },
};
static JOBS: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Status", "What it is doing."),
        Column::text("Completions", "Pods that succeeded, of those that must."),
        Column::text("Duration", "How long it has run."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: |plain, now| {
        let first = [job_status(plain).into(), completions(plain).into(), job_time(plain, now).into()];
        with_template(plain, first, now, true)
    },
};
static CRON_JOBS: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Schedule", "When it runs."),
        Column::text("Timezone", "In whose time."),
        Column::text("Suspend", "Whether it rests."),
        number("Active", "Jobs that run."),
        Column::text("Last Schedule", "When it ran last."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: cron_job,
};
static DEPLOYMENT_CONFIGS: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Revision", "The newest deployment."),
        Column::text("Desired", "Pods that are wanted."),
        Column::text("Current", "Pods that are there."),
        Column::text("Triggered By", "What starts a deployment."),
    ],
    cells: |plain, _| {
        vec![
            name(plain),
            count(plain, "/status/latestVersion").into(),
            count(plain, "/spec/replicas").into(),
            count(plain, "/status/replicas").into(),
            triggers(plain).into(),
        ]
    },
};
static BUILD_CONFIGS: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Type", "How it builds."),
        Column::text("From", "What it builds."),
        number("Latest", "Its newest build."),
    ],
    cells: |plain, _| {
        vec![
            name(plain),
            strategy(plain).into(),
            source(plain).into(),
            count(plain, "/status/lastVersion").into(),
        ]
    },
};
static BUILDS: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Type", "How it builds."),
        Column::text("From", "What it builds."),
        Column::text("Status", "What it is doing."),
        Column::text("Started", "When it began."),
        Column::text("Duration", "How long it took."),
    ],
    cells: build,
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
static UPSTREAMS: Layout = Layout {
    columns: &[
        Column::NAME,
        number("Followed", "Tags that are followed there."),
        number("Waiting", "Tags that are due and wait for their turn."),
        number("Requests", "Requests sent since the start."),
        Column::text("Budget", "What is left and allowed, where it is scarcest."),
        Column::text("Resets", "When all of the budget is there again."),
        Column::text("Next Due", "When the next tag is due."),
        Column::text("Last Error", "What went wrong last."),
        Column::text("Closed", "How long the registry wants no requests.").wide(),
        Column::text("When", "When that went wrong.").wide(),
    ],
    cells: upstream,
};
static DELIVERIES: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Trigger", "Who wants it."),
        Column::text("Tag", "The tag that moved."),
        Column::text("State", "How far it is."),
        number("Attempts", "How often it was attempted."),
        Column::text("Last Error", "Why the last attempt failed."),
        AGE,
    ],
    cells: |plain, now| {
        let tag = format!("{}:{}", text(plain, "/spec/stream"), text(plain, "/spec/tag"));
        vec![
            name(plain),
            text(plain, "/spec/trigger/name").into(),
            tag.into(),
            text(plain, "/status/state").into(),
            count(plain, "/status/attempts").into(),
            text(plain, "/status/lastError").into(),
            age(plain, now),
        ]
    },
};
static HOOKS: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Type", "Who sends."),
        number("Accepted", "Calls that were accepted."),
        number("Refused", "Calls that were refused."),
        Column::text("Last Call", "How long ago it was last called."),
        Column::text("Outcome", "What came of that."),
        AGE,
    ],
    cells: |plain, now| {
        let last = items(plain, "/status/deliveries").first();
        let field = |name: &str| last.map(|last| field(last, name)).unwrap_or_default();
        let ago = field("time").parse().map_or_else(|_| "<none>".to_owned(), |time| since(time, now));
        vec![
            name(plain),
            text(plain, "/spec/type").into(),
            count(plain, "/status/accepted").into(),
            count(plain, "/status/refused").into(),
            ago.into(),
            field("outcome").into(),
            age(plain, now),
        ]
    },
};
static WEBHOOK_TRIGGERS: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Stream", "The stream that it follows."),
        Column::text("Tags", "Patterns of the tags."),
        Column::text("URL", "Where events go."),
        AGE,
    ],
    cells: |plain, now| {
        let url = text(plain, "/spec/url");
        vec![
            name(plain),
            text(plain, "/spec/stream").into(),
            patterns(plain).into(),
            url.into(),
            age(plain, now),
        ]
    },
};
static OBJECT_TRIGGERS: Layout = Layout {
    columns: &[
        Column::NAME,
        Column::text("Stream", "The stream that it follows."),
        Column::text("Tags", "Patterns of the tags."),
        Column::text("Makes", "The kind of the objects."),
        AGE,
    ],
    cells: |plain, now| {
        let kind = text(plain, "/spec/template/kind");
        vec![
            name(plain),
            text(plain, "/spec/stream").into(),
            patterns(plain).into(),
            kind.into(),
            age(plain, now),
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

/// Patterns of tags; without any, all tags are meant.
fn patterns(plain: &Plain) -> String {
    let all: Vec<&str> = items(plain, "/spec/tags").iter().filter_map(Value::as_str).collect();
    if all.is_empty() { "*".to_owned() } else { all.join(",") }
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

fn ratio(plain: &Plain, of: &str, all: &str) -> String {
    format!("{}/{}", count(plain, of), count(plain, all))
}

fn labels(map: Option<&Value>) -> String {
    let entries: Vec<String> = map
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    if entries.is_empty() { "<none>".to_owned() } else { entries.join(",") }
}

/// A selector in words: a map of labels, or one with expressions.
fn selector(plain: &Plain) -> String {
    let Some(selector) = at(plain, "/spec/selector") else { return "<none>".to_owned() };
    let Some(expressions) = selector.get("matchExpressions").and_then(Value::as_array) else {
        return labels(selector.get("matchLabels").or(Some(selector)));
    };
    let mut words: Vec<String> = expressions.iter().map(expression).collect();
    if selector.get("matchLabels").is_some() {
        words.insert(0, labels(selector.get("matchLabels")));
    }
    words.join(",")
}

fn expression(expression: &Value) -> String {
    let key = field(expression, "key");
    let values: Vec<&str> =
        expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let values = values.join(",");
    match field(expression, "operator") {
        "In" => format!("{key} in ({values})"),
        "NotIn" => format!("{key} notin ({values})"),
        "DoesNotExist" => format!("!{key}"),
        _ => key.to_owned(),
    }
}

/// Name, the given cells, age, and what the template holds.
fn with_template<const N: usize>(plain: &Plain, first: [Cell; N], now: Time, selects: bool) -> Vec<Cell> {
    let containers = items(plain, "/spec/template/spec/containers");
    let join = |name: &str| containers.iter().map(|each| field(each, name)).collect::<Vec<_>>().join(",");
    let mut cells = vec![name(plain)];
    cells.extend(first);
    cells.extend([age(plain, now), join("name").into(), join("image").into()]);
    if selects {
        cells.push(selector(plain).into());
    }
    cells
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

fn pod(plain: &Plain, now: Time) -> Vec<Cell> {
    let containers = size(plain, "/spec/containers");
    let statuses = items(plain, "/status/containerStatuses");
    let ready = statuses.iter().filter(|status| status["ready"] == true).count();
    let restarts: i64 = statuses.iter().filter_map(|status| status["restartCount"].as_i64()).sum();
    let reason = [text(plain, "/status/reason"), text(plain, "/status/phase")];
    let reason = reason.into_iter().find(|reason| !reason.is_empty()).unwrap_or("Unknown");
    let status = if plain.metadata.deletion_timestamp.is_some() { "Terminating" } else { reason };
    let or_none = |text: &str| if text.is_empty() { "<none>".to_owned() } else { text.to_owned() };
    vec![
        name(plain),
        format!("{ready}/{containers}").into(),
        status.into(),
        restarts.to_string().into(),
        age(plain, now),
        or_none(text(plain, "/status/podIP")).into(),
        or_none(text(plain, "/spec/nodeName")).into(),
        or_none(text(plain, "/status/nominatedNodeName")).into(),
        "<none>".into(),
    ]
}

fn has_condition(plain: &Plain, kind: &str) -> bool {
    items(plain, "/status/conditions").iter().any(|held| held["type"] == kind && held["status"] == "True")
}

fn job_status(plain: &Plain) -> &'static str {
    let conditions = [
        ("Complete", "Complete"),
        ("Failed", "Failed"),
        ("Suspended", "Suspended"),
        ("FailureTarget", "FailureTarget"),
    ];
    let held = conditions.into_iter().find(|(kind, _)| has_condition(plain, kind));
    match held {
        Some((_, word)) => word,
        None if plain.metadata.deletion_timestamp.is_some() => "Terminating",
        None => "Running",
    }
}

fn completions(plain: &Plain) -> String {
    let done = count(plain, "/status/succeeded");
    match (at(plain, "/spec/completions").and_then(Value::as_i64), count(plain, "/spec/parallelism")) {
        (Some(wanted), _) => format!("{done}/{wanted}"),
        (None, parallel) if parallel > 1 => format!("{done}/1 of {parallel}"),
        (None, _) => format!("{done}/1"),
    }
}

fn job_time(plain: &Plain, now: Time) -> String {
    let (start, end) = (time(plain, "/status/startTime"), time(plain, "/status/completionTime"));
    match (start.is_zero(), end.is_zero()) {
        (true, _) => String::new(),
        (false, true) => duration::age(now.seconds_since(start)),
        (false, false) => duration::age(end.seconds_since(start)),
    }
}

fn cron_job(plain: &Plain, now: Time) -> Vec<Cell> {
    let last = time(plain, "/status/lastScheduleTime");
    let zone = text(plain, "/spec/timeZone");
    let suspended = at(plain, "/spec/suspend").and_then(Value::as_bool).unwrap_or_default();
    let containers = items(plain, "/spec/jobTemplate/spec/template/spec/containers");
    let join = |name: &str| containers.iter().map(|each| field(each, name)).collect::<Vec<_>>().join(",");
    vec![
        name(plain),
        text(plain, "/spec/schedule").into(),
        if zone.is_empty() { "<none>" } else { zone }.into(),
        if suspended { "True" } else { "False" }.into(),
        size(plain, "/status/active").into(),
        if last.is_zero() { "<none>".to_owned() } else { since(last, now) }.into(),
        age(plain, now),
        join("name").into(),
        join("image").into(),
        labels(at(plain, "/spec/jobTemplate/spec/selector/matchLabels")).into(),
    ]
}

/// `config` and `image(stream:tag)`, as the triggers of a deployment configuration stand there.
fn triggers(plain: &Plain) -> String {
    let word = |trigger: &Value| match field(trigger, "type") {
        "ConfigChange" => "config".to_owned(),
        "ImageChange" => {
            let from = trigger.pointer("/imageChangeParams/from/name").and_then(Value::as_str);
            format!("image({})", from.unwrap_or_default())
        }
        other => other.to_owned(),
    };
    items(plain, "/spec/triggers").iter().map(word).collect::<Vec<_>>().join(",")
}

fn strategy(plain: &Plain) -> &'static str {
    let strategies = [
        ("dockerStrategy", "Docker"),
        ("sourceStrategy", "Source"),
        ("customStrategy", "Custom"),
        ("jenkinsPipelineStrategy", "JenkinsPipeline"),
    ];
    let named =
        |(field, word): (&str, &'static str)| at(plain, &format!("/spec/strategy/{field}")).map(|_| word);
    strategies.into_iter().find_map(named).unwrap_or_default()
}

/// Where a build's input comes from: `Git@ref`, `Dockerfile`, `Binary`…
fn source(plain: &Plain) -> String {
    let Some(source) = at(plain, "/spec/source") else { return String::new() };
    let mut words = Vec::new();
    if source.get("git").is_some() {
        let commit = at(plain, "/spec/revision/git/commit")
            .and_then(Value::as_str)
            .map(|id| id.get(..7).unwrap_or(id));
        let reference = commit.or_else(|| source.pointer("/git/ref").and_then(Value::as_str));
        words.push(match reference.filter(|reference| !reference.is_empty()) {
            Some(reference) => format!("Git@{reference}"),
            None => "Git".to_owned(),
        });
    }
    if source.get("dockerfile").is_some() {
        words.push("Dockerfile".to_owned());
    }
    if source.get("binary").is_some() {
        words.push("Binary".to_owned());
    }
    words.join(",")
}

fn build(plain: &Plain, now: Time) -> Vec<Cell> {
    let (phase, reason) = (text(plain, "/status/phase"), text(plain, "/status/reason"));
    let status =
        if reason.is_empty() || reason == phase { phase.to_owned() } else { format!("{phase} ({reason})") };
    let (start, end) = (time(plain, "/status/startTimestamp"), time(plain, "/status/completionTimestamp"));
    let started = if start.is_zero() { String::new() } else { duration::ago(start, now) };
    let took = if start.is_zero() || end.is_zero() {
        String::new()
    } else {
        format!("{}s", end.seconds_since(start))
    };
    vec![
        name(plain),
        strategy(plain).into(),
        source(plain).into(),
        status.into(),
        started.into(),
        took.into(),
    ]
}

/// An upstream registry, with the account that has least left.
fn upstream(plain: &Plain, now: Time) -> Vec<Cell> {
    let until = |pointer: &str| {
        let at = time(plain, pointer);
        if at.is_zero() { "<none>".to_owned() } else { duration::age(at.seconds_since(now).max(0)) }
    };
    let accounts = items(plain, "/status/accounts").iter().enumerate();
    let scarcest = accounts
        .filter_map(|(at, account)| Some((account.pointer("/budget/remaining")?.as_i64()?, at)))
        .min();
    let (budget, resets) = match scarcest {
        Some((remaining, at)) => {
            let limit = count(plain, &format!("/status/accounts/{at}/budget/limit"));
            (format!("{remaining}/{limit}"), until(&format!("/status/accounts/{at}/budget/resets")))
        }
        None => ("<none>".to_owned(), "<none>".to_owned()),
    };
    let failed = time(plain, "/status/lastError/time");
    let error = text(plain, "/status/lastError/message");
    vec![
        name(plain),
        count(plain, "/status/followed").into(),
        count(plain, "/status/waiting").into(),
        count(plain, "/status/requests").into(),
        budget.into(),
        resets.into(),
        until("/status/nextDue").into(),
        if error.is_empty() { "<none>" } else { error }.into(),
        until("/status/closedUntil").into(),
        if failed.is_zero() { "<none>".to_owned() } else { duration::ago(failed, now) }.into(),
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
