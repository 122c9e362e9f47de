//! What the server is filled with: streams of five tags, each with an image of its own, of the size that images have.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::load::{self, Once};
use crate::wire::Target;

pub(crate) const GROUP: &str = "/apis/image.openshift.io/v1";
pub(crate) const NAMESPACE: &str = "bench";
/// Tags of a stream.
pub(crate) const TAGS: usize = 5;
/// Layers of an image: what application images on a base image have.
const LAYERS: usize = 8;
const CLIENTS: usize = 64;
const FOREVER: Duration = Duration::from_secs(3600);

/// The name of a stream.
pub(crate) fn stream(number: usize) -> String {
    format!("stream-{number:04}")
}

/// The name of a tag.
pub(crate) fn tag(number: usize) -> String {
    format!("v1.{number}")
}

/// The digest that names an image.
pub(crate) fn digest(number: usize) -> String {
    format!("sha256:{number:064x}")
}

/// A path in the namespace of the benchmark.
pub(crate) fn path(rest: &str) -> String {
    format!("{GROUP}/namespaces/{NAMESPACE}/{rest}")
}

/// An image as a client that pushes would describe it.
pub(crate) fn image(number: usize) -> Value {
    let name = digest(number);
    let layer = |at: usize| digest(1_000_000_000 + number * LAYERS + at);
    let layers: Vec<Value> = (0..LAYERS)
        .map(|at| {
            json!({
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                "size": 1_000_000 + at, "digest": layer(at),
            })
        })
        .collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 2048, "digest": layer(LAYERS)},
        "layers": layers,
    });
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": "2026-02-02T02:02:02Z",
        "config": {
            "User": "1001", "WorkingDir": "/opt/app-root/src", "ExposedPorts": {"8080/tcp": {}},
            "Env": ["PATH=/opt/app-root/bin:/usr/local/bin:/usr/bin:/bin", "HOME=/opt/app-root", "LANG=C.UTF-8",
                    "SUMMARY=Platform for building and running applications", "APP_ROOT=/opt/app-root"],
            "Cmd": ["/bin/sh", "-c", "/usr/libexec/run"],
            "Labels": {"name": "bench", "version": number.to_string(), "vendor": "Weir", "architecture": "x86_64",
                       "summary": "Platform for building and running applications", "release": "1"},
        },
        "rootfs": {"type": "layers", "diff_ids": (0..LAYERS).map(layer).collect::<Vec<_>>()},
        "history": (0..LAYERS).map(|at| json!({"created": "2026-02-02T02:02:02Z", "created_by": format!("RUN step {at}")}))
            .collect::<Vec<_>>(),
    });
    json!({
        "apiVersion": "image.openshift.io/v1", "kind": "Image", "metadata": {"name": name},
        "dockerImageReference": format!("registry.example.com/bench/app@{name}"),
        "dockerImageManifestMediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "dockerImageManifest": manifest.to_string(), "dockerImageConfig": config.to_string(),
    })
}

/// Makes a project with streams that have no tags yet.
pub(crate) async fn streams(target: &Target, count: usize) -> Result<()> {
    let project = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    target.must(&target.json("POST", "/api/v1/namespaces", &project)).await?;
    let new = (0..count).map(|number| {
        let body = json!({
            "apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": {"name": stream(number)},
        });
        target.json("POST", &path("imagestreams"), &body)
    });
    send(target, new.collect()).await
}

/// The number of the image that a tag gets with a version.
pub(crate) fn numbered(streams: usize, stream: usize, tag: usize, version: usize) -> usize {
    (version * streams + stream) * TAGS + tag
}

/// Points every tag of every stream at a new image of its own.
pub(crate) async fn version(target: &Target, count: usize, version: usize) -> Result<()> {
    for at in 0..TAGS {
        let moved = (0..count).map(|number| {
            let body = json!({
                "apiVersion": "image.openshift.io/v1", "kind": "ImageStreamMapping",
                "metadata": {"name": stream(number)}, "tag": tag(at),
                "image": image(numbered(count, number, at, version)),
            });
            target.json("POST", &path("imagestreammappings"), &body)
        });
        send(target, moved.collect()).await?;
    }
    Ok(())
}

/// Makes images that no stream names.
pub(crate) async fn images(target: &Target, numbers: std::ops::Range<usize>) -> Result<()> {
    /// Requests that are kept ready at once.
    const BATCH: usize = 5000;
    for start in numbers.clone().step_by(BATCH) {
        let batch = start..(start + BATCH).min(numbers.end);
        let new = batch.map(|number| target.json("POST", &format!("{GROUP}/images"), &image(number)));
        send(target, new.collect()).await?;
    }
    Ok(())
}

async fn send(target: &Target, requests: Vec<Vec<u8>>) -> Result<()> {
    load::run(target, CLIENTS, FOREVER, std::sync::Arc::new(Once(requests, CLIENTS)), None).await.map(drop)
}
