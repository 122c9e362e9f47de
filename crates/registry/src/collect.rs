//! Removing what nobody needs, while the registry goes on.
//!
//! Content is needed when an image stream holds it, when a manifest that counts in some repository consists of it, when
//! a link that counts is young, or when somebody relied on it within the grace period. Everything else goes, one
//! transaction at a time, guarded by the content's record: whoever relies on content writes that record, so a removal
//! that was decided before fails. Record and bytes are removed under the same lock as new content of the same digest
//! arrives, so that bytes that have just come are never taken away with old ones.
//!
//! A walk that fails in the middle has removed only what was not needed.

use std::collections::HashSet;

use oci::manifest::View;
use oci::{Digest, Manifest};
use store::{CommitError, Range, Txn, Versioned};

use crate::catalog::Presence;
use crate::error::Error;
use crate::limits;
use crate::name::Repository;
use crate::records::{self, BlobRecord, Link, Referrer, UploadRecord};
use crate::registry::Registry;

/// What a collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Links and referrers of repositories that are gone.
    pub links: usize,
    /// Contents.
    pub blobs: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// Uploads that nobody went on with.
    pub uploads: usize,
    /// Bytes without a record: what a crash left.
    pub strays: usize,
}

/// A link with the repository and the digest of its key.
struct Found {
    repository: Repository,
    digest: Digest,
    link: Link,
    item: Versioned,
}

impl Registry {
    /// Removes what nobody needs, once.
    ///
    /// # Errors
    /// What stopped it; it may be called again.
    pub async fn collect(&self) -> Result<Collected, CollectError> {
        let mut done = Collected::default();
        self.close_idle().await?;
        self.forget_uploads(&mut done).await?;
        let needed = self.needed(&mut done).await?;
        self.remove_blobs(&needed, &mut done).await?;
        self.remove_strays(&mut done).await?;
        Ok(done)
    }

    /// Notes how far the uploads are that nobody is writing to: for a stop that is not sudden.
    ///
    /// # Errors
    /// What stopped it.
    pub async fn rest(&self) -> Result<(), CollectError> {
        Ok(self.close_idle().await?)
    }

    /// Ends uploads that nobody went on with.
    async fn forget_uploads(&self, done: &mut Collected) -> Result<(), Error> {
        let now = self.now();
        let mut range = Some(Range::of(records::UPLOADS));
        while let Some(here) = range {
            let (items, next) = records::page(&*self.store, here).await?;
            for item in items {
                let record: UploadRecord = records::decode(&item.value)?;
                let is_old = now.saturating_sub(record.touched) > limits::SESSION_AGE;
                if is_old && self.remove(&item).await? {
                    self.blobs.abort(item.key.name()).await?;
                    done.uploads += 1;
                }
            }
            range = next;
        }
        Ok(())
    }

    /// Everything that is needed. Links that do not count any more are removed on the way.
    async fn needed(&self, done: &mut Collected) -> Result<HashSet<Digest>, Error> {
        let mut needed: HashSet<Digest> = self.catalog.everything().await?.into_iter().collect();
        let mut range = Some(Range::of(records::LINKS));
        while let Some(here) = range {
            let (items, next) = records::page(&*self.store, here).await?;
            for item in items {
                let Some(found) = read_link(item)? else { continue };
                self.mark(found, &mut needed, done).await?;
            }
            range = next;
        }
        self.forget_referrers(done).await?;
        Ok(needed)
    }

    /// Marks what one link needs, or removes the link.
    async fn mark(
        &self,
        found: Found,
        needed: &mut HashSet<Digest>,
        done: &mut Collected,
    ) -> Result<(), Error> {
        let presence = self.catalog.presence(&found.repository).await?;
        let is_young = self.now().saturating_sub(found.link.made) <= limits::GRACE;
        let is_unclaimed = found.link.life.is_empty() && presence == Presence::Absent;
        let lives = found.link.counts(&presence) && presence != Presence::NoProject;
        if !lives || (is_unclaimed && !is_young) {
            done.links += usize::from(self.remove(&found.item).await?);
            return Ok(());
        }
        if found.link.media_type.is_some() {
            // A manifest stays until it is deleted, and with it what it consists of.
            if let Some(stored) = self.bytes(&found.digest, limits::MANIFEST_BYTES as u64).await? {
                let media_type = found.link.media_type.as_deref().unwrap_or_default();
                match Manifest::parse(media_type, stored) {
                    Ok(manifest) => needed.extend(parts(&manifest)),
                    Err(error) => tracing::warn!(digest = %found.digest, %error, "a manifest cannot be read"),
                }
            }
            needed.insert(found.digest);
        } else if is_young {
            needed.insert(found.digest);
        }
        Ok(())
    }

