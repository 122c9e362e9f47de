//! Watches: a cursor into the cache's history, written out as frames.
//!
//! A frame is encoded once and shared by all watchers who want it plain; other forms (tables, metadata) are made for each
//! watcher. An object that leaves the selection is told as deleted, one that enters as added. A watch ends in order: at
//! its time-out, when the server stops, or with an `ERROR` frame when it has fallen behind the history.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use machinery::meta::ListMeta;
use machinery::negotiate::{Encoding, Form, MetaVersion};
use machinery::options::ListOptions;
use machinery::protobuf::transcode;
use machinery::status::ApiError;
use machinery::table::IncludeObject;
use store::cache::{Cursor, Event, EventKind};
use store::{ReadError, Revision};
use tokio::time::{Instant, sleep_until};

use super::call::Call;
use super::projects::may_see;
use super::read::Selection;
use super::reply::Reply;
use crate::auth::SharedActor;
use crate::body::Body;
use crate::context::Ctx;
use crate::fairness::Place;
use crate::limits;
use crate::printer::{self, Layout};
use crate::resource::Resource;
use crate::respond;
use crate::stored::{Renderer, Served};

/// Which slot of an event holds its plain frame.
const PLAIN_FRAME: usize = 0;

/// GET with `watch=true`.
///
/// # Errors
/// 400 and 422 for bad options. Versions that are gone are told inside the watch.
pub fn watch(call: Call, place: Place) -> Result<Reply, ApiError> {
    let options = ListOptions::parse_watch(&call.query)?;
    let include = match call.accepted.form {
        Form::Table(_) => IncludeObject::parse(&call.query)?,
        _ => IncludeObject::default(),
    };
    let wanted = options.watch_version()?.map(Revision);
    let selection = Selection::of(&call, &options)?;
    let state = Watch::start(call, &options, wanted, selection, include, place);
    let frames =
        stream::unfold(state, |mut state| async move { state.next().await.map(|chunk| (chunk, state)) });
    Ok(Reply::Watch(Body::stream(frames)))
}

/// One watch.
struct Watch {
    ctx: Ctx,
    /// What is shown.
    resource: &'static Resource,
    /// What is looked at: projects are namespaces under another name.
    stored: &'static Resource,
    namespace: String,
    selection: Selection,
    form: Form,
    encoding: Encoding,
    include: IncludeObject,
    ready: VecDeque<Bytes>,
    cursor: Option<Cursor<Renderer>>,
    deadline: Instant,
    bookmarks: Option<Instant>,
    told: Revision,
    first_table: bool,
    /// Of a watch of projects: who watches, and which they have been told of.
    viewer: Option<(SharedActor, HashSet<String>)>,
    _place: Place,
}

impl Watch {
    fn start(
        call: Call,
        options: &ListOptions,
        wanted: Option<Revision>,
        selection: Selection,
        include: IncludeObject,
        place: Place,
    ) -> Watch {
        let now = Instant::now();
        let asked =
            options.timeout_seconds.and_then(|seconds| u64::try_from(seconds).ok()).filter(|&s| s > 0);
        let timeout = asked.map_or_else(
            || limits::WATCH_TIME + Duration::from_secs(call.ctx.random.below(limits::WATCH_TIME.as_secs())),
            |seconds| Duration::from_secs(seconds).min(limits::WATCH_TIME_MOST),
        );
        let mut watch = Watch {
            resource: call.resource,
            stored: stored_as(call.resource),
            namespace: call.info.namespace.to_string(),
            selection,
            form: call.accepted.form,
            encoding: call.accepted.encoding,
            include,
            ready: VecDeque::new(),
            cursor: None,
            deadline: now + timeout,
            bookmarks: options.allow_watch_bookmarks.then(|| now + limits::BOOKMARK_PERIOD),
            told: Revision::ZERO,
            first_table: true,
            viewer: (call.resource.kind == "Project").then(|| (call.actor, HashSet::new())),
            _place: place,
            ctx: call.ctx,
        };
        watch.ctx.metrics.watches.inc();
        watch.begin(options, wanted);
        watch
    }

