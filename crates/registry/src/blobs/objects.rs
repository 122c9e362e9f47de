//! Content in an object store that speaks S3.
//!
//! Parts of an upload go straight to the object that will be the content, under a name that nobody guesses; the store says
//! which object a digest means. Nothing is ever copied or renamed. What does not fill a part yet is put beside it when it
//! has to be durable, under the offset that it reaches to, so that an upload goes on after a restart from whatever was
//! noted last.
//!
//! Order: the object is complete, then its name is noted (and the upload's record goes, in the same transaction). A crash
//! leaves objects that nobody names, or uploads with a record, which a sweep aborts.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt, PutPayload};
use oci::Digest;
use oci::digest::{Algorithm, Hasher};
use serde::{Deserialize, Serialize};
use store::{Key, Store, Txn};

use super::{Blobs, Io, Pieces, Progress, Resume, Upload};
use crate::records;

/// Bytes of every part but the last; stores take 5 MiB and more, and at most 10,000 parts.
const PART: usize = 8 << 20;
/// How long an address that clients are sent to is good for.
const REDIRECT_TIME: Duration = Duration::from_secs(20 * 60);
/// Names of objects by digest.
const OBJECTS: &str = "/registry/object/";
/// Uploads that have something in the store.
const STAGED: &str = "/registry/staged/";

/// How an object store is reached. What is not said comes from the environment, as for other programs that use S3.
#[derive(Clone, Default)]
pub struct ObjectSettings {
    /// Bucket.
    pub bucket: String,
    /// Region.
    pub region: Option<String>,
    /// Address of a store that is not Amazon's.
    pub endpoint: Option<String>,
    /// Key id and secret.
    pub keys: Option<(String, String)>,
    /// Whether it may be spoken to without TLS.
    pub allow_http: bool,
    /// Whether clients are sent to the store for content.
    pub redirect: bool,
    /// Directory for what is read while it arrives.
    pub spool: PathBuf,
    /// How long a request is tried again when the store fails.
    pub patience: Duration,
}

impl std::fmt::Debug for ObjectSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectSettings").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

/// Content in an object store.
#[derive(Clone)]
pub struct ObjectBlobs {
    objects: Arc<AmazonS3>,
    names: Arc<dyn Store>,
    redirect: bool,
    spool: Arc<std::path::Path>,
}

/// Which object a digest means.
#[derive(Debug, Serialize, Deserialize)]
struct Named {
    object: String,
    size: u64,
}

/// What an upload has in the store.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Staged {
    /// The multipart upload, once there is one.
    multipart: Option<String>,
    /// Its parts, each of [`PART`] bytes.
    parts: Vec<String>,
    /// Offsets of the remainders that lie beside it.
    tails: Vec<u64>,
}

fn named_key(digest: &Digest) -> Key {
    Key::new(&format!("{OBJECTS}{digest}")).expect("digests are words")
}

fn staged_key(id: &str) -> io::Result<Key> {
    Key::new(&format!("{STAGED}{id}")).map_err(io::Error::other)
}

fn object_of(id: &str) -> Path {
    Path::from(format!("blobs/{id}"))
}

fn tail_of(id: &str, offset: u64) -> Path {
    Path::from(format!("uploads/{id}/{offset}"))
}

fn failed(error: object_store::Error) -> io::Error {
    let kind = match &error {
        object_store::Error::NotFound { .. } => io::ErrorKind::NotFound,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// What is not there is as good as removed.
fn removed(result: object_store::Result<()>) -> io::Result<()> {
    match result {
        Err(object_store::Error::NotFound { .. }) => Ok(()),
        other => other.map_err(failed),
    }
}

impl std::fmt::Debug for ObjectBlobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ObjectBlobs({})", self.objects)
    }
}

