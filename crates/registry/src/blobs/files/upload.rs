//! An upload in a file: hashed on one thread while another writes it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use bytes::Bytes;
use oci::Digest;
use oci::digest::{Algorithm, Hasher};

use super::super::{Io, Progress, Resume, Upload};
use super::pieces::piece;
use super::{FileBlobs, blocking, lock, make_dir, sync_dir};
use crate::limits;

/// An upload in a file. Shared with the work that goes on when the request has gone away.
pub(super) struct FileUpload {
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
    /// Up to where the disk has room for it.
    allocated: u64,
    /// Bytes since the disk was last told to begin.
    held: u64,
    /// How many of them are enough.
    settles_after: u64,
    /// Whether the disk is at it.
    is_settling: Arc<AtomicBool>,
}

impl State {
    fn open(path: &Path, resume: Resume) -> io::Result<State> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        match resume {
            Resume::New(algorithm) => {
                let file = Arc::new(options.create(true).truncate(true).open(path)?);
                Ok(State::at(file, Hasher::new(algorithm), 0))
            }
            Resume::Shared(algorithm) => {
                let file = Arc::new(options.create(true).truncate(true).open(path)?);
                let settles_after = limits::SETTLE_SHARED_BYTES;
                Ok(State { settles_after, ..State::at(file, Hasher::new(algorithm), 0) })
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
        State {
            file,
            hasher,
            offset,
            broken: false,
            allocated: offset,
            held: 0,
            settles_after: limits::SETTLE_BYTES,
            is_settling: Arc::default(),
        }
    }

    fn write(&mut self, blobs: &FileBlobs, chunks: &[Bytes]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write of this upload failed"));
        }
        let bytes: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        blobs.check_space(&self.file, bytes)?;
        self.allocate(blobs, bytes);
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

    /// Makes room for more than the next bytes at once, which costs less than room for each page. The file is not longer
    /// for it.
    #[cfg(target_os = "linux")]
    fn allocate(&mut self, blobs: &FileBlobs, bytes: u64) {
        let ahead = bytes.max(limits::ALLOCATE_BYTES);
        let is_due = bytes >= limits::SPLIT_BYTES && self.offset + bytes > self.allocated;
        if !is_due || blobs.check_space(&self.file, ahead).is_err() {
            return;
        }
        let flags = rustix::fs::FallocateFlags::KEEP_SIZE;
        // Where that cannot be done, or there is no such room, the write does without it and says what it lacks.
        self.allocated = match rustix::fs::fallocate(&self.file, flags, self.offset, ahead) {
            Ok(()) => self.offset + ahead,
            Err(_) => u64::MAX,
        };
    }

    #[cfg(not(target_os = "linux"))]
    fn allocate(&mut self, _blobs: &FileBlobs, _bytes: u64) {}

    /// Gives back the room that was not needed.
    fn trim(&mut self) -> io::Result<()> {
        if self.allocated > self.offset && self.allocated != u64::MAX {
            self.file.set_len(self.offset)?;
            self.allocated = self.offset;
        }
        Ok(())
    }

    /// Has the disk begin with what is there, when that is much. Its own descriptor: an error is told once to each, and
    /// the one that the upload is synchronised through must hear of it.
    fn settle(&mut self, path: &Path) {
        if self.held < self.settles_after || self.is_settling.swap(true, Ordering::AcqRel) {
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
    /// Begins or goes on in a file; this blocks.
    pub(super) fn open(blobs: FileBlobs, path: PathBuf, resume: Resume) -> io::Result<FileUpload> {
        let state = State::open(&path, resume)?;
        let file = Arc::clone(&state.file);
        Ok(FileUpload { blobs, path, file, state: Arc::new(Mutex::new(state)) })
    }

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
            state.write(&blobs, &chunks)?;
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
            state.trim()?;
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
            state.trim()?;
            state.file.sync_data()?;
            fs::rename(&from, dir.join("data"))?;
            sync_dir(&dir)?;
            dir.parent().map_or(Ok(()), sync_dir)
        })
    }
}
