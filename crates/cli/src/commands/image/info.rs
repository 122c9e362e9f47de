//! `image info`: what an image is made of and how it runs.
//!
//! A list is one image only together with a platform: without one the children are named, to choose from.

use machinery::json;
use oci::client::{RegistryError, RepositoryClient, Selector};
use oci::manifest::{Descriptor, Manifest, Platform, View};
use regex::Regex;
use serde::Serialize;

use super::config::{Config, Layer};
use super::source::{Flags, Registries, Source};
use super::text::text;
use crate::app::App;
use crate::failure::{Failure, plain};
use crate::limits;
use crate::tabs::{Layout, align};

/// `image info IMAGE…`
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@DIGEST; a tag may have a `*`
    args: Vec<String>,
    /// Images of a list whose OS/ARCHITECTURE[/VARIANT] this regular expression finds
    #[arg(long, default_value = "")]
    filter_by_os: String,
    /// Show every image of a list
    #[arg(long)]
    show_multiarch: bool,
    /// json, or nothing for a text
    #[arg(short, long, default_value = "")]
    output: String,
    #[command(flatten)]
    registries: Flags,
}

/// An image that was found; its fields are those of `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) digest: String,
    content_digest: String,
    pub(super) list_digest: String,
    pub(super) media_type: String,
    pub(super) layers: Vec<Layer>,
    pub(super) config: Config,
}

/// What was asked for.
struct Wanted<'a> {
    app: &'a App,
    registries: Registries,
    platform: Option<Regex>,
    all: bool,
    as_json: bool,
}

pub(super) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    if args.args.is_empty() {
        return Err(plain("info expects at least one argument, an image pull spec"));
    }
    if !matches!(args.output.as_str(), "" | "json") {
        return Err(plain(format!("unrecognized --output, only 'json' is supported: {}", args.output)));
    }
    let platform = (!args.filter_by_os.is_empty()).then(|| Regex::new(&args.filter_by_os)).transpose();
    let wanted = Wanted {
        app,
        registries: Registries::open(app, &args.registries)?,
        platform: platform
            .map_err(|error| plain(format!("--filter-by-os was not a valid regular expression: {error}")))?,
        all: args.show_multiarch,
        as_json: args.output == "json",
    };
    for name in &args.args {
        for source in wanted.registries.expand(name).await? {
            wanted.show(&source).await?;
        }
    }
    Ok(())
}

impl Wanted<'_> {
    async fn show(&self, source: &Source) -> Result<(), Failure> {
        let repository = self.registries.repository(source)?;
        let manifest = read(&repository, source).await?;
        let mut found = Vec::new();
        match manifest.children() {
            None => found.push(describe(&repository, source, &manifest, None).await?),
            Some(children) => {
                for child in self.chosen(children)? {
                    let asked = Selector::Digest(child.digest.clone());
                    let fetched = repository.get_manifest(&asked).await;
                    let fetched = fetched.map_err(|error| explain(source, &error))?;
                    found.push(describe(&repository, source, &fetched.manifest, Some(&manifest)).await?);
                }
            }
        }
        let out = &self.app.io;
        if self.as_json {
            let document = match found.as_slice() {
                [one] => json::pretty_value(one, b"  "),
                several => json::pretty_value(several, b"  "),
            };
            return out.print(&String::from_utf8_lossy(&document));
        }
        let by_digest = matches!(source.selector(), Selector::Digest(_));
        found.iter().try_for_each(|image| {
            let same = by_digest && image.list_digest.is_empty();
            out.print(&text(image, same, self.app.now()))
        })
    }

    /// The children that are meant.
    fn chosen<'c>(&self, children: &'c [Descriptor]) -> Result<Vec<&'c Descriptor>, Failure> {
        let fits = |child: &&Descriptor| {
            self.platform.as_ref().is_none_or(|wanted| wanted.is_match(&platform(child.platform.as_ref())))
        };
        let fitting: Vec<&Descriptor> = children.iter().filter(fits).collect();
        if fitting.len() == 1 || (self.all && !fitting.is_empty()) {
            return Ok(fitting);
        }
        let rows: String = children
            .iter()
            .map(|child| format!("  {}\t{}\n", platform(child.platform.as_ref()), child.digest))
            .collect();
        Err(plain(format!(
            "the image is a manifest list and contains multiple images - use --filter-by-os to select from:\n\n{}\n",
            align(&format!("  OS\tDIGEST\n{rows}"), Layout::INFO)
        )))
    }
}

