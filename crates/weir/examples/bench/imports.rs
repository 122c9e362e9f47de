//! Imports from a registry on the same machine, beside what that registry can do.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::Effort;
use crate::content::{path, stream};
use crate::load::{self, Once, Rate, Requests, Same};
use crate::process::{Upstream, Weir};
use crate::report::{Row, rate_text};
use crate::wire::Target;

const CLIENTS: usize = 8;
/// Ten times what the reference does on a machine like this.
const LEAST: f64 = 10.0 * 73.0;
const ACCEPT: &str = "Accept: application/vnd.docker.distribution.manifest.v2+json\r\n";

/// Every client imports the same tag into a stream of its own.
struct Known(Vec<Vec<u8>>);

impl Requests for Known {
    fn next(&self, client: usize, _: usize, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&self.0[client]);
        true
    }
}

pub(crate) async fn measure(server: &Weir, folder: &Path, seed: &Path, effort: Effort) -> Result<Vec<Row>> {
    let Some(upstream) = Upstream::start(&folder.join("upstream"), seed).await? else {
        crate::note("docker-registry is not installed: no imports");
        return Ok(Vec::new());
    };
    let target = &server.target;
    let known: Vec<Vec<u8>> = (0..CLIENTS)
        .map(|client| import(target, &upstream, client, "library/python", "3.5", "known"))
        .collect();
    for request in &known {
        succeeded(&target.must(request).await?)?;
    }
    let known: Arc<dyn Requests> = Arc::new(Known(known));
    let (mut best, mut head, mut get) = (Rate::default(), Rate::default(), Rate::default());
    for _ in 0..effort.rounds {
        let bare = |method| {
            let request = upstream.target.request(method, "/v2/library/python/manifests/3.5", ACCEPT, b"");
            load::run(&upstream.target, CLIENTS, effort.time, Arc::new(Same(request)), None)
        };
        head = head.best(bare("HEAD").await?);
        get = get.best(bare("GET").await?);
        best = best
            .best(load::run(target, CLIENTS, effort.time, Arc::clone(&known), Some(&server.cpu())).await?);
    }
    let new = new_images(server, &upstream).await?;
    let figure = format!("imports of a tag whose digest is known, {CLIENTS} clients");
    let asked =
        format!("the upstream alone: {} HEAD, {} GET of the manifest", rate_text(head), rate_text(get));
    let new_figure = format!("imports of images that are new, {CLIENTS} clients");
    let bounded = "each asks the upstream for the tag, its manifest and its configuration".to_owned();
    Ok(vec![Row::rate(&figure, best, asked, LEAST), Row::shown(&new_figure, new, bounded)])
}

/// Every tag of a repository with many, once.
async fn new_images(server: &Weir, upstream: &Upstream) -> Result<Rate> {
    let list = upstream.target.must(&upstream.target.get("/v2/team/many/tags/list?n=1000")).await?;
    let tags = list["tags"].as_array().context("a list of tags")?.iter().filter_map(Value::as_str);
    let target = &server.target;
    let requests =
        tags.enumerate().map(|(at, tag)| import(target, upstream, 20 + at, "team/many", tag, "new"));
    let once = Arc::new(Once(requests.collect(), CLIENTS));
    load::run(target, CLIENTS, std::time::Duration::MAX, once, Some(&server.cpu())).await
}

fn import(
    target: &Target,
    upstream: &Upstream,
    number: usize,
    repository: &str,
    from: &str,
    to: &str,
) -> Vec<u8> {
    let name = format!("{}/{repository}:{from}", upstream.target.address);
    let body = json!({
        "apiVersion": "image.openshift.io/v1", "kind": "ImageStreamImport", "metadata": {"name": stream(number)},
        "spec": {"import": true, "images": [{
            "from": {"kind": "DockerImage", "name": name}, "to": {"name": to}, "importPolicy": {"insecure": true},
        }]},
    });
    target.json("POST", &path("imagestreamimports"), &body)
}

/// What went wrong with an image is told inside the answer.
fn succeeded(answer: &Value) -> Result<()> {
    let status = &answer["status"]["images"][0]["status"];
    anyhow::ensure!(status["status"] == "Success", "an import failed: {status}");
    Ok(())
}
