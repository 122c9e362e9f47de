//! Options of deletes: from the body if there is one, else from the query.

use serde::Deserialize;
use serde_json::Value;

use super::write::dry_run_errors;
use super::{check, parse_int};
use crate::field::{FieldError, quote};
use crate::query;
use crate::request::truthy;
use crate::status::ApiError;

/// What becomes of objects that the deleted one owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They go first; the owner waits.
    Foreground,
    /// They go later.
    Background,
    /// They stay.
    Orphan,
}

/// What must hold for an object to be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Preconditions {
    /// It still has this identity.
    pub uid: Option<String>,
    /// It still has this version.
    pub resource_version: Option<String>,
}

/// How an object is to be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Seconds to wait; accepted and without effect on most kinds.
    pub grace_period_seconds: Option<i64>,
    /// What must hold.
    pub preconditions: Preconditions,
    /// What becomes of dependents, if said (`orphanDependents` counts as well).
    pub propagation: Option<Propagation>,
    /// Answer as if, but change nothing.
    pub dry_run: bool,
}

/// The options as they are written.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Wire {
    grace_period_seconds: Option<i64>,
    preconditions: Option<Preconditions>,
    orphan_dependents: Option<bool>,
    propagation_policy: Option<String>,
    dry_run: Option<Vec<String>>,
}

impl DeleteOptions {
    /// Reads the options. `body` is the decoded body, absent when there is none; it hides the query.
    ///
    /// # Errors
    /// 400 for values of the wrong type, 422 for unknown ones, 500 without a reason for a body of another kind.
    pub fn parse(query: &str, body: Option<&Value>) -> Result<DeleteOptions, ApiError> {
        let wire = match body {
            Some(body) => from_body(body)?,
            None => from_query(query)?,
        };
        wire.checked()
    }
}

impl Wire {
    fn checked(self) -> Result<DeleteOptions, ApiError> {
        let field = "propagationPolicy";
        let mut errors = Vec::new();
        let policy = self.propagation_policy.as_deref();
        if let (Some(_), Some(policy)) = (self.orphan_dependents, policy) {
            let detail = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(FieldError::invalid(field, policy, detail));
        }
        let mut propagation = self
            .orphan_dependents
            .map(|orphan| if orphan { Propagation::Orphan } else { Propagation::Background });
        match policy {
            None => {}
            Some("Foreground") => propagation = Some(Propagation::Foreground),
            Some("Background") => propagation = Some(Propagation::Background),
            Some("Orphan") => propagation = Some(Propagation::Orphan),
            Some(other) => {
                let known = ["Foreground", "Background", "Orphan", "nil"];
                errors.push(FieldError::not_supported(field, other, &known));
            }
        }
        let dry_run = self.dry_run.unwrap_or_default();
        errors.extend(dry_run_errors(&dry_run));
        check("DeleteOptions", &errors)?;
        Ok(DeleteOptions {
            grace_period_seconds: self.grace_period_seconds,
            preconditions: self.preconditions.unwrap_or_default(),
            propagation,
            dry_run: !dry_run.is_empty(),
        })
    }
}

/// Any group's `DeleteOptions` is fine, and so is a body without a kind: clients send all of these.
fn from_body(body: &Value) -> Result<Wire, ApiError> {
    let word = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    let kind = word("kind");
    if !matches!(kind, "" | "DeleteOptions") {
        return Err(ApiError::plain(format!(
            "no kind {} is registered for version {} in scheme \
             \"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27\"",
            quote(kind),
            quote(word("apiVersion"))
        )));
    }
    if body.is_null() {
        return Ok(Wire::default());
    }
    Wire::deserialize(body)
        .map_err(|error| ApiError::bad_request(format!("the body is no DeleteOptions: {error}")))
}

fn from_query(query: &str) -> Result<Wire, ApiError> {
    let text = |key: &str| query::first(query, key).map(std::borrow::Cow::into_owned);
    let dry_run: Vec<String> =
        query::pairs(query).filter(|(key, _)| key == "dryRun").map(|(_, value)| value.into_owned()).collect();
    Ok(Wire {
        grace_period_seconds: text("gracePeriodSeconds").map(|value| parse_int(&value)).transpose()?,
        preconditions: None,
        orphan_dependents: text("orphanDependents").map(|value| truthy(&value)),
        propagation_policy: text("propagationPolicy"),
        dry_run: Some(dry_run),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_hides_the_query() {
        let body = json!({"kind": "DeleteOptions", "apiVersion": "image.openshift.io/v1", "dryRun": ["All"],
            "preconditions": {"uid": "u", "resourceVersion": null}});
        let options = DeleteOptions::parse("propagationPolicy=Orphan", Some(&body)).unwrap();
        assert_eq!(options.propagation, None);
        assert_eq!(options.preconditions.uid.as_deref(), Some("u"));
        assert!(options.dry_run);
        let options = DeleteOptions::parse("propagationPolicy=Orphan&gracePeriodSeconds=3", None).unwrap();
        assert_eq!(options.propagation, Some(Propagation::Orphan));
        assert_eq!(options.grace_period_seconds, Some(3));
        let old = json!({"orphanDependents": true});
        assert_eq!(DeleteOptions::parse("", Some(&old)).unwrap().propagation, Some(Propagation::Orphan));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let check = |query: &str, body: Option<Value>, code: u16, want: &str| {
            let error = DeleteOptions::parse(query, body.as_ref()).unwrap_err();
            assert_eq!((error.code(), error.to_string().as_str()), (code, want));
        };
        check("gracePeriodSeconds=x", None, 400, "strconv.ParseInt: parsing \"x\": invalid syntax");
        check(
            "",
            Some(json!({"propagationPolicy": "Bogus"})),
            422,
            "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Bogus\": supported \
             values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
        );
        check(
            "",
            Some(json!({"propagationPolicy": "Orphan", "orphanDependents": true})),
            422,
            "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \"Orphan\": \
             orphanDependents and deletionPropagation cannot be both set",
        );
        check(
            "",
            Some(json!({"kind": "ImageStream", "apiVersion": "image.openshift.io/v1"})),
            500,
            "no kind \"ImageStream\" is registered for version \"image.openshift.io/v1\" in scheme \
             \"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27\"",
        );
    }
}
