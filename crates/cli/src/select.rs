//! Which objects a command line means: `TYPE NAME…`, `TYPE/NAME…`, `TYPE` with a selector, or files.
//!
//! Reading the words is pure; visiting what they mean asks the server. Words are refused with the sentences people know
//! from kubectl.

use serde_json::Value;

use crate::app::App;
use crate::client::{Call, JSON, target};
use crate::discovery::{Mapper, Resource};
use crate::failure::{Failure, plain};
use crate::files;
use crate::flags::FileFlags;
use crate::golang::{items_at, text_at};
use crate::limits;

/// What is asked for when neither a type nor a file is named.
pub(crate) const NO_RESOURCE: &str = "You must provide one or more resources by argument or filename.\nExample resource specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'\n   '<resource> <name>'\n   '<resource>'";

/// One thing a command line means.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// An object by name.
    Named { resource: Resource, name: String },
    /// All objects of a resource, as far as the selectors let through.
    All(Resource),
}

/// Everything a command line means.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    pub(crate) targets: Vec<Target>,
    /// Exactly one object was named.
    pub(crate) single: bool,
}

/// How lists are narrowed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Narrow {
    pub(crate) label: Option<String>,
    pub(crate) field: Option<String>,
    /// `--all`: everything, without a selector.
    pub(crate) all: bool,
    pub(crate) all_namespaces: bool,
    pub(crate) chunk: u64,
}

impl Narrow {
    /// Selectors of a command whose pages have the usual size.
    pub(crate) fn new(
        label: Option<&String>,
        field: Option<&String>,
        all: bool,
        all_namespaces: bool,
    ) -> Narrow {
        Narrow {
            label: label.filter(|text| !text.is_empty()).cloned(),
            field: field.filter(|text| !text.is_empty()).cloned(),
            all,
            all_namespaces,
            chunk: limits::CHUNK_SIZE,
        }
    }

    /// True when the command line narrows (or widens) what is listed.
    pub(crate) fn any(&self) -> bool {
        self.all || self.label.is_some() || self.field.is_some()
    }

    /// Parameters of a list.
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        let mut query = Vec::new();
        query.extend(self.field.clone().map(|field| ("fieldSelector", field)));
        query.extend(self.label.clone().map(|label| ("labelSelector", label)));
        if self.chunk > 0 {
            query.push(("limit", self.chunk.to_string()));
        }
        query
    }
}

/// An object and where it is from.
#[derive(Debug, Clone)]
pub(crate) struct Info {
    pub(crate) resource: Resource,
    /// Empty for cluster-scoped objects.
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) object: Value,
    /// The file it was read from.
    pub(crate) source: Option<String>,
}

impl Info {
    /// An object as the server sent it.
    pub(crate) fn of(resource: &Resource, object: Value) -> Info {
        Info {
            resource: resource.clone(),
            namespace: text_at(&object, &["metadata", "namespace"]).to_owned(),
            name: text_at(&object, &["metadata", "name"]).to_owned(),
            object,
            source: None,
        }
    }

    /// `imagestream.image.openshift.io/ruby`.
    pub(crate) fn display(&self) -> String {
        self.resource.display(&self.name)
    }

    /// `imagestreams/ruby`, as errors name an object.
    pub(crate) fn short(&self) -> String {
        format!("{}/{}", self.resource.plural, self.name)
    }

    /// Path of the object.
    pub(crate) fn path(&self) -> Result<String, Failure> {
        self.resource.object(&self.namespace, &self.name)
    }
}

/// Reads the words of a command line. `lists` says whether a type alone means all of its objects.
pub(crate) fn read(
    mapper: &Mapper,
    args: &[String],
    narrow: &Narrow,
    lists: bool,
) -> Result<Selection, Failure> {
    let slashes = args.iter().filter(|arg| arg.contains('/')).count();
    if slashes > 0 && slashes < args.len() {
        return Err(plain(format!(
            "there is no need to specify a resource type as a separate argument when passing arguments in \
             resource/name form (e.g. '{program} get resource/<resource_name>' instead of '{program} get resource \
             resource/<resource_name>'",
            program = crate::PROGRAM
        )));
    }
    if slashes > 0 {
        let pairs = args.iter().map(|arg| pair(arg)).collect::<Result<Vec<_>, _>>()?;
        if narrow.any() {
            return Err(plain(
                "selectors and the all flag cannot be used when passing resource/name arguments",
            ));
        }
        let targets: Result<Vec<_>, Failure> =
            pairs.iter().map(|(word, name)| named(mapper, word, name, narrow)).collect();
        return Ok(Selection { single: args.len() == 1, targets: targets? });
    }
    let Some((types, names)) = args.split_first() else {
        return Err(plain(if narrow.any() {
            "at least one resource must be specified to use a selector"
        } else {
            NO_RESOURCE
        }));
    };
    let types = types.split(',').map(|word| resources(mapper, word)).collect::<Result<Vec<_>, _>>()?.concat();
    if names.is_empty() {
        if !narrow.any() && !lists {
            return Err(plain("resource(s) were provided, but no name was specified"));
        }
        return Ok(Selection { targets: types.into_iter().map(Target::All).collect(), single: false });
    }
    if narrow.any() {
        return Err(plain("name cannot be provided when a selector is specified"));
    }
    let single = types.len() == 1 && names.len() == 1;
    let mut targets = Vec::new();
    for resource in &types {
        for name in names {
            refuse_everywhere(resource, narrow)?;
            targets.push(Target::Named { resource: resource.clone(), name: name.clone() });
        }
    }
    Ok(Selection { targets, single })
}

