//! The integrated registry beside Debian's `docker-registry`, and beside what the machine can do at best: hashing, writing,
//! reading a file through a bare socket. The client is the same for both registries and shares the machine with them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use reqwest::{Client, Method, Response, header};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::Effort;
use crate::load::{self, Rate, Same};
use crate::process::{Cpu, Upstream, Weir, fresh};
use crate::report::Row;
use crate::wire::{self, Target};

const LARGE: usize = 256 << 20;
const MEBIBYTE: f64 = (1 << 20) as f64;
const GIBIBYTE: f64 = (1 << 30) as f64;
const REPOSITORY: &str = "bench/app";
const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
/// Small layers, and who pushes them.
const LAYERS: usize = 1000;
const PUSHERS: usize = 8;
/// Clients that push at once while memory is looked at, and how much each. Memory does not depend on how long they go on.
const CROWD: usize = 32;
const CROWD_BYTES: usize = 64 << 20;

/// One registry under measurement.
struct Side {
    base: String,
    token: Option<String>,
    client: Client,
    cpu: Cpu,
    target: Target,
}

/// What one side does.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    push: Rate,
    pull: Rate,
    manifest: Rate,
    blob: Rate,
    layers: Rate,
    /// CPU seconds for a GiB.
    push_cpu: f64,
    pull_cpu: f64,
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn speed(bytes: usize, time: Duration) -> Rate {
    Rate { per_second: bytes as f64 / MEBIBYTE / time.as_secs_f64(), cpu_micros: 0.0 }
}

impl Side {
    fn new(target: &Target, cpu: Cpu) -> Result<Side> {
        let client = Client::builder().no_proxy().http1_only().build()?;
        let (base, token) = (format!("http://{}", target.address), target.token.clone());
        Ok(Side { base, token, client, cpu, target: target.clone() })
    }

    async fn send(&self, method: Method, url: String, kind: &str, body: Bytes) -> Result<Response> {
        let url = if url.starts_with('/') { format!("{}{url}", self.base) } else { url };
        let mut request = self.client.request(method, &url).header(header::ACCEPT, OCI);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if !kind.is_empty() {
            request = request
                .header(header::CONTENT_TYPE, kind)
                .header(header::CONTENT_LENGTH, body.len())
                .body(body);
        }
        let answer = request.send().await?;
        ensure!(answer.status().is_success(), "{url}: {}", answer.status());
        Ok(answer)
    }

    async fn push(&self, repository: &str, bytes: Bytes, digest: &str) -> Result<()> {
        let octets = "application/octet-stream";
        let uploads = format!("/v2/{repository}/blobs/uploads/");
        let started = self.send(Method::POST, uploads, octets, Bytes::new()).await?;
        let location = started.headers().get(header::LOCATION).context("a location")?.to_str()?.to_owned();
        let separator = if location.contains('?') { '&' } else { '?' };
        self.send(Method::PUT, format!("{location}{separator}digest={digest}"), octets, bytes).await?;
        Ok(())
    }

    /// Reads a blob as the limit is measured, so that the client costs the same beside either.
    async fn pull(&self, repository: &str, digest: &str) -> Result<usize> {
        let request = self.target.request("GET", &format!("/v2/{repository}/blobs/{digest}"), "", b"");
        let address = self.target.address.clone();
        tokio::task::spawn_blocking(move || read_through(TcpStream::connect(address)?, &request)).await?
    }

