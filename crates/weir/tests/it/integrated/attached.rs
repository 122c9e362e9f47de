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

/// A manifest that says itself what it is about, as newer clients make it.
fn referring(image: &[u8], payload: &[u8]) -> Vec<u8> {
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI, "artifactType": BUNDLE,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2},
        "layers": [{"mediaType": BUNDLE, "digest": digest(payload), "size": payload.len()}],
        "subject": {"mediaType": OCI, "digest": digest(image), "size": image.len()},
    });
    manifest.to_string().into_bytes()
}

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_tells_what_refers_to_an_image_is_asked() {
    let (source, world) = (World::open().await, World::around(Server::configured("{}\n", &[]).await).await);
    let (image, home) = (Image::new("told", 50_000), tempfile::tempdir().expect("a home"));
    let (from, to) = (&source.project, &world.project);
    let anybody = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "anybody"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:image-puller"},
        "subjects": [{"kind": "Group", "name": "system:unauthenticated"}],
    });
    let bindings = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{from}/rolebindings");
    source.api.must(Request::new("POST", bindings).json(&anybody)).await;
    assert!(image.push(&source, &format!("{from}/app"), "v1").await, "the image is pushed");
    let refer = async |payload: &[u8]| {
        let manifest = referring(&image.manifest, payload);
        for blob in [payload, b"{}"] {
            source.upload("admin", &format!("{from}/app"), blob).await.expect("a blob is pushed");
        }
        let path = format!("/v2/{from}/app/manifests/{}", digest(&manifest));
        let kind = [("Content-Type", OCI.to_owned())];
        let put = source.call("admin", "PUT", &path, &kind, Some(manifest.clone())).await;
        assert_eq!(put.status, 201, "{}", put.text());
        manifest
    };
    let import = async || {
        let kubeconfig = world.server.data().join("admin.kubeconfig").display().to_string();
        let place = format!("--from={}/{from}/app:v1", source.server.registry());
        let words = ["import-image", "app:v1", &place, "--confirm", "--insecure", "--signatures"];
        let all = [&["--kubeconfig", &kubeconfig, "--namespace", to][..], &words].concat();
        run(env!("CARGO_BIN_EXE_weir"), &all, home.path()).await;
    };
    let listed = async || {
        let wanted = BUNDLE.replace('+', "%2B");
        let path = format!("/v2/{to}/app/referrers/{}?artifactType={wanted}", digest(&image.manifest));
        let answer = world.call("puller", "GET", &path, &[], None).await;
        let index: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let rows = index["manifests"].as_array().cloned().unwrap_or_default();
        rows.iter().filter_map(|row| row["digest"].as_str()).map(str::to_owned).collect::<Vec<_>>()
    };

    import().await;
    assert!(listed().await.is_empty(), "nothing refers to it yet");
    let mut expected = Vec::new();
    for payload in [&b"{\"n\":1}"[..], b"{\"n\":2}"] {
        let manifest = refer(payload).await;
        import().await;
        expected.push(digest(&manifest));
        expected.sort();
        assert_eq!(listed().await, expected);
        // What refers to it is here: by its digest, with its content, and in the index that older clients read.
        let headers = [("Accept", format!("{OCI}, {OCI_INDEX}"))];
        let path = format!("/v2/{to}/app/manifests/{}", digest(&manifest));
        let pulled = world.call("puller", "GET", &path, &headers, None).await;
        assert_eq!((pulled.status, &pulled.body[..]), (200, &manifest[..]), "{}", pulled.text());
        let blob = format!("/v2/{to}/app/blobs/{}", digest(payload));
        assert_eq!(world.call("puller", "GET", &blob, &[], None).await.body, payload);
        let tag = digest(&image.manifest).replacen(':', "-", 1);
        let index =
            world.call("puller", "GET", &format!("/v2/{to}/app/manifests/{tag}"), &headers, None).await;
        assert_eq!(index.header("docker-content-digest"), Some(&*digest(&index.body)), "{}", index.text());
        let index: Value = serde_json::from_slice(&index.body).expect("JSON");
        assert_eq!(index["manifests"].as_array().map(Vec::len), Some(expected.len()));
    }
}
