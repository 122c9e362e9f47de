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
}
