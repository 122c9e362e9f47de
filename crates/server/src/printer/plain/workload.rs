//! Tables of workloads, deployment and build configurations.

use machinery::duration;
use machinery::table::{Cell, Column};
use machinery::time::Time;
use serde_json::Value;

use super::{AGE, Layout, age, at, count, field, items, name, number, since, size, text, time};
use crate::plain::Plain;
use crate::workload::selector_words;

const CONTAINERS: Column = Column::text("Containers", "Names of the containers in the template.").wide();

const IMAGES: Column = Column::text("Images", "Images of the containers in the template.").wide();

const SELECTOR: Column = Column::text("Selector", "Label selector of its pods.").wide();

pub(super) static SCALES: Layout = Layout {
    columns: &[
        Column::NAME,
        number("Desired", "How many pods there are to be."),
        number("Available", "How many there are."),
        AGE,
    ],
    cells: |plain, now| {
        let (desired, there) = (count(plain, "/spec/replicas"), count(plain, "/status/replicas"));
        vec![name(plain), desired.into(), there.into(), age(plain, now)]
    },
};

pub(super) static PODS: Layout = Layout {
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

pub(super) static REPLICA_SETS: Layout = Layout {
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

pub(super) static DEPLOYMENTS: Layout = Layout {
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

pub(super) static STATEFUL_SETS: Layout = Layout {
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

pub(super) static DAEMON_SETS: Layout = Layout {
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
            selector(at(plain, "/spec/template/spec/nodeSelector")).into(),
        ];
        with_template(plain, first, now, true)
    },
};

pub(super) static JOBS: Layout = Layout {
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

pub(super) static CRON_JOBS: Layout = Layout {
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

pub(super) static DEPLOYMENT_CONFIGS: Layout = Layout {
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

pub(super) static BUILD_CONFIGS: Layout = Layout {
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

pub(super) static BUILDS: Layout = Layout {
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

fn ratio(plain: &Plain, of: &str, all: &str) -> String {
    format!("{}/{}", count(plain, of), count(plain, all))
}

/// A selector in words.
fn selector(selector: Option<&Value>) -> String {
    let words = selector.map(selector_words).unwrap_or_default();
    if words.is_empty() { "<none>".to_owned() } else { words }
}

/// Name, the given cells, age, and what the template holds.
fn with_template<const N: usize>(plain: &Plain, first: [Cell; N], now: Time, selects: bool) -> Vec<Cell> {
    let containers = items(plain, "/spec/template/spec/containers");
    let join = |name: &str| containers.iter().map(|each| field(each, name)).collect::<Vec<_>>().join(",");
    let mut cells = vec![name(plain)];
    cells.extend(first);
    cells.extend([age(plain, now), join("name").into(), join("image").into()]);
    if selects {
        cells.push(selector(at(plain, "/spec/selector")).into());
    }
    cells
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
        selector(at(plain, "/spec/jobTemplate/spec/selector/matchLabels")).into(),
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
