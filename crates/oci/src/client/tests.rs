//! The client against a scripted registry in memory, friendly and hostile.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LINK, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderName, Request, Response};
use http_body_util::{BodyExt as _, Full};

use super::*;
use crate::digest::Digest;
use crate::keyring::Credentials;
use crate::{limits, media};

type Reply = Result<Response<Bytes>, TransportError>;
type Rule = dyn Fn(&Request<Bytes>) -> Option<Reply> + Send + Sync;

/// Answers by rules; the first that answers wins. Requests without a rule get 404 with a code.
struct Script {
    rules: Vec<Box<Rule>>,
    seen: Mutex<Vec<Request<Bytes>>>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Script({} rules)", self.rules.len())
    }
}

impl Transport for Script {
    fn send(
        &self,
        request: Request<Bytes>,
        _trust: Trust,
    ) -> BoxFuture<'_, Result<Response<ResponseBody>, TransportError>> {
        let reply = self.rules.iter().find_map(|rule| rule(&request));
        self.seen.lock().unwrap().push(request);
        let reply = reply.unwrap_or_else(|| {
            Ok(answer(404, &[], r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#))
        });
        Box::pin(std::future::ready(reply.map(|answer| {
            answer.map(|bytes| Full::new(bytes).map_err(|never| match never {}).boxed_unsync())
        })))
    }
}

fn answer(status: u16, headers: &[(HeaderName, &str)], body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status.try_into().unwrap();
    for (name, value) in headers {
        response.headers_mut().append(name, value.parse().unwrap());
    }
    response
}

#[derive(Default)]
struct Fixture {
    rules: Vec<Box<Rule>>,
    insecure: bool,
    credentials: Option<Credentials>,
}

impl Fixture {
    /// An open registry: the ping succeeds.
    fn open() -> Self {
        Self::default().reply("https://reg.example/v2/", || answer(200, &[], ""))
    }

    /// A registry whose ping answers with a challenge.
    fn guarded(challenge: &'static str) -> Self {
        Self::default()
            .reply("https://reg.example/v2/", move || answer(401, &[(WWW_AUTHENTICATE, challenge)], ""))
    }

    fn rule(mut self, rule: impl Fn(&Request<Bytes>) -> Option<Reply> + Send + Sync + 'static) -> Self {
        self.rules.push(Box::new(rule));
        self
    }

    fn reply(self, url: &str, reply: impl Fn() -> Response<Bytes> + Send + Sync + 'static) -> Self {
        let url = url.to_owned();
        self.rule(move |request| (*request.uri() == *url).then(|| Ok(reply())))
    }

    /// Different answers to the same request, one after the other.
    fn replies(self, url: &'static str, replies: Vec<Reply>) -> Self {
        let replies = Mutex::new(VecDeque::from(replies));
        self.rule(move |request| {
            (request.uri() == url).then(|| replies.lock().unwrap().pop_front().expect("scripted"))
        })
    }

    fn with_credentials(mut self) -> Self {
        self.credentials = Some(Credentials { username: "puller".into(), password: "s3cret".into() });
        self
    }

    fn insecure(mut self) -> Self {
        self.insecure = true;
        self
    }

    fn client(self) -> (RepositoryClient, Arc<Script>) {
        let script = Arc::new(Script { rules: self.rules, seen: Mutex::default() });
        let settings = RepositorySettings {
            host: "reg.example".into(),
            path: "team/app".into(),
            credentials: self.credentials,
            insecure: self.insecure,
            bucket: None,
        };
        (RepositoryClient::new(script.clone(), settings).unwrap(), script)
    }
}

impl Script {
    fn urls(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|request| request.uri().to_string()).collect()
    }

    fn authorization(&self, url: &str) -> Option<String> {
        let seen = self.seen.lock().unwrap();
        let request =
            seen.iter().rev().find(|request| request.uri().to_string().starts_with(url)).expect(url);
        request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned())
    }
}

const MANIFEST_URL: &str = "https://reg.example/v2/team/app/manifests/v1";
const BEARER: &str = "Bearer realm=\"https://auth.example/token\",service=\"reg.example\"";

fn manifest() -> String {
    let digest = Digest::sha256(b"config");
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"c","size":6,"digest":"{digest}"}},"layers":[]}}"#,
        media::OCI_MANIFEST
    )
}

