//! What the cluster's configuration says about registries: which are blocked, which may be asked without TLS, and which
//! mirrors stand in for a source.
//!
//! The rules are those of OpenShift, where they come from `Image/cluster` and from mirror sets, so that a configuration
//! means here what it means there: flags of a scope hold for everything below it; several lists of mirrors for one source
//! become one that keeps the order of each; a digest asks the mirrors for digests, a tag those for tags; and the source
//! itself is always asked last, even by a set that says otherwise. Blocking and insecurity are looked up by the host
//! alone. Entries with wildcards pass their flags to the entries that are named, but match no image themselves.
//!
//! Everything here is pure; the stored objects are read by others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use oci::Named;
use serde_json::{Map, Value};

/// What the configuration's objects say, gathered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryConfig {
    /// Scopes that may be asked without TLS, or with a certificate that nobody vouches for.
    pub insecure: Vec<String>,
    /// Scopes that are not to be asked.
    pub blocked: Vec<String>,
    /// Mirrors for pulls by digest.
    pub digest_mirrors: Vec<MirrorList>,
    /// Mirrors for pulls by tag.
    pub tag_mirrors: Vec<MirrorList>,
}

/// Mirrors of one source, as one object lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorList {
    /// `host[:port][/path]`.
    pub source: String,
    /// The same, in the order in which they are to be asked.
    pub mirrors: Vec<String>,
    /// The source is not to be asked after them.
    pub never_contact_source: bool,
}

/// What the configuration means for imports.
#[derive(Clone, Debug, Default)]
pub struct Registries {
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    insecure: bool,
    blocked: bool,
    mirrors: Vec<Mirror>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mirror {
    location: String,
    by_digest: bool,
}

/// Where else an image may be had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirrors {
    /// The image's repository at each mirror, without tag and digest, in order.
    pub names: Vec<Named>,
    /// Why the mirrors cannot be used, when one of them cannot be named; then there are none.
    pub broken: Option<String>,
}

impl RegistryConfig {
    /// Takes in the registry settings of an `Image` of `config.openshift.io`.
    pub fn add_image_config(&mut self, object: &Map<String, Value>) {
        let Some(sources) = object.get("spec").and_then(|spec| spec.get("registrySources")) else { return };
        self.insecure.extend(texts(sources.get("insecureRegistries")));
        self.blocked.extend(texts(sources.get("blockedRegistries")));
    }

    /// Takes in an `ImageDigestMirrorSet`.
    pub fn add_digest_mirror_set(&mut self, object: &Map<String, Value>) {
        self.digest_mirrors.extend(mirror_lists(object, "imageDigestMirrors"));
    }

    /// Takes in an `ImageTagMirrorSet`.
    pub fn add_tag_mirror_set(&mut self, object: &Map<String, Value>) {
        self.tag_mirrors.extend(mirror_lists(object, "imageTagMirrors"));
    }

    /// Takes in an `ImageContentSourcePolicy`, the older form of mirrors for digests.
    pub fn add_content_source_policy(&mut self, object: &Map<String, Value>) {
        self.digest_mirrors.extend(mirror_lists(object, "repositoryDigestMirrors"));
    }
}

fn texts(list: Option<&Value>) -> impl Iterator<Item = String> + '_ {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn mirror_lists<'a>(
    object: &'a Map<String, Value>,
    field: &str,
) -> impl Iterator<Item = MirrorList> + use<'a> {
    let lists = object.get("spec").and_then(|spec| spec.get(field)).and_then(Value::as_array);
    let read = |list: &Value| MirrorList {
        source: list.get("source").and_then(Value::as_str).unwrap_or_default().to_owned(),
        mirrors: texts(list.get("mirrors")).collect(),
        never_contact_source: list.get("mirrorSourcePolicy").and_then(Value::as_str)
            == Some("NeverContactSource"),
    };
    lists.into_iter().flatten().map(read)
}

impl Registries {
    /// Works out what a configuration means.
    pub fn new(config: &RegistryConfig) -> Registries {
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        for (lists, by_digest) in [(&config.digest_mirrors, true), (&config.tag_mirrors, false)] {
            for (source, merged) in merged(lists) {
                let entry = entries.entry(source.to_owned()).or_default();
                entry.blocked |= merged.never_contact_source;
                let mirrors = merged.mirrors.into_iter();
                entry
                    .mirrors
                    .extend(mirrors.map(|location| Mirror { location: location.to_owned(), by_digest }));
            }
        }
        for scope in config.insecure.iter().chain(&config.blocked) {
            entries.entry(scope.clone()).or_default();
        }
        for (scope, entry) in &mut entries {
            entry.insecure = config.insecure.iter().any(|outer| is_within(scope, outer));
            entry.blocked |= config.blocked.iter().any(|outer| is_within(scope, outer));
        }
        inherit_mirrors(&mut entries);
        entries.retain(|scope, _| !is_wildcard(scope));
        Registries { entries }
    }

    /// Whether a host (`host[:port]`, `docker.io` for Docker Hub) may be asked without TLS.
    pub fn is_insecure(&self, host: &str) -> bool {
        self.entries.get(host).is_some_and(|entry| entry.insecure)
    }

    /// Whether a host must not be asked. A host with mirrors is never blocked.
    pub fn is_blocked(&self, host: &str) -> bool {
        self.entries.get(host).is_some_and(|entry| entry.blocked && entry.mirrors.is_empty())
    }

    /// Whether a repository itself is not to be asked, because its mirrors have all there is.
    pub fn has_only_mirrors(&self, repository: &Named) -> bool {
        self.entry(&repository.repository())
            .is_some_and(|(_, entry)| entry.blocked && !entry.mirrors.is_empty())
    }

