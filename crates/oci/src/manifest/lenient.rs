//! Any manifest, read the way image objects are derived from it: every schema at once, nothing required.
//!
//! A stored image may carry a manifest that no registry would serve; deriving its layers and metadata takes what is
//! there. Digests are therefore plain text in here. For manifests that come from a registry use
//! [`super::Manifest::parse`], which is strict.

use crate::json::{self, Fields, JsonError};

/// The union of the manifest formats.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnyManifest {
    /// 1 or 2, or whatever stands there.
    pub schema_version: i64,
    /// Empty when absent.
    pub media_type: String,
    /// Schema 1: the repository's name.
    pub name: String,
    /// Schema 1: the tag.
    pub tag: String,
    /// Schema 1: the architecture.
    pub architecture: String,
    /// Schema 1: the layers' digests, newest first.
    pub fs_layers: Vec<String>,
    /// Schema 1: one version 1 configuration a layer, newest first.
    pub history: Vec<String>,
    /// Schema 2 and OCI: the layers, oldest first.
    pub layers: Vec<AnyDescriptor>,
    /// Schema 2 and OCI: the configuration.
    pub config: AnyDescriptor,
}

/// A descriptor as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnyDescriptor {
    /// Empty when absent.
    pub media_type: String,
    /// In bytes, as claimed.
    pub size: i64,
    /// As written.
    pub digest: String,
}

impl AnyManifest {
    /// Reads what is there.
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        let document = json::parse(text)?;
        let fields = document.as_struct("docker10.DockerImageManifest")?;
        let texts = |key: &str, name: &'static str, wanted: &'static str, inner: &str| {
            fields
                .objects(key, name, wanted)?
                .iter()
                .map(|item| item.string(inner))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            schema_version: fields.integer("schemaVersion")?,
            media_type: fields.string("mediaType")?,
            name: fields.string("name")?,
            tag: fields.string("tag")?,
            architecture: fields.string("architecture")?,
            fs_layers: texts("fsLayers", "docker10.DockerFSLayer", "[]docker10.DockerFSLayer", "blobSum")?,
            history: texts(
                "history",
                "docker10.DockerHistory",
                "[]docker10.DockerHistory",
                "v1Compatibility",
            )?,
            layers: fields
                .objects("layers", "docker10.Descriptor", "[]docker10.Descriptor")?
                .iter()
                .map(AnyDescriptor::read)
                .collect::<Result<_, _>>()?,
            config: match fields.object("config", "docker10.Descriptor")? {
                Some(config) => AnyDescriptor::read(&config)?,
                None => AnyDescriptor::default(),
            },
        })
    }
}

impl AnyDescriptor {
    fn read(fields: &Fields<'_, '_>) -> Result<Self, JsonError> {
        Ok(Self {
            media_type: fields.string("mediaType")?,
            size: fields.integer("size")?,
            digest: fields.string("digest")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_is_read_into_one_shape() {
        let one = AnyManifest::parse(
            br#"{"schemaVersion":1,"fsLayers":[{"blobSum":"b"},{"blobSum":"a"}],"history":[{"v1Compatibility":"{}"}]}"#,
        )
        .unwrap();
        assert_eq!(
            (one.schema_version, one.fs_layers, one.history),
            (1, vec!["b".into(), "a".into()], vec!["{}".into()])
        );
        let two = AnyManifest::parse(
            br#"{"SchemaVersion":2,"config":{"digest":"c","size":7},"layers":[{"mediaType":"m","size":1,"digest":"l"}]}"#,
        )
        .unwrap();
        assert_eq!((two.schema_version, two.config.size, two.layers[0].digest.as_str()), (2, 7, "l"));
        assert_eq!(AnyManifest::parse(b"{}").unwrap(), AnyManifest::default());
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_named() {
        let error = AnyManifest::parse(br#"{"config":{"size":"7"}}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "json: cannot unmarshal string into Go struct field Descriptor.config.size of type int64"
        );
    }
}
