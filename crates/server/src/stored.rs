//! Stored objects: how they become bytes in the store, and what the watch cache holds of them.
//!
//! An object is encoded for clients once. The cache keeps that encoding with its type header and final resource version;
//! a list leaves the header out by slicing. Images and plain kinds are encoded when they change; a stream, whose stored
//! form is kept as well, by the first who reads it: in a storm of tag moves most states are never read. Encoded images are
//! packed: there are very many, each says its digests several times, and unpacking one takes a few microseconds. Images and
//! streams are stored in Kubernetes' protobuf envelope, plain kinds as JSON. A value that cannot be decoded is kept, named in the log and answered with an error:
//! it never takes others down.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use machinery::image::{Image, ImageStream};
use machinery::json;
use machinery::meta::{Kind, ObjectMeta};
use machinery::protobuf;
use machinery::time::Time;
use store::{Key, Revision};
use tracing::error;

use crate::limits;
use crate::lru::Lru;
use crate::plain::Plain;
use crate::resource::{RESOURCES, Resource, Source};
use crate::stream::{self, StreamSettings};

/// What the cache holds of one object.
#[derive(Debug)]
pub struct Served {
    /// The resource it belongs to.
    pub resource: &'static Resource,
    /// What it is made of.
    form: Form,
    /// When the object was made.
    pub born: Time,
    /// Identity.
    pub uid: Box<str>,
    /// Labels, for selectors.
    pub labels: BTreeMap<String, String>,
    /// Fields that selectors know beside name and namespace.
    pub fields: Vec<(&'static str, String)>,
    /// Whether it is being deleted.
    pub terminating: bool,
}

/// The encodings of an object.
#[derive(Debug)]
enum Form {
    /// `{"kind":…,"apiVersion":…,…}` and a newline.
    Ready(Bytes),
    /// The same of an image, packed.
    Packed(PackedImage),
    /// A stream as it is stored, and the same encoding of it once somebody wanted it.
    Stream(Box<StreamForm>),
    /// A stored value that cannot be decoded.
    Broken,
}

#[derive(Debug)]
struct StreamForm {
    stored: Bytes,
    modified: Revision,
    bytes: OnceLock<Bytes>,
    recent: Remembered<ImageStream>,
    settings: Arc<StreamSettings>,
}

impl StreamForm {
    fn decode(&self) -> Result<Arc<ImageStream>, String> {
        self.recent.or_decode(|| {
            let mut stream: ImageStream =
                protobuf::decode(&self.stored).map_err(|error| error.to_string())?;
            stream.normalize(self.settings.import_mode());
            stream.metadata.resource_version = self.modified.to_string();
            Ok(stream)
        })
    }

    fn bytes(&self) -> &Bytes {
        self.bytes.get_or_init(|| {
            let stream = self.decode().expect("it was decoded once before it came into the cache");
            let mut stream = Arc::unwrap_or_clone(stream);
            stream::decorate(&mut stream, &self.settings);
            Bytes::copy_from_slice(&json::object(&stream))
        })
    }

    /// Bytes of memory, as if it had been read: a weight must not change.
    fn weight(&self) -> usize {
        /// JSON has the names of fields that protobuf has numbers for.
        const JSON_PER_STORED: usize = 2;
        self.stored.len() * (1 + JSON_PER_STORED)
    }
}

#[derive(Debug)]
struct PackedImage {
    packed: Box<[u8]>,
    recent: Remembered<Image>,
}

impl PackedImage {
    fn unpack(&self) -> Bytes {
        let bytes = lz4_flex::decompress_size_prepended(&self.packed);
        bytes.expect("it was packed in this process").into()
    }

