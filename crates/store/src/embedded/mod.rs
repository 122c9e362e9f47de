//! The embedded engine: one process, one file, one writer.
//!
//! Commits queue for the writer, which makes everything that has queued up durable with one commit of the database
//! (`writer`), tells the sinks and watches (`feed`), and only then acknowledges. Reads never wait for it: they are
//! short read transactions of their own (`read`), bounded by what has been published.
//!
//! The writer is a thread of its own, or, for simulations that must take the same steps every time, whichever task
//! commits ([`Drive::Inline`]).

mod apply;
mod directory;
mod failure;
mod feed;
mod read;
mod tables;
mod watch;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Builder, Database, ReadableDatabase, StorageBackend};
use tokio::sync::{mpsc, oneshot};

use self::apply::LogBounds;
use self::directory::Directory;
use self::failure::Failure;
pub use self::feed::OnFatal;
use self::feed::{Feed, Published, lock};
use self::read::Past;
use self::tables::{FORMAT, META, Meta};
use self::writer::{Proposal, Writer};
use crate::limits::{
    COMMIT_QUEUE, ENGINE_CACHE_BYTES, GROUP_TXNS, INLINE_RANGE_OBJECTS, LOG_BYTES, LOG_CHANGES,
    MAX_TXN_BYTES, MAX_TXN_KEYS,
};
use crate::{Batch, CommitError, Page, Range, ReadError, Revision, Sink, Store, Txn, WatchStream};

/// Who does the writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drive {
    /// A thread of its own.
    Thread,
    /// The tasks that commit: each queues its transaction, lets the others queue theirs, and then one writes them all.
    /// For simulations in one thread, which then take the same steps from the same seed.
    Inline,
}

/// How to open an engine.
pub struct Options {
    /// Changes kept for ranges and watches in the past.
    pub log_changes: u64,
    /// Bytes of values behind them.
    pub log_bytes: u64,
    /// Bytes of the database's page cache.
    pub cache_bytes: usize,
    /// Who does the writing.
    pub drive: Drive,
    /// Told the reason when the engine stops because of a failure (a failed fsync, a full disk). The process should
    /// end then: nothing can be committed or read any more, and only opening the store again shows what is on disk.
    pub on_fatal: Option<OnFatal>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            log_changes: LOG_CHANGES,
            log_bytes: LOG_BYTES,
            cache_bytes: ENGINE_CACHE_BYTES,
            drive: Drive::Thread,
            on_fatal: None,
        }
    }
}

/// Why an engine does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody has it open.
    #[error("data directory {} is in use by another weir process{owner}", path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// ` (pid N)`, or nothing when it is not known.
        owner: String,
    },
    /// The file was written by a newer program.
    #[error("the data is in format {found}, this program knows formats up to {supported}: use a newer weir")]
    TooNew {
        /// The file's format.
        found: u64,
        /// Ours.
        supported: u64,
    },
    /// A file or directory could not be opened or made.
    #[error("cannot open data directory {}: {error}", path.display())]
    Io {
        /// The data directory.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        error: std::io::Error,
    },
    /// The database cannot be opened, or holds something else.
    #[error("cannot open the database: {0}")]
    Database(String),
}

/// The embedded engine. Dropping it writes what is queued and closes the file; watches end then.
pub struct Embedded {
    shared: Arc<Shared>,
    queue: Queue,
}

/// What the writer, the readers and the watches have in common. Field order is drop order: the database closes before
/// the directory is given up.
struct Shared {
    db: Database,
    feed: Feed,
    _directory: Option<Directory>,
}

enum Queue {
    Thread { queue: Option<mpsc::Sender<Proposal>>, thread: Option<JoinHandle<()>> },
    Inline { queue: Mutex<Vec<Proposal>>, writer: Mutex<Writer> },
}

