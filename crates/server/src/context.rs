//! What every part of the server is given: settings, time, chance, store, cache, the network, tasks and metrics.
//!
//! Built once at start. Nothing here is global, so that several servers can live in one process (tests, simulations).

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use machinery::status::ApiError;
use store::{Revision, Store};

use crate::audit::Audit;
use crate::auth::{Authenticator, Authorizer, Groups};
use crate::clock::Clock;
use crate::control::Timetable;
use crate::deliver::Outbox;
use crate::fairness::InFlight;
use crate::hooks::Hooks;
use crate::import;
use crate::limits;
use crate::metrics::Metrics;
use crate::random::Random;
use crate::rendered::RenderedTags;
use crate::settings::Settings;
use crate::stored::Cache;
use crate::tasks::Tasks;
use crate::trigger::cluster::Cluster;

/// The context, shared.
pub type Ctx = Arc<Context>;

/// What every part of the server is given.
pub struct Context {
    /// What the operator set.
    pub settings: Settings,
    /// The time.
    pub clock: Clock,
    /// Chance.
    pub random: Random,
    /// Background activities.
    pub tasks: Tasks,
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// What is served.
    pub cache: Arc<Cache>,
    /// Whether a commit shows in the cache before it is acknowledged.
    pub cache_is_current: bool,
    /// Why the store has failed, if it has.
    pub failure: Arc<OnceLock<String>>,
    /// Why the registry's storage cannot be used, if it cannot.
    pub storage_trouble: ArcSwapOption<String>,
    /// Other people's registries.
    pub transport: Arc<dyn oci::client::Transport>,
    /// Receivers of events.
    pub webhooks: Arc<dyn oci::client::Transport>,
    /// Another cluster whose workloads follow tags.
    pub cluster: Option<Arc<Cluster>>,
    /// What comes from registries.
    pub hooks: Hooks,
    /// Moves that are to be told of.
    pub outbox: Outbox,
    /// What this server calls itself there.
    pub agent: String,
    /// The import engine's shared state.
    pub imports: import::Engine,
    /// When which followed tag is looked at.
    pub timetable: Arc<Timetable>,
    /// Who is who.
    pub authenticator: Authenticator,
    /// Who may do what.
    pub authorizer: Authorizer,
    /// Who is in which groups.
    pub groups: Groups,
    /// Tags that were rendered before.
    pub rendered: RenderedTags,
    /// Requests in flight.
    pub in_flight: InFlight,
    /// Counters.
    pub metrics: Metrics,
    /// Who did what.
    pub audit: Audit,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Context {
    /// Whether requests can be answered.
    ///
    /// # Errors
    /// Why not.
    pub fn health(&self) -> Result<(), String> {
        if let Some(why) = self.failure.get() {
            return Err(format!("the store has failed: {why}"));
        }
        if self.tasks.is_stopping() {
            return Err("the server is stopping".to_owned());
        }
        Ok(())
    }

    /// Whether the registry's storage can be used.
    ///
    /// # Errors
    /// Why not.
    pub fn storage(&self) -> Result<(), String> {
        match self.storage_trouble.load().as_ref() {
            Some(why) => Err(format!("the registry's storage cannot be used: {why}")),
            None => Ok(()),
        }
    }

    /// Whether requests of any kind can be answered.
    ///
    /// # Errors
    /// Why not.
    pub fn ready(&self) -> Result<(), String> {
        self.health().and_then(|()| self.storage())
    }

    /// Notes that the store has failed; the first reason stays.
    pub fn fail(&self, why: &str) {
        // A second failure is a consequence of the first.
        let _ = self.failure.set(why.to_owned());
    }

    /// Waits until the cache shows a revision that this process has just written.
    ///
    /// # Errors
    /// 503 when it does not come.
    pub async fn settle(&self, revision: Revision) -> Result<(), ApiError> {
        if self.cache_is_current {
            return Ok(());
        }
        self.cache.wait_for(revision, limits::FUTURE_VERSION_WAIT).await.map_err(|error| {
            ApiError::unavailable(format!("the write was stored, but is not visible yet: {error}"))
        })
    }
}
