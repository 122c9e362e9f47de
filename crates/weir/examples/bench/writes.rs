//! Durable tag moves, beside what the store alone commits with values of that size on the same disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serde_json::json;
use store::embedded::{Embedded, Options};
use store::{Key, Range, Store, Txn};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::content::{TAGS, digest, numbered, path, stream, tag};
use crate::load::{self, Rate, Requests};
use crate::process::{Weir, fresh};
use crate::report::Row;
use crate::wire::Target;
use crate::{Effort, STREAMS};

const CLIENTS: usize = 64;
const SHARE: f64 = 0.5;
/// Twenty times what the reference does on a machine like this.
const LEAST: f64 = 20.0 * 320.0;

/// Every client moves the tags of its own streams, each time round to the other of two images of their history.
struct Moves {
    /// By stream, tag and version.
    requests: Vec<Vec<u8>>,
}

impl Moves {
    fn new(target: &Target) -> Moves {
        let mut requests = Vec::with_capacity(STREAMS * TAGS * 2);
        for number in 0..STREAMS {
            for at in 0..TAGS {
                requests.extend((0..2).map(|version| {
                    let (stream, tag) = (stream(number), tag(at));
                    let image = digest(numbered(STREAMS, number, at, version));
                    let body = json!({
                        "apiVersion": "image.openshift.io/v1", "kind": "ImageStreamTag",
                        "metadata": {"name": format!("{stream}:{tag}")},
                        "tag": {"from": {"kind": "ImageStreamImage", "name": format!("{stream}@{image}")}},
                    });
                    target.json("PUT", &path(&format!("imagestreamtags/{stream}:{tag}")), &body)
                }));
            }
        }
        Moves { requests }
    }
}

impl Requests for Moves {
    fn next(&self, client: usize, turn: usize, out: &mut Vec<u8>) -> bool {
        let own = STREAMS / CLIENTS;
        let (round, place) = (turn / (own * TAGS), turn % (own * TAGS));
        let stream = client * own + place / TAGS;
        out.extend_from_slice(&self.requests[(stream * TAGS + place % TAGS) * 2 + round % 2]);
        true
    }
}

/// Measures moves on a data directory that no server has open.
pub(crate) async fn measure(program: &Path, data: &Path, folder: &Path, effort: Effort) -> Result<Vec<Row>> {
    let size = size_of_streams(&data.join("store")).await?;
    let server = Weir::start(program, data).await?;
    let moves = Arc::new(Moves::new(&server.target));
    moves_really_move(&server.target, &moves).await?;
    let (mut best, mut limit) = (Rate::default(), Rate::default());
    for _ in 0..effort.rounds {
        limit = limit.best(bare(&fresh(folder, "bare"), size, effort.time).await?);
        let moves: Arc<dyn Requests> = Arc::clone(&moves) as Arc<dyn Requests>;
        best = best.best(load::run(&server.target, CLIENTS, effort.time, moves, Some(&server.cpu())).await?);
    }
    server.stop().await?;
    let beside = format!("the store alone, {CLIENTS} tasks, values of {size} bytes");
    let figure = format!("durable tag moves (PUT of a tag), {CLIENTS} clients");
    let second = Row::rate("durable tag moves, absolute", best, "20 times the reference".to_owned(), LEAST);
    Ok(vec![Row::share(&figure, best, limit, &beside, SHARE), second])
}

/// A request that changes nothing would be quick.
async fn moves_really_move(target: &Target, moves: &Moves) -> Result<()> {
    let head = target.get(&path(&format!("imagestreamtags/{}:{}", stream(STREAMS - 1), tag(0))));
    let mut seen = Vec::new();
    for version in 0..2 {
        target.must(&moves.requests[(STREAMS - 1) * TAGS * 2 + version]).await?;
        let image = target.must(&head).await?["image"]["metadata"]["name"].to_string();
        if !image.contains(&digest(numbered(STREAMS, STREAMS - 1, 0, version))) {
            bail!("a tag that was moved is at {image}");
        }
        seen.push(image);
    }
    anyhow::ensure!(seen[0] != seen[1], "a tag that was moved stayed");
    Ok(())
}

/// What a stream takes in the store, on average.
async fn size_of_streams(store: &Path) -> Result<usize> {
    let store = Embedded::open(store, Options::default())?;
    let page =
        store.range(Range { limit: STREAMS, ..Range::of("/image.openshift.io/imagestreams/") }).await?;
    let sum: usize = page.items.iter().map(|item| item.value.len()).sum();
    sum.checked_div(page.items.len()).context("the store holds no streams")
}

/// Updates of existing keys, one a task, each waiting for its commit.
async fn bare(folder: &Path, size: usize, time: Duration) -> Result<Rate> {
    let store = Arc::new(Embedded::open(folder, Options::default())?);
    let start = Instant::now();
    let mut set = JoinSet::new();
    for task in 0..CLIENTS {
        let store = Arc::clone(&store);
        set.spawn(async move {
            let key = Key::new(&format!("/image.openshift.io/imagestreams/bench/stream-{task}"))?;
            let value = Bytes::from(vec![b'x'; size]);
            let mut at = store.commit(Txn::new().create(key.clone(), value.clone())).await?;
            let mut commits = 1;
            while start.elapsed() < time {
                at = store.commit(Txn::new().update(key.clone(), at, value.clone())).await?;
                commits += 1;
            }
            anyhow::Ok(commits)
        });
    }
    let mut commits = 0;
    while let Some(done) = set.join_next().await {
        commits += done??;
    }
    Ok(Rate { per_second: f64::from(commits) / start.elapsed().as_secs_f64(), cpu_micros: 0.0 })
}
