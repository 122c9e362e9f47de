use machinery::image::ImageSignature;
use machinery::image::well_known::{LAYERS_ORDER, MANAGED_SIGNATURE, MANIFEST_BLOB_STORED};
use serde_json::{Value, json};

use super::*;

const NOW: Time = Time::from_unix(1_700_000_000);
const CONFIG: &str = r#"{"architecture":"arm64","os":"linux","created":"2020-02-02T02:02:02Z","config":{"Env":["A=B"]},"author":"me"}"#;

fn image(value: Value) -> Image {
    let mut image: Image = serde_json::from_value(value).unwrap();
    normalize_metadata(&mut image).unwrap();
    image
}

fn metadata(image: &Image) -> DockerImage {
    DockerImage::decode(&image.docker_image_metadata, "").unwrap()
}

fn layers(image: &Image) -> Vec<(&str, i64)> {
    image.docker_image_layers.iter().map(|layer| (layer.name.as_str(), layer.size)).collect()
}

fn schema2() -> Value {
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media::DOCKER_SCHEMA2,
        "config": {"mediaType": media::DOCKER_CONFIG, "size": 1, "digest": Digest::sha256(CONFIG.as_bytes()).as_str()},
        "layers": [
            {"mediaType": "m", "size": 10, "digest": "l1"},
            {"mediaType": "m", "size": 20, "digest": "l2"},
            {"mediaType": "m", "size": 10, "digest": "l1"},
        ]
    })
    .to_string();
    json!({
        "metadata": {"name": Digest::sha256(manifest.as_bytes()).as_str(), "resourceVersion": "1"},
        "dockerImageReference": "a/b",
        "dockerImageManifest": manifest, "dockerImageConfig": CONFIG,
        "dockerImageManifestMediaType": media::DOCKER_SCHEMA2
    })
}

#[test]
fn a_schema_2_manifest_tells_layers_size_and_metadata() {
    let mut subject = image(schema2());
    assert!(prepare_create(&mut subject, NOW).is_none());
    assert_eq!(layers(&subject), [("l1", 10), ("l2", 20), ("l1", 10)]);
    let got = metadata(&subject);
    assert_eq!(got.id, Digest::sha256(CONFIG.as_bytes()).as_str());
    assert_eq!(got.size, 30 + i64::try_from(CONFIG.len()).unwrap());
    assert_eq!((got.architecture.as_str(), got.author.as_str()), ("arm64", "me"));
    assert_eq!(got.created.to_string(), "2020-02-02T02:02:02Z");
    assert_eq!(subject.metadata.annotations[LAYERS_ORDER], "ascending");
}

