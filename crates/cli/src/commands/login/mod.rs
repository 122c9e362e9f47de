//! `login` and `logout`: a session with a server, kept in the kubeconfig.
//!
//! A login finds out whom a token belongs to (asking for the token first, with a name and a password), chooses a project,
//! and writes cluster, user and context into the file that the next command reads. The administrator's file in the data
//! directory of a server is never written to. An entry for the same server is reused, its certificate authority too.

mod kubeconfig;
pub(crate) mod logout;
mod oauth;

use kube::config::{Cluster, Kubeconfig};

use super::{project, whoami};
use crate::app::App;
use crate::client::{Api, Call, JSON, JSON_OR_ANY, segment};
use crate::failure::{Failure, plain};
use crate::golang::text_at;
use crate::{PROGRAM, config};

/// The server of a machine that says nothing else.
const USUAL: &str = "https://localhost:8443";
/// Projects up to which all of them are shown.
const MOST_SHOWN: usize = 50;
const INSECURE: &str = "WARNING: Using insecure TLS client config. Setting this option is not supported!\n";

/// `login [URL]`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Address of the server
    args: Vec<String>,
    /// Name of the user; asked for when it is needed and not given
    #[arg(short = 'u', long, default_value = "")]
    username: String,
    /// Password; asked for when it is needed and not given
    #[arg(short = 'p', long, default_value = "")]
    password: String,
}

/// Who is logged in where, with what.
struct Session {
    cluster: Cluster,
    token: String,
    user: String,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let server = address(app, args)?;
    let token = app.globals.token.clone().filter(|token| !token.is_empty());
    if token.is_some() && !args.username.is_empty() {
        return Err(plain("--token and --username are mutually exclusive"));
    }
    let file = config::first(&app.settings.own_files);
    let file =
        file.ok_or_else(|| plain("there is no place for a kubeconfig: name a file with --kubeconfig"))?;
    if app.globals.insecure_skip_tls_verify {
        app.io.complain(INSECURE);
    }
    let cluster = cluster_of(app, &server);
    reach(app, &cluster).await?;
    let session = match token {
        Some(token) => with_token(app, cluster, token).await?,
        None => match existing(app, &cluster, args).await? {
            Some(session) => session,
            None => with_password(app, cluster, args).await?,
        },
    };
    let api = connect(app, &session.cluster, Some(&session.token)).await?;
    let namespace = choose_project(app, &api).await?;
    let is_new = !file.exists();
    config::rewrite(&file, |config| kubeconfig::remember(config, &session, &namespace))?;
    if is_new {
        app.io.line(&format!("Welcome! See '{PROGRAM} help' to get started."))?;
    }
    message_of_the_day(app, &api).await
}

/// The server's address: scheme and host, with a port.
fn address(app: &App, args: &Args) -> Result<String, Failure> {
    let named = match args.args.as_slice() {
        [] => None,
        [one] if app.globals.server.is_none() => Some(one.as_str()),
        [_] => {
            return Err(plain("--server and passing the server URL as an argument are mutually exclusive"));
        }
        _ => return Err(plain("Only the server URL may be specified as an argument")),
    };
    let text = named.unwrap_or(&app.settings.server);
    kubeconfig::normalized(if text.is_empty() { USUAL } else { text })
}

/// The server as the kubeconfig knows it, with what the flags say.
fn cluster_of(app: &App, server: &str) -> Cluster {
    let known = app.settings.kubeconfig.as_ref().and_then(|config| kubeconfig::same_server(config, server));
    let mut cluster = known.and_then(|known| known.cluster.clone()).unwrap_or_default();
    cluster.server = Some(server.to_owned());
    if let Some(ca) = &app.globals.certificate_authority {
        let absolute = std::path::absolute(ca).map_or_else(|_| ca.clone(), |path| path.display().to_string());
        cluster.certificate_authority = Some(absolute);
        cluster.certificate_authority_data = None;
        cluster.insecure_skip_tls_verify = None;
    }
    if app.globals.insecure_skip_tls_verify {
        cluster.insecure_skip_tls_verify = Some(true);
        cluster.certificate_authority = None;
        cluster.certificate_authority_data = None;
    }
    if let Some(name) = &app.globals.tls_server_name {
        cluster.tls_server_name = Some(name.clone());
    }
    cluster
}

