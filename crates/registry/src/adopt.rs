//! Adoption of a volume that Docker's registry has filled.
//!
//! Its layout is read as it is: content under `blobs`, and for each repository links to layers, revisions of manifests and
//! tags. What a repository has is taken over as if it had been pushed: content first and checked, then manifests, images
//! before the lists that name them, then tags in the order in which they were set. Whatever is here already stays as it is,
//! so an adoption that stopped half-way goes on where it was, and one that is done changes nothing.
//!
//! The volume is only read, and nobody may write to it meanwhile. Content is linked where the file systems allow it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use oci::{Digest, Manifest};
use store::Txn;

use crate::access::Subject;
use crate::blobs::{Linked, Resume};
use crate::error::{Code, Error};
use crate::handlers::push;
use crate::limits;
use crate::name::Repository;
use crate::records::{self, BlobRecord, Link};
use crate::registry::Registry;

/// Where Docker's registry keeps everything, below the directory that it was given.
const LAYOUT: &str = "docker/registry/v2";

/// A volume of Docker's registry.
#[derive(Clone, Debug)]
pub struct Volume {
    root: PathBuf,
}

/// A repository of a volume.
#[derive(Clone, Debug)]
pub struct Shelf {
    /// Its name, which need not be one of ours.
    pub name: String,
    path: PathBuf,
}

/// What was taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Layers and configurations.
    pub blobs: usize,
    /// Manifests.
    pub manifests: usize,
    /// Tags.
    pub tags: usize,
    /// What could not be; the log says why.
    pub left: usize,
}

/// What a repository has, as its links say.
#[derive(Debug, Default)]
struct Contents {
    layers: Vec<Digest>,
    revisions: Vec<Digest>,
    /// In the order in which they were set.
    tags: Vec<(SystemTime, String, Digest)>,
}

impl Volume {
    /// The volume in the directory that Docker's registry was given as its root.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(directory: &Path) -> io::Result<Volume> {
        let root = directory.join(LAYOUT);
        fs::metadata(root.join("repositories"))?;
        Ok(Volume { root })
    }

    /// All repositories, in the order of their names.
    ///
    /// # Errors
    /// When directories cannot be read, or there are too many.
    pub async fn repositories(&self) -> io::Result<Vec<Shelf>> {
        let root = self.root.join("repositories");
        blocking(move || {
            let (mut found, mut waiting) = (Vec::new(), vec![(String::new(), root, 0)]);
            while let Some((name, path, depth)) = waiting.pop() {
                for (word, path) in entries(&path)? {
                    if word == "_manifests" {
                        let path = path.parent().unwrap_or(&path).to_owned();
                        found.push(Shelf { name: name.clone(), path });
                    } else if !word.starts_with('_') && depth < limits::VOLUME_DEPTH {
                        let name = if name.is_empty() { word } else { format!("{name}/{word}") };
                        waiting.push((name, path, depth + 1));
                    }
                }
                if found.len() > limits::VOLUME_ENTRIES {
                    return Err(io::Error::other("there are too many repositories"));
                }
            }
            found.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(found)
        })
        .await
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let algorithm = digest.algorithm().as_str();
        self.root.join("blobs").join(algorithm).join(&hex[..2]).join(hex).join("data")
    }
}

impl Contents {
    fn read(path: &Path) -> io::Result<Contents> {
        let mut tags = Vec::new();
        for (tag, path) in entries(&path.join("_manifests/tags"))? {
            let link = path.join("current/link");
            let Some(digest) = read_link(&link)? else { continue };
            if oci::reference::is_tag(&tag) {
                tags.push((fs::metadata(&link)?.modified()?, tag, digest));
            }
        }
        tags.sort();
        let (layers, revisions) = (links(&path.join("_layers"))?, links(&path.join("_manifests/revisions"))?);
        Ok(Contents { layers, revisions, tags })
    }
}

impl Registry {
    /// Takes over a repository of a volume, whose project is there, in somebody's name.
    ///
    /// # Errors
    /// When the volume cannot be read, or nothing can be kept. What is wrong with single contents is logged.
    pub async fn take_over(
        self: &Arc<Self>,
        volume: &Volume,
        shelf: &Shelf,
        repository: &Repository,
        who: &Subject,
    ) -> Result<Adopted, String> {
        let path = shelf.path.clone();
        let contents = blocking(move || Contents::read(&path)).await.map_err(|error| error.to_string())?;
        let mut done = Adopted::default();
        let told = |error: Error| error.text().to_owned();
        for layer in &contents.layers {
            // A manifest is a link of this kind, too, in some volumes; it is taken as what it is.
            if self.readable(repository, layer).await.map_err(told)?.is_none() {
                let taken = self.take_layer(volume, repository, layer).await;
                count(taken.map_err(|error| (repository, layer, error)), &mut done.blobs, &mut done.left);
            }
        }
        let mut manifests = Vec::new();
        for digest in &contents.revisions {
            match self.read_manifest(volume, digest).await {
                Ok(manifest) => manifests.push((digest, manifest)),
                Err(error) => count(Err((repository, digest, error)), &mut 0, &mut done.left),
            }
        }
        // An image first, then the lists that it is in, then lists of lists.
        let known: BTreeSet<&Digest> = contents.revisions.iter().collect();
        manifests.sort_by_key(|(_, manifest)| {
            let children = manifest.children().unwrap_or_default();
            children.iter().filter(|child| known.contains(&child.digest)).count()
        });
        for (digest, manifest) in &manifests {
            if self.claim(repository, digest).await.map_err(told)?.is_none() {
                let put = self.put_adopted(who, repository, (digest, manifest), &[]).await;
                count(put.map_err(|error| (repository, *digest, error)), &mut done.manifests, &mut done.left);
            }
        }
        for (_, tag, digest) in &contents.tags {
            let found = self.catalog.resolve(repository, tag).await;
            let is_there = found.map_err(|error| error.to_string())?.is_some();
            let manifest = manifests.iter().find(|(revision, _)| *revision == digest);
            let Some((_, manifest)) = manifest.filter(|_| !is_there) else { continue };
            let put = self.put_adopted(who, repository, (digest, manifest), std::slice::from_ref(tag)).await;
            count(put.map_err(|error| (repository, digest, error)), &mut done.tags, &mut done.left);
        }
        Ok(done)
    }

