//! The scheduler: imports scheduled tags again and again, whether they moved or not.
//!
//! When a stream is due is kept here and not in the stream, so a poll that finds nothing new writes nothing. Streams
//! are due one period after their last import, a little earlier or later at random; those that are found at start are
//! spread over a whole period. Starts are paced, and who has to wait for the pace waits in line. A poll that fails
//! leaves the last good image where it is, and the next one is due as if it had not failed.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

use super::limits::{IMPORT_TIME, STREAMS};
use super::{Change, StreamKey, Streams, Timetable, Why, decide};

/// Runs the scheduler until `stopping` completes.
pub async fn run(streams: Arc<dyn Streams>, timetable: Arc<Timetable>, stopping: impl Future<Output = ()>) {
    let mut changes = streams.changes();
    for key in streams.all() {
        timetable.found(&key, is_scheduled(&*streams, &key));
    }
    let mut at_work = FuturesUnordered::new();
    tokio::pin!(stopping);
    loop {
        tokio::select! {
            () = &mut stopping => return,
            Some(change) = changes.next() => match change {
                Change::Stream(key) => timetable.changed(&key, is_scheduled(&*streams, &key)),
                Change::Missed => {
                    for key in streams.all() {
                        timetable.changed(&key, is_scheduled(&*streams, &key));
                    }
                }
            },
            Some(()) = at_work.next() => {}
            key = timetable.next(), if at_work.len() < STREAMS => {
                let (streams, timetable) = (&*streams, &*timetable);
                at_work.push(async move { poll(streams, timetable, &key).await });
            }
        }
    }
}

fn is_scheduled(streams: &dyn Streams, key: &StreamKey) -> bool {
    match streams.get(key) {
        Ok(stream) => stream.is_some_and(|stream| decide::is_scheduled(&stream)),
        Err(error) => {
            tracing::error!(stream = %key, %error, "a stream cannot be read");
            false
        }
    }
}

/// Imports the scheduled tags of one stream.
async fn poll(streams: &dyn Streams, timetable: &Timetable, key: &StreamKey) {
    let request = match streams.get(key) {
        Ok(stream) => stream.and_then(|stream| decide::scheduled(&stream)),
        Err(error) => {
            tracing::error!(stream = %key, %error, "a stream cannot be read");
            None
        }
    };
    let Some(request) = request else {
        timetable.changed(key, false);
        return;
    };
    match timeout(IMPORT_TIME, streams.import(key, request, Why::Schedule)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) if error.is_conflict() => timetable.retry(key),
        Ok(Err(error)) => tracing::warn!(stream = %key, %error, "a scheduled import could not be stored"),
        Err(_) => tracing::warn!(stream = %key, "a scheduled import took too long"),
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
