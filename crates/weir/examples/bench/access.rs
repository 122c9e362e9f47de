//! What it costs to know who asks and whether they may, and what an apply costs.
//!
//! The same stream is read by the administrator, whom no rule has to allow, and by a service account that a binding allows,
//! before and after ten thousand other bindings. The token of an account is long, and reading more bytes takes time, too: the
//! administrator's request is filled up to the same size. An apply is of a stream with a hundred tags, of which one changes each time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::content::{GROUP, NAMESPACE, path};
use crate::load::{self, Once, Rate, Requests, Same};
use crate::process::{Weir, fresh};
use crate::report::Row;
use crate::wire::Target;
use crate::{Effort, note};

/// Bindings of other people.
const BINDINGS: usize = 10_000;
/// Tags of the stream that is applied.
const TAGS: usize = 100;
const CONNECTIONS: usize = 16;
/// What knowing and allowing may leave of the rate.
const SHARE: f64 = 0.95;
/// Milliseconds of the processor for an apply.
const APPLY: f64 = 1.0;
const FOREVER: Duration = Duration::from_secs(3600);
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

pub(crate) async fn measure(program: &Path, folder: &Path, effort: Effort) -> Result<Vec<Row>> {
    let server = Weir::start(program, &fresh(folder, "access")).await?;
    let admin = &server.target;
    let reader = prepare(admin).await?;
    let mut rows = vec![share(&server, &reader, effort, "one binding").await?];
    note("filling: 10,000 role bindings");
    let bindings = (0..BINDINGS).map(|number| {
        let path = format!("{RBAC}/namespaces/{NAMESPACE}/rolebindings");
        admin.json("POST", &path, &binding(&format!("b{number}"), "User", &format!("user-{number}")))
    });
    load::run(admin, 64, FOREVER, Arc::new(Once(bindings.collect(), 64)), None).await?;
    rows.push(share(&server, &reader, effort, "10,000 bindings").await?);
    rows.push(apply(&server, effort).await?);
    server.stop().await?;
    Ok(rows)
}

/// A stream, and an account that may read it; its view of the server comes back.
async fn prepare(admin: &Target) -> Result<Target> {
    let make = |path: &str, body: &Value| admin.json("POST", path, body);
    admin.must(&make("/api/v1/namespaces", &json!({"metadata": {"name": NAMESPACE}}))).await?;
    admin.must(&make(&path("imagestreams"), &json!({"metadata": {"name": "read"}}))).await?;
    let accounts = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts");
    admin.must(&make(&accounts, &json!({"metadata": {"name": "reader"}}))).await?;
    let bindings = format!("{RBAC}/namespaces/{NAMESPACE}/rolebindings");
    admin.must(&make(&bindings, &binding("reader", "ServiceAccount", "reader"))).await?;
    let request = json!({"spec": {"expirationSeconds": 7200}});
    let token = admin.must(&make(&format!("{accounts}/reader/token"), &request)).await?;
    let token = token["status"]["token"].as_str().context("a token")?;
    let mut reader = admin.clone();
    reader.token = Some(token.to_owned());
    Ok(reader)
}

fn binding(name: &str, kind: &str, subject: &str) -> Value {
    let subject = match kind {
        "User" => json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": subject}),
        _ => json!({"kind": kind, "name": subject, "namespace": NAMESPACE}),
    };
    json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "registry-viewer"},
        "subjects": [subject],
    })
}

async fn share(server: &Weir, reader: &Target, effort: Effort, among: &str) -> Result<Row> {
    let one = path("imagestreams/read");
    let (wanted, plain) = (reader.get(&one), server.target.get(&one));
    const FILLER: &str = "X-Filler: \r\n";
    let filler = wanted.len().saturating_sub(plain.len() + FILLER.len());
    let filler = format!("X-Filler: {}\r\n", "x".repeat(filler));
    let filled = server.target.request("GET", &one, &filler, b"");
    let (mut known, mut allowed) = (Rate::default(), Rate::default());
    for _ in 0..effort.rounds {
        let admin = Arc::new(Same(filled.clone()));
        known = known
            .best(load::run(&server.target, CONNECTIONS, effort.time, admin, Some(&server.cpu())).await?);
        let request = Arc::new(Same(wanted.clone()));
        allowed =
            allowed.best(load::run(reader, CONNECTIONS, effort.time, request, Some(&server.cpu())).await?);
    }
    let figure =
        format!("GET of a stream by a service account among {among}, {CONNECTIONS} connections, TLS");
    Ok(Row::share(
        &figure,
        allowed,
        known,
        "the administrator, whom no rule has to allow, with a request of that size",
        SHARE,
    ))
}

/// Applies a stream whose last tag is another each time.
struct Applies(Target);

impl Requests for Applies {
    fn next(&self, client: usize, turn: usize, out: &mut Vec<u8>) -> bool {
        let tag = |number: usize| {
            let source = if number + 1 == TAGS { turn } else { number };
            json!({"name": format!("v{number}"), "reference": true,
                "from": {"kind": "DockerImage", "name": format!("quay.io/a/b:{source}")}})
        };
        let name = format!("applied-{client}");
        let body = json!({"apiVersion": GROUP.trim_start_matches("/apis/"), "kind": "ImageStream",
            "metadata": {"name": name}, "spec": {"tags": (0..TAGS).map(tag).collect::<Vec<_>>()}});
        let path = path(&format!("imagestreams/{name}?fieldManager=bench"));
        let kind = "Content-Type: application/apply-patch+yaml\r\n";
        out.extend_from_slice(&self.0.request("PATCH", &path, kind, body.to_string().as_bytes()));
        true
    }
}

async fn apply(server: &Weir, effort: Effort) -> Result<Row> {
    let mut best = Rate::default();
    for _ in 0..effort.rounds {
        let applies = Arc::new(Applies(server.target.clone()));
        best = best.best(load::run(&server.target, 4, effort.time, applies, Some(&server.cpu())).await?);
    }
    let figure = format!("apply of a stream with {TAGS} tags, one of them changed: time of the processor");
    Ok(Row::at_most(&figure, best.cpu_micros / 1000.0, APPLY, "ms"))
}
