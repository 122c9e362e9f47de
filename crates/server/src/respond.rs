//! Answers in the form that clients want: plain JSON as it is, tables, metadata alone, YAML, pretty.
//!
//! The plain form passes through untouched. Other forms are made from it, so that no handler knows of them.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use machinery::json;
use machinery::meta::ListMeta;
use machinery::negotiate::{self, Encoding, Form, MetaVersion};
use machinery::protobuf::transcode;
use machinery::status::ApiError;
use machinery::table::IncludeObject;
use machinery::time::Time;
use machinery::yaml;

use crate::body::Body;
use crate::limits;
use crate::printer::{self, Layout};
use crate::resource::Resource;
use crate::rest::{Call, Reply};

/// Whether an answer is to be indented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pretty(pub bool);

impl Pretty {
    /// As the query or the kind of client says.
    pub fn of(query: &str, headers: &HeaderMap) -> Pretty {
        let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Pretty(negotiate::wants_pretty(query, Some(agent)))
    }
}

/// How a failure is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Whether JSON is indented.
    pub pretty: Pretty,
    /// The encoding.
    pub encoding: Encoding,
}

impl Manner {
    /// As a request asks for it, whatever it is about; JSON when it asks for what a failure has no form for.
    pub fn of(query: &str, headers: &HeaderMap) -> Manner {
        let offer = negotiate::Offer { protobuf: true, ..negotiate::Offer::default() };
        let accepted = negotiate::accept(Some(&accept(headers)), || offer);
        Manner {
            pretty: Pretty::of(query, headers),
            encoding: accepted.map_or(Encoding::Json, |accepted| accepted.encoding),
        }
    }
}

/// What a client accepts: several headers mean the same as one with commas.
pub fn accept(headers: &HeaderMap) -> Cow<'_, str> {
    let mut values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let first = values.next().unwrap_or_default();
    values.fold(Cow::Borrowed(first), |all, next| Cow::Owned(format!("{all},{next}")))
}

/// Everything that decides how an answer looks.
#[derive(Debug)]
pub struct Shape {
    resource: &'static Resource,
    form: Form,
    encoding: Encoding,
    pretty: Pretty,
    include: IncludeObject,
    now: Time,
    warnings: Arc<Mutex<Vec<String>>>,
}

impl Shape {
    /// The shape that a request asks for.
    ///
    /// # Errors
    /// 400 for an unknown `includeObject`.
    pub fn of(call: &Call) -> Result<Shape, ApiError> {
        let accepted = call.accepted;
        Ok(Shape {
            resource: call.resource,
            form: accepted.form,
            encoding: accepted.encoding,
            pretty: Pretty(accepted.pretty || Pretty::of(&call.query, &call.headers).0),
            include: match accepted.form {
                Form::Table(_) => IncludeObject::parse(&call.query)?,
                _ => IncludeObject::default(),
            },
            now: call.ctx.clock.now(),
            warnings: Arc::clone(&call.warnings),
        })
    }

    fn manner(&self) -> Manner {
        Manner { pretty: self.pretty, encoding: self.encoding }
    }

    fn layout(&self, version: MetaVersion) -> Layout {
        Layout { version, include: self.include, now: self.now }
    }
}

/// An answer ready to be sent.
pub fn reply(reply: Reply, shape: &Shape) -> Response<Body> {
    let mut response = match reply {
        Reply::Object { code, bytes, plain: true } => document(code, bytes, shape),
        Reply::Object { code, bytes, plain: false } => object(code, bytes, shape),
        Reply::List { metadata, items, of } => list(metadata, &items, of.unwrap_or(shape.resource), shape),
        Reply::Watch(body) if shape.encoding == Encoding::Protobuf => {
            with_type(Response::new(body), "application/vnd.kubernetes.protobuf;stream=watch")
        }
        Reply::Watch(body) => with_type(Response::new(body), "application/json"),
    };
    for warning in shape.warnings.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let text = format!("299 - {}", machinery::field::quote(warning));
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}

fn object(code: u16, bytes: Bytes, shape: &Shape) -> Response<Body> {
    match shape.form {
        Form::Table(version) => {
            let metadata = ListMeta { resource_version: version_of(&bytes), ..ListMeta::default() };
            table(code, metadata, &[bytes], shape.resource, version, shape)
        }
        Form::Metadata(version) => document(code, with_newline(&metadata_only(&bytes, version)), shape),
        _ => document(code, bytes, shape),
    }
}

