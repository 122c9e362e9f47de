//! The checks of the distribution specification's conformance suite: every kind of content, with both hashes, goes in by
//! every way there is, comes back by tag and by digest, is listed, and is deleted.

use bytes::Bytes;
use oci::digest::Algorithm;
use oci::{Digest, media};
use serde_json::{Value, json};

use super::harness::{Answered, Harness};

const REPOSITORY: &str = "demo/suite";
/// The shortest piece of an upload in pieces.
const PIECE: usize = 1024;

/// Content that is pushed: blobs, then manifests, the one that is tagged last.
struct Data {
    algorithm: Algorithm,
    blobs: Vec<Bytes>,
    manifests: Vec<(&'static str, Bytes)>,
    subject: Option<Digest>,
}

impl Data {
    fn new(algorithm: Algorithm) -> Data {
        Data { algorithm, blobs: Vec::new(), manifests: Vec::new(), subject: None }
    }

    fn digest(&self, bytes: &[u8]) -> Digest {
        Digest::of(self.algorithm, bytes)
    }

    fn descriptor(&self, media_type: &str, bytes: &[u8]) -> Value {
        json!({"mediaType": media_type, "digest": self.digest(bytes).as_str(), "size": bytes.len()})
    }

    /// A blob that is pushed.
    fn blob(&mut self, media_type: &str, bytes: impl Into<Bytes>) -> Value {
        let bytes = bytes.into();
        let descriptor = self.descriptor(media_type, &bytes);
        self.blobs.push(bytes);
        descriptor
    }

