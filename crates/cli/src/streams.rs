//! Questions about an image stream that several commands ask: where a tag leads, and in which order tags are shown.

use std::cmp::Ordering;

use machinery::image::{ImageStream, TagEvent, TagReference, well_known};

/// Where a chain of tags of one stream ends.
#[derive(Debug, PartialEq)]
pub(crate) struct Followed<'a> {
    /// Name of the last tag.
    pub(crate) tag: String,
    pub(crate) spec: &'a TagReference,
    /// At least one other tag led here.
    pub(crate) hops: bool,
}

/// Why a chain of tags leads nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// A name that is none of a tag.
    Invalid,
    /// It leaves the stream.
    OtherStream,
    /// It comes back to where it was.
    Circle,
    /// This tag does not exist.
    Missing(String),
}

/// Follows tags that track other tags of the same stream.
pub(crate) fn follow<'a>(stream: &'a ImageStream, tag: &str) -> Result<Followed<'a>, Lost> {
    let mut seen: Vec<String> = Vec::new();
    let mut tag = tag.to_owned();
    loop {
        if seen.contains(&tag) {
            return Err(Lost::Circle);
        }
        let Some(spec) = stream.spec.tag(&tag) else {
            return Err(Lost::Missing(tag));
        };
        let hops = !seen.is_empty();
        let Some(from) = spec.from.as_ref().filter(|from| from.kind == well_known::IMAGE_STREAM_TAG) else {
            return Ok(Followed { tag, spec, hops });
        };
        if !from.namespace.is_empty() && from.namespace != stream.metadata.namespace {
            return Err(Lost::OtherStream);
        }
        seen.push(tag);
        tag = match from.name.split_once(':') {
            None => from.name.clone(),
            Some((_, rest)) if rest.contains(':') => return Err(Lost::Invalid),
            Some((name, _)) if name != stream.metadata.name => return Err(Lost::OtherStream),
            Some((_, rest)) => rest.to_owned(),
        };
    }
}

/// The image a tag points at now; an empty name is `latest`.
pub(crate) fn latest<'a>(stream: &'a ImageStream, tag: &str) -> Option<&'a TagEvent> {
    stream.status.head(if tag.is_empty() { "latest" } else { tag })
}

/// Sorts tags for people: `latest`, versions of two numbers, versions of three, the rest; newest versions first.
pub(crate) fn prioritize(tags: &mut [String]) {
    tags.sort_by(|a, b| {
        let (a_class, b_class) = (Class::of(a), Class::of(b));
        a_class.rank().cmp(&b_class.rank()).then_with(|| match (&a_class, &b_class) {
            (Class::Minor(a), Class::Minor(b)) | (Class::Full(a), Class::Full(b)) => b.order(a),
            _ => a.cmp(b),
        })
    });
}

enum Class {
    Latest,
    Minor(Version),
    Full(Version),
    Other,
}

struct Version {
    prefixed: bool,
    numbers: [u64; 3],
    /// Identifiers behind the dash; none sorts above some.
    before: Vec<String>,
}

impl Class {
    fn of(tag: &str) -> Class {
        if tag == "latest" {
            return Class::Latest;
        }
        match Version::parse(tag) {
            Some((version, 3)) => Class::Full(version),
            Some((version, _)) => Class::Minor(version),
            None => Class::Other,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Class::Latest => 0,
            Class::Minor(_) => 1,
            Class::Full(_) => 2,
            Class::Other => 3,
        }
    }
}

impl Version {
    /// The version and how many numbers it has, two or three.
    fn parse(tag: &str) -> Option<(Version, usize)> {
        let bare = tag.strip_prefix('v').unwrap_or(tag);
        let (rest, meta) = bare.split_once('+').map_or((bare, None), |(rest, meta)| (rest, Some(meta)));
        let (core, before) = rest.split_once('-').map_or((rest, None), |(core, before)| (core, Some(before)));
        let parts: Vec<&str> = core.split('.').collect();
        let count = parts.len();
        if !(2..=3).contains(&count)
            || (count == 2 && meta.is_some())
            || meta == Some("")
            || before == Some("")
        {
            return None;
        }
        let mut numbers = [0; 3];
        for (number, part) in numbers.iter_mut().zip(&parts) {
            *number = number_of(part)?;
        }
        let before: Vec<String> =
            before.map_or_else(Vec::new, |text| text.split('.').map(str::to_owned).collect());
        let fits = |text: &String| {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && (!digits || number_of(text).is_some())
        };
        before.iter().all(fits).then_some((Version { prefixed: bare != tag, numbers, before }, count))
    }

    fn order(&self, other: &Version) -> Ordering {
        let before = match (self.before.is_empty(), other.before.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => identifiers(&self.before, &other.before),
        };
        // Callers sort newest first, so the plain form must count as newer than the one with `v`.
        self.numbers.cmp(&other.numbers).then(before).then(other.prefixed.cmp(&self.prefixed))
    }
}

/// A number without leading zeros.
fn number_of(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

fn identifiers(a: &[String], b: &[String]) -> Ordering {
    for (a, b) in a.iter().zip(b) {
        let order = match (a.parse::<u64>(), b.parse::<u64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => a.cmp(b),
        };
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stream(tags: &serde_json::Value) -> ImageStream {
        serde_json::from_value(json!({"metadata": {"name": "s", "namespace": "ns"}, "spec": {"tags": tags}}))
            .unwrap()
    }

    #[track_caller]
    fn check(from: &serde_json::Value, want: Result<(&str, bool), Lost>) {
        let stream = stream(
            &json!([{"name": "a", "from": from}, {"name": "b", "from": {"kind": "DockerImage", "name": "x"}}]),
        );
        let got = follow(&stream, "a").map(|found| (found.tag, found.hops));
        assert_eq!(got, want.map(|(tag, hops)| (tag.to_owned(), hops)));
    }

    #[test]
    fn tags_lead_to_tags_of_the_same_stream() {
        let tracks = |name: &str| json!({"kind": "ImageStreamTag", "name": name});
        check(&json!({"kind": "DockerImage", "name": "x"}), Ok(("a", false)));
        check(&json!(null), Ok(("a", false)));
        check(&tracks("b"), Ok(("b", true)));
        check(&tracks("s:b"), Ok(("b", true)));
        check(&json!({"kind": "ImageStreamTag", "namespace": "ns", "name": "s:b"}), Ok(("b", true)));
        check(&tracks("t:b"), Err(Lost::OtherStream));
        check(
            &json!({"kind": "ImageStreamTag", "namespace": "other", "name": "s:b"}),
            Err(Lost::OtherStream),
        );
        check(&tracks("a"), Err(Lost::Circle));
        check(&tracks("s:c"), Err(Lost::Missing("c".to_owned())));
        check(&tracks("s:b:c"), Err(Lost::Invalid));
    }

    #[test]
    fn tags_are_shown_in_classes() {
        let mut tags: Vec<String> = [
            "other",
            "5.6",
            "5.10",
            "v5.6.1",
            "latest",
            "5.6.1",
            "5.6-alpine",
            "v5.6",
            "05.1",
            "a",
            "1.0.0-rc.1",
            "1.0.0",
            "3",
        ]
        .iter()
        .map(|tag| (*tag).to_owned())
        .collect();
        prioritize(&mut tags);
        assert_eq!(
            tags,
            [
                "latest",
                "5.10",
                "5.6",
                "v5.6",
                "5.6-alpine",
                "5.6.1",
                "v5.6.1",
                "1.0.0",
                "1.0.0-rc.1",
                "05.1",
                "3",
                "a",
                "other"
            ]
        );
    }
}
