//! `cargo xtask bench`: what Weir does beside what the machine can do at best, measured in the same run.
//!
//! The server is the program itself, started as its users start it. Every rate has a limit beside it: the listener that
//! always answers with the same bytes, the store alone, the upstream registry alone. The machine may be noisy; shares
//! count, and of several runs the best of each is taken.

mod access;
mod constant;
mod content;
mod follow;
mod imports;
mod load;
mod process;
mod reads;
mod registry;
mod report;
mod resources;
mod watchers;
mod wire;
mod writes;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;

use process::{Weir, fresh};
use report::Row;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Weir.
#[derive(Debug, Parser)]
struct Arguments {
    /// The program to measure.
    #[arg(long)]
    weir: PathBuf,
    /// The script that fills an upstream registry.
    #[arg(long)]
    seed: PathBuf,
    /// Where servers keep their data meanwhile; should be on the disk that counts.
    #[arg(long)]
    folder: PathBuf,
    /// Seconds that each load runs.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How often each is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only these parts.
    #[arg(long, value_enum)]
    only: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Reads,
    Writes,
    Watchers,
    Imports,
    Memory,
    Images,
    Start,
    Registry,
    Access,
    Follow,
}

/// How long and how often.
#[derive(Clone, Copy, Debug)]
struct Effort {
    time: Duration,
    rounds: usize,
}

/// Streams of the server that most is measured on.
const STREAMS: usize = 1000;
/// Images of the large server.
const IMAGES: usize = 100_000;

fn main() -> Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("the TLS provider is installed twice"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == "constant") {
        let data = words.next().context("constant DATA")?;
        return runtime.block_on(constant::serve(data.into()));
    }
    let arguments = Arguments::parse();
    let title = match arguments.only[..] {
        [Part::Registry] => "The registry beside docker-registry",
        [Part::Follow] => "What following costs",
        _ => "The first figures of image streams",
    };
    let rows = runtime.block_on(measure(&arguments))?;
    std::io::stdout().write_all(report::markdown(title, &rows).as_bytes())?;
    Ok(())
}

async fn measure(arguments: &Arguments) -> Result<Vec<Row>> {
    std::fs::create_dir_all(&arguments.folder)?;
    let folder = tempfile::tempdir_in(&arguments.folder)?;
    let effort = Effort { time: Duration::from_secs_f64(arguments.seconds), rounds: arguments.rounds };
    let wanted = |part| arguments.only.is_empty() || arguments.only.contains(&part);
    let mut rows = Vec::new();
    if [Part::Reads, Part::Writes, Part::Watchers, Part::Imports, Part::Memory].into_iter().any(wanted) {
        let data = fresh(folder.path(), "streams");
        let server = Weir::start(&arguments.weir, &data).await?;
        note("filling: 1,000 streams of five tags");
        content::streams(&server.target, STREAMS).await?;
        content::version(&server.target, STREAMS, 0).await?;
        server.stop().await?;
        let server = Weir::start(&arguments.weir, &data).await?;
        if wanted(Part::Memory) {
            rows.push(resources::idle(&server).await?);
        }
        if wanted(Part::Reads) {
            note("reads");
            rows.extend(reads::measure(&server, folder.path(), effort).await?);
        }
        if wanted(Part::Watchers) {
            note("watchers");
            rows.push(watchers::measure(&server, effort).await?);
        }
        if wanted(Part::Imports) {
            note("imports");
            rows.extend(imports::measure(&server, folder.path(), &arguments.seed, effort).await?);
        }
        if wanted(Part::Writes) {
            note("writes");
            content::version(&server.target, STREAMS, 1).await?;
            server.stop().await?;
            rows.extend(writes::measure(&arguments.weir, &data, folder.path(), effort).await?);
        }
    }
    if wanted(Part::Images) {
        note("filling: 100,000 images");
        rows.extend(resources::images(&arguments.weir, folder.path(), effort).await?);
    }
    if wanted(Part::Access) {
        note("access");
        rows.extend(access::measure(&arguments.weir, folder.path(), effort).await?);
    }
    if wanted(Part::Start) {
        note("starts");
        rows.extend(resources::start(&arguments.weir, folder.path(), effort).await?);
    }
    // These have tables of their own.
    if arguments.only.contains(&Part::Follow) {
        rows.extend(follow::measure(&arguments.weir, folder.path()).await?);
    }
    if arguments.only.contains(&Part::Registry) {
        note("registry");
        rows.extend(registry::measure(&arguments.weir, folder.path(), &arguments.seed, effort).await?);
    }
    Ok(rows)
}

/// Says how far this is, on standard error.
fn note(what: &str) {
    // A closed terminal must not stop the benchmark.
    let _ = writeln!(std::io::stderr(), "bench: {what}");
}
