//! The import controller: imports what a stream's spec names as soon as the spec says so.
//!
//! Many streams are at work at once, since most of them only wait for their turn at a registry; the engine's gates see
//! to it that a slow registry delays nobody but those who need it. An import holds all that it will say about a stream, so
//! only a few at each registry have begun; the others wait with nothing but their name. A stream whose import could not be written (somebody
//! else was faster, mostly) comes back after a short pause, one whose images could not be had does not: that is told in
//! the stream.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use machinery::image::ImageStreamImport;
use oci::Named;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::limits::{HOST_IMPORTS, IMPORT_TIME, STREAMS};
use super::{Change, Done, Queue, StreamKey, Streams, Why, decide};

/// Runs the controller until `stopping` completes.
pub async fn run(streams: Arc<dyn Streams>, stopping: impl Future<Output = ()>) {
    let (queue, turns) = (Queue::default(), Turns::default());
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
                let (streams, turns) = (&*streams, &turns);
                at_work.push(async move {
                    let done = match needed(streams, &key).map(|(_, host)| host) {
                        None => Done::Settled,
                        Some(host) => {
                            let _turn = turns.at(host).await;
                            reconcile(streams, &key).await
                        }
                    };
                    (key, done)
                });
            }
        }
    }
}

/// Turns at registries.
#[derive(Default)]
struct Turns(Mutex<HashMap<String, Arc<Semaphore>>>);

impl Turns {
    /// Waits for a turn at a host; it ends with what comes back.
    async fn at(&self, host: String) -> Option<OwnedSemaphorePermit> {
        let turns = {
            let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            hosts.retain(|_, turns| Arc::strong_count(turns) > 1);
            Arc::clone(hosts.entry(host).or_insert_with(|| Arc::new(Semaphore::new(HOST_IMPORTS))))
        };
        // Nobody closes it.
        turns.acquire_owned().await.ok()
    }
}

/// The import that a stream needs, if any, and the host that it asks first.
fn needed(streams: &dyn Streams, key: &StreamKey) -> Option<(ImageStreamImport, String)> {
    let stream = match streams.get(key) {
        Ok(stream) => stream?,
        Err(error) => {
            tracing::error!(stream = %key, %error, "a stream cannot be read");
            return None;
        }
    };
    let request = decide::needed(&stream)?;
    let image = request.spec.images.first().map(|image| &image.from);
    let from = image.or(request.spec.repository.as_ref().map(|repository| &repository.from));
    let host = from.and_then(|from| Named::parse(&from.name).ok()).map(|named| named.host().to_owned());
    Some((request, host.unwrap_or_default()))
}

/// Imports what one stream needs by now.
async fn reconcile(streams: &dyn Streams, key: &StreamKey) -> Done {
    let Some((request, _)) = needed(streams, key) else { return Done::Settled };
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
