//! Which requests there are: a pure function from method and path.
//!
//! A path either names a route or it does not; a route has methods or it has not. Names, digests and tags inside a path
//! are handed on as text, because a client without credentials must hear about those first.

use http::Method;

/// What a request asks for. Names are as they stand in the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the parts of the path")]
pub enum Route<'a> {
    /// `/` and `/healthz`
    Health,
    /// `/v2/`
    Version,
    /// `/openshift/token`, `/auth/token`
    Token,
    /// `/extensions/v2/metrics`
    Metrics,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/<name>/tags/list`
    Tags { name: &'a str },
    /// `/v2/<name>/manifests/<reference>`
    Manifest { name: &'a str, reference: &'a str },
    /// `/v2/<name>/referrers/<digest>`
    Referrers { name: &'a str, digest: &'a str },
    /// `/v2/<name>/blobs/<digest>`
    Blob { name: &'a str, digest: &'a str },
    /// `/v2/<name>/blobs/uploads/`
    Uploads { name: &'a str },
    /// `/v2/<name>/blobs/uploads/<id>`
    Upload { name: &'a str, id: &'a str },
    /// `/extensions/v2/<name>/signatures/<digest>`
    Signatures { name: &'a str, digest: &'a str },
    /// `/admin/blobs/<digest>`
    AdminBlob { digest: &'a str },
}

/// Why there is no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteError {
    /// Nothing has this path.
    Unknown,
    /// The path is right but for its last slash.
    MissingSlash,
}

impl<'a> Route<'a> {
    /// Finds the route of a path (without its query).
    ///
    /// # Errors
    /// [`RouteError`].
    pub fn parse(path: &'a str) -> Result<Route<'a>, RouteError> {
        match path {
            "/" | "/healthz" => return Ok(Route::Health),
            "/v2/" | "/v2" => return Ok(Route::Version),
            "/openshift/token" | "/auth/token" => return Ok(Route::Token),
            "/v2/_catalog" => return Ok(Route::Catalog),
            "/extensions/v2/metrics" => return Ok(Route::Metrics),
            _ => {}
        }
        if let Some(digest) = path.strip_prefix("/admin/blobs/").filter(|rest| is_word(rest)) {
            return Ok(Route::AdminBlob { digest });
        }
        if let Some(rest) = path.strip_prefix("/extensions/v2/") {
            return match rest.rsplit_once("/signatures/") {
                Some((name, digest)) if !name.is_empty() && is_word(digest) => {
                    Ok(Route::Signatures { name, digest })
                }
                _ => Err(RouteError::Unknown),
            };
        }
        path.strip_prefix("/v2/").map_or(Err(RouteError::Unknown), repository_route)
    }

    /// The methods that a route has.
    pub fn methods(&self) -> &'static [Method] {
        const READ: &[Method] = &[Method::GET, Method::HEAD];
        match self {
            Route::Health | Route::Catalog | Route::Tags { .. } | Route::Referrers { .. } => READ,
            Route::Token | Route::Metrics => &[Method::GET],
            Route::Version => &[
                Method::DELETE,
                Method::GET,
                Method::HEAD,
                Method::OPTIONS,
                Method::PATCH,
                Method::POST,
                Method::PUT,
            ],
            Route::Manifest { .. } => &[Method::DELETE, Method::GET, Method::HEAD, Method::PUT],
            Route::Blob { .. } => &[Method::DELETE, Method::GET, Method::HEAD],
            Route::Uploads { .. } => &[Method::POST],
            Route::Upload { .. } => &[Method::DELETE, Method::GET, Method::HEAD, Method::PATCH, Method::PUT],
            Route::Signatures { .. } => &[Method::GET, Method::PUT],
            Route::AdminBlob { .. } => &[Method::DELETE],
        }
    }

    /// The repository's name, for routes that have one.
    pub fn name(&self) -> Option<&'a str> {
        match *self {
            Route::Tags { name }
            | Route::Manifest { name, .. }
            | Route::Referrers { name, .. }
            | Route::Blob { name, .. }
            | Route::Uploads { name }
            | Route::Upload { name, .. }
            | Route::Signatures { name, .. } => Some(name),
            Route::Health
            | Route::Version
            | Route::Token
            | Route::Metrics
            | Route::Catalog
            | Route::AdminBlob { .. } => None,
        }
    }
}

/// The routes under `/v2/`. The words that end a name are looked for from the right: a name may hold them as well.
fn repository_route(rest: &str) -> Result<Route<'_>, RouteError> {
    if let Some(name) = rest.strip_suffix("/tags/list").filter(|name| !name.is_empty()) {
        return Ok(Route::Tags { name });
    }
    if let Some(name) = rest.strip_suffix("/blobs/uploads/").filter(|name| !name.is_empty()) {
        return Ok(Route::Uploads { name });
    }
    if rest.strip_suffix("/blobs/uploads").is_some_and(|name| !name.is_empty()) {
        return Err(RouteError::MissingSlash);
    }
    let (front, last) = rest.rsplit_once('/').ok_or(RouteError::Unknown)?;
    let (name, word) = front.rsplit_once('/').ok_or(RouteError::Unknown)?;
    if name.is_empty() || !is_word(last) {
        return Err(RouteError::Unknown);
    }
    match word {
        "manifests" => Ok(Route::Manifest { name, reference: last }),
        "referrers" => Ok(Route::Referrers { name, digest: last }),
        "blobs" => Ok(Route::Blob { name, digest: last }),
        "uploads" => match name.strip_suffix("/blobs") {
            Some(name) if !name.is_empty() => Ok(Route::Upload { name, id: last }),
            _ => Err(RouteError::Unknown),
        },
        _ => Err(RouteError::Unknown),
    }
}

/// What may stand as the last part of a path: nothing that would need escaping.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+=:@~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Result<Route<'_>, RouteError>) {
        assert_eq!(Route::parse(path), expected, "{path}");
    }

    #[test]
    fn every_path_of_the_protocol_has_its_route() {
        check("/v2/", Ok(Route::Version));
        check("/healthz", Ok(Route::Health));
        check("/openshift/token", Ok(Route::Token));
        check("/v2/_catalog", Ok(Route::Catalog));
        check("/v2/a/b/tags/list", Ok(Route::Tags { name: "a/b" }));
        check("/v2/a/b/manifests/v1", Ok(Route::Manifest { name: "a/b", reference: "v1" }));
        check("/v2/a/b/manifests/sha256:bad", Ok(Route::Manifest { name: "a/b", reference: "sha256:bad" }));
        check("/v2/a/b/referrers/sha256:x", Ok(Route::Referrers { name: "a/b", digest: "sha256:x" }));
        check("/v2/a/b/blobs/sha256:x", Ok(Route::Blob { name: "a/b", digest: "sha256:x" }));
        check("/v2/a/b/blobs/uploads/", Ok(Route::Uploads { name: "a/b" }));
        check("/v2/a/b/blobs/uploads/1-2", Ok(Route::Upload { name: "a/b", id: "1-2" }));
        check("/admin/blobs/sha256:x", Ok(Route::AdminBlob { digest: "sha256:x" }));
        check("/extensions/v2/a/b/signatures/x:y", Ok(Route::Signatures { name: "a/b", digest: "x:y" }));
    }

    #[test]
    fn names_may_hold_the_words_of_routes() {
        check(
            "/v2/manifests/blobs/manifests/v1",
            Ok(Route::Manifest { name: "manifests/blobs", reference: "v1" }),
        );
        check("/v2/alone/tags/list", Ok(Route::Tags { name: "alone" }));
        check("/v2/a/b/c/tags/list", Ok(Route::Tags { name: "a/b/c" }));
    }

    #[test]
    fn other_paths_have_none() {
        for path in [
            "/v2/a/b/nothing",
            "/v2/a",
            "/v3/",
            "/v2//tags/list/",
            "/v2/a/b/manifests/",
            "/x",
            "/v2/a/b/manifests/a%2fb",
        ] {
            check(path, Err(RouteError::Unknown));
        }
        check("/v2/a/b/blobs/uploads", Err(RouteError::MissingSlash));
    }

    proptest::proptest! {
        #[test]
        fn no_path_is_too_strange(path in "/(v2/)?[a-z/:.%_-]{0,40}") {
            if let Ok(route) = Route::parse(&path) {
                proptest::prop_assert!(!route.methods().is_empty());
                proptest::prop_assert!(route.name().is_none_or(|name| path.contains(name)));
            }
        }
    }
}
