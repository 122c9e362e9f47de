//! The verbs of the API.
//!
//! [`dispatch`] takes a request to the one function that answers it, by resource and verb; that match is the whole
//! routing table. Stored kinds share generic verbs; every view has a module of its own.

mod account_tokens;
mod call;
mod consumers;
mod deliveries;
mod fields;
mod follows;
mod identity;
mod image_tags;
mod imports;
mod layers;
mod ledger;
mod mappings;
mod old_rbac;
mod people;
mod plain_status;
mod project_requests;
mod projects;
mod read;
mod reply;
mod reviews;
mod scale;
mod secrets;
mod signatures;
mod status;
mod strategy;
mod stream_images;
mod stream_tags;
mod tag_writes;
mod upstreams;
mod watch;
mod workloads;
mod write;

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use machinery::decode;
use machinery::image::{Image, ImageStream};
use machinery::meta::{Status, StatusDetails};
use machinery::negotiate::{self, Accepted};
use machinery::options::{DeleteOptions, ListOptions};
use machinery::request::{RequestInfo, Verb};
use machinery::status::ApiError;

pub use call::Call;
pub use deliveries::make;
pub use reply::Reply;
pub use watch::watch;
pub use workloads::{put_workload, start_build, tell};

use crate::plain::Plain;
use crate::resource::{Resource, Source, View};
use crate::respond;
use crate::stored::{Loaded, Storable};
use strategy::Strategy;
use write::Deleted;

/// The form of the answer that a client wants.
///
/// # Errors
/// 406 when nothing that is offered will do, 405 for verbs that the resource does not have.
pub fn form(
    resource: &'static Resource,
    info: &RequestInfo<'_>,
    headers: &HeaderMap,
) -> Result<Accepted, ApiError> {
    check_verb(resource, info)?;
    let accepted = negotiate::accept(Some(&respond::accept(headers)), || offered(resource))?;
    if info.verb != Verb::Watch {
        let list = info.verb == Verb::List;
        accepted.check_shape(list, || {
            let group = resource.group.split('.').next().unwrap_or_default();
            let suffix = if list { "List" } else { "" };
            format!("{group}.{}{suffix}", resource.kind)
        })?;
    }
    Ok(accepted)
}

/// What a resource offers beside plain objects.
fn offered(resource: &Resource) -> negotiate::Offer {
    let table = crate::printer::has_columns(resource);
    let plain_only = matches!(
        resource.source,
        Source::View(
            View::Import
                | View::Mapping
                | View::Signature
                | View::StreamSecrets
                | View::Ledger
                | View::Upstream
                | View::Consumers
                | View::Follows
                | View::Retry
                | View::RollOut
                | View::StartBuild
                | View::Review
                | View::OldReview
                | View::Identity
                | View::AccountToken
        )
    );
    let protobuf = machinery::protobuf::transcode::is_offered(&resource.kind_api_version(), resource.kind);
    negotiate::Offer { protobuf, table, metadata: !plain_only, discovery: false }
}

fn check_verb(resource: &'static Resource, info: &RequestInfo<'_>) -> Result<(), ApiError> {
    let verb = info.verb.as_str();
    let tags = matches!(resource.source, Source::View(View::StreamTag | View::ImageTag));
    if tags && info.verb == Verb::Watch {
        let of = machinery::status::GroupResource::new(resource.group, resource.plural);
        return Err(ApiError::action_not_supported(of, "watch"));
    }
    let has = |verbs: &[&str]| verbs.iter().any(|verb| resource.verbs.contains(verb));
    if matches!(resource.source, Source::View(View::RollOut | View::StartBuild)) {
        // Asking for something is a POST to the object that it is asked of.
        return if info.verb == Verb::Create { Ok(()) } else { Err(ApiError::method_not_allowed()) };
    }
    // Which paths there are follows from the verbs; what a path does not have is told differently from a missing path.
    let everywhere = resource.namespaced && info.namespace.is_empty();
    // A subresource that is made (a token) is made of the object in its path.
    let has_action = !info.subresource.is_empty() && has(&["create"]);
    let exists = match (everywhere, info.name.is_empty()) {
        (true, true) => has(&["list"]),
        (true, false) => false,
        (false, true) => has(&["list", "create", "deletecollection"]),
        (false, false) if has_action => true,
        (false, false) => has(&["get", "update", "patch", "delete"]),
    };
    let on_collection =
        matches!(info.verb, Verb::Create | Verb::List | Verb::DeleteCollection) && !has_action;
    let fits = info.verb == Verb::Watch || on_collection == info.name.is_empty();
    let reachable = !everywhere || matches!(info.verb, Verb::List | Verb::Watch);
    if !exists {
        Err(ApiError::no_such_path())
    } else if !fits || !reachable || !has(&[verb]) {
        Err(ApiError::method_not_allowed())
    } else {
        Ok(())
    }
}

