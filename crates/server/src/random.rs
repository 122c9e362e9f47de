//! The one place that rolls dice: identities, tokens and jitter.
//!
//! Production asks the operating system; a simulation draws from a seed, so that a run can be repeated.

use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A source of random bytes.
#[derive(Debug)]
pub struct Random(Source);

#[derive(Debug)]
enum Source {
    System(Mutex<Identities>),
    Seeded(Mutex<u64>),
}

/// Random bytes for identities, fetched many at a time: every request has one, and each call of the system costs as much
/// as reading the request. Secrets never come from here.
#[derive(Debug)]
struct Identities {
    bytes: Vec<u8>,
}

const IDENTITY_BYTES: usize = 16;
/// Identities that are drawn at once.
const IDENTITIES: usize = 64;

impl Random {
    /// The operating system's source, fit for secrets.
    pub const fn system() -> Random {
        Random(Source::System(Mutex::new(Identities { bytes: Vec::new() })))
    }

    /// A repeatable sequence; never for secrets that matter.
    pub const fn seeded(seed: u64) -> Random {
        Random(Source::Seeded(Mutex::new(seed)))
    }

    /// Fills a buffer.
    pub fn fill(&self, buffer: &mut [u8]) {
        match &self.0 {
            Source::System(_) => system(buffer),
            Source::Seeded(state) => {
                let mut state = lock(state);
                for chunk in buffer.chunks_mut(8) {
                    let word = splitmix(&mut state).to_le_bytes();
                    chunk.copy_from_slice(&word[..chunk.len()]);
                }
            }
        }
    }

    /// A random number below `bound` (0 for 0).
    pub fn below(&self, bound: u64) -> u64 {
        let mut word = [0; 8];
        self.fill(&mut word);
        u64::from_le_bytes(word).checked_rem(bound).unwrap_or(0)
    }

    /// A new object identity: a version 4 UUID.
    pub fn uid(&self) -> String {
        let mut b = self.identity();
        b[6] = b[6] & 0x0f | 0x40;
        b[8] = b[8] & 0x3f | 0x80;
        let hex = hex(&b);
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    fn identity(&self) -> [u8; IDENTITY_BYTES] {
        let mut identity = [0; IDENTITY_BYTES];
        match &self.0 {
            Source::System(identities) => {
                let pool = &mut lock(identities).bytes;
                if pool.is_empty() {
                    pool.resize(IDENTITIES * IDENTITY_BYTES, 0);
                    system(pool);
                }
                identity.copy_from_slice(&pool[pool.len() - IDENTITY_BYTES..]);
                pool.truncate(pool.len() - IDENTITY_BYTES);
            }
            Source::Seeded(_) => self.fill(&mut identity),
        }
        identity
    }

    /// A new secret of 256 bits in URL-safe letters.
    pub fn token(&self) -> String {
        let mut bytes = [0_u8; 32];
        self.fill(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

fn system(buffer: &mut [u8]) {
    getrandom::fill(buffer).expect("the operating system hands out random bytes");
}

/// Whoever panicked with the lock left numbers that are as good as any.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_seed_repeats_its_sequence() {
        assert_eq!(Random::seeded(7).uid(), Random::seeded(7).uid());
        assert_ne!(Random::seeded(7).uid(), Random::seeded(8).uid());
    }

    #[test]
    fn identities_do_not_repeat() {
        let random = Random::system();
        let many: std::collections::BTreeSet<String> = (0..1000).map(|_| random.uid()).collect();
        assert_eq!(many.len(), 1000);
    }

    #[test]
    fn identities_are_version_four() {
        let uid = Random::system().uid();
        assert_eq!(uid.len(), 36);
        assert_eq!(&uid[14..15], "4");
    }
}