/// `linux/arm/v5`
fn platform(platform: Option<&Platform>) -> String {
    let Some(Platform { os, architecture, variant, .. }) = platform else {
        return "unknown/unknown".to_owned();
    };
    if variant.is_empty() { format!("{os}/{architecture}") } else { format!("{os}/{architecture}/{variant}") }
}

/// The manifest that an image's name means.
async fn read(repository: &RepositoryClient, source: &Source) -> Result<Manifest, Failure> {
    let asked = source.selector();
    // What a tag means is asked for first: an answer to HEAD costs nothing where manifests are counted.
    let selector = match repository.head_manifest(&asked).await {
        Ok(Some(head)) => head.digest.map_or(asked, Selector::Digest),
        // Only the answer to GET says what is missing.
        Ok(None) => asked,
        Err(error) if error.is_unauthorized() => return Err(explain(source, &error)),
        Err(error) if error.is_transport() => return Err(explain(source, &error)),
        Err(_) => asked,
    };
    let fetched = repository.get_manifest(&selector).await;
    fetched.map(|fetched| fetched.manifest).map_err(|error| explain(source, &error))
}

fn explain(source: &Source, error: &RegistryError) -> Failure {
    let name = &source.name;
    plain(if error.is_not_found() {
        format!("image \"{name}\" not found: {error}")
    } else if error.is_repository_unknown() {
        format!(
            "image \"{name}\" does not exist or you don't have permission to access the repository: {error}"
        )
    } else {
        format!("unable to read image {name}: {error}")
    })
}

/// Everything about one image; `list` is the list that it was found in.
async fn describe(
    repository: &RepositoryClient,
    source: &Source,
    manifest: &Manifest,
    list: Option<&Manifest>,
) -> Result<Found, Failure> {
    let digest = manifest.digest().to_string();
    let (layers, mut config) = match manifest.view() {
        View::Schema2(image) | View::Oci(image) => {
            let expected = match manifest.view() {
                View::Oci(_) => oci::media::OCI_CONFIG,
                _ => oci::media::DOCKER_CONFIG,
            };
            if image.config.media_type != expected {
                return Err(plain(format!(
                    "manifest {digest} does not have the expected image configuration media type: {}",
                    image.config.media_type
                )));
            }
            let bytes = repository.get_blob(&image.config.digest, limits::IMAGE_CONFIG).await;
            let bytes = bytes.map_err(|error| {
                plain(format!("unable to retrieve image configuration for {digest}: {error}"))
            })?;
            (image.layers.iter().map(Layer::of).collect(), parse(&digest, &bytes)?)
        }
        View::Schema1(old) => {
            let newest = old.history.first().map(String::as_str).unwrap_or("{}");
            (Layer::of_schema1(old), parse(&digest, newest.as_bytes())?)
        }
        View::List(_) | View::Index(_) => {
            let list = list.map(|list| format!(" in manifest list {}", list.digest())).unwrap_or_default();
            return Err(plain(format!(
                "use --keep-manifest-list option for image manifest type {} from manifest {digest}{list}",
                manifest.kind_name()
            )));
        }
    };
    let layers: Vec<Layer> = layers;
    config.size = layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add);
    Ok(Found {
        name: source.name.clone(),
        content_digest: digest.clone(),
        digest,
        list_digest: list.map(|list| list.digest().to_string()).unwrap_or_default(),
        media_type: manifest.media_type().to_owned(),
        layers,
        config,
    })
}

fn parse(digest: &str, bytes: &[u8]) -> Result<Config, Failure> {
    serde_json::from_slice(bytes)
        .map_err(|error| plain(format!("unable to parse image configuration of {digest}: {error}")))
}
