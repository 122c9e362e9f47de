//! What the server serves: from what people type (`is`, `ImageStream`, `deployments.apps`) to paths.
//!
//! The aggregated documents are used when the server has both of them, the older ones one by one otherwise. Nothing is
//! kept between runs: two small requests are cheaper than a stale answer.

use futures_util::stream::{StreamExt, iter};
use serde_json::Value;

use crate::client::{Api, Call, JSON_OR_ANY, segment};
use crate::failure::{Failure, plain};
use crate::golang::{items_at, text_at};
use crate::limits;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// One resource in one version of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    /// `imagestreams`
    pub(crate) plural: String,
    /// `imagestream`
    pub(crate) singular: String,
    /// `ImageStream`
    pub(crate) kind: String,
    pub(crate) namespaced: bool,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) verbs: Vec<String>,
}

impl Resource {
    /// `image.openshift.io/v1`, `v1`.
    pub(crate) fn group_version(&self) -> String {
        group_version(&self.group, &self.version)
    }

    /// `imagestreams.image.openshift.io`, `secrets`.
    pub(crate) fn group_resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `imagestream.image.openshift.io/ruby`, `secret/pull`.
    pub(crate) fn display(&self, name: &str) -> String {
        let kind = self.kind.to_lowercase();
        if self.group.is_empty() { format!("{kind}/{name}") } else { format!("{kind}.{}/{name}", self.group) }
    }

    /// `image.openshift.io/v1, Resource=imagestreams`, as messages name a resource.
    pub(crate) fn described(&self) -> String {
        format!("{}, Resource={}", group_version_slash(&self.group, &self.version), self.plural)
    }

    /// `image.openshift.io/v1, Kind=ImageStream`.
    pub(crate) fn described_kind(&self) -> String {
        format!("{}, Kind={}", group_version_slash(&self.group, &self.version), self.kind)
    }

    /// Path of the collection; `namespace` is nothing for all of them.
    pub(crate) fn collection(&self, namespace: Option<&str>) -> String {
        let base = root(&self.group, &self.version);
        match namespace {
            Some(namespace) if self.namespaced => {
                format!("{base}/namespaces/{}/{}", segment(namespace), self.plural)
            }
            _ => format!("{base}/{}", self.plural),
        }
    }

    /// Path of an object.
    pub(crate) fn object(&self, namespace: &str, name: &str) -> Result<String, Failure> {
        check_name(name)?;
        Ok(format!("{}/{}", self.collection(Some(namespace)), segment(name)))
    }
}

/// Names that would lead to another path.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    if name.is_empty() {
        return Err(plain("resource name may not be empty"));
    }
    let problem = match name {
        "." => "may not be '.'".to_owned(),
        ".." => "may not be '..'".to_owned(),
        _ if name.contains('/') => "may not contain '/'".to_owned(),
        _ if name.contains('%') => "may not contain '%'".to_owned(),
        _ => return Ok(()),
    };
    Err(plain(format!("invalid resource name {}: [{problem}]", machinery::field::quote(name))))
}

fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

fn group_version_slash(group: &str, version: &str) -> String {
    format!("{group}/{version}")
}

/// `/api/v1`, `/apis/image.openshift.io/v1`.
pub(crate) fn root(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("/api/{}", segment(version))
    } else {
        format!("/apis/{}/{}", segment(group), segment(version))
    }
}

/// Everything a server has, preferred versions first within a group, groups in the server's order.
#[derive(Debug, Default)]
pub(crate) struct Mapper {
    pub(crate) resources: Vec<Resource>,
}

