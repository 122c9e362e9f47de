//! Listeners: accept, TLS, HTTP/1.1 and HTTP/2, and an orderly end.
//!
//! One connection is one small task. The peer's verified certificate is kept for authentication. A client that is slow
//! to shake hands or to send its headers is cut off; connections are bounded, and more wait in the kernel's queue. At
//! shutdown no new connection is taken, requests in flight end, idle connections close.
//!
//! What answers requests is given as a [`Handler`]; connections may come from anywhere, see [`serve_connection`].

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::body::Body;
use crate::limits;
use crate::tasks::Tasks;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where from; `None` for in-memory connections.
    pub address: Option<SocketAddr>,
    /// The certificate the client showed, verified.
    pub certificate: Option<CertificateDer<'static>>,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// A future that answers one request.
pub type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// What answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. The future may be dropped when the client goes away.
    fn handle(self: Arc<Self>, peer: Arc<Peer>, request: Request<Incoming>) -> Answer;
}

/// What goes over a listener's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Small requests and answers: an answer and its head are one piece.
    Messages,
    /// Content: read in large steps, and written as it is, without another copy.
    Content,
}

/// How connections are encrypted; can be exchanged while the server runs.
pub type TlsSettings = Arc<ArcSwap<rustls::ServerConfig>>;

/// Takes connections until the server stops, then lets those in flight end.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsSettings>,
    traffic: Traffic,
    handler: Arc<dyn Handler>,
    tasks: Tasks,
) {
    let permits = Arc::new(Semaphore::new(limits::CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = tasks.stopping() => return,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                accept_failed(&error).await;
                continue;
            }
        };
        let (tls, handler, inner) = (tls.clone(), Arc::clone(&handler), tasks.clone());
        tasks.spawn_small(async move {
            let _permit = permit;
            connection(stream, address, tls, traffic, handler, inner).await;
        });
    }
}

/// A failed accept is about that connection, or the process is out of descriptors: then wait for some to be closed.
async fn accept_failed(error: &io::Error) {
    let passing = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    );
    if !passing {
        warn!(%error, "cannot accept connections for now");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsSettings>,
    traffic: Traffic,
    handler: Arc<dyn Handler>,
    tasks: Tasks,
) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%address, %error, "TCP_NODELAY");
    }
    let Some(tls) = tls else {
        let peer = Peer { address: Some(address), certificate: None, tls: false };
        serve_connection(stream, peer, traffic, handler, &tasks).await;
        return;
    };
    let acceptor = TlsAcceptor::from(tls.load_full());
    let stream = match tokio::time::timeout(limits::HANDSHAKE_TIME, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return debug!(%address, %error, "TLS handshake"),
        Err(_) => return debug!(%address, "TLS handshake took too long"),
    };
    let certificate =
        stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|c| c.clone().into_owned());
    let peer = Peer { address: Some(address), certificate, tls: true };
    serve_connection(stream, peer, traffic, handler, &tasks).await;
}

/// Serves one connection of any kind until it ends or the server stops.
pub async fn serve_connection<S>(
    stream: S,
    peer: Peer,
    traffic: Traffic,
    handler: Arc<dyn Handler>,
    tasks: &Tasks,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = Arc::new(peer);
    let address = peer.address;
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = Arc::clone(&handler).handle(Arc::clone(&peer), request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADER_TIME)
        .max_buf_size(match traffic {
            Traffic::Messages => limits::HEADERS.max(64 * 1024),
            Traffic::Content => limits::CONTENT_STEP,
        })
        .pipeline_flush(traffic == Traffic::Messages);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::H2_STREAMS)
        .max_header_list_size(u32::try_from(limits::HEADERS).unwrap_or(u32::MAX))
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(8 << 20)
        .keep_alive_interval(std::time::Duration::from_secs(30));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = tasks.stopping() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(?address, error = %error, "connection");
    }
}

/// A token that tells long answers (watches) of this server to end.
pub type Ending = CancellationToken;
