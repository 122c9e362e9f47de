//! Start and stop: from settings to a server that answers, and back in order.
//!
//! A start opens the store (and with it takes the data directory), reads or makes the certificate authority, binds, fills
//! the cache, starts the controllers and only then announces itself. A stop closes the listeners, lets requests in flight
//! end, tells watches and controllers to end, and closes the store last: what was acknowledged is there.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use oci::client::{WebSettings, WebTransport};
use rustls::server::WebPkiClientVerifier;
use store::Store;
use store::cache::CacheLimits;
use store::embedded::{Embedded, OpenError, Options};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use crate::audit::Audit;
use crate::auth::oauth::Login;
use crate::auth::{Authenticator, Authorizer, FrontProxy, Groups, Oidc, Signer};
use crate::bootstrap::{self, Files};
use crate::clock::Clock;
use crate::context::{Context, Ctx};
use crate::control::Timetable;
use crate::fairness::InFlight;
use crate::listen::{self, TlsSettings, Traffic};
use crate::metrics::Metrics;
use crate::pipeline::Pipeline;
use crate::pki::{Authority, PkiError};
use crate::random::Random;
use crate::settings::Settings;
use crate::stored::{Cache, Renderer};
use crate::tasks::Tasks;
use crate::trigger::cluster::Cluster;
use crate::{auth, configuration, import, limits, namespaces, pki, registry, resource, surroundings};

