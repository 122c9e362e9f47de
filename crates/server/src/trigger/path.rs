//! Field paths of kinds that run pods: `spec.template.spec.containers[?(@.name=="web")].image` or `….containers[0].image`.
//!
//! A name is looked for among the init containers first and then among the others, whichever list is written, since
//! clients always write `containers`; an index means the list that is written.

use serde_json::Value;

use crate::workload::images::{Place, containers};

const BY_NAME: (&str, &str) = ("?(@.name==\"", "\")");

/// What a field path selects in a pod spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector<'a> {
    /// A container by its place in a list.
    Index {
        /// `containers` or `initContainers`.
        list: &'static str,
        /// Its place, from 0.
        index: usize,
    },
    /// A container of any list by its name.
    Name(&'a str),
}

/// Why a field path selects nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin where the kind has its pod spec.
    #[error("field path is not valid for this kind: {path} (it must begin with {prefix}.)")]
    Prefix {
        /// The path.
        path: String,
        /// What it should begin with.
        prefix: String,
    },
    /// It has another form.
    #[error("field path is not valid: {0}")]
    Form(String),
    /// There is no such container.
    #[error("no such container: {0}")]
    NoContainer(String),
    /// Nothing is there.
    #[error("nothing is at the field path {0}")]
    Nothing(String),
    /// Something else than a text is there.
    #[error("what is at the field path {0} is no text")]
    NoText(String),
}

/// Reads a field path of a kind whose pod spec is at `prefix`.
///
/// # Errors
/// [`PathError`].
pub fn parse<'a>(prefix: &str, path: &'a str) -> Result<Selector<'a>, PathError> {
    let wrong = || PathError::Form(path.to_owned());
    let other_kind = || PathError::Prefix { path: path.to_owned(), prefix: prefix.to_owned() };
    let rest = path.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')).ok_or_else(other_kind)?;
    let (list, rest) = if let Some(rest) = rest.strip_prefix("containers[") {
        ("containers", rest)
    } else if let Some(rest) = rest.strip_prefix("initContainers[") {
        ("initContainers", rest)
    } else {
        return Err(wrong());
    };
    let (selector, rest) = rest.split_once(']').ok_or_else(wrong)?;
    if rest.strip_prefix('.').unwrap_or(rest) != "image" {
        return Err(wrong());
    }
    let (before, after) = BY_NAME;
    let bare = selector.strip_prefix(before).unwrap_or(selector);
    let bare = bare.strip_suffix(after).unwrap_or(bare);
    if bare.len() != selector.len() {
        return Ok(Selector::Name(bare));
    }
    match selector.parse() {
        Ok(index) => Ok(Selector::Index { list, index }),
        Err(_) => Err(PathError::NoContainer(path.to_owned())),
    }
}

/// The container that a selector means in a pod spec.
pub fn find(pod: &Value, selector: Selector<'_>) -> Option<Place> {
    match selector {
        Selector::Index { list, index } => {
            let place = Place { list, index };
            pod.get(list)?.get(index).map(|_| place)
        }
        Selector::Name(name) => containers(pod).find(|(_, held)| *held == name).map(|(place, _)| place),
    }
}