impl ObjectBlobs {
    /// Content in a bucket; `names` says which object a digest means.
    ///
    /// # Errors
    /// When the settings do not fit together or the spool cannot be made.
    pub fn open(settings: &ObjectSettings, names: Arc<dyn Store>) -> io::Result<ObjectBlobs> {
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&settings.bucket)
            .with_allow_http(settings.allow_http)
            .with_retry(object_store::RetryConfig {
                retry_timeout: settings.patience,
                ..object_store::RetryConfig::default()
            });
        if let Some(region) = &settings.region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some((id, secret)) = &settings.keys {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
        }
        std::fs::create_dir_all(&settings.spool)?;
        let objects = Arc::new(builder.build().map_err(failed)?);
        Ok(ObjectBlobs {
            objects,
            names,
            redirect: settings.redirect,
            spool: settings.spool.as_path().into(),
        })
    }

    async fn named(&self, digest: &Digest) -> io::Result<Option<Named>> {
        let found = records::get::<Named>(&*self.names, &named_key(digest)).await;
        Ok(found.map_err(|error| io::Error::other(error.text().to_owned()))?.map(|(named, _)| named))
    }

    async fn staged(&self, id: &str) -> io::Result<Option<Staged>> {
        let found = records::get::<Staged>(&*self.names, &staged_key(id)?).await;
        Ok(found.map_err(|error| io::Error::other(error.text().to_owned()))?.map(|(staged, _)| staged))
    }

    async fn note(&self, id: &str, staged: &Staged) -> io::Result<()> {
        let txn = Txn::new().put(staged_key(id)?, records::encode(staged));
        self.names.commit(txn).await.map(drop).map_err(io::Error::other)
    }

    /// A file that nobody else sees, gone when it is closed.
    fn spool(&self, id: &str) -> io::Result<File> {
        let path = self.spool.join(id);
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        std::fs::remove_file(path)?;
        Ok(file)
    }

    async fn resume(&self, id: &str, progress: Progress) -> io::Result<(Staged, Running)> {
        let gone = |why: &str| io::Error::new(io::ErrorKind::NotFound, why.to_owned());
        let mut staged = self.staged(id).await?.unwrap_or_default();
        let whole = usize::try_from(progress.offset / PART as u64).map_err(io::Error::other)?;
        if staged.parts.len() < whole {
            return Err(gone("the upload is shorter than noted"));
        }
        // Parts behind what was noted are sent again under their numbers.
        staged.parts.truncate(whole);
        let rest = progress.offset % PART as u64;
        let mut tail = BytesMut::new();
        if rest > 0 {
            let bytes = self.objects.get(&tail_of(id, progress.offset)).await.map_err(failed)?;
            tail.extend_from_slice(&bytes.bytes().await.map_err(failed)?);
            if tail.len() as u64 != rest {
                return Err(gone("the upload is not what was noted"));
            }
        }
        let hasher = Hasher::restore(progress.algorithm, &progress.state)
            .ok_or_else(|| gone("the hash cannot go on"))?;
        Ok((staged, Running { hasher, offset: progress.offset, tail }))
    }

    async fn open_upload(&self, id: &str, resume: Resume) -> io::Result<Arc<dyn Upload>> {
        let mut spool = None;
        let fresh = |algorithm| Running { hasher: Hasher::new(algorithm), offset: 0, tail: BytesMut::new() };
        let (staged, running) = match resume {
            Resume::At(progress) => self.resume(id, progress).await?,
            Resume::New(algorithm) | Resume::Shared(algorithm) => {
                self.abort(id).await?;
                if matches!(resume, Resume::Shared(_)) {
                    spool = Some(Arc::new(self.spool(id)?));
                }
                (Staged::default(), fresh(algorithm))
            }
        };
        Ok(Arc::new(ObjectUpload {
            blobs: self.clone(),
            id: id.to_owned(),
            running: Mutex::new(running),
            sent: tokio::sync::Mutex::new(Sent { staged, is_complete: false }),
            spool,
        }))
    }

    async fn abort_upload(&self, id: &str) -> io::Result<()> {
        let Some(staged) = self.staged(id).await? else { return Ok(()) };
        let object = object_of(id);
        if let Some(multipart) = &staged.multipart {
            removed(self.objects.abort_multipart(&object, multipart).await)?;
        }
        removed(self.objects.delete(&object).await)?;
        for offset in &staged.tails {
            removed(self.objects.delete(&tail_of(id, *offset)).await)?;
        }
        let txn = Txn::new().delete(staged_key(id)?);
        self.names.commit(txn).await.map(drop).map_err(io::Error::other)
    }

    async fn pieces(&self, digest: &Digest, range: Range<u64>) -> io::Result<Pieces> {
        let named = self.named(digest).await?.ok_or(io::ErrorKind::NotFound)?;
        if range.is_empty() {
            return Ok(futures_util::stream::empty().boxed());
        }
        let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
        let got = self.objects.get_opts(&Path::from(named.object), options).await.map_err(failed)?;
        Ok(got.into_stream().map_err(failed).boxed())
    }
}

