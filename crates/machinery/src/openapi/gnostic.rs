//! The protobuf form of version 2, in which clients read it: gnostic's messages for the parts that our documents have.
//!
//! The message is made from the JSON form, so that both say the same. Extensions are texts of YAML, of which JSON is a
//! part.

use prost::Message;
use serde_json::{Map, Value};

/// The document in protobuf.
pub fn encode(document: &Value) -> Vec<u8> {
    let info = document.get("info");
    Document {
        swagger: text(document, "swagger"),
        info: info.map(|info| Info { title: text(info, "title"), version: text(info, "version") }),
        paths: Some(Paths { path: named(document, "paths", path_item) }),
        definitions: Some(Schemas { entries: named(document, "definitions", schema) }),
    }
    .encode_to_vec()
}

#[derive(Clone, PartialEq, Message)]
struct Document {
    #[prost(string, tag = "1")]
    swagger: String,
    #[prost(message, optional, tag = "2")]
    info: Option<Info>,
    #[prost(message, optional, tag = "8")]
    paths: Option<Paths>,
    #[prost(message, optional, tag = "9")]
    definitions: Option<Schemas>,
}

#[derive(Clone, PartialEq, Message)]
struct Info {
    #[prost(string, tag = "1")]
    title: String,
    #[prost(string, tag = "2")]
    version: String,
}

/// An entry of a map: maps are lists of these.
macro_rules! named {
    ($name:ident, $value:ident) => {
        #[derive(Clone, PartialEq, Message)]
        struct $name {
            #[prost(string, tag = "1")]
            name: String,
            #[prost(message, optional, tag = "2")]
            value: Option<$value>,
        }

        impl From<(String, $value)> for $name {
            fn from((name, value): (String, $value)) -> $name {
                $name { name, value: Some(value) }
            }
        }
    };
}

named!(NamedPathItem, PathItem);
named!(NamedSchema, Schema);
named!(NamedResponse, ResponseValue);
named!(NamedAny, AnyValue);

#[derive(Clone, PartialEq, Message)]
struct Paths {
    #[prost(message, repeated, tag = "2")]
    path: Vec<NamedPathItem>,
}

/// Definitions and properties alike.
#[derive(Clone, PartialEq, Message)]
struct Schemas {
    #[prost(message, repeated, tag = "1")]
    entries: Vec<NamedSchema>,
}

#[derive(Clone, PartialEq, Message)]
struct PathItem {
    #[prost(message, optional, tag = "2")]
    get: Option<Operation>,
    #[prost(message, optional, tag = "3")]
    put: Option<Operation>,
    #[prost(message, optional, tag = "4")]
    post: Option<Operation>,
    #[prost(message, optional, tag = "5")]
    delete: Option<Operation>,
    #[prost(message, optional, tag = "8")]
    patch: Option<Operation>,
    #[prost(message, repeated, tag = "9")]
    parameters: Vec<ParametersItem>,
}

#[derive(Clone, PartialEq, Message)]
struct Operation {
    #[prost(string, repeated, tag = "1")]
    tags: Vec<String>,
    #[prost(string, tag = "3")]
    description: String,
    #[prost(string, tag = "5")]
    operation_id: String,
    #[prost(string, repeated, tag = "6")]
    produces: Vec<String>,
    #[prost(string, repeated, tag = "7")]
    consumes: Vec<String>,
    #[prost(message, repeated, tag = "8")]
    parameters: Vec<ParametersItem>,
    #[prost(message, optional, tag = "9")]
    responses: Option<Responses>,
    #[prost(string, repeated, tag = "10")]
    schemes: Vec<String>,
    #[prost(message, repeated, tag = "13")]
    extensions: Vec<NamedAny>,
}

#[derive(Clone, PartialEq, Message)]
struct ParametersItem {
    #[prost(message, optional, tag = "1")]
    parameter: Option<Parameter>,
}

/// One of the two.
#[derive(Clone, PartialEq, Message)]
struct Parameter {
    #[prost(message, optional, tag = "1")]
    body: Option<BodyParameter>,
    #[prost(message, optional, tag = "2")]
    other: Option<OtherParameter>,
}

#[derive(Clone, PartialEq, Message)]
struct BodyParameter {
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    r#in: String,
    #[prost(bool, tag = "4")]
    required: bool,
    #[prost(message, optional, tag = "5")]
    schema: Option<Schema>,
}

