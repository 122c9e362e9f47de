//! What a stream holds, in the form that the registry asks for: heads of tags, images of the whole history, children of
//! lists, blobs.
//!
//! Both levels are kept: what an image consists of as long as it does not change, and what a stream holds as long as it
//! does not change. The second is made of the first, and only when somebody asks for more than a tag.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ::registry::{Came, Repository};
use machinery::image::well_known::MANAGED;
use machinery::image::{Image, ImageStream};
use machinery::status::ApiError;
use oci::{Digest, Reference, media};
use store::Revision;

use crate::context::Ctx;
use crate::resource;
use crate::streams;
use crate::view::layers::ImageParts;

/// Streams whose contents are kept.
const STREAMS: usize = 1024;
/// Images whose parts are kept.
const IMAGES: usize = 50_000;

/// A stream as the registry sees it.
#[derive(Debug)]
pub(super) struct Contents {
    /// The stream's identity.
    pub(super) uid: String,
    /// The current image of every tag, in the order of tags.
    pub(super) heads: BTreeMap<String, String>,
    /// Every image of the history, with the pull specs it came by.
    images: BTreeMap<String, Vec<String>>,
    inner: OnceLock<Inner>,
}

/// What the images consist of.
#[derive(Debug, Default)]
struct Inner {
    /// Children of lists: whether only pushed lists name them, and the lists that do.
    children: HashMap<String, Child>,
    /// Configurations and layers, and whether an image that was pushed consists of them.
    blobs: HashMap<String, bool>,
}

#[derive(Debug, Default)]
struct Child {
    media_type: String,
    imported: bool,
    lists: Vec<String>,
}

/// A manifest that a stream holds.
pub(super) enum Holding {
    /// An image of the history, or the child of a list that was imported.
    Own,
    /// The child of lists that were pushed.
    Named {
        /// Its media type, as the list says.
        media_type: String,
        /// The repositories the lists came from.
        sources: Vec<Repository>,
    },
}

/// What an image consists of, and where it is from.
#[derive(Debug)]
struct Parts {
    managed: bool,
    parts: ImageParts,
    children: Vec<(String, String)>,
}

/// What is kept of streams and images.
#[derive(Default)]
pub(super) struct Shelf {
    streams: Mutex<HashMap<String, (Revision, Arc<Contents>)>>,
    images: Mutex<HashMap<String, (Revision, Arc<Parts>)>>,
}

impl Shelf {
    /// A stream's contents; `None` when there is no such stream.
    pub(super) fn contents(
        &self,
        ctx: &Ctx,
        repository: &Repository,
    ) -> Result<Option<Arc<Contents>>, ApiError> {
        let key = resource::streams().key(repository.project(), repository.name());
        let snapshot = ctx.cache.snapshot();
        let Some(entry) = snapshot.get(&key) else { return Ok(None) };
        if let Some((revision, held)) = lock(&self.streams).get(&key)
            && *revision == entry.modified
        {
            return Ok(Some(Arc::clone(held)));
        }
        let stream = streams::decode::<ImageStream>(entry)?.object;
        let contents = Arc::new(Contents::of(&stream));
        let mut kept = lock(&self.streams);
        if kept.len() >= STREAMS {
            kept.clear();
        }
        kept.insert(key, (entry.modified, Arc::clone(&contents)));
        Ok(Some(contents))
    }

    fn parts(&self, ctx: &Ctx, image: &str) -> Option<Arc<Parts>> {
        let key = resource::images().key("", image);
        let snapshot = ctx.cache.snapshot();
        let entry = snapshot.get(&key)?;
        if let Some((revision, held)) = lock(&self.images).get(image)
            && *revision == entry.modified
        {
            return Some(Arc::clone(held));
        }
        let image_object = match streams::decode::<Image>(entry) {
            Ok(loaded) => loaded.object,
            Err(error) => {
                tracing::error!(image, %error, "a stored image cannot be read");
                return None;
            }
        };
        let parts = Arc::new(Parts::of(&image_object));
        let mut kept = lock(&self.images);
        if kept.len() >= IMAGES {
            kept.clear();
        }
        kept.insert(image.to_owned(), (entry.modified, Arc::clone(&parts)));
        Some(parts)
    }

