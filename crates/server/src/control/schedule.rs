//! The scheduler: imports what is followed again and again.
//!
//! What is followed, when it is due and who may be asked is the [`Timetable`]'s; this module brings it the streams,
//! performs the imports it hands out, many at once, and tells it what became of each tag. A poll that finds nothing new
//! leaves no trace in the stream; one that fails leaves the last good image where it is.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use machinery::image::ImageStreamImport;
use machinery::status::ApiError;
use tokio::time::timeout;

use super::agenda::{Errand, Outcome};
use super::limits::{IMPORT_TIME, STREAMS};
use super::{Change, StreamKey, Streams, Timetable, Why, decide};

/// Runs the scheduler until `stopping` completes.
pub async fn run(streams: Arc<dyn Streams>, timetable: Arc<Timetable>, stopping: impl Future<Output = ()>) {
    let mut changes = streams.changes();
    for key in streams.all() {
        look(&*streams, &timetable, &key);
    }
    let mut at_work = FuturesUnordered::new();
    tokio::pin!(stopping);
    loop {
        // In a fixed order, so that a simulation can be repeated; whatever is ready is soon done.
        tokio::select! {
            biased;
            () = &mut stopping => return,
            Some(change) = changes.next() => match change {
                Change::Stream(key) => look(&*streams, &timetable, &key),
                Change::Missed => {
                    for key in streams.all() {
                        look(&*streams, &timetable, &key);
                    }
                }
            },
            Some(()) = at_work.next() => {}
            errand = timetable.next(&*streams), if at_work.len() < STREAMS => {
                let (streams, timetable) = (&*streams, &*timetable);
                at_work.push(async move { perform(streams, timetable, &errand).await });
            }
        }
    }
}

/// Takes in what a stream follows.
fn look(streams: &dyn Streams, timetable: &Timetable, key: &StreamKey) {
    let followed = match streams.get(key) {
        Ok(Some(stream)) => decide::followed(&stream, streams.period()),
        Ok(None) => Vec::new(),
        Err(error) => {
            tracing::error!(stream = %key, %error, "a stream cannot be read");
            Vec::new()
        }
    };
    timetable.set(key, followed);
}

/// Imports what is due of one stream.
async fn perform(streams: &dyn Streams, timetable: &Timetable, errand: &Errand) {
    let key = &errand.stream;
    let request = match streams.get(key) {
        Ok(stream) => stream.and_then(|stream| decide::due(&stream, &errand.tags)),
        Err(error) => {
            tracing::error!(stream = %key, %error, "a stream cannot be read");
            None
        }
    };
    let Some(request) = request else {
        // The stream has changed, of which the timetable hears as well.
        timetable.done(errand, |_| Outcome::Again, streams.budgets());
        return;
    };
    let why = if errand.told { Why::Told } else { Why::Schedule };
    let done = timeout(IMPORT_TIME, streams.import(key, request, why)).await;
    let budgets = streams.budgets();
    match done {
        Ok(Ok(answer)) => timetable.done(errand, |tag| outcome(&answer, tag), budgets),
        Ok(Err(error)) if error.is_conflict() => timetable.done(errand, |_| Outcome::Again, budgets),
        Ok(Err(error)) => {
            tracing::warn!(stream = %key, %error, "a scheduled import could not be stored");
            timetable.done(errand, |_| failed(&error), budgets);
        }
        Err(_) => {
            tracing::warn!(stream = %key, "a scheduled import took too long");
            timetable.done(errand, |_| Outcome::Failed("the import took too long".to_owned()), budgets);
        }
    }
}

fn failed(error: &ApiError) -> Outcome {
    Outcome::Failed(error.to_string())
}

/// What an import says of one tag; an empty one is the repository.
fn outcome(answer: &ImageStreamImport, tag: &str) -> Outcome {
    let status = if tag.is_empty() {
        answer.status.repository.as_ref().map(|repository| &repository.status)
    } else {
        let mut images = answer.spec.images.iter().zip(&answer.status.images);
        images
            .find(|(spec, _)| spec.to.as_ref().is_some_and(|to| to.name == tag))
            .map(|(_, image)| &image.status)
    };
    match status {
        Some(status) if status.status == "Failure" => Outcome::Failed(status.message.clone()),
        Some(_) => Outcome::Good,
        None => Outcome::Again,
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