/// A connection that uses nothing but these.
async fn connect(app: &App, cluster: &Cluster, token: Option<&str>) -> Result<Api, Failure> {
    let mut alone = Kubeconfig::default();
    kubeconfig::put(&mut alone, "server", cluster.clone(), "user", token.unwrap_or_default());
    kubeconfig::enter(&mut alone, "session", "server", "user", "");
    app.connect(config::client_config(alone).await?)
}

/// Whether there is an API server at all; what it answers does not matter.
async fn reach(app: &App, cluster: &Cluster) -> Result<(), Failure> {
    let api = connect(app, cluster, None).await?;
    let request = http::Request::head("/").body(kube::client::Body::empty());
    let request = request.map_err(|error| plain(format!("invalid request: {error}")))?;
    let (answer, _) = api.exchange(request).await.map_err(explain)?;
    let media = answer.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if media.is_some_and(|media| media.contains("text/html")) {
        let server = cluster.server.as_deref().unwrap_or_default();
        return Err(plain(format!("{server} shows a web page: it is not the address of an API server")));
    }
    Ok(())
}

/// Certificates that nobody vouches for have a remedy.
fn explain(failure: Failure) -> Failure {
    match failure {
        Failure::Unreachable(text) if text.contains("certificate") => plain(format!(
            "{text}\nYou may need to use the --certificate-authority flag to provide the path to a certificate file for \
             the certificate authority, or --insecure-skip-tls-verify to bypass the certificate check and use insecure \
             connections."
        )),
        other => other,
    }
}

async fn name_of(api: &Api) -> Result<String, Failure> {
    Ok(text_at(&whoami::user(api).await?, &["metadata", "name"]).to_owned())
}

async fn with_token(app: &App, cluster: Cluster, token: String) -> Result<Session, Failure> {
    let api = connect(app, &cluster, Some(&token)).await?;
    let user = name_of(&api).await.map_err(|error| match error {
        error if error.is_unauthorized() => plain("The token provided is invalid or expired.\n"),
        error => error,
    })?;
    let server = cluster.server.as_deref().unwrap_or_default();
    app.io.line(&format!("Logged into \"{server}\" as \"{user}\" using the token provided.\n"))?;
    Ok(Session { cluster, token, user })
}

