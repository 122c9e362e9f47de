use proptest::prelude::*;
use serde_json::json;

use super::*;

fn config(json: &Value) -> RegistryConfig {
    let object = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let mut config = RegistryConfig::default();
    config.add_image_config(&object(&json!({"spec": {"registrySources": json["sources"]}})));
    for set in json["digest"].as_array().into_iter().flatten() {
        config.add_digest_mirror_set(&object(&json!({"spec": {"imageDigestMirrors": set}})));
    }
    for set in json["tag"].as_array().into_iter().flatten() {
        config.add_tag_mirror_set(&object(&json!({"spec": {"imageTagMirrors": set}})));
    }
    for set in json["policy"].as_array().into_iter().flatten() {
        config.add_content_source_policy(&object(&json!({"spec": {"repositoryDigestMirrors": set}})));
    }
    config
}

fn registries(json: &Value) -> Registries {
    Registries::new(&config(json))
}

fn mirrors(registries: &Registries, name: &str, by_digest: bool) -> Vec<String> {
    let found = registries.mirrors(&Named::parse(name).unwrap(), by_digest);
    assert_eq!(found.broken, None);
    found.names.iter().map(Named::repository).collect()
}

#[test]
fn blocked_and_insecure_go_by_the_exact_host() {
    let registries = registries(&json!({"sources": {
        "blockedRegistries": ["bad.test", "part.test/team", "*.wild.test", "docker.io", "a.insecure.test"],
        "insecureRegistries": ["plain.test:5000", "plain2.test/x", "*.insecure.test", "y.wild.test"],
        "allowedRegistries": ["only.test"],
    }}));
    for (host, blocked, insecure) in [
        ("bad.test", true, false),
        ("bad.test:443", false, false),
        ("sub.bad.test", false, false),
        ("part.test", false, false),
        ("x.wild.test", false, false),
        ("y.wild.test", true, true),
        ("a.insecure.test", true, true),
        ("b.insecure.test", false, false),
        ("docker.io", true, false),
        ("plain.test:5000", false, true),
        ("plain.test", false, false),
        ("plain2.test", false, false),
        ("only.test", false, false),
    ] {
        assert_eq!(
            (registries.is_blocked(host), registries.is_insecure(host)),
            (blocked, insecure),
            "{host}"
        );
    }
}

#[test]
fn a_host_with_mirrors_is_asked_even_when_it_is_not_to_be() {
    let registries = registries(&json!({
        "sources": {"blockedRegistries": ["b.test"]},
        "digest": [
            [{"source": "a.test", "mirrors": ["m.test/a"], "mirrorSourcePolicy": "NeverContactSource"}],
            [{"source": "b.test", "mirrors": ["m.test/b"]}],
        ],
    }));
    assert!(!registries.is_blocked("a.test"));
    assert!(!registries.is_blocked("b.test"));
}

#[test]
fn lists_of_one_source_become_one_that_keeps_the_order_of_each() {
    let check = |lists: &[&[&str]], want: &[&str]| {
        let lists: Vec<MirrorList> = lists
            .iter()
            .map(|mirrors| MirrorList {
                source: "s".into(),
                mirrors: mirrors.iter().map(|&mirror| mirror.to_owned()).collect(),
                ..Default::default()
            })
            .collect();
        let merged = merged(&lists);
        let got = merged.get("s").map(|merged| merged.mirrors.clone()).unwrap_or_default();
        assert_eq!(got, want, "{lists:?}");
    };
    check(&[&["b"]], &["b"]);
    check(&[&["b", "c"], &["a", "b"]], &["a", "b", "c"]);
    check(&[&["b"], &["a"]], &["a", "b"]);
    check(&[&["a", "b", "c"], &["a", "c"]], &["a", "b", "c"]);
    check(&[&["s"]], &[]);
    check(&[&[]], &[]);
    check(&[&["s"], &["a"]], &["a"]);
    check(&[&["a", "s"]], &["a"]);
    check(&[&["s", "a"]], &["s", "a"]);
    check(&[&["a", "s", "b"], &["c"]], &["a", "c", "s", "b"]);
    check(&[&["x", "z"], &["y"]], &["x", "y", "z"]);
    check(&[&["b", "a"], &["a", "b"]], &["a", "b"]);
    check(&[&["r", "a", "b"], &["b", "a"]], &["r", "a", "b"]);
    check(&[&["a", "a"]], &["a"]);
}

