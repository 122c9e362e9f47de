//! What an operator can set, with the defaults.
//!
//! One plain structure that flags and the YAML file both fill; every part of the server reads it and nothing else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oci::client::{AddressPolicy, Network};
use serde::Deserialize;

use crate::control::Pace;
use crate::limits;

/// The server's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything that must last is kept.
    pub data_dir: PathBuf,
    /// Address of the API.
    pub listen: SocketAddr,
    /// Address of the integrated registry.
    pub registry_listen: SocketAddr,
    /// Further names and addresses that the server's certificate is to be good for.
    pub names: Vec<String>,
    /// What streams and imports follow.
    pub images: ImageSettings,
    /// How many requests at once.
    pub requests: RequestSettings,
    /// Who did what.
    pub audit: AuditSettings,
    /// Login by name and password.
    pub login: Option<LoginSettings>,
    /// A proxy that has authenticated users already.
    pub front_proxy: Option<FrontProxySettings>,
    /// The integrated registry.
    pub registry: RegistrySettings,
    /// An identity provider whose tokens are taken.
    pub oidc: Option<OidcSettings>,
    /// Events that go out.
    pub webhooks: WebhookSettings,
    /// Workloads elsewhere that follow tags.
    pub workloads: WorkloadSettings,
}

/// Workloads of another cluster that follow tags of this server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadSettings {
    /// How the cluster is reached: a kubeconfig, or `in-cluster` for the one that this server runs in.
    pub kubeconfig: Option<PathBuf>,
    /// Which of the kubeconfig's contexts; empty for its current one.
    pub context: String,
    /// Kinds besides the usual ones, as `GROUP/VERSION/KIND`: their annotation says by a JSON path where images go.
    pub kinds: Vec<String>,
}

/// Events that go out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookSettings {
    /// Networks (`10.1.0.0/16`) whose receivers may be reached although they are inside: nothing else on this machine, in
    /// private networks or on a link is.
    pub allowed_networks: Vec<String>,
}

impl WebhookSettings {
    /// Which addresses events may go to.
    ///
    /// # Errors
    /// When an entry is no network.
    pub fn addresses(&self) -> Result<AddressPolicy, String> {
        let networks: Result<Vec<Network>, _> =
            self.allowed_networks.iter().map(|text| text.parse()).collect();
        networks.map(AddressPolicy::outside).map_err(|error| format!("webhooks.allowedNetworks: {error}"))
    }
}

/// The integrated registry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistrySettings {
    /// Whether content that is pulled through from other registries is kept here.
    pub mirror: bool,
    /// The registry's counters at its own address; the API's `/metrics` has them in any case.
    pub metrics: RegistryMetrics,
    /// An object store for content; without it content is kept in files below the data directory.
    pub s3: Option<S3Settings>,
    /// A directory that Docker's registry has filled and nobody writes to any more: what it holds is taken over.
    pub adopt: Option<PathBuf>,
    /// Who is told what happens in the registry.
    pub notifications: Vec<EndpointSettings>,
}

/// An endpoint that is told, as CloudEvents over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndpointSettings {
    /// Where events are sent to.
    pub url: String,
    /// File with a token that is sent along.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// `push`, `pull`, `delete`; empty means all.
    #[serde(default)]
    pub actions: Vec<String>,
}

/// An object store that speaks S3. Keys that are not given come from the environment, as for other programs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3Settings {
    /// Bucket.
    pub bucket: String,
    /// Region.
    #[serde(default)]
    pub region: Option<String>,
    /// Address of a store that is not Amazon's.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Id of the key.
    #[serde(default)]
    pub access_key_id: Option<String>,
    /// File that holds the key itself.
    #[serde(default)]
    pub secret_access_key_file: Option<PathBuf>,
    /// Whether it may be spoken to without TLS.
    #[serde(default)]
    pub allow_http: bool,
    /// Whether clients are sent to the store for content.
    #[serde(default)]
    pub redirect: bool,
}

/// The registry's counters at its own address.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistryMetrics {
    /// Whether they can be read there.
    pub enabled: bool,
    /// A token that is good for them alone; without it, a right on `registry/metrics` is needed.
    pub secret: String,
}

impl std::fmt::Debug for RegistryMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryMetrics").field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

/// How many requests of each kind may be in flight at once; no user has more than a fair share of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestSettings {
    /// Requests that read.
    pub reading: usize,
    /// Requests that change something.
    pub changing: usize,
    /// Imports that somebody waits for.
    pub importing: usize,
    /// Watches.
    pub watching: usize,
}

/// The audit log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditSettings {
    /// `off`, or the file that lines are appended to (relative to the data directory); empty means `audit.log` in the data directory.
    pub log: String,
    /// Size of a file (MiB) after which a new one is begun; 0 means never.
    pub max_megabytes: u64,
    /// Old files that are kept.
    pub keep: u32,
}

/// Login by name and password.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoginSettings {
    /// Names with bcrypt hashes, as `htpasswd -B` writes them; read anew when the file changes.
    pub htpasswd_file: PathBuf,
    /// Seconds that an access token is good for.
    #[serde(default = "day")]
    pub access_token_seconds: u64,
}

const fn day() -> u64 {
    24 * 3600
}

