//! The keys of an issuer: where they are, what they can prove, and when they are fetched again.
//!
//! The issuer's configuration names the place of the keys; both come over verified TLS through the one outbound client, with
//! caps on size and time, without redirects. When fetching fails the keys stay what they were: a provider that is away
//! lets nobody new in and throws nobody out. Each key has one algorithm, which is the key's own.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Limited};
use oci::client::{Transport, Trust};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::auth::proved::Proved;
use crate::limits;
use crate::tasks::Tasks;

/// An issuer and its keys.
#[derive(Debug)]
pub(super) struct Issuer {
    url: String,
    transport: Arc<dyn Transport>,
    keys: ArcSwap<Keys>,
    tried: Mutex<Option<Instant>>,
    fetching: tokio::sync::Mutex<()>,
}

/// The keys that count now, and what they have proved.
#[derive(Debug, Default)]
struct Keys {
    keys: Vec<Key>,
    proved: Proved<()>,
}

/// One key.
#[derive(Debug)]
struct Key {
    id: String,
    algorithm: &'static str,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Point(Vec<u8>),
}

/// The issuer's configuration, as far as it matters.
#[derive(Deserialize)]
struct Configuration {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

/// A key as it is published.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Published {
    kty: String,
    kid: String,
    alg: String,
    r#use: String,
    crv: String,
    n: String,
    e: String,
    x: String,
    y: String,
}

impl Issuer {
    pub(super) fn new(url: &str, transport: Arc<dyn Transport>) -> Issuer {
        Issuer {
            url: url.to_owned(),
            transport,
            keys: ArcSwap::default(),
            tried: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    /// Whether a key of this name is known.
    pub(super) fn has(&self, id: &str) -> bool {
        self.keys.load().keys.iter().any(|key| key.id == id)
    }

    /// Whether a key of the issuer has signed a message. The name only chooses among the issuer's own keys.
    pub(super) fn has_signed(&self, id: &str, algorithm: &str, message: &str, signature: &[u8]) -> bool {
        let keys = self.keys.load();
        // The message holds the header, and with it the name and the algorithm.
        let found = keys.proved.or_check(message, signature, || {
            let mut fitting = keys.keys.iter().filter(|key| key.id == id && key.algorithm == algorithm);
            fitting.any(|key| key.has_signed(message.as_bytes(), signature)).then_some(())
        });
        found.is_some()
    }

    /// Fetches the keys now and from time to time, sooner after a failure.
    pub(super) async fn run(&self, tasks: &Tasks) {
        loop {
            let pause = if self.fetch().await { limits::OIDC_PERIOD } else { limits::OIDC_RETRY };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = tasks.stopping() => return,
            }
        }
    }

    /// Fetches the keys unless that was tried a moment ago: a token with a made-up key costs nobody much.
    pub(super) async fn fetch_if_due(&self) {
        let before = *self.tried();
        if before.is_none_or(|tried| tried.elapsed() >= limits::OIDC_RETRY) {
            self.fetch().await;
        }
    }

    fn tried(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when there are new keys now. Whoever comes while others fetch waits for what they get.
    async fn fetch(&self) -> bool {
        let asked = Instant::now();
        let _one_at_a_time = self.fetching.lock().await;
        if self.tried().is_some_and(|tried| tried >= asked) {
            return true;
        }
        let fetched = tokio::time::timeout(limits::OIDC_TIME, self.published()).await;
        *self.tried() = Some(Instant::now());
        match fetched.unwrap_or_else(|_| Err("it took too long".to_owned())) {
            Ok(keys) => {
                info!(issuer = self.url, keys = keys.len(), "keys of the identity provider");
                self.keys.store(Arc::new(Keys { keys, proved: Proved::default() }));
                true
            }
            Err(error) => {
                warn!(
                    issuer = self.url,
                    error, "the keys of the identity provider cannot be fetched; those known stay"
                );
                false
            }
        }
    }

    async fn published(&self) -> Result<Vec<Key>, String> {
        let place = format!("{}/.well-known/openid-configuration", self.url.trim_end_matches('/'));
        let configuration: Configuration = self.get(&place).await?;
        if configuration.issuer != self.url {
            return Err(format!("{place} speaks of another issuer, {:?}", configuration.issuer));
        }
        if !configuration.jwks_uri.starts_with("https://") {
            return Err(format!("{place} names keys without https: {:?}", configuration.jwks_uri));
        }
        let set: KeySet = self.get(&configuration.jwks_uri).await?;
        let keys: Vec<Key> = set.keys.into_iter().take(limits::OIDC_KEYS).filter_map(Key::read).collect();
        if keys.is_empty() {
            return Err(format!("{} has no key that can be used", configuration.jwks_uri));
        }
        Ok(keys)
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, String> {
        let request = Request::get(url)
            .header(http::header::ACCEPT, "application/json")
            .body(Bytes::new())
            .map_err(|error| format!("{url}: {error}"))?;
        let answer =
            self.transport.send(request, Trust::Verified).await.map_err(|error| format!("{url}: {error}"))?;
        if answer.status() != http::StatusCode::OK {
            return Err(format!("{url}: answered {}", answer.status()));
        }
        let body = Limited::new(answer.into_body(), limits::OIDC_BODY).collect().await;
        let body = body.map_err(|error| format!("{url}: {error}"))?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| format!("{url}: {error}"))
    }
}

impl Key {
    /// `None` for keys of other kinds or for other purposes.
    fn read(value: serde_json::Value) -> Option<Key> {
        let published: Published = serde_json::from_value(value).ok()?;
        if !matches!(published.r#use.as_str(), "" | "sig") {
            return None;
        }
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| !bytes.is_empty());
        let point = |size: usize| {
            let (x, y) = (decode(&published.x)?, decode(&published.y)?);
            (x.len() == size && y.len() == size).then(|| [vec![4], x, y].concat())
        };
        let alg = published.alg.as_str();
        let (algorithm, material) = match (published.kty.as_str(), published.crv.as_str()) {
            ("RSA", _) => {
                let algorithm =
                    RSA.iter().map(|(name, _)| *name).find(|name| *name == alg || alg.is_empty())?;
                (algorithm, Material::Rsa { n: decode(&published.n)?, e: decode(&published.e)? })
            }
            ("EC", "P-256") => ("ES256", Material::Point(point(32)?)),
            ("EC", "P-384") => ("ES384", Material::Point(point(48)?)),
            ("OKP", "Ed25519") => ("EdDSA", Material::Point(decode(&published.x)?)),
            _ => return None,
        };
        (alg.is_empty() || alg == algorithm).then_some(Key { id: published.kid, algorithm, material })
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa { n, e } => {
                let parameters =
                    RSA.iter().find(|(name, _)| *name == self.algorithm).map(|(_, parameters)| *parameters);
                parameters.is_some_and(|parameters| {
                    RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
                })
            }
            Material::Point(point) => {
                let algorithm: &'static dyn VerificationAlgorithm = match self.algorithm {
                    "ES256" => &ECDSA_P256_SHA256_FIXED,
                    "ES384" => &ECDSA_P384_SHA384_FIXED,
                    _ => &ED25519,
                };
                UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok()
            }
        }
    }
}

/// What a key of RSA may be for; the first when it does not say.
static RSA: [(&str, &RsaParameters); 4] = [
    ("RS256", &RSA_PKCS1_2048_8192_SHA256),
    ("RS384", &RSA_PKCS1_2048_8192_SHA384),
    ("RS512", &RSA_PKCS1_2048_8192_SHA512),
    ("PS256", &RSA_PSS_2048_8192_SHA256),
];
