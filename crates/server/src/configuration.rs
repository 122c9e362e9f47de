//! The cluster's configuration of registries: the objects that OpenShift's administrators know, read for imports.
//!
//! `images.config.openshift.io/cluster` is there from the first start on, as in every OpenShift cluster, because tools
//! patch it and do not make it. When somebody deletes it nothing is configured until it is made again or the server
//! starts anew.

use machinery::meta::ObjectMeta;
use machinery::status::ApiError;
use serde_json::{Map, json};
use store::{CommitError, Txn};

use crate::context::Ctx;
use crate::import::registries::{Registries, RegistryConfig};
use crate::plain::Plain;
use crate::resource::{self, RegistryConfiguration, Resource};
use crate::stored::Storable;
use crate::streams::{self, fill_identity};

/// Name of the one object that counts.
const CLUSTER: &str = "cluster";

/// Makes the configuration that every server has.
///
/// # Errors
/// When the store does not take it.
pub async fn make_first(ctx: &Ctx) -> Result<(), ApiError> {
    let key = streams::key(&resource::registry_configuration().images.key("", CLUSTER))?;
    if ctx.cache.snapshot().get(key.as_str()).is_some() {
        return Ok(());
    }
    let mut image = Plain {
        metadata: ObjectMeta { name: CLUSTER.to_owned(), generation: 1, ..ObjectMeta::default() },
        fields: Map::from_iter([("spec".to_owned(), json!({}))]),
    };
    fill_identity(ctx, &mut image.metadata);
    match ctx.store.commit(Txn::new().create(key, image.encode())).await {
        Ok(revision) => ctx.settle(revision).await,
        // Another server on the same store was faster.
        Err(CommitError::Conflict { .. }) => Ok(()),
        Err(error) => Err(ApiError::unavailable(error.to_string())),
    }
}

/// What the configuration says now.
///
/// # Errors
/// When a stored object is broken: an import must not go where it may be forbidden.
pub fn registries(ctx: &Ctx) -> Result<Registries, ApiError> {
    let RegistryConfiguration { images, digest_mirror_sets, tag_mirror_sets, content_source_policies } =
        resource::registry_configuration();
    let mut config = RegistryConfig::default();
    if let Some(image) = streams::load_entry::<Plain>(ctx, &images.key("", CLUSTER))? {
        config.add_image_config(&image.object.fields);
    }
    each(ctx, content_source_policies, |fields| config.add_content_source_policy(fields))?;
    each(ctx, digest_mirror_sets, |fields| config.add_digest_mirror_set(fields))?;
    each(ctx, tag_mirror_sets, |fields| config.add_tag_mirror_set(fields))?;
    Ok(Registries::new(&config))
}

fn each(
    ctx: &Ctx,
    resource: &Resource,
    mut read: impl FnMut(&Map<String, serde_json::Value>),
) -> Result<(), ApiError> {
    let snapshot = ctx.cache.snapshot();
    for entry in snapshot.range(&resource.prefix(), None) {
        read(&streams::decode::<Plain>(entry)?.object.fields);
    }
    Ok(())
}
