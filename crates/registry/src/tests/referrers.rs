//! Manifests that are about others.

use oci::{Digest, media};
use serde_json::{Value, json};

use super::harness::{Harness, descriptor};

fn artifact(kind: &str, subject: &Digest) -> Value {
    json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "artifactType": kind,
        "config": descriptor(media::OCI_EMPTY, b"{}"), "layers": [descriptor(media::OCI_EMPTY, b"{}")],
        "subject": {"mediaType": media::OCI_MANIFEST, "digest": subject.as_str(), "size": 1},
        "annotations": {"org.example.kind": kind},
    })
}

async fn attach(harness: &Harness, kind: &str, subject: &Digest) -> Digest {
    let manifest = artifact(kind, subject);
    let digest = Digest::sha256(manifest.to_string().as_bytes());
    let put = harness.put("demo/app", digest.as_str(), &manifest).await.is(201);
    assert_eq!(put.header("oci-subject"), subject.as_str());
    digest
}

async fn listed(harness: &Harness, subject: &Digest, query: &str) -> Vec<String> {
    let answered = harness.get(&format!("/v2/demo/app/referrers/{subject}{query}")).await.is(200);
    assert_eq!(answered.header("content-type"), media::OCI_INDEX);
    assert_eq!(answered.header("oci-filters-applied"), if query.is_empty() { "" } else { "artifactType" });
    let rows = answered.json()["manifests"].as_array().unwrap().clone();
    let mut digests: Vec<String> = rows.iter().map(|row| row["digest"].as_str().unwrap().into()).collect();
    digests.sort();
    digests
}

#[tokio::test]
async fn referrers_are_listed_filtered_and_forgotten() {
    let harness = Harness::new().await;
    let subject = Digest::sha256(b"comes later, or never");
    assert!(listed(&harness, &subject, "").await.is_empty());
    harness.blob("demo/app", b"{}").await;
    let signature = attach(&harness, "application/vnd.example.signature", &subject).await;
    let sbom = attach(&harness, "application/vnd.example.sbom", &subject).await;
    let mut both = vec![signature.to_string(), sbom.to_string()];
    both.sort();
    assert_eq!(listed(&harness, &subject, "").await, both);
    let filter = "?artifactType=application/vnd.example.sbom";
    assert_eq!(listed(&harness, &subject, filter).await, [sbom.as_str()]);
    harness.ask("DELETE", &format!("/v2/demo/app/manifests/{sbom}")).send().await.is(202);
    assert_eq!(listed(&harness, &subject, "").await, [signature.as_str()]);
    // A tag makes the stream; what came before belongs to it, and goes with it.
    harness.push("demo/app", "v1", "layer").await;
    assert_eq!(listed(&harness, &subject, "").await, [signature.as_str()]);
    harness.catalog.remove("demo/app");
    assert!(listed(&harness, &subject, "").await.is_empty());
}

#[tokio::test]
async fn a_row_says_what_the_manifest_says() {
    let harness = Harness::new().await;
    harness.blob("demo/app", b"{}").await;
    let subject = Digest::sha256(b"subject");
    let digest = attach(&harness, "application/x", &subject).await;
    let row = harness.get(&format!("/v2/demo/app/referrers/{subject}")).await.json()["manifests"][0].clone();
    let size = artifact("application/x", &subject).to_string().len();
    assert_eq!(
        row,
        json!({
            "mediaType": media::OCI_MANIFEST, "digest": digest.as_str(), "size": size,
            "artifactType": "application/x", "annotations": {"org.example.kind": "application/x"},
        })
    );
}

#[tokio::test]
async fn lists_that_clients_kept_under_a_tag_are_part_of_the_answer() {
    let harness = Harness::new().await;
    let subject = harness.push("demo/app", "v1", "layer").await;
    let old = descriptor(media::OCI_MANIFEST, b"old signature");
    let index = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [old]});
    harness.put("demo/app", &format!("sha256-{}", subject.hex()), &index).await.is(201);
    assert_eq!(listed(&harness, &subject, "").await, [old["digest"].as_str().unwrap()]);
    harness.get("/v2/demo/app/referrers/sha256:bad").await.fails(400, "DIGEST_INVALID");
}