    fn decode(&self) -> Result<Arc<Image>, String> {
        self.recent.or_decode(|| serde_json::from_slice(&self.unpack()).map_err(|error| error.to_string()))
    }
}

/// Decoded objects that were looked at last. A tag that moves is decoded for the cache, for its controllers and for the
/// next who moves it; most objects are decoded once and not again for long.
#[derive(Debug)]
struct Recent<T> {
    objects: Mutex<Lru<u64, Arc<T>>>,
    numbers: AtomicU64,
}

/// The place of one object among the recent ones.
#[derive(Debug)]
struct Remembered<T> {
    recent: Arc<Recent<T>>,
    number: u64,
}

impl<T> Recent<T> {
    fn new() -> Arc<Recent<T>> {
        let objects = Mutex::new(Lru::new(limits::DECODED_OBJECTS));
        Arc::new(Recent { objects, numbers: AtomicU64::new(0) })
    }

    fn place(self: &Arc<Recent<T>>) -> Remembered<T> {
        Remembered { recent: Arc::clone(self), number: self.numbers.fetch_add(1, Ordering::Relaxed) }
    }

    fn objects(&self) -> MutexGuard<'_, Lru<u64, Arc<T>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Remembered<T> {
    fn or_decode(&self, decode: impl FnOnce() -> Result<T, String>) -> Result<Arc<T>, String> {
        if let Some(object) = self.recent.objects().get(&self.number) {
            return Ok(Arc::clone(object));
        }
        let object = Arc::new(decode()?);
        self.recent.objects().insert(self.number, Arc::clone(&object), 1);
        Ok(object)
    }
}

/// A stored value that cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the stored object {key} cannot be decoded: {why}")]
pub struct Broken {
    /// Its key.
    pub key: String,
    /// What is wrong.
    pub why: String,
}

impl Served {
    /// The encoding; empty when the stored value is broken.
    fn bytes(&self) -> Bytes {
        self.whole().unwrap_or_default()
    }

    fn whole(&self) -> Option<Bytes> {
        match &self.form {
            Form::Ready(bytes) => Some(bytes.clone()),
            Form::Packed(image) => Some(image.unpack()),
            Form::Stream(form) => Some(form.bytes().clone()),
            Form::Broken => None,
        }
    }

    /// The object as one answer: type header, object, newline.
    ///
    /// # Errors
    /// [`Broken`] when the stored value could not be decoded.
    pub fn object(&self, key: &str) -> Result<Bytes, Broken> {
        let broken = || Broken { key: key.to_owned(), why: "see the server's log".to_owned() };
        self.whole().ok_or_else(broken)
    }

    /// True when there is something to show.
    pub fn is_readable(&self) -> bool {
        !matches!(self.form, Form::Broken)
    }

    /// The object as the item of a list, without type header and newline: `{` and this.
    pub fn item(&self) -> Bytes {
        self.whole()
            .map_or_else(Bytes::new, |bytes| bytes.slice(header_length(self.resource)..bytes.len() - 1))
    }

    /// The object with its type header, without the newline, as in watch events.
    pub fn inner(&self) -> Bytes {
        self.whole().map_or_else(Bytes::new, |bytes| bytes.slice(..bytes.len() - 1))
    }

    /// Bytes it takes in memory, roughly.
    pub fn weight(&self) -> usize {
        let labels: usize = self.labels.iter().map(|(key, value)| key.len() + value.len() + 48).sum();
        let form = match &self.form {
            Form::Ready(bytes) => bytes.len(),
            Form::Packed(image) => image.packed.len(),
            Form::Stream(form) => form.weight(),
            Form::Broken => 0,
        };
        form + labels + 160
    }
}

/// Turns stored bytes into what is served.
#[derive(Debug)]
pub struct Renderer {
    streams: Arc<StreamSettings>,
    recent_streams: Arc<Recent<ImageStream>>,
    recent_images: Arc<Recent<Image>>,
    tables: BTreeMap<String, &'static Resource>,
}

impl Renderer {
    /// A renderer for a server with these settings.
    pub fn new(streams: StreamSettings) -> Renderer {
        let stored = RESOURCES.iter().filter(|resource| resource.is_stored());
        Renderer {
            streams: Arc::new(streams),
            recent_streams: Recent::new(),
            recent_images: Recent::new(),
            tables: stored.map(|resource| (resource.prefix(), resource)).collect(),
        }
    }

    /// The resource a key belongs to.
    pub fn resource_of(&self, key: &str) -> Option<&'static Resource> {
        let end = key.match_indices('/').nth(2)?.0 + 1;
        self.tables.get(&key[..end]).copied()
    }

