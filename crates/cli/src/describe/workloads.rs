//! Kinds of Kubernetes and projects that people look at beside their images: secrets, roles, projects.

use base64::Engine;
use machinery::time::Time;
use serde_json::Value;

use super::{Sheet, label_rows};
use crate::golang::{at, items_at, sorted, text_at};
use crate::human;
use crate::tabs::{Layout, align};

fn head(object: &Value, namespace: bool) -> Sheet {
    let mut sheet = Sheet::default();
    sheet.raw("Name", text_at(object, &["metadata", "name"]));
    if namespace {
        sheet.raw("Namespace", text_at(object, &["metadata", "namespace"]));
    }
    label_rows(&mut sheet, "Labels", at(object, &["metadata", "labels"]));
    label_rows(&mut sheet, "Annotations", at(object, &["metadata", "annotations"]));
    sheet
}

/// A secret: sizes, never contents.
pub(super) fn secret(object: &Value) -> String {
    let mut sheet = head(object, true);
    sheet.line("");
    sheet.raw("Type", text_at(object, &["type"]));
    sheet.line("");
    sheet.line("Data");
    sheet.line("====");
    if let Some(data) = object["data"].as_object() {
        for (key, value) in sorted(data) {
            let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap_or_default());
            sheet.raw(key, &format!("{} bytes", bytes.map_or(0, |bytes| bytes.len())));
        }
    }
    align(&sheet.0, Layout::DESCRIBE_BLANKS)
}

/// Who has a role.
pub(super) fn binding(object: &Value) -> String {
    let mut sheet = head(object, false);
    sheet.line("Role:");
    sheet.raw("  Kind", text_at(object, &["roleRef", "kind"]));
    sheet.raw("  Name", text_at(object, &["roleRef", "name"]));
    sheet.line("Subjects:");
    sheet.line("  Kind\tName\tNamespace");
    sheet.line("  ----\t----\t---------");
    for subject in items_at(object, &["subjects"]) {
        let cell = |key: &str| text_at(subject, &[key]);
        sheet.line(&format!("  {}\t{}\t{}", cell("kind"), cell("name"), cell("namespace")));
    }
    align(&sheet.0, Layout::DESCRIBE_BLANKS)
}

/// What a role allows; one line a resource.
pub(super) fn role(object: &Value) -> String {
    let mut sheet = head(object, false);
    sheet.line("PolicyRule:");
    sheet.line("  Resources\tNon-Resource URLs\tResource Names\tVerbs");
    sheet.line("  ---------\t-----------------\t--------------\t-----");
    let list = |rule: &Value, key: &str| -> Vec<String> {
        items_at(rule, &[key]).iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut lines = Vec::new();
    for rule in items_at(object, &["rules"]) {
        let names = list(rule, "resourceNames").join(" ");
        let verbs = list(rule, "verbs").join(" ");
        let groups = list(rule, "apiGroups");
        for resource in list(rule, "resources") {
            for group in &groups {
                let shown = qualified(&resource, group);
                lines.push(format!("  {shown}\t[]\t[{names}]\t[{verbs}]"));
            }
        }
        for url in list(rule, "nonResourceURLs") {
            lines.push(format!("  \t[{url}]\t[{names}]\t[{verbs}]"));
        }
    }
    lines.sort();
    lines.iter().for_each(|line| sheet.line(line));
    align(&sheet.0, Layout::DESCRIBE_BLANKS)
}

/// `imagestreams.image.openshift.io/layers`: the group stands before the part.
fn qualified(resource: &str, group: &str) -> String {
    match (resource.split_once('/'), group) {
        (_, "") => resource.to_owned(),
        (Some((resource, part)), group) => format!("{resource}.{group}/{part}"),
        (None, group) => format!("{resource}.{group}"),
    }
}

/// A namespace.
pub(super) fn namespace(object: &Value) -> String {
    let mut sheet = head(object, false);
    sheet.raw("Status", text_at(object, &["status", "phase"]));
    sheet.line("");
    sheet.line("No resource quota.");
    sheet.line("");
    sheet.line("No LimitRange resource.");
    align(&sheet.0, Layout::DESCRIBE_BLANKS)
}

/// A project.
pub(super) fn project(object: &Value, now: Time) -> String {
    let mut sheet = Sheet::default();
    sheet.row("Name", text_at(object, &["metadata", "name"]));
    if let Ok(created) = text_at(object, &["metadata", "creationTimestamp"]).parse::<Time>() {
        sheet.row("Created", &human::ago(now, created));
    }
    label_rows(&mut sheet, "Labels", at(object, &["metadata", "labels"]));
    label_rows(&mut sheet, "Annotations", at(object, &["metadata", "annotations"]));
    let annotation = |key: &str| text_at(object, &["metadata", "annotations", key]).to_owned();
    sheet.row("Display Name", &annotation("openshift.io/display-name"));
    sheet.row("Description", &annotation("openshift.io/description"));
    sheet.row("Status", text_at(object, &["status", "phase"]));
    sheet.row("Node Selector", &annotation("openshift.io/node-selector"));
    sheet.row("Quota", "");
    sheet.row("Resource limits", "");
    align(&sheet.0, Layout::DESCRIBE)
}
