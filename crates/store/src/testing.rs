//! The conformance suite: what [`Store`] promises, as tests for any engine. Compiled with the feature `sim` only.
//!
//! `store_conformance!(name, expression)` makes a module of tests; the expression is evaluated for each and gives an
//! empty store, paired with whatever must live as long. The suite knows the trait and nothing else: it assumes no particular first revision, and no more
//! about batches than that they are in order.

use bytes::Bytes;
use futures_util::StreamExt;

use crate::{Batch, Change, CommitError, Expect, Key, Range, ReadError, Revision, Store, Txn, Versioned};

/// Stamps the suite on an engine.
#[macro_export]
macro_rules! store_conformance {
    ($name:ident, $open:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "the expression may need none of them")]
            use super::*;

            $crate::store_conformance!(@tests $open,
                a_commit_is_readable_and_takes_the_next_revision,
                guards_decide_for_the_whole_transaction,
                a_conflict_carries_what_is_there,
                one_transaction_has_one_revision,
                what_changes_nothing_takes_no_revision,
                a_deleted_key_starts_a_new_life,
                a_transaction_with_a_key_twice_or_too_much_is_refused,
                a_range_is_ordered_and_bounded_by_its_prefix,
                pages_stay_at_their_revision,
                a_range_in_the_past_is_what_was,
                a_range_in_the_future_is_refused,
                a_watch_sees_every_change_under_its_prefix,
                a_watch_resumes_where_it_was_told,
                a_watch_that_is_up_to_date_says_so,
                a_watch_wakes_for_what_comes,
                a_deletion_carries_what_was_deleted,
                compaction_ends_the_past,
                a_barrier_includes_what_was_acknowledged,
                of_many_who_create_a_key_one_wins,
                counters_under_contention_lose_nothing,
            );
        }
    };
    (@tests $open:expr, $($test:ident,)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let (store, _kept) = $open;
                $crate::testing::$test(&store).await;
            }
        )*
    };
}

fn key(name: &str) -> Key {
    Key::new(&format!("/g/r/{name}")).expect("names in tests make keys")
}

