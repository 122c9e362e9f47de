//! The cache: its events are the differences of its snapshots, and it goes on where it was.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use store::cache::{Cache, CacheLimits, Cursor, Event, EventKind, Lagged, Render, Snapshot};
use store::embedded::{Drive, Embedded, Options};
use store::{CommitError, Key, Page, Range, ReadError, Revision, Store, Txn, WatchStream};

const R0: &str = "/g/r0/";
const R1: &str = "/g/r1/";

/// Objects are text: value and revision. Keys of the group `hidden` are not cached.
struct Text;

impl Render for Text {
    type Object = String;

    fn render(&self, _: &Key, value: &Bytes, created: Revision, modified: Revision) -> String {
        format!("{}@{created}-{modified}", String::from_utf8_lossy(value))
    }

    fn weight(object: &String) -> usize {
        object.len()
    }

    fn includes(&self, key: &Key) -> bool {
        key.group() != "hidden"
    }
}

/// An engine that does not publish by itself, like one that is shared with other processes.
struct Remote(Embedded);

impl Store for Remote {
    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<Revision, CommitError>> {
        self.0.commit(txn)
    }

    fn range(&self, range: Range) -> BoxFuture<'_, Result<Page, ReadError>> {
        self.0.range(range)
    }

    fn watch(&self, prefix: &str, after: Revision) -> WatchStream {
        self.0.watch(prefix, after)
    }

    fn barrier(&self) -> BoxFuture<'_, Result<Revision, ReadError>> {
        self.0.barrier()
    }

    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), ReadError>> {
        self.0.compact(revision)
    }
}

fn memory() -> Embedded {
    Embedded::in_memory(Options { drive: Drive::Inline, ..Options::default() }).unwrap()
}

async fn start(store: &dyn Store) -> Arc<Cache<Text>> {
    Cache::start(store, Text, CacheLimits::default()).await.unwrap()
}

