//! An upstream registry in memory, as a transport: content, credentials and trouble are scripted, requests are counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use oci::client::{ResponseBody, Transport, TransportError, Trust};
use oci::{Digest, media};

/// Registries by host.
#[derive(Debug, Default)]
pub(crate) struct Upstream(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    manifests: BTreeMap<(String, String), (String, Bytes)>,
    blobs: BTreeMap<(String, String), Bytes>,
    tags: BTreeMap<String, Vec<String>>,
    passwords: BTreeMap<String, String>,
    token_hosts: BTreeSet<String>,
    trouble: BTreeMap<String, Trouble>,
    log: Vec<String>,
    pace: Duration,
}

/// What is wrong with a host.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// Nobody listens.
    Refused,
    /// It never answers.
    Silent,
    /// It answers every question but the ping with a status and a body.
    Answers(u16, &'static str, Option<u64>),
    /// It sends other bytes than it says.
    Corrupt,
    /// It claims to have this digest, whatever is asked for by HEAD.
    Claims(Digest),
}

impl Upstream {
    /// Puts a manifest under a tag (or none) of `host/path`; returns its digest.
    pub(crate) fn put(&self, repository: &str, tag: &str, media_type: &str, raw: &[u8]) -> Digest {
        let digest = Digest::sha256(raw);
        let mut state = self.state();
        let value = (media_type.to_owned(), Bytes::copy_from_slice(raw));
        state.manifests.insert((repository.to_owned(), digest.to_string()), value.clone());
        if !tag.is_empty() {
            state.manifests.insert((repository.to_owned(), tag.to_owned()), value);
            let tags = state.tags.entry(repository.to_owned()).or_default();
            if !tags.iter().any(|held| held == tag) {
                tags.push(tag.to_owned());
            }
        }
        digest
    }

    /// Puts a blob; returns its digest.
    pub(crate) fn blob(&self, repository: &str, raw: &[u8]) -> Digest {
        let digest = Digest::sha256(raw);
        self.state().blobs.insert((repository.to_owned(), digest.to_string()), Bytes::copy_from_slice(raw));
        digest
    }

