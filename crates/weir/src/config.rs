//! The server's configuration file: the same settings as the flags, and more, as YAML. Flags win.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use server::settings::{
    AuditSettings, FrontProxySettings, ImageSettings, LoginSettings, OidcSettings, RegistrySettings,
    RequestSettings, WebhookSettings, WorkloadSettings,
};

/// What a configuration file can hold.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct File {
    /// Where everything that must last is kept.
    pub data_dir: Option<PathBuf>,
    /// Address of the API.
    pub listen: Option<SocketAddr>,
    /// Address of the integrated registry.
    pub registry_listen: Option<SocketAddr>,
    /// Further names the server's certificate is to be good for.
    pub names: Vec<String>,
    /// Images, streams and imports.
    pub image_policy_config: ImageSettings,
    /// Requests in flight at once.
    pub requests: RequestSettings,
    /// The audit log.
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

/// Reads a configuration file.
///
/// # Errors
/// When it cannot be read or holds something that is not known; the message names the place.
pub(crate) fn read(path: &Path) -> Result<File> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("{} is not a configuration of weir", path.display()))
}

fn parse(text: &str) -> Result<File> {
    if text.trim().is_empty() {
        return Ok(File::default());
    }
    Ok(serde_saphyr::from_str(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_sets_what_it_names_and_no_more() {
        let file = parse(
            "listen: 0.0.0.0:8443\nimagePolicyConfig:\n  internalRegistryHostname: r:5000\n  \
             allowedRegistriesForImport:\n  - domainName: quay.io\n",
        )
        .unwrap();
        assert_eq!(file.listen, Some("0.0.0.0:8443".parse().unwrap()));
        assert_eq!(file.image_policy_config.internal_registry_hostname, "r:5000");
        assert_eq!(file.image_policy_config.allowed_registries_for_import[0].domain_name, "quay.io");
        assert_eq!(file.image_policy_config.scheduled_import_seconds, 900);
        assert_eq!(file.data_dir, None);
    }

    #[test]
    fn the_registry_may_keep_content_in_an_object_store() {
        let text = "registry:\n  mirror: false\n  s3:\n    bucket: images\n    allowHttp: true\n";
        let registry = parse(text).unwrap().registry;
        assert!(!registry.mirror && !registry.metrics.enabled);
        let s3 = registry.s3.unwrap();
        assert_eq!((s3.bucket.as_str(), s3.allow_http, s3.redirect), ("images", true, false));
        assert!(parse("registry:\n  s3: {region: nowhere}\n").is_err());
        assert_eq!(parse("").unwrap().registry, RegistrySettings::default());
    }

    #[test]
    fn requests_and_the_audit_log_have_defaults_for_what_is_not_said() {
        let file = parse("requests:\n  importing: 7\naudit:\n  log: off\n").unwrap();
        assert_eq!(file.requests, RequestSettings { importing: 7, ..RequestSettings::default() });
        assert_eq!(file.audit, AuditSettings { log: "off".into(), ..AuditSettings::default() });
        assert_eq!(file.audit.path(Path::new("/data")), None);
        assert_eq!(AuditSettings::default().path(Path::new("/data")), Some("/data/audit.log".into()));
        assert!(parse("audit:\n  keeep: 1\n").is_err());
    }

    #[test]
    fn unknown_settings_are_refused() {
        assert!(parse("lisen: 1.2.3.4:5\n").unwrap_err().to_string().contains("lisen"));
        assert!(parse("").is_ok());
    }
}
