//! One request to a resource, read and authorized: what every verb is given.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use machinery::decode;
use machinery::options::{PatchOptions, WriteOptions};
use machinery::patch::PatchKind;
use machinery::request::RequestInfo;
use machinery::status::{ApiError, GroupResource};

use super::reply::Form;
use crate::auth::Actor;
use crate::context::Ctx;
use crate::resource::Resource;

/// One request to a resource.
#[derive(Clone, Debug)]
pub struct Call {
    /// The server.
    pub ctx: Ctx,
    /// What the request is about.
    pub info: RequestInfo<'static>,
    /// The resource it names.
    pub resource: &'static Resource,
    /// Who makes it.
    pub actor: Arc<Actor>,
    /// The raw query.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The form of the answer that the client wants.
    pub form: Form,
}

impl Call {
    /// What the resource is called in errors, without its subresource.
    pub fn of(&self) -> GroupResource<'static> {
        let plural = self.resource.plural.split('/').next().unwrap_or_default();
        GroupResource::new(self.resource.group, plural)
    }

    /// The namespace of the request.
    pub fn namespace(&self) -> &str {
        &self.info.namespace
    }

    /// Options of a create, update or patch, by the verb.
    ///
    /// # Errors
    /// 422 for values that are not known.
    pub fn write_options(&self) -> Result<WriteOptions, ApiError> {
        use machinery::request::Verb;
        match self.info.verb {
            Verb::Create => WriteOptions::for_create(&self.query),
            Verb::Patch => PatchOptions::parse(&self.query, false).map(|options| options.write),
            _ => WriteOptions::for_update(&self.query),
        }
    }

    /// The kind of patch in the body, by its media type.
    ///
    /// # Errors
    /// 415 for others.
    pub fn patch_kind(&self) -> Result<PatchKind, ApiError> {
        PatchKind::from_content_type(self.content_type())
    }

    /// The patch in the body.
    ///
    /// # Errors
    /// 400 for a body that cannot be read.
    pub fn patch_body(&self) -> Result<serde_json::Value, ApiError> {
        decode::patch(&self.body, self.content_type())
    }

    /// The media type of the body; empty when none is named.
    pub fn content_type(&self) -> &str {
        self.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A deletion that the server makes by itself.
    pub fn internal(
        ctx: &Ctx,
        actor: &Arc<Actor>,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
    ) -> Call {
        let path = format!("/{namespace}/{name}");
        let info = RequestInfo {
            path: path.into(),
            verb: machinery::request::Verb::Delete,
            is_resource: true,
            prefix: "apis".into(),
            group: resource.group.into(),
            version: resource.version.into(),
            namespace: namespace.to_owned().into(),
            resource: resource.plural.into(),
            subresource: "".into(),
            name: name.to_owned().into(),
            selected_name: None,
            has_more: false,
        };
        Call {
            ctx: Arc::clone(ctx),
            info,
            resource,
            actor: Arc::clone(actor),
            query: String::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            form: Form::Object,
        }
    }

    /// The same request to another resource of the table, for views that end in a stored kind.
    #[must_use]
    pub fn to(&self, resource: &'static Resource) -> Call {
        Call { resource, ..self.clone() }
    }
}
