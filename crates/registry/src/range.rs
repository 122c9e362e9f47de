//! `Range` and `Content-Range`, as the protocol uses them.

use std::ops::Range;

/// What a `Range` header asks of content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it: there is no header, or one that a server may pass over.
    All,
    /// A part.
    Part(Range<u64>),
    /// A part that is not there.
    Nothing,
}

/// Reads a `Range` header about content of `size` bytes. Several ranges at once are passed over.
pub(crate) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(spec) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else {
        return Wanted::All;
    };
    let Some((first, last)) = spec.split_once('-').filter(|_| !spec.contains(',')) else {
        return Wanted::All;
    };
    let number = |text: &str| digits(text.trim());
    let (start, end) = match (first.trim().is_empty(), last.trim().is_empty()) {
        (true, true) => return Wanted::All,
        (true, false) => match number(last) {
            Some(0) => return Wanted::Nothing,
            Some(suffix) => (size.saturating_sub(suffix), size),
            None => return Wanted::All,
        },
        (false, true) => match number(first) {
            Some(start) => (start, size),
            None => return Wanted::All,
        },
        (false, false) => match (number(first), number(last)) {
            (Some(start), Some(last)) if last < start => return Wanted::Nothing,
            (Some(start), Some(last)) => (start, size.min(last.saturating_add(1))),
            _ => return Wanted::All,
        },
    };
    if start < size { Wanted::Part(start..end) } else { Wanted::Nothing }
}

/// Reads the `Content-Range` of a piece of an upload: `<first>-<last>`. Forms with a unit or a total are taken as well.
pub(crate) fn piece(header: &str) -> Option<(u64, u64)> {
    let spec = header.trim();
    let spec = spec.strip_prefix("bytes ").or_else(|| spec.strip_prefix("bytes=")).unwrap_or(spec);
    let spec = spec.split_once('/').map_or(spec, |(range, _)| range);
    let (first, last) = spec.split_once('-')?;
    Some((digits(first.trim())?, digits(last.trim())?))
}

/// A number of digits alone: no sign, no spaces.
pub(crate) fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // More than a number holds is beyond the end of anything.
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_content() {
        for (header, expected) in [
            ("bytes=0-9", Wanted::Part(0..10)),
            ("bytes=500-1499", Wanted::Part(500..1500)),
            ("bytes=2000-", Wanted::Part(2000..2048)),
            ("bytes=-500", Wanted::Part(1548..2048)),
            ("bytes=-5000", Wanted::Part(0..2048)),
            ("bytes=2000-5000", Wanted::Part(2000..2048)),
            ("bytes=0-99999999999999999999999", Wanted::Part(0..2048)),
            ("bytes=500-0", Wanted::Nothing),
            ("bytes=5000-10000", Wanted::Nothing),
            ("bytes=2048-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=0-1,5-6", Wanted::All),
            ("bytes=-", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("bytes=+1-2", Wanted::All),
            ("lines=1-2", Wanted::All),
        ] {
            assert_eq!(wanted(Some(header), 2048), expected, "{header}");
        }
        assert_eq!(wanted(None, 2048), Wanted::All);
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Nothing);
    }

    #[test]
    fn pieces_of_uploads() {
        assert_eq!(piece("0-1023"), Some((0, 1023)));
        assert_eq!(piece("bytes 10-19/*"), Some((10, 19)));
        for bad in ["x-y", "", "5", "-5", "5-", "1--2", "bytes"] {
            assert_eq!(piece(bad), None, "{bad}");
        }
    }
}