fn pair(arg: &str) -> Result<(&str, &str), Failure> {
    match arg.split('/').collect::<Vec<_>>().as_slice() {
        [word, name] if !word.is_empty() && !name.is_empty() && !word.contains(',') => Ok((word, name)),
        [_, _] => Err(plain("arguments in resource/name form must have a single resource and name")),
        _ => Err(plain("arguments in resource/name form may not have more than one slash")),
    }
}

fn named(mapper: &Mapper, word: &str, name: &str, narrow: &Narrow) -> Result<Target, Failure> {
    let resource = mapper.require(word)?;
    refuse_everywhere(resource, narrow)?;
    Ok(Target::Named { resource: resource.clone(), name: name.to_owned() })
}

fn refuse_everywhere(resource: &Resource, narrow: &Narrow) -> Result<(), Failure> {
    if narrow.all_namespaces && resource.namespaced {
        return Err(plain("a resource cannot be retrieved by name across all namespaces"));
    }
    Ok(())
}

fn resources(mapper: &Mapper, word: &str) -> Result<Vec<Resource>, Failure> {
    if let Some(found) = mapper.find(word) {
        return Ok(vec![found.clone()]);
    }
    let category = mapper.category(word);
    if category.is_empty() {
        return mapper.require(word).map(|found| vec![found.clone()]);
    }
    Ok(category.into_iter().cloned().collect())
}

impl App {
    /// All objects that a command line means, in its order; failures stand where their object would.
    pub(crate) async fn visit(
        &self,
        args: &[String],
        from: &FileFlags,
        narrow: &Narrow,
        lists: bool,
    ) -> Result<Visited, Failure> {
        if !from.filename.is_empty() {
            if !args.is_empty() {
                return Err(plain(
                    "when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well",
                ));
            }
            return self.visit_files(from).await;
        }
        let mapper = self.mapper().await?;
        let selection = read(mapper, args, narrow, lists)?;
        let mut found = Vec::new();
        for target in &selection.targets {
            match target {
                Target::Named { resource, name } => {
                    let namespace = self.namespace_of(resource);
                    let object = self.get(resource, &namespace, name, JSON, &[]).await;
                    found.push(object.map(|object| Info::of(resource, object)));
                }
                Target::All(resource) => match self.list(resource, narrow).await {
                    Ok(items) => found.extend(items.into_iter().map(|item| Ok(Info::of(resource, item)))),
                    Err(error) => found.push(Err(error)),
                },
            }
        }
        Ok(Visited { single: selection.single, found })
    }

    /// The objects in files, each fetched from the server.
    async fn visit_files(&self, from: &FileFlags) -> Result<Visited, Failure> {
        let mut found = Vec::new();
        for info in files::read(self, from).await? {
            found.push(match info {
                Ok(info) => match self.get(&info.resource, &info.namespace, &info.name, JSON, &[]).await {
                    Ok(object) => Ok(Info { object, ..info }),
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            });
        }
        Ok(Visited { single: found.len() == 1, found })
    }

    /// All objects of a resource, page by page.
    pub(crate) async fn list(&self, resource: &Resource, narrow: &Narrow) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        for page in self.pages(resource, narrow, JSON, Vec::new()).await? {
            let api_version = resource.group_version();
            for item in items_at(&page, &["items"]) {
                let mut item = item.clone();
                if let Value::Object(map) = &mut item {
                    map.entry("apiVersion").or_insert_with(|| api_version.clone().into());
                    map.entry("kind").or_insert_with(|| resource.kind.clone().into());
                }
                items.push(item);
            }
        }
        Ok(items)
    }

