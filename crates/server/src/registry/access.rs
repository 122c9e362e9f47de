//! Rights in the registry, in the words of roles: the same ones as OpenShift's registry asks for.

use std::sync::Arc;

use ::registry::{Access, AccessError, Origin, Right, Subject};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use machinery::image::GROUP;
use machinery::status::ApiError;

use crate::auth::{self, Actor};
use crate::context::Ctx;

/// Whom tokens are made for that stand for a password.
const CLIENT: &str = "weir-registry";
/// Seconds that such a token is good for: clients ask for a new one for every transfer.
const TOKEN_SECONDS: i64 = 600;

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

    fn person<'a>(
        &'a self,
        user: &'a str,
        password: &'a str,
        origin: &'a Origin,
    ) -> BoxFuture<'a, Result<Subject, AccessError>> {
        async move {
            let found = auth::oauth::password_owner(&self.ctx, origin.address, user, password).await;
            match found.map_err(|error| told(&error))? {
                Some(actor) => Ok(subject(actor, &origin.request_id, false)),
                None => Err(AccessError::Refused),
            }
        }
        .boxed()
    }

    fn token_for<'a>(&'a self, who: &'a Subject) -> BoxFuture<'a, Result<(String, u64), AccessError>> {
        async move {
            let made = auth::oauth::short_token(&self.ctx, CLIENT, &who.user, TOKEN_SECONDS).await;
            Ok((made.map_err(|error| told(&error))?, TOKEN_SECONDS.unsigned_abs()))
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

fn told(error: &ApiError) -> AccessError {
    match error.code() {
        429 => AccessError::Guessing,
        _ => AccessError::Unavailable(error.to_string()),
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
        Right::Metrics => ("get", "registry/metrics", "", ""),
        Right::Sign(repository) => ("create", "imagesignatures", repository.project(), repository.name()),
    };
    auth::may(ctx, actor, verb, GROUP, resource, namespace, name)
}

pub(super) fn subject(actor: Actor, request_id: &str, anonymous: bool) -> Subject {
    Subject {
        user: actor.user,
        uid: actor.uid,
        groups: Arc::unwrap_or_clone(actor.groups),
        extra: Arc::unwrap_or_clone(actor.extra),
        anonymous,
        request_id: request_id.to_owned(),
    }
}

/// The caller as the rest of the server knows them.
pub(super) fn actor(who: &Subject) -> Actor {
    Actor {
        user: who.user.clone(),
        uid: who.uid.clone(),
        groups: who.groups.clone().into(),
        extra: who.extra.clone().into(),
        impersonator: None,
        request_id: who.request_id.clone(),
    }
}
