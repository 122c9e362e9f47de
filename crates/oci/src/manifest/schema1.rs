//! Schema 1 manifests: the signed form that old registries serve.
//!
//! Such a manifest carries signatures inside itself, so its digest is taken over the *payload*: the text with the
//! signatures cut out, put together from the first `formatLength` bytes and the `formatTail` that every signature's
//! protected header repeats. The signatures themselves are not checked: nobody has kept keys for them, and the digest
//! is what pins content.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use super::{ManifestError, too_many};
use crate::json::{self, Value};
use crate::limits;

const URL_SAFE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What a schema 1 manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema1 {
    /// The text without signatures, over which the digest is taken.
    pub payload: Bytes,
    /// The repository's name, as signed.
    pub name: String,
    /// The tag, as signed.
    pub tag: String,
    /// The architecture.
    pub architecture: String,
    /// The layers' digests, newest first.
    pub layers: Vec<String>,
    /// One version 1 configuration (JSON text) a layer, newest first.
    pub history: Vec<String>,
}

impl Schema1 {
    pub(super) fn read(raw: &Bytes) -> Result<Self, ManifestError> {
        let payload = payload(raw)?;
        let document = json::parse(&payload)?;
        let fields = document.as_struct("schema1.Manifest")?;
        let layers = fields.objects("fsLayers", "schema1.FSLayer", "[]schema1.FSLayer")?;
        let history = fields.objects("history", "schema1.History", "[]schema1.History")?;
        too_many("layers", layers.len().max(history.len()), limits::MANIFEST_LAYERS)?;
        let texts = |items: &[json::Fields<'_, '_>], key: &str| {
            items.iter().map(|item| item.string(key)).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            name: fields.string("name")?,
            tag: fields.string("tag")?,
            architecture: fields.string("architecture")?,
            layers: texts(&layers, "blobSum")?,
            history: texts(&history, "v1Compatibility")?,
            payload,
        })
    }
}

/// The text without its signatures.
fn payload(raw: &Bytes) -> Result<Bytes, ManifestError> {
    let document = json::parse(raw)
        .map_err(|error| ManifestError::Signature(format!("error unmarshalling content: {error}")))?;
    let unreadable =
        |error: json::JsonError| ManifestError::Signature(format!("error unmarshalling signatures: {error}"));
    document
        .as_struct("map[string]json.RawMessage")
        .map_err(|error| ManifestError::Signature(format!("error unmarshalling content: {error}")))?;
    // This key is looked up as it is written, unlike all others; `null` passes for an object without any.
    let Value::Object(entries) = &document else {
        return Err(ManifestError::Signature("missing signature key".into()));
    };
    if !entries.iter().any(|(key, _)| key == "signatures") {
        return Err(ManifestError::Signature("missing signature key".into()));
    }
    let fields = document.as_struct("libtrust.Manifest").map_err(unreadable)?;
    let blocks = fields
        .objects("signatures", "libtrust.jsParsedSignature", "[]libtrust.jsParsedSignature")
        .map_err(unreadable)?;
    let mut format: Option<(usize, Vec<u8>)> = None;
    for block in &blocks {
        let (length, tail) = protected_format(&block.string("protected").map_err(unreadable)?)?;
        match &format {
            None => format = Some((length, tail)),
            Some((known, _)) if *known != length => {
                return Err(ManifestError::Signature("conflicting format length".into()));
            }
            Some((_, known)) if *known != tail => {
                return Err(ManifestError::Signature("conflicting format tail".into()));
            }
            Some(_) => {}
        }
    }
    let (length, tail) = format.unwrap_or_default();
    let Some(head) = raw.get(..length) else {
        return Err(ManifestError::Signature("invalid format length".into()));
    };
    Ok([head, tail.as_slice()].concat().into())
}

fn protected_format(protected: &str) -> Result<(usize, Vec<u8>), ManifestError> {
    let header = URL_SAFE
        .decode(protected)
        .map_err(|error| ManifestError::Signature(format!("base64 decode error: {error}")))?;
    let unreadable = |error: json::JsonError| {
        ManifestError::Signature(format!("error unmarshalling protected header: {error}"))
    };
    let header = json::parse(&header).map_err(unreadable)?;
    let fields = header.as_struct("libtrust.protectedHeader").map_err(unreadable)?;
    let length = fields.integer("formatLength").map_err(unreadable)?;
    let length =
        usize::try_from(length).map_err(|_| ManifestError::Signature("invalid format length".into()))?;
    let tail = URL_SAFE
        .decode(fields.string("formatTail").map_err(unreadable)?)
        .map_err(|error| ManifestError::Signature(format!("base64 decode error on format tail: {error}")))?;
    Ok((length, tail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::manifest::{Manifest, View};
    use crate::media;

    const PAYLOAD: &str = "{\n   \"schemaVersion\": 1,\n   \"name\": \"library/old\",\n   \"tag\": \"1\",\n   \"architecture\": \"amd64\",\n   \"fsLayers\": [{\"blobSum\": \"sha256:aa\"}],\n   \"history\": [{\"v1Compatibility\": \"{\\\"id\\\":\\\"x\\\"}\"}]\n}";

    fn signed(length: usize, tail: &str) -> Bytes {
        let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let protected = encode(&format!("{{\"formatLength\":{length},\"formatTail\":\"{}\"}}", encode(tail)));
        let head = &PAYLOAD[..PAYLOAD.len() - 2];
        format!("{head},\n   \"signatures\": [{{\"header\": {{}}, \"signature\": \"c2ln\", \"protected\": \"{protected}\"}}]\n}}")
            .into()
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let refused =
            |text: &'static str| Manifest::parse(media::DOCKER_SCHEMA1_SIGNED, text.into()).unwrap_err();
        assert!(refused("null").to_string().contains("missing signature key"));
        assert!(refused("[]").to_string().contains("error unmarshalling content"));
    }

    #[test]
    fn the_digest_is_taken_over_the_text_without_signatures() {
        let raw = signed(PAYLOAD.len() - 2, "\n}");
        for content_type in [media::DOCKER_SCHEMA1_SIGNED, media::JSON, "text/html; charset=utf-8", ""] {
            let manifest = Manifest::parse(content_type, raw.clone()).unwrap();
            assert_eq!(manifest.digest(), &Digest::sha256(PAYLOAD.as_bytes()));
            assert_eq!(manifest.raw(), &raw);
            assert_eq!(manifest.media_type(), media::DOCKER_SCHEMA1_SIGNED);
            let View::Schema1(view) = manifest.view() else { panic!("{manifest:?}") };
            assert_eq!(view.history, ["{\"id\":\"x\"}"]);
            assert_eq!(view.layers, ["sha256:aa"]);
            assert_eq!((view.name.as_str(), view.tag.as_str()), ("library/old", "1"));
        }
    }

    fn check_refused(raw: impl Into<Bytes>, expected: &str) {
        let error = Manifest::parse("", raw.into()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn what_is_no_signed_manifest_says_why() {
        check_refused("{}", "missing signature key");
        check_refused(
            "<html>",
            "error unmarshalling content: invalid character '<' looking for beginning of value",
        );
        check_refused("{\"signatures\":[]}", "unexpected end of JSON input");
        check_refused(signed(1 << 40, "\n}"), "invalid format length");
        check_refused(
            "{\"signatures\":[{\"protected\":\"!\"}]}",
            "base64 decode error: Invalid symbol 33, offset 0.",
        );
    }
}
