//! Repository names: a project and a name, as image streams have them.

use std::fmt;
use std::sync::Arc;

/// A repository: exactly `<project>/<name>`, both in the grammar of repository paths. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    path: Arc<str>,
    slash: usize,
}

/// Why a path is no repository; prints what clients show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not of two parts.
    #[error("repository name {0:?} invalid: it must be of the format <project>/<name>")]
    Parts(String),
    /// Characters that no repository may have.
    #[error("repository name {0:?} invalid: it must match [a-z0-9]+((.|_|__|-+)[a-z0-9]+)*")]
    Characters(String),
}

impl Repository {
    /// Reads `<project>/<name>`.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn parse(path: &str) -> Result<Repository, NameError> {
        let slash = path.find('/').filter(|slash| !path[slash + 1..].contains('/'));
        let slash = slash.ok_or_else(|| NameError::Parts(path.to_owned()))?;
        let (project, name) = (&path[..slash], &path[slash + 1..]);
        if project.is_empty() || name.is_empty() {
            return Err(NameError::Parts(path.to_owned()));
        }
        if !oci::reference::is_repository_path(path) {
            return Err(NameError::Characters(path.to_owned()));
        }
        Ok(Repository { path: path.into(), slash })
    }

    /// `<project>/<name>`
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// The part before the slash.
    pub fn project(&self) -> &str {
        &self.path[..self.slash]
    }

    /// The part behind the slash.
    pub fn name(&self) -> &str {
        &self.path[self.slash + 1..]
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_two_parts() {
        let repository = Repository::parse("demo/app").unwrap();
        assert_eq!(
            (repository.project(), repository.name(), repository.as_str()),
            ("demo", "app", "demo/app")
        );
        for bad in ["app", "a/b/c", "", "/", "a/", "/b", "A/b", "a/b c", "a/..", "a/b/"] {
            assert!(Repository::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            Repository::parse("a").unwrap_err().to_string(),
            "repository name \"a\" invalid: it must be of the format <project>/<name>"
        );
    }
}
