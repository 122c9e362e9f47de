//! Descriptors: what a manifest says of the blobs and manifests it names.

use super::ManifestError;
use crate::digest::Digest;
use crate::json::Fields;

/// A reference to content by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The media type as written; may be empty.
    pub media_type: String,
    /// The content's digest.
    pub digest: Digest,
    /// The content's length in bytes, as claimed.
    pub size: u64,
    /// Other places that serve the content (foreign layers).
    pub urls: Vec<String>,
    /// For children of a list: what they run on.
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// A descriptor of `bytes`.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::sha256(bytes),
            size: bytes.len() as u64,
            urls: Vec::new(),
            platform: None,
        }
    }

    pub(super) fn read(fields: &Fields<'_, '_>) -> Result<Self, ManifestError> {
        let digest = fields.string("digest")?;
        let size = fields.integer("size")?;
        Ok(Self {
            media_type: fields.string("mediaType")?,
            digest: Digest::parse(&digest)?,
            size: u64::try_from(size).map_err(|_| ManifestError::NegativeSize(size))?,
            urls: fields.strings("urls")?.unwrap_or_default(),
            platform: match fields.object("platform", "manifestlist.PlatformSpec")? {
                Some(platform) => Some(Platform::read(&platform)?),
                None => None,
            },
        })
    }
}

/// What an image runs on; parts that are not given are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Platform {
    /// `amd64`, `arm64`…
    pub architecture: String,
    /// `linux`, `windows`…
    pub os: String,
    /// `v8`…
    pub variant: String,
    /// The operating system's version (Windows).
    pub os_version: String,
}

impl Platform {
    fn read(fields: &Fields<'_, '_>) -> Result<Self, ManifestError> {
        Ok(Self {
            architecture: fields.string("architecture")?,
            os: fields.string("os")?,
            variant: fields.string("variant")?,
            os_version: fields.string("os.version")?,
        })
    }
}