/// One of the two.
#[derive(Clone, PartialEq, Message)]
struct OtherParameter {
    #[prost(message, optional, tag = "3")]
    query: Option<QueryParameter>,
    #[prost(message, optional, tag = "4")]
    path: Option<PathParameter>,
}

#[derive(Clone, PartialEq, Message)]
struct QueryParameter {
    #[prost(string, tag = "2")]
    r#in: String,
    #[prost(string, tag = "3")]
    description: String,
    #[prost(string, tag = "4")]
    name: String,
    #[prost(string, tag = "6")]
    r#type: String,
    #[prost(bool, tag = "20")]
    unique_items: bool,
}

#[derive(Clone, PartialEq, Message)]
struct PathParameter {
    #[prost(bool, tag = "1")]
    required: bool,
    #[prost(string, tag = "2")]
    r#in: String,
    #[prost(string, tag = "3")]
    description: String,
    #[prost(string, tag = "4")]
    name: String,
    #[prost(string, tag = "5")]
    r#type: String,
    #[prost(bool, tag = "19")]
    unique_items: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Responses {
    #[prost(message, repeated, tag = "1")]
    codes: Vec<NamedResponse>,
}

#[derive(Clone, PartialEq, Message)]
struct ResponseValue {
    #[prost(message, optional, tag = "1")]
    response: Option<Response>,
}

#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(string, tag = "1")]
    description: String,
    #[prost(message, optional, tag = "2")]
    schema: Option<SchemaItem>,
}

#[derive(Clone, PartialEq, Message)]
struct SchemaItem {
    #[prost(message, optional, tag = "1")]
    schema: Option<Schema>,
}

#[derive(Clone, PartialEq, Message)]
struct Schema {
    #[prost(string, tag = "1")]
    reference: String,
    #[prost(string, tag = "2")]
    format: String,
    #[prost(string, tag = "4")]
    description: String,
    #[prost(string, repeated, tag = "19")]
    required: Vec<String>,
    #[prost(message, optional, boxed, tag = "21")]
    additional_properties: Option<Box<AdditionalProperties>>,
    #[prost(message, optional, tag = "22")]
    r#type: Option<TypeItem>,
    #[prost(message, optional, tag = "23")]
    items: Option<Items>,
    #[prost(message, optional, tag = "25")]
    properties: Option<Schemas>,
    #[prost(message, repeated, tag = "31")]
    extensions: Vec<NamedAny>,
}

