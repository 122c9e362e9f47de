//! The table of everything the server serves: one entry a resource.
//!
//! The entries feed discovery, routing, tables, authorization and storage; nothing else lists resources.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::admission::kinds as core;
use crate::auth::groups;
use crate::auth::oauth;
use crate::auth::rbac::{self, kinds};
use crate::deliver::kinds as deliver;
use crate::hooks::kinds as hooks;
use crate::plain::{self, PlainRules};
use crate::workload;

/// A resource or subresource.
#[derive(Debug)]
pub struct Resource {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Plural name, with the subresource behind a slash.
    pub plural: &'static str,
    /// Singular name; empty for subresources.
    pub singular: &'static str,
    /// Kind of its objects.
    pub kind: &'static str,
    /// Group and version of that kind where they are not those of the resource.
    pub kind_of: Option<(&'static str, &'static str)>,
    /// Names for the hurried.
    pub short: &'static [&'static str],
    /// Groups of kinds that commands can name at once.
    pub categories: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Verbs, sorted.
    pub verbs: &'static [&'static str],
    /// Where the objects come from.
    pub source: Source,
    /// What everybody who uses it is told; mostly nothing.
    pub advice: &'static str,
}

/// The resources of the cluster's configuration of registries.
#[derive(Clone, Copy, Debug)]
pub struct RegistryConfiguration {
    /// The one with the name `cluster` counts.
    pub images: &'static Resource,
    /// Mirrors for digests.
    pub digest_mirror_sets: &'static Resource,
    /// Mirrors for tags.
    pub tag_mirror_sets: &'static Resource,
    /// Mirrors for digests, in the older form.
    pub content_source_policies: &'static Resource,
}

/// Where the objects of a resource come from.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// Stored images.
    Image,
    /// Stored streams.
    Stream,
    /// Stored objects of a plain kind.
    Plain(&'static PlainRules),
    /// Computed from stored ones.
    View(View),
}

/// Resources that are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named as its resource")]
pub enum View {
    StreamStatus,
    StreamLayers,
    StreamSecrets,
    StreamTag,
    ImageTag,
    StreamImage,
    Mapping,
    Import,
    Signature,
    Project,
    ProjectRequest,
    Ledger,
    Upstream,
    Consumers,
    Follows,
    Retry,
    WorkloadStatus,
    Scale,
    RollOut,
    StartBuild,
    PlainStatus,
    Review,
    OldReview,
    OldRbac,
    Identity,
    Person,
    AccountToken,
}

const STORED: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// Everything but watching and deleting many at once.
const SINGLE: &[&str] = &["create", "delete", "get", "list", "patch", "update"];
const IMAGE: (&str, &str) = (machinery::image::GROUP, machinery::image::VERSION);
const CORE: (&str, &str) = ("", "v1");
const CONFIG: (&str, &str) = ("config.openshift.io", "v1");
const OPERATOR: (&str, &str) = ("operator.openshift.io", "v1alpha1");
const RBAC: (&str, &str) = (rbac::GROUP, "v1");
const ACCESS: (&str, &str) = ("authorization.k8s.io", "v1");
const IDENTITY: (&str, &str) = ("authentication.k8s.io", "v1");
const OLD_ACCESS: (&str, &str) = ("authorization.openshift.io", "v1");
const USER: (&str, &str) = (groups::GROUP, "v1");
const OAUTH: (&str, &str) = (oauth::GROUP, "v1");
const REVIEW: Source = Source::View(View::Review);
const OLD_REVIEW: Source = Source::View(View::OldReview);
const OLD_RBAC: Source = Source::View(View::OldRbac);
const READ: &[&str] = &["get", "list"];
const IDENTITY_VIEW: Source = Source::View(View::Identity);
const CREATE: &[&str] = &["create"];
const PROJECT: (&str, &str) = ("project.openshift.io", "v1");
const APPS: (&str, &str) = ("apps", "v1");
const BATCH: (&str, &str) = ("batch", "v1");
const DEPLOY: (&str, &str) = ("apps.openshift.io", "v1");
const BUILD: (&str, &str) = ("build.openshift.io", "v1");
const AUTOSCALING: (&str, &str) = ("autoscaling", "v1");
/// The old home of the scale of deployment configurations, where clients still look for it.
const EXTENSIONS: (&str, &str) = ("extensions", "v1beta1");
/// In the words of OpenShift, whose clients know them.
const DEPLOYMENT_CONFIGS_END: &str =
    "apps.openshift.io/v1 DeploymentConfig is deprecated in v4.14+, unavailable in v4.10000+";
