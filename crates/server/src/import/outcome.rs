//! Turns what was fetched into the answer to a request: one status for every entry, in the order asked for.
//!
//! An image's raw manifest and configuration are shown only where nothing is stored and the entry asks for them; the
//! children of a list keep theirs wherever nothing is stored.

use std::sync::Arc;

use machinery::image::{
    Image, ImageImportStatus, ImageStreamImportSpec, RepositoryImportSpec, RepositoryImportStatus,
};
use machinery::meta::Status;
use machinery::status::ApiError;
use oci::{Digest, Reference};

use super::plan::{Entry, Plan, Source, Wanted};

/// What one fetch brought.
pub type FetchResult = Result<Fetched, Box<Status>>;

/// An image that was fetched, with its children when it is a list that was taken whole.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The image, named by its digest, without a reference, with its raw documents.
    pub image: Arc<Image>,
    /// Children, each with the digest by which the list names it.
    pub children: Vec<(Digest, Arc<Image>)>,
}

/// What asking for a whole repository brought.
#[derive(Clone, Debug)]
pub enum Listing {
    /// The tags could not be listed.
    Failed(Box<Status>),
    /// The tags that were imported and those that were not.
    Tags {
        /// Where they were found.
        source: Box<Source>,
        /// Tags in order, with what fetching them brought.
        images: Vec<(String, FetchResult)>,
        /// Tags beyond what one import takes.
        additional: Vec<String>,
    },
}

/// Which raw documents an entry's answer shows.
#[derive(Clone, Copy)]
struct Raw {
    image: bool,
    children: bool,
}

impl Raw {
    fn of(include: bool, stored: bool) -> Raw {
        Raw { image: include && !stored, children: !stored }
    }
}

/// The statuses of `spec.images`.
pub fn images(spec: &ImageStreamImportSpec, plan: &Plan, results: &[FetchResult]) -> Vec<ImageImportStatus> {
    let one = |(image, entry): (&machinery::image::ImageImportSpec, &Entry)| match entry {
        Entry::Nothing => ImageImportStatus::default(),
        Entry::Refused { tag, status } => {
            ImageImportStatus { status: (**status).clone(), tag: tag.clone(), ..Default::default() }
        }
        Entry::Fetch(at) => {
            let fetch = &plan.fetches[*at];
            let tag = match &fetch.wanted {
                Wanted::Tag(tag) => tag.as_str(),
                Wanted::Digest(_) => "",
            };
            let raw = Raw::of(image.include_manifest, spec.import && image.to.is_some());
            answer(&plan.sources[fetch.source].spelling, tag, &results[*at], raw)
        }
    };
    spec.images.iter().zip(&plan.images).map(one).collect()
}

/// The status of `spec.repository`.
pub fn repository(spec: &RepositoryImportSpec, import: bool, listing: Listing) -> RepositoryImportStatus {
    let (source, images, additional_tags) = match listing {
        Listing::Failed(status) => {
            return RepositoryImportStatus { status: *status, ..Default::default() };
        }
        Listing::Tags { source, images, additional } => (source, images, additional),
    };
    let raw = Raw::of(spec.include_manifest, import);
    let failed = images.iter().filter(|(_, result)| result.is_err()).count();
    let status = match failed {
        0 => Status::success(),
        1 => import_failed("one of the images from this repository failed to import".to_owned()),
        n => import_failed(format!("{n} of the images from this repository failed to import")),
    };
    let images = images.iter().map(|(tag, result)| answer(&source.spelling, tag, result, raw)).collect();
    RepositoryImportStatus { status, images, additional_tags }
}

fn import_failed(message: String) -> Status {
    Status { code: 0, ..*ApiError::new(0, "ImportFailed", message).0 }
}

/// The status of an image that nobody asked for by itself, to be stored; with its bytes when no registry has them.
pub fn beside(source: &Source, tag: &str, result: &FetchResult, raw: bool) -> ImageImportStatus {
    answer(&source.spelling, tag, result, Raw { image: raw, children: false })
}

fn answer(spelling: &Reference, tag: &str, result: &FetchResult, raw: Raw) -> ImageImportStatus {
    let tag = tag.to_owned();
    match result {
        Err(status) => ImageImportStatus { status: (**status).clone(), tag, ..Default::default() },
        Ok(fetched) => {
            let child = |(listed, image): &(Digest, Arc<Image>)| {
                dress(image, spelling, listed.as_str(), raw.children)
            };
            ImageImportStatus {
                status: Status::success(),
                image: Some(dress(&fetched.image, spelling, &fetched.image.metadata.name, raw.image)),
                tag,
                manifests: fetched.children.iter().map(child).collect(),
            }
        }
    }
}