    async fn put_adopted(
        self: &Arc<Self>,
        who: &Subject,
        repository: &Repository,
        what: (&Digest, &Manifest),
        tags: &[String],
    ) -> Result<(), Error> {
        let presence = self.project(repository).await?;
        self.put_manifest(who, repository, &presence, what, tags).await.map(drop)
    }

    async fn read_manifest(&self, volume: &Volume, digest: &Digest) -> Result<Manifest, Error> {
        let path = volume.blob(digest);
        let raw = blocking(move || {
            let mut raw = Vec::new();
            fs::File::open(path)?.take(limits::MANIFEST_BYTES as u64 + 1).read_to_end(&mut raw)?;
            Ok(raw)
        });
        let raw = raw.await?;
        if raw.len() > limits::MANIFEST_BYTES || !digest.matches(&raw) {
            return Err(Error::new(Code::DigestInvalid));
        }
        push::parse("", raw.into())
    }

    /// Takes over content and links it to a repository.
    async fn take_layer(
        &self,
        volume: &Volume,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(), Error> {
        let link = self.new_link(&self.project(repository).await?);
        if self.stored(digest).await?.is_some() && self.attach(repository, digest, &link).await? {
            return Ok(());
        }
        let path = volume.blob(digest);
        let apart = self.lock_digest(digest).await;
        match self.blobs.link(digest, &path).await? {
            Linked::Done(size) => {
                let record = BlobRecord { size, needed: self.now() };
                let txn = Txn::new()
                    .put(records::blob_key(digest), records::encode(&record))
                    .put(records::link_key(repository, digest), records::encode(&link));
                self.store.commit(txn).await?;
                Ok(())
            }
            Linked::Wrong => Err(Error::new(Code::DigestInvalid)),
            Linked::Impossible => {
                drop(apart);
                self.copy_layer(path, repository, digest, link).await
            }
        }
    }

    async fn copy_layer(
        &self,
        path: PathBuf,
        repository: &Repository,
        digest: &Digest,
        link: Link,
    ) -> Result<(), Error> {
        let id = self.random_id();
        let upload = self.blobs.open(&id, Resume::New(digest.algorithm())).await?;
        let copied = async {
            let mut file = blocking(move || fs::File::open(path)).await?;
            loop {
                let (piece, rest) = blocking(move || {
                    let mut piece = Vec::new();
                    (&mut file).take(limits::WRITE_BYTES as u64).read_to_end(&mut piece)?;
                    Ok((Bytes::from(piece), file))
                })
                .await?;
                file = rest;
                if piece.is_empty() {
                    break;
                }
                upload.write(vec![piece]).await?;
            }
            if upload.digest(digest.algorithm()).await? != *digest {
                return Err(Error::new(Code::DigestInvalid));
            }
            self.keep(&upload, digest, Some((repository, link)), None).await
        }
        .await;
        // Nothing is left of it when it became content.
        self.blobs.abort(&id).await?;
        copied
    }
}

/// Counts what was done, and tells what was not.
fn count(done: Result<(), (&Repository, &Digest, Error)>, well: &mut usize, left: &mut usize) {
    match done {
        Ok(()) => *well += 1,
        Err((repository, digest, error)) => {
            *left += 1;
            tracing::warn!(%repository, %digest, why = error.text(), "content could not be adopted");
        }
    }
}

/// The names of a directory that are text, with their paths; none when there is no such directory.
fn entries(path: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let found = match fs::read_dir(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        found => found?,
    };
    let mut names = Vec::new();
    for entry in found {
        let entry = entry?;
        if names.len() >= limits::VOLUME_ENTRIES {
            return Err(io::Error::other(format!("{} has too many entries", path.display())));
        }
        names.extend(entry.file_name().into_string().ok().map(|name| (name, entry.path())));
    }
    Ok(names)
}

/// The digests that a directory has links for; one that was deleted has only its directory left.
fn links(path: &Path) -> io::Result<Vec<Digest>> {
    let mut found = Vec::new();
    for (algorithm, path) in entries(path)? {
        for (hex, path) in entries(&path)? {
            if let Ok(digest) = Digest::parse(&format!("{algorithm}:{hex}"))
                && read_link(&path.join("link"))?.is_some_and(|linked| linked == digest)
            {
                found.push(digest);
            }
        }
    }
    Ok(found)
}

/// The digest in a link; `None` when there is no link, or none that can be read.
fn read_link(path: &Path) -> io::Result<Option<Digest>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Digest::parse(text.trim()).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
