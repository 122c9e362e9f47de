//! Bodies of requests: bytes to objects, with what was wrong but harmless told apart.
//!
//! JSON, YAML and (for image kinds) the protobuf envelope are read. A body need not say its kind; one that says another is
//! refused in the reference's words. Unknown and duplicate fields are collected, not refused: whether they matter is the
//! request's choice. The usual body is decoded in one pass; only one with a mistake is read again to find out which.

mod document;
mod element;
mod fields;
mod unknown;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::field::quote;
use crate::limits::SHOWN_BODY_BYTES;
use crate::meta::Kind;
use crate::negotiate::{Encoding, body_encoding};
use crate::protobuf;
use crate::status::ApiError;
use crate::yaml;

pub use unknown::unknown_fields;

/// An object and the complaints about the body it came in, as `unknown field "spec.tagz"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded<T> {
    /// The object.
    pub object: T,
    /// Unknown and duplicate fields.
    pub complaints: Vec<String>,
}

/// What an object says of its type.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Header {
    kind: Option<String>,
    api_version: Option<String>,
}

/// Decodes an object of a kind.
///
/// # Errors
/// 415 for other media types, 400 for bodies that are no such object.
pub fn body<T: Kind + DeserializeOwned>(bytes: &[u8], content_type: &str) -> Result<Decoded<T>, ApiError> {
    match body_encoding(Some(content_type))? {
        Encoding::Json => from_json(bytes),
        Encoding::Yaml => from_document(document_of_yaml(bytes, T::KIND)?, bytes),
        Encoding::Protobuf => {
            let object =
                protobuf::decode(bytes).map_err(|error| unrecognized(T::KIND, bytes, &error.to_string()))?;
            Ok(Decoded { object, complaints: Vec::new() })
        }
    }
}

/// Decodes an object of a kind that has no type of its own; the type header is checked and stays in. Fields that the kind
/// does not have are told where its fields are known.
///
/// # Errors
/// As [`body`].
pub fn body_of(
    bytes: &[u8],
    content_type: &str,
    kind: &str,
    api_version: &str,
) -> Result<Decoded<Value>, ApiError> {
    let document = match body_encoding(Some(content_type))? {
        Encoding::Json => {
            document::parse(bytes).map_err(|error| unrecognized(kind, bytes, &error.to_string()))?
        }
        Encoding::Yaml => document_of_yaml(bytes, kind)?,
        Encoding::Protobuf => document_of_protobuf(bytes, kind)?,
    };
    if !document.value.is_object() {
        return Err(unrecognized(kind, bytes, "the body is no object"));
    }
    check_header(&header_of(&document.value), kind, api_version)?;
    let mut complaints = document.duplicates;
    complaints.extend(complaints_of(&unknown_fields(api_version, kind, &document.value)));
    Ok(Decoded { object: document.value, complaints })
}

/// Decodes any document; used for options, which may be of any kind.
///
/// # Errors
/// As [`body`].
pub fn value(bytes: &[u8], content_type: &str) -> Result<Value, ApiError> {
    match body_encoding(Some(content_type))? {
        Encoding::Json => document::parse(bytes)
            .map(|document| document.value)
            .map_err(|error| ApiError::bad_request(format!("the body cannot be read: {error}"))),
        Encoding::Yaml => Ok(document_of_yaml(bytes, "DeleteOptions")?.value),
        Encoding::Protobuf => Ok(document_of_protobuf(bytes, "DeleteOptions")?.value),
    }
}

/// Decodes a patch, which is JSON whatever its media type says of its kind.
///
/// # Errors
/// 400 for a body that is no JSON.
pub fn patch(bytes: &[u8]) -> Result<Value, ApiError> {
    document::parse(bytes)
        .map(|document| document.value)
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))
}

/// Decodes the document of a server-side apply: YAML, of which JSON is a part. Fields that are set twice are told; the last
/// one counts.
///
/// # Errors
/// 400 for a body that is no YAML, or no object.
pub fn apply(bytes: &[u8]) -> Result<Decoded<Value>, ApiError> {
    let bad = |why: &str| ApiError::bad_request(format!("error decoding YAML: {why}"));
    let text = std::str::from_utf8(bytes).map_err(|error| bad(&error.to_string()))?;
    // JSON is what tools send; its parser is the faster one.
    let json = if text.trim_start().starts_with('{') { document::parse(bytes).ok() } else { None };
    let decoded = match json {
        Some(document) => Decoded { object: document.value, complaints: document.duplicates },
        None => match yaml::parse(text, yaml::Duplicates::Reject) {
            Ok(object) => Decoded { object, complaints: Vec::new() },
            Err(strict) => {
                let object = yaml::parse(text, yaml::Duplicates::LastWins)
                    .map_err(|error| bad(&format!("error converting YAML to JSON: {error}")))?;
                Decoded { object, complaints: vec![strict.to_string()] }
            }
        },
    };
    match &decoded.object {
        Value::Object(_) => Ok(decoded),
        Value::Null => Ok(Decoded { object: Value::Object(serde_json::Map::new()), ..decoded }),
        other => Err(bad(&format!(
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            crate::json::go_kind(other)
        ))),
    }
}

