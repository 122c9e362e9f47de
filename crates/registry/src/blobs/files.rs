//! Content in files: `blobs/<algorithm>/<2 hex>/<hex>/data`, uploads in `uploads/<id>`.
//!
//! The layout of content is the one of Docker's registry, so that a volume of one can be taken over. Why a crash does no
//! harm: an upload is synchronised before it is renamed, and the directories that the rename (or the making of a
//! directory) changed are synchronised before the caller hears of it; content that has a name is therefore complete.
//!
//! Bytes are hashed and written in batches on threads that may block. A batch at a time instead of a thread for each
//! transfer: a client that sends slowly holds no thread, and the next batch arrives while one thread hashes this one and
//! another writes it. The disk begins early with what is long, so that little is left to wait for at the end.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use oci::Digest;
use oci::digest::{Algorithm, Hasher};

use super::{Blobs, Io, Linked, Pieces, Progress, Resume, Upload};
use crate::limits;

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512];

/// Content in files under one directory.
#[derive(Clone, Debug)]
pub struct FileBlobs {
    root: Arc<Path>,
    /// Bytes of the disk that are left free.
    reserve: u64,
    /// Algorithms whose directories are there, durably.
    shelves: Arc<Mutex<BTreeSet<Algorithm>>>,
}

impl FileBlobs {
    /// Content under `root`, which is made if it is not there.
    ///
    /// # Errors
    /// When directories cannot be made.
    pub fn open(root: &Path) -> io::Result<FileBlobs> {
        make_dir(root)?;
        make_dir(&root.join("uploads"))?;
        make_dir(&root.join("blobs"))?;
        sync_dir(root)?;
        Ok(FileBlobs { root: root.into(), reserve: limits::RESERVE, shelves: Arc::default() })
    }

    /// Another number of bytes that are left free on the disk.
    #[must_use]
    pub fn with_reserve(self, reserve: u64) -> FileBlobs {
        FileBlobs { reserve, ..self }
    }

    /// Refuses to take the disk's last bytes.
    fn check_space(&self, file: &File, bytes: u64) -> io::Result<()> {
        let disk = rustix::fs::fstatvfs(file)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < self.reserve.saturating_add(bytes) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk is full but for a reserve"));
        }
        Ok(())
    }

    /// Makes the directories between `blobs` and those of content, durably and before anybody needs one: one that only just
    /// appeared may not be on the disk yet.
    fn make_shelves(&self, algorithm: Algorithm) -> io::Result<()> {
        let mut made = lock(&self.shelves);
        if made.contains(&algorithm) {
            return Ok(());
        }
        let blobs = self.root.join("blobs");
        let above = blobs.join(algorithm.as_str());
        make_dir(&above)?;
        for first in 0..=u8::MAX {
            make_dir(&above.join(format!("{first:02x}")))?;
        }
        sync_dir(&above)?;
        sync_dir(&blobs)?;
        made.insert(algorithm);
        Ok(())
    }

    fn upload_path(&self, id: &str) -> PathBuf {
        self.root.join("uploads").join(id)
    }

    /// `<root>/blobs/<algorithm>/<2 hex>/<hex>`
    fn blob_dir(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join("blobs").join(digest.algorithm().as_str()).join(&hex[..2]).join(hex)
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blob_dir(digest).join("data")
    }
}

impl Blobs for FileBlobs {
    fn open<'a>(&'a self, id: &'a str, resume: Resume) -> Io<'a, Arc<dyn Upload>> {
        let path = self.upload_path(id);
        let blobs = self.clone();
        blocking(move || {
            let state = State::open(&path, resume)?;
            let file = Arc::clone(&state.file);
            Ok(Arc::new(FileUpload { blobs, path, file, state: Arc::new(Mutex::new(state)) })
                as Arc<dyn Upload>)
        })
    }

    fn abort<'a>(&'a self, id: &'a str) -> Io<'a, ()> {
        let path = self.upload_path(id);
        blocking(move || ignore_missing(fs::remove_file(path)))
    }

    fn abort_others<'a>(&'a self, known: &'a (dyn Fn(&str) -> bool + Send + Sync)) -> Io<'a, usize> {
        async move {
            let dir = self.root.join("uploads");
            let names = blocking(move || {
                fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()
            })
            .await?;
            let mut removed = 0;
            for name in names {
                let Some(id) = name.to_str() else { continue };
                if !known(id) {
                    self.abort(id).await?;
                    removed += 1;
                }
            }
            Ok(removed)
        }
        .boxed()
    }