const STATUS: &[&str] = &["get", "patch", "update"];
const WEIR: (&str, &str) = ("weir.dev", "v1alpha1");

const fn entry(
    (group, version): (&'static str, &'static str),
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
    verbs: &'static [&'static str],
    source: Source,
) -> Resource {
    Resource {
        group,
        version,
        plural,
        singular,
        kind,
        kind_of: None,
        short: &[],
        categories: &[],
        namespaced: true,
        verbs,
        source,
        advice: "",
    }
}

impl Resource {
    const fn short(mut self, short: &'static [&'static str]) -> Resource {
        self.short = short;
        self
    }

    const fn categories(mut self, categories: &'static [&'static str]) -> Resource {
        self.categories = categories;
        self
    }

    const fn kind_of(mut self, group_version: (&'static str, &'static str)) -> Resource {
        self.kind_of = Some(group_version);
        self
    }

    const fn advice(mut self, advice: &'static str) -> Resource {
        self.advice = advice;
        self
    }

    const fn cluster(mut self) -> Resource {
        self.namespaced = false;
        self
    }

    /// Group and version of the resource, as they stand in its objects unless their kind has others.
    pub fn api_version(&self) -> String {
        machinery::discovery::group_version(self.group, self.version)
    }

    /// Group and version as they stand in objects.
    pub fn kind_api_version(&self) -> String {
        let (group, version) = self.kind_of.unwrap_or((self.group, self.version));
        machinery::discovery::group_version(group, version)
    }

    /// Whether objects of the resource are stored as such.
    pub fn is_stored(&self) -> bool {
        !matches!(self.source, Source::View(_))
    }

    /// The plural name and the subresource (or nothing).
    pub fn names(&self) -> (&'static str, &'static str) {
        self.plural.split_once('/').unwrap_or((self.plural, ""))
    }

    /// The prefix of the keys of all its objects.
    pub fn prefix(&self) -> String {
        self.path(&[])
    }

    /// The prefix of the keys in one namespace; all when `namespace` is empty.
    pub fn prefix_in(&self, namespace: &str) -> String {
        if namespace.is_empty() { self.prefix() } else { self.path(&[namespace, "/"]) }
    }

    /// The key of one object.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        if self.namespaced { self.path(&[namespace, "/", name]) } else { self.path(&[name]) }
    }

    fn path(&self, rest: &[&str]) -> String {
        let group = if self.group.is_empty() { "core" } else { self.group };
        let mut path = String::with_capacity(128);
        for part in ["/", group, "/", self.plural, "/"].iter().chain(rest) {
            path.push_str(part);
        }
        path
    }
}

