//! A server with its registry, two projects, and people with different rights in them.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{
    Client, Method, Response,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use serde_json::json;

use crate::{
    api::{Api, Request},
    random_hex,
    server::Server,
};

/// Who may do what in the first project; `foreign` is the builder of the other one.
const PEOPLE: [(&str, Option<&str>); 4] = [
    ("puller", Some("system:image-puller")),
    ("pusher", Some("system:image-pusher")),
    ("builder", Some("system:image-builder")),
    ("none", None),
];

/// The server and the people.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) api: Api,
    pub(crate) project: String,
    pub(crate) other: String,
    client: Client,
    tokens: BTreeMap<String, String>,
}

/// What the registry answered, byte for byte.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Raw {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) async fn read(response: Response) -> Result<Self, reqwest::Error> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, body: response.bytes().await?.to_vec() })
    }
}

impl World {
    pub(crate) async fn open() -> Self {
        Self::around(Server::start().await).await
    }

    pub(crate) async fn around(server: Server) -> Self {
        let api = server.api();
        let project = format!("registry-{}", random_hex(4));
        let other = format!("{project}-other");
        let tokens = BTreeMap::from([("admin".to_owned(), server.token())]);
        let client = Client::builder()
            .no_proxy()
            .http1_only()
            .redirect(redirect::Policy::none())
            .build()
            .expect("these settings make a client");
        let mut world = Self { server, api, project, other, client, tokens };
        for name in [world.project.clone(), world.other.clone()] {
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            world.api.must(Request::new("POST", "/api/v1/namespaces").json(&body)).await;
        }
        for (name, role) in PEOPLE {
            world.add(&world.project.clone(), name, role).await;
        }
        world.add(&world.other.clone(), "foreign", Some("system:image-builder")).await;
        world
    }

    /// Makes a service account with a role, and a token for it.
    async fn add(&mut self, namespace: &str, name: &str, role: Option<&str>) {
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
        self.api.must(Request::new("POST", accounts.clone()).json(&account)).await;
        if let Some(role) = role {
            let bindings = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings");
            let binding = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": name}],
            });
            self.api.must(Request::new("POST", bindings).json(&binding)).await;
        }
        let wanted = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 7200},
        });
        let answer =
            self.api.must(Request::new("POST", format!("{accounts}/{name}/token")).json(&wanted)).await;
        let token = answer.body["status"]["token"].as_str().expect("a token").to_owned();
        self.tokens.insert(name.to_owned(), token);
    }

    pub(crate) fn token(&self, who: &str) -> &str {
        self.tokens.get(who).unwrap_or_else(|| panic!("nobody is called {who}"))
    }

    /// The words that texts of cases have for tokens.
    pub(super) fn token_words(&self) -> impl Iterator<Item = (String, String)> {
        self.tokens.iter().flat_map(|(who, token)| {
            let basic = STANDARD.encode(format!("user:{token}"));
            [(format!("token:{who}"), token.clone()), (format!("basic:{who}"), basic)]
        })
    }

    /// Sends a request to the registry as somebody.
    pub(crate) async fn send(
        &self,
        who: &str,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: Option<reqwest::Body>,
    ) -> Result<Response, reqwest::Error> {
        let method = Method::from_bytes(method.as_bytes()).expect("methods are tokens");
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
            all.append(name, HeaderValue::from_str(value).expect("a header's value"));
        }
        if who != "anonymous" && !all.contains_key(AUTHORIZATION) {
            let value = format!("Bearer {}", self.token(who));
            all.insert(AUTHORIZATION, HeaderValue::from_str(&value).expect("a token is one word"));
        }
        let url = format!("http://{}{path}", self.server.registry());
        let request = self.client.request(method, url).headers(all);
        let request = match body {
            Some(body) => request.body(body),
            None => request,
        };
        request.send().await
    }

    /// The same, with the whole answer.
    pub(crate) async fn call(
        &self,
        who: &str,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: Option<Vec<u8>>,
    ) -> Raw {
        let sent = self.send(who, method, path, headers, body.map(Into::into)).await;
        let response = sent.unwrap_or_else(|error| panic!("{method} {path}: {error:?}"));
        Raw::read(response).await.unwrap_or_else(|error| panic!("{method} {path}: {error:?}"))
    }

    /// As [`World::upload`]; `None` when the registry went away.
    pub(crate) async fn try_upload(
        &self,
        who: &str,
        repository: &str,
        bytes: &[u8],
    ) -> Option<Result<(), String>> {
        let uploads = format!("/v2/{repository}/blobs/uploads/");
        let started = self.send(who, "POST", &uploads, &[], Some(Vec::new().into())).await.ok()?;
        let status = started.status();
        let location = started.headers().get("location").and_then(|value| value.to_str().ok());
        let Some(location) = location.filter(|_| status == 202) else {
            return Some(Err(format!("starting an upload answered {status}")));
        };
        let path = format!("{}?digest={}", local(location), super::content::digest(bytes));
        let headers = [("Content-Type", "application/octet-stream".to_owned())];
        let done = self.send(who, "PUT", &path, &headers, Some(bytes.to_vec().into())).await.ok()?;
        Some(if done.status() == 201 { Ok(()) } else { Err(format!("finishing answered {}", done.status())) })
    }

    /// Uploads a blob with POST and PUT.
    pub(crate) async fn upload(&self, who: &str, repository: &str, bytes: &[u8]) -> Result<(), String> {
        let uploads = format!("/v2/{repository}/blobs/uploads/");
        let started = self.call(who, "POST", &uploads, &[], Some(Vec::new())).await;
        let location = started.header("location").filter(|_| started.status == 202);
        let Some(location) = location else {
            return Err(format!("starting an upload answered {} {}", started.status, started.text()));
        };
        let separator = if location.contains('?') { '&' } else { '?' };
        let path = format!("{}{separator}digest={}", local(location), super::content::digest(bytes));
        let headers = [("Content-Type", "application/octet-stream".to_owned())];
        let done = self.call(who, "PUT", &path, &headers, Some(bytes.to_vec())).await;
        match done.status {
            201 => Ok(()),
            status => Err(format!("finishing the upload answered {status} {}", done.text())),
        }
    }
}

impl Raw {
    /// The beginning of the body, for people.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body[..self.body.len().min(600)]).into_owned()
    }
}

/// The path and query of an address of this registry.
pub(crate) fn local(address: &str) -> String {
    match address.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or_else(|| "/".to_owned(), |at| rest[at..].to_owned()),
        None => address.to_owned(),
    }
}
