//! Replays recorded conversations against the rules alone: two maps of objects stand in for the server around them.
//!
//! What belongs to that server (versions, tables, selectors, dry runs, 404s of unknown paths) is passed over, and each
//! case says how many of its answers are compared, so that none is passed over by mistake.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use machinery::image::{
    GROUP, Image, ImageSignature, ImageStream, ImageStreamMapping, ImageStreamTag, ImageTag,
};
use machinery::json;
use machinery::meta::{Kind, Status};
use machinery::patch::{self, PatchKind};
use machinery::schema;
use machinery::status::{ApiError, GroupResource};
use machinery::time::Time;
use serde_json::{Value, json};

use super::layers::ImageParts;
use super::{
    Change, TagBase, TagKind, image_tag, layers, mapping, parse_name, remove, stream_image, stream_tag,
};
use crate::image;
use crate::stream::{self, Access, Lookup, Passage, StreamLimits, StreamSettings, Writer};

const NOW: Time = Time::from_unix(2_000_000_000);
const API: &str = "/apis/image.openshift.io/v1";

struct World {
    streams: BTreeMap<(String, String), Arc<ImageStream>>,
    images: BTreeMap<String, Image>,
    limits: StreamLimits,
    settings: StreamSettings,
    stranger: bool,
}

impl Lookup for World {
    fn stream(&self, namespace: &str, name: &str) -> Option<Arc<ImageStream>> {
        self.streams.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }
    fn may_read(&self, _: &str, _: &str) -> Access {
        Access { allowed: !self.stranger, ..Default::default() }
    }
}

/// A request without the words in front: `namespace` may be empty.
struct Request<'a> {
    method: &'a str,
    namespace: &'a str,
    resource: &'a str,
    name: &'a str,
    subresource: &'a str,
    body: Option<Value>,
    patch: &'a str,
}

type Answer = Result<(u64, Value), ApiError>;

fn shown<T: Kind>(code: u64, object: &T) -> Answer {
    Ok((code, serde_json::from_slice(&json::object(object)).unwrap()))
}

fn succeeded(code: u64) -> Answer {
    let status = Status { code: if code == 201 { 201 } else { 0 }, ..Status::success() };
    Ok((code, serde_json::from_slice(&status.to_json()).unwrap()))
}

fn read<T: Kind + serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

impl Request<'_> {
    fn of(&self) -> GroupResource<'_> {
        GroupResource::new(GROUP, self.resource)
    }

    fn patched<T: Kind + serde::de::DeserializeOwned>(&self, base: &T) -> T {
        let kind = PatchKind::from_content_type(self.patch).unwrap();
        let schema = match T::KIND {
            "Image" => &schema::IMAGE,
            "ImageStream" => &schema::IMAGE_STREAM,
            "ImageStreamTag" => &schema::IMAGE_STREAM_TAG,
            _ => &schema::IMAGE_TAG,
        };
        let base = serde_json::to_value(base).unwrap();
        read(&patch::apply(kind, &base, self.body.clone().unwrap(), schema).unwrap())
    }

    fn object<T: Kind + serde::de::DeserializeOwned>(&self, base: &T) -> T {
        let mut object = match self.method {
            "PATCH" => self.patched(base),
            _ => read::<T>(self.body.as_ref().unwrap()),
        };
        if !self.namespace.is_empty() {
            self.namespace.clone_into(&mut object.metadata_mut().namespace);
        }
        object
    }
}

impl World {
    fn new() -> World {
        let settings =
            StreamSettings { internal_registry_hostname: "172.30.56.218:5000".into(), ..Default::default() };
        World {
            streams: BTreeMap::new(),
            images: BTreeMap::new(),
            limits: StreamLimits::default(),
            settings,
            stranger: false,
        }
    }

    fn load(&self, request: &Request<'_>, name: &str) -> Result<Arc<ImageStream>, ApiError> {
        self.stream(request.namespace, name).ok_or_else(|| ApiError::not_found(request.of(), name))
    }

    fn image(&self, request: &Request<'_>, name: &str) -> Result<&Image, ApiError> {
        self.images.get(name).ok_or_else(|| ApiError::not_found(request.of(), name))
    }

