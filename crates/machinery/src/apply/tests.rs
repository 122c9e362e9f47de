//! Applies and updates as the reference answers them, and laws that hold for all.

use proptest::prelude::*;
use serde_json::json;

use super::testing::stream;
use super::*;
use crate::schema::IMAGE_STREAM;

const NOW: Time = Time::from_unix(1_700_000_000);
const LATER: Time = Time::from_unix(1_700_000_100);

fn manager(name: &str, operation: Operation) -> Manager {
    Manager {
        name: name.to_owned(),
        operation,
        api_version: "image.openshift.io/v1".to_owned(),
        subresource: String::new(),
    }
}

fn typed(mut document: Value) -> Value {
    document["apiVersion"] = "image.openshift.io/v1".into();
    document["kind"] = "ImageStream".into();
    document["metadata"]["name"] = "a".into();
    document
}

/// An object with its entries, as a server would keep it.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    object: Value,
    entries: Vec<ManagedFieldsEntry>,
}

impl Held {
    fn new() -> Held {
        Held { object: typed(json!({})), entries: Vec::new() }
    }

    fn try_apply(&self, name: &str, force: bool, document: Value) -> Result<Held, ApiError> {
        let empty = typed(json!({}));
        let apply = Apply {
            object: &IMAGE_STREAM,
            live: &self.object,
            empty: &empty,
            entries: &self.entries,
            manager: &manager(name, Operation::Apply),
            force,
            now: NOW,
        };
        let applied = apply.run(&typed(document))?;
        let object = applied.object.unwrap_or_else(|| self.object.clone());
        Ok(Held { object, entries: applied.entries })
    }

    fn apply(&self, name: &str, document: Value) -> Held {
        self.try_apply(name, false, document).unwrap()
    }

    fn update(&self, name: &str, after: Value) -> Held {
        self.update_with(name, after, &self.entries, false)
    }

    fn update_with(&self, name: &str, after: Value, sent: &[ManagedFieldsEntry], is_new: bool) -> Held {
        let object = typed(after);
        let update = Update {
            object: &IMAGE_STREAM,
            before: &self.object,
            after: &object,
            entries: &self.entries,
            sent,
            is_new,
            manager: &manager(name, Operation::Update),
            now: LATER,
        };
        let entries = update.run();
        Held { object, entries }
    }

    /// `manager operation fields` a line.
    fn owners(&self) -> Vec<String> {
        let line = |entry: &ManagedFieldsEntry| {
            let fields = entry.fields_v1.as_ref().unwrap().as_str().unwrap();
            format!("{} {} {fields}", entry.manager, entry.operation)
        };
        self.entries.iter().map(line).collect()
    }
}

fn tag(name: &str, from: &str) -> Value {
    json!({"name": name, "from": {"kind": "DockerImage", "name": from}, "reference": true})
}

#[test]
fn managers_that_agree_own_a_field_together() {
    let one = Held::new().apply("one", json!({"metadata": {"labels": {"l": "1"}}}));
    assert_eq!(one.entries[0].time, Some(NOW));
    let two = one.apply("two", json!({"metadata": {"labels": {"l": "1"}}}));
    assert_eq!(
        two.owners(),
        [
            r#"two Apply {"f:metadata":{"f:labels":{"f:l":{}}}}"#,
            r#"one Apply {"f:metadata":{"f:labels":{"f:l":{}}}}"#
        ]
    );
    assert_eq!((two.entries[0].time, &two.object), (None, &one.object));
    // Each may leave it out; it goes with the last.
    let left = two.apply("one", json!({}));
    assert_eq!(left.object, two.object);
    assert_eq!(left.apply("two", json!({})).object["metadata"], json!({"name": "a"}));
}

