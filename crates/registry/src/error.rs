//! Errors as clients of registries know them: a code, a status, a sentence and details.
//!
//! Everything that goes wrong in this crate ends as an [`Error`]; what nobody expected is logged once, here, and told
//! as `UNKNOWN` without anything about paths or keys.

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::body::Body;

/// The codes of errors, each with its usual status and sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the protocol's")]
pub enum Code {
    Unknown,
    Unsupported,
    Unauthorized,
    Denied,
    Unavailable,
    TooManyRequests,
    DigestInvalid,
    SizeInvalid,
    RangeInvalid,
    NameInvalid,
    TagInvalid,
    NameUnknown,
    ManifestUnknown,
    ManifestInvalid,
    ManifestBlobUnknown,
    BlobUnknown,
    BlobUploadUnknown,
    BlobUploadInvalid,
    PaginationNumberInvalid,
    PullThroughManifest,
    SignatureInvalid,
    SignatureExists,
}

impl Code {
    /// The code's name, its status and its usual sentence.
    fn facts(self) -> (&'static str, u16, &'static str) {
        match self {
            Code::Unknown => ("UNKNOWN", 500, "unknown error"),
            Code::Unsupported => ("UNSUPPORTED", 405, "The operation is unsupported."),
            Code::Unauthorized => ("UNAUTHORIZED", 401, "authentication required"),
            Code::Denied => ("DENIED", 403, "requested access to the resource is denied"),
            Code::Unavailable => ("UNAVAILABLE", 503, "service unavailable"),
            Code::TooManyRequests => ("TOOMANYREQUESTS", 429, "too many requests"),
            Code::DigestInvalid => ("DIGEST_INVALID", 400, "provided digest did not match uploaded content"),
            Code::SizeInvalid => ("SIZE_INVALID", 400, "provided length did not match content length"),
            Code::RangeInvalid => ("RANGE_INVALID", 416, "invalid content range"),
            Code::NameInvalid => ("NAME_INVALID", 400, "invalid repository name"),
            Code::TagInvalid => ("TAG_INVALID", 400, "manifest tag did not match URI"),
            Code::NameUnknown => ("NAME_UNKNOWN", 404, "repository name not known to registry"),
            Code::ManifestUnknown => ("MANIFEST_UNKNOWN", 404, "manifest unknown"),
            Code::ManifestInvalid => ("MANIFEST_INVALID", 400, "manifest invalid"),
            Code::ManifestBlobUnknown => ("MANIFEST_BLOB_UNKNOWN", 400, "blob unknown to registry"),
            Code::BlobUnknown => ("BLOB_UNKNOWN", 404, "blob unknown to registry"),
            Code::BlobUploadUnknown => ("BLOB_UPLOAD_UNKNOWN", 404, "blob upload unknown to registry"),
            Code::BlobUploadInvalid => ("BLOB_UPLOAD_INVALID", 404, "blob upload invalid"),
            Code::PaginationNumberInvalid => {
                ("PAGINATION_NUMBER_INVALID", 400, "invalid number of results requested")
            }
            Code::PullThroughManifest => ("OPENSHIFT_PULLTHROUGH_MANIFEST", 404, "unable to pull manifest"),
            Code::SignatureInvalid => ("SIGNATURE_INVALID", 400, "invalid image signature"),
            Code::SignatureExists => ("SIGNATURE_EXISTS", 409, "image signature already exists"),
        }
    }

    /// The code's name on the wire.
    pub fn as_str(self) -> &'static str {
        self.facts().0
    }
}

/// One answer that is an error; further errors of the same answer go along.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: Code,
    status: StatusCode,
    message: String,
    detail: Value,
    headers: HeaderMap,
    more: Vec<Value>,
}

impl Error {
    /// An error with its code's own status and sentence.
    pub fn new(code: Code) -> Error {
        let (_, status, message) = code.facts();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Error(Box::new(Inner {
            code,
            status,
            message: message.to_owned(),
            detail: Value::Null,
            headers: HeaderMap::new(),
            more: Vec::new(),
        }))
    }

    /// Another sentence.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Error {
        self.0.message = message.into();
        self
    }

    /// Details for programs.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Value>) -> Error {
        self.0.detail = detail.into();
        self
    }

    /// Another status.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Error {
        self.0.status = status;
        self
    }

    /// A header of the answer; text that cannot be one is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Error {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.insert(name, value);
        }
        self
    }

    /// Another error of the same answer.
    #[must_use]
    pub fn and(mut self, other: Error) -> Error {
        self.0.more.push(other.envelope());
        self.0.more.extend(other.0.more);
        self
    }

    /// Something that nobody expected: logged here, and told without its cause.
    pub fn unexpected(what: &str, cause: &dyn std::fmt::Display) -> Error {
        tracing::error!(%cause, "{what}");
        Error::new(Code::Unknown).message(what.to_owned())
    }

    /// The store or another part cannot work for now.
    pub fn unavailable(why: &dyn std::fmt::Display) -> Error {
        tracing::warn!(%why, "the registry cannot answer");
        Error::new(Code::Unavailable)
    }

    /// The sentence.
    pub fn text(&self) -> &str {
        &self.0.message
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    fn envelope(&self) -> Value {
        json!({"code": self.0.code.as_str(), "message": self.0.message, "detail": self.0.detail})
    }

    /// The answer.
    pub fn into_response(self) -> Response<Body> {
        let mut errors = vec![self.envelope()];
        errors.extend(self.0.more);
        let body = json!({ "errors": errors }).to_string();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.0.status;
        *response.headers_mut() = self.0.headers;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

impl From<store::CommitError> for Error {
    fn from(error: store::CommitError) -> Error {
        match error {
            store::CommitError::Unavailable(why) => Error::unavailable(&why),
            store::CommitError::Conflict { .. } => Error::unavailable(&"others kept writing the same record"),
            other => Error::unexpected("the registry's records could not be written", &other),
        }
    }
}

impl From<store::ReadError> for Error {
    fn from(error: store::ReadError) -> Error {
        match error {
            store::ReadError::Unavailable(why) => Error::unavailable(&why),
            other => Error::unexpected("the registry's records could not be read", &other),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                tracing::error!(%error, "the blob storage is full");
                Error::new(Code::Unavailable).message("the registry's storage is full")
            }
            _ => Error::unexpected("the registry's storage failed", &error),
        }
    }
}

impl From<crate::catalog::CatalogError> for Error {
    fn from(error: crate::catalog::CatalogError) -> Error {
        use crate::catalog::CatalogError as E;
        match error {
            E::Denied(why) => Error::new(Code::Denied).message(why),
            E::Unavailable(why) => Error::unavailable(&why),
            E::Other(why) => Error::unexpected("the image streams could not be read", &why),
        }
    }
}
