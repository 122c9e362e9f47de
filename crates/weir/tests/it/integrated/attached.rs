//! What cosign and others keep beside an image: imported with it when asked, served as at the source, and described.

use serde_json::{Value, json};

use super::{
    clients::run,
    content::{OCI, OCI_INDEX, digest},
    faults::{Image, push_elsewhere},
    world::World,
};
use crate::{api::Request, registry::Registries, server::Server};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A manifest as cosign makes it: one layer with what it is about.
fn beside(kind: &str, payload: &[u8], annotation: &str) -> (Vec<u8>, Vec<u8>) {
    let config =
        br#"{"architecture":"","os":"","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#.to_vec();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI,
        "config": {"mediaType": CONFIG, "digest": digest(&config), "size": config.len()},
        "layers": [{
            "mediaType": kind, "digest": digest(payload), "size": payload.len(),
            "annotations": {"dev.cosignproject.cosign/signature": annotation},
        }],
    });
    (config, manifest.to_string().into_bytes())
}

struct Place {
    world: World,
    upstream: Registries,
    image: Image,
    home: tempfile::TempDir,
}

impl Place {
    async fn open() -> Self {
        let world = World::around(Server::configured("{}\n", &[]).await).await;
        let (upstream, image) = (Registries::start(), Image::new("signed", 50_000));
        let blobs = [&image.layer[..], &image.config[..]];
        push_elsewhere(&upstream, "signed/app", "v1", &blobs, (OCI, &image.manifest)).await;
        Self { world, upstream, image, home: tempfile::tempdir().expect("a home") }
    }

    /// The tag beside the image that ends so.
    fn tag(&self, suffix: &str) -> String {
        format!("{}{suffix}", digest(&self.image.manifest).replacen(':', "-", 1))
    }

    async fn attach(&self, suffix: &str, kind: &str, payload: &[u8]) -> Vec<u8> {
        let (config, manifest) = beside(kind, payload, "MEUCIQ==");
        let blobs = [payload, &config[..]];
        push_elsewhere(&self.upstream, "signed/app", &self.tag(suffix), &blobs, (OCI, &manifest)).await;
        manifest
    }

    async fn weir(&self, arguments: &[&str]) -> String {
        let kubeconfig = self.world.server.data().join("admin.kubeconfig").display().to_string();
        let all = [&["--kubeconfig", &kubeconfig, "--namespace", &self.world.project], arguments].concat();
        run(env!("CARGO_BIN_EXE_weir"), &all, self.home.path()).await
    }

    async fn import(&self, stream: &str, more: &[&str]) -> String {
        let from = format!("--from={}/signed/app:v1", self.upstream.open.host);
        let stream = format!("{stream}:v1");
        self.weir(&[&["import-image", &stream, &from, "--confirm", "--insecure"], more].concat()).await
    }

    async fn tags(&self, stream: &str) -> Vec<String> {
        let path =
            format!("/apis/image.openshift.io/v1/namespaces/{}/imagestreams/{stream}", self.world.project);
        let stream = self.world.api.must(Request::new("GET", path)).await.body;
        let tags = stream["status"]["tags"].as_array().cloned().unwrap_or_default();
        let mut tags: Vec<String> =
            tags.iter().filter_map(|tag| tag["tag"].as_str()).map(str::to_owned).collect();
        tags.sort();
        tags
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signatures_come_along_when_asked_and_are_served_and_described() {
    let place = Place::open().await;
    let signature =
        place.attach(".sig", "application/vnd.dev.cosign.simplesigning.v1+json", b"{\"a\":1}").await;
    let attestation = place.attach(".att", "application/vnd.dsse.envelope.v1+json", b"{\"b\":2}").await;
    // What refers to the image, in the index that clients keep where a registry does not.
    let row = json!({
        "mediaType": OCI, "digest": digest(&attestation), "size": attestation.len(),
        "artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json",
    });
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [row]}).to_string();
    push_elsewhere(&place.upstream, "signed/app", &place.tag(""), &[], (OCI_INDEX, index.as_bytes())).await;