impl Blobs for ObjectBlobs {
    fn is_shared(&self) -> bool {
        true
    }

    fn open<'a>(&'a self, id: &'a str, resume: Resume) -> Io<'a, Arc<dyn Upload>> {
        self.open_upload(id, resume).boxed()
    }

    fn abort<'a>(&'a self, id: &'a str) -> Io<'a, ()> {
        self.abort_upload(id).boxed()
    }

    fn abort_others<'a>(&'a self, known: &'a (dyn Fn(&str) -> bool + Send + Sync)) -> Io<'a, usize> {
        async move {
            let (mut range, mut aborted) = (Some(store::Range::of(STAGED)), 0);
            while let Some(here) = range {
                let page = records::page(&*self.names, here).await;
                let (items, next) = page.map_err(|error| io::Error::other(error.text().to_owned()))?;
                for item in items {
                    let id = item.key.name();
                    if !known(id) {
                        self.abort(id).await?;
                        aborted += 1;
                    }
                }
                range = next;
            }
            Ok(aborted)
        }
        .boxed()
    }

    fn size<'a>(&'a self, digest: &'a Digest) -> Io<'a, Option<u64>> {
        async move { Ok(self.named(digest).await?.map(|named| named.size)) }.boxed()
    }

    fn read<'a>(&'a self, digest: &'a Digest, range: Range<u64>) -> Io<'a, Pieces> {
        self.pieces(digest, range).boxed()
    }

    fn redirect<'a>(&'a self, digest: &'a Digest) -> Io<'a, Option<String>> {
        async move {
            let Some(named) = self.named(digest).await?.filter(|_| self.redirect) else { return Ok(None) };
            let path = Path::from(named.object);
            let url = self.objects.signed_url(http::Method::GET, &path, REDIRECT_TIME).await;
            Ok(Some(url.map_err(failed)?.to_string()))
        }
        .boxed()
    }

    fn list(&self, first: u8) -> Io<'_, Vec<Digest>> {
        async move {
            let mut found = Vec::new();
            for algorithm in [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512] {
                let prefix = format!("{OBJECTS}{}:{first:02x}", algorithm.as_str());
                let mut range = Some(store::Range::of(&prefix));
                while let Some(here) = range {
                    let page = records::page(&*self.names, here).await;
                    let (items, next) = page.map_err(|error| io::Error::other(error.text().to_owned()))?;
                    found.extend(items.iter().filter_map(|item| Digest::parse(item.key.name()).ok()));
                    range = next;
                }
            }
            Ok(found)
        }
        .boxed()
    }

    fn delete<'a>(&'a self, digest: &'a Digest) -> Io<'a, ()> {
        async move {
            // The object first: while the name is there, who failed in between tries again.
            let Some(named) = self.named(digest).await? else { return Ok(()) };
            removed(self.objects.delete(&Path::from(named.object)).await)?;
            let txn = Txn::new().delete(named_key(digest));
            self.names.commit(txn).await.map(drop).map_err(io::Error::other)
        }
        .boxed()
    }

    fn check(&self) -> Io<'_, ()> {
        // An answer is all that is wanted; nobody ever puts anything there.
        async move { removed(self.objects.head(&Path::from("check")).await.map(drop)) }.boxed()
    }
}

