//! Taking a body in: what arrives while one batch is being written and hashed becomes the next one.
//!
//! There is never more than one batch in memory beside the one that is being written. Each costs hops between threads, so
//! they are as large as the memory that all bodies share allows, unless somebody reads what arrives.

use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;

use crate::blobs::{Io, Upload};
use crate::body::RequestBody;
use crate::limits;

/// Why a body was not taken in to its end. What came before is in the upload, unless the storage broke.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The sender stopped or broke off.
    Lost(String),
    /// More came than was announced.
    TooMuch,
    /// The upload could not be written to.
    Storage(std::io::Error),
}

/// What a body may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Bytes at the most.
    pub(crate) limit: Option<u64>,
    /// How long it may stay silent.
    pub(crate) silence: Duration,
    /// Whether others wait for each byte: then what there is is written at once, not in batches.
    pub(crate) eager: bool,
}

/// Takes bodies in, many at once.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    under_way: AtomicUsize,
}

impl Intake {
    /// Writes a body into an upload. `written` hears how far the upload is each time that more can be read from it, and
    /// what came with that.
    pub(crate) async fn take_in(
        &self,
        upload: &dyn Upload,
        mut body: RequestBody,
        terms: Terms,
        written: &(dyn Fn(u64, Vec<Bytes>) + Sync),
    ) -> Result<(), Broken> {
        let place = Place::of(self);
        let mut left = terms.limit.unwrap_or(u64::MAX);
        let (mut batch, mut size) = (Vec::new(), 0);
        let mut writing: Option<Io<'_, ()>> = None;
        let mut under_way = Vec::new();
        let mut ended: Option<Result<(), Broken>> = None;
        // As large as it was when it began: were it smaller all at once, a full batch would be nobody's.
        let mut most = place.batch(terms);
        loop {
            tokio::select! {
                biased;
                done = finished(&mut writing), if writing.is_some() => {
                    done.map_err(Broken::Storage)?;
                    writing = None;
                    written(upload.progress().offset, std::mem::take(&mut under_way));
                }
                next = next(&mut body, terms.silence), if ended.is_none() && size < most => match next {
                    Ok(Some(chunk)) if chunk.len() as u64 > left => ended = Some(Err(Broken::TooMuch)),
                    Ok(Some(chunk)) => {
                        left -= chunk.len() as u64;
                        size += chunk.len();
                        batch.push(chunk);
                    }
                    Ok(None) => ended = Some(Ok(())),
                    Err(broken) => ended = Some(Err(broken)),
                },
            }
            let is_due = terms.eager || ended.is_some() || size >= most;
            if writing.is_none() && !batch.is_empty() && is_due {
                under_way.clone_from(&batch);
                writing = Some(upload.write(std::mem::take(&mut batch)));
                (size, most) = (0, place.batch(terms));
            }
            if writing.is_none()
                && let Some(ended) = ended.take()
            {
                return ended;
            }
        }
    }
}

/// One body among those that are under way.
struct Place<'i>(&'i Intake);

impl<'i> Place<'i> {
    fn of(intake: &'i Intake) -> Place<'i> {
        intake.under_way.fetch_add(1, Ordering::Relaxed);
        Place(intake)
    }

    /// How large a batch that begins now may be. Each body has two.
    fn batch(&self, terms: Terms) -> usize {
        let share = limits::INTAKE_BYTES / (2 * self.0.under_way.load(Ordering::Relaxed).max(1));
        let most = if terms.eager { limits::RECENT_BYTES / 2 } else { limits::WRITE_BYTES };
        share.clamp(limits::WRITE_BYTES_LEAST, most)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn finished(writing: &mut Option<Io<'_, ()>>) -> std::io::Result<()> {
    match writing {
        Some(writing) => writing.await,
        None => Ok(()),
    }
}

/// The next bytes of a body.
async fn next(body: &mut RequestBody, silence: Duration) -> Result<Option<Bytes>, Broken> {
    loop {
        let frame = match tokio::time::timeout(silence, body.frame()).await {
            Err(_) => return Err(lost(&"nothing arrived for too long")),
            Ok(None) => return Ok(None),
            Ok(Some(frame)) => frame.map_err(|error| lost(&error))?,
        };
        if let Ok(chunk) = frame.into_data() {
            return Ok(Some(chunk));
        }
    }
}

fn lost(why: &dyn Display) -> Broken {
    Broken::Lost(why.to_string())
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use http_body::Frame;
    use http_body_util::StreamBody;
    use oci::digest::Algorithm;

    use super::*;
    use crate::blobs::{Blobs, FileBlobs, Resume};
    use crate::body::BoxError;

    #[tokio::test]
    async fn a_batch_keeps_its_size_when_others_come_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = FileBlobs::open(dir.path()).unwrap();
        let upload = blobs.open("one", Resume::New(Algorithm::Sha256)).await.unwrap();
        let intake: &'static Intake = Box::leak(Box::default());
        let mut others: Vec<Place<'static>> = Vec::new();
        // Chunks of a third of the largest batch; behind each, many others begin or all of them end.
        let frames = stream::iter(0..30).map(move |number| {
            match number % 2 {
                0 => others.extend((0..100).map(|_| Place::of(intake))),
                _ => others.clear(),
            }
            Ok::<_, BoxError>(Frame::data(Bytes::from(vec![number; limits::WRITE_BYTES / 3])))
        });
        let body = RequestBody::new(StreamBody::new(frames));
        let terms = Terms { limit: None, silence: Duration::from_secs(60), eager: false };
        intake.take_in(&*upload, body, terms, &|_, _| {}).await.unwrap();
        assert_eq!(upload.progress().offset, 30 * (limits::WRITE_BYTES / 3) as u64);
    }
}