    fn packed(&self, bytes: &[u8]) -> Form {
        let packed = lz4_flex::compress_prepend_size(bytes).as_slice().into();
        Form::Packed(PackedImage { packed, recent: self.recent_images.place() })
    }

    fn try_render(&self, resource: &'static Resource, value: &Bytes, at: Revision) -> Result<Served, String> {
        match resource.source {
            Source::Image => {
                let mut image: Image = protobuf::decode(value).map_err(|error| error.to_string())?;
                image.metadata.resource_version = at.to_string();
                Ok(served(resource, &image.metadata, self.packed(&json::object(&image)), Vec::new()))
            }
            Source::Stream => {
                let form = StreamForm {
                    stored: value.clone(),
                    modified: at,
                    settings: Arc::clone(&self.streams),
                    bytes: OnceLock::new(),
                    recent: self.recent_streams.place(),
                };
                let stream = form.decode()?;
                let fields = vec![
                    ("spec.dockerImageRepository", stream.spec.docker_image_repository.clone()),
                    ("status.dockerImageRepository", stream::repository(&stream, &self.streams)),
                ];
                Ok(served(resource, &stream.metadata, Form::Stream(Box::new(form)), fields))
            }
            Source::Plain(_) => {
                let mut plain: Plain = serde_json::from_slice(value).map_err(|error| error.to_string())?;
                plain.metadata.resource_version = at.to_string();
                let fields = plain_fields(resource, &plain);
                Ok(served(resource, &plain.metadata, ready(&plain_object(resource, &plain)), fields))
            }
            Source::View(_) => Err("views are not stored".to_owned()),
        }
    }
}

/// The encoder presizes, and an allocator may leave a shrunk block where it is: what is kept for long is copied.
fn ready(bytes: &[u8]) -> Form {
    Form::Ready(Bytes::copy_from_slice(bytes))
}

fn served(
    resource: &'static Resource,
    metadata: &ObjectMeta,
    form: Form,
    fields: Vec<(&'static str, String)>,
) -> Served {
    Served {
        resource,
        form,
        born: metadata.creation_timestamp,
        uid: metadata.uid.as_str().into(),
        labels: metadata.labels.clone(),
        fields,
        terminating: metadata.deletion_timestamp.is_some(),
    }
}

/// Length of `{"kind":"…","apiVersion":"…",`.
fn header_length(resource: &Resource) -> usize {
    br#"{"kind":"","apiVersion":"","#.len() + resource.kind.len() + resource.api_version().len()
}

/// A plain object with its type header and a newline.
pub fn plain_object(resource: &Resource, plain: &Plain) -> Vec<u8> {
    let mut out = json::with_type(resource.kind, &resource.api_version(), plain);
    out.push(b'\n');
    out
}

fn plain_fields(resource: &Resource, plain: &Plain) -> Vec<(&'static str, String)> {
    let text = |pointer: &[&str]| {
        let mut value = plain.fields.get(pointer[0]);
        for part in &pointer[1..] {
            value = value.and_then(|value| value.get(part));
        }
        value.and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    };
    match resource.plural {
        "secrets" => vec![("type", text(&["type"]))],
        "webhooktriggers" | "objecttriggers" => vec![("spec.stream", text(&["spec", "stream"]))],
        "deliveries" => vec![
            ("status.state", text(&["status", "state"])),
            ("spec.stream", text(&["spec", "stream"])),
            ("spec.tag", text(&["spec", "tag"])),
        ],
        "namespaces" => vec![("status.phase", text(&["status", "phase"]))],
        _ => Vec::new(),
    }
}

impl store::cache::Render for Renderer {
    type Object = Served;

    fn render(&self, key: &Key, value: &Bytes, _created: Revision, modified: Revision) -> Served {
        let Some(resource) = self.resource_of(key.as_str()) else {
            unreachable!("only keys of the table are cached, and {} is none", key.as_str())
        };
        self.try_render(resource, value, modified).unwrap_or_else(|why| {
            error!(key = key.as_str(), why, "a stored object cannot be decoded");
            served(resource, &ObjectMeta::default(), Form::Broken, Vec::new())
        })
    }

    fn weight(object: &Served) -> usize {
        object.weight()
    }

    fn includes(&self, key: &Key) -> bool {
        self.resource_of(key.as_str()).is_some()
    }
}

/// A typed object with the revision it was read at.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The object in its stored form, with its resource version.
    pub object: Arc<T>,
    /// The revision it was last changed at.
    pub revision: Revision,
}

