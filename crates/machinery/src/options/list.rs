//! Options of reads: get, list and watch.

use super::{check, parse_int, parse_version};
use crate::field::FieldError;
use crate::query;
use crate::request::truthy;
use crate::selector::{FieldSelector, LabelSelector};
use crate::status::ApiError;

/// How a list's `resourceVersion` is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionMatch {
    /// At least as new as the version.
    NotOlderThan,
    /// Exactly at the version.
    Exact,
}

/// The version a read wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionQuery {
    /// The newest there is: everything acknowledged before the request is seen.
    Latest,
    /// Whatever is at hand (`resourceVersion=0`).
    Any,
    /// Not older than a version.
    AtLeast(u64),
    /// Exactly at a version.
    Exact(u64),
}

/// Options of list, watch and deletecollection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListOptions {
    /// Which labels objects must have.
    pub label_selector: LabelSelector,
    /// Which fields objects must have.
    pub field_selector: FieldSelector,
    /// Whether to watch.
    pub watch: bool,
    /// Whether a watch sends bookmarks.
    pub allow_watch_bookmarks: bool,
    /// The version, as the client wrote it.
    pub resource_version: String,
    /// How the version is meant, as the client wrote it; validated.
    pub resource_version_match: String,
    /// Seconds after which a watch ends.
    pub timeout_seconds: Option<i64>,
    /// Items a page; 0 or less means all.
    pub limit: i64,
    /// The token of the page before.
    pub r#continue: String,
    /// Whether a watch starts with what is there now.
    pub send_initial_events: Option<bool>,
}

impl ListOptions {
    /// Reads and validates the options of a query.
    ///
    /// # Errors
    /// 400 for a value of the wrong type, 422 for values that contradict each other.
    pub fn parse(query: &str) -> Result<ListOptions, ApiError> {
        let options = ListOptions::read(query)?;
        options.validate()?;
        Ok(options)
    }

    /// The same for a request whose path already says that it watches (`/watch/…`).
    ///
    /// # Errors
    /// As [`ListOptions::parse`].
    pub fn parse_watch(query: &str) -> Result<ListOptions, ApiError> {
        let options = ListOptions { watch: true, ..ListOptions::read(query)? };
        options.validate()?;
        Ok(options)
    }

    fn read(query: &str) -> Result<ListOptions, ApiError> {
        let mut options = ListOptions::default();
        let mut seen = [false; 10];
        for (key, value) in query::pairs(query) {
            let mut first = |index: usize| !std::mem::replace(&mut seen[index], true);
            match &*key {
                "labelSelector" if first(0) => {
                    options.label_selector =
                        LabelSelector::parse(&value).map_err(|e| ApiError::bad_request(e.to_string()))?;
                }
                "fieldSelector" if first(1) => {
                    options.field_selector =
                        FieldSelector::parse(&value).map_err(|e| ApiError::bad_request(e.to_string()))?;
                }
                "watch" if first(2) => options.watch = truthy(&value),
                "allowWatchBookmarks" if first(3) => options.allow_watch_bookmarks = truthy(&value),
                "resourceVersion" if first(4) => options.resource_version = value.into_owned(),
                "resourceVersionMatch" if first(5) => options.resource_version_match = value.into_owned(),
                "timeoutSeconds" if first(6) => options.timeout_seconds = Some(parse_int(&value)?),
                "limit" if first(7) => options.limit = parse_int(&value)?,
                "continue" if first(8) => options.r#continue = value.into_owned(),
                "sendInitialEvents" if first(9) => options.send_initial_events = Some(truthy(&value)),
                _ => {}
            }
        }
        Ok(options)
    }

    fn validate(&self) -> Result<(), ApiError> {
        let errors = if self.watch { self.watch_errors() } else { self.list_errors() };
        check("ListOptions", &errors)
    }

    fn list_errors(&self) -> Vec<FieldError> {
        let field = "resourceVersionMatch";
        let mut errors = Vec::new();
        let wanted = self.resource_version_match.as_str();
        if !wanted.is_empty() {
            if self.resource_version.is_empty() {
                let detail = "resourceVersionMatch is forbidden unless resourceVersion is provided";
                errors.push(FieldError::forbidden(field, detail));
            }
            if !self.r#continue.is_empty() {
                let detail = "resourceVersionMatch is forbidden when continue is provided";
                errors.push(FieldError::forbidden(field, detail));
            }
            if !matches!(wanted, "Exact" | "NotOlderThan") {
                errors.push(FieldError::not_supported(field, wanted, &["Exact", "NotOlderThan", ""]));
            }
            if wanted == "Exact" && self.resource_version == "0" {
                let detail = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                errors.push(FieldError::forbidden(field, detail));
            }
        }
        if self.send_initial_events.is_some() {
            errors
                .push(FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
        }
        errors
    }

