//! Bodies of requests: bytes to objects, with what was wrong but harmless told apart.
//!
//! JSON, YAML and (for image kinds) the protobuf envelope are read. A body need not say its kind; one that says another is
//! refused in the reference's words. Unknown and duplicate fields are collected, not refused: whether they matter is the
//! request's choice. The usual body is decoded in one pass; only one with a mistake is read again to find out which.

mod document;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::meta::Kind;
use crate::protobuf;
use crate::status::ApiError;
use crate::yaml;

/// Media types a body may have, as error texts list them.
const ACCEPTED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
/// Bytes of a body that error texts show.
const SHOWN: usize = 30;

/// An object and the complaints about the body it came in, as `unknown field "spec.tagz"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded<T> {
    /// The object.
    pub object: T,
    /// Unknown and duplicate fields.
    pub complaints: Vec<String>,
}

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Yaml,
    Protobuf,
}

impl Form {
    fn of(content_type: &str) -> Result<Form, ApiError> {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        match media_type.to_ascii_lowercase().as_str() {
            "" | "*/*" | "application/json" => Ok(Form::Json),
            "application/yaml" => Ok(Form::Yaml),
            protobuf::MEDIA_TYPE => Ok(Form::Protobuf),
            _ => Err(ApiError::unsupported_media_type(format!(
                "the body of the request was in an unknown format - accepted media types include: {ACCEPTED}"
            ))),
        }
    }
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
    match Form::of(content_type)? {
        Form::Json => from_json(bytes),
        Form::Yaml => from_document(document_of_yaml(bytes, T::KIND)?, bytes),
        Form::Protobuf => {
            let object =
                protobuf::decode(bytes).map_err(|error| unrecognized(T::KIND, bytes, &error.to_string()))?;
            Ok(Decoded { object, complaints: Vec::new() })
        }
    }
}

/// Decodes an object of a kind that has no type of its own; the type header is checked and stays in.
///
/// # Errors
/// As [`body`].
pub fn body_of(
    bytes: &[u8],
    content_type: &str,
    kind: &str,
    api_version: &str,
) -> Result<Decoded<Value>, ApiError> {
    let document = match Form::of(content_type)? {
        Form::Json => {
            document::parse(bytes).map_err(|error| unrecognized(kind, bytes, &error.to_string()))?
        }
        Form::Yaml => document_of_yaml(bytes, kind)?,
        Form::Protobuf => {
            return Err(ApiError::unsupported_media_type(format!(
                "{kind} cannot be read from protobuf: send JSON or YAML"
            )));
        }
    };
    if !document.value.is_object() {
        return Err(unrecognized(kind, bytes, "the body is no object"));
    }
    check_header(&header_of(&document.value), kind, api_version)?;
    Ok(Decoded { object: document.value, complaints: document.duplicates })
}

/// Decodes any document; used for options, which may be of any kind.
///
/// # Errors
/// As [`body`].
pub fn value(bytes: &[u8], content_type: &str) -> Result<Value, ApiError> {
    match Form::of(content_type)? {
        Form::Json => document::parse(bytes)
            .map(|document| document.value)
            .map_err(|error| ApiError::bad_request(format!("the body cannot be read: {error}"))),
        Form::Yaml => Ok(document_of_yaml(bytes, "DeleteOptions")?.value),
        Form::Protobuf => Err(ApiError::unsupported_media_type(
            "options cannot be read from protobuf: send JSON or YAML".to_owned(),
        )),
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

/// Decodes an object that a patch has made; the complaints are about fields that its kind does not have.
///
/// # Errors
/// The decoder's words.
pub fn patched<T: Kind + DeserializeOwned>(value: &Value) -> Result<Decoded<T>, String> {
    let mut complaints = Vec::new();
    let object = serde_ignored::deserialize(value, |path| note(&path, &mut complaints));
    object.map(|object| Decoded { object, complaints }).map_err(|error| error.to_string())
}

fn from_json<T: Kind + DeserializeOwned>(bytes: &[u8]) -> Result<Decoded<T>, ApiError> {
    let mut complaints = Vec::new();
    let mut input = serde_json::Deserializer::from_slice(bytes);
    let read = serde_ignored::deserialize(&mut input, |path| note(&path, &mut complaints));
    // The decoder would take a list for an object whose fields come in order.
    let is_object = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    if let (true, Ok(object), Ok(()), Ok(header)) =
        (is_object, read, input.end(), serde_json::from_slice::<Header>(bytes))
    {
        check_header(&header, T::KIND, T::API_VERSION)?;
        return Ok(Decoded { object, complaints });
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
    use std::fmt::Write as _;
    let mut shown = String::new();
    for byte in &bytes[..bytes.len().min(SHOWN)] {
        // Writing to a string does not fail.
        let _ = write!(shown, "{byte:02x}");
    }
    let dots = if bytes.len() > SHOWN { " ..." } else { "" };
    ApiError::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): {why} ({shown}{dots})"
    ))
}

/// Notes a field that the kind does not have. Objects inside objects may say their own type.
fn note(path: &serde_ignored::Path<'_>, complaints: &mut Vec<String>) {
    let (text, depth) = path_text(path);
    let last = text.rsplit('.').next().unwrap_or_default();
    if matches!(last, "kind" | "apiVersion") && (depth == 1 || is_embedded(&text)) {
        return;
    }
    complaints.push(format!("unknown field {text:?}"));
}

/// Places at which a whole object stands inside another.
fn is_embedded(text: &str) -> bool {
    let parent = text.rsplit_once('.').map_or("", |(parent, _)| parent);
    let field = parent.rsplit('.').next().unwrap_or_default();
    let field = field.split('[').next().unwrap_or_default();
    matches!(field, "image" | "import" | "signatures" | "manifests" | "items")
}

fn path_text(path: &serde_ignored::Path<'_>) -> (String, usize) {
    use serde_ignored::Path;
    match path {
        Path::Root => (String::new(), 0),
        Path::Seq { parent, index } => {
            let (text, depth) = path_text(parent);
            (format!("{text}[{index}]"), depth + 1)
        }
        Path::Map { parent, key } => {
            let (text, depth) = path_text(parent);
            (if text.is_empty() { key.clone() } else { format!("{text}.{key}") }, depth + 1)
        }
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            path_text(parent)
        }
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
    fn deep_json_is_refused() {
        let deep = format!("{{\"metadata\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(refused(&deep).contains("unrecognized"));
    }

    #[test]
    fn other_media_types_are_refused() {
        assert_eq!(body::<ImageStream>(b"{}", "text/plain").unwrap_err().code(), 415);
    }
}
