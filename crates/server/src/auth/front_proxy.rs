//! A proxy in front of this server that has authenticated users already: an aggregating Kubernetes API server.
//!
//! Its word (`X-Remote-User`, `X-Remote-Group`, `X-Remote-Extra-…`) is taken only when its certificate is signed by the
//! authority that the operator named for it, and carries a name that is allowed. The authority of users is another one.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};

use super::Actor;
use crate::settings::FrontProxySettings;

const USER: &str = "x-remote-user";
const UID: &str = "x-remote-uid";
const GROUP: &str = "x-remote-group";
const EXTRA_PREFIX: &str = "x-remote-extra-";

/// The proxy whose word is taken.
#[derive(Debug)]
pub struct FrontProxy {
    authorities: Vec<CertificateDer<'static>>,
    verifier: Arc<dyn ClientCertVerifier>,
    names: Vec<String>,
}

impl FrontProxy {
    /// Reads the authority's certificates.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn open(settings: &FrontProxySettings) -> Result<FrontProxy, String> {
        let path = settings.client_ca_file.display();
        let pem = fs::read(&settings.client_ca_file).map_err(|error| format!("{path}: {error}"))?;
        let authorities: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("{path}: {error}"))?;
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            roots.add(authority.clone()).map_err(|error| format!("{path}: {error}"))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| format!("{path}: {error}"))?;
        Ok(FrontProxy { authorities, verifier, names: settings.allowed_names.clone() })
    }

    /// The authority's certificates, which connections must accept, too.
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    /// Whether the proxy's authority signed a certificate that is good now.
    pub fn is_signed(&self, certificate: &CertificateDer<'_>, now: Timestamp) -> bool {
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        self.verifier.verify_client_cert(certificate, &[], now).is_ok()
    }

    /// Whom the proxy speaks for; `None` when it is not one of the allowed ones, or names nobody.
    pub fn actor(&self, certificate: &CertificateDer<'_>, headers: &HeaderMap) -> Option<Actor> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate.as_ref()).ok()?;
        let name = parsed.subject().iter_common_name().find_map(|name| name.as_str().ok())?;
        if !self.names.is_empty() && !self.names.iter().any(|allowed| allowed == name) {
            return None;
        }
        speaks_for(headers)
    }
}

/// The user in a proxy's headers.
fn speaks_for(headers: &HeaderMap) -> Option<Actor> {
    let texts = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
    };
    let user = texts(USER).into_iter().next().filter(|user| !user.is_empty())?;
    let mut actor = Actor::named(user, texts(GROUP));
    actor.uid = texts(UID).into_iter().next().unwrap_or_default();
    for name in headers.keys().filter(|name| name.as_str().starts_with(EXTRA_PREFIX)) {
        let key = machinery::query::unescape(&name.as_str()[EXTRA_PREFIX.len()..], false)?.into_owned();
        Arc::make_mut(&mut actor.extra).insert(key, texts(name.as_str()));
    }
    Some(actor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::Authority;
    use crate::random::Random;

    #[test]
    fn only_the_authority_that_was_named_makes_a_proxy() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let random = Random::system();
        let proxies = Authority::open(ours.path(), now, &random).unwrap();
        let users = Authority::open(theirs.path(), now, &random).unwrap();
        let settings = FrontProxySettings {
            client_ca_file: ours.path().join("ca.crt"),
            allowed_names: vec!["aggregator".to_owned()],
        };
        let proxy = FrontProxy::open(&settings).unwrap();
        let certificate = |authority: &Authority, name: &str| {
            authority.client(name, "g", now, &random).unwrap().certificate
        };
        let mut headers = HeaderMap::new();
        headers.append(USER, "eve".parse().unwrap());
        headers.append(GROUP, "devs".parse().unwrap());
        headers.append("x-remote-extra-a%2fb", "c".parse().unwrap());
        let good = certificate(&proxies, "aggregator");
        assert!(proxy.is_signed(&good, now));
        let actor = proxy.actor(&good, &headers).unwrap();
        assert_eq!((actor.user.as_str(), actor.groups[0].as_str()), ("eve", "devs"));
        assert_eq!(actor.extra["a/b"], ["c"]);
        assert!(!proxy.is_signed(&certificate(&users, "aggregator"), now));
        assert_eq!(proxy.actor(&certificate(&proxies, "somebody"), &headers), None);
        assert_eq!(proxy.actor(&good, &HeaderMap::new()), None);
    }
}