impl Mapper {
    /// Asks the server.
    pub(crate) async fn discover(api: &Api) -> Result<Mapper, Failure> {
        let core = api.call(Call::get("/api?timeout=32s", AGGREGATED)).await;
        let groups = api.call(Call::get("/apis?timeout=32s", AGGREGATED)).await?.document()?;
        let core = match core {
            Ok(answer) => Some(answer.document()?),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        let aggregated = |document: &Value| document["kind"] == "APIGroupDiscoveryList";
        if let Some(core) = core.as_ref().filter(|core| aggregated(core) && aggregated(&groups)) {
            let mut resources = Vec::new();
            for group in items_at(core, &["items"]).iter().chain(items_at(&groups, &["items"])) {
                read_group(group, &mut resources);
            }
            return Ok(Mapper { resources });
        }
        Mapper::one_by_one(api, core.as_ref(), &groups).await
    }

    async fn one_by_one(api: &Api, core: Option<&Value>, groups: &Value) -> Result<Mapper, Failure> {
        let mut versions: Vec<(String, String)> = Vec::new();
        let core_versions = core.map(|core| items_at(core, &["versions"])).unwrap_or_default();
        versions
            .extend(core_versions.iter().filter_map(Value::as_str).map(|v| (String::new(), v.to_owned())));
        for group in items_at(groups, &["groups"]) {
            let name = text_at(group, &["name"]);
            let preferred = text_at(group, &["preferredVersion", "version"]);
            let mut all: Vec<&str> =
                items_at(group, &["versions"]).iter().map(|version| text_at(version, &["version"])).collect();
            all.sort_by_key(|version| *version != preferred);
            versions.extend(all.into_iter().map(|version| (name.to_owned(), version.to_owned())));
        }
        let documents: Vec<_> = iter(versions)
            .map(|(group, version)| async move {
                let answer = api.document(Call::get(root(&group, &version), JSON_OR_ANY)).await;
                (group, version, answer)
            })
            .buffered(limits::DISCOVERY_AT_ONCE)
            .collect()
            .await;
        let mut resources = Vec::new();
        for (group, version, answer) in documents {
            // A group whose server is down must not hide the others.
            let Ok(document) = answer else { continue };
            for entry in items_at(&document, &["resources"]) {
                let name = text_at(entry, &["name"]);
                if !name.is_empty() && !name.contains('/') {
                    resources.push(Resource {
                        group: group.clone(),
                        version: version.clone(),
                        plural: name.to_owned(),
                        singular: singular(text_at(entry, &["singularName"]), text_at(entry, &["kind"])),
                        kind: text_at(entry, &["kind"]).to_owned(),
                        namespaced: entry["namespaced"] == true,
                        short_names: texts(&entry["shortNames"]),
                        categories: texts(&entry["categories"]),
                        verbs: texts(&entry["verbs"]),
                    });
                }
            }
        }
        Ok(Mapper { resources })
    }

    /// What a person means by a word; `resource`, `resource.group` or `resource.version.group`.
    pub(crate) fn find(&self, word: &str) -> Option<&Resource> {
        let whole = |resource: &&Resource| names(resource, word);
        if let Some(found) = self.resources.iter().find(whole) {
            return Some(found);
        }
        let (first, rest) = word.split_once('.')?;
        let exact = self.resources.iter().find(|resource| {
            names(resource, first)
                && rest == format!("{}.{}", resource.version, resource.group).trim_end_matches('.')
        });
        exact.or_else(|| {
            self.resources.iter().find(|r| names(r, first) && !r.group.is_empty() && rest == r.group)
        })
    }

    /// Like [`Mapper::find`], with the error people know.
    pub(crate) fn require(&self, word: &str) -> Result<&Resource, Failure> {
        self.find(word).ok_or_else(|| plain(format!("the server doesn't have a resource type \"{word}\"")))
    }

    /// The resource of a kind in a version.
    pub(crate) fn of_kind(&self, api_version: &str, kind: &str) -> Option<&Resource> {
        self.resources.iter().find(|r| r.kind == kind && r.group_version() == api_version)
    }

    /// Resources of a category, `all` for instance.
    pub(crate) fn category(&self, word: &str) -> Vec<&Resource> {
        let mut found: Vec<&Resource> = Vec::new();
        for resource in &self.resources {
            let known =
                found.iter().any(|seen| seen.group == resource.group && seen.plural == resource.plural);
            if !known && resource.categories.iter().any(|category| category == word) {
                found.push(resource);
            }
        }
        found
    }
}

fn names(resource: &Resource, word: &str) -> bool {
    resource.plural == word
        || resource.singular == word
        || resource.kind == word
        || resource.short_names.iter().any(|short| short == word)
}

fn singular(name: &str, kind: &str) -> String {
    if name.is_empty() { kind.to_lowercase() } else { name.to_owned() }
}

fn texts(value: &Value) -> Vec<String> {
    value
        .as_array()
        .map_or_else(Vec::new, |items| items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

fn read_group(group: &Value, resources: &mut Vec<Resource>) {
    let name = text_at(group, &["metadata", "name"]);
    for version in items_at(group, &["versions"]) {
        for entry in items_at(version, &["resources"]) {
            let kind = text_at(entry, &["responseKind", "kind"]);
            let plural = text_at(entry, &["resource"]);
            if plural.is_empty() || kind.is_empty() {
                continue;
            }
            resources.push(Resource {
                group: name.to_owned(),
                version: text_at(version, &["version"]).to_owned(),
                plural: plural.to_owned(),
                singular: singular(text_at(entry, &["singularResource"]), kind),
                kind: kind.to_owned(),
                namespaced: entry["scope"] == "Namespaced",
                short_names: texts(&entry["shortNames"]),
                categories: texts(&entry["categories"]),
                verbs: texts(&entry["verbs"]),
            });
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn resource(group: &str, plural: &str, kind: &str, short: &[&str]) -> Resource {
        Resource {
            group: group.to_owned(),
            version: "v1".to_owned(),
            plural: plural.to_owned(),
            singular: kind.to_lowercase(),
            kind: kind.to_owned(),
            namespaced: true,
            short_names: short.iter().map(|s| (*s).to_owned()).collect(),
            categories: if plural == "imagestreams" { vec!["all".to_owned()] } else { Vec::new() },
            verbs: Vec::new(),
        }
    }

    pub(crate) fn mapper() -> Mapper {
        Mapper {
            resources: vec![
                resource("", "secrets", "Secret", &[]),
                resource("apps", "deployments", "Deployment", &["deploy"]),
                resource("image.openshift.io", "imagestreams", "ImageStream", &["is"]),
                resource("image.openshift.io", "imagestreamtags", "ImageStreamTag", &["istag"]),
            ],
        }
    }

    #[test]
    fn words_of_all_kinds_are_understood() {
        let mapper = mapper();
        for word in [
            "is",
            "imagestream",
            "imagestreams",
            "ImageStream",
            "imagestreams.image.openshift.io",
            "imagestream.image.openshift.io",
            "imagestreams.v1.image.openshift.io",
        ] {
            assert_eq!(mapper.find(word).map(|r| r.plural.as_str()), Some("imagestreams"), "{word}");
        }
        assert_eq!(mapper.find("secrets.v1").map(|r| r.plural.as_str()), Some("secrets"));
        for word in ["IS", "imagestreams.apps", "nope", ""] {
            assert!(mapper.find(word).is_none(), "{word}");
        }
        assert_eq!(mapper.category("all").len(), 1);
    }

    #[test]
    fn paths_keep_names_inside() {
        let tags = resource("image.openshift.io", "imagestreamtags", "ImageStreamTag", &[]);
        assert_eq!(
            tags.object("ns", "a:1").unwrap(),
            "/apis/image.openshift.io/v1/namespaces/ns/imagestreamtags/a:1"
        );
        assert_eq!(
            tags.object("ns", "b/c").unwrap_err().render("weir"),
            "error: invalid resource name \"b/c\": [may not contain '/']"
        );
        assert_eq!(
            tags.object("ns", "").unwrap_err().render("weir"),
            "error: resource name may not be empty"
        );
    }

    #[test]
    fn aggregated_documents_are_read() {
        let group = serde_json::json!({"metadata": {"name": "image.openshift.io"}, "versions": [{"version": "v1", "resources": [
            {"resource": "imagestreams", "responseKind": {"group": "image.openshift.io", "version": "v1", "kind": "ImageStream"},
             "scope": "Namespaced", "singularResource": "imagestream", "verbs": ["get"], "shortNames": ["is"], "categories": ["all"]}]}]});
        let mut found = Vec::new();
        read_group(&group, &mut found);
        let mut want = resource("image.openshift.io", "imagestreams", "ImageStream", &["is"]);
        want.verbs = vec!["get".to_owned()];
        assert_eq!(found, [want]);
    }
}
