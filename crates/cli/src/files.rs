//! Objects in files: YAML or JSON, several to a file, in directories, or on standard input.
//!
//! A document that cannot be used stands as a failure in its place, so that what comes before it is still done.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::app::App;
use crate::discovery::Mapper;
use crate::failure::{Failure, plain};
use crate::flags::FileFlags;
use crate::golang::{json, text_at};
use crate::limits;
use crate::select::Info;

/// What standard input is called in messages.
const STANDARD_INPUT: &str = "STDIN";

/// Reads the objects of all files named; files are read before the server is asked anything.
pub(crate) async fn read(app: &App, from: &FileFlags) -> Result<Vec<Result<Info, Failure>>, Failure> {
    let mut texts = Vec::new();
    for name in &from.filename {
        if name == "-" {
            texts.push((STANDARD_INPUT.to_owned(), app.io.read_input()?));
            continue;
        }
        for file in expand(Path::new(name), from.recursive)? {
            let shown = file.display().to_string();
            texts.push((shown, content(&file)?));
        }
    }
    let mut documents = Vec::new();
    for (source, text) in texts {
        match machinery::yaml::parse_documents(&text, machinery::yaml::Duplicates::LastWins) {
            Ok(values) => {
                for value in values.into_iter().filter(|value| !value.is_null()) {
                    flatten(&source, value, &mut documents);
                }
            }
            Err(error) => documents.push(Err(plain(format!("error parsing {source}: {error}")))),
        }
    }
    let mapper = app.mapper().await?;
    Ok(documents
        .into_iter()
        .map(|document| document.and_then(|(source, value)| place(app, mapper, source, value)))
        .collect())
}

fn content(file: &Path) -> Result<String, Failure> {
    let size = std::fs::metadata(file).map(|meta| meta.len()).unwrap_or_default();
    if size > limits::LARGEST_FILE {
        return Err(plain(format!("{}: larger than {} bytes", file.display(), limits::LARGEST_FILE)));
    }
    Ok(std::fs::read_to_string(file)?)
}

/// The files behind a name: itself, or what a directory holds, in byte order.
fn expand(path: &Path, recursive: bool) -> Result<Vec<PathBuf>, Failure> {
    let Ok(meta) = std::fs::metadata(path) else {
        return Err(plain(format!("the path \"{}\" does not exist", path.display())));
    };
    if !meta.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    walk(path, recursive, &mut found)?;
    if found.is_empty() {
        return Err(plain(format!(
            "error reading [{}]: recognized file extensions are [.json .yaml .yml]",
            path.display()
        )));
    }
    Ok(found)
}

fn walk(directory: &Path, recursive: bool, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(directory)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            if recursive {
                walk(&entry, recursive, found)?;
            }
        } else if entry.extension().is_some_and(|end| end == "json" || end == "yaml" || end == "yml") {
            found.push(entry);
        }
    }
    Ok(())
}

type Document = Result<(String, Value), Failure>;

