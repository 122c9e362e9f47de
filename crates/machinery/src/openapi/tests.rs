//! Names, types and operations are those that clients know.

use serde_json::Value;

use super::*;

const STORED: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const TAGS: &[&str] = &["create", "delete", "get", "list", "patch", "update"];

const fn resource(
    name: &'static str,
    kind: &'static str,
    namespaced: bool,
    verbs: &'static [&'static str],
) -> Resource {
    Resource {
        group: "image.openshift.io",
        version: "v1",
        name,
        singular: "",
        namespaced,
        kind,
        verbs,
        short_names: &[],
        categories: &[],
        stored: false,
        kind_of: None,
    }
}

const TABLE: &[Resource] = &[
    resource("images", "Image", false, STORED),
    resource("imagesignatures", "ImageSignature", false, &["create", "delete"]),
    resource("imagestreamimages", "ImageStreamImage", true, &["get"]),
    resource("imagestreamimports", "ImageStreamImport", true, &["create"]),
    resource("imagestreammappings", "ImageStreamMapping", true, &["create"]),
    resource("imagestreams", "ImageStream", true, STORED),
    resource("imagestreams/layers", "ImageStreamLayers", true, &["get"]),
    resource("imagestreams/secrets", "SecretList", true, &["get"]),
    resource("imagestreams/status", "ImageStream", true, &["get", "patch", "update"]),
    resource("imagestreamtags", "ImageStreamTag", true, TAGS),
    resource("imagetags", "ImageTag", true, TAGS),
];

/// The facts: names, types and operations without words.
fn facts() -> Value {
    serde_json::from_str(include_str!("../../tests/data/image-openapi.json")).unwrap()
}

/// Takes words out, and how lists merge where the old keys say it too.
fn bare(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("description").is_some_and(Value::is_string) {
                fields.remove("description");
            }
            // What must be there has no order.
            if let Some(Value::Array(required)) = fields.get_mut("required") {
                required.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
            }
            for key in ["x-kubernetes-list-type", "x-kubernetes-list-map-keys"] {
                fields.remove(key);
            }
            fields.values_mut().for_each(bare);
        }
        Value::Array(items) => items.iter_mut().for_each(bare),
        _ => {}
    }
}

fn differences(path: &str, want: &Value, found: &Value, out: &mut Vec<String>) {
    match (want, found) {
        (Value::Object(want), Value::Object(found)) => {
            for (key, want) in want {
                match found.get(key) {
                    Some(found) => differences(&format!("{path}/{key}"), want, found, out),
                    None => out.push(format!("{path}/{key} is missing: {want}")),
                }
            }
            out.extend(
                found
                    .keys()
                    .filter(|key| !want.contains_key(*key))
                    .map(|key| format!("{path}/{key} is extra")),
            );
        }
        _ if want == found => {}
        _ => out.push(format!("{path}: wanted {want}, found {found}")),
    }
}

#[test]
fn types_and_operations_are_those_that_clients_know() {
    let mut document = v3("image.openshift.io", "v1", TABLE, "v1");
    bare(&mut document);
    let mut facts = facts();
    bare(&mut facts);
    let mut out = Vec::new();
    differences("", &facts["schemas"], &document["components"]["schemas"], &mut out);
    differences("", &facts["paths"], &document["paths"], &mut out);
    assert!(out.is_empty(), "{} differences:\n{}", out.len(), out.join("\n"));
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                references.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| walk(value, references));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, references)),
            _ => {}
        }
    }
    let documents = [v3("image.openshift.io", "v1", TABLE, "v1"), v2(TABLE, "v1")];
    for document in &documents {
        let mut references = Vec::new();
        walk(document, &mut references);
        assert!(references.len() > 100);
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some_and(Value::is_object), "{reference}");
        }
    }
}

#[test]
fn undescribed_kinds_are_open() {
    let mut odd = resource("things", "Thing", true, STORED);
    odd.group = "example.com";
    let document = v3("example.com", "v1", &[odd], "v1");
    let thing = &document["components"]["schemas"]["com.example.v1.Thing"];
    assert_eq!(thing["x-kubernetes-preserve-unknown-fields"], true);
    assert_eq!(thing["x-kubernetes-group-version-kind"][0]["kind"], "Thing");
    assert_eq!(
        document["paths"]["/apis/example.com/v1/things"]["get"]["operationId"],
        "listExampleComV1ThingForAllNamespaces"
    );
}

#[test]
fn the_index_names_documents_by_their_content() {
    let hashes = BTreeMap::from([
        (key("image.openshift.io", "v1"), "AB".to_owned()),
        (key("", "v1"), "CD".to_owned()),
    ]);
    assert_eq!(
        v3_index(&hashes),
        json!({"paths": {
            "api/v1": {"serverRelativeURL": "/openapi/v3/api/v1?hash=CD"},
            "apis/image.openshift.io/v1": {"serverRelativeURL": "/openapi/v3/apis/image.openshift.io/v1?hash=AB"},
        }})
    );
    assert_eq!(versions(TABLE), [("image.openshift.io", "v1")]);
}
