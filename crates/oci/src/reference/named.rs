//! References as registries' clients normalise them: a domain and a path, always there.
//!
//! `nginx` becomes `docker.io/library/nginx`. This spelling goes into import error texts, into the names of mirrors'
//! sources and into requests; [`super::Reference`] keeps the user's spelling instead.

use std::fmt;

use super::{DEFAULT_NAMESPACE, DEFAULT_REGISTRY, DEFAULT_REGISTRY_V1, DEFAULT_REGISTRY_V2, DEFAULT_TAG};
use super::{Reference, ReferenceError, grammar};
use crate::digest::Digest;

/// A normalised reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Named {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Named {
    /// Reads and normalises a reference; no tag is made up.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let parts = grammar::split(text)?;
        let (domain, path) = split_domain(parts.name);
        if path.is_empty() || !grammar::is_repository_path(&path) {
            return Err(ReferenceError::Uppercase);
        }
        Ok(Self {
            domain,
            path,
            tag: parts.tag.map(str::to_owned),
            digest: parts.digest.map(Digest::parse).transpose()?,
        })
    }

    /// `host[:port]`, `docker.io` for Docker Hub.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The host that answers requests: as [`Self::domain`], with Docker Hub's real host.
    pub fn host(&self) -> &str {
        if self.domain == DEFAULT_REGISTRY { DEFAULT_REGISTRY_V2 } else { &self.domain }
    }

    /// The repository's path on its host.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `domain/path`, without tag and digest.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The tag, if one is given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one is given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same repository with this tag and no digest.
    #[must_use]
    pub fn with_tag(&self, tag: &str) -> Self {
        Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() }
    }

    /// The same repository with this digest and no tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// With the tag `latest` when there is neither tag nor digest.
    #[must_use]
    pub fn tag_by_default(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }
}

impl TryFrom<&Reference> for Named {
    type Error = ReferenceError;

    /// The digest hides the tag, as it does wherever a reference with both is fetched.
    fn try_from(reference: &Reference) -> Result<Self, ReferenceError> {
        Self::parse(&reference.exact())
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

fn split_domain(name: &str) -> (String, String) {
    let (domain, path) = match name.split_once('/') {
        Some((first, path))
            if first.contains(['.', ':']) || first == "localhost" || first.to_lowercase() != first =>
        {
            (if first == DEFAULT_REGISTRY_V1 { DEFAULT_REGISTRY } else { first }, path)
        }
        _ => (DEFAULT_REGISTRY, name),
    };
    if domain == DEFAULT_REGISTRY && !path.contains('/') {
        (domain.to_owned(), format!("{DEFAULT_NAMESPACE}/{path}"))
    } else {
        (domain.to_owned(), path.to_owned())
    }
}
