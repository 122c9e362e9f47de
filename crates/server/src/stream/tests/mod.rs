#![expect(clippy::needless_pass_by_value, reason = "values are written where they are used")]

mod form;
mod limits;
mod references;

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
