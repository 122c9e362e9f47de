//! What only the embedded engine promises: restarts, the lock, the format, and how it stops.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use redb::{Database, TableDefinition};
use store::embedded::{Drive, Embedded, OpenError, Options};
use store::sim::Faulty;
use store::testing::{changes, collect};
use store::{CommitError, Key, Range, ReadError, Revision, Store, Txn};

fn key(name: &str) -> Key {
    Key::new(&format!("/g/r/{name}")).unwrap()
}

fn put(name: &str, value: &str) -> Txn {
    Txn::new().put(key(name), Bytes::copy_from_slice(value.as_bytes()))
}

fn inline() -> Options {
    Options { drive: Drive::Inline, ..Options::default() }
}

#[tokio::test]
async fn a_restart_keeps_objects_revisions_and_the_past() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), Options::default()).unwrap();
    let first = store.commit(put("a", "1")).await.unwrap();
    let last = store.commit(put("a", "2")).await.unwrap();
    let before = (collect(&store, "/", Some(first), 0).await, collect(&store, "/", None, 0).await);
    let history = changes(&store, "/", Revision::FIRST, last).await;
    drop(store);

    let store = Embedded::open(dir.path(), Options::default()).unwrap();
    let after = (collect(&store, "/", Some(first), 0).await, collect(&store, "/", None, 0).await);
    assert_eq!(after, before);
    assert_eq!(changes(&store, "/", Revision::FIRST, last).await, history);
    assert_eq!(store.commit(put("b", "1")).await, Ok(last.next()));
}

#[tokio::test]
async fn a_directory_belongs_to_one_engine() {
    let dir = tempfile::tempdir().unwrap();
    let first = Embedded::open(dir.path(), Options::default()).unwrap();
    let error = Embedded::open(dir.path(), Options::default()).unwrap_err();
    let expected = format!(
        "data directory {} is in use by another weir process (pid {})",
        dir.path().display(),
        std::process::id()
    );
    assert_eq!(error.to_string(), expected);
    drop(first);
    Embedded::open(dir.path(), Options::default()).unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let _store = Embedded::open(&dir, Options::default()).unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for file in dir.read_dir().unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[test]
fn a_creation_that_was_cut_short_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("store.redb.new"), [7; 5000]).unwrap();
    drop(Embedded::open(dir.path(), Options::default()).unwrap());
    assert!(!dir.path().join("store.redb.new").exists());
    drop(Embedded::open(dir.path(), Options::default()).unwrap());
}

#[test]
fn a_newer_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(Embedded::open(dir.path(), Options::default()).unwrap());
    let db = Database::open(dir.path().join("store.redb")).unwrap();
    let txn = db.begin_write().unwrap();
    txn.open_table(TableDefinition::<&str, u64>::new("meta")).unwrap().insert("format", 99).unwrap();
    txn.commit().unwrap();
    drop(db);
    let error = Embedded::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(error, OpenError::TooNew { found: 99, supported: 1 }), "{error}");
}

#[tokio::test]
async fn what_is_queued_when_the_engine_is_dropped_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), Options::default()).unwrap();
    let mut queued: Vec<_> = (0..50).map(|n| store.commit(put(&n.to_string(), "1"))).collect();
    for commit in &mut queued {
        assert!(futures_util::FutureExt::now_or_never(commit).is_none());
    }
    drop(queued);
    drop(store);
    let store = Embedded::open(dir.path(), Options::default()).unwrap();
    assert_eq!(collect(&store, "/", None, 0).await.unwrap().1.len(), 50);
}

#[tokio::test]
async fn commits_that_wait_together_share_a_sync() {
    let disk = Faulty::new(1);
    let store = Embedded::with_backend(disk.clone(), inline()).unwrap();
    let before = disk.syncs();
    store.commit(put("a", "1")).await.unwrap();
    let alone = disk.syncs() - before;
    let together: Vec<_> = (0..100).map(|n| store.commit(put(&n.to_string(), "1"))).collect();
    let before = disk.syncs();
    for committed in futures_util::future::join_all(together).await {
        committed.unwrap();
    }
    // The file may have to grow on the way, which is a sync too.
    assert!(disk.syncs() - before <= 3 * alone, "{} syncs", disk.syncs() - before);
}

