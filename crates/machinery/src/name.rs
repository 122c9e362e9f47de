//! Names that the server makes from `generateName`: the prefix and a few letters that are easy to tell apart.

/// Letters of a suffix.
pub const SUFFIX: usize = 5;
/// Length a generated name may have.
const LONGEST: usize = 63;
/// No vowels and nothing that looks like another: no words come out, and none are misread.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The prefix (shortened where needed) with a suffix chosen by random bytes.
pub fn generate(prefix: &str, random: &[u8; SUFFIX]) -> String {
    let mut kept = LONGEST - SUFFIX;
    while !prefix.is_char_boundary(kept.min(prefix.len())) {
        kept -= 1;
    }
    let mut name = prefix[..kept.min(prefix.len())].to_owned();
    name.extend(random.iter().map(|&byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])));
    name
}

#[cfg(test)]
mod tests {
    use super::generate;

    #[test]
    fn a_suffix_of_five_letters_is_added() {
        assert_eq!(generate("app", &[0, 1, 2, 3, 255]), "appbcdfq");
        assert_eq!(generate(&"a".repeat(80), &[0; 5]).len(), 63);
        assert_eq!(generate(&"é".repeat(80), &[0; 5]).len(), 63);
    }
}
