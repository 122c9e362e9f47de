//! Sets obey the laws of sets and come back as they were written.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn element() -> impl Strategy<Value = Element> {
    prop_oneof![
        4 => "[a-c]".prop_map(|name| Element::field(&name)),
        2 => "[a-b<]".prop_map(|name| Element::Key([("name".into(), json!(name))].into())),
        1 => (0i64..2).prop_map(Element::Index),
        1 => prop_oneof![Just(json!("x")), Just(json!(1)), Just(json!(true))].prop_map(Element::Value),
    ]
}

fn paths() -> impl Strategy<Value = Vec<Vec<Element>>> {
    prop::collection::vec(prop::collection::vec(element(), 1..4), 0..12)
}

/// The naive model: paths as texts.
fn model(paths: &[Vec<Element>]) -> BTreeSet<String> {
    paths.iter().map(|path| path.iter().map(Element::to_string).collect()).collect()
}

fn set(paths: &[Vec<Element>]) -> Set {
    let mut set = Set::default();
    for path in paths {
        set.insert(path);
    }
    set
}

fn texts(set: &Set) -> BTreeSet<String> {
    set.paths().into_iter().collect()
}

proptest! {
    #[test]
    fn operations_are_those_of_plain_sets(a in paths(), b in paths()) {
        let (x, y) = (set(&a), set(&b));
        let (m, n) = (model(&a), model(&b));
        prop_assert_eq!(texts(&x), m.clone());
        prop_assert_eq!(texts(&x.clone().union(y.clone())), &m | &n);
        prop_assert_eq!(texts(&x.intersection(&y)), &m & &n);
        prop_assert_eq!(texts(&x.difference(&y)), &m - &n);
        let mut left = x.clone();
        left.remove(&y);
        prop_assert_eq!(left, x.difference(&y));
        prop_assert_eq!(x.is_subset(&y), m.is_subset(&n));
        prop_assert_eq!(x.is_empty(), m.is_empty());
        for path in &b {
            let text: String = path.iter().map(Element::to_string).collect();
            prop_assert_eq!(x.contains(path), m.contains(&text));
        }
    }

    #[test]
    fn results_have_one_form(a in paths(), b in paths()) {
        let (x, y) = (set(&a), set(&b));
        let both = [a, b].concat();
        prop_assert_eq!(x.clone().union(y.clone()), set(&both));
        prop_assert_eq!(x.difference(&y).union(x.intersection(&y)), x);
    }

    #[test]
    fn sets_come_back_as_they_were_written(a in paths()) {
        let set = set(&a);
        prop_assert_eq!(Set::from_json(&set.to_json()).unwrap(), set);
    }

    #[test]
    fn no_document_panics(text in "[{}\":.fkvi,a1\\[\\] ]{0,40}", bytes: Vec<u8>) {
        for document in [text.as_bytes(), &bytes] {
            if let Ok(set) = Set::from_json(document) {
                prop_assert_eq!(Set::from_json(&set.to_json()).unwrap(), set);
            }
        }
    }
}

#[test]
fn a_node_is_owned_itself_or_only_leads_to_others() {
    let document = r#"{"f:a":{".":{},"f:b":{}},"f:c":{"f:d":{}},"k:{\"name\":\"x\"}":{}}"#;
    let set = Set::from_json(document.as_bytes()).unwrap();
    assert_eq!(set.paths(), [".a", "[name=\"x\"]", ".a.b", ".c.d"]);
    assert_eq!(String::from_utf8(set.to_json()).unwrap(), document);
}

#[test]
fn steps_of_later_versions_are_left_out() {
    let set = Set::from_json(br#"{"z:new":{"f:a":{}},"f:b":{}}"#).unwrap();
    assert_eq!(set.paths(), [".b"]);
    assert!(Set::from_json(br#"{"b":{}}"#).is_err());
    assert!(Set::from_json(b"[]").is_err());
    let deep = format!("{}{}", r#"{"f:a":"#.repeat(100_000), "{}");
    assert!(Set::from_json(deep.as_bytes()).is_err());
}

#[test]
fn what_could_end_a_script_is_escaped() {
    let mut set = Set::default();
    set.insert(&[Element::field("</script>")]);
    assert_eq!(String::from_utf8(set.to_json()).unwrap(), "{\"f:\\u003c/script\\u003e\":{}}");
}
