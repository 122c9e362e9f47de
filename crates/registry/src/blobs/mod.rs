//! Where content lies: the seam between the protocol and a file system or an object store.
//!
//! A backend takes uploads (hashing while it writes), makes a finished one content under its digest, and reads content.
//! It knows nothing of repositories: what may be read through which repository is in [`crate::records`]. Uploads go on
//! after a restart from what [`Progress`] said, so nothing is ever read again just to hash it, unless the client names a
//! digest of another algorithm at the end.

#[cfg(test)]
pub(crate) mod conformance;
mod files;
mod objects;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use oci::Digest;
use oci::digest::Algorithm;

pub use files::FileBlobs;
pub use objects::{ObjectBlobs, ObjectSettings};

/// A result of a backend, later.
pub type Io<'a, T> = BoxFuture<'a, io::Result<T>>;

/// How far an upload is: so many bytes, and the hash over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes taken in.
    pub offset: u64,
    /// The hash that runs along.
    pub algorithm: Algorithm,
    /// Its state, see [`oci::digest::Hasher::save`].
    pub state: Vec<u8>,
}

/// Where an upload begins or goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    /// At nothing, with a hash of this kind.
    New(Algorithm),
    /// As [`Resume::New`], and what was written can be read at once.
    Shared(Algorithm),
    /// Where it was; bytes behind that are forgotten.
    At(Progress),
}

/// Bytes of content. An error in the middle means that there are no more.
pub type Pieces = BoxStream<'static, io::Result<Bytes>>;

/// What became of a file that was to be content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// It is, with so many bytes.
    Done(u64),
    /// It is not what the digest says.
    Wrong,
    /// It would have to be copied.
    Impossible,
}

/// An upload that is being written. Callers write one after the other. A future that is dropped leaves the upload as it
/// was or as it would have been, never in between.
pub trait Upload: Send + Sync {
    /// Takes in the next bytes.
    fn write(&self, chunks: Vec<Bytes>) -> Io<'_, ()>;

    /// How far it is.
    fn progress(&self) -> Progress;

    /// Makes what was taken in so far survive a power cut.
    fn sync(&self) -> Io<'_, Progress>;

    /// Reads of what was taken in so far, also after it became content. The range lies within it. For uploads that began
    /// as [`Resume::Shared`].
    fn read(&self, range: Range<u64>) -> Io<'_, Bytes>;

    /// The digest of everything taken in, by any algorithm.
    fn digest(&self, algorithm: Algorithm) -> Io<'_, Digest>;

    /// Makes it the content of `digest`, durably. The caller has compared the digest.
    fn commit<'a>(&'a self, digest: &'a Digest) -> Io<'a, ()>;
}

/// Keeps content.
pub trait Blobs: Send + Sync + 'static {
    /// Whether other servers go on with the uploads of this one.
    fn is_shared(&self) -> bool {
        false
    }

    /// Begins an upload, or goes on with one. `id` is a plain word.
    ///
    /// An upload that is shorter than it should be is an error of kind `NotFound`: it has to begin anew.
    fn open<'a>(&'a self, id: &'a str, resume: Resume) -> Io<'a, Arc<dyn Upload>>;

    /// Forgets an upload. One that is not there is no error.
    fn abort<'a>(&'a self, id: &'a str) -> Io<'a, ()>;

    /// Forgets all uploads but those that are named; returns how many there were.
    fn abort_others<'a>(&'a self, known: &'a (dyn Fn(&str) -> bool + Send + Sync)) -> Io<'a, usize>;

    /// Makes a file that nobody changes any more the content of a digest, durably and without a copy, where that can be
    /// done. Its bytes are checked.
    fn link<'a>(&'a self, digest: &'a Digest, file: &'a Path) -> Io<'a, Linked> {
        let _ = (digest, file);
        async { Ok(Linked::Impossible) }.boxed()
    }

    /// The length of content, if it is there.
    fn size<'a>(&'a self, digest: &'a Digest) -> Io<'a, Option<u64>>;

    /// Reads a part of content. The range lies within it.
    fn read<'a>(&'a self, digest: &'a Digest, range: Range<u64>) -> Io<'a, Pieces>;

    /// Where clients can fetch content themselves, if they are to.
    fn redirect<'a>(&'a self, digest: &'a Digest) -> Io<'a, Option<String>>;

    /// The digests of all content whose hash begins with this byte: a part that fits in memory.
    fn list(&self, first: u8) -> Io<'_, Vec<Digest>>;

    /// Removes content. What is not there is no error.
    fn delete<'a>(&'a self, digest: &'a Digest) -> Io<'a, ()>;

    /// Whether content can be read and written; an error says why not.
    fn check(&self) -> Io<'_, ()>;
}
