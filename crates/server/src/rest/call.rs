//! One request to a resource, read and authorized: what every verb is given.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use machinery::decode;
use machinery::decode::Decoded;
use machinery::meta::Kind;
use machinery::negotiate::{Accepted, Encoding, Form};
use machinery::options::{FieldValidation, PatchOptions, WriteOptions};
use machinery::patch::PatchKind;
use machinery::query;
use machinery::request::RequestInfo;
use machinery::status::{ApiError, GroupResource};

use crate::auth::Actor;
use crate::context::Ctx;
use crate::resource::Resource;

/// One request to a resource.
#[derive(Clone, Debug)]
pub struct Call {
    /// The server.
    pub ctx: Ctx,
    /// What the request is about.
    pub info: Arc<RequestInfo<'static>>,
    /// The resource it names.
    pub resource: &'static Resource,
    /// Who makes it.
    pub actor: Arc<Actor>,
    /// The raw query.
    pub query: String,
    /// The headers.
    pub headers: Arc<HeaderMap>,
    /// The body.
    pub body: Bytes,
    /// The form of the answer that the client wants.
    pub accepted: Accepted,
    /// What the client is to be warned of.
    pub warnings: Arc<Mutex<Vec<String>>>,
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
            Verb::Patch => {
                let apply = self.patch_kind() == Ok(PatchKind::Apply);
                PatchOptions::parse(&self.query, apply).map(|options| options.write)
            }
            _ => WriteOptions::for_update(&self.query),
        }
    }

    /// The time that the client gives the request, if it says.
    ///
    /// # Errors
    /// 400 for a `timeout` that is no duration.
    pub fn timeout(&self) -> Result<Option<Duration>, ApiError> {
        let Some(text) = query::first(&self.query, "timeout").filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let seconds = machinery::duration::parse_seconds(&text).ok_or_else(|| {
            ApiError::bad_request(format!("invalid timeout specified in the request URL - {text:?}"))
        })?;
        Ok(Some(Duration::from_secs_f64(seconds)))
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
        decode::patch(&self.body)
    }

    /// The object in the body; unknown and duplicate fields are warned of or refused as the request wants it.
    ///
    /// # Errors
    /// 400 and 415 for bodies that are no such object.
    pub fn object<T: Kind + serde::de::DeserializeOwned>(&self) -> Result<T, ApiError> {
        let decoded = decode::body::<T>(&self.body, self.content_type())?;
        self.accept(decoded)
    }

    /// Warns of what was wrong with a body, or refuses it, as the request wants it.
    ///
    /// # Errors
    /// 400 in strict mode.
    pub fn accept<T>(&self, decoded: Decoded<T>) -> Result<T, ApiError> {
        if decoded.complaints.is_empty() {
            return Ok(decoded.object);
        }
        if self.write_options()?.field_validation == FieldValidation::Strict {
            return Err(ApiError::bad_request(format!(
                "{0} in version {1:?} cannot be handled as a {0}: strict decoding error: {2}",
                self.resource.kind,
                self.resource.version,
                decoded.complaints.join(", ")
            )));
        }
        self.warn(decoded.complaints)?;
        Ok(decoded.object)
    }

    /// Puts warnings into the answer, unless the request does not want them.
    ///
    /// # Errors
    /// 422 for options that are not known.
    pub fn warn(&self, complaints: Vec<String>) -> Result<(), ApiError> {
        if !complaints.is_empty() && self.write_options()?.field_validation == FieldValidation::Warn {
            self.warnings.lock().unwrap_or_else(PoisonError::into_inner).extend(complaints);
        }
        Ok(())
    }

    /// Puts advice into the answer, however strictly fields are looked at; the same thing once.
    pub fn advise(&self, advice: Vec<String>) {
        let mut held = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        for one in advice {
            if !held.contains(&one) {
                held.push(one);
            }
        }
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
            info: Arc::new(info),
            resource,
            actor: Arc::clone(actor),
            query: String::new(),
            headers: Arc::default(),
            body: Bytes::new(),
            accepted: Accepted { encoding: Encoding::Json, form: Form::Object, pretty: false },
            warnings: Arc::default(),
        }
    }

    /// The same request to another resource of the table, for views that end in a stored kind.
    #[must_use]
    pub fn to(&self, resource: &'static Resource) -> Call {
        Call { resource, ..self.clone() }
    }
}
