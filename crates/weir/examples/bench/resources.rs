//! Memory, starts and the size of the program.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::content;
use crate::process::{Weir, fresh};
use crate::report::{Row, milliseconds};
use crate::{Effort, IMAGES};

const MEGABYTE: f64 = (1 << 20) as f64;
const IDLE_MEGABYTES: f64 = 60.0;
const IMAGES_MEGABYTES: f64 = 1024.0;
const START_MILLISECONDS: f64 = 200.0;
const START_IMAGES_MILLISECONDS: f64 = 5000.0;
const PROGRAM_MEGABYTES: f64 = 30.0;
/// Time in which a server that has nothing to do gets to rest.
const REST: Duration = Duration::from_secs(3);

/// A server with 1,000 streams of five tags that was just started.
pub(crate) async fn idle(server: &Weir) -> Result<Row> {
    sleep(REST).await;
    let resident = server.resident()? as f64 / MEGABYTE;
    let figure = "memory when idle, 1,000 streams with five tags and 5,000 images";
    Ok(Row::at_most(figure, resident, IDLE_MEGABYTES, "MB"))
}

/// A server with very many images.
pub(crate) async fn images(program: &Path, folder: &Path, effort: Effort) -> Result<Vec<Row>> {
    let data = fresh(folder, "images");
    let server = Weir::start(program, &data).await?;
    content::images(&server.target, 0..IMAGES).await?;
    sleep(REST).await;
    let filled = server.resident()? as f64 / MEGABYTE;
    server.stop().await?;
    let (mut start, mut restarted) = (Duration::MAX, f64::MAX);
    for _ in 0..effort.rounds {
        let server = Weir::start(program, &data).await?;
        start = start.min(server.start);
        sleep(REST).await;
        restarted = restarted.min(server.resident()? as f64 / MEGABYTE);
        server.stop().await?;
    }
    Ok(vec![
        Row::at_most("memory with 100,000 images, after they came", filled, IMAGES_MEGABYTES, "MB"),
        Row::at_most("memory with 100,000 images, after a start", restarted, IMAGES_MEGABYTES, "MB"),
        Row::at_most("start with 100,000 images", milliseconds(start), START_IMAGES_MILLISECONDS, "ms"),
    ])
}

/// Starts on nothing, and the program itself.
pub(crate) async fn start(program: &Path, folder: &Path, effort: Effort) -> Result<Vec<Row>> {
    let mut best = Duration::MAX;
    for _ in 0..effort.rounds {
        let server = Weir::start(program, &fresh(folder, "empty")).await?;
        best = best.min(server.start);
        server.stop().await?;
    }
    let size = std::fs::metadata(program)?.len() as f64 / MEGABYTE;
    Ok(vec![
        Row::at_most("first start, empty data directory", milliseconds(best), START_MILLISECONDS, "ms"),
        Row::at_most("size of the program, stripped", size, PROGRAM_MEGABYTES, "MB"),
    ])
}
