//! An image of a registry, as a person reads it. Only what is there is shown.

use machinery::image::DockerConfig;
use machinery::time::Time;

use super::info::Found;
use crate::describe::Sheet;
use crate::human;
use crate::tabs::{Layout, align};

/// The text of one image, with an empty line behind it.
pub(super) fn text(image: &Found, asked_by_digest: bool, now: Time) -> String {
    let mut sheet = Sheet::default();
    let config = &image.config;
    sheet.raw("Name", &image.name);
    if !asked_by_digest {
        sheet.raw("Digest", &image.digest);
    }
    shown(&mut sheet, "Manifest List", &image.list_digest);
    sheet.raw("Media Type", &image.media_type);
    let created =
        config.created.as_deref().and_then(|text| text.parse::<Time>().ok()).filter(|time| !time.is_zero());
    sheet.raw(
        "Created",
        &created.map_or_else(
            || "<unknown>".to_owned(),
            |time| format!("{} ago", human::short(human::age(now, time))),
        ),
    );
    layers(&mut sheet, image);
    shown(&mut sheet, "OS", &config.os);
    shown(&mut sheet, "Arch", &config.architecture);
    shown(&mut sheet, "Author", &config.author);
    if let Some(run) = &config.config {
        running(&mut sheet, run);
    }
    align(&sheet.0, Layout::INFO) + "\n"
}

fn shown(sheet: &mut Sheet, label: &str, value: &str) {
    if !value.is_empty() {
        sheet.raw(label, value);
    }
}

fn layers(sheet: &mut Sheet, image: &Found) {
    let count = image.layers.len();
    let size = |bytes: u64| human::size(i64::try_from(bytes).unwrap_or(i64::MAX));
    let is_known = image.config.size > 0;
    sheet.raw(
        "Image Size",
        &if is_known {
            format!("{} in {count} layers", size(image.config.size))
        } else {
            format!("{count} layers (size unavailable)")
        },
    );
    let rows: Vec<String> = image
        .layers
        .iter()
        .map(|layer| {
            let size = if is_known { size(layer.size) } else { "--".to_owned() };
            format!("{size}\t{}", layer.digest)
        })
        .collect();
    sheet.rows("Layers", rows.iter().map(String::as_str));
}

fn running(sheet: &mut Sheet, run: &DockerConfig) {
    shown(sheet, "Entrypoint", &run.entrypoint.join(" "));
    shown(sheet, "Command", &run.cmd.join(" "));
    shown(sheet, "Working Dir", &run.working_dir);
    shown(sheet, "User", &run.user);
    let ports: Vec<&str> = run.exposed_ports.keys().map(String::as_str).collect();
    shown(sheet, "Exposes Ports", &ports.join(", "));
    sheet.rows("Environment", run.env.iter().map(String::as_str));
    if !run.labels.is_empty() {
        sheet.map("Labels", &run.labels);
    }
    sheet.rows("Volumes", run.volumes.keys().map(String::as_str));
}
