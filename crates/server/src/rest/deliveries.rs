//! What triggers have beyond other plain kinds: who may write one that makes objects, the making, and sending again.

use std::sync::Arc;

use machinery::status::ApiError;

use super::call::Call;
use super::reply::Reply;
use super::write;
use crate::auth::{self, Actor};
use crate::context::Ctx;
use crate::deliver::{self, kinds};
use crate::plain::Plain;
use crate::resource::{self, Resource};
use crate::stored::plain_object;

/// Refuses a trigger that would make objects which its writer may not make.
///
/// # Errors
/// 403.
pub(super) fn admit(call: &Call, new: &Plain, old: Option<&Plain>) -> Result<(), ApiError> {
    if call.resource.kind != "ObjectTrigger" || old.is_some_and(|old| old.fields == new.fields) {
        return Ok(());
    }
    let template = new.fields.get("spec").and_then(|spec| spec.get("template"));
    // What makes nothing is refused by the rules.
    let Some(made) = template.and_then(|template| kinds::made_of(template).ok()) else { return Ok(()) };
    let may =
        auth::may(&call.ctx, &call.actor, "create", made.group, made.plural, &new.metadata.namespace, "");
    if may {
        return Ok(());
    }
    let why = format!("you may not create {} in this project, so a trigger of yours may not", made.plural);
    Err(ApiError::forbidden(call.of(), &new.metadata.name, &why))
}

/// Makes an object in the name of a part of the server.
///
/// # Errors
/// As for a request to make it.
pub async fn make(
    ctx: &Ctx,
    actor: &Arc<Actor>,
    resource: &'static Resource,
    object: Plain,
) -> Result<(), ApiError> {
    let (namespace, name) = (object.metadata.namespace.clone(), object.metadata.name.clone());
    let mut call = Call::internal(ctx, actor, resource, &namespace, &name);
    Arc::make_mut(&mut call.info).verb = machinery::request::Verb::Create;
    write::create::<Plain>(&call, object).await.map(drop)
}

/// `POST …/deliveries/NAME/retry`: the delivery is attempted again from the start.
///
/// # Errors
/// 404 and 409 as [`deliver::retry`].
pub(super) async fn retry(call: &Call) -> Result<Reply, ApiError> {
    let delivery = deliver::retry(&call.ctx, call.namespace(), &call.info.name).await?;
    Ok(Reply::object(201, plain_object(resource::parent(call.resource), &delivery)))
}
