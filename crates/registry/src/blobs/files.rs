//! Content in files: `blobs/<algorithm>/<2 hex>/<hex>/data`, uploads in `uploads/<id>`.
//!
//! The layout of content is the one of Docker's registry, so that a volume of one can be taken over. Why a crash does no
//! harm: an upload is synchronised before it is renamed, and the directories that the rename (or the making of a
//! directory) changed are synchronised before the caller hears of it; content that has a name is therefore complete.
//!
//! Bytes are hashed and written in batches on threads that may block. A batch at a time instead of a thread for each
//! transfer: a client that sends slowly holds no thread, and the next batch arrives while one thread hashes this one and
//! another writes it. The disk begins early with what is long, so that little is left to wait for at the end.

mod pieces;
mod upload;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{FutureExt, StreamExt};
use oci::Digest;
use oci::digest::{Algorithm, Hasher};

use self::pieces::{piece, pieces};
use self::upload::FileUpload;
use super::{Blobs, Io, Linked, Pieces, Resume, Upload};
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
        blocking(move || Ok(Arc::new(FileUpload::open(blobs, path, resume)?) as Arc<dyn Upload>))
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
    use std::fs::OpenOptions;
    use std::io::Write as _;

    use bytes::Bytes;

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

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_two_threads_share_is_whole_and_in_order() {
        let (blobs, _dir) = open();
        let batch = |number: u8| -> Vec<Bytes> {
            (0..8).map(|part| Bytes::from(vec![number ^ part; limits::WRITE_BYTES / 8])).collect()
        };
        let upload = blobs.open("one", Resume::New(Algorithm::Sha256)).await.unwrap();
        let mut expected = Vec::new();
        // Enough that the disk is told to begin more than once.
        for number in 0..80 {
            expected.extend(batch(number).concat());
            upload.write(batch(number)).await.unwrap();
        }
        let digest = Digest::sha256(&expected);
        assert_eq!(upload.digest(Algorithm::Sha256).await.unwrap(), digest);
        upload.commit(&digest).await.unwrap();
        assert!(fs::read(blobs.blob_path(&digest)).unwrap() == expected);
    }

    #[tokio::test]
    async fn room_that_was_not_needed_is_given_back() {
        use std::os::unix::fs::MetadataExt as _;
        let (blobs, dir) = open();
        let bytes = Bytes::from(vec![7; limits::SPLIT_BYTES as usize + 1]);
        let used = |path: &Path| fs::metadata(path).unwrap().blocks() * 512;
        let upload = blobs.open("one", Resume::New(Algorithm::Sha256)).await.unwrap();
        upload.write(vec![bytes.clone()]).await.unwrap();
        let path = dir.path().join("registry/uploads/one");
        assert_eq!(fs::metadata(&path).unwrap().len(), bytes.len() as u64, "room is no content");
        upload.sync().await.unwrap();
        assert!(used(&path) < bytes.len() as u64 + (64 << 10), "{}", used(&path));
        upload.write(vec![bytes.clone()]).await.unwrap();
        let digest = upload.digest(Algorithm::Sha256).await.unwrap();
        upload.commit(&digest).await.unwrap();
        let path = blobs.blob_path(&digest);
        assert!(used(&path) < bytes.len() as u64 * 2 + (64 << 10), "{}", used(&path));
        assert!(fs::read(path).unwrap() == [&bytes[..], &bytes[..]].concat());
    }

    #[tokio::test]
    async fn a_file_that_is_what_it_should_be_is_linked() {
        let (blobs, dir) = open();
        let file = dir.path().join("elsewhere");
        fs::write(&file, b"weir").unwrap();
        let digest = Digest::sha256(b"weir");
        assert_eq!(blobs.link(&Digest::sha256(b"other"), &file).await.unwrap(), Linked::Wrong);
        for _ in 0..2 {
            assert_eq!(blobs.link(&digest, &file).await.unwrap(), Linked::Done(4));
            assert_eq!(blobs.size(&digest).await.unwrap(), Some(4));
        }
        blobs.delete(&digest).await.unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"weir", "it stays where it was");
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
