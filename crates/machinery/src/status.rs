//! The outcomes an API server can report, as constructors that each make the exact Status clients expect.
//!
//! `ApiError` is the only error that leaves the server; whatever goes wrong inside is turned into one of these in one
//! place. A resource is named as it stands in the request's URL, because clients look at `details.kind`.

use std::fmt;

use crate::field::{FieldError, aggregate};
use crate::json;
use crate::meta::{Status, StatusCause, StatusDetails};

/// A failed request: the Status that answers it.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError(pub Box<Status>);

/// Names a resource of a group, `imagestreams` of `image.openshift.io`; the core group is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupResource<'a> {
    /// The API group.
    pub group: &'a str,
    /// Resource or kind.
    pub resource: &'a str,
}

impl<'a> GroupResource<'a> {
    /// A resource (or kind) of a group.
    pub const fn new(group: &'a str, resource: &'a str) -> GroupResource<'a> {
        GroupResource { group, resource }
    }
}

impl fmt::Display for GroupResource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            f.write_str(self.resource)
        } else {
            write!(f, "{}.{}", self.resource, self.group)
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for ApiError {}

impl Status {
    /// A plain success.
    pub fn success() -> Status {
        Status { status: "Success".to_owned(), ..Default::default() }
    }

    /// The Status as it is sent.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = json::with_type("Status", "v1", self);
        out.push(b'\n');
        out
    }
}

impl ApiError {
    /// HTTP status of the answer.
    pub fn code(&self) -> u16 {
        u16::try_from(self.0.code).unwrap_or(500)
    }

    /// Machine-readable reason.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// True for a conflict that a retry may get over.
    pub fn is_conflict(&self) -> bool {
        self.reason() == "Conflict"
    }

    /// True when the object is not there.
    pub fn is_not_found(&self) -> bool {
        self.reason() == "NotFound"
    }

    /// A failure with everything given.
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> ApiError {
        ApiError(Box::new(Status {
            status: "Failure".to_owned(),
            message: message.into(),
            reason: reason.to_owned(),
            code: i32::from(code),
            ..Default::default()
        }))
    }

    /// The same with details (an empty value prints `{}`).
    #[must_use]
    pub fn with_details(mut self, details: StatusDetails) -> ApiError {
        self.0.details = Some(details);
        self
    }

    fn about(code: u16, reason: &str, message: String, of: GroupResource<'_>, name: &str) -> ApiError {
        ApiError::new(code, reason, message).with_details(StatusDetails {
            name: name.to_owned(),
            group: of.group.to_owned(),
            kind: of.resource.to_owned(),
            ..Default::default()
        })
    }

    /// 404: the object is not there.
    pub fn not_found(of: GroupResource<'_>, name: &str) -> ApiError {
        ApiError::about(404, "NotFound", format!("{of} {} not found", crate::field::quote(name)), of, name)
    }

    /// 404: the server has no such path.
    pub fn no_such_path() -> ApiError {
        ApiError::new(404, "NotFound", "the server could not find the requested resource")
            .with_details(StatusDetails::default())
    }

    /// 409: the name is taken.
    pub fn already_exists(of: GroupResource<'_>, name: &str) -> ApiError {
        ApiError::about(
            409,
            "AlreadyExists",
            format!("{of} {} already exists", crate::field::quote(name)),
            of,
            name,
        )
    }

    /// 409: somebody else changed the object; `why` says more.
    pub fn conflict(of: GroupResource<'_>, name: &str, why: &str) -> ApiError {
        let message = format!("Operation cannot be fulfilled on {of} {}: {why}", crate::field::quote(name));
        ApiError::about(409, "Conflict", message, of, name)
    }

