//! What repositories there are and what they hold: the seam to the image streams.
//!
//! A catalog is the authority for tags and for what a repository has held; the registry keeps only content and which
//! repository it came to. Answers are of this moment: a tag that was moved elsewhere by other means is served as it is
//! now.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use oci::{Digest, Manifest};

use crate::access::Subject;
use crate::name::Repository;
use crate::upstream::Upstream;

/// An answer of a catalog, later.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, CatalogError>>;

/// Why a catalog does not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// Somebody may not do this; the text is for them.
    #[error("{0}")]
    Denied(String),
    /// Not now.
    #[error("{0}")]
    Unavailable(String),
    /// Anything else; the text is for the log.
    #[error("{0}")]
    Other(String),
}

/// One life of a repository: a repository that was removed and made again has another one, and sees nothing of what
/// came to the first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Life(pub String);

/// Whether a repository is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Not even its project.
    NoProject,
    /// Its project is, it is not.
    Absent,
    /// It is there.
    Present(Life),
}

/// A manifest that a repository holds by what the catalog knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Its media type, where it is known.
    pub media_type: Option<String>,
    /// Its exact bytes, where the catalog has them; checked against the digest before they are used.
    pub raw: Option<Bytes>,
    /// True when only a pushed list names it. It then counts only if it came to the repository itself, or to one of
    /// `sources`: naming somebody else's image in a list must not open it.
    pub only_named: bool,
    /// The repositories that the list was tagged from, as the repository's own history has it.
    pub sources: Vec<Repository>,
}

/// How an image came to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// It was pushed: what it consists of was here.
    Here,
    /// It was imported: somebody wrote a manifest that names this, which proves nothing about content that is here.
    Elsewhere,
}

/// A manifest that is put.
#[derive(Clone, Copy, Debug)]
pub struct Push<'a> {
    /// Who puts it.
    pub who: &'a Subject,
    /// Where.
    pub repository: &'a Repository,
    /// The tag that points at it from now on; `None` for a manifest that is put by its digest alone.
    pub tag: Option<&'a str>,
    /// Its digest, by the algorithm that the client chose.
    pub digest: &'a Digest,
    /// It.
    pub manifest: &'a Manifest,
    /// The configuration that it names, where there is one and it could be read.
    pub config: Option<&'a Bytes>,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// The repository's life; `None` while there is no repository (a manifest by digest makes none).
    pub life: Option<Life>,
    /// What the client should know.
    pub warnings: Vec<String>,
}

/// Why a manifest was not put.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// There is no such project.
    #[error("no such project")]
    NoProject,
    /// Rights, a limit or a quota are in the way; the text says which.
    #[error("{0}")]
    Denied(String),
    /// The image is not acceptable; the text says why.
    #[error("{0}")]
    Invalid(String),
    /// Anything else.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// A signature of an image, as the signature extension speaks of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// `<digest>@<name>`
    pub name: String,
    /// `atomic`, or whatever the signer said.
    pub kind: String,
    /// The signature itself.
    pub content: Bytes,
}

/// What became of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// It is there now.
    Added,
    /// One of that name or content was there.
    Exists,
    /// There is no such image.
    NoImage,
}

/// Knows repositories, tags and images.
pub trait Catalog: Send + Sync + 'static {
    /// Whether a repository is there.
    fn presence<'a>(&'a self, repository: &'a Repository) -> Answer<'a, Presence>;

    /// The manifest that a tag means now.
    fn resolve<'a>(&'a self, repository: &'a Repository, tag: &'a str) -> Answer<'a, Option<Digest>>;

    /// A manifest, if the repository holds it or has ever held it.
    fn manifest<'a>(&'a self, repository: &'a Repository, digest: &'a Digest) -> Answer<'a, Option<Held>>;

    /// Whether the repository holds a manifest, or has ever held it, by itself: not merely as the child of a list that was
    /// pushed. Cheap, since it is asked for every manifest that is kept ready.
    fn shows<'a>(&'a self, repository: &'a Repository, digest: &'a Digest) -> Answer<'a, bool>;

    /// Whether a blob belongs to an image that the repository holds, and how that image came to it.
    fn holds_blob<'a>(&'a self, repository: &'a Repository, digest: &'a Digest) -> Answer<'a, Option<Came>>;

    /// The places elsewhere where content of the repository may be had, the best first.
    fn upstreams<'a>(
        &'a self,
        repository: &'a Repository,
        digest: &'a Digest,
    ) -> Answer<'a, Vec<Arc<dyn Upstream>>>;

    /// Puts a manifest and moves the tag, as one act; makes the repository where that is allowed.
    fn push<'a>(&'a self, push: Push<'a>) -> BoxFuture<'a, Result<Pushed, PushError>>;

    /// Removes a tag with its history; false when there is none.
    fn delete_tag<'a>(
        &'a self,
        who: &'a Subject,
        repository: &'a Repository,
        tag: &'a str,
    ) -> Answer<'a, bool>;

    /// Tags in the order of their bytes, after `after`, at most `limit`, and whether there are more; `None` when there
    /// is no such repository.
    fn tags<'a>(
        &'a self,
        repository: &'a Repository,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Option<(Vec<String>, bool)>>;

    /// Repositories that somebody may see, as [`Catalog::tags`].
    fn repositories<'a>(
        &'a self,
        who: &'a Subject,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, (Vec<String>, bool)>;

    /// Everything that any repository holds: manifests, configurations, layers. For the collection of what nobody holds.
    fn everything(&self) -> Answer<'_, Vec<Digest>>;

    /// The signatures of an image that somebody may see.
    fn signatures<'a>(&'a self, digest: &'a Digest) -> Answer<'a, Vec<Signature>>;

    /// Adds a signature to an image that somebody may see.
    fn sign<'a>(&'a self, who: &'a Subject, digest: &'a Digest, signature: Signature) -> Answer<'a, Signed>;
}