    /// What is said of the nearest scope around a repository, and how much of its name that scope is.
    fn entry(&self, name: &str) -> Option<(usize, &Entry)> {
        let ends: Vec<usize> = name.match_indices('/').map(|(at, _)| at).chain([name.len()]).collect();
        ends.iter().rev().find_map(|&end| Some((end, self.entries.get(&name[..end])?)))
    }

    /// Where else an image of a repository may be had, by digest or by tag.
    pub fn mirrors(&self, repository: &Named, by_digest: bool) -> Mirrors {
        if self.entries.is_empty() {
            return Mirrors::default();
        }
        let name = repository.repository();
        let Some((end, entry)) = self.entry(&name) else { return Mirrors::default() };
        let suffix = &name[end..];
        let mirrors = entry.mirrors.iter().filter(|mirror| mirror.by_digest == by_digest);
        let named: Result<Vec<Named>, _> =
            mirrors.map(|mirror| Named::parse(&format!("{}{suffix}", mirror.location))).collect();
        match named {
            Ok(names) => Mirrors { names, broken: None },
            Err(error) => {
                Mirrors { names: Vec::new(), broken: Some(format!("rewriting reference: {error}")) }
            }
        }
    }
}

/// Entries without mirrors use those of the nearest scope around them.
fn inherit_mirrors(entries: &mut BTreeMap<String, Entry>) {
    let sources: Vec<(String, Vec<Mirror>)> = entries
        .iter()
        .filter(|(scope, entry)| !entry.mirrors.is_empty() && !is_wildcard(scope))
        .map(|(scope, entry)| (scope.clone(), entry.mirrors.clone()))
        .collect();
    for (scope, entry) in entries.iter_mut().filter(|(_, entry)| entry.mirrors.is_empty()) {
        let around = sources.iter().filter(|(outer, _)| is_within(scope, outer));
        if let Some((outer, mirrors)) = around.max_by_key(|(outer, _)| outer.len()) {
            let suffix = &scope[outer.len()..];
            let below = |mirror: &Mirror| Mirror {
                location: format!("{}{suffix}", mirror.location),
                by_digest: mirror.by_digest,
            };
            entry.mirrors = mirrors.iter().map(below).collect();
        }
    }
}

fn is_wildcard(scope: &str) -> bool {
    scope.starts_with("*.")
}

/// Whether a scope is `outer` or lies in it.
fn is_within(scope: &str, outer: &str) -> bool {
    if let Some(domain) = outer.strip_prefix('*').filter(|domain| domain.starts_with('.')) {
        let host = scope.split(['/', ':']).next().unwrap_or_default();
        return host.ends_with(domain);
    }
    scope.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// All lists of one source as one.
struct Merged<'a> {
    mirrors: Vec<&'a str>,
    never_contact_source: bool,
}

/// One list a source. Lists that name nothing but their source say nothing.
fn merged(lists: &[MirrorList]) -> BTreeMap<&str, Merged<'_>> {
    let mut by_source: BTreeMap<&str, Vec<&MirrorList>> = BTreeMap::new();
    for list in lists {
        let says_something = list.mirrors.iter().any(|mirror| *mirror != list.source);
        if says_something && !list.source.is_empty() && !is_wildcard(&list.source) {
            by_source.entry(&list.source).or_default().push(list);
        }
    }
    by_source.into_iter().map(|(source, lists)| (source, merge(source, &lists))).collect()
}

fn merge<'a>(source: &'a str, lists: &[&'a MirrorList]) -> Merged<'a> {
    let mut order = Order::default();
    for list in lists {
        for pair in list.mirrors.windows(2) {
            order.add(&pair[0], &pair[1]);
        }
        if let Some(last) = list.mirrors.last()
            && !list.mirrors.iter().any(|mirror| mirror == source)
        {
            order.add(last, source);
        }
    }
    let mut mirrors = order.sorted();
    // The source comes after its mirrors anyway; only where a list puts it in between does its place matter.
    if mirrors.last() == Some(&source) {
        mirrors.pop();
    }
    Merged { mirrors, never_contact_source: lists.iter().any(|list| list.never_contact_source) }
}

/// "This one before that one", to be put in a row.
#[derive(Default)]
struct Order<'a> {
    followers: BTreeMap<&'a str, BTreeSet<&'a str>>,
    waits_for: BTreeMap<&'a str, usize>,
}

impl<'a> Order<'a> {
    fn add(&mut self, first: &'a str, second: &'a str) {
        if self.followers.entry(first).or_default().insert(second) {
            *self.waits_for.entry(second).or_default() += 1;
        }
        self.followers.entry(second).or_default();
        self.waits_for.entry(first).or_default();
    }

    /// All in a row that keeps every pair's order where that is possible. Who is free first comes first, by name among
    /// equals; a circle is cut before the one with the smallest name.
    fn sorted(mut self) -> Vec<&'a str> {
        let mut free: VecDeque<&str> =
            self.waits_for.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
        let mut row = Vec::with_capacity(self.followers.len());
        loop {
            let next = free.pop_front().or_else(|| self.waits_for.keys().next().copied());
            let Some(next) = next else { return row };
            self.waits_for.remove(next);
            row.push(next);
            for follower in self.followers.remove(next).into_iter().flatten() {
                if let Some(count) = self.waits_for.get_mut(follower) {
                    *count -= 1;
                    if *count == 0 {
                        free.push_back(follower);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "registries_tests.rs"]
mod tests;