    /// 409 of optimistic locking.
    pub fn modified(of: GroupResource<'_>, name: &str) -> ApiError {
        ApiError::conflict(
            of,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 403 with the object's name.
    pub fn forbidden(of: GroupResource<'_>, name: &str, why: &str) -> ApiError {
        let message = if name.is_empty() {
            format!("{of} is forbidden: {why}")
        } else {
            format!("{of} {} is forbidden: {why}", crate::field::quote(name))
        };
        ApiError::about(403, "Forbidden", message, of, name)
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(400, "BadRequest", message)
    }

    /// 401.
    pub fn unauthorized() -> ApiError {
        ApiError::new(401, "Unauthorized", "Unauthorized")
    }

    /// 405 for a verb that a path does not have.
    pub fn method_not_allowed() -> ApiError {
        ApiError::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
        .with_details(StatusDetails::default())
    }

    /// 405 for an action that a resource does not support.
    pub fn action_not_supported(of: GroupResource<'_>, action: &str) -> ApiError {
        let message = format!(
            "{action} is not supported on resources of kind {}",
            crate::field::quote(&of.to_string())
        );
        ApiError::about(405, "MethodNotAllowed", message, of, "")
    }

    /// 406.
    pub fn not_acceptable(message: impl Into<String>) -> ApiError {
        ApiError::new(406, "NotAcceptable", message)
    }

    /// 410: the version asked for is gone.
    pub fn expired(message: impl Into<String>) -> ApiError {
        ApiError::new(410, "Expired", message)
    }

    /// 413.
    pub fn too_large(message: impl Into<String>) -> ApiError {
        ApiError::new(413, "RequestEntityTooLarge", message)
    }

    /// 415.
    pub fn unsupported_media_type(message: impl Into<String>) -> ApiError {
        ApiError::new(415, "UnsupportedMediaType", message)
    }

    /// 422: the object is invalid. `of` holds the kind.
    pub fn invalid(of: GroupResource<'_>, name: &str, errors: &[FieldError]) -> ApiError {
        let text = aggregate(errors.iter().map(ToString::to_string));
        let message = format!("{of} {} is invalid: {text}", crate::field::quote(name));
        let mut error = ApiError::about(422, "Invalid", message, of, name);
        if let Some(details) = &mut error.0.details {
            details.causes = errors.iter().map(FieldError::cause).collect();
        }
        error
    }

    /// 429: come back later.
    pub fn too_many_requests(message: impl Into<String>, retry_after: i32) -> ApiError {
        ApiError::new(429, "TooManyRequests", message)
            .with_details(StatusDetails { retry_after_seconds: retry_after, ..Default::default() })
    }

    /// 500 in the words Kubernetes wraps unexpected errors in.
    pub fn internal(message: &str) -> ApiError {
        ApiError::new(500, "InternalError", format!("Internal error occurred: {message}")).with_details(
            StatusDetails {
                causes: vec![StatusCause { message: message.to_owned(), ..Default::default() }],
                ..Default::default()
            },
        )
    }

    /// 500 without a reason: how the reference renders errors that are none of the API's.
    pub fn plain(message: impl Into<String>) -> ApiError {
        ApiError::new(500, "", message)
    }

    /// 500: the operation could not be completed in time; the client should try again.
    pub fn server_timeout(of: GroupResource<'_>, operation: &str, retry_after: i32) -> ApiError {
        let message = format!(
            "The {operation} operation against {of} could not be completed at this time, please try again."
        );
        let mut error = ApiError::about(500, "ServerTimeout", message, of, operation);
        if let Some(details) = &mut error.0.details {
            details.retry_after_seconds = retry_after;
        }
        error
    }

    /// 503.
    pub fn unavailable(message: impl Into<String>) -> ApiError {
        ApiError::new(503, "ServiceUnavailable", message)
    }

    /// 504.
    pub fn timeout(message: impl Into<String>, retry_after: i32) -> ApiError {
        ApiError::new(504, "Timeout", format!("Timeout: {}", message.into()))
            .with_details(StatusDetails { retry_after_seconds: retry_after, ..Default::default() })
    }
}
