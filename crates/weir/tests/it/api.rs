//! A client that sends what it is told and nothing else.
//!
//! Requests go out over HTTP/1.1 without a user agent and without compression, as the recordings were made: what the
//! server derives from those (the name of a field manager, the indentation of an answer) is part of what is compared.
//! An answer is JSON, the events of a watch, or text, in that order of trying.

use std::time::Duration;

use reqwest::{
    Certificate, Client, Method,
    header::{
        ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName,
        HeaderValue,
    },
};
use serde_json::Value;

/// The longest that an answer may be silent; a watch may go on for longer than any bound on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One request. A header that is there twice is sent twice.
#[derive(Debug, Default, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query, encoded.
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
}

impl Request {
    pub(crate) fn new(method: &str, path: impl Into<String>) -> Self {
        Self { method: method.to_owned(), path: path.into(), ..Self::default() }
    }

    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string().into_bytes());
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The values of a header, in the order they came.
    pub(crate) fn header_values(&self, name: &str) -> Vec<String> {
        self.headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    }
}

/// An API server and the identity that asks it.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    client: Client,
    base: String,
    token: Option<String>,
}

impl Api {
    /// `ca` is a PEM bundle; without it any certificate is taken.
    pub(crate) fn new(base: &str, token: Option<&str>, ca: Option<&[u8]>) -> Self {
        let builder = Client::builder().no_proxy().http1_only().read_timeout(PATIENCE);
        let builder = match ca {
            Some(pem) => builder.tls_certs_only(Certificate::from_pem_bundle(pem).expect("the CA is PEM")),
            None => builder.tls_danger_accept_invalid_certs(true),
        };
        Self {
            client: builder.build().expect("these settings make a client"),
            base: base.trim_end_matches('/').to_owned(),
            token: token.map(str::to_owned),
        }
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Sends the request and returns as soon as the head of the answer is there; for watches and cut connections.
    pub(crate) async fn open(&self, request: &Request) -> Result<reqwest::Response, reqwest::Error> {
        let method = Method::from_bytes(request.method.as_bytes()).expect("methods are tokens");
        let url = format!("{}{}", self.base, request.path);
        let sending = self.client.request(method, url).headers(self.headers(request));
        let sending = match &request.body {
            Some(body) => sending.body(body.clone()),
            None => sending,
        };
        sending.send().await
    }

    pub(crate) async fn call(&self, request: &Request) -> Result<Answer, reqwest::Error> {
        let response = self.open(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = parse(&response.bytes().await?);
        Ok(Answer { status, headers, body })
    }

    /// The usual request, which has to succeed.
    pub(crate) async fn must(&self, request: Request) -> Answer {
        let answer = self.call(&request).await.unwrap_or_else(|error| panic!("{request:?}: {error:?}"));
        assert!((200..300).contains(&answer.status), "{} {}: {answer:?}", request.method, request.path);
        answer
    }

    fn headers(&self, request: &Request) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
            headers.append(name, HeaderValue::from_str(value).expect("a header's value"));
        }
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
        if request.body.is_some() {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        } else if matches!(request.method.as_str(), "POST" | "PUT" | "PATCH") {
            headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
        }
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a token is one word");
            headers.entry(AUTHORIZATION).or_insert(value);
        }
        headers
    }
}

/// JSON; else one JSON document a line, which is a watch; else text.
pub(crate) fn parse(raw: &[u8]) -> Value {
    if let Ok(value) = serde_json::from_slice(raw) {
        return value;
    }
    let text = String::from_utf8_lossy(raw);
    let events: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    events.map_or_else(|_| Value::String(text.into_owned()), Value::Array)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::TcpListener,
        thread,
    };

    use serde_json::json;

    use super::*;

    /// Answers one request with `200 {}` and gives back what was sent.
    async fn sent(request: Request) -> (Vec<String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
            let mut lines = Vec::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).expect("a line");
                if line.trim_end().is_empty() {
                    break;
                }
                lines.push(line.trim_end().to_lowercase());
            }
            let length = lines.iter().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
            reader.read_exact(&mut body).expect("the body");
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").expect("written");
            (lines, String::from_utf8(body).expect("text"))
        });
        let api = Api::new(&format!("http://{address}"), Some("word"), None);
        let answer = api.call(&request).await.expect("answered");
        assert_eq!((answer.status, answer.body), (200, json!({})));
        server.join().expect("the server ends")
    }

    #[tokio::test]
    async fn a_header_that_is_there_twice_is_sent_twice() {
        let request = Request::new("GET", "/x?a=b%20c")
            .header("Impersonate-Group", "g1")
            .header("Impersonate-Group", "g2");
        let (lines, _) = sent(request).await;
        assert_eq!(lines[0], "get /x?a=b%20c http/1.1");
        let groups: Vec<_> = lines.iter().filter(|line| line.starts_with("impersonate-group")).collect();
        assert_eq!(groups, ["impersonate-group: g1", "impersonate-group: g2"]);
        assert!(lines.contains(&"authorization: bearer word".to_owned()), "{lines:?}");
        assert!(lines.contains(&"accept: application/json".to_owned()), "{lines:?}");
        assert!(
            !lines.iter().any(|line| line.starts_with("user-agent") || line.starts_with("content-type")),
            "{lines:?}"
        );
    }

    #[tokio::test]
    async fn a_body_is_json_unless_the_request_says_otherwise() {
        let (lines, body) = sent(Request::new("POST", "/x").json(&json!({"a": 1}))).await;
        assert!(lines.contains(&"content-type: application/json".to_owned()), "{lines:?}");
        assert_eq!(body, r#"{"a":1}"#);
        let yaml = Request::new("PATCH", "/x").header("Content-Type", "application/yaml").json(&json!({}));
        let (lines, _) = sent(yaml).await;
        assert_eq!(lines.iter().filter(|line| line.starts_with("content-type")).count(), 1, "{lines:?}");
    }

    #[tokio::test]
    async fn a_write_without_a_body_says_that_it_is_empty() {
        let (lines, _) = sent(Request::new("POST", "/x")).await;
        assert!(lines.contains(&"content-length: 0".to_owned()), "{lines:?}");
    }

    #[test]
    fn answers_are_json_or_events_or_text() {
        assert_eq!(parse(b"{\"a\":1}\n"), json!({"a": 1}));
        assert_eq!(parse(b"{\"a\":1}\n{\"b\":2}\n"), json!([{"a": 1}, {"b": 2}]));
        assert_eq!(parse(b""), json!([]));
        assert_eq!(parse(b"404 page not found\n"), json!("404 page not found\n"));
    }
}
