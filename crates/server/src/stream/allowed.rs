//! The registries that images may come from.
//!
//! An entry is `host[:port]` with `*` and `?` as wildcards over the whole of each part. Repositories that a stream
//! already referred to stay allowed: those are [`Exempt`].

use std::collections::BTreeSet;

use machinery::field::quote;
use machinery::image::TagReference;
use machinery::image::well_known::DOCKER_IMAGE;
use oci::Reference;
use oci::reference::{DEFAULT_REGISTRY, DEFAULT_REGISTRY_V1, DEFAULT_REGISTRY_V2};

use super::StreamSettings;

/// Entries that a refusal lists before it only counts.
const SHOWN: usize = 5;

/// How a registry would be talked to, which decides the port that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TLS: port 443 unless the reference names one.
    Secure,
    /// Plain: port 80 unless the reference names one.
    Insecure,
    /// Either.
    Any,
}

impl Transport {
    /// What a check of streams and tags compares: insecure ones may still be reached over TLS.
    pub fn or_any(insecure: bool) -> Transport {
        if insecure { Transport::Any } else { Transport::Secure }
    }
}

/// Why an entry of the list cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllowedError {
    /// More than one colon.
    #[error("failed to parse allowed registry {0:?}: too many colons")]
    TooManyColons(String),
}

/// The list; the default allows everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedRegistries {
    entries: Option<Vec<Entry>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    host: String,
    port: String,
}

/// Repositories that are allowed whatever the list says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exempt(BTreeSet<String>);

impl Exempt {
    /// The repository that one tag refers to.
    pub fn of_tag(tag: Option<&TagReference>) -> Exempt {
        let mut exempt = Exempt::default();
        if let Some(from) = tag.and_then(|tag| tag.from.as_ref()).filter(|from| from.kind == DOCKER_IMAGE) {
            exempt.add(&from.name);
        }
        exempt
    }

    /// Adds the repository of a pull spec; what is no pull spec is passed over.
    pub fn add(&mut self, pull_spec: &str) {
        if let Ok(reference) = Reference::parse(pull_spec) {
            self.0.insert(canonical_repository(reference));
        }
    }
}

impl AllowedRegistries {
    /// The list of the settings; without one, everything is allowed.
    ///
    /// Settings are checked when the server starts; an entry that could not be read then allows nothing.
    pub fn of(settings: &StreamSettings) -> AllowedRegistries {
        let list = &settings.allowed_registries_for_import;
        if list.is_empty() {
            return AllowedRegistries::default();
        }
        let readable = list.iter().filter(|entry| Entry::parse(&entry.domain_name, entry.insecure).is_ok());
        let pairs = readable.map(|entry| (entry.domain_name.as_str(), entry.insecure));
        AllowedRegistries::only(pairs, &settings.internal_registry_hostname)
            .unwrap_or_else(|_| AllowedRegistries { entries: Some(Vec::new()) })
    }

