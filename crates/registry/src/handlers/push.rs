//! Putting a manifest: checked against what the repository has, kept, made known to the image stream, linked, in this
//! order. What is left behind by one that fails is content without a link, which is collected later.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode, header};
use http_body_util::BodyExt;
use oci::manifest::{Descriptor, ImageManifest, View};
use oci::{Digest, Manifest, media};
use serde_json::{Value, json};
use store::Txn;

use super::manifest::{Reference, Stored};
use crate::access::Subject;
use crate::body::{Body, BoxError, RequestBody};
use crate::catalog::{Life, Presence, Push, PushError, Pushed};
use crate::error::{Code, Error};
use crate::limits;
use crate::name::Repository;
use crate::records::{self, Link, Referrer};
use crate::registry::{Call, Registry};
use crate::wire;

/// Tags that one request may set.
const TAGS: usize = 10;

/// `PUT /v2/<name>/manifests/<reference>`
pub(crate) async fn put(
    call: &Call<'_>,
    repository: &Repository,
    reference: &Reference<'_>,
    body: RequestBody,
) -> Result<Response<Body>, Error> {
    let registry = call.registry;
    let presence = registry.project(repository).await?;
    let raw = read(body, limits::MANIFEST_BYTES).await?;
    let digest = match reference {
        Reference::Tag(_) => Digest::sha256(&raw),
        Reference::Digest(digest) if digest.matches(&raw) => digest.clone(),
        Reference::Digest(digest) => {
            return Err(Error::new(Code::DigestInvalid).detail(digest.as_str()));
        }
    };
    let tags = tags(call, reference)?;
    let manifest = parse(call.header(header::CONTENT_TYPE).unwrap_or_default(), raw)?;
    let warnings =
        registry.put_manifest(&call.who, repository, &presence, (&digest, &manifest), &tags).await?;
    Ok(created(repository, &digest, &manifest, &tags, &warnings))
}

impl From<Option<Life>> for Presence {
    fn from(life: Option<Life>) -> Presence {
        life.map_or(Presence::Absent, Presence::Present)
    }
}

fn created(
    repository: &Repository,
    digest: &Digest,
    manifest: &Manifest,
    tags: &[String],
    warnings: &[String],
) -> Response<Body> {
    let mut response = wire::empty(StatusCode::CREATED);
    wire::set(&mut response, header::LOCATION, format!("/v2/{repository}/manifests/{digest}"));
    wire::set(&mut response, wire::CONTENT_DIGEST, digest.as_str());
    if let Some(subject) = subject(manifest) {
        wire::set(&mut response, wire::SUBJECT, subject.digest.as_str());
    }
    for tag in tags {
        if let Ok(tag) = tag.parse() {
            response.headers_mut().append(wire::TAG, tag);
        }
    }
    wire::warn(&mut response, warnings);
    response
}

/// The tags that are to point at the manifest: the one in the path, or those in the query of a push by digest.
fn tags(call: &Call<'_>, reference: &Reference<'_>) -> Result<Vec<String>, Error> {
    if let Reference::Tag(tag) = reference {
        return Ok(vec![(*tag).to_owned()]);
    }
    let tags = wire::parameters(call.parts.uri.query(), "tag");
    if tags.len() > TAGS {
        return Err(Error::new(Code::TagInvalid)
            .status(StatusCode::URI_TOO_LONG)
            .message(format!("one push may set {TAGS} tags")));
    }
    match tags.iter().find(|tag| !oci::reference::is_tag(tag)) {
        Some(bad) => Err(Error::new(Code::TagInvalid).message(format!("invalid tag {bad:?}"))),
        None => Ok(tags),
    }
}

/// Reads a small body.
///
/// A body that is too large is read to its end, within bounds, so that a client that only listens afterwards hears why.
pub(crate) async fn read(body: RequestBody, most: usize) -> Result<Bytes, Error> {
    match tokio::time::timeout(limits::SMALL_BODY_TIME, gather(body, most)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(Error::new(Code::ManifestInvalid)
            .status(StatusCode::PAYLOAD_TOO_LARGE)
            .message(format!("the body is larger than {most} bytes"))),
        Ok(Err(error)) => Err(invalid(format!("the body did not arrive: {error}"))),
        Err(_) => Err(invalid("the body did not arrive: it took too long")),
    }
}

