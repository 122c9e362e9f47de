//! Image configurations, read leniently: unknown fields are passed over and keys match without case.
//!
//! Both forms are one shape: the configuration blob of schema 2 and OCI images, and the `v1Compatibility` text of
//! schema 1. Fields that image objects do not carry (root file system, history, health checks) are not read; the
//! operating system and the variant are, because choosing and reporting platforms needs them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::json::{self, Fields, JsonError};

/// What an image's configuration says of the image.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageConfig {
    /// Schema 1: the layer's id.
    pub id: String,
    /// Schema 1: the id of the layer below.
    pub parent: String,
    /// A commit message.
    pub comment: String,
    /// When it was built; `None` when absent or Go's zero time.
    pub created: Option<Timestamp>,
    /// The container it was committed from.
    pub container: String,
    /// That container's configuration.
    pub container_config: ContainerConfig,
    /// The version of Docker that built it.
    pub docker_version: String,
    /// Who made it.
    pub author: String,
    /// How it runs.
    pub config: Option<ContainerConfig>,
    /// `amd64`…
    pub architecture: String,
    /// `linux`…
    pub os: String,
    /// `v8`…
    pub variant: String,
    /// Schema 1: the layer's size in bytes.
    pub size: i64,
}

/// How containers of an image run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerConfig {
    pub hostname: String,
    pub domainname: String,
    pub user: String,
    /// Bytes.
    pub memory: i64,
    /// Bytes.
    pub memory_swap: i64,
    pub cpu_shares: i64,
    pub cpuset: String,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    pub port_specs: Option<Vec<String>>,
    /// `8080/tcp`…; sorted.
    pub exposed_ports: Option<Vec<String>>,
    pub tty: bool,
    pub open_stdin: bool,
    pub stdin_once: bool,
    /// `NAME=value`
    pub env: Option<Vec<String>>,
    pub cmd: Option<Vec<String>>,
    pub dns: Option<Vec<String>>,
    pub image: String,
    /// Mount points; sorted.
    pub volumes: Option<Vec<String>>,
    pub volumes_from: String,
    pub working_dir: String,
    pub entrypoint: Option<Vec<String>>,
    pub network_disabled: bool,
    pub security_opts: Option<Vec<String>>,
    pub on_build: Option<Vec<String>>,
    pub labels: Option<BTreeMap<String, String>>,
}

impl ImageConfig {
    /// Reads a configuration blob, or one `v1Compatibility` text.
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        let document = json::parse(text)?;
        let fields = document.as_struct("docker10.DockerImageConfig")?;
        let container = |key: &str| match fields.object(key, "docker10.DockerConfig")? {
            Some(config) => ContainerConfig::read(&config).map(Some),
            None => Ok(None),
        };
        Ok(Self {
            id: fields.string("id")?,
            parent: fields.string("parent")?,
            comment: fields.string("comment")?,
            created: time(&fields, "created")?,
            container: fields.string("container")?,
            container_config: container("container_config")?.unwrap_or_default(),
            docker_version: fields.string("docker_version")?,
            author: fields.string("author")?,
            config: container("config")?,
            architecture: fields.string("architecture")?,
            os: fields.string("os")?,
            variant: fields.string("variant")?,
            size: fields.integer("size")?,
        })
    }
}

/// The size that a schema 1 layer's configuration claims; 0 when it cannot be read.
pub fn schema1_layer_size(v1_compatibility: &str) -> i64 {
    json::parse(v1_compatibility.as_bytes())
        .and_then(|document| document.as_struct("docker10.DockerV1CompatibilityImageSize")?.integer("size"))
        .unwrap_or(0)
}

impl ContainerConfig {
    fn read(fields: &Fields<'_, '_>) -> Result<Self, JsonError> {
        Ok(Self {
            hostname: fields.string("Hostname")?,
            domainname: fields.string("Domainname")?,
            user: fields.string("User")?,
            memory: fields.integer("Memory")?,
            memory_swap: fields.integer("MemorySwap")?,
            cpu_shares: fields.integer("CpuShares")?,
            cpuset: fields.string("Cpuset")?,
            attach_stdin: fields.bool("AttachStdin")?,
            attach_stdout: fields.bool("AttachStdout")?,
            attach_stderr: fields.bool("AttachStderr")?,
            port_specs: fields.strings("PortSpecs")?,
            exposed_ports: fields.key_set("ExposedPorts")?,
            tty: fields.bool("Tty")?,
            open_stdin: fields.bool("OpenStdin")?,
            stdin_once: fields.bool("StdinOnce")?,
            env: fields.strings("Env")?,
            cmd: fields.strings("Cmd")?,
            dns: fields.strings("Dns")?,
            image: fields.string("Image")?,
            volumes: fields.key_set("Volumes")?,
            volumes_from: fields.string("VolumesFrom")?,
            working_dir: fields.string("WorkingDir")?,
            entrypoint: fields.strings("Entrypoint")?,
            network_disabled: fields.bool("NetworkDisabled")?,
            security_opts: fields.strings("SecurityOpts")?,
            on_build: fields.strings("OnBuild")?,
            labels: fields.string_map("Labels")?,
        })
    }
}

