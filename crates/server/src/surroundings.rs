//! The server as imports and controllers see it: one stream and its credentials for an import, all streams for a
//! controller. Nothing here decides anything.
//!
//! Credentials for other registries come from the secrets of the stream's namespace alone. What a node or the server's
//! user keeps for pulls of their own (`/var/lib/kubelet/config.json`, `~/.docker/config.json`) is never read: whoever may
//! import into some namespace could use it otherwise.

use std::sync::Arc;

use base64::engine::general_purpose::STANDARD;
use base64::{DecodeError, Engine as _};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use machinery::image::{Image, ImageStream, ImageStreamImport};
use machinery::status::ApiError;
use machinery::time::Time;
use oci::Reference;
use oci::client::Transport;
use oci::keyring::SecretFormat;

use crate::auth::Actor;
use crate::context::Ctx;
use crate::control::{Change, StreamKey, Streams, Why};
use crate::import::registries::Registries;
use crate::import::{self, Engine, Held, Lane, PullSecret, Surroundings, Written};
use crate::ledger::Cause;
use crate::plain::Plain;
use crate::resource;
use crate::settings::ImageSettings;
use crate::stored::Loaded;
use crate::stream::{AllowedRegistries, Exempt, Transport as Scheme, Writer};
use crate::{changes, configuration, control, streams};

/// Words that mark a secret as not for pulling.
const EXCLUDED: (&str, &str) = (machinery::image::well_known::EXCLUDE_SECRET, "true");

/// The server around one import.
struct Import<'a> {
    ctx: &'a Ctx,
    actor: &'a Actor,
    namespace: &'a str,
    name: String,
    occasion: Occasion<'a>,
    dry_run: bool,
    allowed: AllowedRegistries,
}

/// What an import is due to.
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'a> {
    /// Why, for the ledger.
    pub cause: Cause,
    /// More of that, in words.
    pub reason: &'a str,
    /// Whether somebody waits.
    pub lane: Lane,
}

/// Performs an import on somebody's behalf.
///
/// # Errors
/// As [`import::run`].
pub async fn import(
    ctx: &Ctx,
    actor: &Actor,
    namespace: &str,
    request: ImageStreamImport,
    occasion: Occasion<'_>,
    dry_run: bool,
) -> Result<ImageStreamImport, ApiError> {
    let around = Import {
        ctx,
        actor,
        namespace,
        name: request.metadata.name.clone(),
        occasion,
        dry_run,
        allowed: AllowedRegistries::of(&ctx.settings.images),
    };
    let done = import::run(&around, namespace, request, occasion.lane).await;
    let outcome = match &done {
        Ok(_) => "success".to_owned(),
        Err(error) => error.reason().to_owned(),
    };
    ctx.metrics.imports.get_or_create(&crate::metrics::OutcomeLabels { outcome }).inc();
    done
}

