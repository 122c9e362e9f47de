//! Manifests: served byte for byte as they came, and removed.
//!
//! A tag means what its stream says now. A digest is served when it came to the repository or when the stream has ever
//! held it. Nothing is ever converted; a client that takes no lists gets the linux/amd64 child of a Docker list as it is.

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header};
use oci::{Digest, Manifest, media, platform};
use serde_json::json;
use store::Txn;

use super::{content, push};
use crate::body::{Body, RequestBody};
use crate::catalog::{Held, Presence};
use crate::error::{Code, Error};
use crate::limits;
use crate::name::Repository;
use crate::ready::Ready;
use crate::records::{self, Link};
use crate::registry::{Call, Registry};
use crate::wire;

/// A manifest that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Its exact bytes.
    pub(crate) raw: Bytes,
    /// Its media type.
    pub(crate) media_type: String,
}

/// Manifests kept ready; which repository may show one is asked every time.
pub(crate) type Manifests = Ready<Stored>;

/// What a path's last part refers to.
pub(crate) enum Reference<'a> {
    Tag(&'a str),
    Digest(Digest),
}

impl<'a> Reference<'a> {
    /// Anything with a colon is a digest, and a bad one is refused: it can never become a tag.
    pub(crate) fn parse(text: &'a str) -> Result<Reference<'a>, Error> {
        if text.contains(':') {
            return content::digest(text).map(Reference::Digest);
        }
        if oci::reference::is_tag(text) {
            return Ok(Reference::Tag(text));
        }
        Err(Error::new(Code::TagInvalid).message(format!("invalid tag {text:?}")).detail(text))
    }
}

/// All methods of `/v2/<name>/manifests/<reference>`
pub(crate) async fn answer(
    call: &Call<'_>,
    repository: &Repository,
    reference: &str,
    body: RequestBody,
) -> Result<Response<Body>, Error> {
    let reference = Reference::parse(reference)?;
    match call.parts.method {
        Method::PUT => push::put(call, repository, &reference, body).await,
        Method::DELETE => match reference {
            Reference::Tag(tag) => delete_tag(call, repository, tag).await,
            Reference::Digest(digest) => delete(call, repository, &digest).await,
        },
        _ => get(call, repository, &reference).await,
    }
}

async fn get(
    call: &Call<'_>,
    repository: &Repository,
    reference: &Reference<'_>,
) -> Result<Response<Body>, Error> {
    let registry = call.registry;
    let digest = match reference {
        Reference::Digest(digest) => digest.clone(),
        Reference::Tag(tag) => match registry.catalog.resolve(repository, tag).await? {
            Some(digest) => digest,
            None => return Err(unknown(registry, repository, &json!({"Tag": tag})).await?),
        },
    };
    let Some(stored) = registry.manifest(repository, &digest, call.may_fetch()).await? else {
        return Err(unknown(registry, repository, &json!({"Digest": digest.as_str()})).await?);
    };
    let accepted = Accepted::read(&call.parts.headers);
    let is_tag = matches!(reference, Reference::Tag(_));
    let (digest, stored) = negotiate(call, repository, &accepted, is_tag, (digest, stored)).await?;
    if wire::matches(&call.parts.headers, &digest) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        wire::set(&mut response, header::ETAG, format!("\"{digest}\""));
        wire::set(&mut response, wire::CONTENT_DIGEST, digest.as_str());
        return Ok(response);
    }
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(header::CONTENT_LENGTH, stored.raw.len().into());
    wire::set(&mut response, header::CONTENT_TYPE, &stored.media_type);
    wire::set(&mut response, wire::CONTENT_DIGEST, digest.as_str());
    wire::set(&mut response, header::ETAG, format!("\"{digest}\""));
    if !call.is_head() {
        *response.body_mut() = Body::from(stored.raw);
    }
    Ok(response)
}

/// What to say of something that is not there.
async fn unknown(
    registry: &Registry,
    repository: &Repository,
    detail: &serde_json::Value,
) -> Result<Error, Error> {
    let code = match registry.catalog.presence(repository).await? {
        Presence::Present(_) => Code::ManifestUnknown,
        Presence::Absent | Presence::NoProject => Code::NameUnknown,
    };
    Ok(Error::new(code).detail(detail.clone()))
}

