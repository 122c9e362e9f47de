//! Manifests: every kind that is taken, and what is refused.

use oci::digest::Algorithm;
use oci::{Digest, media};
use serde_json::{Value, json};

use super::harness::{Harness, descriptor, image};

#[tokio::test]
async fn a_push_by_tag_is_read_by_tag_and_by_digest() {
    let harness = Harness::new().await;
    let image = harness.image("demo/app", "layer").await;
    let put = harness.put("demo/app", "v1", &image).await.is(201);
    let digest = Digest::sha256(image.to_string().as_bytes());
    assert_eq!(put.header("docker-content-digest"), digest.as_str());
    assert_eq!(put.header("location"), format!("/v2/demo/app/manifests/{digest}"));
    assert_eq!(put.header("warning"), "299 - \"the stream was made\"");
    for reference in ["v1", digest.as_str()] {
        let got = harness.get(&format!("/v2/demo/app/manifests/{reference}")).await.is(200);
        assert_eq!(got.header("content-type"), media::OCI_MANIFEST);
        assert_eq!(got.body, image.to_string());
    }
    let known = harness.ask("GET", "/v2/demo/app/manifests/v1").header("if-none-match", digest.as_str());
    known.send().await.is(304);
}

#[tokio::test]
async fn a_push_by_digest_is_readable_before_there_is_a_stream_and_after() {
    let harness = Harness::new().await;
    let digest = harness.push("demo/app", "", "layer").await;
    let path = format!("/v2/demo/app/manifests/{digest}");
    harness.get(&path).await.is(200);
    harness.push("demo/app", "v1", "another").await;
    harness.get(&path).await.is(200);
    harness.catalog.remove("demo/app");
    harness.get(&path).await.fails(404, "NAME_UNKNOWN");
}

#[tokio::test]
async fn a_sha512_manifest_keeps_its_digest() {
    let harness = Harness::new().await;
    let image = harness.image("demo/app", "layer").await;
    let digest = Digest::of(Algorithm::Sha512, image.to_string().as_bytes());
    let put = harness.put("demo/app", digest.as_str(), &image).await.is(201);
    assert_eq!(put.header("docker-content-digest"), digest.as_str());
    assert_eq!(harness.get(put.header("location")).await.is(200).body, image.to_string());
}