impl Surroundings for Import<'_> {
    fn now(&self) -> Time {
        self.ctx.clock.now()
    }

    fn uid(&self) -> String {
        self.ctx.random.uid()
    }

    fn settings(&self) -> &ImageSettings {
        &self.ctx.settings.images
    }

    fn engine(&self) -> &Engine {
        &self.ctx.imports
    }

    fn transport(&self) -> &Arc<dyn Transport> {
        &self.ctx.transport
    }

    fn dry_run(&self) -> bool {
        self.dry_run
    }

    fn is_unrestricted(&self) -> bool {
        let may = |resource| {
            let group = machinery::image::GROUP;
            crate::auth::may(self.ctx, self.actor, "create", group, resource, "", "")
        };
        // The second name is singular on purpose: it is what OpenShift asks, so that only a right to everything counts.
        may("images") || may("imagestreammapping")
    }

    fn admit(&self, reference: &Reference) -> Result<(), String> {
        self.allowed.admit(reference, Scheme::Secure, &Exempt::default())
    }

    fn stream(&self, namespace: &str, name: &str) -> Result<Option<Held>, ApiError> {
        let loaded = streams::load(self.ctx, namespace, name)?;
        Ok(loaded.map(|loaded| Held { stream: loaded.object, revision: loaded.revision }))
    }

    fn image(&self, name: &str) -> Option<Image> {
        match streams::load_image(self.ctx, name) {
            Ok(found) => found.map(Loaded::into_inner),
            Err(error) => {
                tracing::error!(image = name, %error, "a stored image cannot be read");
                None
            }
        }
    }

    fn registries(&self) -> Result<Registries, ApiError> {
        configuration::registries(self.ctx)
    }

    fn pull_secrets(&self, namespace: &str) -> Result<Vec<PullSecret>, String> {
        let secrets = pull_secrets(self.ctx, namespace).into_iter();
        secrets.filter_map(|(_, secret)| secret.transpose()).collect()
    }

    fn decorate(&self, stream: &mut ImageStream) {
        crate::stream::decorate(stream, &self.ctx.settings.images);
    }

    fn write<'a>(
        &'a self,
        old: Option<&'a Held>,
        new: ImageStream,
        images: Vec<Image>,
    ) -> BoxFuture<'a, Result<Written, ApiError>> {
        Box::pin(async move {
            let old = old.map(|held| Loaded { object: Arc::clone(&held.stream), revision: held.revision });
            let write = streams::Write {
                namespace: self.namespace,
                name: &self.name,
                old: old.as_ref(),
                new,
                writer: Writer::Internal,
                images,
                cause: self.occasion.cause,
                actor: self.actor,
                reason: self.occasion.reason,
                dry_run: self.dry_run,
                request_resource: "imagestreamimports",
            };
            let written = streams::write(self.ctx, write).await?;
            Ok(Written { stream: written.stream.into_inner(), images: written.images })
        })
    }
}

/// All secrets of a namespace as far as they hold credentials for registries, by name. What is wrong with one is told
/// beside its name.
pub fn pull_secrets(ctx: &Ctx, namespace: &str) -> Vec<(String, Result<Option<PullSecret>, String>)> {
    let snapshot = ctx.cache.snapshot();
    let prefix = resource::secrets().prefix_in(namespace);
    let read = |entry: &crate::stored::Entry| {
        let secret = streams::decode::<Plain>(entry).map_err(|error| error.to_string())?;
        pull_secret(&secret.object)
    };
    snapshot.range(&prefix, None).map(|entry| (entry.key.name().to_owned(), read(entry))).collect()
}

/// A secret as far as it holds credentials for registries.
///
/// # Errors
/// When its data is no base64: then nobody can say what was meant, and nobody's import goes on without it.
fn pull_secret(secret: &Plain) -> Result<Option<PullSecret>, String> {
    let (key, value) = EXCLUDED;
    if secret.metadata.annotations.get(key).is_some_and(|held| held == value) {
        return Ok(None);
    }
    let Some(kind) = secret.fields.get("type").and_then(|kind| kind.as_str()) else { return Ok(None) };
    let Some(format) = SecretFormat::of_secret_type(kind) else { return Ok(None) };
    let data = secret.fields.get("data").and_then(|data| data.get(format.data_key()));
    let data = match data.and_then(|data| data.as_str()).map(|text| STANDARD.decode(text)) {
        None => None,
        Some(Ok(data)) => Some(data),
        Some(Err(DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _))) => {
            return Err(format!("illegal base64 data at input byte {at}"));
        }
        Some(Err(error)) => return Err(format!("illegal base64 data: {error}")),
    };
    Ok(Some(PullSecret { kind: kind.to_owned(), data }))
}

/// All streams, as controllers see them.
struct All {
    ctx: Ctx,
    actor: Actor,
    /// Who imports what hooks tell of.
    hooks: Actor,
}

impl Streams for All {
    fn all(&self) -> Vec<StreamKey> {
        let snapshot = self.ctx.cache.snapshot();
        let prefix = resource::streams().prefix();
        let entries = snapshot.range(&prefix, None);
        entries
            .map(|entry| StreamKey::new(entry.key.namespace().unwrap_or_default(), entry.key.name()))
            .collect()
    }

    fn get(&self, key: &StreamKey) -> Result<Option<Arc<ImageStream>>, ApiError> {
        Ok(streams::load(&self.ctx, &key.namespace, &key.name)?.map(|loaded| loaded.object))
    }

