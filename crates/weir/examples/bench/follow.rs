//! What following costs: fifty thousand tags of one registry, from a hook to a tag that moved, and from there to a thousand
//! Deployments.
//!
//! The registry is a part of this process and counts who asks for what. A period is shorter here than the usual fifteen
//! minutes, so that the benchmark ends; the work of one round is the same.

mod upstream;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::content::{NAMESPACE, digest, image, path};
use crate::load::{self, Once};
use crate::note;
use crate::process::{Weir, fresh};
use crate::report::{Row, milliseconds};
use crate::wire::Target;
use upstream::Upstream;

const STREAMS: usize = 500;
const TAGS: usize = 100;
/// Of one round, in this benchmark.
const PERIOD: Duration = Duration::from_secs(60);
/// Of one round, as servers have it.
const USUAL_PERIOD: f64 = 15.0 * 60.0;
/// Rounds are spread with jitter: a tag may have been asked for at the end of one and the beginning of the next.
const MOST_QUESTIONS: f64 = 1.05;
const MOST_PERCENT: f64 = 10.0;
const MOST_MEGABYTES: f64 = 300.0;
/// As many as one address may call at once.
const HOOKS: usize = 50;
const MOST_FOR_HOOK: f64 = 1000.0;
/// Tags that may wait for their turn when a round begins.
const FEW: u64 = 50;
const DEPLOYMENTS: usize = 1000;
const MOVES: usize = 5;
const MOST_FOR_DEPLOYMENTS: f64 = 250.0;
const CLIENTS: usize = 16;
const FOREVER: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(900);
const SECRET: &str = "a secret of the benchmark";
const WEIR: &str = "/apis/weir.dev/v1alpha1";
/// Images that the Deployments get; no others have these numbers.
const IMAGES: [usize; 2] = [900_000_001, 900_000_002];

pub(crate) async fn measure(program: &Path, folder: &Path) -> Result<Vec<Row>> {
    let upstream = Upstream::start(STREAMS * TAGS).await?;
    let settings = format!("imagePolicyConfig:\n  scheduledImportSeconds: {}\n", PERIOD.as_secs());
    let server = Weir::configured(program, &fresh(folder, "follow"), &settings).await?;
    let project = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    server.target.must(&server.target.json("POST", "/api/v1/namespaces", &project)).await?;
    let mut rows = vec![deployments(&server.target).await?];
    note("filling: 50,000 followed tags");
    fill(&server.target, &upstream).await?;
    rows.extend(round(&server, &upstream).await?);
    rows.push(hooks(&server.target, &upstream).await?);
    server.stop().await?;
    Ok(rows)
}