/// The image as found under a spelling of its repository.
fn dress(image: &Image, spelling: &Reference, digest: &str, raw: bool) -> Image {
    let reference = Reference { id: digest.to_owned(), tag: String::new(), ..spelling.clone() };
    let raw = |document: &String| if raw { document.clone() } else { String::new() };
    // Field by field, because the raw documents are most of an image and are seldom wanted.
    Image {
        metadata: image.metadata.clone(),
        docker_image_reference: reference.exact(),
        docker_image_metadata: image.docker_image_metadata.clone(),
        docker_image_metadata_version: image.docker_image_metadata_version.clone(),
        docker_image_manifest: raw(&image.docker_image_manifest),
        docker_image_layers: image.docker_image_layers.clone(),
        signatures: Vec::new(),
        docker_image_signatures: Vec::new(),
        docker_image_manifest_media_type: image.docker_image_manifest_media_type.clone(),
        docker_image_config: raw(&image.docker_image_config),
        docker_image_manifests: image.docker_image_manifests.clone(),
    }
}

#[cfg(test)]
mod tests {
    use machinery::image::{ImageImportSpec, RepositoryImportSpec};
    use machinery::meta::{LocalObjectReference, ObjectMeta, ObjectReference};

    use super::*;
    use crate::import::plan::plan;

    fn digest(letter: &str) -> Digest {
        Digest::parse(&format!("sha256:{}", letter.repeat(64))).unwrap()
    }

    fn image(digest: &Digest) -> Arc<Image> {
        Arc::new(Image {
            metadata: ObjectMeta { name: digest.to_string(), ..Default::default() },
            docker_image_manifest: "{}".into(),
            ..Default::default()
        })
    }

    fn one_image(import: bool, to: Option<&str>, include_manifest: bool) -> ImageImportStatus {
        let from =
            ObjectReference { kind: "DockerImage".into(), name: "nginx:1.25".into(), ..Default::default() };
        let to = to.map(|name| LocalObjectReference { name: name.into() });
        let spec = ImageImportSpec { from, to, include_manifest, ..Default::default() };
        let spec = ImageStreamImportSpec { import, images: vec![spec], ..Default::default() };
        let children = vec![(digest("c"), image(&digest("b")))];
        let results = [Ok(Fetched { image: image(&digest("a")), children })];
        images(&spec, &plan(&spec, None, &Default::default()), &results).remove(0)
    }

    #[test]
    fn an_image_is_named_by_digest_in_the_spelling_of_the_request() {
        let status = one_image(true, Some("t"), false);
        assert_eq!(status.tag, "1.25");
        assert_eq!(status.image.unwrap().docker_image_reference, format!("nginx@{}", digest("a")));
        assert_eq!(status.manifests[0].docker_image_reference, format!("nginx@{}", digest("c")));
        assert_eq!(status.manifests[0].metadata.name, digest("b").to_string());
    }

    #[test]
    fn raw_documents_are_shown_only_where_nothing_is_stored() {
        for (import, to, include, image, child) in [
            (true, Some("t"), true, "", ""),
            (true, None, true, "{}", "{}"),
            (true, None, false, "", "{}"),
            (false, Some("t"), true, "{}", "{}"),
            (false, Some("t"), false, "", "{}"),
        ] {
            let status = one_image(import, to, include);
            let shown = (
                status.image.unwrap().docker_image_manifest,
                status.manifests[0].docker_image_manifest.clone(),
            );
            assert_eq!(shown, (image.to_owned(), child.to_owned()), "{import} {to:?} {include}");
        }
    }

    #[test]
    fn a_repository_counts_its_failures() {
        let source = Source {
            name: oci::Named::parse("nginx").unwrap(),
            spelling: Reference::parse("nginx").unwrap(),
            insecure: false,
        };
        let failure = || Err(ApiError::internal("no").0);
        let of = |images: Vec<FetchResult>| {
            let images = images.into_iter().map(|result| ("t".to_owned(), result)).collect();
            let listing =
                Listing::Tags { source: Box::new(source.clone()), images, additional: vec!["x".into()] };
            repository(&RepositoryImportSpec::default(), true, listing)
        };
        assert_eq!(of(vec![]).status, Status::success());
        let one = of(vec![failure()]);
        assert_eq!(one.status.message, "one of the images from this repository failed to import");
        assert_eq!((one.status.reason.as_str(), one.status.code), ("ImportFailed", 0));
        assert_eq!(
            of(vec![failure(), failure()]).status.message,
            "2 of the images from this repository failed to import"
        );
        assert_eq!(one.additional_tags, ["x"]);
    }
}
