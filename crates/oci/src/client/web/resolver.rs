//! Names to addresses, without those that may not be connected to.

use std::net::{IpAddr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::client::address::AddressPolicy;

/// Why a name has no address for us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("lookup {host}: {text}")]
    Failed { host: String, text: String },
    #[error("lookup {0}: address is not allowed")]
    Refused(String),
}

/// The system's resolver with a policy behind it.
#[derive(Debug)]
pub(super) struct CheckedResolver {
    policy: AddressPolicy,
}

impl CheckedResolver {
    pub(super) fn new(policy: AddressPolicy) -> Self {
        Self { policy }
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy.clone();
        Box::pin(async move {
            let found: Addrs = Box::new(lookup(name.as_str(), 0, &policy).await?.into_iter());
            Ok(found)
        })
    }
}

/// The allowed addresses of a name.
pub(super) async fn lookup(
    host: &str,
    port: u16,
    policy: &AddressPolicy,
) -> Result<Vec<SocketAddr>, ResolveError> {
    let failed = |text: String| ResolveError::Failed { host: host.to_owned(), text };
    let found: Vec<_> =
        tokio::net::lookup_host((host, port)).await.map_err(|error| failed(error.to_string()))?.collect();
    if found.is_empty() {
        return Err(failed("no addresses".to_owned()));
    }
    let allowed: Vec<_> = found.into_iter().filter(|address| policy.allows(address.ip())).collect();
    if allowed.is_empty() { Err(ResolveError::Refused(host.to_owned())) } else { Ok(allowed) }
}

/// The address that a URL names without a name.
pub(super) fn literal(url: &Url) -> Option<SocketAddr> {
    let host = url.host_str()?;
    let ip: IpAddr = host.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    Some(SocketAddr::new(ip, url.port_or_known_default()?))
}
