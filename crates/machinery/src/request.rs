//! What a request is about, read from its method, path and query alone.
//!
//! The same reading feeds authorization, routing, audit and metrics, so that no two of them can disagree. It follows
//! `k8s.io/apiserver`'s request info: `/api` and `/apis` hold resources, everything else is a plain path; percent escapes
//! are decoded *before* the path is cut into segments, so an escaped slash is a slash for everybody; the old `/watch/`
//! prefix still works; a collection read whose field selector names one object counts as a request for that object.
//!
//! Whether the resource exists is not decided here.

use std::borrow::Cow;
use std::fmt;

use crate::query;
use crate::selector::FieldSelector;
use crate::validate::path_segment_errors;

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the variants are named as Kubernetes names them")]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
    /// The old proxy paths; never served.
    Proxy,
    /// HTTP methods on plain paths.
    Post,
    Put,
    Head,
    Options,
    /// A method nobody knows.
    Other,
}

impl Verb {
    /// The word that rules and metrics use; empty for a method nobody knows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
            Verb::Proxy => "proxy",
            Verb::Post => "post",
            Verb::Put => "put",
            Verb::Head => "head",
            Verb::Options => "options",
            Verb::Other => "",
        }
    }

    /// True for verbs that change nothing.
    pub const fn is_read_only(self) -> bool {
        matches!(self, Verb::Get | Verb::List | Verb::Watch | Verb::Head | Verb::Options)
    }

    fn of_resource(method: &str) -> Verb {
        match method {
            "GET" | "HEAD" => Verb::Get,
            "POST" => Verb::Create,
            "PUT" => Verb::Update,
            "PATCH" => Verb::Patch,
            "DELETE" => Verb::Delete,
            _ => Verb::Other,
        }
    }

    fn of_path(method: &str) -> Verb {
        match method {
            "GET" => Verb::Get,
            "HEAD" => Verb::Head,
            "POST" => Verb::Post,
            "PUT" => Verb::Put,
            "PATCH" => Verb::Patch,
            "DELETE" => Verb::Delete,
            "OPTIONS" => Verb::Options,
            _ => Verb::Other,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a request is about. Fields that do not apply are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestInfo<'a> {
    /// The path, percent-decoded.
    pub path: Cow<'a, str>,
    /// What it wants to do.
    pub verb: Verb,
    /// Whether the path names a resource; the fields below are empty otherwise.
    pub is_resource: bool,
    /// `api` or `apis`.
    pub prefix: Cow<'a, str>,
    /// The API group; empty for the core group.
    pub group: Cow<'a, str>,
    /// The API version.
    pub version: Cow<'a, str>,
    /// The namespace; for a namespace itself, its own name.
    pub namespace: Cow<'a, str>,
    /// The resource, plural.
    pub resource: Cow<'a, str>,
    /// The part of the object that is meant.
    pub subresource: Cow<'a, str>,
    /// The object's name as it stands in the path.
    pub name: Cow<'a, str>,
    /// The one name that a collection read's field selector allows.
    pub selected_name: Option<Cow<'a, str>>,
    /// The path goes on after the subresource: no resource of ours does.
    pub has_more: bool,
}

/// A path that cannot be read: a broken percent escape or no UTF-8.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid URL escape in the path")]
pub struct BadPath;

/// Segments of the longest path that means something: `apis`, group, version, `watch`, `namespaces`, namespace, resource,
/// name, subresource. One more is kept to notice that there is more.
const SEGMENTS: usize = 10;

impl<'a> RequestInfo<'a> {
    /// Reads a request. `path` is the raw path, `query` the raw query without its `?`.
    ///
    /// # Errors
    /// [`BadPath`] when the path cannot be decoded.
    pub fn parse(method: &str, path: &'a str, query: &str) -> Result<RequestInfo<'a>, BadPath> {
        match query::unescape(path, false).ok_or(BadPath)? {
            Cow::Borrowed(path) => Ok(read(method, path, query)),
            Cow::Owned(path) => Ok(read(method, &path, query).into_owned()),
        }
    }

    /// The name that authorization and audit see: the path's, or the one a field selector singles out.
    pub fn target_name(&self) -> &str {
        match &self.selected_name {
            Some(name) => name,
            None => &self.name,
        }
    }

    /// `resource` or `resource/subresource`, as rules write it.
    pub fn resource_path(&self) -> Cow<'_, str> {
        if self.subresource.is_empty() {
            Cow::Borrowed(&*self.resource)
        } else {
            Cow::Owned(format!("{}/{}", self.resource, self.subresource))
        }
    }

    /// The same, independent of the texts it was read from.
    pub fn into_owned(self) -> RequestInfo<'static> {
        let own = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        RequestInfo {
            path: own(self.path),
            verb: self.verb,
            is_resource: self.is_resource,
            prefix: own(self.prefix),
            group: own(self.group),
            version: own(self.version),
            namespace: own(self.namespace),
            resource: own(self.resource),
            subresource: own(self.subresource),
            name: own(self.name),
            selected_name: self.selected_name.map(own),
            has_more: self.has_more,
        }
    }

    fn plain(method: &str, path: &'a str) -> RequestInfo<'a> {
        let none = Cow::Borrowed("");
        RequestInfo {
            path: Cow::Borrowed(path),
            verb: Verb::of_path(method),
            is_resource: false,
            prefix: none.clone(),
            group: none.clone(),
            version: none.clone(),
            namespace: none.clone(),
            resource: none.clone(),
            subresource: none.clone(),
            name: none,
            selected_name: None,
            has_more: false,
        }
    }
}

fn read<'a>(method: &str, path: &'a str, query: &str) -> RequestInfo<'a> {
    let mut info = RequestInfo::plain(method, path);
    let mut all = [""; SEGMENTS];
    let mut count = 0;
    for segment in path.trim_matches('/').split('/').take(SEGMENTS) {
        all[count] = segment;
        count += 1;
    }
    let parts = &all[..count];
    let (group, parts) = match parts {
        ["api", rest @ ..] if rest.len() >= 2 => ("", rest),
        ["apis", group, rest @ ..] if rest.len() >= 2 => (*group, rest),
        _ => return info,
    };
    let version = parts[0];
    let mut parts = &parts[1..];
    let mut verb = Verb::of_resource(method);
    if let ["watch" | "proxy", rest @ ..] = parts {
        if rest.is_empty() {
            return info;
        }
        verb = if parts[0] == "watch" { Verb::Watch } else { Verb::Proxy };
        parts = rest;
    }
    info.is_resource = true;
    info.prefix = Cow::Borrowed(all[0]);
    info.group = Cow::Borrowed(group);
    info.version = Cow::Borrowed(version);
    if let ["namespaces", namespace, rest @ ..] = parts {
        info.namespace = Cow::Borrowed(namespace);
        if !matches!(rest, [] | ["status" | "finalize", ..]) {
            parts = rest;
        }
    }
    info.resource = Cow::Borrowed(parts[0]);
    info.name = Cow::Borrowed(parts.get(1).copied().unwrap_or_default());
    info.subresource = Cow::Borrowed(parts.get(2).copied().unwrap_or_default());
    info.has_more = parts.len() > 3;
    info.verb = verb;
    if info.name.is_empty() {
        of_collection(&mut info, query);
    }
    info
}

