//! `logout`: ends the session, at the server and in the kubeconfig.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::kubeconfig::forget;
use crate::app::App;
use crate::client::{Call, JSON, segment};
use crate::commands::whoami;
use crate::config;
use crate::failure::{Failure, plain};
use crate::golang::text_at;

/// What tokens of people begin with.
const PREFIX: &str = "sha256~";

/// `logout`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    args: Vec<String>,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    if !args.args.is_empty() {
        return Err(plain("No arguments are allowed"));
    }
    let token = whoami::token(app).await.map_err(|_| plain("You must have a token in order to logout."))?;
    let api = app.api().await?;
    let user = whoami::user(api).await?;
    if let Some(name) = object_name(&token) {
        let path = format!("/apis/oauth.openshift.io/v1/oauthaccesstokens/{}", segment(&name));
        match api.call(Call { method: http::Method::DELETE, ..Call::get(path, JSON) }).await {
            Ok(_) => {}
            // A server that does not know the token, or keeps it to itself: here it is forgotten in any case.
            Err(error) if error.is_not_found() || error.is_forbidden() => {}
            Err(error) => return Err(error),
        }
    }
    let mut files = app.settings.own_files.iter().filter(|file| file.exists()).peekable();
    if files.peek().is_none() {
        app.io.complain("The token is in no file of yours: it is left where it is.");
    }
    for file in files {
        config::rewrite(file, |config| forget(config, &token))?;
    }
    let name = text_at(&user, &["metadata", "name"]);
    app.io.line(&format!("Logged \"{name}\" out on \"{}\"", app.settings.server))
}

/// The name of the object that a server keeps for a token. Tokens of other kinds are no objects, and are sent nowhere.
fn object_name(token: &str) -> Option<String> {
    let secret = token.strip_prefix(PREFIX)?;
    Some(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(Sha256::digest(secret.as_bytes()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_of_a_token_is_named_by_its_hash() {
        let name = object_name("sha256~abc").unwrap();
        assert_eq!(name, "sha256~ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
        assert_eq!(object_name("eyJ.a.b"), None);
    }
}