    place.import("plain", &[]).await;
    assert_eq!(place.tags("plain").await, ["v1"], "nobody asked");
    let described = place.weir(&["describe", "istag", "plain:v1"]).await;
    assert!(!described.contains("Attached"), "{described}");

    place.import("app", &["--signatures"]).await;
    let expected = [place.tag(""), place.tag(".att"), place.tag(".sig"), "v1".to_owned()];
    assert_eq!(place.tags("app").await, expected);
    let described = place.weir(&["describe", "istag", "app:v1"]).await;
    for (kind, tag, manifest) in [
        ("Signature", place.tag(".sig"), &signature[..]),
        ("Attestation", place.tag(".att"), &attestation[..]),
        ("Referrers", place.tag(""), index.as_bytes()),
    ] {
        let line = described.lines().find(|line| line.contains(kind) && line.contains(&tag));
        assert!(line.is_some_and(|line| line.contains(&digest(manifest))), "{kind}: {described}");
        // Clients find it here as they would at the source.
        let path = format!("/v2/{}/app/manifests/{tag}", place.world.project);
        let headers = [("Accept", format!("{OCI}, {OCI_INDEX}"))];
        let answer = place.world.call("puller", "GET", &path, &headers, None).await;
        assert_eq!((answer.status, &answer.body[..]), (200, manifest), "{kind}: {}", answer.text());
    }
    let image = place.weir(&["describe", "isimage", &format!("app@{}", digest(&place.image.manifest))]).await;
    assert!(image.contains(&place.tag(".sig")), "{image}");
    let payload = format!("/v2/{}/app/blobs/{}", place.world.project, digest(b"{\"a\":1}"));
    assert_eq!(place.world.call("puller", "GET", &payload, &[], None).await.body, b"{\"a\":1}");
    let referrers = format!("/v2/{}/app/referrers/{}", place.world.project, digest(&place.image.manifest));
    let listed = place.world.call("puller", "GET", &referrers, &[], None).await;
    let listed: Value = serde_json::from_slice(&listed.body).expect("JSON");
    assert_eq!(listed["manifests"][0]["digest"], digest(&attestation), "{listed}");
    let tag = format!(
        "docker://{}/{}/app:{}",
        place.world.server.registry(),
        place.world.project,
        place.tag(".sig")
    );
    let creds = format!("puller:{}", place.world.token("puller"));
    run("skopeo", &["inspect", "--raw", "--tls-verify=false", "--creds", &creds, &tag], place.home.path())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_asks_gets_new_signatures_and_keeps_those_that_went() {
    let place = Place::open().await;
    place.import("app", &[]).await;
    place.weir(&["annotate", "is/app", "weir.dev/import-signatures=true"]).await;
    place.import("app", &[]).await;
    assert_eq!(place.tags("app").await, ["v1"], "there is nothing beside it yet");
    let head = async || {
        let path = format!(
            "/apis/image.openshift.io/v1/namespaces/{}/imagestreamtags/app:{}",
            place.world.project,
            place.tag(".sig")
        );
        place.world.api.must(Request::new("GET", path)).await.body["image"]["metadata"]["name"].clone()
    };
    let kind = "application/vnd.dev.cosign.simplesigning.v1+json";
    for payload in ["{\"n\":1}", "{\"n\":2}"] {
        let manifest = place.attach(".sig", kind, payload.as_bytes()).await;
        place.import("app", &[]).await;
        assert_eq!(head().await, digest(&manifest));
    }
    let last = head().await;
    // The signature is taken away at the source: what was had stays.
    let gone =
        Request::new("DELETE", format!("/v2/signed/app/manifests/{}", last.as_str().expect("a digest")));
    let elsewhere = crate::api::Api::new(&format!("http://{}", place.upstream.open.host), None, None);
    elsewhere.must(gone).await;
    place.import("app", &[]).await;
    assert_eq!(head().await, last);
}
