//! The kinds of `image.openshift.io/v1`.
//!
//! Field names, protobuf numbers, key order and the presence of empty fields are the contract with clients. Only `Image`
//! and `ImageStream` are stored; the others are views or requests. Rules about them live in the server.

mod docker;
mod imports;
mod names;
mod object;
mod signer;
mod stream;
mod view;

pub use docker::{DockerConfig, DockerImage, DockerMetadataError};
pub use imports::*;
pub use names::{
    DEFAULT_TAG, join_stream_image, join_stream_tag, parse_stream_image, parse_stream_tag,
    split_stream_image, split_stream_tag,
};
pub use object::*;
pub use signer::{SignatureIssuer, SignatureSubject};
pub use stream::*;
pub use view::*;

use crate::meta::{Kind, ObjectMeta};

/// The API group of images and streams.
pub const GROUP: &str = "image.openshift.io";
/// Its one version.
pub const VERSION: &str = "v1";
/// Group and version as they stand in objects and paths.
pub const GROUP_VERSION: &str = "image.openshift.io/v1";

/// Annotations, label values and other words that clients and controllers agree on.
pub mod well_known {
    /// On images: the bytes are in the integrated registry.
    pub const MANAGED: &str = "openshift.io/image.managed";
    /// On streams: when the last import ran.
    pub const REPOSITORY_CHECK: &str = "openshift.io/image.dockerRepositoryCheck";
    /// On streams and tags: plain HTTP or unverified TLS is fine.
    pub const INSECURE_REPOSITORY: &str = "openshift.io/image.insecureRepository";
    /// On secrets: never use for pulls.
    pub const EXCLUDE_SECRET: &str = "openshift.io/image.excludeSecret";
    /// On images: how the layers are ordered.
    pub const LAYERS_ORDER: &str = "image.openshift.io/dockerLayersOrder";
    /// Oldest layer first.
    pub const LAYERS_ASCENDING: &str = "ascending";
    /// Newest layer first, as old registries wrote them.
    pub const LAYERS_DESCENDING: &str = "descending";
    /// On images: manifest and configuration are blobs of the registry, so the object need not hold them.
    pub const MANIFEST_BLOB_STORED: &str = "image.openshift.io/manifestBlobStored";
    /// On signatures: made by the registry; never kept.
    pub const MANAGED_SIGNATURE: &str = "image.openshift.io/managed-signature";
    /// On spec tags: the architecture to take from a list.
    pub const PREFER_ARCH: &str = "importer.image.openshift.io/prefer-arch";
    /// On spec tags: the operating system to take from a list.
    pub const PREFER_OS: &str = "importer.image.openshift.io/prefer-os";
    /// `from.kind` of an external image.
    pub const DOCKER_IMAGE: &str = "DockerImage";
    /// `from.kind` of a tag of a stream.
    pub const IMAGE_STREAM_TAG: &str = "ImageStreamTag";
    /// `from.kind` of an image of a stream.
    pub const IMAGE_STREAM_IMAGE: &str = "ImageStreamImage";
    /// Condition type of failed imports.
    pub const IMPORT_SUCCESS: &str = "ImportSuccess";
    /// Import mode that takes one platform.
    pub const LEGACY: &str = "Legacy";
    /// Import mode that takes lists whole.
    pub const PRESERVE_ORIGINAL: &str = "PreserveOriginal";
    /// Reference policy: the pull spec as it is elsewhere.
    pub const SOURCE: &str = "Source";
    /// Reference policy: pull through the integrated registry.
    pub const LOCAL: &str = "Local";
}

