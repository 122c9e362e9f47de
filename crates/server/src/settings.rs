//! What an operator can set, with the defaults.
//!
//! One plain structure that flags and the YAML file both fill; every part of the server reads it and nothing else.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

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
    /// Seconds between two imports of a scheduled tag; streams and tags may ask for another period.
    pub scheduled_import_seconds: u64,
    /// Requests that scheduled imports send to one registry, as one account, in a minute; less when the registry says so.
    pub scheduled_imports_per_minute: u32,
    /// Tags that are taken of a repository that is followed as a whole; 0 means 1000, -1 all.
    pub max_images_followed_per_repository: i64,
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
            scheduled_imports_per_minute: 6000,
            max_images_followed_per_repository: 0,
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

    /// Tags that are taken of a repository that is followed as a whole; `None` means all.
    pub fn follow_limit(&self) -> Option<usize> {
        const DEFAULT: usize = 1000;
        match self.max_images_followed_per_repository {
            0 => Some(DEFAULT),
            limit => usize::try_from(limit).ok(),
        }
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
