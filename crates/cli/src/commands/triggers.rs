//! `triggers STREAM:TAG`: who follows a tag, what they last got, and what is wrong.

use crate::app::App;
use crate::client::{Call, JSON, segment, target};
use crate::failure::{Failure, usage};
use crate::flags::PrintFlags;
use crate::golang::{items_at, text_at};
use crate::print;
use crate::tabs::{Layout, align};

/// `triggers STREAM:TAG`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// The tag, as STREAM:TAG
    args: Vec<String>,
    #[command(flatten)]
    print: PrintFlags,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let named = match args.args.as_slice() {
        [name] => name.trim_start_matches("istag/").split_once(':'),
        _ => None,
    };
    let Some((stream, tag)) = named.filter(|(stream, tag)| !stream.is_empty() && !tag.is_empty()) else {
        return Err(usage("triggers", "exactly one STREAM:TAG is required"));
    };
    let root = format!("/apis/weir.dev/v1alpha1/namespaces/{}/imagestreams", segment(app.namespace()));
    let path = format!("{root}/{}/triggers", segment(stream));
    let call = Call::get(target(&path, &[("tag", tag.to_owned())]), JSON);
    let list = app.api().await?.document(call).await?;
    if let Some(printer) = print::printer(&args.print)? {
        return printer.print(&list, &app.io);
    }
    let items = items_at(&list, &["items"]);
    if items.is_empty() {
        app.io.complain(&format!("Nobody follows {stream}:{tag}.\n"));
        return Ok(());
    }
    let mut keys = vec!["kind", "namespace", "name", "state", "got", "error"];
    // Most servers act on their own workloads alone.
    if items.iter().any(|item| !text_at(item, &["cluster"]).is_empty()) {
        keys.insert(0, "cluster");
    }
    let mut text = format!("{}\n", keys.join("\t").to_uppercase());
    for item in items {
        let cells: Vec<&str> = keys.iter().map(|key| text_at(item, &[key])).collect();
        text.push_str(&cells.join("\t"));
        text.push('\n');
    }
    app.io.print(&align(&text, Layout::TABLE))
}