/// Decodes an object that a patch has made; the complaints are about fields that its kind does not have.
///
/// # Errors
/// The decoder's words.
pub fn patched<T: Kind + DeserializeOwned>(value: &Value) -> Result<Decoded<T>, String> {
    let (object, unknown) = fields::from_value(value).map_err(|misfit| misfit.to_string())?;
    Ok(Decoded { object, complaints: complaints_of(&unknown) })
}

/// What is said of fields that a kind does not have.
pub fn complaints_of(unknown: &[String]) -> Vec<String> {
    unknown.iter().map(|path| format!("unknown field {}", quote(path))).collect()
}

fn from_json<T: Kind + DeserializeOwned>(bytes: &[u8]) -> Result<Decoded<T>, ApiError> {
    let mut odd = false;
    let mut input = serde_json::Deserializer::from_slice(bytes);
    let read = serde_ignored::deserialize(&mut input, |path| odd |= !is_type_field(&path));
    // The decoder would take a list for an object whose fields come in order.
    let is_object = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    if let (true, Ok(object), Ok(()), Ok(header)) =
        (is_object, read, input.end(), serde_json::from_slice::<Header>(bytes))
        && !odd
    {
        check_header(&header, T::KIND, T::API_VERSION)?;
        return Ok(Decoded { object, complaints: Vec::new() });
    }
    let document = document::parse(bytes).map_err(|error| {
        let why = format!("couldn't get version/kind; json parse error: {error}");
        unrecognized(T::KIND, bytes, &why)
    })?;
    from_document(document, bytes)
}

fn from_document<T: Kind + DeserializeOwned>(
    document: document::Document,
    bytes: &[u8],
) -> Result<Decoded<T>, ApiError> {
    if !document.value.is_object() {
        return Err(unrecognized(T::KIND, bytes, "couldn't get version/kind; the body is no object"));
    }
    check_header(&header_of(&document.value), T::KIND, T::API_VERSION)?;
    let mut complaints = document.duplicates;
    let mut decoded = patched::<T>(&document.value).map_err(|why| {
        let version = T::API_VERSION.rsplit('/').next().unwrap_or_default();
        ApiError::bad_request(format!(
            "{0} in version {version:?} cannot be handled as a {0}: {why}",
            T::KIND
        ))
    })?;
    complaints.append(&mut decoded.complaints);
    Ok(Decoded { object: decoded.object, complaints })
}

fn document_of_yaml(bytes: &[u8], kind: &str) -> Result<document::Document, ApiError> {
    let text = std::str::from_utf8(bytes).map_err(|error| unrecognized(kind, bytes, &error.to_string()))?;
    let value = yaml::parse(text, yaml::Duplicates::Reject)
        .map_err(|error| unrecognized(kind, bytes, &error.to_string()))?;
    Ok(document::Document { value, duplicates: Vec::new() })
}

fn document_of_protobuf(bytes: &[u8], kind: &str) -> Result<document::Document, ApiError> {
    let value = protobuf::to_json(bytes).map_err(|error| unrecognized(kind, bytes, &error.to_string()))?;
    let value = value.ok_or_else(|| {
        ApiError::unsupported_media_type(format!("{kind} cannot be read from protobuf: send JSON or YAML"))
    })?;
    Ok(document::Document { value, duplicates: Vec::new() })
}

fn header_of(value: &Value) -> Header {
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    Header { kind: text("kind"), api_version: text("apiVersion") }
}

fn check_header(header: &Header, kind: &str, api_version: &str) -> Result<(), ApiError> {
    let found_kind = header.kind.as_deref().filter(|kind| !kind.is_empty()).unwrap_or(kind);
    let found_version =
        header.api_version.as_deref().filter(|version| !version.is_empty()).unwrap_or(api_version);
    if found_version != api_version {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({found_version}) does not match the expected API version ({api_version})"
        )));
    }
    if found_kind != kind {
        let group = api_version.split('/').next().unwrap_or_default().split('.').next().unwrap_or_default();
        let version = api_version.rsplit('/').next().unwrap_or_default();
        return Err(ApiError::bad_request(format!(
            "{found_kind} in version {version:?} cannot be handled as a {kind}: \
             converting ({version}.{found_kind}) to ({group}.{kind}): unknown conversion"
        )));
    }
    Ok(())
}

fn unrecognized(kind: &str, bytes: &[u8], why: &str) -> ApiError {
    ApiError::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): {why} ({})",
        beginning(bytes)
    ))
}

/// The beginning of a body: JSON as it is, anything else in hex.
fn beginning(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let shown = &bytes[..bytes.len().min(SHOWN_BODY_BYTES)];
    let mut text = String::new();
    match bytes.first() {
        None => text.push_str("<empty>"),
        Some(b'{') => text.push_str(&String::from_utf8_lossy(shown)),
        Some(_) => {
            for byte in shown {
                // Writing to a string does not fail.
                let _ = write!(text, "{byte:02x}");
            }
        }
    }
    if bytes.len() > SHOWN_BODY_BYTES {
        text.push_str(" ...");
    }
    text
}

