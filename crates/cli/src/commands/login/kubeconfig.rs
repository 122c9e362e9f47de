//! What a login leaves in a kubeconfig: names, entries, and how they are found again.

use kube::config::{AuthInfo, Cluster, Context, Kubeconfig, NamedAuthInfo, NamedCluster};

use super::Session;
use crate::config::{context_name, switch_to};
use crate::failure::{Failure, plain};

/// `https://HOST:PORT` of what a person typed.
///
/// # Errors
/// When that is no address.
pub(super) fn normalized(text: &str) -> Result<String, Failure> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let wrong = || plain(format!("invalid server address \"{text}\""));
    let uri: http::Uri = with_scheme.parse().map_err(|_| wrong())?;
    let scheme = uri.scheme_str().unwrap_or("https");
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
    if !matches!(scheme, "https" | "http") || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(wrong());
    }
    let usual = if scheme == "https" { 443 } else { 80 };
    Ok(format!("{scheme}://{host}:{}", uri.port_u16().unwrap_or(usual)))
}

/// What the entry of a server is called: `127-0-0-1:8443`.
fn nickname(server: &str) -> String {
    server.split("://").last().unwrap_or_default().replace('.', "-")
}

/// The entry of a server.
pub(super) fn same_server<'a>(config: &'a Kubeconfig, server: &str) -> Option<&'a NamedCluster> {
    config.clusters.iter().find(|named| {
        let address = named.cluster.as_ref().and_then(|cluster| cluster.server.as_deref());
        address.is_some_and(|address| normalized(address).is_ok_and(|address| address == server))
    })
}

/// The tokens that contexts use with a server, the current context's first; only that one unless `all` are wanted.
pub(super) fn tokens(config: &Kubeconfig, server: &str, all: bool) -> Vec<String> {
    let current = config.current_context.as_deref().unwrap_or_default();
    let mut contexts: Vec<_> = config.contexts.iter().filter(|named| all || named.name == current).collect();
    contexts.sort_by_key(|named| named.name != current);
    let of_server = |context: &Context| {
        let cluster = config.clusters.iter().find(|named| named.name == context.cluster);
        let address = cluster.and_then(|named| named.cluster.as_ref()?.server.as_deref());
        address.is_some_and(|address| normalized(address).is_ok_and(|address| address == server))
    };
    let contexts = contexts.into_iter().filter_map(|named| named.context.as_ref());
    let users = contexts.filter(|context| of_server(context)).filter_map(|context| context.user.as_deref());
    let mut tokens: Vec<String> = users.filter_map(|user| token_of(config, user)).collect();
    tokens.dedup();
    tokens
}

fn token_of(config: &Kubeconfig, user: &str) -> Option<String> {
    let info = config.auth_infos.iter().find(|named| named.name == user)?.auth_info.as_ref()?;
    shown_token(info)
}

/// The token of an entry, which only its serialized form shows.
fn shown_token(info: &AuthInfo) -> Option<String> {
    let shown = serde_json::to_value(info).ok()?;
    shown
        .get("token")
        .and_then(serde_json::Value::as_str)
        .filter(|token| !token.is_empty())
        .map(str::to_owned)
}

/// Makes entries of a server and a user.
pub(super) fn put(config: &mut Kubeconfig, server: &str, cluster: Cluster, user: &str, token: &str) {
    match config.clusters.iter_mut().find(|named| named.name == server) {
        Some(named) => named.cluster = Some(cluster),
        None => config.clusters.push(NamedCluster {
            name: server.to_owned(),
            cluster: Some(cluster),
            other: std::collections::BTreeMap::default(),
        }),
    }
    let token = (!token.is_empty()).then(|| token.to_owned().into());
    let info = AuthInfo { token, ..AuthInfo::default() };
    match config.auth_infos.iter_mut().find(|named| named.name == user) {
        Some(named) => named.auth_info = Some(info),
        None => config.auth_infos.push(NamedAuthInfo {
            name: user.to_owned(),
            auth_info: Some(info),
            other: std::collections::BTreeMap::default(),
        }),
    }
}

/// Makes a context and enters it.
pub(super) fn enter(config: &mut Kubeconfig, name: &str, server: &str, user: &str, namespace: &str) {
    let context = Context {
        cluster: server.to_owned(),
        user: Some(user.to_owned()),
        namespace: Some(namespace.to_owned()).filter(|name| !name.is_empty()),
        extensions: None,
        other: std::collections::BTreeMap::default(),
    };
    switch_to(config, name.to_owned(), context);
}

/// Writes down a session, in the entries of the same server and user where there are some.
pub(super) fn remember(config: &mut Kubeconfig, session: &Session, namespace: &str) {
    let address = session.cluster.server.as_deref().unwrap_or_default();
    let server = same_server(config, address).map_or_else(|| nickname(address), |known| known.name.clone());
    let user = format!("{}/{}", session.user, nickname(address));
    put(config, &server, session.cluster.clone(), &user, &session.token);
    enter(config, &context_name(namespace, &server, &user), &server, &user, namespace);
}

/// Takes a token out of every entry that has it.
pub(super) fn forget(config: &mut Kubeconfig, token: &str) {
    for info in config.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        if shown_token(info).as_deref() == Some(token) {
            info.token = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(user: &str, token: &str) -> Session {
        let cluster = Cluster { server: Some("https://127.0.0.1:8443".to_owned()), ..Cluster::default() };
        Session { cluster, token: token.to_owned(), user: user.to_owned() }
    }

    #[test]
    fn addresses_have_a_scheme_and_a_port() {
        let check = |text: &str, want: Option<&str>| {
            assert_eq!(normalized(text).ok().as_deref(), want, "{text}");
        };
        check("a.example", Some("https://a.example:443"));
        check("http://a.example/", Some("http://a.example:80"));
        check("https://127.0.0.1:8443", Some("https://127.0.0.1:8443"));
        check("ftp://a", None);
        check("https://a/path", None);
        check("https://a?x=y", None);
        check("a b", None);
    }

    #[test]
    fn a_session_is_written_where_the_next_one_finds_it() {
        let mut config = Kubeconfig::default();
        remember(&mut config, &session("ann", "t1"), "p");
        assert_eq!(config.current_context.as_deref(), Some("p/127-0-0-1:8443/ann"));
        assert_eq!(config.auth_infos[0].name, "ann/127-0-0-1:8443");
        remember(&mut config, &session("bob", "t2"), "p");
        assert_eq!((config.clusters.len(), config.contexts.len(), config.auth_infos.len()), (1, 2, 2));
        assert_eq!(tokens(&config, "https://127.0.0.1:8443", false), ["t2"]);
        assert_eq!(tokens(&config, "https://127.0.0.1:8443", true), ["t2", "t1"]);
        assert!(tokens(&config, "https://127.0.0.1:1", true).is_empty());
        forget(&mut config, "t2");
        assert_eq!(tokens(&config, "https://127.0.0.1:8443", true), ["t1"]);
    }

    #[test]
    fn the_entry_of_the_same_server_is_used_again() {
        let mut config = Kubeconfig::default();
        let cluster = Cluster { server: Some("https://127.0.0.1:8443/".to_owned()), ..Cluster::default() };
        put(&mut config, "weir", cluster, "admin", "t0");
        remember(&mut config, &session("ann", "t1"), "default");
        assert_eq!((config.clusters.len(), config.clusters[0].name.as_str()), (1, "weir"));
        assert_eq!(config.current_context.as_deref(), Some("default/weir/ann"));
    }
}
