//! Every parser that reads bytes from outside, fed with what is almost right: none may panic, hang or take what it then cannot
//! write again.
//!
//! `cargo xtask test` runs a few hundred cases of each, `cargo xtask fuzz` as many as one likes.

mod mutate;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use machinery::image::{Image, ImageStream, ImageStreamImport};
use machinery::options::{DeleteOptions, ListOptions};
use machinery::patch::{self, PatchKind};
use machinery::schema;
use machinery::selector::{FieldSelector, LabelSelector};
use machinery::{decode, negotiate, protobuf, quantity, request, time, yaml};
use mutate::{damaged, damaged_text};
use oci::client::{next_page, parse_challenges};
use proptest::prelude::*;
use serde_json::{Value, json};

const STREAM: &str = r#"{"kind":"ImageStream","apiVersion":"image.openshift.io/v1","metadata":{"name":"a","labels":{"x":"y"},"creationTimestamp":"2024-01-02T03:04:05Z"},"spec":{"lookupPolicy":{"local":true},"tags":[{"name":"latest","from":{"kind":"DockerImage","name":"quay.io/a/b:1"},"generation":1,"importPolicy":{"scheduled":true}}]},"status":{"tags":[{"tag":"latest","items":[{"created":"2024-01-02T03:04:05Z","image":"sha256:00","generation":1}]}]}}"#;
const YAML: &str = "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: &m\n  name: 'a'\n  labels: {x: \"y\", z: ~}\nspec:\n  tags:\n  - name: latest\n    annotations: *m\n    from: {kind: DockerImage, name: |\n      quay.io/a}\n";
const MANIFEST: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":7},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":7}]}"#;
const INDEX: &str = r#"{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":7,"platform":{"architecture":"amd64","os":"linux"}}]}"#;
const SCHEMA1: &str = r#"{"schemaVersion":1,"name":"a/b","tag":"t","architecture":"amd64","fsLayers":[{"blobSum":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}],"history":[{"v1Compatibility":"{\"id\":\"a\",\"created\":\"2024-01-02T03:04:05Z\"}"}],"signatures":[]}"#;

fn in_protobuf(api_version: &str, kind: &str, object: &str) -> Vec<u8> {
    protobuf::transcode::object(api_version, kind, object.as_bytes()).expect("the corpus is right")
}

fn corpus_of_protobuf() -> Vec<Vec<u8>> {
    let pod = r#"{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"a","ports":[{"containerPort":1}],"resources":{"limits":{"cpu":"1"}}}],"volumes":[{"name":"v","emptyDir":{}}]}}"#;
    let role = r#"{"metadata":{"name":"r"},"rules":[{"verbs":["get"],"resources":["x"],"apiGroups":[""]}]}"#;
    vec![
        in_protobuf("image.openshift.io/v1", "ImageStream", STREAM),
        in_protobuf("v1", "Pod", pod),
        in_protobuf("rbac.authorization.k8s.io/v1", "Role", role),
        in_protobuf("v1", "Secret", r#"{"metadata":{"name":"s"},"data":{"a":"eA=="}}"#),
    ]
}

/// Whole numbers may be written as integers or not.
fn rounded(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        Value::Array(items) => items.into_iter().map(rounded).collect(),
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, rounded(value))).collect(),
        other => other,
    }
}

