//! What a registry's error becomes in an answer and in a tag's condition.
//!
//! Only "there is no such manifest" is told as not found. Everything that says nothing about the content is told as
//! what it is, so nobody takes an outage for a deletion.

use std::time::Duration;

use machinery::image::GROUP;
use machinery::meta::Status;
use machinery::status::{ApiError, GroupResource};
use oci::client::RegistryError;

const DOCKER_IMAGE: GroupResource<'static> = GroupResource::new(GROUP, "dockerimage");

/// The status of a manifest that could not be had; `reference` is normalised.
pub fn manifest(error: &RegistryError, reference: &str) -> Box<Status> {
    let error = if error.is_not_found() && !error.is_unknown() {
        ApiError::not_found(DOCKER_IMAGE, reference)
    } else if error.is_unauthorized() {
        no_access(reference)
    } else if error.is_wrong_password() {
        let image = machinery::field::quote(reference);
        ApiError::new(401, "Unauthorized", format!("incorrect username or password for image {image}"))
    } else {
        ApiError::internal(&format!("{reference}: {error}"))
    };
    error.0
}

/// The status of a repository whose tags could not be listed; `reference` is as the user wrote it.
pub fn repository(error: &RegistryError, reference: &str) -> Box<Status> {
    let error = if error.is_repository_unknown() && !error.is_unknown() {
        ApiError::not_found(DOCKER_IMAGE, reference)
    } else if error.is_unauthorized() {
        no_access(reference)
    } else {
        ApiError::internal(&error.to_string())
    };
    error.0
}

/// The status of anything else that went wrong with an image.
pub fn other(message: &str) -> Box<Status> {
    ApiError::internal(message).0
}

/// The status of what was not asked for, because the registry wants no more requests for a while.
pub fn put_off(message: &str, pause: Duration) -> Box<Status> {
    let mut status = other(message);
    let seconds = i32::try_from(pause.as_secs()).unwrap_or(i32::MAX).max(1);
    status.details.get_or_insert_default().retry_after_seconds = seconds;
    status
}

/// Whether a status says that nobody was asked, so that it says nothing of what was to be asked for.
pub fn is_put_off(status: &Status) -> bool {
    pause_of(status).is_some()
}

fn pause_of(status: &Status) -> Option<Duration> {
    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// The status of an image that several places did not give, each for its own reason; what only one said is told as that.
pub fn several(mut reasons: Vec<Box<Status>>) -> Box<Status> {
    if reasons.len() == 1
        && let Some(only) = reasons.pop()
    {
        return only;
    }
    // As long as one of them was not asked, nobody knows.
    let pause = reasons.iter().filter_map(|reason| pause_of(reason)).max();
    let mut texts: Vec<&str> = Vec::with_capacity(reasons.len());
    for reason in &reasons {
        let text = cause(reason);
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    let text = match texts.as_slice() {
        [only] => (*only).to_owned(),
        _ => format!("[{}]", texts.join(", ")),
    };
    pause.map_or_else(|| other(&text), |pause| put_off(&text, pause))
}

/// What a status says, without the words that every internal error begins with.
fn cause(status: &Status) -> &str {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    match causes {
        [cause] if status.reason == "InternalError" => &cause.message,
        _ => &status.message,
    }
}

/// True when a status may be due to credentials that a registry does not know, rather than to missing rights.
pub fn is_about_password(status: &Status) -> bool {
    status.reason == "Unauthorized" && status.message.to_lowercase().contains("username or password")
}

fn no_access(reference: &str) -> ApiError {
    let image = machinery::field::quote(reference);
    ApiError::new(401, "Unauthorized", format!("you may not have access to the container image {image}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_reasons_are_told_in_one_row_and_a_single_one_as_it_is() {
        let not_found = || ApiError::not_found(DOCKER_IMAGE, "m.example/x:1").0;
        assert_eq!(several(vec![not_found()]).code, 404);
        let both = several(vec![not_found(), other("s.example/x:1: no route"), not_found()]);
        let text = "[dockerimage.image.openshift.io \"m.example/x:1\" not found, s.example/x:1: no route]";
        assert_eq!(both.message, format!("Internal error occurred: {text}"));
        assert_eq!((both.code, cause(&both)), (500, text));
        assert_eq!(several(vec![other("same"), other("same")]).message, "Internal error occurred: same");
        let unknown = several(vec![put_off("m.example/x:1: busy", Duration::from_secs(7)), not_found()]);
        assert!(is_put_off(&unknown) && !is_put_off(&both), "{unknown:?}");
    }
}
