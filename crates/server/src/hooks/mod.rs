//! Hooks: registries tell that something changed, and Weir looks for itself.
//!
//! `POST /hooks/NAME` needs no login; its proof is the hook's secret, in the form that the sender has ([`sender`]). A body
//! only says where to look ([`mention`]): every tag whose spec names an image of the repository becomes due in the one
//! timetable, followed on a schedule or not, and the registry itself is asked what is there, within its budget. So the worst that a stolen secret does is a few needless questions. Strangers
//! cost little: sources are slowed down before anything is read, bodies are bounded, and refused requests write nothing.

mod due;
mod gate;
mod index;
pub mod kinds;
pub mod limits;
pub mod mention;
pub mod sender;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use machinery::status::{ApiError, GroupResource};
use machinery::time::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::context::Ctx;
use crate::control::{Queue, StreamKey};
use crate::deliver;
use crate::metrics::OutcomeLabels;
use crate::plain::Plain;
use crate::resource::{self, Resource};
use crate::streams::load_entry;
use crate::workload::text;
use gate::{Bucket, Memory, Sources};
use index::{Index, Wanted};
use limits::{GATHER, GATHER_REFUSED, HOOK_RATE, SECRET, SHOWN, SOURCE_RATE};
use sender::Sender;

pub use due::{admit, run};

/// Where hooks are called.
const PATH: &str = "/hooks/";

/// What the hooks of a server share. Only the state of requests; what matters is stored.
#[derive(Debug)]
pub struct Hooks {
    state: Mutex<State>,
    /// Requests that are read at once; those of the API have places of their own.
    places: Semaphore,
    /// Streams of which a hook told something.
    due: Queue<(StreamKey, Arc<str>)>,
    /// Hooks whose status is to be written.
    dirty: Queue<String>,
}

#[derive(Debug, Default)]
struct State {
    sources: Sources,
    hooks: HashMap<String, Calls>,
    index: Index,
    wanted: HashMap<(StreamKey, Arc<str>), Told>,
}

/// What a hook told of one stream.
#[derive(Debug)]
struct Told {
    tags: Wanted,
    /// When it did so last.
    at: Instant,
}

/// What came to one hook.
#[derive(Debug)]
struct Calls {
    bucket: Bucket,
    memory: Memory,
    recent: VecDeque<Call>,
    accepted: u64,
    refused: u64,
}

/// One request, as the status of a hook shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Call {
    time: Time,
    source: String,
    outcome: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    message: String,
}

/// A request as it came.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The hook.
    pub name: &'a str,
    /// The query.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// Where from.
    pub source: Option<IpAddr>,
}

/// Why a request is refused: a word for counters, and the answer.
struct Refused(&'static str, ApiError);

/// The hook that a path calls.
pub fn called(path: &str) -> Option<&str> {
    path.strip_prefix(PATH).filter(|name| !name.is_empty() && !name.contains('/'))
}

/// The resource of hooks.
pub(crate) fn resource() -> &'static Resource {
    deliver::resource("hooks")
}

impl Default for Hooks {
    fn default() -> Hooks {
        Hooks {
            state: Mutex::default(),
            places: Semaphore::new(limits::PLACES),
            due: Queue::default(),
            dirty: Queue::default(),
        }
    }
}

impl Hooks {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Slows a source down that comes too often, and finds a place among those that are read. Comes before anything of a
    /// request is read.
    ///
    /// # Errors
    /// 429.
    pub fn admit(&self, ctx: &Ctx, source: Option<IpAddr>) -> Result<SemaphorePermit<'_>, ApiError> {
        let source = source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let taken = self.lock().sources.take(source, SOURCE_RATE, Instant::now());
        taken.map_err(|wait| {
            count(ctx, "too_many");
            tracing::debug!(%source, "a source calls hooks too often");
            busy(wait)
        })?;
        self.places.try_acquire().map_err(|_| {
            count(ctx, "too_many");
            busy(Duration::ZERO)
        })
    }
}

fn busy(wait: Duration) -> ApiError {
    let seconds = i32::try_from(wait.as_secs()).unwrap_or(i32::MAX).saturating_add(1);
    ApiError::too_many_requests("this hook is called too often", seconds)
}

fn count(ctx: &Ctx, outcome: &str) {
    ctx.metrics.hooks.get_or_create(&OutcomeLabels { outcome: outcome.to_owned() }).inc();
}

/// Refuses a request whose body was too large or did not come.
pub fn unread(ctx: &Ctx, asked: &Asked<'_>, error: ApiError) -> ApiError {
    let outcome = if error.code() == 413 { "too_large" } else { "unreadable" };
    refuse(ctx, asked, outcome, &error);
    error
}

