//! The size of images that a project takes, however they come and whatever they say of themselves.

use serde_json::json;

use super::{
    content::{OCI, digest, random},
    faults::Image,
    world::World,
};
use crate::{api::Request, server::Server};

/// Puts a manifest of these blobs that were uploaded before; the status.
async fn put(world: &World, manifest: &[u8]) -> (u16, String) {
    let path = format!("/v2/{}/app/manifests/v1", world.project);
    let headers = [("Content-Type", OCI.to_owned())];
    let answer = world.call("builder", "PUT", &path, &headers, Some(manifest.to_vec())).await;
    (answer.status, answer.text())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_larger_than_its_project_allows() {
    let world = World::around(Server::configured("{}\n", &[]).await).await;
    let repository = format!("{}/app", world.project);
    let range = json!({"metadata": {"name": "l"}, "spec": {"limits": [
        {"type": "openshift.io/Image", "max": {"storage": "20Ki"}}]}});
    let path = format!("/api/v1/namespaces/{}/limitranges", world.project);
    world.api.must(Request::new("POST", path).json(&range)).await;

    assert!(Image::new("small", 10_000).push(&world, &repository, "small").await);
    let large = Image::new("large", 40_000);
    for blob in [&large.layer, &large.config] {
        world.upload("builder", &repository, blob).await.expect("blobs are not images");
    }
    let (status, said) = put(&world, &large.manifest).await;
    assert!(
        status == 403 && said.contains("exceeds the maximum limit per openshift.io/Image"),
        "{status} {said}"
    );

    // An artifact says nothing of itself; its layers count.
    let (empty, layer) = (b"{}".to_vec(), random("artifact", 40_000));
    for blob in [&empty, &layer] {
        world.upload("builder", &repository, blob).await.expect("blobs are not images");
    }
    let part =
        |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": digest(bytes), "size": bytes.len()});
    let artifact = json!({"schemaVersion": 2, "mediaType": OCI, "artifactType": "application/x",
        "config": part("application/vnd.oci.empty.v1+json", &empty), "layers": [part("application/x", &layer)]});
    let (status, said) = put(&world, artifact.to_string().as_bytes()).await;
    assert!(
        status == 403 && said.contains("exceeds the maximum limit per openshift.io/Image"),
        "{status} {said}"
    );

    // An image whose size nobody can tell is none that is small enough.
    let image = json!({"metadata": {"name": digest(b"unread")}, "dockerImageManifest": "{not json",
        "dockerImageReference": format!("registry.example/{repository}@{}", digest(b"unread"))});
    let mapping =
        json!({"metadata": {"name": "app", "namespace": world.project}, "tag": "odd", "image": image});
    let path = format!("/apis/image.openshift.io/v1/namespaces/{}/imagestreammappings", world.project);
    let answer = world.api.call(&Request::new("POST", path).json(&mapping)).await.expect("an answer");
    assert_eq!(answer.status, 403, "{answer:?}");
}
