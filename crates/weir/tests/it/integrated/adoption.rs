//! A volume that a real `docker-registry` has filled, taken over: every tag means here what it meant there.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{objects::audit, world::World};
use crate::{
    api::{Api, Request},
    object_store::{Mood, ObjectStore},
    registry::Registries,
    server::Server,
};

const PATIENCE: Duration = Duration::from_secs(60);
const ANY: &str = "application/vnd.docker.distribution.manifest.v2+json, \
                   application/vnd.docker.distribution.manifest.list.v2+json, \
                   application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

/// What every tag of the other registry means, but for those that nobody takes any more.
async fn tags(registry: &str) -> BTreeMap<(String, String), String> {
    let api = Api::new(&format!("http://{registry}"), None, None);
    let mut found = BTreeMap::new();
    let catalog = api.must(Request::new("GET", "/v2/_catalog?n=1000")).await.body;
    for name in catalog["repositories"].as_array().expect("repositories") {
        let name = name.as_str().expect("a name");
        let list = api.call(&Request::new("GET", format!("/v2/{name}/tags/list"))).await.expect("an answer");
        for tag in list.body["tags"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let head = Request::new("GET", format!("/v2/{name}/manifests/{tag}")).header("Accept", ANY);
            let answer = api.must(head).await;
            if answer.body["schemaVersion"] == 2 {
                let digest = answer.header_values("docker-content-digest").remove(0).clone();
                found.insert((name.to_owned(), tag.to_owned()), digest);
            }
        }
    }
    found
}

async fn meaning(world: &World, (name, tag): (&str, &str)) -> Option<String> {
    let path = format!("/v2/{name}/manifests/{tag}");
    let answer = world.call("admin", "HEAD", &path, &[("Accept", ANY.to_owned())], None).await;
    answer.header("docker-content-digest").map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tag_of_a_volume_means_here_what_it_meant_there() {
    check("registry:\n", &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_is_taken_over_into_an_object_store() {
    let store = ObjectStore::start(Mood::Good).await;
    let (text, files) = store.configuration(false);
    check(&text, &files).await;
    // What was read there byte for byte is nowhere else.
    assert!(store.objects().len() > 10, "{}", store.objects().len());
}

/// Takes a volume over by a server with this configuration, which ends within `registry`.
async fn check(configuration: &str, files: &[(&str, &[u8])]) {
    let upstream = Registries::start();
    let expected = tags(&upstream.open.host).await;
    let ours: BTreeMap<_, _> =
        expected.iter().filter(|((name, _), _)| name.matches('/').count() == 1).collect();
    assert!(ours.len() > 5, "the volume has too little in it: {expected:?}");
    let configuration = format!("{configuration}  adopt: '{}'\n", upstream.open.storage().display());
    let mut world = World::around(Server::configured(&configuration, files).await).await;
    let deadline = Instant::now() + PATIENCE;
    while !world.server.log().contains("the volume has been looked through") {
        assert!(Instant::now() < deadline, "the volume was not looked through in time");
        sleep(Duration::from_millis(20)).await;
    }
    let mut contents = 0;
    for ((name, tag), digest) in &ours {
        let found = meaning(&world, (name.as_str(), tag.as_str())).await;
        assert_eq!(found.as_deref(), Some(digest.as_str()), "{name}:{tag}");
        contents += audit(&world, name, tag).await;
    }
    assert!(contents > ours.len(), "{} tags, {contents} contents", ours.len());
    // A name that cannot be one here is told, with what it would have to be.
    let log = world.server.log();
    for (name, _) in expected.keys().filter(|(name, _)| name.matches('/').count() != 1) {
        let told = log.lines().find(|line| line.contains("was not adopted") && line.contains(name.as_str()));
        assert!(told.is_some_and(|line| line.contains("<project>/<name>")), "{name}: {log}");
    }

    // A second look changes nothing, and the other registry goes on as before.
    let ((name, tag), _) = ours.iter().next().expect("there are some");
    let (project, stream) = name.split_once('/').expect("two words");
    let path = format!("/apis/image.openshift.io/v1/namespaces/{project}/imagestreams/{stream}");
    let before = world.server.api().must(Request::new("GET", path.clone())).await.body;
    let lines = world.server.log().matches("the volume has been looked through").count();
    world.server.restart().await;
    let deadline = Instant::now() + PATIENCE;
    while world.server.log().matches("the volume has been looked through").count() == lines {
        assert!(Instant::now() < deadline, "the volume was not looked through again");
        sleep(Duration::from_millis(20)).await;
    }
    let after = world.server.api().must(Request::new("GET", path)).await.body;
    assert_eq!(before["metadata"]["resourceVersion"], after["metadata"]["resourceVersion"], "{name}:{tag}");
    assert_eq!(tags(&upstream.open.host).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_of_a_volume_that_is_not_what_it_says_is_left() {
    let upstream = Registries::start();
    let expected = tags(&upstream.open.host).await;
    // One layer, in all images that have it, is damaged; as on a disk that lost a block.
    let blobs = upstream.open.storage().join("docker/registry/v2/blobs/sha256");
    let ((name, tag), _) =
        expected.iter().find(|((name, _), _)| name == "team/oci").expect("the seed has an OCI image");
    let api = Api::new(&format!("http://{}", upstream.open.host), None, None);
    let get = |reference: &str| {
        Request::new("GET", format!("/v2/{name}/manifests/{reference}")).header("Accept", ANY)
    };
    let mut manifest = api.must(get(tag)).await.body;
    if let Some(child) = manifest["manifests"][0]["digest"].as_str() {
        manifest = api.must(get(child)).await.body;
    }
    let layer = manifest["layers"][0]["digest"].as_str().expect("a layer").to_owned();
    let hex = layer.trim_start_matches("sha256:");
    std::fs::write(blobs.join(&hex[..2]).join(hex).join("data"), b"damaged").expect("the layer is damaged");

    let configuration = format!("registry:\n  adopt: '{}'\n", upstream.open.storage().display());
    let world = World::around(Server::configured(&configuration, &[]).await).await;
    let deadline = Instant::now() + PATIENCE;
    while !world.server.log().contains("the volume has been looked through") {
        assert!(Instant::now() < deadline, "the volume was not looked through in time");
        sleep(Duration::from_millis(20)).await;
    }
    let path = format!("/v2/{name}/blobs/{layer}");
    assert_eq!(world.call("admin", "GET", &path, &[], None).await.status, 404, "it is not what it says");
    let log = world.server.log();
    assert!(log.contains("content could not be adopted") && log.contains(&layer), "{log}");
    // What does not need it is here and whole; an image that does is not, rather than broken. A list is what it was: one
    // of its images may be missing.
    let mut whole = 0;
    for ((name, tag), digest) in &expected {
        let path = format!("/v2/{name}/manifests/{tag}");
        let answer = world.call("admin", "GET", &path, &[("Accept", ANY.to_owned())], None).await;
        let manifest: Value = serde_json::from_slice(&answer.body).expect("JSON");
        if manifest["layers"].is_array() {
            assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
            audit(&world, name, tag).await;
            whole += 1;
        }
    }
    assert!(whole > 3 && whole < expected.len(), "{whole} of {}", expected.len());
}