proptest! {
    #[test]
    fn fuzz_protobuf(bytes in damaged(&corpus_of_protobuf().iter().map(Vec::as_slice).collect::<Vec<_>>())) {
        if let Ok(Some(object)) = protobuf::to_json(&bytes) {
            // What is taken can be written and is the same then.
            let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
            let again = protobuf::transcode::object(&text("apiVersion"), &text("kind"), object.to_string().as_bytes());
            if let Ok(again) = again {
                prop_assert_eq!(protobuf::to_json(&again).unwrap().unwrap(), object);
            }
        }
        let _ = protobuf::decode::<Image>(&bytes);
        if let Ok(stream) = protobuf::decode::<ImageStream>(&bytes) {
            prop_assert_eq!(protobuf::decode::<ImageStream>(&protobuf::encode(&stream)).unwrap(), stream);
        }
    }

    #[test]
    fn fuzz_bodies(bytes in damaged(&[STREAM.as_bytes(), YAML.as_bytes()])) {
        for media_type in ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"] {
            let _ = decode::body::<ImageStream>(&bytes, media_type);
            let _ = decode::body::<ImageStreamImport>(&bytes, media_type);
            let _ = decode::body_of(&bytes, media_type, "ConfigMap", "v1");
            if let Ok(options) = decode::value(&bytes, media_type) {
                let _ = DeleteOptions::parse("", Some(&options));
            }
        }
        let _ = decode::apply(&bytes);
    }

    #[test]
    fn fuzz_yaml(text in damaged_text(&[YAML, "a: [1, 2.5, 0x1f, .inf, 2024-01-02]\nb: !!str 1\n? c\n: d\n", "&a [*a]", "- |2-\n   x\n- >+\n  y\n"])) {
        if let Ok(value) = yaml::parse(&text, yaml::Duplicates::LastWins) {
            // What is read is written so that it reads the same.
            let again = yaml::parse(&yaml::to_string(&value), yaml::Duplicates::Reject);
            prop_assert_eq!(again.ok().map(rounded), Some(rounded(value)));
        }
    }

    #[test]
    fn fuzz_patches(bytes in damaged(&[
        br#"[{"op":"add","path":"/spec/tags/-","value":{"name":"x"}},{"op":"copy","from":"/spec/tags/0","path":"/spec/tags/1"},{"op":"test","path":"/metadata/name","value":"a"},{"op":"move","from":"/spec/tags","path":"/spec/old"},{"op":"remove","path":"/status/tags/0"}]"#,
        br#"{"spec":{"tags":[{"name":"latest","$patch":"replace","annotations":null},{"$patch":"delete","name":"x"}],"$setElementOrder/tags":[{"name":"latest"}]},"metadata":{"finalizers":["a"],"$deleteFromPrimitiveList/finalizers":["b"],"$retainKeys":["name"]}}"#,
        STREAM.as_bytes(),
    ])) {
        let object: Value = serde_json::from_str(STREAM).unwrap();
        if let Ok(change) = decode::patch(&bytes) {
            for kind in [PatchKind::Json, PatchKind::Merge, PatchKind::Strategic] {
                let _ = patch::apply(kind, &object, change.clone(), &schema::IMAGE_STREAM);
                let _ = patch::apply(kind, &object, change.clone(), schema::merging("", "v1", "Pod"));
            }
        }
    }

    #[test]
    fn fuzz_selectors(text in damaged_text(&["a=b,c!=d,e in (f,g),h notin (i),j,!k", "metadata.name=a,metadata.namespace!=b", "x/y=\\,z"])) {
        if let Ok(selector) = LabelSelector::parse(&text) {
            let _ = selector.matches(&std::collections::BTreeMap::new());
        }
        let _ = FieldSelector::parse(&text);
    }

    #[test]
    fn fuzz_requests(
        path in damaged_text(&["/apis/image.openshift.io/v1/namespaces/a/imagestreams/b/layers", "/api/v1/watch/namespaces/a/pods/b", "/apis/image.openshift.io/v1/namespaces/a/imagestreamtags/b%3Ac"]),
        query in damaged_text(&["watch=true&resourceVersion=1&resourceVersionMatch=Exact&limit=5&continue=abc&timeoutSeconds=7&sendInitialEvents=true&labelSelector=a%3Db", "dryRun=All&fieldManager=x&fieldValidation=Strict&force=true"]),
    ) {
        let _ = request::RequestInfo::parse("GET", &path, &query);
        let _ = ListOptions::parse(&query);
        let _ = ListOptions::parse_watch(&query);
        let _ = machinery::options::PatchOptions::parse(&query, true);
        let _ = DeleteOptions::parse(&query, None);
    }

    #[test]
    fn fuzz_negotiation(header in damaged_text(&["application/json;as=Table;v=v1;g=meta.k8s.io, application/yaml;q=0.5, */*;q=0.1", "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"])) {
        let offer = negotiate::Offer { protobuf: true, table: true, metadata: true, discovery: true };
        let _ = negotiate::accept(Some(&header), || offer);
        let _ = negotiate::body_encoding(Some(&header));
        let _ = negotiate::wants_pretty(&header, Some(&header));
    }

    #[test]
    fn fuzz_small_values(text in damaged_text(&["1Gi", "-12.5e3", "100m", "2024-01-02T03:04:05.6789+02:00", "1h30m5.5s", "9223372036854775807"])) {
        if let Ok(time) = text.parse::<time::Time>() {
            prop_assert_eq!(time.to_string().parse::<time::Time>().ok(), Some(time));
        }
        let _ = text.parse::<quantity::Quantity>();
        let _ = machinery::duration::parse_seconds(&text);
    }

    #[test]
    fn fuzz_references(text in damaged_text(&["quay.io:443/a/b/c:tag@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "localhost/a", "docker.io/library/busybox:1", "a_b.c__d-e"])) {
        // A lone name with a dot is taken for a registry and prints as nothing.
        let printed = |text: &str| text.parse::<oci::Reference>().ok().map(|reference| reference.to_string());
        if let Some(text) = printed(&text).filter(|text| !text.is_empty()) {
            prop_assert_eq!(printed(&text), Some(text));
        }
        let _ = text.parse::<oci::Digest>();
    }

    #[test]
    fn fuzz_manifests(bytes in damaged(&[MANIFEST.as_bytes(), INDEX.as_bytes(), SCHEMA1.as_bytes()])) {
        for media_type in ["application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.v1+prettyjws", "application/vnd.docker.distribution.manifest.v2+json", "text/plain", ""] {
            if let Ok(manifest) = oci::Manifest::parse(media_type, bytes.clone().into()) {
                prop_assert_eq!(manifest.raw(), bytes.as_slice());
            }
        }
        let _ = oci::config::ImageConfig::parse(&bytes);
    }

    #[test]
    fn fuzz_headers_of_registries(bytes in damaged(&[
        b"Bearer realm=\"https://auth.example.com/token\",service=\"x\",scope=\"repository:a/b:pull\", Basic realm=\"y\"",
        b"</v2/_catalog?last=a&n=1>; rel=\"next\", <https://x/>; rel=prev",
    ])) {
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let mut headers = HeaderMap::new();
            headers.insert(header::WWW_AUTHENTICATE, value.clone());
            headers.insert(header::LINK, value);
            let _ = parse_challenges(&headers);
            let _ = next_page(&headers);
        }
    }

    #[test]
    fn fuzz_trigger_annotations(text in damaged_text(&[
        r#"[{"from":{"kind":"ImageStreamTag","name":"a:latest","namespace":"b"},"fieldPath":"spec.template.spec.containers[?(@.name==\"web\")].image","paused":"false"}]"#,
        r#"[{"from":{"kind":"ImageStreamTag","name":"a:b"},"fieldPath":"spec.template.spec.initContainers[0].image"}]"#,
    ])) {
        let _ = server::trigger::annotation::parse(&text);
    }

    /// No damaged token is anybody's.
    #[test]
    fn fuzz_tokens(token in damaged_text(&[
        "eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlLmNvbSIsImF1ZCI6IndlaXIiLCJzdWIiOiJhIiwiZXhwIjo5OTk5OTk5OTk5fQ.c2lnbmF0dXJl",
        "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlLmNvbSIsImF1ZCI6IndlaXIiLCJzdWIiOiJhIiwiZXhwIjo5OTk5OTk5OTk5fQ.",
    ])) {
        let settings = json!({"issuerUrl": "https://idp.example.com", "audiences": ["weir"]});
        let web = oci::client::WebTransport::new(oci::client::WebSettings::default()).unwrap();
        let oidc = server::auth::Oidc::over(&serde_json::from_value(settings).unwrap(), Arc::new(web)).unwrap();
        prop_assert!(oidc.owner(&token, jiff::Timestamp::UNIX_EPOCH).is_none());
        let folder = tempfile::tempdir().unwrap();
        let signer = server::auth::Signer::open(folder.path()).unwrap();
        prop_assert_eq!(signer.verify::<Value>(&token), None);
    }
}
