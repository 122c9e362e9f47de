use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::annotation::{AnnotationError, Trigger, parse, react};
use super::path::{PathError, Selector, find};
use super::*;
use crate::workload;

/// Tags by `namespace/stream:tag`.
#[derive(Default)]
struct Known(BTreeMap<String, String>);

impl Known {
    fn of(tags: &[(&str, &str)]) -> Known {
        Known(tags.iter().map(|(tag, image)| ((*tag).to_owned(), (*image).to_owned())).collect())
    }
}

impl Tags for Known {
    fn image(&self, tag: &TagName<'_>) -> Option<String> {
        self.0.get(&format!("{}/{}:{}", tag.namespace, tag.stream, tag.tag)).cloned()
    }
}

const PREFIX: &str = "spec.template.spec";

#[test]
fn field_paths_select_by_index_or_name() {
    let check = |path: &str, want: Result<Selector<'_>, PathError>| {
        assert_eq!(path::parse(PREFIX, path), want, "{path}");
    };
    let index = |list, index| Ok(Selector::Index { list, index });
    let wrong = |path: &str| Err(PathError::Form(path.to_owned()));
    let none = |path: &str| Err(PathError::NoContainer(path.to_owned()));
    check("spec.template.spec.containers[0].image", index("containers", 0));
    check("spec.template.spec.initContainers[12].image", index("initContainers", 12));
    check("spec.template.spec.containers[0]image", index("containers", 0));
    check(r#"spec.template.spec.containers[?(@.name=="web")].image"#, Ok(Selector::Name("web")));
    check(r#"spec.template.spec.containers[?(@.name=="web].image"#, Ok(Selector::Name("web")));
    check(r#"spec.template.spec.containers[web")].image"#, Ok(Selector::Name("web")));
    for path in [
        "spec.template.spec.containers[?(@.name=='web')].image",
        "spec.template.spec.containers[-1].image",
        "spec.template.spec.containers[].image",
    ] {
        check(path, none(path));
    }
    for path in [
        "spec.template.spec.containers[0].name",
        "spec.template.spec.containers[0",
        "spec.template.spec.volumes[0].image",
        "spec.template.spec.containers.image",
    ] {
        check(path, wrong(path));
    }
    for path in ["spec.replicas", "", "spec.template.specs.containers[0].image", "spec.jobTemplate"] {
        assert!(matches!(path::parse(PREFIX, path), Err(PathError::Prefix { .. })), "{path}");
    }
}

#[test]
fn names_are_looked_for_among_init_containers_first_whichever_list_is_written() {
    let pod =
        json!({"containers": [{"name": "web"}, {"name": "both"}], "initContainers": [{"name": "both"}]});
    let check = |selector, want: Option<(&str, usize)>| {
        assert_eq!(find(&pod, selector).map(|place| (place.list, place.index)), want);
    };
    check(Selector::Name("web"), Some(("containers", 0)));
    check(Selector::Name("both"), Some(("initContainers", 0)));
    check(Selector::Name("none"), None);
    check(Selector::Index { list: "containers", index: 1 }, Some(("containers", 1)));
    check(Selector::Index { list: "initContainers", index: 1 }, None);
}

#[test]
fn annotations_that_are_lists_of_triggers() {
    let check = |text: &str, want: &[Trigger]| assert_eq!(parse(text).unwrap(), want, "{text}");
    check("", &[]);
    check("null", &[]);
    check(" [] ", &[]);
    check(
        "[null, {\"fieldPath\": \"a\"}]",
        &[Trigger::default(), Trigger { field_path: "a".to_owned(), ..Trigger::default() }],
    );
    let full = r#"[{"From":{"KIND":"ImageStreamTag","name":"app:1","namespace":null,"apiVersion":"v1","x":1},
        "fieldpath":"p","paused":true,"other":[]}]"#;
    check(
        full,
        &[Trigger {
            kind: TAG.to_owned(),
            name: "app:1".to_owned(),
            namespace: String::new(),
            api_version: "v1".to_owned(),
            field_path: "p".to_owned(),
            paused: true,
        }],
    );
}