macro_rules! kinds {
    ($($type:ty, $kind:literal;)*) => {$(
        impl Kind for $type {
            const API_VERSION: &'static str = GROUP_VERSION;
            const KIND: &'static str = $kind;
            fn metadata(&self) -> &ObjectMeta {
                &self.metadata
            }
            fn metadata_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    )*};
}

kinds! {
    Image, "Image";
    ImageSignature, "ImageSignature";
    ImageStream, "ImageStream";
    ImageStreamTag, "ImageStreamTag";
    ImageTag, "ImageTag";
    ImageStreamImage, "ImageStreamImage";
    ImageStreamMapping, "ImageStreamMapping";
    ImageStreamLayers, "ImageStreamLayers";
    ImageStreamImport, "ImageStreamImport";
}

impl ImageStreamSpec {
    /// The spec of one tag.
    pub fn tag(&self, name: &str) -> Option<&TagReference> {
        self.tags.iter().find(|tag| tag.name == name)
    }

    /// The spec of one tag, to change it.
    pub fn tag_mut(&mut self, name: &str) -> Option<&mut TagReference> {
        self.tags.iter_mut().find(|tag| tag.name == name)
    }

    /// Adds a tag or replaces the one of the same name; the order by name is kept.
    pub fn set_tag(&mut self, tag: TagReference) -> &mut TagReference {
        match self.tags.binary_search_by(|held| held.name.as_str().cmp(&tag.name)) {
            Ok(at) => {
                self.tags[at] = tag;
                &mut self.tags[at]
            }
            Err(at) => {
                self.tags.insert(at, tag);
                &mut self.tags[at]
            }
        }
    }

    /// Removes a tag; true when there was one.
    pub fn remove_tag(&mut self, name: &str) -> bool {
        let before = self.tags.len();
        self.tags.retain(|tag| tag.name != name);
        self.tags.len() != before
    }
}

impl ImageStreamStatus {
    /// The history of one tag.
    pub fn tag(&self, name: &str) -> Option<&NamedTagEventList> {
        self.tags.iter().find(|tag| tag.tag == name)
    }

    /// What a tag points at now.
    pub fn head(&self, name: &str) -> Option<&TagEvent> {
        self.tag(name).and_then(|tag| tag.items.first())
    }

    /// The history of one tag, made empty when there is none; the order by name is kept.
    pub fn tag_or_insert(&mut self, name: &str) -> &mut NamedTagEventList {
        let at = match self.tags.binary_search_by(|held| held.tag.as_str().cmp(name)) {
            Ok(at) => at,
            Err(at) => {
                self.tags.insert(at, NamedTagEventList { tag: name.to_owned(), ..Default::default() });
                at
            }
        };
        &mut self.tags[at]
    }

    /// Removes a tag with its history; true when there was one.
    pub fn remove_tag(&mut self, name: &str) -> bool {
        let before = self.tags.len();
        self.tags.retain(|tag| tag.tag != name);
        self.tags.len() != before
    }
}

impl ImageStream {
    /// Brings decoded input into the form every rule relies on: tags sorted by name, each name once (the last one wins),
    /// and the defaults of the version filled in.
    pub fn normalize(&mut self, default_import_mode: &str) {
        sort_last_wins(&mut self.spec.tags, |tag| &tag.name);
        sort_last_wins(&mut self.status.tags, |tag| &tag.tag);
        for tag in &mut self.spec.tags {
            tag.set_defaults(default_import_mode);
        }
    }
}

impl TagReference {
    /// Fills in what a client may leave out: the reference policy and the import mode.
    pub fn set_defaults(&mut self, default_import_mode: &str) {
        self.reference_policy.set_defaults();
        self.import_policy.set_defaults(default_import_mode);
    }
}

impl TagReferencePolicy {
    /// Fills in `Source`.
    pub fn set_defaults(&mut self) {
        if self.r#type.is_empty() {
            well_known::SOURCE.clone_into(&mut self.r#type);
        }
    }
}

impl TagImportPolicy {
    /// Fills in the server's import mode.
    pub fn set_defaults(&mut self, default_import_mode: &str) {
        if self.import_mode.is_empty() {
            default_import_mode.clone_into(&mut self.import_mode);
        }
    }
}

fn sort_last_wins<T>(items: &mut Vec<T>, name: impl Fn(&T) -> &String) {
    if items.windows(2).all(|pair| name(&pair[0]) < name(&pair[1])) {
        return;
    }
    items.reverse();
    items.sort_by(|a, b| name(a).cmp(name(b)));
    items.dedup_by(|later, kept| name(later) == name(kept));
}
