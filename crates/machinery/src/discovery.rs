//! Discovery: how clients learn which groups and resources there are.
//!
//! One static table of [`Resource`]s makes every document: the old ones a group each and the aggregated one. Resources
//! are listed by name, subresources (`imagestreams/status`) behind their resource.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::negotiate::DiscoveryVersion;

/// A resource or subresource that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its group; empty for the core group.
    pub group: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Plural name; for a subresource `resource/subresource`.
    pub name: &'static str,
    /// Singular name; empty for subresources.
    pub singular: &'static str,
    /// Whether it lives in namespaces.
    pub namespaced: bool,
    /// The kind of its objects.
    pub kind: &'static str,
    /// Group and version of that kind where they are not those of the resource.
    pub kind_of: Option<(&'static str, &'static str)>,
    /// What can be done with it, sorted.
    pub verbs: &'static [&'static str],
    /// Short names.
    pub short_names: &'static [&'static str],
    /// Categories, as `all`.
    pub categories: &'static [&'static str],
    /// Whether its objects are stored (then its version has a hash).
    pub stored: bool,
}

impl Resource {
    /// The name up to the slash, and the subresource behind it.
    pub fn split(&self) -> (&'static str, Option<&'static str>) {
        match self.name.split_once('/') {
            Some((name, subresource)) => (name, Some(subresource)),
            None => (self.name, None),
        }
    }

    /// Group and version of the kind of its objects.
    pub fn kind_version(&self) -> (&'static str, &'static str) {
        self.kind_of.unwrap_or((self.group, self.version))
    }

    /// True when the verb is among those of the resource.
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }
}

/// `group/version`, or the version alone for the core group.
pub fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// What stands for the version in which a kind is stored.
pub fn storage_version_hash(group: &str, version: &str, kind: &str) -> String {
    let hash = Sha256::digest(format!("{group}/{version}/{kind}").as_bytes());
    STANDARD.encode(&hash[..8])
}

/// `APIVersions`: the versions of the core group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiVersions {
    kind: &'static str,
    /// The versions.
    pub versions: Vec<&'static str>,
    /// Addresses for clients inside of networks.
    #[serde(rename = "serverAddressByClientCIDRs")]
    pub addresses: Vec<ServerAddress>,
}

impl ApiVersions {
    /// The document; `address` is where the server can be reached.
    pub fn new(versions: Vec<&'static str>, address: String) -> ApiVersions {
        let everywhere = ServerAddress { client_cidr: "0.0.0.0/0", server_address: address };
        ApiVersions { kind: "APIVersions", versions, addresses: vec![everywhere] }
    }
}

/// Where clients of a network reach the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerAddress {
    #[serde(rename = "clientCIDR")]
    client_cidr: &'static str,
    server_address: String,
}

/// One version of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupVersion {
    /// Group and version.
    pub group_version: String,
    /// The version alone.
    pub version: &'static str,
}

/// A group with its versions. On its own it is sent with kind `APIGroup`, version `v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiGroup {
    /// The group.
    pub name: &'static str,
    /// Its versions, preferred one first.
    pub versions: Vec<GroupVersion>,
    /// The version that clients should take.
    pub preferred_version: GroupVersion,
}

/// All groups; sent with kind `APIGroupList`, version `v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiGroupList {
    /// The groups, by name.
    pub groups: Vec<ApiGroup>,
}

/// The resources of one version of a group; sent with kind `APIResourceList`, version `v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiResourceList {
    /// Group and version.
    pub group_version: String,
    /// The resources, by name.
    pub resources: Vec<ApiResource>,
}

/// One resource of an [`ApiResourceList`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiResource {
    name: &'static str,
    singular_name: &'static str,
    namespaced: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'static str,
    kind: &'static str,
    verbs: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    short_names: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    categories: &'static [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_version_hash: Option<String>,
}

/// The versions of a group, in the order of the table; `None` when the table does not know the group.
pub fn api_group(group: &str, table: &[Resource]) -> Option<ApiGroup> {
    let mut versions: Vec<GroupVersion> = Vec::new();
    let mut name = "";
    for resource in table.iter().filter(|resource| resource.group == group) {
        name = resource.group;
        if versions.iter().all(|known| known.version != resource.version) {
            let group_version = group_version(group, resource.version);
            versions.push(GroupVersion { group_version, version: resource.version });
        }
    }
    let preferred_version = versions.first()?.clone();
    Some(ApiGroup { name, versions, preferred_version })
}

