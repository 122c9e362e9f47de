//! `WWW-Authenticate`: what a registry wants to see before it answers.
//!
//! Real headers are sloppy, so the parser takes what it can read and stops where it cannot; it never fails and never
//! reads more than [`crate::limits`] allows.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

use crate::limits;

/// One way to authenticate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// `basic`, `bearer`…; lower case.
    pub scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// A parameter's value; names match without case, the first of several wins.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// All challenges of an answer, in order.
pub fn parse_challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    for value in headers.get_all(WWW_AUTHENTICATE) {
        if value.len() <= limits::HEADER_BYTES {
            parse_into(&mut challenges, value.as_bytes());
        }
    }
    challenges
}

fn parse_into(challenges: &mut Vec<Challenge>, header: &[u8]) {
    let mut cursor = Cursor { text: header, at: 0 };
    while challenges.len() < limits::CHALLENGES {
        cursor.skip(|b| is_blank(b) || b == b',');
        let Some(scheme) = cursor.token() else { return };
        let mut parameters = Vec::new();
        loop {
            cursor.skip(|b| is_blank(b) || b == b',');
            let Some(parameter) = cursor.parameter() else { break };
            parameters.push(parameter);
        }
        challenges.push(Challenge { scheme: scheme.to_ascii_lowercase(), parameters });
    }
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip(&mut self, skipped: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&skipped) {
            self.at += 1;
        }
    }

    fn token(&mut self) -> Option<String> {
        let start = self.at;
        self.skip(is_token);
        let token = &self.text[start..self.at];
        if token.is_empty() { None } else { Some(String::from_utf8_lossy(token).into_owned()) }
    }

    /// `name=value`; when it is something else (the next scheme), nothing is taken.
    fn parameter(&mut self) -> Option<(String, String)> {
        let start = self.at;
        let name = self.token()?;
        self.skip(is_blank);
        if self.peek() != Some(b'=') {
            self.at = start;
            return None;
        }
        self.at += 1;
        self.skip(is_blank);
        let value = if self.peek() == Some(b'"') {
            self.quoted()
        } else {
            let from = self.at;
            self.skip(|b| b != b',' && !is_blank(b));
            String::from_utf8_lossy(&self.text[from..self.at]).into_owned()
        };
        Some((name, value))
    }

    /// A quoted text; a missing end quote is read as if it stood at the end.
    fn quoted(&mut self) -> String {
        self.at += 1;
        let mut value = Vec::new();
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => break,
                b'\\' => {
                    if let Some(escaped) = self.peek() {
                        value.push(escaped);
                        self.at += 1;
                    }
                }
                other => value.push(other),
            }
        }
        String::from_utf8_lossy(&value).into_owned()
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(values: &[&[u8]]) -> Vec<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, http::HeaderValue::from_bytes(value).unwrap());
        }
        parse_challenges(&headers)
    }

    fn check(values: &[&[u8]], expected: &[(&str, &[(&str, &str)])]) {
        let found = parse(values);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (challenge, (scheme, parameters)) in found.iter().zip(expected) {
            assert_eq!(challenge.scheme, *scheme);
            for (name, value) in *parameters {
                assert_eq!(challenge.parameter(name), Some(*value), "{name}");
            }
        }
    }

    #[test]
    fn bearer_and_basic_are_read_from_one_or_several_headers() {
        let bearer: &[(&str, &str)] =
            &[("realm", "https://auth.example/token"), ("SERVICE", "reg"), ("scope", "a,b")];
        let header = br#"Bearer realm="https://auth.example/token",service="reg",scope="a,b""#;
        check(&[header], &[("bearer", bearer)]);
        check(&[header, b"Basic realm=x"], &[("bearer", bearer), ("basic", &[("realm", "x")])]);
        let both = [header.as_slice(), b", Basic realm=\"y\""].concat();
        check(&[&both], &[("bearer", bearer), ("basic", &[("realm", "y")])]);
    }

    #[test]
    fn sloppy_headers_give_what_can_be_read() {
        check(&[b"BASIC"], &[("basic", &[])]);
        check(
            &[b"Bearer realm = \"a\\\"b\" , service=c;d"],
            &[("bearer", &[("realm", "a\"b"), ("service", "c;d")])],
        );
        check(&[b"Bearer realm=\"open"], &[("bearer", &[("realm", "open")])]);
        check(&[b"Negotiate, Basic realm=x"], &[("negotiate", &[]), ("basic", &[("realm", "x")])]);
        check(&[b"=x", b"", b"\"\""], &[]);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic_or_run_on(bytes in proptest::collection::vec(0x20_u8..=0xff, 0..200)) {
            if let Ok(value) = http::HeaderValue::from_bytes(&bytes) {
                let mut headers = HeaderMap::new();
                headers.append(WWW_AUTHENTICATE, value);
                prop_assert!(parse_challenges(&headers).len() <= limits::CHALLENGES);
            }
        }

        #[test]
        fn what_is_printed_is_read_back(scheme in "[A-Za-z]{1,8}", realm in "[ -~]{0,30}", service in "[a-z.]{1,9}") {
            let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
            let header = format!("{scheme} realm=\"{quoted}\", service={service}");
            let found = parse(&[header.as_bytes()]);
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(found[0].parameter("realm"), Some(realm.as_str()));
            prop_assert_eq!(found[0].parameter("service"), Some(service.as_str()));
        }
    }
}
