//! Work that several requests want at the same time is done once.
//!
//! Whoever comes first starts it, all who come while it runs wait for the same result, and it goes on as long as one of
//! them still waits: nobody's hanging up disturbs the others. Nothing is kept once the result is there.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

/// How many entries there may be before those that everybody gave up are looked for.
const SWEEP: usize = 256;

/// Work under way, by key.
pub struct Flights<K, V: Clone> {
    under_way: Mutex<HashMap<K, WeakShared<BoxFuture<'static, V>>>>,
}

impl<K, V: Clone> Default for Flights<K, V> {
    fn default() -> Flights<K, V> {
        Flights { under_way: Mutex::default() }
    }
}

impl<K, V: Clone> std::fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Flights<K, V> {
    /// Joins the work on a key, or begins it.
    pub async fn join(&self, key: K, begin: impl FnOnce() -> BoxFuture<'static, V>) -> V {
        let work = self.find_or_begin(&key, begin);
        let value = work.await;
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.get(&key).is_some_and(|held| running(held).is_none()) {
            under_way.remove(&key);
        }
        value
    }

    fn find_or_begin(
        &self,
        key: &K,
        begin: impl FnOnce() -> BoxFuture<'static, V>,
    ) -> Shared<BoxFuture<'static, V>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(work) = under_way.get(key).and_then(running) {
            return work;
        }
        if under_way.len() >= SWEEP {
            under_way.retain(|_, held| running(held).is_some());
        }
        let work = begin().shared();
        if let Some(weak) = work.downgrade() {
            under_way.insert(key.clone(), weak);
        }
        work
    }
}

/// The work, if somebody still waits for it and it has no result yet.
fn running<V: Clone>(held: &WeakShared<BoxFuture<'static, V>>) -> Option<Shared<BoxFuture<'static, V>>> {
    held.upgrade().filter(|work| work.peek().is_none())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn those_who_come_together_share_and_those_who_come_later_do_not() {
        let flights = Flights::<u8, u32>::default();
        let (runs, go) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let work = || {
            let (runs, go) = (Arc::clone(&runs), Arc::clone(&go));
            async move {
                go.notified().await;
                runs.fetch_add(1, Ordering::Relaxed) + 1
            }
            .boxed()
        };
        let both = async { tokio::join!(flights.join(1, work), flights.join(1, work)) };
        let (both, ()) = tokio::join!(both, async { go.notify_one() });
        assert_eq!(both, (1, 1));
        go.notify_one();
        assert_eq!(flights.join(1, work).await, 2);
        assert!(flights.under_way.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_first_may_hang_up() {
        let flights = Arc::new(Flights::<u8, u32>::default());
        let go = Arc::new(Notify::new());
        let mut first = Box::pin(flights.join(1, || {
            let go = Arc::clone(&go);
            async move {
                go.notified().await;
                7
            }
            .boxed()
        }));
        assert!(futures_util::poll!(&mut first).is_pending());
        let mut second = Box::pin(flights.join(1, || async { 8 }.boxed()));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        go.notify_one();
        assert_eq!(second.await, 7);
    }
}
