//! Documents that are almost right: what clients and registries send, with a few things wrong.
//!
//! Random bytes end at the first check of every parser. These begin with something that is taken and then are damaged the way
//! that finds more: bytes changed, pieces left out, doubled, moved or replaced by words that mean something somewhere.

use proptest::prelude::*;
use proptest::sample::Index;

/// Words that mean something to some parser.
const WORDS: &[&str] = &[
    "\0",
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "/",
    "@",
    "=",
    "&*a",
    "%00",
    "%",
    "\u{feff}",
    "\u{1f980}",
    "null",
    "true",
    "-1",
    "1e999",
    "18446744073709551616",
    "0x",
    "~1",
    "$patch",
    "sha256:",
    "k8s\0",
    "..",
    "\n---\n",
    "\"\"",
    "{}",
    "[[[[[[[[",
    "a=b",
    " in (",
    ";q=",
    "rel=\"next\"",
    "Bearer realm=\"",
];

/// One thing that goes wrong.
#[derive(Clone, Debug)]
enum Damage {
    Byte(Index, u8),
    Without(Index, Index),
    Twice(Index, Index),
    Word(Index, &'static str),
    End(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<Index>;
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        (place(), place()).prop_map(|(from, to)| Damage::Without(from, to)),
        (place(), place()).prop_map(|(from, to)| Damage::Twice(from, to)),
        (place(), prop::sample::select(WORDS.to_vec())).prop_map(|(at, word)| Damage::Word(at, word)),
        place().prop_map(Damage::End),
    ]
}

/// One of these documents, with some damage.
pub(crate) fn damaged(corpus: &[&[u8]]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let corpus: Vec<Vec<u8>> = corpus.iter().map(|document| document.to_vec()).collect();
    (prop::sample::select(corpus), prop::collection::vec(damage(), 0..6))
        .prop_map(|(document, damages)| damages.iter().fold(document, apply))
}

/// The same for documents that are text.
pub(crate) fn damaged_text(corpus: &[&str]) -> impl Strategy<Value = String> + use<> {
    let corpus: Vec<&[u8]> = corpus.iter().map(|document| document.as_bytes()).collect();
    damaged(&corpus).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn apply(mut document: Vec<u8>, damage: &Damage) -> Vec<u8> {
    let length = document.len();
    let between = |a: &Index, b: &Index| {
        let (a, b) = (a.index(length + 1), b.index(length + 1));
        a.min(b)..a.max(b)
    };
    match damage {
        Damage::Byte(at, byte) if length > 0 => document[at.index(length)] = *byte,
        Damage::Byte(..) => {}
        Damage::Without(from, to) => drop(document.drain(between(from, to))),
        Damage::Twice(from, to) => {
            let piece = document[between(from, to)].to_vec();
            document.extend(piece);
        }
        Damage::Word(at, word) => {
            let at = at.index(length + 1);
            document.splice(at..at, word.bytes());
        }
        Damage::End(at) => document.truncate(at.index(length + 1)),
    }
    document
}