/// All of a body; `None` when it is too large.
async fn gather(mut body: RequestBody, most: usize) -> Result<Option<Bytes>, BoxError> {
    let mut bytes = BytesMut::new();
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame?.into_data() else { continue };
        size += chunk.len();
        if size <= most {
            bytes.extend_from_slice(&chunk);
        } else if size > most * 4 {
            break;
        }
    }
    Ok(Some(bytes.freeze()).filter(|_| size <= most))
}

fn invalid(why: impl Into<String>) -> Error {
    let why = why.into();
    Error::new(Code::ManifestInvalid).message(format!("manifest invalid: {why}")).detail(why)
}

/// Reads a manifest of a kind that is taken.
pub(crate) fn parse(content_type: &str, raw: Bytes) -> Result<Manifest, Error> {
    let given = oci::manifest::essence(content_type).map_err(|error| invalid(error.to_string()))?;
    let media_type = match given.as_str() {
        "" | media::JSON => sniff(&raw).map_err(invalid)?,
        media::DOCKER_SCHEMA2 => media::DOCKER_SCHEMA2,
        media::DOCKER_LIST => media::DOCKER_LIST,
        media::OCI_MANIFEST => media::OCI_MANIFEST,
        media::OCI_INDEX => media::OCI_INDEX,
        media::DOCKER_SCHEMA1 | media::DOCKER_SCHEMA1_SIGNED => media::DOCKER_SCHEMA1,
        other => return Err(invalid(format!("{other:?} is no media type of a manifest"))),
    };
    if media_type == media::DOCKER_SCHEMA1 {
        return Err(invalid(
            "Docker image manifest version 2, schema 1 is no longer taken: push the image with a client that \
             speaks schema 2 or OCI",
        ));
    }
    let manifest = Manifest::parse(media_type, raw).map_err(|error| invalid(error.to_string()))?;
    let version = oci::json::parse(manifest.raw())
        .and_then(|document| document.as_struct("manifest.Versioned")?.integer("schemaVersion"))
        .map_err(|error| invalid(error.to_string()))?;
    if version != 2 {
        return Err(invalid(format!("schemaVersion is {version}, it must be 2")));
    }
    Ok(manifest)
}

/// The media type of a manifest that came without one: what it says itself, else what it looks like.
pub(crate) fn sniff(raw: &[u8]) -> Result<&'static str, String> {
    let document = oci::json::parse(raw).map_err(|error| error.to_string())?;
    let fields = document.as_struct("manifest.Versioned").map_err(|error| error.to_string())?;
    let named = fields.string("mediaType").map_err(|error| error.to_string())?;
    let known = [media::DOCKER_SCHEMA2, media::DOCKER_LIST, media::OCI_MANIFEST, media::OCI_INDEX];
    if let Some(known) = known.into_iter().find(|known| *known == named) {
        return Ok(known);
    }
    match (fields.integer("schemaVersion"), fields.get("manifests"), fields.get("config")) {
        (Ok(1), _, _) => Ok(media::DOCKER_SCHEMA1),
        (Ok(2), Some(_), None) if named.is_empty() => Ok(media::OCI_INDEX),
        (Ok(2), None, Some(_)) if named.is_empty() => Ok(media::OCI_MANIFEST),
        _ => Err("it cannot be told what kind of manifest this is".to_owned()),
    }
}