/// Answers a call with its body.
///
/// # Errors
/// 401, 404, 409 for a repeat, 400 for a body that is not the sender's, 429.
pub fn answer(ctx: &Ctx, asked: &Asked<'_>, body: &[u8]) -> Result<Value, ApiError> {
    match take(ctx, asked, body) {
        Ok((mentions, due)) => {
            count(ctx, "accepted");
            tracing::info!(hook = asked.name, source = ?asked.source, mentions, due, "a hook was called");
            let message = format!("{mentions} images named, {due} streams to look at");
            note(ctx, asked, "accepted", message, GATHER);
            Ok(json!({"accepted": true, "images": mentions, "streams": due}))
        }
        Err(Refused(outcome, error)) => {
            refuse(ctx, asked, outcome, &error);
            Err(error)
        }
    }
}

fn refuse(ctx: &Ctx, asked: &Asked<'_>, outcome: &'static str, error: &ApiError) {
    count(ctx, outcome);
    tracing::warn!(hook = asked.name, source = ?asked.source, outcome, %error, "a call of a hook was refused");
    let exists = ctx.cache.snapshot().get(&resource().key("", asked.name)).is_some();
    if exists {
        note(ctx, asked, outcome, error.0.message.clone(), GATHER_REFUSED);
    }
}

fn take(ctx: &Ctx, asked: &Asked<'_>, body: &[u8]) -> Result<(usize, usize), Refused> {
    let of = GroupResource::new(resource().group, resource().plural);
    let found = load_entry::<Plain>(ctx, &resource().key("", asked.name));
    let hook = found.map_err(|error| Refused("broken", error))?;
    let hook = hook.ok_or_else(|| Refused("unknown", ApiError::not_found(of, asked.name)))?.object;
    let spec = hook.fields.get("spec").cloned().unwrap_or_default();
    let broken =
        |why: String| Refused("broken", ApiError::unavailable(format!("the hook cannot be used: {why}")));
    let sender =
        Sender::named(text(&spec, "type")).ok_or_else(|| broken("its type is unknown".to_owned()))?;
    let secret = secret(ctx, &spec).map_err(broken)?;
    let now = ctx.clock.timestamp().as_second();
    let proved = sender.verify(asked.headers, asked.query, body, &secret, now);
    let mut ids =
        proved.map_err(|why| Refused("unproved", ApiError::new(401, "Unauthorized", why.to_string())))?;
    let said = mention::read(sender, body, text(&spec, "registry"));
    let said = said.map_err(|why| Refused("malformed", ApiError::bad_request(why)))?;
    ids.extend(said.ids);
    let mut state = ctx.hooks.lock();
    let calls = state.hooks.entry(asked.name.to_owned()).or_insert_with(Calls::new);
    calls.bucket.take(HOOK_RATE, Instant::now()).map_err(|wait| Refused("too_many", busy(wait)))?;
    if calls.memory.repeats(&ids) {
        let repeat = ApiError::conflict(of, asked.name, "this request was here before");
        return Err(Refused("repeat", repeat));
    }
    let mut wanted = BTreeMap::new();
    for mention in &said.mentions {
        state.index.wanted(mention, &mut wanted);
    }
    let (due, at, hook) = (wanted.len(), Instant::now(), Arc::<str>::from(asked.name));
    for (stream, tags) in wanted {
        let key = (stream, Arc::clone(&hook));
        let told = state.wanted.entry(key.clone()).or_insert_with(|| Told { tags: Wanted::new(), at });
        told.tags.extend(tags);
        told.at = at;
        ctx.hooks.due.add(key);
    }
    Ok((said.mentions.len(), due))
}

fn secret(ctx: &Ctx, spec: &Value) -> Result<Vec<u8>, String> {
    let reference = spec.get("secretRef").unwrap_or(&Value::Null);
    let secret = deliver::secret(ctx, text(reference, "namespace"), reference)?;
    if secret.len() < SECRET {
        return Err(format!("its secret is shorter than {SECRET} bytes"));
    }
    Ok(secret)
}

/// Remembers a request for the hook's status.
fn note(ctx: &Ctx, asked: &Asked<'_>, outcome: &str, message: String, gather: Duration) {
    let call = Call {
        time: ctx.clock.now(),
        source: asked.source.map(|source| source.to_string()).unwrap_or_default(),
        outcome: outcome.to_owned(),
        message,
    };
    let mut state = ctx.hooks.lock();
    let calls = state.hooks.entry(asked.name.to_owned()).or_insert_with(Calls::new);
    match outcome {
        "accepted" => calls.accepted += 1,
        _ => calls.refused += 1,
    }
    calls.recent.push_front(call);
    calls.recent.truncate(SHOWN);
    drop(state);
    ctx.hooks.dirty.add_at(asked.name.to_owned(), Instant::now() + gather);
}

impl Calls {
    fn new() -> Calls {
        Calls {
            bucket: Bucket::new(HOOK_RATE, Instant::now()),
            memory: Memory::default(),
            recent: VecDeque::new(),
            accepted: 0,
            refused: 0,
        }
    }
}
