//! Facts about views that the recorded conversations do not show by themselves.

use std::sync::Arc;

use machinery::image::well_known::MANAGED;
use machinery::image::{Image, ImageStream, ImageStreamMapping, ImageStreamTag, ImageTag, TagEvent};
use machinery::time::Time;
use oci::media;
use serde_json::{Value, json};

use super::layers::{self, ImageParts};
use super::{TagBase, TagKind, image_tag, mapping, remove, stream_image, stream_tag};
use crate::stream::StreamSettings;

const NOW: Time = Time::from_unix(1_700_000_000);

fn stream() -> ImageStream {
    serde_json::from_value(json!({
        "metadata": {"name": "s", "namespace": "ns", "uid": "u", "resourceVersion": "7", "labels": {"l": "1"},
            "annotations": {"of": "stream"}, "generation": 4, "creationTimestamp": "2020-01-01T00:00:00Z"},
        "spec": {"lookupPolicy": {"local": true}, "tags": [
            {"name": "a", "annotations": {"k": "v"}, "from": {"kind": "DockerImage", "name": "q/x:1"}, "generation": 4,
             "importPolicy": {"importMode": "Legacy"}, "referencePolicy": {"type": "Local"}}]},
        "status": {"dockerImageRepository": "h:5/ns/s", "tags": [
            {"tag": "a", "items": [
                {"created": "2021-01-01T00:00:00Z", "dockerImageReference": "q/x@old", "image": "i1", "generation": 3},
                {"created": "2020-06-01T00:00:00Z", "dockerImageReference": "q/x@older", "image": "i2", "generation": 2}]},
            {"tag": "r", "items": [{"created": null, "dockerImageReference": "q/r:1", "image": "", "generation": 1}]}]}
    }))
    .unwrap()
}

fn image(value: Value) -> Image {
    serde_json::from_value(value).unwrap()
}

fn settings() -> StreamSettings {
    StreamSettings { internal_registry_hostname: "h:5".into(), ..Default::default() }
}

#[test]
fn a_stream_tag_mixes_stream_spec_entry_and_image() {
    let held = image(json!({
        "metadata": {"name": "i1", "annotations": {"k": "image", "own": "1"}},
        "dockerImageReference": "elsewhere",
        "dockerImageManifest": "raw", "dockerImageConfig": "raw"
    }));
    let view = stream_tag::build(&stream(), "a", Some(&held), NOW).unwrap();
    let metadata = &view.metadata;
    assert_eq!(
        (metadata.name.as_str(), metadata.uid.as_str(), metadata.resource_version.as_str()),
        ("s:a", "u", "7")
    );
    assert_eq!(metadata.creation_timestamp.to_string(), "2021-01-01T00:00:00Z");
    assert_eq!(json!([metadata.labels, metadata.annotations]), json!([{"l": "1"}, {"k": "v"}]));
    assert_eq!((metadata.generation, view.generation, view.lookup_policy.local), (0, 3, true));
    assert_eq!(json!(view.image.metadata.annotations), json!({"k": "v", "own": "1"}));
    assert_eq!(view.image.docker_image_reference, "h:5/ns/s:i1");
    assert_eq!(
        (view.image.docker_image_manifest.as_str(), view.image.docker_image_config.as_str()),
        ("", "")
    );
}

#[test]
fn an_entry_without_image_is_no_stream_tag() {
    let error = stream_tag::build(&stream(), "r", None, NOW).unwrap_err();
    assert_eq!(error.to_string(), "imagestreamtags.image.openshift.io \"s:r\" not found");
    let shown = stream_tag::build_or_empty(&stream(), "r", None, NOW);
    assert_eq!(shown.metadata.creation_timestamp.to_string(), "2020-01-01T00:00:00Z");
    assert_eq!((shown.generation, shown.image.docker_image_reference.as_str()), (0, ""));
    let names: Vec<String> = stream_tag::list(&stream()).into_iter().map(|tag| tag.metadata.name).collect();
    assert_eq!(names, ["s:a"]);
}

#[test]
fn an_image_tag_has_the_streams_metadata_and_every_tag() {
    let view = image_tag::build(&stream(), "r", None, NOW).unwrap();
    assert_eq!(json!(view.metadata.annotations), json!({"of": "stream"}));
    assert_eq!((view.metadata.generation, view.spec, view.image), (4, None, None));
    assert_eq!(image_tag::list(&stream()).len(), 2);
    let error = image_tag::build(&stream(), "x", None, NOW).unwrap_err();
    assert_eq!(error.to_string(), "imagetags.image.openshift.io \"s:x\" not found");
}

