//! What went wrong below, in the words of Go's HTTP client.
//!
//! Users find these texts in conditions of image streams and search for them; `dial tcp 127.0.0.1:1: connect:
//! connection refused` finds help, a chain of Rust errors does not. Whatever has no counterpart keeps its own words.

use std::error::Error;
use std::io::ErrorKind;

use jiff::Timestamp;
use reqwest::Url;
use rustls::{AlertDescription, CertificateError};

use super::resolver::{self, ResolveError};
use crate::client::address::AddressPolicy;
use crate::client::transport::TransportError;

/// Why a request got no answer. Addresses are filled in by [`locate`].
pub(super) fn describe(error: &reqwest::Error) -> TransportError {
    known(error).unwrap_or_else(|| {
        if error.is_timeout() && error.is_connect() {
            return unlocated("i/o timeout");
        }
        if error.is_timeout() {
            return TransportError::AWAITING_HEADERS;
        }
        TransportError::Other(innermost(error))
    })
}

/// Why a body ended early.
pub(super) fn describe_body(error: &reqwest::Error) -> TransportError {
    if error.is_timeout() {
        return TransportError::READING_BODY;
    }
    match known(error) {
        Some(TransportError::Closed) => TransportError::Truncated,
        Some(other) => other,
        None => TransportError::Other(innermost(error)),
    }
}

/// Fills in the address or name server that the failure was about.
pub(super) async fn locate(error: TransportError, url: &Url, policy: &AddressPolicy) -> TransportError {
    match error {
        TransportError::Connect { cause, .. } => {
            let host = url.host_str().unwrap_or_default();
            let port = url.port_or_known_default().unwrap_or(0);
            let first = match resolver::literal(url) {
                Some(address) => Some(address),
                None => resolver::lookup(host, port, policy).await.ok().and_then(|all| all.first().copied()),
            };
            let address = first.map_or_else(|| format!("{host}:{port}"), |address| address.to_string());
            TransportError::Connect { address, cause }
        }
        TransportError::Lookup { host, cause, .. } => {
            let configuration = tokio::fs::read_to_string("/etc/resolv.conf").await.unwrap_or_default();
            TransportError::Lookup { host, server: name_server(&configuration), cause }
        }
        other => other,
    }
}

/// The first name server of the system, as `ip:port`.
fn name_server(configuration: &str) -> Option<String> {
    configuration.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let address: std::net::IpAddr =
            (words.next()? == "nameserver").then(|| words.next())??.parse().ok()?;
        Some(std::net::SocketAddr::new(address, 53).to_string())
    })
}

fn unlocated(cause: &str) -> TransportError {
    TransportError::Connect { address: String::new(), cause: cause.to_owned() }
}

fn known(error: &reqwest::Error) -> Option<TransportError> {
    let mut source = error.source();
    while let Some(current) = source {
        if let Some(found) = known_one(current, error.is_connect()) {
            return Some(found);
        }
        source = current.source();
    }
    None
}

fn known_one(error: &(dyn Error + 'static), connecting: bool) -> Option<TransportError> {
    if let Some(error) = error.downcast_ref::<ResolveError>() {
        return Some(match error {
            ResolveError::Refused(host) => TransportError::AddressRefused(host.clone()),
            ResolveError::Failed { host, text } => TransportError::Lookup {
                host: host.clone(),
                server: None,
                cause: if text.contains("emporary failure") { "server misbehaving" } else { "no such host" },
            },
        });
    }
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(describe_tls(error));
    }
    if let Some(error) = error.downcast_ref::<std::io::Error>() {
        // A wrapped error is not its wrapper's source, so it has to be looked for by hand.
        if let Some(inner) = error.get_ref()
            && let Some(found) = known_one(inner, connecting)
        {
            return Some(found);
        }
        return match error.kind() {
            ErrorKind::ConnectionRefused => Some(unlocated("connect: connection refused")),
            ErrorKind::HostUnreachable => Some(unlocated("connect: no route to host")),
            ErrorKind::NetworkUnreachable => Some(unlocated("connect: network is unreachable")),
            ErrorKind::TimedOut if connecting => Some(unlocated("i/o timeout")),
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Some(TransportError::Reset),
            ErrorKind::UnexpectedEof => Some(TransportError::Closed),
            _ => None,
        };
    }
    // hyper's own error is not nameable here without another dependency; its text is stable.
    match error.to_string().as_str() {
        "connection closed before message completed" | "end of file before message length reached" => {
            Some(TransportError::Closed)
        }
        _ => None,
    }
}

