//! Somebody who receives events: a plain HTTP server that keeps what it is sent, and refuses when it is told to.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::Engine as _;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

/// The longest that anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// Whether it was answered 200.
    pub(crate) taken: bool,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Whether the signature is the one that the secret makes.
    pub(crate) fn is_signed_with(&self, secret: &[u8]) -> bool {
        let mut signed =
            format!("{}.{}.", self.header("webhook-id"), self.header("webhook-timestamp")).into_bytes();
        signed.extend_from_slice(&self.body);
        let mac = base64::engine::general_purpose::STANDARD.encode(hmac(secret, &signed));
        self.header("webhook-signature") == format!("v1,{mac}")
    }
}

/// HMAC with SHA-256, as RFC 2104 has it; not the product's own.
pub(crate) fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let pad =
        |with: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or_default() ^ with).collect() };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

/// What requests get.
#[derive(Debug, Default)]
struct State {
    received: Vec<Received>,
    /// So many requests are refused first.
    refusals: usize,
    /// Where requests are sent on to, instead of being taken.
    redirect: Option<String>,
}

/// A receiver on a free port.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Receiver {
    #[expect(
        clippy::disallowed_methods,
        reason = "the tasks end with the runtime of the one test that they serve"
    )]
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let receiver = Self { address, state: Arc::default() };
        let inside = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let inside = inside.clone();
                // A client that goes away in the middle is its own affair.
                tokio::spawn(async move { inside.answer(stream).await.ok() });
            }
        });
        receiver
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    pub(crate) fn refuse(&self, times: usize) {
        self.state.lock().expect("nobody panicked").refusals = times;
    }

    pub(crate) fn redirect(&self, to: &str) {
        self.state.lock().expect("nobody panicked").redirect = Some(to.to_owned());
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.lock().expect("nobody panicked").received.clone()
    }

    /// What was taken, as soon as it is so much.
    pub(crate) async fn taken(&self, count: usize) -> Vec<Received> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let taken: Vec<Received> = self.received().into_iter().filter(|one| one.taken).collect();
            if taken.len() >= count {
                return taken;
            }
            assert!(Instant::now() < deadline, "{count} events were expected: {:?}", self.received());
            sleep(POLL).await;
        }
    }

    async fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let mut headers = HashMap::new();
            loop {
                line.clear();
                reader.read_line(&mut line).await?;
                let Some((name, value)) = line.trim_end().split_once(": ") else { break };
                headers.insert(name.to_ascii_lowercase(), value.to_owned());
            }
            let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            let mut body = vec![0; length];
            reader.read_exact(&mut body).await?;
            let answer = self.take(headers, body);
            reader.get_mut().write_all(answer.as_bytes()).await?;
        }
    }

    fn take(&self, headers: HashMap<String, String>, body: Vec<u8>) -> String {
        let mut state = self.state.lock().expect("nobody panicked");
        let refused = state.refusals > 0;
        state.refusals = state.refusals.saturating_sub(1);
        let redirect = state.redirect.clone();
        state.received.push(Received { headers, body, taken: !refused && redirect.is_none() });
        match redirect {
            Some(to) => format!("HTTP/1.1 307 Away\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"),
            None if refused => "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n".to_owned(),
            None => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_owned(),
        }
    }
}