/// Checks that the repository has what an image consists of, as long as it says. Children of lists may come later, or
/// never. Returns the links that belong to no life of the repository yet.
async fn verify(
    registry: &Arc<Registry>,
    repository: &Repository,
    manifest: &Manifest,
) -> Result<Vec<(Digest, Link)>, Error> {
    let (image, is_docker) = match manifest.view() {
        View::Schema2(image) => (image, true),
        View::Oci(image) => (image, false),
        View::List(_) | View::Index(_) | View::Schema1(_) => return Ok(Vec::new()),
    };
    check_urls(image, is_docker)?;
    let mut unbound = Vec::new();
    let mut wrong: Option<Error> = None;
    let mut seen = BTreeSet::new();
    let parts = std::iter::once(&image.config).chain(image.layers.iter().filter(|layer| !is_foreign(layer)));
    for part in parts {
        if !seen.insert((&part.digest, part.size)) {
            continue;
        }
        let found = match registry.readable(repository, &part.digest).await? {
            // What an imported image shares with this one is fetched now: an acknowledged manifest is complete.
            None => registry.obtain(repository, &part.digest).await?,
            found => found,
        };
        let error = match found {
            None => Error::new(Code::ManifestBlobUnknown).detail(part.digest.as_str()),
            Some(record) if record.size != part.size => {
                invalid(format!("{} has {} bytes, the manifest says {}", part.digest, record.size, part.size))
            }
            Some(_) => {
                let link = registry.link(repository, &part.digest).await?;
                unbound
                    .extend(link.filter(|link| link.life.is_empty()).map(|link| (part.digest.clone(), link)));
                continue;
            }
        };
        wrong = Some(match wrong.take() {
            Some(first) => first.and(error),
            None => error,
        });
    }
    wrong.map_or(Ok(unbound), Err)
}

/// A layer that must not be pushed, and therefore need not be here.
fn is_foreign(layer: &Descriptor) -> bool {
    layer.media_type.contains(".nondistributable.") || layer.media_type.contains(".foreign.")
}

/// Docker's rule: foreign layers say where they are, others must not.
fn check_urls(image: &ImageManifest, is_docker: bool) -> Result<(), Error> {
    for layer in &image.layers {
        match (is_docker, is_foreign(layer), layer.urls.is_empty()) {
            (true, true, true) => return Err(invalid(format!("missing URL on layer {}", layer.digest))),
            (true, false, false) => return Err(invalid(format!("unexpected URL on layer {}", layer.digest))),
            _ => {}
        }
    }
    Ok(())
}

/// The configuration of an image, where it is one that can be described.
async fn config(registry: &Registry, manifest: &Manifest) -> Result<Option<Bytes>, Error> {
    match manifest.view() {
        View::Schema2(image) | View::Oci(image) => {
            registry.bytes(&image.config.digest, limits::CONFIG_BYTES).await
        }
        View::List(_) | View::Index(_) | View::Schema1(_) => Ok(None),
    }
}

fn subject(manifest: &Manifest) -> Option<&Descriptor> {
    match manifest.view() {
        View::Oci(image) => image.subject.as_ref(),
        View::Index(index) => index.subject.as_ref(),
        View::Schema1(_) | View::Schema2(_) | View::List(_) => None,
    }
}

/// The descriptor under which a manifest is listed among those about its subject.
fn referrer(digest: &Digest, manifest: &Manifest) -> Value {
    let (artifact_type, annotations) = match manifest.view() {
        View::Schema2(image) | View::Oci(image) => {
            let own = Some(&image.artifact_type).filter(|own| !own.is_empty());
            (own.unwrap_or(&image.config.media_type).as_str(), &image.annotations)
        }
        View::List(index) | View::Index(index) => (index.artifact_type.as_str(), &index.annotations),
        View::Schema1(_) => return Value::Null,
    };
    let mut descriptor = json!({
        "mediaType": manifest.media_type(),
        "digest": digest.as_str(),
        "size": manifest.raw().len(),
    });
    if !artifact_type.is_empty() {
        descriptor["artifactType"] = artifact_type.into();
    }
    if !annotations.is_empty() {
        descriptor["annotations"] = json!(annotations);
    }
    descriptor
}

fn refused(error: PushError) -> Error {
    match error {
        PushError::NoProject => Error::new(Code::Denied).message("the project does not exist"),
        PushError::Denied(why) => Error::new(Code::Denied).message(format!("denied: {why}")).detail(why),
        PushError::Invalid(why) => invalid(why),
        PushError::Catalog(error) => error.into(),
    }
}

