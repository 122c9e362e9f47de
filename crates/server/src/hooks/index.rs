//! Which stream follows which repository.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use machinery::image::{ImageStream, well_known};
use oci::Reference;

use super::mention::Mention;
use crate::control::StreamKey;

/// Registry and path.
type Place = (Arc<str>, Arc<str>);

/// Tags of a stream that are to be looked at; an empty one is the whole repository that it names.
pub(super) type Wanted = BTreeSet<String>;

/// One tag of a spec, or (without a name) the whole repository.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Follower {
    stream: StreamKey,
    tag: Arc<str>,
    /// The tag in the repository; empty for all.
    from: Arc<str>,
}

/// Both directions of who follows what. Most places have one follower, and there may be very many places.
#[derive(Debug, Default)]
pub(super) struct Index {
    followers: BTreeMap<Place, Vec<Follower>>,
    places: HashMap<StreamKey, Vec<Place>>,
}

impl Index {
    /// Notes what a stream follows now; nothing when it is gone.
    pub(super) fn set(&mut self, key: &StreamKey, stream: Option<&ImageStream>) {
        for place in self.places.remove(key).unwrap_or_default() {
            if let Some(followers) = self.followers.get_mut(&place) {
                followers.retain(|follower| follower.stream != *key);
                if followers.is_empty() {
                    self.followers.remove(&place);
                }
            }
        }
        let mut places = Vec::new();
        for (place, tag, from) in stream.map(follows).unwrap_or_default() {
            let followers = self.followers.entry(place.clone()).or_insert_with(|| Vec::with_capacity(1));
            followers.push(Follower { stream: key.clone(), tag, from });
            places.push(place);
        }
        places.sort_unstable();
        places.dedup();
        places.shrink_to_fit();
        if !places.is_empty() {
            self.places.insert(key.clone(), places);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Index::default();
    }

    /// What is to be looked at because of a mention.
    pub(super) fn wanted(&self, mention: &Mention, into: &mut BTreeMap<StreamKey, Wanted>) {
        let first: Place = (mention.registry.as_str().into(), mention.repository.as_str().into());
        let fits = |place: &Place| {
            *place.0 == mention.registry
                && place
                    .1
                    .strip_prefix(&mention.repository)
                    .is_some_and(|rest| rest.is_empty() || (mention.below && rest.starts_with('/')))
        };
        let near = self.followers.range(first..).take_while(|(place, _)| {
            *place.0 == mention.registry && place.1.starts_with(&mention.repository)
        });
        for follower in near.filter(|(place, _)| fits(place)).flat_map(|(_, followers)| followers) {
            if !mention.tag.is_empty() && !follower.from.is_empty() && *mention.tag != *follower.from {
                continue;
            }
            into.entry(follower.stream.clone()).or_default().insert(follower.tag.to_string());
        }
    }
}

/// What a stream follows: places, with the names of tags here and there.
fn follows(stream: &ImageStream) -> Vec<(Place, Arc<str>, Arc<str>)> {
    let place = |name: &str| {
        let full = Reference::parse(name).ok()?.docker_client_defaults().as_v2();
        // An image by its digest never changes.
        let place = || (full.registry.as_str().into(), full.repository_name().into());
        full.id.is_empty().then(|| (place(), full.tag.as_str().into()))
    };
    let mut found = Vec::new();
    for tag in &stream.spec.tags {
        let from = tag.from.as_ref().filter(|from| from.kind == well_known::DOCKER_IMAGE && !tag.reference);
        if let Some((place, from)) = from.and_then(|from| place(&from.name)) {
            found.push((place, tag.name.as_str().into(), from));
        }
    }
    let whole = Some(&stream.spec.docker_image_repository).filter(|name| !name.is_empty());
    if let Some((place, _)) = whole.and_then(|name| place(name)) {
        found.push((place, "".into(), "".into()));
    }
    found
}

#[cfg(test)]
mod tests {
    use machinery::image::TagReference;
    use machinery::meta::ObjectReference;

    use super::*;

    fn stream(tags: &[(&str, &str)], whole: &str) -> ImageStream {
        let mut stream = ImageStream::default();
        for (name, from) in tags {
            let from =
                ObjectReference { kind: "DockerImage".into(), name: (*from).into(), ..Default::default() };
            stream.spec.set_tag(TagReference {
                name: (*name).into(),
                from: Some(from),
                ..Default::default()
            });
        }
        whole.clone_into(&mut stream.spec.docker_image_repository);
        stream
    }

    #[test]
    fn a_mention_finds_those_who_follow_the_repository_and_the_tag() {
        let mut index = Index::default();
        let key = |name: &str| StreamKey::new("ns", name);
        let pinned = format!("r.example/a@sha256:{}", "0".repeat(64));
        let tags = [
            ("one", "r.example/a:v1"),
            ("two", "r.example/a:v2"),
            ("pin", pinned.as_str()),
            ("hub", "busybox"),
        ];
        index.set(&key("tags"), Some(&stream(&tags, "")));
        index.set(&key("deep"), Some(&stream(&[("x", "r.example/a/b/c:v1"), ("y", "r.example/ab:v1")], "")));
        index.set(&key("whole"), Some(&stream(&[], "r.example/a")));
        let check = |index: &Index,
                     registry: &str,
                     repository: &str,
                     tag: &str,
                     below: bool,
                     want: &[&str]| {
            let mention =
                Mention { registry: registry.into(), repository: repository.into(), tag: tag.into(), below };
            let mut found = BTreeMap::new();
            index.wanted(&mention, &mut found);
            let mut got = Vec::new();
            for (key, wanted) in found {
                let shown = |tag: &String| if tag.is_empty() { "*".to_owned() } else { tag.clone() };
                got.extend(wanted.iter().map(|tag| format!("{key} {}", shown(tag))));
            }
            assert_eq!(got, want, "{mention:?}");
        };
        check(&index, "r.example", "a", "v1", false, &["ns/tags one", "ns/whole *"]);
        check(&index, "r.example", "a", "", false, &["ns/tags one", "ns/tags two", "ns/whole *"]);
        check(&index, "r.example", "a", "v1", true, &["ns/deep x", "ns/tags one", "ns/whole *"]);
        check(&index, "registry-1.docker.io", "library/busybox", "latest", false, &["ns/tags hub"]);
        check(&index, "other.example", "a", "v1", false, &[]);
        index.set(&key("tags"), None);
        check(&index, "r.example", "a", "v1", false, &["ns/whole *"]);
    }
}
