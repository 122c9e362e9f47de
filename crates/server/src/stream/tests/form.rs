//! What names and specs must look like.

use super::*;

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