    fn changes(&self) -> BoxStream<'static, Change> {
        let told = |change: changes::Change| match change {
            Some(event) => {
                let key = &event.entry.key;
                Change::Stream(StreamKey::new(key.namespace().unwrap_or_default(), key.name()))
            }
            None => Change::Missed,
        };
        changes::of(&self.ctx, resource::streams()).map(told).boxed()
    }

    fn import<'a>(
        &'a self,
        key: &'a StreamKey,
        request: ImageStreamImport,
        why: Why,
    ) -> BoxFuture<'a, Result<ImageStreamImport, ApiError>> {
        Box::pin(async move {
            let (cause, lane, reason) = match why {
                Why::Spec => (Cause::Import, Lane::Background, String::new()),
                Why::Schedule { due } => (Cause::Schedule, Lane::Scheduled { due }, String::new()),
                Why::Hook { name, at } => {
                    (Cause::Hook, Lane::Told { at }, format!("told by the hook {name}"))
                }
            };
            let by = if cause == Cause::Hook { &self.hooks } else { &self.actor };
            let actor = Actor { request_id: self.ctx.random.uid(), ..by.clone() };
            let occasion = Occasion { cause, reason: &reason, lane };
            import(&self.ctx, &actor, &key.namespace, request, occasion, false).await
        })
    }
}

/// Starts the controllers.
pub fn start_controllers(ctx: &Ctx) {
    let all: Arc<dyn Streams> = Arc::new(All {
        ctx: Arc::clone(ctx),
        actor: Actor::controller("image-import-controller"),
        hooks: Actor::controller("hook-controller"),
    });
    let (streams, timetable, tasks) = (Arc::clone(&all), Arc::clone(&ctx.timetable), ctx.tasks.clone());
    ctx.tasks.spawn("import", async move { control::import::run(streams, tasks.stopping()).await });
    let tasks = ctx.tasks.clone();
    ctx.tasks
        .spawn("schedule", async move { control::schedule::run(all, timetable, tasks.stopping()).await });
    ctx.tasks.spawn("triggers", crate::trigger::run(Arc::clone(ctx)));
    if let Some(cluster) = &ctx.cluster {
        let cluster = crate::trigger::cluster::run(Arc::clone(ctx), Arc::clone(cluster));
        ctx.tasks.spawn("cluster triggers", cluster);
    }
    ctx.tasks.spawn("namespaces", crate::namespaces::run(Arc::clone(ctx)));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pull_secrets_give_their_data_or_break() {
        let check = |fields: serde_json::Value, want: Result<Option<Option<&str>>, &str>| {
            let secret: Plain = serde_json::from_value(fields.clone()).unwrap();
            let got = pull_secret(&secret)
                .map(|found| found.map(|secret| secret.data.map(|data| String::from_utf8(data).unwrap())));
            let want = want.map(|found| found.map(|data| data.map(str::to_owned)));
            assert_eq!(got, want.map_err(str::to_owned), "{fields}");
        };
        let json_type = "kubernetes.io/dockerconfigjson";
        let with = |data: serde_json::Value| json!({"type": json_type, "data": data});
        check(with(json!({".dockerconfigjson": "e30="})), Ok(Some(Some("{}"))));
        check(with(json!({".dockercfg": "e30="})), Ok(Some(None)));
        check(with(json!(null)), Ok(Some(None)));
        check(with(json!({".dockerconfigjson": "e3!="})), Err("illegal base64 data at input byte 2"));
        check(
            json!({"type": "kubernetes.io/dockercfg", "data": {".dockercfg": "e30="}}),
            Ok(Some(Some("{}"))),
        );
        check(json!({"type": "Opaque", "data": {".dockercfg": "%"}}), Ok(None));
        check(json!({"data": {".dockercfg": "%"}}), Ok(None));
        let excluded = json!({"metadata": {"annotations": {EXCLUDED.0: "true"}}, "type": json_type, "data": {".dockerconfigjson": "%"}});
        check(excluded, Ok(None));
    }
}
