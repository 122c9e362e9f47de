//! Any history of transactions against a model: a map, and a copy of it for every revision.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use store::embedded::{Drive, Embedded, Options};
use store::sim::Faulty;
use store::testing::{changes, collect};
use store::{CommitError, Expect, Key, ReadError, Revision, Store, Txn, Versioned};

#[derive(Clone, Debug)]
enum Step {
    Commit { guards: Vec<(u8, Guard)>, writes: Vec<(u8, Option<u8>)> },
    Compact { back: u64 },
    Reopen,
}

#[derive(Clone, Debug)]
enum Guard {
    Absent,
    Current,
    Stale,
    Any,
}

type State = BTreeMap<Key, Versioned>;

fn key(n: u8) -> Key {
    // Two resources, and keys that are prefixes of others.
    Key::new(&format!("/g/r{}/{}", n % 2, "k".repeat(usize::from(n / 2) + 1))).unwrap()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let guard = prop_oneof![
        2 => Just(Guard::Any), 2 => Just(Guard::Absent), 3 => Just(Guard::Current), 1 => Just(Guard::Stale)
    ];
    let guards = prop::collection::vec((0..10_u8, guard), 0..3);
    let writes = prop::collection::btree_map(0..10_u8, prop::option::weighted(0.7, any::<u8>()), 0..4);
    let commit = (guards, writes)
        .prop_map(|(guards, writes)| Step::Commit { guards, writes: writes.into_iter().collect() });
    let step = prop_oneof![
        20 => commit, 1 => (0..20_u64).prop_map(|back| Step::Compact { back }), 1 => Just(Step::Reopen)
    ];
    prop::collection::vec(step, 1..60)
}

#[derive(Debug)]
struct Model {
    /// The state at every revision since the first.
    states: Vec<State>,
    floor: Revision,
}

impl Model {
    fn now(&self) -> (Revision, &State) {
        (Revision(self.states.len() as u64), self.states.last().unwrap())
    }

    fn at(&self, revision: Revision) -> &State {
        &self.states[usize::try_from(revision.0).unwrap() - 1]
    }

    fn commit(&mut self, txn: &Txn) -> Result<Revision, CommitError> {
        let (now, state) = self.now();
        for (key, expect) in &txn.guards {
            let current = state.get(key);
            let holds = match expect {
                Expect::Any => true,
                Expect::Absent => current.is_none(),
                Expect::At(revision) => current.is_some_and(|current| current.modified == *revision),
            };
            if !holds {
                return Err(CommitError::Conflict {
                    key: key.clone(),
                    current: current.cloned().map(Box::new),
                });
            }
        }
        let mut next = state.clone();
        let modified = now.next();
        for (key, value) in &txn.writes {
            let created = state.get(key).map_or(modified, |old| old.created);
            if let Some(value) = value.clone() {
                next.insert(key.clone(), Versioned { key: key.clone(), value, created, modified });
            } else {
                next.remove(key);
            }
        }
        if next == *state {
            return Ok(now);
        }
        self.states.push(next);
        Ok(modified)
    }

    fn txn(&self, guards: &[(u8, Guard)], writes: &[(u8, Option<u8>)]) -> Txn {
        let current = |n| self.now().1.get(&key(n)).map(|found| found.modified);
        let expect = |(n, guard): &(u8, Guard)| match guard {
            Guard::Any => Expect::Any,
            Guard::Absent => Expect::Absent,
            Guard::Current => current(*n).map_or(Expect::Absent, Expect::At),
            Guard::Stale => Expect::At(current(*n).map_or(Revision(1), |now| Revision(now.0 - 1))),
        };
        Txn {
            guards: guards.iter().map(|guard| (key(guard.0), expect(guard))).collect(),
            writes: writes
                .iter()
                .map(|(n, value)| (key(*n), value.map(|v| Bytes::from(vec![v; usize::from(v)]))))
                .collect(),
        }
    }
}

fn open(disk: &Faulty) -> Embedded {
    Embedded::with_backend(disk.clone(), Options { drive: Drive::Inline, ..Options::default() }).unwrap()
}

/// Closes the store, lets the power fail, and opens it again.
fn reopen(store: Embedded, disk: &mut Faulty) -> Embedded {
    drop(store);
    *disk = Faulty::from_image(1, disk.crash());
    open(disk)
}

async fn check(steps: Vec<Step>) {
    let mut disk = Faulty::new(0);
    let mut store = open(&disk);
    let mut model = Model { states: vec![State::new()], floor: Revision::FIRST };
    for step in steps {
        match step {
            Step::Commit { guards, writes } => {
                let txn = model.txn(&guards, &writes);
                assert_eq!(store.commit(txn.clone()).await, model.commit(&txn));
            }
            Step::Compact { back } => {
                let floor = Revision(model.now().0.0.saturating_sub(back).max(1));
                store.compact(floor).await.unwrap();
                model.floor = model.floor.max(floor);
            }
            Step::Reopen => {
                store = reopen(store, &mut disk);
            }
        }
    }
    check_ranges(&store, &model).await;
    check_watches(&store, &model).await;
    let store = reopen(store, &mut disk);
    check_ranges(&store, &model).await;
    check_watches(&store, &model).await;
}

async fn check_ranges(store: &Embedded, model: &Model) {
    let (now, state) = model.now();
    for prefix in ["/", "/g/r0/", "/g/r1/kk"] {
        let under = |state: &State| -> Vec<Versioned> {
            state.values().filter(|found| found.key.as_str().starts_with(prefix)).cloned().collect()
        };
        assert_eq!(collect(store, prefix, None, 0).await, Ok((now, under(state))));
        for revision in (1..=now.0).map(Revision) {
            let found = collect(store, prefix, Some(revision), 2).await;
            if revision < model.floor {
                assert_eq!(found, Err(ReadError::Compacted { oldest: model.floor }));
            } else {
                assert_eq!(found, Ok((revision, under(model.at(revision)))), "{prefix} at {revision}");
            }
        }
    }
}

/// A watch is the differences of the ranges.
async fn check_watches(store: &Embedded, model: &Model) {
    let (now, _) = model.now();
    for after in [model.floor, Revision(u64::midpoint(model.floor.0, now.0)), now] {
        let mut seen = changes(store, "/g/r0/", after, now).await.into_iter().peekable();
        for revision in (after.0 + 1..=now.0).map(Revision) {
            let (old, new) = (model.at(Revision(revision.0 - 1)), model.at(revision));
            let mut changed: BTreeMap<&Key, _> = BTreeMap::new();
            for key in old.keys().chain(new.keys()).filter(|key| key.resource() == "r0") {
                if old.get(key) != new.get(key) {
                    changed.insert(key, (old.get(key), new.get(key)));
                }
            }
            while let Some(change) = seen.next_if(|change| change.revision == revision) {
                let (old, new) = changed.remove(&change.key).expect("only what changed");
                assert_eq!(change.previous.as_ref(), old);
                assert_eq!(change.value, new.map(|new| new.value.clone()));
                assert_eq!(Some(change.created), new.or(old).map(|either| either.created));
            }
            assert!(changed.is_empty(), "{changed:?} at {revision} was not seen");
        }
        assert_eq!(seen.next(), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(7),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_history_is_the_models(steps in steps()) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(check(steps));
    }
}
