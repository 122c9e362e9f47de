//! The watch cache: what get, list and watch are served from.
//!
//! Every change is rendered once, when it happens; readers share the result. There is one map over all keys, so that
//! a snapshot is a consistent view over all resources, and one ring of events for each resource (the first two
//! segments of a key), so that nobody is woken by other resources.
//!
//! A publication appends to the rings, then swaps the snapshot, then wakes, once for all its changes. Readers of a
//! ring stop at the revision of the snapshot, so nobody sees an event before a list shows it. An engine that writes
//! for itself publishes before it acknowledges: writers then read what they wrote. Otherwise [`Cache::follow`] must
//! run, and a writer waits with [`Cache::wait_for`].
//!
//! The cache starts at the oldest state that the store still has and takes in the history since then, so that the
//! watches of before a restart go on.

mod cursor;
mod entry;
mod past;
mod ring;
mod snapshot;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::time::Instant;

pub use self::cursor::{Cursor, Lagged};
pub use self::entry::{Entry, Event, EventKind};
use self::past::Past;
use self::ring::Ring;
pub use self::snapshot::Snapshot;
use crate::limits::{
    FILL_ATTEMPTS, FILL_PAGE_OBJECTS, PIN_AGE, PINNED_SNAPSHOTS, RECENT_SNAPSHOTS, RING_BYTES, RING_EVENTS,
};
use crate::{Batch, Change, Key, Page, Range, ReadError, Revision, Sink, Store, Versioned};

/// Turns stored bytes into what is served. Runs where changes are published, so it should be quick, and must not
/// panic: what a broken value becomes is the renderer's decision.
pub trait Render: Send + Sync + 'static {
    /// What is served.
    type Object: Send + Sync + 'static;

    /// Renders one state of one object. Called once a change, and for a deletion with the last value and the revision
    /// of the deletion.
    fn render(&self, key: &Key, value: &Bytes, created: Revision, modified: Revision) -> Self::Object;

    /// How many bytes of memory an object takes, roughly.
    fn weight(object: &Self::Object) -> usize;

    /// Whether the cache holds this key. Must always give the same answer for a key.
    fn includes(&self, key: &Key) -> bool {
        let _ = key;
        true
    }
}

/// The cache's bounds; the defaults are those of [`crate::limits`].
#[derive(Clone, Debug)]
pub struct CacheLimits {
    /// Events for each resource.
    pub ring_events: usize,
    /// Bytes for each resource, beyond what the current snapshot holds.
    pub ring_bytes: usize,
    /// Snapshots of recent revisions.
    pub recent_snapshots: usize,
    /// Snapshots kept for lists in pages.
    pub pinned_snapshots: usize,
    /// How long after their last use.
    pub pin_age: Duration,
}

impl Default for CacheLimits {
    fn default() -> CacheLimits {
        CacheLimits {
            ring_events: RING_EVENTS,
            ring_bytes: RING_BYTES,
            recent_snapshots: RECENT_SNAPSHOTS,
            pinned_snapshots: PINNED_SNAPSHOTS,
            pin_age: PIN_AGE,
        }
    }
}

/// Rings by the prefix of their resource.
type Rings<T> = HashMap<Arc<str>, Arc<Ring<T>>>;

/// What a publication has for one resource.
struct News<'a, T> {
    resource_prefix: &'a str,
    ring: Arc<Ring<T>>,
    events: Vec<Arc<Event<T>>>,
}

/// The cache over a store.
pub struct Cache<R: Render> {
    render: Arc<R>,
    limits: CacheLimits,
    current: ArcSwap<Snapshot<R::Object>>,
    past: Mutex<Past<R::Object>>,
    rings: RwLock<Rings<R::Object>>,
    /// Where the history in the rings begins.
    base: Revision,
    published: watch::Sender<Revision>,
    /// Held while a batch is applied.
    applying: Mutex<()>,
    /// Whether the store publishes here by itself.
    attached: AtomicBool,
}

