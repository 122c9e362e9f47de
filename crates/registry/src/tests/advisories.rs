//! What went wrong in other registries must not go wrong here; each test has the number of what was published.

use oci::{Digest, media};
use serde_json::json;

use super::harness::{Harness, descriptor};

#[tokio::test]
async fn cve_2026_32589_an_upload_belongs_to_its_user_and_repository() {
    let harness = Harness::new().await;
    let begun = harness.ask_as("builder", "POST", "/v2/demo/app/blobs/uploads/").send().await.is(202);
    let location = begun.header("location").to_owned();
    for (user, path) in [("pusher", location.clone()), ("builder", location.replace("demo/app", "demo/two"))]
    {
        for method in ["GET", "PATCH", "PUT", "DELETE"] {
            let path = match method {
                "PUT" => format!("{path}?digest={}", Digest::sha256(b"x")),
                _ => path.clone(),
            };
            let asked = harness.ask_as(user, method, &path);
            asked.bytes("x").send().await.fails(404, "BLOB_UPLOAD_UNKNOWN");
        }
    }
    harness.ask_as("builder", "PATCH", &location).bytes("x").send().await.is(202);
}

#[tokio::test]
async fn cve_2026_35172_a_deleted_blob_stays_deleted_where_another_repository_has_it() {
    let harness = Harness::new().await;
    let digest = harness.blob("demo/app", b"weir").await;
    harness.blob("demo/two", b"weir").await;
    let path = format!("/v2/demo/app/blobs/{digest}");
    harness.get(&path).await.is(200);
    harness.ask("DELETE", &path).send().await.is(202);
    harness.get(&path).await.fails(404, "BLOB_UNKNOWN");
    harness.get(&format!("/v2/demo/two/blobs/{digest}")).await.is(200);
}

#[tokio::test]
async fn cve_2026_41888_deleting_a_tag_asks_for_a_right_of_its_own() {
    let harness = Harness::new().await;
    harness.push("demo/app", "v1", "layer").await;
    let asked = harness.ask_as("builder", "DELETE", "/v2/demo/app/manifests/v1");
    asked.send().await.fails(401, "UNAUTHORIZED");
    harness.get("/v2/demo/app/manifests/v1").await.is(200);
}

#[tokio::test]
async fn cve_2023_2253_a_page_is_bounded_before_it_is_made() {
    let harness = Harness::new().await;
    for n in ["1001", "99999999999", "18446744073709551615", "99999999999999999999999999"] {
        let path = format!("/v2/_catalog?n={n}");
        harness.get(&path).await.fails(400, "PAGINATION_NUMBER_INVALID");
    }
    harness.push("demo/app", "v1", "layer").await;
    harness.get("/v2/demo/app/tags/list?n=18446744073709551615").await.is(200);
}

#[tokio::test]
async fn projquay_10504_a_tag_protects_its_manifest_from_deletion_by_digest() {
    let harness = Harness::new().await;
    let digest = harness.push("demo/app", "v1", "layer").await;
    harness.push("demo/app", "v2", "layer").await;
    harness.ask("DELETE", "/v2/demo/app/manifests/v1").send().await.is(202);
    let path = format!("/v2/demo/app/manifests/{digest}");
    harness.ask("DELETE", &path).send().await.fails(405, "UNSUPPORTED");
    harness.get("/v2/demo/app/manifests/v2").await.is(200);
}

#[tokio::test]
async fn an_index_opens_nothing_of_another_project() {
    let harness = Harness::new().await;
    let secret = harness.image("other/app", "secret").await;
    harness.put("other/app", "v1", &secret).await.is(201);
    let text = secret.to_string();
    let grab = json!({
        "schemaVersion": 2, "mediaType": media::OCI_INDEX,
        "manifests": [descriptor(media::OCI_MANIFEST, text.as_bytes())],
    });
    harness.put("demo/app", "grab", &grab).await.is(201);
    let digest = Digest::sha256(text.as_bytes());
    harness.get(&format!("/v2/demo/app/manifests/{digest}")).await.fails(404, "MANIFEST_UNKNOWN");
    let layer = Digest::sha256(b"secret");
    harness.get(&format!("/v2/demo/app/blobs/{layer}")).await.fails(404, "BLOB_UNKNOWN");
    // Nor may an image name blobs that never came here.
    harness.put("demo/app", "image", &secret).await.fails(400, "MANIFEST_BLOB_UNKNOWN");
}

