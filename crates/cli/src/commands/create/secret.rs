//! `create secret generic`, `docker-registry` and `tls`.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Common, Draft, collection, one_name};
use crate::app::App;
use crate::failure::{Failure, plain};
use crate::golang;

/// Kinds of secrets.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Kind {
    /// From literals, files or a directory
    Generic(GenericArgs),
    /// Credentials of an image registry
    DockerRegistry(RegistryArgs),
    /// A certificate and its key
    Tls(TlsArgs),
}

/// `create secret generic NAME`
#[derive(Debug, Clone, clap::Args)]
pub(super) struct GenericArgs {
    /// Name of the secret
    args: Vec<String>,
    /// [KEY=]FILE or a directory; may be repeated
    #[arg(long)]
    from_file: Vec<String>,
    /// KEY=VALUE; may be repeated
    #[arg(long)]
    from_literal: Vec<String>,
    /// File with lines of KEY=VALUE
    #[arg(long)]
    from_env_file: Vec<String>,
    /// Type of the secret
    #[arg(long = "type", default_value = "")]
    kind: String,
    /// Append a hash of the content to the name
    #[arg(long)]
    append_hash: bool,
    #[command(flatten)]
    common: Common,
}

/// `create secret docker-registry NAME`
#[derive(Debug, Clone, clap::Args)]
pub(super) struct RegistryArgs {
    /// Name of the secret
    args: Vec<String>,
    /// Registry
    #[arg(long, default_value = "https://index.docker.io/v1/")]
    docker_server: String,
    /// User
    #[arg(long, default_value = "")]
    docker_username: String,
    /// Password
    #[arg(long, default_value = "")]
    docker_password: String,
    /// Mail address
    #[arg(long, default_value = "")]
    docker_email: String,
    /// [.dockerconfigjson=]FILE
    #[arg(long)]
    from_file: Vec<String>,
    /// Append a hash of the content to the name
    #[arg(long)]
    append_hash: bool,
    #[command(flatten)]
    common: Common,
}

/// `create secret tls NAME`
#[derive(Debug, Clone, clap::Args)]
pub(super) struct TlsArgs {
    /// Name of the secret
    args: Vec<String>,
    /// File with the certificate, PEM
    #[arg(long, default_value = "")]
    cert: String,
    /// File with the key, PEM
    #[arg(long, default_value = "")]
    key: String,
    /// Append a hash of the content to the name
    #[arg(long)]
    append_hash: bool,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(app: &App, kind: &Kind) -> Result<(), Failure> {
    match kind {
        Kind::Generic(args) => {
            let name = one_name(&args.args, "create secret generic")?;
            if !args.from_env_file.is_empty() && (!args.from_file.is_empty() || !args.from_literal.is_empty())
            {
                return Err(plain("from-env-file cannot be combined with from-file or from-literal"));
            }
            let mut data = Data::default();
            data.files(&args.from_file)?;
            data.literals(&args.from_literal)?;
            data.environment(&args.from_env_file)?;
            send(app, name, &args.kind, data, args.append_hash, &args.common).await
        }
        Kind::DockerRegistry(args) => {
            let name = one_name(&args.args, "create secret docker-registry")?;
            let data = registry(args)?;
            send(app, name, "kubernetes.io/dockerconfigjson", data, args.append_hash, &args.common).await
        }
        Kind::Tls(args) => {
            let name = one_name(&args.args, "create secret tls")?;
            let data = tls(args)?;
            send(app, name, "kubernetes.io/tls", data, args.append_hash, &args.common).await
        }
    }
}

async fn send(
    app: &App,
    name: &str,
    kind: &str,
    data: Data,
    hash: bool,
    common: &Common,
) -> Result<(), Failure> {
    let data = data.encoded();
    let name = if hash {
        let document = json!({"data": data, "kind": "Secret", "name": name, "type": kind});
        format!("{name}-{}", content_hash(&document))
    } else {
        name.to_owned()
    };
    let mut body = json!({
        "kind": "Secret", "apiVersion": "v1", "metadata": {"name": name, "namespace": app.namespace()},
    });
    if !data.is_empty() {
        body["data"] = Value::Object(data);
    }
    if !kind.is_empty() {
        body["type"] = kind.into();
    }
    let draft = Draft {
        path: collection(app, "/api/v1", "secrets"),
        body,
        order: &["data", "type"],
        managed: true,
        complaint: "failed to create secret ",
    };
    draft.create(app, common).await
}

/// Ten characters that tell one content from another, none of them a vowel.
pub(super) fn content_hash(document: &Value) -> String {
    let digest = Sha256::digest(golang::json(document));
    let hex = digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    hex.chars()
        .take(10)
        .map(|c| match c {
            '0' => 'g',
            '1' => 'h',
            '3' => 'k',
            'a' => 'm',
            'e' => 't',
            other => other,
        })
        .collect()
}

/// Keys and contents, each key once.
#[derive(Debug, Default)]
pub(super) struct Data(BTreeMap<String, Vec<u8>>);

impl Data {
    fn add(&mut self, key: &str, value: Vec<u8>) -> Result<(), Failure> {
        let fits = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !fits {
            return Err(plain(format!(
                "{} is not valid key name for a Secret: a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
                machinery::field::quote(key)
            )));
        }
        if self.0.contains_key(key) {
            return Err(plain(format!("cannot add key {key}, another key by that name already exists")));
        }
        self.0.insert(key.to_owned(), value);
        Ok(())
    }

