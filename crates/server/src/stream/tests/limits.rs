//! Limits on what a stream may hold.

use super::*;

#[test]
fn a_stream_over_its_limit_may_stay_and_shrink_but_not_grow() {
    let mut world = World::new();
    world.limits.image_tags = Some(2);
    let of = |names: &[&str]| {
        let list: Vec<_> =
            names.iter().map(|name| reference_tag(name, &format!("example.com/x:{name}"))).collect();
        tags(&list)
    };
    let text = |used: usize, limit: usize| {
        format!(
            "[]: Internal error: ImageStream.image.openshift.io \"a\" is forbidden: requested usage of openshift.io/image-tags exceeds the maximum limit per openshift.io/ImageStream ({used} > {limit})"
        )
    };
    assert_eq!(world.refuse(None, stream(of(&["a", "b", "c"]))), [text(3, 2)]);
    let held = world.create(of(&["a", "b"]));
    let mut new = held.clone();
    new.spec.set_tag(reference_tag("c", "example.com/x:c"));
    assert_eq!(world.refuse(Some(&held), new), [text(3, 2)]);
    // A second tag of the same source is free.
    world.edit(Writer::Main, &held, |s| {
        s.spec.set_tag(reference_tag("c", "example.com/x:a"));
    });

    world.limits.image_tags = Some(1);
    world.edit(Writer::Main, &held, |s| drop(s.metadata.labels.insert("still".into(), "fine".into())));
    let mut swapped = held.clone();
    swapped.spec.tags = vec![reference_tag("y", "example.com/y"), reference_tag("z", "example.com/z")];
    assert_eq!(world.refuse(Some(&held), swapped), [text(2, 1)]);
    world.edit(Writer::Main, &held, |s| drop(s.spec.tags.pop()));
}

#[test]
fn a_push_over_the_limit_is_refused_at_the_stream() {
    let mut world = World::new();
    world.limits = StreamLimits { images: Some(5), image_tags: None }
        .and(StreamLimits { images: Some(1), image_tags: None });
    let mut held = world.create(json!({}));
    held.status.tag_or_insert("x").items = vec![event("r/r", "i1", 1)];
    let mut new = held.clone();
    new.status.tag_or_insert("x").items.insert(0, event("r/q", "i2", 1));
    assert_eq!(
        world.pass(Writer::Status, Some(&held), new).unwrap_err(),
        [
            "imageStream: Forbidden: ImageStream.image.openshift.io \"a\" is forbidden: requested usage of openshift.io/images exceeds the maximum limit per openshift.io/ImageStream (2 > 1)"
        ]
    );
}

#[test]
fn references_to_the_same_source_count_once() {
    let check = |from: Value, want: Option<&str>| {
        let from = serde_json::from_value(from).unwrap();
        assert_eq!(crate::stream::limits::source_key("ns", &from).as_deref(), want, "{from:?}");
    };
    let image = |name: &str| json!({"kind": "DockerImage", "name": name});
    check(image("foo"), Some("docker.io/foo"));
    check(image("docker.io/library/foo:latest"), Some("docker.io/foo"));
    check(image("index.docker.io/foo"), Some("docker.io/foo"));
    check(image("foo:1"), Some("docker.io/foo:1"));
    check(image("quay.io/a/b"), Some("quay.io/a/b"));
    check(image("Bad"), None);
    check(json!({"kind": "ImageStreamTag", "name": "x"}), None);
    check(json!({"kind": "ImageStreamTag", "name": "x:y"}), Some("ns/x:y"));
    check(json!({"kind": "ImageStreamTag", "name": "x:y", "namespace": "far"}), Some("far/x:y"));
    check(json!({"kind": "ImageStreamImage", "name": "x@y"}), None);
    let id = digest(1);
    check(json!({"kind": "ImageStreamImage", "name": format!("x@{id}")}), Some(&format!("ns/x@{id}")));
    check(json!({"kind": "Pod", "name": "x"}), None);
}