#[test]
fn deleting_a_tag_removes_spec_and_history() {
    let kind = TagKind::ImageStreamTag;
    let left = remove(kind, &stream(), "a", Some("u")).unwrap();
    assert_eq!((left.spec.tags.len(), left.status.tags.len()), (0, 1));
    assert_eq!(remove(kind, &stream(), "r", None).unwrap().status.tags.len(), 1);
    let text = |uid, tag| remove(kind, &stream(), tag, uid).unwrap_err().to_string();
    assert_eq!(text(None, "x"), "imagestreamtags.image.openshift.io \"s:x\" not found");
    assert_eq!(
        text(Some("other"), "a"),
        "Operation cannot be fulfilled on imagestreamtags.image.openshift.io \"s:a\": the UID precondition was not met"
    );
}

#[test]
fn a_tag_update_says_whether_it_was_blind_and_whether_it_made_the_tag() {
    let held = stream();
    let request = |version: &str| -> ImageStreamTag {
        serde_json::from_value(json!({
            "metadata": {"name": "s:r", "resourceVersion": version},
            "tag": {"from": {"kind": "DockerImage", "name": "q/r:2"}}
        }))
        .unwrap()
    };
    let base = TagBase::new(Some(held.clone()), "ns", "s", "r", "", NOW);
    let blind = stream_tag::update(base.clone(), request(""), &settings()).unwrap();
    assert!(blind.blind && blind.created);
    assert_eq!(blind.writer, crate::stream::Writer::Internal);
    let sighted = stream_tag::update(base.clone(), request("7"), &settings()).unwrap();
    assert!(!sighted.blind);
    assert!(stream_tag::update(base.clone(), request("6"), &settings()).unwrap_err().is_conflict());
    let new = TagBase::new(None, "ns", "s", "r", "fresh", NOW);
    assert!(stream_tag::update(new.clone(), request("7"), &settings()).unwrap_err().is_not_found());
    let made = stream_tag::update(new, request(""), &settings()).unwrap();
    assert_eq!((made.writer, made.stream.spec.tags.len()), (crate::stream::Writer::Main, 1));
}

