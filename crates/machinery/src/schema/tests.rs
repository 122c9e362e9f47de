//! The description agrees with itself and with the rules of strategic merge patches.

use super::*;
use crate::patch::Rule;

/// Calls `visit` once with every object that can be reached.
fn reachable(visit: &mut impl FnMut(&'static Object)) {
    fn walk(object: &'static Object, seen: &mut Vec<&'static str>, visit: &mut impl FnMut(&'static Object)) {
        if seen.contains(&object.name) {
            return;
        }
        seen.push(object.name);
        visit(object);
        for field in object.fields {
            let mut shape = field.shape;
            loop {
                match shape {
                    Shape::Object(inner) => {
                        walk(inner, seen, visit);
                        break;
                    }
                    Shape::Map(inner) | Shape::List(inner, _) => shape = *inner,
                    _ => break,
                }
            }
        }
    }
    let mut seen = Vec::new();
    for object in KINDS {
        walk(object, &mut seen, visit);
    }
}

#[test]
fn fields_are_sorted_and_described() {
    let mut objects = 0;
    reachable(&mut |object| {
        objects += 1;
        assert!(object.fields.is_sorted_by(|a, b| a.name < b.name), "{}", object.name);
        assert!(object.doc.ends_with('.'), "{}: {}", object.name, object.doc);
        for field in object.fields {
            assert!(field.doc.ends_with('.'), "{}.{}: {}", object.name, field.name, field.doc);
        }
    });
    assert!(objects > 50, "{objects}");
}

/// Lists and values of image kinds that are special to strategic merges, as the reference's types say.
#[test]
fn strategic_merges_use_the_known_keys() {
    fn rules(object: &'static Object, path: &str, found: &mut Vec<String>) {
        for field in object.fields {
            let path = format!("{path}.{}", field.name);
            match Rule::of(object, field.name) {
                Some(Rule::Object(inner) | Rule::Map(inner)) => rules(inner, &path, found),
                Some(Rule::List { key, item }) => {
                    found.push(format!("{path} by {key}"));
                    rules(item, &path, found);
                }
                Some(Rule::Set) => found.push(format!("{path} as a set")),
                Some(Rule::Replace) => found.push(format!("{path} as a whole")),
                None => {}
            }
        }
    }
    fn check(object: &'static Object, want: &[&str]) {
        let mut found = Vec::new();
        rules(object, "", &mut found);
        let metadata = |rule: &String| !rule.starts_with(".metadata.");
        assert_eq!(
            found.iter().filter(|rule| !metadata(rule)).collect::<Vec<_>>(),
            [".metadata.finalizers as a set", ".metadata.ownerReferences by uid",]
        );
        found.retain(metadata);
        assert_eq!(found, want, "{}", object.name);
    }
    let signatures = [".signatures by name", ".signatures.conditions by type"];
    let of_signatures =
        [".signatures.metadata.finalizers as a set", ".signatures.metadata.ownerReferences by uid"];
    let image: Vec<&str> = [".dockerImageMetadata as a whole"]
        .into_iter()
        .chain([signatures[0], signatures[1]])
        .chain(of_signatures)
        .collect();
    check(&IMAGE, &image);
    check(&IMAGE_STREAM, &[".spec.tags by name", ".status.tags by tag"]);
    check(&SECRET, &[]);
    check(&SERVICE_ACCOUNT, &[".secrets by name"]);
}

/// The keys of workloads: those of apply may be two, of which strategic merges take the first.
#[test]
fn workloads_merge_as_kubernetes_says() {
    let of = |kind: &str, path: &[&str]| {
        let mut object = workload(if kind == "Pod" { "" } else { "apps" }, kind).unwrap();
        let (last, above) = path.split_last().unwrap();
        for name in above {
            object = match Rule::of(object, name) {
                Some(Rule::Object(inner) | Rule::List { item: inner, .. }) => inner,
                other => panic!("{name}: {other:?}"),
            };
        }
        match object.field(last).unwrap().shape {
            Shape::List(_, Merge::ByKey(keys)) => keys.join(","),
            shape => panic!("{last}: {shape:?}"),
        }
    };
    let pod = ["spec", "template", "spec"];
    for (list, keys) in [
        ("containers", "name"),
        ("initContainers", "name"),
        ("ephemeralContainers", "name"),
        ("volumes", "name"),
        ("imagePullSecrets", "name"),
        ("hostAliases", "ip"),
        ("topologySpreadConstraints", "topologyKey,whenUnsatisfiable"),
    ] {
        assert_eq!(of("Deployment", &[&pod[..], &[list]].concat()), keys);
        assert_eq!(of("Pod", &["spec", list]), keys);
    }
    for (list, keys) in [
        ("env", "name"),
        ("ports", "containerPort,protocol"),
        ("volumeDevices", "devicePath"),
        ("volumeMounts", "mountPath"),
    ] {
        assert_eq!(of("StatefulSet", &[&pod[..], &["containers", list]].concat()), keys);
    }
    assert_eq!(of("Deployment", &["status", "conditions"]), "type");
}
