//! What refers to a manifest, as its registry tells it.
//!
//! The answer is a list that the registry makes for who asks, page by page. It is made into one index here, always the
//! same one for the same rows, so that whoever keeps it sees when something has changed.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::error::RegistryError;
use super::link;
use super::repository::{RepositoryClient, text};
use crate::digest::Digest;
use crate::manifest::Manifest;
use crate::{limits, media};

impl RepositoryClient {
    /// What refers to a manifest, as an index; `None` where the registry does not tell, which is remembered.
    ///
    /// Where it does not, clients keep such an index themselves, under a tag that is made of the digest.
    ///
    /// # Errors
    /// [`RegistryError`]; more rows than an index may have are one.
    pub async fn referrers(&self, subject: &Digest) -> Result<Option<Manifest>, RegistryError> {
        if self.tells_no_referrers.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let first = format!("referrers/{subject}");
        let (mut target, mut rows) = (first.clone(), BTreeMap::new());
        for page in 0..limits::REFERRER_PAGES {
            let accepted = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(media::OCI_INDEX))]);
            let answer = match self.ask(&Method::GET, &target, accepted).await {
                Err(error) if page == 0 && is_unsupported(&error) => return Ok(self.without_referrers()),
                answer => answer?,
            };
            let kind = text(&answer.headers, CONTENT_TYPE.as_str()).unwrap_or_default();
            if page == 0 && !crate::manifest::essence(&kind).is_ok_and(|kind| kind == media::OCI_INDEX) {
                // Something in front of it that answers whatever it is asked.
                return Ok(self.without_referrers());
            }
            let (url, next) = (answer.url.clone(), link::next_page(&answer.headers));
            read_rows(answer.read("list of referrers", limits::MANIFEST_BYTES).await?, &mut rows)?;
            let Some(next) = next else { return index(rows).map(Some) };
            target = self.page_target(&url, &next, &first)?;
        }
        Err(RegistryError::TooLarge {
            what: "list of referrers",
            most: limits::REFERRER_PAGES,
            unit: "pages",
        })
    }

    fn without_referrers(&self) -> Option<Manifest> {
        self.tells_no_referrers.store(true, Ordering::Relaxed);
        None
    }
}

/// Whether an error says that there is no such question.
fn is_unsupported(error: &RegistryError) -> bool {
    let unsupported = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED, StatusCode::BAD_REQUEST];
    error.facts().is_some_and(|facts| unsupported.contains(&facts.status))
}

/// Adds the rows of a page, by their digests.
fn read_rows(page: Bytes, rows: &mut BTreeMap<String, Value>) -> Result<(), RegistryError> {
    // What is no index is refused here, with the words for a manifest that cannot be read.
    let read = Manifest::parse(media::OCI_INDEX, page)?;
    let mut document: Value = serde_json::from_slice(read.raw()).unwrap_or_default();
    let listed = document["manifests"].as_array_mut().map(std::mem::take).unwrap_or_default();
    for row in listed {
        if let Some(digest) = row["digest"].as_str() {
            rows.insert(digest.to_owned(), row);
        }
    }
    Ok(())
}

fn index(rows: BTreeMap<String, Value>) -> Result<Manifest, RegistryError> {
    let rows: Vec<Value> = rows.into_values().collect();
    let document = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": rows}).to_string();
    if document.len() > limits::REFERRERS_BYTES {
        let most = limits::REFERRERS_BYTES;
        return Err(RegistryError::TooLarge { what: "list of referrers", most, unit: "bytes" });
    }
    Ok(Manifest::parse(media::OCI_INDEX, document.into())?)
}
