//! What a registry's error becomes in an answer and in a tag's condition.
//!
//! Only "there is no such manifest" is told as not found. Everything that says nothing about the content is told as
//! what it is, so nobody takes an outage for a deletion.

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

/// True when a status may be due to credentials that a registry does not know, rather than to missing rights.
pub fn is_about_password(status: &Status) -> bool {
    status.reason == "Unauthorized" && status.message.to_lowercase().contains("username or password")
}

fn no_access(reference: &str) -> ApiError {
    let image = machinery::field::quote(reference);
    ApiError::new(401, "Unauthorized", format!("you may not have access to the container image {image}"))
}
