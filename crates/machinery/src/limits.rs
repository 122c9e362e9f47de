//! Every bound of this crate in one place: how deep, long or many things from outside may be.

/// Nesting of a JSON or YAML document. Deeper ones are refused before a parser recurses into them.
pub const MAX_DEPTH: usize = 100;

/// Documents in one YAML stream.
pub const MAX_YAML_DOCUMENTS: usize = 10_000;

/// Bytes of one YAML stream.
pub const MAX_YAML_BYTES: usize = 16 * 1024 * 1024;

/// Nodes of one YAML stream, aliases expanded.
pub const MAX_YAML_NODES: usize = 1_000_000;

/// Operations in one JSON patch.
pub const MAX_JSON_PATCH_OPERATIONS: usize = 10_000;

/// Bytes that the copies of one JSON patch may add to a document.
pub const MAX_JSON_PATCH_COPY_BYTES: usize = 3 * 1024 * 1024;

/// Requirements in one label or field selector.
pub const MAX_SELECTOR_REQUIREMENTS: usize = 10_000;

/// Clauses of an `Accept` header that are looked at.
pub const MAX_ACCEPT_CLAUSES: usize = 64;

/// Annotations of one object, keys and values together, in bytes.
pub const MAX_ANNOTATIONS_BYTES: usize = 256 * 1024;

/// Bytes of a label's value and of the name part of a label's key.
pub const MAX_LABEL_BYTES: usize = 63;

/// Bytes of a DNS-1123 label.
pub const MAX_DNS_LABEL_BYTES: usize = 63;

/// Bytes of a DNS-1123 subdomain.
pub const MAX_DNS_SUBDOMAIN_BYTES: usize = 253;

/// Bytes of a field manager's name.
pub const MAX_FIELD_MANAGER_BYTES: usize = 128;

/// Bytes of an undecodable body that an error shows, in hex.
pub const SHOWN_BODY_BYTES: usize = 30;

/// Strict decoding errors that are reported one by one.
pub const MAX_FIELD_WARNINGS: usize = 100;

/// Managers of one object that did not apply; the oldest are folded into one beyond that.
pub const MAX_UPDATE_MANAGERS: usize = 10;
