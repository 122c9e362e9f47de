//! The door that every tag moves through: one transaction that holds the stream, the images it needs and a ledger row for
//! each tag that moved.
//!
//! The rules are the pure function [`stream::pass`]; this module brings it what it needs (now, other streams, rights,
//! limits) and commits what comes out. Nothing else writes streams.

use std::sync::Arc;

use bytes::Bytes;
use machinery::image::well_known::IMAGE_STREAM_TAG;
use machinery::image::{Image, ImageStream, TagEvent};
use machinery::status::{ApiError, GroupResource};
use machinery::time::Time;
use store::{CommitError, Expect, Key, Revision, Txn};

use crate::admission::{limits, quota};
use crate::auth::{self, Actor};
use crate::context::Ctx;
use crate::deliver::outbox;
use crate::ledger::{self, Cause};
use crate::resource;
use crate::seen::{self, Seen};
use crate::stored::{Entry, Loaded, Storable};
use crate::stream::{self, Access, Lookup, Move, Passage, Passed, Writer};

/// One write of a stream.
#[derive(Debug)]
pub struct Write<'a> {
    /// Project.
    pub namespace: &'a str,
    /// Name of the stream.
    pub name: &'a str,
    /// The stream as it was read; `None` makes a new one.
    pub old: Option<&'a Loaded<ImageStream>>,
    /// The stream as it should be.
    pub new: ImageStream,
    /// Whose rules apply.
    pub writer: Writer,
    /// Images that must exist for it; those that do not are made in the same transaction.
    pub images: Vec<Image>,
    /// Why.
    pub cause: Cause,
    /// Who.
    pub actor: &'a Actor,
    /// What somebody wrote about it.
    pub reason: &'a str,
    /// Check everything, write nothing.
    pub dry_run: bool,
    /// The resource of the request, which conflicts name.
    pub request_resource: &'a str,
}

/// What a write led to.
#[derive(Clone, Debug)]
pub struct Written {
    /// The stream as stored.
    pub stream: Loaded<ImageStream>,
    /// The images that were given, as stored, and whether each is new.
    pub images: Vec<(Image, bool)>,
    /// Nothing was written because nothing changed.
    pub unchanged: bool,
}

/// Reads a stream as stored.
///
/// # Errors
/// 500 when the stored value is broken.
pub fn load(ctx: &Ctx, namespace: &str, name: &str) -> Result<Option<Loaded<ImageStream>>, ApiError> {
    load_entry(ctx, &resource::streams().key(namespace, name))
}

/// Reads an image as stored.
///
/// # Errors
/// 500 when the stored value is broken.
pub fn load_image(ctx: &Ctx, name: &str) -> Result<Option<Loaded<Image>>, ApiError> {
    load_entry(ctx, &resource::images().key("", name))
}

/// Reads any stored object.
///
/// # Errors
/// 500 when the stored value is broken.
pub fn load_entry<T: Storable>(ctx: &Ctx, key: &str) -> Result<Option<Loaded<T>>, ApiError> {
    match ctx.cache.snapshot().get(key) {
        Some(entry) => decode(entry).map(Some),
        None => Ok(None),
    }
}

/// Reads the object of a cache entry.
///
/// # Errors
/// 500 when the stored value is broken.
pub fn decode<T: Storable>(entry: &Entry) -> Result<Loaded<T>, ApiError> {
    let object = T::decode(&entry.object)
        .map_err(|why| ApiError::internal(&format!("{} cannot be decoded: {why}", entry.key.as_str())))?;
    Ok(Loaded { object, revision: entry.modified })
}

/// Passes a stream through the door.
///
/// # Errors
/// 422 from the rules, 409 when somebody else was faster, 5xx when the store fails.
pub async fn write(ctx: &Ctx, mut write: Write<'_>) -> Result<Written, ApiError> {
    let new = std::mem::take(&mut write.new);
    let passed = pass(ctx, &write, new)?;
    commit(ctx, write, passed).await
}

/// Applies the rules.
fn pass(ctx: &Ctx, write: &Write<'_>, new: ImageStream) -> Result<Passed, ApiError> {
    let lookup = Streams { ctx, actor: write.actor };
    let passage = Passage {
        now: ctx.clock.now(),
        writer: write.writer,
        settings: &ctx.settings.images,
        lookup: &lookup,
        limits: &limits::of_streams(ctx, write.namespace),
    };
    let old = write.old.map(|old| &*old.object);
    let mut passed =
        stream::pass(old, new, &passage).map_err(|errors| stream::invalid(write.name, &errors))?;
    if write.old.is_none() && passed.stream.metadata.uid.is_empty() {
        fill_identity(ctx, passed.stream.metadata_mut());
    }
    // The version is the store's to give.
    passed.stream.metadata.resource_version.clear();
    Ok(passed)
}

