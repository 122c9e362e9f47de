//! What went wrong at a registry: facts for programs, the reference's words for people.
//!
//! A 4xx answer becomes the list of codes in its body; anything else that is no success keeps its status. Callers ask
//! the predicates instead of comparing texts. The one that matters most is [`RegistryError::is_unknown`]: an answer
//! that says nothing about the content must never be read as an answer about the content.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::challenge::parse_challenges;
use super::rate::RateLimit;
use super::transport::TransportError;
use crate::digest::DigestError;
use crate::golang::quote;
use crate::json::{self, JsonError, Value};
use crate::manifest::ManifestError;

/// The facts of an answer that was no success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The status.
    pub status: StatusCode,
    /// What it said about how often one may ask.
    pub rate: RateLimit,
}

/// Why a registry gave no content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// It answered with error codes.
    #[error("{}", errors_text(.errors))]
    Codes {
        /// The answer.
        facts: Facts,
        /// At least one.
        errors: Vec<ApiError>,
    },
    /// It answered 4xx with a body that holds no error codes.
    #[error("error parsing HTTP {} response body: {problem}: {}", .facts.status.as_u16(), quote(.body))]
    Unparsable {
        /// The answer.
        facts: Facts,
        /// What is wrong with the body.
        problem: String,
        /// The body, cut off at [`crate::limits::ERROR_BYTES`].
        body: Vec<u8>,
    },
    /// It answered with a status that is neither success nor 4xx.
    #[error("received unexpected HTTP status: {}", status_text(&.0.status))]
    Status(Facts),
    /// A request could not be made or got no answer.
    #[error("{verb} {}: {cause}", quote(.url.as_bytes()))]
    Request {
        /// `Get` or `Head`.
        verb: &'static str,
        /// The URL.
        url: String,
        /// What happened.
        cause: Box<Cause>,
    },
    /// The body broke off.
    #[error(transparent)]
    Body(TransportError),
    /// It does not speak this protocol.
    #[error("endpoint {} does not support v2 API (got {})", quote(.endpoint.as_bytes()), status_text(&.facts.status))]
    NotV2 {
        /// Scheme and host.
        endpoint: String,
        /// The answer.
        facts: Facts,
    },
    /// The content is not what its digest says.
    #[error(
        "content integrity error: the {what} retrieved with digest {expected} does not match the digest calculated from the content {found}"
    )]
    Integrity {
        /// `manifest`, `schema 1 manifest` or `blob`.
        what: &'static str,
        /// What was asked for.
        expected: String,
        /// What came.
        found: String,
    },
    /// The content is no manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The answer is not the JSON it should be.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A digest in an answer is none.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// More than is read.
    #[error("{what} is larger than {most} {unit}")]
    TooLarge {
        /// What was being read.
        what: &'static str,
        /// How much of it is read at most.
        most: usize,
        /// `bytes`, `tags`…
        unit: &'static str,
    },
    /// The registry's host or the repository's path cannot be part of a URL.
    #[error("invalid repository address {0:?}")]
    Address(String),
    /// The next page lies at another place than the first.
    #[error("refusing to follow the next page of {first} to {next}")]
    ForeignPage {
        /// The page that named it.
        first: String,
        /// Where it would lie.
        next: String,
    },
}

/// Why a request was not made, or got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The network.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The token endpoint.
    #[error(transparent)]
    Token(RegistryError),
    /// The registry wants a name and a password, and there are none.
    #[error("no basic auth credentials")]
    NoCredentials,
    /// The challenge cannot be answered.
    #[error("{0}")]
    Challenge(String),
    /// A redirect that is not followed.
    #[error("{0}")]
    Redirect(String),
}

impl RegistryError {
    /// The codes of the answer, if it had any.
    pub fn errors(&self) -> &[ApiError] {
        match self {
            RegistryError::Codes { errors, .. } => errors,
            _ => &[],
        }
    }

    /// Whether the answer lists this code.
    pub fn has_code(&self, code: Code) -> bool {
        self.errors().iter().any(|error| error.code == code)
    }

