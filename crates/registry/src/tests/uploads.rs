//! Blobs on their way in: every form of upload that the specification knows.

use oci::Digest;
use oci::digest::Algorithm;

use super::harness::{Harness, body, broken_body};

const HALF: [u8; 1024] = [b'a'; 1024];

fn digest_of(parts: &[&[u8]]) -> Digest {
    Digest::sha256(&parts.concat())
}

#[tokio::test]
async fn a_blob_comes_back_as_it_went() {
    let harness = Harness::new().await;
    let content: Vec<u8> = (0..700_000_u32).flat_map(u32::to_le_bytes).collect();
    let digest = harness.blob("demo/app", &content).await;
    let got = harness.get(&format!("/v2/demo/app/blobs/{digest}")).await.is(200);
    assert!(got.body == content);
    assert_eq!(got.header("etag"), format!("\"{digest}\""));
    assert_eq!(got.header("accept-ranges"), "bytes");
    let part = harness.ask("GET", &format!("/v2/demo/app/blobs/{digest}")).header("range", "bytes=500-1499");
    let part = part.send().await.is(206);
    assert_eq!(part.body, content[500..1500]);
    assert_eq!(part.header("content-range"), "bytes 500-1499/2800000");
    let beyond =
        harness.ask("GET", &format!("/v2/demo/app/blobs/{digest}")).header("range", "bytes=2800000-");
    assert_eq!(beyond.send().await.fails(416, "RANGE_INVALID").header("content-range"), "bytes */2800000");
    let known = harness.ask("GET", &format!("/v2/demo/app/blobs/{digest}"));
    known.header("if-none-match", format!("\"{digest}\"")).send().await.is(304);
}

#[tokio::test]
async fn a_single_post_is_enough() {
    let harness = Harness::new().await;
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let digest = Digest::of(algorithm, b"weir");
        let path = format!("/v2/demo/app/blobs/uploads/?digest={digest}");
        let posted = harness.ask("POST", &path).bytes("weir").send().await.is(201);
        assert_eq!(posted.header("location"), format!("/v2/demo/app/blobs/{digest}"));
        assert_eq!(harness.get(posted.header("location")).await.is(200).body, "weir");
        harness.ask("POST", &path).bytes("dam!").send().await.fails(400, "DIGEST_INVALID");
    }
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let harness = Harness::new().await;
    let digest = harness.blob("demo/app", b"").await;
    assert_eq!(
        harness.get(&format!("/v2/demo/app/blobs/{digest}")).await.is(200).header("content-length"),
        "0"
    );
}

