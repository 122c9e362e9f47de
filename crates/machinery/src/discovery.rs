//! Discovery documents in the plain form: which groups, versions and resources a server has.
//!
//! Key order, what is left out and the sorting are what clients have always seen. Documents end with a newline.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::json;

/// What discovery tells of one resource or subresource.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    /// Plural name, with the subresource behind a slash.
    pub name: &'a str,
    /// Singular name; empty for subresources.
    pub singular: &'a str,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Kind of its objects.
    pub kind: &'a str,
    /// Verbs, sorted.
    pub verbs: &'a [&'a str],
    /// Names for the hurried.
    pub short_names: &'a [&'a str],
    /// Groups of kinds that commands can name at once.
    pub categories: &'a [&'a str],
    /// Whether objects are stored as such, which gives them a hash of their stored version.
    pub stored: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiResource<'a> {
    name: &'a str,
    singular_name: &'a str,
    namespaced: bool,
    kind: &'a str,
    verbs: &'a [&'a str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    short_names: &'a [&'a str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    categories: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_version_hash: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceList<'a> {
    group_version: String,
    resources: Vec<ApiResource<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupVersion<'a> {
    group_version: String,
    version: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Group<'a> {
    name: &'a str,
    versions: Vec<GroupVersion<'a>>,
    preferred_version: GroupVersion<'a>,
}

impl<'a> Group<'a> {
    fn new(group: &'a str, version: &'a str) -> Group<'a> {
        let one = || GroupVersion { group_version: format!("{group}/{version}"), version };
        Group { name: group, versions: vec![one()], preferred_version: one() }
    }
}

/// `/api`: the versions of the core group.
pub fn core_versions(versions: &[&str]) -> Vec<u8> {
    let document = serde_json::json!({
        "versions": versions,
        "serverAddressByClientCIDRs": [],
    });
    line(json::with_type("APIVersions", "", &document))
}

/// `/apis`: all named groups, each with its version.
pub fn group_list(groups: &[(&str, &str)]) -> Vec<u8> {
    let groups: Vec<Group<'_>> = groups.iter().map(|(group, version)| Group::new(group, version)).collect();
    line(json::with_type("APIGroupList", "v1", &serde_json::json!({ "groups": groups })))
}

/// `/apis/<group>`.
pub fn group(group: &str, version: &str) -> Vec<u8> {
    line(json::with_type("APIGroup", "v1", &Group::new(group, version)))
}

/// `/apis/<group>/<version>` and `/api/<version>`: the resources, sorted by name.
pub fn resource_list(group: &str, version: &str, resources: &[Resource<'_>]) -> Vec<u8> {
    let mut sorted = resources.to_vec();
    sorted.sort_by_key(|resource| resource.name);
    let list = ResourceList {
        group_version: if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") },
        resources: sorted.iter().map(|resource| entry(group, version, resource)).collect(),
    };
    line(json::with_type("APIResourceList", "v1", &list))
}

fn entry<'a>(group: &str, version: &str, resource: &Resource<'a>) -> ApiResource<'a> {
    ApiResource {
        name: resource.name,
        singular_name: resource.singular,
        namespaced: resource.namespaced,
        kind: resource.kind,
        verbs: resource.verbs,
        short_names: resource.short_names,
        categories: resource.categories,
        storage_version_hash: resource.stored.then(|| storage_version_hash(group, version, resource.kind)),
    }
}

/// The first eight bytes of a hash over group, version and kind.
fn storage_version_hash(group: &str, version: &str, kind: &str) -> String {
    let hash = Sha256::digest(format!("{group}/{version}/{kind}").as_bytes());
    STANDARD.encode(&hash[..8])
}

fn line(mut document: Vec<u8>) -> Vec<u8> {
    document.push(b'\n');
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_one_preferred_version() {
        assert_eq!(
            String::from_utf8(group("g", "v1")).unwrap(),
            concat!(
                r#"{"kind":"APIGroup","apiVersion":"v1","name":"g","versions":[{"groupVersion":"g/v1","version":"v1"}],"#,
                r#""preferredVersion":{"groupVersion":"g/v1","version":"v1"}}"#,
                "\n"
            )
        );
    }

    #[test]
    fn stored_kinds_carry_the_hash_of_their_version() {
        assert_eq!(storage_version_hash("image.openshift.io", "v1", "Image"), "FX/i8Tt+3Fc=");
        assert_eq!(storage_version_hash("image.openshift.io", "v1", "ImageStream"), "mwmf9lCqOiA=");
    }
}
