//! When each digest was first seen under each name of other people's registries: the basis of rules about age.
//!
//! One key for each (repository, tag, digest), written with the first move that brings the digest here and never changed.
//! It is the name's own: the same content under another name, or in another tag of the repository, is first seen there.
//! What the servers of a project do not import is not seen. Of one name the newest digests are kept.

use std::collections::BTreeMap;

use bytes::Bytes;
use machinery::image::{ImageStream, well_known};
use machinery::time::Time;
use oci::Named;
use serde::{Deserialize, Serialize};
use store::{Key, Range, ReadError, Store};

use crate::limits::SEEN_DIGESTS;
use crate::stream::Move;

/// Where all keys are.
const PREFIX: &str = "/weir.dev/seen/";

/// What is known of one digest under one name.
#[derive(Debug, Serialize, Deserialize)]
struct Sight {
    time: Time,
}

/// What is known of the digests of some moves, and what is to be written about them.
#[derive(Debug, Default)]
pub struct Seen {
    times: BTreeMap<String, Time>,
    writes: BTreeMap<Key, Option<Bytes>>,
}

impl Seen {
    /// When the image that a tag moved to was first seen under the name that the tag follows.
    pub fn time(&self, moved: &Move) -> Option<Time> {
        self.times.get(&moved.tag).copied()
    }

    /// The writes that go with the moves.
    pub fn writes(&self) -> impl Iterator<Item = (Key, Option<Bytes>)> + use<'_> {
        self.writes.iter().map(|(key, value)| (key.clone(), value.clone()))
    }
}

/// Looks up the digests that an import moves tags to; those that are new are seen `now`.
///
/// # Errors
/// As the store's.
pub async fn look(
    store: &dyn Store,
    stream: &ImageStream,
    moves: &[Move],
    now: Time,
) -> Result<Seen, ReadError> {
    let mut seen = Seen::default();
    for moved in moves.iter().filter(|moved| moved.points_elsewhere()) {
        let Some(prefix) = followed(stream, &moved.tag) else { continue };
        let digest = moved.to.as_ref().map_or("", |to| to.image.as_str());
        let Some(key) = Key::new(&format!("{prefix}{digest}")).ok().filter(|_| !digest.is_empty()) else {
            continue;
        };
        let held = store.get(&key, None).await?;
        let held = held.and_then(|held| serde_json::from_slice::<Sight>(&held.value).ok());
        let time = match held {
            Some(sight) => sight.time,
            None => {
                seen.writes.extend(oldest_beyond(store, &prefix).await?.map(|key| (key, None)));
                seen.writes.insert(key, Some(machinery::json::compact(&Sight { time: now }).into()));
                now
            }
        };
        seen.times.insert(moved.tag.clone(), time);
    }
    Ok(seen)
}

/// Where the digests of the name that a tag follows are; `None` when it follows no name, or only a digest.
fn followed(stream: &ImageStream, tag: &str) -> Option<String> {
    let from = stream.spec.tag(tag)?.from.as_ref()?;
    let named = (from.kind == well_known::DOCKER_IMAGE).then(|| Named::parse(&from.name).ok())??;
    if named.digest().is_some() {
        return None;
    }
    Some(format!("{PREFIX}{}/{}:{}/", named.host(), named.path(), named.tag().unwrap_or("latest")))
}

/// The digest that is let go so that there is room for one more.
async fn oldest_beyond(store: &dyn Store, prefix: &str) -> Result<Option<Key>, ReadError> {
    let page = store.range(Range { limit: SEEN_DIGESTS, ..Range::of(prefix) }).await?;
    if page.items.len() < SEEN_DIGESTS {
        return Ok(None);
    }
    let oldest = page.items.into_iter().min_by_key(|item| item.created);
    Ok(oldest.map(|item| item.key))
}

#[cfg(test)]
mod tests {
    use machinery::image::{TagEvent, TagReference};
    use machinery::meta::ObjectReference;
    use store::Txn;
    use store::embedded::{Embedded, Options};

    use super::*;

    fn stream(from: &str) -> ImageStream {
        let mut stream = ImageStream::default();
        let from = ObjectReference { kind: "DockerImage".into(), name: from.into(), ..Default::default() };
        stream.spec.set_tag(TagReference { name: "t".into(), from: Some(from), ..Default::default() });
        stream
    }

    fn moved(image: &str) -> Move {
        let to = TagEvent { image: image.to_owned(), ..Default::default() };
        Move { tag: "t".into(), from: None, to: Some(to) }
    }

    async fn see(store: &Embedded, from: &str, image: &str, now: i64) -> Option<Time> {
        let moves = [moved(image)];
        let seen = look(store, &stream(from), &moves, Time::from_unix(now)).await.unwrap();
        let writes: Vec<_> = seen.writes().collect();
        if !writes.is_empty() {
            store.commit(Txn { writes, ..Txn::new() }).await.unwrap();
        }
        seen.time(&moves[0])
    }

    #[tokio::test]
    async fn a_digest_is_first_seen_once_under_each_name_and_the_newest_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Embedded::open(dir.path().join("store"), Options::default()).unwrap();
        let at = |seconds: i64| Some(Time::from_unix(seconds));
        assert_eq!(see(&store, "r.example/x:1", "sha256:a", 10).await, at(10));
        assert_eq!(see(&store, "r.example/x:1", "sha256:a", 20).await, at(10));
        assert_eq!(see(&store, "r.example/x:2", "sha256:a", 30).await, at(30));
        assert_eq!(see(&store, "r.example/y:1", "sha256:a", 40).await, at(40));
        assert_eq!(
            see(&store, &format!("r.example/x@sha256:{}", "0".repeat(64)), "sha256:a", 50).await,
            None
        );
        for number in 0..SEEN_DIGESTS {
            see(&store, "r.example/x:1", &format!("sha256:n{number}"), 60).await;
        }
        assert_eq!(see(&store, "r.example/x:1", "sha256:a", 70).await, at(70), "the oldest had to go");
        let held = store.range(Range::of("/weir.dev/seen/r.example/x:1/")).await.unwrap().items.len();
        assert_eq!(held, SEEN_DIGESTS);
    }
}
