//! A small server around the engine, in memory: streams behind the real door, images, secrets, one scripted network.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use machinery::image::{Image, ImageStream, ImageStreamImport};
use machinery::status::{ApiError, GroupResource};
use machinery::time::Time;
use oci::Reference;
use oci::client::Transport;
use store::Revision;
use tokio::sync::broadcast;

use super::registries::{Registries, RegistryConfig};
use super::testing::Upstream;
use super::{Engine, Held, Lane, PullSecret, Surroundings, Written};
use crate::clock::Clock;
use crate::control::{Change, StreamKey, Streams, Why};
use crate::random::Random;
use crate::settings::ImageSettings;
use crate::stream::{self, Access, AllowedRegistries, Lookup, Passage, StreamLimits, Writer};

pub(crate) const NS: &str = "ns1";

pub(crate) struct World {
    pub(crate) upstream: Arc<Upstream>,
    transport: Arc<dyn Transport>,
    engine: Engine,
    pub(crate) images: ImageSettings,
    pub(crate) limits: StreamLimits,
    pub(crate) dry_run: bool,
    clock: Clock,
    random: Random,
    streams: Mutex<BTreeMap<StreamKey, Held>>,
    stored: Mutex<BTreeMap<String, Image>>,
    pub(crate) secrets: Mutex<BTreeMap<String, PullSecret>>,
    pub(crate) registries: Mutex<RegistryConfig>,
    revision: AtomicU64,
    changes: broadcast::Sender<StreamKey>,
}

impl World {
    pub(crate) fn new() -> World {
        let upstream = Arc::new(Upstream::default());
        let transport = Arc::clone(&upstream) as Arc<dyn Transport>;
        World::over(upstream, transport)
    }

    /// A world whose network is another transport than the plain upstream.
    pub(crate) fn over(upstream: Arc<Upstream>, transport: Arc<dyn Transport>) -> World {
        World {
            upstream,
            transport,
            engine: Engine::with_background(4),
            images: ImageSettings::default(),
            limits: StreamLimits::default(),
            dry_run: false,
            clock: Clock::simulated("2026-03-01T00:00:00Z".parse().unwrap()),
            random: Random::seeded(1),
            streams: Mutex::default(),
            stored: Mutex::default(),
            secrets: Mutex::default(),
            registries: Mutex::default(),
            revision: AtomicU64::new(100),
            changes: broadcast::channel(1024).0,
        }
    }

    /// The same data behind an engine that has learnt nothing.
    pub(crate) fn restart(&mut self) {
        self.engine = Engine::with_background(4);
    }

    pub(crate) fn held(&self, name: &str) -> Option<ImageStream> {
        self.lock_streams().get(&StreamKey::new(NS, name)).map(|held| (*held.stream).clone())
    }

    pub(crate) fn forget_image(&self, digest: &str) {
        self.stored.lock().unwrap().remove(digest);
    }

    pub(crate) fn image_count(&self) -> usize {
        self.stored.lock().unwrap().len()
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Relaxed)
    }

    pub(crate) async fn import(&self, request: serde_json::Value) -> Result<ImageStreamImport, ApiError> {
        super::run(self, NS, serde_json::from_value(request).unwrap(), Lane::Interactive).await
    }

    /// Puts a stream through the door.
    pub(crate) fn pass(
        &self,
        old: Option<&Held>,
        new: ImageStream,
        writer: Writer,
    ) -> Result<ImageStream, ApiError> {
        let key = StreamKey::new(NS, &new.metadata.name);
        let now = self.clock.now();
        let passage = Passage { now, writer, settings: &self.images, lookup: &Nobody, limits: &self.limits };
        let passed = stream::pass(old.map(|old| &*old.stream), new, &passage)
            .map_err(|errors| stream::invalid(&key.name, &errors))?;
        let mut streams = self.lock_streams();
        if streams.get(&key).map(|held| held.revision) != old.map(|old| old.revision) {
            let of = GroupResource::new(machinery::image::GROUP, "imagestreamimports");
            return Err(ApiError::modified(of, &key.name));
        }
        if self.dry_run || (passed.unchanged && old.is_some()) {
            return Ok(passed.stream);
        }
        let revision = self.revision.fetch_add(1, Ordering::Relaxed) + 1;
        let mut stream = passed.stream;
        stream.metadata.resource_version = revision.to_string();
        streams.insert(key.clone(), Held { stream: Arc::new(stream.clone()), revision: Revision(revision) });
        drop(streams);
        let _ = self.changes.send(key);
        Ok(stream)
    }

    /// Changes a stream as an edit of its spec would.
    pub(crate) fn edit(&self, name: &str, change: impl FnOnce(&mut ImageStream)) {
        let held = self.lock_streams().get(&StreamKey::new(NS, name)).cloned();
        let mut stream = held.as_ref().map(|held| (*held.stream).clone()).unwrap_or_default();
        stream.metadata.name = name.to_owned();
        stream.metadata.namespace = NS.to_owned();
        change(&mut stream);
        self.pass(held.as_ref(), stream, Writer::Main).unwrap();
    }

    fn lock_streams(&self) -> std::sync::MutexGuard<'_, BTreeMap<StreamKey, Held>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Nobody;