    /// Pushes an image of one layer; gives the layer's digest.
    async fn image(&self, repository: &str, layer: &Bytes) -> Result<String> {
        let config = Bytes::from_static(br#"{"architecture":"amd64","os":"linux"}"#);
        let (of_layer, of_config) = (digest(layer), digest(&config));
        self.push(repository, layer.clone(), &of_layer).await?;
        self.push(repository, config.clone(), &of_config).await?;
        let part = |kind: &str, digest: &str, size| json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest, "size": size});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI,
            "config": part("config.v1+json", &of_config, config.len()),
            "layers": [part("layer.v1.tar", &of_layer, layer.len())],
        });
        let url = format!("/v2/{repository}/manifests/v1");
        self.send(Method::PUT, url, OCI, manifest.to_string().into()).await?;
        Ok(of_layer)
    }

    async fn layers(&self, round: usize) -> Result<Rate> {
        let start = Instant::now();
        try_join_all((0..PUSHERS).map(|pusher| async move {
            for number in (pusher..LAYERS).step_by(PUSHERS) {
                let bytes = Bytes::from(format!("{round}-{number}-{}", "x".repeat(3000)));
                let digest = digest(&bytes);
                self.push(REPOSITORY, bytes, &digest).await?;
            }
            Ok::<_, anyhow::Error>(())
        }))
        .await?;
        Ok(Rate { per_second: LAYERS as f64 / start.elapsed().as_secs_f64(), cpu_micros: 0.0 })
    }

    async fn figures(&self, content: &Bytes, effort: Effort) -> Result<Figures> {
        let mut best = Figures { push_cpu: f64::MAX, pull_cpu: f64::MAX, ..Figures::default() };
        let small = self.image(REPOSITORY, &Bytes::from(vec![9; 2000])).await?;
        for round in 0..effort.rounds {
            let mut bytes = content.to_vec();
            bytes[0] = u8::try_from(round)?;
            let (bytes, gibibytes) = (Bytes::from(bytes), LARGE as f64 / GIBIBYTE);
            let digest = digest(&bytes);
            let (start, spent) = (Instant::now(), self.cpu.spent()?);
            self.push(REPOSITORY, bytes, &digest).await?;
            best.push = best.push.best(speed(LARGE, start.elapsed()));
            best.push_cpu = best.push_cpu.min((self.cpu.spent()? - spent).as_secs_f64() / gibibytes);
            let (start, spent) = (Instant::now(), self.cpu.spent()?);
            ensure!(self.pull(REPOSITORY, &digest).await? == LARGE, "the blob is not whole");
            best.pull = best.pull.best(speed(LARGE, start.elapsed()));
            best.pull_cpu = best.pull_cpu.min((self.cpu.spent()? - spent).as_secs_f64() / gibibytes);
            best.layers = best.layers.best(self.layers(round).await?);
            let accept = format!("Accept: {OCI}\r\n");
            let get = |path: String| Arc::new(Same(self.target.request("GET", &path, &accept, b"")));
            let manifest = get(format!("/v2/{REPOSITORY}/manifests/v1"));
            best.manifest = best
                .manifest
                .best(load::run(&self.target, 16, effort.time, manifest, Some(&self.cpu)).await?);
            let blob = get(format!("/v2/{REPOSITORY}/blobs/{small}"));
            best.blob =
                best.blob.best(load::run(&self.target, 16, effort.time, blob, Some(&self.cpu)).await?);
        }
        Ok(best)
    }
}

pub(crate) async fn measure(weir: &Path, folder: &Path, seed: &Path, effort: Effort) -> Result<Vec<Row>> {
    let Some(upstream) = Upstream::start(&fresh(folder, "docker"), seed).await? else {
        crate::note("docker-registry is not installed: no registry");
        return Ok(Vec::new());
    };
    let server = Weir::start(weir, &fresh(folder, "registry")).await?;
    let project = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}});
    server.target.must(&server.target.json("POST", "/api/v1/namespaces", &project)).await?;
    let ours = Side::new(&server.registry, server.cpu())?;
    let theirs = Side::new(&upstream.target, upstream.cpu())?;
    let block: Vec<u8> = (0..1_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let content = Bytes::from(block.repeat(LARGE >> 20));
    let best = best_possible(folder, &content, effort)?;
    let (mine, docker) = (ours.figures(&content, effort).await?, theirs.figures(&content, effort).await?);
    let mut rows = rows(&mine, &docker, &best);
    rows.push(through(&server, &ours, &theirs, &content, effort).await?);
    let piece = content.slice(..CROWD_BYTES);
    try_join_all((0..CROWD).map(|client| {
        let (ours, piece) = (&ours, &piece);
        async move {
            let mut bytes = piece.to_vec();
            bytes[..8].copy_from_slice(&client.to_be_bytes());
            let digest = digest(&bytes);
            ours.push(REPOSITORY, bytes.into(), &digest).await
        }
    }))
    .await?;
    let peak = server.peak()? as f64 / 1e6;
    rows.push(Row::at_most(&format!("memory at its most, {CROWD} clients pushing"), peak, 200.0, "MB"));
    server.stop().await?;
    Ok(rows)
}

/// What the machine can do.
struct Best {
    hash: Rate,
    write: Rate,
    socket: Rate,
}

fn best_possible(folder: &Path, content: &Bytes, effort: Effort) -> Result<Best> {
    let file = folder.join("plain");
    let mut best = Best { hash: Rate::default(), write: Rate::default(), socket: Rate::default() };
    for _ in 0..effort.rounds {
        let start = Instant::now();
        let hashed = Sha256::digest(content);
        best.hash = best.hash.best(speed(LARGE, start.elapsed()));
        ensure!(hashed.len() == 32, "a hash");
        let start = Instant::now();
        let mut out = fs::File::create(&file)?;
        for piece in content.chunks(512 * 1024) {
            out.write_all(piece)?;
        }
        out.sync_data()?;
        best.write = best.write.best(speed(LARGE, start.elapsed()));
        best.socket = best.socket.best(through_a_socket(&file)?);
    }
    fs::remove_file(file)?;
    Ok(best)
}