/// Everything the server serves, by group and then by name.
pub static RESOURCES: &[Resource] = &[
    entry(CORE, "configmaps", "configmap", "ConfigMap", STORED, Source::Plain(&core::CONFIG_MAP))
        .short(&["cm"]),
    entry(CORE, "events", "event", "Event", STORED, Source::Plain(&plain::LENIENT)).short(&["ev"]),
    entry(CORE, "limitranges", "limitrange", "LimitRange", STORED, Source::Plain(&core::LIMIT_RANGE))
        .short(&["limits"]),
    entry(CORE, "namespaces", "namespace", "Namespace", STORED, Source::Plain(&plain::NAMESPACE))
        .cluster()
        .short(&["ns"]),
    entry(
        CORE,
        "resourcequotas",
        "resourcequota",
        "ResourceQuota",
        STORED,
        Source::Plain(&core::RESOURCE_QUOTA),
    )
    .short(&["quota"]),
    entry(
        CORE,
        "resourcequotas/status",
        "",
        "ResourceQuota",
        &["get", "patch", "update"],
        Source::View(View::PlainStatus),
    ),
    entry(CORE, "secrets", "secret", "Secret", STORED, Source::Plain(&plain::SECRET)),
    entry(CORE, "pods", "pod", "Pod", STORED, Source::Plain(&workload::POD))
        .short(&["po"])
        .categories(&["all"]),
    entry(CORE, "pods/status", "", "Pod", STATUS, Source::View(View::WorkloadStatus)),
    entry(
        CORE,
        "replicationcontrollers",
        "replicationcontroller",
        "ReplicationController",
        STORED,
        Source::Plain(&workload::REPLICATION_CONTROLLER),
    )
    .short(&["rc"])
    .categories(&["all"]),
    entry(CORE, "replicationcontrollers/scale", "", "Scale", STATUS, Source::View(View::Scale))
        .kind_of(AUTOSCALING),
    entry(
        CORE,
        "replicationcontrollers/status",
        "",
        "ReplicationController",
        STATUS,
        Source::View(View::WorkloadStatus),
    ),
    entry(APPS, "daemonsets", "daemonset", "DaemonSet", STORED, Source::Plain(&workload::DAEMON_SET))
        .short(&["ds"])
        .categories(&["all"]),
    entry(APPS, "daemonsets/status", "", "DaemonSet", STATUS, Source::View(View::WorkloadStatus)),
    entry(APPS, "deployments", "deployment", "Deployment", STORED, Source::Plain(&workload::DEPLOYMENT))
        .short(&["deploy"])
        .categories(&["all"]),
    entry(APPS, "deployments/scale", "", "Scale", STATUS, Source::View(View::Scale)).kind_of(AUTOSCALING),
    entry(APPS, "deployments/status", "", "Deployment", STATUS, Source::View(View::WorkloadStatus)),
    entry(APPS, "replicasets", "replicaset", "ReplicaSet", STORED, Source::Plain(&workload::REPLICA_SET))
        .short(&["rs"])
        .categories(&["all"]),
    entry(APPS, "replicasets/scale", "", "Scale", STATUS, Source::View(View::Scale)).kind_of(AUTOSCALING),
    entry(APPS, "replicasets/status", "", "ReplicaSet", STATUS, Source::View(View::WorkloadStatus)),
    entry(APPS, "statefulsets", "statefulset", "StatefulSet", STORED, Source::Plain(&workload::STATEFUL_SET))
        .short(&["sts"])
        .categories(&["all"]),
    entry(APPS, "statefulsets/scale", "", "Scale", STATUS, Source::View(View::Scale)).kind_of(AUTOSCALING),
    entry(APPS, "statefulsets/status", "", "StatefulSet", STATUS, Source::View(View::WorkloadStatus)),
    entry(
        DEPLOY,
        "deploymentconfigs",
        "deploymentconfig",
        "DeploymentConfig",
        STORED,
        Source::Plain(&workload::DEPLOYMENT_CONFIG),
    )
    .advice(DEPLOYMENT_CONFIGS_END)
    .short(&["dc"])
    .categories(&["all"]),
    entry(DEPLOY, "deploymentconfigs/scale", "", "Scale", STATUS, Source::View(View::Scale))
        .kind_of(EXTENSIONS),
    entry(
        DEPLOY,
        "deploymentconfigs/status",
        "",
        "DeploymentConfig",
        STATUS,
        Source::View(View::WorkloadStatus),
    ),
    entry(
        DEPLOY,
        "deploymentconfigs/instantiate",
        "",
        "DeploymentRequest",
        &["create"],
        Source::View(View::RollOut),
    ),
    entry(BATCH, "cronjobs", "cronjob", "CronJob", STORED, Source::Plain(&workload::CRON_JOB))
        .short(&["cj"])
        .categories(&["all"]),
    entry(BATCH, "cronjobs/status", "", "CronJob", STATUS, Source::View(View::WorkloadStatus)),
    entry(BATCH, "jobs", "job", "Job", STORED, Source::Plain(&workload::JOB)).categories(&["all"]),
    entry(BATCH, "jobs/status", "", "Job", STATUS, Source::View(View::WorkloadStatus)),
    entry(
        BUILD,
        "buildconfigs",
        "buildconfig",
        "BuildConfig",
        STORED,
        Source::Plain(&workload::BUILD_CONFIG),
    )
    .short(&["bc"])
    .categories(&["all"]),
    entry(BUILD, "buildconfigs/instantiate", "", "BuildRequest", &["create"], Source::View(View::StartBuild)),
    entry(BUILD, "builds", "build", "Build", STORED, Source::Plain(&workload::BUILD)).categories(&["all"]),
    entry(BUILD, "builds/status", "", "Build", STATUS, Source::View(View::WorkloadStatus)),
    entry(
        CONFIG,
        "imagedigestmirrorsets",
        "imagedigestmirrorset",
        "ImageDigestMirrorSet",
        STORED,
        Source::Plain(&plain::CONFIGURATION),
    )
    .cluster()
    .short(&["idms"]),
    entry(CONFIG, "images", "image", "Image", STORED, Source::Plain(&plain::CONFIGURATION)).cluster(),
    entry(
        CONFIG,
        "imagetagmirrorsets",
        "imagetagmirrorset",
        "ImageTagMirrorSet",
        STORED,
        Source::Plain(&plain::CONFIGURATION),
    )
    .cluster()
    .short(&["itms"]),
    entry(
        CORE,
        "serviceaccounts",
        "serviceaccount",
        "ServiceAccount",
        STORED,
        Source::Plain(&core::SERVICE_ACCOUNT),
    )
    .short(&["sa"]),
    entry(CORE, "serviceaccounts/token", "", "TokenRequest", CREATE, Source::View(View::AccountToken))
        .kind_of(IDENTITY),
    entry(IDENTITY, "selfsubjectreviews", "selfsubjectreview", "SelfSubjectReview", CREATE, IDENTITY_VIEW)
        .cluster(),
    entry(IDENTITY, "tokenreviews", "tokenreview", "TokenReview", CREATE, IDENTITY_VIEW).cluster(),
    entry(
        ACCESS,
        "localsubjectaccessreviews",
        "localsubjectaccessreview",
        "LocalSubjectAccessReview",
        CREATE,
        REVIEW,
    ),
    entry(
        ACCESS,
        "selfsubjectaccessreviews",
        "selfsubjectaccessreview",
        "SelfSubjectAccessReview",
        CREATE,
        REVIEW,
    )
    .cluster(),
    entry(
        ACCESS,
        "selfsubjectrulesreviews",
        "selfsubjectrulesreview",
        "SelfSubjectRulesReview",
        CREATE,
        REVIEW,
    )
    .cluster(),
    entry(ACCESS, "subjectaccessreviews", "subjectaccessreview", "SubjectAccessReview", CREATE, REVIEW)
        .cluster(),
    entry(OLD_ACCESS, "clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding", SINGLE, OLD_RBAC)
        .cluster(),
    entry(OLD_ACCESS, "clusterroles", "clusterrole", "ClusterRole", SINGLE, OLD_RBAC).cluster(),
    entry(
        OLD_ACCESS,
        "localresourceaccessreviews",
        "localresourceaccessreview",
        "LocalResourceAccessReview",
        CREATE,
        OLD_REVIEW,
    ),
    entry(
        OLD_ACCESS,
        "localsubjectaccessreviews",
        "localsubjectaccessreview",
        "LocalSubjectAccessReview",
        CREATE,
        OLD_REVIEW,
    ),
    entry(
        OLD_ACCESS,
        "resourceaccessreviews",
        "resourceaccessreview",
        "ResourceAccessReview",
        CREATE,
        OLD_REVIEW,
    )
    .cluster(),
    entry(OLD_ACCESS, "rolebindings", "rolebinding", "RoleBinding", SINGLE, OLD_RBAC),
    entry(OLD_ACCESS, "roles", "role", "Role", SINGLE, OLD_RBAC),
    entry(
        OLD_ACCESS,
        "selfsubjectrulesreviews",
        "selfsubjectrulesreview",
        "SelfSubjectRulesReview",
        CREATE,
        OLD_REVIEW,
    ),
    entry(
        OLD_ACCESS,
        "subjectaccessreviews",
        "subjectaccessreview",
        "SubjectAccessReview",
        CREATE,
        OLD_REVIEW,
    )
    .cluster(),
    entry(OLD_ACCESS, "subjectrulesreviews", "subjectrulesreview", "SubjectRulesReview", CREATE, OLD_REVIEW),
    entry(IMAGE, "images", "image", "Image", STORED, Source::Image).cluster(),
    entry(
        IMAGE,
        "imagesignatures",
        "imagesignature",
        "ImageSignature",
        &["create", "delete"],
        Source::View(View::Signature),
    )
    .cluster(),
    entry(
        IMAGE,
        "imagestreamimages",
        "imagestreamimage",
        "ImageStreamImage",
        &["get"],
        Source::View(View::StreamImage),
    )
    .short(&["isimage"]),
    entry(
        IMAGE,
        "imagestreamimports",
        "imagestreamimport",
        "ImageStreamImport",
        &["create"],
        Source::View(View::Import),
    ),
    entry(
        IMAGE,
        "imagestreammappings",
        "imagestreammapping",
        "ImageStreamMapping",
        &["create"],
        Source::View(View::Mapping),
    ),
    entry(IMAGE, "imagestreams", "imagestream", "ImageStream", STORED, Source::Stream)
        .short(&["is"])
        .categories(&["all"]),
    entry(IMAGE, "imagestreams/layers", "", "ImageStreamLayers", &["get"], Source::View(View::StreamLayers)),
    entry(IMAGE, "imagestreams/secrets", "", "SecretList", &["get"], Source::View(View::StreamSecrets)),
    entry(
        IMAGE,
        "imagestreams/status",
        "",
        "ImageStream",
        &["get", "patch", "update"],
        Source::View(View::StreamStatus),
    ),
    entry(
        IMAGE,
        "imagestreamtags",
        "imagestreamtag",
        "ImageStreamTag",
        SINGLE,
        Source::View(View::StreamTag),
    )
    .short(&["istag"]),
    entry(IMAGE, "imagetags", "imagetag", "ImageTag", SINGLE, Source::View(View::ImageTag)).short(&["itag"]),
    entry(
        OPERATOR,
        "imagecontentsourcepolicies",
        "imagecontentsourcepolicy",
        "ImageContentSourcePolicy",
        STORED,
        Source::Plain(&plain::CONFIGURATION),
    )
    .cluster(),
    entry(
        OAUTH,
        "oauthaccesstokens",
        "oauthaccesstoken",
        "OAuthAccessToken",
        STORED,
        Source::Plain(&oauth::TOKEN),
    )
    .cluster(),
    entry(
        OAUTH,
        "oauthauthorizetokens",
        "oauthauthorizetoken",
        "OAuthAuthorizeToken",
        STORED,
        Source::Plain(&oauth::TOKEN),
    )
    .cluster(),
    entry(
        PROJECT,
        "projectrequests",
        "projectrequest",
        "ProjectRequest",
        &["create", "list"],
        Source::View(View::ProjectRequest),
    )
    .cluster(),
    entry(
        PROJECT,
        "projects",
        "project",
        "Project",
        &["create", "delete", "get", "list", "patch", "update", "watch"],
        Source::View(View::Project),
    )
    .cluster(),
    entry(
        RBAC,
        "clusterrolebindings",
        "clusterrolebinding",
        "ClusterRoleBinding",
        STORED,
        Source::Plain(&kinds::CLUSTER_ROLE_BINDING),
    )
    .cluster(),
    entry(RBAC, "clusterroles", "clusterrole", "ClusterRole", STORED, Source::Plain(&kinds::CLUSTER_ROLE))
        .cluster(),
    entry(RBAC, "rolebindings", "rolebinding", "RoleBinding", STORED, Source::Plain(&kinds::ROLE_BINDING)),
    entry(RBAC, "roles", "role", "Role", STORED, Source::Plain(&kinds::ROLE)),
    entry(USER, "groups", "group", "Group", STORED, Source::Plain(&groups::RULES)).cluster(),
    entry(USER, "identities", "identity", "Identity", READ, Source::View(View::Person)).cluster(),
    entry(USER, "users", "user", "User", READ, Source::View(View::Person)).cluster(),
    entry(WEIR, "upstreams", "upstream", "Upstream", &["get", "list"], Source::View(View::Upstream))
        .cluster(),
    entry(
        WEIR,
        "deliveries",
        "delivery",
        "Delivery",
        &["delete", "deletecollection", "get", "list", "watch"],
        Source::Plain(&deliver::DELIVERY),
    ),
    entry(WEIR, "deliveries/retry", "", "Delivery", CREATE, Source::View(View::Retry)),
    entry(WEIR, "hooks", "hook", "Hook", STORED, Source::Plain(&hooks::HOOK)).cluster(),
    entry(WEIR, "imagestreams/follows", "", "FollowList", &["get"], Source::View(View::Follows)),
    entry(WEIR, "imagestreams/ledger", "", "LedgerEntryList", &["get"], Source::View(View::Ledger)),
    entry(WEIR, "imagestreams/triggers", "", "ConsumerList", &["get"], Source::View(View::Consumers)),
    entry(
        WEIR,
        "objecttriggers",
        "objecttrigger",
        "ObjectTrigger",
        STORED,
        Source::Plain(&deliver::OBJECT_TRIGGER),
    ),
    entry(
        WEIR,
        "webhooktriggers",
        "webhooktrigger",
        "WebhookTrigger",
        STORED,
        Source::Plain(&deliver::WEBHOOK_TRIGGER),
    ),
];