/// An upload to an object store.
struct ObjectUpload {
    blobs: ObjectBlobs,
    id: String,
    running: Mutex<Running>,
    sent: tokio::sync::Mutex<Sent>,
    /// A copy for those who read while it arrives.
    spool: Option<Arc<File>>,
}

/// What was taken in.
struct Running {
    hasher: Hasher,
    offset: u64,
    /// What has not been sent as a part; a part at the most, but for a moment.
    tail: BytesMut,
}

/// What the store has.
struct Sent {
    staged: Staged,
    is_complete: bool,
}

impl ObjectUpload {
    fn running(&self) -> MutexGuard<'_, Running> {
        // A panic in between leaves at worst an upload whose digest does not match.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, chunks: &[Bytes]) -> io::Result<()> {
        let mut running = self.running();
        for chunk in chunks {
            if let Some(spool) = &self.spool {
                spool.write_all_at(chunk, running.offset)?;
            }
            running.hasher.update(chunk);
            running.tail.extend_from_slice(chunk);
            running.offset += chunk.len() as u64;
        }
        Ok(())
    }

    /// Sends whole parts. What a part holds leaves memory when the store has it.
    async fn send_parts(&self, sent: &mut Sent) -> io::Result<()> {
        loop {
            let part = {
                let running = self.running();
                if running.tail.len() < PART {
                    return Ok(());
                }
                Bytes::copy_from_slice(&running.tail[..PART])
            };
            self.send_part(sent, part).await?;
            drop(self.running().tail.split_to(PART));
        }
    }

    async fn send_part(&self, sent: &mut Sent, part: Bytes) -> io::Result<()> {
        let (objects, object) = (&self.blobs.objects, object_of(&self.id));
        let multipart = match &sent.staged.multipart {
            Some(multipart) => multipart.clone(),
            None => {
                let made = objects.create_multipart(&object).await.map_err(failed)?;
                sent.staged.multipart = Some(made.clone());
                self.blobs.note(&self.id, &sent.staged).await?;
                made
            }
        };
        let number = sent.staged.parts.len();
        let put = objects.put_part(&object, &multipart, number, PutPayload::from(part)).await;
        sent.staged.parts.push(put.map_err(failed)?.content_id);
        Ok(())
    }

    /// Makes the object complete.
    async fn complete(&self, sent: &mut Sent) -> io::Result<()> {
        if sent.is_complete {
            return Ok(());
        }
        self.send_parts(sent).await?;
        let (objects, object) = (&self.blobs.objects, object_of(&self.id));
        let (tail, offset) = {
            let running = self.running();
            (Bytes::copy_from_slice(&running.tail), running.offset)
        };
        let Some(multipart) = sent.staged.multipart.clone().filter(|_| offset > tail.len() as u64) else {
            // The record first, so that a sweep finds the object.
            self.blobs.note(&self.id, &sent.staged).await?;
            objects.put(&object, PutPayload::from(tail)).await.map_err(failed)?;
            sent.is_complete = true;
            return Ok(());
        };
        let parts_before = sent.staged.parts.len();
        if !tail.is_empty() {
            self.send_part(sent, tail).await?;
        }
        let parts = sent.staged.parts.iter().map(|id| PartId { content_id: id.clone() }).collect();
        let completed = objects.complete_multipart(&object, &multipart, parts).await;
        // Another try sends the remainder again.
        sent.staged.parts.truncate(parts_before);
        if let Err(error) = completed {
            // The answer to an earlier try may have been lost.
            let there = objects.head(&object).await.is_ok_and(|meta| meta.size == offset);
            if !there {
                return Err(failed(error));
            }
        }
        sent.is_complete = true;
        Ok(())
    }

    async fn sync_all(&self) -> io::Result<Progress> {
        let mut sent = self.sent.lock().await;
        self.send_parts(&mut sent).await?;
        let (tail, progress) = {
            let running = self.running();
            (Bytes::copy_from_slice(&running.tail), running.progress())
        };
        let mut tails = sent.staged.tails.clone();
        if !tail.is_empty() && tails.last() != Some(&progress.offset) {
            let place = tail_of(&self.id, progress.offset);
            self.blobs.objects.put(&place, PutPayload::from(tail)).await.map_err(failed)?;
            tails.push(progress.offset);
        }
        // The last one may be the one that was noted, until this one is.
        let old = tails.len().saturating_sub(2);
        for offset in tails.drain(..old) {
            removed(self.blobs.objects.delete(&tail_of(&self.id, offset)).await)?;
        }
        sent.staged.tails = tails;
        self.blobs.note(&self.id, &sent.staged).await?;
        Ok(progress)
    }

    async fn hash_again(&self, algorithm: Algorithm) -> io::Result<Digest> {
        let mut sent = self.sent.lock().await;
        self.complete(&mut sent).await?;
        let mut hasher = Hasher::new(algorithm);
        let got = self.blobs.objects.get(&object_of(&self.id)).await.map_err(failed)?;
        let mut pieces = got.into_stream();
        while let Some(piece) = pieces.try_next().await.map_err(failed)? {
            hasher.update(&piece);
        }
        Ok(hasher.finish())
    }

    async fn commit_as(&self, digest: &Digest) -> io::Result<()> {
        let mut sent = self.sent.lock().await;
        self.complete(&mut sent).await?;
        let blobs = &self.blobs;
        let before = blobs.named(digest).await?;
        let object = object_of(&self.id).to_string();
        let named = Named { object: object.clone(), size: self.running().offset };
        let txn = Txn::new().put(named_key(digest), records::encode(&named)).delete(staged_key(&self.id)?);
        blobs.names.commit(txn).await.map_err(io::Error::other)?;
        // What is left over is garbage, and no reason to fail.
        let tails = sent.staged.tails.iter().map(|offset| tail_of(&self.id, *offset));
        let replaced =
            before.filter(|before| before.object != object).map(|before| Path::from(before.object));
        for path in tails.chain(replaced) {
            if let Err(error) = removed(blobs.objects.delete(&path).await) {
                tracing::warn!(%path, %error, "an object that nobody needs could not be removed");
            }
        }
        Ok(())
    }
}

