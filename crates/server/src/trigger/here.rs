//! The objects of this server that follow tags.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, select_all};
use futures_util::{FutureExt, StreamExt};
use machinery::status::{ApiError, GroupResource};
use store::cache::EventKind;

use super::site::{Change, Kind, ObjectKey, Site};
use super::{Follower, annotation, build};
use crate::auth::Actor;
use crate::changes;
use crate::context::Ctx;
use crate::plain::Plain;
use crate::resource::Resource;
use crate::rest;
use crate::stored::Entry;
use crate::streams::{decode, load_entry};

/// This server.
pub(super) struct Here {
    ctx: Ctx,
    actor: Arc<Actor>,
    resources: Vec<&'static Resource>,
    kinds: Vec<Kind>,
}

impl Here {
    pub(super) fn new(ctx: &Ctx) -> Here {
        Here {
            ctx: Arc::clone(ctx),
            actor: Arc::new(Actor::controller("image-trigger-controller")),
            resources: Follower::resources().map(|(resource, _)| resource).collect(),
            kinds: Follower::resources().map(|(resource, follower)| Kind::of(resource, follower)).collect(),
        }
    }

    fn resource(&self, key: &ObjectKey) -> &'static Resource {
        self.resources[key.kind]
    }
}

fn object_key(kind: usize, entry: &Entry) -> ObjectKey {
    let namespace = entry.key.namespace().unwrap_or_default().to_owned();
    ObjectKey { kind, namespace, name: entry.key.name().to_owned() }
}

/// The object, if it may follow anything: most have no annotation and need not be decoded.
fn candidate(follower: Follower, entry: &Entry) -> Option<Arc<Plain>> {
    let key = annotation::KEY.as_bytes();
    let may_follow =
        follower.has_own_fields() || entry.object.inner().windows(key.len()).any(|window| window == key);
    // What cannot be read was told of when it was taken into the cache.
    may_follow.then(|| decode::<Plain>(entry).ok()).flatten().map(|loaded| loaded.object)
}

impl Site for Here {
    fn cluster(&self) -> &str {
        ""
    }

    fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    fn changes(&self) -> BoxStream<'static, Change> {
        let each = self.resources.iter().zip(&self.kinds).enumerate().map(|(at, (resource, kind))| {
            let follower = kind.follower;
            let told = move |change: changes::Change| {
                let Some(event) = change else { return Change::Missed };
                let entry = (event.kind != EventKind::Delete).then_some(&event.entry);
                let object = entry.and_then(|entry| candidate(follower, entry));
                Change::Object(object_key(at, &event.entry), object)
            };
            changes::of(&self.ctx, resource).map(told).boxed()
        });
        select_all(each).boxed()
    }

    fn each(&self, take: &mut dyn FnMut(ObjectKey, Arc<Plain>)) {
        let snapshot = self.ctx.cache.snapshot();
        for (at, (resource, kind)) in self.resources.iter().zip(&self.kinds).enumerate() {
            for entry in snapshot.range(&resource.prefix(), None) {
                if let Some(object) = candidate(kind.follower, entry) {
                    take(object_key(at, entry), object);
                }
            }
        }
    }

    fn get(&self, key: &ObjectKey) -> Result<Option<Arc<Plain>>, ApiError> {
        let loaded = load_entry::<Plain>(&self.ctx, &self.resource(key).key(&key.namespace, &key.name))?;
        Ok(loaded.map(|loaded| loaded.object))
    }

    fn put<'a>(
        &'a self,
        key: &'a ObjectKey,
        _: &'a Plain,
        new: Plain,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        rest::put_workload(&self.ctx, &self.actor, self.resource(key), new).boxed()
    }

    fn start_build<'a>(
        &'a self,
        key: &'a ObjectKey,
        config: &'a Plain,
        request: &'a build::Request,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        async move {
            let resource = self.resource(key);
            let of = GroupResource::new(resource.group, resource.plural);
            let held = load_entry::<Plain>(&self.ctx, &resource.key(&key.namespace, &key.name))?;
            let held = held.ok_or_else(|| ApiError::not_found(of, &key.name))?;
            if held.object.metadata.resource_version != config.metadata.resource_version {
                return Err(ApiError::modified(of, &key.name));
            }
            rest::start_build(&self.ctx, &self.actor, &held, request, false).await.map(drop)
        }
        .boxed()
    }

    fn tell<'a>(
        &'a self,
        key: &'a ObjectKey,
        object: &'a Plain,
        complaint: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        rest::tell(&self.ctx, &self.actor, &self.kinds[key.kind], object, complaint).boxed()
    }
}
