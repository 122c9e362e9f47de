//! Restarts in the middle of things.

use oci::Digest;

use super::harness::Harness;

#[tokio::test]
async fn an_upload_goes_on_after_a_restart() {
    let harness = Harness::new().await;
    let location = harness.begin("demo/app").await;
    harness.ask("PATCH", &location).bytes("first ").send().await.is(202);
    let harness = harness.restarted().await;
    assert_eq!(harness.get(&location).await.is(204).header("range"), "0-5");
    harness.ask("PATCH", &location).header("content-range", "6-11").bytes("second").send().await.is(202);
    let harness = harness.restarted().await;
    let digest = Digest::sha256(b"first second third");
    harness.ask("PUT", &format!("{location}?digest={digest}")).bytes(" third").send().await.is(201);
    let harness = harness.restarted().await;
    let got = harness.get(&format!("/v2/demo/app/blobs/{digest}")).await.is(200);
    assert_eq!(got.body, "first second third");
}

#[tokio::test]
async fn bytes_that_were_written_but_not_noted_are_sent_again() {
    let harness = Harness::new().await;
    let location = harness.begin("demo/app").await;
    harness.ask("PATCH", &location).bytes("first ").send().await.is(202);
    let id = location.rsplit('/').next().unwrap();
    let path = harness.dir.path().join("registry/uploads").join(id);
    // As a crash in the middle of a write leaves it.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_slice(b"sec\0\0\0\0\0");
    let harness = harness.restarted().await;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(harness.get(&location).await.is(204).header("range"), "0-5");
    let digest = Digest::sha256(b"first second");
    harness.ask("PUT", &format!("{location}?digest={digest}")).bytes("second").send().await.is(201);
}

#[tokio::test]
async fn an_upload_whose_bytes_are_lost_begins_anew() {
    let harness = Harness::new().await;
    let location = harness.begin("demo/app").await;
    harness.ask("PATCH", &location).bytes("weir").send().await.is(202);
    let id = location.rsplit('/').next().unwrap().to_owned();
    let harness = harness.restarted().await;
    std::fs::remove_file(harness.dir.path().join("registry/uploads").join(id)).unwrap();
    harness.get(&location).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn what_a_crash_leaves_is_removed_at_the_start_and_by_collection() {
    let harness = Harness::new().await;
    let kept = harness.begin("demo/app").await;
    harness.ask("PATCH", &kept).bytes("weir").send().await.is(202);
    // Nobody was told of any byte of this one.
    let begun = harness.begin("demo/app").await;
    let uploads = harness.dir.path().join("registry/uploads");
    std::fs::write(uploads.join("left"), b"nobody knows me").unwrap();
    // Content that was renamed into its place before the crash, and has no record.
    let stray = Digest::sha256(b"stray");
    let place =
        harness.dir.path().join(format!("registry/blobs/sha256/{}/{}", &stray.hex()[..2], stray.hex()));
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("data"), b"stray").unwrap();
    let harness = harness.restarted().await;
    assert_eq!(std::fs::read_dir(&uploads).unwrap().count(), 1);
    harness.get(&kept).await.is(204);
    harness.get(&begun).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    harness.get(&format!("/v2/demo/app/blobs/{stray}")).await.is(404);
    assert_eq!(harness.registry.collect().await.unwrap().strays, 1);
    assert!(!place.exists());
}

#[tokio::test]
async fn a_full_disk_refuses_what_is_new_and_serves_what_is_there() {
    let harness = Harness::new().await;
    let digest = harness.push("demo/app", "v1", "layer").await;
    let location = harness.begin("demo/app").await;
    harness.ask("PATCH", &location).bytes("first ").send().await.is(202);
    let harness = harness.filled(u64::MAX / 2).await;
    let full = harness.ask("PATCH", &location).bytes("second").send().await.fails(503, "UNAVAILABLE");
    assert!(full.json()["errors"][0]["message"].as_str().unwrap().contains("full"), "{full:?}");
    let image = super::harness::image("{}", &[]);
    harness.put("demo/app", "v2", &image).await.is(400);
    harness.get("/v2/demo/app/manifests/v1").await.is(200);
    harness.get(&format!("/v2/demo/app/blobs/{digest}")).await.is(200);
    // There is room again: the upload goes on where it was.
    let harness = harness.filled(0).await;
    assert_eq!(harness.get(&location).await.is(204).header("range"), "0-5");
    let whole = Digest::sha256(b"first second");
    harness.ask("PUT", &format!("{location}?digest={whole}")).bytes("second").send().await.is(201);
    assert_eq!(harness.get(&format!("/v2/demo/app/blobs/{whole}")).await.is(200).body, "first second");
}

#[tokio::test]
async fn two_clients_may_send_the_same_blob_at_once() {
    let harness = Harness::new().await;
    let bytes = vec![7_u8; 3_000_000];
    let digest = Digest::sha256(&bytes);
    let (one, other) = (harness.begin("demo/app").await, harness.begin("demo/app").await);
    let put = |location: String| {
        harness.ask("PUT", &format!("{location}?digest={digest}")).bytes(bytes.clone()).send()
    };
    let (first, second) = futures_util::future::join(put(one), put(other)).await;
    first.is(201);
    second.is(201);
    assert!(harness.get(&format!("/v2/demo/app/blobs/{digest}")).await.is(200).body == bytes);
    assert_eq!(std::fs::read_dir(harness.dir.path().join("registry/uploads")).unwrap().count(), 0);
}
