//! Which server, as whom, in which project: the kubeconfig and the flags that override it.
//!
//! Files are looked for in the usual places; a machine that has none of them but runs Weir with its default data
//! directory needs none, because the administrator's file in there is found. Only `login`, `logout`, `project` and
//! `new-project` write.

use std::path::{Path, PathBuf};

use kube::config::{Context, KubeConfigOptions, Kubeconfig, NamedContext};

use crate::failure::{Failure, plain};
use crate::flags::Globals;

/// What was found out about the surroundings before any request.
pub(crate) struct Settings {
    /// All files, merged; nothing when there are none.
    pub(crate) kubeconfig: Option<Kubeconfig>,
    /// The file that changes go to.
    pub(crate) file: Option<PathBuf>,
    /// The files of the person: none of them belongs to a server.
    pub(crate) own_files: Vec<PathBuf>,
    /// Project of the command.
    pub(crate) namespace: String,
    /// The project was named on the command line.
    pub(crate) namespace_given: bool,
    /// The server as the kubeconfig (or the flag) names it.
    pub(crate) server: String,
    options: KubeConfigOptions,
}

/// Environment variables that matter, so that tests can set them.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("server", &self.server)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads the files.
    pub(crate) fn read(globals: &Globals, env: Environment<'_>) -> Result<Settings, Failure> {
        let Files { files, of_server } = files(globals, env);
        let mut merged: Option<Kubeconfig> = None;
        for file in &files {
            if globals.kubeconfig.is_none() && !file.exists() {
                continue;
            }
            let next = Kubeconfig::read_from(file).map_err(|error| {
                if file.exists() {
                    plain(format!("error loading config file \"{}\": {}", file.display(), deepest(&error)))
                } else {
                    plain(format!("stat {}: no such file or directory", file.display()))
                }
            })?;
            merged = Some(match merged {
                Some(before) => before.merge(next).map_err(|error| plain(deepest(&error)))?,
                None => next,
            });
        }
        let options = KubeConfigOptions {
            context: globals.context.clone(),
            cluster: globals.cluster.clone(),
            user: globals.user.clone(),
        };
        let context = merged.as_ref().and_then(|config| context_of(config, globals));
        let given = globals.namespace.clone().filter(|name| !name.is_empty());
        let namespace = given
            .clone()
            .or_else(|| context.and_then(|context| context.namespace.clone()))
            .filter(|name| !name.is_empty());
        let server = globals.server.clone().or_else(|| {
            let config = merged.as_ref()?;
            let name = globals.cluster.as_ref().or_else(|| context.map(|context| &context.cluster))?;
            config.clusters.iter().find(|cluster| &cluster.name == name)?.cluster.as_ref()?.server.clone()
        });
        Ok(Settings {
            file: first(&files),
            own_files: if of_server { usual(env).into_iter().collect() } else { files },
            kubeconfig: merged,
            namespace: namespace.or_else(incluster_namespace).unwrap_or_else(|| "default".to_owned()),
            namespace_given: given.is_some(),
            server: server.unwrap_or_default(),
            options,
        })
    }

    /// Name and content of the context in use.
    pub(crate) fn context(&self, globals: &Globals) -> Option<(&str, &Context)> {
        let config = self.kubeconfig.as_ref()?;
        let name = globals.context.as_ref().or(config.current_context.as_ref())?;
        let found = config.contexts.iter().find(|context| &context.name == name)?;
        Some((found.name.as_str(), found.context.as_ref()?))
    }

    /// The configuration of the HTTP client.
    pub(crate) async fn client_config(&self, globals: &Globals) -> Result<kube::Config, Failure> {
        let mut config = match &self.kubeconfig {
            Some(kubeconfig) if !kubeconfig.clusters.is_empty() || globals.server.is_none() => {
                match kube::Config::from_custom_kubeconfig(kubeconfig.clone(), &self.options).await {
                    Ok(config) => config,
                    Err(error) => match (&globals.server, globals.context.as_deref()) {
                        (_, Some(name)) if self.context(globals).is_none() => {
                            return Err(plain(format!("context \"{name}\" does not exist")));
                        }
                        (Some(server), _) => kube::Config::new(uri(server)?),
                        _ => return Err(plain(deepest(&error))),
                    },
                }
            }
            _ => match &globals.server {
                Some(server) => kube::Config::new(uri(server)?),
                None => kube::Config::incluster().map_err(|_| plain(MISSING))?,
            },
        };
        config.default_retry = false;
        if let Some(server) = &globals.server {
            config.cluster_url = uri(server)?;
        }
        if let Some(token) = &globals.token {
            config.auth_info.token = Some(token.clone().into());
            config.auth_info.client_certificate = None;
            config.auth_info.client_certificate_data = None;
            config.auth_info.client_key = None;
            config.auth_info.client_key_data = None;
        }
        if globals.insecure_skip_tls_verify {
            config.accept_invalid_certs = true;
        }
        if let Some(name) = &globals.tls_server_name {
            config.tls_server_name = Some(name.clone());
        }
        if let Some(file) = &globals.certificate_authority {
            config.root_cert = Some(certificates(Path::new(file))?);
            config.root_cert_file = None;
        }
        impersonate(&mut config, globals)?;
        Ok(config)
    }
}

