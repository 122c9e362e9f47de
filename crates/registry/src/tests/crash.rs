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
    harness.get(&format!("/v2/demo/app/blobs/{stray}")).await.is(404);
    assert_eq!(harness.registry.collect().await.unwrap().strays, 1);
    assert!(!place.exists());
}
