//! The signature extension: signatures of images, read and added by clients that keep them in the registry's API.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{content, push};
use crate::body::{Body, RequestBody};
use crate::catalog::{Signature, Signed};
use crate::error::{Code, Error};
use crate::limits;
use crate::name::Repository;
use crate::registry::Call;
use crate::wire;

/// The version of the extension's objects.
const VERSION: i64 = 2;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    #[serde(default)]
    schema_version: i64,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    content: String,
}

/// `GET` and `PUT` of `/extensions/v2/<name>/signatures/<digest>`
pub(crate) async fn answer(
    call: &Call<'_>,
    repository: &Repository,
    digest: &str,
    body: RequestBody,
) -> Result<Response<Body>, Error> {
    let digest = content::digest(digest)?;
    let catalog = &call.registry.catalog;
    let no_image = || Error::new(Code::ManifestUnknown).detail(digest.as_str());
    if call.registry.claim(repository, &digest).await?.is_none() {
        return Err(no_image());
    }
    if call.parts.method != Method::PUT {
        // What was pushed as the child of a list may be no image of its own: then nobody has signed it.
        let signatures = catalog.signatures(&digest).await?;
        let shown: Vec<Value> = signatures.iter().map(shown).collect();
        return Ok(wire::json(&json!({ "signatures": shown })));
    }
    let signature = read(&push::read(body, limits::SIGNATURE_BYTES).await?, digest.as_str())?;
    match catalog.sign(&call.who, &digest, signature).await? {
        Signed::Added => Ok(wire::empty(StatusCode::CREATED)),
        Signed::Exists => Err(Error::new(Code::SignatureExists)),
        Signed::NoImage => Err(no_image()),
    }
}

fn shown(signature: &Signature) -> Value {
    json!({
        "schemaVersion": VERSION,
        "name": signature.name,
        "type": signature.kind,
        "content": STANDARD.encode(&signature.content),
    })
}

fn read(body: &[u8], digest: &str) -> Result<Signature, Error> {
    let invalid = |why: &str| Error::new(Code::SignatureInvalid).message(why).detail(why);
    let given: Given = serde_json::from_slice(body).map_err(|error| invalid(&error.to_string()))?;
    if given.schema_version != VERSION {
        return Err(invalid("only schemaVersion=2 is currently supported"));
    }
    match given.name.split_once('@') {
        Some((image, name)) if image == digest && !name.is_empty() => {}
        _ => return Err(invalid("the name must be <digest>@<name>, with the digest of the image")),
    }
    let content = STANDARD.decode(&given.content).map_err(|_| invalid("the content must be base64"))?;
    if content.is_empty() {
        return Err(invalid("the content must not be empty"));
    }
    let kind = if given.kind.is_empty() { "atomic".to_owned() } else { given.kind };
    Ok(Signature { name: given.name, kind, content: content.into() })
}
