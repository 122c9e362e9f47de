//! `imagestreamimports`: asking other registries for images, and pointing tags at them.

use machinery::image::ImageStreamImport;
use machinery::json;
use machinery::status::ApiError;

use super::call::Call;
use super::fields;
use super::reply::Reply;
use super::tag_writes;
use super::write::{check_namespace, settle_namespace};
use crate::admission::quota;
use crate::import::Lane;
use crate::ledger::Cause;
use crate::surroundings::{self, Occasion};
use crate::{limits, resource};

/// POST.
///
/// # Errors
/// 422 for bad requests, 409 when the stream was changed meanwhile, 504 when it took too long. What is wrong with a single
/// image is told inside the answer.
pub(super) async fn create(call: &Call) -> Result<Reply, ApiError> {
    let dry_run = call.write_options()?.dry_run;
    let mut request: ImageStreamImport = call.object()?;
    settle_namespace(call, &mut request.metadata)?;
    check_namespace(call, call.of(), &request.metadata.name)?;
    tag_writes::check_new(&request.metadata)?;
    fields::track_request(call, &mut request)?;
    let takes = request.spec.import && (!request.spec.images.is_empty() || request.spec.repository.is_some());
    let key = resource::streams().key(call.namespace(), &request.metadata.name);
    if takes && call.ctx.cache.snapshot().get(&key).is_none() {
        quota::admit(&call.ctx, resource::streams(), call.namespace(), call.of(), &request.metadata.name)?;
    }
    let limit = call.timeout()?.map_or(limits::IMPORT_TIME, |asked| asked.min(limits::IMPORT_TIME));
    let import = surroundings::import(
        &call.ctx,
        &call.actor,
        call.namespace(),
        request,
        Occasion { cause: Cause::Import, reason: "", lane: Lane::Interactive },
        dry_run,
    );
    match tokio::time::timeout(limit, import).await {
        Ok(done) => Ok(Reply::object(201, json::object(&done?))),
        Err(_) => Err(ApiError::timeout(
            "request did not complete within requested timeout - context deadline exceeded",
            0,
        )),
    }
}
