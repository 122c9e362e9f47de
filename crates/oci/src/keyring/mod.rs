//! Pull secrets as a keyring: which credentials belong to which image.
//!
//! The rules are those of Kubernetes' kubelet, as the reference applies them: every secret is read up front (one that
//! cannot be read spoils the whole keyring), keys are tried longest path first, a key's host is matched label by label
//! with globs and its port as text, its path as a plain prefix, and only the first credential of the first matching key
//! is used.

mod pattern;
mod secret;

pub use secret::{SecretError, SecretFormat};

use std::collections::BTreeMap;
use std::fmt;

use crate::reference::{DEFAULT_REGISTRY, DEFAULT_REGISTRY_V1};
use pattern::Pattern;

/// A user name and a password; neither is shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// The user's name.
    pub username: String,
    /// The password or token.
    pub password: String,
}

impl Credentials {
    /// Both are needed for them to be sent anywhere.
    pub fn are_complete(&self) -> bool {
        !self.username.is_empty() && !self.password.is_empty()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(hidden)")
    }
}

/// Credentials by key.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    /// Normalised key to its pattern and credentials, in the order in which they were added.
    entries: BTreeMap<String, (Pattern, Vec<Credentials>)>,
}

impl Keyring {
    /// A keyring without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds every entry of one secret's data, behind what is there already.
    ///
    /// Keys that are no host (a broken URL) are passed over, as the reference does.
    pub fn add_secret(&mut self, format: SecretFormat, data: &[u8]) -> Result<(), SecretError> {
        for (key, credentials) in secret::parse(format, data)? {
            self.add(&key, credentials);
        }
        Ok(())
    }

    /// Adds one entry.
    pub fn add(&mut self, key: &str, credentials: Credentials) {
        let Some((key, pattern)) = Pattern::parse(key) else {
            tracing::debug!(key, "a pull secret's key is no registry; passed over");
            return;
        };
        let (_, known) = self.entries.entry(key).or_insert_with(|| (pattern, Vec::new()));
        if !known.contains(&credentials) {
            known.push(credentials);
        }
    }

    /// Whether there is nothing to look up.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The credentials for an image, given as `host/path[:tag|@digest]` with Docker Hub's defaults filled in.
    ///
    /// Credentials found here belong to that image's registry alone: never send them to another host.
    pub fn lookup(&self, image: &str) -> Option<&Credentials> {
        self.lookup_all(image).next()
    }

    /// All credentials for an image, the most specific first, for those who may try one after the other.
    pub fn lookup_all(&self, image: &str) -> impl Iterator<Item = &Credentials> {
        let (host, path) = image.split_once('/').unwrap_or((image, ""));
        // Reverse order: `host/path` comes before `host`, so the longest path is tried first.
        let mut matching: Vec<_> =
            self.entries.values().rev().filter(|(pattern, _)| pattern.matches(host, path)).collect();
        if matching.is_empty() && is_on_hub(host) {
            matching.extend(self.entries.get(DEFAULT_REGISTRY_V1));
        }
        matching.into_iter().flat_map(|(_, credentials)| credentials)
    }
}

fn is_on_hub(host: &str) -> bool {
    host == DEFAULT_REGISTRY || host == DEFAULT_REGISTRY_V1 || !host.contains(['.', ':'])
}

#[cfg(test)]
mod tests;