fn manifest_answer() -> Response<Bytes> {
    answer(200, &[(CONTENT_TYPE, media::OCI_MANIFEST)], manifest())
}

fn tag() -> Selector {
    Selector::Tag("v1".into())
}

async fn check_manifest_error(fixture: Fixture, expected: &str) -> RegistryError {
    let error = fixture.client().0.get_manifest(&tag()).await.expect_err(expected);
    assert_eq!(error.to_string(), expected);
    error
}

#[tokio::test]
async fn a_manifest_comes_with_its_bytes_digest_and_limits() {
    let fixture = Fixture::open().reply(MANIFEST_URL, || {
        let mut answer = manifest_answer();
        answer.headers_mut().insert("etag", "\"x\"".parse().unwrap());
        answer.headers_mut().insert("ratelimit-remaining", "9;w=60".parse().unwrap());
        answer
    });
    let (client, script) = fixture.client();
    let fetched = client.get_manifest(&tag()).await.unwrap();
    assert_eq!(fetched.manifest.raw(), manifest().as_bytes());
    assert_eq!(fetched.manifest.digest(), &Digest::sha256(manifest().as_bytes()));
    assert_eq!((fetched.etag.as_deref(), fetched.rate.remaining), (Some("\"x\""), Some(9)));
    let seen = script.seen.lock().unwrap();
    assert_eq!(seen[1].headers().get_all("accept").iter().count(), media::ACCEPTED_MANIFESTS.len());
}

#[tokio::test]
async fn the_ping_is_sent_once() {
    let (client, script) = Fixture::open().reply(MANIFEST_URL, manifest_answer).client();
    client.ping().await.unwrap();
    client.get_manifest(&tag()).await.unwrap();
    client.get_manifest(&tag()).await.unwrap();
    assert_eq!(script.urls(), ["https://reg.example/v2/", MANIFEST_URL, MANIFEST_URL]);
}

#[tokio::test]
async fn a_missing_manifest_is_not_found_and_a_busy_registry_is_unknown() {
    let missing = check_manifest_error(Fixture::open(), "manifest unknown").await;
    assert!(missing.is_not_found());
    let broken = Fixture::open().reply(MANIFEST_URL, || answer(503, &[], ""));
    let error =
        check_manifest_error(broken, "received unexpected HTTP status: 503 Service Unavailable").await;
    assert!(error.is_unknown() && !error.is_not_found());
}

#[tokio::test]
async fn a_digest_is_checked_against_the_content() {
    let wanted = Digest::sha256(b"something else");
    let (client, _) = Fixture::open()
        .rule(|request| request.uri().path().contains("/manifests/sha256:").then(|| Ok(manifest_answer())))
        .rule(|request| request.uri().path().contains("/blobs/").then(|| Ok(answer(200, &[], "blob"))))
        .client();
    let error = client.get_manifest(&Selector::Digest(wanted.clone())).await.unwrap_err();
    let found = Digest::sha256(manifest().as_bytes());
    assert_eq!(
        error.to_string(),
        format!(
            "content integrity error: the manifest retrieved with digest {wanted} does not match the digest calculated from the content {found}"
        )
    );
    assert!(client.get_manifest(&Selector::Digest(found)).await.is_ok());
    let error = client.get_blob(&wanted, 100).await.unwrap_err();
    assert!(matches!(error, RegistryError::Integrity { what: "blob", .. }), "{error}");
    assert_eq!(client.get_blob(&Digest::sha256(b"blob"), 4).await.unwrap(), "blob");
    let error = client.get_blob(&Digest::sha256(b"blob"), 3).await.unwrap_err();
    assert_eq!(error.to_string(), "blob is larger than 3 bytes");
}

