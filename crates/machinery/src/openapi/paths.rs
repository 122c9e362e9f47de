//! The paths of a group and version with their operations, and how either version of the document prints them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::types::{Definitions, group_version_kind};
use crate::discovery::Resource;
use crate::schema;

/// The forms of an answer.
const MEDIA_TYPES: [&str; 3] =
    ["application/json", "application/vnd.kubernetes.protobuf", "application/yaml"];
/// The further forms of what can be watched.
const STREAMS: [&str; 2] =
    ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];
/// The forms of a patch.
const PATCHES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// One path.
#[derive(Debug, Default)]
pub(super) struct Item {
    operations: Vec<Operation>,
}

#[derive(Debug)]
struct Operation {
    method: &'static str,
    action: &'static str,
    id: String,
    tag: String,
    about: String,
    kind: Option<Value>,
    parameters: Vec<Parameter>,
    body: Body,
    /// Codes, and the type of the answer.
    answers: (&'static [&'static str], String),
    streams: bool,
}

#[derive(Debug)]
enum Body {
    None,
    Object(String),
    Options(String),
    Patch(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Parameter {
    name: &'static str,
    place: &'static str,
    r#type: &'static str,
    about: &'static str,
}

const fn query(name: &'static str, r#type: &'static str, about: &'static str) -> Parameter {
    Parameter { name, place: "query", r#type, about }
}

const NAME: Parameter =
    Parameter { name: "name", place: "path", r#type: "string", about: "Name of the object." };
const NAMESPACE: Parameter =
    Parameter { name: "namespace", place: "path", r#type: "string", about: "The object's namespace." };
const PRETTY: Parameter = query("pretty", "string", "Indent the answer when this is true.");

const WRITES: &[Parameter] = &[
    query("dryRun", "string", "The word All: answer as if, but change nothing."),
    query("fieldManager", "string", "Who makes the change, as the owner of the fields it sets."),
    query(
        "fieldValidation",
        "string",
        "What happens to unknown and duplicate fields: Ignore drops them, Warn drops them with a warning, Strict refuses the request.",
    ),
];
const FORCE: Parameter = query("force", "boolean", "Take fields over from other managers; for applies only.");
const DELETES: &[Parameter] = &[
    query("dryRun", "string", "The word All: answer as if, but delete nothing."),
    query("gracePeriodSeconds", "integer", "Seconds until the object goes."),
    query("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean", "Delete even what cannot be read."),
    query("orphanDependents", "boolean", "Old form of the propagation policy Orphan."),
    query("propagationPolicy", "string", "What becomes of dependents: Orphan, Background or Foreground."),
];
const SELECTS: &[Parameter] = &[
    query("continue", "string", "Where the page before ended."),
    query("fieldSelector", "string", "Only objects with these values of fields."),
    query("labelSelector", "string", "Only objects with these labels."),
    query("limit", "integer", "Objects on one page."),
    query("resourceVersion", "string", "The version that the answer is to be at least as new as."),
    query("resourceVersionMatch", "string", "How the version is meant: Exact or NotOlderThan."),
    query("sendInitialEvents", "boolean", "Begin a watch with what is there."),
    query("timeoutSeconds", "integer", "Seconds after which a list fails or a watch ends."),
];
const WATCHES: &[Parameter] = &[
    query("allowWatchBookmarks", "boolean", "Send bookmarks between the events of a watch."),
    query("watch", "boolean", "Send changes as they happen."),
];

/// The paths of one group and version; the types they speak of are added to the definitions.
pub(super) fn of(
    group: &str,
    version: &str,
    table: &[Resource],
    definitions: &mut Definitions,
) -> BTreeMap<String, Item> {
    let mut paths: BTreeMap<String, Item> = BTreeMap::new();
    let base = format!("/{}", super::key(group, version));
    let mut add = |path: String, operation: Operation| {
        paths.entry(path).or_default().operations.push(operation);
    };
    add(format!("{base}/"), resources(group, version, definitions));
    for resource in table.iter().filter(|known| known.group == group && known.version == version) {
        let parent = resource.split().0;
        let parent = table.iter().find(|known| known.group == group && known.name == parent);
        let parent_kind = parent.map_or(resource.kind, |parent| parent.kind);
        Paths { resource, parent_kind, base: &base }.add(definitions, &mut add);
    }
    paths
}

/// What stands for a group and version in the names of operations: `imageOpenshiftIo`, `V1`.
fn operation_words(group: &str, version: &str) -> (String, String) {
    let group = if group.is_empty() { "core" } else { group.trim_end_matches(".k8s.io") };
    let mut words = group.split('.');
    let mut name = words.next().unwrap_or_default().to_owned();
    words.for_each(|word| name.push_str(&capitalized(word)));
    (name, capitalized(version))
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
}

fn resources(group: &str, version: &str, definitions: &mut Definitions) -> Operation {
    let (name, number) = operation_words(group, version);
    Operation {
        method: "get",
        action: "",
        id: format!("get{}{number}APIResources", capitalized(&name)),
        tag: format!("{name}_{version}"),
        about: "List what there is.".to_owned(),
        kind: None,
        parameters: Vec::new(),
        body: Body::None,
        answers: (&["200"], definitions.resource_list()),
        streams: false,
    }
}

/// The paths of one resource.
struct Paths<'a> {
    resource: &'a Resource,
    parent_kind: &'static str,
    base: &'a str,
}

impl Paths<'_> {
    fn add(&self, definitions: &mut Definitions, add: &mut impl FnMut(String, Operation)) {
        let resource = self.resource;
        let place = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
        let (name, subresource) = resource.split();
        let collection = format!("{}{place}/{name}", self.base);
        let one = match subresource {
            None => format!("{collection}/{{name}}"),
            Some(subresource) => format!("{collection}/{{name}}/{subresource}"),
        };
        for verb in resource.verbs {
            match *verb {
                "list" => {
                    add(collection.clone(), self.list(resource.namespaced, false, definitions));
                    if resource.namespaced {
                        add(format!("{}/{name}", self.base), self.list(false, true, definitions));
                    }
                }
                "create" => {
                    let path = if subresource.is_some() { &one } else { &collection };
                    add(path.clone(), self.create(definitions));
                }
                "deletecollection" => add(collection.clone(), self.delete_collection(definitions)),
                "get" => add(one.clone(), self.read(definitions)),
                "update" => add(one.clone(), self.change("put", "replace", definitions)),
                "patch" => add(one.clone(), self.change("patch", "patch", definitions)),
                "delete" => add(one.clone(), self.delete(definitions)),
                "watch" => self.watches(definitions, add),
                _ => {}
            }
        }
    }

    /// The old paths of watches.
    fn watches(&self, definitions: &mut Definitions, add: &mut impl FnMut(String, Operation)) {
        let (base, name) = (self.base, self.resource.name);
        let mut watch = |path: String, id: &str, everywhere: bool, one: bool| {
            let mut operation = self.operation("get", if one { "watch" } else { "watchlist" }, "watch");
            let namespaced = if self.resource.namespaced && !everywhere { "Namespaced" } else { "" };
            operation.id = self.id("watch", &format!("{namespaced}{}{id}", self.resource.kind));
            operation.about =
                format!("Watch objects of kind {}; rather list with watch=true.", self.resource.kind);
            operation.parameters = [SELECTS, WATCHES].concat();
            self.place(&mut operation, one, everywhere);
            operation.answers = (&["200"], definitions.watch_event());
            operation.streams = true;
            add(path, operation);
        };
        if self.resource.namespaced {
            watch(format!("{base}/watch/{name}"), "ListForAllNamespaces", true, false);
            watch(format!("{base}/watch/namespaces/{{namespace}}/{name}"), "List", false, false);
            watch(format!("{base}/watch/namespaces/{{namespace}}/{name}/{{name}}"), "", false, true);
        } else {
            watch(format!("{base}/watch/{name}"), "List", true, false);
            watch(format!("{base}/watch/{name}/{{name}}"), "", true, true);
        }
    }

    fn id(&self, verb: &str, rest: &str) -> String {
        let (group, version) = operation_words(self.resource.group, self.resource.version);
        format!("{verb}{}{version}{rest}", capitalized(&group))
    }

    /// Kind and subresource, with where they live.
    fn words(&self) -> String {
        let namespaced = if self.resource.namespaced { "Namespaced" } else { "" };
        let subresource = capitalized(self.resource.split().1.unwrap_or_default());
        let kind = if subresource.is_empty() { self.resource.kind } else { self.parent_kind };
        format!("{namespaced}{kind}{subresource}")
    }

    fn operation(&self, method: &'static str, action: &'static str, verb: &str) -> Operation {
        let resource = self.resource;
        let (group, _) = operation_words(resource.group, resource.version);
        let (kind_group, kind_version) = resource.kind_version();
        Operation {
            method,
            action,
            id: self.id(verb, &self.words()),
            tag: format!("{group}_{}", resource.version),
            about: String::new(),
            kind: Some(group_version_kind(kind_group, kind_version, resource.kind)),
            parameters: Vec::new(),
            body: Body::None,
            answers: (&[], String::new()),
            streams: false,
        }
    }

    /// Adds the parameters that say where.
    fn place(&self, operation: &mut Operation, one: bool, everywhere: bool) {
        if one {
            operation.parameters.push(NAME);
        }
        if self.resource.namespaced && !everywhere {
            operation.parameters.push(NAMESPACE);
        }
        operation.parameters.push(PRETTY);
        operation.parameters.sort_unstable();
    }

    fn kind(&self, definitions: &mut Definitions) -> String {
        let (group, version) = self.resource.kind_version();
        definitions.kind(group, version, self.resource.kind)
    }

    fn list(&self, namespaced: bool, everywhere: bool, definitions: &mut Definitions) -> Operation {
        let resource = self.resource;
        let mut operation = self.operation("get", "list", "list");
        if everywhere {
            operation.id = self.id("list", &format!("{}ForAllNamespaces", resource.kind));
        }
        operation.about = format!("List or watch objects of kind {}.", resource.kind);
        operation.parameters = [SELECTS, WATCHES].concat();
        self.place(&mut operation, false, everywhere || !namespaced);
        operation.answers = (&["200"], definitions.list(resource.group, resource.version, resource.kind));
        operation.streams = true;
        operation
    }

    fn create(&self, definitions: &mut Definitions) -> Operation {
        let mut operation = self.operation("post", "post", "create");
        let kind = self.kind(definitions);
        operation.about = format!("Make an object of kind {}.", self.resource.kind);
        operation.parameters = WRITES.to_vec();
        self.place(&mut operation, self.resource.split().1.is_some(), false);
        operation.body = Body::Object(kind.clone());
        operation.answers = (&["200", "201", "202"], kind);
        operation
    }

    fn delete_collection(&self, definitions: &mut Definitions) -> Operation {
        let mut operation = self.operation("delete", "deletecollection", "delete");
        operation.id = self.id("delete", &format!("Collection{}", self.words()));
        operation.about = format!("Delete several objects of kind {}.", self.resource.kind);
        operation.parameters = [DELETES, SELECTS].concat();
        self.place(&mut operation, false, false);
        operation.body = Body::Options(definitions.object(&schema::DELETE_OPTIONS).to_owned());
        operation.answers = (&["200"], definitions.object(&schema::STATUS).to_owned());
        operation
    }

    fn read(&self, definitions: &mut Definitions) -> Operation {
        let mut operation = self.operation("get", "get", "read");
        operation.about = format!("Read an object of kind {}.", self.resource.kind);
        if self.resource.kind.ends_with("List") {
            operation.parameters = [SELECTS, WATCHES].concat();
        }
        self.place(&mut operation, true, false);
        operation.answers = (&["200"], self.kind(definitions));
        operation
    }

    fn change(&self, method: &'static str, verb: &str, definitions: &mut Definitions) -> Operation {
        let mut operation = self.operation(method, method, verb);
        let kind = self.kind(definitions);
        operation.parameters = WRITES.to_vec();
        if method == "patch" {
            operation.about = format!("Change parts of an object of kind {}.", self.resource.kind);
            operation.parameters.push(FORCE);
            operation.body = Body::Patch(definitions.object(&schema::PATCH).to_owned());
        } else {
            operation.about = format!("Replace an object of kind {}.", self.resource.kind);
            operation.body = Body::Object(kind.clone());
        }
        self.place(&mut operation, true, false);
        operation.answers = (&["200", "201"], kind);
        operation
    }

    fn delete(&self, definitions: &mut Definitions) -> Operation {
        let mut operation = self.operation("delete", "delete", "delete");
        operation.about = format!("Delete an object of kind {}.", self.resource.kind);
        operation.parameters = DELETES.to_vec();
        self.place(&mut operation, true, false);
        operation.body = Body::Options(definitions.object(&schema::DELETE_OPTIONS).to_owned());
        operation.answers = (&["200", "202"], definitions.object(&schema::STATUS).to_owned());
        operation
    }
}

impl Item {
    /// Parameters that every operation of the path takes.
    fn shared(&self) -> Vec<Parameter> {
        let Some((first, others)) = self.operations.split_first() else { return Vec::new() };
        let everywhere = |parameter: &&Parameter| {
            others.iter().all(|operation| {
                operation.parameters.iter().any(|p| (p.name, p.place) == (parameter.name, parameter.place))
            })
        };
        first.parameters.iter().filter(everywhere).copied().collect()
    }

    fn print(
        &self,
        parameter: impl Fn(&Parameter) -> Value,
        operation: impl Fn(&Operation, Vec<Value>) -> Value,
    ) -> Value {
        let shared = self.shared();
        let is_shared = |p: &Parameter| shared.iter().any(|s| (s.name, s.place) == (p.name, p.place));
        let mut printed = Map::new();
        for one in &self.operations {
            let own = one.parameters.iter().filter(|p| !is_shared(p)).map(&parameter).collect();
            printed.insert(one.method.to_owned(), operation(one, own));
        }
        if !shared.is_empty() {
            printed.insert("parameters".to_owned(), shared.iter().map(parameter).collect());
        }
        Value::Object(printed)
    }
}

impl Operation {
    /// What both versions print alike.
    fn common(&self) -> Value {
        let mut printed = json!({"tags": [self.tag], "operationId": self.id, "description": self.about});
        if let Some(kind) = &self.kind {
            printed["x-kubernetes-action"] = self.action.into();
            printed["x-kubernetes-group-version-kind"] = kind.clone();
        }
        printed
    }

    fn media_types(&self) -> Vec<&'static str> {
        let streams: &[&str] = if self.streams { &STREAMS } else { &[] };
        [&MEDIA_TYPES[..], streams].concat()
    }
}

fn words_of(code: &str) -> &'static str {
    match code {
        "200" => "OK",
        "201" => "Created",
        "202" => "Accepted",
        _ => "Unauthorized",
    }
}

/// A path as version 3 prints it.
pub(super) fn v3(item: &Item, definitions: &Definitions) -> Value {
    let parameter = |parameter: &Parameter| {
        let schema = json!({"type": parameter.r#type, "uniqueItems": true});
        let mut printed = json!({"name": parameter.name, "in": parameter.place, "description": parameter.about, "schema": schema});
        if parameter.place == "path" {
            printed["required"] = true.into();
        }
        printed
    };
    item.print(parameter, |operation, parameters| {
        let mut printed = operation.common();
        if !parameters.is_empty() {
            printed["parameters"] = parameters.into();
        }
        let content = |types: &[&str], name: &str| {
            let schema = json!({ "schema": definitions.reference(name) });
            let types = types.iter().map(|media_type| ((*media_type).to_owned(), schema.clone()));
            Value::Object(types.collect())
        };
        match &operation.body {
            Body::None => {}
            Body::Object(name) => {
                printed["requestBody"] = json!({"content": content(&["*/*"], name), "required": true});
            }
            Body::Options(name) => printed["requestBody"] = json!({ "content": content(&["*/*"], name) }),
            Body::Patch(name) => {
                printed["requestBody"] = json!({"content": content(&PATCHES, name), "required": true});
            }
        }
        let (codes, name) = &operation.answers;
        let mut answers = Map::new();
        for code in *codes {
            let answer =
                json!({"description": words_of(code), "content": content(&operation.media_types(), name)});
            answers.insert((*code).to_owned(), answer);
        }
        answers.insert("401".to_owned(), json!({ "description": words_of("401") }));
        printed["responses"] = answers.into();
        printed
    })
}

/// A path as version 2 prints it.
pub(super) fn v2(item: &Item, definitions: &Definitions) -> Value {
    let parameter = |parameter: &Parameter| {
        let mut printed = json!({
            "name": parameter.name, "in": parameter.place, "type": parameter.r#type, "uniqueItems": true,
            "description": parameter.about,
        });
        if parameter.place == "path" {
            printed["required"] = true.into();
        }
        printed
    };
    item.print(parameter, |operation, mut parameters| {
        let mut printed = operation.common();
        if operation.id == "patchCoreV1Namespace" {
            // Tools take a namespace that knows this as a sign that there are custom resources, and ask for their
            // definitions before they make an object of a kind that cannot be patched.
            parameters.retain(|parameter| parameter["name"] != "fieldValidation");
        }
        let mut body = |name: &str, required: bool| {
            let mut body = json!({"name": "body", "in": "body", "schema": definitions.reference(name)});
            if required {
                body["required"] = true.into();
            }
            parameters.insert(0, body);
        };
        match &operation.body {
            Body::None => {}
            Body::Object(name) => body(name, true),
            Body::Options(name) => body(name, false),
            Body::Patch(name) => body(name, true),
        }
        if !parameters.is_empty() {
            printed["parameters"] = parameters.into();
        }
        let consumes: &[&str] = if matches!(operation.body, Body::Patch(_)) { &PATCHES } else { &["*/*"] };
        printed["consumes"] = json!(consumes);
        printed["produces"] = json!(operation.media_types());
        printed["schemes"] = json!(["https"]);
        let (codes, name) = &operation.answers;
        let mut answers = Map::new();
        for code in *codes {
            let answer = json!({"description": words_of(code), "schema": definitions.reference(name)});
            answers.insert((*code).to_owned(), answer);
        }
        answers.insert("401".to_owned(), json!({ "description": words_of("401") }));
        printed["responses"] = answers.into();
        printed
    })
}