async fn check_stops(disk: Faulty, break_disk: impl FnOnce(&Faulty)) {
    let told = Arc::new(Mutex::new(None));
    let tell = Arc::clone(&told);
    let on_fatal = Box::new(move |reason: &str| *tell.lock().unwrap() = Some(reason.to_owned()));
    let options = Options { on_fatal: Some(on_fatal), ..inline() };
    let store = Embedded::with_backend(disk.clone(), options).unwrap();
    let now = store.commit(put("a", "1")).await.unwrap();
    assert_eq!(store.stopped(), None);
    let mut watch = store.watch("/", now);
    futures_util::StreamExt::next(&mut watch).await.unwrap().unwrap();

    break_disk(&disk);
    let big = "x".repeat(1 << 20);
    let failed =
        futures_util::future::join_all((0..3).map(|n| store.commit(put(&n.to_string(), &big)))).await;
    for result in failed {
        assert!(matches!(result, Err(CommitError::Unavailable(_))), "{result:?}");
    }
    assert!(told.lock().unwrap().is_some());
    assert_eq!(store.stopped(), *told.lock().unwrap());
    // The disk works again; the engine must not.
    disk.set_capacity(u64::MAX);
    assert!(matches!(store.commit(put("b", "1")).await, Err(CommitError::Unavailable(_))));
    assert!(matches!(store.barrier().await, Err(ReadError::Unavailable(_))));
    assert!(matches!(store.range(Range::of("/")).await, Err(ReadError::Unavailable(_))));
    let ended = futures_util::StreamExt::next(&mut watch).await.unwrap();
    assert!(matches!(ended, Err(ReadError::Unavailable(_))), "{ended:?}");
}

#[tokio::test]
async fn a_failed_sync_stops_the_engine_for_good() {
    for seed in 0..20 {
        check_stops(Faulty::new(seed), |disk| disk.fail_sync_after(seed % 2)).await;
    }
}

#[tokio::test]
async fn a_full_disk_stops_the_engine_for_good() {
    check_stops(Faulty::new(1), |disk| disk.set_capacity(2 << 20)).await;
}

#[tokio::test]
async fn the_log_is_bounded_in_changes_and_bytes() {
    for (log_changes, log_bytes) in [(10, u64::MAX), (u64::MAX, 10 * 200)] {
        let options = Options { log_changes, log_bytes, ..inline() };
        let store = Embedded::in_memory(options).unwrap();
        let mut last = Revision::FIRST;
        for n in 0..100 {
            // An update counts its old value and its new one.
            last = store.commit(put("a", &format!("{n:0100}"))).await.unwrap();
        }
        let floor = Revision(last.0 - 10);
        assert_eq!(changes(&store, "/", floor, last).await.len(), 10);
        let older = Range { at: Some(Revision(floor.0 - 1)), ..Range::of("/") };
        assert_eq!(store.range(older).await, Err(ReadError::Compacted { oldest: floor }));
        assert_eq!(collect(&store, "/", Some(floor), 0).await.unwrap().1.len(), 1);
    }
}

#[tokio::test]
async fn what_the_log_forgets_is_gone_from_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), Options { log_changes: 10, ..inline() }).unwrap();
    for n in 0..100 {
        store.commit(put(&(n % 7).to_string(), "1")).await.unwrap();
    }
    drop(store);
    let db = Database::open(dir.path().join("store.redb")).unwrap();
    let txn = redb::ReadableDatabase::begin_read(&db).unwrap();
    let undo = txn.open_table(TableDefinition::<(&str, u64), &[u8]>::new("undo")).unwrap();
    let log = txn.open_table(TableDefinition::<u64, &[u8]>::new("log")).unwrap();
    let lens =
        (redb::ReadableTableMetadata::len(&undo).unwrap(), redb::ReadableTableMetadata::len(&log).unwrap());
    assert_eq!(lens, (10, 10));
}

#[tokio::test]
async fn a_watch_that_starts_far_behind_catches_up_in_steps() {
    let store = Embedded::in_memory(inline()).unwrap();
    let mut last = Revision::FIRST;
    for round in 0..12 {
        let txn = (0..500).fold(Txn::new(), |txn, n| {
            let value = Bytes::from(format!("{round}/{n}"));
            txn.put(key(&n.to_string()), value)
        });
        last = store.commit(txn).await.unwrap();
    }
    let seen = changes(&store, "/", Revision::FIRST, last).await;
    assert_eq!(seen.len(), 12 * 500);
    for (at, change) in seen.iter().enumerate() {
        let (round, n) = (at / 500, at % 500);
        assert_eq!(change.key, key(&n.to_string()));
        assert_eq!(change.value.as_deref(), Some(format!("{round}/{n}").as_bytes()));
        assert_eq!(change.previous.is_some(), round > 0);
    }
}