impl<T: Clone> Loaded<T> {
    /// The object, to be changed.
    pub fn into_inner(self) -> T {
        Arc::unwrap_or_clone(self.object)
    }
}

/// Objects that are stored, each in its own encoding.
pub trait Storable: Clone + Send + Sync + 'static {
    /// Standard metadata.
    fn metadata(&self) -> &ObjectMeta;
    /// Standard metadata, to change it.
    fn metadata_mut(&mut self) -> &mut ObjectMeta;
    /// The bytes to store; the resource version is not among them.
    fn encode(&self) -> Bytes;
    /// Reads what a cache entry holds back into the stored form, with its resource version.
    ///
    /// # Errors
    /// What is wrong with it.
    fn decode(served: &Served) -> Result<Arc<Self>, String>;
}

impl Storable for Image {
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }

    fn encode(&self) -> Bytes {
        without_version(self, protobuf::encode)
    }

    fn decode(served: &Served) -> Result<Arc<Image>, String> {
        match &served.form {
            Form::Packed(image) => image.decode(),
            _ => Err("the stored form cannot be read".to_owned()),
        }
    }
}

impl Storable for ImageStream {
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }

    fn encode(&self) -> Bytes {
        without_version(self, protobuf::encode)
    }

    fn decode(served: &Served) -> Result<Arc<ImageStream>, String> {
        match &served.form {
            Form::Stream(form) => form.decode(),
            _ => Err("the stored form cannot be read".to_owned()),
        }
    }
}

fn without_version<T: Kind + Clone>(object: &T, encode: impl Fn(&T) -> Vec<u8>) -> Bytes {
    if object.metadata().resource_version.is_empty() {
        return kept(encode(object));
    }
    let mut copy = object.clone();
    copy.metadata_mut().resource_version.clear();
    kept(encode(&copy))
}

/// Bytes that stay for long take no more room than they need.
fn kept(mut bytes: Vec<u8>) -> Bytes {
    bytes.shrink_to_fit();
    bytes.into()
}

impl Storable for Plain {
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }

    fn encode(&self) -> Bytes {
        let mut copy = self.clone();
        copy.metadata.resource_version.clear();
        kept(json::compact(&copy))
    }

    fn decode(served: &Served) -> Result<Arc<Plain>, String> {
        let mut plain: Plain = serde_json::from_slice(&served.bytes()).map_err(|error| error.to_string())?;
        plain.fields.remove("kind");
        plain.fields.remove("apiVersion");
        Ok(Arc::new(plain))
    }
}

/// The cache of this server.
pub type Cache = store::cache::Cache<Renderer>;
/// One entry of it.
pub type Entry = Arc<store::cache::Entry<Served>>;

impl Served {
    /// The object with another resource version, as deletions and departures from a selection are told. Nothing before
    /// `metadata.resourceVersion` can hold that text: the keys in front of it are names without quotes.
    pub fn inner_at(&self, revision: Revision) -> Bytes {
        const FIELD: &[u8] = b"\"resourceVersion\":\"";
        let bytes = self.inner();
        let Some(start) = bytes.windows(FIELD.len()).position(|window| window == FIELD) else { return bytes };
        let start = start + FIELD.len();
        let Some(length) = bytes[start..].iter().position(|&byte| byte == b'"') else { return bytes };
        let mut out = Vec::with_capacity(bytes.len() + 4);
        out.extend_from_slice(&bytes[..start]);
        out.extend_from_slice(revision.to_string().as_bytes());
        out.extend_from_slice(&bytes[start + length..]);
        out.into()
    }
}
