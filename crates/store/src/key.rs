//! Keys: validated paths, cheap to clone and to compare.
//!
//! `/<group>/<resource>/<namespace>/<name>` for what lives in a namespace, `/<group>/<resource>/<name>` for what does
//! not; the core group is spelled `core`. Owners of other data (blobs, links, uploads) choose their own group and may
//! use more segments. The first two segments are the unit in which the cache keeps history and wakes watchers.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::limits::MAX_KEY_BYTES;

/// A key: at least three segments, none empty, each preceded by `/`, without control characters, at most
/// [`MAX_KEY_BYTES`] long. Keys order by their bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// Why a text is not a [`Key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It does not start with `/`.
    #[error("a key starts with '/'")]
    Relative,
    /// Two `/` in a row, or one at the end.
    #[error("a key has no empty segment")]
    EmptySegment,
    /// Fewer than three segments.
    #[error("a key has at least a group, a resource and a name")]
    TooShort,
    /// More than [`MAX_KEY_BYTES`] bytes.
    #[error("a key has at most {MAX_KEY_BYTES} bytes")]
    TooLong,
    /// A control character.
    #[error("a key holds no control characters")]
    ControlCharacter,
}

impl Key {
    /// Validates a whole key.
    pub fn new(key: &str) -> Result<Key, KeyError> {
        validate(key)?;
        Ok(Key(Arc::from(key)))
    }

    /// The key of an object: an empty `group` means the core group, an empty `namespace` a cluster-scoped object.
    pub fn object(group: &str, resource: &str, namespace: &str, name: &str) -> Result<Key, KeyError> {
        let mut key = resource_prefix(group, resource);
        key.reserve(namespace.len() + name.len() + 1);
        if !namespace.is_empty() {
            key.push_str(namespace);
            key.push('/');
        }
        key.push_str(name);
        Key::new(&key)
    }

    /// The whole key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first segment: the API group, `core` for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.segment(0)
    }

    /// The second segment: the resource, in the plural.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.segment(1)
    }

    /// The third of four or more segments; `None` for a key of three.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        let mut segments = self.0[1..].split('/').skip(2);
        let namespace = segments.next();
        segments.next().and(namespace)
    }

    /// The last segment.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// `/<group>/<resource>/`: the prefix of all keys of this resource.
    #[must_use]
    pub fn resource_prefix(&self) -> &str {
        self.resource_prefix_end().map_or(&self.0, |end| &self.0[..end])
    }

    /// A key read back from where only valid keys are written.
    pub(crate) fn trusted(key: &str) -> Key {
        debug_assert!(validate(key).is_ok(), "stored key {key:?} is not valid");
        Key(Arc::from(key))
    }

    fn segment(&self, index: usize) -> &str {
        self.0[1..].split('/').nth(index).unwrap_or_default()
    }

    fn resource_prefix_end(&self) -> Option<usize> {
        self.0.match_indices('/').nth(2).map(|(at, _)| at + 1)
    }
}

/// `/<group>/<resource>/`, with `core` for an empty group.
#[must_use]
pub fn resource_prefix(group: &str, resource: &str) -> String {
    let group = if group.is_empty() { "core" } else { group };
    format!("/{group}/{resource}/")
}

fn validate(key: &str) -> Result<(), KeyError> {
    let Some(path) = key.strip_prefix('/') else { return Err(KeyError::Relative) };
    if key.len() > MAX_KEY_BYTES {
        return Err(KeyError::TooLong);
    }
    if key.chars().any(char::is_control) {
        return Err(KeyError::ControlCharacter);
    }
    let mut segments = 0;
    for segment in path.split('/') {
        if segment.is_empty() {
            return Err(KeyError::EmptySegment);
        }
        segments += 1;
    }
    if segments < 3 { Err(KeyError::TooShort) } else { Ok(()) }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(key: &str) -> Result<Key, KeyError> {
        Key::new(key)
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_parts() {
        let key = Key::object("image.openshift.io", "imagestreams", "shop", "web").unwrap();
        assert_eq!(key.as_str(), "/image.openshift.io/imagestreams/shop/web");
        assert_eq!((key.group(), key.resource()), ("image.openshift.io", "imagestreams"));
        assert_eq!((key.namespace(), key.name()), (Some("shop"), "web"));
        assert_eq!(key.resource_prefix(), "/image.openshift.io/imagestreams/");
    }

    #[test]
    fn the_core_group_and_cluster_scope_have_a_spelling() {
        let key = Key::object("", "namespaces", "", "shop").unwrap();
        assert_eq!(key.as_str(), "/core/namespaces/shop");
        assert_eq!((key.namespace(), key.name()), (None, "shop"));
        assert_eq!(key.resource_prefix(), "/core/namespaces/");
    }

    #[test]
    fn what_is_not_a_key_is_refused_with_its_reason() {
        for (text, reason) in [
            ("a/b/c", KeyError::Relative),
            ("", KeyError::Relative),
            ("/a/b", KeyError::TooShort),
            ("/a//c", KeyError::EmptySegment),
            ("/a/b/c/", KeyError::EmptySegment),
            ("/a/b/c\n", KeyError::ControlCharacter),
        ] {
            assert_eq!(Key::new(text), Err(reason), "{text:?}");
        }
        let long = format!("/a/b/{}", "c".repeat(MAX_KEY_BYTES - 5));
        assert!(Key::new(&long).is_ok());
        assert_eq!(Key::new(&format!("{long}c")), Err(KeyError::TooLong));
    }
}
