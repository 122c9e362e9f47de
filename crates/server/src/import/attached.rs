//! What is kept beside an image: signatures, attestations, bills of materials.
//!
//! cosign and others keep them in the image's repository under tags that are made of its digest. They are imported with an
//! image where somebody asked for it, by an annotation of the stream, of the tag or of the request, and become tags of the
//! same names: clients that look for them here find them as they would at the source, and pull them through. They are
//! asked for each time that the image's tag is. That there are none is no failure; one that cannot be had leaves what was
//! had before.
//!
//! Registries that tell by themselves what refers to an image are asked that; where they do not, clients keep an index of it
//! under one more such tag. Either way the index becomes that tag here.

use std::collections::{BTreeMap, BTreeSet};

use machinery::image::{ImageStream, ImageStreamImport, ImageStreamImportStatus};
use oci::Digest;

use super::apply;
use super::plan::{self, Source};
use super::registries::Registries;

/// On a stream, a tag of its spec or a request: `"true"` imports what is kept beside an image along with it; `"false"` on
/// a tag does not although the stream says so.
pub const SIGNATURES: &str = "weir.dev/import-signatures";

/// What follows an image's digest in such tags: signatures, attestations, a bill of materials; nothing for the index of
/// what refers to it.
const SUFFIXES: [&str; 4] = [".sig", ".att", ".sbom", INDEX];
/// See [`SUFFIXES`].
const INDEX: &str = "";

/// The tags beside an image.
pub fn tags(digest: &Digest) -> impl Iterator<Item = String> {
    let stem = index(digest);
    SUFFIXES.into_iter().map(move |suffix| format!("{stem}{suffix}"))
}

/// The tag of the index of what refers to an image: kept by clients where the registry does not tell, and here in any case.
pub fn index(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("{}-{}{INDEX}", digest.algorithm().as_str(), &hex[..hex.len().min(64)])
}

/// The images that a request brought and beside which is to be looked, each once.
pub fn wanted(
    request: &ImageStreamImport,
    status: &ImageStreamImportStatus,
    stream: Option<&ImageStream>,
    registries: &Registries,
) -> Vec<(Source, Digest)> {
    let spec = &request.spec;
    if !spec.import {
        return Vec::new();
    }
    let single = spec.images.iter().zip(&status.images).filter_map(|(spec, entry)| {
        let to = spec.to.as_ref()?;
        Some((&spec.from.name, spec.import_policy.insecure, to.name.as_str(), entry))
    });
    let listed = spec.repository.iter().zip(&status.repository).flat_map(|(spec, status)| {
        let (from, insecure) = (&spec.from.name, spec.import_policy.insecure);
        status.images.iter().map(move |entry| (from, insecure, entry.tag.as_str(), entry))
    });
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (from, insecure, tag, entry) in single.chain(listed) {
        let image = entry.image.as_ref().filter(|_| apply::is_success(entry));
        let digest = image.and_then(|image| Digest::parse(&image.metadata.name).ok());
        let Some(digest) = digest.filter(|_| !is_beside(tag) && is_wanted(request, stream, tag)) else {
            continue;
        };
        if let Ok((_, source)) = plan::locate(from, insecure, registries)
            && seen.insert((source.name.to_string(), digest.clone()))
        {
            found.push((source, digest));
        }
    }
    found
}

/// Whether a tag is itself one that is kept beside an image: nothing is kept beside those.
fn is_beside(tag: &str) -> bool {
    let stem = SUFFIXES.into_iter().find_map(|suffix| tag.strip_suffix(suffix)).unwrap_or(tag);
    stem.split_once('-').is_some_and(|(name, hex)| Digest::parse(&format!("{name}:{hex}")).is_ok())
}

fn is_wanted(request: &ImageStreamImport, stream: Option<&ImageStream>, tag: &str) -> bool {
    let says =
        |annotations: &BTreeMap<String, String>| annotations.get(SIGNATURES).map(|text| text == "true");
    let of_tag = stream.and_then(|stream| says(&stream.spec.tag(tag)?.annotations));
    let of_stream = || stream.and_then(|stream| says(&stream.metadata.annotations));
    says(&request.metadata.annotations).or(of_tag).or_else(of_stream).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use machinery::image::TagReference;

    use super::*;

    fn annotated(value: &str) -> BTreeMap<String, String> {
        [(SIGNATURES.to_owned(), value.to_owned())].into()
    }

    #[test]
    fn tags_are_made_of_the_digest() {
        let digest = Digest::sha256(b"weir");
        let hex = digest.hex();
        let tags: Vec<String> = tags(&digest).collect();
        let expected = [".sig", ".att", ".sbom", ""].map(|suffix| format!("sha256-{hex}{suffix}"));
        assert_eq!(tags, expected);
        assert!(tags.iter().all(|tag| is_beside(tag) && oci::reference::is_tag(tag)));
        for other in ["v1", "sha256-short.sig", "latest.sig", "sha256"] {
            assert!(!is_beside(other), "{other}");
        }
    }

    #[test]
    fn the_request_speaks_before_the_tag_and_the_tag_before_the_stream() {
        let check = |request: Option<&str>, tag: Option<&str>, stream: Option<&str>, expected: bool| {
            let mut asked = ImageStreamImport::default();
            asked.metadata.annotations = request.map(annotated).unwrap_or_default();
            let mut held = ImageStream::default();
            held.metadata.annotations = stream.map(annotated).unwrap_or_default();
            let annotations = tag.map(annotated).unwrap_or_default();
            held.spec.tags = vec![TagReference { name: "v1".into(), annotations, ..Default::default() }];
            assert_eq!(is_wanted(&asked, Some(&held), "v1"), expected, "{request:?} {tag:?} {stream:?}");
        };
        check(None, None, None, false);
        check(None, None, Some("true"), true);
        check(None, Some("false"), Some("true"), false);
        check(None, Some("true"), None, true);
        check(Some("true"), Some("false"), None, true);
        check(Some("no"), Some("true"), None, false);
    }
}
