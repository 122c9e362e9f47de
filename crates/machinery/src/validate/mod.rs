//! The rules that metadata of every kind obeys, in Kubernetes' words.
//!
//! [`names`](self) rules are functions from a text to complaints, so that a kind can choose its own; the rules about
//! whole metadata ([`object_meta`], [`object_meta_update`]) return field errors with their paths under `metadata`.

mod meta;
mod names;

pub(crate) use meta::field_manager;
pub use meta::{
    check_standard_finalizers, new_finalizer_errors, object_meta, object_meta_update, validate_annotations,
    validate_labels,
};
pub use names::{
    dns_label_errors, dns_subdomain_errors, label_value_errors, path_segment_errors, qualified_name_errors,
};

/// A rule for names: the text and whether it is only the prefix of a name to be generated; the result says what is wrong.
pub type NameRule = fn(&str, bool) -> Vec<String>;

/// Where objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In a namespace.
    Namespaced,
    /// In the whole server.
    Cluster,
}
