//! Collection of what nobody needs.

use oci::{Digest, media};
use serde_json::json;

use super::harness::{Harness, descriptor};
use crate::limits::{GRACE, SESSION_AGE};

#[tokio::test]
async fn what_images_need_stays_and_the_rest_goes_after_its_grace() {
    let harness = Harness::new().await;
    harness.push("demo/app", "v1", "layer").await;
    let alone = harness.blob("demo/app", b"alone").await;
    let path = format!("/v2/demo/app/blobs/{alone}");
    assert_eq!(harness.registry.collect().await.unwrap(), Default::default());
    harness.get(&path).await.is(200);
    harness.later(GRACE + 1);
    let done = harness.registry.collect().await.unwrap();
    assert_eq!((done.blobs, done.bytes), (1, 5));
    harness.get(&path).await.is(404);
    harness.get("/v2/demo/app/manifests/v1").await.is(200);
    harness.get(&format!("/v2/demo/app/blobs/{}", Digest::sha256(b"layer"))).await.is(200);
    // The same content may come again.
    harness.blob("demo/app", b"alone").await;
    harness.get(&path).await.is(200);
}

#[tokio::test]
async fn a_question_for_content_keeps_it_for_another_while() {
    let harness = Harness::new().await;
    let digest = harness.blob("demo/app", b"alone").await;
    let path = format!("/v2/demo/app/blobs/{digest}");
    harness.later(GRACE - 1);
    harness.ask("HEAD", &path).send().await.is(200);
    harness.later(2);
    assert_eq!(harness.registry.collect().await.unwrap().blobs, 0);
    harness.later(GRACE);
    assert_eq!(harness.registry.collect().await.unwrap().blobs, 1);
}

#[tokio::test]
async fn a_manifest_by_digest_stays_with_what_it_consists_of() {
    let harness = Harness::new().await;
    harness.push("demo/app", "v1", "layer").await;
    harness.blob("demo/app", b"{}").await;
    let signature = json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
        "config": descriptor(media::OCI_EMPTY, b"{}"), "layers": [],
        "subject": descriptor(media::OCI_MANIFEST, b"subject"),
    });
    let digest = Digest::sha256(signature.to_string().as_bytes());
    harness.put("demo/app", digest.as_str(), &signature).await.is(201);
    harness.later(GRACE * 10);
    assert_eq!(harness.registry.collect().await.unwrap().blobs, 0);
    harness.get(&format!("/v2/demo/app/manifests/{digest}")).await.is(200);
    harness.get(&format!("/v2/demo/app/blobs/{}", Digest::sha256(b"{}"))).await.is(200);
}

#[tokio::test]
async fn what_a_removed_stream_held_goes_unless_another_one_holds_it() {
    let harness = Harness::new().await;
    let digest = harness.push("demo/app", "v1", "shared").await;
    harness.push("demo/app", "v2", "own").await;
    harness.catalog.make("demo/prod");
    harness.catalog.tag(("demo/app", "v1"), ("demo/prod", "v1"));
    harness.catalog.remove("demo/app");
    harness.later(GRACE + 1);
    let done = harness.registry.collect().await.unwrap();
    // The manifest, the configuration and the layer of v2; every link of the stream.
    assert_eq!((done.blobs, done.links), (3, 6));
    harness.get(&format!("/v2/demo/prod/manifests/{digest}")).await.is(200);
    harness.get(&format!("/v2/demo/prod/blobs/{}", Digest::sha256(b"shared"))).await.is(200);
}

#[tokio::test]
async fn an_upload_that_nobody_goes_on_with_is_forgotten() {
    let harness = Harness::new().await;
    let location = harness.begin("demo/app").await;
    harness.ask("PATCH", &location).bytes("weir").send().await.is(202);
    harness.later(SESSION_AGE);
    assert_eq!(harness.registry.collect().await.unwrap().uploads, 0);
    harness.get(&location).await.is(204);
    harness.later(1);
    assert_eq!(harness.registry.collect().await.unwrap().uploads, 1);
    harness.get(&location).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(std::fs::read_dir(harness.dir.path().join("registry/uploads")).unwrap().count(), 0);
}

#[tokio::test]
async fn content_that_was_purged_is_gone_everywhere() {
    let harness = Harness::new().await;
    let digest = harness.push("demo/app", "v1", "layer").await;
    for _ in 0..2 {
        harness.ask("DELETE", &format!("/admin/blobs/{digest}")).send().await.is(204);
    }
    harness.get("/v2/demo/app/manifests/v1").await.is(404);
}