#[test]
fn digests_and_tags_have_mirrors_of_their_own() {
    let registries = registries(&json!({
        "digest": [[{"source": "s.test/team", "mirrors": ["d.test/x"]}]],
        "policy": [[{"source": "s.test/team", "mirrors": ["p.test", "d.test/x"]}]],
        "tag": [[{"source": "s.test/team", "mirrors": ["t.test/y", "t2.test:5000/z/w"]}]],
    }));
    assert_eq!(mirrors(&registries, "s.test/team/app", true), ["p.test/app", "d.test/x/app"]);
    assert_eq!(mirrors(&registries, "s.test/team/app", false), ["t.test/y/app", "t2.test:5000/z/w/app"]);
    assert_eq!(mirrors(&registries, "s.test/teams/app", false), [""; 0]);
    assert_eq!(mirrors(&registries, "s.test/other", true), [""; 0]);
}

#[test]
fn the_longest_source_that_holds_the_repository_decides() {
    let registries = registries(&json!({
        "sources": {"insecureRegistries": ["s.test/a/plain", "s.test/a/b/plain"]},
        "tag": [[
            {"source": "s.test", "mirrors": ["host.test"]},
            {"source": "s.test/a/b", "mirrors": ["deep.test"]},
            {"source": "s.test/a/b/c", "mirrors": ["whole.test/q"]},
            {"source": "docker.io", "mirrors": ["hub.test"]},
            {"source": "*.wild.test", "mirrors": ["never.test"]},
        ]],
    }));
    for (name, want) in [
        ("s.test/x", "host.test/x"),
        ("s.test/a/x", "host.test/a/x"),
        ("s.test/a/b/x", "deep.test/x"),
        ("s.test/a/b/c", "whole.test/q"),
        ("s.test/a/b/cc", "deep.test/cc"),
        ("nginx", "hub.test/library/nginx"),
        ("s.test/a/plain/x", "host.test/a/plain/x"),
        ("s.test/a/b/plain/x", "deep.test/plain/x"),
    ] {
        assert_eq!(mirrors(&registries, name, false), [want], "{name}");
    }
    assert_eq!(mirrors(&registries, "x.wild.test/a", false), [""; 0]);
    assert_eq!(mirrors(&registries, "s.test:80/a/b/x", false), [""; 0]);
}

#[test]
fn a_mirror_that_cannot_be_named_leaves_the_source_alone() {
    let registries =
        registries(&json!({"tag": [[{"source": "s.test", "mirrors": ["good.test", "No Name"]}]]}));
    let found = registries.mirrors(&Named::parse("s.test/a").unwrap(), false);
    assert!(found.names.is_empty());
    assert_eq!(found.broken.as_deref(), Some("rewriting reference: invalid reference format"));
}

#[test]
fn objects_without_a_meaning_change_nothing() {
    for json in [json!({}), json!({"sources": null, "tag": [null, [null], [{}], [{"source": "a"}], "x"]})] {
        let registries = registries(&json);
        assert!(registries.entries.is_empty(), "{json}");
    }
}

proptest! {
    /// Lists cut out of one row cannot contradict each other, so merging must keep the order of all of them.
    #[test]
    fn merging_keeps_the_order_of_every_list(
        row in proptest::collection::btree_set("[a-z]{1,3}", 1..8)
            .prop_map(|names| names.into_iter().collect::<Vec<_>>()).prop_shuffle(),
        picks in proptest::collection::vec(proptest::collection::vec(any::<bool>(), 8), 1..6),
    ) {
        let cut = |pick: &Vec<bool>| MirrorList {
            source: "source.test".into(),
            mirrors: row.iter().zip(pick).filter(|(_, taken)| **taken).map(|(name, _)| name.clone()).collect(),
            ..Default::default()
        };
        let lists: Vec<MirrorList> = picks.iter().map(cut).collect();
        let merged = merged(&lists);
        let merged = merged.get("source.test").map(|merged| merged.mirrors.clone()).unwrap_or_default();
        let place = |name: &str| merged.iter().position(|held| *held == name);
        for list in &lists {
            let places: Vec<_> = list.mirrors.iter().map(|name| place(name)).collect();
            prop_assert!(places.iter().all(Option::is_some), "{:?} {:?}", list, merged);
            prop_assert!(places.is_sorted(), "{:?} {:?}", list, merged);
        }
        let distinct: BTreeSet<_> = merged.iter().collect();
        prop_assert_eq!(distinct.len(), merged.len());
    }
}