#[tokio::test]
async fn pieces_come_in_order_or_not_at_all() {
    let harness = Harness::new().await;
    let location = harness.begin("demo/app").await;
    let piece = |range: &str| harness.ask("PATCH", &location).header("content-range", range);
    assert_eq!(piece("0-1023").bytes(HALF.to_vec()).send().await.is(202).header("range"), "0-1023");
    for wrong in ["2048-3071", "0-1023", "1023-2046", "x-y", "1024-1023"] {
        let refused = piece(wrong).bytes(HALF.to_vec()).send().await.fails(416, "RANGE_INVALID");
        assert!(wrong == "x-y" || refused.header("location") == location, "{wrong}");
    }
    piece("1024-1030").bytes(HALF.to_vec()).send().await.fails(400, "SIZE_INVALID");
    let status = harness.get(&location).await.is(204);
    assert_eq!((status.header("range"), status.header("location")), ("0-1023", location.as_str()));
    let digest = digest_of(&[&HALF, &HALF]);
    let finish = harness.ask("PUT", &format!("{location}?digest={digest}"));
    finish.header("content-range", "0-1023").bytes(HALF.to_vec()).send().await.is(416);
    let finish = harness.ask("PUT", &format!("{location}?digest={digest}"));
    finish.header("content-range", "1024-2047").bytes(HALF.to_vec()).send().await.is(201);
    harness.get(&location).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn what_arrived_before_the_client_went_away_is_kept() {
    let harness = Harness::new().await;
    let location = harness.begin("demo/app").await;
    harness.ask("PATCH", &location).streamed(broken_body(b"first ")).send().await.is(400);
    assert_eq!(harness.get(&location).await.is(204).header("range"), "0-5");
    harness.ask("PATCH", &location).bytes("second").send().await.is(202);
    let digest = Digest::sha256(b"first second");
    harness.ask("PUT", &format!("{location}?digest={digest}")).send().await.is(201);
    assert_eq!(harness.get(&format!("/v2/demo/app/blobs/{digest}")).await.is(200).body, "first second");
}

#[tokio::test]
async fn a_sha512_digest_at_the_end_of_a_sha256_upload_is_computed() {
    let harness = Harness::new().await;
    let location = harness.begin("demo/app").await;
    harness.ask("PATCH", &location).bytes("weir").send().await.is(202);
    let digest = Digest::of(Algorithm::Sha512, b"weir");
    let put = harness.ask("PUT", &format!("{location}?digest={digest}")).send().await.is(201);
    assert_eq!(put.header("docker-content-digest"), digest.as_str());
}

#[tokio::test]
async fn a_wrong_digest_stores_nothing_and_ends_the_upload() {
    let harness = Harness::new().await;
    let location = harness.begin("demo/app").await;
    let wrong = Digest::sha256(b"dam");
    let put = harness.ask("PUT", &format!("{location}?digest={wrong}")).bytes("weir").send().await;
    put.fails(400, "DIGEST_INVALID");
    for bytes in [b"weir".as_slice(), b"dam"] {
        harness
            .get(&format!("/v2/demo/app/blobs/{}", Digest::sha256(bytes)))
            .await
            .fails(404, "BLOB_UNKNOWN");
    }
    harness.get(&location).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    let left = std::fs::read_dir(harness.dir.path().join("registry/uploads")).unwrap().count();
    assert_eq!(left, 0);
    for bad in ["", "?digest=sha256:bad", "?digest=md5:aaaa"] {
        let location = harness.begin("demo/app").await;
        harness.ask("PUT", &format!("{location}{bad}")).bytes("x").send().await.fails(400, "DIGEST_INVALID");
    }
}

#[tokio::test]
async fn a_cancelled_upload_is_gone() {
    let harness = Harness::new().await;
    let location = harness.begin("demo/app").await;
    harness.ask("PATCH", &location).bytes("weir").send().await.is(202);
    harness.ask("DELETE", &location).send().await.is(204);
    harness.get(&location).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    harness.ask("DELETE", &location).send().await.is(404);
}

#[tokio::test]
async fn a_piece_has_one_content_type() {
    let harness = Harness::new().await;
    let location = harness.begin("demo/app").await;
    harness.ask("PATCH", &location).header("content-type", "text/plain").bytes("x").send().await.is(415);
}

#[tokio::test]
async fn a_mount_links_what_the_caller_may_read_and_otherwise_begins_an_upload() {
    let harness = Harness::new().await;
    let digest = harness.blob("demo/app", b"weir").await;
    let mount = |from: &str, digest: &str| format!("/v2/demo/two/blobs/uploads/?mount={digest}&from={from}");
    let mounted = harness.ask("POST", &mount("demo/app", digest.as_str())).send().await.is(201);
    assert_eq!(harness.get(mounted.header("location")).await.is(200).body, "weir");
    let absent = Digest::sha256(b"absent");
    for path in [
        mount("demo/app", absent.as_str()),
        mount("demo/nowhere", digest.as_str()),
        mount("a/b/c/d", digest.as_str()),
        mount("alone", digest.as_str()),
        mount("demo/app", "sha256:bad"),
        format!("/v2/demo/two/blobs/uploads/?mount={digest}"),
    ] {
        let begun = harness.ask("POST", &path).send().await.is(202);
        assert!(begun.header("location").contains("/v2/demo/two/blobs/uploads/"), "{path}");
    }
    let secret = harness.blob("other/app", b"secret").await;
    harness.ask_as("builder", "POST", &mount("other/app", secret.as_str())).send().await.is(202);
    harness.get(&format!("/v2/demo/two/blobs/{secret}")).await.is(404);
}

#[tokio::test]
async fn a_blob_belongs_to_repositories() {
    let harness = Harness::new().await;
    let digest = harness.blob("demo/app", b"weir").await;
    harness.get(&format!("/v2/demo/two/blobs/{digest}")).await.fails(404, "BLOB_UNKNOWN");
    harness.ask("DELETE", &format!("/v2/demo/app/blobs/{digest}")).send().await.is(202);
    harness.get(&format!("/v2/demo/app/blobs/{digest}")).await.is(404);
    harness.ask("DELETE", &format!("/v2/demo/app/blobs/{digest}")).send().await.fails(404, "BLOB_UNKNOWN");
    for bad in ["sha256:bad", "md5:aaaa"] {
        harness.get(&format!("/v2/demo/app/blobs/{bad}")).await.fails(400, "DIGEST_INVALID");
    }
}

/// How many records of uploads there are.
async fn records(harness: &Harness) -> usize {
    let range = store::Range { limit: 10_000, ..store::Range::of(crate::records::UPLOADS) };
    harness.registry.store.range(range).await.unwrap().items.len()
}

#[tokio::test]
async fn an_upload_has_a_record_once_there_is_something_to_find_again() {
    let harness = Harness::new().await;
    let location = harness.begin("demo/app").await;
    assert_eq!(records(&harness).await, 0);
    for (user, path) in [("builder", location.clone()), ("admin", location.replace("demo/app", "demo/two"))] {
        harness.ask_as(user, "PATCH", &path).bytes("x").send().await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    }
    // One that is taken back leaves an upload that has begun.
    let short = harness.ask("PATCH", &location).header("content-range", "0-9").streamed(body("short"));
    short.send().await.fails(400, "SIZE_INVALID");
    assert_eq!(records(&harness).await, 1);
    harness.ask("PATCH", &location).bytes("weir").send().await.is(202);
    let digest = Digest::sha256(b"weir");
    harness.ask("PUT", &format!("{location}?digest={digest}")).send().await.is(201);
    assert_eq!(records(&harness).await, 0);
}

#[tokio::test]
async fn a_stop_that_is_not_sudden_forgets_no_upload() {
    let harness = Harness::new().await;
    let location = harness.begin("demo/app").await;
    harness.registry.rest().await.unwrap();
    let harness = harness.restarted().await;
    let digest = Digest::sha256(b"weir");
    harness.ask("PUT", &format!("{location}?digest={digest}")).bytes("weir").send().await.is(201);
}

#[tokio::test]
async fn uploads_that_only_begin_shut_nobody_out() {
    let harness = Harness::new().await;
    let first = harness.begin("demo/app").await;
    for _ in 0..crate::limits::OPEN_SESSIONS {
        harness.begin("demo/app").await;
    }
    assert!(records(&harness).await > crate::limits::OPEN_SESSIONS / 2);
    harness.blob("demo/app", b"weir").await;
    harness.get(&first).await.is(204);
}
