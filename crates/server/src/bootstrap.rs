//! The files a first start makes for its administrator, and later starts keep true: `ca.crt`, `admin.token`,
//! `admin.kubeconfig` (certificate and token: some commands of `oc` insist on a token) and `serve.json`, which tells
//! scripts where a running server listens.
//!
//! No password exists. The token is a random secret of 256 bits; whoever can read the data directory is administrator.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::pki::{Authority, PkiError, write_atomically, write_secret};
use crate::random::Random;

/// User name of the administrator that the first start makes.
pub const ADMIN_USER: &str = "system:admin";
/// The group that may do everything.
pub const ADMIN_GROUP: &str = "system:masters";

/// Where the files are.
#[derive(Clone, Debug)]
pub struct Files {
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The administrator's token.
    pub token: PathBuf,
    /// The certificate authority.
    pub authority: PathBuf,
    /// Addresses of the running server.
    pub serving: PathBuf,
}

impl Files {
    /// The files of a data directory.
    pub fn of(data_dir: &Path) -> Files {
        Files {
            kubeconfig: data_dir.join("admin.kubeconfig"),
            token: data_dir.join("admin.token"),
            authority: data_dir.join("ca.crt"),
            serving: data_dir.join("serve.json"),
        }
    }
}

/// Makes what is missing and returns the administrator's token. The kubeconfig is written anew only when it does not
/// lead to this server, so that a project somebody chose in it is kept.
///
/// # Errors
/// [`PkiError`] when a file cannot be read or written.
pub fn prepare(
    files: &Files,
    authority: &Authority,
    api: SocketAddr,
    now: Timestamp,
    random: &Random,
) -> Result<String, PkiError> {
    write_atomically(&files.authority, authority.pem().as_bytes(), 0o644)?;
    let token = match fs::read_to_string(&files.token) {
        Ok(text) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => {
            let token = random.token();
            write_secret(&files.token, format!("{token}\n").as_bytes())?;
            token
        }
    };
    let server = format!("https://{}", reachable(api));
    let ca = STANDARD.encode(authority.pem());
    let current = fs::read_to_string(&files.kubeconfig).unwrap_or_default();
    let right = [format!("server: {server}\n"), ca.clone(), token.clone()];
    if !right.iter().all(|part| current.contains(part.as_str())) {
        let admin = authority.client(ADMIN_USER, ADMIN_GROUP, now, random)?;
        let certificate = STANDARD.encode(&admin.certificate_pem);
        let key = STANDARD.encode(&admin.key_pem);
        let text = kubeconfig(&server, &ca, &certificate, &key, &token);
        write_secret(&files.kubeconfig, text.as_bytes())?;
    }
    Ok(token)
}

/// Writes where the server listens, once it does.
///
/// # Errors
/// [`PkiError::File`].
pub fn announce(files: &Files, api: SocketAddr, registry: Option<SocketAddr>) -> Result<(), PkiError> {
    let mut serving = serde_json::json!({
        "api": format!("https://{}", reachable(api)),
        "pid": std::process::id(),
    });
    if let Some(registry) = registry {
        serving["registry"] = reachable(registry).to_string().into();
    }
    write_atomically(&files.serving, format!("{serving}\n").as_bytes(), 0o644)
}

/// The address a client on this machine can use: an unspecified one means all, loopback among them.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn kubeconfig(server: &str, ca: &str, certificate: &str, key: &str, token: &str) -> String {
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         current-context: weir\n\
         preferences: {{}}\n\
         clusters:\n\
         - name: weir\n\
         \x20 cluster:\n\
         \x20   certificate-authority-data: {ca}\n\
         \x20   server: {server}\n\
         contexts:\n\
         - name: weir\n\
         \x20 context:\n\
         \x20   cluster: weir\n\
         \x20   namespace: default\n\
         \x20   user: {ADMIN_USER}\n\
         users:\n\
         - name: {ADMIN_USER}\n\
         \x20 user:\n\
         \x20   client-certificate-data: {certificate}\n\
         \x20   client-key-data: {key}\n\
         \x20   token: {token}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_start_keeps_the_identity_and_a_moved_port_is_noted() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::of(dir.path());
        let random = Random::system();
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let authority = Authority::open(&dir.path().join("pki"), now, &random).unwrap();
        let first = prepare(&files, &authority, "127.0.0.1:8443".parse().unwrap(), now, &random).unwrap();
        let config = fs::read_to_string(&files.kubeconfig).unwrap();
        let again = Authority::open(&dir.path().join("pki"), now, &random).unwrap();
        assert_eq!(again.pem(), authority.pem());
        let second = prepare(&files, &again, "127.0.0.1:8443".parse().unwrap(), now, &random).unwrap();
        assert_eq!((first, &config), (second, &fs::read_to_string(&files.kubeconfig).unwrap()));
        prepare(&files, &again, "0.0.0.0:9443".parse().unwrap(), now, &random).unwrap();
        assert!(fs::read_to_string(&files.kubeconfig).unwrap().contains("server: https://127.0.0.1:9443\n"));
    }

    #[test]
    fn secrets_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let files = Files::of(dir.path());
        let random = Random::system();
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let authority = Authority::open(&dir.path().join("pki"), now, &random).unwrap();
        prepare(&files, &authority, "127.0.0.1:1".parse().unwrap(), now, &random).unwrap();
        for path in [&files.kubeconfig, &files.token, &dir.path().join("pki/ca.key")] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
    }
}