    /// The answer, if there was one.
    pub fn facts(&self) -> Option<&Facts> {
        match self {
            RegistryError::Codes { facts, .. }
            | RegistryError::Unparsable { facts, .. }
            | RegistryError::Status(facts)
            | RegistryError::NotV2 { facts, .. } => Some(facts),
            RegistryError::Request { cause, .. } => match cause.as_ref() {
                Cause::Token(error) => error.facts(),
                _ => None,
            },
            _ => None,
        }
    }

    /// How long the registry wants to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.facts().and_then(|facts| facts.rate.retry_after)
    }

    /// The registry says that this manifest does not exist (and does not say so with a status of passing trouble).
    pub fn is_not_found(&self) -> bool {
        self.has_code(Code::ManifestUnknown) && !self.facts().is_some_and(|facts| is_passing(facts.status))
    }

    /// The registry says that this repository does not exist.
    pub fn is_repository_unknown(&self) -> bool {
        self.has_code(Code::NameUnknown)
    }

    /// The registry wants other credentials, or any.
    pub fn is_unauthorized(&self) -> bool {
        self.has_code(Code::Unauthorized) || self.to_string().ends_with(&Cause::NoCredentials.to_string())
    }

    /// The registry says that name or password are wrong (rather than that they may not do this).
    pub fn is_wrong_password(&self) -> bool {
        self.to_string().ends_with("incorrect username or password")
    }

    /// Nothing was learnt about the content: too many requests, trouble at the registry, on the way, or in the answer.
    pub fn is_unknown(&self) -> bool {
        match self {
            RegistryError::Codes { facts, errors } => {
                is_passing(facts.status)
                    || errors
                        .iter()
                        .any(|e| matches!(e.code, Code::TooManyRequests | Code::Unavailable | Code::Unknown))
            }
            RegistryError::Integrity { .. } | RegistryError::Manifest(_) | RegistryError::TooLarge { .. } => {
                false
            }
            RegistryError::Request { cause, .. } => match cause.as_ref() {
                Cause::Token(error) => error.is_unknown(),
                Cause::NoCredentials => false,
                Cause::Transport(_) | Cause::Challenge(_) | Cause::Redirect(_) => true,
            },
            RegistryError::Address(_) => false,
            RegistryError::Unparsable { .. }
            | RegistryError::Status(_)
            | RegistryError::Body(_)
            | RegistryError::NotV2 { .. }
            | RegistryError::Json(_)
            | RegistryError::Digest(_)
            | RegistryError::ForeignPage { .. } => true,
        }
    }

    /// Whether the network, rather than the registry, failed.
    pub fn is_transport(&self) -> bool {
        self.transport().is_some()
    }

    pub(super) fn transport(&self) -> Option<&TransportError> {
        match self {
            RegistryError::Body(error) => Some(error),
            RegistryError::Request { cause, .. } => match cause.as_ref() {
                Cause::Transport(error) => Some(error),
                _ => None,
            },
            _ => None,
        }
    }

    /// The error that an answer without success stands for.
    pub(super) fn from_answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let facts = Facts { status, rate: RateLimit::read(headers) };
        if !status.is_client_error() {
            return RegistryError::Status(facts);
        }
        let parsed = parse_body(status, body);
        let token_error =
            parse_challenges(headers).iter().filter(|c| c.scheme == "bearer").find_map(|challenge| {
                let code = match challenge.parameter("error")? {
                    "invalid_token" => Code::Unauthorized,
                    "insufficient_scope" => Code::Denied,
                    _ => return None,
                };
                let description = challenge.parameter("error_description").filter(|text| !text.is_empty());
                Some(ApiError::with_message(code, description.unwrap_or(code.default_message())))
            });
        match (token_error, parsed) {
            (Some(error), Ok(errors)) => {
                RegistryError::Codes { facts, errors: std::iter::once(error).chain(errors).collect() }
            }
            (Some(error), Err(problem)) => {
                let rest = RegistryError::Unparsable { facts, problem, body: body.to_vec() }.to_string();
                RegistryError::Codes {
                    facts,
                    errors: vec![error, ApiError { code: Code::Unknown, text: rest }],
                }
            }
            (None, Ok(errors)) => RegistryError::Codes { facts, errors },
            (None, Err(_)) if status == StatusCode::UNAUTHORIZED => {
                let error = ApiError::with_message(Code::Unauthorized, Code::Unauthorized.default_message());
                RegistryError::Codes { facts, errors: vec![error] }
            }
            (None, Err(problem)) => RegistryError::Unparsable { facts, problem, body: body.to_vec() },
        }
    }
}

