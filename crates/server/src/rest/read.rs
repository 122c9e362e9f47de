//! Get and list of stored kinds: everything comes from one immutable snapshot, as bytes that are final.

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use bytes::Bytes;
use machinery::meta::ListMeta;
use machinery::options::{GetOptions, ListOptions, VersionQuery};
use machinery::selector::{FieldRequirement, FieldSelector, LabelSelector};
use machinery::status::ApiError;
use serde::{Deserialize, Serialize};
use store::cache::Snapshot;
use store::{ReadError, Revision};

use super::call::Call;
use super::reply::Reply;
use crate::limits;
use crate::stored::{Entry, Served};

/// GET of one object.
///
/// # Errors
/// 404; 500 for a version that is no number or an object that cannot be read.
pub(super) async fn get(call: &Call) -> Result<Reply, ApiError> {
    if let VersionQuery::AtLeast(revision) = GetOptions::parse(&call.query).version()? {
        wait_for(call, Revision(revision)).await?;
    }
    let key = call.resource.key(&call.info.namespace, &call.info.name);
    let snapshot = call.ctx.cache.snapshot();
    let entry = snapshot.get(&key).ok_or_else(|| ApiError::not_found(call.of(), &call.info.name))?;
    let bytes = entry.object.object(&key).map_err(|broken| ApiError::internal(&broken.to_string()))?;
    Ok(Reply::object(200, bytes))
}

/// What a list or watch selects.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// By labels.
    pub labels: LabelSelector,
    /// By fields.
    pub fields: FieldSelector,
}

impl Selection {
    /// The selection of a request.
    ///
    /// # Errors
    /// 400 for selectors that cannot be parsed or name fields that cannot be selected by.
    pub(super) fn of(call: &Call, options: &ListOptions) -> Result<Selection, ApiError> {
        let labels = options.label_selector.clone();
        let mut fields = options.field_selector.clone();
        let known: &[&str] = match call.resource.plural {
            "imagestreams" => &[
                "metadata.name",
                "metadata.namespace",
                "spec.dockerImageRepository",
                "status.dockerImageRepository",
            ],
            "secrets" => &["metadata.name", "metadata.namespace", "type"],
            "namespaces" | "projects" => &["metadata.name", "metadata.namespace", "status.phase"],
            _ => &["metadata.name", "metadata.namespace"],
        };
        fields.check_known(known).map_err(|error| ApiError::bad_request(error.to_string()))?;
        if !call.info.name.is_empty() {
            // The old form of a watch of one object.
            let name = call.info.name.to_string();
            fields.0.push(FieldRequirement { field: "metadata.name".to_owned(), equal: true, value: name });
        }
        Ok(Selection { labels, fields })
    }

    /// True when everything is selected.
    pub(super) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether an object is selected.
    pub(super) fn matches(&self, entry: &store::cache::Entry<Served>) -> bool {
        if !self.labels.matches(&entry.object.labels) {
            return false;
        }
        self.fields.is_empty()
            || self.fields.matches(|field| match field {
                "metadata.name" => entry.key.name(),
                "metadata.namespace" => entry.key.namespace().unwrap_or_default(),
                other => entry
                    .object
                    .fields
                    .iter()
                    .find(|(name, _)| *name == other)
                    .map_or("", |(_, value)| value.as_str()),
            })
    }
}

/// A page of a list.
#[derive(Debug)]
pub(super) struct Listed {
    /// The objects.
    pub entries: Vec<Entry>,
    /// The list's own metadata.
    pub metadata: ListMeta,
}

/// GET of a collection.
///
/// # Errors
/// As [`list_entries`].
pub(super) async fn list(call: &Call) -> Result<Reply, ApiError> {
    let options = ListOptions::parse(&call.query)?;
    let listed = list_entries(call, &options).await?;
    let readable = listed.entries.iter().filter(|entry| entry.object.is_readable());
    let items: Vec<Bytes> = readable.map(|entry| entry.object.item()).collect();
    Ok(Reply::list(listed.metadata, items))
}

/// The objects a list request means, in key order.
///
/// # Errors
/// 400 for bad selectors and tokens, 410 for versions that are gone, 504 for those that never come.
pub(super) async fn list_entries(call: &Call, options: &ListOptions) -> Result<Listed, ApiError> {
    let selection = Selection::of(call, options)?;
    let prefix = call.resource.prefix_in(&call.info.namespace);
    let (snapshot, after) = match options.r#continue.as_str() {
        "" => (at_version(call, options).await?, None),
        token => from_token(call, token, &prefix)?,
    };
    let limit = options.page_size().unwrap_or(usize::MAX);
    let mut entries: Vec<Entry> = Vec::new();
    let mut next = None;
    let everything = selection.is_everything();
    let mut rest = snapshot.range(&prefix, after.as_deref());
    for entry in rest.by_ref() {
        if everything || selection.matches(entry) {
            if entries.len() == limit {
                next = entries.last().map(|last| last.key.as_str().to_owned());
                break;
            }
            entries.push(Arc::clone(entry));
        }
    }
    let mut metadata = ListMeta { resource_version: snapshot.revision.to_string(), ..ListMeta::default() };
    if let Some(last) = next {
        call.ctx.cache.pin(snapshot.revision).map_err(|error| gone(&error))?;
        metadata.r#continue = token(&snapshot, &last, &prefix);
        // With a selector the rest cannot be counted without looking at all of it: Kubernetes leaves it out too.
        metadata.remaining_item_count =
            everything.then(|| i64::try_from(rest.count() + 1).unwrap_or(i64::MAX));
    }
    Ok(Listed { entries, metadata })
}

