//! Content in a real object store over real HTTP, one that works and one that drops connections, delays and fails.

use store::embedded::{Embedded, Options};
use tempfile::TempDir;

use super::*;
use crate::testing::{BUCKET, KEYS, Mood, ObjectStore};

/// A running object store and everything that a test needs of it.
struct Place {
    blobs: ObjectBlobs,
    store: ObjectStore,
    _dir: TempDir,
}

async fn place(mood: Mood) -> Place {
    let dir = tempfile::tempdir().unwrap();
    let store = ObjectStore::start(&dir.path().join("s3"), mood).await.unwrap();
    let names = Arc::new(Embedded::open(dir.path().join("store"), Options::default()).unwrap());
    let settings = ObjectSettings {
        bucket: BUCKET.to_owned(),
        region: Some("nowhere".to_owned()),
        endpoint: Some(store.endpoint()),
        keys: Some((KEYS.0.to_owned(), KEYS.1.to_owned())),
        allow_http: true,
        redirect: false,
        spool: dir.path().join("spool"),
        patience: if mood == Mood::Gone { Duration::from_millis(100) } else { Duration::from_secs(30) },
    };
    Place { blobs: ObjectBlobs::open(&settings, names).unwrap(), store, _dir: dir }
}

async fn opened(mood: Mood) -> (ObjectBlobs, Place) {
    let place = place(mood).await;
    (place.blobs.clone(), place)
}

crate::blobs::conformance::blobs_conformance!(good_store, opened(Mood::Good).await);
crate::blobs::conformance::blobs_conformance!(bad_store, opened(Mood::Bad(7)).await);

#[tokio::test]
async fn a_blob_is_one_object_and_nothing_is_left_beside_it() {
    let (blobs, place) = opened(Mood::Good).await;
    let content = Bytes::from(vec![5; 3 * PART + 17]);
    let digest = Digest::sha256(&content);
    for id in ["one", "two"] {
        let upload = blobs.open(id, Resume::New(Algorithm::Sha256)).await.unwrap();
        upload.write(vec![content.slice(..PART + 1)]).await.unwrap();
        upload.sync().await.unwrap();
        upload.write(vec![content.slice(PART + 1..)]).await.unwrap();
        upload.commit(&digest).await.unwrap();
        blobs.abort(id).await.unwrap();
        assert_eq!(place.store.objects().unwrap().len(), 1, "after {id}");
    }
    blobs.delete(&digest).await.unwrap();
    assert_eq!(place.store.objects().unwrap().len(), 0);
}

#[tokio::test]
async fn four_parts_cost_as_many_requests_as_there_are_and_a_handful_more() {
    let (blobs, place) = opened(Mood::Good).await;
    let content = Bytes::from(vec![5; 4 * PART]);
    let digest = Digest::sha256(&content);
    let upload = blobs.open("one", Resume::New(Algorithm::Sha256)).await.unwrap();
    upload.write(vec![content]).await.unwrap();
    upload.commit(&digest).await.unwrap();
    // Begin, four parts, complete: no copy, no list.
    assert_eq!(place.store.requests(), 6);
}

#[tokio::test]
async fn a_store_that_is_gone_is_an_error_and_found_by_the_check() {
    let (blobs, _place) = opened(Mood::Gone).await;
    assert!(blobs.check().await.is_err());
    let upload = blobs.open("one", Resume::New(Algorithm::Sha256)).await.unwrap();
    upload.write(vec![Bytes::from_static(b"weir")]).await.unwrap();
    assert!(upload.commit(&Digest::sha256(b"weir")).await.is_err());
    assert_eq!(blobs.size(&Digest::sha256(b"weir")).await.unwrap(), None);
    let (blobs, _place) = opened(Mood::Good).await;
    blobs.check().await.unwrap();
}

#[tokio::test]
async fn clients_are_sent_to_the_store_where_that_is_wanted() {
    let (mut blobs, _place) = opened(Mood::Good).await;
    let digest = Digest::sha256(b"weir");
    let upload = blobs.open("one", Resume::New(Algorithm::Sha256)).await.unwrap();
    upload.write(vec![Bytes::from_static(b"weir")]).await.unwrap();
    upload.commit(&digest).await.unwrap();
    assert_eq!(blobs.redirect(&digest).await.unwrap(), None);
    blobs.redirect = true;
    let url = blobs.redirect(&digest).await.unwrap().unwrap();
    assert!(url.contains("/images/blobs/one?") && url.contains("X-Amz-Signature="), "{url}");
}