impl Lookup for Nobody {
    fn stream(&self, _: &str, _: &str) -> Option<Arc<ImageStream>> {
        None
    }

    fn may_read(&self, _: &str, _: &str) -> Access {
        Access::default()
    }
}

impl Surroundings for World {
    fn now(&self) -> Time {
        self.clock.now()
    }

    fn uid(&self) -> String {
        self.random.uid()
    }

    fn settings(&self) -> &ImageSettings {
        &self.images
    }

    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    fn dry_run(&self) -> bool {
        self.dry_run
    }

    fn is_unrestricted(&self) -> bool {
        false
    }

    fn admit(&self, reference: &Reference) -> Result<(), String> {
        AllowedRegistries::of(&self.images).admit(
            reference,
            stream::Transport::Secure,
            &stream::Exempt::default(),
        )
    }

    fn stream(&self, namespace: &str, name: &str) -> Result<Option<Held>, ApiError> {
        Ok(self.lock_streams().get(&StreamKey::new(namespace, name)).cloned())
    }

    fn image(&self, name: &str) -> Option<Image> {
        self.stored.lock().unwrap().get(name).cloned()
    }

    fn registries(&self) -> Result<Registries, ApiError> {
        Ok(Registries::new(&self.registries.lock().unwrap()))
    }

    fn pull_secrets(&self, _: &str) -> Result<Vec<PullSecret>, String> {
        Ok(self.secrets.lock().unwrap().values().cloned().collect())
    }

    fn decorate(&self, stream: &mut ImageStream) {
        stream::decorate(stream, &self.images);
    }

    fn write<'a>(
        &'a self,
        old: Option<&'a Held>,
        new: ImageStream,
        images: Vec<Image>,
    ) -> BoxFuture<'a, Result<Written, ApiError>> {
        async move {
            let stream = self.pass(old, new, Writer::Internal)?;
            let mut stored = self.stored.lock().unwrap();
            let mut written = Vec::new();
            for mut image in images {
                let known = stored.get(&image.metadata.name).cloned();
                let new = known.is_none();
                if new {
                    image.metadata.uid = self.random.uid();
                    image.metadata.creation_timestamp = self.now();
                    if !self.dry_run {
                        stored.insert(image.metadata.name.clone(), image.clone());
                    }
                }
                written.push((known.unwrap_or(image), new));
            }
            Ok(Written { stream, images: written })
        }
        .boxed()
    }
}

impl Streams for World {
    fn all(&self) -> Vec<StreamKey> {
        self.lock_streams().keys().cloned().collect()
    }

    fn get(&self, key: &StreamKey) -> Result<Option<Arc<ImageStream>>, ApiError> {
        Ok(self.lock_streams().get(key).map(|held| held.stream.clone()))
    }

    fn changes(&self) -> BoxStream<'static, Change> {
        let receiver = self.changes.subscribe();
        futures_util::stream::unfold(receiver, |mut receiver| async move {
            let change = match receiver.recv().await {
                Ok(key) => Change::Stream(key),
                Err(broadcast::error::RecvError::Lagged(_)) => Change::Missed,
                Err(broadcast::error::RecvError::Closed) => return None,
            };
            Some((change, receiver))
        })
        .boxed()
    }

    fn import<'a>(
        &'a self,
        key: &'a StreamKey,
        request: ImageStreamImport,
        why: Why,
    ) -> BoxFuture<'a, Result<ImageStreamImport, ApiError>> {
        let lane = match why {
            Why::Spec => Lane::Background,
            Why::Schedule { due } => Lane::Scheduled { due },
            Why::Hook { at, .. } => Lane::Told { at },
        };
        async move { super::run(self, &key.namespace, request, lane).await }.boxed()
    }
}