    /// Only these (domain, insecure), and the integrated registry when there is one.
    ///
    /// # Errors
    /// When an entry has more than one colon.
    pub fn only<'a>(
        list: impl IntoIterator<Item = (&'a str, bool)>,
        internal_registry: &str,
    ) -> Result<AllowedRegistries, AllowedError> {
        let mut entries = Vec::new();
        if !internal_registry.is_empty() {
            // An integrated registry that cannot be written as an entry is simply not on the list.
            entries.extend(Entry::parse(internal_registry, false).ok());
        }
        for (domain, insecure) in list {
            let entry = Entry::parse(domain, insecure)?;
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        Ok(AllowedRegistries { entries: Some(entries) })
    }

    /// True when there is no list.
    pub fn allows_everything(&self) -> bool {
        self.entries.is_none()
    }

    /// Checks a reference.
    ///
    /// # Errors
    /// The text of the refusal.
    pub fn admit(&self, reference: &Reference, transport: Transport, exempt: &Exempt) -> Result<(), String> {
        let Some(entries) = &self.entries else { return Ok(()) };
        if !exempt.0.is_empty() && exempt.0.contains(&canonical_repository(reference.clone())) {
            return Ok(());
        }
        let (host, port) = host_port(reference, transport);
        let matches = |host: &str| entries.iter().any(|entry| entry.matches(host, &port));
        let is_hub = matches!(host.as_str(), DEFAULT_REGISTRY_V1 | DEFAULT_REGISTRY_V2);
        if (is_hub && matches(DEFAULT_REGISTRY)) || matches(&host) {
            return Ok(());
        }
        let shown = if !reference.registry.is_empty() {
            reference.registry.clone()
        } else if port.is_empty() {
            host
        } else {
            format!("{host}:{port}")
        };
        Err(refusal(&shown, entries))
    }
}

fn refusal(registry: &str, entries: &[Entry]) -> String {
    if entries.is_empty() {
        return format!("registry {} not allowed by empty whitelist", quote(registry));
    }
    let shown = if entries.len() > SHOWN { SHOWN - 1 } else { entries.len() };
    let list: Vec<String> =
        entries[..shown].iter().map(|entry| quote(&format!("{}:{}", entry.host, entry.port))).collect();
    let mut text = format!("registry {} not allowed by whitelist: {}", quote(registry), list.join(", "));
    if shown < entries.len() {
        text.push_str(&format!(", and {} more ...", entries.len() - shown));
    }
    text
}

impl Entry {
    fn parse(domain: &str, insecure: bool) -> Result<Entry, AllowedError> {
        let default = if insecure { "80" } else { "443" };
        let (host, port) = domain.split_once(':').unwrap_or((domain, default));
        if port.contains(':') {
            return Err(AllowedError::TooManyColons(domain.to_owned()));
        }
        Ok(Entry { host: host.to_owned(), port: port.to_owned() })
    }

