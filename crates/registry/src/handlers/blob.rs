//! Blobs: read whole or in parts, removed from one repository or from all.

use futures_util::StreamExt;
use http::{HeaderValue, Method, Response, StatusCode, header};
use oci::Digest;
use store::Txn;

use super::content;
use crate::body::Body;
use crate::error::{Code, Error};
use crate::limits;
use crate::name::Repository;
use crate::pull;
use crate::range::{self, Wanted};
use crate::records;
use crate::registry::Call;
use crate::wire;

/// Goes with an answer whose content was not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PulledThrough;

/// Bytes of a blob, from and to.
type Part = std::ops::Range<u64>;

/// `GET`, `HEAD` and `DELETE` of `/v2/<name>/blobs/<digest>`
pub(crate) async fn answer(
    call: &Call<'_>,
    repository: &Repository,
    digest: &str,
) -> Result<Response<Body>, Error> {
    let digest = content::digest(digest)?;
    if call.parts.method == Method::DELETE {
        return delete(call, repository, &digest).await;
    }
    let Some(record) = call.registry.readable(repository, &digest).await? else {
        return pull_through(call, repository, &digest).await;
    };
    if wire::matches(&call.parts.headers, &digest) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        describe(&mut response, &digest);
        return Ok(response);
    }
    let (mut response, part) = head(call, &digest, record.size)?;
    let length = part.end - part.start;
    if call.is_head() || length == 0 {
        return Ok(response);
    }
    if let Some(url) = call.registry.blobs.redirect(&digest).await? {
        *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        response.headers_mut().remove(header::CONTENT_RANGE);
        wire::set(&mut response, header::LOCATION, url);
        return Ok(response);
    }
    if record.size <= limits::SMALL_BLOB_BYTES {
        let whole = call.registry.small(&digest, record.size).await?;
        *response.body_mut() = Body::from(whole.slice(part.start as usize..part.end as usize));
        return Ok(response);
    }
    let pieces = call.registry.blobs.read(&digest, part).await?;
    *response.body_mut() = Body::stream(pieces, Some(length));
    Ok(response)
}

/// The answer without its body, and the part of the blob that is wanted.
fn head(call: &Call<'_>, digest: &Digest, size: u64) -> Result<(Response<Body>, Part), Error> {
    // A range is for this content only; a client that has other content in mind gets all of this one.
    let same = call.header(header::IF_RANGE).is_none_or(|tag| tag.trim_matches('"') == digest.as_str());
    let wanted = range::wanted(call.header(header::RANGE).filter(|_| same && !call.is_head()), size);
    let (status, part) = match wanted {
        Wanted::All => (StatusCode::OK, 0..size),
        Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        Wanted::Nothing => {
            return Err(Error::new(Code::RangeInvalid)
                .message("the range is not within the blob")
                .header(header::CONTENT_RANGE, &format!("bytes */{size}")));
        }
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    describe(&mut response, digest);
    response.headers_mut().insert(header::CONTENT_LENGTH, (part.end - part.start).into());
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        wire::set(&mut response, header::CONTENT_RANGE, range);
    }
    Ok((response, part))
}

/// A blob that is not here: from where the image was imported, while it arrives. A mere question about it downloads
/// nothing.
async fn pull_through(
    call: &Call<'_>,
    repository: &Repository,
    digest: &Digest,
) -> Result<Response<Body>, Error> {
    let registry = call.registry;
    let upstreams = registry.elsewhere(repository, digest).await?;
    if upstreams.is_empty() || !call.may_fetch() {
        return Err(unknown(digest));
    }
    if call.is_head() {
        let mut response = match registry.claimed_size(&upstreams, digest).await? {
            Some(size) => head(call, digest, size)?.0,
            None => {
                let mut response = Response::new(Body::empty());
                describe(&mut response, digest);
                response
            }
        };
        response.extensions_mut().insert(PulledThrough);
        return Ok(response);
    }
    for _ in 0..limits::ATTEMPTS {
        let flight = registry.fetch(upstreams.clone(), digest, registry.settings.mirror);
        let state = flight.readable().await.map_err(|error| pull::blob_error(error, digest))?;
        if registry.settings.mirror && state.outcome.is_some() {
            let link = registry.new_link(&registry.catalog.presence(repository).await?);
            registry.attach(repository, digest, &link).await?;
        }
        let (mut response, part) = head(call, digest, state.size.unwrap_or(state.arrived))?;
        let length = part.end - part.start;
        if let Some(bytes) = flight.read(part) {
            *response.body_mut() = Body::stream(bytes.boxed(), Some(length));
            response.extensions_mut().insert(PulledThrough);
            return Ok(response);
        }
    }
    Err(unknown(digest))
}

/// `DELETE /admin/blobs/<digest>`: takes content away from everybody.
pub(crate) async fn purge(call: &Call<'_>, digest: &str) -> Result<Response<Body>, Error> {
    let registry = call.registry;
    let digest = content::digest(digest)?;
    let _apart = registry.lock_digest(&digest).await;
    registry.store.commit(Txn::new().delete(records::blob_key(&digest))).await?;
    registry.forget_ready(&digest);
    registry.blobs.delete(&digest).await?;
    let mut response = wire::empty(StatusCode::NO_CONTENT);
    response.headers_mut().remove(header::CONTENT_LENGTH);
    Ok(response)
}

/// Removes a repository's link. Content that an image of the stream consists of is reached through that image until it
/// goes, too: whoever prunes takes links away first and history afterwards.
async fn delete(call: &Call<'_>, repository: &Repository, digest: &Digest) -> Result<Response<Body>, Error> {
    let registry = call.registry;
    let is_linked = registry.link(repository, digest).await?.is_some();
    if !is_linked && registry.catalog.holds_blob(repository, digest).await?.is_none() {
        return Err(unknown(digest));
    }
    registry.store.commit(Txn::new().delete(records::link_key(repository, digest))).await?;
    Ok(wire::empty(StatusCode::ACCEPTED))
}

fn unknown(digest: &Digest) -> Error {
    Error::new(Code::BlobUnknown).detail(digest.as_str())
}

fn describe(response: &mut Response<Body>, digest: &Digest) {
    wire::set(response, wire::CONTENT_DIGEST, digest.as_str());
    wire::set(response, header::ETAG, format!("\"{digest}\""));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(oci::media::OCTET_STREAM));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=31536000"));
}