fn describe_tls(error: &rustls::Error) -> TransportError {
    match error {
        rustls::Error::InvalidCertificate(error) => TransportError::Certificate(describe_certificate(error)),
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
            TransportError::PlainHttp
        }
        rustls::Error::AlertReceived(alert) => {
            let text = match alert {
                AlertDescription::HandshakeFailure => "handshake failure",
                AlertDescription::ProtocolVersion => "protocol version not supported",
                AlertDescription::UnrecognisedName => "unrecognized name",
                AlertDescription::InternalError => "internal error",
                AlertDescription::BadCertificate => "bad certificate",
                AlertDescription::CertificateRequired => "certificate required",
                AlertDescription::UnknownCA => "unknown certificate authority",
                AlertDescription::AccessDenied => "access denied",
                other => return TransportError::Tls(format!("remote error: tls: {other:?}")),
            };
            TransportError::Tls(format!("remote error: tls: {text}"))
        }
        other => TransportError::Tls(format!("tls: {other}")),
    }
}

fn describe_certificate(error: &CertificateError) -> String {
    let moment = |seconds: u64| {
        i64::try_from(seconds)
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .unwrap_or_default()
    };
    match error {
        CertificateError::UnknownIssuer => "certificate signed by unknown authority".to_owned(),
        CertificateError::Expired | CertificateError::NotValidYet => {
            "certificate has expired or is not yet valid".to_owned()
        }
        CertificateError::ExpiredContext { time, not_after } => format!(
            "certificate has expired or is not yet valid: current time {} is after {}",
            moment(time.as_secs()),
            moment(not_after.as_secs())
        ),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "certificate has expired or is not yet valid: current time {} is before {}",
            moment(time.as_secs()),
            moment(not_before.as_secs())
        ),
        CertificateError::NotValidForName => "certificate is not valid for the requested name".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            wrong_name(&expected.to_str(), presented)
        }
        // A certificate that signs itself, used as a server's: nobody known has signed it.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "certificate signed by unknown authority".to_owned()
        }
        other => other.to_string(),
    }
}

/// `presented` holds entries such as `DnsName("a.example")`.
fn wrong_name(expected: &str, presented: &[String]) -> String {
    let inner = |text: &String| {
        let bare = text.split_once('(').map_or(text.as_str(), |(_, rest)| rest.trim_end_matches(')'));
        bare.trim_matches('"').to_owned()
    };
    let of_kind = |kind: &str| {
        presented.iter().filter(|text| text.starts_with(kind)).map(inner).collect::<Vec<_>>().join(", ")
    };
    let is_address = expected.parse::<std::net::IpAddr>().is_ok();
    let names = if is_address { of_kind("IpAddress") } else { of_kind("DnsName") };
    match (is_address, names.is_empty()) {
        (true, true) => {
            format!("cannot validate certificate for {expected} because it doesn't contain any IP SANs")
        }
        (false, true) => format!("certificate is not valid for any names, but wanted to match {expected}"),
        (_, false) => format!("certificate is valid for {names}, not {expected}"),
    }
}

/// The error at the bottom, which says most.
fn innermost(error: &reqwest::Error) -> String {
    let mut current: &dyn Error = error;
    while let Some(source) = current.source() {
        current = source;
    }
    current.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_server_is_named_with_its_port() {
        assert_eq!(
            name_server("# x\nsearch a\nnameserver 10.0.0.1\nnameserver 1.1.1.1\n").as_deref(),
            Some("10.0.0.1:53")
        );
        assert_eq!(name_server("nameserver fd00::1").as_deref(), Some("[fd00::1]:53"));
        assert_eq!(name_server("options x"), None);
    }

    #[test]
    fn certificate_troubles_read_as_go_prints_them() {
        assert_eq!(
            describe_certificate(&CertificateError::UnknownIssuer),
            "certificate signed by unknown authority"
        );
        let presented = ["DnsName(\"a.example\")".to_owned(), "DnsName(\"b.example\")".to_owned()];
        assert_eq!(
            wrong_name("c.example", &presented),
            "certificate is valid for a.example, b.example, not c.example"
        );
        assert_eq!(
            wrong_name("127.0.0.1", &presented),
            "cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs"
        );
    }
}
