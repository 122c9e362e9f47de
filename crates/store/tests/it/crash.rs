//! Power cuts at any step of the disk: what was acknowledged is there, what was not is there whole or not at all.

use std::collections::BTreeMap;

use bytes::Bytes;
use store::embedded::{Drive, Embedded, Options};
use store::sim::{Chance, Faulty};
use store::testing::{changes, collect};
use store::{CommitError, Key, Revision, Store, Txn};

type State = BTreeMap<String, Bytes>;

fn options() -> Options {
    Options { drive: Drive::Inline, log_changes: 60, ..Options::default() }
}

fn key(name: &str) -> Key {
    Key::new(&format!("/g/r/{name}")).unwrap()
}

/// A transaction over a few of a few keys, with values from nothing to several pages.
fn txn(chance: &mut Chance) -> Txn {
    let mut writes = BTreeMap::new();
    for _ in 0..=chance.below(4) {
        let name = chance.below(24).to_string();
        let len = usize::try_from(chance.below(3) * chance.below(9000)).unwrap();
        let byte = u8::try_from(chance.below(256)).unwrap();
        writes.insert(name, (!chance.odds(1, 5)).then(|| Bytes::from(vec![byte; len])));
    }
    Txn { guards: Vec::new(), writes: writes.into_iter().map(|(name, value)| (key(&name), value)).collect() }
}

fn applied(state: &State, txn: &Txn) -> State {
    let mut state = state.clone();
    for (key, value) in &txn.writes {
        match value {
            Some(value) => drop(state.insert(key.name().to_owned(), value.clone())),
            None => drop(state.remove(key.name())),
        }
    }
    state
}

async fn state_of(store: &Embedded) -> (Revision, State) {
    let (revision, items) = collect(store, "/", None, 7).await.unwrap();
    (revision, items.into_iter().map(|item| (item.key.name().to_owned(), item.value)).collect())
}

/// Commits groups until the power fails. Returns the acknowledged state with its revision, and the group in flight.
async fn run_until_power_fails(
    store: &Embedded,
    chance: &mut Chance,
    mut state: (Revision, State),
) -> ((Revision, State), Vec<Txn>) {
    loop {
        let group: Vec<Txn> = (0..=chance.below(5)).map(|_| txn(chance)).collect();
        let commits = group.iter().map(|txn| store.commit(txn.clone()));
        let results = futures_util::future::join_all(commits).await;
        if results.iter().any(Result::is_err) {
            let all = results.iter().all(|result| matches!(result, Err(CommitError::Unavailable(_))));
            assert!(all, "a group is acknowledged whole or not at all: {results:?}");
            return (state, group);
        }
        for (txn, revision) in group.iter().zip(results) {
            state = (revision.unwrap(), applied(&state.1, txn));
        }
    }
}

/// A disk with a new store on it. Making one is not part of this test: a data directory does it under another name.
fn empty_store() -> Vec<u8> {
    let disk = Faulty::new(0);
    drop(Embedded::with_backend(disk.clone(), options()).unwrap());
    disk.crash()
}

/// Power cuts one after the other on one disk.
async fn check(seed: u64) {
    let mut chance = Chance::new(seed);
    let mut image = empty_store();
    let mut expected = (Revision::FIRST, State::new());
    for life in 0..6 {
        let disk = Faulty::from_image(chance.number(), image);
        let steps = chance.below(120);
        disk.power_off_after(steps);
        // Opening writes to the disk, too, and may be cut.
        let in_flight = match Embedded::with_backend(disk.clone(), options()) {
            Ok(store) => {
                let found = state_of(&store).await;
                assert_eq!(found, expected, "seed {seed}, life {life}");
                let (acknowledged, in_flight) = run_until_power_fails(&store, &mut chance, found).await;
                expected = acknowledged;
                in_flight
            }
            Err(error) => {
                assert!(disk.is_off(), "seed {seed}, life {life}: {error}");
                Vec::new()
            }
        };
        image = disk.crash();

        let disk = Faulty::from_image(0, image);
        let store = Embedded::with_backend(disk.clone(), options())
            .unwrap_or_else(|error| panic!("seed {seed}, life {life}: {error}"));
        let found = state_of(&store).await;
        let whole = in_flight.iter().fold(expected.1.clone(), |state, txn| applied(&state, txn));
        assert!(found.1 == expected.1 || found.1 == whole, "seed {seed}, life {life}: lost or torn");
        assert!(found.0 >= expected.0, "seed {seed}, life {life}: revisions went back");
        check_log(&store, &found).await;
        expected = found;
        drop(store);
        image = disk.crash();
    }
}

/// The log that survived leads from its oldest state to the current one.
async fn check_log(store: &Embedded, (now, state): &(Revision, State)) {
    let oldest = match collect(store, "/", Some(Revision::FIRST), 0).await {
        Ok(_) => Revision::FIRST,
        Err(store::ReadError::Compacted { oldest }) => oldest,
        Err(error) => panic!("{error}"),
    };
    let (_, items) = collect(store, "/", Some(oldest), 0).await.unwrap();
    let mut replayed: State =
        items.into_iter().map(|item| (item.key.name().to_owned(), item.value)).collect();
    for change in changes(store, "/", oldest, *now).await {
        match change.value {
            Some(value) => drop(replayed.insert(change.key.name().to_owned(), value)),
            None => drop(replayed.remove(change.key.name())),
        }
    }
    assert_eq!(replayed, *state);
}

#[test]
fn acknowledged_commits_survive_hundreds_of_power_cuts() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for seed in 0..60 {
        runtime.block_on(check(seed));
    }
}