#[test]
fn conflicts_name_the_other_and_the_fields() {
    let held = Held::new().apply("one", json!({"spec": {"tags": [tag("a", "x:1"), tag("b", "x:1")]}}));
    let error = held.try_apply("two", false, json!({"spec": {"tags": [tag("a", "x:2")]}})).unwrap_err();
    assert_eq!((error.code(), error.reason()), (409, "Conflict"));
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"one\": .spec.tags[name=\"a\"].from"
    );
    let both = json!({"spec": {"tags": [tag("a", "x:2"), tag("b", "x:2")]}});
    let error = held.try_apply("two", false, both.clone()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 2 conflicts: conflicts with \"one\":\n- .spec.tags[name=\"a\"].from\n- .spec.tags[name=\"b\"].from"
    );
    assert_eq!(error.0.details.unwrap().causes[1].field, ".spec.tags[name=\"b\"].from");
    let forced = held.try_apply("two", true, both).unwrap();
    assert_eq!(
        forced.owners()[0],
        r#"one Apply {"f:spec":{"f:tags":{"k:{\"name\":\"a\"}":{".":{},"f:name":{},"f:reference":{}},"k:{\"name\":\"b\"}":{".":{},"f:name":{},"f:reference":{}}}}}"#
    );
}

#[test]
fn what_a_manager_leaves_out_goes_unless_others_own_it() {
    let held = Held::new().apply("one", json!({"spec": {"tags": [tag("a", "x:1"), tag("b", "x:1")]}}));
    let held = held.apply("two", json!({"spec": {"tags": [tag("b", "x:1")]}}));
    let held = held.apply("one", json!({"metadata": {"labels": {"l": "1"}}}));
    assert_eq!(held.object["spec"]["tags"], json!([tag("b", "x:1")]));
    assert_eq!(held.object["metadata"]["labels"], json!({"l": "1"}));
}

#[test]
fn what_the_server_filled_in_goes_with_its_item() {
    let held = Held::new().apply("one", json!({"spec": {"tags": [tag("a", "x:1"), tag("b", "x:1")]}}));
    let mut object = held.object.clone();
    for at in 0..2 {
        object["spec"]["tags"][at]["generation"] = 1.into();
    }
    let held = Held { object, ..held };
    let held = held.apply("one", json!({"spec": {"tags": [tag("b", "x:1")]}}));
    let mut left = tag("b", "x:1");
    left["generation"] = 1.into();
    assert_eq!(held.object["spec"]["tags"], json!([left]));
}

#[test]
fn other_writes_take_over_what_they_change() {
    let held = Held::new().apply("one", json!({"spec": {"tags": [tag("a", "x:1")]}}));
    let held = held.update(
        "hand",
        json!({"spec": {"tags": [tag("a", "x:2")]}, "metadata": {"annotations": {"by": "hand"}}}),
    );
    assert_eq!(
        held.owners(),
        [
            r#"one Apply {"f:spec":{"f:tags":{"k:{\"name\":\"a\"}":{".":{},"f:name":{},"f:reference":{}}}}}"#,
            r#"hand Update {"f:metadata":{"f:annotations":{".":{},"f:by":{}}},"f:spec":{"f:tags":{"k:{\"name\":\"a\"}":{"f:from":{}}}}}"#
        ]
    );
    let error = held.try_apply("one", false, json!({"spec": {"tags": [tag("a", "x:1")]}})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"hand\" using image.openshift.io/v1: .spec.tags[name=\"a\"].from"
    );
    assert_eq!(held.update("hand", held.object.clone()), held);
}

#[test]
fn new_objects_are_owned_by_who_made_them() {
    let made = Held::new().update_with(
        "oc",
        json!({"metadata": {"name": "a", "labels": {"x": "1"}}, "spec": {"lookupPolicy": {"local": true}}}),
        &[],
        true,
    );
    assert_eq!(
        made.owners(),
        [
            r#"oc Update {"f:metadata":{"f:labels":{".":{},"f:x":{}}},"f:spec":{".":{},"f:lookupPolicy":{".":{},"f:local":{}}}}"#
        ]
    );
}

