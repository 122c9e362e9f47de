//! Names that the server makes from a `generateName` prefix.

/// Letters and digits that make no words and are not mistaken for each other.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Characters of the suffix.
pub const SUFFIX: usize = 5;
/// Longest prefix that is kept whole.
const MAX_PREFIX_BYTES: usize = 63 - SUFFIX;

/// A name from a prefix and random bytes. A prefix that is too long is cut.
pub fn name(prefix: &str, random: [u8; SUFFIX]) -> String {
    let end = prefix
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .take_while(|&end| end <= MAX_PREFIX_BYTES)
        .last();
    let mut name = prefix[..end.unwrap_or(0)].to_owned();
    name.extend(random.iter().map(|&byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])));
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_in_five_random_characters() {
        assert_eq!(name("app", [0, 1, 26, 27, 255]), "appbc9bq");
        assert_eq!(name(&"x".repeat(100), [0; SUFFIX]).len(), 63);
        assert_eq!(name("", [0; SUFFIX]), "bbbbb");
        assert!(name(&"é".repeat(50), [0; SUFFIX]).len() <= 63);
    }
}
