//! Manifests: the exact bytes that were received, their digest, and a parsed view beside them.
//!
//! The bytes are the truth: they are what was hashed and what is served again, so nothing in here ever encodes a
//! manifest anew. The view is read strictly enough that a manifest which is two things at once is refused, and leniently
//! enough (unknown fields, case of keys) that everything in use out there is read. Which parser applies is decided by
//! the `Content-Type` it came with, as the reference does.
//!
//! Sizes are bounded before anything is parsed; see [`crate::limits`].

mod descriptor;
mod lenient;
mod schema1;

use std::collections::BTreeMap;

use bytes::Bytes;

pub use descriptor::{Descriptor, Platform};
pub use lenient::{AnyDescriptor, AnyManifest};
pub use schema1::Schema1;

use crate::digest::{Digest, DigestError};
use crate::json::{self, Fields, JsonError};
use crate::{limits, media};

/// Why bytes are no manifest; prints as the reference does, where it has such an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The content type cannot be read.
    #[error("mime: {0}")]
    ContentType(&'static str),
    /// The text is not JSON, or JSON of another shape.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A schema 1 manifest without usable signatures.
    #[error("{0}")]
    Signature(String),
    /// The manifest says that it is something else than its content type.
    #[error("{0} should be '{1}' not '{2}'")]
    MediaType(&'static str, &'static str, String),
    /// A manifest that also has the fields of an index.
    #[error("ocimanifest: expected manifest but found index")]
    AlsoIndex,
    /// An index that also has the fields of a manifest.
    #[error("index: expected index but found manifest")]
    AlsoManifest,
    /// A descriptor without a usable digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// A descriptor with a size below zero.
    #[error("invalid descriptor size {0}")]
    NegativeSize(i64),
    /// More bytes or entries than are read.
    #[error("manifest has too many {what}: {found}, at most {most} are allowed")]
    TooMany {
        /// `bytes`, `children` or `layers`.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many are allowed.
        most: usize,
    },
}

/// A manifest: bytes, digest, view. Cheap to clone but for the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    raw: Bytes,
    digest: Digest,
    view: View,
}

/// What a manifest says, by kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// Docker schema 1, signed.
    Schema1(Schema1),
    /// Docker schema 2.
    Schema2(ImageManifest),
    /// OCI image manifest.
    Oci(ImageManifest),
    /// Docker manifest list.
    List(Index),
    /// OCI image index.
    Index(Index),
}

/// A manifest of one image (or artifact).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageManifest {
    /// The configuration blob.
    pub config: Descriptor,
    /// The layers, oldest first.
    pub layers: Vec<Descriptor>,
    /// What an artifact is; empty for images.
    pub artifact_type: String,
    /// The manifest that this one is about.
    pub subject: Option<Descriptor>,
    /// Free texts.
    pub annotations: BTreeMap<String, String>,
}

/// A list of manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The children, in the list's order.
    pub manifests: Vec<Descriptor>,
    /// What an artifact is; empty for images.
    pub artifact_type: String,
    /// The manifest that this one is about.
    pub subject: Option<Descriptor>,
    /// Free texts.
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads a manifest that came with this `Content-Type` (empty for none).
    ///
    /// A content type that names no manifest format means schema 1, as it does to the reference.
    pub fn parse(content_type: &str, raw: Bytes) -> Result<Self, ManifestError> {
        too_many("bytes", raw.len(), limits::MANIFEST_BYTES)?;
        let media_type = essence(content_type)?;
        let view = match media_type.as_str() {
            media::DOCKER_SCHEMA2 => View::Schema2(read_image(&raw, media::DOCKER_SCHEMA2, false)?),
            media::OCI_MANIFEST => View::Oci(read_image(&raw, media::OCI_MANIFEST, true)?),
            media::DOCKER_LIST => View::List(read_index(&raw, media::DOCKER_LIST, false)?),
            media::OCI_INDEX => View::Index(read_index(&raw, media::OCI_INDEX, true)?),
            _ => View::Schema1(Schema1::read(&raw)?),
        };
        let digest = match &view {
            View::Schema1(signed) => Digest::sha256(&signed.payload),
            _ => Digest::sha256(&raw),
        };
        Ok(Self { raw, digest, view })
    }

    /// The media type of the format that was parsed (also for OCI manifests that do not name it themselves).
    pub fn media_type(&self) -> &'static str {
        match &self.view {
            View::Schema1(_) => media::DOCKER_SCHEMA1_SIGNED,
            View::Schema2(_) => media::DOCKER_SCHEMA2,
            View::Oci(_) => media::OCI_MANIFEST,
            View::List(_) => media::DOCKER_LIST,
            View::Index(_) => media::OCI_INDEX,
        }
    }

    /// SHA-256 over the bytes; for schema 1, over the text without signatures.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The bytes as received.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The bytes over which the digest is taken.
    pub fn payload(&self) -> &Bytes {
        match &self.view {
            View::Schema1(signed) => &signed.payload,
            _ => &self.raw,
        }
    }

    /// What it says.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Whether the digest of the content is this one, by this one's algorithm.
    pub fn has_digest(&self, digest: &Digest) -> bool {
        *digest == self.digest || digest.matches(self.payload())
    }

    /// The children, when it is a list.
    pub fn children(&self) -> Option<&[Descriptor]> {
        match &self.view {
            View::List(index) | View::Index(index) => Some(&index.manifests),
            _ => None,
        }
    }

    /// Configuration and layers, when it is a schema 2 or OCI manifest.
    pub fn image(&self) -> Option<&ImageManifest> {
        match &self.view {
            View::Schema2(image) | View::Oci(image) => Some(image),
            _ => None,
        }
    }

    /// The reference implementation's name for this kind, which its error texts show.
    pub fn kind_name(&self) -> &'static str {
        match &self.view {
            View::Schema1(_) => "*schema1.SignedManifest",
            View::Schema2(_) => "*schema2.DeserializedManifest",
            View::Oci(_) => "*ocischema.DeserializedManifest",
            View::List(_) | View::Index(_) => "*manifestlist.DeserializedManifestList",
        }
    }
}