    /// Puts a small image with a name in its configuration; returns its digest.
    pub(crate) fn image(&self, repository: &str, tag: &str, name: &str) -> Digest {
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","created":"2017-08-01T00:00:00Z","config":{{"Labels":{{"name":"{name}"}}}}}}"#
        );
        let config_digest = self.blob(repository, config.as_bytes());
        let layer = Digest::sha256(name.as_bytes());
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","size":{},"digest":"{config_digest}"}},"layers":[{{"mediaType":"{}","size":100,"digest":"{layer}"}}]}}"#,
            media::DOCKER_SCHEMA2,
            media::DOCKER_CONFIG,
            config.len(),
            media::DOCKER_LAYER,
        );
        self.put(repository, tag, media::DOCKER_SCHEMA2, manifest.as_bytes())
    }

    /// Puts a list of children, each for a platform `os/arch`.
    pub(crate) fn list(&self, repository: &str, tag: &str, children: &[(&str, &Digest)]) -> Digest {
        let entry = |(platform, digest): &(&str, &Digest)| {
            let (os, arch) = platform.split_once('/').unwrap();
            let media_type = media::DOCKER_SCHEMA2;
            format!(
                r#"{{"mediaType":"{media_type}","size":9,"digest":"{digest}","platform":{{"architecture":"{arch}","os":"{os}"}}}}"#
            )
        };
        let entries: Vec<String> = children.iter().map(entry).collect();
        let media_type = media::DOCKER_LIST;
        let raw = format!(
            r#"{{"schemaVersion":2,"mediaType":"{media_type}","manifests":[{}]}}"#,
            entries.join(",")
        );
        self.put(repository, tag, media_type, raw.as_bytes())
    }

    /// Gives the image of one `host/path:tag` another such name as well, in its repository.
    pub(crate) fn copy(&self, source: &str, target: &str) {
        let ((from, tag), (to, name)) = (source.rsplit_once(':').unwrap(), target.rsplit_once(':').unwrap());
        let mut state = self.state();
        let (media_type, raw) = state.manifests[&(from.to_owned(), tag.to_owned())].clone();
        let blobs = state.blobs.iter().filter(|((held, _), _)| held == from);
        let blobs: Vec<_> =
            blobs.map(|((_, digest), raw)| ((to.to_owned(), digest.clone()), raw.clone())).collect();
        state.blobs.extend(blobs);
        drop(state);
        self.put(to, name, &media_type, &raw);
    }

    /// The digest of a `host/path:tag`.
    pub(crate) fn digest(&self, name: &str) -> Option<Digest> {
        let (repository, tag) = name.rsplit_once(':').unwrap();
        let state = self.state();
        state.manifests.get(&(repository.to_owned(), tag.to_owned())).map(|(_, raw)| Digest::sha256(raw))
    }

    /// Takes the image of a `host/path:tag` out of its repository, under all its names.
    pub(crate) fn remove_image(&self, name: &str) {
        let (repository, _) = name.rsplit_once(':').unwrap();
        let digest = self.digest(name).unwrap();
        self.state()
            .manifests
            .retain(|(held, _), (_, raw)| held != repository || Digest::sha256(raw) != digest);
    }

    /// Wants a name and password (`name:password`) at a host.
    pub(crate) fn lock(&self, host: &str, name_and_password: &str) {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(name_and_password);
        self.state().passwords.insert(host.to_owned(), format!("Basic {encoded}"));
    }

    /// Lets a host give tokens to anybody, but refuse all passwords.
    pub(crate) fn give_tokens(&self, host: &str) {
        self.state().token_hosts.insert(host.to_owned());
    }

    /// Makes trouble at a host, or ends it.
    pub(crate) fn trouble(&self, host: &str, trouble: Option<Trouble>) {
        let mut state = self.state();
        match trouble {
            Some(trouble) => state.trouble.insert(host.to_owned(), trouble),
            None => state.trouble.remove(host),
        };
    }

    /// Lets every answer take a while.
    pub(crate) fn pace(&self, pace: Duration) {
        self.state().pace = pace;
    }

    /// The requests since the last look, pings left out: `GET host/path/manifests/tag`.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state().log)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request<Bytes>) -> Response<ResponseBody> {
        let mut state = self.state();
        let (host, path) = (request.uri().authority().unwrap().to_string(), request.uri().path().to_owned());
        let shown =
            |header: &str| request.headers().get(header).map(|value| value.to_str().unwrap().to_owned());
        if let Some(wanted) = state.passwords.get(&host)
            && shown("authorization").as_ref() != Some(wanted)
        {
            let mut answer = error(401, "UNAUTHORIZED", "authentication required");
            answer.headers_mut().insert("www-authenticate", "Basic realm=\"r\"".parse().unwrap());
            return answer;
        }
        if state.token_hosts.contains(&host)
            && let Some(answer) = with_tokens(&host, &path, shown("authorization").as_deref())
        {
            return answer;
        }
        let rest = path.strip_prefix("/v2/").unwrap();
        if rest.is_empty() {
            return reply(200, "application/json", Bytes::from_static(b"{}"));
        }
        state.log.push(format!("{} {host}/{rest}", request.method()));
        let trouble = state.trouble.get(&host).cloned();
        if let Some(Trouble::Answers(status, body, pause)) = trouble {
            let mut answer = reply(status, "application/json", Bytes::from_static(body.as_bytes()));
            if let Some(pause) = pause {
                answer.headers_mut().insert("retry-after", pause.into());
            }
            return answer;
        }
        let mut answer = content(&state, &host, rest);
        let corrupt = matches!(trouble, Some(Trouble::Corrupt)) && answer.1.len() > 2;
        if corrupt {
            let mut bytes = answer.1.to_vec();
            let at = bytes.len() - 2;
            bytes[at] ^= 1;
            answer.1 = bytes.into();
        }
        let (status, raw, media_type) = answer;
        let digest = Digest::sha256(&raw);
        let head = request.method() == Method::HEAD;
        let length = raw.len();
        let mut answer = reply(status, &media_type, if head { Bytes::new() } else { raw });
        answer.headers_mut().insert("content-length", length.into());
        if let (Some(Trouble::Claims(claimed)), true) = (&trouble, head) {
            answer.headers_mut().insert("docker-content-digest", claimed.as_str().parse().unwrap());
        } else if status == 200 && !corrupt {
            answer.headers_mut().insert("docker-content-digest", digest.as_str().parse().unwrap());
        }
        answer
    }
}

