//! The two formats of pull secrets.
//!
//! Error texts are Go's, because a secret that cannot be read shows in the status of every image of its namespace.
//! They name places, never contents.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::Credentials;
use crate::json::{self, Fields, JsonError};
use crate::limits;

/// Which format a secret's data has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretFormat {
    /// Type `kubernetes.io/dockerconfigjson`, key `.dockerconfigjson`: entries under `auths`.
    DockerConfigJson,
    /// Type `kubernetes.io/dockercfg`, key `.dockercfg`: entries at the top.
    DockerCfg,
}

impl SecretFormat {
    /// The format of a secret of this type, if it is a pull secret.
    pub fn of_secret_type(secret_type: &str) -> Option<Self> {
        match secret_type {
            "kubernetes.io/dockerconfigjson" => Some(SecretFormat::DockerConfigJson),
            "kubernetes.io/dockercfg" => Some(SecretFormat::DockerCfg),
            _ => None,
        }
    }

    /// The key of the secret's data that holds the entries.
    pub fn data_key(self) -> &'static str {
        match self {
            SecretFormat::DockerConfigJson => ".dockerconfigjson",
            SecretFormat::DockerCfg => ".dockercfg",
        }
    }
}

/// Why a pull secret cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It is not JSON of the right shape.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// An `auth` field that is not base64; the position is in bytes.
    #[error("illegal base64 data at input byte {0}")]
    Base64(usize),
    /// An `auth` field without a colon between name and password.
    #[error("unable to parse auth field, must be formatted as base64(username:password)")]
    Auth,
    /// More data than a secret may hold.
    #[error("pull secret is larger than {} bytes", limits::SECRET_BYTES)]
    TooLarge,
}

/// Every key with its credentials, in document order.
pub(super) fn parse(format: SecretFormat, data: &[u8]) -> Result<Vec<(String, Credentials)>, SecretError> {
    if data.len() > limits::SECRET_BYTES {
        return Err(SecretError::TooLarge);
    }
    let document = json::parse(data)?;
    let entry = "credentialprovider.dockerConfigEntryWithAuth";
    let entries = match format {
        SecretFormat::DockerConfigJson => {
            document.as_struct("credentialprovider.DockerConfigJSON")?.structs_of("auths", entry)?
        }
        SecretFormat::DockerCfg => document.as_struct("credentialprovider.DockerConfig")?.structs(entry)?,
    };
    entries.into_iter().map(|(key, fields)| Ok((key, credentials(&fields)?))).collect()
}

fn credentials(fields: &Fields<'_, '_>) -> Result<Credentials, SecretError> {
    let username = fields.string("username")?;
    let password = fields.string("password")?;
    let auth = fields.string("auth")?;
    if auth.is_empty() {
        return Ok(Credentials { username, password });
    }
    let decoded = decode(&auth)?;
    let text = String::from_utf8_lossy(&decoded);
    let (username, password) = text.split_once(':').ok_or(SecretError::Auth)?;
    Ok(Credentials { username: username.to_owned(), password: password.to_owned() })
}

/// Base64, padded when it ends in `=`, unpadded otherwise; line ends inside are passed over, as Go does.
fn decode(text: &str) -> Result<Vec<u8>, SecretError> {
    const PADDED: GeneralPurpose = engine(DecodePaddingMode::RequireCanonical);
    const UNPADDED: GeneralPurpose = engine(DecodePaddingMode::RequireNone);
    let padded = text.trim_end().ends_with('=');
    let clean: Vec<u8> = text.bytes().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    let engine = if padded { PADDED } else { UNPADDED };
    engine.decode(&clean).map_err(|_| SecretError::Base64(offence(text.as_bytes(), padded)))
}

const fn engine(padding: DecodePaddingMode) -> GeneralPurpose {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(padding).with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&alphabet::STANDARD, config)
}

/// Where Go's decoder would stop: at the first byte that cannot stand there, or at the start of a group that ends early.
fn offence(text: &[u8], padded: bool) -> usize {
    let mut in_group = 0;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'\r' | b'\n' => {}
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => in_group = (in_group + 1) % 4,
            b'=' if padded && in_group >= 2 => return after_padding(text, at, in_group),
            _ => return at,
        }
        at += 1;
    }
    at.saturating_sub(in_group)
}

/// The text goes wrong at or behind its padding.
fn after_padding(text: &[u8], first: usize, in_group: usize) -> usize {
    let mut rest = (first + 1..text.len()).filter(|at| !matches!(text[*at], b'\r' | b'\n'));
    if in_group == 2 {
        match rest.next() {
            None => return text.len(),
            Some(at) if text[at] != b'=' => return at,
            Some(_) => {}
        }
    }
    rest.next().unwrap_or(text.len())
}