    fn matches(&self, host: &str, port: &str) -> bool {
        wildcard_match(host, &self.host)
            && if port.is_empty() {
                matches!(self.port.as_str(), "80" | "443" | "*")
            } else {
                wildcard_match(port, &self.port)
            }
    }
}

/// Host and port to compare; no port when any will do.
fn host_port(reference: &Reference, transport: Transport) -> (String, String) {
    match transport {
        Transport::Secure => reference.registry_host_port(false),
        Transport::Insecure => reference.registry_host_port(true),
        Transport::Any => match reference.registry.split_once(':') {
            Some((host, port)) if !host.is_empty() => (host.to_owned(), port.to_owned()),
            _ if reference.registry.is_empty() => (reference.registry_host_port(false).0, String::new()),
            _ => (reference.registry.clone(), String::new()),
        },
    }
}

fn canonical_repository(reference: Reference) -> String {
    reference.docker_client_defaults().as_repository().exact()
}

/// `*` stands for any text, `?` for any one character.
pub(crate) fn wildcard_match(text: &str, pattern: &str) -> bool {
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let (mut t, mut p) = (0, 0);
    // Where to go on when the text after the last `*` does not fit: the star takes one more byte.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((t, p));
                p += 1;
            }
            Some(&b) if b == b'?' || b == text[t] => {
                t += 1;
                p += 1;
            }
            _ => match retry {
                Some((from, star)) => {
                    retry = Some((from + 1, star));
                    t = from + 1;
                    p = star + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_cover_the_whole_text() {
        let check = |text: &str, pattern: &str, want: bool| {
            assert_eq!(wildcard_match(text, pattern), want, "{text} {pattern}");
        };
        check("", "", true);
        check("", "*", true);
        check("a", "", false);
        check("docker.io", "*", true);
        check("docker.io", "*.docker.io", false);
        check("index.docker.io", "*.docker.io", true);
        check("docker.io", "docker.i?", true);
        check("docker.i", "docker.i?", false);
        check("a.b.c", "a*c", true);
        check("a.b.c.d", "a*c", false);
        check("abcabc", "*abc", true);
    }

    fn check(list: &[(&str, bool)], spec: &str, transport: Transport, want: Result<(), &str>) {
        let allowed = AllowedRegistries::only(list.iter().copied(), "").unwrap();
        let reference = Reference::parse(spec).unwrap();
        let got = allowed.admit(&reference, transport, &Exempt::default());
        assert_eq!(got, want.map_err(str::to_owned), "{list:?} {spec} {transport:?}");
    }

    #[test]
    fn ports_follow_the_transport() {
        let star = &[("*", false)];
        check(star, "example.com/a/b", Transport::Secure, Ok(()));
        check(star, "example.com/a/b", Transport::Any, Ok(()));
        check(
            star,
            "example.com/a/b",
            Transport::Insecure,
            Err("registry \"example.com\" not allowed by whitelist: \"*:443\""),
        );
        check(
            star,
            "example.com:5000/a/b",
            Transport::Any,
            Err("registry \"example.com:5000\" not allowed by whitelist: \"*:443\""),
        );
        check(&[("*", true)], "example.com/a/b", Transport::Insecure, Ok(()));
        check(&[("*:*", false)], "example.com:5000/a/b", Transport::Secure, Ok(()));
    }

    #[test]
    fn docker_hub_is_known_by_all_its_names() {
        check(&[("docker.io", false)], "nginx", Transport::Secure, Ok(()));
        check(&[("docker.io", false)], "docker.io/library/nginx", Transport::Secure, Ok(()));
        check(&[("docker.io", false)], "index.docker.io/library/nginx", Transport::Secure, Ok(()));
        check(&[("registry-1.docker.io", false)], "docker.io/library/nginx", Transport::Secure, Ok(()));
        check(
            &[("quay.io", false)],
            "nginx",
            Transport::Secure,
            Err("registry \"docker.io:443\" not allowed by whitelist: \"quay.io:443\""),
        );
    }

    #[test]
    fn a_refusal_lists_the_first_entries_only() {
        let many = [("a", false), ("b", true), ("c:1", false), ("d", false), ("e", false), ("f", false)];
        check(
            &many,
            "x.io/a/b",
            Transport::Secure,
            Err(
                "registry \"x.io\" not allowed by whitelist: \"a:443\", \"b:80\", \"c:1\", \"d:443\", and 2 more ...",
            ),
        );
        check(&[], "x.io/a/b", Transport::Secure, Err("registry \"x.io\" not allowed by empty whitelist"));
    }

    #[test]
    fn the_integrated_registry_comes_first_and_is_allowed() {
        let allowed = AllowedRegistries::only([("a", false)], "10.0.0.1:5000").unwrap();
        let ok = Reference::parse(
            "10.0.0.1:5000/ns/s@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        )
        .unwrap();
        assert_eq!(allowed.admit(&ok, Transport::Secure, &Exempt::default()), Ok(()));
        let other = Reference::parse("x.io/a").unwrap();
        assert_eq!(
            allowed.admit(&other, Transport::Secure, &Exempt::default()),
            Err("registry \"x.io\" not allowed by whitelist: \"10.0.0.1:5000\", \"a:443\"".to_owned())
        );
    }

    #[test]
    fn repositories_in_use_stay_allowed_but_not_their_neighbours() {
        let allowed = AllowedRegistries::only([("quay.io", false)], "").unwrap();
        let mut exempt = Exempt::default();
        exempt.add("nginx:1");
        exempt.add("not a pull spec");
        let admit = |spec: &str| allowed.admit(&Reference::parse(spec).unwrap(), Transport::Secure, &exempt);
        assert!(admit("docker.io/library/nginx:2").is_ok());
        assert!(admit("docker.io/library/httpd").is_err());
    }

    #[test]
    fn an_entry_has_one_colon_at_most() {
        let error = AllowedRegistries::only([("a:b:c", false)], "").unwrap_err();
        assert_eq!(error.to_string(), "failed to parse allowed registry \"a:b:c\": too many colons");
    }
}
