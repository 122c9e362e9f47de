//! Content that lies elsewhere: the seam to other people's registries.
//!
//! A repository may hold images that were imported: their manifests and blobs are at the place that the import named, or
//! at a mirror of it. Which places those are, in which order they are asked and with which credentials is the catalog's
//! business ([`crate::Catalog::upstreams`]); how a place is asked politely is the place's.

use futures_util::future::BoxFuture;
use oci::client::BlobStream;
use oci::{Digest, Manifest};

/// An answer of a place, later.
pub type Told<'a, T> = BoxFuture<'a, Result<T, UpstreamError>>;

/// Why a place did not give what was asked for. Never a statement about the content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// It wants to be left alone.
    #[error("{why}")]
    TooManyRequests {
        /// Seconds, when it said so.
        retry_after: Option<u64>,
        /// In its own words.
        why: String,
    },
    /// Anything else, in its own words.
    #[error("{0}")]
    Failed(String),
}

/// A repository elsewhere, asked in one way.
pub trait Upstream: Send + Sync + 'static {
    /// `host/path`: what gave content once is known by this name.
    fn place(&self) -> &str;

    /// A manifest, checked against its digest.
    fn manifest<'a>(&'a self, digest: &'a Digest) -> Told<'a, Manifest>;

    /// A blob's length as the place claims it; `None` when it does not say.
    fn size<'a>(&'a self, digest: &'a Digest) -> Told<'a, Option<u64>>;

    /// A blob. Nobody has checked its digest yet.
    fn open<'a>(&'a self, digest: &'a Digest) -> Told<'a, BlobStream>;
}