/// Reads a file through a bare socket.
fn through_a_socket(file: &Path) -> Result<Rate> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut file = fs::File::open(file)?;
    let sender = std::thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(()),
                read => stream.write_all(&buffer[..read])?,
            }
        }
    });
    let start = Instant::now();
    let (mut stream, mut buffer, mut size) = (TcpStream::connect(address)?, vec![0; 256 * 1024], 0);
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            read => size += read,
        }
    }
    sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
    ensure!(size == LARGE, "the file is not whole");
    Ok(speed(LARGE, start.elapsed()))
}

/// Sends a request over a bare socket and reads the body of its answer; how long that was.
fn read_through(mut stream: TcpStream, request: &[u8]) -> Result<usize> {
    stream.write_all(request)?;
    let (mut buffer, mut have) = (vec![0; 256 * 1024], 0);
    let head = loop {
        let read = stream.read(&mut buffer[have..])?;
        ensure!(read > 0, "the server closed the connection");
        have += read;
        if let Some(at) = buffer[..have].windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let (status, length) = wire::read_head(&buffer[..head])?;
    ensure!(status == 200, "a blob: {status}");
    let (length, mut size) = (length.context("an answer without a length")?, have - head);
    while size < length {
        let read = stream.read(&mut buffer)?;
        ensure!(read > 0, "the blob is not whole");
        size += read;
    }
    Ok(size)
}

fn rows(mine: &Figures, docker: &Figures, best: &Best) -> Vec<Row> {
    let slower = if best.hash.per_second < best.write.per_second { best.hash } else { best.write };
    let beside = "docker-registry";
    vec![
        Row::share("push of 256 MiB (MiB/s)", mine.push, docker.push, beside, 4.0),
        Row::share(
            "the same",
            mine.push,
            slower,
            "the slower of SHA-256 and a plain write with fdatasync",
            0.6,
        ),
        Row::share("pull of 256 MiB (MiB/s)", mine.pull, docker.pull, beside, 1.0),
        Row::share("the same", mine.pull, best.socket, "the file through a bare socket", 0.8),
        Row::share("GET of a manifest, 16 connections", mine.manifest, docker.manifest, beside, 35.0),
        Row::share("GET of a blob of 2,000 bytes, 16 connections", mine.blob, docker.blob, beside, 20.0),
        Row::share("1,000 small layers, 8 clients", mine.layers, docker.layers, beside, 5.0),
        Row::at_most(
            "CPU seconds for a GiB pushed; a quarter of docker-registry's",
            mine.push_cpu,
            docker.push_cpu / 4.0,
            "s",
        ),
        Row::at_most("CPU seconds for a GiB pulled; docker-registry's", mine.pull_cpu, docker.pull_cpu, "s"),
    ]
}

/// A large blob that is pulled through for the first time, beside pulling it where it is.
async fn through(server: &Weir, ours: &Side, theirs: &Side, content: &Bytes, effort: Effort) -> Result<Row> {
    let (mut cold, mut direct) = (Rate::default(), Rate::default());
    for round in 0..effort.rounds {
        let mut bytes = content.to_vec();
        bytes[1] = 100 + u8::try_from(round)?;
        let repository = format!("bench/through-{round}");
        let digest = theirs.image(&repository, &bytes.into()).await?;
        let import = json!({
            "kind": "ImageStreamImport", "apiVersion": "image.openshift.io/v1",
            "metadata": {"name": format!("through-{round}")},
            "spec": {"import": true, "images": [{
                "from": {"kind": "DockerImage", "name": format!("{}/{repository}:v1", theirs.target.address)},
                "to": {"name": "v1"}, "importPolicy": {"insecure": true},
            }]},
        });
        let path = "/apis/image.openshift.io/v1/namespaces/bench/imagestreamimports";
        server.target.must(&server.target.json("POST", path, &import)).await?;
        let start = Instant::now();
        ensure!(theirs.pull(&repository, &digest).await? == LARGE, "the blob is not whole");
        direct = direct.best(speed(LARGE, start.elapsed()));
        let start = Instant::now();
        ensure!(ours.pull(&repository, &digest).await? == LARGE, "the blob is not whole");
        cold = cold.best(speed(LARGE, start.elapsed()));
    }
    Ok(Row::share(
        "pull-through of 256 MiB for the first time (MiB/s)",
        cold,
        direct,
        "pulling it where it is",
        0.9,
    ))
}