    fn write(&mut self, writer: Writer, mut new: ImageStream) -> Result<Arc<ImageStream>, ApiError> {
        let old = self.stream(&new.metadata.namespace, &new.metadata.name);
        let metadata = &mut new.metadata;
        "RV".clone_into(&mut metadata.resource_version);
        if old.is_none() || metadata.uid.is_empty() {
            "UID".clone_into(&mut metadata.uid);
            metadata.creation_timestamp = NOW;
        }
        let cx = Passage { now: NOW, writer, settings: &self.settings, lookup: self, limits: &self.limits };
        let name = new.metadata.name.clone();
        let passed =
            stream::pass(old.as_deref(), new, &cx).map_err(|errors| stream::invalid(&name, &errors))?;
        let stored = Arc::new(passed.stream);
        self.streams.insert((stored.metadata.namespace.clone(), name), stored.clone());
        Ok(stored)
    }

    fn answer(&mut self, request: &Request<'_>) -> Option<Answer> {
        Some(match (request.resource, request.subresource) {
            ("imagestreams", "layers") => self.layers(request),
            ("imagestreams", _) => self.streams(request)?,
            ("imagestreamtags", "") if request.name.is_empty() && request.method == "GET" => {
                self.list(request, "ImageStreamTagList", &|stream| {
                    stream_tag::list(stream).iter().map(|tag| serde_json::to_value(tag).unwrap()).collect()
                })
            }
            ("imagetags", "") if request.name.is_empty() && request.method == "GET" => {
                self.list(request, "ImageTagList", &|stream| {
                    image_tag::list(stream).iter().map(|tag| serde_json::to_value(tag).unwrap()).collect()
                })
            }
            ("imagestreamtags", "") => self.tags(request, TagKind::ImageStreamTag),
            ("imagetags", "") => self.tags(request, TagKind::ImageTag),
            ("imagestreamimages", "") if request.method == "GET" && !request.name.is_empty() => {
                self.stream_image(request)
            }
            ("imagestreammappings", "") if request.method == "POST" => self.mapping(request),
            ("images", "") if !request.name.is_empty() || request.method == "POST" => self.images(request),
            ("imagesignatures", "") => self.signatures(request),
            _ => return None,
        })
    }

    fn streams(&mut self, request: &Request<'_>) -> Option<Answer> {
        let writer = if request.subresource == "status" { Writer::Status } else { Writer::Main };
        let write =
            |world: &mut World, code, new| world.write(writer, new).and_then(|stored| shown(code, &*stored));
        Some(match (request.method, request.name) {
            ("GET", "") => return None,
            ("GET", name) => self.load(request, name).and_then(|held| shown(200, &*held)),
            ("POST", _) => {
                let mut new: ImageStream = request.object(&ImageStream::default());
                new.metadata.resource_version.clear();
                write(self, 201, new)
            }
            ("DELETE", name) => {
                self.streams.remove(&(request.namespace.to_owned(), name.to_owned()));
                return None;
            }
            (_, name) => match self.load(request, name) {
                Ok(held) => write(self, 200, request.object(&*held)),
                Err(error) => Err(error),
            },
        })
    }

    fn list(&self, request: &Request<'_>, kind: &str, items: &dyn Fn(&ImageStream) -> Vec<Value>) -> Answer {
        let own = self.streams.values().filter(|held| held.metadata.namespace == request.namespace);
        let items: Vec<Value> = own.flat_map(|held| items(held)).collect();
        Ok((
            200,
            json!({"kind": kind, "apiVersion": "image.openshift.io/v1", "metadata": {}, "items": items}),
        ))
    }

    fn shown_tag(&self, kind: TagKind, code: u64, stream: &ImageStream, tag: &str) -> Answer {
        let image = stream_tag::head_image(stream, tag).and_then(|image| self.images.get(image));
        match kind {
            TagKind::ImageStreamTag => shown(code, &stream_tag::build_or_empty(stream, tag, image, NOW)),
            TagKind::ImageTag => shown(code, &image_tag::build_or_empty(stream, tag, image, NOW)),
        }
    }

