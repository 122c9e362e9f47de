//! A revisioned key-value store and the watch cache that serves from it.
//!
//! The semantics are etcd's, so that every engine is honest: one revision counter for the whole store, transactions
//! that compare and write several keys at once, ranges at a revision, watches from a revision, and compaction that
//! says how far back either may reach. This crate knows keys and bytes; what the bytes mean is its users' business.
//!
//! - [`Store`]: the contract, kept by every engine and checked by one conformance suite (`store_conformance!`).
//! - [`embedded`]: the engine for one process, over redb, with group commit.
//! - [`cache`]: immutable snapshots and event history, rendered once per change, for get, list and watch.
//! - `sim` (feature of that name): a disk that loses, tears and reorders what was not synced, for crash tests.
//! - [`limits`]: every bound, by name.

pub mod cache;
pub mod embedded;
mod error;
mod key;
pub mod limits;
mod revision;
#[cfg(feature = "sim")]
pub mod sim;
#[cfg(feature = "sim")]
pub mod testing;
mod txn;

use std::sync::Weak;

pub use error::{CommitError, ReadError};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
pub use key::{Key, KeyError, resource_prefix};
pub use revision::{ParseRevisionError, Revision};
pub use txn::{Batch, Change, Expect, Page, Range, Txn, Versioned};

/// What [`Store::watch`] returns: batches in revision order. After an error the stream ends.
pub type WatchStream = BoxStream<'static, Result<Batch, ReadError>>;

/// A revisioned key-value store.
///
/// Every method may be called from any task or thread. Futures may be dropped at any time; a commit whose future was
/// dropped may or may not happen.
pub trait Store: Send + Sync + 'static {
    /// Checks every guard, then applies every write, or does nothing at all.
    ///
    /// Each transaction that changes something takes a revision of its own, which all its keys share; one that
    /// changes nothing (no writes, or only deletions of absent keys) takes none and returns the current revision.
    /// When this returns, the writes survive a power cut. [`CommitError::Unavailable`] leaves the outcome open.
    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<Revision, CommitError>>;

    /// Objects in key order, at the current revision or an older one. A page is bounded; see [`Page::next`].
    fn range(&self, range: Range) -> BoxFuture<'_, Result<Page, ReadError>>;

    /// Every change after revision `after` to a key that starts with `prefix`, in revision order.
    ///
    /// All changes of one revision are in one batch. A batch's revision says that everything up to it was delivered;
    /// a batch without changes is a progress mark, and one follows the last of the changes that were there already
    /// when the watch began. [`ReadError::Compacted`] when `after` is below the compaction floor, also later, when a
    /// slow reader falls behind it; [`ReadError::Future`] when `after` has not happened.
    fn watch(&self, prefix: &str, after: Revision) -> WatchStream;

    /// A revision that includes every commit acknowledged before this call, by whichever process.
    fn barrier(&self) -> BoxFuture<'_, Result<Revision, ReadError>>;

    /// Forgets what is needed only for ranges and watches before `revision`: from then on ranges work at `revision`
    /// and later, watches after `revision` and later. Compacting below the floor does nothing.
    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), ReadError>>;

    /// Asks the engine to hand every batch after revision `after` to `sink` *before* it acknowledges the commits in
    /// it, starting with those that have happened. `Ok(false)` when the engine cannot (others write to it as well):
    /// then follow [`Store::watch`], and let a writer wait until its revision has arrived.
    fn attach(&self, sink: Weak<dyn Sink>, after: Revision) -> Result<bool, ReadError> {
        let _ = (sink, after);
        Ok(false)
    }

    /// The object at `key` now, or at an older revision.
    fn get(&self, key: &Key, at: Option<Revision>) -> BoxFuture<'_, Result<Option<Versioned>, ReadError>> {
        // The key itself sorts before every longer key that starts with it.
        let key = key.clone();
        let range = Range { limit: 1, at, ..Range::of(key.as_str()) };
        let page = self.range(range);
        Box::pin(async move { Ok(page.await?.items.into_iter().find(|found| found.key == key)) })
    }
}

/// Something that must know of a commit before the one who committed does, see [`Store::attach`].
pub trait Sink: Send + Sync + 'static {
    /// Called on the engine's writer, in revision order, never concurrently. Must not block and must not call the
    /// store.
    fn publish(&self, batch: &Batch);
}
