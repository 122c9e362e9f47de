//! Lists of tags and of repositories, page by page, in the order of their bytes.

use http::{Response, header};
use serde_json::json;

use crate::body::Body;
use crate::error::{Code, Error};
use crate::limits;
use crate::name::Repository;
use crate::range::digits;
use crate::registry::Call;
use crate::wire;

/// `GET /v2/<name>/tags/list`
pub(crate) async fn tags(call: &Call<'_>, repository: &Repository) -> Result<Response<Body>, Error> {
    let limit = wanted(call)?.unwrap_or(limits::TAG_PAGE).min(limits::TAG_PAGE);
    let after = call.parameter("last").filter(|last| !last.is_empty());
    let page = call.registry.catalog.tags(repository, after.as_deref(), limit).await?;
    let (tags, more) =
        page.ok_or_else(|| Error::new(Code::NameUnknown).detail(json!({"name": repository.as_str()})))?;
    let path = format!("/v2/{repository}/tags/list");
    let next = more.then(|| tags.last()).flatten().map(|last| next(&path, last, limit));
    Ok(listed(&json!({"name": repository.as_str(), "tags": tags}), next))
}

/// `GET /v2/_catalog`
pub(crate) async fn catalog(call: &Call<'_>) -> Result<Response<Body>, Error> {
    let limit = wanted(call)?.unwrap_or(limits::CATALOG_PAGE);
    if limit > limits::CATALOG_PAGE_MOST {
        return Err(Error::new(Code::PaginationNumberInvalid).detail(json!({"n": limit})));
    }
    let after = call.parameter("last").filter(|last| !last.is_empty());
    let (repositories, more) = call.registry.catalog.repositories(&call.who, after.as_deref(), limit).await?;
    let next = more.then(|| repositories.last()).flatten().map(|last| next("/v2/_catalog", last, limit));
    Ok(listed(&json!({ "repositories": repositories }), next))
}

/// The number of entries that the client wants.
fn wanted(call: &Call<'_>) -> Result<Option<usize>, Error> {
    let Some(text) = call.parameter("n").filter(|text| !text.is_empty()) else { return Ok(None) };
    let number = digits(&text).and_then(|number| usize::try_from(number).ok());
    number.map(Some).ok_or_else(|| Error::new(Code::PaginationNumberInvalid).detail(json!({"n": text})))
}

fn next(path: &str, last: &str, limit: usize) -> String {
    format!("<{path}?last={}&n={limit}>; rel=\"next\"", wire::encode(last))
}

fn listed(body: &serde_json::Value, next: Option<String>) -> Response<Body> {
    let mut response = wire::json(body);
    if let Some(next) = next {
        wire::set(&mut response, header::LINK, next);
    }
    response
}