impl Embedded {
    /// Opens the store in a data directory, which is made if there is none.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Embedded, OpenError> {
        let directory = Directory::claim(dir.as_ref())?;
        let file = directory.database(|new| {
            let db = Builder::new().create_file(new).map_err(database)?;
            create(&db).map_err(database)
        })?;
        Embedded::start(FileBackend::new(file).map_err(database)?, Some(directory), options)
    }

    /// A store that is gone when it is dropped.
    pub fn in_memory(options: Options) -> Result<Embedded, OpenError> {
        Embedded::start(InMemoryBackend::new(), None, options)
    }

    /// Opens the store on any storage that the database can use; empty storage becomes an empty store. A power cut
    /// during that first time may leave storage that is neither, which [`Embedded::open`] takes care of and this cannot.
    pub fn with_backend(backend: impl StorageBackend, options: Options) -> Result<Embedded, OpenError> {
        Embedded::start(backend, None, options)
    }

    /// Why the engine has stopped, if it has. A stopped engine is not ready and never will be again.
    #[must_use]
    pub fn stopped(&self) -> Option<String> {
        self.shared.feed.stopped().map(str::to_owned)
    }

    fn start(
        backend: impl StorageBackend,
        directory: Option<Directory>,
        options: Options,
    ) -> Result<Embedded, OpenError> {
        let db = Builder::new()
            .set_cache_size(options.cache_bytes)
            .create_with_backend(backend)
            .map_err(database)?;
        let meta = load(&db)?;
        let feed = Feed::new(&meta, options.on_fatal);
        let shared = Arc::new(Shared { db, feed, _directory: directory });
        let bounds = LogBounds { changes: options.log_changes, bytes: options.log_bytes };
        let writer = Writer { shared: Arc::clone(&shared), bounds };
        let queue = match options.drive {
            Drive::Inline => Queue::Inline { queue: Mutex::default(), writer: Mutex::new(writer) },
            Drive::Thread => {
                let (queue, proposals) = mpsc::channel(COMMIT_QUEUE);
                let thread = std::thread::Builder::new().name("store-writer".to_owned());
                let thread = thread.spawn(move || writer.run(proposals)).map_err(database)?;
                Queue::Thread { queue: Some(queue), thread: Some(thread) }
            }
        };
        Ok(Embedded { shared, queue })
    }

    /// Queues a proposal and waits for its answer.
    async fn propose<T>(
        &self,
        proposal: Proposal,
        answer: oneshot::Receiver<Result<T, CommitError>>,
    ) -> Result<T, CommitError> {
        match &self.queue {
            Queue::Thread { queue, .. } => {
                let queue = queue.as_ref().expect("the queue is there until the engine is dropped");
                queue.send(proposal).await.map_err(|_| self.gone())?;
            }
            Queue::Inline { queue, writer } => {
                lock(queue).push(proposal);
                tokio::task::yield_now().await;
                let writer = lock(writer);
                loop {
                    let mut group: Vec<_> = {
                        let mut queue = lock(queue);
                        let size = queue.len().min(GROUP_TXNS);
                        queue.drain(..size).collect()
                    };
                    if group.is_empty() {
                        break;
                    }
                    writer.commit_group(&mut group);
                }
            }
        }
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }

    fn gone(&self) -> CommitError {
        CommitError::Unavailable(self.shared.feed.stopped().unwrap_or("the writer has ended").to_owned())
    }
}

impl Store for Embedded {
    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<Revision, CommitError>> {
        async move {
            check(&txn)?;
            let (reply, answer) = oneshot::channel();
            self.propose(Proposal::Commit(txn, reply), answer).await
        }
        .boxed()
    }

    fn range(&self, range: Range) -> BoxFuture<'_, Result<Page, ReadError>> {
        async move {
            let small = (1..=INLINE_RANGE_OBJECTS).contains(&range.limit);
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) if !small && matches!(self.queue, Queue::Thread { .. }) => {
                    let shared = Arc::clone(&self.shared);
                    let page = runtime.spawn_blocking(move || shared.range(&range)).await;
                    page.unwrap_or_else(|ended| Err(ReadError::Unavailable(ended.to_string())))
                }
                _ => self.shared.range(&range),
            }
        }
        .boxed()
    }

    fn watch(&self, prefix: &str, after: Revision) -> WatchStream {
        watch::watch(&self.shared, prefix, after)
    }

    fn barrier(&self) -> BoxFuture<'_, Result<Revision, ReadError>> {
        async move {
            self.shared.running()?;
            Ok(self.shared.feed.published().revision)
        }
        .boxed()
    }

    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), ReadError>> {
        async move {
            let current = self.shared.feed.published().revision;
            if revision > current {
                return Err(ReadError::Future { current });
            }
            let (reply, answer) = oneshot::channel();
            let compacted = self.propose(Proposal::Compact(revision, reply), answer).await;
            compacted.map_err(|error| ReadError::Unavailable(error.to_string()))
        }
        .boxed()
    }

    fn attach(&self, sink: Weak<dyn Sink>, after: Revision) -> Result<bool, ReadError> {
        let shared = &self.shared;
        shared.running()?;
        let target = sink.clone();
        shared.feed.attach(sink, |published| -> Result<(), ReadError> {
            published.reaches(after)?;
            let mut after = after;
            while let Some(target) = target.upgrade()
                && after < published.revision
            {
                let batch = shared.replay("/", after, published)?;
                target.publish(&batch);
                after = batch.revision;
            }
            Ok(())
        })?;
        Ok(true)
    }
}

