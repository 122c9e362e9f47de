//! The store's counter: a number of its own for every transaction that changed something.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// A point in the history of the whole store. An empty store is at revision 1, as etcd's is, so that zero keeps its
/// meaning on the wire: "any".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// A text that is not a revision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a revision is a decimal number")]
pub struct ParseRevisionError(#[from] ParseIntError);

impl Revision {
    /// Before everything.
    pub const ZERO: Revision = Revision(0);
    /// Where an empty store stands.
    pub const FIRST: Revision = Revision(1);

    /// The revision after this one.
    #[must_use]
    pub fn next(self) -> Revision {
        Revision(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Revision {
    type Err = ParseRevisionError;

    fn from_str(text: &str) -> Result<Revision, ParseRevisionError> {
        Ok(Revision(text.parse()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_decimal_text() {
        assert_eq!("42".parse(), Ok(Revision(42)));
        assert_eq!(Revision(42).next().to_string(), "43");
        assert!("x".parse::<Revision>().is_err());
        assert!("-1".parse::<Revision>().is_err());
    }
}