/// One entry of a registry's error list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The code; [`Code::Unknown`] for those that nobody registered.
    pub code: Code,
    /// Code and message as users know them: `name unknown: repository name not known to registry`.
    pub text: String,
}

impl ApiError {
    fn with_message(code: Code, message: &str) -> Self {
        Self { code, text: format!("{code}: {message}") }
    }

    fn read(entry: &json::Fields<'_, '_>) -> Result<Self, JsonError> {
        let code = Code::from_name(&entry.string("code")?);
        let message = entry.string("message")?;
        if entry.get("detail").is_none() && (message.is_empty() || message == code.default_message()) {
            return Ok(Self { code, text: code.to_string() });
        }
        Ok(Self::with_message(code, &message))
    }
}

fn parse_body(status: StatusCode, body: &[u8]) -> Result<Vec<ApiError>, String> {
    let document = json::parse(body).map_err(|error| error.to_string())?;
    let fields = document.as_struct("errcode.Errors").map_err(|error| error.to_string())?;
    if let Some(Value::String(details)) = fields.get("details")
        && !details.is_empty()
    {
        let code = match status.as_u16() {
            401 => Code::Unauthorized,
            403 => Code::Denied,
            429 => Code::TooManyRequests,
            _ => Code::Unknown,
        };
        return Ok(vec![ApiError::with_message(code, details)]);
    }
    let entries =
        fields.objects("errors", "errcode.Error", "[]errcode.Error").map_err(|error| error.to_string())?;
    if entries.is_empty() {
        return Err("no error details found in HTTP response body".to_owned());
    }
    entries.iter().map(ApiError::read).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// Too many requests, a time-out at the registry, or trouble inside it.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

fn status_text(status: &StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

fn errors_text(errors: &[ApiError]) -> String {
    match errors {
        [error] => error.text.clone(),
        several => {
            let lines = several.iter().map(|error| error.text.as_str()).collect::<Vec<_>>().join("\n");
            format!("errors:\n{lines}\n")
        }
    }
}

macro_rules! codes {
    ($($variant:ident $name:literal $message:literal,)*) => {
        /// The registered error codes of the distribution protocol.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Code {
            /// The code's name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)* }
            }

            /// What it means when the registry adds no message of its own.
            pub fn default_message(self) -> &'static str {
                match self { $(Code::$variant => $message,)* }
            }

            /// The code of that name; [`Code::Unknown`] for names that nobody registered.
            pub fn from_name(name: &str) -> Self {
                match name { $($name => Code::$variant,)* _ => Code::Unknown }
            }
        }
    };
}

