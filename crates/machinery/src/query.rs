//! Query strings: `key=value` pairs joined by `&`, percent-encoded, `+` for a blank.
//!
//! A pair that cannot be decoded is skipped, as Go's `URL.Query` does. Nothing is allocated for values that hold no
//! escape.

use std::borrow::Cow;

/// The decodable pairs of a query string, in order.
pub fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')).filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((unescape(key, true)?, unescape(value, true)?))
    })
}

/// The first value of a key.
pub fn first<'a>(query: &'a str, key: &str) -> Option<Cow<'a, str>> {
    pairs(query).find(|(found, _)| found == key).map(|(_, value)| value)
}

/// Decodes percent escapes, and `+` as a blank if `plus` says so; `None` when an escape is broken or the result is no
/// UTF-8.
pub fn unescape(text: &str, plus: bool) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| byte == b'%' || (plus && byte == b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                out.push(u8::try_from(high * 16 + low).expect("two hex digits make a byte"));
            }
            b'+' if plus => out.push(b' '),
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

/// A segment of a path, with everything escaped that could end it.
pub fn segment(text: &str) -> String {
    escape(text, b"-_.~!$&'()*+,;=:@")
}

/// A key or a value of a query, with everything escaped that could end it.
pub fn parameter(text: &str) -> String {
    escape(text, b"-_.~")
}

fn escape(text: &str, plain: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend([byte >> 4, byte & 15].map(|digit| char::from(HEX[usize::from(digit)])));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_broken_ones_skipped() {
        let all: Vec<_> = pairs("a=1&b=%3D+x&&c&d=%zz&e=1;2&f=a+b%2B").collect();
        let want = [("a", "1"), ("b", "= x"), ("c", ""), ("f", "a b+")];
        let want: Vec<(Cow<str>, Cow<str>)> = want.iter().map(|&(k, v)| (k.into(), v.into())).collect();
        assert_eq!(all, want);
        assert_eq!(first("x=1&x=2", "x").as_deref(), Some("1"));
    }

    #[test]
    fn values_without_escapes_are_borrowed() {
        assert!(matches!(unescape("foo:bar@sha256", true), Some(Cow::Borrowed(_))));
        assert!(matches!(unescape("a+b", false), Some(Cow::Borrowed(_))));
        assert_eq!(unescape("foo%3Alatest", false).as_deref(), Some("foo:latest"));
        assert_eq!(unescape("%ff", false), None);
        assert_eq!(unescape("%4", false), None);
    }

    #[test]
    fn names_become_segments() {
        assert_eq!(segment("ruby:2.0"), "ruby:2.0");
        assert_eq!(segment("a@sha256:0"), "a@sha256:0");
        assert_eq!(segment("a/b?c d{\u{e9}"), "a%2Fb%3Fc%20d%7B%C3%A9");
        assert_eq!(parameter("a in (b)"), "a%20in%20%28b%29");
    }
}
