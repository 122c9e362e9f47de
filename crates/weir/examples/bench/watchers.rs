//! One event to a thousand watchers, each on a connection of its own: from sending the change to the last who has it.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Effort;
use crate::content::{path, stream};
use crate::process::Weir;
use crate::report::{Row, milliseconds};

const WATCHERS: usize = 1000;
/// Events of one round; the slowest counts.
const EVENTS: usize = 5;
const MOST_MILLISECONDS: f64 = 50.0;
/// Connections that are made at once.
const AT_ONCE: usize = 20;

pub(crate) async fn measure(server: &Weir, effort: Effort) -> Result<Row> {
    let target = &server.target;
    let list = target.must(&target.get(&path("imagestreams?limit=1"))).await?;
    let revision = list["metadata"]["resourceVersion"].as_str().context("a list has a version")?;
    let request = target.get(&path(&format!("imagestreams?watch=true&resourceVersion={revision}")));
    let rounds = effort.rounds;
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut set = JoinSet::new();
    let mut opening = JoinSet::new();
    for _ in 0..WATCHERS {
        if opening.len() == AT_ONCE {
            start(opening.join_next().await, &mut set, rounds, &tell)?;
        }
        let (target, request) = (target.clone(), request.clone());
        opening.spawn(async move {
            let mut connection = target.connect().await?;
            connection.send(&request).await?;
            connection.until(b"\r\n\r\n").await?;
            Ok(connection)
        });
    }
    while !opening.is_empty() {
        start(opening.join_next().await, &mut set, rounds, &tell)?;
    }
    let mut best = Duration::MAX;
    for round in 0..rounds {
        let mut worst = Duration::ZERO;
        for event in 0..EVENTS {
            let label = json!({"metadata": {"labels": {"bench": marker(round * EVENTS + event)}}});
            let headers = "Content-Type: application/merge-patch+json\r\n";
            let change = path(&format!("imagestreams/{}", stream(7)));
            let change = target.request("PATCH", &change, headers, label.to_string().as_bytes());
            let mut connection = target.connect().await?;
            let sent = Instant::now();
            let (status, _) = connection.exchange(&change).await?;
            anyhow::ensure!(status == 200, "the change was answered with {status}");
            for _ in 0..WATCHERS {
                let came: Instant = told.recv().await.context("a watcher is gone")?;
                worst = worst.max(came - sent);
            }
        }
        best = best.min(worst);
    }
    while let Some(ended) = set.join_next().await {
        ended??;
    }
    let figure = format!("one event to {WATCHERS} watchers, TLS, from the request to the last");
    Ok(Row::at_most(&figure, milliseconds(best), MOST_MILLISECONDS, "ms"))
}

type Opened = Option<Result<Result<crate::wire::Connection>, tokio::task::JoinError>>;

/// Lets a watcher wait for every event.
fn start(
    opened: Opened,
    set: &mut JoinSet<Result<()>>,
    rounds: usize,
    tell: &mpsc::UnboundedSender<Instant>,
) -> Result<()> {
    let mut connection = opened.context("a connection")???;
    let tell = tell.clone();
    set.spawn(async move {
        for event in 0..rounds * EVENTS {
            connection.until(marker(event).as_bytes()).await?;
            tell.send(Instant::now())?;
        }
        Ok(())
    });
    Ok(())
}

fn marker(event: usize) -> String {
    format!("event-{event:05}")
}
