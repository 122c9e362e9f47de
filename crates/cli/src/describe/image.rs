//! An image: where it is, what it is made of, how it runs.

use machinery::image::{DockerConfig, DockerImage, Image, ImageSignature};
use machinery::time::Time;

use super::Sheet;
use crate::failure::{Failure, plain};
use crate::human;
use crate::tabs::{Layout, align};

/// The text of an image; `title` is what the first line names, when there is one.
///
/// # Errors
/// When the image's own metadata is missing.
pub(crate) fn image(image: &Image, title: Option<&str>, now: Time) -> Result<String, Failure> {
    let raw = &image.docker_image_metadata;
    if raw.is_zero() || raw.as_str().is_none_or(|text| text.trim() == "null") {
        return Err(plain("unable to read image metadata"));
    }
    let docker = DockerImage::decode(raw, &image.docker_image_metadata_version)
        .map_err(|error| plain(format!("unable to read image metadata: {error}")))?;
    let mut sheet = Sheet::default();
    if let Some(title) = title {
        sheet.row("Image Name", title);
    }
    sheet.row("Docker Image", &image.docker_image_reference);
    sheet.meta(&image.metadata, now);
    if !image.metadata.labels.is_empty() {
        sheet.map("Labels", &image.metadata.labels);
    }
    if !image.metadata.annotations.is_empty() {
        sheet.annotations(&image.metadata.annotations);
    }
    layers(&mut sheet, image, &docker);
    for signature in &image.signatures {
        sign(&mut sheet, signature);
    }
    sheet.row("Image Created", &human::ago(now, docker.created));
    sheet.row("Author", &docker.author);
    sheet.row("Arch", &docker.architecture);
    let manifests: Vec<String> = image
        .docker_image_manifests
        .iter()
        .map(|child| format!("{}/{}\t{}", child.os, child.architecture, child.digest))
        .collect();
    sheet.rows("Manifests", manifests.iter().map(String::as_str));
    config(&mut sheet, &docker.config.unwrap_or_default());
    Ok(align(&sheet.0, Layout::DESCRIBE))
}

fn layers(sheet: &mut Sheet, image: &Image, docker: &DockerImage) {
    let layers = &image.docker_image_layers;
    if layers.is_empty() {
        return sheet.row("Layer Size", &human::size(docker.size));
    }
    sheet.row("Image Size", &format!("{} in {} layers", human::size(docker.size), layers.len()));
    let rows: Vec<String> =
        layers.iter().map(|layer| format!("{}\t{}", human::size(layer.size), layer.name)).collect();
    sheet.rows("Layers", rows.iter().map(String::as_str));
}

fn config(sheet: &mut Sheet, config: &DockerConfig) {
    if !config.entrypoint.is_empty() {
        sheet.row("Entrypoint", &config.entrypoint.join(" "));
    }
    if !config.cmd.is_empty() || config.entrypoint.is_empty() {
        sheet.row("Command", &config.cmd.join(" "));
    }
    sheet.row("Working Dir", &config.working_dir);
    sheet.row("User", &config.user);
    let ports: Vec<&str> = config.exposed_ports.keys().map(String::as_str).collect();
    sheet.row("Exposes Ports", &ports.join(", "));
    sheet.map("Docker Labels", &config.labels);
    sheet.rows("Environment", config.env.iter().map(String::as_str));
    sheet.rows("Volumes", config.volumes.keys().map(String::as_str));
}

fn sign(sheet: &mut Sheet, signature: &ImageSignature) {
    sheet.raw("Image Signatures", " ");
    let mut row = |label: &str, value: &str| sheet.line(&format!("\t{label}:\t{value}"));
    row("Name", &signature.metadata.name);
    row("Type", &signature.r#type);
    let Some(issuer) = &signature.issued_by else {
        return row("Status", "Unverified");
    };
    row("Status", "Verified");
    row("Issued By", &issuer.entity.common_name);
    for condition in &signature.conditions {
        let at = condition.last_probe_time.to_string().replace('T', " ").replace('Z', " +0000 UTC");
        row("", &format!("Signature is {} ({} on {at})", condition.r#type, condition.message));
    }
}