/// Settles what a request without a name in its path does: list or watch, delete many, and perhaps only one object.
fn of_collection(info: &mut RequestInfo<'_>, query: &str) {
    match info.verb {
        Verb::Get => {
            info.verb = Verb::List;
            if query::first(query, "watch").is_some_and(|value| truthy(&value)) {
                info.verb = Verb::Watch;
            }
        }
        Verb::Watch => {}
        Verb::Delete => {
            info.verb = Verb::DeleteCollection;
            return;
        }
        _ => return,
    }
    let selected = query::first(query, "fieldSelector")
        .and_then(|text| FieldSelector::parse(&text).ok())
        .and_then(|selector| selector.exact("metadata.name").map(str::to_owned))
        .filter(|name| !name.is_empty() && path_segment_errors(name, false).is_empty());
    info.selected_name = selected.map(Cow::Owned);
}

/// How Kubernetes reads a boolean parameter: everything but `false` and `0` is true, also nothing.
pub(crate) fn truthy(value: &str) -> bool {
    !(value == "0" || value.eq_ignore_ascii_case("false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `verb group/version namespace resource subresource name selected` of a resource request, `verb path` of another.
    fn shown(method: &str, url: &str) -> String {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let info = RequestInfo::parse(method, path, query).unwrap();
        if !info.is_resource {
            return format!("{} {}", info.verb, info.path);
        }
        let selected = info.selected_name.as_deref().unwrap_or("-");
        let more = if info.has_more { " +" } else { "" };
        format!(
            "{} {}/{}/{} ns={} {} sub={} name={} sel={}{}",
            info.verb,
            info.prefix,
            info.group,
            info.version,
            info.namespace,
            info.resource,
            info.subresource,
            info.name,
            selected,
            more
        )
    }

    #[test]
    fn paths_outside_the_api_are_plain() {
        let check = |method: &str, url: &str, want: &str| assert_eq!(shown(method, url), want, "{url}");
        check("GET", "/", "get /");
        check("GET", "/healthz?verbose", "get /healthz");
        check("POST", "/v2/a/b/blobs/uploads/", "post /v2/a/b/blobs/uploads/");
        check("HEAD", "/api", "head /api");
        check("GET", "/api/v1", "get /api/v1");
        check("GET", "/apis/image.openshift.io/v1", "get /apis/image.openshift.io/v1");
        check("GET", "/apis/image.openshift.io/v1/watch", "get /apis/image.openshift.io/v1/watch");
        check("BREW", "/x", " /x");
    }

    #[test]
    fn resources_are_found_in_their_paths() {
        let base = "/apis/image.openshift.io/v1";
        let check = |method: &str, rest: &str, want: &str| {
            let want = want.replace('~', "apis/image.openshift.io/v1");
            assert_eq!(shown(method, &format!("{base}{rest}")), want, "{method} {rest}");
        };
        check("GET", "/images", "list ~ ns= images sub= name= sel=-");
        check("GET", "/images/sha256:ab", "get ~ ns= images sub= name=sha256:ab sel=-");
        check("GET", "/namespaces/p/imagestreams/", "list ~ ns=p imagestreams sub= name= sel=-");
        check("POST", "/namespaces/p/imagestreams", "create ~ ns=p imagestreams sub= name= sel=-");
        check("PUT", "/namespaces/p/imagestreams/a", "update ~ ns=p imagestreams sub= name=a sel=-");
        check(
            "PATCH",
            "/namespaces/p/imagestreams/a/status",
            "patch ~ ns=p imagestreams sub=status name=a sel=-",
        );
        check("DELETE", "/namespaces/p/imagestreams/a", "delete ~ ns=p imagestreams sub= name=a sel=-");
        check(
            "DELETE",
            "/namespaces/p/imagestreams",
            "deletecollection ~ ns=p imagestreams sub= name= sel=-",
        );
        check("GET", "/namespaces/p/imagestreamtags/a:b", "get ~ ns=p imagestreamtags sub= name=a:b sel=-");
        check("GET", "/namespaces/p/imagestreamtags/a%3Ab", "get ~ ns=p imagestreamtags sub= name=a:b sel=-");
        check(
            "GET",
            "/namespaces/p/imagestreamimages/a@sha256:0",
            "get ~ ns=p imagestreamimages sub= name=a@sha256:0 sel=-",
        );
        check("HEAD", "/namespaces/p/imagestreams/a", "get ~ ns=p imagestreams sub= name=a sel=-");
        check("GET", "/namespaces/p/imagestreams/a/b/c", "get ~ ns=p imagestreams sub=b name=a sel=- +");
        check("GET", "/watch/namespaces/p/imagestreams/a", "watch ~ ns=p imagestreams sub= name=a sel=-");
        check("GET", "/watch/imagestreams", "watch ~ ns= imagestreams sub= name= sel=-");
        check("GET", "/images?watch=true", "watch ~ ns= images sub= name= sel=-");
        check("GET", "/images?watch=1&x=y", "watch ~ ns= images sub= name= sel=-");
        check("GET", "/images?watch=False", "list ~ ns= images sub= name= sel=-");
        check("GET", "/images/x?watch=true", "get ~ ns= images sub= name=x sel=-");
        check(
            "GET",
            "/namespaces/p/imagestreams/x%2Fstatus",
            "get ~ ns=p imagestreams sub=status name=x sel=-",
        );
    }

    #[test]
    fn a_field_selector_can_single_out_one_object() {
        let base = "/apis/image.openshift.io/v1/namespaces/p/imagestreams";
        let check = |query: &str, verb: &str, selected: &str| {
            let info = RequestInfo::parse("GET", base, query).unwrap();
            assert_eq!((info.verb.as_str(), info.target_name()), (verb, selected), "{query}");
        };
        check("fieldSelector=metadata.name%3Da", "list", "a");
        check("watch=true&fieldSelector=metadata.name%3Da", "watch", "a");
        check("fieldSelector=metadata.name%3D%3Da,metadata.namespace=p", "list", "a");
        check("fieldSelector=metadata.name!%3Da", "list", "");
        check("fieldSelector=metadata.name%3D..", "list", "");
        check("fieldSelector=metadata.name%3Da%2Fb", "list", "");
        check("fieldSelector=nonsense", "list", "");
    }

    #[test]
    fn namespaces_are_resources_themselves() {
        let check = |method: &str, url: &str, want: &str| assert_eq!(shown(method, url), want, "{url}");
        check("GET", "/api/v1/namespaces", "list api//v1 ns= namespaces sub= name= sel=-");
        check("GET", "/api/v1/namespaces/p", "get api//v1 ns=p namespaces sub= name=p sel=-");
        check(
            "PUT",
            "/api/v1/namespaces/p/finalize",
            "update api//v1 ns=p namespaces sub=finalize name=p sel=-",
        );
        check("GET", "/api/v1/namespaces/p/secrets", "list api//v1 ns=p secrets sub= name= sel=-");
        check(
            "POST",
            "/api/v1/namespaces/p/serviceaccounts/a/token",
            "create api//v1 ns=p serviceaccounts sub=token name=a sel=-",
        );
    }

    #[test]
    fn broken_escapes_are_refused() {
        for path in ["/%", "/a%zz", "/%ff%fe"] {
            assert_eq!(RequestInfo::parse("GET", path, ""), Err(BadPath), "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn reading_never_fails_on_text(path in "[ -~]{0,80}", query in "[ -~]{0,60}") {
            if let Ok(info) = RequestInfo::parse("GET", &path, &query) {
                let owned = info.clone().into_owned();
                proptest::prop_assert_eq!(info, owned);
            }
        }
    }
}