fn table(
    code: u16,
    metadata: ListMeta,
    objects: &[Bytes],
    resource: &'static Resource,
    version: MetaVersion,
    shape: &Shape,
) -> Response<Body> {
    match printer::table(resource, metadata, objects, shape.layout(version), true) {
        Ok(mut table) => {
            table.push(b'\n');
            document(code, table.into(), shape)
        }
        Err(failed) => error(&failed, shape.manner()),
    }
}

#[derive(serde::Deserialize)]
struct OnlyVersion {
    #[serde(default)]
    metadata: ListMeta,
}

/// The resource version of an object.
pub fn version_of(object: &[u8]) -> String {
    serde_json::from_slice::<OnlyVersion>(object)
        .map(|object| object.metadata.resource_version)
        .unwrap_or_default()
}

/// A failure as its Status.
pub fn error(error: &ApiError, manner: Manner) -> Response<Body> {
    let bytes = error.0.to_json();
    let protobuf = (manner.encoding == Encoding::Protobuf)
        .then(|| transcode::object("v1", "Status", &bytes).ok())
        .flatten();
    let (bytes, kind) = match (manner.encoding, protobuf) {
        (_, Some(encoded)) => (encoded, Encoding::Protobuf.media_type()),
        (Encoding::Yaml, _) => (yaml_of(&bytes).to_vec(), Encoding::Yaml.media_type()),
        _ if manner.pretty.0 => (json::pretty(&bytes).unwrap_or(bytes), Encoding::Json.media_type()),
        _ => (bytes, Encoding::Json.media_type()),
    };
    let mut response = with_type(Response::new(Body::from(bytes)), kind);
    *response.status_mut() = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(details) = &error.0.details
        && details.retry_after_seconds > 0
    {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(details.retry_after_seconds));
    }
    response
}

/// 202 and what is made of it.
pub fn accepted(said: &serde_json::Value) -> Response<Body> {
    let bytes = json::pretty_value(said, b"  ");
    let mut response = with_type(Response::new(Body::from(bytes)), "application/json");
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

fn document(code: u16, bytes: Bytes, shape: &Shape) -> Response<Body> {
    let (bytes, kind) = match shape.encoding {
        Encoding::Yaml => (yaml_of(&bytes), "application/yaml"),
        Encoding::Protobuf => {
            let header = header_of(&bytes);
            match transcode::object(&header.api_version, &header.kind, &bytes) {
                Ok(encoded) => (encoded.into(), Encoding::Protobuf.media_type()),
                Err(why) => return unfit(&why, shape),
            }
        }
        _ if shape.pretty.0 => (json::pretty(&bytes).map(Bytes::from).unwrap_or(bytes), "application/json"),
        _ => (bytes, "application/json"),
    };
    let mut response = with_type(Response::new(Body::from(bytes)), kind);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    api_version: Cow<'a, str>,
}

fn header_of(object: &[u8]) -> Header<'_> {
    serde_json::from_slice(object).unwrap_or_default()
}

/// An answer that its protobuf form cannot hold. What is stored was checked before, so this is worth a look.
fn unfit(why: &transcode::EncodeError, shape: &Shape) -> Response<Body> {
    let failed = ApiError::internal(&format!("no protobuf of the answer: {why}"));
    tracing::error!(error = %failed, kind = shape.resource.kind, "an object has no protobuf form");
    error(&failed, shape.manner())
}

fn yaml_of(bytes: &[u8]) -> Bytes {
    let value: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
    yaml::to_string(&value).into()
}

fn with_type(mut response: Response<Body>, kind: &'static str) -> Response<Body> {
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn list(metadata: ListMeta, items: &[Bytes], resource: &'static Resource, shape: &Shape) -> Response<Body> {
    match shape.form {
        Form::Table(version) => {
            let whole: Vec<Bytes> = items.iter().map(|item| whole(resource, item)).collect();
            table(200, metadata, &whole, resource, version, shape)
        }
        Form::MetadataList(version) if shape.encoding == Encoding::Protobuf => {
            let items =
                items.iter().map(|item| Cow::Owned(metadata_only(&whole(resource, item), version).to_vec()));
            protobuf_list(version.api_version(), "PartialObjectMetadata", &metadata, items, shape)
        }
        Form::MetadataList(version) => document(200, metadata_list(&metadata, items, version), shape),
        Form::Object if shape.encoding == Encoding::Json && !shape.pretty.0 => {
            with_type(Response::new(list_body(&metadata, items, resource)), "application/json")
        }
        Form::Object if shape.encoding == Encoding::Protobuf => {
            let items = items.iter().map(|item| Cow::Owned(whole(resource, item).to_vec()));
            protobuf_list(&resource.api_version(), resource.kind, &metadata, items, shape)
        }
        _ => {
            let mut bytes = BytesMut::new();
            bytes.put(list_head(&metadata, resource).as_slice());
            for (index, item) in items.iter().enumerate() {
                bytes.put_slice(if index == 0 { b"{" } else { b",{" });
                bytes.put_slice(item);
            }
            bytes.put_slice(b"]}\n");
            document(200, bytes.freeze(), shape)
        }
    }
}

fn protobuf_list<'a>(
    api_version: &str,
    kind: &str,
    metadata: &ListMeta,
    items: impl Iterator<Item = Cow<'a, [u8]>>,
    shape: &Shape,
) -> Response<Body> {
    match transcode::list(api_version, kind, metadata, items) {
        Ok(encoded) => with_type(Response::new(Body::from(encoded)), Encoding::Protobuf.media_type()),
        Err(why) => unfit(&why, shape),
    }
}

