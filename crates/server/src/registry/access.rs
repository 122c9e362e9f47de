//! Rights in the registry, in the words of roles: the same ones as OpenShift's registry asks for.

use ::registry::{Access, AccessError, Right, Subject};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use machinery::image::GROUP;

use crate::auth::{self, Actor};
use crate::context::Ctx;

/// The server's users and roles, as the registry asks for them.
pub(super) struct Rights {
    ctx: Ctx,
}

impl Rights {
    pub(super) fn new(ctx: Ctx) -> Rights {
        Rights { ctx }
    }
}

impl Access for Rights {
    fn subject<'a>(
        &'a self,
        token: &'a str,
        request_id: &'a str,
    ) -> BoxFuture<'a, Result<Subject, AccessError>> {
        async move {
            match auth::token_owner(&self.ctx, token, None) {
                Some(owner) => Ok(subject(owner.actor, request_id, false)),
                None => Err(AccessError::Refused),
            }
        }
        .boxed()
    }

    fn anonymous(&self, request_id: &str) -> Subject {
        subject(Actor::anonymous(), request_id, true)
    }

    fn may<'a>(&'a self, who: &'a Subject, right: Right<'a>) -> BoxFuture<'a, Result<bool, AccessError>> {
        async move { Ok(may(&self.ctx, &actor(who), right)) }.boxed()
    }
}

/// Whether somebody may do something in the registry.
pub(super) fn may(ctx: &Ctx, actor: &Actor, right: Right<'_>) -> bool {
    let tag;
    let (verb, resource, namespace, name) = match right {
        Right::Pull(repository) => ("get", "imagestreams/layers", repository.project(), repository.name()),
        Right::Push(repository) => ("update", "imagestreams/layers", repository.project(), repository.name()),
        Right::DeleteTag(repository, name) => {
            tag = format!("{}:{name}", repository.name());
            ("delete", "imagestreamtags", repository.project(), tag.as_str())
        }
        Right::DeleteContent => ("delete", "images", "", ""),
        Right::Sign(repository) => ("create", "imagesignatures", repository.project(), repository.name()),
    };
    auth::may(ctx, actor, verb, GROUP, resource, namespace, name).allowed
}

fn subject(actor: Actor, request_id: &str, anonymous: bool) -> Subject {
    Subject {
        user: actor.user,
        uid: actor.uid,
        groups: actor.groups,
        extra: actor.extra,
        anonymous,
        request_id: request_id.to_owned(),
    }
}

/// The caller as the rest of the server knows them.
pub(super) fn actor(who: &Subject) -> Actor {
    Actor {
        user: who.user.clone(),
        uid: who.uid.clone(),
        groups: who.groups.clone(),
        extra: who.extra.clone(),
        impersonator: None,
        request_id: who.request_id.clone(),
    }
}
