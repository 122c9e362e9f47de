#![expect(clippy::needless_pass_by_value, reason = "values are written where they are used")]

use std::collections::BTreeMap;
use std::sync::Arc;

use machinery::image::{NamedTagEventList, TagReference};
use serde_json::{Value, json};

use super::*;

const NOW: Time = Time::from_unix(1_700_000_000);
const EARLIER: Time = Time::from_unix(1_600_000_000);
const HOST: &str = "172.30.56.218:5000";

fn digest(n: usize) -> String {
    format!("sha256:{n:064}")
}

/// The other streams of a test, and the namespaces whose streams may be read.
#[derive(Default)]
struct World {
    streams: Vec<Arc<ImageStream>>,
    readable: BTreeMap<String, Access>,
    limits: StreamLimits,
    settings: StreamSettings,
}

impl Lookup for World {
    fn stream(&self, namespace: &str, name: &str) -> Option<Arc<ImageStream>> {
        let is_it =
            |held: &&Arc<ImageStream>| held.metadata.namespace == namespace && held.metadata.name == name;
        self.streams.iter().find(is_it).cloned()
    }
    fn may_read(&self, namespace: &str, _stream: &str) -> Access {
        self.readable.get(namespace).cloned().unwrap_or_default()
    }
}

impl World {
    fn new() -> World {
        let settings = StreamSettings { internal_registry_hostname: HOST.to_owned(), ..Default::default() };
        World { settings, ..Default::default() }
    }