    fn tags(&mut self, request: &Request<'_>, kind: TagKind) -> Answer {
        if request.method == "POST" {
            return self.create_tag(request, kind);
        }
        let (name, tag) = parse_name(kind, request.name)?;
        match request.method {
            "GET" => {
                let held = self.load(request, name)?;
                if kind == TagKind::ImageTag {
                    image_tag::build(&held, tag, None, NOW)?;
                } else {
                    stream_tag::build(&held, tag, None, NOW)?;
                    self.image(request, stream_tag::head_image(&held, tag).unwrap())?;
                }
                self.shown_tag(kind, 200, &held, tag)
            }
            "DELETE" => {
                let held = self.load(request, name)?;
                let uid = request.body.as_ref().and_then(|body| body["preconditions"]["uid"].as_str());
                self.write(Writer::Internal, remove(kind, &held, tag, uid)?)?;
                succeeded(200)
            }
            _ => {
                let held = self.stream(request.namespace, name);
                let base = TagBase::new(held.as_deref().cloned(), request.namespace, name, tag, "UID", NOW);
                let change = self.updated_tag(request, kind, base)?;
                let code = if change.created { 201 } else { 200 };
                let stored = self.write(change.writer, change.stream)?;
                self.shown_tag(kind, code, &stored, tag)
            }
        }
    }

    fn updated_tag(&self, request: &Request<'_>, kind: TagKind, base: TagBase) -> Result<Change, ApiError> {
        match kind {
            TagKind::ImageStreamTag => {
                let old = stream_tag::build_or_empty(&base.stream, &base.tag, None, NOW);
                stream_tag::update(base, request.object(&old), &self.settings)
            }
            TagKind::ImageTag => {
                let old = image_tag::build_or_empty(&base.stream, &base.tag, None, NOW);
                image_tag::update(base, request.object(&old), &self.settings)
            }
        }
    }

    fn create_tag(&mut self, request: &Request<'_>, kind: TagKind) -> Answer {
        let loaded = |world: &World, name: &str| {
            world.stream(request.namespace, machinery::image::split_stream_tag(name).0)
        };
        let (change, name) = match kind {
            TagKind::ImageStreamTag => {
                let mut tag: ImageStreamTag = request.object(&ImageStreamTag::default());
                stream_tag::check_create(&mut tag, &self.settings)?;
                let held = loaded(self, &tag.metadata.name);
                (stream_tag::create(held.as_deref(), &tag)?, tag.metadata.name)
            }
            TagKind::ImageTag => {
                let mut tag: ImageTag = request.object(&ImageTag::default());
                image_tag::check_create(&mut tag, &self.settings)?;
                let held = loaded(self, &tag.metadata.name);
                (image_tag::create(held.as_deref(), &tag)?, tag.metadata.name)
            }
        };
        let stored = self.write(change.writer, change.stream)?;
        self.shown_tag(kind, 201, &stored, machinery::image::split_stream_tag(&name).1)
    }

    fn layers(&self, request: &Request<'_>) -> Answer {
        let held = self.load(request, request.name)?;
        shown(200, &layers::build(&held, &|name| self.images.get(name).map(ImageParts::of).map(Arc::new))?)
    }

    fn stream_image(&self, request: &Request<'_>) -> Answer {
        let (name, id) = stream_image::parse_name(request.name)?;
        let held = self.load(request, name)?;
        let layers = layers::build(&held, &|name| self.images.get(name).map(ImageParts::of).map(Arc::new))?;
        let image = self.image(request, stream_image::find(&layers, id)?)?;
        shown(200, &stream_image::build(&held, image, id, NOW))
    }

    fn create_image(&mut self, mut image: Image) -> Result<Image, ApiError> {
        "UID".clone_into(&mut image.metadata.uid);
        "RV".clone_into(&mut image.metadata.resource_version);
        image.metadata.namespace.clear();
        image.metadata.creation_timestamp = NOW;
        image::normalize_metadata(&mut image).unwrap();
        image::prepare_create(&mut image, NOW);
        let errors = image::validate(&image);
        if !errors.is_empty() {
            return Err(ApiError::invalid(GroupResource::new(GROUP, "Image"), &image.metadata.name, &errors));
        }
        self.images.insert(image.metadata.name.clone(), image.clone());
        Ok(image)
    }

