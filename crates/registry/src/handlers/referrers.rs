//! Which manifests of a repository are about another one.
//!
//! The list is right as soon as a push was answered: its rows are written in the transaction that links the manifest.
//! Lists that older clients kept themselves, in an index under a tag made of the digest, are part of the answer.

use std::collections::BTreeMap;

use http::{HeaderValue, Response, header};
use oci::{Digest, media};
use serde_json::{Value, json};
use store::Range;

use super::content;
use crate::body::Body;
use crate::error::Error;
use crate::limits;
use crate::name::Repository;
use crate::records::{self, Link, Referrer};
use crate::registry::{Call, Registry};
use crate::wire;

/// `GET /v2/<name>/referrers/<digest>`
pub(crate) async fn answer(
    call: &Call<'_>,
    repository: &Repository,
    digest: &str,
) -> Result<Response<Body>, Error> {
    let subject = content::digest(digest)?;
    let mut rows = kept_by_clients(call.registry, repository, &subject).await?;
    rows.extend(own(call.registry, repository, &subject).await?);
    let filter = call.parameter("artifactType").filter(|filter| !filter.is_empty());
    if let Some(filter) = &filter {
        rows.retain(|_, row| row["artifactType"] == filter.as_str());
    }
    let after = call.parameter("last").unwrap_or_default();
    let (page, next) = page(rows, &after);
    let body = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": page});
    let mut response = wire::json(&body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media::OCI_INDEX));
    if let Some(last) = next {
        let filter = filter.as_ref().map(|filter| format!("artifactType={}&", wire::encode(filter)));
        let filter = filter.unwrap_or_default();
        let link = format!("</v2/{repository}/referrers/{subject}?{filter}last={last}>; rel=\"next\"");
        wire::set(&mut response, header::LINK, link);
    }
    if filter.is_some() {
        wire::set(&mut response, wire::FILTERS_APPLIED, "artifactType");
    }
    Ok(response)
}

/// As many rows as fit into one answer, and the last of them if there are more.
fn page(rows: BTreeMap<String, Value>, after: &str) -> (Vec<Value>, Option<String>) {
    let mut page = Vec::new();
    let mut size = 0;
    let mut last: Option<String> = None;
    for (digest, row) in rows {
        if digest.as_str() <= after {
            continue;
        }
        size += row.to_string().len() + 1;
        if size > limits::REFERRERS_BYTES && !page.is_empty() {
            return (page, last);
        }
        page.push(row);
        last = Some(digest);
    }
    (page, None)
}

/// The rows that pushes made.
async fn own(
    registry: &Registry,
    repository: &Repository,
    subject: &Digest,
) -> Result<BTreeMap<String, Value>, Error> {
    let presence = registry.catalog.presence(repository).await?;
    let mut rows = BTreeMap::new();
    let mut range = Some(Range::of(&format!("{}{repository}/{subject}/", records::REFERRERS)));
    while let Some(here) = range {
        let (items, next) = records::page(&*registry.store, here).await?;
        for item in items {
            let row: Referrer = records::decode(&item.value)?;
            let link = Link { life: row.life, made: 0, media_type: None, subject: None };
            if link.counts(&presence) {
                rows.insert(item.key.name().to_owned(), row.descriptor);
            }
        }
        range = next;
    }
    Ok(rows)
}

/// The rows of an index that clients keep under the subject's fallback tag.
async fn kept_by_clients(
    registry: &Registry,
    repository: &Repository,
    subject: &Digest,
) -> Result<BTreeMap<String, Value>, Error> {
    let hex = subject.hex();
    let tag = format!("{}-{}", subject.algorithm().as_str(), &hex[..hex.len().min(64)]);
    let Some(digest) = registry.catalog.resolve(repository, &tag).await? else { return Ok(BTreeMap::new()) };
    let Some(index) = registry.manifest(repository, &digest, true).await? else { return Ok(BTreeMap::new()) };
    if index.media_type != media::OCI_INDEX {
        return Ok(BTreeMap::new());
    }
    let document: Value = serde_json::from_slice(&index.raw).unwrap_or_default();
    let rows = document["manifests"].as_array().cloned().unwrap_or_default();
    Ok(rows.into_iter().filter_map(|row| Some((row["digest"].as_str()?.to_owned(), row))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_comes_in_pages_that_fit() {
        let text = "x".repeat(1 << 20);
        let rows: BTreeMap<String, Value> =
            (0..9).map(|n| (format!("sha256:{n}"), json!({"annotations": {"n": n, "text": text}}))).collect();
        let mut seen = 0;
        let mut after = String::new();
        loop {
            let (page, next) = page(rows.clone(), &after);
            assert!(json!(page).to_string().len() <= limits::MANIFEST_BYTES);
            seen += page.len();
            match next {
                Some(last) => after = last,
                None => break,
            }
        }
        assert_eq!(seen, 9);
    }
}
