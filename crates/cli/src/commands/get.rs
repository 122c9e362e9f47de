//! `get`: one or many objects, as a table or in another format.

use clap::ArgAction;
use serde_json::Value;

use super::watch;
use crate::app::App;
use crate::client::{self, Call, JSON, JSON_OR_ANY, TABLE};
use crate::discovery::Resource;
use crate::failure::{Failure, plain};
use crate::files;
use crate::flags::{FileFlags, PrintFlags};
use crate::golang::items_at;
use crate::limits;
use crate::print::{self, Printer, table};
use crate::select::{self, Narrow, Target};
use crate::tabs::{Layout, align};

/// `get TYPE[,TYPE] [NAME…]`, `get TYPE/NAME…`, `get -f FILE`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// TYPE [NAME…] or TYPE/NAME…
    args: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    print: PrintFlags,
    /// Objects of all projects
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only objects with these labels
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// Only objects with these fields
    #[arg(long)]
    field_selector: Option<String>,
    /// Show all labels in the last column
    #[arg(long)]
    show_labels: bool,
    /// Show these labels in columns of their own
    #[arg(short = 'L', long, value_delimiter = ',', action = ArgAction::Append)]
    label_columns: Vec<String>,
    /// Show the kind in front of each name
    #[arg(long)]
    show_kind: bool,
    /// Order by a field
    #[arg(long)]
    sort_by: Option<String>,
    /// Leave out the headers
    #[arg(long)]
    no_headers: bool,
    /// Say nothing of objects that are not there
    #[arg(long)]
    ignore_not_found: bool,
    /// Objects to ask for at a time; 0 for all
    #[arg(long, default_value_t = limits::CHUNK_SIZE)]
    chunk_size: u64,
    /// Let the server make the table
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", default_value = "true", value_parser = crate::flags::truth)]
    server_print: bool,
    /// Part of the object, status for instance
    #[arg(long)]
    subresource: Option<String>,
    /// Show changes as they happen
    #[arg(short, long)]
    watch: bool,
    /// Show changes as they happen, but not what is there already
    #[arg(long)]
    watch_only: bool,
    /// Show what kind of change each one is
    #[arg(long)]
    output_watch_events: bool,
    /// Path to read from the server, and to show as it comes
    #[arg(long, value_name = "PATH")]
    raw: Option<String>,
}

/// One thing to ask the server for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) resource: Resource,
    pub(crate) namespace: String,
    /// Nothing for all.
    pub(crate) name: Option<String>,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    if let Some(path) = &args.raw {
        return args.raw(app, path).await;
    }
    if args.args.is_empty() && args.files.filename.is_empty() {
        app.io.complain(&format!(
            "You must specify the type of resource to get. Use \"{program} api-resources\" for a complete list of supported resources.\n\n",
            program = crate::PROGRAM
        ));
        return Err(crate::failure::usage(
            "get",
            format!(
                "Required resource not specified.\nUse \"{program} explain <resource>\" for a detailed description of that resource (e.g. {program} explain pods).",
                program = crate::PROGRAM
            ),
        ));
    }
    let narrow = args.narrow();
    let (wanted, single) = args.wanted(app, &narrow).await?;
    if args.watch || args.watch_only {
        let printer = args.printer()?;
        let options = args.options();
        let plan = watch::Plan {
            wanted: &wanted,
            narrow: &narrow,
            printer: printer.as_ref(),
            options: &options,
            skip_present: args.watch_only,
            events: args.output_watch_events,
            types: args.args.first().is_some_and(|word| word.contains(',')),
        };
        return watch::run(app, &plan).await;
    }
    if args.is_table() {
        tables(app, args, &narrow, wanted).await
    } else {
        objects(app, args, &narrow, wanted, single).await
    }
}

impl Args {
    /// Shows what the server answers at a path.
    async fn raw(&self, app: &App, path: &str) -> Result<(), Failure> {
        if !self.args.is_empty() || !self.files.filename.is_empty() {
            return Err(plain("arguments may not be passed when --raw is specified"));
        }
        if self.watch || self.watch_only || self.selector.is_some() || self.print.output.is_some() {
            return Err(plain(
                "--raw may not be specified with other flags that filter the server request or alter the output",
            ));
        }
        if !path.starts_with('/') {
            return Err(plain(format!("--raw must be a path, which begins with a slash: {path:?}")));
        }
        let answer = app.api().await?.call(Call::get(path, JSON_OR_ANY)).await?;
        let text = std::str::from_utf8(&answer.body)
            .map_err(|_| plain("the server's answer is no text and is not shown"))?;
        app.io.print(text)
    }

