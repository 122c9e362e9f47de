//! `imagestreams/<any>/secrets`: the pull secrets of a project.
//!
//! The stream need not exist; its name is not looked at. Secrets that are marked as not for pulling are left out.

use machinery::image::well_known::EXCLUDE_SECRET;
use machinery::meta::ListMeta;
use machinery::status::ApiError;

use super::call::Call;
use super::reply::Reply;
use crate::plain::Plain;
use crate::resource;
use crate::stored::{Entry, Storable};
use crate::streams;

/// Types of secrets that hold credentials for registries.
const PULL_TYPES: [&str; 2] = ["kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson"];

/// GET.
///
/// # Errors
/// 400 for any query: the reference understands none, and clients rely on being told.
pub(super) fn get(call: &Call) -> Result<Reply, ApiError> {
    if !call.query.is_empty() {
        return Err(ApiError::bad_request("converting (url.Values) to (v1.ListOptions): unknown conversion"));
    }
    let snapshot = call.ctx.cache.snapshot();
    let secrets = pull_secrets(call, call.namespace());
    let metadata = ListMeta { resource_version: snapshot.revision.to_string(), ..ListMeta::default() };
    let items = secrets.iter().map(|(entry, _)| entry.object.item()).collect();
    Ok(Reply::list(metadata, items))
}

fn pull_secrets(call: &Call, namespace: &str) -> Vec<(Entry, Plain)> {
    let snapshot = call.ctx.cache.snapshot();
    let mut found = Vec::new();
    for entry in snapshot.range(&resource::secrets().prefix_in(namespace), None) {
        let kind = entry
            .object
            .fields
            .iter()
            .find(|(name, _)| *name == "type")
            .map_or("", |(_, kind)| kind.as_str());
        if !PULL_TYPES.contains(&kind) {
            continue;
        }
        if let Ok(secret) = streams::decode::<Plain>(entry)
            && secret.object.metadata().annotations.get(EXCLUDE_SECRET).is_none_or(|value| value != "true")
        {
            found.push((entry.clone(), secret.into_inner()));
        }
    }
    found
}
