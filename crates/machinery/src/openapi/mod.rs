//! OpenAPI documents: what every path takes and gives, and what the fields of every kind are. `explain`, completion and
//! the check of fields before a request is sent are made from them.
//!
//! Everything follows from the table of resources and the description of kinds. Version 3 has one document a group and
//! version; version 2 has one for all, as JSON and in the protobuf form that clients ask for. Names of types and
//! operations are those that clients know.

mod gnostic;
mod paths;
mod types;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

pub use gnostic::encode as v2_protobuf;

use crate::discovery::Resource;
use types::Definitions;

/// Version 3 of the document of one group and version.
pub fn v3(group: &str, version: &str, table: &[Resource], server_version: &str) -> Value {
    let mut definitions = Definitions::new(types::Version::V3);
    let paths = paths::of(group, version, table, &mut definitions);
    let mut printed = Map::new();
    for (path, item) in paths {
        printed.insert(path, paths::v3(&item, &definitions));
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Weir", "version": server_version},
        "paths": printed,
        "components": {"schemas": definitions.finish()},
    })
}

/// Version 2 of the document of everything.
pub fn v2(table: &[Resource], server_version: &str) -> Value {
    let mut definitions = Definitions::new(types::Version::V2);
    let mut printed = Map::new();
    for (group, version) in versions(table) {
        for (path, item) in paths::of(group, version, table, &mut definitions) {
            printed.insert(path, paths::v2(&item, &definitions));
        }
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "Weir", "version": server_version},
        "paths": printed,
        "definitions": definitions.finish(),
    })
}

/// Every group and version of a table, each once.
pub fn versions(table: &[Resource]) -> Vec<(&'static str, &'static str)> {
    let mut versions: Vec<_> = table.iter().map(|resource| (resource.group, resource.version)).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

/// The key of a group and version in the index of version 3, which is also the end of its document's path.
pub fn key(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// The index of version 3: the address of each document, with the hash of its content.
pub fn v3_index(hashes: &BTreeMap<String, String>) -> Value {
    let entries = hashes.iter().map(|(key, hash)| {
        let url = format!("/openapi/v3/{key}?hash={hash}");
        (key.clone(), json!({ "serverRelativeURL": url }))
    });
    json!({ "paths": Value::Object(entries.collect()) })
}

#[cfg(test)]
mod tests;
