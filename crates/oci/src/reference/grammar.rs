//! The grammar of image references, matched by hand.
//!
//! A reference is `name[:tag][@digest]`. Neither a name nor a tag may hold `@`, and no tag may hold `/`, so the parts
//! can be cut at fixed characters and checked one by one; no backtracking is needed.

use crate::digest::{Digest, DigestError};

/// The longest name, registry included.
const NAME_LENGTH: usize = 255;
/// The longest tag.
const TAG_LENGTH: usize = 128;

/// Why a text is no reference; prints as the reference implementation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The text is empty.
    #[error("repository name must have at least one component")]
    Empty,
    /// It would be one in lower case.
    #[error("repository name must be lowercase")]
    Uppercase,
    /// Anything else that does not match.
    #[error("invalid reference format")]
    Format,
    /// The name is longer than 255 characters.
    #[error("repository name must not be more than 255 characters")]
    TooLong,
    /// The part behind `@` is no digest that is known here.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// The three parts of a reference, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    pub(crate) name: &'a str,
    pub(crate) tag: Option<&'a str>,
    pub(crate) digest: Option<&'a str>,
}

/// Cuts a reference into its parts and checks each.
pub(crate) fn split(text: &str) -> Result<Parts<'_>, ReferenceError> {
    let Some(parts) = matched(text) else {
        return Err(match text {
            "" => ReferenceError::Empty,
            _ if matched(&text.to_lowercase()).is_some() => ReferenceError::Uppercase,
            _ => ReferenceError::Format,
        });
    };
    if parts.name.len() > NAME_LENGTH {
        return Err(ReferenceError::TooLong);
    }
    if let Some(digest) = parts.digest {
        Digest::parse(digest)?;
    }
    Ok(parts)
}

fn matched(text: &str) -> Option<Parts<'_>> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let path_start = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[path_start..].find(':') {
        Some(colon) => (&rest[..path_start + colon], Some(&rest[path_start + colon + 1..])),
        None => (rest, None),
    };
    let fits = is_name(name) && tag.is_none_or(is_tag) && digest.is_none_or(looks_like_digest);
    fits.then_some(Parts { name, tag, digest })
}

/// Whether `text` is a tag.
pub fn is_tag(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_')
        && text.len() <= TAG_LENGTH
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// Whether `text` is a repository path without a registry: lower-case components with `/` between.
pub fn is_repository_path(text: &str) -> bool {
    text.len() <= NAME_LENGTH && text.split('/').all(is_component)
}

fn is_name(text: &str) -> bool {
    match text.split_once('/') {
        None => is_component(text),
        Some((first, path)) => {
            (is_component(first) || is_hostname(first)) && path.split('/').all(is_component)
        }
    }
}

/// Runs of lower-case letters and digits, with one `.`, one or two `_`, or any number of `-` between two runs.
fn is_component(text: &str) -> bool {
    let is_run = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    is_run(first)
        && is_run(last)
        && bytes
            .split(is_run)
            .all(|between| matches!(between, b"" | b"." | b"_" | b"__") || between.iter().all(|b| *b == b'-'))
}

fn is_hostname(text: &str) -> bool {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let label = |text: &str| {
        let bytes = text.as_bytes();
        bytes.first().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
    };
    host.split('.').all(label)
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

/// The shape alone; whether the algorithm is known is decided later, with its own text.
fn looks_like_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    let part = |text: &str| {
        text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    algorithm.split(['-', '_', '+', '.']).all(part)
        && hex.len() >= 32
        && hex.bytes().all(|b| b.is_ascii_hexdigit())
}