#[test]
fn a_tags_repository_in_use_stays_allowed_on_update() {
    let mut settings = settings();
    settings.allowed_registries_for_import =
        vec![crate::settings::AllowedRegistry { domain_name: "quay.io".into(), insecure: false }];
    let held = stream();
    let update = |tag: &str, from: &str| {
        let request: ImageStreamTag = serde_json::from_value(json!({
            "metadata": {"name": format!("s:{tag}")},
            "tag": {"from": {"kind": "DockerImage", "name": from}}
        }))
        .unwrap();
        let base = TagBase::new(Some(held.clone()), "ns", "s", tag, "", NOW);
        stream_tag::update(base.clone(), request, &settings).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(update("a", "docker.io/q/x:2"), Ok(()));
    assert_eq!(
        update("a", "docker.io/q/y:2").unwrap_err(),
        "ImageStreamTag.image.openshift.io \"s:a\" is invalid: tag.from.name: Forbidden: registry \"docker.io\" not allowed by whitelist: \"h:5\", \"quay.io:443\""
    );
    assert_eq!(update("new", "quay.io/q/x:2"), Ok(()));
}

#[test]
fn the_metadata_of_an_image_tag_cannot_be_written_but_its_managers_do_not_count() {
    let mut held = stream();
    let entry = json!({"manager": "m", "operation": "Update", "apiVersion": "image.openshift.io/v1",
        "fieldsType": "FieldsV1", "fieldsV1": {}});
    held.metadata.managed_fields.push(serde_json::from_value(entry).unwrap());
    let base = TagBase::new(Some(held.clone()), "ns", "s", "a", "", NOW);
    let mut request: ImageTag = image_tag::build_or_empty(&held, "a", None, NOW);
    request.metadata.managed_fields.clear();
    request.spec.as_mut().unwrap().from.as_mut().unwrap().name = "q/x:2".into();
    let change = image_tag::update(base.clone(), request.clone(), &settings()).unwrap();
    assert!(!change.created);
    request.metadata.annotations.clear();
    let error = image_tag::update(base.clone(), request, &settings()).unwrap_err();
    assert_eq!(error.0.details.as_ref().unwrap().causes.len(), 1);
}

#[test]
fn a_create_of_an_image_tag_names_itself_once() {
    let check = |request: Value, want: &[&str]| {
        let mut request: ImageTag = serde_json::from_value(request).unwrap();
        let got = image_tag::check_create(&mut request, &settings()).err();
        let causes = got.and_then(|error| error.0.details).map(|details| details.causes).unwrap_or_default();
        let got: Vec<String> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        assert_eq!(got, want);
    };
    let metadata = json!({"name": "s:a", "namespace": "ns"});
    check(json!({"metadata": metadata, "spec": {"name": "a"}}), &[]);
    check(json!({"metadata": metadata, "spec": {}}), &[]);
    check(json!({"metadata": metadata}), &["spec: Required value: spec is a required field during creation"]);
    check(
        json!({"metadata": metadata, "spec": {"name": "b"}}),
        &["spec.name: Invalid value: \"b\": must match image tag name"],
    );
    check(
        json!({"metadata": {"name": "s", "namespace": "ns"}, "spec": {"name": "latest"}}),
        &["spec.name: Invalid value: \"latest\": must match image tag name"],
    );
}

#[test]
fn layers_cover_history_and_children_and_name_what_is_missing() {
    let parts = |name: &str| -> Option<Arc<ImageParts>> {
        let value = match name {
            "i1" => json!({
                "dockerImageManifestMediaType": media::OCI_INDEX,
                "dockerImageManifests": [{"digest": "c1"}, {"digest": "gone"}]
            }),
            "c1" => json!({
                "dockerImageManifestMediaType": media::OCI_MANIFEST,
                "dockerImageMetadata": {"Id": "config"},
                "dockerImageLayers": [{"name": "l1", "size": 5, "mediaType": "m"}]
            }),
            "i2" => json!({"dockerImageLayers": [{"name": "l1", "size": 9, "mediaType": "n"}]}),
            _ => return None,
        };
        Some(Arc::new(ImageParts::of(&image(value))))
    };
    let view = layers::build(&stream(), &parts).unwrap();
    assert_eq!(
        json!(view.images),
        json!({
            "i1": {"imageMissing": false, "layers": null, "config": null, "manifests": ["c1", "gone"]},
            "i2": {"imageMissing": false, "layers": ["l1"], "config": null},
            "c1": {"imageMissing": false, "layers": ["l1"], "config": "config"},
            "gone": {"imageMissing": true, "layers": null, "config": null},
        })
    );
    assert_eq!(
        json!(view.blobs),
        json!({
            "i1": {"size": null, "mediaType": media::OCI_INDEX},
            "i2": {"size": null, "mediaType": media::DOCKER_SCHEMA2},
            "c1": {"size": null, "mediaType": media::OCI_MANIFEST},
            "config": {"size": null, "mediaType": media::OCI_CONFIG},
            "l1": {"size": 5, "mediaType": "m"},
        })
    );
    assert_eq!(stream_image::find(&view, "gon").unwrap(), "gone");
    let error = stream_image::find(&view, "x").unwrap_err();
    assert_eq!(error.to_string(), "imagestreamimage.image.openshift.io \"s@x\" not found");
}

#[test]
fn an_image_without_the_id_it_should_have_spoils_the_view() {
    let parts = |_: &str| {
        let value = json!({"dockerImageManifestMediaType": media::DOCKER_SCHEMA2});
        Some(Arc::new(ImageParts::of(&image(value))))
    };
    let error = layers::build(&stream(), &parts).unwrap_err();
    assert_eq!(
        error.to_string(),
        ".image.openshift.io \"\" is invalid: [images[i1].config: Invalid value: \"\": config cannot be an empty string, images[i2].config: Invalid value: \"\": config cannot be an empty string]"
    );
}

fn pushed(managed: bool) -> ImageStreamMapping {
    let digest = format!("sha256:{:064}", 1);
    let mut mapping: ImageStreamMapping = serde_json::from_value(json!({
        "metadata": {"name": "s", "namespace": "ns"},
        "tag": "a",
        "image": {"metadata": {"name": digest}, "dockerImageReference": "first/one@x"}
    }))
    .unwrap();
    if managed {
        mapping.image.metadata.annotations.insert(MANAGED.into(), "true".into());
    }
    mapping
}

#[test]
fn a_managed_image_that_was_there_is_named_by_the_stream_it_is_pushed_to() {
    let check = |managed: bool, existed: bool, want: &str| {
        let event = mapping::event(&pushed(managed), &stream(), existed, NOW);
        assert_eq!((event.docker_image_reference.as_str(), event.generation), (want, 4));
    };
    check(false, true, "first/one@x");
    check(true, false, "first/one@x");
    check(true, true, &format!("h:5/ns/s@sha256:{:064}", 1));
}

#[test]
fn a_push_that_changes_nothing_writes_nothing() {
    let held = stream();
    let same = held.status.head("a").unwrap().clone();
    assert_eq!(mapping::apply(&held, "a", same), None);
    let event = TagEvent { image: "i9".into(), docker_image_reference: "r".into(), ..Default::default() };
    let pushed = mapping::apply(&held, "a", event).unwrap();
    assert_eq!(pushed.status.tag("a").unwrap().items.len(), 3);
    assert!(!mapping::may_retry(&held, &pushed, "a"));
    assert!(mapping::may_retry(&held, &pushed, "r") && mapping::may_retry(&held, &held, "none"));
}

#[test]
fn a_mapping_without_reference_gets_that_of_the_integrated_registry() {
    let check = |name: &str, want: &str| {
        let mut mapping = pushed(false);
        mapping.image.docker_image_reference.clear();
        name.clone_into(&mut mapping.image.metadata.name);
        mapping::check(&mut mapping, &settings()).unwrap();
        assert_eq!(mapping.image.docker_image_reference, want);
    };
    let digest = format!("sha256:{:064}", 1);
    check(&digest, &format!("h:5/ns/s@{digest}"));
    check("plain", "h:5/ns/s:plain");
}