async fn start_with(store: &dyn Store, limits: CacheLimits) -> Arc<Cache<Text>> {
    Cache::start(store, Text, limits).await.unwrap()
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

async fn put(store: &impl Store, name: &str, value: &str) -> Revision {
    store.commit(Txn::new().put(key(name), Bytes::copy_from_slice(value.as_bytes()))).await.unwrap()
}

async fn delete(store: &impl Store, name: &str) -> Revision {
    store.commit(Txn::new().delete(key(name))).await.unwrap()
}

fn objects(snapshot: &Snapshot<String>, prefix: &str) -> Vec<(String, String)> {
    snapshot.range(prefix, None).map(|entry| (entry.key.to_string(), entry.object.clone())).collect()
}

fn drain(cursor: &mut Cursor<Text>) -> Vec<Arc<Event<String>>> {
    cursor.try_batch(usize::MAX).unwrap()
}

fn told(event: &Event<String>) -> (EventKind, &str, Option<&str>) {
    (event.kind, &event.entry.object, event.previous.as_ref().map(|previous| previous.object.as_str()))
}

#[tokio::test]
async fn a_writer_reads_what_it_wrote() {
    let store = Embedded::in_memory(Options::default()).unwrap();
    let cache = start(&store).await;
    for n in 0..50 {
        let revision = put(&store, "/g/r0/a", &n.to_string()).await;
        assert!(cache.revision() >= revision);
        assert_eq!(cache.snapshot().get("/g/r0/a").unwrap().object, format!("{n}@2-{revision}"));
    }
    cache.follow(&store).await.expect("nothing to follow");
}

#[tokio::test]
async fn events_say_what_happened_and_what_was_before() {
    let store = memory();
    let cache = start(&store).await;
    let mut cursor = cache.subscribe(R0, cache.revision()).unwrap();
    put(&store, "/g/r0/a", "x").await;
    put(&store, "/g/r0/a", "y").await;
    delete(&store, "/g/r0/a").await;
    let events = drain(&mut cursor);
    let told: Vec<_> = events.iter().map(|event| told(event)).collect();
    assert_eq!(
        told,
        [
            (EventKind::Put { created: true }, "x@2-2", None),
            (EventKind::Put { created: false }, "y@2-3", Some("x@2-2")),
            // The last state, as of the deletion.
            (EventKind::Delete, "y@2-4", Some("y@2-3")),
        ]
    );
}

#[tokio::test]
async fn a_snapshot_ranges_and_counts() {
    let store = memory();
    let cache = start(&store).await;
    for name in ["/g/r0/n/a", "/g/r0/n/b", "/g/r0/n2/a", "/g/r1/a", "/hidden/r/a"] {
        put(&store, name, "").await;
    }
    delete(&store, "/g/r0/n/b").await;
    let old = cache.snapshot();
    put(&store, "/g/r0/n/c", "").await;
    let names = |snapshot: &Snapshot<String>, prefix, after| -> Vec<String> {
        snapshot.range(prefix, after).map(|entry| entry.key.name().to_owned()).collect()
    };
    assert_eq!(names(&old, "/g/r0/n/", None), ["a"]);
    let now = cache.snapshot();
    assert_eq!(names(&now, "/g/r0/n/", None), ["a", "c"]);
    assert_eq!(names(&now, "/g/r0/n/", Some("/g/r0/n/a")), ["c"]);
    assert_eq!(names(&now, "/g/r0/n/", Some("/g/a")), ["a", "c"]);
    for (prefix, len) in [("/", 4), (R0, 3), ("/g/r0/n/", 2), (R1, 1), ("/g/r9/", 0), ("/hidden/r/", 0)] {
        assert_eq!(now.len_of(prefix), len, "{prefix}");
    }
    assert!(now.get("/hidden/r/a").is_none());
}

#[tokio::test]
async fn a_remote_store_is_followed() {
    let store = Remote(memory());
    put(&store, "/g/r0/a", "before").await;
    let cache = start(&store).await;
    assert_eq!(objects(&cache.snapshot(), "/").len(), 1);
    let work = async {
        let revision = put(&store, "/g/r0/b", "after").await;
        cache.wait_for(revision, Duration::from_secs(60)).await.unwrap();
        assert_eq!(objects(&cache.snapshot(), "/").len(), 2);
    };
    tokio::select! {
        ended = cache.follow(&store) => panic!("{ended:?}"),
        () = work => {}
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_revision_ends() {
    let store = memory();
    let cache = start(&store).await;
    let now = put(&store, "/g/r0/a", "").await;
    assert_eq!(cache.wait_for(now, Duration::ZERO).await, Ok(()));
    let future = cache.wait_for(now.next(), Duration::from_secs(3)).await;
    assert_eq!(future, Err(ReadError::Future { current: now }));
}

#[tokio::test]
async fn a_subscription_has_a_past_and_no_future() {
    let store = memory();
    for n in 0..5 {
        put(&store, "/g/r0/a", &n.to_string()).await;
    }
    store.compact(Revision(3)).await.unwrap();
    let cache = start(&store).await;
    let refused = cache.subscribe(R0, Revision(2)).unwrap_err();
    assert_eq!(refused, ReadError::Compacted { oldest: Revision(3) });
    assert_eq!(cache.subscribe(R0, Revision(7)).unwrap_err(), ReadError::Future { current: Revision(6) });
    assert_eq!(cache.subscribe("/g/none/", Revision(2)).unwrap_err(), refused);
    let mut cursor = cache.subscribe(R0, Revision(3)).unwrap();
    assert_eq!(drain(&mut cursor).iter().map(|event| event.revision.0).collect::<Vec<_>>(), [4, 5, 6]);
}

#[tokio::test]
async fn a_restart_resumes_watches() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Embedded::open(dir.path(), Options { drive: Drive::Inline, ..Options::default() }).unwrap();
    let store = open();
    let cache = start(&store).await;
    for n in 0..20 {
        put(&store, &format!("/g/r0/{}", n % 3), &n.to_string()).await;
        delete(&store, &format!("/g/r0/{}", n % 5)).await;
        put(&store, "/g/r1/a", &n.to_string()).await;
    }
    let history = |cache: &Arc<Cache<Text>>, after| {
        let events = drain(&mut cache.subscribe(R0, after).unwrap());
        events.iter().map(|event| format!("{} {:?}", event.revision, told(event))).collect::<Vec<_>>()
    };
    let afters = [1, 7, 20, cache.revision().0].map(Revision);
    let before = afters.map(|after| history(&cache, after));
    let state = objects(&cache.snapshot(), "/");
    drop((cache, store));
    let store = open();
    let cache = start(&store).await;
    assert_eq!(objects(&cache.snapshot(), "/"), state);
    assert_eq!(afters.map(|after| history(&cache, after)), before);
    assert!(before[0].len() > 20);
}

#[tokio::test]
async fn a_slow_cursor_lags_and_a_quick_one_does_not() {
    let store = memory();
    let cache = start_with(&store, CacheLimits { ring_events: 10, ..CacheLimits::default() }).await;
    let mut slow = cache.subscribe(R0, cache.revision()).unwrap();
    let mut quick = cache.subscribe(R0, cache.revision()).unwrap();
    let mut seen = 0;
    let mut last = Revision::ZERO;
    for n in 0..25 {
        last = put(&store, "/g/r0/a", &n.to_string()).await;
        seen += drain(&mut quick).len();
    }
    assert_eq!(seen, 25);
    assert_eq!(slow.next().await.unwrap_err(), Lagged { oldest: Revision(last.0 - 10) });
    let mut again = cache.subscribe(R0, Revision(last.0 - 10)).unwrap();
    assert_eq!(drain(&mut again).len(), 10);
}

#[tokio::test]
async fn a_ring_is_bounded_in_bytes_with_the_frames_made_from_it() {
    let store = memory();
    let limits = CacheLimits { ring_bytes: 20 * 1000, ..CacheLimits::default() };
    let cache = start_with(&store, limits).await;
    let base = cache.revision();
    for _ in 0..10 {
        put(&store, "/g/r0/a", &"x".repeat(1000)).await;
    }
    let mut cursor = cache.subscribe(R0, base).unwrap();
    for event in drain(&mut cursor) {
        let frame = event.frame(0, |_| Bytes::from(vec![0; 1000]));
        assert_eq!(frame.len(), 1000);
        assert_eq!(event.frame(0, |_| panic!("made once")), frame);
    }
    put(&store, "/g/r0/a", "").await;
    assert!(matches!(cache.subscribe(R0, base), Err(ReadError::Compacted { .. })));
}

#[tokio::test]
async fn a_cursor_is_woken_once_a_group_and_by_its_resource_alone() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let store = memory();
    let cache = start(&store).await;
    let mut cursor = cache.subscribe(R0, cache.revision()).unwrap();
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    let mut next = cursor.next_batch(1000).boxed();
    assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    for n in 0..10 {
        put(&store, &format!("/g/r1/{n}"), "").await;
    }
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
    let group: Vec<_> = (0..100).map(|n| format!("/g/r0/{n}")).collect();
    futures_util::future::join_all(group.iter().map(|name| put(&store, name, ""))).await;
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert_eq!(next.await.unwrap().len(), 100);
}

#[tokio::test]
async fn progress_follows_the_store_but_never_passes_an_event() {
    let store = memory();
    let cache = start(&store).await;
    let mut cursor = cache.subscribe(R0, cache.revision()).unwrap();
    let other = put(&store, "/g/r1/a", "").await;
    assert_eq!(cursor.progress(), Ok(other));
    let two = Txn::new().put(key("/g/r0/a"), Bytes::new()).put(key("/g/r0/b"), Bytes::new());
    let both = store.commit(two).await.unwrap();
    put(&store, "/g/r1/a", "").await;
    assert_eq!(cursor.progress(), Ok(other));
    cursor.next().await.unwrap();
    assert_eq!(cursor.progress(), Ok(other), "the other half of the transaction is still to come");
    assert_eq!(cursor.next().await.unwrap().revision, both);
    assert_eq!(cursor.progress(), Ok(both.next()));
}

#[tokio::test(start_paused = true)]
async fn a_list_in_pages_stays_at_its_revision() {
    let store = memory();
    let limits = CacheLimits { recent_snapshots: 4, pinned_snapshots: 2, ..CacheLimits::default() };
    let cache = start_with(&store, limits.clone()).await;
    let mut states = Vec::new();
    let mut change = async || {
        let revision = put(&store, "/g/r0/a", &states.len().to_string()).await;
        states.push((revision, objects(&cache.snapshot(), "/")));
        states.last().cloned().unwrap()
    };
    let (first, state) = change().await;
    cache.pin(first).unwrap();
    for _ in 0..10 {
        change().await;
    }
    // Pinned, and pinned again by the next page.
    assert_eq!(objects(&cache.snapshot_at(first).unwrap(), "/"), state);
    tokio::time::advance(limits.pin_age).await;
    assert_eq!(objects(&cache.pin(first).unwrap(), "/"), state);
    tokio::time::advance(limits.pin_age).await;
    change().await;
    assert_eq!(objects(&cache.snapshot_at(first).unwrap(), "/"), state);
    // Not pinned, and no longer recent.
    let (now, _) = change().await;
    let gone = Err(ReadError::Compacted { oldest: Revision(now.0 - 3) });
    assert_eq!(cache.snapshot_at(first.next()).map(|_| ()), gone);
    // Recent.
    for (revision, state) in &states[states.len() - 4..] {
        assert_eq!(objects(&cache.snapshot_at(*revision).unwrap(), "/"), *state);
    }
    // The least recently used of too many goes.
    cache.pin(Revision(now.0 - 2)).unwrap();
    cache.pin(Revision(now.0 - 1)).unwrap();
    assert_eq!(cache.snapshot_at(first).map(|_| ()), gone);
    assert_eq!(cache.snapshot_at(now.next()).map(|_| ()), Err(ReadError::Future { current: now }));
}

#[tokio::test(start_paused = true)]
async fn a_pin_ends_with_its_time() {
    let store = memory();
    let limits = CacheLimits { recent_snapshots: 1, ..CacheLimits::default() };
    let cache = start_with(&store, limits.clone()).await;
    let first = put(&store, "/g/r0/a", "").await;
    cache.pin(first).unwrap();
    put(&store, "/g/r0/a", "").await;
    assert!(cache.snapshot_at(first).is_ok());
    tokio::time::advance(limits.pin_age + Duration::from_secs(1)).await;
    assert!(matches!(cache.snapshot_at(first), Err(ReadError::Compacted { .. })));
}

/// Transactions over a few keys of two cached resources and one that is not cached.
fn groups() -> impl Strategy<Value = Vec<Vec<Txn>>> {
    let name = (0..3_u8, 0..5_u8).prop_map(|(resource, n)| match resource {
        2 => format!("/hidden/r/{n}"),
        _ => format!("/g/r{resource}/{n}"),
    });
    let writes = prop::collection::btree_map(name, prop::option::weighted(0.7, any::<u8>()), 1..4);
    let txn = writes.prop_map(|writes| Txn {
        guards: Vec::new(),
        writes: writes
            .into_iter()
            .map(|(name, value)| (key(&name), value.map(|v| Bytes::from(v.to_string()))))
            .collect(),
    });
    prop::collection::vec(prop::collection::vec(txn, 1..6), 1..15)
}

/// Commits groups, then compares the events of both resources with the differences of the snapshots, from the start
/// and from a cache that was filled afterwards.
async fn check(groups: Vec<Vec<Txn>>) {
    let store = memory();
    let cache = start(&store).await;
    for group in &groups {
        let commits = group.iter().map(|txn| store.commit(txn.clone()));
        for committed in futures_util::future::join_all(commits).await {
            committed.unwrap();
        }
    }
    for cache in [&cache, &start(&store).await] {
        for prefix in [R0, R1] {
            let mut events =
                drain(&mut cache.subscribe(prefix, Revision::FIRST).unwrap()).into_iter().peekable();
            for revision in 2..=cache.revision().0 {
                let old = cache.snapshot_at(Revision(revision - 1)).unwrap();
                let new = cache.snapshot_at(Revision(revision)).unwrap();
                let mut state: BTreeMap<_, _> = objects(&old, prefix).into_iter().collect();
                while let Some(event) = events.next_if(|event| event.revision.0 == revision) {
                    let key = event.entry.key.to_string();
                    let previous = state.remove(&key);
                    assert_eq!(previous.as_ref(), event.previous.as_ref().map(|previous| &previous.object));
                    match event.kind {
                        EventKind::Put { created } => {
                            assert_eq!(created, previous.is_none());
                            state.insert(key, event.entry.object.clone());
                        }
                        EventKind::Delete => assert_eq!(event.entry.modified.0, revision),
                    }
                }
                assert_eq!(state.into_iter().collect::<Vec<_>>(), objects(&new, prefix), "at {revision}");
                assert_eq!(new.len_of(prefix), objects(&new, prefix).len());
            }
            assert!(events.next().is_none());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(7),
        ..ProptestConfig::default()
    })]

    #[test]
    fn events_are_the_differences_of_snapshots(groups in groups()) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(check(groups));
    }
}