/// Gives a client what it takes, or says why it cannot have it.
async fn negotiate(
    call: &Call<'_>,
    repository: &Repository,
    accepted: &Accepted,
    is_tag: bool,
    found: (Digest, Stored),
) -> Result<(Digest, Stored), Error> {
    let media_type = found.1.media_type.as_str();
    if accepted.takes(media_type) {
        return Ok(found);
    }
    let refused = |why: &str| Error::new(Code::ManifestUnknown).message(why);
    match media_type {
        media::OCI_MANIFEST => {
            Err(refused("OCI manifest found, but accept header does not support OCI manifests"))
        }
        media::OCI_INDEX => Err(refused("OCI index found, but accept header does not support OCI indexes")),
        media::DOCKER_LIST if is_tag => {
            let list = Manifest::parse(media_type, found.1.raw.clone())
                .map_err(|error| Error::unexpected("a stored manifest list cannot be read", &error))?;
            let children = list.children().unwrap_or_default();
            let child = platform::choose(children, "amd64", "linux").filter(|child| {
                child.platform.as_ref().is_some_and(|p| p.architecture == "amd64" && p.os == "linux")
            });
            let child = child
                .map(|child| child.digest.clone())
                .ok_or_else(|| refused("manifest list found, but there is no linux/amd64 manifest in it"))?;
            match call.registry.manifest(repository, &child, call.may_fetch()).await? {
                Some(stored) => Ok((child, stored)),
                None => Err(Error::new(Code::ManifestUnknown).detail(json!({"Digest": child.as_str()}))),
            }
        }
        _ => Ok(found),
    }
}

/// The media types that a client takes.
struct Accepted(Option<Vec<String>>);

