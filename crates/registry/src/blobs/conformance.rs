//! What [`Blobs`] promises, as tests for any backend. `blobs_conformance!(name, expression)` makes a module of tests;
//! the expression is evaluated for each and gives an empty backend, paired with whatever must live as long.

use bytes::Bytes;
use futures_util::TryStreamExt;
use oci::Digest;
use oci::digest::Algorithm;

use super::{Blobs, Resume};

/// Stamps the suite on a backend.
macro_rules! blobs_conformance_suite {
    ($name:ident, $open:expr) => {
        mod $name {
            use super::*;

            crate::blobs::conformance::blobs_conformance!(@tests $open,
                what_was_committed_is_read_back_in_parts,
                nothing_is_content_before_it_is_committed,
                an_upload_goes_on_where_it_was,
                an_aborted_upload_is_gone,
                the_same_content_may_come_twice,
                deleting_is_final_and_may_be_repeated,
                empty_content_is_content,
                every_algorithm_has_its_own_place,
                a_list_has_what_is_there,
                only_known_uploads_survive_a_sweep,
                large_uploads_go_on_from_any_point_that_was_noted,
                a_shared_upload_is_read_while_it_grows,
            );
        }
    };
    (@tests $open:expr, $($test:ident,)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let (blobs, _kept) = $open;
                crate::blobs::conformance::$test(&blobs).await;
            }
        )*
    };
}
pub(crate) use blobs_conformance_suite as blobs_conformance;

async fn put(blobs: &dyn Blobs, id: &str, content: &[u8], algorithm: Algorithm) -> Digest {
    let upload = blobs.open(id, Resume::New(algorithm)).await.unwrap();
    upload.write(vec![Bytes::copy_from_slice(content)]).await.unwrap();
    let digest = upload.digest(algorithm).await.unwrap();
    upload.commit(&digest).await.unwrap();
    digest
}

async fn get(blobs: &dyn Blobs, digest: &Digest, range: std::ops::Range<u64>) -> Vec<u8> {
    blobs.read(digest, range).await.unwrap().try_collect::<Vec<_>>().await.unwrap().concat()
}

pub(crate) async fn what_was_committed_is_read_back_in_parts(blobs: &dyn Blobs) {
    let content: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let digest = put(blobs, "one", &content, Algorithm::Sha256).await;
    assert_eq!(digest, Digest::sha256(&content));
    assert_eq!(blobs.size(&digest).await.unwrap(), Some(4_000_000));
    assert!(get(blobs, &digest, 0..4_000_000).await == content);
    assert_eq!(get(blobs, &digest, 1_999_999..2_700_003).await, &content[1_999_999..2_700_003]);
    assert!(get(blobs, &digest, 7..7).await.is_empty());
}

pub(crate) async fn nothing_is_content_before_it_is_committed(blobs: &dyn Blobs) {
    let upload = blobs.open("one", Resume::New(Algorithm::Sha256)).await.unwrap();
    upload.write(vec![Bytes::from_static(b"weir")]).await.unwrap();
    let digest = upload.digest(Algorithm::Sha256).await.unwrap();
    assert_eq!(blobs.size(&digest).await.unwrap(), None);
    assert!(blobs.read(&digest, 0..4).await.is_err());
    assert_eq!(upload.progress().offset, 4);
}

