//! The registry with its content in an object store: real clients, a server that is killed, a store that drops, delays
//! and fails; and clients that are sent to the store.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    clients::run,
    content::{OCI, OCI_INDEX, SCHEMA2, digest, random},
    faults::{Image, imported},
    world::World,
};
use crate::{
    object_store::{Mood, ObjectStore},
    registry::Registries,
    server::Server,
};

async fn world(store: &ObjectStore, redirect: bool) -> World {
    let (text, files) = store.configuration(redirect);
    World::around(Server::configured(&text, &files).await).await
}

/// Reads everything that a tag means, and compares it with its digests; how many contents there were.
pub(super) async fn audit(world: &World, repository: &str, tag: &str) -> usize {
    let accept = [(
        "Accept",
        format!("{OCI}, {OCI_INDEX}, {SCHEMA2}, application/vnd.docker.distribution.manifest.list.v2+json"),
    )];
    let (mut waiting, mut seen) = (vec![("manifests", tag.to_owned())], BTreeSet::new());
    while let Some((kind, reference)) = waiting.pop() {
        let path = format!("/v2/{repository}/{kind}/{reference}");
        let answer = world.call("admin", "GET", &path, &accept, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let found = digest(&answer.body);
        assert!(!reference.contains(':') || reference == found, "{path} is {found}");
        if !seen.insert(found) || kind == "blobs" {
            continue;
        }
        let manifest: Value = serde_json::from_slice(&answer.body).expect("a manifest");
        let of = |parts: &Value, kind: &'static str| -> Vec<(&'static str, String)> {
            let all = parts.as_array().into_iter().flatten();
            all.filter_map(|part| Some((kind, part["digest"].as_str()?.to_owned()))).collect()
        };
        waiting.extend(of(&manifest["manifests"], "manifests"));
        waiting.extend(of(&manifest["layers"], "blobs"));
        waiting.extend(manifest["config"]["digest"].as_str().map(|config| ("blobs", config.to_owned())));
    }
    seen.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_clients_and_kills_lose_nothing_on_a_store_that_fails() {
    let store = ObjectStore::start(Mood::Bad(11)).await;
    let (mut world, upstream) = (world(&store, false).await, Registries::start());
    let home = tempfile::tempdir().expect("a home");
    let registry = world.server.registry().to_owned();
    let (name, creds) = (format!("{}/copied", world.project), format!("builder:{}", world.token("builder")));
    let here = format!("docker://{registry}/{name}:v1");
    let from = format!("docker://{}/library/busybox:latest", upstream.open.host);
    let pushed = [
        "copy",
        "--all",
        "--preserve-digests",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        "--dest-creds",
        &creds,
    ];
    run("skopeo", &[&pushed[..], &[&from, &here]].concat(), home.path()).await;
    let dir = format!("dir:{}", home.path().join("out").display());
    let pulled = ["copy", "--all", "--preserve-digests", "--src-tls-verify=false", "--src-creds", &creds];
    run("skopeo", &[&pulled[..], &[&here, &dir]].concat(), home.path()).await;

    // Larger than a part of an upload, so that it is several requests.
    let large = Image::new("large", 20 << 20);
    let through = Image::new("through", 2 << 20);
    imported(&world, &upstream, &through, "through").await;
    assert!(large.push(&world, &format!("{}/large", world.project), "v1").await);
    through.check(&world, &format!("{}/through", world.project), "v1").await;

    let mut acknowledged = Vec::new();
    for round in 0..4_u64 {
        let process = world.server.process();
        let before = store.requests();
        let pushing = async {
            for turn in 0.. {
                let tag = format!("{round}-{turn}");
                let image = Image::new(&tag, 100_000);
                if !image.push(&world, &format!("{}/stormy", world.project), &tag).await {
                    return;
                }
                acknowledged.push((tag, image));
            }
        };
        let killing = async {
            // In the middle of an upload: what the store is asked for says how far it is.
            while store.requests() < before + 20 + 7 * usize::try_from(round).expect("small") {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            process.kill9();
        };
        futures_util::future::join(pushing, killing).await;
        world.server.ended().await;
        world.server.start_again().await;
    }
    assert!(acknowledged.len() >= 4, "too little was pushed: {}", acknowledged.len());
    for (tag, image) in &acknowledged {
        image.check(&world, &format!("{}/stormy", world.project), tag).await;
    }
    large.check(&world, &format!("{}/large", world.project), "v1").await;
    through.check(&world, &format!("{}/through", world.project), "v1").await;
    assert!(audit(&world, &name, "v1").await > 3, "a list has children");
    // Everything that was acknowledged lies in the store, and nothing of it beside.
    let objects: BTreeSet<String> = store.objects().values().map(|bytes| digest(bytes)).collect();
    for blob in acknowledged.iter().flat_map(|(_, image)| [&image.layer, &image.config]) {
        assert!(objects.contains(&digest(blob)));
    }
    assert!(!world.server.data().join("registry/blobs").exists(), "no content is in files");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_sent_to_the_store_where_the_operator_wants_it() {
    let store = ObjectStore::start(Mood::Good).await;
    let world = world(&store, true).await;
    let repository = format!("{}/app", world.project);
    let image = Image::new("sent", 300_000);
    assert!(image.push(&world, &repository, "v1").await);
    let path = format!("/v2/{repository}/blobs/{}", digest(&image.layer));
    let answer = world.call("puller", "GET", &path, &[], None).await;
    assert_eq!((answer.status, answer.body.len()), (307, 0), "{}", answer.text());
    let address = answer.header("location").expect("a location");
    assert!(address.contains("X-Amz-Signature="), "{address}");
    // The address is all that is needed, and good for that content alone.
    let fetched = reqwest::get(address).await.expect("the store answers").bytes().await.expect("bytes");
    assert!(fetched[..] == random("sent", 300_000)[..]);
    let other = address.replace("/blobs/", "/blobs/x");
    assert!(reqwest::get(other).await.expect("the store answers").status().is_client_error());
    let head = world.call("puller", "HEAD", &path, &[], None).await;
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("300000")),
        "a question is answered here"
    );
    assert_eq!(
        world.call("none", "GET", &path, &[], None).await.status,
        401,
        "who may not read is sent nowhere"
    );
    let home = tempfile::tempdir().expect("a home");
    let creds = format!("puller:{}", world.token("puller"));
    let from = format!("docker://{}/{repository}:v1", world.server.registry());
    let dir = format!("dir:{}", home.path().join("out").display());
    run("skopeo", &["copy", "--src-tls-verify=false", "--src-creds", &creds, &from, &dir], home.path()).await;
}
