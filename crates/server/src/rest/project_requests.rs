//! `projectrequests`: a new project for whoever asks, with everything that belongs to one, in one transaction.

use machinery::field::FieldError;
use machinery::meta::ObjectMeta;
use machinery::status::{ApiError, GroupResource};
use machinery::validate;
use serde::{Deserialize, Serialize};
use store::{CommitError, Txn};

use super::call::Call;
use super::reply::Reply;
use crate::namespaces;
use crate::plain::Plain;
use crate::resource;
use crate::stored::{Storable, plain_object};
use crate::streams::{self, fill_identity};

/// Annotations that hold what a project request says for people.
const DISPLAY_NAME: &str = "openshift.io/display-name";
const DESCRIPTION: &str = "openshift.io/description";
const REQUESTER: &str = "openshift.io/requester";
/// Names, and beginnings of names, that belong to the system.
const RESERVED: [&str; 3] = ["openshift", "kubernetes", "kube"];
const RESERVED_PREFIXES: [&str; 3] = ["openshift-", "kubernetes-", "kube-"];

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

/// POST.
///
/// # Errors
/// 422 for bad names, 403 for the system's, 409 for those that are taken.
pub(super) async fn create(call: &Call) -> Result<Reply, ApiError> {
    let body = machinery::decode::body_of(
        &call.body,
        call.content_type(),
        call.resource.kind,
        &call.resource.api_version(),
    )?;
    let asked: ProjectRequest = serde_json::from_value(call.accept(body)?)
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    check_name(call, &asked.metadata.name)?;
    let name = &asked.metadata.name;
    let mut project = Plain { metadata: asked.metadata.clone(), fields: serde_json::Map::new() };
    let texts = [
        (DISPLAY_NAME, &asked.display_name),
        (DESCRIPTION, &asked.description),
        (REQUESTER, &call.actor.user),
    ];
    for (key, value) in texts {
        project.metadata.annotations.insert(key.to_owned(), value.clone());
    }
    project.metadata.finalizers.clear();
    fill_identity(&call.ctx, project.metadata_mut());
    (crate::plain::NAMESPACE.prepare)(&mut project, None);
    let exists = || ApiError::already_exists(GroupResource::new(call.resource.group, "project"), name);
    let key = streams::key(&resource::namespaces().key("", name))?;
    if call.ctx.cache.snapshot().get(key.as_str()).is_some() {
        return Err(exists());
    }
    let mut txn = Txn::new().create(key, project.encode());
    txn = namespaces::furnish(&call.ctx, txn, name, Some(&call.actor.user))?;
    if !call.write_options()?.dry_run {
        let revision = call.ctx.store.commit(txn).await.map_err(|error| match error {
            CommitError::Conflict { .. } => exists(),
            other => streams::commit_failed(&other, call.of(), name, true),
        })?;
        call.ctx.settle(revision).await?;
        project.metadata.resource_version = revision.to_string();
    }
    let projects = resource::find(call.resource.group, call.resource.version, "projects", "")
        .expect("the table lists projects beside requests for them");
    Ok(Reply::plain(201, plain_object(projects, &project)))
}

fn check_name(call: &Call, name: &str) -> Result<(), ApiError> {
    let mut wrong = validate::dns_label_errors(name, false);
    if name.len() == 1 {
        wrong.push("must be at least 2 characters long".to_owned());
    }
    if !wrong.is_empty() {
        let errors: Vec<FieldError> =
            wrong.into_iter().map(|why| FieldError::invalid("metadata.name", name, why)).collect();
        let of = GroupResource::new(call.resource.group, call.resource.kind);
        return Err(ApiError::invalid(of, name, &errors));
    }
    let quoted = machinery::field::quote;
    let why = if RESERVED.contains(&name) {
        format!("cannot request a project with the name {}", quoted(name))
    } else if let Some(prefix) = RESERVED_PREFIXES.iter().find(|prefix| name.starts_with(**prefix)) {
        format!("cannot request a project starting with {}", quoted(prefix))
    } else {
        return Ok(());
    };
    Err(ApiError::forbidden(call.of(), name, &why))
}