    fn inner<'c>(&self, ctx: &Ctx, contents: &'c Contents) -> &'c Inner {
        contents.inner.get_or_init(|| {
            let mut inner = Inner::default();
            for image in contents.images.keys() {
                let Some(parts) = self.parts(ctx, image) else { continue };
                inner.add_blobs(&parts.parts, parts.managed);
                for (digest, media_type) in &parts.children {
                    self.add_child(ctx, &mut inner, (digest, media_type), image, parts.managed);
                }
            }
            inner
        })
    }

    /// Notes the child of a list; what an imported list names came with it, children of children too.
    fn add_child(&self, ctx: &Ctx, inner: &mut Inner, named: (&str, &str), list: &str, managed: bool) {
        let (digest, media_type) = named;
        let is_new = !inner.children.contains_key(digest);
        let child = inner.children.entry(digest.to_owned()).or_default();
        media_type.clone_into(&mut child.media_type);
        let newly_imported = !managed && !child.imported;
        child.imported |= !managed;
        if managed && !child.lists.iter().any(|held| held == list) {
            child.lists.push(list.to_owned());
        }
        if !is_new && !newly_imported {
            return;
        }
        let Some(parts) = self.parts(ctx, digest) else { return };
        if !managed {
            inner.add_blobs(&parts.parts, false);
        }
        for (grandchild, media_type) in &parts.children {
            self.add_child(ctx, inner, (grandchild, media_type), list, managed);
        }
    }

    /// How a stream holds a manifest, if it does.
    pub(super) fn holding(&self, ctx: &Ctx, contents: &Contents, digest: &Digest) -> Option<Holding> {
        if contents.images.contains_key(digest.as_str()) {
            return Some(Holding::Own);
        }
        let child = self.inner(ctx, contents).children.get(digest.as_str())?;
        if child.imported {
            return Some(Holding::Own);
        }
        let host = &ctx.settings.images.internal_registry_hostname;
        let specs = child.lists.iter().filter_map(|list| contents.images.get(list)).flatten();
        let sources = specs.filter_map(|spec| own_repository(spec, host)).collect();
        Some(Holding::Named { media_type: child.media_type.clone(), sources })
    }

    /// Whether a blob belongs to an image of the stream, or is the manifest of one; and how that image came.
    pub(super) fn holds_blob(&self, ctx: &Ctx, contents: &Contents, digest: &Digest) -> Option<Came> {
        let came = |managed: bool| if managed { Came::Here } else { Came::Elsewhere };
        if contents.images.contains_key(digest.as_str()) {
            return Some(came(self.parts(ctx, digest.as_str()).is_some_and(|parts| parts.managed)));
        }
        let inner = self.inner(ctx, contents);
        if let Some(managed) = inner.blobs.get(digest.as_str()) {
            return Some(came(*managed));
        }
        let child = inner.children.get(digest.as_str())?;
        child.imported.then_some(Came::Elsewhere)
    }

    /// The images of the history that content belongs to: themselves, their parts, their children's.
    pub(super) fn holders<'c>(&self, ctx: &Ctx, contents: &'c Contents, digest: &Digest) -> HashSet<&'c str> {
        let images = contents.images.keys().map(String::as_str);
        images.filter(|image| self.is_part(ctx, image, digest.as_str(), oci::limits::INDEX_DEPTH)).collect()
    }

    fn is_part(&self, ctx: &Ctx, image: &str, digest: &str, depth: usize) -> bool {
        if image == digest {
            return true;
        }
        let Some(parts) = self.parts(ctx, image).filter(|_| depth > 0) else { return false };
        parts.blobs().any(|blob| blob == digest)
            || parts.children.iter().any(|(child, _)| self.is_part(ctx, child, digest, depth - 1))
    }

    /// Everything that a stream needs to be kept: also what its pushed lists name.
    pub(super) fn everything(&self, ctx: &Ctx, contents: &Contents, needed: &mut HashSet<Digest>) {
        let mut add = |text: &str| needed.extend(Digest::parse(text));
        let inner = self.inner(ctx, contents);
        contents.images.keys().for_each(|image| add(image));
        inner.blobs.keys().for_each(|blob| add(blob));
        for digest in inner.children.keys() {
            add(digest);
            if let Some(parts) = self.parts(ctx, digest) {
                parts.blobs().for_each(&mut add);
            }
        }
    }
}

impl Contents {
    fn of(stream: &ImageStream) -> Contents {
        let mut heads = BTreeMap::new();
        let mut images: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in &stream.status.tags {
            if let Some(head) = entry.items.first().filter(|head| !head.image.is_empty()) {
                heads.insert(entry.tag.clone(), head.image.clone());
            }
            for event in entry.items.iter().filter(|event| !event.image.is_empty()) {
                let specs = images.entry(event.image.clone()).or_default();
                if !specs.contains(&event.docker_image_reference) {
                    specs.push(event.docker_image_reference.clone());
                }
            }
        }
        Contents { uid: stream.metadata.uid.clone(), heads, images, inner: OnceLock::new() }
    }
}

impl Inner {
    fn add_blobs(&mut self, parts: &ImageParts, managed: bool) {
        let layers = parts.layers.iter().map(|layer| &layer.name);
        let blobs = layers.chain(parts.config.as_ref().filter(|config| !config.is_empty()));
        for blob in blobs {
            *self.blobs.entry(blob.clone()).or_default() |= managed;
        }
    }
}

impl Parts {
    fn of(image: &Image) -> Parts {
        let managed = image.metadata.annotations.get(MANAGED).is_some_and(|value| value == "true");
        let parts = ImageParts::of(image);
        let is_list = media::is_index(&parts.media_type) || !image.docker_image_manifests.is_empty();
        let children = image.docker_image_manifests.iter().filter(|_| is_list);
        let children = children.map(|child| (child.digest.clone(), child.media_type.clone())).collect();
        Parts { managed, parts, children }
    }

    fn blobs(&self) -> impl Iterator<Item = &str> {
        let layers = self.parts.layers.iter().map(|layer| layer.name.as_str());
        layers.chain(self.parts.config.as_deref())
    }
}

/// The repository of ours that a pull spec names.
fn own_repository(spec: &str, host: &str) -> Option<Repository> {
    let reference = Reference::parse(spec).ok()?;
    let is_ours = !host.is_empty() && reference.registry == *host;
    is_ours.then(|| Repository::parse(&format!("{}/{}", reference.namespace, reference.name)).ok()).flatten()
}

fn lock<T>(kept: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is kept are copies; each is whole.
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
