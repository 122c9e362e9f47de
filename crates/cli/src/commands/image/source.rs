//! Where images are read from: references, tags with wildcards, credentials, and connections to registries.

use std::path::PathBuf;
use std::sync::Arc;

use oci::client::{RepositoryClient, RepositorySettings, Selector, Transport, WebSettings, WebTransport};
use oci::keyring::{Keyring, SecretFormat};
use oci::reference::{Named, Reference};
use regex::Regex;

use crate::app::App;
use crate::failure::{Failure, plain};

/// How registries are asked.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Flags {
    /// File with credentials for registries (also $REGISTRY_AUTH_FILE)
    #[arg(short = 'a', long, default_value = "")]
    registry_config: String,
    /// Take any certificate, and speak plain HTTP where there is no TLS
    #[arg(long)]
    insecure: bool,
}

/// A single image, by tag or digest.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// As it was written.
    pub(super) name: String,
    pub(super) named: Named,
}

impl Source {
    fn of(reference: &Reference) -> Result<Source, Failure> {
        let text = reference.exact();
        let named = Named::parse(&text).map_err(|error| invalid(&text, &error))?.tag_by_default();
        let name = if reference.tag.is_empty() && reference.id.is_empty() { named.to_string() } else { text };
        Ok(Source { name, named })
    }

    /// What its manifest is asked for by.
    pub(super) fn selector(&self) -> Selector {
        match (self.named.digest(), self.named.tag()) {
            (Some(digest), _) => Selector::Digest(digest.clone()),
            (None, tag) => Selector::Tag(tag.unwrap_or(oci::reference::DEFAULT_TAG).to_owned()),
        }
    }
}

fn invalid(text: &str, error: &dyn std::fmt::Display) -> Failure {
    plain(format!("{} is not a valid image reference: {error}", machinery::field::quote(text)))
}

/// Registries and what is known of them.
pub(super) struct Registries {
    transport: Arc<dyn Transport>,
    keyring: Keyring,
    insecure: bool,
}

impl Registries {
    /// Reads credentials; asks nobody yet.
    pub(super) fn open(app: &App, flags: &Flags) -> Result<Registries, Failure> {
        let extra_roots = match &app.globals.certificate_authority {
            None => Vec::new(),
            Some(file) => {
                let read = std::fs::read(file);
                vec![read.map_err(|error| {
                    plain(format!("unable to read certificate-authority {file}: {error}"))
                })?]
            }
        };
        let user_agent = concat!("weir/", env!("CARGO_PKG_VERSION")).to_owned();
        let web = WebTransport::new(WebSettings { extra_roots, user_agent, ..WebSettings::default() });
        let web = web.map_err(|error| plain(error.to_string()))?;
        Ok(Registries { transport: Arc::new(web), keyring: keyring(flags)?, insecure: flags.insecure })
    }

    /// A connection to the repository of an image.
    pub(super) fn repository(&self, source: &Source) -> Result<RepositoryClient, Failure> {
        let settings = RepositorySettings {
            credentials: self.keyring.lookup(&source.named.repository()).cloned(),
            insecure: self.insecure,
            bucket: None,
            ..RepositorySettings::of(&source.named)
        };
        RepositoryClient::new(Arc::clone(&self.transport), settings).map_err(|error| plain(error.to_string()))
    }

    /// The images that a text means: one, or every tag that fits its `*`, the last in order first.
    pub(super) async fn expand(&self, text: &str) -> Result<Vec<Source>, Failure> {
        let Some((repository, pattern)) = wildcard(text) else {
            let reference = Reference::parse(text).map_err(|error| invalid(text, &error))?;
            return Ok(vec![Source::of(&reference)?]);
        };
        let reference = Reference::parse(repository).map_err(|error| invalid(text, &error))?;
        let client = self.repository(&Source::of(&reference)?)?;
        let listed = client.list_tags().await;
        let mut tags =
            listed.map_err(|error| plain(format!("unable to list tags of {repository}: {error}")))?;
        tags.sort_unstable();
        let fitting = tags.into_iter().rev().filter(|tag| pattern.is_match(tag));
        fitting.map(|tag| Source::of(&Reference { tag, ..reference.clone() })).collect()
    }
}

/// The repository and the pattern of a reference whose tag has a `*`.
fn wildcard(text: &str) -> Option<(&str, Regex)> {
    let (repository, tag) = text.rsplit_once(':')?;
    if tag.contains('/') || !tag.contains('*') {
        return None;
    }
    let parts: Vec<String> = tag.split('*').map(regex::escape).collect();
    let pattern = Regex::new(&format!("^{}$", parts.join(".*"))).ok()?;
    Some((repository, pattern))
}

/// The credentials of the file that was named, or of those that container tools write.
fn keyring(flags: &Flags) -> Result<Keyring, Failure> {
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let named = Some(flags.registry_config.clone()).filter(|file| !file.is_empty());
    let named = named.or_else(|| env("REGISTRY_AUTH_FILE")).map(PathBuf::from);
    let podman =
        env("XDG_RUNTIME_DIR").map(|directory| PathBuf::from(directory).join("containers/auth.json"));
    let docker = match env("DOCKER_CONFIG") {
        Some(directory) => Some(PathBuf::from(directory).join("config.json")),
        None => env("HOME").map(|home| PathBuf::from(home).join(".docker/config.json")),
    };
    let must_exist = named.is_some();
    let files = named.map_or_else(|| podman.into_iter().chain(docker).collect(), |file| vec![file]);
    let mut keyring = Keyring::new();
    for file in files {
        let failed = |error: &dyn std::fmt::Display| {
            plain(format!("unable to load registry credentials from {}: {error}", file.display()))
        };
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => continue,
            Err(error) => return Err(failed(&error)),
        };
        keyring.add_secret(SecretFormat::DockerConfigJson, &bytes).map_err(|error| failed(&error))?;
    }
    Ok(keyring)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_in_a_tag_fits_any_text() {
        let check = |text: &str, tag: &str, want: bool| {
            let (repository, pattern) = wildcard(text).unwrap();
            assert_eq!((repository, pattern.is_match(tag)), ("h:5000/a/b", want), "{text} {tag}");
        };
        check("h:5000/a/b:3.*", "3.7", true);
        check("h:5000/a/b:3.*", "3x7", false);
        check("h:5000/a/b:*-slim", "3.7-slim", true);
        check("h:5000/a/b:*-slim", "3.7-slim2", false);
        assert!(wildcard("h:5000/a/b:3.7").is_none() && wildcard("h*:5000/a/b").is_none());
    }

    #[test]
    fn names_stay_as_they_were_written() {
        let source = |text: &str| Source::of(&Reference::parse(text).unwrap()).unwrap();
        assert_eq!(source("h:5000/a/b:1").name, "h:5000/a/b:1");
        assert_eq!(source("busybox").name, "docker.io/library/busybox:latest");
        assert_eq!(source("busybox").named.host(), "registry-1.docker.io");
        let pinned = format!("h:5000/a/b@sha256:{}", "0".repeat(64));
        assert!(matches!(source(&pinned).selector(), Selector::Digest(_)));
    }
}