codes! {
    Unknown "UNKNOWN" "unknown error",
    Unsupported "UNSUPPORTED" "The operation is unsupported.",
    Unauthorized "UNAUTHORIZED" "authentication required",
    Denied "DENIED" "requested access to the resource is denied",
    Unavailable "UNAVAILABLE" "service unavailable",
    TooManyRequests "TOOMANYREQUESTS" "too many requests",
    DigestInvalid "DIGEST_INVALID" "provided digest did not match uploaded content",
    SizeInvalid "SIZE_INVALID" "provided length did not match content length",
    NameInvalid "NAME_INVALID" "invalid repository name",
    TagInvalid "TAG_INVALID" "manifest tag did not match URI",
    NameUnknown "NAME_UNKNOWN" "repository name not known to registry",
    ManifestUnknown "MANIFEST_UNKNOWN" "manifest unknown",
    ManifestInvalid "MANIFEST_INVALID" "manifest invalid",
    ManifestUnverified "MANIFEST_UNVERIFIED" "manifest failed signature verification",
    ManifestBlobUnknown "MANIFEST_BLOB_UNKNOWN" "blob unknown to registry",
    BlobUnknown "BLOB_UNKNOWN" "blob unknown to registry",
    BlobUploadUnknown "BLOB_UPLOAD_UNKNOWN" "blob upload unknown to registry",
    BlobUploadInvalid "BLOB_UPLOAD_INVALID" "blob upload invalid",
    RangeInvalid "RANGE_INVALID" "invalid content range",
    PaginationNumberInvalid "PAGINATION_NUMBER_INVALID" "invalid number of results requested",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name().to_ascii_lowercase().replace('_', " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, challenge: &'static str, body: &str, expected: &str) -> RegistryError {
        let mut headers = HeaderMap::new();
        if !challenge.is_empty() {
            headers.insert(http::header::WWW_AUTHENTICATE, challenge.parse().unwrap());
        }
        let error =
            RegistryError::from_answer(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes());
        assert_eq!(error.to_string(), expected);
        error
    }

    #[test]
    fn error_lists_print_as_users_know_them() {
        let missing = check(
            404,
            "",
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
            "manifest unknown",
        );
        assert!(missing.is_not_found() && !missing.is_unknown());
        let detailed =
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#;
        check(404, "", detailed, "manifest unknown: manifest unknown");
        let no_name =
            check(404, "", r#"{"errors":[{"code":"NAME_UNKNOWN","message":"gone"}]}"#, "name unknown: gone");
        assert!(no_name.is_repository_unknown() && !no_name.is_not_found());
        check(400, "", r#"{"errors":[{"code":"WEIRD","message":"what"}]}"#, "unknown: what");
        check(400, "", r#"{"errors":[{"code":"DENIED"},{"code":"X"}]}"#, "errors:\ndenied\nunknown\n");
    }

    #[test]
    fn bodies_without_codes_are_quoted() {
        check(
            403,
            "",
            "<html>",
            "error parsing HTTP 403 response body: invalid character '<' looking for beginning of value: \"<html>\"",
        );
        check(
            404,
            "",
            "{}",
            "error parsing HTTP 404 response body: no error details found in HTTP response body: \"{}\"",
        );
        check(400, "", "", "error parsing HTTP 400 response body: unexpected end of JSON input: \"\"");
        let bare = check(401, "", "<html>", "unauthorized: authentication required");
        assert!(bare.is_unauthorized() && !bare.is_unknown());
    }

    #[test]
    fn details_and_challenges_become_codes() {
        assert!(
            check(
                401,
                "",
                r#"{"details":"incorrect username or password"}"#,
                "unauthorized: incorrect username or password"
            )
            .is_wrong_password()
        );
        check(403, "", r#"{"details":"no"}"#, "denied: no");
        assert!(check(429, "", r#"{"details":"slow down"}"#, "toomanyrequests: slow down").is_unknown());
        check(418, "", r#"{"details":"tea"}"#, "unknown: tea");
        let challenge = "Bearer realm=\"x\",error=\"insufficient_scope\"";
        let merged = check(
            401,
            challenge,
            r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#,
            "errors:\ndenied: requested access to the resource is denied\nunauthorized\n",
        );
        assert!(merged.is_unauthorized());
        check(
            401,
            "Bearer error=invalid_token,error_description=\"too old\"",
            r#"{"details":"x"}"#,
            "errors:\nunauthorized: too old\nunauthorized: x\n",
        );
    }

    #[test]
    fn ghsa_2v5f_5r6w_p67r_trouble_at_the_registry_is_unknown() {
        for (status, text) in
            [(500, "500 Internal Server Error"), (502, "502 Bad Gateway"), (304, "304 Not Modified")]
        {
            assert!(check(status, "", "", &format!("received unexpected HTTP status: {text}")).is_unknown());
        }
        let busy = check(
            429,
            "",
            "busy",
            "error parsing HTTP 429 response body: invalid character 'b' looking for beginning of value: \"busy\"",
        );
        assert!(busy.is_unknown() && !busy.is_not_found());
        let both = check(429, "", r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#, "manifest unknown");
        assert!(both.is_unknown() && !both.is_not_found());
    }
}
