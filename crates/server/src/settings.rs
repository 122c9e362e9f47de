//! What an operator can set, with the defaults.
//!
//! One plain structure that flags and the YAML file both fill; every part of the server reads it and nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

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
    /// Login by name and password.
    pub login: Option<LoginSettings>,
    /// A proxy that has authenticated users already.
    pub front_proxy: Option<FrontProxySettings>,
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
    /// Seconds between two imports of a scheduled tag.
    pub scheduled_import_seconds: u64,
    /// Scheduled imports that may start in a minute.
    pub scheduled_imports_per_minute: u32,
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

impl Default for ImageSettings {
    fn default() -> ImageSettings {
        ImageSettings {
            internal_registry_hostname: String::new(),
            external_registry_hostname: String::new(),
            allowed_registries_for_import: Vec::new(),
            max_images_bulk_imported_per_repository: 0,
            image_stream_import_mode: String::new(),
            scheduled_import_seconds: 15 * 60,
            scheduled_imports_per_minute: 60,
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

    /// The import mode of tags that name none.
    pub fn import_mode(&self) -> &str {
        if self.image_stream_import_mode.is_empty() { "Legacy" } else { &self.image_stream_import_mode }
    }

    /// Time between two imports of a scheduled tag.
    pub fn scheduled_period(&self) -> Duration {
        Duration::from_secs(self.scheduled_import_seconds.max(1))
    }
}