    fn pass(
        &self,
        writer: Writer,
        old: Option<&ImageStream>,
        new: ImageStream,
    ) -> Result<Passed, Vec<String>> {
        let cx = Passage { now: NOW, writer, settings: &self.settings, lookup: self, limits: &self.limits };
        pass(old, new, &cx).map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    fn create(&self, spec: Value) -> ImageStream {
        self.pass(Writer::Main, None, stream(spec)).unwrap().stream
    }

    fn edit(&self, writer: Writer, old: &ImageStream, change: impl FnOnce(&mut ImageStream)) -> Passed {
        let mut new = old.clone();
        change(&mut new);
        self.pass(writer, Some(old), new).unwrap()
    }

    fn refuse(&self, old: Option<&ImageStream>, new: ImageStream) -> Vec<String> {
        self.pass(Writer::Main, old, new).unwrap_err()
    }
}

fn stream(spec: Value) -> ImageStream {
    named("a", spec)
}

fn named(name: &str, spec: Value) -> ImageStream {
    let object = json!({"metadata": {"name": name, "namespace": "ns", "resourceVersion": "7"}, "spec": spec});
    serde_json::from_value(object).unwrap()
}

fn tag(value: Value) -> TagReference {
    let mut tag: TagReference = serde_json::from_value(value).unwrap();
    tag.set_defaults("Legacy");
    tag
}

fn reference_tag(name: &str, spec: &str) -> TagReference {
    tag(json!({"name": name, "from": {"kind": "DockerImage", "name": spec}, "reference": true}))
}

fn follower(name: &str, of: &str) -> TagReference {
    tag(json!({"name": name, "from": {"kind": "ImageStreamTag", "name": of}}))
}

fn tags(list: &[TagReference]) -> Value {
    json!({ "tags": list })
}

fn event(reference: &str, image: &str, generation: i64) -> TagEvent {
    TagEvent {
        created: EARLIER,
        docker_image_reference: reference.to_owned(),
        image: image.to_owned(),
        generation,
    }
}

/// `tag=reference@image#generation` of every entry, history after commas.
fn status(stream: &ImageStream) -> Vec<String> {
    let item =
        |event: &TagEvent| format!("{}|{}|{}", event.docker_image_reference, event.image, event.generation);
    let entry = |entry: &NamedTagEventList| {
        format!("{}={}", entry.tag, entry.items.iter().map(item).collect::<Vec<_>>().join(","))
    };
    stream.status.tags.iter().map(entry).collect()
}

fn generations(stream: &ImageStream) -> Vec<Option<i64>> {
    stream.spec.tags.iter().map(|tag| tag.generation).collect()
}

// --- history -------------------------------------------------------------------------------------------------------

fn check_add(next: &TagEvent, want: Added, items: &[TagEvent]) {
    let mut subject = stream(json!({}));
    subject.status.tag_or_insert("t").items = vec![event("r1", "i1", 1)];
    subject.status.tag_or_insert("t").conditions.push(Default::default());
    assert_eq!(add_tag_event(&mut subject, "t", next.clone()), want, "{next:?}");
    let entry = subject.status.tag("t").unwrap();
    assert_eq!(entry.items, items, "{next:?}");
    assert_eq!(entry.conditions.is_empty(), want.is_change(), "a change clears the conditions");
}

#[test]
fn only_what_differs_in_image_and_reference_makes_history() {
    let at = |event: TagEvent| TagEvent { created: NOW, ..event };
    check_add(&at(event("r1", "i1", 1)), Added::Nothing, &[event("r1", "i1", 1)]);
    check_add(&at(event("r1", "i1", 2)), Added::Changed, &[event("r1", "i1", 2)]);
    check_add(&at(event("r1", "i2", 2)), Added::Changed, &[event("r1", "i2", 2)]);
    check_add(&at(event("r2", "i1", 2)), Added::Changed, &[event("r2", "i1", 2)]);
    check_add(&at(event("r2", "i2", 2)), Added::Changed, &[at(event("r2", "i2", 2)), event("r1", "i1", 1)]);
}

#[test]
fn the_first_entry_of_a_tag_drops_its_conditions() {
    let mut subject = stream(json!({}));
    subject.status.tag_or_insert("t").conditions.push(Default::default());
    assert!(add_tag_event(&mut subject, "t", event("r", "i", 1)).is_change());
    assert_eq!(subject.status.tag("t").unwrap().conditions, []);
}

// --- following -----------------------------------------------------------------------------------------------------

fn check_follow(spec: Value, want: &[&str]) {
    let mut subject = stream(json!({ "tags": [spec] }));
    subject.status.tag_or_insert("t").items = vec![event("r", "i", 3)];
    follow(&mut subject, "t");
    assert_eq!(status(&subject), want, "{spec:?}", spec = subject.spec.tags);
}

#[test]
fn tags_follow_a_tag_of_their_own_stream() {
    let from = |from: Value| json!({"name": "u", "from": from});
    check_follow(from(json!({"kind": "ImageStreamTag", "name": "t"})), &["t=r|i|3", "u=r|i|3"]);
    check_follow(from(json!({"kind": "ImageStreamTag", "name": "a:t"})), &["t=r|i|3", "u=r|i|3"]);
    check_follow(
        from(json!({"kind": "ImageStreamTag", "name": "t", "namespace": "ns"})),
        &["t=r|i|3", "u=r|i|3"],
    );
    check_follow(json!({"name": "u"}), &["t=r|i|3"]);
    check_follow(from(json!({"kind": "DockerImage", "name": "t"})), &["t=r|i|3"]);
    check_follow(from(json!({"kind": "ImageStreamTag", "name": "t", "namespace": "other"})), &["t=r|i|3"]);
    check_follow(from(json!({"kind": "ImageStreamTag", "name": "b:t"})), &["t=r|i|3"]);
    check_follow(from(json!({"kind": "ImageStreamTag", "name": "x"})), &["t=r|i|3"]);
}

#[test]
fn chains_settle_in_one_write_and_circles_end() {
    let spec = tags(&[follower("c", "b"), follower("b", "t"), follower("t", "c")]);
    let mut subject = stream(spec);
    subject.status.tag_or_insert("t").items = vec![event("r", "i", 3)];
    assert!(follow(&mut subject, "t").is_change());
    assert_eq!(status(&subject), ["b=r|i|3", "c=r|i|3", "t=r|i|3"]);
    assert_eq!(follow(&mut subject, "t"), Added::Nothing);
}

// --- what counts as another reference --------------------------------------------------------------------------------

fn check_changed(old: Value, new: Value, want: bool) {
    let (old, new): (TagReference, TagReference) =
        (serde_json::from_value(old).unwrap(), serde_json::from_value(new).unwrap());
    assert_eq!(generation::is_reference_changed(&old, &new, "ns"), want, "{old:?} {new:?}");
}

#[test]
fn some_changes_of_a_tag_are_changes_of_its_reference() {
    let base = json!({"from": {"kind": "ImageStreamTag", "name": "x"}, "generation": 3});
    let with = |key: &str, value: Value| {
        let mut tag = base.clone();
        tag[key] = value;
        tag
    };
    check_changed(base.clone(), base.clone(), false);
    check_changed(json!({}), json!({}), false);
    check_changed(json!({}), base.clone(), true);
    check_changed(base.clone(), json!({"generation": 3}), false);
    check_changed(base.clone(), with("from", json!({})), false);
    check_changed(base.clone(), with("from", json!({"kind": "DockerImage", "name": "x"})), false);
    check_changed(base.clone(), with("from", json!({"kind": "ImageStreamTag", "name": "y"})), true);
    check_changed(
        base.clone(),
        with("from", json!({"kind": "ImageStreamTag", "name": "x", "namespace": "ns"})),
        false,
    );
    check_changed(
        base.clone(),
        with("from", json!({"kind": "ImageStreamTag", "name": "x", "namespace": "o"})),
        true,
    );
    check_changed(base.clone(), with("reference", json!(true)), true);
    check_changed(base.clone(), with("importPolicy", json!({"importMode": "PreserveOriginal"})), true);
    check_changed(base.clone(), with("importPolicy", json!({"insecure": true, "scheduled": true})), false);
    check_changed(base.clone(), with("referencePolicy", json!({"type": "Local"})), false);
    check_changed(base.clone(), with("annotations", json!({"a": "b"})), false);
    check_changed(base.clone(), with("generation", json!(0)), true);
    check_changed(base.clone(), with("generation", json!(2)), false);
    check_changed(
        json!({"from": {"kind": "ImageStreamTag", "name": "x"}}),
        with("generation", json!(0)),
        false,
    );
}

// --- create and edit -------------------------------------------------------------------------------------------------

#[test]
fn a_create_wipes_the_status_and_starts_at_generation_one() {
    let world = World::new();
    let mut new = stream(tags(&[tag(json!({"name": "x", "generation": 9}))]));
    new.metadata.generation = 12;
    new.status.tag_or_insert("old").items = vec![event("r/r", "i", 1)];
    let passed = world.pass(Writer::Main, None, new).unwrap();
    assert_eq!(passed.stream.metadata.generation, 1);
    assert_eq!(generations(&passed.stream), [Some(1)]);
    assert_eq!(status(&passed.stream), [""; 0]);
    assert_eq!(passed.stream.status.docker_image_repository, format!("{HOST}/ns/a"));
    assert!(passed.moves.is_empty() && !passed.unchanged);
}

#[test]
fn a_create_by_an_import_keeps_the_status_and_lets_tags_follow() {
    let world = World::new();
    let mut new = stream(tags(&[follower("f", "x"), tag(json!({"name": "x", "generation": 0}))]));
    new.status.tag_or_insert("x").items = vec![event("r/r@x", "i", 1)];
    new.status.tag_or_insert("x").items[0].docker_image_reference = "r/r".into();
    let passed = world.pass(Writer::Internal, None, new).unwrap();
    assert_eq!(status(&passed.stream), ["f=r/r|i|1", "x=r/r|i|1"]);
    let moved: Vec<_> =
        passed.moves.iter().map(|step| (step.tag.as_str(), step.points_elsewhere())).collect();
    assert_eq!(moved, [("f", true), ("x", true)]);
}

#[test]
fn a_plain_edit_moves_only_the_tags_it_names() {
    let world = World::new();
    let one = world.create(tags(&[reference_tag("v1", "example.com/app:1"), follower("latest", "v1")]));
    assert_eq!(status(&one), ["latest=example.com/app:1||1", "v1=example.com/app:1||1"]);

    let two = world.edit(Writer::Main, &one, |s| {
        s.spec.set_tag(reference_tag("v1", "example.com/app:1.1"));
    });
    assert_eq!(status(&two.stream), ["latest=example.com/app:1||1", "v1=example.com/app:1.1||2"]);
    assert_eq!(generations(&two.stream), [Some(1), Some(2)]);
    assert_eq!(two.moves.len(), 1);

    // A tag that another one is pointed at gets the new generation, too.
    let three = world.edit(Writer::Main, &two.stream, |s| {
        s.spec.set_tag(follower("stable", "a:latest"));
    });
    assert_eq!(
        status(&three.stream),
        ["latest=example.com/app:1||3", "stable=example.com/app:1||3", "v1=example.com/app:1.1||2"]
    );
    let moved: Vec<_> = three.moves.iter().map(|step| (step.tag.as_str(), step.points_elsewhere())).collect();
    assert_eq!(moved, [("latest", false), ("stable", true)]);
}

#[test]
fn a_write_of_a_tag_lets_others_follow() {
    let world = World::new();
    let one = world.create(tags(&[reference_tag("v1", "example.com/app:1"), follower("latest", "v1")]));
    let two = world.edit(Writer::Internal, &one, |s| {
        s.spec.set_tag(reference_tag("v1", "example.com/app:1.1"));
    });
    assert_eq!(status(&two.stream), ["latest=example.com/app:1.1||2", "v1=example.com/app:1.1||2"]);
    assert_eq!(generations(&two.stream), [Some(1), Some(2)]);
}

#[test]
fn a_follower_in_the_same_write_gets_the_new_entry_whatever_the_names() {
    let world = World::new();
    for (first, second) in [("a", "z"), ("z", "a")] {
        let one = world.create(tags(&[reference_tag(first, "example.com/app:1")]));
        let two = world.edit(Writer::Main, &one, |s| {
            s.spec.set_tag(reference_tag(first, "example.com/app:2"));
            s.spec.set_tag(follower(second, first));
        });
        assert_eq!(two.stream.status.head(second).unwrap().docker_image_reference, "example.com/app:2");
    }
}

#[test]
fn an_edit_without_a_change_changes_nothing() {
    let world = World::new();
    let one = world.create(tags(&[reference_tag("x", "example.com/x:1")]));
    let same = world.edit(Writer::Main, &one, |s| {
        s.status = Default::default();
        s.metadata.generation = 99;
        s.metadata.resource_version = "8".into();
        s.spec.tags[0].generation = Some(44);
    });
    assert!(same.unchanged);
    assert_eq!(same.moves, []);
    assert_eq!(same.stream.metadata.generation, 1);
}

#[test]
fn only_some_changes_give_the_tag_a_new_generation() {
    let world = World::new();
    let mut held = world.create(tags(&[reference_tag("x", "example.com/x:1")]));
    let mut check = |change: &dyn Fn(&mut TagReference), want: (i64, i64, i64)| {
        let passed = world.edit(Writer::Main, &held, |s| change(&mut s.spec.tags[0]));
        let tag = passed.stream.spec.tags[0].generation.unwrap();
        let head = passed.stream.status.head("x").unwrap().generation;
        assert_eq!((passed.stream.metadata.generation, tag, head), want);
        held = passed.stream;
    };
    check(&|tag| drop(tag.annotations.insert("a".into(), "b".into())), (2, 1, 1));
    check(&|tag| tag.reference_policy.r#type = "Local".into(), (3, 1, 1));
    check(&|tag| tag.import_policy.insecure = true, (4, 1, 1));
    check(&|tag| tag.import_policy.import_mode = "PreserveOriginal".into(), (5, 5, 5));
    // Asking for a new import is for importers: the entry of a mere reference stays as it is.
    check(&|tag| tag.generation = Some(0), (6, 6, 5));
    check(&|tag| tag.generation = None, (6, 6, 5));
}

#[test]
fn removing_a_spec_tag_leaves_its_history() {
    let world = World::new();
    let one = world.create(tags(&[reference_tag("x", "example.com/x:1")]));
    let two = world.edit(Writer::Main, &one, |s| s.spec.tags.clear());
    assert_eq!((two.stream.metadata.generation, status(&two.stream).len(), two.moves.len()), (2, 1, 0));
    let three = world.edit(Writer::Internal, &two.stream, |s| s.status.tags.clear());
    assert_eq!(three.stream.metadata.generation, 2);
    assert_eq!((three.moves[0].tag.as_str(), &three.moves[0].to), ("x", &None));
}

#[test]
fn a_tag_without_generation_gets_the_streams() {
    let world = World::new();
    let mut old = world.create(tags(&[tag(json!({"name": "x"}))]));
    old.spec.tags[0].generation = None;
    old.metadata.generation = 4;
    let passed = world.edit(Writer::Main, &old, |_| {});
    assert_eq!((passed.stream.metadata.generation, generations(&passed.stream)), (4, vec![Some(4)]));
}

// --- references to other streams -----------------------------------------------------------------------------------

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

// --- the status subresource ------------------------------------------------------------------------------------------

#[test]
fn a_status_write_keeps_the_tags_of_the_spec_but_not_the_rest() {
    let world = World::new();
    let one = world.create(tags(&[reference_tag("x", "example.com/x:1")]));
    let two = world.edit(Writer::Status, &one, |s| {
        s.spec.tags.clear();
        s.spec.docker_image_repository = "elsewhere".into();
        s.spec.lookup_policy.local = true;
        s.metadata.labels.insert("l".into(), "v".into());
        s.status.docker_image_repository = "else/where:1".into();
        s.status.tag_or_insert("y").items = vec![event("r/r", "i", 0)];
        s.status.tag_or_insert("z");
    });
    let got = two.stream;
    assert_eq!(got.spec.tags, one.spec.tags);
    assert_eq!(got.spec.docker_image_repository, "");
    assert!(got.spec.lookup_policy.local && got.metadata.labels.contains_key("l"));
    assert_eq!(got.metadata.generation, 1);
    assert_eq!(got.status.docker_image_repository, "else/where");
    assert_eq!(status(&got), ["x=example.com/x:1||1", "y=r/r|i|1", "z="]);
}

#[test]
fn a_status_entry_without_generation_gets_one() {
    let world = World::new();
    let mut one = world.create(tags(&[reference_tag("x", "example.com/x:1")]));
    one.metadata.generation = 5;
    one.spec.tags[0].generation = Some(3);
    let generation = |items: Vec<TagEvent>| {
        let passed = world.edit(Writer::Status, &one, |s| s.status.tag_or_insert("x").items = items);
        passed.stream.status.head("x").unwrap().generation
    };
    assert_eq!(generation(vec![event("example.com/x:2", "i", 0)]), 3);
    assert_eq!(generation(vec![event("example.com/x:2", "i", 2)]), 2);
    // An unchanged entry whose generation went back counts as changed.
    assert_eq!(generation(vec![event("example.com/x:1", "", 0)]), 3);
}

#[test]
fn a_status_write_is_checked_for_what_it_brings_in() {
    let world = World::new();
    let one = world.create(json!({}));
    let mut new = one.clone();
    new.status.tag_or_insert("x").items = vec![event("", "i", 1)];
    let errors = world.pass(Writer::Status, Some(&one), new).unwrap_err();
    assert_eq!(
        errors,
        [
            "status.tags[x].items[0].dockerImageReference: Invalid value: \"\": repository name must have at least one component"
        ]
    );
}

// --- limits ----------------------------------------------------------------------------------------------------------

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
        assert_eq!(limits::source_key("ns", &from).as_deref(), want, "{from:?}");
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

// --- form ------------------------------------------------------------------------------------------------------------

#[test]
fn names_are_those_of_repositories() {
    let world = World::new();
    let check = |name: &str, want: &[&str]| {
        let got = world.pass(Writer::Main, None, named(name, json!({}))).err().unwrap_or_default();
        assert_eq!(got, want, "{name}");
    };
    let must = |name: &str| {
        format!("metadata.name: Invalid value: \"{name}\": must match \"[a-z0-9]+(?:[._-][a-z0-9]+)*\"")
    };
    for good in ["a", "a.b_c-d", "0"] {
        check(good, &[]);
    }
    for bad in ["Ruby", "ruby:1", "ruby@x", "-ruby", "ruby.", "ruby__x", "a--b", "a b"] {
        check(bad, &[&must(bad)]);
    }
    check("ruby/x", &["metadata.name: Invalid value: \"ruby/x\": may not contain '/'"]);
    check("ruby%x", &["metadata.name: Invalid value: \"ruby%x\": may not contain '%'"]);
    check("..", &["metadata.name: Invalid value: \"..\": may not be '..'"]);
    check("", &["metadata.name: Required value: name or generateName is required"]);
    let long = "r".repeat(253);
    check(
        &long,
        &[&format!(
            "metadata.name: Invalid value: \"{long}\": 'namespace/name' cannot be longer than 255 characters"
        )],
    );
    check(&long[1..], &[]);
}

#[test]
fn the_repository_of_a_spec_is_bare() {
    let world = World::new();
    let check = |repository: &str, want: &[&str]| {
        let got = world.pass(Writer::Main, None, stream(json!({"dockerImageRepository": repository})));
        assert_eq!(got.err().unwrap_or_default(), want);
    };
    check("example.com/a/b", &[]);
    check(
        "a/b:1",
        &["spec.dockerImageRepository: Invalid value: \"a/b:1\": the repository name may not contain a tag"],
    );
    let with_id = format!("a/b@{}", digest(1));
    check(
        &with_id,
        &[&format!(
            "spec.dockerImageRepository: Invalid value: \"{with_id}\": the repository name may not contain an ID"
        )],
    );
    check("a/B", &["spec.dockerImageRepository: Invalid value: \"a/B\": repository name must be lowercase"]);
}

#[test]
fn policies_of_tags_have_known_words() {
    let world = World::new();
    let check = |extra: (&str, Value), want: &[&str]| {
        let mut tag = json!({"name": "ok", "from": {"kind": "DockerImage", "name": "x"}});
        tag[extra.0] = extra.1;
        let got = world.pass(Writer::Main, None, stream(json!({"tags": [tag]})));
        assert_eq!(got.err().unwrap_or_default(), want);
    };
    check(
        ("referencePolicy", json!({"type": "Nope"})),
        &[
            "spec.tags[ok].referencePolicy.type: Invalid value: \"Nope\": valid values are \"Source\", \"Local\"",
        ],
    );
    check(
        ("importPolicy", json!({"importMode": "Nope"})),
        &[
            "spec.tags[ok].importPolicy.importMode: Invalid value: \"Nope\": invalid import mode, valid modes are '', 'Legacy', 'PreserveOriginal'",
        ],
    );
    check(
        ("from", json!({"kind": "DockerImage", "name": "Bad/Name@@"})),
        &["spec.tags[ok].from.name: Invalid value: \"Bad/Name@@\": invalid reference format"],
    );
    let mut tag = follower("ok", "x");
    tag.import_policy.scheduled = true;
    assert_eq!(
        world.refuse(None, stream(tags(&[tag]))),
        [
            "spec.tags[ok].importPolicy.scheduled: Invalid value: true: only tags pointing to Docker repositories may be scheduled for background import"
        ]
    );
}

#[test]
fn registries_off_the_list_are_refused_unless_they_are_in_use() {
    let mut world = World::new();
    let held = world.create(tags(&[reference_tag("x", "old.example.com/x:1")]));
    world.settings.allowed_registries_for_import =
        vec![crate::settings::AllowedRegistry { domain_name: "quay.io".into(), insecure: false }];
    world.edit(Writer::Main, &held, |s| {
        s.spec.set_tag(reference_tag("x", "old.example.com/x:2"));
    });
    let mut new = held.clone();
    new.spec.set_tag(reference_tag("y", "old.example.com/y:1"));
    let refused = "Forbidden: registry \"old.example.com\" not allowed by whitelist: \"172.30.56.218:5000\", \"quay.io:443\"";
    assert_eq!(world.refuse(Some(&held), new.clone()), [format!("spec.tags[y].from.name: {refused}")]);
    assert_eq!(
        world.pass(Writer::Internal, Some(&held), new).unwrap_err(),
        [
            format!("spec.tags[y].from.name: {refused}"),
            format!("status.tags[y].items[0].dockerImageReference: {refused}")
        ]
    );
}

#[test]
fn identity_does_not_change() {
    let world = World::new();
    let held = world.create(json!({}));
    let mut new = held.clone();
    new.metadata.uid = "u".into();
    let errors = world.refuse(Some(&held), new);
    assert_eq!(errors, ["metadata.uid: Invalid value: \"u\": field is immutable"; 2]);
}

// --- pull specs ------------------------------------------------------------------------------------------------------

#[test]
fn consumers_see_the_pull_spec_that_the_policy_says() {
    let local = json!({"tags": [{"name": "t", "referencePolicy": {"type": "Local"}}]});
    let check = |spec: &Value, repository: &str, image: &str, want: &str| {
        let mut subject = stream(spec.clone());
        subject.status.docker_image_repository = repository.to_owned();
        assert_eq!(resolve_reference(&subject, "t", &event("q/r:1", image, 1)), want);
    };
    let d = digest(1);
    check(&local, "h:5/ns/a", &d, &format!("h:5/ns/a@{d}"));
    check(&local, "h:5/ns/a", "", "q/r:1");
    check(&local, "", &d, "q/r:1");
    check(&json!({}), "h:5/ns/a", &d, "q/r:1");
}

#[test]
fn an_id_is_the_start_of_a_name_or_of_its_digits() {
    let d = format!("sha256:abc{:061}", 0);
    for good in ["abc", "sha256:ab", d.as_str(), "s"] {
        assert!(matches_image(&d, good), "{good}");
    }
    assert!(!matches_image(&d, "bc"));
    assert!(matches_image("plain", "pl") && !matches_image("plain", "lain"));
}