#[test]
fn entries_can_be_reset_and_the_first_apply_finds_an_owner_for_what_was_there() {
    let held = Held::new()
        .apply("one", json!({"metadata": {"labels": {"l": "1"}}, "spec": {"tags": [tag("a", "x:1")]}}));
    let reset = held.update_with("hand", held.object.clone(), &[ManagedFieldsEntry::default()], false);
    assert!(reset.entries.is_empty());
    let untracked = reset.update("hand", json!({"metadata": {"labels": {"l": "2"}}}));
    assert!(untracked.entries.is_empty());
    let applied = reset.apply("one", json!({}));
    assert_eq!(
        applied.owners(),
        [
            r#"before-first-apply Update {"f:metadata":{"f:labels":{".":{},"f:l":{}}},"f:spec":{".":{},"f:tags":{".":{},"k:{\"name\":\"a\"}":{".":{},"f:from":{},"f:name":{},"f:reference":{}}}}}"#
        ]
    );
    assert_eq!(applied.object, reset.object);
    // Leaving entries out does not reset them.
    assert_eq!(held.update_with("hand", held.object.clone(), &[], false), held);
}

#[test]
fn documents_that_are_no_applies_are_refused() {
    let check = |document: Value, code: u16, want: &str| {
        let empty = typed(json!({}));
        let apply = Apply {
            object: &IMAGE_STREAM,
            live: &empty,
            empty: &empty,
            entries: &[],
            manager: &manager("one", Operation::Apply),
            force: false,
            now: NOW,
        };
        let error = apply.run(&document).unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), (code, want));
    };
    check(json!({"kind": "ImageStream"}), 400, "invalid object type: /, Kind=ImageStream");
    check(json!({"apiVersion": "v1", "kind": "Secret"}), 400, "invalid object type: /v1, Kind=Secret");
    check(json!([1]), 400, "invalid object type: /, Kind=");
    check(
        typed(json!({"metadata": {"managedFields": [{"manager": "x"}]}})),
        400,
        "metadata.managedFields must be nil",
    );
    check(
        typed(json!({"metadata": {"name": "a"}, "spec": {"tagz": 1}})),
        500,
        "failed to create typed patch object (/a; image.openshift.io/v1, Kind=ImageStream): .spec.tagz: field not declared in schema",
    );
}

#[test]
fn the_old_form_of_the_tool_gives_way_to_the_new() {
    let config = typed(json!({"metadata": {"annotations": {}}, "spec": {"tags": [tag("a", "x:1")]}}));
    let mut object = config.clone();
    object["metadata"]["annotations"] =
        json!({ "kubectl.kubernetes.io/last-applied-configuration": config.to_string() });
    let held = Held::new().update_with("kubectl-client-side-apply", object, &[], true);
    let changed = json!({"spec": {"tags": [tag("a", "x:2")]}});
    assert!(held.try_apply("other", false, changed.clone()).is_err());
    let applied = held.apply("kubectl", changed);
    assert_eq!(applied.object["spec"]["tags"], json!([tag("a", "x:2")]));
    let annotation =
        &applied.object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
    assert!(annotation.as_str().unwrap().contains("x:2"), "{annotation}");
    // What was set by hand since is a conflict all the same.
    let mut by_hand = held.object.clone();
    by_hand["spec"]["tags"][0]["from"]["name"] = "x:3".into();
    let held = held.update("hand", by_hand);
    assert!(held.try_apply("kubectl", false, json!({"spec": {"tags": [tag("a", "x:2")]}})).is_err());
}

#[test]
fn the_tool_needs_no_annotation() {
    let made = Held::new().apply("kubectl", json!({"spec": {"tags": [tag("a", "x:1")]}}));
    assert_eq!(made.object["spec"]["tags"], json!([tag("a", "x:1")]));
    assert_eq!(made.object["metadata"], json!({"name": "a"}));
    let changed = made.apply("kubectl", json!({"spec": {"tags": [tag("b", "x:1")]}}));
    assert_eq!(changed.object["spec"]["tags"], json!([tag("b", "x:1")]));
}

