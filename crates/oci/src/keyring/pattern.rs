//! One key of a keyring: a host with globs, a port, a path.

/// What a key matches.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// The host's labels, each a glob.
    labels: Vec<String>,
    port: String,
    /// The path, with its leading `/`; empty for the whole host.
    path: String,
}

impl Pattern {
    /// Normalises a key and reads it; `None` when it is no URL.
    ///
    /// The scheme, user, query and a leading `/v1/` or `/v2/` are dropped, so that keys in the old style of
    /// `https://index.docker.io/v1/` mean their host.
    pub(super) fn parse(key: &str) -> Option<(String, Self)> {
        let rest = match key.split_once("://") {
            Some(("http" | "https", rest)) => rest,
            Some(_) => return None,
            None => key,
        };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if host.contains(|c: char| c.is_whitespace() || c.is_control()) || path.contains(char::is_control) {
            return None;
        }
        let (name, port) = split_port(host);
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let path = match path.get(..4) {
            Some("/v1/" | "/v2/") => &path[3..],
            _ => path,
        };
        let path = if path == "/" { "" } else { path };
        let pattern = Self {
            labels: name.split('.').map(str::to_owned).collect(),
            port: port.to_owned(),
            path: path.to_owned(),
        };
        Some((format!("{host}{path}"), pattern))
    }

    /// Whether an image on `host` with this path (no leading `/`) is meant.
    pub(super) fn matches(&self, host: &str, path: &str) -> bool {
        let (name, port) = split_port(host);
        let has_path = || self.path.strip_prefix('/').is_none_or(|prefix| path.starts_with(prefix));
        self.port == port
            && name.split('.').count() == self.labels.len()
            && has_path()
            && self
                .labels
                .iter()
                .zip(name.split('.'))
                .all(|(glob, label)| fits(glob.as_bytes(), label.as_bytes()))
    }
}

fn split_port(host: &str) -> (&str, &str) {
    host.rsplit_once(':').unwrap_or((host, ""))
}

/// Shell globs: `*`, `?`, `[a-z]`, `[^a-z]` and `\` before a character that stands for itself.
///
/// A glob that cannot be read matches nothing. The time is bounded by the product of both lengths.
fn fits(glob: &[u8], text: &[u8]) -> bool {
    let (mut g, mut t) = (0, 0);
    // Where to resume when what follows the last `*` does not fit: behind that star, one byte further in the text.
    let mut resume: Option<(usize, usize)> = None;
    loop {
        if g < glob.len() && glob[g] == b'*' {
            g += 1;
            resume = Some((g, t));
            continue;
        }
        if g == glob.len() && t == text.len() {
            return true;
        }
        let step = if t < text.len() { one(&glob[g..], text[t]) } else { None };
        match (step, resume) {
            (Some(taken), _) => {
                g += taken;
                t += 1;
            }
            (None, Some((star, from))) if from < text.len() => {
                resume = Some((star, from + 1));
                g = star;
                t = from + 1;
            }
            _ => return false,
        }
    }
}

/// How much of the glob stands for this byte, if it does.
fn one(glob: &[u8], byte: u8) -> Option<usize> {
    match glob.first()? {
        b'?' => Some(1),
        b'\\' => (*glob.get(1)? == byte).then_some(2),
        b'[' => class(glob, byte),
        literal => (*literal == byte).then_some(1),
    }
}

fn class(glob: &[u8], byte: u8) -> Option<usize> {
    let mut at = 1;
    let negated = glob.get(at) == Some(&b'^');
    if negated {
        at += 1;
    }
    let mut found = false;
    let first = at;
    loop {
        let bound = |at: &mut usize| -> Option<u8> {
            if glob.get(*at) == Some(&b'\\') {
                *at += 1;
            }
            let bound = *glob.get(*at)?;
            *at += 1;
            Some(bound)
        };
        if glob.get(at) == Some(&b']') && at > first {
            break;
        }
        let low = bound(&mut at)?;
        let high = if glob.get(at) == Some(&b'-') {
            at += 1;
            bound(&mut at)?
        } else {
            low
        };
        found |= (low..=high).contains(&byte);
    }
    (found != negated).then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(glob: &str, fitting: &[&str], others: &[&str]) {
        for text in fitting {
            assert!(fits(glob.as_bytes(), text.as_bytes()), "{glob} {text}");
        }
        for text in others {
            assert!(!fits(glob.as_bytes(), text.as_bytes()), "{glob} {text}");
        }
    }

    #[test]
    fn globs_match_whole_labels() {
        check("*", &["", "a", "abc"], &[]);
        check("a*c", &["ac", "abc", "abcc"], &["ab", "cab"]);
        check("*a*b", &["ab", "xaxb", "aab"], &["ba", "abx"]);
        check("a?c", &["abc"], &["ac", "abbc"]);
        check("re[a-f]", &["rea", "ref"], &["reg", "re"]);
        check("[^0-9]x", &["ax"], &["1x"]);
        check("\\*", &["*"], &["a"]);
        check("[a", &[], &["a", "[a"]);
        check("", &[""], &["a"]);
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        assert!(!fits("*a".repeat(200).as_bytes(), "a".repeat(150).as_bytes()));
    }

    #[test]
    fn keys_are_normalised() {
        for (key, expected) in [
            ("https://index.docker.io/v1/", Some("index.docker.io")),
            ("index.docker.io/v2/", Some("index.docker.io")),
            ("quay.io/v2/team", Some("quay.io/team")),
            ("quay.io/v2", Some("quay.io/v2")),
            ("http://user@quay.io:443/a?b#c", Some("quay.io:443/a")),
            ("*.example.com", Some("*.example.com")),
            ("ftp://example.com", None),
            ("exa mple.com", None),
            ("example.com:http", None),
        ] {
            assert_eq!(Pattern::parse(key).map(|(key, _)| key).as_deref(), expected, "{key}");
        }
    }
}