fn time(fields: &Fields<'_, '_>, key: &str) -> Result<Option<Timestamp>, JsonError> {
    /// Year 1, January 1: how Go writes "no time".
    const ZERO: &str = "0001-01-01T00:00:00Z";
    let text = match fields.get(key) {
        None => return Ok(None),
        Some(json::Value::String(text)) => text.as_ref(),
        Some(_) => return Err(JsonError::NotATime),
    };
    let bad = || JsonError::Time(crate::golang::quote(text.as_bytes()));
    let bytes = text.as_bytes();
    // The parser takes more than RFC 3339 does: blanks for `T`, short years, zone names.
    let shaped = bytes.len() >= ZERO.len()
        && bytes.iter().zip(ZERO.bytes()).take(19).all(|(given, shape)| {
            if shape.is_ascii_digit() { given.is_ascii_digit() } else { *given == shape }
        })
        && bytes[19..].iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'Z' | b'+' | b'-' | b':'));
    if !shaped {
        return Err(bad());
    }
    let time: Timestamp = text.parse().map_err(|_| bad())?;
    Ok(if text.starts_with(&ZERO[..19]) && time.as_second() == ZERO_SECOND { None } else { Some(time) })
}

/// [`Timestamp`] of Go's zero time, in seconds since 1970.
const ZERO_SECOND: i64 = -62_135_596_800;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_read_without_regard_to_case_or_to_what_is_unknown() {
        let config = ImageConfig::parse(
            br#"{"architecture":"arm64","OS":"linux","variant":"v8","created":"2017-08-01T00:00:00.5+02:00",
                "config":{"user":"1001","ExposedPorts":{"8080/tcp":{},"80/tcp":{}},"Env":["A=b"],"Cmd":null,
                "Labels":{"name":"x"},"Healthcheck":{"Test":["NONE"]}},"history":[{"created_by":"x"}],"rootfs":{}}"#,
        )
        .unwrap();
        assert_eq!(
            (config.architecture.as_str(), config.os.as_str(), config.variant.as_str()),
            ("arm64", "linux", "v8")
        );
        assert_eq!(config.created.unwrap().to_string(), "2017-07-31T22:00:00.5Z");
        let run = config.config.unwrap();
        assert_eq!(run.user, "1001");
        assert_eq!(run.exposed_ports.unwrap(), ["80/tcp", "8080/tcp"]);
        assert_eq!(run.env.unwrap(), ["A=b"]);
        assert_eq!(run.cmd, None);
        assert_eq!(run.labels.unwrap()["name"], "x");
    }

    #[test]
    fn absent_null_and_empty_are_told_apart_where_it_matters() {
        assert_eq!(ImageConfig::parse(b"{}").unwrap(), ImageConfig::default());
        assert_eq!(ImageConfig::parse(b"{\"config\":null}").unwrap().config, None);
        assert_eq!(ImageConfig::parse(b"{\"config\":{}}").unwrap().config, Some(ContainerConfig::default()));
        assert_eq!(ImageConfig::parse(b"{\"created\":\"0001-01-01T00:00:00Z\"}").unwrap().created, None);
    }

    #[test]
    fn a_bad_time_fails_the_image() {
        for (text, expected) in [
            (
                "yesterday",
                "parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"yesterday\" as \"2006\"",
            ),
            (
                "2017-08-01 00:00:00Z",
                "parsing time \"2017-08-01 00:00:00Z\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"2017-08-01 00:00:00Z\" as \"2006\"",
            ),
        ] {
            let document = format!("{{\"created\":\"{text}\"}}");
            assert_eq!(ImageConfig::parse(document.as_bytes()).unwrap_err().to_string(), expected);
        }
        let error = ImageConfig::parse(b"{\"created\":3}").unwrap_err();
        assert_eq!(error.to_string(), "Time.UnmarshalJSON: input is not a JSON string");
    }

    #[test]
    fn the_size_of_an_old_layer_is_zero_when_it_cannot_be_read() {
        assert_eq!(schema1_layer_size("{\"Size\":12}"), 12);
        assert_eq!(schema1_layer_size("{\"size\":\"x\"}"), 0);
        assert_eq!(schema1_layer_size("nonsense"), 0);
    }
}