/// The session that the kubeconfig already has with the server, if it is still good and the one that is wanted.
async fn existing(app: &App, cluster: &Cluster, args: &Args) -> Result<Option<Session>, Failure> {
    let Some(config) = app.settings.kubeconfig.as_ref().filter(|_| args.password.is_empty()) else {
        return Ok(None);
    };
    let server = cluster.server.as_deref().unwrap_or_default();
    for token in kubeconfig::tokens(config, server, !args.username.is_empty()) {
        let api = connect(app, cluster, Some(&token)).await?;
        match name_of(&api).await {
            Ok(user) if args.username.is_empty() || args.username == user => {
                app.io
                    .line(&format!("Logged into \"{server}\" as \"{user}\" using existing credentials.\n"))?;
                return Ok(Some(Session { cluster: cluster.clone(), token, user }));
            }
            Ok(_) => {}
            Err(error) if error.is_unauthorized() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

async fn with_password(app: &App, cluster: Cluster, args: &Args) -> Result<Session, Failure> {
    let server = cluster.server.clone().unwrap_or_default();
    let asks = args.username.is_empty() || args.password.is_empty();
    if asks {
        app.io.line(&format!("Authentication required for {server} (openshift)"))?;
    }
    let ask = |given: &str, prompt: &str, read: fn(&crate::io::Io) -> Result<String, Failure>| {
        if given.is_empty() {
            app.io.print(prompt)?;
            return read(&app.io);
        }
        if asks {
            app.io.line(&format!("{prompt}{given}"))?;
        }
        Ok(given.to_owned())
    };
    let name = ask(&args.username, "Username: ", crate::io::Io::read_line)?;
    let password = match args.password.as_str() {
        "" => ask("", "Password: ", crate::io::Io::read_secret)?,
        given => given.to_owned(),
    };
    if asks {
        app.io.line("")?;
    }
    let token = oauth::Flow { app, cluster: &cluster }.token(&name, &password).await?;
    let api = connect(app, &cluster, Some(&token)).await?;
    let user = name_of(&api).await?;
    app.io.line("Login successful.\n")?;
    Ok(Session { cluster, token, user })
}

/// The project to work in, told with the others that there are.
async fn choose_project(app: &App, api: &Api) -> Result<String, Failure> {
    let wanted = app.namespace().to_owned();
    let found = match api.document(Call::get(format!("{}/projects", project::ROOT), JSON_OR_ANY)).await {
        Err(error) if error.is_not_found() || error.is_forbidden() => {
            app.io.line(&format!(
                "Using \"default\" namespace.  You can switch namespaces with:\n\n {PROGRAM} project <projectname>"
            ))?;
            return Ok("default".to_owned());
        }
        other => other?,
    };
    let items = crate::golang::items_at(&found, &["items"]);
    let mut names: Vec<&str> = items.iter().map(|item| text_at(item, &["metadata", "name"])).collect();
    names.sort_unstable();
    match names.as_slice() {
        [] => {
            app.io.print(&nothing(may_request(api).await))?;
            Ok(wanted)
        }
        [only] => {
            app.io.line(&format!(
                "You have one project on this server: \"{only}\"\n\nUsing project \"{only}\"."
            ))?;
            Ok((*only).to_owned())
        }
        [first, ..] => {
            let chosen = [wanted.as_str(), "default"].into_iter().find(|name| names.contains(name));
            let chosen = chosen.unwrap_or(first);
            app.io.print(&listed(&names, chosen))?;
            Ok(chosen.to_owned())
        }
    }
}

fn nothing(may_request: bool) -> String {
    if may_request {
        format!(
            "You don't have any projects. You can try to create a new project, by running\n\n    {PROGRAM} new-project <projectname>\n\n"
        )
    } else {
        "You don't have any projects. Contact your system administrator to request a project.\n".to_owned()
    }
}

fn listed(names: &[&str], chosen: &str) -> String {
    let mut text = if names.len() > MOST_SHOWN {
        format!(
            "You have access to {} projects, the list has been suppressed. You can list all projects with '{PROGRAM} projects'\n",
            names.len()
        )
    } else {
        let marked = names.iter().map(|name| {
            let mark = if *name == chosen { "  * " } else { "    " };
            format!("{mark}{name}\n")
        });
        format!(
            "You have access to the following projects and can switch between them with '{PROGRAM} project <projectname>':\n\n{}",
            marked.collect::<String>()
        )
    };
    text.push_str(&format!("\nUsing project \"{chosen}\".\n"));
    text
}

async fn may_request(api: &Api) -> bool {
    let review = serde_json::json!({
        "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
        "spec": {"resourceAttributes": {"verb": "create", "group": "project.openshift.io", "resource": "projectrequests"}},
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = api.document(Call::send(http::Method::POST, path, &review)).await;
    // Whoever cannot be told may still try.
    answer.map_or(true, |answer| answer["status"]["allowed"] == true)
}

/// What the administrator has to say, if anything.
async fn message_of_the_day(app: &App, api: &Api) -> Result<(), Failure> {
    let path = format!("/api/v1/namespaces/{}/configmaps/motd", segment("openshift"));
    match api.document(Call::get(path, JSON)).await {
        Ok(map) if !text_at(&map, &["data", "message"]).is_empty() => {
            app.io.line(&format!("\n{}", text_at(&map, &["data", "message"])))
        }
        Err(error) if error.code() == 0 => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_are_listed_with_a_mark_at_the_one_in_use() {
        assert_eq!(
            listed(&["a", "b"], "b"),
            "You have access to the following projects and can switch between them with 'weir project <projectname>':\n\n    a\n  * b\n\nUsing project \"b\".\n"
        );
        let many: Vec<String> = (0..51).map(|number| format!("p{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(
            listed(&many, "p3"),
            "You have access to 51 projects, the list has been suppressed. You can list all projects with 'weir projects'\n\nUsing project \"p3\".\n"
        );
    }

    #[test]
    fn who_has_no_project_hears_how_to_get_one() {
        assert!(nothing(true).contains("    weir new-project <projectname>\n"));
        assert!(nothing(false).contains("Contact your system administrator"));
    }
}