    fn link<'a>(&'a self, digest: &'a Digest, file: &'a Path) -> Io<'a, Linked> {
        let (blobs, digest, path) = (self.clone(), digest.clone(), file.to_owned());
        blocking(move || {
            let mut file = File::open(&path)?;
            let mut hasher = Hasher::new(digest.algorithm());
            let (mut buffer, mut size) = (vec![0; limits::WRITE_BYTES], 0);
            loop {
                let read = file.read(&mut buffer)?;
                if read == 0 {
                    break;
                }
                hasher.update(&buffer[..read]);
                size += read as u64;
            }
            if hasher.finish() != digest {
                return Ok(Linked::Wrong);
            }
            let dir = blobs.blob_dir(&digest);
            blobs.make_shelves(digest.algorithm())?;
            make_dir(&dir)?;
            match fs::hard_link(&path, dir.join("data")) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                // Another file system, one without links, or a file of somebody who shares it with nobody.
                Err(_) => {
                    ignore_missing(fs::remove_dir(&dir))?;
                    return Ok(Linked::Impossible);
                }
                Ok(()) => {}
            }
            File::open(dir.join("data"))?.sync_all()?;
            sync_dir(&dir)?;
            dir.parent().map_or(Ok(()), sync_dir)?;
            Ok(Linked::Done(size))
        })
    }

    fn size<'a>(&'a self, digest: &'a Digest) -> Io<'a, Option<u64>> {
        let path = self.blob_path(digest);
        blocking(move || match fs::metadata(path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
    }

    fn read<'a>(&'a self, digest: &'a Digest, range: Range<u64>) -> Io<'a, Pieces> {
        let path = self.blob_path(digest);
        let is_one = range.end - range.start <= limits::READ_BYTES;
        blocking(move || {
            let file = File::open(path)?;
            if !is_one {
                return Ok(pieces(file, range).boxed());
            }
            let piece = piece(&file, range)?;
            Ok(futures_util::stream::once(async { Ok(piece) }).boxed())
        })
    }

    fn redirect<'a>(&'a self, _digest: &'a Digest) -> Io<'a, Option<String>> {
        async { Ok(None) }.boxed()
    }

    fn list(&self, first: u8) -> Io<'_, Vec<Digest>> {
        let root = self.root.join("blobs");
        blocking(move || {
            let mut found = Vec::new();
            for algorithm in ALGORITHMS {
                let entries = match fs::read_dir(root.join(algorithm.as_str()).join(format!("{first:02x}"))) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    entries => entries?,
                };
                for entry in entries {
                    let name = entry?.file_name();
                    let text = format!("{}:{}", algorithm.as_str(), name.to_string_lossy());
                    found.extend(Digest::parse(&text));
                }
            }
            Ok(found)
        })
    }

    fn delete<'a>(&'a self, digest: &'a Digest) -> Io<'a, ()> {
        let dir = self.blob_dir(digest);
        blocking(move || {
            ignore_missing(fs::remove_file(dir.join("data")))?;
            ignore_missing(fs::remove_dir(dir))
        })
    }

    fn check(&self) -> Io<'_, ()> {
        let blobs = self.clone();
        blocking(move || {
            let uploads = File::open(blobs.root.join("uploads"))?;
            File::open(blobs.root.join("blobs"))?.metadata()?;
            blobs.check_space(&uploads, 0)
        })
    }
}

/// Reads a file piece by piece, one piece ahead of who takes them.
fn pieces(
    file: File,
    range: Range<u64>,
) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send + 'static {
    let file = Arc::new(file);
    let starts = (range.start..range.end).step_by(limits::READ_BYTES as usize);
    futures_util::stream::iter(starts)
        .map(move |start| {
            let (file, end) = (Arc::clone(&file), range.end.min(start + limits::READ_BYTES));
            blocking(move || piece(&file, start..end))
        })
        .buffered(2)
}

/// Reads one piece of a file, which has it.
fn piece(file: &File, range: Range<u64>) -> io::Result<Bytes> {
    let mut piece = vec![0; (range.end - range.start) as usize];
    file.read_exact_at(&mut piece, range.start)?;
    Ok(piece.into())
}

/// An upload in a file. Shared with the work that goes on when the request has gone away.
struct FileUpload {
    blobs: FileBlobs,
    path: PathBuf,
    /// For reading, which does not wait for those who write.
    file: Arc<File>,
    state: Arc<Mutex<State>>,
}

