//! The description agrees with itself and with the rules of strategic merge patches.

use super::*;
use crate::patch::{self, MergeSchema, Rule};

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

#[test]
fn strategic_merges_use_the_same_keys() {
    fn check(object: &'static Object, rules: &'static MergeSchema) {
        for (name, rule) in rules.fields {
            let field = object.field(name).unwrap_or_else(|| panic!("{} has no {name}", object.name));
            match (rule, field.shape) {
                (Rule::Object(rules), Shape::Object(object)) => check(object, rules),
                (Rule::List { key, item }, Shape::List(shape, Merge::ByKey(described))) => {
                    assert_eq!(*key, described, "{}.{name}", object.name);
                    let Shape::Object(object) = shape else { panic!("{name} holds no objects") };
                    check(object, item);
                }
                (Rule::Set, Shape::List(_, Merge::Set)) => {}
                (Rule::Replace, _) => assert!(field.replaced, "{}.{name}", object.name),
                (rule, shape) => panic!("{}.{name}: {rule:?} and {shape:?}", object.name),
            }
        }
        for field in object.fields {
            let merges =
                field.replaced || matches!(field.shape, Shape::List(_, Merge::ByKey(_) | Merge::Set));
            assert!(!merges || rules.rule(field.name).is_some(), "{}.{}", object.name, field.name);
        }
    }
    check(&IMAGE, &patch::IMAGE);
    check(&IMAGE_STREAM, &patch::IMAGE_STREAM);
    check(&IMAGE_STREAM_TAG, &patch::IMAGE_STREAM_TAG);
    check(&IMAGE_TAG, &patch::IMAGE_TAG);
    check(&SECRET, &patch::PLAIN);
}
