//! Projects: namespaces as OpenShift's clients name them, and the request that makes one for a user.

use bytes::Bytes;
use machinery::field::FieldError;
use machinery::meta::{ObjectMeta, Status};
use machinery::options::ListOptions;
use machinery::request::Verb;
use machinery::status::{ApiError, GroupResource};
use machinery::validate;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::read;
use super::reply::Reply;
use super::write::{self, Deleted};
use super::{Decode, delete_options};
use crate::plain::Plain;
use crate::resource::{self, Resource, View};
use crate::stored::{Loaded, plain_object};

/// Annotations that hold what a project request says for people.
const DISPLAY_NAME: &str = "openshift.io/display-name";
const DESCRIPTION: &str = "openshift.io/description";
const REQUESTER: &str = "openshift.io/requester";

/// Answers requests to `projects` and `projectrequests`.
///
/// # Errors
/// As the namespace's own verbs.
pub(super) async fn answer(call: &Call, view: View) -> Result<Reply, ApiError> {
    if view == View::ProjectRequest {
        return match call.info.verb {
            Verb::Create => request(call).await,
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
            let listed = read::list_entries(&namespaces, &ListOptions::parse(&call.query)?).await?;
            let items: Vec<Bytes> = listed.entries.iter().map(|entry| entry.object.item()).collect();
            // The reference makes the list from what the caller may see: it has no version of its own.
            Ok(Reply::list(machinery::meta::ListMeta::default(), items))
        }
        Verb::Create => {
            let project: Plain = Plain::body(call)?;
            let made =
                write::create::<Plain>(&namespaces, project).await.map_err(|error| renamed(call, error))?;
            Ok(render(call.resource, 201, &made))
        }
        Verb::Update => {
            let made = write::update::<Plain>(&namespaces, Plain::body(call)?).await;
            made.map(|made| render(call.resource, 200, &made)).map_err(|error| renamed(call, error))
        }
        Verb::Patch => {
            let made = write::patch::<Plain>(&namespaces).await;
            made.map(|(code, made)| render(call.resource, code, &made)).map_err(|error| renamed(call, error))
        }
        Verb::Delete => {
            let options = delete_options(call)?;
            let deleted =
                write::delete::<Plain>(&namespaces, &options).await.map_err(|error| renamed(call, error))?;
            match deleted {
                Deleted::Gone(_) | Deleted::Held(_) => Ok(Reply::status(200, &Status::success())),
            }
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}

fn find(call: &Call, namespaces: &Call) -> Result<Loaded<Plain>, ApiError> {
    let key = namespaces.resource.key("", &call.info.name);
    crate::streams::load_entry(&call.ctx, &key)?
        .ok_or_else(|| ApiError::not_found(call.of(), &call.info.name))
}

fn render(resource: &'static Resource, code: u16, project: &Loaded<Plain>) -> Reply {
    Reply::object(code, plain_object(resource, &project.object))
}

/// Errors name the resource of the request, not what it is stored as.
fn renamed(call: &Call, mut error: ApiError) -> ApiError {
    let of = call.of();
    error.0.message = error.0.message.replacen("namespaces ", &format!("{of} "), 1);
    if let Some(details) = &mut error.0.details
        && details.kind == "namespaces"
    {
        details.kind = of.resource.to_owned();
        details.group = of.group.to_owned();
    }
    error
}

/// A request for a new project.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ProjectRequest {
    metadata: ObjectMeta,
    #[serde(skip_serializing_if = "String::is_empty")]
    display_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
}

async fn request(call: &Call) -> Result<Reply, ApiError> {
    let body = machinery::decode::body_of(
        &call.body,
        call.content_type(),
        call.resource.kind,
        &call.resource.api_version(),
    )?;
    let asked: ProjectRequest = serde_json::from_value(call.accept(body)?)
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    let name = &asked.metadata.name;
    let errors: Vec<FieldError> = validate::dns_label_errors(name, false)
        .into_iter()
        .map(|why| FieldError::invalid("metadata.name", name.as_str(), why))
        .collect();
    if !errors.is_empty() {
        let of = GroupResource::new(call.resource.group, call.resource.kind);
        return Err(ApiError::invalid(of, name, &errors));
    }
    let mut project = Plain { metadata: asked.metadata.clone(), fields: serde_json::Map::new() };
    let texts = [
        (DISPLAY_NAME, &asked.display_name),
        (DESCRIPTION, &asked.description),
        (REQUESTER, &call.actor.user),
    ];
    for (key, value) in texts {
        project.metadata.annotations.insert(key.to_owned(), value.clone());
    }
    let namespaces = call.to(resource::namespaces());
    let made = write::create::<Plain>(&namespaces, project).await.map_err(|error| {
        if error.reason() == "AlreadyExists" {
            ApiError::already_exists(GroupResource::new(call.resource.group, "project"), name)
        } else {
            error
        }
    })?;
    let project = resource::find(call.resource.group, call.resource.version, "projects", "")
        .expect("the table lists projects beside requests for them");
    let bytes = plain_object(project, &made.object);
    Ok(Reply::plain(201, bytes))
}
