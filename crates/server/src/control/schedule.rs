//! The scheduler: looks at followed tags again and again, whether they moved or not, and at once where a hook tells of one.
//!
//! What is due when is kept in the timetable and not in the stream, so a poll that finds nothing new writes nothing. A poll
//! that fails leaves the last good image where it is and comes back sooner than its period at first, unlike an import
//! that somebody asked for and that only he asks for again. Tags that follow the same image are due together and share
//! one question.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use machinery::image::{ImageStream, ImageStreamImport};
use tokio::time::timeout;

use super::limits::{IMPORT_TIME, REPOSITORY_ROUNDS, STREAMS};
use super::timetable::{Polled, Turn};
use super::{Change, StreamKey, Streams, Timetable, Why, decide};
use crate::import::{apply, failure};

/// Runs the scheduler until `stopping` completes.
pub async fn run(streams: Arc<dyn Streams>, timetable: Arc<Timetable>, stopping: impl Future<Output = ()>) {
    let mut changes = streams.changes();
    for key in streams.all() {
        timetable.set(&key, wishes(&*streams, &key));
    }
    let mut at_work = FuturesUnordered::new();
    tokio::pin!(stopping);
    loop {
        // In a fixed order, so that a simulation can be repeated.
        tokio::select! {
            biased;
            () = &mut stopping => return,
            Some(change) = changes.next() => match change {
                Change::Stream(key) => timetable.set(&key, wishes(&*streams, &key)),
                Change::Missed => {
                    for key in streams.all() {
                        timetable.set(&key, wishes(&*streams, &key));
                    }
                }
            },
            Some((follow, polled)) = at_work.next() => drop(timetable.done(&follow, polled)),
            turn = timetable.next(), if at_work.len() < STREAMS => {
                let streams = &*streams;
                at_work.push(async move {
                    let polled = poll(streams, &turn).await;
                    (turn.follow, polled)
                });
            }
        }
    }
}

fn wishes(streams: &dyn Streams, key: &StreamKey) -> Vec<super::timetable::Wish> {
    match streams.get(key) {
        Ok(stream) => stream.map(|stream| decide::wishes(&stream)).unwrap_or_default(),
        Err(error) => {
            tracing::error!(stream = %key, %error, "a stream cannot be read");
            Vec::new()
        }
    }
}

/// Imports one tag, or a repository in as many rounds as it takes.
async fn poll(streams: &dyn Streams, turn: &Turn) -> Polled {
    let follow = &turn.follow;
    let (why, wanted) = match &turn.hook {
        None => (Why::Schedule { due: turn.due }, decide::due as fn(&ImageStream, &str) -> _),
        Some(hook) => (Why::Hook { name: Arc::clone(hook), at: turn.due }, decide::told as _),
    };
    let mut left = usize::MAX;
    for _ in 0..REPOSITORY_ROUNDS {
        let request = match streams.get(&follow.stream) {
            Ok(stream) => stream.and_then(|stream| wanted(&stream, &follow.tag)),
            Err(error) => {
                tracing::error!(%follow, %error, "a stream cannot be read");
                None
            }
        };
        // Whoever changed the stream told the timetable, too.
        let Some(request) = request else { return Polled::Told };
        let imported = timeout(IMPORT_TIME, streams.import(&follow.stream, request, why.clone())).await;
        let imported = match imported {
            Ok(Ok(imported)) => imported,
            Ok(Err(error)) if error.is_conflict() => return Polled::Overtaken,
            Ok(Err(error)) => {
                tracing::warn!(%follow, %error, "what a followed tag is now could not be stored");
                return Polled::Failed;
            }
            Err(_) => {
                tracing::warn!(%follow, "looking at a followed tag took too long");
                return Polled::Failed;
            }
        };
        if !is_success(&imported) {
            return if is_put_off(&imported) { Polled::PutOff } else { Polled::Failed };
        }
        let rest = imported.status.repository.map_or(0, |repository| repository.additional_tags.len());
        if rest == 0 || rest >= left {
            return Polled::Told;
        }
        left = rest;
    }
    Polled::Told
}

/// Whether everything that was asked for came.
fn is_success(imported: &ImageStreamImport) -> bool {
    let status = &imported.status;
    let listed = status.repository.as_ref().is_none_or(|repository| repository.status.status != "Failure");
    listed && status.images.iter().all(apply::is_success)
}

/// Whether all that went wrong is that the registry was not asked.
fn is_put_off(imported: &ImageStreamImport) -> bool {
    let status = &imported.status;
    let listed = status.repository.iter().map(|repository| &repository.status);
    let mut all = status.images.iter().map(|image| &image.status).chain(listed);
    all.all(|status| status.status != "Failure" || failure::is_put_off(status))
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