fn content(state: &State, host: &str, rest: &str) -> (u16, Bytes, String) {
    let missing = |code: &str| {
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"not here"}}]}}"#);
        (404, Bytes::from(body), "application/json".to_owned())
    };
    if let Some(path) = rest.strip_suffix("/tags/list") {
        let Some(tags) = state.tags.get(&format!("{host}/{path}")) else { return missing("NAME_UNKNOWN") };
        let body = serde_json::json!({"name": path, "tags": tags}).to_string();
        return (200, body.into(), "application/json".to_owned());
    }
    if let Some((path, reference)) = rest.split_once("/manifests/") {
        return match state.manifests.get(&(format!("{host}/{path}"), reference.to_owned())) {
            Some((media_type, raw)) => (200, raw.clone(), media_type.clone()),
            None => missing("MANIFEST_UNKNOWN"),
        };
    }
    let (path, digest) = rest.split_once("/blobs/").expect("a request of the distribution protocol");
    match state.blobs.get(&(format!("{host}/{path}"), digest.to_owned())) {
        Some(raw) => (200, raw.clone(), media::OCTET_STREAM.to_owned()),
        None => missing("BLOB_UNKNOWN"),
    }
}

/// A registry that gives tokens to anybody but to those who show a password.
fn with_tokens(host: &str, path: &str, authorization: Option<&str>) -> Option<Response<ResponseBody>> {
    if path == "/token" {
        return Some(if authorization.is_some() {
            reply(
                401,
                "application/json",
                Bytes::from_static(br#"{"details":"incorrect username or password"}"#),
            )
        } else {
            reply(200, "application/json", Bytes::from_static(br#"{"token":"t"}"#))
        });
    }
    if authorization == Some("Bearer t") {
        return None;
    }
    let mut answer = error(401, "UNAUTHORIZED", "authentication required");
    let challenge = format!("Bearer realm=\"https://{host}/token\",service=\"{host}\"");
    answer.headers_mut().insert("www-authenticate", challenge.parse().unwrap());
    Some(answer)
}

fn error(status: u16, code: &str, message: &str) -> Response<ResponseBody> {
    let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
    reply(status, "application/json", body.into())
}

fn reply(status: u16, content_type: &str, body: Bytes) -> Response<ResponseBody> {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer.headers_mut().insert("content-type", content_type.parse().unwrap());
    answer
}

impl Transport for Upstream {
    fn send(
        &self,
        request: Request<Bytes>,
        _: Trust,
    ) -> BoxFuture<'_, Result<Response<ResponseBody>, TransportError>> {
        Box::pin(async move {
            let host = request.uri().authority().unwrap().to_string();
            let (trouble, pace) = {
                let state = self.state();
                (state.trouble.get(&host).cloned(), state.pace)
            };
            match trouble {
                Some(Trouble::Refused) => {
                    let cause = "connect: connection refused".to_owned();
                    return Err(TransportError::Connect { address: host, cause });
                }
                Some(Trouble::Silent) => return std::future::pending().await,
                _ => {}
            }
            if !pace.is_zero() {
                tokio::time::sleep(pace).await;
            }
            Ok(self.answer(&request))
        })
    }
}