/// A document, or each item of a list; what has no kind is refused.
fn flatten(source: &str, value: Value, out: &mut Vec<Document>) {
    let refuse = |problem: String| Err(plain(format!("unable to decode \"{source}\": {problem}")));
    if !value.is_object() {
        out.push(refuse(format!(
            "json: cannot unmarshal {} into Go value of type unstructured.detector",
            kind_of(&value)
        )));
        return;
    }
    if text_at(&value, &["kind"]).is_empty() {
        out.push(refuse(format!("Object 'Kind' is missing in '{}'", json(&value))));
        return;
    }
    if text_at(&value, &["apiVersion"]).is_empty() {
        out.push(refuse(format!("Object 'apiVersion' is missing in '{}'", json(&value))));
        return;
    }
    if text_at(&value, &["kind"]).ends_with("List")
        && let Some(Value::Array(items)) = value.get("items")
    {
        for item in items {
            flatten(source, item.clone(), out);
        }
        return;
    }
    if let Some(problem) = bad_metadata(&value) {
        out.push(refuse(problem));
        return;
    }
    out.push(Ok((source.to_owned(), value)));
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Labels and annotations must be texts: an unquoted `yes` or `1.0` is not.
fn bad_metadata(value: &Value) -> Option<String> {
    let wrong = |value: &Value, field: &str, kind: &str| {
        Some(format!(
            "json: cannot unmarshal {} into Go struct field ObjectMeta.metadata.{field} of type {kind}",
            kind_of(value)
        ))
    };
    for field in ["name", "namespace", "generateName"] {
        let value = &value["metadata"][field];
        if !value.is_null() && !value.is_string() {
            return wrong(value, field, "string");
        }
    }
    for field in ["labels", "annotations"] {
        match &value["metadata"][field] {
            Value::Null => {}
            Value::Object(map) => {
                if let Some(other) = map.values().find(|value| !value.is_string() && !value.is_null()) {
                    return wrong(other, field, "string");
                }
            }
            other => return wrong(other, field, "map[string]string"),
        }
    }
    None
}

/// Finds the resource of a document and the project it belongs to.
fn place(app: &App, mapper: &Mapper, source: String, mut value: Value) -> Result<Info, Failure> {
    let (version, kind) = (text_at(&value, &["apiVersion"]), text_at(&value, &["kind"]));
    let name = text_at(&value, &["metadata", "name"]).to_owned();
    let own = text_at(&value, &["metadata", "namespace"]).to_owned();
    let Some(resource) = mapper.of_kind(version, kind) else {
        return Err(plain(format!(
            "resource mapping not found for name: \"{name}\" namespace: \"{own}\" from \"{source}\": no matches for \
             kind \"{kind}\" in version \"{version}\"\nensure CRDs are installed first"
        )));
    };
    let resource = resource.clone();
    let mut namespace = String::new();
    if resource.namespaced {
        namespace = if own.is_empty() { app.namespace().to_owned() } else { own };
        if app.settings.namespace_given && namespace != app.namespace() {
            return Err(plain(format!(
                "the namespace from the provided object \"{namespace}\" does not match the namespace \"{}\". You must \
                 pass '--namespace={namespace}' to perform this operation.",
                app.namespace()
            )));
        }
        let metadata = value.as_object_mut().and_then(|map| {
            map.entry("metadata").or_insert_with(|| Value::Object(Map::new())).as_object_mut()
        });
        if let Some(metadata) = metadata {
            metadata.insert("namespace".to_owned(), namespace.clone().into());
        }
    }
    Ok(Info { resource, namespace, name, object: value, source: Some(source) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn flat(value: Value) -> Vec<String> {
        let mut out = Vec::new();
        flatten("F", value, &mut out);
        out.into_iter()
            .map(|item| match item {
                Ok((_, value)) => text_at(&value, &["metadata", "name"]).to_owned(),
                Err(error) => error.render("weir"),
            })
            .collect()
    }

    #[test]
    fn lists_come_apart() {
        let item = |name: &str| json!({"kind": "K", "apiVersion": "v1", "metadata": {"name": name}});
        assert_eq!(
            flat(json!({"kind": "List", "apiVersion": "v1", "items": [item("a"), item("b")]})),
            ["a", "b"]
        );
    }

    #[test]
    fn documents_without_a_kind_are_refused() {
        assert_eq!(
            flat(json!({"apiVersion": "v1", "metadata": {"name": "x"}})),
            [
                "error: unable to decode \"F\": Object 'Kind' is missing in '{\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"x\"}}'"
            ]
        );
    }

    #[test]
    fn labels_must_be_texts() {
        assert_eq!(
            flat(json!({"apiVersion": "v1", "kind": "K", "metadata": {"labels": {"a": true}}})),
            [
                "error: unable to decode \"F\": json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string"
            ]
        );
    }

    #[test]
    fn directories_give_their_manifests_in_order() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        for name in ["b.json", "a.yaml", "c.txt", "sub/d.yml"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let names = |recursive| {
            let found = expand(dir.path(), recursive).unwrap();
            found
                .iter()
                .map(|f| f.strip_prefix(dir.path()).unwrap().display().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(false), ["a.yaml", "b.json"]);
        assert_eq!(names(true), ["a.yaml", "b.json", "sub/d.yml"]);
        let missing = expand(&dir.path().join("none"), false).unwrap_err().render("weir");
        assert!(missing.ends_with("none\" does not exist"), "{missing}");
    }
}