/// Why a server does not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store gave up while the server ran.
    #[error("the store has failed and nothing more can be written safely: {0}")]
    StoreFailed(String),
    /// The cache cannot be filled.
    #[error("the stored objects cannot be read: {0}")]
    Cache(#[from] store::ReadError),
    /// Certificates or the first files cannot be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// An address cannot be bound.
    #[error("cannot listen on {address}: {source} (choose another address with {flag})")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// The flag that sets it.
        flag: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The registry's content cannot be used.
    #[error("the registry: {0}")]
    Registry(#[source] std::io::Error),
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
    /// The audit log cannot be opened.
    #[error("the audit log cannot be opened: {0} (name another file, or \"off\", with --audit-log)")]
    Audit(#[source] std::io::Error),
    /// Other registries cannot be reached at all.
    #[error("the client for other registries: {0}")]
    Transport(String),
}

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    /// Its context.
    pub ctx: Ctx,
    /// Where the API listens.
    pub api: SocketAddr,
    /// Files for the administrator.
    pub files: Files,
    events: Arc<registry::Endpoints>,
    failed: oneshot::Receiver<String>,
}

/// The store with the news of its failure.
type Opened = (Embedded, oneshot::Receiver<String>);

/// How often the server's certificate is made anew.
const CERTIFICATE_PERIOD: Duration = Duration::from_secs(30 * 24 * 3600);

/// How often tokens whose time is over are removed.
const SWEEP_PERIOD: Duration = Duration::from_secs(3600);

/// Starts a server on its embedded store.
///
/// # Errors
/// [`ServeError`].
pub async fn start(mut settings: Settings) -> Result<Running, ServeError> {
    check(&settings)?;
    let (clock, random) = (Clock::system(), Random::system());
    pki::create_dir(&settings.data_dir)?;
    let (store, failed) = open_store(settings.data_dir.join("store"))?;
    let store: Arc<dyn Store> = Arc::new(store);
    let (listener, api) = bind(settings.listen, "--listen").await?;
    let (registry_listener, registry_address) = bind(settings.registry_listen, "--registry-listen").await?;
    name_registry(&mut settings, registry_address);
    let authority = Authority::open(&settings.data_dir.join("pki"), clock.timestamp(), &random)?;
    let files = Files::of(&settings.data_dir);
    let token = bootstrap::prepare(&files, &authority, api, clock.timestamp(), &random)?;
    let tls = tls_settings(&authority, &settings, api, &clock, &random)?;
    let authenticator = authenticator(&settings, &token)?;
    let ctx = context(settings, clock, random, store, authenticator).await?;
    namespaces::make_first(&ctx).await.map_err(|error| ServeError::Setting(error.to_string()))?;
    configuration::make_first(&ctx).await.map_err(|error| ServeError::Setting(error.to_string()))?;
    auth::rbac::defaults::reconcile(&ctx).await.map_err(|error| ServeError::Setting(error.to_string()))?;
    start_tasks(&ctx, authority, tls.clone(), api);
    let (repositories, events) = registry::open(&ctx).await.map_err(ServeError::Registry)?;
    registry::start(&ctx, &repositories, registry_listener, registry_address, tls.clone());
    let handler = Arc::new(Pipeline::new(Arc::clone(&ctx)));
    ctx.tasks.spawn("api", listen::serve(listener, Some(tls), Traffic::Messages, handler, ctx.tasks.clone()));
    bootstrap::announce(&files, api, Some(registry_address))?;
    Ok(Running { ctx, api, files, events, failed })
}

async fn bind(address: SocketAddr, flag: &'static str) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Bind { address, flag, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Where nobody gave the registry a name, its address is its name; the port may have been chosen just now. A client that
/// reaches it by its address finds that in the certificate.
fn name_registry(settings: &mut Settings, address: SocketAddr) {
    let host = &mut settings.images.internal_registry_hostname;
    if host.is_empty() || *host == settings.registry_listen.to_string() {
        *host = address.to_string();
    }
    if !address.ip().is_unspecified() && !address.ip().is_loopback() {
        settings.names.push(address.ip().to_string());
    }
}

/// Builds a context over any store; simulations use it too.
///
/// # Errors
/// [`ServeError`].
pub async fn context(
    settings: Settings,
    clock: Clock,
    random: Random,
    store: Arc<dyn Store>,
    authenticator: Authenticator,
) -> Result<Ctx, ServeError> {
    // Other registries are told who asks; that it is this very server, it alone can tell.
    let agent = format!("weir/{} ({})", env!("CARGO_PKG_VERSION"), random.uid());
    let web = WebTransport::new(WebSettings { user_agent: agent.clone(), ..WebSettings::default() })
        .map_err(|error| ServeError::Transport(error.to_string()))?;
    let addresses = settings.webhooks.addresses().map_err(ServeError::Setting)?;
    let webhooks =
        WebSettings { addresses, user_agent: "weir".to_owned(), no_proxy: true, ..Default::default() };
    let webhooks = WebTransport::new(webhooks).map_err(|error| ServeError::Transport(error.to_string()))?;
    let cluster = Cluster::open(&settings.workloads).await.map_err(ServeError::Setting)?;
    let renderer = Renderer::new(settings.images.clone());
    let cache = Cache::start(&*store, renderer, CacheLimits::default()).await?;
    let imports = import::Engine::new(&settings);
    let images = &settings.images;
    let timetable =
        Timetable::new(images.scheduled_period(), images.scheduled_pace(), &random, imports.pause());
    // Something that this server alone has, and has for ever; at its very first start it follows nothing yet.
    let timetable = match cache.snapshot().get(&resource::namespaces().key("", "default")) {
        Some(entry) => {
            let since = u64::try_from(clock.timestamp().as_millisecond()).unwrap_or(0);
            timetable.continued(&entry.object.uid, Duration::from_millis(since))
        }
        None => timetable,
    };
    let in_flight = InFlight::new(&settings.requests);
    let metrics = Metrics::default();
    let audit = Audit::start(&settings.audit, &settings.data_dir, metrics.audit_dropped.clone())
        .await
        .map_err(ServeError::Audit)?;
    Ok(Arc::new(Context {
        settings,
        clock,
        random,
        tasks: Tasks::new(),
        store,
        cache_is_current: cache.is_attached(),
        authorizer: Authorizer::new(Arc::clone(&cache)),
        groups: Groups::new(Arc::clone(&cache)),
        cache,
        failure: Arc::default(),
        storage_trouble: arc_swap::ArcSwapOption::empty(),
        transport: Arc::new(web),
        webhooks: Arc::new(webhooks),
        cluster,
        outbox: Default::default(),
        hooks: Default::default(),
        agent,
        imports,
        timetable: Arc::new(timetable),
        authenticator,
        rendered: Default::default(),
        in_flight,
        metrics,
        audit,
    }))
}

fn authenticator(settings: &Settings, admin_token: &str) -> Result<Authenticator, ServeError> {
    let signer = Signer::open(&settings.data_dir.join("pki"))?;
    let front_proxy = settings.front_proxy.as_ref().map(FrontProxy::open).transpose();
    let login = settings.login.as_ref().map(Login::open).transpose();
    let oidc = settings.oidc.as_ref().map(Oidc::open).transpose();
    Ok(Authenticator::new(
        admin_token,
        signer,
        front_proxy.map_err(ServeError::Setting)?,
        login.map_err(ServeError::Setting)?,
        oidc.map_err(ServeError::Setting)?,
    ))
}

fn check(settings: &Settings) -> Result<(), ServeError> {
    let mode = settings.images.import_mode();
    if !["Legacy", "PreserveOriginal"].contains(&mode) {
        return Err(ServeError::Setting(format!(
            "imageStreamImportMode is {mode:?}: it must be empty, \"Legacy\" or \"PreserveOriginal\""
        )));
    }
    Ok(())
}

fn open_store(dir: PathBuf) -> Result<Opened, ServeError> {
    let (fatal, failed) = oneshot::channel();
    let options = Options {
        on_fatal: Some(Box::new(move |why| drop(fatal.send(why.to_string())))),
        ..Options::default()
    };
    Ok((Embedded::open(dir, options)?, failed))
}

fn start_tasks(ctx: &Ctx, authority: Authority, tls: TlsSettings, api: SocketAddr) {
    surroundings::start_controllers(ctx);
    ctx.tasks.spawn("hooks", crate::hooks::run(Arc::clone(ctx)));
    ctx.tasks.spawn("outbox", crate::deliver::outbox::run(Arc::clone(ctx)));
    ctx.tasks.spawn("deliveries", crate::deliver::run(Arc::clone(ctx)));
    ctx.tasks.spawn("quotas", crate::admission::quota::run(Arc::clone(ctx)));
    ctx.tasks.spawn("tokens", sweep_tokens(Arc::clone(ctx)));
    if ctx.authenticator.oidc.is_some() {
        ctx.tasks.spawn("oidc", fetch_keys(Arc::clone(ctx)));
    }
    let transport = Arc::clone(&ctx.transport);
    ctx.tasks.spawn_blocking(move || transport.warm());
    let renewing = Arc::clone(ctx);
    ctx.tasks.spawn("certificates", async move { renew(renewing, authority, tls, api).await });
}

/// Keeps the keys of the other identity provider new.
async fn fetch_keys(ctx: Ctx) {
    if let Some(oidc) = &ctx.authenticator.oidc {
        oidc.run(&ctx.tasks).await;
    }
}

/// Removes tokens whose time is over, from time to time.
async fn sweep_tokens(ctx: Ctx) {
    loop {
        if let Err(error) = auth::oauth::sweep(&ctx).await {
            warn!(%error, "tokens whose time is over could not be removed");
        }
        tokio::select! {
            () = tokio::time::sleep(SWEEP_PERIOD) => {}
            () = ctx.tasks.stopping() => return,
        }
    }
}

/// Makes the server's certificate anew from time to time, so that a server that runs for years never shows an old one.
async fn renew(ctx: Ctx, authority: Authority, tls: TlsSettings, api: SocketAddr) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(CERTIFICATE_PERIOD) => {}
            () = ctx.tasks.stopping() => return,
        }
        match tls_config(&authority, &ctx.settings, api, &ctx.clock, &ctx.random) {
            Ok(config) => tls.store(Arc::new(config)),
            Err(error) => error!(%error, "the server's certificate could not be renewed"),
        }
    }
}