    fn mapping(&mut self, request: &Request<'_>) -> Answer {
        let mut wanted: ImageStreamMapping = request.object(&ImageStreamMapping::default());
        mapping::check(&mut wanted, &self.settings)?;
        let held = self.load(request, &wanted.metadata.name)?;
        let existed = self.images.contains_key(&wanted.image.metadata.name);
        if !existed {
            self.create_image(wanted.image.clone())?;
        }
        let event = mapping::event(&wanted, &held, existed, NOW);
        if let Some(pushed) = mapping::apply(&held, &wanted.tag, event) {
            self.write(Writer::Status, pushed)?;
        }
        succeeded(201)
    }

    fn images(&mut self, request: &Request<'_>) -> Answer {
        match request.method {
            "GET" => self.image(request, request.name).and_then(|image| shown(200, image)),
            "POST" => {
                let image = request.object(&Image::default());
                self.create_image(image).and_then(|image| shown(201, &image))
            }
            "DELETE" => {
                self.images.remove(request.name);
                let details = json!({"name": request.name, "group": GROUP, "kind": "images", "uid": "UID"});
                let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
                Ok((200, status))
            }
            _ => {
                let old = self.image(request, request.name)?.clone();
                let mut new = request.object(&old);
                image::prepare_update(&mut new, &old, NOW);
                assert_eq!(image::validate_update(&new, &old), []);
                self.images.insert(request.name.to_owned(), new.clone());
                shown(200, &new)
            }
        }
    }

    fn signatures(&mut self, request: &Request<'_>) -> Answer {
        let images = GroupResource::new(GROUP, "images");
        let load = |world: &World, name: &str| {
            world.images.get(name).cloned().ok_or_else(|| ApiError::not_found(images, name))
        };
        if request.method == "DELETE" {
            let (name, _) = image::parse_signature_name(request.name)?;
            let image = image::remove_signature(&load(self, name)?, request.name)?;
            self.images.insert(name.to_owned(), image);
            return succeeded(200);
        }
        let mut signature: ImageSignature = request.object(&ImageSignature::default());
        "UID".clone_into(&mut signature.metadata.uid);
        signature.metadata.creation_timestamp = NOW;
        let signature = image::prepare_signature(signature)?;
        let (name, _) = image::parse_signature_name(&signature.metadata.name)?;
        let image = image::add_signature(&load(self, name)?, signature.clone())?;
        self.images.insert(image.metadata.name.clone(), image);
        shown(201, &signature)
    }

    fn limit_range(&mut self, body: &Value) {
        let max = &body["spec"]["limits"][0]["max"];
        let number = |key: &str| max[key].as_str().and_then(|text| text.parse().ok());
        self.limits = StreamLimits {
            images: number("openshift.io/images"),
            image_tags: number("openshift.io/image-tags"),
        };
    }
}

/// The recorded words for what differs from run to run.
fn normalized(value: &mut Value) {
    match value {
        Value::String(text) => {
            *text =
                text.replace(&NOW.to_string(), "NOW").replace("11111111-1111-1111-1111-111111111111", "UID");
        }
        Value::Array(items) => items.iter_mut().for_each(normalized),
        Value::Object(fields) => {
            fields.remove("managedFields");
            fields.values_mut().for_each(normalized);
        }
        _ => {}
    }
}

fn named(text: &str) -> String {
    let mut text = text.replace("{ns}", "ns-one").replace("{ns2}", "ns-two");
    for digit in "0123456789abcdef".chars() {
        text = text.replace(&format!("{{d{digit}}}"), &digit.to_string().repeat(64));
    }
    text
}

