//! Signed tokens: JSON Web Tokens with one key and one algorithm (ES256).
//!
//! What a token's header says of algorithms and keys is never believed: it must be exactly the header that this server
//! writes, and the signature is checked with this server's key, whatever its name.

use std::any::Any;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::proved::Proved;
use crate::pki::{PkiError, write_secret};

/// Bytes of the longest token that is looked at.
const LONGEST: usize = 16 * 1024;

/// What a token says, in the type that it was first read as.
type Claims = Arc<dyn Any + Send + Sync>;

/// Signs tokens and checks them.
pub struct Signer {
    key: EcdsaKeyPair,
    /// The encoded header of every token.
    header: String,
    proved: Proved<Claims>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
}

impl Signer {
    /// Reads the key from a directory, or makes it there.
    ///
    /// # Errors
    /// [`PkiError`] when the file cannot be read or written or holds something else.
    pub fn open(dir: &Path) -> Result<Signer, PkiError> {
        let path = dir.join("tokens.key");
        if !path.exists() {
            crate::pki::create_dir(dir)?;
            write_secret(&path, rcgen::KeyPair::generate()?.serialize_pem().as_bytes())?;
        }
        let pem =
            fs::read_to_string(&path).map_err(|source| PkiError::File { path: path.clone(), source })?;
        Signer::new(&rcgen::KeyPair::from_pem(&pem)?.serialize_der(), path)
    }

    fn new(pkcs8: &[u8], path: PathBuf) -> Result<Signer, PkiError> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map_err(|why| {
            PkiError::File { path, source: std::io::Error::other(format!("no key for ES256: {why}")) }
        })?;
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(key.public_key().as_ref()));
        let header = URL_SAFE_NO_PAD.encode(machinery::json::compact(&Header { alg: "ES256", kid: &kid }));
        Ok(Signer { key, header, proved: Proved::default() })
    }

    /// A token that says something.
    ///
    /// # Errors
    /// When the machine has no random bytes.
    pub fn sign<T: Serialize>(&self, claims: &T) -> Result<String, aws_lc_rs::error::Unspecified> {
        let claims = URL_SAFE_NO_PAD.encode(machinery::json::compact(claims));
        let message = format!("{}.{claims}", self.header);
        // The random part of a signature is the library's own; it decides nothing that anybody sees.
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes())?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
    }

    /// What a token says, if this server signed it.
    pub fn verify<T: DeserializeOwned + Send + Sync + 'static>(&self, token: &str) -> Option<Arc<T>> {
        if token.len() > LONGEST {
            return None;
        }
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        if header != self.header {
            return None;
        }
        let read = || -> Option<Arc<T>> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok().map(Arc::new)
        };
        let check = || -> Option<Claims> {
            let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref());
            key.verify(message.as_bytes(), &signature).ok()?;
            Some(read()?)
        };
        let proved = self.proved.or_check(message, signature.as_bytes(), check)?;
        // Somebody who looks for something else in it reads it anew.
        proved.downcast::<T>().ok().or_else(read)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_key_is_made_once_and_signs() {
        let dir = tempfile::tempdir().unwrap();
        let token = Signer::open(dir.path()).unwrap().sign(&json!({"a": 1})).unwrap();
        let again = Signer::open(dir.path()).unwrap();
        assert_eq!(again.verify::<Value>(&token).as_deref(), Some(&json!({"a": 1})));
        let changed =
            token.replacen(&URL_SAFE_NO_PAD.encode(r#"{"a":1}"#), &URL_SAFE_NO_PAD.encode(r#"{"a":2}"#), 1);
        assert_ne!(changed, token);
        assert_eq!(again.verify::<Value>(&changed), None);
    }

    /// distribution: a key that came in the token was taken when only its name matched.
    #[test]
    fn cve_2025_24976_the_key_is_this_servers_whatever_the_header_says() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (ours, theirs) = (Signer::open(ours.path()).unwrap(), Signer::open(theirs.path()).unwrap());
        let forged = theirs.sign(&json!({})).unwrap();
        assert_eq!(ours.verify::<Value>(&forged), None);
        // The same with our own header in front, and with headers that ask for less.
        let (_, rest) = forged.split_once('.').unwrap();
        assert_eq!(ours.verify::<Value>(&format!("{}.{rest}", ours.header)), None);
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        assert_eq!(ours.verify::<Value>(&format!("{none}.{}.", URL_SAFE_NO_PAD.encode("{}"))), None);
    }
}