impl Running {
    fn progress(&self) -> Progress {
        Progress { offset: self.offset, algorithm: self.hasher.algorithm(), state: self.hasher.save() }
    }
}

impl Upload for ObjectUpload {
    fn write(&self, chunks: Vec<Bytes>) -> Io<'_, ()> {
        async move {
            self.take(&chunks)?;
            let mut sent = self.sent.lock().await;
            self.send_parts(&mut sent).await
        }
        .boxed()
    }

    fn progress(&self) -> Progress {
        self.running().progress()
    }

    fn sync(&self) -> Io<'_, Progress> {
        self.sync_all().boxed()
    }

    fn read(&self, range: Range<u64>) -> Io<'_, Bytes> {
        let spool = self.spool.clone();
        async move {
            let spool = spool.ok_or(io::ErrorKind::Unsupported)?;
            let mut piece = vec![0; (range.end - range.start) as usize];
            spool.read_exact_at(&mut piece, range.start)?;
            Ok(piece.into())
        }
        .boxed()
    }

    fn digest(&self, algorithm: Algorithm) -> Io<'_, Digest> {
        async move {
            let own = {
                let running = self.running();
                (running.hasher.algorithm() == algorithm).then(|| running.hasher.clone())
            };
            match own {
                Some(hasher) => Ok(hasher.finish()),
                None => self.hash_again(algorithm).await,
            }
        }
        .boxed()
    }

    fn commit<'a>(&'a self, digest: &'a Digest) -> Io<'a, ()> {
        self.commit_as(digest).boxed()
    }
}

#[cfg(test)]
#[path = "objects_tests.rs"]
mod tests;
