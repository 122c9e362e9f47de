//! Uploads: begun, written piece by piece, asked about, finished, cancelled; and mounts, which need no upload.

use http::{HeaderValue, Method, Response, StatusCode, header};
use oci::Digest;
use oci::digest::Algorithm;

use super::content;
use crate::access::Right;
use crate::body::{Body, RequestBody};
use crate::error::{Code, Error};
use crate::name::Repository;
use crate::range;
use crate::registry::Call;
use crate::sessions::Session;
use crate::wire;

/// `POST /v2/<name>/blobs/uploads/`
pub(crate) async fn start(
    call: &Call<'_>,
    repository: &Repository,
    body: RequestBody,
) -> Result<Response<Body>, Error> {
    let registry = call.registry;
    registry.project(repository).await?;
    if let Some(mounted) = mount(call, repository).await? {
        return Ok(mounted);
    }
    let given = call.parameter("digest").map(|text| content::digest(&text)).transpose()?;
    let algorithm = match (&given, call.parameter("digest-algorithm")) {
        (Some(digest), _) => digest.algorithm(),
        (None, Some(name)) => Algorithm::from_name(&name).ok_or_else(|| {
            Error::new(Code::DigestInvalid).message(format!("unsupported digest algorithm {name:?}"))
        })?,
        (None, None) => Algorithm::Sha256,
    };
    let mut session = registry.begin(&call.who, repository, algorithm).await?;
    let Some(digest) = given else { return Ok(accepted(repository, &session, StatusCode::ACCEPTED)) };
    let received = registry.receive(&mut session, body, length(call)).await?;
    if received == 0 && !digest.matches(b"") {
        // A client that only announces what will come goes on as with any upload.
        return Ok(accepted(repository, &session, StatusCode::ACCEPTED));
    }
    finish(call, repository, session, &digest).await
}

/// All methods of `/v2/<name>/blobs/uploads/<id>`
pub(crate) async fn answer(
    call: &Call<'_>,
    repository: &Repository,
    id: &str,
    body: RequestBody,
) -> Result<Response<Body>, Error> {
    let registry = call.registry;
    let mut session = registry.session(&call.who, repository, id).await?;
    match call.parts.method {
        Method::PATCH => {
            let limit = check_piece(call, repository, &session)?;
            append(call, &mut session, body, limit).await?;
            registry.note(&mut session).await?;
            Ok(accepted(repository, &session, StatusCode::ACCEPTED))
        }
        Method::PUT => {
            let text = call.parameter("digest").unwrap_or_default();
            if text.is_empty() {
                return Err(Error::new(Code::DigestInvalid)
                    .message("digest missing")
                    .detail("digest missing"));
            }
            let digest = content::digest(&text)?;
            let limit = check_piece(call, repository, &session)?;
            if session.offset() == 0 && session.algorithm() != digest.algorithm() {
                registry.rehash(&mut session, digest.algorithm()).await?;
            }
            append(call, &mut session, body, limit).await?;
            finish(call, repository, session, &digest).await
        }
        Method::DELETE => {
            let id = session.id.clone();
            registry.cancel(session).await?;
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            wire::set(&mut response, wire::UPLOAD_UUID, id);
            Ok(response)
        }
        _ => {
            // Only what is durable is reported: a client sends nothing of it again.
            if session.is_ahead() {
                registry.note(&mut session).await?;
            }
            let mut response = accepted(repository, &session, StatusCode::NO_CONTENT);
            response.headers_mut().remove(header::CONTENT_LENGTH);
            Ok(response)
        }
    }
}

/// Links a blob of another repository that the caller may read. `None` when it has to be sent; why is nobody's business.
async fn mount(call: &Call<'_>, repository: &Repository) -> Result<Option<Response<Body>>, Error> {
    let registry = call.registry;
    let (Some(mount), Some(from)) = (call.parameter("mount"), call.parameter("from")) else {
        return Ok(None);
    };
    let (Ok(digest), Ok(source)) = (Digest::parse(&mount), Repository::parse(&from)) else { return Ok(None) };
    if !registry.may(&call.who, Right::Pull(&source)).await?
        || registry.readable(&source, &digest).await?.is_none()
    {
        return Ok(None);
    }
    let link = registry.new_link(&registry.project(repository).await?);
    let attached = registry.attach(repository, &digest, &link).await?;
    Ok(attached.then(|| created(repository, &digest)))
}