impl<R: Render> Cache<R> {
    /// Fills a cache from a store and brings it up to date. Unless the store publishes by itself
    /// ([`Store::attach`]), [`Cache::follow`] must run from then on.
    pub async fn start(
        store: &dyn Store,
        render: R,
        limits: CacheLimits,
    ) -> Result<Arc<Cache<R>>, ReadError> {
        let render = Arc::new(render);
        let mut at = Some(Revision::FIRST);
        let mut attempt = 1;
        loop {
            match Cache::attempt(store, Arc::clone(&render), &limits, at).await {
                Err(ReadError::Compacted { oldest }) if attempt < FILL_ATTEMPTS => {
                    // The first answer says where the past begins. If that moves on faster than the cache fills,
                    // there is more time with no past at all.
                    at = (attempt == 1).then_some(oldest);
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// The current state. Never waits.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot<R::Object>> {
        self.current.load_full()
    }

    /// The revision of the current state.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.current.load().revision
    }

    /// The state at a revision: a recent one, or a pinned one. The snapshot says an earlier revision if nothing in the
    /// cache changed in between.
    pub fn snapshot_at(&self, revision: Revision) -> Result<Arc<Snapshot<R::Object>>, ReadError> {
        self.find(revision, &lock(&self.past))
    }

    /// The state at a revision, which is kept for a while for whoever comes back with a `continue` token. Call it for
    /// every page: it renews the time.
    pub fn pin(&self, revision: Revision) -> Result<Arc<Snapshot<R::Object>>, ReadError> {
        let mut past = lock(&self.past);
        let snapshot = self.find(revision, &past)?;
        past.pin(revision, &snapshot, Instant::now(), &self.limits);
        Ok(snapshot)
    }

    /// Waits until the cache has reached a revision. [`ReadError::Future`] when that takes longer than `timeout`.
    pub async fn wait_for(&self, revision: Revision, timeout: Duration) -> Result<(), ReadError> {
        let mut published = self.published.subscribe();
        let reached =
            tokio::time::timeout(timeout, published.wait_for(|published| *published >= revision)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            _ => Err(ReadError::Future { current: self.revision() }),
        }
    }

    /// A cursor over the events of one resource after a revision. `resource_prefix` is `/<group>/<resource>/` of a
    /// resource that the caller knows to exist: each gets a ring for good.
    pub fn subscribe(
        self: &Arc<Self>,
        resource_prefix: &str,
        after: Revision,
    ) -> Result<Cursor<R>, ReadError> {
        let current = self.revision();
        if after > current {
            return Err(ReadError::Future { current });
        }
        let ring = self.ring(resource_prefix);
        let next = ring.seek(after)?;
        Ok(Cursor::new(Arc::clone(self), ring, next, after))
    }

    /// Whether the engine publishes here before it acknowledges, so that writers read what they wrote at once.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.attached.load(Ordering::Acquire)
    }

    /// Takes in what others write to the store, until that fails; then the caller waits a little and calls again. After
    /// [`ReadError::Compacted`] that is of no use, the cache has missed something and must be started anew. Returns at
    /// once for a store that publishes by itself.
    pub async fn follow(&self, store: &dyn Store) -> Result<(), ReadError> {
        if self.attached.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut watch = store.watch("/", self.revision());
        while let Some(batch) = watch.next().await {
            self.publish(&batch?);
        }
        Err(ReadError::Unavailable("the watch has ended".to_owned()))
    }

    /// Fills a cache with the state at `at` (now, for `None`) and with what happened since.
    async fn attempt(
        store: &dyn Store,
        render: Arc<R>,
        limits: &CacheLimits,
        at: Option<Revision>,
    ) -> Result<Arc<Cache<R>>, ReadError> {
        let first = Arc::new(fill(store, &*render, at).await?);
        let base = first.revision;
        let cache = Arc::new(Cache {
            render,
            limits: limits.clone(),
            current: ArcSwap::new(Arc::clone(&first)),
            past: Mutex::new(Past::new(first)),
            rings: RwLock::default(),
            base,
            published: watch::Sender::new(base),
            applying: Mutex::default(),
            attached: AtomicBool::new(false),
        });
        let sink: Weak<Cache<R>> = Arc::downgrade(&cache);
        if store.attach(sink, base)? {
            cache.attached.store(true, Ordering::Release);
            return Ok(cache);
        }
        let target = store.barrier().await?;
        let mut watch = store.watch("/", base);
        while cache.revision() < target {
            let batch = watch.next().await;
            let batch = batch.ok_or_else(|| ReadError::Unavailable("the watch has ended".to_owned()))?;
            cache.publish(&batch?);
        }
        Ok(cache)
    }

    fn find(
        &self,
        revision: Revision,
        past: &Past<R::Object>,
    ) -> Result<Arc<Snapshot<R::Object>>, ReadError> {
        let current = self.revision();
        if revision > current {
            return Err(ReadError::Future { current });
        }
        let found = past.at(revision, Instant::now(), &self.limits);
        found.ok_or_else(|| ReadError::Compacted { oldest: past.oldest() })
    }

    fn ring(&self, resource_prefix: &str) -> Arc<Ring<R::Object>> {
        if let Some(ring) = self.rings.read().unwrap_or_else(PoisonError::into_inner).get(resource_prefix) {
            return Arc::clone(ring);
        }
        let mut rings = self.rings.write().unwrap_or_else(PoisonError::into_inner);
        // Nothing has happened to this resource since the base: an event would have made the ring.
        let ring = rings.entry(Arc::from(resource_prefix)).or_insert_with(|| Arc::new(Ring::new(self.base)));
        Arc::clone(ring)
    }

    /// Applies one change to `next`; the event says what it was.
    fn apply(
        &self,
        next: &mut Snapshot<R::Object>,
        change: &Change,
        meter: &Arc<AtomicUsize>,
    ) -> Option<Event<R::Object>> {
        let Change { key, created, revision, .. } = change;
        let (created, modified) = (*created, *revision);
        let deleted = change.previous.as_ref().map(|previous| &previous.value);
        let object = self.render.render(key, change.value.as_ref().or(deleted)?, created, modified);
        let entry = Arc::new(Entry { key: key.clone(), created, modified, object });
        let (kind, previous) = if change.value.is_some() {
            let previous = next.insert(&entry);
            (EventKind::Put { created: previous.is_none() }, previous)
        } else {
            (EventKind::Delete, next.remove(key))
        };
        Some(Event::new(modified, kind, entry, previous, Arc::clone(meter)))
    }
}

impl<R: Render> Sink for Cache<R> {
    fn publish(&self, batch: &Batch) {
        let _applying = lock(&self.applying);
        let before = self.snapshot();
        if batch.revision <= before.revision {
            return;
        }
        let mut next = before.at(before.revision);
        let mut snapshots = Vec::new();
        let mut news: Vec<News<'_, R::Object>> = Vec::new();
        for change in &batch.changes {
            if change.revision <= before.revision || !self.render.includes(&change.key) {
                continue;
            }
            advance(&mut next, change.revision, before.revision, &mut snapshots);
            let resource_prefix = change.key.resource_prefix();
            // A handful of resources: looking through them is quicker than hashing.
            let at =
                news.iter().position(|news| news.resource_prefix == resource_prefix).unwrap_or_else(|| {
                    news.push(News { resource_prefix, ring: self.ring(resource_prefix), events: Vec::new() });
                    news.len() - 1
                });
            let news = &mut news[at];
            news.events.extend(self.apply(&mut next, change, &news.ring.meter).map(Arc::new));
        }
        advance(&mut next, batch.revision, before.revision, &mut snapshots);
        let next = Arc::new(next);
        snapshots.push(Arc::clone(&next));

        for news in &mut news {
            news.ring.append(std::mem::take(&mut news.events), R::weight, &self.limits);
        }
        let dropped = lock(&self.past).append(snapshots, Instant::now(), &self.limits);
        self.current.store(next);
        for news in &news {
            news.ring.wake(batch.revision);
        }
        self.published.send_replace(batch.revision);
        drop(dropped);
    }
}

/// Moves `next` to `revision`. If it holds changes that are new since `before`, a snapshot of them is kept.
fn advance<T>(
    next: &mut Snapshot<T>,
    revision: Revision,
    before: Revision,
    kept: &mut Vec<Arc<Snapshot<T>>>,
) {
    if revision > next.revision {
        if next.revision > before {
            kept.push(Arc::new(next.at(next.revision)));
        }
        next.revision = revision;
    }
}

/// All included objects at `at`.
async fn fill<R: Render>(
    store: &dyn Store,
    render: &R,
    at: Option<Revision>,
) -> Result<Snapshot<R::Object>, ReadError> {
    let range = Range { at, limit: FILL_PAGE_OBJECTS, ..Range::of("/") };
    let mut page = store.range(range.clone()).await?;
    let mut snapshot = Snapshot::empty(page.revision);
    loop {
        // The store reads the next page while this one is rendered.
        let fetch = async {
            match range.following(&page) {
                Some(following) => store.range(following).await.map(Some),
                None => Ok(None),
            }
        };
        let (next, ()) = tokio::join!(fetch, async { take_page(&mut snapshot, render, &page) });
        match next? {
            Some(next) => page = next,
            None => return Ok(snapshot),
        }
    }
}

fn take_page<R: Render>(snapshot: &mut Snapshot<R::Object>, render: &R, page: &Page) {
    for Versioned { key, value, created, modified } in &page.items {
        if render.includes(key) {
            let (created, modified) = (*created, *modified);
            let object = render.render(key, value, created, modified);
            snapshot.insert(&Arc::new(Entry { key: key.clone(), created, modified, object }));
        }
    }
}

impl<R: Render> fmt::Debug for Cache<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("current", &self.snapshot()).finish_non_exhaustive()
    }
}

/// A lock whose holder panicked is taken over: each guards data that is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