#[test]
fn a_schema_1_manifest_lists_the_newest_layer_first() {
    let manifest = json!({
        "schemaVersion": 1,
        "fsLayers": [{"blobSum": "new"}, {"blobSum": "old"}],
        "history": [{"v1Compatibility": r#"{"id":"top","size":7}"#}, {"v1Compatibility": r#"{"id":"base","Size":5}"#}]
    });
    let mut subject = image(json!({"metadata": {"name": "i"}, "dockerImageManifest": manifest.to_string()}));
    derive(&mut subject, NOW).unwrap();
    assert_eq!(layers(&subject), [("old", 5), ("new", 7)]);
    let got = metadata(&subject);
    assert_eq!((got.id.as_str(), got.size), ("top", 12));
    assert_eq!(subject.docker_image_manifest_media_type, media::DOCKER_SCHEMA1);
}

#[test]
fn what_cannot_be_derived_is_said_and_stored_all_the_same() {
    let check = |manifest: &str, config: &str, want: &str| {
        let mut subject = image(json!({
            "metadata": {"name": "i"}, "dockerImageReference": "r",
            "dockerImageManifest": manifest, "dockerImageConfig": config
        }));
        assert_eq!(prepare_create(&mut subject, NOW).unwrap().to_string(), want);
        assert_eq!(subject.docker_image_manifest, manifest);
    };
    check("{", "", "unexpected end of JSON input");
    check(r#"{"schemaVersion":3}"#, "", "unrecognized container image manifest schema 3 for \"i\" (r)");
    check(
        r#"{"schemaVersion":1}"#,
        "",
        "the image i (r) has a schema 1 manifest, but it doesn't have history",
    );
    check(
        r#"{"schemaVersion":1,"history":[{}]}"#,
        "",
        "the image i (r) has mismatched history and fslayer cardinality (1 != 0)",
    );
    check(
        r#"{"schemaVersion":2}"#,
        "",
        &format!("dockerImageConfig must not be empty for manifest type \"{}\"", media::DOCKER_SCHEMA2),
    );
    check(r#"{"schemaVersion":2}"#, "{", "failed to parse dockerImageConfig: unexpected end of JSON input");
}

#[test]
fn layers_are_put_in_order_once() {
    let check = |media_type: &str, order: Option<&str>, want: &[(&str, i64)], annotated: Option<&str>| {
        let mut subject = image(json!({
            "metadata": {"name": "i"}, "dockerImageManifest": "{}", "dockerImageManifestMediaType": media_type,
            "dockerImageLayers": [{"name": "x", "size": 1}, {"name": "y", "size": 2}],
            "dockerImageMetadata": {"Size": 3}
        }));
        subject.metadata.annotations.extend(order.map(|order| (LAYERS_ORDER.to_owned(), order.to_owned())));
        derive(&mut subject, NOW).unwrap();
        assert_eq!(layers(&subject), want, "{media_type}");
        assert_eq!(subject.metadata.annotations.get(LAYERS_ORDER).map(String::as_str), annotated);
    };
    let (kept, turned) = ([("x", 1), ("y", 2)], [("y", 2), ("x", 1)]);
    check(media::DOCKER_SCHEMA1, None, &kept, Some("ascending"));
    check(media::DOCKER_SCHEMA2, None, &turned, Some("ascending"));
    check(media::OCI_MANIFEST, None, &turned, Some("ascending"));
    check(media::OCI_MANIFEST, Some("ascending"), &kept, Some("ascending"));
    check(media::DOCKER_SCHEMA1, Some("descending"), &turned, Some("ascending"));
    check("other", None, &kept, None);
}

#[test]
fn a_list_has_children_and_the_time_it_came() {
    let digest = format!("sha256:{:064}", 1);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media::DOCKER_LIST,
        "manifests": [{"mediaType": media::DOCKER_SCHEMA2, "size": 3, "digest": digest,
            "platform": {"architecture": "arm64", "os": "linux", "variant": "v8"}}]
    });
    let mut subject = image(json!({
        "metadata": {"name": "list"}, "dockerImageManifest": manifest.to_string(),
        "dockerImageManifestMediaType": media::DOCKER_LIST
    }));
    assert!(prepare_create(&mut subject, NOW).is_none());
    let got = metadata(&subject);
    assert_eq!((got.id.as_str(), got.created), ("list", NOW));
    assert_eq!(
        json!(subject.docker_image_manifests),
        json!([{"digest": digest, "mediaType": media::DOCKER_SCHEMA2, "manifestSize": 3,
            "architecture": "arm64", "os": "linux", "variant": "v8"}])
    );
}

#[test]
fn manifests_that_are_blobs_and_marks_of_the_registry_are_not_kept() {
    let mut value = schema2();
    value["metadata"]["annotations"] = json!({ MANIFEST_BLOB_STORED: "true" });
    value["signatures"] =
        json!([{"metadata": {"name": "a@b", "annotations": {MANAGED_SIGNATURE: "1", "x": "y"}}}]);
    let mut subject = image(value);
    prepare_create(&mut subject, NOW);
    assert_eq!((subject.docker_image_manifest.as_str(), subject.docker_image_config.as_str()), ("", ""));
    assert_eq!(layers(&subject).len(), 3, "but what they say is");
    assert_eq!(json!(subject.signatures[0].metadata.annotations), json!({"x": "y"}));
}

#[test]
fn an_update_cannot_change_what_an_image_is() {
    let mut old = image(schema2());
    old.docker_image_signatures = vec![vec![1]];
    prepare_create(&mut old, NOW);
    let update = |change: &dyn Fn(&mut Image)| {
        let mut new = old.clone();
        change(&mut new);
        prepare_update(&mut new, &old, NOW);
        assert_eq!(validate_update(&new, &old), []);
        new
    };
    let same = update(&|new| {
        new.docker_image_layers.clear();
        new.docker_image_metadata = DockerImage::default().encode("");
        new.docker_image_metadata_version = "other".into();
        new.docker_image_signatures.clear();
        new.docker_image_manifest = "{}".into();
        new.docker_image_config = "{}".into();
    });
    assert_eq!(same, old);
    let cleared = update(&|new| {
        new.docker_image_manifest.clear();
        new.docker_image_config.clear();
        new.docker_image_reference = "c/d".into();
    });
    assert_eq!(
        (cleared.docker_image_manifest.as_str(), cleared.docker_image_reference.as_str()),
        ("", "c/d")
    );

    let mut bare = cleared.clone();
    bare.docker_image_manifest = old.docker_image_manifest.clone();
    bare.docker_image_config = CONFIG.into();
    prepare_update(&mut bare, &cleared, NOW);
    assert_eq!(bare.docker_image_manifest, old.docker_image_manifest, "the right one can be brought back");
    assert_eq!(bare.docker_image_config, CONFIG);
}

#[test]
fn images_are_checked_field_by_field() {
    let check = |value: Value, want: &[&str]| {
        let got: Vec<String> = validate(&image(value)).iter().map(ToString::to_string).collect();
        assert_eq!(got, want);
    };
    check(json!({"metadata": {"name": "i"}, "dockerImageReference": "a/b"}), &[]);
    check(
        json!({}),
        &[
            "metadata.name: Required value: name or generateName is required",
            "dockerImageReference: Required value",
        ],
    );
    check(
        json!({"metadata": {"name": "a/b"}, "dockerImageReference": "a%b"}),
        &[
            "metadata.name: Invalid value: \"a/b\": may not contain '/'",
            "dockerImageReference: Invalid value: \"a%b\": invalid reference format",
        ],
    );
    check(
        json!({
            "metadata": {"name": "i"}, "dockerImageReference": "a/b",
            "dockerImageManifests": [{"digest": "sha256:1", "mediaType": "no", "manifestSize": -1}],
            "dockerImageLayers": [{"name": "l", "size": 1, "mediaType": ""}]
        }),
        &[
            "dockerImageManifests[0].digest: Invalid value: \"sha256:1\": digest does not conform with OCI image specification",
            "dockerImageManifests[0].mediaType: Invalid value: \"no\": media type does not conform to RFC6838",
            "dockerImageManifests[0].architecture: Required value",
            "dockerImageManifests[0].os: Required value",
            "dockerImageManifests[0].size: Invalid value: -1: manifest size cannot be negative",
            "dockerImageLayers: Invalid value: [{\"LayerSize\":1,\"MediaType\":\"\",\"Name\":\"l\"}]: dockerImageLayers should not be set when dockerImageManifests is set",
        ],
    );
}

#[test]
fn signatures_claim_nothing_without_a_verdict() {
    let check = |change: Value, want: &[&str]| {
        let mut value = json!({"metadata": {"name": "image@name"}, "type": "t", "content": "c2ln"});
        value.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let signature: ImageSignature = serde_json::from_value(value).unwrap();
        let got: Vec<String> =
            check_signature(&signature, "").iter().map(|e| format!("{}: {}", e.field, e.detail)).collect();
        assert_eq!(got, want);
    };
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status});
    let trusted = json!([condition("Trusted", "True"), condition("ForImage", "True")]);
    let unknown = json!([condition("Trusted", "Unknown"), condition("ForImage", "Unknown")]);
    let unset = "must be unset for unknown signature state";
    check(json!({}), &[]);
    check(json!({"conditions": trusted, "imageIdentity": "x"}), &[]);
    check(json!({"conditions": unknown, "imageIdentity": "x"}), &[&format!("imageIdentity: {unset}")]);
    check(
        json!({"signedClaims": {"a": "b"}, "issuedBy": {}, "issuedTo": {}}),
        &[&format!("signedClaims: {unset}"), &format!("issuedBy: {unset}"), &format!("issuedTo: {unset}")],
    );
    check(
        json!({"conditions": [condition("Trusted", "True")]}),
        &["conditions: missing \"ForImage\" condition type"],
    );
    check(
        json!({"conditions": [condition("ForImage", "True")]}),
        &["conditions: missing \"Trusted\" condition type"],
    );
    check(json!({"conditions": [condition("Expired", "True")]}), &[]);
    check(
        json!({"metadata": {"name": "x", "labels": {"a": "b"}, "annotations": {"a": "b"}}, "type": "", "content": null}),
        &[
            "metadata.labels: signature labels cannot be set",
            "metadata.annotations: signature annotations cannot be set",
            "metadata.name: name must be of format <imageName>@<signatureName>",
            "type: ",
            "content: ",
        ],
    );
}

#[test]
fn an_equal_signature_is_not_added_twice() {
    let signature = |name: &str| ImageSignature {
        metadata: machinery::meta::ObjectMeta { name: name.to_owned(), ..Default::default() },
        r#type: "t".into(),
        content: vec![1],
        ..Default::default()
    };
    let one = add_signature(&Image::default(), signature("i@a")).unwrap();
    let error = add_signature(&one, signature("i@b")).unwrap_err();
    assert_eq!(error.to_string(), "imageSignatures.image.openshift.io \"i@b\" already exists");
    assert_eq!(remove_signature(&one, "i@a").unwrap(), Image::default());
    let error = remove_signature(&one, "i@b").unwrap_err();
    assert_eq!(error.to_string(), "imageSignatures.image.openshift.io \"i@b\" not found");
    let error = parse_signature_name("plain").unwrap_err();
    assert_eq!(error.to_string(), "ImageSignatures must be accessed with <imageName>@<signatureName>");
}