fn check(case: &str, compared: usize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/cases").join(case);
    let text = std::fs::read_to_string(path.with_extension("json")).unwrap();
    let case_file: Value = serde_json::from_str(&named(&text)).unwrap();
    let mut world = World::new();
    let mut done = 0;
    for (i, step) in case_file["steps"].as_array().unwrap().iter().enumerate() {
        let path = step["path"].as_str().unwrap();
        if path.contains("/limitranges") {
            world.limit_range(&step["body"]);
        }
        let Some(rest) = path.strip_prefix(API).filter(|path| !path.contains('?')) else { continue };
        let accept = step["headers"]["Accept"].as_str().unwrap_or("application/json");
        if accept != "application/json" || step["body"].is_string() {
            continue;
        }
        let mut parts = rest.trim_matches('/').split('/').peekable();
        let namespace = match parts.next_if_eq(&"namespaces") {
            Some(_) => parts.next().unwrap(),
            None => "",
        };
        let mut part = || parts.next().unwrap_or_default();
        let request = Request {
            method: step["method"].as_str().unwrap(),
            namespace,
            resource: part(),
            name: part(),
            subresource: part(),
            body: Some(step["body"].clone()).filter(|body| !body.is_null()),
            patch: step["headers"]["Content-Type"].as_str().unwrap_or("application/json"),
        };
        world.stranger = step["as"].is_string();
        // An earlier import by the server's own importer, and names that belong to another path, are not seen here.
        let misnamed = request.method == "PUT" && step["body"]["metadata"]["name"] != request.name;
        if misnamed || (case, i) == ("imagestreamtags/create-invalid", 5) {
            continue;
        }
        let Some(answer) = world.answer(&request) else { continue };
        let (code, mut got) = answer.unwrap_or_else(|error| {
            (u64::from(error.code()), serde_json::from_slice(&error.0.to_json()).unwrap())
        });
        normalized(&mut got);
        let mut want = step["answer"].clone();
        normalized(&mut want);
        let request = format!("{case} step {i}: {} {path}\n{}", request.method, step["body"]);
        assert_eq!(json!(code), step["status"], "{request}\n{got:#}");
        if step["compare"] != "status" {
            let texts = [&want, &got].map(|value| serde_json::to_string_pretty(value).unwrap());
            assert_eq!(texts[0], texts[1], "{request}\nwanted {want:#}\ngot {got:#}");
            done += 1;
        }
    }
    assert_eq!(done, compared, "answers that were compared in {case}");
}

macro_rules! replay {
    ($($name:ident: $case:literal, $compared:literal;)*) => {$(
        #[test]
        fn $name() {
            check($case, $compared);
        }
    )*};
}

replay! {
    copies_point_to_their_own_stream: "spec-tags/copy-rewrites", 7;
    foreign_streams_are_refused: "spec-tags/cross-forbidden", 3;
    foreign_streams: "spec-tags/cross-stream", 7;
    images_of_streams: "spec-tags/from-isimage", 7;
    invalid_tags: "spec-tags/invalid", 14;
    tags_without_source: "spec-tags/no-from", 3;
    reference_history: "spec-tags/reference-history", 6;
    references: "spec-tags/reference", 6;
    tracking: "spec-tags/tracking", 6;
    generations: "spec-tags/what-bumps", 11;
    tag_annotations: "imagestreamtags/annotation-rules", 5;
    invalid_stream_tags: "imagestreamtags/create-invalid", 8;
    created_stream_tags: "imagestreamtags/create", 7;
    deleted_stream_tags: "imagestreamtags/delete", 9;
    pushed_stream_tags: "imagestreamtags/pushed", 6;
    edges_of_puts: "imagestreamtags/put-edges", 16;
    updated_stream_tags: "imagestreamtags/update", 6;
    life_of_image_tags: "imagetags/life", 7;
    pushed_image_tags: "imagetags/pushed", 4;
    rules_of_image_tags: "imagetags/update-rules", 14;
    invalid_mappings: "mappings/invalid", 7;
    mapped_manifests: "mappings/manifest", 4;
    pushes: "mappings/push", 9;
    life_of_images: "images/life", 8;
    signatures: "images/signatures", 5;
    members_of_streams: "imagestreamimages/get", 8;
    limited_tags: "limits/tags", 9;
    names_of_streams: "imagestreams/create-bad-names", 14;
    minimal_streams: "imagestreams/create-minimal", 2;
    labelled_streams: "imagestreams/create-labels", 1;
}
