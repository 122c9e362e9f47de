//! Names of tags and images inside a stream: `stream:tag` and `stream@image`.
//!
//! *Split* takes what clients write and fills in the default tag; *parse* accepts only the complete form.

/// The tag that is meant when none is named.
pub const DEFAULT_TAG: &str = "latest";

/// Splits at the first `:`; a missing or empty tag is `latest`. The flag says whether a `:` was there.
pub fn split_stream_tag(name: &str) -> (&str, &str, bool) {
    match name.split_once(':') {
        Some((stream, "")) => (stream, DEFAULT_TAG, true),
        Some((stream, tag)) => (stream, tag, true),
        None => (name, DEFAULT_TAG, false),
    }
}

/// `stream:tag`, with `latest` for an empty tag.
pub fn join_stream_tag(stream: &str, tag: &str) -> String {
    format!("{stream}:{}", if tag.is_empty() { DEFAULT_TAG } else { tag })
}

/// `stream@image`.
pub fn join_stream_image(stream: &str, image: &str) -> String {
    format!("{stream}@{image}")
}

/// Accepts exactly `stream:tag`: no `@`, one `:`, both sides non-empty.
pub fn parse_stream_tag(name: &str) -> Option<(&str, &str)> {
    if name.contains('@') {
        return None;
    }
    exactly_two(name, ':')
}

/// Splits at the first `@`.
pub fn split_stream_image(name: &str) -> Option<(&str, &str)> {
    name.split_once('@')
}

/// Accepts exactly `stream@image`: one `@`, both sides non-empty.
pub fn parse_stream_image(name: &str) -> Option<(&str, &str)> {
    exactly_two(name, '@')
}

fn exactly_two(name: &str, separator: char) -> Option<(&str, &str)> {
    let (left, right) = name.split_once(separator)?;
    (!left.is_empty() && !right.is_empty() && !right.contains(separator)).then_some((left, right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_fills_in_latest() {
        assert_eq!(split_stream_tag("a"), ("a", "latest", false));
        assert_eq!(split_stream_tag("a:"), ("a", "latest", true));
        assert_eq!(split_stream_tag("a:b:c"), ("a", "b:c", true));
    }

    #[test]
    fn parse_wants_the_complete_form() {
        assert_eq!(parse_stream_tag("a:b"), Some(("a", "b")));
        for bad in ["a", "a:", ":b", "a:b:c", "a@b", "a@sha256:0"] {
            assert_eq!(parse_stream_tag(bad), None, "{bad}");
        }
        assert_eq!(parse_stream_image("a@b"), Some(("a", "b")));
        for bad in ["a", "a@", "@b", "a@b@c"] {
            assert_eq!(parse_stream_image(bad), None, "{bad}");
        }
    }
}