    async fn forget_referrers(&self, done: &mut Collected) -> Result<(), Error> {
        let mut range = Some(Range::of(records::REFERRERS));
        while let Some(here) = range {
            let (items, next) = records::page(&*self.store, here).await?;
            for item in items {
                let row: Referrer = records::decode(&item.value)?;
                let rest = item.key.as_str().strip_prefix(records::REFERRERS).unwrap_or_default();
                let path = rest.rsplitn(3, '/').nth(2).unwrap_or_default();
                let Ok(repository) = Repository::parse(path) else { continue };
                let link = Link { life: row.life, made: 0, media_type: None, subject: None };
                if !link.counts(&self.catalog.presence(&repository).await?) {
                    done.links += usize::from(self.remove(&item).await?);
                }
            }
            range = next;
        }
        Ok(())
    }

    /// Removes a record as it was read; false when it was written meanwhile.
    async fn remove(&self, item: &Versioned) -> Result<bool, Error> {
        let txn =
            Txn::new().guard(item.key.clone(), store::Expect::At(item.modified)).delete(item.key.clone());
        match self.store.commit(txn).await {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn remove_blobs(&self, needed: &HashSet<Digest>, done: &mut Collected) -> Result<(), Error> {
        let now = self.now();
        let mut range = Some(Range::of(records::BLOBS));
        while let Some(here) = range {
            let (items, next) = records::page(&*self.store, here).await?;
            for item in items {
                let record: BlobRecord = records::decode(&item.value)?;
                let Ok(digest) = Digest::parse(item.key.name()) else { continue };
                if needed.contains(&digest) || now.saturating_sub(record.needed) <= limits::GRACE {
                    continue;
                }
                let _apart = self.lock_digest(&digest).await;
                if self.remove(&item).await? {
                    self.forget_ready(&digest);
                    self.blobs.delete(&digest).await?;
                    done.blobs += 1;
                    done.bytes += record.size;
                }
            }
            range = next;
        }
        Ok(())
    }

    /// Removes bytes that have no record. New ones get theirs under the same lock.
    async fn remove_strays(&self, done: &mut Collected) -> Result<(), Error> {
        for first in 0..=u8::MAX {
            for digest in self.blobs.list(first).await? {
                let key = records::blob_key(&digest);
                if self.store.get(&key, None).await?.is_some() {
                    continue;
                }
                let _apart = self.lock_digest(&digest).await;
                if self.store.get(&key, None).await?.is_none() {
                    self.blobs.delete(&digest).await?;
                    done.strays += 1;
                }
            }
        }
        Ok(())
    }

    /// Forgets the bytes of uploads that have no record, as a crash leaves them. For the start, before requests come:
    /// later, an upload may have bytes and get its record in the next moment.
    ///
    /// # Errors
    /// What stopped it.
    pub async fn recover(&self) -> Result<usize, CollectError> {
        let mut known = HashSet::new();
        let mut range = Some(Range::of(records::UPLOADS));
        while let Some(here) = range {
            let (items, next) = records::page(&*self.store, here).await.map_err(CollectError)?;
            known.extend(items.into_iter().map(|item| item.key.name().to_owned()));
            range = next;
        }
        self.blobs.abort_others(&|id| known.contains(id)).await.map_err(|error| CollectError(error.into()))
    }
}

/// Why a collection stopped.
#[derive(Debug)]
pub struct CollectError(Error);

impl std::fmt::Display for CollectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0.code())
    }
}

impl std::error::Error for CollectError {}

impl From<Error> for CollectError {
    fn from(error: Error) -> CollectError {
        CollectError(error)
    }
}

/// What a manifest consists of: configuration and layers, or children. Not its subject: that one stays for itself.
pub(crate) fn parts(manifest: &Manifest) -> Vec<Digest> {
    match manifest.view() {
        View::Schema2(image) | View::Oci(image) => {
            let parts = std::iter::once(&image.config).chain(&image.layers);
            parts.map(|part| part.digest.clone()).collect()
        }
        View::List(index) | View::Index(index) => {
            index.manifests.iter().map(|child| child.digest.clone()).collect()
        }
        View::Schema1(_) => Vec::new(),
    }
}

/// Reads a link; `None` for a key that names none, which somebody else wrote.
fn read_link(item: Versioned) -> Result<Option<Found>, Error> {
    let rest = item.key.as_str().strip_prefix(records::LINKS).unwrap_or_default();
    let Some((path, digest)) = rest.rsplit_once('/') else { return Ok(None) };
    let (Ok(repository), Ok(digest)) = (Repository::parse(path), Digest::parse(digest)) else {
        return Ok(None);
    };
    let link = records::decode(&item.value)?;
    Ok(Some(Found { repository, digest, link, item }))
}
