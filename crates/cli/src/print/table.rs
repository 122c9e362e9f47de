//! Tables as the server makes them, turned into aligned text.
//!
//! Columns come from the server; labels, project and kind are added here from each row's object. A server that answers
//! with plain objects instead gets a table of names and ages.

use machinery::time::Time;
use serde_json::Value;

use super::each;
use crate::discovery::Resource;
use crate::golang::{self, items_at, text_at};
use crate::human;

/// How a table is shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub(crate) wide: bool,
    pub(crate) no_headers: bool,
    pub(crate) with_namespace: bool,
    pub(crate) with_kind: bool,
    pub(crate) show_labels: bool,
    /// Labels that get a column of their own.
    pub(crate) label_columns: Vec<String>,
}

/// Text of a table before alignment: cells separated by tabs, with the headers when `headers` is set.
pub(crate) fn text(
    table: &Value,
    resource: &Resource,
    options: &Options,
    headers: bool,
    now: Time,
) -> String {
    let table = if text_at(table, &["kind"]) == "Table" { table.clone() } else { names_and_ages(table, now) };
    let definitions = items_at(&table, &["columnDefinitions"]);
    let shown: Vec<usize> = (0..definitions.len())
        .filter(|at| options.wide || definitions[*at]["priority"].as_i64().unwrap_or(0) == 0)
        .collect();
    let mut out = String::new();
    if headers && !options.no_headers {
        let mut cells = Vec::new();
        if options.with_namespace {
            cells.push("NAMESPACE".to_owned());
        }
        cells.extend(shown.iter().map(|at| text_at(&definitions[*at], &["name"]).to_uppercase()));
        cells.extend(options.label_columns.iter().map(|label| header_of(label)));
        if options.show_labels {
            cells.push("LABELS".to_owned());
        }
        push(&mut out, &cells);
    }
    for row in items_at(&table, &["rows"]) {
        let object = &row["object"];
        let values = items_at(row, &["cells"]);
        let mut cells = Vec::new();
        if options.with_namespace {
            cells.push(text_at(object, &["metadata", "namespace"]).to_owned());
        }
        for at in &shown {
            let mut cell = values.get(*at).map(cell).unwrap_or_default();
            if options.with_kind && definitions[*at]["format"] == "name" {
                cell = resource.display(&cell);
            }
            cells.push(cell);
        }
        let labels = golang::at(object, &["metadata", "labels"]);
        cells.extend(options.label_columns.iter().map(|label| text_at(labels, &[label]).to_owned()));
        if options.show_labels {
            cells.push(label_text(labels));
        }
        push(&mut out, &cells);
    }
    out
}

fn push(out: &mut String, cells: &[String]) {
    out.push_str(&cells.join("\t"));
    out.push('\n');
}

/// The header of a label's column: the name behind the last slash.
fn header_of(label: &str) -> String {
    label.rsplit('/').next().unwrap_or(label).to_uppercase()
}

/// `a=b,c=d` or `<none>`.
pub(crate) fn label_text(labels: &Value) -> String {
    match labels.as_object() {
        Some(map) if !map.is_empty() => {
            let pairs: Vec<String> = golang::sorted(map)
                .into_iter()
                .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                .collect();
            pairs.join(",")
        }
        _ => "<none>".to_owned(),
    }
}

/// The text of a cell: its first line only.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        other => golang::print(other),
    };
    let text = match text.find(['\n', '\r', '\u{c}']) {
        Some(at) => format!("{}...", &text[..at]),
        None => text,
    };
    text.replace('\t', "\\t").replace('\u{1b}', "^[")
}

/// What is shown of objects whose server makes no tables.
fn names_and_ages(object: &Value, now: Time) -> Value {
    let rows: Vec<Value> = each(object)
        .into_iter()
        .map(|item| {
            let created = text_at(item, &["metadata", "creationTimestamp"]).parse::<Time>();
            let age =
                created.map_or_else(|_| "<unknown>".to_owned(), |then| human::column(human::age(now, then)));
            serde_json::json!({"cells": [text_at(item, &["metadata", "name"]), age], "object": item})
        })
        .collect();
    serde_json::json!({
        "kind": "Table",
        "columnDefinitions": [{"name": "Name", "format": "name"}, {"name": "Age"}],
        "rows": rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::resource;
    use crate::tabs::{Layout, align};
    use serde_json::json;

    fn table() -> Value {
        json!({"kind": "Table", "columnDefinitions": [
            {"name": "Name", "format": "name", "priority": 0}, {"name": "Image Repository", "priority": 0},
            {"name": "Count", "priority": 0}, {"name": "More", "priority": 1}],
            "rows": [
                {"cells": ["app", "r/ns/app", 3, "wide"], "object": {"metadata": {"namespace": "ns", "labels": {"tier": "web", "a": "b"}}}},
                {"cells": ["b", null, null, null], "object": {"metadata": {"namespace": "ns"}}}]})
    }

    #[track_caller]
    fn check(options: &Options, want: &str) {
        let streams = resource("image.openshift.io", "imagestreams", "ImageStream", &[]);
        let text = text(&table(), &streams, options, true, Time::from_unix(0));
        assert_eq!(align(&text, Layout::TABLE), want);
    }

    #[test]
    fn empty_cells_are_padded_but_the_last() {
        check(
            &Options::default(),
            "NAME   IMAGE REPOSITORY   COUNT\napp    r/ns/app           3\nb                         \n",
        );
    }

    #[test]
    fn columns_are_added_from_the_objects() {
        check(
            &Options {
                wide: true,
                with_namespace: true,
                show_labels: true,
                label_columns: vec!["tier".into()],
                ..Options::default()
            },
            "NAMESPACE   NAME   IMAGE REPOSITORY   COUNT   MORE   TIER   LABELS\nns          app    r/ns/app           3       wide   web    a=b,tier=web\nns          b                                               <none>\n",
        );
        check(
            &Options { with_kind: true, no_headers: true, ..Options::default() },
            "imagestream.image.openshift.io/app   r/ns/app   3\nimagestream.image.openshift.io/b                \n",
        );
    }

    #[test]
    fn a_cell_shows_its_first_line() {
        assert_eq!(cell(&json!("one\ntwo")), "one...");
        assert_eq!(cell(&json!(null)), "");
        assert_eq!(cell(&json!(5)), "5");
    }

    #[test]
    fn plain_objects_get_names_and_ages() {
        let list = json!({"kind": "SecretList", "items": [{"metadata": {"name": "s", "creationTimestamp": "1970-01-01T00:00:00Z"}}]});
        let secrets = resource("", "secrets", "Secret", &[]);
        let text = text(&list, &secrets, &Options::default(), true, Time::from_unix(90));
        assert_eq!(text, "NAME\tAGE\ns\t90s\n");
    }
}
