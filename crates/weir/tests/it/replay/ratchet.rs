//! What a result means: once something agrees it has to agree for ever, and a listed difference has to differ.
//!
//! Three states: *agreed* (a file of names, one a line), *known* to differ (names with reasons), and open, which is
//! everything else: it may differ, and when it agrees the report says so, and `--bless` writes it down.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

/// Name to reason.
type Known = BTreeMap<String, String>;

/// What is expected.
#[derive(Debug, Default)]
pub(crate) struct Ratchet {
    agreed: BTreeSet<String>,
    known: Known,
}

/// What the results broke, and what they allow to be written down.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Agreed before and differs now.
    pub(crate) broken: Vec<String>,
    /// Listed as a difference and agrees now.
    pub(crate) healed: Vec<String>,
    /// Agrees and is in neither list.
    pub(crate) fresh: Vec<String>,
    /// Differs and is in neither list.
    pub(crate) open: Vec<String>,
    /// In a list, and no recording has that name.
    pub(crate) unknown: Vec<String>,
}

impl Ratchet {
    /// `section` of the known differences (`cases` or `commands`) and the file of what agreed.
    pub(crate) fn read(agreed: &Path, known: &Path, section: &str) -> Self {
        let lines = fs::read_to_string(agreed).unwrap_or_default();
        let text = fs::read_to_string(known).unwrap_or_else(|error| panic!("{}: {error}", known.display()));
        let mut sections: BTreeMap<String, Known> =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", known.display()));
        let ratchet = Self {
            agreed: lines.lines().map(str::to_owned).filter(|line| !line.is_empty()).collect(),
            known: sections.remove(section).unwrap_or_default(),
        };
        let both: Vec<_> = ratchet.agreed.iter().filter(|name| ratchet.known.contains_key(*name)).collect();
        assert!(both.is_empty(), "agreed and known to differ at once: {both:?}");
        ratchet
    }

    pub(crate) fn reason(&self, name: &str) -> Option<&str> {
        self.known.get(name).map(String::as_str)
    }

    /// `complete` says that nothing was filtered out, so that names nobody has can be told.
    pub(crate) fn judge(&self, results: &BTreeMap<String, bool>, complete: bool) -> Verdict {
        let mut verdict = Verdict::default();
        for (name, &agrees) in results {
            let list = match (agrees, self.agreed.contains(name), self.known.contains_key(name)) {
                (false, true, _) => &mut verdict.broken,
                (true, _, true) => &mut verdict.healed,
                (true, false, false) => &mut verdict.fresh,
                (false, false, false) => &mut verdict.open,
                (true, true, false) | (false, false, true) => continue,
            };
            list.push(name.clone());
        }
        if complete {
            let listed = self.agreed.iter().chain(self.known.keys());
            verdict.unknown = listed.filter(|name| !results.contains_key(*name)).cloned().collect();
        }
        verdict
    }

    /// Writes down what agrees now; what was not run stays as it is.
    pub(crate) fn bless(&self, results: &BTreeMap<String, bool>, file: &Path) {
        let mut agreed = self.agreed.clone();
        for (name, &agrees) in results {
            if agrees && !self.known.contains_key(name) {
                agreed.insert(name.clone());
            } else {
                agreed.remove(name);
            }
        }
        let text: String = agreed.iter().flat_map(|name| [name.as_str(), "\n"]).collect();
        fs::write(file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

impl Verdict {
    /// Why the test fails, or nothing.
    pub(crate) fn complaint(&self) -> Option<String> {
        let mut text = String::new();
        for (names, what) in [
            (&self.broken, "agreed before and differ now"),
            (&self.healed, "are listed in known-differences.json and agree: take them out"),
            (&self.unknown, "are in agreed*.txt or known-differences.json, but no recording has that name"),
        ] {
            if !names.is_empty() {
                writeln!(text, "{} {what}: {}", names.len(), names.join(", "))
                    .expect("memory takes any text");
            }
        }
        (!text.is_empty()).then_some(text)
    }
}