const MISSING: &str = "Missing or incomplete configuration info.  Please point to an existing, complete config file:\n\n\n  1. Via the command-line flag --kubeconfig\n  2. Via the KUBECONFIG environment variable\n  3. In your home directory as ~/.kube/config\n  4. Or start a server on this machine: weir serve\n";

fn context_of<'a>(config: &'a Kubeconfig, globals: &Globals) -> Option<&'a Context> {
    let name = globals.context.as_ref().or(config.current_context.as_ref())?;
    config.contexts.iter().find(|context| &context.name == name)?.context.as_ref()
}

/// The files in question, in the order in which they count.
struct Files {
    files: Vec<PathBuf>,
    /// They are the administrator's file that a server keeps beside its data.
    of_server: bool,
}

fn files(globals: &Globals, env: Environment<'_>) -> Files {
    let own = |files: Vec<PathBuf>| Files { files, of_server: false };
    if let Some(file) = &globals.kubeconfig {
        return own(vec![PathBuf::from(file)]);
    }
    if let Some(list) = env("KUBECONFIG").filter(|list| !list.is_empty()) {
        return own(std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect());
    }
    let usual = usual(env);
    if let Some(usual) = usual.as_ref().filter(|usual| usual.exists()) {
        return own(vec![usual.clone()]);
    }
    if env("KUBERNETES_SERVICE_HOST").is_none() {
        let data = data_directory(env).map(|data| data.join("admin.kubeconfig"));
        if let Some(file) = data.filter(|file| file.exists()) {
            return Files { files: vec![file], of_server: true };
        }
    }
    own(usual.into_iter().collect())
}

/// The file that everybody has.
fn usual(env: Environment<'_>) -> Option<PathBuf> {
    env("HOME").map(|home| PathBuf::from(home).join(".kube/config"))
}

/// The first file that is there; else the first.
pub(crate) fn first(files: &[PathBuf]) -> Option<PathBuf> {
    files.iter().find(|file| file.exists()).or(files.first()).cloned()
}

/// Where `weir serve` keeps its data unless told otherwise.
fn data_directory(env: Environment<'_>) -> Option<PathBuf> {
    if let Some(directory) = env("WEIR_DATA_DIR").filter(|directory| !directory.is_empty()) {
        return Some(PathBuf::from(directory));
    }
    if let Some(directory) = env("XDG_DATA_HOME").filter(|directory| !directory.is_empty()) {
        return Some(PathBuf::from(directory).join("weir"));
    }
    Some(PathBuf::from(env("HOME")?).join(".local/share/weir"))
}

fn incluster_namespace() -> Option<String> {
    let text = std::fs::read_to_string("/var/run/secrets/kubernetes.io/serviceaccount/namespace").ok()?;
    Some(text.trim().to_owned()).filter(|name| !name.is_empty())
}

fn uri(server: &str) -> Result<http::Uri, Failure> {
    let server = if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
    server.parse().map_err(|error| plain(format!("invalid server address \"{server}\": {error}")))
}

fn certificates(file: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    use base64::Engine;
    let text = std::fs::read_to_string(file).map_err(|error| {
        plain(format!("unable to read certificate-authority {}: {error}", file.display()))
    })?;
    let mut found = Vec::new();
    for block in text.split("-----BEGIN CERTIFICATE-----").skip(1) {
        let body: String = block.split("-----END").next().unwrap_or_default().split_whitespace().collect();
        let der = base64::engine::general_purpose::STANDARD.decode(body);
        found.push(der.map_err(|error| plain(format!("{}: {error}", file.display())))?);
    }
    if found.is_empty() {
        return Err(plain(format!("unable to load root certificates from {}", file.display())));
    }
    Ok(found)
}

/// Headers of impersonation; flags replace what the kubeconfig says.
fn impersonate(config: &mut kube::Config, globals: &Globals) -> Result<(), Failure> {
    let auth = &config.auth_info;
    let user = globals.impersonate.clone().or_else(|| auth.impersonate.clone());
    let groups = if globals.as_group.is_empty() {
        auth.impersonate_groups.clone().unwrap_or_default()
    } else {
        globals.as_group.clone()
    };
    let uid = globals.as_uid.clone().or_else(|| auth.impersonate_uid.clone());
    if user.is_none() && (!groups.is_empty() || uid.is_some()) {
        return Err(plain("requesting uid, groups or user-extra without impersonating a user"));
    }
    let mut pairs = Vec::new();
    pairs.extend(user.map(|user| ("impersonate-user", user)));
    pairs.extend(uid.map(|uid| ("impersonate-uid", uid)));
    pairs.extend(groups.into_iter().map(|group| ("impersonate-group", group)));
    for (name, value) in pairs {
        let value =
            http::HeaderValue::from_str(&value).map_err(|_| plain(format!("invalid value for {name}")))?;
        config.headers.push((http::HeaderName::from_static(name), value));
    }
    // Said in headers above; the library must not say it twice.
    config.auth_info.impersonate = None;
    config.auth_info.impersonate_groups = None;
    config.auth_info.impersonate_uid = None;
    Ok(())
}

