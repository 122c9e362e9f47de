//! Small pieces of HTTP: queries, credentials, forwarded addresses, headers of answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::body::Body;
use crate::limits;

/// `Docker-Content-Digest`
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// `Docker-Upload-UUID`
pub(crate) const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// `OCI-Subject`
pub(crate) const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// `OCI-Filters-Applied`
pub(crate) const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// `OCI-Tag`
pub(crate) const TAG: HeaderName = HeaderName::from_static("oci-tag");

/// The first value of a query parameter, decoded.
pub(crate) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    parameters(query, name).into_iter().next()
}

/// All values of a query parameter, decoded.
pub(crate) fn parameters(query: Option<&str>, name: &str) -> Vec<String> {
    query
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key) == name).then(|| decode(value))
        })
        .collect()
}

/// Undoes percent-encoding; what is no valid escape or no text stays as it stands or is replaced.
fn decode(text: &str) -> String {
    let hex = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = match (bytes[at], bytes.get(at + 1).copied(), bytes.get(at + 2).copied()) {
            (b'%', Some(high), Some(low)) => hex(high).zip(hex(low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        match (escaped, bytes[at]) {
            (Some(byte), _) => {
                out.push(byte);
                at += 2;
            }
            (None, b'+') => out.push(b' '),
            (None, byte) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Percent-encodes a text for a query.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// What an `Authorization` header holds.
#[cfg_attr(test, derive(Debug))]
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// No header, or one of a scheme that nobody here knows.
    None,
    /// The token that the token endpoint gives to those who show nothing.
    Anonymous,
    /// A token.
    Token(String),
    /// A name and a password, which may be a token: then the name means nothing.
    Basic {
        /// Name.
        user: String,
        /// Password, not empty.
        password: String,
    },
    /// Basic credentials that cannot be read.
    Unreadable,
}

/// The token that stands for nobody.
pub(crate) const ANONYMOUS_TOKEN: &str = "anonymous";

/// Reads the `Authorization` header.
pub(crate) fn credentials(headers: &HeaderMap) -> Credentials {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some((scheme, rest)) = header.and_then(|value| value.trim().split_once(' ')) else {
        return Credentials::None;
    };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return match rest {
            "" => Credentials::None,
            ANONYMOUS_TOKEN => Credentials::Anonymous,
            token => Credentials::Token(token.to_owned()),
        };
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Credentials::None;
    }
    let decoded = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|pair| pair.split_once(':')) {
        Some((user, password)) if !password.is_empty() => {
            Credentials::Basic { user: user.to_owned(), password: password.to_owned() }
        }
        _ => Credentials::Unreadable,
    }
}

/// The scheme and host that the client used, as proxies say or as the request stands.
pub(crate) fn address(headers: &HeaderMap, host: Option<&str>, tls: bool) -> (String, String) {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(first);
    let forwarded = text("forwarded").unwrap_or_default();
    let pair = |name: &str| {
        forwarded.split(';').filter_map(|pair| pair.trim().split_once('=')).find_map(|(key, value)| {
            key.eq_ignore_ascii_case(name).then(|| value.trim_matches('"').to_owned())
        })
    };
    let scheme = text("x-forwarded-proto").map(str::to_owned).or_else(|| pair("proto"));
    let scheme = scheme.map(|scheme| scheme.to_ascii_lowercase()).filter(|s| s == "http" || s == "https");
    let named = text("x-forwarded-host").map(str::to_owned).or_else(|| pair("host"));
    let is_host = |host: &String| {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
    };
    let host = named.or_else(|| host.map(str::to_owned)).filter(is_host);
    let usual = if tls { "https" } else { "http" };
    (scheme.unwrap_or_else(|| usual.to_owned()), host.unwrap_or_else(|| "localhost".to_owned()))
}

fn first(list: &str) -> &str {
    list.split(',').next().unwrap_or_default().trim()
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}

/// An answer of plain text.
pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    set(&mut response, header::CONTENT_TYPE, "text/plain; charset=utf-8");
    response
}

/// An answer of JSON.
pub(crate) fn json(body: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    set(&mut response, header::CONTENT_TYPE, "application/json");
    response
}

/// Sets a header; text that cannot be one is left out.
pub(crate) fn set(response: &mut Response<Body>, name: HeaderName, value: impl AsRef<str>) {
    if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
        response.headers_mut().insert(name, value);
    }
}

/// Adds warnings as clients show them, as many as fit.
pub(crate) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    let mut left = limits::WARNING_BYTES;
    for warning in warnings {
        let plain: String =
            warning.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
        let value = format!("299 - \"{}\"", plain.replace('\\', "\\\\").replace('"', "\\\""));
        if value.len() > left {
            return;
        }
        left -= value.len();
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

/// Whether an `If-None-Match` header names a digest.
pub(crate) fn matches(headers: &HeaderMap, digest: &oci::Digest) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|tag| {
        let tag = tag.trim();
        let tag = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"');
        tag == "*" || tag == digest.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn credentials_come_in_many_wrappings() {
        let read = |value: &str| credentials(&headers(&[("authorization", value)]));
        assert_eq!(read("Bearer abc"), Credentials::Token("abc".into()));
        assert_eq!(read("bearer  abc "), Credentials::Token("abc".into()));
        assert_eq!(read("Bearer anonymous"), Credentials::Anonymous);
        assert_eq!(read("Bearer "), Credentials::None);
        let basic = Credentials::Basic { user: "u".into(), password: "token".into() };
        assert_eq!(read("Basic dTp0b2tlbg=="), basic);
        assert_eq!(read("Basic dTo="), Credentials::Unreadable);
        assert_eq!(read("Basic !!!"), Credentials::Unreadable);
        assert_eq!(read("Digest x"), Credentials::None);
        assert_eq!(credentials(&HeaderMap::new()), Credentials::None);
    }

    #[test]
    fn proxies_say_what_the_client_used() {
        let of = |pairs: &[(&'static str, &str)]| address(&headers(pairs), Some("a:5000"), false);
        assert_eq!(of(&[]), ("http".into(), "a:5000".into()));
        let x = of(&[("x-forwarded-proto", "https"), ("x-forwarded-host", "r.example.com, inner")]);
        assert_eq!(x, ("https".into(), "r.example.com".into()));
        assert_eq!(of(&[("forwarded", "for=1;proto=https;host=\"f:1\"")]), ("https".into(), "f:1".into()));
        assert_eq!(of(&[("x-forwarded-host", "evil\"x")]).1, "localhost");
    }

    #[test]
    fn queries_are_decoded() {
        let query = Some("digest=sha256%3Aab&n=&tag=a&tag=b+c&bad=%zz");
        assert_eq!(parameter(query, "digest").as_deref(), Some("sha256:ab"));
        assert_eq!(parameter(query, "n").as_deref(), Some(""));
        assert_eq!(parameters(query, "tag"), ["a", "b c"]);
        assert_eq!(parameter(query, "bad").as_deref(), Some("%zz"));
        assert_eq!(parameter(query, "x"), None);
        assert_eq!(encode("a b&c"), "a%20b%26c");
    }

    #[test]
    fn warnings_stay_within_their_bound() {
        let mut response = empty(StatusCode::OK);
        warn(&mut response, &["one \"quoted\"".into(), "x".repeat(5000)]);
        let all: Vec<_> = response.headers().get_all(header::WARNING).iter().collect();
        assert_eq!(all, ["299 - \"one \\\"quoted\\\"\""]);
    }
}