struct State {
    file: Arc<File>,
    hasher: Hasher,
    offset: u64,
    /// A write failed: what the file holds behind `offset` is not known until it is opened again.
    broken: bool,
    /// Bytes since the disk was last told to begin.
    held: u64,
    /// Whether the disk is at it.
    is_settling: Arc<AtomicBool>,
}

impl State {
    fn open(path: &Path, resume: Resume) -> io::Result<State> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        match resume {
            Resume::New(algorithm) | Resume::Shared(algorithm) => {
                let file = Arc::new(options.create(true).truncate(true).open(path)?);
                Ok(State::at(file, Hasher::new(algorithm), 0))
            }
            Resume::At(progress) => {
                let mut file = options.open(path)?;
                if file.metadata()?.len() < progress.offset {
                    return Err(io::Error::new(io::ErrorKind::NotFound, "the upload is shorter than noted"));
                }
                file.set_len(progress.offset)?;
                file.seek(SeekFrom::End(0))?;
                let hasher = Hasher::restore(progress.algorithm, &progress.state)
                    .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the hash cannot go on"))?;
                Ok(State::at(Arc::new(file), hasher, progress.offset))
            }
        }
    }

    fn at(file: Arc<File>, hasher: Hasher, offset: u64) -> State {
        State { file, hasher, offset, broken: false, held: 0, is_settling: Arc::default() }
    }

    fn write(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write of this upload failed"));
        }
        let bytes: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        let writing = Writing::start(&self.file, chunks, bytes >= limits::SPLIT_BYTES);
        for chunk in chunks {
            self.hasher.update(chunk);
        }
        if let Err(error) = writing.finish() {
            self.broken = true;
            return Err(error);
        }
        self.offset += bytes;
        self.held += bytes;
        Ok(())
    }

    /// Has the disk begin with what is there, when that is much. Its own descriptor: an error is told once to each, and
    /// the one that the upload is synchronised through must hear of it.
    fn settle(&mut self, path: &Path) {
        if self.held < limits::SETTLE_BYTES || self.is_settling.swap(true, Ordering::AcqRel) {
            return;
        }
        self.held = 0;
        let (path, is_settling) = (path.to_owned(), Arc::clone(&self.is_settling));
        drop(tokio::task::spawn_blocking(move || {
            // Nothing is lost with an error: it comes again when it counts.
            let _: io::Result<()> = File::open(path).and_then(|file| file.sync_data());
            is_settling.store(false, Ordering::Release);
        }));
    }

    fn progress(&self) -> Progress {
        Progress { offset: self.offset, algorithm: self.hasher.algorithm(), state: self.hasher.save() }
    }

    fn digest(&mut self, algorithm: Algorithm) -> io::Result<Digest> {
        if algorithm == self.hasher.algorithm() {
            return Ok(self.hasher.clone().finish());
        }
        let mut hasher = Hasher::new(algorithm);
        let mut buffer = vec![0; limits::WRITE_BYTES];
        let mut file = &*self.file;
        let end = file.stream_position()?;
        file.seek(SeekFrom::Start(0))?;
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => hasher.update(&buffer[..read]),
            }
        }
        file.seek(SeekFrom::Start(end))?;
        Ok(hasher.finish())
    }
}

/// Bytes on their way into a file, on another thread if there is one.
struct Writing {
    job: Arc<Mutex<Option<Job>>>,
    done: mpsc::Receiver<io::Result<()>>,
}

struct Job {
    file: Arc<File>,
    chunks: Vec<Bytes>,
}

impl Writing {
    fn start(file: &Arc<File>, chunks: &[Bytes], apart: bool) -> Writing {
        let job = Job { file: Arc::clone(file), chunks: chunks.to_vec() };
        let job = Arc::new(Mutex::new(Some(job)));
        let (tell, done) = mpsc::sync_channel(1);
        if apart {
            let job = Arc::clone(&job);
            drop(tokio::task::spawn_blocking(move || {
                let taken = lock(&job).take();
                if let Some(job) = taken {
                    // Who started it waits for it.
                    let _: Result<_, _> = tell.send(job.run());
                }
            }));
        }
        Writing { job, done }
    }

    /// Waits for the other thread, or does what none has begun: all threads may be waiting like this one.
    fn finish(self) -> io::Result<()> {
        let left = lock(&self.job).take();
        match left {
            Some(job) => job.run(),
            None => self.done.recv().unwrap_or_else(|_| Err(io::Error::other("a write was given up"))),
        }
    }
}

