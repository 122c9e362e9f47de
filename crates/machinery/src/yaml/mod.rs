//! YAML in and out, as Kubernetes' Go libraries read and write it.
//!
//! Plain words are resolved by the rules of YAML 1.1 (`yes` is true, `0123` is octal): both directions share them in
//! `scalar`. Input becomes JSON values, within bounds: depth, nodes and bytes with aliases expanded. Output has sorted
//! keys, lists at the indentation of their key, and quotes exactly where the reference's writer puts them.

mod read;
mod scalar;
mod write;

pub use read::{Duplicates, YamlError, parse, parse_documents};
pub use write::to_string;