    pub(super) fn files(&mut self, sources: &[String]) -> Result<(), Failure> {
        for source in sources {
            let (key, path) = match source.split_once('=') {
                Some((key, path)) => (Some(key), path),
                None => (None, source.as_str()),
            };
            let read = |path: &Path| {
                std::fs::read(path)
                    .map_err(|error| plain(format!("error reading {}: {}", path.display(), words(&error))))
            };
            let file = Path::new(path);
            let meta = std::fs::metadata(file)
                .map_err(|error| plain(format!("error reading {path}: {}", words(&error))))?;
            if !meta.is_dir() {
                let name =
                    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                self.add(key.unwrap_or(&name), read(file)?)?;
                continue;
            }
            if key.is_some() {
                return Err(plain("cannot give a key name for a directory path"));
            }
            let mut entries: Vec<_> = std::fs::read_dir(file)?.collect::<Result<_, _>>()?;
            entries.sort_by_key(std::fs::DirEntry::file_name);
            for entry in entries {
                if entry.path().is_file() {
                    self.add(&entry.file_name().to_string_lossy(), read(&entry.path())?)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn literals(&mut self, sources: &[String]) -> Result<(), Failure> {
        for source in sources {
            let (key, value) = source
                .split_once('=')
                .filter(|(key, _)| !key.is_empty())
                .ok_or_else(|| plain(format!("invalid literal source {source}, expected key=value")))?;
            let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
            self.add(key, value.as_bytes().to_vec())?;
        }
        Ok(())
    }

    pub(super) fn environment(&mut self, files: &[String]) -> Result<(), Failure> {
        for file in files {
            let text = std::fs::read_to_string(file)
                .map_err(|error| plain(format!("error reading {file}: {}", words(&error))))?;
            for line in text.trim_start_matches('\u{feff}').lines() {
                let line = line.trim_start();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                // A name alone takes its value from our own environment.
                let (key, value) = match line.split_once('=') {
                    Some((key, value)) => (key, value.to_owned()),
                    None => (line, std::env::var(line).unwrap_or_default()),
                };
                self.add(key, value.into_bytes())?;
            }
        }
        Ok(())
    }

    fn encoded(&self) -> Map<String, Value> {
        self.0.iter().map(|(key, value)| (key.clone(), STANDARD.encode(value).into())).collect()
    }

    /// The contents as texts; nothing when one is none.
    pub(super) fn texts(&self) -> Option<Map<String, Value>> {
        self.0
            .iter()
            .map(|(key, value)| Some((key.clone(), Value::from(std::str::from_utf8(value).ok()?))))
            .collect()
    }
}

/// What the system says, without its number.
fn words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

fn registry(args: &RegistryArgs) -> Result<Data, Failure> {
    let mut data = Data::default();
    if !args.from_file.is_empty() {
        data.files(&args.from_file)?;
        return Ok(data);
    }
    if args.docker_username.is_empty() || args.docker_password.is_empty() || args.docker_server.is_empty() {
        return Err(plain(
            "either --from-file or the combination of --docker-username, --docker-password and --docker-server is required",
        ));
    }
    let quote = |text: &str| String::from_utf8(machinery::json::compact(text)).expect("JSON is UTF-8");
    let auth = STANDARD.encode(format!("{}:{}", args.docker_username, args.docker_password));
    let email = if args.docker_email.is_empty() {
        String::new()
    } else {
        format!("\"email\":{},", quote(&args.docker_email))
    };
    // The order of fields is what people compare with.
    let text = format!(
        "{{\"auths\":{{{}:{{\"username\":{},\"password\":{},{email}\"auth\":{}}}}}}}",
        quote(&args.docker_server),
        quote(&args.docker_username),
        quote(&args.docker_password),
        quote(&auth)
    );
    data.add(".dockerconfigjson", text.into_bytes())?;
    Ok(data)
}

fn tls(args: &TlsArgs) -> Result<Data, Failure> {
    if args.cert.is_empty() || args.key.is_empty() {
        return Err(plain("key and cert must be specified"));
    }
    let read =
        |path: &str| std::fs::read(path).map_err(|error| plain(format!("open {path}: {}", words(&error))));
    let (cert, key) = (read(&args.cert)?, read(&args.key)?);
    let has = |bytes: &[u8], what: &str| {
        std::str::from_utf8(bytes).is_ok_and(|text| text.contains("-----BEGIN ") && text.contains(what))
    };
    if !has(&cert, "-----BEGIN") {
        return Err(plain("tls: failed to find any PEM data in certificate input"));
    }
    if !has(&cert, "-----BEGIN CERTIFICATE-----") {
        return Err(plain(
            "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched",
        ));
    }
    if !has(&key, "-----BEGIN") {
        return Err(plain("tls: failed to find any PEM data in key input"));
    }
    if !has(&key, "PRIVATE KEY-----") {
        return Err(plain("tls: found a certificate rather than a key in the PEM for the private key"));
    }
    let mut data = Data::default();
    data.add("tls.crt", cert)?;
    data.add("tls.key", key)?;
    Ok(data)
}
