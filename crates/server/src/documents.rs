//! Documents about the API itself: discovery and OpenAPI.
//!
//! They never change while the server runs. Each is made when it is first asked for, kept with its compressed form, and
//! named by the hash of its content, so that a client that has it is only told so.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use machinery::discovery;
use machinery::negotiate::{self, DiscoveryVersion, Form, Offer};
use machinery::openapi;
use machinery::query;
use machinery::status::ApiError;
use sha2::{Digest as _, Sha512};

use crate::body::Body;
use crate::resource::{RESOURCES, Resource};
use crate::{gzip, limits, respond};

/// What clients may do with a document that they have.
const ASK_AGAIN: &str = "no-cache, private";
const KEEP: &str = "public";
const KEEP_FOREVER: &str = "public, immutable";
/// The protobuf form of OpenAPI's second version, as clients ask for it and as they read it.
const V2_ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
const V2_SENT: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// A document.
struct Document {
    bytes: Bytes,
    packed: OnceLock<Bytes>,
    media_type: &'static str,
    hash: String,
}

impl Document {
    fn new(bytes: impl Into<Bytes>, media_type: &'static str) -> Document {
        let bytes = bytes.into();
        let hash = Sha512::digest(&bytes).iter().map(|byte| format!("{byte:02X}")).collect();
        Document { bytes, packed: OnceLock::new(), media_type, hash }
    }

    fn answer(&self, headers: &HeaderMap, caching: &'static str) -> Response<Body> {
        let tag = format!("\"{}\"", self.hash);
        let mut answer = if is_known(headers, &tag) {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            answer
        } else if gzip::is_wanted(headers) && self.bytes.len() >= limits::GZIP_DOCUMENT_LEAST {
            let packed = self.packed.get_or_init(|| gzip::whole(&self.bytes));
            let mut answer = Response::new(Body::from(packed.clone()));
            answer.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            answer
        } else {
            Response::new(Body::from(self.bytes.clone()))
        };
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
        headers.append(header::VARY, HeaderValue::from_static("Accept"));
        headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(header::ETAG, tag);
        }
        answer
    }
}

/// True when the client says that it has a document.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH);
    let mut known = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    known.any(|known| known.trim().trim_start_matches("W/") == tag || known.trim() == "*")
}

/// Answers with a document; `None` when there is none at a path.
///
/// # Errors
/// 406 when the client takes no form that there is.
pub fn answer(path: &str, query: &str, headers: &HeaderMap) -> Result<Option<Response<Body>>, ApiError> {
    Ok(match path {
        "/api" | "/apis" => Some(groups(path, headers)?),
        "/openapi/v2" => Some(v2(headers)),
        "/openapi/v3" => Some(index().answer(headers, ASK_AGAIN)),
        _ => match path.strip_prefix("/openapi/v3/") {
            Some(key) => v3(key, query, headers),
            None => plain().get(path).map(|document| document.answer(headers, "no-store")),
        },
    })
}

/// Paths of all documents.
pub fn paths() -> Vec<String> {
    let versions = openapi::versions(table());
    let v3 = versions.iter().map(|(group, version)| format!("/openapi/v3/{}", openapi::key(group, version)));
    let fixed = ["/openapi/v2", "/openapi/v3"].map(str::to_owned);
    plain().keys().cloned().chain(fixed).chain(v3).collect()
}

/// The list of groups, or everything in one document for clients that know that form.
fn groups(path: &str, headers: &HeaderMap) -> Result<Response<Body>, ApiError> {
    let offer = Offer { discovery: true, ..Offer::default() };
    let accepted = negotiate::accept(Some(&respond::accept(headers)), || offer)?;
    let core = path == "/api";
    Ok(match accepted.form {
        Form::Discovery(version) => {
            static DOCUMENTS: [OnceLock<Document>; 4] = [const { OnceLock::new() }; 4];
            let at = usize::from(core) + 2 * usize::from(version == DiscoveryVersion::V2);
            let document = DOCUMENTS[at].get_or_init(|| {
                let document = discovery::aggregated(table(), core, version);
                Document::new(line(machinery::json::compact(&document)), accepted.content_type())
            });
            document.answer(headers, KEEP)
        }
        _ => plain()[path].answer(headers, "no-store"),
    })
}

/// The classic documents by path.
fn plain() -> &'static BTreeMap<String, Document> {
    static DOCUMENTS: OnceLock<BTreeMap<String, Document>> = OnceLock::new();
    DOCUMENTS.get_or_init(|| {
        let table = table();
        let mut documents = BTreeMap::new();
        let core = discovery::ApiVersions::new(vec!["v1"], String::new());
        documents.insert("/api".to_owned(), json(line(machinery::json::compact(&core))));
        documents.insert("/apis".to_owned(), typed("APIGroupList", &discovery::api_group_list(table)));
        for entry in table {
            let path =
                if entry.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", entry.group) };
            if let Some(list) = discovery::api_resource_list(entry.group, entry.version, table) {
                documents.insert(format!("{path}/{}", entry.version), typed("APIResourceList", &list));
            }
            if let Some(group) = discovery::api_group(entry.group, table).filter(|_| !entry.group.is_empty())
            {
                documents.insert(path, typed("APIGroup", &group));
            }
        }
        documents
    })
}

fn typed<T: serde::Serialize>(kind: &str, document: &T) -> Document {
    json(line(machinery::json::with_type(kind, "v1", document)))
}

fn json(bytes: Vec<u8>) -> Document {
    Document::new(bytes, "application/json")
}

fn line(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.push(b'\n');
    bytes
}