/// The two fields that every object has beside those of its struct.
fn is_type_field(path: &serde_ignored::Path<'_>) -> bool {
    match path {
        serde_ignored::Path::Map { parent: serde_ignored::Path::Root, key } => {
            matches!(key.as_str(), "kind" | "apiVersion")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{ImageStream, ImageStreamMapping};

    fn complaints(text: &str) -> Vec<String> {
        body::<ImageStream>(text.as_bytes(), "application/json").unwrap().complaints
    }

    fn refused(text: &str) -> String {
        let error = body::<ImageStream>(text.as_bytes(), "application/json").unwrap_err();
        assert_eq!(error.code(), 400);
        error.to_string()
    }

    #[test]
    fn unknown_and_duplicate_fields_are_told() {
        assert_eq!(
            complaints(r#"{"kind":"ImageStream","spec":{"tagz":[]}}"#),
            ["unknown field \"spec.tagz\""]
        );
        assert_eq!(
            complaints(
                r#"{"metadata":{"name":"a","name":"b"},"Spec":{},"spec":{"tags":[{"name":"x","nmae":"y"}]}}"#
            ),
            [
                "duplicate field \"metadata.name\"",
                "unknown field \"Spec\"",
                "unknown field \"spec.tags[0].nmae\""
            ]
        );
    }

    #[test]
    fn the_last_of_two_values_counts() {
        let decoded = body::<ImageStream>(br#"{"metadata":{"name":"a","name":"b"}}"#, "").unwrap();
        assert_eq!(decoded.object.metadata.name, "b");
    }

    #[test]
    fn objects_inside_objects_may_say_their_type() {
        let text = r#"{"image":{"kind":"Image","apiVersion":"image.openshift.io/v1","dockerImageMetadata":{"Id":"x"}}}"#;
        let decoded = body::<ImageStreamMapping>(text.as_bytes(), "").unwrap();
        assert_eq!(decoded.complaints, Vec::<String>::new());
        assert_eq!(decoded.object.image.docker_image_metadata.as_str(), Some(r#"{"Id":"x"}"#));
    }

    #[test]
    fn other_kinds_and_versions_are_refused_in_the_reference_words() {
        assert_eq!(
            refused(r#"{"kind":"ImageStream","apiVersion":"v1"}"#),
            "the API version in the data (v1) does not match the expected API version (image.openshift.io/v1)"
        );
        assert_eq!(
            refused(r#"{"kind":"Image","apiVersion":"image.openshift.io/v1"}"#),
            "Image in version \"v1\" cannot be handled as a ImageStream: \
             converting (v1.Image) to (image.ImageStream): unknown conversion"
        );
        assert!(
            refused("{").starts_with("the object provided is unrecognized (must be of type ImageStream): ")
        );
        assert!(refused("[]").contains("no object"));
        assert!(refused(r#"{"spec":{"tags":3}}"#).contains("cannot be handled as a ImageStream: "));
    }

    #[test]
    fn values_of_the_wrong_type_are_named() {
        let check = |text: &str, want: &str| {
            let prefix =
                "ImageStream in version \"v1\" cannot be handled as a ImageStream: json: cannot unmarshal";
            assert_eq!(refused(text), format!("{prefix} {want}"), "{text}");
        };
        check(
            r#"{"spec":{"tags":[{"name":true}]}}"#,
            "bool into Go struct field TagReference.spec.tags.name of type string",
        );
        check(
            r#"{"metadata":{"labels":{"a":1}}}"#,
            "number into Go struct field ObjectMeta.metadata.labels of type string",
        );
        check(r#"{"spec":"x"}"#, "string into Go struct field ImageStream.spec of type v1.ImageStreamSpec");
        check(
            r#"{"spec":{"tags":[{"generation":"1"}]}}"#,
            "string into Go struct field TagReference.spec.tags.generation of type int64",
        );
        check(
            r#"{"spec":{"tags":[{"generation":1.5}]}}"#,
            "number 1.5 into Go struct field TagReference.spec.tags.generation of type int64",
        );
    }

    #[test]
    fn the_beginning_of_a_body_is_shown() {
        assert!(refused("").ends_with("(<empty>)"));
        assert!(refused("[1]").ends_with("(5b315d)"));
        assert!(refused("{\"a\":").ends_with("({\"a\":)"));
    }

    proptest::proptest! {
        #[test]
        fn no_body_panics(body: Vec<u8>, text in "[{}\\[\\]\":,a-c0-9 ]{0,40}") {
            for bytes in [body.as_slice(), text.as_bytes()] {
                for media_type in ["application/json", "application/yaml", Encoding::Protobuf.media_type()] {
                    let _ = super::body::<ImageStream>(bytes, media_type);
                }
            }
        }
    }

    #[test]
    fn deep_json_is_refused() {
        let deep = format!("{{\"metadata\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(refused(&deep).contains("unrecognized"));
    }

    #[test]
    fn other_media_types_are_refused() {
        assert_eq!(body::<ImageStream>(b"{}", "text/plain").unwrap_err().code(), 415);
    }
}