impl Shared {
    fn running(&self) -> Result<(), ReadError> {
        self.feed.stopped().map_or(Ok(()), |reason| Err(ReadError::Unavailable(reason.to_owned())))
    }

    fn range(&self, range: &Range) -> Result<Page, ReadError> {
        loop {
            self.running()?;
            let published = self.feed.published();
            let at = range.at.unwrap_or(published.revision);
            published.reaches(at)?;
            match read::range(&self.db, range, at).map_err(unreadable)? {
                Past::Found(page) => return Ok(page),
                Past::Compacted(oldest) if range.at.is_some() => return Err(ReadError::Compacted { oldest }),
                // "Now" was compacted between looking up when that is and reading: it is later now.
                Past::Compacted(_) => std::thread::yield_now(),
            }
        }
    }

    /// One step of a watch that has seen everything up to `after`.
    fn changes_after(&self, prefix: &str, after: Revision, published: Published) -> Result<Batch, ReadError> {
        match self.feed.tail_after(prefix, after) {
            Some(batch) => Ok(batch),
            None => self.replay(prefix, after, published),
        }
    }

    fn replay(&self, prefix: &str, after: Revision, published: Published) -> Result<Batch, ReadError> {
        match read::replay(&self.db, prefix, after, published.revision).map_err(unreadable)? {
            Past::Found(batch) => Ok(batch),
            Past::Compacted(oldest) => Err(ReadError::Compacted { oldest }),
        }
    }
}

impl Published {
    /// Whether ranges at and watches after `revision` are possible.
    fn reaches(self, revision: Revision) -> Result<(), ReadError> {
        if revision > self.revision {
            return Err(ReadError::Future { current: self.revision });
        }
        if revision < self.floor {
            return Err(ReadError::Compacted { oldest: self.floor });
        }
        Ok(())
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        let Queue::Thread { queue, thread } = &mut self.queue else { return };
        // Without senders the writer finishes its queue and ends; waiting for it means that the file is closed, and
        // can be opened again, when the drop is done. That takes one commit at most.
        drop(queue.take());
        if let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer had panicked");
        }
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("published", &self.shared.feed.published()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("log_changes", &self.log_changes)
            .field("log_bytes", &self.log_bytes)
            .field("cache_bytes", &self.cache_bytes)
            .field("drive", &self.drive)
            .finish_non_exhaustive()
    }
}

/// Reads the counters, after making them in an empty file.
fn load(db: &Database) -> Result<Meta, OpenError> {
    let found = tables::format(&db.begin_read().map_err(database)?).map_err(database)?;
    match found {
        Some(FORMAT) => {}
        Some(found) if found > FORMAT => return Err(OpenError::TooNew { found, supported: FORMAT }),
        Some(found) => return Err(OpenError::Database(format!("format {found} is not known"))),
        None => create(db).map_err(database)?,
    }
    let read = || -> Result<Meta, Failure> { Meta::read(&db.begin_read()?.open_table(META)?) };
    read().map_err(database)
}

fn create(db: &Database) -> Result<(), Failure> {
    let mut txn = db.begin_write()?;
    txn.set_quick_repair(true);
    {
        txn.open_table(tables::OBJECTS)?;
        txn.open_table(tables::UNDO)?;
        txn.open_table(tables::LOG)?;
        Meta::EMPTY.write(&mut txn.open_table(META)?)?;
    }
    Ok(txn.commit()?)
}

/// The limits and rules that need no look at the data.
fn check(txn: &Txn) -> Result<(), CommitError> {
    let keys = txn.writes.len().max(txn.guards.len());
    if keys > MAX_TXN_KEYS {
        return Err(CommitError::TooLarge { size: keys, limit: MAX_TXN_KEYS, unit: "keys" });
    }
    let value = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
    let bytes = txn.writes.iter().map(|(key, new)| key.as_str().len() + value(new)).sum();
    if bytes > MAX_TXN_BYTES {
        return Err(CommitError::TooLarge { size: bytes, limit: MAX_TXN_BYTES, unit: "bytes" });
    }
    if txn.writes.len() > 1 {
        let mut keys: Vec<_> = txn.writes.iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(CommitError::Duplicate { key: twice[0].clone() });
        }
    }
    Ok(())
}

fn database(error: impl fmt::Display) -> OpenError {
    OpenError::Database(error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn unreadable(failure: Failure) -> ReadError {
    tracing::error!(%failure, "the store cannot be read");
    ReadError::Unavailable(failure.to_string())
}