#[tokio::test]
async fn too_much_is_not_read() {
    for headers in [vec![], vec![(CONTENT_LENGTH, "5242880")]] {
        let fixture =
            Fixture::open().reply(MANIFEST_URL, move || answer(200, &headers, vec![b' '; 5 * 1024 * 1024]));
        let error = check_manifest_error(fixture, "manifest is larger than 4194304 bytes").await;
        assert!(!error.is_unknown());
    }
    let children = vec![format!(r#"{{"digest":"{}","size":1}}"#, Digest::sha256(b"")); 1001].join(",");
    let index = format!(r#"{{"manifests":[{children}]}}"#);
    let fixture = Fixture::open()
        .reply(MANIFEST_URL, move || answer(200, &[(CONTENT_TYPE, media::OCI_INDEX)], index.clone()));
    check_manifest_error(fixture, "manifest has too many children: 1001, at most 1000 are allowed").await;
}

#[tokio::test]
async fn a_lying_length_is_a_broken_answer() {
    for length in ["3", "999"] {
        let fixture = Fixture::open().reply(MANIFEST_URL, move || {
            answer(200, &[(CONTENT_TYPE, media::OCI_MANIFEST), (CONTENT_LENGTH, length)], manifest())
        });
        assert!(
            check_manifest_error(fixture, "the answer ended before all of it had come: unexpected EOF")
                .await
                .is_unknown()
        );
    }
}

#[tokio::test]
async fn redirects_are_followed_without_the_credentials_of_another_host() {
    let fixture = Fixture::guarded("Basic realm=\"x\"")
        .with_credentials()
        .reply(MANIFEST_URL, || answer(307, &[(LOCATION, "/v2/other")], ""))
        .reply("https://reg.example/v2/other", || {
            answer(302, &[(LOCATION, "https://cdn.example/blob?sig=1")], "")
        })
        .reply("https://cdn.example/blob?sig=1", || {
            answer(302, &[(LOCATION, "https://reg.example/back")], "")
        })
        .reply("https://reg.example/back", manifest_answer);
    let (client, script) = fixture.client();
    client.get_manifest(&tag()).await.unwrap();
    let basic = Some("Basic cHVsbGVyOnMzY3JldA==".to_owned());
    assert_eq!(script.authorization(MANIFEST_URL), basic);
    assert_eq!(script.authorization("https://reg.example/v2/other"), basic);
    assert_eq!(script.authorization("https://cdn.example/"), None);
    assert_eq!(script.authorization("https://reg.example/back"), None, "dropped for good");
}

#[tokio::test]
async fn redirects_end_and_do_not_lead_out_of_https() {
    let looping = Fixture::open().reply(MANIFEST_URL, || answer(302, &[(LOCATION, MANIFEST_URL)], ""));
    let (client, script) = looping.client();
    let error = client.get_manifest(&tag()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("Get \"{MANIFEST_URL}\": stopped after 10 redirects"));
    assert!(error.is_unknown());
    assert_eq!(script.urls().len(), 1 + 1 + limits::REDIRECTS);

    let down =
        || Fixture::open().reply(MANIFEST_URL, || answer(302, &[(LOCATION, "http://reg.example/x")], ""));
    let expected =
        format!("Get \"{MANIFEST_URL}\": refusing to be redirected from https to http://reg.example/x");
    check_manifest_error(down(), &expected).await;
    let (client, _) = down().insecure().reply("http://reg.example/x", manifest_answer).client();
    assert!(client.get_manifest(&tag()).await.is_ok());

    let file = Fixture::open().reply(MANIFEST_URL, || answer(302, &[(LOCATION, "file:///etc/passwd")], ""));
    check_manifest_error(file, &format!("Get \"{MANIFEST_URL}\": unsupported protocol scheme \"file\""))
        .await;
}

fn refused() -> Reply {
    Err(TransportError::Connect {
        address: "10.0.0.1:443".into(),
        cause: "connect: connection refused".into(),
    })
}

#[tokio::test]
async fn plain_http_is_tried_only_when_insecure_and_https_is_not_there() {
    let expected = "Get \"https://reg.example/v2/\": dial tcp 10.0.0.1:443: connect: connection refused";
    let dead = Fixture::default().replies("https://reg.example/v2/", vec![refused()]);
    assert!(check_manifest_error(dead, expected).await.is_unknown());

    let both_dead = Fixture::default().insecure().rule(|_| Some(refused()));
    check_manifest_error(both_dead, &expected.replace("https", "http")).await;

    let plain = Fixture::default()
        .insecure()
        .replies("https://reg.example/v2/", vec![Err(TransportError::PlainHttp)])
        .reply("http://reg.example/v2/", || answer(200, &[], ""))
        .reply("http://reg.example/v2/team/app/manifests/v1", manifest_answer);
    assert!(plain.client().0.get_manifest(&tag()).await.is_ok());

    let answered = Fixture::default().insecure().reply("https://reg.example/v2/", || answer(404, &[], ""));
    check_manifest_error(
        answered,
        "endpoint \"https://reg.example\" does not support v2 API (got 404 Not Found)",
    )
    .await;
}

#[tokio::test]
async fn what_is_missing_answers_a_challenge_with_words() {
    let basic = Fixture::guarded("Basic realm=\"x\"");
    let error =
        check_manifest_error(basic, &format!("Get \"{MANIFEST_URL}\": no basic auth credentials")).await;
    assert!(error.is_unauthorized());
    let wrong = Fixture::guarded("Basic realm=\"x\"").with_credentials().reply(MANIFEST_URL, || {
        answer(
            401,
            &[],
            r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":null}]}"#,
        )
    });
    assert!(check_manifest_error(wrong, "unauthorized").await.is_unauthorized());
}

fn with_token(fixture: Fixture) -> Fixture {
    fixture
        .rule(|request| {
            let token = request.uri().to_string().starts_with("https://auth.example/token?");
            token.then(|| Ok(answer(200, &[], r#"{"token":"t0k","expires_in":300}"#)))
        })
        .rule(|request| {
            let authorized = request.headers().get(AUTHORIZATION).is_some_and(|value| value == "Bearer t0k");
            (request.uri() == MANIFEST_URL && authorized).then(|| Ok(manifest_answer()))
        })
}

#[tokio::test(start_paused = true)]
async fn a_token_is_fetched_with_scope_and_account_and_kept_until_it_expires() {
    let (client, script) = with_token(Fixture::guarded(BEARER).with_credentials()).client();
    client.get_manifest(&tag()).await.unwrap();
    client.get_manifest(&tag()).await.unwrap();
    let token_url =
        "https://auth.example/token?service=reg.example&scope=repository%3Ateam%2Fapp%3Apull&account=puller";
    assert_eq!(script.urls(), ["https://reg.example/v2/", token_url, MANIFEST_URL, MANIFEST_URL]);
    assert_eq!(script.authorization(token_url).as_deref(), Some("Basic cHVsbGVyOnMzY3JldA=="));
    tokio::time::advance(Duration::from_secs(301)).await;
    client.get_manifest(&tag()).await.unwrap();
    assert_eq!(script.urls().iter().filter(|url| *url == token_url).count(), 2);
    let anonymous = with_token(Fixture::guarded(BEARER)).client();
    anonymous.0.get_manifest(&tag()).await.unwrap();
    assert_eq!(anonymous.1.authorization("https://auth.example/token"), None);
}

#[tokio::test]
async fn a_kept_token_that_was_revoked_is_renewed_once() {
    let (client, script) = Fixture::guarded(BEARER)
        .rule(|request| {
            request
                .uri()
                .host()
                .filter(|host| *host == "auth.example")
                .map(|_| Ok(answer(200, &[], r#"{"access_token":"a"}"#)))
        })
        .replies(
            MANIFEST_URL,
            vec![
                Ok(manifest_answer()),
                Ok(answer(401, &[], "")),
                Ok(manifest_answer()),
                Ok(answer(401, &[], "")),
                Ok(answer(401, &[], "")),
            ],
        )
        .client();
    client.get_manifest(&tag()).await.unwrap();
    client.get_manifest(&tag()).await.unwrap();
    assert!(client.get_manifest(&tag()).await.unwrap_err().is_unauthorized());
    assert_eq!(script.urls().iter().filter(|url| url.contains("auth.example")).count(), 3);
}

#[tokio::test]
async fn a_failing_token_request_shows_in_the_error_of_the_request() {
    let fixture = Fixture::guarded(BEARER).with_credentials().rule(|request| {
        let body = r#"{"details":"incorrect username or password"}"#;
        (request.uri().host() == Some("auth.example")).then(|| Ok(answer(401, &[], body)))
    });
    let expected = format!("Get \"{MANIFEST_URL}\": unauthorized: incorrect username or password");
    let error = check_manifest_error(fixture, &expected).await;
    assert!(error.is_wrong_password() && !error.is_unauthorized() && !error.is_unknown());

    let busy = Fixture::guarded(BEARER).rule(|request| {
        (request.uri().host() == Some("auth.example")).then(|| Ok(answer(429, &[(RETRY_AFTER, "9")], "")))
    });
    let error = busy.client().0.get_manifest(&tag()).await.unwrap_err();
    assert!(error.is_unknown());
    assert_eq!(error.retry_after(), Some(Duration::from_secs(9)));

    let empty = Fixture::guarded(BEARER)
        .rule(|request| (request.uri().host() == Some("auth.example")).then(|| Ok(answer(200, &[], "{}"))));
    let text = "authorization server did not include a token in the response";
    check_manifest_error(empty, &format!("Get \"{MANIFEST_URL}\": {text}")).await;
}

async fn check_realm(realm: &'static str, insecure: bool, asked: bool) {
    let challenge: &'static str = Box::leak(format!("Bearer realm=\"{realm}\"").into_boxed_str());
    let mut fixture = Fixture::guarded(challenge).with_credentials();
    fixture.insecure = insecure;
    let (client, script) = fixture.client();
    let _ = client.get_manifest(&tag()).await.unwrap_err();
    let urls = script.urls();
    assert_eq!(urls.iter().any(|url| url.contains("/token")), asked, "{realm} {urls:?}");
}

#[tokio::test]
async fn credentials_go_to_no_insecure_or_foreign_realm() {
    check_realm("https://auth.example/token", false, true).await;
    check_realm("http://auth.example/token", false, false).await;
    check_realm("http://reg.example/token", false, false).await;
    check_realm("http://auth.example/token", true, false).await;
    check_realm("http://reg.example:8080/token", true, true).await;
    check_realm("file:///token", true, false).await;
    check_realm("/token", false, false).await;

    let moved = Fixture::guarded(BEARER).with_credentials().rule(|request| {
        let token = request.uri().host() == Some("auth.example");
        token.then(|| Ok(answer(302, &[(LOCATION, "https://evil.example/token")], "")))
    });
    let (client, script) = moved.client();
    let error = client.get_manifest(&tag()).await.unwrap_err();
    assert!(
        error.to_string().ends_with("refusing to be redirected to https://evil.example/token"),
        "{error}"
    );
    assert!(!script.urls().iter().any(|url| url.contains("evil.example")));
}

#[tokio::test]
async fn tags_are_read_page_by_page_from_the_same_list_only() {
    const LIST: &str = "https://reg.example/v2/team/app/tags/list";
    const SECOND: &str = "https://reg.example/v2/team/app/tags/list?last=b&n=2";
    let paged = |link: &'static str| {
        Fixture::open()
            .reply(LIST, move || answer(200, &[(LINK, link)], r#"{"name":"team/app","tags":["a","b"]}"#))
            .reply(SECOND, || answer(200, &[], r#"{"tags":["c"]}"#))
            .client()
    };
    let (client, _) = paged("</v2/team/app/tags/list?last=b&n=2>; rel=\"next\"");
    assert_eq!(client.list_tags().await.unwrap(), ["a", "b", "c"]);
    for foreign in
        ["<https://evil.example/v2/team/app/tags/list>; rel=next", "</v2/other/tags/list>; rel=next"]
    {
        let error = paged(foreign).0.list_tags().await.unwrap_err();
        assert!(matches!(error, RegistryError::ForeignPage { .. }), "{error}");
    }
    let (client, script) = paged("</v2/team/app/tags/list>; rel=next");
    let error = client.list_tags().await.unwrap_err();
    assert_eq!(error.to_string(), "tag list is larger than 1000 pages");
    assert_eq!(script.urls().len(), 1 + limits::TAG_PAGES);
}

#[tokio::test]
async fn tag_lists_without_tags_and_of_unknown_repositories() {
    const LIST: &str = "https://reg.example/v2/team/app/tags/list";
    let (client, _) = Fixture::open().reply(LIST, || answer(200, &[], r#"{"tags":null}"#)).client();
    assert!(client.list_tags().await.unwrap().is_empty());
    let body = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry","detail":{"name":"no/such"}}]}"#;
    let (client, _) = Fixture::open().reply(LIST, move || answer(404, &[], body)).client();
    let error = client.list_tags().await.unwrap_err();
    assert_eq!(error.to_string(), "name unknown: repository name not known to registry");
    assert!(error.is_repository_unknown() && !error.is_not_found());
}

/// A row of a list of referrers, as registries write it.
fn row(digest: &Digest) -> String {
    format!(r#"{{"mediaType":"{}","size":7,"artifactType":"a/b","digest":"{digest}"}}"#, media::OCI_MANIFEST)
}

fn listed(link: &str, rows: &[&Digest]) -> Response<Bytes> {
    let rows: Vec<String> = rows.iter().map(|digest| row(digest)).collect();
    let body = format!(r#"{{"manifests":[{}],"schemaVersion":2}}"#, rows.join(","));
    let mut headers = vec![(CONTENT_TYPE, media::OCI_INDEX)];
    headers.extend(Some((LINK, link)).filter(|_| !link.is_empty()));
    answer(200, &headers, body)
}

#[tokio::test]
async fn referrers_of_all_pages_are_one_index_in_one_order() {
    let subject = Digest::sha256(b"weir");
    let (one, other) = (Digest::sha256(b"one"), Digest::sha256(b"other"));
    let list = format!("https://reg.example/v2/team/app/referrers/{subject}");
    let told = |first: &Digest, second: &Digest, link: String| {
        let (first, second) = (first.clone(), second.clone());
        Fixture::open()
            .reply(&list, move || listed(&link, &[&first]))
            .reply(&format!("{list}?last=x"), move || listed("", &[&second]))
            .client()
            .0
    };
    let next = format!("</v2/team/app/referrers/{subject}?last=x>; rel=next");
    let index = told(&one, &other, next.clone()).referrers(&subject).await.unwrap().unwrap();
    assert_eq!(index.children().unwrap().len(), 2);
    let again = told(&other, &one, next).referrers(&subject).await.unwrap().unwrap();
    assert_eq!(index.digest(), again.digest(), "order means nothing");
    let text = String::from_utf8(index.raw().to_vec()).unwrap();
    assert!(text.contains(r#""artifactType":"a/b""#), "{text}");
    let foreign = told(&one, &other, "</v2/team/app/tags/list>; rel=next".to_owned());
    assert!(matches!(foreign.referrers(&subject).await, Err(RegistryError::ForeignPage { .. })));
}

#[tokio::test]
async fn a_registry_that_does_not_tell_of_referrers_is_asked_once() {
    let subject = Digest::sha256(b"weir");
    let list = format!("https://reg.example/v2/team/app/referrers/{subject}");
    for (status, kind, body) in [(404, "text/plain", "404 page not found"), (200, "text/html", "<html>")] {
        let (client, script) =
            Fixture::open().reply(&list, move || answer(status, &[(CONTENT_TYPE, kind)], body)).client();
        for _ in 0..2 {
            assert!(client.referrers(&subject).await.unwrap().is_none());
        }
        assert_eq!(script.urls().iter().filter(|url| **url == list).count(), 1);
    }
    for status in [502, 403] {
        let (client, _) = Fixture::open().reply(&list, move || answer(status, &[], "")).client();
        client.referrers(&subject).await.expect_err("that says nothing about the list");
    }
    let (client, _) = Fixture::open().reply(&list, || listed("", &[])).client();
    let index = client.referrers(&subject).await.unwrap().unwrap();
    assert!(index.children().unwrap().is_empty(), "nothing refers to it");
}

#[tokio::test]
async fn heads_tell_what_is_there() {
    let digest = Digest::sha256(manifest().as_bytes());
    let shown = digest.to_string();
    let (client, script) = Fixture::open()
        .rule(move |request| {
            let headers = [
                (CONTENT_TYPE, "application/vnd.oci.image.index.v1+json; x=y"),
                (CONTENT_LENGTH, "77"),
                (HeaderName::from_static("docker-content-digest"), shown.as_str()),
            ];
            (request.uri() == MANIFEST_URL).then(|| Ok(answer(200, &headers, "")))
        })
        .rule(|request| {
            request.uri().path().contains("blobs").then(|| Ok(answer(200, &[(CONTENT_LENGTH, "5")], "")))
        })
        .rule(|request| request.uri().path().ends_with("busy").then(|| Ok(answer(502, &[], ""))))
        .client();
    let head = client.head_manifest(&tag()).await.unwrap().unwrap();
    assert_eq!(
        (head.digest, head.media_type.as_str(), head.size),
        (Some(digest.clone()), media::OCI_INDEX, Some(77))
    );
    assert_eq!(client.head_manifest(&Selector::Tag("none".into())).await.unwrap(), None);
    assert!(client.head_manifest(&Selector::Tag("busy".into())).await.unwrap_err().is_unknown());
    assert_eq!(client.head_blob(&digest).await.unwrap(), Some(5));
    assert!(script.seen.lock().unwrap()[1..].iter().all(|request| request.method() == "HEAD"));
}

#[tokio::test(start_paused = true)]
async fn only_time_outs_and_bare_429_are_repeated() {
    let timeout = || Err(TransportError::Timeout("awaiting headers"));
    let (client, script) = Fixture::open()
        .replies(MANIFEST_URL, vec![timeout(), Ok(answer(429, &[], "slow down")), Ok(manifest_answer())])
        .client();
    let start = tokio::time::Instant::now();
    client.get_manifest(&tag()).await.unwrap();
    assert_eq!(start.elapsed(), limits::RETRY_PAUSE + limits::RETRY_PAUSE_BUSY);
    assert_eq!(script.urls().len(), 4);
    let once: [Reply; 4] = [
        Ok(answer(429, &[], r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#)),
        Ok(answer(429, &[(RETRY_AFTER, "3600")], "")),
        Ok(answer(500, &[], "")),
        refused(),
    ];
    for reply in once {
        let (client, script) = Fixture::open().replies(MANIFEST_URL, vec![reply]).client();
        assert!(client.get_manifest(&tag()).await.unwrap_err().is_unknown());
        assert_eq!(script.urls().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn every_fault_on_the_way_ends_in_content_or_in_an_unknown() {
    let faults = [
        Fault::Drop,
        Fault::Hang,
        Fault::TooManyRequests,
        Fault::Unavailable,
        Fault::Truncate,
        Fault::LyingLength,
    ];
    let script = |rules: Fixture| Arc::new(Script { rules: rules.rules, seen: Mutex::default() });
    let settings = || RepositorySettings {
        host: "reg.example".into(),
        path: "team/app".into(),
        credentials: None,
        insecure: false,
        bucket: None,
    };
    for fault in faults {
        let transport =
            FaultyTransport::always(script(Fixture::open().reply(MANIFEST_URL, manifest_answer)), fault);
        let client = RepositoryClient::new(Arc::new(transport), settings()).unwrap();
        let error = client.get_manifest(&tag()).await.unwrap_err();
        let passing_ping = matches!(error, RegistryError::NotV2 { .. });
        assert!(error.is_unknown() || passing_ping, "{fault:?}: {error}");
    }
    let digest = Digest::sha256(manifest().as_bytes());
    let mut fetched = 0;
    for seed in 0..200 {
        let rules = Fixture::open().rule(|request| {
            request.uri().path().contains("/manifests/sha256:").then(|| Ok(manifest_answer()))
        });
        let transport = FaultyTransport::seeded(script(rules), seed, 4);
        let client = RepositoryClient::new(Arc::new(transport), settings()).unwrap();
        match client.get_manifest(&Selector::Digest(digest.clone())).await {
            Ok(found) => {
                assert_eq!(found.manifest.raw(), manifest().as_bytes());
                fetched += 1;
            }
            Err(error) => assert!(!error.is_not_found(), "seed {seed}: {error}"),
        }
    }
    assert!((50..200).contains(&fetched), "{fetched}");
}

#[test]
fn addresses_that_cannot_be_part_of_a_url_are_refused() {
    for (host, path) in
        [("", "a"), ("host/x", "a"), ("user@host", "a"), ("host", "../a"), ("host", "A"), ("host?x", "a")]
    {
        let settings = RepositorySettings {
            host: host.into(),
            path: path.into(),
            credentials: None,
            insecure: false,
            bucket: None,
        };
        let script = Arc::new(Script { rules: Vec::new(), seen: Mutex::default() });
        assert!(RepositoryClient::new(script, settings).is_err(), "{host} {path}");
    }
}
