//! The definitions of types: kinds, what they are made of, and lists of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::schema::{self, Field, Merge, Object, Shape};

/// The version of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V2,
    V3,
}

/// The definitions of a document; those that are referred to are added with everything they refer to.
#[derive(Debug)]
pub(super) struct Definitions {
    version: Version,
    printed: BTreeMap<String, Value>,
}

const TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Time";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_TEXT: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const WATCH_EVENT: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent";
const RESOURCE: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.APIResource";
const RESOURCE_LIST: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList";

impl Definitions {
    pub(super) fn new(version: Version) -> Definitions {
        Definitions { version, printed: BTreeMap::new() }
    }

    pub(super) fn finish(self) -> Value {
        Value::Object(self.printed.into_iter().collect())
    }

    /// A reference to a definition, as it stands in schemas.
    pub(super) fn reference(&self, name: &str) -> Value {
        let place = match self.version {
            Version::V2 => "#/definitions/",
            Version::V3 => "#/components/schemas/",
        };
        json!({ "$ref": format!("{place}{name}") })
    }

    /// Adds a kind; its name in the document comes back.
    pub(super) fn kind(&mut self, group: &str, version: &str, kind: &str) -> String {
        if let Some(object) = schema::of(group, version, kind) {
            self.object(object);
            return object.name.to_owned();
        }
        let name = name_of(group, version, kind);
        if !self.printed.contains_key(&name) {
            let mut printed = self.print(&schema::UNDESCRIBED);
            printed["x-kubernetes-preserve-unknown-fields"] = true.into();
            printed["x-kubernetes-group-version-kind"] = json!([group_version_kind(group, version, kind)]);
            self.printed.insert(name.clone(), printed);
        }
        name
    }

    /// Adds the list of a kind.
    pub(super) fn list(&mut self, group: &str, version: &str, kind: &str) -> String {
        let item = self.kind(group, version, kind);
        let name = format!("{item}List");
        if !self.printed.contains_key(&name) {
            self.object(&schema::LIST_META);
            let items = self.referring(&item, None, true);
            let metadata = self.referring(schema::LIST_META.name, Some("Standard list metadata."), true);
            let text = |doc: &str| json!({"type": "string", "description": doc});
            let printed = json!({
                "type": "object",
                "description": format!("A list of objects of kind {kind}."),
                "required": ["items"],
                "properties": {
                    "apiVersion": text("Group and version of this list."),
                    "items": {"type": "array", "items": items, "description": "The objects."},
                    "kind": text("The kind of this list."),
                    "metadata": metadata,
                },
                "x-kubernetes-group-version-kind": [group_version_kind(group, version, &format!("{kind}List"))],
            });
            self.printed.insert(name.clone(), printed);
        }
        name
    }