async fn commit(ctx: &Ctx, mut write: Write<'_>, passed: Passed) -> Result<Written, ApiError> {
    let mut images = std::mem::take(&mut write.images);
    let of = GroupResource::new(machinery::image::GROUP, write.request_resource);
    let seen = seen_before(ctx, &write, &passed).await?;
    // An image that another write makes at the same time is found on the second attempt.
    for _ in 0..crate::limits::CONFLICT_RETRIES {
        let (mut txn, known) = with_images(ctx, &mut images)?;
        let key = key(&resource::streams().key(write.namespace, write.name))?;
        let expect = write.old.map_or(Expect::Absent, |old| Expect::At(old.revision));
        txn.guards.push((key.clone(), expect));
        let unchanged = passed.unchanged && write.old.is_some();
        let mut wakes = false;
        if !unchanged {
            txn.writes.push((key.clone(), Some(passed.stream.encode())));
            if write.old.is_none() {
                quota::charge_stream(ctx, &mut txn, write.namespace, write.name)?;
            }
            let rows = ledger_rows(ctx, &write, &passed, &images, &seen);
            txn.writes.extend(seen.writes());
            let told = outbox::note(ctx, write.namespace, write.name, &rows);
            wakes = told.is_some();
            txn.writes.extend(rows);
            txn.writes.extend(told);
        }
        if write.dry_run || (unchanged && txn.writes.is_empty()) {
            let revision = write.old.map_or(Revision::ZERO, |old| old.revision);
            return Ok(written(passed, revision, images, &known, unchanged));
        }
        match ctx.store.commit(txn).await {
            Ok(revision) => {
                if wakes {
                    ctx.outbox.wake();
                }
                ctx.settle(revision).await?;
                let at = if unchanged { write.old.map_or(revision, |old| old.revision) } else { revision };
                for (image, known) in images.iter_mut().zip(&known) {
                    if !known {
                        image.metadata.resource_version = revision.to_string();
                    }
                }
                return Ok(written(passed, at, images, &known, unchanged));
            }
            Err(CommitError::Conflict { key: lost, .. }) if lost != key => {}
            Err(error) => return Err(commit_failed(&error, of, write.name, write.old.is_none())),
        }
    }
    Err(ApiError::modified(of, write.name))
}

/// Starts a transaction with the images that do not exist yet; those that do are replaced by what is stored.
fn with_images(ctx: &Ctx, images: &mut [Image]) -> Result<(Txn, Vec<bool>), ApiError> {
    let mut txn = Txn::new();
    let mut known = Vec::with_capacity(images.len());
    for image in images {
        match load_image(ctx, &image.metadata.name)? {
            Some(stored) => {
                *image = stored.into_inner();
                known.push(true);
            }
            None => {
                fill_identity(ctx, image.metadata_mut());
                let key = key(&resource::images().key("", &image.metadata.name))?;
                txn = txn.create(key, image.encode());
                known.push(false);
            }
        }
    }
    Ok((txn, known))
}

/// Gives a new object its identity and time of birth.
pub fn fill_identity(ctx: &Ctx, metadata: &mut machinery::meta::ObjectMeta) {
    metadata.uid = ctx.random.uid();
    metadata.creation_timestamp = ctx.clock.now();
    metadata.resource_version.clear();
    metadata.self_link.clear();
    metadata.deletion_timestamp = None;
    metadata.deletion_grace_period_seconds = None;
}

fn written(
    passed: Passed,
    revision: Revision,
    images: Vec<Image>,
    known: &[bool],
    unchanged: bool,
) -> Written {
    let mut stream = passed.stream;
    stream.metadata.resource_version =
        if revision == Revision::ZERO { String::new() } else { revision.to_string() };
    let images = images.into_iter().zip(known.iter().map(|known| !known)).collect();
    Written { stream: Loaded { object: Arc::new(stream), revision }, images, unchanged }
}

