//! Takes over what a volume of Docker's registry holds: `project/name` becomes the image stream of that name, projects that
//! are missing are made. It goes on beside everything else; what is there is served as soon as it is there.

use std::path::Path;
use std::sync::Arc;

use ::registry::adopt::{Adopted, Shelf, Volume};
use ::registry::{Registry, Repository};
use machinery::validate::dns_label_errors;
use tracing::{info, warn};

use super::access;
use crate::auth::Actor;
use crate::context::Ctx;
use crate::namespaces;

/// Who the ledger says has pushed.
const ACTOR: &str = "adoption";

/// Takes over all repositories of a volume, until the server stops.
pub(super) async fn run(ctx: Ctx, registry: Arc<Registry>, volume: Volume) {
    tokio::select! {
        () = adopt(&ctx, &registry, &volume) => {}
        () = ctx.tasks.stopping() => {}
    }
}

/// Looks whether there is a volume.
///
/// # Errors
/// When there is none.
pub(super) fn open(directory: &Path) -> std::io::Result<Volume> {
    Volume::open(directory).map_err(|error| {
        let why = format!("{} holds no volume of a registry: {error}", directory.display());
        std::io::Error::new(error.kind(), why)
    })
}

async fn adopt(ctx: &Ctx, registry: &Arc<Registry>, volume: &Volume) {
    let shelves = match volume.repositories().await {
        Ok(shelves) => shelves,
        Err(error) => return warn!(%error, "the volume that is to be adopted cannot be read"),
    };
    let (mut all, mut repositories) = (Adopted::default(), 0);
    for shelf in &shelves {
        match one(ctx, registry, volume, shelf).await {
            Ok(done) => {
                repositories += 1;
                all.blobs += done.blobs;
                all.manifests += done.manifests;
                all.tags += done.tags;
                all.left += done.left;
            }
            Err(why) => warn!(repository = shelf.name, why, "a repository was not adopted"),
        }
    }
    info!(
        repositories,
        of = shelves.len(),
        blobs = all.blobs,
        manifests = all.manifests,
        tags = all.tags,
        left = all.left,
        "the volume has been looked through"
    );
}

async fn one(ctx: &Ctx, registry: &Arc<Registry>, volume: &Volume, shelf: &Shelf) -> Result<Adopted, String> {
    let repository = Repository::parse(&shelf.name).map_err(|error| error.to_string())?;
    let project = repository.project();
    if let Some(why) = dns_label_errors(project, false).into_iter().next() {
        return Err(format!("{project:?} cannot be the name of a project: {why}"));
    }
    namespaces::ensure(ctx, project).await.map_err(|error| error.to_string())?;
    let who = access::subject(Actor::controller(ACTOR), &ctx.random.uid(), false);
    registry.take_over(volume, shelf, &repository, &who).await
}
