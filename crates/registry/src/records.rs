//! What is known about content, in the store under `/registry/`.
//!
//! | key | value |
//! | --- | --- |
//! | `/registry/blob/<digest>` | content that is there: its length and when it was needed last |
//! | `/registry/link/<project>/<name>/<digest>` | content that came to this repository |
//! | `/registry/referrer/<project>/<name>/<subject>/<digest>` | a manifest of this repository that is about another one |
//! | `/registry/origin/<digest>/<hash of a place>` | content that this place elsewhere has given |
//! | `/registry/upload/<id>` | an upload: whose, where to, how far |
//!
//! Invariants: a blob record says that the bytes are there and complete. A link names the life of the repository that it
//! belongs to, or none when there was no repository yet; a link of another life counts as absent. Whoever relies on
//! content (a link, a manifest) writes its blob record in the same transaction, so that a removal that was decided before
//! fails on its guard.

use bytes::Bytes;
use oci::Digest;
use oci::digest::Algorithm;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use store::{Key, Range, Revision, Store};

use crate::blobs::Progress;
use crate::catalog::{Life, Presence};
use crate::error::Error;
use crate::limits;
use crate::name::Repository;

/// Prefix of all blob records.
pub const BLOBS: &str = "/registry/blob/";
/// Prefix of all links.
pub const LINKS: &str = "/registry/link/";
/// Prefix of all uploads.
pub const UPLOADS: &str = "/registry/upload/";
/// Prefix of all notes about who gave content.
pub const ORIGINS: &str = "/registry/origin/";
/// Prefix of all referrers.
pub const REFERRERS: &str = "/registry/referrer/";

/// Content that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRecord {
    /// Bytes.
    pub size: u64,
    /// When somebody last relied on it, in seconds since 1970.
    pub needed: u64,
}

/// Content that came to a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The life of the repository; empty for one that was made before the repository.
    pub life: String,
    /// When, in seconds since 1970.
    pub made: u64,
    /// For manifests, their media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// For manifests that are about another one, its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Digest>,
}

impl Link {
    /// Whether it counts for a repository as it is now.
    pub fn counts(&self, presence: &Presence) -> bool {
        self.life.is_empty() || matches!(presence, Presence::Present(Life(life)) if *life == self.life)
    }
}

/// A manifest that is about another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Referrer {
    /// As [`Link::life`].
    pub life: String,
    /// The descriptor that clients are shown.
    pub descriptor: Value,
}

/// An upload that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRecord {
    /// Where it goes.
    pub repository: String,
    /// Who began it; nobody else may go on with it.
    pub user: String,
    /// When it was last written to, in seconds since 1970.
    pub touched: u64,
    /// Bytes taken in durably.
    pub offset: u64,
    /// Name of the hash.
    pub algorithm: String,
    /// Its state in base64.
    pub state: String,
}

impl UploadRecord {
    /// How far the upload is.
    ///
    /// # Errors
    /// 500 for a record that cannot be read.
    pub fn progress(&self) -> Result<Progress, Error> {
        use base64::Engine as _;
        let algorithm = Algorithm::from_name(&self.algorithm);
        let state = base64::engine::general_purpose::STANDARD.decode(&self.state).ok();
        match (algorithm, state) {
            (Some(algorithm), Some(state)) => Ok(Progress { offset: self.offset, algorithm, state }),
            _ => Err(Error::unexpected("an upload cannot go on", &"its record is broken")),
        }
    }

    /// Notes how far the upload is.
    pub fn note(&mut self, progress: &Progress, now: u64) {
        use base64::Engine as _;
        self.offset = progress.offset;
        progress.algorithm.as_str().clone_into(&mut self.algorithm);
        self.state = base64::engine::general_purpose::STANDARD.encode(&progress.state);
        self.touched = now;
    }
}

/// The key of content.
pub fn blob_key(digest: &Digest) -> Key {
    key(&format!("{BLOBS}{digest}"))
}

/// The key of a link.
pub fn link_key(repository: &Repository, digest: &Digest) -> Key {
    key(&format!("{LINKS}{repository}/{digest}"))
}

/// The key of a referrer.
pub fn referrer_key(repository: &Repository, subject: &Digest, digest: &Digest) -> Key {
    key(&format!("{REFERRERS}{repository}/{subject}/{digest}"))
}

/// The key of the note that a place elsewhere has given content.
pub fn origin_key(digest: &Digest, place: &str) -> Key {
    key(&format!("{ORIGINS}{digest}/{}", Digest::sha256(place.as_bytes()).hex()))
}

/// The key of an upload; `None` for an id that cannot be one.
pub fn upload_key(id: &str) -> Option<Key> {
    let is_id = (32..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    is_id.then(|| key(&format!("{UPLOADS}{id}")))
}

fn key(text: &str) -> Key {
    Key::new(text).expect("repositories, digests and ids are words without slashes, and short")
}

/// A record's bytes.
pub fn encode<T: Serialize>(record: &T) -> Bytes {
    serde_json::to_vec(record).expect("records hold texts and numbers").into()
}

/// A record from its bytes.
///
/// # Errors
/// 500 for a record that cannot be read.
pub fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(value)
        .map_err(|error| Error::unexpected("a record of the registry cannot be read", &error))
}

/// Reads a record with its revision.
///
/// # Errors
/// 503, or 500 for a record that cannot be read.
pub async fn get<T: DeserializeOwned>(store: &dyn Store, key: &Key) -> Result<Option<(T, Revision)>, Error> {
    match store.get(key, None).await? {
        Some(found) => Ok(Some((decode(&found.value)?, found.modified))),
        None => Ok(None),
    }
}

/// Reads one page of what lies under a prefix; hand the range that is returned in again for the next.
///
/// # Errors
/// 503.
pub async fn page(store: &dyn Store, range: Range) -> Result<(Vec<store::Versioned>, Option<Range>), Error> {
    let page = store.range(Range { limit: limits::WALK_PAGE, ..range.clone() }).await?;
    // Later pages are read as of then, not as of the first page: a walk may take longer than the past is kept.
    let next = page.next.clone().map(|after| Range { after: Some(after), at: None, ..range });
    Ok((page.items, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_count_for_their_life_alone() {
        let link = |life: &str| Link { life: life.into(), made: 0, media_type: None, subject: None };
        let now = Presence::Present(Life("two".into()));
        assert!(link("two").counts(&now) && link("").counts(&now));
        assert!(!link("one").counts(&now) && !link("one").counts(&Presence::Absent));
        assert!(link("").counts(&Presence::Absent));
    }

    #[test]
    fn ids_that_are_no_ids_have_no_key() {
        assert!(upload_key(&"a".repeat(32)).is_some());
        for bad in ["", "x", "../../../../etc/passwd/aaaaaaaaaaaaaaaaa", &"a".repeat(65), &"/".repeat(40)] {
            assert!(upload_key(bad).is_none(), "{bad}");
        }
    }
}