    fn watch_errors(&self) -> Vec<FieldError> {
        let field = "resourceVersionMatch";
        let mut errors = Vec::new();
        let wanted = self.resource_version_match.as_str();
        if self.send_initial_events.is_some() && wanted != "NotOlderThan" {
            let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            errors.push(FieldError::forbidden(field, detail));
        }
        if !wanted.is_empty() {
            if self.send_initial_events.is_none() {
                let detail =
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
                errors.push(FieldError::forbidden(field, detail));
            }
            if wanted != "NotOlderThan" {
                errors.push(FieldError::not_supported(field, wanted, &["NotOlderThan"]));
            }
            if !self.r#continue.is_empty() {
                let detail = "resourceVersionMatch is forbidden when continue is provided";
                errors.push(FieldError::forbidden(field, detail));
            }
        }
        errors
    }

    /// The version a list wants.
    ///
    /// # Errors
    /// 400 when the version is no number.
    pub fn list_version(&self) -> Result<VersionQuery, ApiError> {
        let wanted = if self.resource_version_match == "Exact" { Some(VersionMatch::Exact) } else { None };
        if self.resource_version.is_empty() {
            return Ok(VersionQuery::Latest);
        }
        let version = parse_version(&self.resource_version)
            .map_err(|text| ApiError::bad_request(format!("invalid resource version: {text}")))?;
        Ok(match (version, wanted) {
            (0, _) => VersionQuery::Any,
            (version, Some(VersionMatch::Exact)) => VersionQuery::Exact(version),
            // Without the word, a page of a given version is taken at that version.
            (version, None) if self.page_size().is_some() && self.resource_version_match.is_empty() => {
                VersionQuery::Exact(version)
            }
            (version, _) => VersionQuery::AtLeast(version),
        })
    }

    /// The version a watch starts behind: `None` begins with what is there now (also for `0`).
    ///
    /// # Errors
    /// 400 when the version is no number.
    pub fn watch_version(&self) -> Result<Option<u64>, ApiError> {
        if self.resource_version.is_empty() {
            return Ok(None);
        }
        let version = parse_version(&self.resource_version)
            .map_err(|text| ApiError::bad_request(format!("invalid resource version: {text}")))?;
        Ok(Some(version).filter(|&version| version != 0))
    }

    /// Items a page, when pages are wanted.
    pub fn page_size(&self) -> Option<usize> {
        usize::try_from(self.limit).ok().filter(|&limit| limit > 0)
    }
}

/// Options of a get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetOptions {
    /// The version, as the client wrote it.
    pub resource_version: String,
}

impl GetOptions {
    /// Reads the options of a query.
    pub fn parse(query: &str) -> GetOptions {
        let resource_version = query::first(query, "resourceVersion").unwrap_or_default().into_owned();
        GetOptions { resource_version }
    }

    /// The version the get wants.
    ///
    /// # Errors
    /// 500 without a reason when the version is no number: so the reference answers.
    pub fn version(&self) -> Result<VersionQuery, ApiError> {
        if self.resource_version.is_empty() {
            return Ok(VersionQuery::Latest);
        }
        match parse_version(&self.resource_version).map_err(ApiError::plain)? {
            0 => Ok(VersionQuery::Any),
            version => Ok(VersionQuery::AtLeast(version)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(query: &str, code: u16, message: &str) {
        let error = ListOptions::parse(query).unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), (code, message), "{query}");
    }

    #[test]
    fn options_are_read_from_the_query() {
        let options = ListOptions::parse(
            "labelSelector=a%3Db&fieldSelector=metadata.name%3Dx&limit=500&continue=tok&watch=&timeoutSeconds=7\
             &allowWatchBookmarks=true&other=1&limit=3",
        )
        .unwrap();
        assert!(options.watch && options.allow_watch_bookmarks);
        assert_eq!((options.limit, options.timeout_seconds), (500, Some(7)));
        assert_eq!(options.r#continue, "tok");
        assert_eq!(options.field_selector.exact("metadata.name"), Some("x"));
        assert_eq!(options.label_selector.0.len(), 1);
        assert_eq!(ListOptions::parse("").unwrap(), ListOptions::default());
    }

    #[test]
    fn values_of_the_wrong_type_are_bad_requests() {
        refused("limit=x", 400, "strconv.ParseInt: parsing \"x\": invalid syntax");
        refused(
            "limit=99999999999999999999",
            400,
            "strconv.ParseInt: parsing \"99999999999999999999\": value out of range",
        );
        refused("timeoutSeconds=", 400, "strconv.ParseInt: parsing \"\": invalid syntax");
        refused(
            "labelSelector=a%20b",
            400,
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        );
        refused("fieldSelector=x", 400, "invalid selector: 'x'; can't understand 'x'");
    }

    #[test]
    fn contradictions_are_invalid() {
        let check = |query: &str, rest: &str| {
            refused(query, 422, &format!("ListOptions.meta.k8s.io \"\" is invalid: {rest}"));
        };
        check(
            "resourceVersionMatch=Exact",
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        );
        check(
            "resourceVersion=0&resourceVersionMatch=Exact",
            "resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        );
        check(
            "resourceVersion=5&resourceVersionMatch=Nonsense",
            "resourceVersionMatch: Unsupported value: \"Nonsense\": supported values: \"Exact\", \"NotOlderThan\", \"\"",
        );
        check(
            "sendInitialEvents=true",
            "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list",
        );
        check(
            "watch=1&sendInitialEvents=true",
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        );
        ListOptions::parse("watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan").unwrap();
    }

    #[test]
    fn versions_say_how_fresh_a_read_must_be() {
        let check = |query: &str, want: VersionQuery| {
            assert_eq!(ListOptions::parse(query).unwrap().list_version().unwrap(), want, "{query}");
        };
        check("", VersionQuery::Latest);
        check("resourceVersion=0", VersionQuery::Any);
        check("resourceVersion=7", VersionQuery::AtLeast(7));
        check("resourceVersion=7&limit=2", VersionQuery::Exact(7));
        check("resourceVersion=7&limit=-1", VersionQuery::AtLeast(7));
        check("resourceVersion=7&limit=2&resourceVersionMatch=NotOlderThan", VersionQuery::AtLeast(7));
        check("resourceVersion=7&resourceVersionMatch=Exact", VersionQuery::Exact(7));
        let error = ListOptions::parse("resourceVersion=abc").unwrap().list_version().unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid resource version: resourceVersion: Invalid value: \"abc\": strconv.ParseUint: parsing \"abc\": \
             invalid syntax"
        );
        let error = GetOptions::parse("resourceVersion=abc").version().unwrap_err();
        assert_eq!((error.code(), error.reason()), (500, ""));
    }
}
