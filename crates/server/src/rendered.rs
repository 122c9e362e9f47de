//! Tags that were rendered before.
//!
//! A tag with its image is put together from two stored objects. The result is kept as bytes with the revisions of both,
//! and is good exactly as long as neither changes: a reader checks them, nobody invalidates anything. When a shard is
//! full it starts anew.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use store::Revision;

use crate::limits;

const SHARDS: usize = 16;

/// Bytes of rendered tags by the tag's path.
#[derive(Debug)]
pub struct RenderedTags {
    shards: Vec<Mutex<HashMap<Box<str>, Rendered>>>,
    hasher: RandomState,
}

#[derive(Clone, Debug)]
struct Rendered {
    stream: Revision,
    name: Box<str>,
    image: Revision,
    bytes: Bytes,
}

impl Default for RenderedTags {
    fn default() -> RenderedTags {
        RenderedTags { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }
}

impl RenderedTags {
    /// The bytes for a tag, if they were made from the stream at this revision, with the name and revision of the image
    /// that they hold.
    pub fn get(&self, tag: &str, stream: Revision) -> Option<(Box<str>, Revision, Bytes)> {
        let shard = self.shard(tag).lock().unwrap_or_else(PoisonError::into_inner);
        let held = shard.get(tag)?;
        (held.stream == stream).then(|| (held.name.clone(), held.image, held.bytes.clone()))
    }

    /// Keeps bytes for a tag.
    pub fn put(&self, tag: &str, stream: Revision, name: &str, image: Revision, bytes: Bytes) {
        let mut shard = self.shard(tag).lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= limits::RENDERED_TAGS / SHARDS {
            shard.clear();
        }
        shard.insert(tag.into(), Rendered { stream, name: name.into(), image, bytes });
    }

    fn shard(&self, tag: &str) -> &Mutex<HashMap<Box<str>, Rendered>> {
        let hash = self.hasher.hash_one(tag);
        &self.shards[usize::try_from(hash % SHARDS as u64).unwrap_or(0)]
    }
}
