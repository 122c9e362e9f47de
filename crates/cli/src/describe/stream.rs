//! An image stream: its header, then what each tag follows and what it pointed at.

use std::collections::{BTreeMap, BTreeSet};

use machinery::image::{ImageStream, TagEvent, TagReference, well_known};
use machinery::time::Time;

use super::Sheet;
use crate::human;
use crate::streams::{follow, prioritize};
use crate::tabs::{Layout, align};

/// What is known of a tag's next import, in a line.
pub(crate) type Tries = BTreeMap<String, String>;

/// The text of a stream.
pub(crate) fn stream(stream: &ImageStream, tries: &Tries, now: Time) -> String {
    let mut sheet = Sheet::default();
    sheet.meta(&stream.metadata, now);
    sheet.map("Labels", &stream.metadata.labels);
    sheet.annotations(&stream.metadata.annotations);
    let status = &stream.status;
    let public = &status.public_docker_image_repository;
    sheet.row("Image Repository", if public.is_empty() { &status.docker_image_repository } else { public });
    sheet.raw("Image Lookup", &format!("local={}", stream.spec.lookup_policy.local));
    tags(&mut sheet, stream, tries, now);
    align(&sheet.0, Layout::DESCRIBE)
}

fn tags(sheet: &mut Sheet, stream: &ImageStream, tries: &Tries, now: Time) {
    let names: BTreeSet<&str> = stream
        .status
        .tags
        .iter()
        .map(|tag| tag.tag.as_str())
        .chain(stream.spec.tags.iter().map(|tag| tag.name.as_str()))
        .collect();
    if names.is_empty() {
        return sheet.raw("Tags", "<none>");
    }
    sheet.raw("Unique Images", &unique_images(stream).to_string());
    sheet.raw("Tags", &names.len().to_string());
    let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    prioritize(&mut names);
    let mut aliases: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut hidden: BTreeSet<String> = BTreeSet::new();
    for name in &names {
        if let Ok(found) = follow(stream, name)
            && found.hops
        {
            aliases.entry(found.tag).or_default().push(name.clone());
            hidden.insert(name.clone());
        }
    }
    for name in names.iter().filter(|name| !hidden.contains(*name)) {
        sheet.line("");
        match aliases.get(name) {
            Some(others) => sheet.line(&format!("{name} ({})", others.join(", "))),
            None => sheet.line(name),
        }
        section(sheet, stream, name, tries.get(name), now);
    }
}

/// Distinct images; all that have only a reference count as one.
fn unique_images(stream: &ImageStream) -> usize {
    let images: BTreeSet<&str> = stream
        .status
        .tags
        .iter()
        .flat_map(|tag| &tag.items)
        .filter(|item| !item.image.is_empty() || !item.docker_image_reference.is_empty())
        .map(|item| item.image.as_str())
        .collect();
    images.len()
}

fn section(sheet: &mut Sheet, stream: &ImageStream, name: &str, tries: Option<&String>, now: Time) {
    let spec = stream.spec.tag(name);
    let status = stream.status.tag(name);
    sheet.line(&format!("  {}", source(spec, &stream.metadata.namespace)));
    if let Some(spec) = spec {
        if spec.from.is_some() && spec.import_policy.insecure {
            sheet.line("    will use insecure HTTPS or HTTP connections");
        }
        if spec.reference_policy.r#type == well_known::LOCAL {
            sheet.line("    prefer registry pullthrough when referencing this tag");
        }
    }
    sheet.line("");
    if let Some(spec) = spec {
        notes(sheet, spec);
        if is_importing(stream, name, spec) {
            sheet.line("  ~ importing latest image ...");
        }
    }
    let Some(status) = status else { return };
    for condition in &status.conditions {
        if condition.r#type == well_known::IMPORT_SUCCESS && condition.status == "False" {
            sheet.line(&format!("  ! error: Import failed ({}): {}", condition.reason, condition.message));
            sheet.line(&format!("      {}", human::ago(now, condition.last_transition_time)));
            if let Some(tries) = tries {
                sheet.line(&format!("      {tries}"));
            }
        }
    }
    for (at, item) in status.items.iter().enumerate() {
        let marker = if at == 0 { '*' } else { ' ' };
        sheet.line(&format!("  {marker} {}", item.docker_image_reference));
        let image = if shows_image(item) { format!("\t{}", item.image) } else { String::new() };
        sheet.line(&format!("      {}{image}", human::ago(now, item.created)));
    }
}

/// An image's id is shown when the reference does not tell it.
fn shows_image(item: &TagEvent) -> bool {
    !item.image.is_empty()
        && item.docker_image_reference.split_once('@').is_none_or(|(_, digest)| digest != item.image)
}

/// What the tag follows, in words.
fn source(spec: Option<&TagReference>, namespace: &str) -> String {
    let Some(spec) = spec else { return "no spec tag".to_owned() };
    let Some(from) = &spec.from else { return "tag without source image".to_owned() };
    let name = if from.namespace.is_empty() || from.namespace == namespace {
        from.name.clone()
    } else {
        format!("{}/{}", from.namespace, from.name)
    };
    let (reference, scheduled) = (spec.reference, spec.import_policy.scheduled);
    match from.kind.as_str() {
        well_known::IMAGE_STREAM_TAG if reference => format!("reference to {name}"),
        well_known::IMAGE_STREAM_TAG if scheduled => format!("updates automatically from {name}"),
        well_known::DOCKER_IMAGE if reference => format!("reference to registry {name}"),
        well_known::DOCKER_IMAGE if scheduled => format!("updates automatically from registry {name}"),
        well_known::IMAGE_STREAM_IMAGE if reference => format!("reference to image {name}"),
        well_known::IMAGE_STREAM_TAG | well_known::DOCKER_IMAGE | well_known::IMAGE_STREAM_IMAGE => {
            format!("tagged from {name}")
        }
        kind if reference => format!("reference to {kind} {name}"),
        kind => format!("updates from {kind} {name}"),
    }
}

/// Annotations of a tag that are meant for people.
fn notes(sheet: &mut Sheet, spec: &TagReference) {
    let get = |key: &str| spec.annotations.get(key).filter(|text| !text.is_empty());
    let list = |text: &String| text.split(',').collect::<Vec<_>>().join(", ");
    let lines = [
        get("description").map(|text| format!("  {text}")),
        get("tags").map(|text| format!("  Tags: {}", list(text))),
        get("supports").map(|text| format!("  Supports: {}", list(text))),
        get("sampleRepo").map(|text| format!("  Example Repo: {text}")),
    ];
    let mut any = false;
    for line in lines.into_iter().flatten() {
        sheet.line(&line);
        any = true;
    }
    if any {
        sheet.line("");
    }
}

/// The spec is newer than everything an import said so far.
fn is_importing(stream: &ImageStream, name: &str, spec: &TagReference) -> bool {
    let Some(generation) = spec.generation.filter(|_| spec.from.is_some() && !spec.reference) else {
        return false;
    };
    let observed = stream.status.tag(name).map_or(0, |tag| {
        let item = tag.items.first().map_or(0, |item| item.generation);
        let condition = tag
            .conditions
            .iter()
            .find(|c| c.r#type == well_known::IMPORT_SUCCESS)
            .map_or(0, |c| c.generation);
        item.max(condition)
    });
    generation > observed
}
