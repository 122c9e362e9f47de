//! A whole server, its clients and its controllers in one thread, over a disk and an upstream registry that fail.
//!
//! Everything is drawn from one seed: what clients do, what the upstream does, which answers are lost or spoilt on the
//! way, and when the power fails. Time is paused and jumps to whatever comes next. A run has several lives of the server
//! on one disk; every life but the last ends with a power cut. Clients note what was acknowledged and what they cannot
//! know; the auditor then holds the server to it:
//!
//! - what was acknowledged is there,
//! - the events of a watch lead from one list to the next, through states that make sense,
//! - every image that a tag names exists, and the upstream really had it under that name,
//! - a tag whose import failed still points at its last good image,
//! - every move reaches everybody who follows the tag ([`consumers`]).

mod audit;
mod client;
mod clients;
mod consumers;
mod rights;
mod watcher;
pub(crate) mod world;

use std::time::Duration;

use clients::{Known, Workload};
use store::sim::Chance;
use watcher::Watcher;
use world::{Disk, Network, World};

/// Clients that change things at once; each has streams of its own.
const CLIENTS: usize = 3;
/// Lives of the server in one run.
const LIVES: usize = 3;
/// What a client does in one life.
const STEPS: usize = 25;
/// Time that controllers have to come to rest before the audit.
const REST: Duration = Duration::from_secs(120);

/// Each has found, or would have found, something: add those that fail.
const SEEDS: [u64; 12] = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233];

/// What the runs went through, so that a simulation in which nothing happens is no success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    acknowledged: usize,
    unanswered: usize,
    imported: usize,
    failed_imports: usize,
    power_cuts: usize,
    comparisons: usize,
    /// What was on the disk after each life.
    disks: Vec<u64>,
    triggered: usize,
    repeats: usize,
}

#[test]
fn the_server_keeps_its_word_over_a_faulty_disk_and_a_faulty_upstream() {
    let mut seen = Seen::default();
    for seed in SEEDS {
        let _failing = Failing(seed);
        run(seed, Cast::Followed, &mut seen);
    }
    let Seen { acknowledged, unanswered, imported, failed_imports, power_cuts, comparisons, .. } = seen;
    let rarest = unanswered.min(imported).min(failed_imports).min(power_cuts).min(comparisons);
    let rarest = rarest.min(seen.triggered).min(seen.repeats);

    assert!(acknowledged > 20 * SEEDS.len() && rarest >= SEEDS.len(), "too little happens: {seen:?}");
}

#[test]
fn a_run_can_be_repeated_from_its_seed() {
    let seen = |seed| {
        let mut seen = Seen::default();
        run(seed, Cast::Alone, &mut seen);
        seen
    };
    for seed in [5, 34] {
        assert_eq!(seen(seed), seen(seed), "seed {seed}");
    }
    assert_ne!(seen(5), seen(34));
}

/// Whether anybody follows the streams of the clients. With followers the order in which things happen at the same
/// instant is not the same in every run, so that what is audited holds in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cast {
    Alone,
    Followed,
}

/// Names the seed when its run panics.
struct Failing(u64);

impl Drop for Failing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the simulation fails with seed {}", self.0);
        }
    }
}

/// Runs something in one thread, where time jumps to whatever comes next.
fn paused(work: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(work);
}

fn run(seed: u64, cast: Cast, seen: &mut Seen) {
    paused(async {
        let mut chance = Chance::new(seed);
        let network = Network::new(chance.number(), cast);
        let mut disk = Disk::empty(chance.number());
        let mut known: Vec<Known> = (0..CLIENTS).map(Known::new).collect();
        for life in 0..LIVES {
            let last = life + 1 == LIVES;
            disk = live(&mut chance, disk, &network, &mut known, last, seen).await;
            seen.disks.push(disk.fingerprint());
        }
    });
}

/// One life of the server: clients work until they are done or the power fails. Returns what is left on the disk.
async fn live(
    chance: &mut Chance,
    disk: Disk,
    network: &Network,
    known: &mut [Known],
    last: bool,
    seen: &mut Seen,
) -> Disk {
    let world = World::start(disk, network, chance.number()).await;
    audit::what_was_acknowledged_is_there(&world, known).await;
    audit::images_exist(&world, network).await;
    let mut watcher = Watcher::start(&world).await;
    if !last {
        world.cut_power_after(50 + chance.below(1000));
    }
    network.begin_trouble();
    let mut workloads: Vec<Workload<'_>> =
        known.iter_mut().map(|known| Workload::new(&world, network, known, chance.number())).collect();
    let work = workloads.iter_mut().map(|workload| workload.run(STEPS));
    for done in futures_util::future::join_all(work).await {
        seen.acknowledged += done.acknowledged;
        seen.unanswered += done.unanswered;
        seen.imported += done.imported;
        seen.failed_imports += done.failed_imports;
    }
    drop(workloads);
    network.end_trouble();
    if world.has_power() {
        // From here on the audit counts on the power, whatever the controllers still write.
        world.cut_power_after(u64::MAX);
        tokio::time::sleep(REST).await;
    }
    if world.has_power() {
        watcher.catch_up_and_compare(&world).await;
        audit::what_was_acknowledged_is_there(&world, known).await;
        audit::images_exist(&world, network).await;
        if let Some(receiver) = &network.receiver {
            consumers::audit(&world, receiver, seen).await;
        }
        seen.comparisons += 1;
    } else {
        seen.power_cuts += 1;
    }
    drop(watcher);
    world.crash(chance.number()).await
}