impl Job {
    fn run(self) -> io::Result<()> {
        self.chunks.iter().try_for_each(|chunk| (&*self.file).write_all(chunk))
    }
}

impl FileUpload {
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State) -> io::Result<T> + Send + 'static,
    ) -> Io<'static, T> {
        let state = Arc::clone(&self.state);
        blocking(move || work(&mut lock(&state)))
    }
}

impl Upload for FileUpload {
    fn write(&self, chunks: Vec<Bytes>) -> Io<'_, ()> {
        let (blobs, path) = (self.blobs.clone(), self.path.clone());
        self.run(move |state| {
            let bytes = chunks.iter().map(|chunk| chunk.len() as u64).sum();
            blobs.check_space(&state.file, bytes)?;
            state.write(&chunks)?;
            state.settle(&path);
            Ok(())
        })
    }

    fn progress(&self) -> Progress {
        lock(&self.state).progress()
    }

    fn sync(&self) -> Io<'_, Progress> {
        let dir = self.blobs.root.join("uploads");
        self.run(move |state| {
            state.file.sync_data()?;
            sync_dir(&dir)?;
            Ok(state.progress())
        })
    }

    fn read(&self, range: Range<u64>) -> Io<'_, Bytes> {
        let file = Arc::clone(&self.file);
        blocking(move || piece(&file, range))
    }

    fn digest(&self, algorithm: Algorithm) -> Io<'_, Digest> {
        self.run(move |state| state.digest(algorithm))
    }

    fn commit<'a>(&'a self, digest: &'a Digest) -> Io<'a, ()> {
        let (from, dir) = (self.path.clone(), self.blobs.blob_dir(digest));
        let (blobs, algorithm) = (self.blobs.clone(), digest.algorithm());
        self.run(move |state| {
            blobs.make_shelves(algorithm)?;
            // The directory is made first: it reaches the disk together with the bytes.
            make_dir(&dir)?;
            state.file.sync_data()?;
            fs::rename(&from, dir.join("data"))?;
            sync_dir(&dir)?;
            dir.parent().map_or(Ok(()), sync_dir)
        })
    }
}

fn make_dir(dir: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in between leaves at worst an upload whose digest does not match.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs something that blocks; it runs to its end even if nobody waits for it any more.
fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Io<'static, T> {
    let running = tokio::task::spawn_blocking(work);
    async move { running.await.map_err(io::Error::other)? }.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> (FileBlobs, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        (FileBlobs::open(&dir.path().join("registry")).unwrap(), dir)
    }

    crate::blobs::conformance::blobs_conformance!(file_blobs, open());

    #[tokio::test]
    async fn content_lies_where_dockers_registry_puts_it() {
        let (blobs, dir) = open();
        let digest = Digest::sha256(b"weir");
        let upload = blobs.open("one", Resume::New(Algorithm::Sha256)).await.unwrap();
        upload.write(vec![Bytes::from_static(b"weir")]).await.unwrap();
        upload.commit(&digest).await.unwrap();
        let path =
            dir.path().join(format!("registry/blobs/sha256/{}/{}/data", &digest.hex()[..2], digest.hex()));
        assert_eq!(fs::read(path).unwrap(), b"weir");
        assert_eq!(fs::read_dir(dir.path().join("registry/uploads")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn bytes_behind_what_was_noted_are_forgotten() {
        let (blobs, dir) = open();
        let upload = blobs.open("one", Resume::New(Algorithm::Sha256)).await.unwrap();
        upload.write(vec![Bytes::from_static(b"first ")]).await.unwrap();
        let noted = upload.sync().await.unwrap();
        drop(upload);
        // What a crash may leave: more than was noted, and not what the client sent.
        let path = dir.path().join("registry/uploads/one");
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"torn").unwrap();
        let upload = blobs.open("one", Resume::At(noted.clone())).await.unwrap();
        upload.write(vec![Bytes::from_static(b"second")]).await.unwrap();
        assert_eq!(upload.digest(Algorithm::Sha256).await.unwrap(), Digest::sha256(b"first second"));
        assert_eq!(
            upload.digest(Algorithm::Sha512).await.unwrap(),
            Digest::of(Algorithm::Sha512, b"first second")
        );
        drop(upload);
        // Or less: then it has to begin anew.
        OpenOptions::new().write(true).open(&path).unwrap().set_len(2).unwrap();
        let error = blobs.open("one", Resume::At(noted)).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