#[tokio::test]
async fn a_push_by_digest_may_set_tags() {
    let harness = Harness::new().await;
    let image = harness.image("demo/app", "layer").await;
    let digest = Digest::sha256(image.to_string().as_bytes());
    let put = harness.put("demo/app", &format!("{digest}?tag=a&tag=b"), &image).await.is(201);
    assert_eq!(put.headers.get_all("oci-tag").iter().count(), 2);
    harness.get("/v2/demo/app/manifests/b").await.is(200);
    let many: String = (0..11).map(|n| format!("&tag=t{n}")).collect();
    harness.put("demo/app", &format!("{digest}?{}", &many[1..]), &image).await.fails(414, "TAG_INVALID");
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let harness = Harness::new().await;
    let image = harness.image("demo/app", "layer").await;
    let digest = Digest::sha256(image.to_string().as_bytes());
    let put = |reference: &str, kind: &str, body: &str| {
        let path = format!("/v2/demo/app/manifests/{reference}");
        harness.ask("PUT", &path).header("content-type", kind).bytes(body.to_owned()).send()
    };
    let text = image.to_string();
    put("sha256:bad", media::OCI_MANIFEST, &text).await.fails(400, "DIGEST_INVALID");
    put(".dot", media::OCI_MANIFEST, &text).await.fails(400, "TAG_INVALID");
    put(digest.as_str(), media::OCI_MANIFEST, &format!("{text} ")).await.fails(400, "DIGEST_INVALID");
    for bad in ["no json", "", "[]", "{}", r#"{"schemaVersion":2,"config":"x","layers":3}"#] {
        put("v1", media::OCI_MANIFEST, bad).await.fails(400, "MANIFEST_INVALID");
    }
    put("v1", "text/plain", &text).await.fails(400, "MANIFEST_INVALID");
    put("v1", media::DOCKER_SCHEMA2, &text).await.fails(400, "MANIFEST_INVALID");
    put("v1", media::OCI_MANIFEST, &text.replace("\"schemaVersion\":2", "\"schemaVersion\":1"))
        .await
        .fails(400, "MANIFEST_INVALID");
    let old = put("v1", media::DOCKER_SCHEMA1_SIGNED, r#"{"schemaVersion":1}"#).await;
    assert!(old.fails(400, "MANIFEST_INVALID").json().to_string().contains("schema 1 is no longer taken"));
    harness.get("/v2/demo/app/manifests/v1").await.is(404);
    put("v1", &format!("{}; charset=utf-8", media::OCI_MANIFEST), &text).await.is(201);
}

#[tokio::test]
async fn an_image_needs_its_blobs_in_their_size() {
    let harness = Harness::new().await;
    harness.blob("demo/app", b"{}").await;
    let missing = harness.put("demo/app", "v1", &image("{}", &["one", "two"])).await;
    let missing = missing.fails(400, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(missing.json()["errors"].as_array().unwrap().len(), 2);
    harness.blob("demo/app", b"one").await;
    let mut lie = image("{}", &["one"]);
    lie["layers"][0]["size"] = 4.into();
    harness.put("demo/app", "v1", &lie).await.fails(400, "MANIFEST_INVALID");
    let mut elsewhere = image("{}", &["one", "never"]);
    elsewhere["layers"][1]["mediaType"] =
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip".into();
    harness.put("demo/app", "v1", &elsewhere).await.is(201);
    harness.put("demo/app", "v2", &image("{}", &[])).await.is(201);
}

#[tokio::test]
async fn large_manifests_are_taken_up_to_the_limit() {
    let harness = Harness::new().await;
    let mut image = harness.image("demo/app", "layer").await;
    let pad = |count: usize| -> serde_json::Map<String, Value> {
        (0..count).map(|n| (format!("org.example.pad{n:04}"), "x".repeat(10_000).into())).collect()
    };
    image["annotations"] = pad(390).into();
    harness.put("demo/app", "v1", &image).await.is(201);
    assert!(harness.get("/v2/demo/app/manifests/v1").await.is(200).body == image.to_string());
    image["annotations"] = pad(700).into();
    harness.put("demo/app", "v1", &image).await.is(413);
}

#[tokio::test]
async fn lists_may_be_sparse_nested_and_empty() {
    let harness = Harness::new().await;
    let image = harness.image("demo/app", "layer").await;
    harness.put("demo/app", Digest::sha256(image.to_string().as_bytes()).as_str(), &image).await.is(201);
    let index = |children: &[Value]| json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": children});
    let child = descriptor(media::OCI_MANIFEST, image.to_string().as_bytes());
    let inner = index(&[child, descriptor(media::OCI_MANIFEST, b"never sent")]);
    harness.put("demo/app", "inner", &inner).await.is(201);
    let outer = index(&[descriptor(media::OCI_INDEX, inner.to_string().as_bytes())]);
    harness.put("demo/app", "outer", &outer).await.is(201);
    harness.put("demo/app", "empty", &index(&[])).await.is(201);
    assert_eq!(harness.get("/v2/demo/app/manifests/outer").await.is(200).body, outer.to_string());
    let absent = Digest::sha256(b"never sent");
    harness.get(&format!("/v2/demo/app/manifests/{absent}")).await.fails(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn old_clients_get_the_usual_child_of_a_docker_list() {
    let harness = Harness::new().await;
    let mut image = harness.image("demo/app", "layer").await;
    image["mediaType"] = media::DOCKER_SCHEMA2.into();
    let text = image.to_string();
    harness.put("demo/app", Digest::sha256(text.as_bytes()).as_str(), &image).await.is(201);
    let mut child = descriptor(media::DOCKER_SCHEMA2, text.as_bytes());
    child["platform"] = json!({"architecture": "amd64", "os": "linux"});
    let list = json!({"schemaVersion": 2, "mediaType": media::DOCKER_LIST, "manifests": [child]});
    harness.put("demo/app", "v1", &list).await.is(201);
    let get = |accept: &str| harness.ask("GET", "/v2/demo/app/manifests/v1").header("accept", accept).send();
    assert_eq!(get(media::DOCKER_SCHEMA2).await.is(200).body, text);
    assert_eq!(get("*/*").await.is(200).body, list.to_string());
    harness.push("demo/app", "oci", "layer").await;
    let path = "/v2/demo/app/manifests/oci";
    let refused = harness.ask("GET", path).header("accept", media::DOCKER_SCHEMA2).send().await;
    refused.fails(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn content_of_an_image_outlives_its_link() {
    let harness = Harness::new().await;
    harness.push("demo/app", "v1", "layer").await;
    let blob = format!("/v2/demo/app/blobs/{}", Digest::sha256(b"layer"));
    for _ in 0..2 {
        harness.ask("DELETE", &blob).send().await.is(202);
        harness.get(&blob).await.is(200);
    }
    harness.registry.collect().await.unwrap();
    harness.get(&blob).await.is(200);
}

#[tokio::test]
async fn a_tag_that_was_deleted_is_gone_and_its_manifest_can_follow() {
    let harness = Harness::new().await;
    let digest = harness.push("demo/app", "v1", "layer").await;
    let manifest = format!("/v2/demo/app/manifests/{digest}");
    harness.ask("DELETE", &manifest).send().await.fails(405, "UNSUPPORTED");
    harness.ask("DELETE", "/v2/demo/app/manifests/v1").send().await.is(202);
    harness.get("/v2/demo/app/manifests/v1").await.fails(404, "MANIFEST_UNKNOWN");
    harness.ask("DELETE", "/v2/demo/app/manifests/v1").send().await.fails(404, "MANIFEST_UNKNOWN");
    harness.get(&manifest).await.is(200);
    harness.ask("DELETE", &manifest).send().await.is(202);
    harness.get(&manifest).await.is(404);
    harness.ask("DELETE", &manifest).send().await.fails(404, "MANIFEST_UNKNOWN");
    let nowhere = format!("/v2/demo/nowhere/manifests/{digest}");
    harness.ask("DELETE", &nowhere).send().await.fails(404, "NAME_UNKNOWN");
}

#[tokio::test]
async fn a_repository_that_is_made_again_starts_empty() {
    let harness = Harness::new().await;
    let digest = harness.push("demo/app", "v1", "layer").await;
    let layer = Digest::sha256(b"layer");
    harness.catalog.remove("demo/app");
    for again in [false, true] {
        if again {
            harness.catalog.make("demo/app");
        }
        harness.get(&format!("/v2/demo/app/manifests/{digest}")).await.is(404);
        harness.get(&format!("/v2/demo/app/blobs/{layer}")).await.is(404);
    }
}

#[tokio::test]
async fn a_tag_made_elsewhere_opens_its_image() {
    let harness = Harness::new().await;
    harness.push("demo/app", "v1", "layer").await;
    harness.catalog.make("demo/prod");
    harness.catalog.tag(("demo/app", "v1"), ("demo/prod", "v1"));
    harness.get("/v2/demo/prod/manifests/v1").await.is(200);
    harness.get(&format!("/v2/demo/prod/blobs/{}", Digest::sha256(b"layer"))).await.is(200);
}
