//! The import controller: imports what a stream's spec names as soon as the spec says so.
//!
//! Many streams are at work at once, since most of them only wait for their turn at a registry; the engine's gates see
//! to it that a slow registry delays nobody but those who need it. A stream whose import could not be written (somebody
//! else was faster, mostly) comes back after a short pause, one whose images could not be had does not: that is told in
//! the stream.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

use super::limits::{IMPORT_TIME, STREAMS};
use super::{Change, Done, Queue, StreamKey, Streams, Why, decide};

/// Runs the controller until `stopping` completes.
pub async fn run(streams: Arc<dyn Streams>, stopping: impl Future<Output = ()>) {
    let queue = Queue::default();
    // Changes first, then the list, so that nothing falls in between.
    let mut changes = streams.changes();
    streams.all().into_iter().for_each(|key| queue.add(key));
    let mut at_work = FuturesUnordered::new();
    tokio::pin!(stopping);
    loop {
        // In a fixed order, so that a simulation can be repeated.
        tokio::select! {
            biased;
            () = &mut stopping => return,
            Some(change) = changes.next() => match change {
                Change::Stream(key) => queue.add(key),
                Change::Missed => streams.all().into_iter().for_each(|key| queue.add(key)),
            },
            Some((key, done)) = at_work.next() => queue.done(&key, done),
            key = queue.next(), if at_work.len() < STREAMS => {
                let streams = &*streams;
                at_work.push(async move {
                    let done = reconcile(streams, &key).await;
                    (key, done)
                });
            }
        }
    }
}

/// Imports what one stream needs.
async fn reconcile(streams: &dyn Streams, key: &StreamKey) -> Done {
    let stream = match streams.get(key) {
        Ok(Some(stream)) => stream,
        Ok(None) => return Done::Settled,
        Err(error) => {
            tracing::error!(stream = %key, %error, "a stream cannot be read");
            return Done::Settled;
        }
    };
    let Some(request) = decide::needed(&stream) else { return Done::Settled };
    match timeout(IMPORT_TIME, streams.import(key, request, Why::Spec)).await {
        Ok(Ok(_)) => Done::Settled,
        Ok(Err(error)) if error.is_conflict() => {
            tracing::debug!(stream = %key, %error, "a stream changed while it was imported into");
            Done::Failed
        }
        Ok(Err(error)) => {
            tracing::warn!(stream = %key, %error, "an import could not be stored");
            Done::Failed
        }
        Err(_) => {
            tracing::warn!(stream = %key, "an import took too long");
            Done::Failed
        }
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
pub(in crate::control) mod tests;