pub(crate) async fn an_upload_goes_on_where_it_was(blobs: &dyn Blobs) {
    let upload = blobs.open("one", Resume::New(Algorithm::Sha512)).await.unwrap();
    upload.write(vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")]).await.unwrap();
    let noted = upload.sync().await.unwrap();
    upload.write(vec![Bytes::from_static(b"lost")]).await.unwrap();
    drop(upload);
    let upload = blobs.open("one", Resume::At(noted)).await.unwrap();
    upload.write(vec![Bytes::from_static(b"c")]).await.unwrap();
    let digest = upload.digest(Algorithm::Sha512).await.unwrap();
    assert_eq!(digest, Digest::of(Algorithm::Sha512, b"abc"));
    upload.commit(&digest).await.unwrap();
    assert_eq!(get(blobs, &digest, 0..3).await, b"abc");
}

pub(crate) async fn an_aborted_upload_is_gone(blobs: &dyn Blobs) {
    let upload = blobs.open("one", Resume::New(Algorithm::Sha256)).await.unwrap();
    upload.write(vec![Bytes::from_static(b"weir")]).await.unwrap();
    let noted = upload.sync().await.unwrap();
    drop(upload);
    blobs.abort("one").await.unwrap();
    blobs.abort("one").await.unwrap();
    assert!(blobs.open("one", Resume::At(noted)).await.is_err());
}

pub(crate) async fn the_same_content_may_come_twice(blobs: &dyn Blobs) {
    let first = put(blobs, "one", b"weir", Algorithm::Sha256).await;
    let second = put(blobs, "two", b"weir", Algorithm::Sha256).await;
    assert_eq!(first, second);
    assert_eq!(get(blobs, &first, 0..4).await, b"weir");
}

pub(crate) async fn deleting_is_final_and_may_be_repeated(blobs: &dyn Blobs) {
    let digest = put(blobs, "one", b"weir", Algorithm::Sha256).await;
    blobs.delete(&digest).await.unwrap();
    blobs.delete(&digest).await.unwrap();
    assert_eq!(blobs.size(&digest).await.unwrap(), None);
    put(blobs, "two", b"weir", Algorithm::Sha256).await;
    assert_eq!(blobs.size(&digest).await.unwrap(), Some(4));
}

pub(crate) async fn empty_content_is_content(blobs: &dyn Blobs) {
    let digest = put(blobs, "one", b"", Algorithm::Sha256).await;
    assert_eq!(blobs.size(&digest).await.unwrap(), Some(0));
    assert!(get(blobs, &digest, 0..0).await.is_empty());
}

pub(crate) async fn every_algorithm_has_its_own_place(blobs: &dyn Blobs) {
    for (id, algorithm) in [("a", Algorithm::Sha256), ("b", Algorithm::Sha384), ("c", Algorithm::Sha512)] {
        let digest = put(blobs, id, b"weir", algorithm).await;
        assert_eq!(digest, Digest::of(algorithm, b"weir"));
        assert_eq!(get(blobs, &digest, 1..3).await, b"ei");
    }
}

pub(crate) async fn a_list_has_what_is_there(blobs: &dyn Blobs) {
    let digest = put(blobs, "one", b"weir", Algorithm::Sha512).await;
    let first = u8::from_str_radix(&digest.hex()[..2], 16).unwrap();
    assert_eq!(blobs.list(first).await.unwrap(), [digest]);
    assert!(blobs.list(first.wrapping_add(1)).await.unwrap().is_empty());
}

pub(crate) async fn only_known_uploads_survive_a_sweep(blobs: &dyn Blobs) {
    for id in ["kept", "left"] {
        let upload = blobs.open(id, Resume::New(Algorithm::Sha256)).await.unwrap();
        upload.write(vec![Bytes::from_static(b"weir")]).await.unwrap();
        upload.sync().await.unwrap();
    }
    assert_eq!(blobs.abort_others(&|id| id == "kept").await.unwrap(), 1);
    assert_eq!(blobs.abort_others(&|_| false).await.unwrap(), 1);
}

pub(crate) async fn large_uploads_go_on_from_any_point_that_was_noted(blobs: &dyn Blobs) {
    // Larger than any part of an object store, and noted at odd places.
    let content: Vec<u8> = (0..6_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let (first, second) = (9_000_001, 17_500_000);
    let upload = blobs.open("one", Resume::New(Algorithm::Sha256)).await.unwrap();
    upload.write(vec![Bytes::copy_from_slice(&content[..first])]).await.unwrap();
    let noted = upload.sync().await.unwrap();
    // More is written and synchronised, but nobody notes that before the crash.
    upload.write(vec![Bytes::from(vec![7; 9_000_000])]).await.unwrap();
    upload.sync().await.unwrap();
    drop(upload);
    let upload = blobs.open("one", Resume::At(noted)).await.unwrap();
    upload.write(vec![Bytes::copy_from_slice(&content[first..second])]).await.unwrap();
    let noted = upload.sync().await.unwrap();
    drop(upload);
    let upload = blobs.open("one", Resume::At(noted)).await.unwrap();
    upload.write(vec![Bytes::copy_from_slice(&content[second..])]).await.unwrap();
    let digest = upload.digest(Algorithm::Sha256).await.unwrap();
    assert_eq!(digest, Digest::sha256(&content));
    assert_eq!(upload.digest(Algorithm::Sha512).await.unwrap(), Digest::of(Algorithm::Sha512, &content));
    upload.commit(&digest).await.unwrap();
    blobs.abort("one").await.unwrap();
    assert!(get(blobs, &digest, 0..content.len() as u64).await == content);
}

pub(crate) async fn a_shared_upload_is_read_while_it_grows(blobs: &dyn Blobs) {
    let upload = blobs.open("one", Resume::Shared(Algorithm::Sha256)).await.unwrap();
    upload.write(vec![Bytes::from_static(b"first ")]).await.unwrap();
    assert_eq!(upload.read(1..4).await.unwrap(), "irs");
    upload.write(vec![Bytes::from_static(b"second")]).await.unwrap();
    let digest = upload.digest(Algorithm::Sha256).await.unwrap();
    upload.commit(&digest).await.unwrap();
    blobs.abort("one").await.unwrap();
    assert_eq!(upload.read(4..12).await.unwrap(), "t second");
    assert_eq!(get(blobs, &digest, 0..12).await, b"first second");
}