/// The entries by their plural names, without subresources: every request looks several up.
static BY_PLURAL: LazyLock<HashMap<&str, Vec<&Resource>>> = LazyLock::new(|| {
    let mut all: HashMap<&str, Vec<&Resource>> = HashMap::new();
    for entry in RESOURCES {
        all.entry(entry.names().0).or_default().push(entry);
    }
    all
});

/// The entry of a resource (or, with a subresource, of that).
pub fn find(group: &str, version: &str, resource: &str, subresource: &str) -> Option<&'static Resource> {
    let entries = BY_PLURAL.get(resource)?;
    let found = entries
        .iter()
        .find(|entry| entry.group == group && entry.version == version && entry.names().1 == subresource);
    found.copied()
}

/// The entry of stored images.
pub fn images() -> &'static Resource {
    static IMAGES: LazyLock<&Resource> =
        LazyLock::new(|| find(IMAGE.0, IMAGE.1, "images", "").expect("the table lists images"));
    &IMAGES
}

/// The entries of the objects that say which registries are blocked, insecure or mirrored.
pub fn registry_configuration() -> RegistryConfiguration {
    let find = |(group, version): (&str, &str), plural: &str| {
        find(group, version, plural, "").expect("the table lists the configuration of registries")
    };
    RegistryConfiguration {
        images: find(CONFIG, "images"),
        digest_mirror_sets: find(CONFIG, "imagedigestmirrorsets"),
        tag_mirror_sets: find(CONFIG, "imagetagmirrorsets"),
        content_source_policies: find(OPERATOR, "imagecontentsourcepolicies"),
    }
}

/// The entry of stored streams.
pub fn streams() -> &'static Resource {
    static STREAMS: LazyLock<&Resource> =
        LazyLock::new(|| find(IMAGE.0, IMAGE.1, "imagestreams", "").expect("the table lists streams"));
    &STREAMS
}

/// The entry of namespaces.
pub fn namespaces() -> &'static Resource {
    find("", "v1", "namespaces", "").expect("the table lists namespaces")
}

/// The entry of secrets.
pub fn secrets() -> &'static Resource {
    find("", "v1", "secrets", "").expect("the table lists secrets")
}

/// The entry that a subresource belongs to; an entry of its own otherwise.
pub fn parent(entry: &'static Resource) -> &'static Resource {
    let plural = entry.plural.split('/').next().unwrap_or_default();
    find(entry.group, entry.version, plural, "").unwrap_or(entry)
}
