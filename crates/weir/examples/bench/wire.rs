//! HTTP/1.1 on one kept-alive connection, with as little work for a request as can be: the machine's cores are shared
//! with the server that is measured.
//!
//! Requests are bytes that are ready to be sent. Of an answer, the status and the body are looked at, and nothing else.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Room for what one read of the socket brings.
const ROOM: usize = 64 * 1024;

/// A server to talk to.
#[derive(Clone)]
pub(crate) struct Target {
    /// `host:port`
    pub address: String,
    /// Sent with every request.
    pub token: Option<String>,
    tls: Option<Arc<ClientConfig>>,
}

impl Target {
    /// A server that shows a certificate of this authority (a PEM file).
    pub(crate) fn tls(address: &str, ca: &Path, token: Option<String>) -> Result<Target> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca).context("the certificate authority")? {
            roots.add(certificate.context("the certificate authority")?)?;
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Target { address: address.to_owned(), token, tls: Some(Arc::new(config)) })
    }

    /// A server without encryption.
    pub(crate) fn plain(address: &str) -> Target {
        Target { address: address.to_owned(), token: None, tls: None }
    }

    /// A request without a body, ready to be sent.
    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
        self.request("GET", path, "", b"")
    }

    /// A request with a JSON body, ready to be sent.
    pub(crate) fn json(&self, method: &str, path: &str, body: &serde_json::Value) -> Vec<u8> {
        self.request(method, path, "Content-Type: application/json\r\n", body.to_string().as_bytes())
    }

    /// Any request, ready to be sent; `headers` are whole lines.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
        let mut out = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}", self.address).into_bytes();
        if let Some(token) = &self.token {
            out.extend_from_slice(format!("Authorization: Bearer {token}\r\n").as_bytes());
        }
        if !body.is_empty() {
            out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
        out
    }

    pub(crate) async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(&self.address).await.with_context(|| self.address.clone())?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(config) => {
                let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
                let name = ServerName::try_from(host.to_owned())?;
                Box::new(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?)
            }
        };
        Ok(Connection { stream, buffer: Vec::with_capacity(ROOM) })
    }

    /// One request on a connection of its own; the body must be JSON.
    pub(crate) async fn ask(&self, request: &[u8]) -> Result<(u16, serde_json::Value)> {
        let mut connection = self.connect().await?;
        let (status, body) = connection.exchange(request).await?;
        Ok((status, serde_json::from_slice(body).unwrap_or_default()))
    }

    /// As [`Target::ask`], for requests that must succeed.
    pub(crate) async fn must(&self, request: &[u8]) -> Result<serde_json::Value> {
        let (status, body) = self.ask(request).await?;
        if !(200..300).contains(&status) {
            let line =
                String::from_utf8_lossy(request.split(|byte| *byte == b'\r').next().unwrap_or_default());
            bail!("{line}: {status} {body}");
        }
        Ok(body)
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// One connection.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Connection {
    /// Sends a request and reads the whole answer: status and body.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<(u16, &[u8])> {
        self.send(request).await?;
        let head = self.head().await?;
        let (status, length) = read_head(&self.buffer[..head])?;
        let without_body = request.starts_with(b"HEAD ") || status == 204;
        let end = head + if without_body { 0 } else { length.context("an answer without a length")? };
        self.buffer.reserve(end.saturating_sub(self.buffer.len()));
        while self.buffer.len() < end {
            self.read().await?;
        }
        Ok((status, &self.buffer[head..end]))
    }

    /// Sends a request.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<()> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// Reads until `text` has come in what follows the request that was sent.
    pub(crate) async fn until(&mut self, text: &[u8]) -> Result<()> {
        let mut seen: usize = 0;
        loop {
            let from = seen.saturating_sub(text.len());
            if self.buffer[from..].windows(text.len()).any(|window| window == text) {
                self.buffer.clear();
                return Ok(());
            }
            seen = self.buffer.len();
            self.read().await?;
        }
    }

    /// Reads until `text` has come `count` times, and calls `seen` for each.
    pub(crate) async fn each(&mut self, text: &[u8], count: usize, mut seen: impl FnMut()) -> Result<()> {
        let mut left = count;
        loop {
            while let Some(at) = self.buffer.windows(text.len()).position(|window| window == text) {
                self.buffer.drain(..at + text.len());
                seen();
                left -= 1;
                if left == 0 {
                    return Ok(());
                }
            }
            let rest = self.buffer.len().saturating_sub(text.len());
            self.buffer.drain(..rest);
            self.read().await?;
        }
    }

    /// Reads to the end of the head; returns where the body begins.
    async fn head(&mut self) -> Result<usize> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                return Ok(at + 4);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<()> {
        self.buffer.reserve(ROOM);
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }
}

/// Status and length of the body.
pub(crate) fn read_head(head: &[u8]) -> Result<(u16, Option<usize>)> {
    let status = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
    let status = status.and_then(|digits| digits.parse().ok()).context("no status line")?;
    let mut length = None;
    for line in head.split(|byte| *byte == b'\n') {
        let name = line.get(..15).unwrap_or_default();
        if name.eq_ignore_ascii_case(b"content-length:") {
            length = std::str::from_utf8(&line[15..]).ok().and_then(|value| value.trim().parse().ok());
        }
    }
    Ok((status, length))
}
