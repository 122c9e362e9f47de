//! What an import request means in terms of other people's registries, worked out without asking any of them.
//!
//! Entries that name the same repository share one source, whose spelling and transport are those of the first of them;
//! entries that want the same manifest in the same manner share one fetch. What cannot even be asked for becomes a
//! refused entry, because a request answers each of its entries on its own.

use std::collections::BTreeMap;

use machinery::image::{
    ImageImportSpec, ImageStream, ImageStreamImportSpec, RepositoryImportSpec, well_known,
};
use machinery::meta::Status;
use machinery::status::ApiError;
use oci::reference::DEFAULT_TAG;
use oci::{Digest, Named, Reference};

use super::registries::Registries;

/// The fetches of one request.
#[derive(Debug, Default)]
pub struct Plan {
    /// Repositories to ask, each once.
    pub sources: Vec<Source>,
    /// Manifests to get, each once.
    pub fetches: Vec<Fetch>,
    /// One for every entry of `spec.images`, in their order.
    pub images: Vec<Entry>,
    /// For `spec.repository`.
    pub repository: Option<Repository>,
}

/// A repository of another registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Normalised, without tag and digest.
    pub name: Named,
    /// As the first entry wrote it, without tag and digest.
    pub spelling: Reference,
    /// Plain HTTP and unverified TLS are fine.
    pub insecure: bool,
}

/// One manifest to get.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fetch {
    /// Index of its source.
    pub source: usize,
    /// Which manifest.
    pub wanted: Wanted,
    /// What to do with lists.
    pub mode: Mode,
    /// Which child of a list is preferred.
    pub platform: Preference,
}

/// How a manifest is named in its repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// By a tag, which may move.
    Tag(String),
    /// By its digest.
    Digest(Digest),
}

/// What an import does with a list of manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Takes one child.
    Legacy,
    /// Takes the list and all its children.
    PreserveOriginal,
}

/// A platform wanted from lists; empty parts are the server's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Preference {
    /// `arm64`…
    pub architecture: String,
    /// `linux`…
    pub os: String,
}

/// What becomes of one entry of `spec.images`.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// Nothing: another kind of reference.
    Nothing,
    /// It failed before anybody was asked; `tag` is what it would have asked for.
    Refused {
        /// The tag of the source.
        tag: String,
        /// Why.
        status: Box<Status>,
    },
    /// It is answered by this fetch.
    Fetch(usize),
}

/// A whole repository to import.
#[derive(Clone, Debug, PartialEq)]
pub enum Repository {
    /// It cannot be asked.
    Refused(Box<Status>),
    /// Its tags are to be listed and imported.
    Ask {
        /// The repository.
        source: Box<Source>,
        /// What to do with lists.
        mode: Mode,
    },
}

impl Mode {
    /// Reads `importPolicy.importMode`; what is not known is `Legacy`.
    pub fn parse(text: &str) -> Mode {
        if text == well_known::PRESERVE_ORIGINAL { Mode::PreserveOriginal } else { Mode::Legacy }
    }
}

impl Source {
    /// The normalised reference of a manifest in here, as error texts show it.
    pub fn reference(&self, wanted: &Wanted) -> Named {
        match wanted {
            Wanted::Tag(tag) => self.name.with_tag(tag),
            Wanted::Digest(digest) => self.name.with_digest(digest.clone()),
        }
    }

    /// Two sources with equal keys are the same repository.
    fn key(&self) -> (&str, &str) {
        (self.name.host(), self.name.path())
    }

    /// Whether both name the same repository, however it is spelled.
    pub fn is_same_repository(&self, other: &Source) -> bool {
        self.key() == other.key()
    }
}

impl Preference {
    /// True when nothing is preferred.
    pub fn is_none(&self) -> bool {
        self.architecture.is_empty() && self.os.is_empty()
    }

    fn of(stream: Option<&ImageStream>, tag: &str) -> Preference {
        let Some(tag) = stream.and_then(|stream| stream.spec.tag(tag)) else {
            return Preference::default();
        };
        let wish = |name: &str| tag.annotations.get(name).cloned().unwrap_or_default();
        Preference { architecture: wish(well_known::PREFER_ARCH), os: wish(well_known::PREFER_OS) }
    }
}

/// Works out the fetches of a request; `stream` is the one imported into, if it exists (its tags may prefer a platform),
/// and `registries` says who may be asked and how.
pub fn plan(spec: &ImageStreamImportSpec, stream: Option<&ImageStream>, registries: &Registries) -> Plan {
    let mut plan = Plan::default();
    let mut sources = BTreeMap::new();
    let mut fetches = std::collections::HashMap::new();
    for image in &spec.images {
        let entry = plan.entry(image, (stream, registries), &mut sources, &mut fetches);
        plan.images.push(entry);
    }
    plan.repository = spec.repository.as_ref().map(|spec| repository(spec, registries));
    plan
}