async fn fill(target: &Target, upstream: &Upstream) -> Result<()> {
    let tag = |number: usize| {
        json!({
            "name": format!("t{number}"), "importPolicy": {"insecure": true, "scheduled": true},
            "from": {"kind": "DockerImage", "name": format!("{}/r{number}:latest", upstream.host)},
        })
    };
    let requests = (0..STREAMS).map(|stream| {
        let tags: Vec<Value> = (stream * TAGS..(stream + 1) * TAGS).map(tag).collect();
        let body = json!({
            "apiVersion": "image.openshift.io/v1", "kind": "ImageStream",
            "metadata": {"name": format!("f{stream}")}, "spec": {"tags": tags},
        });
        target.json("POST", &path("imagestreams"), &body)
    });
    load::run(target, CLIENTS, FOREVER, Arc::new(Once(requests.collect(), CLIENTS)), None).await?;
    let begin = Instant::now();
    while upstream.unasked() > 0 {
        ensure!(begin.elapsed() < PATIENCE, "{} tags were not imported", upstream.unasked());
        sleep(Duration::from_secs(1)).await;
    }
    // What was asked for is in the streams, too: from here on there is nothing but following.
    for stream in 0..STREAMS {
        let one = target.get(&path(&format!("imagestreams/f{stream}")));
        while target.must(&one).await?["status"]["tags"].as_array().map_or(0, Vec::len) < TAGS {
            ensure!(begin.elapsed() < PATIENCE, "the tags of f{stream} were not imported");
            sleep(Duration::from_millis(100)).await;
        }
    }
    let registry = target.get(&format!("{WEIR}/upstreams/{}", upstream.host));
    while target.must(&registry).await?["status"]["waiting"].as_u64().unwrap_or(u64::MAX) > FEW {
        ensure!(begin.elapsed() < PATIENCE, "what became due while others were imported still waits");
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// One period of following.
async fn round(server: &Weir, upstream: &Upstream) -> Result<Vec<Row>> {
    note("one period of following");
    upstream.forget();
    let cpu = server.cpu();
    let before = cpu.spent()?;
    sleep(PERIOD).await;
    let spent = (cpu.spent()? - before).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "numbers of questions and of bytes are small")]
    let (asked, memory) =
        (upstream.asked() as f64 / (STREAMS * TAGS) as f64, server.resident()? as f64 / 1e6);
    let tags = format!("{} followed tags of one registry", STREAMS * TAGS);
    let questions = format!("{tags}: questions for each in one period");
    let percent = format!("{tags}, a round in 15 minutes: share of one processor, in percent");
    Ok(vec![
        Row::at_most(&questions, asked, MOST_QUESTIONS, "questions"),
        Row::at_most(&percent, spent / USUAL_PERIOD * 100.0, MOST_PERCENT, "%"),
        Row::at_most(&format!("{tags}: memory"), memory, MOST_MEGABYTES, "MB"),
    ])
}

/// From a hook that is called to the event of the tag that moved.
async fn hooks(target: &Target, upstream: &Upstream) -> Result<Row> {
    note("hooks");
    let secret = json!({
        "kind": "Secret", "apiVersion": "v1", "metadata": {"name": "hook"}, "stringData": {"key": SECRET},
    });
    let secrets = format!("/api/v1/namespaces/{NAMESPACE}/secrets");
    target.must(&target.json("POST", &secrets, &secret)).await?;
    let hook = json!({
        "kind": "Hook", "apiVersion": "weir.dev/v1alpha1", "metadata": {"name": "bench"},
        "spec": {"type": "distribution", "secretRef": {"namespace": NAMESPACE, "name": "hook", "key": "key"}},
    });
    target.must(&target.json("POST", &format!("{WEIR}/hooks"), &hook)).await?;
    let mut stranger = target.clone();
    stranger.token = None;
    let headers = format!(
        "Content-Type: application/vnd.docker.distribution.events.v2+json\r\nAuthorization: Bearer {SECRET}\r\n"
    );
    let mut times = Vec::with_capacity(HOOKS);
    for call in 0..HOOKS {
        let number = call * (STREAMS * TAGS / HOOKS);
        let mut watch = watching(target, &path("imagestreams")).await?;
        let moved = upstream.change(number);
        let body = json!({"events": [{
            "id": format!("call-{call}"), "action": "push", "request": {"host": upstream.host},
            "target": {"repository": format!("r{number}"), "tag": "latest"},
        }]});
        let request = stranger.request("POST", "/hooks/bench", &headers, body.to_string().as_bytes());
        let sent = Instant::now();
        let (status, said) = stranger.ask(&request).await?;
        ensure!(status == 202, "a hook was answered with {status}: {said}");
        watch.until(moved.as_bytes()).await?;
        times.push(sent.elapsed());
    }
    let figure = format!("from a hook to the tag that moved, 99 of 100, {HOOKS} calls");
    Ok(Row::at_most(&figure, milliseconds(most_of(&mut times)), MOST_FOR_HOOK, "ms"))
}