#[derive(Clone, PartialEq, Message)]
struct AdditionalProperties {
    #[prost(message, optional, boxed, tag = "1")]
    schema: Option<Box<Schema>>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct TypeItem {
    #[prost(string, repeated, tag = "1")]
    value: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Items {
    #[prost(message, repeated, tag = "1")]
    schema: Vec<Schema>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct AnyValue {
    #[prost(string, tag = "2")]
    yaml: String,
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    let list = value.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or_default()
}

fn named<T, N: From<(String, T)>>(value: &Value, key: &str, each: impl Fn(&Value) -> T) -> Vec<N> {
    let map = value.get(key).and_then(Value::as_object);
    map.into_iter().flatten().map(|(name, value)| N::from((name.clone(), each(value)))).collect()
}

fn extensions(value: &Value) -> Vec<NamedAny> {
    let empty = Map::new();
    let fields = value.as_object().unwrap_or(&empty).iter().filter(|(name, _)| name.starts_with("x-"));
    fields
        .map(|(name, value)| NamedAny::from((name.clone(), AnyValue { yaml: format!("{value}\n") })))
        .collect()
}

fn path_item(item: &Value) -> PathItem {
    let method = |name: &str| item.get(name).map(operation);
    PathItem {
        get: method("get"),
        put: method("put"),
        post: method("post"),
        delete: method("delete"),
        patch: method("patch"),
        parameters: parameters(item),
    }
}

fn operation(operation: &Value) -> Operation {
    let codes = named(operation, "responses", |response| {
        let schema = response.get("schema").map(|found| SchemaItem { schema: Some(schema(found)) });
        ResponseValue { response: Some(Response { description: text(response, "description"), schema }) }
    });
    Operation {
        tags: texts(operation, "tags"),
        description: text(operation, "description"),
        operation_id: text(operation, "operationId"),
        produces: texts(operation, "produces"),
        consumes: texts(operation, "consumes"),
        parameters: parameters(operation),
        responses: Some(Responses { codes }),
        schemes: texts(operation, "schemes"),
        extensions: extensions(operation),
    }
}

fn parameters(of: &Value) -> Vec<ParametersItem> {
    let list = of.get("parameters").and_then(Value::as_array);
    list.into_iter().flatten().map(|one| ParametersItem { parameter: Some(parameter(one)) }).collect()
}

fn parameter(parameter: &Value) -> Parameter {
    let place = text(parameter, "in");
    let (name, required) = (text(parameter, "name"), flag(parameter, "required"));
    if place == "body" {
        let schema = parameter.get("schema").map(schema);
        return Parameter { body: Some(BodyParameter { name, r#in: place, required, schema }), other: None };
    }
    let (description, r#type) = (text(parameter, "description"), text(parameter, "type"));
    let unique_items = flag(parameter, "uniqueItems");
    let other = if place == "path" {
        let path = PathParameter { required, r#in: place, description, name, r#type, unique_items };
        OtherParameter { path: Some(path), query: None }
    } else {
        let query = QueryParameter { r#in: place, description, name, r#type, unique_items };
        OtherParameter { query: Some(query), path: None }
    };
    Parameter { body: None, other: Some(other) }
}

fn schema(value: &Value) -> Schema {
    let kind = text(value, "type");
    let has_properties = value.get("properties").is_some();
    Schema {
        reference: text(value, "$ref"),
        format: text(value, "format"),
        description: text(value, "description"),
        required: texts(value, "required"),
        additional_properties: value
            .get("additionalProperties")
            .map(|inner| Box::new(AdditionalProperties { schema: Some(Box::new(schema(inner))) })),
        r#type: (!kind.is_empty()).then(|| TypeItem { value: vec![kind] }),
        items: value.get("items").map(|inner| Items { schema: vec![schema(inner)] }),
        properties: has_properties.then(|| Schemas { entries: named(value, "properties", schema) }),
        extensions: extensions(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_message_says_what_the_document_says() {
        let document = json!({
            "swagger": "2.0",
            "info": {"title": "t", "version": "v"},
            "paths": {"/a": {
                "patch": {
                    "operationId": "patchA",
                    "x-kubernetes-group-version-kind": {"group": "g", "version": "v1", "kind": "K"},
                    "parameters": [
                        {"name": "body", "in": "body", "required": true, "schema": {"$ref": "#/definitions/K"}},
                        {"name": "fieldValidation", "in": "query", "type": "string", "uniqueItems": true},
                    ],
                    "responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/K"}}},
                },
                "parameters": [{"name": "name", "in": "path", "required": true, "type": "string"}],
            }},
            "definitions": {"K": {
                "type": "object", "required": ["a"], "x-kubernetes-map-type": "atomic",
                "properties": {
                    "a": {"type": "array", "items": {"type": "string"}},
                    "b": {"type": "object", "additionalProperties": {"type": "integer", "format": "int64"}},
                },
            }},
        });
        let message = Document::decode(encode(&document).as_slice()).unwrap();
        let paths = message.paths.unwrap().path;
        let item = paths[0].value.as_ref().unwrap();
        let patch = item.patch.as_ref().unwrap();
        assert_eq!(
            patch.extensions[0].value.as_ref().unwrap().yaml,
            "{\"group\":\"g\",\"kind\":\"K\",\"version\":\"v1\"}\n"
        );
        let query =
            |at: usize| patch.parameters[at].parameter.as_ref().unwrap().other.as_ref()?.query.clone();
        assert_eq!(query(0), None);
        assert_eq!(query(1).unwrap().name, "fieldValidation");
        let definition = message.definitions.unwrap().entries.remove(0).value.unwrap();
        assert_eq!(definition.required, ["a"]);
        let properties = definition.properties.unwrap().entries;
        assert_eq!(properties[0].value.as_ref().unwrap().items.as_ref().unwrap().schema.len(), 1);
        let inner = properties[1].value.as_ref().unwrap().additional_properties.as_ref().unwrap();
        assert_eq!(inner.schema.as_ref().unwrap().format, "int64");
    }
}
