//! The real transport against sockets on loopback.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::client::{RepositoryClient, RepositorySettings};

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

fn transport(settings: WebSettings) -> WebTransport {
    WebTransport::new(settings).unwrap()
}

async fn get(transport: &WebTransport, url: &str, trust: Trust) -> Result<Bytes, TransportError> {
    let request = Request::get(url).body(Bytes::new()).unwrap();
    let answer = transport.send(request, trust).await?;
    Ok(answer.into_body().collect().await?.to_bytes())
}

/// Reads one request and sends this answer.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8]) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {}
    // The peer may have hung up already; that is what some tests are about.
    let _ = stream.write_all(answer).await;
    let _ = stream.shutdown().await;
}

async fn serve_one(listener: &TcpListener, answer: &[u8]) {
    let (stream, _) = listener.accept().await.unwrap();
    serve(stream, answer).await;
}

#[tokio::test]
async fn nobody_listening_is_a_refused_connection() {
    let (listener, address) = listener().await;
    drop(listener);
    for scheme in ["http", "https"] {
        let error =
            get(&transport(WebSettings::default()), &format!("{scheme}://{address}/v2/"), Trust::Insecure)
                .await;
        assert_eq!(
            error.unwrap_err().to_string(),
            format!("dial tcp {address}: connect: connection refused")
        );
    }
}

#[tokio::test]
async fn http_where_https_is_expected_is_recognised() {
    let (listener, address) = listener().await;
    let transport = transport(WebSettings::default());
    let url = format!("https://{address}/");
    // What any plain server does with a TLS greeting: it takes it for a broken request.
    let serve_greeting = async || {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    };
    let (result, ()) = tokio::join!(get(&transport, &url, Trust::Insecure), serve_greeting());
    assert_eq!(result.unwrap_err(), TransportError::PlainHttp);
}

#[tokio::test]
async fn answers_come_as_they_are() {
    let (listener, address) = listener().await;
    let transport = transport(WebSettings::default());
    let url = format!("http://{address}/x");
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Ok("ok")),
        ("HTTP/1.1 302 Found\r\nlocation: /y\r\ncontent-length: 5\r\n\r\nmoved", Ok("moved")),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort",
            Err("the answer ended before all of it had come: unexpected EOF"),
        ),
        ("", Err("EOF")),
    ] {
        let (result, ()) =
            tokio::join!(get(&transport, &url, Trust::Verified), serve_one(&listener, answer.as_bytes()));
        let result = result.map_err(|error| error.to_string());
        assert_eq!(result.as_deref().map_err(String::as_str), expected.map(str::as_bytes), "{answer}");
    }
}

#[tokio::test]
async fn cve_2026_2376_link_local_addresses_are_not_connected_to() {
    let transport = transport(WebSettings::default());
    for url in
        ["http://169.254.169.254/latest/meta-data", "http://[fe80::1]/", "http://[::ffff:169.254.1.1]/"]
    {
        let error = get(&transport, url, Trust::Insecure).await.unwrap_err();
        assert!(matches!(error, TransportError::AddressRefused(_)), "{url}: {error}");
    }
}

#[tokio::test]
async fn cve_2026_2376_a_redirect_to_a_link_local_address_is_not_followed() {
    let (listener, address) = listener().await;
    let settings = RepositorySettings {
        host: address,
        path: "team/app".into(),
        credentials: None,
        insecure: true,
        bucket: None,
    };
    let client = RepositoryClient::new(Arc::new(transport(WebSettings::default())), settings).unwrap();
    let registry = async {
        // The attempt to speak TLS ends at once; the plain ping is answered with the redirect.
        drop(listener.accept().await.unwrap());
        serve_one(
            &listener,
            b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest\r\ncontent-length: 0\r\n\r\n",
        )
        .await;
    };
    let (result, ()) = tokio::join!(client.ping(), registry);
    let expected =
        "Get \"http://169.254.169.254/latest\": dial tcp 169.254.169.254:80: address is not allowed";
    assert_eq!(result.unwrap_err().to_string(), expected);
}

#[tokio::test]
async fn a_name_is_checked_by_the_addresses_it_has() {
    let addresses = AddressPolicy::refusing(["127.0.0.0/8", "::1"].map(|network| network.parse().unwrap()));
    let transport = transport(WebSettings { addresses, ..WebSettings::default() });
    let error = get(&transport, "http://localhost/", Trust::Insecure).await.unwrap_err();
    assert_eq!(error, TransportError::AddressRefused("localhost".into()));
}

#[tokio::test]
async fn a_certificate_is_verified_unless_told_otherwise() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (listener, address) = listener().await;
    let url = format!("https://{address}/");
    let serve_tls = async || {
        let (stream, _) = listener.accept().await.unwrap();
        if let Ok(stream) = acceptor.accept(stream).await {
            serve(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        }
    };
    let plain = transport(WebSettings::default());
    let (result, ()) = tokio::join!(get(&plain, &url, Trust::Verified), serve_tls());
    assert_eq!(
        result.unwrap_err().to_string(),
        "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    );
    let (result, ()) = tokio::join!(get(&plain, &url, Trust::Insecure), serve_tls());
    assert_eq!(result.unwrap(), "ok");
    let extra_roots = vec![made.cert.pem().into_bytes()];
    let trusting = transport(WebSettings { extra_roots, ..WebSettings::default() });
    let (result, ()) = tokio::join!(get(&trusting, &url, Trust::Verified), serve_tls());
    assert_eq!(result.unwrap(), "ok");
}

#[test]
fn a_bundle_without_certificates_is_refused() {
    for bundle in [&b""[..], b"no pem"] {
        let settings = WebSettings { extra_roots: vec![bundle.to_vec()], ..WebSettings::default() };
        assert!(WebTransport::new(settings).is_err());
    }
}
