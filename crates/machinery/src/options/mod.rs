//! What a request asks for beside its object: the query parameters (and, for deletes, the body) of each verb.
//!
//! Reading a parameter of the wrong type is a 400 with Go's words; values that contradict each other are a 422 about
//! `ListOptions`, `CreateOptions` and so on. Unknown parameters are ignored, the first of several values counts.

mod delete;
mod list;
mod write;

pub use delete::{DeleteOptions, Preconditions, Propagation};
pub use list::{GetOptions, ListOptions, VersionMatch, VersionQuery};
pub use write::{CreateOptions, FieldValidation, PatchOptions, UpdateOptions, WriteOptions};

use crate::field::FieldError;
use crate::status::{ApiError, GroupResource};

/// The group that options belong to.
const META_GROUP: &str = "meta.k8s.io";

/// 422 about a kind of options, when there is anything wrong.
fn check(kind: &str, errors: &[FieldError]) -> Result<(), ApiError> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(GroupResource::new(META_GROUP, kind), "", errors))
}

/// Reads a number as Go's `strconv.ParseInt` does.
fn parse_int(text: &str) -> Result<i64, ApiError> {
    text.parse::<i64>().map_err(|error| {
        use std::num::IntErrorKind::{NegOverflow, PosOverflow};
        let why = match error.kind() {
            PosOverflow | NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        ApiError::bad_request(format!("strconv.ParseInt: parsing {}: {why}", crate::field::quote(text)))
    })
}

/// Reads a resource version as Go's `strconv.ParseUint` does; the error is the text of the field error.
fn parse_version(text: &str) -> Result<u64, String> {
    let unsigned = if text.starts_with('+') { Err(None) } else { text.parse::<u64>().map_err(Some) };
    unsigned.map_err(|error| {
        let overflow = error.is_some_and(|error| matches!(error.kind(), std::num::IntErrorKind::PosOverflow));
        let why = if overflow { "value out of range" } else { "invalid syntax" };
        let shown = crate::field::quote(text);
        format!("resourceVersion: Invalid value: {shown}: strconv.ParseUint: parsing {shown}: {why}")
    })
}