fn value(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn commit(store: &impl Store, txn: Txn) -> Revision {
    store.commit(txn).await.expect("commits")
}

async fn put(store: &impl Store, name: &str, text: &str) -> Revision {
    commit(store, Txn::new().put(key(name), value(text))).await
}

async fn delete(store: &impl Store, name: &str) -> Revision {
    commit(store, Txn::new().delete(key(name))).await
}

/// Every object under a prefix, over as many pages as it takes.
pub async fn collect(
    store: &impl Store,
    prefix: &str,
    at: Option<Revision>,
    limit: usize,
) -> Result<(Revision, Vec<Versioned>), ReadError> {
    let mut range = Range { at, limit, ..Range::of(prefix) };
    let mut items = Vec::new();
    loop {
        let mut page = store.range(range.clone()).await?;
        assert!(limit == 0 || page.items.len() <= limit);
        items.append(&mut page.items);
        match range.following(&page) {
            Some(following) => range = following,
            None => return Ok((page.revision, items)),
        }
    }
}

/// The changes of a watch, up to and including a revision that has been committed. Checks their order.
pub async fn changes(store: &impl Store, prefix: &str, after: Revision, upto: Revision) -> Vec<Change> {
    let mut watch = store.watch(prefix, after);
    let mut changes: Vec<Change> = Vec::new();
    let mut seen = after;
    while seen < upto {
        let batch = watch.next().await.expect("a watch goes on").expect("a watch works");
        check_order(&batch, seen);
        seen = batch.revision;
        changes.extend(batch.changes);
    }
    changes
}

fn check_order(batch: &Batch, seen: Revision) {
    assert!(batch.revision >= seen, "{} after {seen}", batch.revision);
    assert!(batch.changes.is_sorted_by_key(|change| change.revision));
    assert!(batch.changes.iter().all(|change| change.revision > seen && change.revision <= batch.revision));
}

async fn names(store: &impl Store, at: Option<Revision>) -> Vec<(String, String)> {
    let (_, items) = collect(store, "/g/r/", at, 0).await.expect("reads");
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    items.iter().map(|item| (item.key.name().to_owned(), text(&item.value))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

pub async fn a_commit_is_readable_and_takes_the_next_revision(store: &impl Store) {
    let first = put(store, "a", "1").await;
    let second = put(store, "a", "2").await;
    assert_eq!(second, first.next());
    let found = store.get(&key("a"), None).await.expect("reads").expect("is there");
    assert_eq!(found, Versioned { key: key("a"), value: value("2"), created: first, modified: second });
    // A longer key that starts with the same text is another key.
    put(store, "bb", "1").await;
    assert_eq!(store.get(&key("b"), None).await, Ok(None));
}

pub async fn guards_decide_for_the_whole_transaction(store: &impl Store) {
    let first = put(store, "a", "1").await;
    let stale = Txn::new().put(key("b"), value("1")).guard(key("a"), Expect::At(Revision(first.0 + 10)));
    assert!(matches!(store.commit(stale).await, Err(CommitError::Conflict { .. })));
    let absent = Txn::new().put(key("b"), value("1")).guard(key("a"), Expect::Absent);
    assert!(matches!(store.commit(absent).await, Err(CommitError::Conflict { .. })));
    let missing = Txn::new().put(key("a"), value("9")).guard(key("b"), Expect::At(first));
    assert!(matches!(store.commit(missing).await, Err(CommitError::Conflict { .. })));
    assert_eq!(names(store, None).await, pairs(&[("a", "1")]));
    let good =
        Txn::new().put(key("b"), value("1")).guard(key("a"), Expect::At(first)).guard(key("b"), Expect::Any);
    assert_eq!(commit(store, good).await, first.next());
}

pub async fn a_conflict_carries_what_is_there(store: &impl Store) {
    let first = put(store, "a", "1").await;
    let there = Versioned { key: key("a"), value: value("1"), created: first, modified: first };
    let create = Txn::new().guard(key("z"), Expect::Absent).create(key("a"), value("2"));
    let conflict = CommitError::Conflict { key: key("a"), current: Some(Box::new(there)) };
    assert_eq!(store.commit(create).await, Err(conflict));
    let update = Txn::new().update(key("b"), first, value("2"));
    assert_eq!(store.commit(update).await, Err(CommitError::Conflict { key: key("b"), current: None }));
}

pub async fn one_transaction_has_one_revision(store: &impl Store) {
    put(store, "b", "1").await;
    let txn = Txn::new().put(key("a"), value("1")).delete(key("b")).put(key("c"), value("1"));
    let revision = commit(store, txn).await;
    let (now, items) = collect(store, "/g/", None, 0).await.expect("reads");
    assert_eq!(now, revision);
    assert_eq!(items.iter().map(|item| item.modified).collect::<Vec<_>>(), [revision; 2]);
    let changed = changes(store, "/g/", Revision(revision.0 - 1), revision).await;
    assert_eq!(changed.iter().map(|change| change.revision).collect::<Vec<_>>(), [revision; 3]);
}

pub async fn what_changes_nothing_takes_no_revision(store: &impl Store) {
    let first = put(store, "a", "1").await;
    assert_eq!(delete(store, "b").await, first);
    assert_eq!(commit(store, Txn::new().guard(key("a"), Expect::At(first))).await, first);
    assert_eq!(put(store, "a", "1").await, first.next(), "the same value again is a change");
}

pub async fn a_deleted_key_starts_a_new_life(store: &impl Store) {
    let first = put(store, "a", "1").await;
    delete(store, "a").await;
    assert_eq!(store.get(&key("a"), None).await, Ok(None));
    let again = commit(store, Txn::new().create(key("a"), value("2"))).await;
    let found = store.get(&key("a"), None).await.expect("reads").expect("is there");
    assert_eq!((found.created, found.modified), (again, again));
    assert!(again > first);
}

pub async fn a_transaction_with_a_key_twice_or_too_much_is_refused(store: &impl Store) {
    let twice = Txn::new().put(key("a"), value("1")).put(key("b"), value("1")).delete(key("a"));
    assert_eq!(store.commit(twice).await, Err(CommitError::Duplicate { key: key("a") }));
    let huge = Bytes::from(vec![0; crate::limits::MAX_TXN_BYTES + 1]);
    let huge = Txn::new().put(key("b"), value("1")).put(key("a"), huge);
    assert!(matches!(store.commit(huge).await, Err(CommitError::TooLarge { unit: "bytes", .. })));
    let many = (0..=crate::limits::MAX_TXN_KEYS).fold(Txn::new(), |txn, n| txn.delete(key(&n.to_string())));
    assert!(matches!(store.commit(many).await, Err(CommitError::TooLarge { unit: "keys", .. })));
    assert_eq!(names(store, None).await, []);
}

pub async fn a_range_is_ordered_and_bounded_by_its_prefix(store: &impl Store) {
    for text in ["/g/r/ns/b", "/g/r/ns/a", "/g/r/ns-2/a", "/g/r2/ns/a", "/g/r/zz", "/h/r/a"] {
        commit(store, Txn::new().put(Key::new(text).expect("key"), value(text))).await;
    }
    let expected: [(&str, &[&str]); 5] = [
        ("/g/r/", &["/g/r/ns-2/a", "/g/r/ns/a", "/g/r/ns/b", "/g/r/zz"]),
        ("/g/r/ns/", &["/g/r/ns/a", "/g/r/ns/b"]),
        ("/g/", &["/g/r/ns-2/a", "/g/r/ns/a", "/g/r/ns/b", "/g/r/zz", "/g/r2/ns/a"]),
        ("/i/", &[]),
        ("/", &["/g/r/ns-2/a", "/g/r/ns/a", "/g/r/ns/b", "/g/r/zz", "/g/r2/ns/a", "/h/r/a"]),
    ];
    for (prefix, keys) in expected {
        for limit in [0, 1, 2, 100] {
            let (_, items) = collect(store, prefix, None, limit).await.expect("reads");
            let found: Vec<_> = items.iter().map(|item| item.key.as_str()).collect();
            assert_eq!(found, keys, "{prefix} by {limit}");
        }
    }
    let after = Range { after: Some(Key::new("/g/r/ns/aa").expect("key")), ..Range::of("/g/r/") };
    let page = store.range(after).await.expect("reads");
    assert_eq!(page.items.iter().map(|item| item.key.name()).collect::<Vec<_>>(), ["b", "zz"]);
}

pub async fn pages_stay_at_their_revision(store: &impl Store) {
    for name in ["a", "c", "e"] {
        put(store, name, "1").await;
    }
    let range = Range { limit: 1, ..Range::of("/g/r/") };
    let page = store.range(range.clone()).await.expect("reads");
    assert_eq!((page.items.len(), &page.next), (1, &Some(key("a"))));
    put(store, "b", "1").await;
    delete(store, "c").await;
    put(store, "e", "2").await;
    let rest = Range { limit: 0, ..range.following(&page).expect("there is more") };
    let rest = store.range(rest).await.expect("reads");
    assert_eq!((rest.revision, &rest.next), (page.revision, &None));
    let found: Vec<_> = rest.items.iter().map(|item| (item.key.clone(), item.value.clone())).collect();
    assert_eq!(found, [(key("c"), value("1")), (key("e"), value("1"))]);
}

pub async fn a_range_in_the_past_is_what_was(store: &impl Store) {
    let mut history = Vec::new();
    history.push((put(store, "a", "1").await, pairs(&[("a", "1")])));
    history.push((put(store, "b", "1").await, pairs(&[("a", "1"), ("b", "1")])));
    history.push((put(store, "a", "2").await, pairs(&[("a", "2"), ("b", "1")])));
    history.push((delete(store, "b").await, pairs(&[("a", "2")])));
    history.push((put(store, "b", "3").await, pairs(&[("a", "2"), ("b", "3")])));
    history.push((delete(store, "a").await, pairs(&[("b", "3")])));
    history.push((delete(store, "b").await, pairs(&[])));
    for (revision, state) in &history {
        assert_eq!(names(store, Some(*revision)).await, *state, "at {revision}");
    }
}

pub async fn a_range_in_the_future_is_refused(store: &impl Store) {
    let now = put(store, "a", "1").await;
    let range = Range { at: Some(now.next()), ..Range::of("/") };
    assert_eq!(store.range(range).await, Err(ReadError::Future { current: now }));
    let error = store.watch("/", now.next()).next().await.expect("answers");
    assert_eq!(error, Err(ReadError::Future { current: now }));
}

pub async fn a_watch_sees_every_change_under_its_prefix(store: &impl Store) {
    let start = put(store, "before", "0").await;
    let created = put(store, "a", "1").await;
    commit(store, Txn::new().put(Key::new("/other/r/a").expect("key"), value("1"))).await;
    let updated = put(store, "a", "2").await;
    let deleted = delete(store, "a").await;
    let old = |text, modified| Some(Versioned { key: key("a"), value: value(text), created, modified });
    let change = |text: Option<&str>, previous, revision| Change {
        key: key("a"),
        value: text.map(value),
        previous,
        created,
        revision,
    };
    let expected = [
        change(Some("1"), None, created),
        change(Some("2"), old("1", created), updated),
        change(None, old("2", updated), deleted),
    ];
    assert_eq!(changes(store, "/g/r/", start, deleted).await, expected);
    assert_eq!(changes(store, "/g/r/a", start, deleted).await, expected);
}

pub async fn a_watch_resumes_where_it_was_told(store: &impl Store) {
    let mut revisions = vec![put(store, "a", "0").await];
    for n in 1..20 {
        revisions.push(put(store, "a", &n.to_string()).await);
    }
    for (n, after) in revisions.iter().enumerate() {
        let seen = changes(store, "/", *after, revisions[19]).await;
        assert_eq!(seen.iter().map(|change| change.revision).collect::<Vec<_>>(), &revisions[n + 1..]);
    }
}

pub async fn a_watch_that_is_up_to_date_says_so(store: &impl Store) {
    let now = put(store, "a", "1").await;
    let batch = store.watch("/g/", now).next().await.expect("answers").expect("works");
    assert_eq!(batch, Batch { revision: now, changes: Vec::new() });
}

pub async fn a_watch_wakes_for_what_comes(store: &impl Store) {
    let now = put(store, "a", "1").await;
    let mut watch = store.watch("/g/", now);
    watch.next().await.expect("answers").expect("works");
    let waiting = async {
        loop {
            let batch = watch.next().await.expect("goes on").expect("works");
            if !batch.changes.is_empty() {
                return batch;
            }
        }
    };
    let (batch, revision) = tokio::join!(waiting, put(store, "b", "1"));
    assert_eq!(batch.changes.iter().map(|change| change.revision).collect::<Vec<_>>(), [revision]);
}

pub async fn a_deletion_carries_what_was_deleted(store: &impl Store) {
    let created = put(store, "a", "1").await;
    let deleted = delete(store, "a").await;
    let seen = changes(store, "/", created, deleted).await;
    let previous = Some(Versioned { key: key("a"), value: value("1"), created, modified: created });
    assert_eq!(seen, [Change { key: key("a"), value: None, previous, created, revision: deleted }]);
}

pub async fn compaction_ends_the_past(store: &impl Store) {
    let mut revisions = Vec::new();
    for n in 0..6 {
        revisions.push(put(store, "a", &n.to_string()).await);
    }
    let floor = revisions[3];
    store.compact(floor).await.expect("compacts");
    store.compact(revisions[1]).await.expect("a floor that is lower does nothing");
    let range = Range { at: Some(revisions[1]), ..Range::of("/") };
    assert_eq!(store.range(range).await, Err(ReadError::Compacted { oldest: floor }));
    let watch = store.watch("/", revisions[1]).next().await.expect("answers");
    assert_eq!(watch, Err(ReadError::Compacted { oldest: floor }));
    assert_eq!(names(store, Some(floor)).await, pairs(&[("a", "3")]));
    assert_eq!(names(store, None).await, pairs(&[("a", "5")]));
    assert_eq!(changes(store, "/", floor, revisions[5]).await.len(), 2);
    let future = Revision(revisions[5].0 + 10);
    assert_eq!(store.compact(future).await, Err(ReadError::Future { current: revisions[5] }));
}

pub async fn a_barrier_includes_what_was_acknowledged(store: &impl Store) {
    let first = put(store, "a", "1").await;
    assert_eq!(store.barrier().await, Ok(first));
    let second = put(store, "a", "2").await;
    assert_eq!(store.barrier().await, Ok(second));
}

pub async fn of_many_who_create_a_key_one_wins(store: &impl Store) {
    let attempts = (0..32).map(|n| store.commit(Txn::new().create(key("a"), value(&n.to_string()))));
    let results = futures_util::future::join_all(attempts).await;
    let winners: Vec<_> =
        results.iter().enumerate().filter_map(|(n, result)| Some((n, result.clone().ok()?))).collect();
    let [(winner, revision)] = winners[..] else { panic!("{winners:?} won") };
    let there =
        Versioned { key: key("a"), value: value(&winner.to_string()), created: revision, modified: revision };
    for (n, result) in results.into_iter().enumerate().filter(|(n, _)| *n != winner) {
        let conflict = CommitError::Conflict { key: key("a"), current: Some(Box::new(there.clone())) };
        assert_eq!(result, Err(conflict), "{n}");
    }
}

pub async fn counters_under_contention_lose_nothing(store: &impl Store) {
    put(store, "n", "0").await;
    let client = || async {
        for _ in 0..10 {
            loop {
                let found = store.get(&key("n"), None).await.expect("reads").expect("is there");
                let count: u64 = String::from_utf8_lossy(&found.value).parse().expect("a number");
                let next = Txn::new().update(key("n"), found.modified, value(&(count + 1).to_string()));
                match store.commit(next).await {
                    Ok(_) => break,
                    Err(CommitError::Conflict { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    futures_util::future::join_all((0..8).map(|_| client())).await;
    assert_eq!(names(store, None).await, pairs(&[("n", "80")]));
}
