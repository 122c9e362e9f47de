//! The registry's storage as the server runs it: measured, and watched. While it is not there the server is not ready and
//! the registry answers 503, so that clients go elsewhere or try again.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::registry::{Blobs, FileBlobs, Io, Linked, ObjectBlobs, ObjectSettings, Pieces, Resume, Upload};
use futures_util::FutureExt;
use oci::Digest;
use tokio::time::Instant;
use tracing::{error, info};

use super::measures::{Operation, StorageError};
use crate::context::Ctx;

/// How often the storage is looked at, and how often it must fail in a row to count as gone.
const PERIOD: Duration = Duration::from_secs(10);
const THRESHOLD: usize = 3;

/// How long a request to an object store is tried again while it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens the storage that the settings name.
///
/// # Errors
/// When its directories cannot be used, or the settings do not fit together.
pub(super) fn open(ctx: &Ctx, root: &Path) -> io::Result<Arc<dyn Blobs>> {
    let Some(s3) = &ctx.settings.registry.s3 else { return Ok(Arc::new(FileBlobs::open(root)?)) };
    let secret = match &s3.secret_access_key_file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?,
        None => String::new(),
    };
    let keys = match (&s3.access_key_id, secret.trim()) {
        (Some(id), secret) if !secret.is_empty() => Some((id.clone(), secret.to_owned())),
        (None, "") => None,
        _ => {
            let why = "registry.s3 needs both accessKeyId and secretAccessKeyFile, or neither";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
    };
    let settings = ObjectSettings {
        bucket: s3.bucket.clone(),
        region: s3.region.clone(),
        endpoint: s3.endpoint.clone(),
        keys,
        allow_http: s3.allow_http,
        redirect: s3.redirect,
        spool: root.join("spool"),
        patience: PATIENCE,
    };
    Ok(Arc::new(ObjectBlobs::open(&settings, Arc::clone(&ctx.store))?))
}

/// Storage whose work is counted.
pub(super) struct Measured {
    pub(super) ctx: Ctx,
    pub(super) inner: Arc<dyn Blobs>,
}

impl Measured {
    fn timed<'a, T: Send + 'a>(&'a self, operation: &'static str, work: Io<'a, T>) -> Io<'a, T> {
        async move {
            let start = Instant::now();
            let done = work.await;
            let measures = &self.ctx.metrics.images;
            measures.storage.get_or_create(&Operation { operation }).observe(start.elapsed().as_secs_f64());
            if let Err(error) = &done {
                self.failed(operation, code(error));
            }
            done
        }
        .boxed()
    }

    fn failed(&self, operation: &'static str, code: &'static str) {
        self.ctx.metrics.images.storage_errors.get_or_create(&StorageError { operation, code }).inc();
    }
}

fn code(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "PATH_NOT_FOUND",
        io::ErrorKind::ReadOnlyFilesystem => "READ_ONLY_FILESYSTEM",
        io::ErrorKind::FileTooLarge => "FILE_TOO_LARGE",
        io::ErrorKind::StorageFull => "DEVICE_OUT_OF_SPACE",
        _ => "UNKNOWN",
    }
}

impl Blobs for Measured {
    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    fn open<'a>(&'a self, id: &'a str, resume: Resume) -> Io<'a, Arc<dyn Upload>> {
        self.timed("StorageDriver.Writer", self.inner.open(id, resume))
    }

    fn abort<'a>(&'a self, id: &'a str) -> Io<'a, ()> {
        self.inner.abort(id)
    }

    fn abort_others<'a>(&'a self, known: &'a (dyn Fn(&str) -> bool + Send + Sync)) -> Io<'a, usize> {
        self.inner.abort_others(known)
    }

    fn link<'a>(&'a self, digest: &'a Digest, file: &'a Path) -> Io<'a, Linked> {
        self.timed("StorageDriver.Move", self.inner.link(digest, file))
    }

    fn size<'a>(&'a self, digest: &'a Digest) -> Io<'a, Option<u64>> {
        let operation = "StorageDriver.Stat";
        async move {
            let found = self.timed(operation, self.inner.size(digest)).await;
            if matches!(found, Ok(None)) {
                self.failed(operation, "PATH_NOT_FOUND");
            }
            found
        }
        .boxed()
    }

    fn read<'a>(&'a self, digest: &'a Digest, range: Range<u64>) -> Io<'a, Pieces> {
        self.timed("StorageDriver.Reader", self.inner.read(digest, range))
    }

    fn redirect<'a>(&'a self, digest: &'a Digest) -> Io<'a, Option<String>> {
        self.timed("StorageDriver.URLFor", self.inner.redirect(digest))
    }

    fn list(&self, first: u8) -> Io<'_, Vec<Digest>> {
        self.timed("StorageDriver.List", self.inner.list(first))
    }

    fn delete<'a>(&'a self, digest: &'a Digest) -> Io<'a, ()> {
        self.timed("StorageDriver.Delete", self.inner.delete(digest))
    }

    fn check(&self) -> Io<'_, ()> {
        self.inner.check()
    }
}

/// Looks at the storage from time to time until the server stops.
pub(super) async fn watch(ctx: Ctx, blobs: Arc<dyn Blobs>) {
    let mut seen = Seen::default();
    loop {
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = ctx.tasks.stopping() => return,
        }
        let trouble = match tokio::time::timeout(PERIOD, blobs.check()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("it does not answer".to_owned()),
        };
        match seen.look(trouble) {
            Some(Some(why)) => {
                error!(why, "the registry's storage cannot be used");
                ctx.storage_trouble.store(Some(Arc::new(why)));
            }
            Some(None) => {
                info!("the registry's storage can be used again");
                ctx.storage_trouble.store(None);
            }
            None => {}
        }
    }
}

/// What was seen of the storage.
#[derive(Debug, Default)]
struct Seen {
    failures: usize,
}

impl Seen {
    /// Takes one look into account; what is to be said from now on, if that changed.
    fn look(&mut self, trouble: Option<String>) -> Option<Option<String>> {
        let was_gone = self.failures >= THRESHOLD;
        self.failures = if trouble.is_some() { self.failures + 1 } else { 0 };
        (was_gone != (self.failures >= THRESHOLD)).then_some(trouble)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storage_is_gone_after_three_failures_and_back_at_once() {
        let mut seen = Seen::default();
        let bad = || Some("no such file".to_owned());
        assert_eq!(
            [seen.look(bad()), seen.look(None), seen.look(bad()), seen.look(bad())],
            [None, None, None, None]
        );
        assert_eq!(seen.look(bad()), Some(bad()));
        assert_eq!(seen.look(bad()), None);
        assert_eq!(seen.look(None), Some(None));
        assert_eq!(seen.look(None), None);
    }
}
