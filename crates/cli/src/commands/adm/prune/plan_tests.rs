//! What goes and what stays, by table.

use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_800_000_000;

fn rules() -> Rules {
    Rules { now: Time::from_unix(NOW), younger: Some(3600), revisions: 1, over_size: false, all: true }
}

fn ago(seconds: i64) -> String {
    Time::from_unix(NOW - seconds).to_string()
}

/// A stream that is old, with tags of images, the newest first; `x!` is one that is young.
fn stream(tags: &[(&str, &[&str])]) -> ImageStream {
    let tags: Vec<Value> = tags
        .iter()
        .map(|(tag, images)| {
            let item = |image: &&str| {
                let made = if image.ends_with('!') { ago(60) } else { ago(7200) };
                json!({"created": made, "dockerImageReference": "r", "image": image.trim_end_matches('!'), "generation": 1})
            };
            json!({"tag": tag, "items": images.iter().map(item).collect::<Vec<_>>()})
        })
        .collect();
    let value = json!({"metadata": {"name": "s", "namespace": "ns", "creationTimestamp": ago(90_000)},
        "status": {"dockerImageRepository": "", "tags": tags}});
    serde_json::from_value(value).unwrap()
}

fn image(name: &str, blobs: &[&str]) -> (String, Facts) {
    let facts = Facts {
        blobs: blobs.iter().map(|&blob| blob.to_owned()).collect(),
        created: Time::from_unix(NOW - 7200),
        size: 100,
        ..Facts::default()
    };
    (name.to_owned(), facts)
}

fn inventory() -> Inventory {
    let images = [image("a", &["base", "1"]), image("b", &["base", "2"]), image("c", &["3"])];
    Inventory { images: images.into(), ..Inventory::default() }
}

#[track_caller]
fn check(
    inventory: &Inventory,
    rules: &Rules,
    tags: &[(&str, &[&str])],
    left: &[(&str, &[&str])],
) -> StreamPlan {
    let plan = inventory.plan_stream(rules, &stream(tags));
    let found: Vec<(String, Vec<String>)> = plan
        .stream
        .status
        .tags
        .iter()
        .map(|tag| (tag.tag.clone(), tag.items.iter().map(|item| item.image.clone()).collect()))
        .collect();
    let left: Vec<(String, Vec<String>)> = left
        .iter()
        .map(|(tag, images)| ((*tag).to_owned(), images.iter().map(|&image| image.to_owned()).collect()))
        .collect();
    assert_eq!(found, left);
    plan
}

fn using(object: &Value) -> Inventory {
    let mut inventory = inventory();
    inventory.used.workload("pod", object);
    inventory
}

fn pod(image: &str) -> Value {
    json!({"spec": {"containers": [{"image": image}]}})
}

const DIGEST: &str = "sha256:4fe2f9054e0d3055e5e84781da96f6d4e31d3f8c10142f229576c23f252a4acf";

#[test]
fn the_newest_revisions_stay_and_what_they_share() {
    let plan = check(&inventory(), &rules(), &[("t", &["a", "b", "c"])], &[("t", &["a"])]);
    assert_eq!(
        (plan.removed, plan.layer_links, plan.manifest_links),
        (2, strings(&["2", "3"]), strings(&["b", "c"]))
    );
    let plan =
        check(&inventory(), &rules(), &[("t", &["a", "b"]), ("u", &["b"])], &[("t", &["a"]), ("u", &["b"])]);
    assert_eq!((plan.removed, plan.layer_links.len(), plan.manifest_links.len()), (1, 0, 0));
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn what_is_young_stays() {
    check(&inventory(), &rules(), &[("t", &["a", "b!", "c"])], &[("t", &["a", "b"])]);
    let all = Rules { younger: Some(0), ..rules() };
    check(&inventory(), &all, &[("t", &["a", "b!", "c"])], &[("t", &["a"])]);
    let mut young = stream(&[("t", &["a", "b"])]);
    young.metadata.creation_timestamp = Time::from_unix(NOW - 60);
    assert_eq!(inventory().plan_stream(&rules(), &young).removed, 0);
}

#[test]
fn what_is_used_stays_a_tag_with_its_newest_image_only() {
    let none = Rules { revisions: 0, ..rules() };
    check(&inventory(), &none, &[("t", &["a", "b"])], &[]);
    check(&using(&pod("h:1/ns/s:t")), &none, &[("t", &["a", "b"])], &[("t", &["a"])]);
    check(&using(&pod("h:1/ns/other:t")), &none, &[("t", &["a", "b"])], &[]);
    let mut pinned = using(&pod(&format!("h:1/ns/s@{DIGEST}")));
    pinned.images.extend([image(DIGEST, &["4"])]);
    check(&pinned, &none, &[("t", &["a", DIGEST])], &[("t", &[DIGEST])]);
}

#[test]
fn images_that_are_gone_leave_history_with_a_warning() {
    let plan = check(&inventory(), &rules(), &[("t", &["gone", "a"])], &[]);
    assert_eq!(plan.warnings, ["imagestream ns/s: tag t: image gone not found"]);
    assert_eq!((plan.removed, plan.manifest_links), (2, strings(&["a"])));
    check(&inventory(), &rules(), &[("t", &["gone!", "a"])], &[("t", &["gone"])]);
}

#[test]
fn only_what_is_over_a_limit_goes_when_sizes_decide() {
    let sizes = Rules { over_size: true, ..rules() };
    check(&inventory(), &sizes, &[("t", &["a", "b", "c"])], &[("t", &["a", "b", "c"])]);
    let mut limited = inventory();
    limited.limits.insert("ns".to_owned(), vec![99]);
    check(&limited, &sizes, &[("t", &["a", "b!"])], &[]);
    limited.limits.insert("ns".to_owned(), vec![100, 200]);
    check(&limited, &sizes, &[("t", &["a", "b"])], &[("t", &["a", "b"])]);
}

#[test]
fn images_without_a_stream_go_with_what_they_alone_need() {
    let inventory = inventory();
    let going = inventory.plan_images(&rules(), &[stream(&[("t", &["a"])])]);
    assert_eq!(going, [("b", strings(&["2", "b"])), ("c", strings(&["3", "c"]))]);
    let managed = Rules { all: false, ..rules() };
    assert_eq!(inventory.plan_images(&managed, &[stream(&[])]).len(), 0);
}

#[test]
fn children_stay_with_their_list() {
    let mut inventory = inventory();
    let mut list = image("list", &[]).1;
    list.children = strings(&["inner"]);
    let mut inner = image("inner", &[]).1;
    inner.children = strings(&["a", "b"]);
    inventory.images.extend([("list".to_owned(), list), ("inner".to_owned(), inner)]);
    let going = inventory.plan_images(&rules(), &[stream(&[("t", &["list"])])]);
    assert_eq!(going, [("c", strings(&["3", "c"]))]);
}

#[test]
fn content_of_an_image_is_its_layers_and_its_configuration() {
    let image: Image = serde_json::from_value(json!({
        "metadata": {"name": "i", "annotations": {MANAGED: "true"}},
        "dockerImageMetadata": {"kind": "DockerImage", "apiVersion": "image.openshift.io/1.0", "Id": "config", "Size": 7},
        "dockerImageManifestMediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "dockerImageLayers": [{"name": "x", "size": 1, "mediaType": "m"}, {"name": "x", "size": 1, "mediaType": "m"}],
    }))
    .unwrap();
    let facts = Facts::of(&image).unwrap();
    assert_eq!((facts.blobs, facts.is_managed, facts.size), (strings(&["x", "config"]), true, 7));
}