/// The state that a list without a token is to show.
async fn at_version(call: &Call, options: &ListOptions) -> Result<Arc<Snapshot<Served>>, ApiError> {
    let revision = match options.list_version()? {
        VersionQuery::Latest | VersionQuery::Any => return Ok(call.ctx.cache.snapshot()),
        VersionQuery::AtLeast(revision) | VersionQuery::Exact(revision) => Revision(revision),
    };
    wait_for(call, revision).await?;
    if !matches!(options.list_version()?, VersionQuery::Exact(_)) {
        return Ok(call.ctx.cache.snapshot());
    }
    call.ctx.cache.snapshot_at(revision).map_err(|error| gone(&error))
}

/// Waits for a version that clients have seen elsewhere.
async fn wait_for(call: &Call, revision: Revision) -> Result<(), ApiError> {
    let current = call.ctx.cache.snapshot().revision;
    if revision <= current || call.ctx.cache.wait_for(revision, limits::FUTURE_VERSION_WAIT).await.is_ok() {
        return Ok(());
    }
    let current = call.ctx.cache.snapshot().revision;
    let mut error =
        ApiError::timeout(format!("Too large resource version: {revision}, current: {current}"), 1);
    // The words are Kubernetes' own, without the prefix that other time-outs have.
    error.0.message = error.0.message.trim_start_matches("Timeout: ").to_owned();
    if let Some(details) = &mut error.0.details {
        details.causes.push(machinery::meta::StatusCause {
            reason: "ResourceVersionTooLarge".to_owned(),
            message: "Too large resource version".to_owned(),
            ..Default::default()
        });
    }
    Err(error)
}

fn gone(error: &ReadError) -> ApiError {
    match error {
        ReadError::Compacted { .. } => ApiError::expired(
            "The provided resource version is too old: the state of that time is no longer kept; \
             list again without a resource version",
        ),
        other => ApiError::unavailable(other.to_string()),
    }
}

/// Where the next page begins, as clients carry it.
#[derive(Serialize, Deserialize)]
struct Token {
    v: String,
    rv: u64,
    start: String,
}

/// Clients may send anything; bits that no byte needs are passed over, as in Go.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone),
);

const TOKEN_VERSION: &str = "meta.k8s.io/v1";

fn token(snapshot: &Snapshot<Served>, last: &str, prefix: &str) -> String {
    let start = last.strip_prefix(prefix).unwrap_or(last);
    let token = Token { v: TOKEN_VERSION.to_owned(), rv: snapshot.revision.0, start: format!("{start}\0") };
    URL_SAFE_NO_PAD.encode(machinery::json::compact(&token))
}

type Position = (Arc<Snapshot<Served>>, Option<String>);

fn from_token(call: &Call, text: &str, prefix: &str) -> Result<Position, ApiError> {
    let bad = |why: &str| {
        ApiError::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
    };
    let padless = text.trim_end_matches('=');
    let raw = LENIENT.decode(padless).map_err(|error| {
        let at = match error {
            base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
            _ => padless.len(),
        };
        bad(&format!("illegal base64 data at input byte {at}"))
    })?;
    let token: Token = serde_json::from_slice(&raw).map_err(|_| bad(&not_json(&raw)))?;
    if token.v != TOKEN_VERSION {
        return Err(bad(&format!("server does not recognize this encoded version {}", token.v)));
    }
    let start = token.start.strip_suffix('\0').unwrap_or(&token.start);
    if start.is_empty() || start.contains("..") {
        return Err(bad("the start key is not of this list"));
    }
    let snapshot = call.ctx.cache.snapshot_at(Revision(token.rv)).map_err(|error| match error {
        ReadError::Compacted { .. } => ApiError::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list \
             without the continue parameter, or use the continue token in this response to retrieve the remainder of \
             the results. Continuing with the provided token results in an inconsistent list - objects that were \
             created, modified, or deleted between the time the first chunk was returned and now may show up in the \
             list.",
        ),
        other => ApiError::unavailable(other.to_string()),
    })?;
    Ok((snapshot, Some(format!("{prefix}{start}"))))
}

/// Go's words for bytes that do not begin a JSON value.
fn not_json(raw: &[u8]) -> String {
    match raw.first() {
        None => "unexpected end of JSON input".to_owned(),
        Some(&byte) => {
            let shown = match byte {
                0x20..=0x7e => char::from(byte).to_string(),
                byte => format!("\\u{byte:04x}"),
            };
            format!("invalid character '{shown}' looking for beginning of value")
        }
    }
}
