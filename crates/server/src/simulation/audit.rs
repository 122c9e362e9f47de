//! What must be true whenever nobody is writing.

use std::collections::BTreeSet;

use serde_json::Value;

use super::clients::{GROUP, Known};
use super::world::{Network, World};

/// Every stream, label, import and image that a client was told of is there; what clients could not know is learnt.
pub(super) async fn what_was_acknowledged_is_there(world: &World, known: &mut [Known]) {
    let mut client = world.client().await;
    for (name, stream) in known.iter_mut().flat_map(|known| &mut known.streams) {
        let answer = client.call("GET", &format!("{GROUP}/imagestreams/{name}"), None).await;
        let found = match answer {
            Some((200, found)) => found,
            Some((404, _)) => {
                assert_ne!(stream.exists, Some(true), "{name} is lost");
                *stream = super::clients::Stream {
                    exists: Some(false),
                    labels: BTreeSet::from([None]),
                    ..Default::default()
                };
                continue;
            }
            other => panic!("reading {name}: {other:?}"),
        };
        assert_ne!(stream.exists, Some(false), "{name} is back: {found}");
        stream.exists = Some(true);
        let label = found["metadata"]["labels"]["turn"].as_str().map(str::to_owned);
        assert!(
            stream.labels.contains(&label),
            "{name} has label {label:?}, expected of {:?}",
            stream.labels
        );
        stream.labels = BTreeSet::from([label]);
        for tag in &stream.imported {
            assert!(head(&found, tag).is_some(), "{name}:{tag} was imported and has no image: {found}");
        }
        for (tag, images) in &stream.mapped {
            let there: BTreeSet<String> = history(&found, tag).map(str::to_owned).collect();
            assert!(images.is_subset(&there), "{name}:{tag} lost images: {images:?}, has {there:?}");
        }
    }
}

/// Every image in the history of a tag exists; those that came from the upstream are what it had under that name.
pub(super) async fn images_exist(world: &World, network: &Network) {
    let mut client = world.client().await;
    let list = client.must("GET", &format!("{GROUP}/imagestreams"), None).await;
    for stream in list["items"].as_array().into_iter().flatten() {
        let name = stream["metadata"]["name"].as_str().expect("a name");
        for entry in stream["status"]["tags"].as_array().into_iter().flatten() {
            let tag = entry["tag"].as_str().expect("a tag");
            for image in history(stream, tag) {
                client.must("GET", &format!("/apis/image.openshift.io/v1/images/{image}"), None).await;
                if tag != "pushed" {
                    let had = network.had(&format!("team/{name}:{tag}"));
                    assert!(
                        had.contains(image),
                        "{name}:{tag} names {image}, which the upstream never had there"
                    );
                }
            }
        }
    }
}

/// The image that a tag points at.
pub(super) fn head<'a>(stream: &'a Value, tag: &str) -> Option<&'a str> {
    history(stream, tag).next()
}

fn history<'a>(stream: &'a Value, tag: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let tags = stream["status"]["tags"].as_array().into_iter().flatten();
    let wanted = tag.to_owned();
    let entries = tags.filter(move |entry| entry["tag"] == *wanted);
    entries
        .flat_map(|entry| entry["items"].as_array().into_iter().flatten())
        .filter_map(|item| item["image"].as_str())
}