    fn narrow(&self) -> Narrow {
        let mut narrow =
            Narrow::new(self.selector.as_ref(), self.field_selector.as_ref(), false, self.all_namespaces);
        narrow.chunk = self.chunk_size;
        narrow
    }

    /// The server makes the text, not a printer.
    fn is_table(&self) -> bool {
        matches!(self.print.output.as_deref(), None | Some("" | "wide"))
            && self.print.template.as_ref().is_none_or(String::is_empty)
    }

    fn printer(&self) -> Result<Option<Printer>, Failure> {
        print::printer_for_get(&self.print, !self.no_headers)
    }

    fn options(&self) -> table::Options {
        table::Options {
            wide: self.print.output.as_deref() == Some("wide"),
            no_headers: self.no_headers,
            with_namespace: self.all_namespaces,
            with_kind: self.show_kind,
            show_labels: self.show_labels,
            label_columns: self.label_columns.clone(),
        }
    }

    async fn wanted(&self, app: &App, narrow: &Narrow) -> Result<(Vec<Wanted>, bool), Failure> {
        if !self.files.filename.is_empty() {
            let mut wanted = Vec::new();
            for info in files::read(app, &self.files).await? {
                let info = info?;
                wanted.push(Wanted {
                    resource: info.resource,
                    namespace: info.namespace,
                    name: Some(info.name),
                });
            }
            let single = wanted.len() == 1;
            return Ok((wanted, single));
        }
        let selection = select::read(app.mapper().await?, &self.args, narrow, true)?;
        let wanted = selection.targets.into_iter().map(|target| match target {
            Target::Named { resource, name } => {
                Wanted { namespace: app.namespace_of(&resource), resource, name: Some(name) }
            }
            Target::All(resource) => Wanted { namespace: app.namespace_of(&resource), resource, name: None },
        });
        Ok((wanted.collect(), selection.single))
    }

    /// What the server answers for one thing: an object, or the pages of a list.
    async fn fetch(
        &self,
        app: &App,
        narrow: &Narrow,
        wanted: &Wanted,
        accept: &'static str,
    ) -> Result<Vec<Value>, Failure> {
        let whole = accept == TABLE && self.sort_by.is_some();
        let extra = if whole { vec![("includeObject", "Object".to_owned())] } else { Vec::new() };
        match &wanted.name {
            Some(name) => {
                let mut name = name.clone();
                if let Some(part) = &self.subresource {
                    let path = format!(
                        "{}/{}",
                        wanted.resource.object(&wanted.namespace, &name)?,
                        client::segment(part)
                    );
                    name.clear();
                    let call = Call::get(client::target(&path, &extra), accept);
                    return Ok(vec![app.api().await?.document(call).await?]);
                }
                Ok(vec![app.get(&wanted.resource, &wanted.namespace, &name, accept, &extra).await?])
            }
            None => {
                // Sorting needs everything at once.
                let narrow = Narrow { chunk: if whole { 0 } else { narrow.chunk }, ..narrow.clone() };
                app.pages(&wanted.resource, &narrow, accept, extra).await
            }
        }
    }

    fn forgives(&self, error: &Failure) -> bool {
        self.ignore_not_found && error.is_not_found()
    }
}