/// A proxy that has authenticated users already, as an aggregating API server is.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FrontProxySettings {
    /// Certificates of the authority that signs the proxy's.
    pub client_ca_file: PathBuf,
    /// Names the proxy's certificate may carry; empty means any.
    #[serde(default)]
    pub allowed_names: Vec<String>,
}

/// An identity provider (OpenID Connect) whose tokens are taken.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OidcSettings {
    /// What tokens and the provider's configuration name as the issuer, to the letter; begins with https.
    pub issuer_url: String,
    /// Whom tokens are for; one of these must be among a token's audiences.
    pub audiences: Vec<String>,
    /// The claim that is a user's name.
    #[serde(default = "subject")]
    pub username_claim: String,
    /// What is put before names; without it the issuer and `#`, or nothing before e-mail addresses.
    #[serde(default)]
    pub username_prefix: Option<String>,
    /// The claim that lists a user's groups; without it there are none.
    #[serde(default)]
    pub groups_claim: Option<String>,
    /// What is put before groups.
    #[serde(default)]
    pub groups_prefix: String,
    /// Claims that tokens must have, with their values.
    #[serde(default)]
    pub required_claims: BTreeMap<String, String>,
    /// Certificates (PEM) that the provider's may be signed by, beside the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

fn subject() -> String {
    "sub".to_owned()
}

/// Settings about images, streams and imports. The names are those of OpenShift's `imagePolicyConfig` where it has them.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageSettings {
    /// Host and port of the integrated registry as workloads see it; shown in `status.dockerImageRepository`.
    pub internal_registry_hostname: String,
    /// Host of the integrated registry as seen from outside; shown in `status.publicDockerImageRepository`.
    pub external_registry_hostname: String,
    /// Registries that may be imported from; empty means all.
    pub allowed_registries_for_import: Vec<AllowedRegistry>,
    /// Tags that one repository import takes; 0 means 50, -1 all.
    pub max_images_bulk_imported_per_repository: i64,
    /// Import mode of tags that name none: `Legacy` or `PreserveOriginal`.
    pub image_stream_import_mode: String,
    /// Seconds between two imports of a scheduled tag.
    pub scheduled_import_seconds: u64,
    /// Tags of a repository that are followed when a stream follows a whole repository; 0 and -1 mean all.
    pub max_images_followed_per_repository: i64,
    /// Looks at followed tags that may start in a minute; -1 for as many as the registries allow, 0 for none at all.
    pub scheduled_imports_per_minute: i64,
    /// Imports that the server runs at once by itself.
    pub concurrent_imports: usize,
}

/// A registry that may be imported from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedRegistry {
    /// `host[:port]`, with `*` and `?` as wildcards.
    pub domain_name: String,
    /// Without a port, 80 is meant instead of 443.
    pub insecure: bool,
}

impl Default for RequestSettings {
    fn default() -> RequestSettings {
        RequestSettings {
            reading: limits::READS,
            changing: limits::WRITES,
            importing: limits::IMPORTS,
            watching: limits::WATCHES,
        }
    }
}

impl Default for RegistrySettings {
    fn default() -> RegistrySettings {
        RegistrySettings {
            mirror: true,
            metrics: RegistryMetrics::default(),
            s3: None,
            adopt: None,
            notifications: Vec::new(),
        }
    }
}

impl Default for AuditSettings {
    fn default() -> AuditSettings {
        AuditSettings { log: String::new(), max_megabytes: 100, keep: 5 }
    }
}

impl AuditSettings {
    /// The file that lines are appended to; `None` when the log is off.
    pub fn path(&self, data_dir: &Path) -> Option<PathBuf> {
        match self.log.as_str() {
            "off" => None,
            "" => Some(data_dir.join("audit.log")),
            path => Some(data_dir.join(path)),
        }
    }
}

impl Default for ImageSettings {
    fn default() -> ImageSettings {
        ImageSettings {
            internal_registry_hostname: String::new(),
            external_registry_hostname: String::new(),
            allowed_registries_for_import: Vec::new(),
            max_images_bulk_imported_per_repository: 0,
            image_stream_import_mode: String::new(),
            scheduled_import_seconds: 15 * 60,
            max_images_followed_per_repository: 0,
            scheduled_imports_per_minute: -1,
            concurrent_imports: 8,
        }
    }
}

impl ImageSettings {
    /// Tags that one repository import takes; `None` means all.
    pub fn bulk_limit(&self) -> Option<usize> {
        const DEFAULT: usize = 50;
        match self.max_images_bulk_imported_per_repository {
            0 => Some(DEFAULT),
            limit => usize::try_from(limit).ok(),
        }
    }

    /// Tags of a repository that are followed; `None` means all.
    pub fn followed_limit(&self) -> Option<usize> {
        usize::try_from(self.max_images_followed_per_repository).ok().filter(|limit| *limit > 0)
    }

    /// How many looks at followed tags may start.
    pub fn scheduled_pace(&self) -> Pace {
        u32::try_from(self.scheduled_imports_per_minute).map_or(Pace::Free, Pace::PerMinute)
    }

    /// The import mode of tags that name none.
    pub fn import_mode(&self) -> &str {
        if self.image_stream_import_mode.is_empty() { "Legacy" } else { &self.image_stream_import_mode }
    }

    /// Time between two imports of a scheduled tag.
    pub fn scheduled_period(&self) -> Duration {
        Duration::from_secs(self.scheduled_import_seconds.max(1))
    }
}