/// What the API's listener encrypts with: a certificate of this authority for the names of the settings; clients may
/// show certificates of the authority, too.
///
/// # Errors
/// [`ServeError`] when the certificate cannot be made.
pub fn tls_settings(
    authority: &Authority,
    settings: &Settings,
    api: SocketAddr,
    clock: &Clock,
    random: &Random,
) -> Result<TlsSettings, ServeError> {
    Ok(Arc::new(ArcSwap::from_pointee(tls_config(authority, settings, api, clock, random)?)))
}

fn tls_config(
    authority: &Authority,
    settings: &Settings,
    api: SocketAddr,
    clock: &Clock,
    random: &Random,
) -> Result<rustls::ServerConfig, ServeError> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !api.ip().is_unspecified() && !api.ip().is_loopback() {
        names.push(api.ip().to_string());
    }
    names.extend(settings.names.iter().cloned());
    let identity = authority.server(&names, clock.timestamp(), random)?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der().clone())?;
    if let Some(proxy) = &settings.front_proxy {
        let proxy = FrontProxy::open(proxy).map_err(ServeError::Setting)?;
        for authority in proxy.authorities() {
            roots.add(authority.clone())?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|error| ServeError::Setting(format!("client certificates: {error}")))?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![identity.certificate, authority.der().clone()], identity.key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

impl Running {
    /// Runs until `stop` completes or the store fails, then ends in order.
    ///
    /// # Errors
    /// [`ServeError::StoreFailed`] when the store gave up.
    pub async fn until(mut self, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        let failure = tokio::select! {
            () = stop => None,
            () = self.ctx.tasks.stopping() => None,
            why = &mut self.failed => why.ok(),
        };
        if let Some(why) = &failure {
            self.ctx.fail(why);
        }
        info!("stopping");
        self.ctx.tasks.stop();
        if failure.is_none() && !self.ctx.tasks.join(limits::DRAIN_TIME).await {
            warn!("requests were still in flight when the time to end was over");
        }
        self.events.write_down();
        if !self.ctx.audit.finish(limits::AUDIT_TIME).await {
            warn!("the last lines of the audit log could not be written in time");
        }
        if let Err(error) = std::fs::remove_file(&self.files.serving) {
            warn!(%error, path = %self.files.serving.display(), "could not remove");
        }
        match failure {
            Some(why) => Err(ServeError::StoreFailed(why)),
            None => Ok(()),
        }
    }
}
