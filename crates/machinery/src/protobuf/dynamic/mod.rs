//! Kubernetes' own kinds between protobuf and JSON, by a table of their fields.
//!
//! Nothing here knows a kind: [`read`] and [`write`] walk the table ([`schema`]). Everything behind works on JSON, so a body
//! becomes that first and an answer is made from it last. Fields that the table does not have are passed over, as every
//! reader of protobuf does.

mod read;
pub(crate) mod schema;
mod write;

use serde_json::Value;

use super::{DecodeError, open};

/// Reads the object in an envelope into its JSON form, with its type header. `None` for a kind that is not known here.
///
/// # Errors
/// [`DecodeError`] when the bytes cannot be read.
pub fn to_json(bytes: &[u8]) -> Result<Option<Value>, DecodeError> {
    let envelope = open(bytes)?;
    let (api_version, kind) = (envelope.type_meta.api_version, envelope.type_meta.kind);
    // Options are sent under the name of any group.
    let message =
        if kind == "DeleteOptions" { schema::named(&kind) } else { schema::message_of(&api_version, &kind) };
    let Some(message) = message else { return Ok(None) };
    let mut object = serde_json::Map::new();
    read::message(message, &envelope.raw, &mut object)?;
    object.insert("kind".to_owned(), kind.into());
    object.insert("apiVersion".to_owned(), api_version.into());
    Ok(Some(Value::Object(object)))
}

/// The message of an object of a kind, without an envelope; `None` for a kind that is not known here.
///
/// # Errors
/// [`Misfit`] when the JSON is no object of the kind.
pub(super) fn from_json(api_version: &str, kind: &str, object: &Value) -> Result<Option<Vec<u8>>, Misfit> {
    let message = schema::message_of(api_version, kind);
    message.map(|message| write::message(message, object)).transpose()
}

/// True for kinds that [`from_json`] knows.
pub(super) fn is_known(api_version: &str, kind: &str) -> bool {
    schema::message_of(api_version, kind).is_some()
}

/// A value that its field cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}.{field} cannot hold this value")]
pub struct Misfit {
    /// The message.
    pub message: &'static str,
    /// The field of it.
    pub field: &'static str,
}

#[cfg(test)]
mod tests;
