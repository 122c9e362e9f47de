//! `get -w`: what is there, then every change, until the server or the user has enough.

use serde_json::Value;

use super::get::{Wanted, typed};
use crate::app::App;
use crate::client::{Call, JSON, TABLE, target};
use crate::failure::{Failure, plain};
use crate::golang::{items_at, text_at};
use crate::print::{Printer, table};
use crate::select::Narrow;
use crate::tabs::{Layout, align_remembering};

/// What to watch and how to show it.
pub(crate) struct Plan<'a> {
    pub(crate) wanted: &'a [Wanted],
    pub(crate) narrow: &'a Narrow,
    pub(crate) printer: Option<&'a Printer>,
    pub(crate) options: &'a table::Options,
    /// `--watch-only`
    pub(crate) skip_present: bool,
    /// `--output-watch-events`
    pub(crate) events: bool,
    /// Several types were named.
    pub(crate) types: bool,
}

pub(crate) async fn run(app: &App, plan: &Plan<'_>) -> Result<(), Failure> {
    if plan.types {
        return Err(plain("you may only specify a single resource type"));
    }
    let accept = if plan.printer.is_some() { JSON } else { TABLE };
    let mut show = Show { app, plan, widths: Vec::new(), headers: true, definitions: Value::Null };
    let Some(wanted) = plan.wanted.first() else { return Ok(()) };
    let several = plan.wanted.len() > 1;
    let mut version = "0".to_owned();
    let mut rows = Vec::new();
    for wanted in plan.wanted {
        match &wanted.name {
            Some(name) => rows.push(app.get(&wanted.resource, &wanted.namespace, name, accept, &[]).await?),
            None => {
                let pages = app.pages(&wanted.resource, plan.narrow, accept, Vec::new()).await?;
                if let Some(last) = pages.last() {
                    text_at(last, &["metadata", "resourceVersion"]).clone_into(&mut version);
                }
                rows.extend(pages);
            }
        }
    }
    if !plan.skip_present || several {
        for page in rows {
            show.show("ADDED", page)?;
        }
    }
    if several {
        return Err(plain("you may only watch a single resource or type of resource at a time"));
    }
    follow(&mut show, wanted, accept, version).await
}

async fn follow(
    show: &mut Show<'_>,
    wanted: &Wanted,
    accept: &'static str,
    version: String,
) -> Result<(), Failure> {
    let plan = show.plan;
    let mut narrow = Narrow { chunk: 0, ..plan.narrow.clone() };
    let mut version = version;
    if let Some(name) = &wanted.name {
        narrow.field = Some(format!("metadata.name={name}"));
        "0".clone_into(&mut version);
    }
    let mut query = narrow.query();
    query.push(("resourceVersion", version));
    query.push(("watch", "true".to_owned()));
    let namespace = (!plan.narrow.all_namespaces).then_some(wanted.namespace.as_str());
    let path = target(&wanted.resource.collection(namespace), &query);
    let mut lines = show.app.api().await?.stream(Call::get(path, accept)).await?;
    // A watch from the beginning repeats what is there, which was shown already.
    let mut repeats = wanted.name.is_some();
    while let Some(line) = lines.next().await {
        let event: Value = serde_json::from_slice(&line)
            .map_err(|error| plain(format!("unable to decode an event: {error}")))?;
        let kind = text_at(&event, &["type"]).to_owned();
        match kind.as_str() {
            "BOOKMARK" => {}
            "ERROR" => {
                let status = serde_json::from_value(event["object"].clone())
                    .map_err(|error| plain(format!("unable to decode an event: {error}")))?;
                return Err(Failure::Status(Box::new(status)));
            }
            _ if repeats => repeats = false,
            _ => show.show(&kind, event["object"].clone())?,
        }
    }
    Ok(())
}

/// Prints one thing after another; columns only get wider.
struct Show<'a> {
    app: &'a App,
    plan: &'a Plan<'a>,
    widths: Vec<usize>,
    headers: bool,
    definitions: Value,
}

impl Show<'_> {
    fn show(&mut self, event: &str, page: Value) -> Result<(), Failure> {
        let resource = &self.plan.wanted[0].resource;
        if let Some(printer) = self.plan.printer {
            let items: Vec<Value> = match page.get("items") {
                Some(Value::Array(items)) => items.iter().map(|item| typed(item, resource)).collect(),
                _ => vec![page],
            };
            for item in items {
                if self.plan.events {
                    printer.print(&serde_json::json!({"type": event, "object": item}), &self.app.io)?;
                } else {
                    printer.print(&item, &self.app.io)?;
                }
            }
            return Ok(());
        }
        self.rows(event, page)
    }

    fn rows(&mut self, event: &str, mut page: Value) -> Result<(), Failure> {
        if page["kind"] == "Table" {
            if items_at(&page, &["rows"]).is_empty() {
                return Ok(());
            }
            // Later events leave the columns out.
            if items_at(&page, &["columnDefinitions"]).is_empty() {
                page["columnDefinitions"] = self.definitions.clone();
            } else {
                self.definitions = page["columnDefinitions"].clone();
            }
        }
        let headers = std::mem::take(&mut self.headers);
        let options = self.plan.options;
        let text = table::text(&page, &self.plan.wanted[0].resource, options, headers, self.app.now());
        let mut out = String::new();
        for (at, line) in text.lines().enumerate() {
            if self.plan.events {
                out.push_str(if at == 0 && headers && !options.no_headers { "EVENT" } else { event });
                out.push('\t');
            }
            out.push_str(line);
            out.push('\n');
        }
        self.app.io.print(&align_remembering(&out, Layout::TABLE, &mut self.widths))
    }
}