    /// Subscribes and, where the client asked for it, tells what is there already.
    fn begin(&mut self, options: &ListOptions, wanted: Option<Revision>) {
        let initial = options.send_initial_events.unwrap_or(wanted.is_none());
        let snapshot = self.ctx.cache.snapshot();
        let after = match wanted {
            Some(revision) if !initial => revision,
            _ => snapshot.revision,
        };
        self.told = after;
        match self.ctx.cache.subscribe(&self.stored.prefix(), after) {
            Ok(cursor) => self.cursor = Some(cursor),
            Err(error) => {
                let frame = self.error_frame(&refused(&error, after));
                self.ready.push_back(frame);
                return;
            }
        }
        if !initial {
            if self.viewer.is_some() {
                // Whoever goes on from a list has been told of what they may see.
                for entry in snapshot.range(&self.stored.prefix(), None) {
                    self.is_shown(entry.key.name());
                }
            }
            return;
        }
        let prefix = self.stored.prefix_in(&self.namespace);
        let mut chunk = BytesMut::new();
        for entry in snapshot.range(&prefix, None) {
            if entry.object.is_readable() && self.selection.matches(entry) && self.is_shown(entry.key.name())
            {
                let frame = self.frame("ADDED", entry.object.inner());
                chunk.put(frame);
                if chunk.len() >= limits::LIST_CHUNK {
                    self.ready.push_back(chunk.split().freeze());
                }
            }
        }
        if options.send_initial_events == Some(true) && options.allow_watch_bookmarks {
            chunk.put(self.bookmark(snapshot.revision, true));
        }
        if !chunk.is_empty() {
            self.ready.push_back(chunk.freeze());
        }
    }

