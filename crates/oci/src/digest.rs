//! Content digests: `algorithm:hex`, validated once and cheap to clone.
//!
//! Invariant: a [`Digest`] holds a known algorithm and exactly as many lower-case hex characters as it needs, so it can
//! go into URLs, keys and file names without another look. SHA-256, SHA-384 and SHA-512 are known.

use std::fmt;
use std::sync::Arc;

use sha2::Digest as _;
use sha2::digest::common::hazmat::SerializableState;

/// Why a text is no digest; prints as the reference does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Not of the form `algorithm:hex`.
    #[error("invalid checksum digest format")]
    Format,
    /// Too many or too few hex characters for its algorithm.
    #[error("invalid checksum digest length")]
    Length,
    /// Well formed, of an algorithm that nobody here can compute.
    #[error("unsupported digest algorithm")]
    Unsupported,
}

/// The hash behind a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, what everybody uses.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// The name in front of the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha384 => "sha384",
            Algorithm::Sha512 => "sha512",
        }
    }

    /// How many hex characters follow the colon.
    pub fn hex_len(self) -> usize {
        match self {
            Algorithm::Sha256 => 64,
            Algorithm::Sha384 => 96,
            Algorithm::Sha512 => 128,
        }
    }

    /// The hash of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512]
            .into_iter()
            .find(|known| known.as_str() == name)
    }
}

/// A validated content digest.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(Arc<str>);

impl Digest {
    /// Reads `algorithm:hex`.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let (name, hex) = text.split_once(':').ok_or(DigestError::Format)?;
        if name.is_empty() || hex.is_empty() {
            return Err(DigestError::Format);
        }
        let Some(algorithm) = Algorithm::from_name(name) else {
            return Err(if is_well_formed(name, hex) {
                DigestError::Unsupported
            } else {
                DigestError::Format
            });
        };
        if hex.len() != algorithm.hex_len() {
            return Err(DigestError::Length);
        }
        if !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(DigestError::Format);
        }
        Ok(Self(text.into()))
    }

    /// The SHA-256 digest of `bytes`.
    pub fn sha256(bytes: &[u8]) -> Self {
        let mut verifier = Hasher::new(Algorithm::Sha256);
        verifier.update(bytes);
        verifier.finish()
    }

    /// The digest of `bytes` by another digest's algorithm.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// Whether this is the digest of `bytes`.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        *self == Self::of(self.algorithm(), bytes)
    }

    /// The hash that was used.
    pub fn algorithm(&self) -> Algorithm {
        let (name, _) = self.0.split_once(':').expect("a digest has a colon");
        Algorithm::from_name(name).expect("a digest names a known algorithm")
    }

    /// The part behind the colon.
    pub fn hex(&self) -> &str {
        self.0.split_once(':').expect("a digest has a colon").1
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        Self::parse(text)
    }
}

impl AsRef<str> for Digest {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Digest {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Computes a digest while bytes stream by.
#[derive(Clone, Debug)]
pub struct Hasher(State);

#[derive(Clone, Debug)]
enum State {
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// An empty hash of that kind.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha384 => State::Sha384(sha2::Sha384::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
        })
    }

    /// Which hash it computes.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha384(_) => Algorithm::Sha384,
            State::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The state as bytes, from which [`Hasher::restore`] goes on. They hold up to a block of what was taken in.
    pub fn save(&self) -> Vec<u8> {
        match &self.0 {
            State::Sha256(hash) => hash.serialize().to_vec(),
            State::Sha384(hash) => hash.serialize().to_vec(),
            State::Sha512(hash) => hash.serialize().to_vec(),
        }
    }

    /// Goes on where a state was saved; `None` for bytes that are no state of that hash.
    pub fn restore(algorithm: Algorithm, saved: &[u8]) -> Option<Self> {
        fn state<H: SerializableState>(saved: &[u8]) -> Option<H> {
            H::deserialize(saved.try_into().ok()?).ok()
        }
        Some(Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(state(saved)?),
            Algorithm::Sha384 => State::Sha384(state(saved)?),
            Algorithm::Sha512 => State::Sha512(state(saved)?),
        }))
    }

    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(hash) => hash.update(bytes),
            State::Sha384(hash) => hash.update(bytes),
            State::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest of everything taken in.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(hash) => spell(Algorithm::Sha256, &hash.finalize()),
            State::Sha384(hash) => spell(Algorithm::Sha384, &hash.finalize()),
            State::Sha512(hash) => spell(Algorithm::Sha512, &hash.finalize()),
        }
    }
}

fn spell(algorithm: Algorithm, hash: &[u8]) -> Digest {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(algorithm.as_str().len() + 1 + algorithm.hex_len());
    text.push_str(algorithm.as_str());
    text.push(':');
    for byte in hash {
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 15)]));
    }
    Digest(text.into())
}

/// The grammar of digests of algorithms that nobody here knows.
fn is_well_formed(name: &str, hex: &str) -> bool {
    let part =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    name.split(['.', '+', '_', '-']).all(part)
        && hex.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'=' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_no_digest_say_why() {
        let hex = "a".repeat(64);
        for (text, expected) in [
            (String::new(), DigestError::Format),
            ("sha256".into(), DigestError::Format),
            ("sha256:".into(), DigestError::Format),
            (format!(":{hex}"), DigestError::Format),
            (format!("sha256:{}", "a".repeat(63)), DigestError::Length),
            (format!("sha384:{hex}"), DigestError::Length),
            (format!("sha256:{}", "A".repeat(64)), DigestError::Format),
            (format!("sha256:{}", "g".repeat(64)), DigestError::Format),
            (format!("md5:{}", "a".repeat(32)), DigestError::Unsupported),
            (format!("tarsum.v1+sha256:{hex}"), DigestError::Unsupported),
            (format!("MD5:{hex}"), DigestError::Format),
        ] {
            assert_eq!(Digest::parse(&text), Err(expected), "{text}");
        }
    }

    #[test]
    fn the_three_algorithms_agree_with_known_hashes() {
        assert_eq!(
            Digest::sha256(b"").as_str(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        for algorithm in [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512] {
            let digest = Digest::of(algorithm, b"weir");
            assert_eq!(Digest::parse(digest.as_str()), Ok(digest.clone()));
            assert_eq!(digest.algorithm(), algorithm);
            assert!(digest.matches(b"weir"));
            assert!(!digest.matches(b"dam"));
        }
    }

    #[test]
    fn a_saved_state_goes_on_and_bad_ones_do_not() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512] {
            let mut whole = Hasher::new(algorithm);
            whole.update(&[7; 1000]);
            let mut rest = Hasher::restore(algorithm, &whole.save()).unwrap();
            rest.update(b"rest");
            whole.update(b"rest");
            assert_eq!((rest.algorithm(), rest.finish()), (algorithm, whole.finish()));
            assert!(Hasher::restore(algorithm, b"short").is_none());
        }
    }

    proptest::proptest! {
        #[test]
        fn what_parses_prints_back(text in "sha(256|384|512):[0-9a-f]{64}([0-9a-f]{32})?") {
            if let Ok(digest) = Digest::parse(&text) {
                proptest::prop_assert_eq!(digest.to_string(), text);
            }
        }

        #[test]
        fn streaming_equals_hashing_at_once(chunks in proptest::collection::vec(".{0,9}", 0..9)) {
            let mut hasher = Hasher::new(Algorithm::Sha512);
            for chunk in &chunks {
                hasher.update(chunk.as_bytes());
            }
            proptest::prop_assert_eq!(hasher.finish(), Digest::of(Algorithm::Sha512, chunks.concat().as_bytes()));
        }
    }
}