/// Answers a request to a resource.
///
/// # Errors
/// Everything that is wrong with it.
pub async fn dispatch(call: &Call) -> Result<Reply, ApiError> {
    match call.resource.source {
        Source::Stream => stored::<ImageStream>(call).await,
        Source::Image => stored::<Image>(call).await,
        Source::Plain(_) => stored::<Plain>(call).await,
        Source::View(view) => match view {
            View::StreamStatus => status::answer(call).await,
            View::StreamLayers => layers::get(call),
            View::StreamSecrets => secrets::get(call),
            View::StreamTag => stream_tags::answer(call).await,
            View::ImageTag => image_tags::answer(call).await,
            View::StreamImage => stream_images::get(call),
            View::Mapping => mappings::create(call).await,
            View::Import => imports::create(call).await,
            View::Signature => signatures::answer(call).await,
            View::Project | View::ProjectRequest => projects::answer(call, view).await,
            View::Ledger => ledger::get(call).await,
            View::Upstream => upstreams::answer(call),
            View::Consumers => consumers::get(call),
            View::Follows => follows::get(call),
            View::Retry => deliveries::retry(call).await,
            View::WorkloadStatus => workloads::status(call).await,
            View::Scale => scale::answer(call).await,
            View::RollOut => workloads::roll_out(call).await,
            View::StartBuild => workloads::build(call).await,
            View::PlainStatus => plain_status::answer(call).await,
            View::Review => reviews::create(call),
            View::OldReview => reviews::create_legacy(call),
            View::OldRbac => old_rbac::answer(call).await,
            View::Person => people::answer(call),
            View::Identity => identity::answer(call),
            View::AccountToken => account_tokens::create(call),
        },
    }
}

async fn stored<T: Strategy + Decode>(call: &Call) -> Result<Reply, ApiError> {
    let render =
        |code, loaded: Loaded<T>| Reply::object(code, loaded.object.render(call.resource, &call.ctx));
    match call.info.verb {
        Verb::Get => read::get(call).await,
        Verb::List => read::list(call).await,
        Verb::Create => write::create::<T>(call, T::body(call)?).await.map(|made| render(201, made)),
        Verb::Update => write::update::<T>(call, T::body(call)?).await.map(|made| render(200, made)),
        Verb::Patch => write::patch::<T>(call).await.map(|(code, made)| render(code, made)),
        Verb::Delete => {
            let options = delete_options(call)?;
            write::delete::<T>(call, &options).await.map(|deleted| match deleted {
                Deleted::Gone(object) => Reply::status(200, &deleted_status(call, &object)),
                Deleted::Held(object) => render(200, object),
            })
        }
        Verb::DeleteCollection => delete_collection::<T>(call).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// Deletes one object of any stored kind; false when it is held by finalizers.
///
/// # Errors
/// As for a request to delete it.
pub async fn delete_any(call: &Call, options: &DeleteOptions) -> Result<bool, ApiError> {
    Ok(match call.resource.source {
        Source::Stream => is_gone(&write::delete::<ImageStream>(call, options).await?),
        Source::Image => is_gone(&write::delete::<Image>(call, options).await?),
        Source::Plain(_) => is_gone(&write::delete::<Plain>(call, options).await?),
        Source::View(_) => return Err(ApiError::method_not_allowed()),
    })
}

fn is_gone<T>(deleted: &Deleted<T>) -> bool {
    matches!(deleted, Deleted::Gone(_))
}

/// The options of a deletion, from body or query.
///
/// # Errors
/// 400, 422 or the reference's 500 for a body of another kind.
pub fn delete_options(call: &Call) -> Result<DeleteOptions, ApiError> {
    let body =
        if call.body.is_empty() { None } else { Some(decode::value(&call.body, call.content_type())?) };
    DeleteOptions::parse(&call.query, body.as_ref())
}

fn deleted_status<T: Storable>(call: &Call, object: &Loaded<T>) -> Status {
    let of = call.of();
    let metadata = object.object.metadata();
    let details = StatusDetails {
        name: metadata.name.clone(),
        group: of.group.to_owned(),
        kind: of.resource.to_owned(),
        uid: metadata.uid.clone(),
        ..StatusDetails::default()
    };
    Status { details: Some(details), ..Status::success() }
}

async fn delete_collection<T: Strategy>(call: &Call) -> Result<Reply, ApiError> {
    let options = delete_options(call)?;
    let listed = read::list_entries(call, &ListOptions::parse(&call.query)?).await?;
    let mut items: Vec<Bytes> = Vec::with_capacity(listed.entries.len());
    for entry in &listed.entries {
        let mut one = call.clone();
        let info = Arc::make_mut(&mut one.info);
        info.namespace = entry.key.namespace().unwrap_or_default().to_owned().into();
        info.name = entry.key.name().to_owned().into();
        match write::delete::<T>(&one, &options).await {
            Ok(_) => items.push(entry.object.item()),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Reply::list(listed.metadata, items))
}

/// Kinds that a body can be decoded to.
trait Decode: Sized {
    /// The object in a request's body.
    fn body(call: &Call) -> Result<Self, ApiError>;
}

impl Decode for ImageStream {
    fn body(call: &Call) -> Result<ImageStream, ApiError> {
        let mut stream: ImageStream = call.object()?;
        stream.normalize(call.ctx.settings.images.import_mode());
        Ok(stream)
    }
}

impl Decode for Image {
    fn body(call: &Call) -> Result<Image, ApiError> {
        let mut image: Image = call.object()?;
        crate::image::normalize_metadata(&mut image).map_err(|why| {
            let version = call.resource.version;
            ApiError::bad_request(format!("Image in version {version:?} cannot be handled as a Image: {why}"))
        })?;
        Ok(image)
    }
}

impl Decode for Plain {
    fn body(call: &Call) -> Result<Plain, ApiError> {
        let api_version = call.resource.api_version();
        let decoded = decode::body_of(&call.body, call.content_type(), call.resource.kind, &api_version)?;
        let value = call.accept(decoded)?;
        let plain = Plain::from_value(call.resource, &value, &call.ctx).map_err(|why| {
            let (kind, version) = (call.resource.kind, call.resource.version);
            ApiError::bad_request(format!(
                "{kind} in version {version:?} cannot be handled as a {kind}: {why}"
            ))
        })?;
        Ok(plain.object)
    }
}