    /// The next chunk; `None` when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Some(chunk);
            }
            let mut cursor = self.cursor.take()?;
            let bookmark = self.bookmarks.unwrap_or(self.deadline + Duration::from_secs(1));
            let deadline = self.deadline;
            let events = tokio::select! {
                events = cursor.next_batch(limits::WATCH_BATCH) => Some(events),
                () = sleep_until(bookmark) => None,
                () = sleep_until(deadline) => return None,
                () = self.ctx.tasks.stopping() => return None,
            };
            match events {
                Some(Ok(events)) => {
                    self.tell(&events);
                    self.cursor = Some(cursor);
                }
                Some(Err(_lagged)) => return Some(self.fell_behind()),
                None => {
                    let Ok(revision) = cursor.progress() else { return Some(self.fell_behind()) };
                    self.bookmarks = Some(Instant::now() + limits::BOOKMARK_PERIOD);
                    let frame = self.bookmark(revision, false);
                    self.ready.push_back(frame);
                    self.cursor = Some(cursor);
                }
            }
        }
    }

    fn tell(&mut self, events: &[Arc<Event<Served>>]) {
        let mut chunk = BytesMut::new();
        for event in events {
            self.told = event.revision;
            if let Some(frame) = self.event_frame(event) {
                chunk.put(frame);
            }
        }
        if !chunk.is_empty() {
            self.ready.push_back(chunk.freeze());
        }
    }

    fn event_frame(&mut self, event: &Event<Served>) -> Option<Bytes> {
        if !self.namespace.is_empty() && event.entry.key.namespace() != Some(self.namespace.as_str()) {
            return None;
        }
        if !event.entry.object.is_readable() {
            return None;
        }
        let before = event.previous.as_deref().filter(|entry| self.selection.matches(entry));
        let after = match event.kind {
            EventKind::Delete => None,
            EventKind::Put { .. } => Some(&*event.entry).filter(|entry| self.selection.matches(entry)),
        };
        let name = event.entry.key.name();
        let before = before.filter(|_| self.was_shown(name));
        let after = after.filter(|_| self.is_shown(name));
        if after.is_none() {
            self.forget(name);
        }
        let (word, object) = match (before, after) {
            (None, None) => return None,
            (None, Some(entry)) => ("ADDED", entry.object.inner()),
            (Some(_), Some(entry)) => ("MODIFIED", entry.object.inner()),
            (Some(entry), None) => ("DELETED", entry.object.inner_at(event.revision)),
        };
        let plain = self.form == Form::Object
            && self.encoding != Encoding::Protobuf
            && std::ptr::eq(self.resource, self.stored);
        // Only the frame that most watchers want is shared: the one of a watcher without a selector.
        let usual = match event.kind {
            EventKind::Delete => word == "DELETED",
            EventKind::Put { created } => (word == "ADDED") == created,
        };
        if plain && usual {
            return Some(event.frame(PLAIN_FRAME, |_| plain_frame(word, &object)));
        }
        Some(self.frame(word, object))
    }

    /// Whether the watcher may see an object now; projects are shown only to those who have rights in them.
    fn is_shown(&mut self, name: &str) -> bool {
        let Some((actor, told)) = &mut self.viewer else { return true };
        let shown = may_see(&self.ctx, actor, name);
        if shown && !told.contains(name) {
            told.insert(name.to_owned());
        }
        shown
    }

    /// Whether the watcher was told of an object: its end is told even when the rights went first.
    fn was_shown(&self, name: &str) -> bool {
        self.viewer.as_ref().is_none_or(|(_, told)| told.contains(name))
    }

    fn forget(&mut self, name: &str) {
        if let Some((_, told)) = &mut self.viewer {
            told.remove(name);
        }
    }

    /// A frame in the form that this watcher asked for.
    fn frame(&mut self, word: &str, object: Bytes) -> Bytes {
        let object = if std::ptr::eq(self.resource, self.stored) {
            object
        } else {
            respond::under_another_name(self.stored, self.resource, &object)
        };
        match self.form {
            Form::Table(version) => {
                let columns = std::mem::replace(&mut self.first_table, false);
                let metadata =
                    ListMeta { resource_version: respond::version_of(&object), ..ListMeta::default() };
                match printer::table(self.resource, metadata, &[object], self.layout(version), columns) {
                    Ok(table) => plain_frame(word, &table),
                    Err(error) => self.error_frame(&error),
                }
            }
            Form::Metadata(version) | Form::MetadataList(version) => {
                self.metadata_frame(word, &object, version)
            }
            _ => self.object_frame(word, &self.resource.api_version(), self.resource.kind, &object),
        }
    }

    /// A frame with an object in the encoding that this watcher asked for.
    fn object_frame(&self, word: &str, api_version: &str, kind: &str, object: &[u8]) -> Bytes {
        if self.encoding != Encoding::Protobuf {
            return plain_frame(word, object);
        }
        match transcode::frame(word, api_version, kind, object) {
            Ok(frame) => frame.into(),
            Err(why) => self.error_frame(&ApiError::internal(&format!("no protobuf of an event: {why}"))),
        }
    }

    fn metadata_frame(&self, word: &str, object: &[u8], version: MetaVersion) -> Bytes {
        let metadata = respond::metadata_only(object, version);
        self.object_frame(word, version.api_version(), "PartialObjectMetadata", &metadata)
    }

    fn error_frame(&self, error: &ApiError) -> Bytes {
        let status = machinery::json::with_type("Status", "v1", &*error.0);
        self.object_frame("ERROR", "v1", "Status", &status)
    }

    fn fell_behind(&self) -> Bytes {
        let told = self.told;
        self.error_frame(&ApiError::expired(format!(
            "too old resource version: {told} (the watch fell behind)"
        )))
    }

    fn layout(&self, version: MetaVersion) -> Layout {
        Layout { version, include: self.include, now: self.ctx.clock.now() }
    }

    fn bookmark(&mut self, revision: Revision, end_of_initial: bool) -> Bytes {
        let mut metadata =
            serde_json::json!({ "resourceVersion": revision.to_string(), "creationTimestamp": null });
        if end_of_initial {
            metadata["annotations"] = serde_json::json!({ "k8s.io/initial-events-end": "true" });
        }
        let mut object = serde_json::json!({ "metadata": metadata });
        if self.resource.kind == "ImageStream" {
            object["spec"] = serde_json::json!({ "lookupPolicy": { "local": false } });
            object["status"] = serde_json::json!({ "dockerImageRepository": "" });
        }
        let object = machinery::json::with_type(self.resource.kind, &self.resource.api_version(), &object);
        match self.form {
            Form::Table(version) => {
                let columns = std::mem::replace(&mut self.first_table, false);
                let metadata = ListMeta { resource_version: revision.to_string(), ..ListMeta::default() };
                let layout = self.layout(version);
                plain_frame("BOOKMARK", &printer::empty(self.resource, metadata, layout, columns))
            }
            Form::Metadata(version) | Form::MetadataList(version) => {
                self.metadata_frame("BOOKMARK", &object, version)
            }
            _ => self.object_frame("BOOKMARK", &self.resource.api_version(), self.resource.kind, &object),
        }
    }
}

/// Projects are namespaces under another name.
fn stored_as(resource: &'static Resource) -> &'static Resource {
    if resource.plural == "projects" { crate::resource::namespaces() } else { resource }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ctx.metrics.watches.dec();
    }
}

fn plain_frame(word: &str, object: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(object.len() + 40);
    frame.put_slice(b"{\"type\":\"");
    frame.put_slice(word.as_bytes());
    frame.put_slice(b"\",\"object\":");
    frame.put_slice(object);
    frame.put_slice(b"}\n");
    frame.freeze()
}

fn refused(error: &ReadError, after: Revision) -> ApiError {
    match error {
        ReadError::Compacted { oldest } => {
            ApiError::expired(format!("too old resource version: {after} ({oldest})"))
        }
        ReadError::Future { current } => {
            ApiError::timeout(format!("Too large resource version: {after}, current: {current}"), 1)
        }
        ReadError::Unavailable(why) => ApiError::unavailable(why.clone()),
    }
}