/// Whether the piece that a request brings is the next one; returns its length where that is known.
fn check_piece(call: &Call<'_>, repository: &Repository, session: &Session) -> Result<Option<u64>, Error> {
    if let Some(kind) = call.header(header::CONTENT_TYPE)
        && call.parts.method == Method::PATCH
        && !kind.is_empty()
        && !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(oci::media::OCTET_STREAM)
    {
        return Err(Error::new(Code::BlobUploadInvalid)
            .status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            .message(format!("the content type of a piece is application/octet-stream, not {kind:?}")));
    }
    let length = length(call);
    let Some(text) = call.header(header::CONTENT_RANGE) else { return Ok(length) };
    let refused = |why: String| {
        let error = Error::new(Code::RangeInvalid).message(why);
        error
            .header(header::LOCATION, &location(repository, session))
            .header(header::RANGE, &progress(session))
            .header(wire::UPLOAD_UUID, &session.id)
    };
    let Some((first, last)) = range::piece(text) else {
        return Err(refused(format!("the content range {text:?} cannot be read: it is <first>-<last>")));
    };
    let offset = session.offset();
    if first != offset || last < first {
        return Err(refused(format!("the next piece begins at {offset}, not {first}-{last}")));
    }
    let size = (last - first).saturating_add(1);
    match length {
        Some(length) if length != size => Err(Error::new(Code::SizeInvalid)
            .message(format!("the content range is {size} bytes long, the content {length}"))),
        _ => Ok(Some(size)),
    }
}

/// Appends a body; one that is shorter than announced is taken back.
async fn append(
    call: &Call<'_>,
    session: &mut Session,
    body: RequestBody,
    announced: Option<u64>,
) -> Result<(), Error> {
    let received = call.registry.receive(session, body, announced).await?;
    if announced.is_some_and(|announced| announced != received) {
        call.registry.take_back(session).await?;
        return Err(Error::new(Code::SizeInvalid));
    }
    Ok(())
}

/// Compares the digest and makes the upload a blob. One that is something else than it should be is forgotten: more
/// bytes cannot mend it.
async fn finish(
    call: &Call<'_>,
    repository: &Repository,
    mut session: Session,
    digest: &Digest,
) -> Result<Response<Body>, Error> {
    let registry = call.registry;
    let upload = session.upload().clone();
    let found = upload.digest(digest.algorithm()).await?;
    if found != *digest {
        registry.cancel(session).await?;
        return Err(Error::new(Code::DigestInvalid).detail(serde_json::json!({
            "expected": digest.as_str(), "received": found.as_str(),
        })));
    }
    let link = registry.new_link(&registry.project(repository).await?);
    registry.keep(&upload, digest, Some((repository, link)), Some(&session.id)).await?;
    registry.end(&mut session).await?;
    Ok(created(repository, digest))
}

/// The length that the request announces.
fn length(call: &Call<'_>) -> Option<u64> {
    call.header(header::CONTENT_LENGTH).and_then(range::digits)
}

fn location(repository: &Repository, session: &Session) -> String {
    format!("/v2/{repository}/blobs/uploads/{}", session.id)
}

/// `0-<last byte>`; nothing and one byte look alike, as everywhere.
fn progress(session: &Session) -> String {
    format!("0-{}", session.offset().saturating_sub(1))
}

fn accepted(repository: &Repository, session: &Session, status: StatusCode) -> Response<Body> {
    let mut response = wire::empty(status);
    wire::set(&mut response, header::LOCATION, location(repository, session));
    wire::set(&mut response, header::RANGE, progress(session));
    wire::set(&mut response, wire::UPLOAD_UUID, &session.id);
    response
}

/// 201 for a blob.
fn created(repository: &Repository, digest: &Digest) -> Response<Body> {
    let mut response = wire::empty(StatusCode::CREATED);
    wire::set(&mut response, header::LOCATION, format!("/v2/{repository}/blobs/{digest}"));
    wire::set(&mut response, wire::CONTENT_DIGEST, digest.as_str());
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}