proptest! {
    #[test]
    fn applying_again_changes_nothing(live in stream(), document in stream()) {
        let held = Held::new().update_with("hand", live, &[], true);
        let once = held.try_apply("one", true, document.clone()).unwrap();
        prop_assert_eq!(once.try_apply("one", false, document).unwrap(), once);
    }

    #[test]
    fn a_forced_apply_leaves_what_it_says(live in stream(), first in stream(), second in stream()) {
        let held = Held::new().update_with("hand", live, &[], true);
        let held = held.try_apply("one", true, first).unwrap().try_apply("one", true, second.clone()).unwrap();
        let shape = Shape::Object(&IMAGE_STREAM);
        prop_assert!(owned::fields(&second, shape).is_subset(&owned::fields(&held.object, shape)));
        let merged = merge::merge(&held.object, &typed(second), shape);
        prop_assert!(compare::compare(&held.object, &merged, shape).is_same());
    }

    #[test]
    fn what_is_owned_is_there(live in stream(), first in stream(), second in stream(), third in stream()) {
        let held = Held::new().update_with("hand", live, &[], true);
        let held = held.try_apply("one", true, first).unwrap().try_apply("two", true, second).unwrap();
        let held = held.try_apply("one", true, third).unwrap();
        let shape = Shape::Object(&IMAGE_STREAM);
        let there = owned::with_named_fields(&owned::fields(&held.object, shape), Some(shape));
        for entry in Managers::decode(&held.entries).unwrap().0 {
            let named = owned::with_named_fields(&entry.fields, Some(shape));
            prop_assert!(named.is_subset(&there), "{:?}\n{}", entry, held.object);
        }
    }

    #[test]
    fn no_document_panics(text in "[{}\\[\\]\":,a-c0-9 ]{0,40}", inner in "[{}\\[\\]\":,a-c0-9 ]{0,20}") {
        let spec: Value = serde_json::from_str(&inner).unwrap_or_default();
        let held = Held::new();
        if let Ok(document) = serde_json::from_str::<Value>(&text) {
            let _ = held.try_apply("one", true, json!({"spec": document}));
        }
        let _ = held.try_apply("one", true, json!({"spec": {"tags": spec}}));
        let _ = held.try_apply("one", true, json!({"metadata": {"labels": spec}, "status": spec}));
    }
}

#[test]
fn two_people_who_apply_different_containers_of_a_template_do_not_conflict() {
    let object = crate::schema::workload("apps", "Deployment").expect("workloads are described");
    let deployment = |containers: Value| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
               "spec": {"template": {"spec": {"containers": containers}}}})
    };
    let empty = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}});
    let (mut live, mut entries) = (empty.clone(), Vec::new());
    let mut apply = |name: &str, document: &Value| -> Result<Value, ApiError> {
        let manager = Manager { api_version: "apps/v1".to_owned(), ..manager(name, Operation::Apply) };
        let apply = Apply {
            object,
            live: &live,
            empty: &empty,
            entries: &entries,
            manager: &manager,
            force: false,
            now: NOW,
        };
        let applied = apply.run(document)?;
        live = applied.object.unwrap_or_else(|| live.clone());
        entries = applied.entries;
        Ok(live.clone())
    };
    let ports = json!([{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "protocol": "TCP"}]);
    apply("one", &deployment(json!([{"name": "a", "image": "x:1", "ports": ports}]))).unwrap();
    let both = apply("two", &deployment(json!([{"name": "b", "image": "y:1"}]))).unwrap();
    let containers = both["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 2, "{both}");
    let error = apply("two", &deployment(json!([{"name": "a", "image": "x:2"}]))).unwrap_err();
    assert!(error.to_string().contains("containers[name=\"a\"].image"), "{error}");
}
