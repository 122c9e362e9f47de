//! References to other streams.

use super::*;

fn pushed(name: &str) -> ImageStream {
    let mut source = named(name, json!({}));
    let spec = format!("{HOST}/ns/{name}@{}", digest(7));
    source.status.tag_or_insert("p").items = vec![event(&spec, &digest(7), 1)];
    source
}

#[test]
fn a_copy_of_a_pushed_tag_points_into_its_own_stream() {
    let mut world = World::new();
    world.streams.push(Arc::new(pushed("s")));
    let image =
        tag(json!({"name": "c", "from": {"kind": "ImageStreamImage", "name": format!("s@{}", digest(7))}}));
    let mut kept = follower("b", "s:p");
    kept.reference = true;
    let made = world.create(tags(&[follower("a", "s:p"), kept, image]));
    let own = format!("{HOST}/ns/a@{d}|{d}|1", d = digest(7));
    let theirs = format!("{HOST}/ns/s@{d}|{d}|1", d = digest(7));
    assert_eq!(status(&made), [format!("a={own}"), format!("b={theirs}"), format!("c={own}")]);
    assert_eq!(made.status.head("a").unwrap().created, EARLIER, "a tag keeps the time");
    assert_eq!(made.status.head("c").unwrap().created, NOW, "an image has none");
}

fn wrapped_text(text: &str) -> String {
    format!("[]: Internal error: imagestreams \"a\" is invalid: {text}")
}

#[test]
fn targets_that_cannot_be_used_are_errors_but_missing_tags_are_not() {
    let mut world = World::new();
    let mut source = pushed("s");
    source.status.tag_or_insert("q").items = vec![event("x/y", &digest(8), 1)];
    world.streams.push(Arc::new(source));
    let check = |kind: &str, name: &str, want: &[&str]| {
        let spec = json!({"tags": [{"name": "ok", "from": {"kind": kind, "name": name}}]});
        let got = world.pass(Writer::Main, None, stream(spec)).map(|passed| status(&passed.stream));
        let want: Vec<String> = want.iter().map(|&text| text.to_owned()).collect();
        assert_eq!(got.err().unwrap_or_default(), want, "{kind} {name}");
    };
    const FORM: &str = "must be of the form <tag>, <repo>:<tag>, <id>, or <repo>@<id>";
    let at = |rest: &str| wrapped_text(&format!("spec.tags[ok].from.name: {rest}"));
    check("ImageStreamTag", "nothing", &[]);
    check("ImageStreamTag", "s:nothing", &[]);
    check("ImageStreamTag", "a@b", &[]);
    check("ImageStreamTag", "a:b:c", &[&at(&format!("Invalid value: \"a:b:c\": {FORM}"))]);
    check("ImageStreamTag", "other:1", &[&at("Not found: \"other:1\"")]);
    check(
        "ImageStreamImage",
        "a:b",
        &[&at(
            "Invalid value: \"a:b\": error generating tag event: imagestreamimage.image.openshift.io \"a:b\" not found",
        )],
    );
    check(
        "ImageStreamImage",
        "s@sha256:0",
        &[&at(&format!(
            "Invalid value: \"s@sha256:0\": error generating tag event: Operation cannot be fulfilled on imagestreamimage.image.openshift.io \"sha256:0\": multiple images match the prefix \"sha256:0\": {}, {}",
            digest(7),
            digest(8)
        ))],
    );
    check(
        "Pod",
        "x",
        &[
            &at(&format!("Invalid value: \"x\": {FORM}")),
            "spec.tags[ok].from.kind: Required value: valid values are 'DockerImage', 'ImageStreamImage', 'ImageStreamTag'",
        ],
    );
    check(
        "DockerImage",
        "",
        &[&at(&format!("Invalid value: \"\": {FORM}")), "spec.tags[ok].from.name: Required value"],
    );
}

#[test]
fn a_foreign_stream_needs_the_right_to_pull_from_it() {
    let mut world = World::new();
    let mut source = pushed("s");
    source.metadata.namespace = "far".into();
    world.streams.push(Arc::new(source));
    let from = json!({"kind": "ImageStreamTag", "name": "s:p", "namespace": "far"});
    let spec = json!({"tags": [{"name": "x", "from": from}, {"name": "y", "from": from}]});

    let refused = world.refuse(None, stream(spec.clone()));
    let text =
        "[spec.tags[x].from: Forbidden: far/s: \"\" \"\", spec.tags[y].from: Forbidden: far/s: \"\" \"\"]";
    assert_eq!(refused, [wrapped_text(text)]);

    let failed = Access { failure: Some("no answer".into()), ..Default::default() };
    world.readable.insert("far".into(), failed);
    let refused = world.refuse(None, stream(json!({"tags": [{"name": "x", "from": from}]})));
    assert_eq!(refused, [wrapped_text("spec.tags[x].from: Forbidden: far/s: \"\" \"\"- no answer")]);

    world.readable.insert("far".into(), Access { allowed: true, ..Default::default() });
    let made = world.create(spec);
    assert_eq!(made.status.tags.len(), 2);

    // What does not change is not asked for again.
    world.readable.clear();
    let edited = world.edit(Writer::Main, &made, |s| drop(s.metadata.labels.insert("l".into(), "v".into())));
    assert_eq!(edited.stream.metadata.generation, 1);
}

#[test]
fn an_external_image_with_a_namespace_is_refused() {
    let world = World::new();
    let from = json!({"kind": "DockerImage", "name": "a/b:c", "namespace": "far"});
    let refused = world.refuse(None, stream(json!({"tags": [{"name": "x", "from": from}]})));
    let text = "spec.tags[x].from.name: Invalid value: \"a/b:c\": must be of the form <tag>, <repo>:<tag>, <id>, or <repo>@<id>";
    assert_eq!(refused, [wrapped_text(text)]);
}

#[test]
fn the_streams_that_will_be_asked_for_are_known_beforehand() {
    let spec = json!({"tags": [
        {"name": "a", "from": {"kind": "ImageStreamTag", "name": "s:p"}},
        {"name": "b", "from": {"kind": "ImageStreamImage", "name": "s@x"}},
        {"name": "c", "from": {"kind": "ImageStreamTag", "name": "own"}},
        {"name": "d", "from": {"kind": "ImageStreamTag", "name": "t:x", "namespace": "far"}},
        {"name": "e", "from": {"kind": "DockerImage", "name": "x"}},
    ]});
    let source = |namespace: &str, stream: &str, foreign| Source {
        namespace: namespace.into(),
        stream: stream.into(),
        foreign,
    };
    let new = stream(spec);
    assert_eq!(sources(None, &new, Writer::Main), [source("far", "t", true), source("ns", "s", false)]);
    assert_eq!(sources(Some(&new), &new, Writer::Main), []);
    assert_eq!(sources(None, &new, Writer::Status), []);
}