impl Plan {
    fn entry(
        &mut self,
        image: &ImageImportSpec,
        (stream, registries): (Option<&ImageStream>, &Registries),
        sources: &mut BTreeMap<(String, String), usize>,
        fetches: &mut std::collections::HashMap<Fetch, usize>,
    ) -> Entry {
        if image.from.kind != well_known::DOCKER_IMAGE {
            return Entry::Nothing;
        }
        let (reference, source) = match locate(&image.from.name, image.import_policy.insecure, registries) {
            Ok(located) => located,
            Err(refused) => return refused,
        };
        let wanted = match wanted(&reference) {
            Ok(wanted) => wanted,
            Err(refused) => return refused,
        };
        let platform = match (&image.to, &wanted) {
            (Some(to), _) => Preference::of(stream, &to.name),
            (None, Wanted::Tag(tag)) => Preference::of(stream, tag),
            (None, Wanted::Digest(_)) => Preference::default(),
        };
        let (host, path) = source.key();
        let source = *sources.entry((host.to_owned(), path.to_owned())).or_insert_with(|| {
            self.sources.push(source);
            self.sources.len() - 1
        });
        let mode = Mode::parse(&image.import_policy.import_mode);
        // A digest means the same manifest whatever the tag prefers, but not the same child of it.
        let fetch = Fetch { source, wanted, mode, platform };
        let at = *fetches.entry(fetch.clone()).or_insert_with(|| {
            self.fetches.push(fetch);
            self.fetches.len() - 1
        });
        Entry::Fetch(at)
    }
}

fn repository(spec: &RepositoryImportSpec, registries: &Registries) -> Repository {
    match locate(&spec.from.name, spec.import_policy.insecure, registries) {
        Ok((_, source)) => {
            Repository::Ask { source: Box::new(source), mode: Mode::parse(&spec.import_policy.import_mode) }
        }
        Err(Entry::Refused { status, .. }) => Repository::Refused(status),
        Err(_) => Repository::Refused(internal("the repository cannot be named")),
    }
}

pub(super) fn locate(
    name: &str,
    insecure: bool,
    registries: &Registries,
) -> Result<(Reference, Source), Entry> {
    let reference = match Reference::parse(name) {
        Ok(reference) => reference,
        // Let through by validation, for old clients; no registry can be asked for it.
        Err(_) if name == "*" => Reference { name: name.to_owned(), ..Reference::default() },
        Err(error) => {
            let message = format!(
                " \"\" is invalid: from.name: Invalid value: {}: invalid name: {error}",
                machinery::field::quote(name)
            );
            let status = ApiError::new(422, "Invalid", message).0;
            return Err(Entry::Refused { tag: String::new(), status });
        }
    };
    let repository = reference.clone().as_repository();
    match Named::try_from(&repository) {
        Ok(name) if registries.is_blocked(name.domain()) => {
            Err(Entry::Refused { tag: String::new(), status: blocked(&reference.registry) })
        }
        Ok(name) => {
            let insecure = insecure || registries.is_insecure(name.domain());
            let source = Source { name, spelling: repository, insecure };
            Ok((reference, source))
        }
        Err(error) => {
            let tag = if reference.tag.is_empty() { DEFAULT_TAG } else { &reference.tag }.to_owned();
            let text = Reference { tag: tag.clone(), ..reference }.exact();
            let status = internal(&format!("unable to parse docker reference {text}: {error}"));
            Err(Entry::Refused { tag, status })
        }
    }
}

fn wanted(reference: &Reference) -> Result<Wanted, Entry> {
    if reference.id.is_empty() {
        let tag = if reference.tag.is_empty() { DEFAULT_TAG } else { &reference.tag };
        return Ok(Wanted::Tag(tag.to_owned()));
    }
    Digest::parse(&reference.id)
        .map(Wanted::Digest)
        .map_err(|error| Entry::Refused { tag: String::new(), status: internal(&error.to_string()) })
}

/// The refusal of a registry, named as the user wrote it.
fn blocked(registry: &str) -> Box<Status> {
    let message = format!("forbidden: registry {registry} blocked");
    ApiError::new(403, "Forbidden", message).with_details(Default::default()).0
}

fn internal(message: &str) -> Box<Status> {
    ApiError::internal(message).0
}

#[cfg(test)]
mod tests {
    use machinery::image::{TagImportPolicy, TagReference};
    use machinery::meta::{LocalObjectReference, ObjectReference};

    use super::*;

    fn image(name: &str, to: Option<&str>, mode: &str) -> ImageImportSpec {
        ImageImportSpec {
            from: ObjectReference { kind: "DockerImage".into(), name: name.into(), ..Default::default() },
            to: to.map(|name| LocalObjectReference { name: name.into() }),
            import_policy: TagImportPolicy { import_mode: mode.into(), ..Default::default() },
            ..Default::default()
        }
    }