/// All named groups of a table: image streams first, then Kubernetes' own, then the others, each by name. Clients that look
/// for a name that several groups have (`images` and `rolebindings` are some) take the first.
pub fn api_group_list(table: &[Resource]) -> ApiGroupList {
    let groups = named_groups(table).filter_map(|group| api_group(group, table)).collect();
    ApiGroupList { groups }
}

/// The resources of one version of a group; `None` when there are none.
pub fn api_resource_list(group: &str, version: &str, table: &[Resource]) -> Option<ApiResourceList> {
    let mut resources: Vec<ApiResource> = of_version(group, version, table).map(ApiResource::from).collect();
    resources.sort_by_key(|resource| resource.name);
    (!resources.is_empty())
        .then(|| ApiResourceList { group_version: group_version(group, version), resources })
}

impl From<&Resource> for ApiResource {
    fn from(resource: &Resource) -> ApiResource {
        let hash = || storage_version_hash(resource.group, resource.version, resource.kind);
        let (group, version) = resource.kind_of.unwrap_or_default();
        ApiResource {
            name: resource.name,
            singular_name: resource.singular,
            namespaced: resource.namespaced,
            group,
            version,
            kind: resource.kind,
            verbs: resource.verbs,
            short_names: resource.short_names,
            categories: resource.categories,
            storage_version_hash: resource.stored.then(hash),
        }
    }
}

fn named_groups(table: &[Resource]) -> impl Iterator<Item = &'static str> + use<> {
    let mut groups: Vec<&'static str> =
        table.iter().map(|resource| resource.group).filter(|group| !group.is_empty()).collect();
    let is_foreign = |group: &str| group.contains('.') && !group.ends_with(".k8s.io");
    groups.sort_unstable_by_key(|&group| (group != crate::image::GROUP, is_foreign(group), group));
    groups.dedup();
    groups.into_iter()
}

fn of_version<'a>(
    group: &'a str,
    version: &'a str,
    table: &'a [Resource],
) -> impl Iterator<Item = &'a Resource> {
    table.iter().filter(move |resource| resource.group == group && resource.version == version)
}