fn v2(headers: &HeaderMap) -> Response<Body> {
    static JSON: OnceLock<Document> = OnceLock::new();
    static PROTOBUF: OnceLock<Document> = OnceLock::new();
    let made = || openapi::v2(table(), crate::routes::git_version());
    let wanted = respond::accept(headers);
    let protobuf = wanted.split(',').map(|clause| clause.split(';').next().unwrap_or_default().trim());
    let document = if protobuf.into_iter().any(|name| name == V2_ASKED || name == V2_SENT) {
        PROTOBUF.get_or_init(|| Document::new(openapi::v2_protobuf(&made()), V2_SENT))
    } else {
        JSON.get_or_init(|| json(machinery::json::compact(&made())))
    };
    document.answer(headers, ASK_AGAIN)
}

/// The documents of OpenAPI's third version by key.
fn by_version() -> &'static BTreeMap<String, Document> {
    static DOCUMENTS: OnceLock<BTreeMap<String, Document>> = OnceLock::new();
    DOCUMENTS.get_or_init(|| {
        let make = |(group, version): (&str, &str)| {
            let document = openapi::v3(group, version, table(), crate::routes::git_version());
            (openapi::key(group, version), json(machinery::json::compact(&document)))
        };
        openapi::versions(table()).into_iter().map(make).collect()
    })
}

fn index() -> &'static Document {
    static INDEX: OnceLock<Document> = OnceLock::new();
    INDEX.get_or_init(|| {
        let hashes =
            by_version().iter().map(|(key, document)| (key.clone(), document.hash.clone())).collect();
        json(machinery::json::compact(&openapi::v3_index(&hashes)))
    })
}

/// A document whose hash the client knows from the index may be kept for ever; one that is out of date is elsewhere.
fn v3(key: &str, query: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    let document = by_version().get(key)?;
    match query::first(query, "hash").filter(|hash| !hash.is_empty()) {
        None => Some(document.answer(headers, ASK_AGAIN)),
        Some(hash) if *hash == *document.hash => Some(document.answer(headers, KEEP_FOREVER)),
        Some(_) => {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::MOVED_PERMANENTLY;
            let place = format!("/openapi/v3/{key}?hash={}", document.hash);
            answer.headers_mut().insert(header::LOCATION, HeaderValue::from_str(&place).ok()?);
            Some(answer)
        }
    }
}

/// The table of resources as discovery knows it.
fn table() -> &'static [discovery::Resource] {
    static TABLE: OnceLock<Vec<discovery::Resource>> = OnceLock::new();
    TABLE.get_or_init(|| RESOURCES.iter().map(discovered).collect())
}

fn discovered(entry: &Resource) -> discovery::Resource {
    discovery::Resource {
        group: entry.group,
        version: entry.version,
        name: entry.plural,
        singular: entry.singular,
        namespaced: entry.namespaced,
        kind: entry.kind,
        kind_of: entry.kind_of,
        verbs: entry.verbs,
        short_names: entry.short,
        categories: entry.categories,
        stored: entry.is_stored(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str, query: &str, sent: &[(header::HeaderName, &str)]) -> Response<Body> {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        answer(path, query, &headers).unwrap().unwrap()
    }

    fn header(answer: &Response<Body>, name: header::HeaderName) -> &str {
        answer.headers()[name].to_str().unwrap()
    }

    #[test]
    fn what_a_client_has_is_not_sent_again() {
        for path in [
            "/api",
            "/apis",
            "/apis/image.openshift.io/v1",
            "/openapi/v2",
            "/openapi/v3",
            "/openapi/v3/api/v1",
        ] {
            let first = get(path, "", &[]);
            assert!(!first.body().is_empty(), "{path}");
            let tag = header(&first, header::ETAG).to_owned();
            let again = get(path, "", &[(header::IF_NONE_MATCH, &tag)]);
            assert_eq!((again.status(), again.body().is_empty()), (StatusCode::NOT_MODIFIED, true), "{path}");
            assert_eq!(get(path, "", &[(header::IF_NONE_MATCH, "\"x\"")]).status(), StatusCode::OK);
        }
    }

    #[test]
    fn both_forms_of_discovery_say_so() {
        let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let old = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
        for path in ["/api", "/apis"] {
            let asked = format!("{v2},{old},application/json");
            assert_eq!(header(&get(path, "", &[(header::ACCEPT, &asked)]), header::CONTENT_TYPE), v2);
            let asked = format!("{old},application/json");
            assert_eq!(header(&get(path, "", &[(header::ACCEPT, &asked)]), header::CONTENT_TYPE), old);
            assert_eq!(header(&get(path, "", &[]), header::CONTENT_TYPE), "application/json");
        }
    }

    #[test]
    fn the_address_in_the_index_is_good_for_ever() {
        let hash = &by_version()["apis/image.openshift.io/v1"].hash;
        let path = "/openapi/v3/apis/image.openshift.io/v1";
        let good = get(path, &format!("hash={hash}"), &[(header::ACCEPT_ENCODING, "gzip")]);
        assert_eq!(header(&good, header::CACHE_CONTROL), KEEP_FOREVER);
        assert_eq!(header(&good, header::CONTENT_ENCODING), "gzip");
        let moved = get(path, "hash=OLD", &[]);
        assert_eq!(moved.status(), StatusCode::MOVED_PERMANENTLY);
        assert_eq!(header(&moved, header::LOCATION), format!("{path}?hash={hash}"));
        assert!(answer("/openapi/v3/apis/nope/v1", "", &HeaderMap::new()).unwrap().is_none());
    }

    #[test]
    fn the_second_version_comes_in_two_forms() {
        let protobuf = get("/openapi/v2", "", &[(header::ACCEPT, V2_ASKED)]);
        assert_eq!(header(&protobuf, header::CONTENT_TYPE), V2_SENT);
        assert_eq!(header(&get("/openapi/v2", "", &[]), header::CONTENT_TYPE), "application/json");
    }
}