/// The media type of a `Content-Type` header: lower case, without parameters. Empty stays empty.
pub fn essence(content_type: &str) -> Result<String, ManifestError> {
    if content_type.is_empty() {
        return Ok(String::new());
    }
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let is_token = |b: u8| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b);
    let token_end = |text: &str| text.bytes().position(|b| !is_token(b)).unwrap_or(text.len());
    let (kind, rest) = media_type.split_at(token_end(media_type));
    let problem = match rest.strip_prefix('/') {
        _ if kind.is_empty() => Some("no media type"),
        None if rest.is_empty() => None,
        None => Some("expected slash after first token"),
        Some(subtype) if token_end(subtype) == 0 => Some("expected token after slash"),
        Some(subtype) if token_end(subtype) < subtype.len() => Some("unexpected content after media subtype"),
        Some(_) => None,
    };
    match problem {
        Some(problem) => Err(ManifestError::ContentType(problem)),
        None => Ok(media_type.to_ascii_lowercase()),
    }
}

fn too_many(what: &'static str, found: usize, most: usize) -> Result<(), ManifestError> {
    if found > most { Err(ManifestError::TooMany { what, found, most }) } else { Ok(()) }
}

fn read_image(raw: &[u8], expected: &'static str, may_omit: bool) -> Result<ImageManifest, ManifestError> {
    let document = json::parse(raw)?;
    let fields = document.as_struct("ocischema.Manifest")?;
    if fields.get("manifests").is_some() {
        return Err(ManifestError::AlsoIndex);
    }
    check_media_type(
        &fields,
        expected,
        may_omit,
        ["mediaType in manifest", "if present, mediaType in manifest"],
    )?;
    let descriptor = "distribution.Descriptor";
    let config = match fields.object("config", descriptor)? {
        Some(config) => Descriptor::read(&config)?,
        None => return Err(DigestError::Format.into()),
    };
    let layers = fields.objects("layers", descriptor, "[]distribution.Descriptor")?;
    too_many("layers", layers.len(), limits::MANIFEST_LAYERS)?;
    Ok(ImageManifest {
        config,
        layers: layers.iter().map(Descriptor::read).collect::<Result<_, _>>()?,
        artifact_type: fields.string("artifactType")?,
        subject: subject(&fields)?,
        annotations: fields.string_map("annotations")?.unwrap_or_default(),
    })
}

fn read_index(raw: &[u8], expected: &'static str, may_omit: bool) -> Result<Index, ManifestError> {
    let document = json::parse(raw)?;
    let fields = document.as_struct("manifestlist.ManifestList")?;
    if fields.get("config").is_some() || fields.get("layers").is_some() {
        return Err(ManifestError::AlsoManifest);
    }
    let places = ["mediaType in manifest list", "if present, mediaType in image index"];
    check_media_type(&fields, expected, may_omit, places)?;
    let children = fields.objects(
        "manifests",
        "manifestlist.ManifestDescriptor",
        "[]manifestlist.ManifestDescriptor",
    )?;
    too_many("children", children.len(), limits::INDEX_CHILDREN)?;
    Ok(Index {
        manifests: children.iter().map(Descriptor::read).collect::<Result<_, _>>()?,
        artifact_type: fields.string("artifactType")?,
        subject: subject(&fields)?,
        annotations: fields.string_map("annotations")?.unwrap_or_default(),
    })
}

fn check_media_type(
    fields: &Fields<'_, '_>,
    expected: &'static str,
    may_omit: bool,
    [required, optional]: [&'static str; 2],
) -> Result<(), ManifestError> {
    let found = fields.string("mediaType")?;
    if found == expected || (may_omit && found.is_empty()) {
        return Ok(());
    }
    Err(ManifestError::MediaType(if may_omit { optional } else { required }, expected, found))
}

fn subject(fields: &Fields<'_, '_>) -> Result<Option<Descriptor>, ManifestError> {
    match fields.object("subject", "distribution.Descriptor")? {
        Some(subject) => Descriptor::read(&subject).map(Some),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests;
