//! The order in which a repository's tags are imported when there are more than one import takes.
//!
//! `latest` first; then minor versions (`5.1`, `v5.1`, `5.1-rc1`), newest first; then full versions (`5.1.3`), newest
//! first; then everything else by name. Two tags of the same version stand with the plain one before the `v` one.

use std::cmp::{Ordering, Reverse};

use crate::reference::DEFAULT_TAG;

/// Removes duplicates, reads an empty tag as `latest`, and sorts by interest.
pub fn prioritize(tags: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut ranked: Vec<(Rank, String)> = tags
        .into_iter()
        .map(|tag| if tag.is_empty() { DEFAULT_TAG.to_owned() } else { tag })
        .map(|tag| (Rank::of(&tag), tag))
        .collect();
    ranked.sort();
    ranked.dedup_by(|a, b| a.1 == b.1);
    ranked.into_iter().map(|(_, tag)| tag).collect()
}

/// Where a tag stands; the smaller, the earlier.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Latest,
    Minor(Reverse<Version>),
    Full(Reverse<Version>),
    Other,
}

impl Rank {
    fn of(tag: &str) -> Self {
        if tag == DEFAULT_TAG {
            return Rank::Latest;
        }
        let number = tag.strip_prefix('v').unwrap_or(tag);
        if let Some(version) = Version::parse(number) {
            return Rank::Full(Reverse(version));
        }
        // `5.1-rc1` is `5.1.0-rc1`: the missing number goes in front of what follows the two there are.
        let digits_and_dots = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
        let (version, rest) = number.split_at(digits_and_dots);
        match Version::parse(&format!("{version}.0{rest}")) {
            // Only one word may follow: `5.1-rc.1` is a name like any other.
            Some(version) if version.pre.len() < 2 && !rest[rest.len().min(1)..].contains('-') => {
                Rank::Minor(Reverse(version))
            }
            _ => Rank::Other,
        }
    }
}

/// A semantic version; build metadata (which no tag can carry) is not kept.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    numbers: [u64; 3],
    pre: Vec<Identifier>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Text(String),
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let (numbers, pre) = match text.split_once('-') {
            Some((numbers, pre)) => (numbers, Some(pre)),
            None => (text, None),
        };
        let mut parts = numbers.split('.').map(number);
        let numbers = [parts.next()??, parts.next()??, parts.next()??];
        if parts.next().is_some() {
            return None;
        }
        let pre = match pre {
            Some(pre) => pre.split('.').map(Identifier::parse).collect::<Option<_>>()?,
            None => Vec::new(),
        };
        Some(Self { numbers, pre })
    }
}

impl Identifier {
    fn parse(text: &str) -> Option<Self> {
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return number(text).map(Identifier::Number);
        }
        let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        fits.then(|| Identifier::Text(text.to_owned()))
    }
}

/// Digits without leading zeros.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    if digits && !padded { text.parse().ok() } else { None }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        // A release stands above its own candidates.
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| self.pre.is_empty().cmp(&other.pre.is_empty()))
            .then_with(|| self.pre.cmp(&other.pre))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &[&str], expected: &[&str]) {
        assert_eq!(prioritize(given.iter().map(|tag| (*tag).to_owned())), expected);
    }

    #[test]
    fn latest_then_minor_then_full_versions_then_names() {
        check(
            &[
                "5",
                "other",
                "latest",
                "v5.5",
                "5.2.3",
                "5.5",
                "v5.3.6-bother",
                "5.3.6-abba",
                "5.6",
                "3.9",
                "1.0-rc1",
                "1.0",
            ],
            &[
                "latest",
                "5.6",
                "5.5",
                "v5.5",
                "3.9",
                "1.0",
                "1.0-rc1",
                "v5.3.6-bother",
                "5.3.6-abba",
                "5.2.3",
                "5",
                "other",
            ],
        );
    }

    #[test]
    fn numbers_compare_as_numbers_and_equal_versions_put_the_plain_one_first() {
        check(&["1.9", "1.10", "v1.10", "1.2"], &["1.10", "v1.10", "1.9", "1.2"]);
        check(
            &["1.0.0-rc.10", "1.0.0-rc.9", "1.0.0-rc", "1.0.0"],
            &["1.0.0", "1.0.0-rc.10", "1.0.0-rc.9", "1.0.0-rc"],
        );
    }

    #[test]
    fn the_empty_tag_is_latest_and_duplicates_go() {
        check(&["", "latest", "a", "a"], &["latest", "a"]);
    }

    #[test]
    fn what_only_looks_like_a_version_is_a_name() {
        check(
            &["2024-01-01", "01.2", "1", "1.0", "rc-1", "nightly-20240101", "edge"],
            &["1.0", "01.2", "1", "2024-01-01", "edge", "nightly-20240101", "rc-1"],
        );
    }
}