    /// Adds a described type.
    pub(super) fn object(&mut self, object: &'static Object) -> &'static str {
        if !self.printed.contains_key(object.name) {
            // The name is taken before the fields are printed, as types may refer to each other in a circle.
            self.printed.insert(object.name.to_owned(), Value::Null);
            let mut printed = self.print(object);
            if let Some((group, version, kind)) = object.kind {
                printed["x-kubernetes-group-version-kind"] =
                    json!([group_version_kind(group, version, kind)]);
            }
            self.printed.insert(object.name.to_owned(), printed);
        }
        object.name
    }

    /// Adds the type of frames of a watch.
    pub(super) fn watch_event(&mut self) -> String {
        self.object(&schema::RAW_EXTENSION);
        let object = self.referring(schema::RAW_EXTENSION.name, Some("The object, or a Status."), false);
        let printed = json!({
            "type": "object",
            "description": "One event of a watch.",
            "required": ["type", "object"],
            "properties": {
                "object": object,
                "type": {"type": "string", "default": "", "description": "ADDED, MODIFIED, DELETED, BOOKMARK or ERROR."},
            },
            "x-kubernetes-group-version-kind": [group_version_kind("", "v1", "WatchEvent")],
        });
        self.printed.insert(WATCH_EVENT.to_owned(), printed);
        WATCH_EVENT.to_owned()
    }

    /// Adds the type of the list of resources of a group and version.
    pub(super) fn resource_list(&mut self) -> String {
        let text = |doc: &str| json!({"type": "string", "default": "", "description": doc});
        let words = |doc: &str| json!({"type": "array", "items": {"type": "string", "default": ""}, "description": doc});
        let resource = json!({
            "type": "object",
            "description": "One resource and what can be done with it.",
            "required": ["name", "singularName", "namespaced", "kind", "verbs"],
            "properties": {
                "categories": words("Words that stand for several resources in commands."),
                "group": {"type": "string", "description": "The group of the kind, where it is another one."},
                "kind": text("The kind of its objects."),
                "name": text("Its plural name."),
                "namespaced": {"type": "boolean", "default": false, "description": "Whether its objects live in namespaces."},
                "shortNames": words("Short names for commands."),
                "singularName": text("Its singular name."),
                "storageVersionHash": {"type": "string", "description": "Stands for the form in which its objects are kept."},
                "verbs": words("What can be done with it."),
                "version": {"type": "string", "description": "The version of the kind, where it is another one."},
            },
        });
        self.printed.insert(RESOURCE.to_owned(), resource);
        let items = self.referring(RESOURCE, None, true);
        let list = json!({
            "type": "object",
            "description": "The resources of one group and version.",
            "required": ["groupVersion", "resources"],
            "properties": {
                "apiVersion": {"type": "string", "description": "Version of this list."},
                "groupVersion": text("The group and version."),
                "kind": {"type": "string", "description": "Kind of this list."},
                "resources": {"type": "array", "items": items, "description": "The resources."},
            },
            "x-kubernetes-group-version-kind": [group_version_kind("", "v1", "APIResourceList")],
        });
        self.printed.insert(RESOURCE_LIST.to_owned(), list);
        RESOURCE_LIST.to_owned()
    }

    fn print(&mut self, object: &'static Object) -> Value {
        let mut printed = Map::new();
        printed.insert("type".to_owned(), "object".into());
        printed.insert("description".to_owned(), object.doc.into());
        let required: Vec<&str> =
            object.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
        if !required.is_empty() {
            printed.insert("required".to_owned(), json!(required));
        }
        if !object.fields.is_empty() {
            let mut properties = Map::new();
            for field in object.fields {
                properties.insert(field.name.to_owned(), self.property(field));
            }
            printed.insert("properties".to_owned(), Value::Object(properties));
        }
        if object.atomic {
            printed.insert("x-kubernetes-map-type".to_owned(), "atomic".into());
        }
        Value::Object(printed)
    }

    fn property(&mut self, field: &'static Field) -> Value {
        let mut property = self.shape(field.shape, field.filled, Some(field.doc));
        if !field.default.is_empty() {
            property["default"] = field.default.into();
        }
        if field.replaced {
            property["x-kubernetes-patch-strategy"] = "replace".into();
        }
        if let Shape::List(_, merge) = field.shape {
            match merge {
                Merge::Atomic => {}
                Merge::Set => {
                    property["x-kubernetes-list-type"] = "set".into();
                    property["x-kubernetes-patch-strategy"] = "merge".into();
                }
                Merge::ByKey(keys) => {
                    property["x-kubernetes-patch-merge-key"] = keys[0].into();
                    property["x-kubernetes-patch-strategy"] = "merge".into();
                }
            }
        }
        property
    }

    fn shape(&mut self, shape: Shape, filled: bool, doc: Option<&str>) -> Value {
        let mut printed = match shape {
            Shape::Text => json!({"type": "string"}),
            Shape::Bytes => json!({"type": "string", "format": "byte"}),
            Shape::Bool => json!({"type": "boolean"}),
            Shape::Int32 => json!({"type": "integer", "format": "int32"}),
            Shape::Int64 => json!({"type": "integer", "format": "int64"}),
            Shape::Any => json!({}),
            Shape::Object(object) => {
                let name = self.object(object);
                return self.referring(name, doc, filled);
            }
            Shape::Time => {
                self.simple(TIME, json!({"type": "string", "format": "date-time"}));
                return self.referring(TIME, doc, false);
            }
            Shape::Quantity => {
                let v3 = json!({"oneOf": [{"type": "string"}, {"type": "number"}]});
                let either = if self.version == Version::V3 { v3 } else { json!({"type": "string"}) };
                self.simple(QUANTITY, either);
                return self.referring(QUANTITY, doc, false);
            }
            Shape::IntOrText => {
                let v3 =
                    json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]});
                let v2 = json!({"format": "int-or-string", "type": "string"});
                self.simple(INT_OR_TEXT, if self.version == Version::V3 { v3 } else { v2 });
                return self.referring(INT_OR_TEXT, doc, false);
            }
            Shape::Map(item) => {
                json!({"type": "object", "additionalProperties": self.item(*item)})
            }
            Shape::List(item, _) => json!({"type": "array", "items": self.item(*item)}),
        };
        let default = match shape {
            Shape::Text => Some(json!("")),
            Shape::Bool => Some(json!(false)),
            Shape::Int32 | Shape::Int64 => Some(json!(0)),
            _ => None,
        };
        if let Some(default) = default.filter(|_| filled && self.version == Version::V3) {
            printed["default"] = default;
        }
        if let Some(doc) = doc {
            printed["description"] = doc.into();
        }
        printed
    }

    /// What a list or map holds; nothing in them is ever absent.
    fn item(&mut self, shape: Shape) -> Value {
        self.shape(shape, true, None)
    }

    fn simple(&mut self, name: &str, printed: Value) {
        self.printed.entry(name.to_owned()).or_insert(printed);
    }

    /// A reference with words and a default beside it, where the version has a place for them.
    fn referring(&self, name: &str, doc: Option<&str>, filled: bool) -> Value {
        let reference = self.reference(name);
        let mut printed = match self.version {
            Version::V2 => reference,
            Version::V3 => {
                let mut printed = json!({ "allOf": [reference] });
                if filled {
                    printed["default"] = json!({});
                }
                printed
            }
        };
        if let Some(doc) = doc {
            printed["description"] = doc.into();
        }
        printed
    }
}

pub(super) fn group_version_kind(group: &str, version: &str, kind: &str) -> Value {
    json!({"group": group, "kind": kind, "version": version})
}

/// The name of a kind that is not described, after the example of those that are.
fn name_of(group: &str, version: &str, kind: &str) -> String {
    let first = group.split('.').next().unwrap_or_default();
    let package = match group {
        "" => "io.k8s.api.core".to_owned(),
        _ if !group.contains('.') || group.ends_with(".k8s.io") => format!("io.k8s.api.{first}"),
        _ if group.ends_with(".openshift.io") => format!("com.github.openshift.api.{first}"),
        _ => group.rsplit('.').collect::<Vec<_>>().join("."),
    };
    format!("{package}.{version}.{kind}")
}
