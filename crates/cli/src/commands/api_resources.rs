//! `api-resources`: the kinds of objects a server has.

use crate::app::App;
use crate::failure::{Failure, plain};
use crate::flags::truth;
use crate::tabs::{Layout, align};

/// `api-resources`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// name or wide
    #[arg(short, long, default_value = "")]
    output: String,
    /// Only this API group
    #[arg(long)]
    api_group: Option<String>,
    /// Only kinds inside projects (false: only the others)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = truth)]
    namespaced: Option<bool>,
    /// Only kinds with all of these verbs
    #[arg(long, value_delimiter = ',')]
    verbs: Vec<String>,
    /// Only kinds with all of these categories
    #[arg(long, value_delimiter = ',')]
    categories: Vec<String>,
    /// Order by name or kind
    #[arg(long, default_value = "")]
    sort_by: String,
    /// Leave out the headers
    #[arg(long)]
    no_headers: bool,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    if !matches!(args.output.as_str(), "" | "wide" | "name") {
        return Err(plain(format!("--output {} is not available", args.output)));
    }
    let mut found: Vec<_> = app
        .mapper()
        .await?
        .resources
        .iter()
        .filter(|r| args.api_group.as_ref().is_none_or(|group| *group == r.group))
        .filter(|r| args.namespaced.is_none_or(|namespaced| namespaced == r.namespaced))
        .filter(|r| args.verbs.iter().all(|verb| r.verbs.contains(verb)))
        .filter(|r| args.categories.iter().all(|category| r.categories.contains(category)))
        .collect();
    match args.sort_by.as_str() {
        "" => found.sort_by(|a, b| (&a.group, &a.plural).cmp(&(&b.group, &b.plural))),
        "name" => found.sort_by(|a, b| a.plural.cmp(&b.plural)),
        "kind" => found.sort_by(|a, b| a.kind.cmp(&b.kind)),
        _ => return Err(plain("--sort-by accepts only name or kind")),
    }
    let mut text = String::new();
    let wide = args.output == "wide";
    if !args.no_headers && args.output != "name" {
        text.push_str("NAME\tSHORTNAMES\tAPIVERSION\tNAMESPACED\tKIND");
        text.push_str(if wide { "\tVERBS\tCATEGORIES\n" } else { "\n" });
    }
    for resource in found {
        if args.output == "name" {
            text.push_str(&format!("{}\n", resource.group_resource()));
            continue;
        }
        text.push_str(&format!(
            "{}\t{}\t{}\t{}\t{}",
            resource.plural,
            resource.short_names.join(","),
            resource.group_version(),
            resource.namespaced,
            resource.kind
        ));
        if wide {
            text.push_str(&format!("\t{}\t{}", resource.verbs.join(","), resource.categories.join(",")));
        }
        text.push('\n');
    }
    app.io.print(&align(&text, Layout::TABLE))
}
