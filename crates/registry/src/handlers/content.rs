//! Content in repositories: what may be read through which, and how it comes in.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use oci::Digest;
use store::{CommitError, Txn};

use crate::blobs::{Resume, Upload};
use crate::catalog::{Came, Life, Presence};
use crate::error::{Code, Error};
use crate::limits;
use crate::name::Repository;
use crate::records::{self, BlobRecord, Link};
use crate::registry::Registry;

/// Reads `text` as a digest.
pub(crate) fn digest(text: &str) -> Result<Digest, Error> {
    Digest::parse(text).map_err(|error| {
        Error::new(Code::DigestInvalid).message(format!("invalid digest {text:?}: {error}")).detail(text)
    })
}

impl Registry {
    /// A repository's link to content, if it counts now.
    pub(crate) async fn link(&self, repository: &Repository, digest: &Digest) -> Result<Option<Link>, Error> {
        let found = records::get::<Link>(&*self.store, &records::link_key(repository, digest)).await?;
        let Some((link, _)) = found else { return Ok(None) };
        if link.life.is_empty() {
            return Ok(Some(link));
        }
        let presence = self.catalog.presence(repository).await?;
        Ok(Some(link).filter(|link| link.counts(&presence)))
    }

    /// Content that may be read through a repository: it came to it, or belongs to an image that it holds.
    pub(crate) async fn readable(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<BlobRecord>, Error> {
        let Some(record) = self.stored(digest).await? else { return Ok(None) };
        // The catalog is in memory, links are not.
        let held = self.catalog.holds_blob(repository, digest).await?;
        let belongs = held == Some(Came::Here)
            || self.link(repository, digest).await?.is_some()
            || (held.is_some() && self.came_from_own_place(repository, digest).await?);
        Ok(Some(record).filter(|_| belongs))
    }

    /// Content that is here, whoever may read it. That somebody asked keeps it from being collected for a while.
    pub(crate) async fn stored(&self, digest: &Digest) -> Result<Option<BlobRecord>, Error> {
        let key = records::blob_key(digest);
        let Some((mut record, revision)) = records::get::<BlobRecord>(&*self.store, &key).await? else {
            return Ok(None);
        };
        let now = self.now();
        if now.saturating_sub(record.needed) > limits::NEEDED_STEP {
            record.needed = now;
            match self.store.commit(Txn::new().update(key.clone(), revision, records::encode(&record))).await
            {
                // Another reader noted it, or it was removed just now.
                Err(CommitError::Conflict { current, .. }) => return Ok(current.map(|_| record)),
                committed => committed?,
            };
        }
        Ok(Some(record))
    }

    /// Makes a finished upload content of a repository: bytes first, then the records, in one transaction with the end
    /// of the session.
    pub(crate) async fn keep(
        &self,
        upload: &Arc<dyn Upload>,
        digest: &Digest,
        link: Option<(&Repository, Link)>,
        session: Option<&str>,
    ) -> Result<(), Error> {
        let size = upload.progress().offset;
        let _apart = self.lock_digest(digest).await;
        // Content without a record may be what a crash left: nobody knows whether its place is durable.
        let known = records::get::<BlobRecord>(&*self.store, &records::blob_key(digest)).await?;
        if known.is_none() || self.blobs.size(digest).await? != Some(size) {
            upload.commit(digest).await?;
        }
        let record = BlobRecord { size, needed: self.now() };
        let mut txn = Txn::new().put(records::blob_key(digest), records::encode(&record));
        if let Some((repository, link)) = link {
            txn = txn.put(records::link_key(repository, digest), records::encode(&link));
        }
        if let Some(key) = session.and_then(records::upload_key) {
            txn = txn.delete(key);
        }
        self.store.commit(txn).await?;
        Ok(())
    }

    /// Makes bytes content, without a link.
    pub(crate) async fn keep_bytes(&self, digest: &Digest, bytes: &Bytes) -> Result<(), Error> {
        let id = self.random_id();
        let upload = self.blobs.open(&id, Resume::New(digest.algorithm())).await?;
        let kept = async {
            upload.write(vec![bytes.clone()]).await?;
            self.keep(&upload, digest, None, None).await
        }
        .await;
        // Nothing is left of it when it became content.
        self.blobs.abort(&id).await?;
        kept
    }

    /// Links content that is here to another repository; false when it was removed meanwhile.
    pub(crate) async fn attach(
        &self,
        repository: &Repository,
        digest: &Digest,
        link: &Link,
    ) -> Result<bool, Error> {
        let key = records::blob_key(digest);
        for _ in 0..limits::ATTEMPTS {
            let Some((mut record, revision)) = records::get::<BlobRecord>(&*self.store, &key).await? else {
                return Ok(false);
            };
            record.needed = self.now();
            let txn = Txn::new()
                .update(key.clone(), revision, records::encode(&record))
                .put(records::link_key(repository, digest), records::encode(link));
            match self.store.commit(txn).await {
                Err(CommitError::Conflict { .. }) => {}
                committed => return Ok(committed.map(|_| true)?),
            }
        }
        Err(Error::unavailable(&"others kept writing the same record"))
    }

    /// A new link of a repository as it is now.
    pub(crate) fn new_link(&self, presence: &Presence) -> Link {
        let life = match presence {
            Presence::Present(Life(life)) => life.clone(),
            Presence::Absent | Presence::NoProject => String::new(),
        };
        Link { life, made: self.now(), media_type: None, subject: None }
    }

    /// All bytes of a small blob that is here, from memory when it was read before.
    pub(crate) async fn small(&self, digest: &Digest, size: u64) -> Result<Bytes, Error> {
        if let Some(bytes) = self.small.get(digest) {
            return Ok(bytes);
        }
        let bytes = whole(self.blobs.read(digest, 0..size).await?.try_collect().await?);
        self.small.put(digest, &bytes, bytes.len());
        Ok(bytes)
    }

    /// Keeps content no longer in memory that was removed.
    pub(crate) fn forget_ready(&self, digest: &Digest) {
        self.manifests.forget(digest);
        self.small.forget(digest);
    }

    /// All bytes of small content. `None` when it is not there or too long.
    pub(crate) async fn bytes(&self, digest: &Digest, most: u64) -> Result<Option<Bytes>, Error> {
        let Some(size) = self.blobs.size(digest).await?.filter(|size| *size <= most) else { return Ok(None) };
        Ok(Some(whole(self.blobs.read(digest, 0..size).await?.try_collect().await?)))
    }
}

fn whole(pieces: Vec<Bytes>) -> Bytes {
    match <[Bytes; 1]>::try_from(pieces) {
        Ok([whole]) => whole,
        Err(pieces) => pieces.concat().into(),
    }
}