    /// The pages of a list as the server sends them.
    pub(crate) async fn pages(
        &self,
        resource: &Resource,
        narrow: &Narrow,
        accept: &'static str,
        extra: Vec<(&'static str, String)>,
    ) -> Result<Vec<Value>, Failure> {
        let api = self.api().await?;
        let namespace = (!narrow.all_namespaces).then(|| self.namespace());
        let path = resource.collection(namespace);
        let mut query = narrow.query();
        query.extend(extra);
        let mut pages = Vec::new();
        let mut more = String::new();
        loop {
            let mut query = query.clone();
            if !more.is_empty() {
                query.insert(0, ("continue", more));
            }
            let page = api.document(Call::get(target(&path, &query), accept)).await;
            let page = page.map_err(|error| explain_list(error, resource, narrow))?;
            more = text_at(&page, &["metadata", "continue"]).to_owned();
            pages.push(page);
            if more.is_empty() {
                return Ok(pages);
            }
        }
    }
}

/// Objects that a command line means, or what went wrong in their place.
#[derive(Debug)]
pub(crate) struct Visited {
    /// Exactly one object was named.
    pub(crate) single: bool,
    pub(crate) found: Vec<Result<Info, Failure>>,
}

impl Visited {
    /// Objects and failures, apart.
    pub(crate) fn split(self) -> (Vec<Info>, Vec<Failure>) {
        let mut infos = Vec::new();
        let mut failures = Vec::new();
        for item in self.found {
            match item {
                Ok(info) => infos.push(info),
                Err(failure) => failures.push(failure),
            }
        }
        (infos, failures)
    }

    /// All objects, or the failures.
    pub(crate) fn all(self) -> Result<Vec<Info>, Failure> {
        let (infos, failures) = self.split();
        Failure::gather(failures)?;
        Ok(infos)
    }
}

/// Says of a refused list what was listed.
pub(crate) fn explain_list(error: Failure, resource: &Resource, narrow: &Narrow) -> Failure {
    if !(error.is_not_found() || error.code() == 400) {
        return error;
    }
    let what = resource.described();
    let quote = |text: &Option<String>| machinery::field::quote(text.as_deref().unwrap_or_default());
    error.prefixed(&if narrow.label.is_none() && narrow.field.is_none() {
        format!("Unable to list \"{what}\": ")
    } else {
        format!(
            "Unable to find \"{what}\" that match label selector {}, field selector {}: ",
            quote(&narrow.label),
            quote(&narrow.field)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::mapper;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn show(line: &str, narrow: &Narrow) -> String {
        match read(&mapper(), &words(line), narrow, true) {
            Err(error) => error.render("weir"),
            Ok(selection) => {
                let texts: Vec<String> = selection
                    .targets
                    .iter()
                    .map(|target| match target {
                        Target::Named { resource, name } => format!("{}/{name}", resource.plural),
                        Target::All(resource) => resource.plural.clone(),
                    })
                    .collect();
                format!("{}{}", texts.join(" "), if selection.single { " !" } else { "" })
            }
        }
    }

    #[test]
    fn words_mean_objects() {
        let none = Narrow::default();
        let check = |line: &str, want: &str| assert_eq!(show(line, &none), want, "{line}");
        check("is", "imagestreams");
        check("all", "imagestreams");
        check("is,istag", "imagestreams imagestreamtags");
        check("is a", "imagestreams/a !");
        check("is a b", "imagestreams/a imagestreams/b");
        check("is a secret s", "imagestreams/a imagestreams/secret imagestreams/s");
        check("is,secret x", "imagestreams/x secrets/x");
        check("is/a secret/b", "imagestreams/a secrets/b");
        check("imagestream.image.openshift.io/w", "imagestreams/w !");
    }

    #[test]
    fn words_that_mean_nothing_are_explained() {
        let none = Narrow::default();
        let check =
            |line: &str, want: &str| assert_eq!(show(line, &none), format!("error: {want}"), "{line}");
        check("nosuch", "the server doesn't have a resource type \"nosuch\"");
        check("nosuch/a", "the server doesn't have a resource type \"nosuch\"");
        check("is/a/b", "arguments in resource/name form may not have more than one slash");
        check("is/", "arguments in resource/name form must have a single resource and name");
        check("is,istag/a", "arguments in resource/name form must have a single resource and name");
        check(
            "is/a b",
            "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. 'weir get resource/<resource_name>' instead of 'weir get resource resource/<resource_name>'",
        );
        check("", NO_RESOURCE);
    }

    #[test]
    fn selectors_and_names_exclude_each_other() {
        let narrow = Narrow::new(Some(&"a=b".to_owned()), None, false, false);
        assert_eq!(show("is a", &narrow), "error: name cannot be provided when a selector is specified");
        assert_eq!(show("is", &narrow), "imagestreams");
        let everywhere = Narrow::new(None, None, false, true);
        assert_eq!(
            show("is a", &everywhere),
            "error: a resource cannot be retrieved by name across all namespaces"
        );
        assert!(read(&mapper(), &words("is"), &Narrow::default(), false).is_err());
    }
}
