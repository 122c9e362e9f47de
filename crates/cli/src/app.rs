//! What every command works with: the flags, the streams, the time, and (only when needed) a connection.
//!
//! Nothing is read or connected before somebody asks for it, so commands that need no server work without one.

use kube::Client;
use machinery::time::Time;
use tokio::sync::OnceCell;

use crate::client::{Api, Call};
use crate::config::Settings;
use crate::discovery::{Mapper, Resource};
use crate::failure::{Failure, plain};
use crate::flags::Globals;
use crate::io::Io;

/// The surroundings of one run of a command.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) globals: Globals,
    pub(crate) io: Io,
    pub(crate) settings: Settings,
    clock: fn() -> Time,
    api: OnceCell<Api>,
    mapper: OnceCell<Mapper>,
}

impl App {
    /// Surroundings with the given flags and streams.
    pub(crate) fn new(globals: Globals, io: Io, clock: fn() -> Time) -> Result<App, Failure> {
        let settings = Settings::read(&globals, &|name| std::env::var(name).ok())?;
        Ok(App { globals, io, settings, clock, api: OnceCell::new(), mapper: OnceCell::new() })
    }

    /// Surroundings with a connection of their own, for tests.
    #[cfg(test)]
    pub(crate) fn connected(io: Io, namespace: &str, client: Client, mapper: Option<Mapper>) -> App {
        let globals = Globals { namespace: Some(namespace.to_owned()), ..Globals::default() };
        let settings = Settings::read(&globals, &|_| None).unwrap();
        let api = Api::new(client, "fake:1".to_owned(), None, 0, io.clone());
        App {
            globals,
            io,
            settings,
            clock: || Time::from_unix(1_800_000_000),
            api: OnceCell::new_with(Some(api)),
            mapper: OnceCell::new_with(mapper),
        }
    }

    /// Now.
    pub(crate) fn now(&self) -> Time {
        (self.clock)()
    }

    /// The project of the command.
    pub(crate) fn namespace(&self) -> &str {
        &self.settings.namespace
    }

    /// The connection.
    pub(crate) async fn api(&self) -> Result<&Api, Failure> {
        self.api
            .get_or_try_init(|| async { self.connect(self.settings.client_config(&self.globals).await?) })
            .await
    }

    /// A connection of its own.
    pub(crate) fn connect(&self, config: kube::Config) -> Result<Api, Failure> {
        let host = config.cluster_url.authority().map(ToString::to_string).unwrap_or_default();
        let client = Client::try_from(config).map_err(|error| plain(error.to_string()))?;
        Ok(Api::new(client, host, self.globals.timeout(), self.globals.verbosity, self.io.clone()))
    }

    /// What the server serves.
    pub(crate) async fn mapper(&self) -> Result<&Mapper, Failure> {
        let api = self.api().await?;
        self.mapper.get_or_try_init(|| Mapper::discover(api)).await
    }

    /// Reads one object. When it is not there, a missing project is reported instead, if that is the reason.
    pub(crate) async fn get(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        accept: &'static str,
        query: &[(&str, String)],
    ) -> Result<serde_json::Value, Failure> {
        let api = self.api().await?;
        let path = resource.object(namespace, name)?;
        match api.document(Call::get(crate::client::target(&path, query), accept)).await {
            Err(error) if error.is_not_found() && resource.namespaced => {
                if namespace.is_empty() || namespace == "default" {
                    return Err(error);
                }
                let probe = format!("/api/v1/namespaces/{}", crate::client::segment(namespace));
                match api.call(Call::get(probe, accept)).await {
                    Err(missing) if missing.is_not_found() => Err(missing),
                    _ => Err(error),
                }
            }
            other => other,
        }
    }

    /// Where an object of a resource lives: the command's project, or nowhere for cluster-scoped ones.
    pub(crate) fn namespace_of(&self, resource: &Resource) -> String {
        if resource.namespaced { self.namespace().to_owned() } else { String::new() }
    }
}