#[test]
fn annotations_that_are_not() {
    let message = |text: &str| parse(text).unwrap_err().to_string();
    assert!(matches!(parse("[{"), Err(AnnotationError::NotJson(_))));
    assert!(matches!(parse(&"[".repeat(100_000)), Err(AnnotationError::NotJson(_))));
    assert_eq!(parse(&" ".repeat(limits::ANNOTATION + 1)), Err(AnnotationError::TooLong));
    let name = annotation::KEY;
    let not = format!("the annotation {name} is not a list of triggers: ");
    assert_eq!(message("{}"), format!("{not}it must be a list, not an object"));
    assert_eq!(message("[1]"), format!("{not}entry 0 must be an object, not a number"));
    assert_eq!(
        message(r#"[{"paused":"true"}]"#),
        format!("{not}entry 0, paused must be a boolean, not a text")
    );
    assert_eq!(message(r#"[{"from":[]}]"#), format!("{not}entry 0, from must be an object, not a list"));
    assert_eq!(
        message(r#"[{"from":{"name":1}}]"#),
        format!("{not}entry 0, from.name must be a text, not a number")
    );
    let twice = r#"[{"fieldPath":"a"},{"fieldPath":"a"}]"#;
    assert_eq!(parse(twice), Err(AnnotationError::Twice("a".to_owned())));
}

fn deployment(annotation: &str) -> Plain {
    serde_json::from_value(json!({
        "metadata": {"name": "d", "namespace": "ns", "annotations": {"image.openshift.io/triggers": annotation}},
        "spec": {"template": {"spec": {
            "containers": [{"name": "web", "image": "x"}, {"name": "side", "image": "y"}],
            "initContainers": [{"name": "init", "image": "z"}],
        }}},
    }))
    .unwrap()
}

fn trigger(from: &str, path: &str) -> Value {
    json!({"from": {"kind": TAG, "name": from}, "fieldPath": format!("{PREFIX}.{path}")})
}

fn images(object: &Plain) -> Vec<String> {
    let pod = workload::at(&object.fields, &["spec", "template", "spec"]).unwrap();
    workload::images::containers(pod).map(|(place, _)| place.image(pod).to_owned()).collect()
}

#[test]
fn good_triggers_work_beside_bad_ones() {
    let tags = Known::of(&[("ns/app:latest", "A"), ("ci/app:1", "B")]);
    let mut other = trigger("app:1", "containers[1].image");
    other["from"]["namespace"] = "ci".into();
    let mut paused = trigger("app:latest", "initContainers[0].image");
    paused["paused"] = true.into();
    let annotation = json!([
        trigger("app:latest", r#"containers[?(@.name=="none")].image"#),
        trigger("app:", r#"containers[?(@.name=="web")].image"#),
        other,
        paused,
        trigger("app", r#"containers[?(@.name=="init")].image"#),
        trigger("later:1", "containers[0].image"),
    ]);
    let object = deployment(&annotation.to_string());
    let reaction = react(Follower::Workload(Workload::Deployment), &object, &tags);
    let changed = reaction.changed.unwrap();
    assert_eq!(images(&changed), ["z", "A", "B"]);
    assert_eq!(reaction.complaints, [
        r#"no such container: spec.template.spec.containers[?(@.name=="none")].image"#.to_owned(),
        r#"the trigger for spec.template.spec.containers[?(@.name=="init")].image follows "app", which is not of the form stream:tag"#
            .to_owned(),
    ]);
    assert_eq!(
        react(Follower::Workload(Workload::Deployment), &changed, &tags).changed,
        None,
        "a second look changes nothing"
    );
    let follows: Vec<String> =
        streams(Follower::Workload(Workload::Deployment), &object).iter().map(ToString::to_string).collect();
    assert_eq!(follows, ["ci/app", "ns/app", "ns/later"]);
}

#[test]
fn a_container_named_in_two_ways_settles_on_the_last_word() {
    let tags = Known::of(&[("ns/a:1", "A"), ("ns/b:1", "B")]);
    let annotation = json!([
        trigger("a:1", "containers[0].image"),
        trigger("b:1", r#"containers[?(@.name=="web")].image"#)
    ]);
    let object = deployment(&annotation.to_string());
    let changed = react(Follower::Workload(Workload::Deployment), &object, &tags).changed.unwrap();
    assert_eq!(images(&changed)[1], "B");
    assert_eq!(react(Follower::Workload(Workload::Deployment), &changed, &tags).changed, None);
}

#[test]
fn copies_that_a_controller_made_follow_nothing_and_kinds_that_never_change_say_so() {
    let tags = Known::of(&[("ns/a:1", "A")]);
    let mut object = deployment(&json!([trigger("a:1", "containers[0].image")]).to_string());
    for kind in [Workload::ReplicaSet, Workload::ReplicationController] {
        assert!(react(Follower::Workload(kind), &object, &tags).changed.is_some(), "{kind:?}");
    }
    let owner =
        json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "u", "controller": true}]);
    object.metadata.owner_references = serde_json::from_value(owner).unwrap();
    assert!(react(Follower::Workload(Workload::Deployment), &object, &tags).changed.is_some());
    for kind in [Workload::ReplicaSet, Workload::ReplicationController, Workload::Pod] {
        assert_eq!(react(Follower::Workload(kind), &object, &tags), Reaction::default(), "{kind:?}");
        assert!(streams(Follower::Workload(kind), &object).is_empty());
    }
    assert_eq!(Follower::of_workload(Workload::Job), None);
    assert!(annotation::complaints("Job", None, &object)[0].contains("a Job runs is fixed"));
    let copy = Follower::of_workload(Workload::ReplicaSet);
    assert_eq!(annotation::complaints("ReplicaSet", copy, &object), [""; 0]);
}

#[test]
fn other_kinds_follow_by_a_path_to_a_text() {
    let tags = Known::of(&[("ns/a:1", "A"), ("ns/b:1", "B")]);
    let path = |from: &str, path: &str| json!({"from": {"kind": TAG, "name": from}, "fieldPath": path});
    let annotation = json!([
        path("a:1", "data['app.image']"),
        path("b:1", "data.sidecar"),
        path("a:1", "spec.steps[?(@.name==\"none\")].image"),
        path("none:1", "data.waits"),
    ]);
    let object: Plain = serde_json::from_value(json!({
        "metadata": {"name": "c", "namespace": "ns", "annotations": {annotation::KEY: annotation.to_string()}},
        "data": {"app.image": "old", "other": "x"},
    }))
    .unwrap();
    let reaction = react(Follower::ByPath, &object, &tags);
    let changed = reaction.changed.unwrap();
    assert_eq!(
        changed.fields["data"],
        json!({"app.image": "A", "other": "x", "sidecar": "B"}),
        "a new key is made, a tag that is not there is waited for"
    );
    assert_eq!(reaction.complaints, ["nothing is at the field path spec.steps[?(@.name==\"none\")].image"]);
    assert_eq!(react(Follower::ByPath, &changed, &tags).changed, None, "a second look changes nothing");
    assert_eq!(streams(Follower::ByPath, &object).len(), 3);
}

#[test]
fn an_annotation_that_cannot_be_read_is_one_complaint() {
    for text in ["[{", "{}", r#"[{"paused":"true"}]"#] {
        let reaction = react(Follower::Workload(Workload::Deployment), &deployment(text), &Known::default());
        assert_eq!((reaction.changed, reaction.complaints.len()), (None, 1), "{text}");
    }
    let other_kind = json!([trigger("a:1", "containers[0].image")]).to_string();
    let reaction = react(Follower::Workload(Workload::CronJob), &deployment(&other_kind), &Known::default());
    assert!(reaction.complaints[0].starts_with("field path is not valid for this kind: "));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in r#"[\[\]{}":,a-zA-Z0-9@?()=.' ]{0,80}"#, path in ".{0,60}") {
        let _ = parse(&text);
        let _ = path::parse(PREFIX, &path);
        let _ = path::parse(PREFIX, &format!("{PREFIX}.containers[{path}"));
        let object = deployment(&text);
        let reaction = react(Follower::Workload(Workload::Deployment), &object, &Known::default());
        prop_assert_eq!(reaction.changed, None);
    }

    #[test]
    fn whatever_the_triggers_are_a_second_look_changes_nothing(
        entries in proptest::collection::vec(
            (0..3usize, prop_oneof![
                (0..3usize).prop_map(|index| format!("containers[{index}].image")),
                (0..2usize).prop_map(|index| format!("initContainers[{index}].image")),
                "(web|side|init|none)".prop_map(|name| format!("containers[?(@.name==\"{name}\")].image")),
            ], any::<bool>()), 0..6)
    ) {
        let tags = Known::of(&[("ns/t0:1", "A"), ("ns/t1:1", "B")]);
        let list: Vec<Value> = entries.iter().map(|(tag, path, paused)| {
            let mut entry = trigger(&format!("t{tag}:1"), path);
            entry["paused"] = (*paused).into();
            entry
        }).collect();
        let object = deployment(&Value::from(list).to_string());
        if let Some(changed) = react(Follower::Workload(Workload::Deployment), &object, &tags).changed {
            prop_assert_ne!(&changed.fields, &object.fields);
            prop_assert_eq!(react(Follower::Workload(Workload::Deployment), &changed, &tags).changed, None);
        }
    }
}

mod configurations {
    use super::*;
    use crate::trigger::deployment::{Outcome, Request, RolloutError, Which, react, roll_out};

    fn config(triggers: &Value) -> Plain {
        serde_json::from_value(json!({
            "metadata": {"name": "d", "namespace": "ns"},
            "spec": {"triggers": triggers, "template": {"spec": {
                "containers": [{"name": "web", "image": " "}, {"name": "side", "image": "y"}],
                "initContainers": [{"name": "init", "image": "z"}]}}},
            "status": {"latestVersion": 0},
        }))
        .unwrap()
    }

    fn change(from: &str, containers: &[&str], automatic: bool, last: Option<&str>) -> Value {
        let mut params = json!({"automatic": automatic, "containerNames": containers,
            "from": {"kind": TAG, "name": from}});
        if let Some(last) = last {
            params["lastTriggeredImage"] = last.into();
        }
        json!({"type": "ImageChange", "imageChangeParams": params})
    }

    fn changed(outcome: Outcome) -> Plain {
        match outcome {
            Outcome::Changed(changed) => *changed,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_or_nothing_until_every_tag_has_pointed_somewhere() {
        let tags = Known::of(&[("ns/app:1", "A")]);
        let both = |last| {
            config(&json!([
                change("app:1", &["web", "init"], true, None),
                change("b:1", &["side"], true, last)
            ]))
        };
        assert_eq!(react(&both(None), Which::Automatic, &tags), Outcome::Waiting);
        let new = changed(react(&both(Some("B")), Which::Automatic, &tags));
        assert_eq!(images(&new), ["A", "A", "B"]);
        assert_eq!(new.fields["spec"]["triggers"][0]["imageChangeParams"]["lastTriggeredImage"], "A");
        assert_eq!(react(&new, Which::Automatic, &tags), Outcome::Current);
    }

    #[test]
    fn triggers_by_hand_wait_for_a_hand() {
        let tags = Known::of(&[("ns/app:1", "A")]);
        let config = config(&json!([{"type": "ConfigChange"}, change("app:1", &["web"], false, None)]));
        assert_eq!(react(&config, Which::Automatic, &tags), Outcome::Current);
        assert!(streams(Follower::Workload(Workload::DeploymentConfig), &config).is_empty());
        assert_eq!(
            roll_out(&config, &Request::default(), &tags),
            Err(RolloutError::Unresolved("\"d\"".to_owned())),
            "an image is still blank"
        );
        let latest = Request { latest: true, ..Request::default() };
        let new = roll_out(&config, &latest, &tags).unwrap().unwrap();
        assert_eq!(images(&new), ["z", "A", "y"]);
        assert_eq!(new.fields["status"]["latestVersion"], 1);
        assert_eq!(new.fields["status"]["details"]["message"], "config change");
        assert_eq!(roll_out(&new, &latest, &tags), Ok(None), "nothing is new");
        let forced = Request { latest: true, force: true, ..Request::default() };
        let again = roll_out(&new, &forced, &tags).unwrap().unwrap();
        assert_eq!(again.fields["status"]["latestVersion"], 2);
        let moved = roll_out(&new, &latest, &Known::of(&[("ns/app:1", "B")])).unwrap().unwrap();
        let cause = &moved.fields["status"]["details"]["causes"][0]["imageTrigger"]["from"];
        assert_eq!(cause, &json!({"kind": "DockerImage", "name": "B"}));
    }
}

mod builds {
    use machinery::time::Time;

    use super::*;
    use crate::trigger::build::{BuildError, start, wanted};

    const NOW: Time = Time::from_unix(1_700_000_000);

    fn config(triggers: &Value) -> Plain {
        serde_json::from_value(json!({
            "metadata": {"name": "b", "namespace": "ns", "uid": "u", "labels": {"a": "b"}},
            "spec": {"triggers": triggers, "runPolicy": "Serial",
                "strategy": {"type": "Docker", "dockerStrategy": {"from": {"kind": TAG, "name": "base:1"}}}},
            "status": {"lastVersion": 0},
        }))
        .unwrap()
    }

    #[test]
    fn an_image_starts_one_build() {
        let tags = Known::of(&[("ns/base:1", "A"), ("ci/tool:2", "T")]);
        let other = json!({"from": {"kind": TAG, "namespace": "ci", "name": "tool:2"}});
        let config = config(&json!([{"type": "ImageChange", "imageChange": {}},
            {"type": "ImageChange", "imageChange": other}, {"type": "ConfigChange"}]));
        let request = wanted(&config, &tags).unwrap();
        assert_eq!((request.causes.len(), request.image.as_deref()), (2, Some("A")));
        let started = start(&config, &request, &tags, NOW).unwrap();
        assert_eq!(started.build.metadata.name, "b-1");
        let from = &started.build.fields["spec"]["strategy"]["dockerStrategy"]["from"];
        assert_eq!(from, &json!({"kind": "DockerImage", "name": "A"}));
        let entry = |namespace: &str, name: &str, image: &str, time: Value| json!({"from": {"namespace": namespace, "name": name}, "lastTriggeredImageID": image, "lastTriggerTime": time});
        let now = json!("2023-11-14T22:13:20Z");
        let entries = [entry("ns", "base:1", "A", now), entry("ci", "tool:2", "T", Value::Null)];
        let want = json!({"lastVersion": 1, "imageChangeTriggers": entries});
        assert_eq!(started.config.fields["status"], want);
        assert_eq!(wanted(&started.config, &tags), None);
        let again = start(&started.config, &request, &tags, NOW);
        assert!(matches!(again, Err(BuildError::Done { .. })), "{again:?}");
        let moved = Known::of(&[("ns/base:1", "B"), ("ci/tool:2", "T")]);
        assert_eq!(wanted(&started.config, &moved).unwrap().causes.len(), 1);
    }

    #[test]
    fn paused_triggers_see_and_do_nothing() {
        let tags = Known::of(&[("ns/base:1", "A")]);
        let mut paused = config(&json!([{"type": "ImageChange", "imageChange": {"paused": true}}]));
        assert_eq!(wanted(&paused, &tags), None);
        let by_hand = build::Request::default();
        let started = start(&paused, &by_hand, &tags, NOW).unwrap();
        assert_eq!(started.config.fields["status"]["imageChangeTriggers"][0]["lastTriggeredImageID"], "A");
        let annotation = "openshift.io/build-config.paused".to_owned();
        paused.metadata.annotations.insert(annotation, "true".to_owned());
        paused.fields["spec"]["triggers"] = json!([{"type": "ConfigChange"}]);
        assert_eq!(wanted(&paused, &tags), None);
        assert_eq!(
            streams(Follower::Workload(Workload::BuildConfig), &paused).len(),
            1,
            "a first build may wait for its base"
        );
        assert_eq!(start(&paused, &by_hand, &tags, NOW), Err(BuildError::Paused("ns/b".to_owned())));
    }

    #[test]
    fn the_first_build_comes_with_the_configuration() {
        let tags = Known::of(&[("ns/base:1", "A")]);
        let config = config(&json!([{"type": "ConfigChange"}]));
        let request = wanted(&config, &tags).unwrap();
        assert_eq!(request.last_version, Some(0));
        let started = start(&config, &request, &tags, NOW).unwrap();
        assert_eq!(wanted(&started.config, &tags), None);
        assert!(matches!(start(&started.config, &request, &tags, NOW), Err(BuildError::Version { .. })));
    }
}

mod lookups {
    use machinery::image::{NamedTagEventList, TagEvent};

    use super::*;
    use crate::trigger::lookup::{RESOLVE_NAMES, Streams, resolve};

    struct One {
        local: bool,
    }

    impl Streams for One {
        fn stream(&self, namespace: &str, name: &str) -> Option<ImageStream> {
            if (namespace, name) != ("ns", "app") {
                return None;
            }
            let mut stream = ImageStream::default();
            stream.spec.lookup_policy.local = self.local;
            stream.status.docker_image_repository = "reg:5000/ns/app".to_owned();
            let event = TagEvent {
                docker_image_reference: "example.com/app:1".to_owned(),
                image: DIGEST.to_owned(),
                ..TagEvent::default()
            };
            let items = vec![event];
            stream.status.tags =
                vec![NamedTagEventList { tag: "latest".to_owned(), items, ..NamedTagEventList::default() }];
            Some(stream)
        }
    }

    const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

    fn pod(image: &str, forced: bool) -> Plain {
        let mut pod: Plain = serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "ns"},
            "spec": {"containers": [{"name": "web", "image": image}]}}))
        .unwrap();
        if forced {
            pod.metadata.annotations.insert(RESOLVE_NAMES.to_owned(), "*".to_owned());
        }
        pod
    }

    fn image(pod: &Plain) -> &str {
        pod.fields["spec"]["containers"][0]["image"].as_str().unwrap()
    }

    #[test]
    fn a_build_starts_from_an_image_and_takes_files_from_others() {
        let from = |kind: &str, name: &str| json!({"from": {"kind": kind, "name": name}});
        let build = |base: &Value, files: &Value| -> Plain {
            serde_json::from_value(json!({"metadata": {"name": "b", "namespace": "ns"}, "spec": {
                "strategy": {"type": "Docker", "dockerStrategy": base}, "source": {"images": [files]}}}))
            .unwrap()
        };
        let full = from("DockerImage", &format!("example.com/app@{DIGEST}"));
        let mut new = build(&from("DockerImage", "app"), &from("DockerImage", "app:latest"));
        resolve(Workload::Build, &mut new, None, &One { local: true });
        assert_eq!(new, build(&full, &full));
        let tag = from("ImageStreamTag", "app:latest");
        let mut new = build(&tag, &tag);
        resolve(Workload::Build, &mut new, None, &One { local: true });
        assert_eq!(new, build(&tag, &tag));
    }

    #[test]
    fn short_names_are_resolved_where_that_is_allowed() {
        let full = format!("example.com/app@{DIGEST}");
        let check = |name: &str, local: bool, forced: bool, want: &str| {
            let mut pod = pod(name, forced);
            resolve(Workload::Pod, &mut pod, None, &One { local });
            assert_eq!(image(&pod), want, "{name} {local} {forced}");
        };
        check("app", true, false, &full);
        check("app:latest", true, false, &full);
        check("app:none", true, false, "reg:5000/ns/app:none");
        check("app", false, false, "app");
        check("app", false, true, &full);
        check("quay.io/x/app", false, true, &full);
        check("quay.io/x/app", true, false, "quay.io/x/app");
        check("other", true, true, "other");
        check("", true, true, "");
        let digest = format!("app@{DIGEST}");
        check(&digest, true, true, &digest);
    }

    #[test]
    fn only_what_changed_is_resolved_and_nothing_that_a_controller_owns() {
        let streams = One { local: true };
        let old = pod("app", false);
        let mut same = old.clone();
        resolve(Workload::Pod, &mut same, Some(&old), &streams);
        assert_eq!(image(&same), "app");
        let mut asked = pod("app", true);
        resolve(Workload::Pod, &mut asked, Some(&old), &streams);
        assert_ne!(image(&asked), "app", "asking for it counts as a change");
        let mut owned = pod("app", false);
        owned.metadata.owner_references =
            vec![machinery::meta::OwnerReference { controller: Some(true), ..Default::default() }];
        resolve(Workload::Pod, &mut owned, None, &streams);
        assert_eq!(image(&owned), "app");
    }
}

#[test]
fn a_complaint_is_told_once_for_each_state_of_its_object() {
    let resource = crate::resource::find("apps", "v1", "deployments", "").unwrap();
    let kind = site::Kind::of(resource, Follower::Workload(Workload::Deployment));
    let now = machinery::time::Time::from_unix(1_700_000_000);
    let mut object = deployment("[{");
    object.metadata.resource_version = "7".to_owned();
    let first = event::about(&kind, &object, "broken", None, now).unwrap();
    assert_eq!(first.fields["count"], 1);
    assert_eq!(event::about(&kind, &object, "broken", Some(&first), now), None);
    object.metadata.resource_version = "8".to_owned();
    let second = event::about(&kind, &object, "broken", Some(&first), now).unwrap();
    assert_eq!((&second.fields["count"], &second.metadata.name), (&json!(2), &first.metadata.name));
    object.metadata.name = "é".repeat(126);
    assert!(event::name(&kind, &object, "broken").len() <= 253);
}