/// `APIGroupDiscoveryList`: everything in one document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AggregatedDiscovery {
    kind: &'static str,
    api_version: &'static str,
    metadata: NoMetadata,
    items: Vec<AggregatedGroup>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct NoMetadata {}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct AggregatedGroup {
    metadata: GroupName,
    versions: Vec<AggregatedVersion>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct GroupName {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct AggregatedVersion {
    version: &'static str,
    resources: Vec<AggregatedResource>,
    freshness: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct AggregatedResource {
    resource: &'static str,
    response_kind: ResponseKind,
    scope: &'static str,
    singular_resource: &'static str,
    verbs: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    short_names: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    categories: &'static [&'static str],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subresources: Vec<AggregatedSubresource>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct AggregatedSubresource {
    subresource: &'static str,
    response_kind: ResponseKind,
    verbs: &'static [&'static str],
}

/// Group and version are empty where they are those around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct ResponseKind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
}

impl ResponseKind {
    fn of(resource: &Resource) -> ResponseKind {
        let (group, version) = resource.kind_of.unwrap_or_default();
        ResponseKind { group, version, kind: resource.kind }
    }
}

/// The aggregated document for `/apis` (all named groups) or, with `core`, for `/api`.
pub fn aggregated(table: &[Resource], core: bool, version: DiscoveryVersion) -> AggregatedDiscovery {
    let groups: Vec<&'static str> = if core { vec![""] } else { named_groups(table).collect() };
    let items = groups
        .into_iter()
        .filter_map(|group| {
            let versions = api_group(group, table)?.versions;
            let versions = versions
                .into_iter()
                .map(|known| AggregatedVersion {
                    version: known.version,
                    resources: aggregated_resources(group, known.version, table),
                    freshness: "Current",
                })
                .collect();
            Some(AggregatedGroup { metadata: GroupName { name: group }, versions })
        })
        .collect();
    let api_version = match version {
        DiscoveryVersion::V2 => "apidiscovery.k8s.io/v2",
        DiscoveryVersion::V2Beta1 => "apidiscovery.k8s.io/v2beta1",
    };
    AggregatedDiscovery { kind: "APIGroupDiscoveryList", api_version, metadata: NoMetadata {}, items }
}

fn aggregated_resources(group: &str, version: &str, table: &[Resource]) -> Vec<AggregatedResource> {
    let mut all: Vec<&Resource> = of_version(group, version, table).collect();
    all.sort_by_key(|resource| resource.name);
    let mut resources: Vec<AggregatedResource> = Vec::new();
    for resource in all {
        match resource.split() {
            (name, None) => resources.push(AggregatedResource {
                resource: name,
                response_kind: ResponseKind::of(resource),
                scope: if resource.namespaced { "Namespaced" } else { "Cluster" },
                singular_resource: resource.singular,
                verbs: resource.verbs,
                short_names: resource.short_names,
                categories: resource.categories,
                subresources: Vec::new(),
            }),
            (name, Some(subresource)) => {
                if let Some(parent) = resources.iter_mut().find(|parent| parent.resource == name) {
                    parent.subresources.push(AggregatedSubresource {
                        subresource,
                        response_kind: ResponseKind::of(resource),
                        verbs: resource.verbs,
                    });
                }
            }
        }
    }
    resources
}

/// What `/version` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are those of the document and say it all")]
pub struct VersionInfo {
    pub major: String,
    pub minor: String,
    pub git_version: String,
    pub git_commit: String,
    pub git_tree_state: String,
    pub build_date: String,
    pub go_version: String,
    pub compiler: String,
    pub platform: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    const STREAMS: Resource = Resource {
        group: "image.openshift.io",
        version: "v1",
        name: "imagestreams",
        singular: "imagestream",
        namespaced: true,
        kind: "ImageStream",
        kind_of: None,
        verbs: &["create", "get"],
        short_names: &["is"],
        categories: &["all"],
        stored: true,
    };
    const TABLE: &[Resource] = &[
        Resource {
            name: "imagestreams/status",
            singular: "",
            verbs: &["get", "patch"],
            short_names: &[],
            categories: &[],
            stored: false,
            ..STREAMS
        },
        STREAMS,
        Resource {
            name: "images",
            singular: "image",
            kind: "Image",
            namespaced: false,
            short_names: &[],
            categories: &[],
            ..STREAMS
        },
        Resource {
            group: "",
            name: "secrets",
            singular: "secret",
            kind: "Secret",
            short_names: &[],
            ..STREAMS
        },
    ];

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn groups_list_their_versions() {
        let group = api_group("image.openshift.io", TABLE).unwrap();
        assert_eq!(
            text(json::with_type("APIGroup", "v1", &group)),
            r#"{"kind":"APIGroup","apiVersion":"v1","name":"image.openshift.io","versions":[{"groupVersion":"image.openshift.io/v1","version":"v1"}],"preferredVersion":{"groupVersion":"image.openshift.io/v1","version":"v1"}}"#
        );
        assert_eq!(api_group("nope", TABLE), None);
        assert_eq!(api_group_list(TABLE).groups, [group]);
    }

    #[test]
    fn resources_are_listed_by_name() {
        let list = api_resource_list("image.openshift.io", "v1", TABLE).unwrap();
        assert_eq!(
            text(json::with_type("APIResourceList", "v1", &list)),
            r#"{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"image.openshift.io/v1","resources":[{"name":"images","singularName":"image","namespaced":false,"kind":"Image","verbs":["create","get"],"storageVersionHash":"FX/i8Tt+3Fc="},{"name":"imagestreams","singularName":"imagestream","namespaced":true,"kind":"ImageStream","verbs":["create","get"],"shortNames":["is"],"categories":["all"],"storageVersionHash":"mwmf9lCqOiA="},{"name":"imagestreams/status","singularName":"","namespaced":true,"kind":"ImageStream","verbs":["get","patch"]}]}"#
        );
        assert_eq!(api_resource_list("image.openshift.io", "v9", TABLE), None);
        assert_eq!(api_resource_list("", "v1", TABLE).unwrap().group_version, "v1");
    }

    #[test]
    fn aggregated_discovery_nests_subresources() {
        let document = aggregated(TABLE, false, DiscoveryVersion::V2);
        assert_eq!(
            text(json::compact(&document)),
            r#"{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","metadata":{},"items":[{"metadata":{"name":"image.openshift.io"},"versions":[{"version":"v1","resources":[{"resource":"images","responseKind":{"group":"","version":"","kind":"Image"},"scope":"Cluster","singularResource":"image","verbs":["create","get"]},{"resource":"imagestreams","responseKind":{"group":"","version":"","kind":"ImageStream"},"scope":"Namespaced","singularResource":"imagestream","verbs":["create","get"],"shortNames":["is"],"categories":["all"],"subresources":[{"subresource":"status","responseKind":{"group":"","version":"","kind":"ImageStream"},"verbs":["get","patch"]}]}],"freshness":"Current"}]}]}"#
        );
        let core = text(json::compact(&aggregated(TABLE, true, DiscoveryVersion::V2Beta1)));
        assert!(
            core.contains(
                r#""items":[{"metadata":{},"versions":[{"version":"v1","resources":[{"resource":"secrets""#
            ),
            "{core}"
        );
    }
}
