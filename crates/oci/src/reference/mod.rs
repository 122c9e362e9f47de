//! Image references the way image streams split them: registry, namespace, name, tag, id.
//!
//! [`Reference`] keeps what the user wrote (no default is filled in unless asked for), because most stored references
//! must come back unchanged. [`Named`] is the other view, the one that registries and their clients use, with every
//! default filled in. Splitting `stream:tag` and `stream@image` names is not done here.

mod grammar;
mod named;

pub use grammar::{ReferenceError, is_repository_path, is_tag};
pub use named::Named;

use std::fmt;

use crate::digest::Digest;

/// The registry that a reference without one means.
pub const DEFAULT_REGISTRY: &str = "docker.io";
/// Where that registry really answers.
pub const DEFAULT_REGISTRY_V2: &str = "registry-1.docker.io";
/// Another name of it.
pub const DEFAULT_REGISTRY_V1: &str = "index.docker.io";
/// The namespace that a reference to it means when it has none.
pub const DEFAULT_NAMESPACE: &str = "library";
/// The tag that a reference without tag and digest means.
pub const DEFAULT_TAG: &str = "latest";

/// An image reference in parts; a part that is not there is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Reference {
    /// `host[:port]`
    pub registry: String,
    /// The first component of the path.
    pub namespace: String,
    /// The rest of the path; may hold `/`.
    pub name: String,
    /// The tag.
    pub tag: String,
    /// The digest, or (in references that were put together elsewhere) another id.
    pub id: String,
}

impl Reference {
    /// Reads a reference as a user writes it.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let parts = grammar::split(text)?;
        let id = parts.digest.unwrap_or_default().to_owned();
        let tag = parts.tag.unwrap_or_default().to_owned();
        let (registry, path) = match parts.name.split_once('/') {
            // A lone host: what follows it is taken for its port, so the whole text is the registry.
            None if parts.name.contains('.') || parts.name.starts_with("localhost") => {
                return Ok(Self { registry: text.to_owned(), id, ..Self::default() });
            }
            None => ("", parts.name),
            Some((first, path)) if first.contains([':', '.']) || first == "localhost" => (first, path),
            Some(_) => ("", parts.name),
        };
        let (namespace, name) = path.split_once('/').unwrap_or(("", path));
        Ok(Self {
            registry: registry.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            tag,
            id,
        })
    }

    /// With every part filled in that a Docker client would fill in.
    #[must_use]
    pub fn docker_client_defaults(mut self) -> Self {
        if self.registry.is_empty() {
            self.registry = DEFAULT_REGISTRY.to_owned();
        }
        if self.namespace.is_empty() && is_hub(&self.registry) {
            self.namespace = DEFAULT_NAMESPACE.to_owned();
        }
        if self.tag.is_empty() {
            self.tag = DEFAULT_TAG.to_owned();
        }
        self
    }

    /// With the host that speaks the version 2 protocol in place of Docker Hub's other names.
    #[must_use]
    pub fn as_v2(mut self) -> Self {
        if matches!(self.registry.as_str(), DEFAULT_REGISTRY | DEFAULT_REGISTRY_V1) {
            self.registry = DEFAULT_REGISTRY_V2.to_owned();
        }
        self
    }

    /// `https://` and the registry's real host.
    pub fn registry_url(&self) -> String {
        format!("https://{}", self.clone().as_v2().registry)
    }

    /// Host and port of the registry; without a port, the one of http for insecure transport, else that of https.
    pub fn registry_host_port(&self, insecure: bool) -> (String, String) {
        let registry = self.clone().as_v2().docker_client_defaults().registry;
        match registry.split_once(':') {
            Some((host, port)) => (host.to_owned(), port.to_owned()),
            None => (registry, if insecure { "80" } else { "443" }.to_owned()),
        }
    }

    /// The name with its id (which hides the tag) or its tag.
    pub fn name_string(&self) -> String {
        if self.name.is_empty() {
            String::new()
        } else if !self.id.is_empty() {
            let separator = if Digest::parse(&self.id).is_ok() { '@' } else { ':' };
            format!("{}{separator}{}", self.name, self.id)
        } else if !self.tag.is_empty() {
            format!("{}:{}", self.name, self.tag)
        } else {
            self.name.clone()
        }
    }

    /// The text of this reference with nothing added.
    pub fn exact(&self) -> String {
        self.spell(&self.namespace)
    }

    /// Without tag and id.
    #[must_use]
    pub fn as_repository(mut self) -> Self {
        self.tag.clear();
        self.id.clear();
        self
    }

    /// The path: namespace and name.
    pub fn repository_name(&self) -> String {
        let bare = Self { registry: String::new(), ..self.clone().as_repository() };
        bare.exact()
    }

    /// With either a digest or a tag, never both: a digest wins; an id that is none stands in for a missing tag.
    #[must_use]
    pub fn most_specific(mut self) -> Self {
        if self.id.is_empty() {
            return self;
        }
        if Digest::parse(&self.id).is_ok() {
            self.tag.clear();
        } else if self.tag.is_empty() {
            self.tag = std::mem::take(&mut self.id);
        }
        self
    }

    /// Without a tag that is the default anyway.
    #[must_use]
    pub fn minimal(mut self) -> Self {
        if self.tag == DEFAULT_TAG {
            self.tag.clear();
        }
        self
    }

    /// The shortest form that a Docker daemon resolves to the same image.
    #[must_use]
    pub fn daemon_minimal(mut self) -> Self {
        if matches!(self.registry.as_str(), DEFAULT_REGISTRY_V1 | DEFAULT_REGISTRY_V2) {
            self.registry = DEFAULT_REGISTRY.to_owned();
        }
        if self.registry == DEFAULT_REGISTRY && self.namespace == DEFAULT_NAMESPACE {
            self.namespace.clear();
        }
        self.minimal()
    }

    /// Whether both mean the same image once defaults are filled in.
    pub fn means_same(&self, other: &Self) -> bool {
        self.clone().docker_client_defaults() == other.clone().docker_client_defaults()
    }

    /// The digest, when the id is one.
    pub fn digest(&self) -> Option<Digest> {
        Digest::parse(&self.id).ok()
    }

    fn spell(&self, namespace: &str) -> String {
        let name = self.name_string();
        if name.is_empty() {
            return name;
        }
        let mut text = String::with_capacity(self.registry.len() + namespace.len() + name.len() + 2);
        for part in [self.registry.as_str(), namespace] {
            if !part.is_empty() {
                text.push_str(part);
                text.push('/');
            }
        }
        text + &name
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = if self.namespace.is_empty() && is_hub(&self.registry) {
            DEFAULT_NAMESPACE
        } else {
            &self.namespace
        };
        f.write_str(&self.spell(namespace))
    }
}

impl std::str::FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

/// Whether a registry is one of Docker Hub's names.
pub fn is_hub(registry: &str) -> bool {
    matches!(registry, DEFAULT_REGISTRY | DEFAULT_REGISTRY_V1 | DEFAULT_REGISTRY_V2)
}

#[cfg(test)]
mod tests;