    fn of(images: Vec<ImageImportSpec>) -> Plan {
        plan(&ImageStreamImportSpec { images, ..Default::default() }, None, &Registries::default())
    }

    fn fetched(plan: &Plan) -> Vec<String> {
        plan.fetches
            .iter()
            .map(|fetch| plan.sources[fetch.source].reference(&fetch.wanted).to_string())
            .collect()
    }

    #[test]
    fn entries_of_one_repository_share_its_first_spelling_and_transport() {
        let mut first = image("nginx", Some("a"), "Legacy");
        first.import_policy.insecure = true;
        let plan = of(vec![first, image("docker.io/library/nginx:1.25", Some("b"), "Legacy")]);
        assert_eq!(plan.sources.len(), 1);
        assert_eq!(plan.sources[0].spelling.exact(), "nginx");
        assert!(plan.sources[0].insecure);
        assert_eq!(fetched(&plan), ["docker.io/library/nginx:latest", "docker.io/library/nginx:1.25"]);
    }

    #[test]
    fn the_same_manifest_in_the_same_manner_is_fetched_once() {
        let plan = of(vec![
            image("a.example/x:1", Some("a"), "Legacy"),
            image("a.example/x:1", Some("b"), "Legacy"),
            image("a.example/x:1", Some("c"), "PreserveOriginal"),
            image("b.example/x:1", Some("d"), "Legacy"),
        ]);
        assert_eq!(plan.fetches.len(), 3);
        assert_eq!(plan.images, [Entry::Fetch(0), Entry::Fetch(0), Entry::Fetch(1), Entry::Fetch(2)]);
    }

    #[test]
    fn a_tag_beside_a_digest_is_ignored() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let plan = of(vec![image(&format!("a.example/x:1@{digest}"), None, "")]);
        assert_eq!(fetched(&plan), [format!("a.example/x@{digest}")]);
    }

    #[test]
    fn the_target_tags_annotations_choose_the_platform() {
        let mut stream = ImageStream::default();
        for (name, arch) in [("t", "arm64"), ("1", "s390x")] {
            let annotations = [(well_known::PREFER_ARCH.to_owned(), arch.to_owned())].into();
            stream.spec.set_tag(TagReference { name: name.into(), annotations, ..Default::default() });
        }
        let images = vec![
            image("a.example/x:1", Some("t"), ""),
            image("a.example/x:1", None, ""),
            image("a.example/x:1", Some("other"), ""),
        ];
        let plan = plan(
            &ImageStreamImportSpec { images, ..Default::default() },
            Some(&stream),
            &Registries::default(),
        );
        let wishes: Vec<_> = plan.fetches.iter().map(|fetch| fetch.platform.architecture.as_str()).collect();
        assert_eq!(wishes, ["arm64", "s390x", ""]);
    }

    #[test]
    fn the_name_that_means_everything_is_refused_in_its_entry() {
        let plan = of(vec![image("*", None, "")]);
        let Entry::Refused { tag, status } = &plan.images[0] else { panic!("{:?}", plan.images) };
        assert_eq!(tag, "latest");
        assert_eq!(
            status.message,
            "Internal error occurred: unable to parse docker reference *:latest: invalid reference format"
        );
    }

    fn configured() -> Registries {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        Registries::new(&crate::import::registries::RegistryConfig {
            blocked: texts(&["bad.example", "docker.io"]),
            insecure: texts(&["plain.example"]),
            ..Default::default()
        })
    }

    #[test]
    fn a_blocked_registry_is_refused_as_it_was_written() {
        let images = vec![
            image("bad.example/x:1", Some("a"), ""),
            image("nginx", None, ""),
            image("good.example/x", None, ""),
        ];
        let repository = Some(RepositoryImportSpec { from: images[0].from.clone(), ..Default::default() });
        let spec = ImageStreamImportSpec { images, repository, ..Default::default() };
        let plan = plan(&spec, None, &configured());
        for (entry, registry) in plan.images.iter().zip(["bad.example", ""]) {
            let Entry::Refused { tag, status } = entry else { panic!("{entry:?}") };
            assert_eq!((tag.as_str(), status.code, status.reason.as_str()), ("", 403, "Forbidden"));
            assert_eq!(status.message, format!("forbidden: registry {registry} blocked"));
        }
        assert_eq!(plan.images[2], Entry::Fetch(0));
        assert!(matches!(plan.repository, Some(Repository::Refused(status)) if status.code == 403));
    }

    #[test]
    fn a_registry_that_is_configured_as_insecure_needs_no_word_from_the_tag() {
        let images = vec![image("plain.example/x:1", None, ""), image("tls.example/x:1", None, "")];
        let spec = ImageStreamImportSpec { images, ..Default::default() };
        let insecure: Vec<bool> =
            plan(&spec, None, &configured()).sources.iter().map(|source| source.insecure).collect();
        assert_eq!(insecure, [true, false]);
    }
}
