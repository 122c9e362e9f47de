//! Projects: namespaces as OpenShift's clients name them. Everybody sees those that they have rights in. Errors name the
//! namespace, which is what there is or is not.

use bytes::Bytes;
use machinery::field::FieldError;
use machinery::meta::Status;
use machinery::options::ListOptions;
use machinery::request::Verb;
use machinery::status::{ApiError, GroupResource};

use super::call::Call;
use super::read;
use super::reply::Reply;
use super::write::{self, Deleted};
use super::{Decode, delete_options, project_requests};
use crate::auth::{self, Actor};
use crate::context::Context;
use crate::plain::Plain;
use crate::resource::{self, Resource, View};
use crate::stored::{Loaded, plain_object};

/// Answers requests to `projects` and `projectrequests`.
///
/// # Errors
/// As the namespace's own verbs.
pub(super) async fn answer(call: &Call, view: View) -> Result<Reply, ApiError> {
    if view == View::ProjectRequest {
        return match call.info.verb {
            Verb::Create => project_requests::create(call).await,
            // Whoever may ask for projects may list this; there is never anything in it.
            _ => Ok(Reply::status(200, &Status::success())),
        };
    }
    let namespaces = call.to(resource::namespaces());
    match call.info.verb {
        Verb::Get => {
            let found = find(call, &namespaces)?;
            Ok(render(call.resource, 200, &found))
        }
        Verb::List => {
            // Pages would be cut before it is known what the caller may see.
            let options = ListOptions { limit: 0, ..ListOptions::parse(&call.query)? };
            let listed = read::list_entries(&namespaces, &options).await?;
            let seen =
                listed.entries.iter().filter(|entry| may_see(&call.ctx, &call.actor, entry.key.name()));
            let items: Vec<Bytes> = seen.map(|entry| entry.object.item()).collect();
            // The reference makes the list from what the caller may see: it has no version of its own.
            Ok(Reply::list(machinery::meta::ListMeta::default(), items))
        }
        Verb::Create => {
            let project: Plain = Plain::body(call)?;
            check_length(call, &project.metadata.name)?;
            let made = write::create::<Plain>(&namespaces, project).await?;
            Ok(render(call.resource, 201, &made))
        }
        Verb::Update => {
            let project = Plain::body(call)?;
            let old = find(call, &namespaces)?;
            keep_labels(call, &old.object, &project)?;
            let made = write::update::<Plain>(&namespaces, project).await;
            made.map(|made| render(call.resource, 200, &made))
        }
        Verb::Patch => {
            let made = write::patch::<Plain>(&namespaces).await;
            made.map(|(code, made)| render(call.resource, code, &made))
        }
        Verb::Delete => {
            let options = delete_options(call)?;
            let deleted = write::delete::<Plain>(&namespaces, &options).await?;
            match deleted {
                Deleted::Gone(_) | Deleted::Held(_) => Ok(Reply::status(200, &Status::success())),
            }
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// Whether somebody may see a project: those who may read its namespace do.
pub(super) fn may_see(ctx: &Context, actor: &Actor, name: &str) -> bool {
    auth::may(ctx, actor, "get", "", "namespaces", name, name)
}

/// 422 for a name of one letter.
fn check_length(call: &Call, name: &str) -> Result<(), ApiError> {
    if name.len() != 1 {
        return Ok(());
    }
    let error = FieldError::invalid("metadata.name", name, "must be at least 2 characters long");
    Err(ApiError::invalid(GroupResource::new(call.resource.group, call.resource.kind), name, &[error]))
}

/// 422 when labels change: members of a project may edit it, and labels decide what others grant to it.
fn keep_labels(call: &Call, old: &Plain, new: &Plain) -> Result<(), ApiError> {
    let (before, after) = (&old.metadata.labels, &new.metadata.labels);
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
    let errors: Vec<FieldError> = changed
        .map(|key| {
            let value = after.get(key).map_or("", String::as_str);
            let why = "field is immutable, try updating the namespace";
            FieldError::invalid(format!("metadata.labels[{key}]"), value, why)
        })
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    let of = GroupResource::new(call.resource.group, call.resource.kind);
    Err(ApiError::invalid(of, &old.metadata.name, &errors))
}

fn find(call: &Call, namespaces: &Call) -> Result<Loaded<Plain>, ApiError> {
    let key = namespaces.resource.key("", &call.info.name);
    crate::streams::load_entry(&call.ctx, &key)?
        .ok_or_else(|| ApiError::not_found(namespaces.of(), &call.info.name))
}

fn render(resource: &'static Resource, code: u16, project: &Loaded<Plain>) -> Reply {
    Reply::object(code, plain_object(resource, &project.object))
}