fn deepest(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    text
}

/// The name the reference gives the context of a project on a server: `NS/HOST-PORT/USER`.
pub(crate) fn context_name(namespace: &str, cluster: &str, user: &str) -> String {
    let short = user.split('/').next().unwrap_or_default();
    format!("{namespace}/{cluster}/{short}")
}

/// Makes (or finds) the context of a project next to the one in use, and makes it the current one.
pub(crate) fn switch_to(config: &mut Kubeconfig, name: String, context: Context) {
    match config.contexts.iter_mut().find(|known| known.name == name) {
        Some(known) => known.context = Some(context),
        None => config.contexts.push(NamedContext {
            name: name.clone(),
            context: Some(context),
            other: std::collections::BTreeMap::default(),
        }),
    }
    config.current_context = Some(name);
}

/// Changes a kubeconfig file in one step, so that nobody ever sees half of it.
pub(crate) fn rewrite(file: &Path, change: impl FnOnce(&mut Kubeconfig)) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| plain(format!("error writing {}: {error}", file.display()));
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(&error)),
    };
    let mut config = if text.trim().is_empty() {
        Kubeconfig::default()
    } else {
        Kubeconfig::from_yaml(&text).map_err(|error| failed(&error))?
    };
    change(&mut config);
    // Other programs insist on these two.
    config.kind.get_or_insert_with(|| "Config".to_owned());
    config.api_version.get_or_insert_with(|| "v1".to_owned());
    let value = serde_json::to_value(&config).map_err(|error| failed(&error))?;
    write_private(file, &machinery::yaml::to_string(&value)).map_err(|error| failed(&error))
}

/// The configuration of the HTTP client for a kubeconfig as it is.
pub(crate) async fn client_config(config: Kubeconfig) -> Result<kube::Config, Failure> {
    let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await;
    let mut config = config.map_err(|error| plain(deepest(&error)))?;
    config.default_retry = false;
    Ok(config)
}

/// Replaces a file that only its owner may read, in one step.
pub(crate) fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    // A link stays a link: what it points at is replaced.
    let file = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let fresh = file.with_file_name(name);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = options.open(&fresh)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    std::fs::rename(&fresh, &file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: k\n  cluster: {server: 'https://h:1'}\n- name: other\n  cluster: {server: 'https://o:1'}\ncontexts:\n- name: c\n  context: {cluster: k, user: u, namespace: ns}\nusers:\n- name: u\n  user: {token: t}\n";

    fn settings(globals: &Globals, env: &[(&str, String)]) -> Settings {
        let env: std::collections::BTreeMap<String, String> =
            env.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        Settings::read(globals, &|name| env.get(name).cloned()).unwrap()
    }

    #[test]
    fn the_context_gives_project_and_server() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        std::fs::write(&file, FILE).unwrap();
        let env = [("KUBECONFIG", file.display().to_string())];
        let found = settings(&Globals::default(), &env);
        assert_eq!((found.namespace.as_str(), found.server.as_str()), ("ns", "https://h:1"));
        assert!(!found.namespace_given);
        let globals =
            Globals { namespace: Some("x".into()), cluster: Some("other".into()), ..Globals::default() };
        let found = settings(&globals, &env);
        assert_eq!((found.namespace.as_str(), found.server.as_str()), ("x", "https://o:1"));
    }

    #[test]
    fn the_data_directory_is_the_last_resort() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().display().to_string();
        let data = dir.path().join(".local/share/weir");
        std::fs::create_dir_all(&data).unwrap();
        std::fs::write(data.join("admin.kubeconfig"), FILE).unwrap();
        assert_eq!(settings(&Globals::default(), &[("HOME", home.clone())]).server, "https://h:1");
        // A kubeconfig of the user's own comes first, even an empty one.
        std::fs::create_dir_all(dir.path().join(".kube")).unwrap();
        std::fs::write(dir.path().join(".kube/config"), "apiVersion: v1\nkind: Config\n").unwrap();
        assert_eq!(settings(&Globals::default(), &[("HOME", home)]).server, "");
    }

    #[test]
    fn contexts_are_named_after_project_server_and_user() {
        assert_eq!(context_name("a", "h-1", "admin/h-1"), "a/h-1/admin");
    }
}