impl Registry {
    /// Keeps a manifest whose parts are here, makes it known to the image stream, and links it; what the client should
    /// know.
    pub(crate) async fn put_manifest(
        self: &Arc<Self>,
        who: &Subject,
        repository: &Repository,
        presence: &Presence,
        (digest, manifest): (&Digest, &Manifest),
        tags: &[String],
    ) -> Result<Vec<String>, Error> {
        let unbound = verify(self, repository, manifest).await?;
        self.keep_bytes(digest, manifest.raw()).await?;
        let config = config(self, manifest).await?;
        let mut pushed = Pushed::default();
        let mut push = Push { who, repository, tag: None, digest, manifest, config: config.as_ref() };
        if tags.is_empty() {
            pushed = self.catalog.push(push).await.map_err(refused)?;
        }
        for tag in tags {
            push.tag = Some(tag);
            let one = self.catalog.push(push).await.map_err(refused)?;
            pushed.life = one.life;
            pushed.warnings.extend(one.warnings);
        }
        let new = Presence::from(pushed.life.clone());
        self.bind(repository, digest, manifest, &new, unbound).await?;
        if matches!((presence, &new), (Presence::Absent, Presence::Present(_))) {
            self.bind_all(repository, &new).await?;
        }
        let stored = Stored { raw: manifest.raw().clone(), media_type: manifest.media_type().to_owned() };
        self.manifests.put(digest, &stored, stored.raw.len());
        Ok(pushed.warnings)
    }

    /// Links a manifest to its repository and lists it under its subject; links of what it consists of that belonged to
    /// no life of the repository belong to this one from now on.
    pub(crate) async fn bind(
        &self,
        repository: &Repository,
        digest: &Digest,
        manifest: &Manifest,
        presence: &Presence,
        unbound: Vec<(Digest, Link)>,
    ) -> Result<(), Error> {
        let subject = subject(manifest).map(|subject| subject.digest.clone());
        let mut link = self.new_link(presence);
        let life = link.life.clone();
        link.media_type = Some(manifest.media_type().to_owned());
        link.subject.clone_from(&subject);
        let mut txn = Txn::new().put(records::link_key(repository, digest), records::encode(&link));
        if let Some(subject) = &subject {
            let row = Referrer { life: life.clone(), descriptor: referrer(digest, manifest) };
            txn = txn.put(records::referrer_key(repository, subject, digest), records::encode(&row));
        }
        if !life.is_empty() {
            for (part, link) in unbound.into_iter().take(limits::TIDY_KEYS) {
                if part != *digest {
                    let link = Link { life: life.clone(), ..link };
                    txn = txn.put(records::link_key(repository, &part), records::encode(&link));
                }
            }
        }
        self.store.commit(txn).await?;
        Ok(())
    }

    /// Gives all links that were made before the repository to its life.
    async fn bind_all(&self, repository: &Repository, presence: &Presence) -> Result<(), Error> {
        let Presence::Present(Life(life)) = presence else { return Ok(()) };
        for prefix in [records::LINKS, records::REFERRERS] {
            let mut range = Some(store::Range::of(&format!("{prefix}{repository}/")));
            while let Some(here) = range {
                let (items, next) = records::page(&*self.store, here).await?;
                for chunk in items.chunks(limits::TIDY_KEYS) {
                    let mut txn = Txn::new();
                    for item in chunk {
                        // Whichever kind of record it is, it has a life.
                        let mut record: Value = records::decode(&item.value)?;
                        if record["life"] == "" {
                            record["life"] = life.as_str().into();
                            txn = txn.put(item.key.clone(), records::encode(&record));
                        }
                    }
                    self.store.commit(txn).await?;
                }
                range = next;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_without_a_type_is_recognised() {
        let check =
            |text: &str, expected: Option<&str>| assert_eq!(sniff(text.as_bytes()).ok(), expected, "{text}");
        check(r#"{"schemaVersion":2,"config":{},"layers":[]}"#, Some(media::OCI_MANIFEST));
        check(r#"{"schemaVersion":2,"manifests":[]}"#, Some(media::OCI_INDEX));
        check(r#"{"schemaVersion":1,"fsLayers":[]}"#, Some(media::DOCKER_SCHEMA1));
        check(&format!(r#"{{"mediaType":"{}"}}"#, media::DOCKER_LIST), Some(media::DOCKER_LIST));
        check(r#"{"schemaVersion":2,"mediaType":"x/y","config":{}}"#, None);
        check("[]", None);
        check("{}", None);
    }
}
