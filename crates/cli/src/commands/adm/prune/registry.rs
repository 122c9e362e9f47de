//! The integrated registry, as far as pruning goes: where it is, whether it answers, and what it deletes.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::BodyExt as _;
use machinery::image::ImageStream;
use oci::client::{Transport, TransportError, Trust, WebSettings, WebTransport};
use oci::reference::Reference;

use super::plan::Inventory;
use crate::app::App;
use crate::failure::{Failure, plain};
use crate::limits;

/// The user that a token is sent with; the registry looks at the token alone.
const USER: &str = "prune";
const REMEDY: &str =
    "\n* Append --force-insecure if you really want to prune the registry using insecure connection.";

/// How the registry is found and spoken to.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct RegistryFlags {
    /// PEM file with the authority that signed the registry's certificate
    #[arg(long, default_value = "")]
    certificate_authority: String,
    /// Address of the registry; found by images and streams otherwise
    #[arg(long, default_value = "")]
    registry_url: String,
    /// Take any certificate, and speak plain HTTP where there is no TLS
    #[arg(long)]
    force_insecure: bool,
}

impl RegistryFlags {
    /// # Errors
    /// What makes no sense.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if !self.registry_url.is_empty() {
            check_url(&self.registry_url)
                .map_err(|why| plain(format!("invalid --registry-url flag: {why}")))?;
        }
        if self.certificate_authority.is_empty() {
            return Ok(());
        }
        if self.force_insecure {
            return Err(plain("--certificate-authority cannot be specified with --force-insecure"));
        }
        if self.registry_url.starts_with("http://") {
            return Err(plain("--certificate-authority cannot be specified for insecure http protocol"));
        }
        Ok(())
    }

    fn is_insecure(&self, app: &App, host: &str) -> bool {
        self.force_insecure
            || (self.certificate_authority.is_empty()
                && (app.globals.insecure_skip_tls_verify
                    || is_private(host)
                    || self.registry_url.starts_with("http://")))
    }
}

fn check_url(url: &str) -> Result<(), String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    if !matches!(scheme, "http" | "https") {
        return Err(format!("unsupported scheme: {scheme}"));
    }
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if query.is_some() {
        return Err("no query arguments are allowed after <host>[:<port>]".to_owned());
    }
    if host.is_empty() {
        return Err("no host name specified".to_owned());
    }
    if !path.is_empty() {
        return Err("no path after <host>[:<port>] is allowed".to_owned());
    }
    let parsed: Result<http::uri::Authority, _> = host.parse();
    parsed.map(|_| ()).map_err(|error| error.to_string())
}

/// Addresses that nobody outside reaches; names are looked up by nobody here.
fn is_private(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        Err(_) => name == "localhost",
    }
}

/// A registry that has answered.
#[derive(Debug)]
pub(super) struct Registry {
    web: Arc<dyn Transport>,
    trust: Trust,
    /// Scheme and host.
    base: String,
    authorization: String,
}

impl Registry {
    /// Finds the registry and makes sure that it answers.
    ///
    /// # Errors
    /// When nothing says where it is, or it does not answer.
    pub(super) async fn open(
        app: &App,
        flags: &RegistryFlags,
        inventory: &Inventory,
        streams: &[ImageStream],
        token: &str,
    ) -> Result<Registry, Failure> {
        let named = flags.registry_url.trim_end_matches('/');
        let found = if named.is_empty() { host_of(inventory, streams)? } else { named.to_owned() };
        let (scheme, host) =
            found.split_once("://").map_or((None, found.as_str()), |(scheme, host)| (Some(scheme), host));
        let insecure = flags.is_insecure(app, host);
        let extra_roots = match flags.certificate_authority.as_str() {
            "" => Vec::new(),
            file => vec![std::fs::read(file).map_err(|error| plain(format!("{file}: {error}")))?],
        };
        let user_agent = concat!("weir/", env!("CARGO_PKG_VERSION")).to_owned();
        let web = WebTransport::new(WebSettings { extra_roots, user_agent, ..WebSettings::default() });
        let login = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{token}"));
        let mut registry = Registry {
            web: Arc::new(web.map_err(|error| plain(error.to_string()))?),
            trust: if insecure { Trust::Insecure } else { Trust::Verified },
            base: String::new(),
            authorization: format!("Basic {login}"),
        };
        let schemes: Vec<&str> = match scheme {
            Some(one) => vec![one],
            None if insecure => vec!["https", "http"],
            None => vec!["https"],
        };
        registry.base = registry.ping(&schemes, host).await.map_err(|why| {
            let unreachable = why.contains("timed out") || why.contains("no such host");
            let hint = if unreachable && named.is_empty() {
                "\n* Please provide a reachable route to the integrated registry using --registry-url."
            } else {
                ""
            };
            plain(format!("failed to ping registry {found}: {why}{hint}"))
        })?;
        Ok(registry)
    }