fn list_head(metadata: &ListMeta, resource: &Resource) -> Vec<u8> {
    let kind = if resource.kind.ends_with("List") {
        resource.kind.to_owned()
    } else {
        format!("{}List", resource.kind)
    };
    let mut head = Vec::with_capacity(256);
    head.extend_from_slice(b"{\"kind\":");
    json::compact_into(&mut head, &kind);
    head.extend_from_slice(b",\"apiVersion\":");
    json::compact_into(&mut head, &resource.api_version());
    head.extend_from_slice(b",\"metadata\":");
    json::compact_into(&mut head, metadata);
    head.extend_from_slice(b",\"items\":[");
    head
}

/// The body of a list in chunks of a size that both versions of HTTP send well; the items' own bytes are copied once.
fn list_body(metadata: &ListMeta, items: &[Bytes], resource: &Resource) -> Body {
    let mut pieces = VecDeque::new();
    let mut chunk = BytesMut::with_capacity(limits::LIST_CHUNK + 4096);
    chunk.put(list_head(metadata, resource).as_slice());
    for (index, item) in items.iter().enumerate() {
        chunk.put_slice(if index == 0 { b"{" } else { b",{" });
        chunk.put_slice(item);
        if chunk.len() >= limits::LIST_CHUNK {
            pieces.push_back(
                std::mem::replace(&mut chunk, BytesMut::with_capacity(limits::LIST_CHUNK + 4096)).freeze(),
            );
        }
    }
    chunk.put_slice(b"]}\n");
    pieces.push_back(chunk.freeze());
    Body::pieces(pieces)
}

/// An object of one resource with the type header of another.
pub fn under_another_name(stored: &Resource, shown: &Resource, object: &[u8]) -> Bytes {
    let header = format!("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",", stored.kind, stored.api_version());
    whole(shown, object.strip_prefix(header.as_bytes()).unwrap_or(object))
}

/// An item of a list as an object of its own.
fn whole(resource: &Resource, item: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(item.len() + 80);
    out.put_slice(b"{\"kind\":\"");
    out.put_slice(resource.kind.as_bytes());
    out.put_slice(b"\",\"apiVersion\":\"");
    out.put_slice(resource.api_version().as_bytes());
    out.put_slice(b"\",");
    out.put_slice(item);
    out.freeze()
}

#[derive(serde::Deserialize)]
struct OnlyMetadata<'a> {
    #[serde(borrow)]
    metadata: &'a serde_json::value::RawValue,
}

/// An object's metadata alone, as `PartialObjectMetadata` of a version.
pub fn metadata_only(object: &[u8], version: MetaVersion) -> Bytes {
    let metadata =
        serde_json::from_slice::<OnlyMetadata<'_>>(object).map_or("{}", |object| object.metadata.get());
    let version = version.api_version();
    format!("{{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"{version}\",\"metadata\":{metadata}}}")
        .into()
}

fn metadata_list(metadata: &ListMeta, items: &[Bytes], version: MetaVersion) -> Bytes {
    let mut out = Vec::with_capacity(4096);
    out.extend_from_slice(
        format!(
            "{{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"{}\",\"metadata\":",
            version.api_version()
        )
        .as_bytes(),
    );
    json::compact_into(&mut out, metadata);
    if items.is_empty() {
        out.extend_from_slice(b",\"items\":null}\n");
        return out.into();
    }
    out.extend_from_slice(b",\"items\":[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let mut object = BytesMut::with_capacity(item.len() + 1);
        object.put_slice(b"{");
        object.put_slice(item);
        out.extend_from_slice(&metadata_only(&object.freeze(), version));
    }
    out.extend_from_slice(b"]}\n");
    out.into()
}

fn with_newline(bytes: &[u8]) -> Bytes {
    let mut out = BytesMut::from(bytes);
    out.put_u8(b'\n');
    out.freeze()
}