    fn config(&mut self, architecture: &str) -> Value {
        let config = json!({"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
        self.blob(media::OCI_CONFIG, config.to_string())
    }

    fn layer(&mut self, seed: u8) -> Value {
        let bytes: Vec<u8> =
            (0..3000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 7) as u8 ^ seed).collect();
        self.blob(media::OCI_LAYER, bytes)
    }

    /// A manifest with these fields beside the usual ones; its descriptor.
    fn manifest(&mut self, media_type: &'static str, more: &Value) -> Value {
        let mut manifest = json!({"schemaVersion": 2, "mediaType": media_type});
        manifest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let bytes = Bytes::from(manifest.to_string());
        let descriptor = self.descriptor(media_type, &bytes);
        self.manifests.push((media_type, bytes));
        descriptor
    }

    fn image(&mut self, architecture: &str, more: &Value) -> Value {
        let config = self.config(architecture);
        let layers = [self.layer(1), self.layer(2)];
        let mut fields = json!({"config": config, "layers": layers});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.manifest(media::OCI_MANIFEST, &fields)
    }

    fn index(&mut self, more: &Value) -> Value {
        let children = ["amd64", "arm64"].map(|architecture| {
            let mut child = self.image(architecture, &json!({}));
            child["platform"] = json!({"architecture": architecture, "os": "linux"});
            child
        });
        let mut fields = json!({"manifests": children});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.manifest(media::OCI_INDEX, &fields)
    }

    fn artifact(&mut self, more: &Value) -> Value {
        let config = self.blob("application/vnd.oci.empty.v1+json", "{}");
        let layer = self.blob("application/vnd.example.signature", "a signature");
        let mut fields = json!({
            "artifactType": "application/vnd.example.thing", "config": config, "layers": [layer],
            "annotations": {"org.example.kind": "test"},
        });
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.manifest(media::OCI_MANIFEST, &fields)
    }

    fn about(&mut self, subject: &Value) -> Value {
        self.subject = Some(Digest::parse(subject["digest"].as_str().unwrap()).unwrap());
        json!({ "subject": subject })
    }
}

/// What the suite knows by name.
fn data(name: &str, algorithm: Algorithm) -> Data {
    let mut data = Data::new(algorithm);
    match name {
        "image" => drop(data.image("amd64", &json!({}))),
        "uncompressed" => {
            let config = data.config("amd64");
            let layer = data.blob("application/vnd.oci.image.layer.v1.tar", "not compressed");
            data.manifest(media::OCI_MANIFEST, &json!({"config": config, "layers": [layer]}));
        }
        "large" => {
            let pads = (0..390).map(|n| (format!("org.example.pad{n}"), Value::from("x".repeat(10_000))));
            let annotations = Value::Object(pads.collect());
            data.image("amd64", &json!({ "annotations": annotations }));
        }
        "index" => drop(data.index(&json!({}))),
        "nested" => {
            let inner = data.index(&json!({}));
            let artifact = data.artifact(&json!({}));
            data.manifest(media::OCI_INDEX, &json!({"manifests": [inner, artifact]}));
        }
        "empty_index" => drop(data.manifest(media::OCI_INDEX, &json!({"manifests": []}))),
        "artifact" => drop(data.artifact(&json!({}))),
        "artifact_index" => {
            let artifact = data.artifact(&json!({}));
            let fields = json!({"artifactType": "application/vnd.example.set", "manifests": [artifact]});
            data.manifest(media::OCI_INDEX, &fields);
        }
        "subject" => {
            let image = data.image("amd64", &json!({}));
            let about = data.about(&image);
            data.artifact(&about);
        }
        "index_subject" => {
            let image = data.image("amd64", &json!({}));
            let about = data.about(&image);
            data.index(&about);
        }
        "missing_subject" => {
            let missing = data.descriptor(media::OCI_MANIFEST, b"nobody ever pushed this");
            let about = data.about(&missing);
            data.artifact(&about);
        }
        "data_field" => {
            let config = data.blob("application/vnd.oci.empty.v1+json", "{}");
            let mut layer = data.blob("application/vnd.oci.empty.v1+json", "{}");
            layer["data"] = "e30=".into();
            data.manifest(media::OCI_MANIFEST, &json!({"config": config, "layers": [layer]}));
        }
        "custom_fields" => {
            let config = data
                .blob(media::OCI_CONFIG, r#"{"architecture":"amd64","os":"linux","org.example":{"a":[1]}}"#);
            let fields = json!({"config": config, "layers": [], "org.example": {"b": null}, "extra": 1.5});
            data.manifest(media::OCI_MANIFEST, &fields);
        }
        "no_layers" => {
            let config = data.config("amd64");
            data.manifest(media::OCI_MANIFEST, &json!({"config": config, "layers": []}));
        }
        "nondistributable" => {
            let config = data.config("amd64");
            let kind = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
            let mut layer = data.descriptor(kind, b"it is elsewhere");
            layer["urls"] = json!(["https://example.com/layer"]);
            data.manifest(media::OCI_MANIFEST, &json!({"config": config, "layers": [layer]}));
        }
        "empty_blob" => {
            let config = data.config("amd64");
            let layer = data.blob("application/vnd.example.nothing", "");
            data.manifest(media::OCI_MANIFEST, &json!({"config": config, "layers": [layer]}));
        }
        other => panic!("nobody knows {other}"),
    }
    data
}

/// Uploads a blob in one of the ways there are.
async fn upload(harness: &Harness, way: usize, bytes: &Bytes, digest: &Digest) -> Answered {
    let uploads = format!("/v2/{REPOSITORY}/blobs/uploads/");
    let with_digest = |location: &str| format!("{location}?digest={digest}");
    match way % 5 {
        0 => {
            let location = harness.begin(REPOSITORY).await;
            harness.ask("PUT", &with_digest(&location)).bytes(bytes.clone()).send().await
        }
        1 if !bytes.is_empty() => {
            harness.ask("POST", &with_digest(&uploads)).bytes(bytes.clone()).send().await
        }
        2 => {
            let begun =
                harness.ask("POST", &format!("{uploads}?digest-algorithm={}", digest.algorithm().as_str()));
            let mut location = begun.send().await.is(202).header("location").to_owned();
            for (number, piece) in bytes.chunks(PIECE).enumerate() {
                let (start, end) = (number * PIECE, number * PIECE + piece.len() - 1);
                let asked = harness.ask("PATCH", &location).header("content-range", format!("{start}-{end}"));
                let patched = asked.bytes(piece.to_vec()).send().await.is(202);
                assert_eq!(patched.header("range"), format!("0-{end}"));
                location = patched.header("location").to_owned();
                // One that is out of order is refused, and the upload goes on.
                let gap = format!("{}-{}", end + 2, end + 2 + piece.len() - 1);
                harness
                    .ask("PATCH", &location)
                    .header("content-range", &gap)
                    .bytes(piece.to_vec())
                    .send()
                    .await
                    .is(416);
                let put = harness.ask("PUT", &with_digest(&location)).header("content-range", &gap);
                put.bytes(piece.to_vec()).send().await.is(416);
                let status = harness.get(&location).await.is(204);
                assert_eq!(status.header("range"), format!("0-{end}"));
                location = status.header("location").to_owned();
            }
            harness.ask("PUT", &with_digest(&location)).bytes("").send().await
        }
        3 => {
            let location = harness.begin(REPOSITORY).await;
            let streamed = harness.ask("PATCH", &location).streamed(super::harness::body(bytes.clone()));
            let location = streamed.send().await.is(202).header("location").to_owned();
            harness.ask("PUT", &with_digest(&location)).bytes("").send().await
        }
        _ => {
            let from = "demo/elsewhere";
            let location = harness.begin(from).await;
            harness.ask("PUT", &with_digest(&location)).bytes(bytes.clone()).send().await.is(201);
            harness.ask("POST", &format!("{uploads}?mount={digest}&from={from}")).send().await
        }
    }
}

async fn check_blob(harness: &Harness, bytes: &Bytes, digest: &Digest) {
    let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
    for method in ["HEAD", "GET"] {
        let answer = harness.ask(method, &path).send().await.is(200);
        assert_eq!(answer.header("docker-content-digest"), digest.as_str());
        assert_eq!(answer.header("content-length"), bytes.len().to_string());
    }
    assert_eq!(harness.get(&path).await.body, bytes);
    let size = bytes.len();
    for (range, part) in [
        ("500-1499", 500..1500),
        ("500-", 500..size),
        ("-500", size.saturating_sub(500)..size),
        ("2000-5000", 2000..size),
    ] {
        if size > 2000 {
            let answer =
                harness.ask("GET", &path).header("range", format!("bytes={range}")).send().await.is(206);
            assert_eq!(answer.body, &bytes[part], "{range}");
        }
    }
    if size > 0 && size < 5000 {
        let beyond = harness.ask("GET", &path).header("range", "bytes=5000-10000").send().await.is(416);
        assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
    }
}

async fn check_manifest(
    harness: &Harness,
    media_type: &str,
    bytes: &Bytes,
    reference: &str,
    digest: &Digest,
) {
    let path = format!("/v2/{REPOSITORY}/manifests/{reference}");
    for method in ["HEAD", "GET"] {
        let answer = harness.ask(method, &path).header("accept", media_type).send().await.is(200);
        assert_eq!(answer.header("docker-content-digest"), digest.as_str());
        assert_eq!(answer.header("content-type"), media_type);
        assert_eq!(answer.header("content-length"), bytes.len().to_string());
        assert!(answer.body == *bytes || method == "HEAD");
    }
}

async fn check(name: &str, algorithm: Algorithm) {
    let harness = Harness::new().await;
    let data = data(name, algorithm);
    assert_eq!(harness.get(&format!("/v2/{REPOSITORY}/manifests/nothing")).await.status, 404);
    let wrong = harness.begin(REPOSITORY).await;
    let bad = data.digest(b"something else");
    harness
        .ask("PUT", &format!("{wrong}?digest={bad}"))
        .bytes("this")
        .send()
        .await
        .fails(400, "DIGEST_INVALID");
    for (way, bytes) in data.blobs.iter().enumerate() {
        let digest = data.digest(bytes);
        let done = upload(&harness, way, bytes, &digest).await.is(201);
        assert_eq!(done.header("docker-content-digest"), digest.as_str());
        assert!(done.header("location").ends_with(&format!("/v2/{REPOSITORY}/blobs/{digest}")));
        check_blob(&harness, bytes, &digest).await;
    }
    let last = data.manifests.len() - 1;
    for (number, (media_type, bytes)) in data.manifests.iter().enumerate() {
        let digest = data.digest(bytes);
        let tag = if number == last { "?tag=one&tag=two" } else { "" };
        let path = format!("/v2/{REPOSITORY}/manifests/{digest}");
        let altered = Bytes::from([b" ", &bytes[..]].concat());
        let put = |path: String, bytes: Bytes| {
            harness.ask("PUT", &path).header("content-type", media_type).bytes(bytes)
        };
        put(path.clone(), altered).send().await.fails(400, "DIGEST_INVALID");
        let answer = put(format!("{path}{tag}"), bytes.clone()).send().await.is(201);
        assert_eq!(answer.header("docker-content-digest"), digest.as_str());
        if let Some(subject) = data.subject.as_ref().filter(|_| number == last) {
            assert_eq!(answer.header("oci-subject"), subject.as_str());
        }
        let location = answer.header("location").to_owned();
        assert_eq!(harness.get(&location).await.is(200).body, bytes);
        check_manifest(&harness, media_type, bytes, digest.as_str(), &digest).await;
    }
    let (media_type, bytes) = &data.manifests[last];
    for tag in ["one", "two"] {
        check_manifest(&harness, media_type, bytes, tag, &data.digest(bytes)).await;
    }
    let tags = harness.get(&format!("/v2/{REPOSITORY}/tags/list")).await.is(200).json();
    assert_eq!(tags, json!({"name": REPOSITORY, "tags": ["one", "two"]}));
    check_referrers(&harness, &data).await;
    check_deletes(&harness, &data).await;
}

async fn check_referrers(harness: &Harness, data: &Data) {
    let (media_type, bytes) = data.manifests.last().unwrap();
    let own = data.digest(bytes);
    let list = |digest: &Digest| format!("/v2/{REPOSITORY}/referrers/{digest}");
    let nobody = harness.get(&list(&own)).await.is(200);
    assert_eq!(nobody.header("content-type"), media::OCI_INDEX);
    assert_eq!(
        (&nobody.json()["manifests"], &nobody.json()["mediaType"]),
        (&json!([]), &json!(media::OCI_INDEX))
    );
    let Some(subject) = &data.subject else { return };
    let rows = harness.get(&list(subject)).await.is(200).json();
    let manifest: Value = serde_json::from_slice(bytes).unwrap();
    let row = &rows["manifests"][0];
    assert_eq!(rows["manifests"].as_array().unwrap().len(), 1);
    assert_eq!((&row["digest"], &row["mediaType"]), (&json!(own.as_str()), &json!(media_type)));
    assert_eq!(row.get("artifactType"), manifest.get("artifactType"));
    assert_eq!(row.get("annotations"), manifest.get("annotations"));
    let filtered =
        harness.get(&format!("{}?artifactType=application/vnd.example.other", list(subject))).await.is(200);
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    assert_eq!(filtered.json()["manifests"], json!([]));
}

async fn check_deletes(harness: &Harness, data: &Data) {
    let gone = async |path: String| {
        harness.ask("DELETE", &path).send().await.is(202);
        for method in ["HEAD", "GET"] {
            harness.ask(method, &path).send().await.is(404);
        }
    };
    for tag in ["one", "two"] {
        gone(format!("/v2/{REPOSITORY}/manifests/{tag}")).await;
    }
    let mut done = Vec::new();
    for (_, bytes) in data.manifests.iter().rev() {
        let digest = data.digest(bytes);
        if !done.contains(&digest) {
            gone(format!("/v2/{REPOSITORY}/manifests/{digest}")).await;
            done.push(digest);
        }
    }
    if let Some(subject) = &data.subject {
        let rows = harness.get(&format!("/v2/{REPOSITORY}/referrers/{subject}")).await.is(200).json();
        assert_eq!(rows["manifests"], json!([]));
    }
    for bytes in &data.blobs {
        let digest = data.digest(bytes);
        if !done.contains(&digest) {
            gone(format!("/v2/{REPOSITORY}/blobs/{digest}")).await;
            done.push(digest);
        }
    }
}

macro_rules! suite {
    ($($name:ident)*) => {
        mod sha256 {
            $(#[tokio::test]
            async fn $name() {
                super::check(stringify!($name), super::Algorithm::Sha256).await;
            })*
        }
        mod sha512 {
            $(#[tokio::test]
            async fn $name() {
                super::check(stringify!($name), super::Algorithm::Sha512).await;
            })*
        }
    };
}

suite! {
    image uncompressed large index nested empty_index artifact artifact_index subject index_subject missing_subject
    data_field custom_fields no_layers nondistributable empty_blob
}

#[tokio::test]
async fn what_is_no_digest_is_refused_everywhere() {
    let harness = Harness::new().await;
    harness.push("demo/suite", "one", "layer").await;
    for bad in ["sha256:baddigeststring", "sha512:1234", "md5:d41d8cd98f00b204e9800998ecf8427e", "SHA256:00"]
    {
        for path in ["manifests", "blobs", "referrers"] {
            let answer = harness.get(&format!("/v2/{REPOSITORY}/{path}/{bad}")).await;
            assert!([400, 404].contains(&answer.status), "{path} {bad}: {answer:?}");
        }
        let put = harness
            .ask("PUT", &format!("/v2/{REPOSITORY}/manifests/{bad}"))
            .header("content-type", media::OCI_INDEX);
        let index = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": []}).to_string();
        put.bytes(index).send().await.fails(400, "DIGEST_INVALID");
        let location = harness.begin(REPOSITORY).await;
        harness
            .ask("PUT", &format!("{location}?digest={bad}"))
            .bytes("x")
            .send()
            .await
            .fails(400, "DIGEST_INVALID");
    }
    let unknown = Digest::sha256(b"nothing");
    for method in ["HEAD", "GET"] {
        harness.ask(method, &format!("/v2/demo/never/manifests/{unknown}")).send().await.is(404);
        harness.ask(method, &format!("/v2/{REPOSITORY}/blobs/{unknown}")).send().await.is(404);
    }
    let referrers = harness.get(&format!("/v2/demo/never/referrers/{unknown}")).await.is(200);
    assert_eq!(referrers.json()["manifests"], json!([]));
    let mount = format!("/v2/{REPOSITORY}/blobs/uploads/?mount={unknown}&from=demo/never");
    harness.ask("POST", &mount).send().await.is(202);
    let cancelled = harness.begin(REPOSITORY).await;
    harness.ask("DELETE", &cancelled).send().await.is(204);
    harness.get(&cancelled).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
}
