//! Watches: a cursor into the cache's history, written out as frames.
//!
//! A frame is encoded once and shared by all watchers who want it plain; other forms (tables, metadata) are made for each
//! watcher. An object that leaves the selection is told as deleted, one that enters as added. A watch ends in order: at
//! its time-out, when the server stops, or with an `ERROR` frame when it has fallen behind the history.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use machinery::options::ListOptions;
use machinery::status::ApiError;
use store::cache::{Cursor, Event, EventKind};
use store::{ReadError, Revision};
use tokio::time::{Instant, sleep_until};

use super::call::Call;
use super::read::Selection;
use super::reply::{Form, Reply};
use crate::body::Body;
use crate::context::{Ctx, Place};
use crate::limits;
use crate::resource::Resource;
use crate::stored::Served;
use crate::{printer, respond};

/// Which slot of an event holds its plain frame.
const PLAIN_FRAME: usize = 0;

/// GET with `watch=true`.
///
/// # Errors
/// 400 and 422 for bad options. Versions that are gone are told inside the watch.
pub fn watch(call: Call, place: Place) -> Result<Reply, ApiError> {
    let options = ListOptions::parse_watch(&call.query)?;
    let wanted = options.watch_version()?.map(Revision::from);
    let selection = Selection::of(&call, &options)?;
    let state = Watch::start(call, &options, wanted, selection, place);
    let frames = stream::unfold(state, |mut state| async move { state.next().await.map(|chunk| (chunk, state)) });
    Ok(Reply::Watch(Body::stream(frames)))
}

/// One watch.
struct Watch {
    ctx: Ctx,
    resource: &'static Resource,
    namespace: String,
    selection: Selection,
    form: Form,
    ready: VecDeque<Bytes>,
    cursor: Option<Cursor<Served>>,
    deadline: Instant,
    bookmarks: Option<Instant>,
    told: Revision,
    first_table: bool,
    _place: Place,
}

impl Watch {
    fn start(call: Call, options: &ListOptions, wanted: Option<Revision>, selection: Selection, place: Place) -> Watch {
        let now = Instant::now();
        let asked = options.timeout_seconds.and_then(|seconds| u64::try_from(seconds).ok()).filter(|&s| s > 0);
        let timeout = asked.map_or_else(
            || limits::WATCH_TIME + Duration::from_secs(call.ctx.random.below(limits::WATCH_TIME.as_secs())),
            |seconds| Duration::from_secs(seconds).min(limits::WATCH_TIME_MOST),
        );
        let mut watch = Watch {
            resource: call.resource,
            namespace: call.info.namespace.to_string(),
            selection,
            form: call.form.clone(),
            ready: VecDeque::new(),
            cursor: None,
            deadline: now + timeout,
            bookmarks: options.allow_watch_bookmarks.then(|| now + limits::BOOKMARK_PERIOD),
            told: Revision::ZERO,
            first_table: true,
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
            _ => snapshot.revision(),
        };
        self.told = after;
        match self.ctx.cache.subscribe(&self.resource.prefix(), after) {
            Ok(cursor) => self.cursor = Some(cursor),
            Err(error) => {
                self.ready.push_back(error_frame(&refused(&error, after)));
                return;
            }
        }
        if !initial {
            return;
        }
        let prefix = self.resource.prefix_in(&self.namespace);
        let mut chunk = BytesMut::new();
        for entry in snapshot.range(&prefix, None) {
            if entry.object.is_readable() && self.selection.matches(entry) {
                let object = entry.object.inner();
                let frame = self.frame("ADDED", object);
                chunk.put(frame);
                if chunk.len() >= limits::LIST_CHUNK {
                    self.ready.push_back(chunk.split().freeze());
                }
            }
        }
        if options.send_initial_events == Some(true) && options.allow_watch_bookmarks {
            chunk.put(self.bookmark(snapshot.revision(), true));
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
                Some(Err(_lagged)) => {
                    let error = ApiError::expired(format!("too old resource version: {} (the watch fell behind)", self.told));
                    return Some(error_frame(&error));
                }
                None => {
                    let revision = cursor.progress();
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
        let (word, object) = match (before, after) {
            (None, None) => return None,
            (None, Some(entry)) => ("ADDED", entry.object.inner()),
            (Some(_), Some(entry)) => ("MODIFIED", entry.object.inner()),
            (Some(entry), None) => ("DELETED", entry.object.inner_at(event.revision)),
        };
        let plain = matches!(self.form, Form::Object);
        // Only the frame that most watchers want is shared: the one of a watcher without a selector.
        let usual = match event.kind {
            EventKind::Delete => word == "DELETED",
            EventKind::Put { created } => (word == "ADDED") == created,
        };
        if plain && usual {
            return Some(event.slot(PLAIN_FRAME).get_or_init(|| plain_frame(word, &object)).clone());
        }
        Some(self.frame(word, object))
    }

    /// A frame in the form that this watcher asked for.
    fn frame(&mut self, word: &str, object: Bytes) -> Bytes {
        match &self.form {
            Form::Object => plain_frame(word, &object),
            Form::Metadata(version) => plain_frame(word, &respond::metadata_only(&object, version)),
            Form::Table(form) => {
                let columns = std::mem::replace(&mut self.first_table, false);
                let now = self.ctx.clock.now();
                plain_frame(word, &printer::watch_table(self.resource, &object, form, columns, now))
            }
        }
    }

    fn bookmark(&mut self, revision: Revision, end_of_initial: bool) -> Bytes {
        let mut metadata = serde_json::json!({ "resourceVersion": revision.to_string(), "creationTimestamp": null });
        if end_of_initial {
            metadata["annotations"] = serde_json::json!({ "k8s.io/initial-events-end": "true" });
        }
        let mut object = serde_json::json!({ "metadata": metadata });
        if self.resource.kind == "ImageStream" {
            object["spec"] = serde_json::json!({ "lookupPolicy": { "local": false } });
            object["status"] = serde_json::json!({ "dockerImageRepository": "" });
        }
        let object = machinery::json::with_type(self.resource.kind, &self.resource.api_version(), &object);
        match &self.form {
            Form::Object => plain_frame("BOOKMARK", &object),
            Form::Metadata(version) => plain_frame("BOOKMARK", &respond::metadata_only(&object.into(), version)),
            Form::Table(form) => {
                let columns = std::mem::replace(&mut self.first_table, false);
                plain_frame("BOOKMARK", &printer::bookmark_table(self.resource, revision, form, columns))
            }
        }
    }
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

fn error_frame(error: &ApiError) -> Bytes {
    let status = machinery::json::with_type("Status", "v1", &*error.0);
    plain_frame("ERROR", &status)
}

fn refused(error: &ReadError, after: Revision) -> ApiError {
    match error {
        ReadError::Compacted { oldest } => ApiError::expired(format!("too old resource version: {after} ({oldest})")),
        ReadError::Future { current } => {
            ApiError::timeout(format!("Too large resource version: {after}, current: {current}"), 1)
        }
        ReadError::Unavailable(why) => ApiError::unavailable(why.clone()),
    }
}
