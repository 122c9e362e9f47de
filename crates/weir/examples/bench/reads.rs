//! Reading: a stream, a tag with its image, a long list, each beside the same bytes as a constant response.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use crate::content::{path, stream, tag};
use crate::load::{self, Rate, Same};
use crate::process::{Constant, Weir, fresh};
use crate::report::Row;
use crate::{Effort, STREAMS};

/// Connections that get single objects.
const CONNECTIONS: usize = 16;
/// Connections that get lists.
const LISTERS: usize = 4;
const SHARE: f64 = 0.6;

pub(crate) async fn measure(server: &Weir, folder: &Path, effort: Effort) -> Result<Vec<Row>> {
    let number = STREAMS / 2;
    let one = path(&format!("imagestreams/{}", stream(number)));
    let with_image = path(&format!("imagestreamtags/{}:{}", stream(number), tag(2)));
    let all = path("imagestreams");
    let many = format!("list of {STREAMS} streams with five tags each, {LISTERS} connections, TLS");
    let mut rows = Vec::new();
    for (figure, path, clients) in [
        ("GET of a stream, 16 connections, TLS", &one, CONNECTIONS),
        ("GET of a tag with its image, 16 connections, TLS", &with_image, CONNECTIONS),
        (many.as_str(), &all, LISTERS),
    ] {
        let request = server.target.get(path);
        let mut connection = server.target.connect().await?;
        let (status, body) = connection.exchange(&request).await?;
        anyhow::ensure!(status == 200, "{path}: {status}");
        let size = body.len();
        let constant = Constant::start(&fresh(folder, "constant"), body)?;
        let (mut best, mut limit) = (Rate::default(), Rate::default());
        for _ in 0..effort.rounds {
            let bare = Arc::new(Same(constant.target.get(path)));
            limit = limit
                .best(load::run(&constant.target, clients, effort.time, bare, Some(&constant.cpu())).await?);
            let same = Arc::new(Same(request.clone()));
            best =
                best.best(load::run(&server.target, clients, effort.time, same, Some(&server.cpu())).await?);
        }
        let figure = format!("{figure} ({size} bytes)");
        rows.push(Row::share(&figure, best, limit, "the same bytes as a constant response", SHARE));
    }
    Ok(rows)
}
