//! The world of one life: the server on its disk, behind connections in memory, and the network beyond it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use http::{Request, Response};
use oci::client::{FaultyTransport, ResponseBody, Transport, TransportError, Trust};
use store::embedded::{Drive, Embedded, Options};
use store::sim::Faulty;

use super::Cast;
use super::client::Client;
use super::consumers::{self, Receiver};
use crate::auth::{Authenticator, Oidc};
use crate::clock::Clock;
use crate::context::{Context, Ctx};
use crate::import::testing::Upstream;
use crate::pipeline::Pipeline;
use crate::random::Random;
use crate::settings::{ImageSettings, Settings};
use crate::{deliver, namespaces, serve, surroundings};

/// The administrator's token.
pub(super) const TOKEN: &str = "simulated";
/// The host of the only registry beyond.
pub(super) const HOST: &str = "registry.sim";
/// One answer of the upstream in so many goes wrong.
const FAULT_ONE_IN: u64 = 6;

/// What is on the disk between two lives.
pub(super) struct Disk {
    seed: u64,
    image: Vec<u8>,
}

impl Disk {
    pub(super) fn empty(seed: u64) -> Disk {
        Disk { seed, image: Vec::new() }
    }

    /// Tells disks apart.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.image.hash(&mut hasher);
        hasher.finish()
    }
}

/// The registry beyond, and everything that it ever had under a name.
pub(super) struct Network {
    pub(super) upstream: Arc<Upstream>,
    /// Where events go, when anybody follows the clients' streams.
    pub(super) receiver: Option<Arc<Receiver>>,
    transport: Arc<Switched>,
    ever: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl Network {
    pub(super) fn new(seed: u64, cast: Cast) -> Network {
        let upstream = Arc::new(Upstream::default());
        let good = Arc::clone(&upstream) as Arc<dyn Transport>;
        let bad = FaultyTransport::seeded(Arc::clone(&good), seed, FAULT_ONE_IN);
        let transport = Arc::new(Switched { good, bad, faulty: Mutex::new(false) });
        let receiver = (cast == Cast::Followed).then(|| Arc::new(Receiver::new(seed)));
        Network { upstream, receiver, transport, ever: Mutex::default() }
    }

    /// Lets a tag `path:tag` of the registry point at an image of this content.
    pub(super) fn put(&self, path: &str, tag: &str, content: &str) {
        let digest = self.upstream.image(&format!("{HOST}/{path}"), tag, content);
        self.ever().entry(format!("{path}:{tag}")).or_default().insert(digest.to_string());
    }

    /// Everything that the registry ever had under `path:tag`.
    pub(super) fn had(&self, name: &str) -> BTreeSet<String> {
        self.ever().get(name).cloned().unwrap_or_default()
    }

    /// From now on answers are lost and spoilt.
    pub(super) fn begin_trouble(&self) {
        self.transport.set(true);
    }

    /// From now on everything arrives.
    pub(super) fn end_trouble(&self) {
        self.transport.set(false);
    }

    fn ever(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, BTreeSet<String>>> {
        self.ever.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transport that is faulty at times.
#[derive(Debug)]
struct Switched {
    good: Arc<dyn Transport>,
    bad: FaultyTransport,
    faulty: Mutex<bool>,
}

impl Switched {
    fn set(&self, faulty: bool) {
        *self.faulty.lock().unwrap_or_else(PoisonError::into_inner) = faulty;
    }
}

impl Transport for Switched {
    fn send(
        &self,
        request: Request<bytes::Bytes>,
        trust: Trust,
    ) -> BoxFuture<'_, Result<Response<ResponseBody>, TransportError>> {
        let faulty = *self.faulty.lock().unwrap_or_else(PoisonError::into_inner);
        if faulty { self.bad.send(request, trust) } else { self.good.send(request, trust) }
    }
}

/// A running server.
pub(super) struct World {
    ctx: Ctx,
    disk: Faulty,
    pipeline: Arc<Pipeline>,
}

impl World {
    /// Starts the server on a disk.
    pub(super) async fn start(disk: Disk, network: &Network, seed: u64) -> World {
        let fresh = disk.image.is_empty();
        let disk = Faulty::from_image(disk.seed, disk.image);
        let mut context = context(disk.clone(), seed, None).await;
        context.transport = Arc::clone(&network.transport) as Arc<dyn Transport>;
        if let Some(receiver) = &network.receiver {
            context.webhooks = Arc::clone(receiver) as Arc<dyn Transport>;
        }
        let ctx = Arc::new(context);
        namespaces::make_first(&ctx).await.unwrap();
        surroundings::start_controllers(&ctx);
        if network.receiver.is_some() {
            ctx.tasks.spawn("outbox", deliver::outbox::run(Arc::clone(&ctx)));
            ctx.tasks.spawn("deliveries", deliver::run(Arc::clone(&ctx)));
        }
        let pipeline = Arc::new(Pipeline::new(Arc::clone(&ctx)));
        let world = World { ctx, disk, pipeline };
        if fresh {
            let body =
                serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sim"}});
            let made = world.client().await.call("POST", "/api/v1/namespaces", Some(&body)).await;
            assert_eq!(made.map(|(code, _)| code), Some(201));
            if network.receiver.is_some() {
                consumers::make(&mut world.client().await).await;
            }
        }
        world
    }

    pub(super) fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    /// A connection to the API.
    pub(super) async fn client(&self) -> Client {
        Client::connect(Arc::clone(&self.pipeline), &self.ctx.tasks).await
    }

    /// Lets the power fail after so many writes and syncs of the disk.
    pub(super) fn cut_power_after(&self, steps: u64) {
        self.disk.power_off_after(steps);
    }

    pub(super) fn has_power(&self) -> bool {
        !self.disk.is_off()
    }

    /// Cuts the power, if it has not failed yet, and ends the server.
    pub(super) async fn crash(self, seed: u64) -> Disk {
        let image = self.disk.crash();
        self.ctx.tasks.stop();
        let ended = self.ctx.tasks.join(crate::limits::DRAIN_TIME).await;
        assert!(ended, "a server without a disk ends all the same");
        Disk { seed, image }
    }
}

/// A server on a disk that nobody has started yet; it may know another identity provider.
pub(crate) async fn context(disk: Faulty, seed: u64, oidc: Option<Oidc>) -> Context {
    let options = Options { drive: Drive::Inline, ..Options::default() };
    let store = Embedded::with_backend(disk, options).expect("what a power cut leaves can be opened");
    let clock = Clock::simulated("2026-03-01T00:00:00Z".parse().unwrap());
    let keys = tempfile::tempdir().unwrap();
    let signer = crate::auth::Signer::open(keys.path()).unwrap();
    let authenticator = Authenticator::new(TOKEN, signer, None, None, oidc);
    let built = serve::context(settings(), clock, Random::seeded(seed), Arc::new(store), authenticator)
        .await
        .unwrap();
    Arc::into_inner(built).expect("nobody else has the context yet")
}

fn settings() -> Settings {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    Settings {
        data_dir: std::path::PathBuf::new(),
        listen: address,
        registry_listen: address,
        names: Vec::new(),
        images: ImageSettings {
            internal_registry_hostname: "internal.sim:5000".to_owned(),
            scheduled_import_seconds: 60,
            ..ImageSettings::default()
        },
        requests: crate::settings::RequestSettings::default(),
        audit: crate::settings::AuditSettings { log: "off".to_owned(), ..Default::default() },
        login: None,
        front_proxy: None,
        registry: Default::default(),
        oidc: None,
        webhooks: Default::default(),
        workloads: Default::default(),
    }
}