impl Accepted {
    /// No header, and wild cards, mean anything.
    fn read(headers: &HeaderMap) -> Accepted {
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let types: Vec<String> = values
            .flat_map(|value| value.split(','))
            .map(|entry| entry.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
            .filter(|entry| !entry.is_empty())
            .collect();
        let anything = types.iter().any(|entry| entry == "*/*" || entry == "application/*");
        Accepted(if types.is_empty() || anything { None } else { Some(types) })
    }

    fn takes(&self, media_type: &str) -> bool {
        self.0.as_ref().is_none_or(|types| types.iter().any(|entry| entry == media_type))
    }
}

async fn delete_tag(call: &Call<'_>, repository: &Repository, tag: &str) -> Result<Response<Body>, Error> {
    if call.registry.catalog.delete_tag(&call.who, repository, tag).await? {
        return Ok(wire::empty(StatusCode::ACCEPTED));
    }
    Err(unknown(call.registry, repository, &json!({"Tag": tag})).await?)
}

/// Removes a manifest that no tag's history needs. The tags are the owner's word: they are removed first, and by name.
async fn delete(call: &Call<'_>, repository: &Repository, digest: &Digest) -> Result<Response<Body>, Error> {
    let registry = call.registry;
    if registry.catalog.manifest(repository, digest).await?.is_some() {
        return Err(Error::new(Code::Unsupported)
            .message(
                "the image stream holds this manifest: remove the tags that have it in their history first",
            )
            .detail(digest.as_str()));
    }
    let link = registry.link(repository, digest).await?.filter(|link| link.media_type.is_some());
    let Some(link) = link else {
        return Err(unknown(registry, repository, &json!({"Digest": digest.as_str()})).await?);
    };
    let mut txn = Txn::new().delete(records::link_key(repository, digest));
    if let Some(subject) = &link.subject {
        txn = txn.delete(records::referrer_key(repository, subject, digest));
    }
    registry.store.commit(txn).await?;
    Ok(wire::empty(StatusCode::ACCEPTED))
}

/// Why a repository may show a manifest.
pub(crate) enum Claim {
    /// It came to the repository.
    Linked(Link),
    /// The image stream holds it.
    Held(Held),
}

impl Registry {
    /// Why the repository may show a manifest; `None` when it may not.
    pub(crate) async fn claim(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<Claim>, Error> {
        let link = self.link(repository, digest).await?.filter(|link| link.media_type.is_some());
        if let Some(link) = link {
            return Ok(Some(Claim::Linked(link)));
        }
        let Some(found) = self.catalog.manifest(repository, digest).await? else { return Ok(None) };
        if found.only_named {
            return Ok(self.adopt(repository, digest, &found.sources).await?.map(Claim::Linked));
        }
        Ok(Some(Claim::Held(found)))
    }

    /// A manifest of a repository; from elsewhere if it is not here and may be fetched.
    pub(crate) async fn manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
        may_fetch: bool,
    ) -> Result<Option<Stored>, Error> {
        if let Some(stored) = self.manifests.get(digest)
            && self.catalog.shows(repository, digest).await?
        {
            return Ok(Some(stored));
        }
        let Some(claim) = self.claim(repository, digest).await? else { return Ok(None) };
        if let Some(stored) = self.manifests.get(digest) {
            return Ok(Some(stored));
        }
        let (known_type, raw) = match claim {
            Claim::Held(held) => (held.media_type, held.raw.filter(|raw| digest.matches(raw))),
            Claim::Linked(link) => (link.media_type, None),
        };
        let kept = self.bytes(digest, limits::MANIFEST_BYTES as u64).await?;
        let Some(raw) = kept.or(raw) else {
            if !may_fetch {
                return Ok(None);
            }
            let Some(manifest) = self.fetch_manifest(repository, digest).await? else { return Ok(None) };
            let (raw, media_type) = (manifest.raw().clone(), manifest.media_type().to_owned());
            let stored = Stored { raw, media_type };
            self.manifests.put(digest, &stored, stored.raw.len());
            return Ok(Some(stored));
        };
        let media_type = known_type.unwrap_or_else(|| push::sniff(&raw).unwrap_or(media::JSON).to_owned());
        let stored = Stored { raw, media_type };
        self.manifests.put(digest, &stored, stored.raw.len());
        Ok(Some(stored))
    }
}

impl Registry {
    /// Links the child of a list that was tagged from another repository, with what it consists of, if it came to that
    /// one. From then on it stays, whatever becomes of the other repository.
    async fn adopt(
        &self,
        repository: &Repository,
        digest: &Digest,
        sources: &[Repository],
    ) -> Result<Option<Link>, Error> {
        for source in sources {
            let Some(theirs) = self.link(source, digest).await?.filter(|link| link.media_type.is_some())
            else {
                continue;
            };
            let Some(raw) = self.bytes(digest, limits::MANIFEST_BYTES as u64).await? else { continue };
            let media_type = theirs.media_type.as_deref().unwrap_or_default();
            let manifest = Manifest::parse(media_type, raw)
                .map_err(|error| Error::unexpected("a stored manifest cannot be read", &error))?;
            let link = self.new_link(&self.catalog.presence(repository).await?);
            for part in crate::collect::parts(&manifest) {
                if self.readable(source, &part).await?.is_some() {
                    self.attach(repository, &part, &link).await?;
                }
            }
            let link = Link { media_type: theirs.media_type, ..link };
            if self.attach(repository, digest, &link).await? {
                return Ok(Some(link));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(value: &str) -> Accepted {
        let mut headers = HeaderMap::new();
        if !value.is_empty() {
            headers.insert(header::ACCEPT, value.parse().unwrap());
        }
        Accepted::read(&headers)
    }

    #[test]
    fn clients_that_say_nothing_or_anything_take_anything() {
        for value in ["", "*/*", "application/*", "text/html, */*;q=0.1"] {
            assert!(accepted(value).takes(media::OCI_INDEX), "{value}");
        }
        let docker = accepted("application/vnd.docker.distribution.manifest.v2+json;q=0.5");
        assert!(docker.takes(media::DOCKER_SCHEMA2) && !docker.takes(media::OCI_INDEX));
    }
}
