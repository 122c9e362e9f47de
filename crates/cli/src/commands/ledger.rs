//! `ledger STREAM[:TAG]`: the whole story of a stream's tags, newest last.

use serde_json::Value;

use crate::app::App;
use crate::client::{Call, JSON, segment, target};
use crate::failure::{Failure, usage};
use crate::flags::PrintFlags;
use crate::golang::{items_at, text_at};
use crate::print;
use crate::tabs::{Layout, align};

/// Characters of a digest that tell images apart.
const DIGEST: usize = 12;

/// `ledger STREAM[:TAG]`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// The stream, or one of its tags as STREAM:TAG
    args: Vec<String>,
    /// Moves to show, the newest
    #[arg(long, default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    print: PrintFlags,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let [name] = args.args.as_slice() else {
        return Err(usage("ledger", "exactly one STREAM or STREAM:TAG is required"));
    };
    let (stream, tag) = name.split_once(':').unwrap_or((name, ""));
    let root = format!("/apis/weir.dev/v1alpha1/namespaces/{}/imagestreams", segment(app.namespace()));
    let path = format!("{root}/{}/ledger", segment(stream));
    let mut list = all(app, &path, tag).await?;
    if let Some(items) = list["items"].as_array_mut() {
        items.drain(..items.len().saturating_sub(args.limit));
    }
    if let Some(printer) = print::printer(&args.print)? {
        return printer.print(&list, &app.io);
    }
    let items = items_at(&list, &["items"]);
    if items.is_empty() {
        app.io.complain(&format!("Nothing is known of {name}.\n"));
        return Ok(());
    }
    let mut text = "TIME\tTAG\tCAUSE\tBY\tFROM\tTO\tFIRST SEEN\tTRIGGERED\n".to_owned();
    for item in items {
        text.push_str(&line(item));
        text.push('\n');
    }
    app.io.print(&align(&text, Layout::TABLE))
}

/// All rows, page after page.
async fn all(app: &App, path: &str, tag: &str) -> Result<Value, Failure> {
    let mut gathered: Vec<Value> = Vec::new();
    let mut after = String::new();
    loop {
        let query: Vec<(&str, String)> = [("tag", tag), ("continue", &after)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key, value.to_owned()))
            .collect();
        let mut page = app.api().await?.document(Call::get(target(path, &query), JSON)).await?;
        gathered.extend(items_at(&page, &["items"]).iter().cloned());
        text_at(&page, &["metadata", "continue"]).clone_into(&mut after);
        if after.is_empty() {
            page["items"] = gathered.into();
            return Ok(page);
        }
    }
}

fn line(row: &Value) -> String {
    let place = |key: &str| {
        let image = text_at(row, &[key, "image"]);
        let name = text_at(row, &[key, "dockerImageReference"]);
        match image.strip_prefix("sha256:") {
            Some(hex) => hex.chars().take(DIGEST).collect(),
            None if !image.is_empty() => image.to_owned(),
            None if !name.is_empty() => name.to_owned(),
            None => "<none>".to_owned(),
        }
    };
    let done = items_at(row, &["triggered"]);
    let done: Vec<String> = done
        .iter()
        .map(|one| ["cluster", "kind", "name", "state"].map(|key| text_at(one, &[key])))
        .map(|[cluster, kind, name, state]| {
            let place = if cluster.is_empty() { String::new() } else { format!("{cluster}:") };
            format!("{place}{kind}/{name} {state}")
        })
        .collect();
    let (reason, cause) = (text_at(row, &["reason"]), text_at(row, &["cause"]));
    let cause = if reason.is_empty() { cause.to_owned() } else { format!("{cause} ({reason})") };
    let cells = [
        text_at(row, &["time"]).to_owned(),
        text_at(row, &["tag"]).to_owned(),
        cause,
        text_at(row, &["actor", "user"]).to_owned(),
        place("from"),
        place("to"),
        text_at(row, &["firstSeen"]).to_owned(),
        done.join(", "),
    ];
    cells.join("\t")
}