#[tokio::test]
async fn errors_name_no_paths_of_the_storage() {
    let harness = Harness::new().await;
    let digest = harness.blob("demo/app", b"weir").await;
    let dir = harness.dir.path().join(format!("registry/blobs/sha256/{}", &digest.hex()[..2]));
    std::fs::remove_dir_all(dir).unwrap();
    let failed = harness.get(&format!("/v2/demo/app/blobs/{digest}")).await.is(500);
    let text = String::from_utf8_lossy(&failed.body).into_owned();
    assert!(!text.contains("registry/blobs") && !text.contains("No such file"), "{text}");
}

/// zot: whether a push makes or overwrites was guessed from the tag's name.
#[tokio::test]
async fn cve_2026_31801_no_name_of_a_tag_is_special() {
    let harness = Harness::new().await;
    for tag in ["latest", "v1", "sha256-abc"] {
        let image = harness.image("demo/new", "layer").await;
        let put = |user: &'static str, repository: &str| {
            let path = format!("/v2/{repository}/manifests/{tag}");
            let asked = harness.ask_as(user, "PUT", &path).header("content-type", media::OCI_MANIFEST);
            asked.bytes(image.to_string()).send()
        };
        // This user may write to streams and make none; whatever the tag is called.
        put("pusher", "demo/new").await.fails(403, "DENIED");
        put("puller", "demo/new").await.fails(401, "UNAUTHORIZED");
        put("builder", "demo/new").await.is(201);
        put("pusher", "demo/new").await.is(201);
        harness.catalog.remove("demo/new");
    }
}

/// MCP registry: a check that could not be made counted as passed.
#[tokio::test]
async fn ghsa_2v5f_5r6w_p67r_who_cannot_be_checked_is_not_let_in() {
    let harness = Harness::new().await;
    let digest = harness.push("demo/app", "v1", "layer").await;
    for path in ["/v2/", "/v2/_catalog", "/v2/demo/app/tags/list", "/v2/demo/app/manifests/v1"] {
        harness.ask_as("broken", "GET", path).send().await.fails(503, "UNAVAILABLE");
    }
    let put = harness.ask_as("broken", "PUT", "/v2/demo/app/manifests/v2").bytes("{}");
    put.send().await.fails(503, "UNAVAILABLE");
    let delete = format!("/v2/demo/app/manifests/{digest}");
    harness.ask_as("broken", "DELETE", &delete).send().await.fails(503, "UNAVAILABLE");
}

/// Trivy's images: what a mirror served after its source had taken it back. Here the tag decides, and it is asked every time.
#[tokio::test]
async fn cve_2026_33634_a_tag_that_moved_on_is_served_as_it_is_now() {
    let harness = Harness::new().await;
    let bad = harness.push("demo/app", "v1", "a stolen build").await;
    harness.get("/v2/demo/app/manifests/v1").await.is(200);
    let good = harness.push("demo/app", "v1", "the real one").await;
    let served = harness.get("/v2/demo/app/manifests/v1").await.is(200);
    assert_eq!(served.header("docker-content-digest"), good.as_str());
    // What must not be served by its digest either is taken away from everybody, also from what is kept ready.
    harness.ask("DELETE", "/v2/demo/app/manifests/v1").send().await.is(202);
    harness.ask("DELETE", &format!("/v2/demo/app/manifests/{bad}")).send().await.is(202);
    harness.get(&format!("/v2/demo/app/manifests/{bad}")).await.is(404);
    harness.ask("DELETE", &format!("/admin/blobs/{bad}")).send().await.is(204);
    harness.get(&format!("/v2/demo/app/blobs/{bad}")).await.is(404);
}