/// When what an import brings was first seen under its name.
async fn seen_before(ctx: &Ctx, write: &Write<'_>, passed: &Passed) -> Result<Seen, ApiError> {
    let imported = matches!(write.cause, Cause::Import | Cause::Schedule | Cause::Hook);
    if !imported || write.dry_run {
        return Ok(Seen::default());
    }
    let looked = seen::look(&*ctx.store, &passed.stream, &passed.moves, ctx.clock.now()).await;
    looked.map_err(|error| ApiError::unavailable(error.to_string()))
}

fn ledger_rows(
    ctx: &Ctx,
    write: &Write<'_>,
    passed: &Passed,
    images: &[Image],
    seen: &Seen,
) -> Vec<(Key, Option<Bytes>)> {
    let entry = ledger::Entry {
        namespace: write.namespace,
        stream: write.name,
        at: ctx.clock.timestamp(),
        cause: write.cause,
        actor: write.actor,
        reason: write.reason,
    };
    let snapshot = ctx.cache.snapshot();
    let first_seen = |moved: &Move, name: &str| {
        if let Some(time) = seen.time(moved) {
            return time;
        }
        if let Some(image) = images.iter().find(|image| image.metadata.name == name) {
            return image.metadata.creation_timestamp;
        }
        snapshot.get(&resource::images().key("", name)).map_or(Time::ZERO, |entry| entry.object.born)
    };
    let moves: Vec<Move> = passed.moves.iter().filter(|moved| moved.points_elsewhere()).cloned().collect();
    entry.rows(&moves, first_seen, |moved| cause_of(write, passed, moved))
}

/// A move is a rollback when it returns to an image that the tag held before, and follows when only another tag was
/// named; otherwise it has the cause of the write.
fn cause_of(write: &Write<'_>, passed: &Passed, moved: &Move) -> Cause {
    let held = |event: &TagEvent, image: &str| !image.is_empty() && event.image == image;
    if let (Cause::Tag, Some(to), Some(old)) = (write.cause, &moved.to, write.old) {
        let history = old.object.status.tag(&moved.tag).map(|tag| tag.items.as_slice()).unwrap_or_default();
        if history.iter().skip(1).any(|event| held(event, &to.image)) {
            return Cause::Rollback;
        }
    }
    if follows(write, passed, moved) { Cause::Follow } else { write.cause }
}

/// True when the tag only names another tag of the stream, and nobody changed that now: it moved because the other did.
fn follows(write: &Write<'_>, passed: &Passed, moved: &Move) -> bool {
    let spec = passed.stream.spec.tag(&moved.tag);
    let before = write.old.and_then(|old| old.object.spec.tag(&moved.tag));
    let tracks = spec.and_then(|tag| tag.from.as_ref()).is_some_and(|from| {
        from.kind == IMAGE_STREAM_TAG && (from.namespace.is_empty() || from.namespace == write.namespace)
    });
    tracks && spec.map(|tag| &tag.from) == before.map(|tag| &tag.from)
}

/// Turns a failed commit of an object into what the client is told.
pub fn commit_failed(error: &CommitError, of: GroupResource<'_>, name: &str, creating: bool) -> ApiError {
    match error {
        CommitError::Conflict { .. } if creating => ApiError::already_exists(of, name),
        CommitError::Conflict { .. } => ApiError::modified(of, name),
        CommitError::TooLarge { .. } => ApiError::too_large(error.to_string()),
        CommitError::Duplicate { .. } => ApiError::internal(&error.to_string()),
        CommitError::Unavailable(_) => ApiError::unavailable(error.to_string()),
    }
}

/// A store key of a name that was checked before; one that was not is a client's mistake.
pub fn key(text: &str) -> Result<Key, ApiError> {
    Key::new(text).map_err(|error| ApiError::bad_request(format!("the name cannot be stored: {error}")))
}

/// Other streams and rights, as the rules need them.
struct Streams<'a> {
    ctx: &'a Ctx,
    actor: &'a Actor,
}

impl Lookup for Streams<'_> {
    fn stream(&self, namespace: &str, name: &str) -> Option<Arc<ImageStream>> {
        match load(self.ctx, namespace, name) {
            Ok(found) => found.map(|loaded| {
                let mut stream = loaded.into_inner();
                stream::decorate(&mut stream, &self.ctx.settings.images);
                Arc::new(stream)
            }),
            Err(error) => {
                tracing::error!(namespace, name, %error, "a stream that another refers to cannot be read");
                None
            }
        }
    }

    fn may_read(&self, namespace: &str, name: &str) -> Access {
        let decision = auth::may_read_layers(self.ctx, self.actor, namespace, name);
        Access { allowed: decision.allowed, reason: decision.reason, ..Access::default() }
    }
}