    /// Scheme and host at which somebody says that all is well.
    async fn ping(&self, schemes: &[&str], host: &str) -> Result<String, String> {
        let mut last = Vec::new();
        for path in ["/", "/healthz"] {
            last.clear();
            let mut answered = false;
            for scheme in schemes {
                let base = format!("{scheme}://{host}");
                let url = format!("{base}{path}");
                match self.send(&Method::GET, &url).await {
                    Ok((200, _)) => return Ok(base),
                    Ok((code, _)) => {
                        answered = true;
                        last.push(format!("unexpected status: {}", status_line(code)));
                    }
                    Err(error) => {
                        let remedy = *scheme == "https"
                            && matches!(error, TransportError::PlainHttp)
                            && self.trust == Trust::Verified;
                        let remedy = if remedy { format!(", {REMEDY}") } else { String::new() };
                        last.push(format!("Get \"{url}\": {error}{remedy}"));
                    }
                }
            }
            if !answered {
                break;
            }
        }
        match last.as_slice() {
            [one] if !one.contains(REMEDY) => Err(one.clone()),
            several => Err(format!("[{}]", several.join(", "))),
        }
    }

    async fn send(&self, method: &Method, url: &str) -> Result<(u16, Bytes), TransportError> {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header(header::AUTHORIZATION, &self.authorization)
            .body(Bytes::new())
            .map_err(|error| TransportError::Other(error.to_string()))?;
        let answer = self.web.send(request, self.trust).await?;
        let code = answer.status().as_u16();
        let body = http_body_util::Limited::new(answer.into_body(), limits::REGISTRY_ANSWER).collect().await;
        let body = body.map_err(|error| TransportError::Other(error.to_string()))?;
        Ok((code, body.to_bytes()))
    }

    async fn delete(&self, path: &str) -> Result<(), String> {
        let url = format!("{}{path}", self.base);
        let (code, body) = self.send(&Method::DELETE, &url).await.map_err(|error| error.to_string())?;
        match code {
            202 | 204 | 404 => Ok(()),
            _ => {
                let said = String::from_utf8_lossy(&body);
                let said = if said.trim().is_empty() { String::new() } else { format!(": {}", said.trim()) };
                Err(format!("{}{said}", status_line(code)))
            }
        }
    }

    /// Takes a layer out of a repository.
    ///
    /// # Errors
    /// What the registry says.
    pub(super) async fn delete_layer_link(&self, repository: &str, digest: &str) -> Result<(), String> {
        self.delete(&format!("/v2/{repository}/blobs/{digest}")).await
    }

    /// Takes a manifest out of a repository.
    ///
    /// # Errors
    /// What the registry says.
    pub(super) async fn delete_manifest(&self, repository: &str, digest: &str) -> Result<(), String> {
        self.delete(&format!("/v2/{repository}/manifests/{digest}")).await
    }

    /// Takes content away from everybody.
    ///
    /// # Errors
    /// What the registry says.
    pub(super) async fn delete_blob(&self, digest: &str) -> Result<(), String> {
        self.delete(&format!("/admin/blobs/{digest}")).await
    }
}

fn status_line(code: u16) -> String {
    http::StatusCode::from_u16(code).map_or_else(|_| code.to_string(), |status| status.to_string())
}

/// The host that images and streams name: that of the newest image that was pushed, else that of the oldest stream.
fn host_of(inventory: &Inventory, streams: &[ImageStream]) -> Result<String, Failure> {
    let pushed = inventory.images.values().filter(|facts| facts.is_managed).max_by_key(|facts| facts.created);
    let oldest = || {
        let named = streams.iter().filter(|stream| !stream.status.docker_image_repository.is_empty());
        named.min_by_key(|stream| stream.metadata.creation_timestamp)
    };
    let reference = match pushed {
        Some(facts) => facts.reference.clone(),
        None => match oldest() {
            Some(stream) => stream.status.docker_image_repository.clone(),
            None => return Err(plain("unable to find the remote registry host: no managed image found")),
        },
    };
    let parsed = Reference::parse(&reference).map_err(|error| {
        plain(format!("unable to find the remote registry host: unable to parse \"{reference}\": {error}"))
    })?;
    if parsed.registry.is_empty() {
        let why = format!("unable to find the remote registry host: {reference} does not include a registry");
        return Err(plain(why));
    }
    Ok(parsed.registry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_host_and_nothing_behind() {
        for good in ["h", "h:5000", "[::1]:80", "https://h:80/", "http://h", "h/"] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("httpss://h", "unsupported scheme: httpss"),
            ("https://h/path", "no path after <host>[:<port>] is allowed"),
            ("h?x=y", "no query arguments are allowed after <host>[:<port>]"),
            ("https:///", "no host name specified"),
            ("/registry.org", "no host name specified"),
        ] {
            assert_eq!(check_url(bad), Err(why.to_owned()), "{bad}");
        }
    }

    #[test]
    fn private_addresses_are_known_by_their_numbers() {
        for private in ["127.0.0.1:5000", "10.0.0.1", "172.30.0.1:5000", "[fd00::1]:5000", "localhost:5000"] {
            assert!(is_private(private), "{private}");
        }
        for public in ["1.1.1.1:5000", "registry.example", "[2001:db8::1]:80", "localhost.example"] {
            assert!(!is_private(public), "{public}");
        }
    }
}
