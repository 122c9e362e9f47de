//! Watches: cursors, not queues. A watch that keeps up reads the tail in memory, one that is behind reads the log in
//! steps, and one that is further behind than the log ends. None holds the engine open.

use std::sync::{Arc, Weak};

use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use super::Shared;
use super::feed::Published;
use crate::{Batch, ReadError, Revision, WatchStream};

/// See [`crate::Store::watch`].
pub(super) fn watch(shared: &Arc<Shared>, prefix: &str, after: Revision) -> WatchStream {
    let cursor = Cursor {
        shared: Arc::downgrade(shared),
        wake: shared.feed.subscribe(),
        prefix: prefix.to_owned(),
        after,
        started: false,
    };
    stream::unfold(Some(cursor), |cursor| async move {
        let mut cursor = cursor?;
        match cursor.next().await {
            Ok(batch) => Some((Ok(batch), Some(cursor))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

struct Cursor {
    shared: Weak<Shared>,
    wake: watch::Receiver<Published>,
    prefix: String,
    after: Revision,
    /// Whether the first batch, which may be empty, has been delivered.
    started: bool,
}

impl Cursor {
    async fn next(&mut self) -> Result<Batch, ReadError> {
        loop {
            let published = *self.wake.borrow_and_update();
            {
                let shared = self.shared.upgrade().ok_or_else(closed)?;
                shared.running()?;
                if !self.started {
                    published.reaches(self.after)?;
                }
                if !self.started || self.after < published.revision {
                    let batch = shared.changes_after(&self.prefix, self.after, published)?;
                    self.started = true;
                    self.after = batch.revision;
                    return Ok(batch);
                }
            }
            self.wake.changed().await.map_err(|_| closed())?;
        }
    }
}

fn closed() -> ReadError {
    ReadError::Unavailable("the store is closed".to_owned())
}
