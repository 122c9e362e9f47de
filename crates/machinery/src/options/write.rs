//! Options of create, update and patch.

use serde_json::json;

use super::check;
use crate::field::FieldError;
use crate::query;
use crate::request::truthy;
use crate::status::ApiError;
use crate::validate::field_manager;

/// What happens to fields that a kind does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped, with a warning each.
    #[default]
    Warn,
    /// They are an error.
    Strict,
}

/// What create, update and patch have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Answer as if, but change nothing.
    pub dry_run: bool,
    /// Who changes the fields; empty if not said.
    pub field_manager: String,
    /// What happens to unknown and duplicate fields.
    pub field_validation: FieldValidation,
}

/// Options of a create.
pub type CreateOptions = WriteOptions;
/// Options of an update.
pub type UpdateOptions = WriteOptions;

/// Options of a patch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchOptions {
    /// What it has in common with other writes.
    pub write: WriteOptions,
    /// Whether an apply takes fields over from other managers.
    pub force: bool,
}

impl WriteOptions {
    /// Options of a create.
    ///
    /// # Errors
    /// 422 for values that are not known.
    pub fn for_create(query: &str) -> Result<CreateOptions, ApiError> {
        WriteOptions::parse("CreateOptions", query, Vec::new())
    }

    /// Options of an update.
    ///
    /// # Errors
    /// 422 for values that are not known.
    pub fn for_update(query: &str) -> Result<UpdateOptions, ApiError> {
        WriteOptions::parse("UpdateOptions", query, Vec::new())
    }

    fn parse(kind: &str, query: &str, mut errors: Vec<FieldError>) -> Result<WriteOptions, ApiError> {
        let manager = query::first(query, "fieldManager").unwrap_or_default().into_owned();
        errors.extend(field_manager(&manager, "fieldManager"));
        let dry_run: Vec<String> = query::pairs(query)
            .filter(|(key, _)| key == "dryRun")
            .map(|(_, value)| value.into_owned())
            .collect();
        errors.extend(dry_run_errors(&dry_run));
        let field_validation = match query::first(query, "fieldValidation").as_deref() {
            None | Some("" | "Warn") => FieldValidation::Warn,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                let known = ["", "Ignore", "Strict", "Warn"];
                errors.push(FieldError::not_supported("fieldValidation", other, &known));
                FieldValidation::Warn
            }
        };
        check(kind, &errors)?;
        Ok(WriteOptions { dry_run: !dry_run.is_empty(), field_manager: manager, field_validation })
    }
}

impl PatchOptions {
    /// Options of a patch; `apply` tells whether it is a server-side apply, which has rules of its own.
    ///
    /// # Errors
    /// 422 for values that are not known or do not fit the kind of patch.
    pub fn parse(query: &str, apply: bool) -> Result<PatchOptions, ApiError> {
        let force = query::first(query, "force").map(|value| truthy(&value));
        let manager = query::first(query, "fieldManager").unwrap_or_default();
        let mut errors = Vec::new();
        if apply && manager.is_empty() {
            errors.push(FieldError::required("fieldManager", "is required for apply patch"));
        }
        if !apply && force.is_some() {
            errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
        }
        let write = WriteOptions::parse("PatchOptions", query, errors)?;
        Ok(PatchOptions { write, force: force.unwrap_or_default() })
    }
}

/// The one value of `dryRun` is `All`.
pub(super) fn dry_run_errors(values: &[String]) -> Vec<FieldError> {
    if values.iter().all(|value| value == "All") {
        return Vec::new();
    }
    vec![FieldError::not_supported("dryRun", json!(values), &["All"])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_say_who_and_whether_in_earnest() {
        let options =
            WriteOptions::for_create("dryRun=All&fieldManager=oc&fieldValidation=Strict&pretty=1").unwrap();
        assert!(options.dry_run);
        assert_eq!(options.field_manager, "oc");
        assert_eq!(options.field_validation, FieldValidation::Strict);
        assert_eq!(WriteOptions::for_update("").unwrap(), WriteOptions::default());
    }

    #[test]
    fn unknown_values_are_refused() {
        let check = |error: ApiError, want: &str| {
            assert_eq!((error.code(), error.to_string().as_str()), (422, want));
        };
        check(
            WriteOptions::for_create("dryRun=Some").unwrap_err(),
            "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Some\"]: supported values: \
             \"All\"",
        );
        check(
            WriteOptions::for_create("fieldValidation=Bogus").unwrap_err(),
            "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Bogus\": supported \
             values: \"\", \"Ignore\", \"Strict\", \"Warn\"",
        );
        check(
            PatchOptions::parse("", true).unwrap_err(),
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        );
        check(
            PatchOptions::parse("force=true", false).unwrap_err(),
            "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch",
        );
        assert!(PatchOptions::parse("force=true&fieldManager=a", true).unwrap().force);
        check(
            WriteOptions::for_update(&format!("fieldManager={}", "x".repeat(129))).unwrap_err(),
            "UpdateOptions.meta.k8s.io \"\" is invalid: fieldManager: Too long: may not be more than 128 bytes",
        );
    }
}
