//! `describe`: objects in detail, for people.

use machinery::image::ImageStream;
use machinery::time::Time;
use serde_json::Value;

use crate::app::App;
use crate::client::{Call, JSON, JSON_OR_ANY, segment};
use crate::describe;
use crate::failure::{Failure, plain};
use crate::flags::FileFlags;
use crate::golang::{items_at, text_at};
use crate::human;
use crate::select::{Info, Narrow, Target, read};

/// `describe TYPE [NAME…]`, `describe TYPE/NAME…`, `describe -f FILE`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// TYPE [NAME…] or TYPE/NAME…; a NAME that does not exist means all that begin with it
    args: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    /// Objects of all projects
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only objects with these labels
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// Objects to ask for at a time; 0 for all
    #[arg(long, default_value_t = crate::limits::CHUNK_SIZE)]
    chunk_size: u64,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let mut narrow = Narrow::new(args.selector.as_ref(), None, false, args.all_namespaces);
    narrow.chunk = args.chunk_size;
    let visited = app.visit(&args.args, &args.files, &narrow, true).await?;
    let single = visited.single;
    let (infos, mut failures) = visited.split();
    if single
        && let [word, prefix] = args.args.as_slice()
        && failures.first().is_some_and(Failure::is_not_found)
    {
        let original = failures.remove(0);
        return by_prefix(app, word, prefix, &narrow, original).await;
    }
    let mut text = String::new();
    for info in &infos {
        let namespace = if info.namespace.is_empty() { app.namespace() } else { &info.namespace };
        match fresh(app, info, namespace).await {
            Ok(block) => {
                if !text.is_empty() {
                    text.push_str("\n\n");
                }
                text.push_str(&block);
            }
            Err(error) => failures.push(error),
        }
    }
    if infos.is_empty() && failures.is_empty() {
        app.io.complain(&if args.all_namespaces {
            "No resources found".to_owned()
        } else {
            format!("No resources found in {} namespace.", app.namespace())
        });
    }
    app.io.print(&text)?;
    Failure::gather(failures)
}

/// The text of an object as it is now: lists may hold less than the object itself.
async fn fresh(app: &App, info: &Info, namespace: &str) -> Result<String, Failure> {
    let path = info.resource.object(namespace, &info.name)?;
    let object = app.api().await?.document(Call::get(path, JSON_OR_ANY)).await?;
    let tries = tries(app, info, namespace, &object).await;
    let mut text = describe::object(&info.resource, &object, &tries, app.now())?;
    if let Some(more) = beside(app, info, namespace, &object).await? {
        text.push_str(&more);
    }
    Ok(text)
}

/// When the failed imports of a stream are tried again, where the server does so by itself and says it. A first failure is
/// news enough.
async fn tries(app: &App, info: &Info, namespace: &str, object: &Value) -> describe::Tries {
    let failed = |tag: &Value| {
        items_at(tag, &["conditions"]).iter().any(|condition| text_at(condition, &["status"]) == "False")
    };
    let is_stream = info.resource.kind == "ImageStream";
    if !is_stream || !items_at(object, &["status", "tags"]).iter().any(failed) {
        return describe::Tries::new();
    }
    let root = format!("/apis/weir.dev/v1alpha1/namespaces/{}/imagestreams", segment(namespace));
    let call = Call::get(format!("{root}/{}/follows", segment(&info.name)), JSON);
    // Other servers do not have it, and not everybody may see it.
    let Ok(api) = app.api().await else { return describe::Tries::new() };
    let Ok(list) = api.document(call).await else { return describe::Tries::new() };
    let line = |item: &Value| {
        let failures = item.get("failures").and_then(Value::as_i64).filter(|failures| *failures > 1)?;
        let next: Time = serde_json::from_value(item.get("nextTry")?.clone()).ok()?;
        let wait = next.seconds_since(app.now());
        let when =
            if wait < 1 { "now".to_owned() } else { format!("in {}", human::wordy(wait).to_lowercase()) };
        Some((text_at(item, &["tag"]).to_owned(), format!("tried {failures} times, again {when}")))
    };
    items_at(&list, &["items"]).iter().filter_map(line).collect()
}

/// What is kept beside the image of a tag or image in a stream. Who may not read the stream, or came when it had gone, is
/// told of the image alone.
async fn beside(app: &App, info: &Info, namespace: &str, object: &Value) -> Result<Option<String>, Failure> {
    if !matches!(info.resource.kind.as_str(), "ImageStreamTag" | "ImageStreamImage") {
        return Ok(None);
    }
    let stream = info.name.split([':', '@']).next().unwrap_or_default();
    let project = format!("/apis/{}/v1/namespaces/{}", machinery::image::GROUP, segment(namespace));
    let call = Call::get(format!("{project}/imagestreams/{}", segment(stream)), JSON_OR_ANY);
    let found = match app.api().await?.document(call).await {
        Ok(found) => found,
        Err(error) if error.is_not_found() || error.is_forbidden() => return Ok(None),
        Err(error) => return Err(error),
    };
    let stream: ImageStream = serde_json::from_value(found)
        .map_err(|error| plain(format!("unable to read the server's answer: {error}")))?;
    Ok(describe::attached(&stream, text_at(object, &["image", "metadata", "name"]), app.now()))
}

/// All objects whose names begin with what was asked for.
async fn by_prefix(
    app: &App,
    word: &str,
    prefix: &str,
    narrow: &Narrow,
    original: Failure,
) -> Result<(), Failure> {
    let selection = read(app.mapper().await?, &[word.to_owned()], narrow, true)?;
    let mut found = false;
    for target in selection.targets {
        let Target::All(resource) = target else { continue };
        for object in app.pages(&resource, narrow, JSON, Vec::new()).await? {
            for item in items_at(&object, &["items"]) {
                let info = Info::of(&resource, item.clone());
                if info.name.starts_with(prefix) {
                    found = true;
                    let namespace = if info.namespace.is_empty() { app.namespace() } else { &info.namespace };
                    let block = fresh(app, &info, namespace).await?;
                    app.io.line(&block)?;
                }
            }
        }
    }
    if found { Ok(()) } else { Err(original) }
}