/// Prints objects in a format.
async fn objects(
    app: &App,
    args: &Args,
    narrow: &Narrow,
    wanted: Vec<Wanted>,
    single: bool,
) -> Result<(), Failure> {
    let mut found = Vec::new();
    let mut failures = Vec::new();
    for wanted in &wanted {
        let answer = args.fetch(app, narrow, wanted, JSON).await;
        match answer {
            Ok(mut answers) if wanted.name.is_some() => found.append(&mut answers),
            Ok(pages) => {
                for page in pages {
                    if page.get("items").is_none_or(|items| !items.is_array()) {
                        found.push(page);
                        continue;
                    }
                    found
                        .extend(items_at(&page, &["items"]).iter().map(|item| typed(item, &wanted.resource)));
                }
            }
            Err(error) if args.forgives(&error) => {}
            Err(error) if single => return Err(error),
            Err(error) => failures.push(error),
        }
    }
    if found.is_empty() && args.ignore_not_found {
        return Failure::gather(failures);
    }
    // A bad template is told only when there is something to print with it.
    let Some(printer) = args.printer()? else { return Failure::gather(failures) };
    if let Some(path) = &args.sort_by {
        let items: Vec<&Value> = found.iter().collect();
        let order = print::sort::order(&items, path)?;
        found = order.into_iter().map(|at| found[at].clone()).collect();
    }
    if single && found.len() == 1 {
        printer.print(&found[0], &app.io)?;
    } else {
        printer.print(&print::list_of(&found), &app.io)?;
    }
    Failure::gather(failures)
}

/// Items of a list lack their kind; printers need it.
pub(crate) fn typed(item: &Value, resource: &Resource) -> Value {
    let mut item = item.clone();
    if let Value::Object(map) = &mut item {
        map.entry("apiVersion").or_insert_with(|| resource.group_version().into());
        map.entry("kind").or_insert_with(|| resource.kind.clone().into());
    }
    item
}

/// Prints tables, one a resource.
async fn tables(app: &App, args: &Args, narrow: &Narrow, wanted: Vec<Wanted>) -> Result<(), Failure> {
    let mut answers: Vec<(Resource, Value)> = Vec::new();
    let mut failures = Vec::new();
    let accept = if args.server_print { TABLE } else { JSON };
    for wanted in &wanted {
        match args.fetch(app, narrow, wanted, accept).await {
            Ok(pages) => answers.extend(pages.into_iter().map(|page| (wanted.resource.clone(), page))),
            Err(error) if args.forgives(&error) => {}
            Err(error) => failures.push(error),
        }
    }
    let kinds = answers.iter().any(|(resource, _)| *resource != answers[0].0);
    let mut written = false;
    let mut at = 0;
    while at < answers.len() {
        let resource = answers[at].0.clone();
        let end =
            answers[at..].iter().position(|(other, _)| *other != resource).map_or(answers.len(), |n| at + n);
        let mut options = args.options();
        options.with_kind |= kinds;
        options.with_namespace &= resource.namespaced;
        let mut text = String::new();
        for (_, page) in &answers[at..end] {
            // A field that no row has leaves no rows, as people know it.
            let Ok(page) = sorted(page, args.sort_by.as_deref()) else { continue };
            if is_empty(&page) {
                continue;
            }
            text.push_str(&table::text(&page, &resource, &options, text.is_empty(), app.now()));
        }
        if !text.is_empty() {
            let gap = if written && !args.no_headers { "\n" } else { "" };
            app.io.print(&format!("{gap}{}", align(&text, Layout::TABLE)))?;
            written = true;
        }
        at = end;
    }
    if !written && !args.ignore_not_found && failures.is_empty() {
        let namespaced = wanted.iter().all(|wanted| wanted.resource.namespaced);
        app.io.complain(&if namespaced && !args.all_namespaces {
            format!("No resources found in {} namespace.", app.namespace())
        } else {
            "No resources found".to_owned()
        });
    }
    Failure::gather(failures)
}

/// A table without rows (or a list without items) says nothing.
fn is_empty(page: &Value) -> bool {
    let rows = page.get("rows").or_else(|| page.get("items"));
    rows.is_some_and(|rows| rows.as_array().is_none_or(Vec::is_empty))
}

/// A page with its rows in the order of a field.
fn sorted(page: &Value, path: Option<&str>) -> Result<Value, Failure> {
    let Some(path) = path else { return Ok(page.clone()) };
    let mut page = page.clone();
    let key = if page["kind"] == "Table" { "rows" } else { "items" };
    let rows = items_at(&page, &[key]).to_vec();
    let objects: Vec<&Value> = rows.iter().map(|row| row.get("object").unwrap_or(row)).collect();
    let order = print::sort::order(&objects, path).map_err(|error| plain(error.to_string()))?;
    page[key] = order.into_iter().map(|at| rows[at].clone()).collect();
    Ok(page)
}

#[cfg(test)]
mod tests;