/// From a tag that is moved to the events of all Deployments that follow it.
async fn deployments(target: &Target) -> Result<Row> {
    note("a tag with 1,000 followers");
    let stream = json!({
        "apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": {"name": "app"},
    });
    target.must(&target.json("POST", &path("imagestreams"), &stream)).await?;
    for number in IMAGES {
        let mapping = json!({
            "apiVersion": "image.openshift.io/v1", "kind": "ImageStreamMapping", "metadata": {"name": "app"},
            "tag": "live", "image": image(number),
        });
        target.must(&target.json("POST", &path("imagestreammappings"), &mapping)).await?;
    }
    let all = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments");
    let new = (0..DEPLOYMENTS).map(|number| target.json("POST", &all, &deployment(number)));
    load::run(target, CLIENTS, FOREVER, Arc::new(Once(new.collect(), CLIENTS)), None).await?;
    let begin = Instant::now();
    while holding(&target.must(&target.get(&all)).await?, IMAGES[1]) < DEPLOYMENTS {
        ensure!(begin.elapsed() < PATIENCE, "the Deployments do not get the image of their tag");
        sleep(Duration::from_millis(200)).await;
    }
    let mut best = Duration::MAX;
    for round in 0..MOVES {
        let number = IMAGES[round % 2];
        let mut watch = watching(target, &all).await?;
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut reading = JoinSet::new();
        reading.spawn(async move {
            let seen = || tell.send(Instant::now()).expect("who waits for the end waits for all");
            watch.each(b"\"type\":\"MODIFIED\"", DEPLOYMENTS, seen).await
        });
        let body = json!({
            "apiVersion": "image.openshift.io/v1", "kind": "ImageStreamTag", "metadata": {"name": "app:live"},
            "tag": {"from": {"kind": "ImageStreamImage", "name": format!("app@{}", digest(number))}},
        });
        let request = target.json("PUT", &path("imagestreamtags/app:live"), &body);
        let sent = Instant::now();
        target.must(&request).await?;
        while let Some(read) = reading.join_next().await {
            read??;
        }
        let mut times = Vec::with_capacity(DEPLOYMENTS);
        while let Ok(came) = told.try_recv() {
            times.push(came - sent);
        }
        let held = holding(&target.must(&target.get(&all)).await?, number);
        ensure!(held == DEPLOYMENTS, "{held} Deployments have the image of their tag");
        best = best.min(most_of(&mut times));
    }
    let figure = format!("from a tag that moves to the Deployment, 99 of 100, {DEPLOYMENTS} followers");
    Ok(Row::at_most(&figure, milliseconds(best), MOST_FOR_DEPLOYMENTS, "ms"))
}

fn deployment(number: usize) -> Value {
    let trigger = r#"[{"from":{"kind":"ImageStreamTag","name":"app:live"},
        "fieldPath":"spec.template.spec.containers[?(@.name==\"web\")].image"}]"#;
    let labels = json!({"app": format!("web-{number}")});
    json!({
        "kind": "Deployment", "apiVersion": "apps/v1",
        "metadata": {"name": format!("web-{number}"), "annotations": {"image.openshift.io/triggers": trigger}},
        "spec": {"selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "none"}]},
        }},
    })
}

/// How many Deployments of a list have an image.
fn holding(list: &Value, number: usize) -> usize {
    let digest = digest(number);
    let images = list["items"].as_array().into_iter().flatten();
    let images = images.map(|one| one["spec"]["template"]["spec"]["containers"][0]["image"].as_str());
    images.filter(|image| image.is_some_and(|image| image.ends_with(&digest))).count()
}

/// A watch of everything of a kind from now on.
async fn watching(target: &Target, all: &str) -> Result<crate::wire::Connection> {
    let list = target.must(&target.get(&format!("{all}?limit=1"))).await?;
    let revision = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    let mut connection = target.connect().await?;
    connection.send(&target.get(&format!("{all}?watch=true&resourceVersion={revision}"))).await?;
    connection.until(b"\r\n\r\n").await?;
    Ok(connection)
}

/// The time that 99 of 100 did not exceed.
fn most_of(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    let at = (times.len() * 99).div_ceil(100).saturating_sub(1);
    times.get(at).copied().unwrap_or(Duration::MAX)
}
