//! How entries get into the history of a tag, and how tags follow others of their stream.
//!
//! Only the current entry is compared: what differs from it in one of image and pull spec edits it in place, what
//! differs in both becomes a new entry. History has no limit.

use std::collections::BTreeSet;

use machinery::image::well_known::IMAGE_STREAM_TAG;
use machinery::image::{ImageStream, TagEvent, TagReference};

/// What adding an entry did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// The current entry already said all of it.
    Nothing,
    /// The history changed.
    Changed,
}

impl Added {
    /// True when the history changed.
    pub fn is_change(self) -> bool {
        self == Added::Changed
    }
}

/// Makes `next` the current entry of a tag. A change clears the tag's conditions.
pub fn add_tag_event(stream: &mut ImageStream, tag: &str, next: TagEvent) -> Added {
    let entry = stream.status.tag_or_insert(tag);
    match entry.items.first_mut() {
        None => entry.items.push(next),
        Some(head) => {
            let same_image = head.image == next.image;
            let same_reference = head.docker_image_reference == next.docker_image_reference;
            if same_image && same_reference && head.generation == next.generation {
                return Added::Nothing;
            }
            if same_image || same_reference {
                *head = TagEvent { created: head.created, ..next };
            } else {
                entry.items.insert(0, next);
            }
        }
    }
    entry.conditions.clear();
    Added::Changed
}

/// Gives the current entry of `tag` to every tag that follows it, and theirs to those that follow them.
pub fn follow(stream: &mut ImageStream, tag: &str) -> Added {
    let mut visited = BTreeSet::from([tag.to_owned()]);
    follow_from(stream, tag, &mut visited)
}

/// The same for several tags; one that has moved by itself does not come back to where it was.
pub(super) fn follow_all(stream: &mut ImageStream, tags: &[String]) {
    for tag in tags {
        follow(stream, tag);
    }
}

fn follow_from(stream: &mut ImageStream, tag: &str, visited: &mut BTreeSet<String>) -> Added {
    let Some(event) = stream.status.head(tag).cloned() else { return Added::Nothing };
    let followers: Vec<String> = stream
        .spec
        .tags
        .iter()
        .filter(|candidate| tracked(stream, candidate) == Some(tag))
        .map(|candidate| candidate.name.clone())
        .collect();
    let mut added = Added::Nothing;
    for follower in followers {
        if !visited.insert(follower.clone()) {
            continue;
        }
        if add_tag_event(stream, &follower, event.clone()).is_change() {
            added = Added::Changed;
            follow_from(stream, &follower, visited);
        }
    }
    added
}

/// The tag of the same stream that a tag follows.
pub(super) fn tracked<'a>(stream: &ImageStream, tag: &'a TagReference) -> Option<&'a str> {
    let from = tag.from.as_ref().filter(|from| from.kind == IMAGE_STREAM_TAG)?;
    if !from.namespace.is_empty() && from.namespace != stream.metadata.namespace {
        return None;
    }
    match from.name.split_once(':') {
        None => Some(&from.name),
        Some((name, tag)) => (name == stream.metadata.name).then_some(tag),
    }
}
