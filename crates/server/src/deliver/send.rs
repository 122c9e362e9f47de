//! One attempt to send an event to a receiver.
//!
//! The transport asks its policy about every address that is connected to, so a name or a redirect that leads inside ends
//! here. A receiver's body is never read: what answers at an address that somebody chose must not come back to them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use oci::client::{Transport, Trust};
use serde_json::Value;
use std::time::Duration;

use super::event::{self, Message};
use super::kinds::address;
use super::limits::{ATTEMPT_TIME, LONGEST_PAUSE, REDIRECTS};
use crate::context::Ctx;
use crate::plain::Plain;
use crate::resource;
use crate::streams::load_entry;
use crate::workload::text;

/// Why an attempt failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// In words.
    pub why: String,
    /// What the receiver wants us to wait.
    pub after: Option<Duration>,
}

impl From<String> for Failed {
    fn from(why: String) -> Failed {
        Failed { why, after: None }
    }
}

/// Sends the event of a delivery as its trigger wants it; what the receiver answered.
pub(super) async fn send(ctx: &Ctx, id: &str, event: &Value, trigger: &Plain) -> Result<String, Failed> {
    let spec = trigger.fields.get("spec").cloned().unwrap_or_default();
    let to = address(text(&spec, "url")).map_err(|why| format!("spec.url {why}"))?;
    let key = secret(ctx, &trigger.metadata.namespace, spec.get("secretRef").unwrap_or(&Value::Null))?;
    let message = event::message(id, event, spec.get("template"), &key, ctx.clock.timestamp())?;
    let posted = post(&*ctx.webhooks, to, &message);
    match tokio::time::timeout(ATTEMPT_TIME, posted).await {
        Ok(done) => done,
        Err(_) => Err(format!("no answer within {} seconds", ATTEMPT_TIME.as_secs()).into()),
    }
}

/// The key in a secret that a reference of this project names.
pub(crate) fn secret(ctx: &Ctx, namespace: &str, reference: &Value) -> Result<Vec<u8>, String> {
    let (name, key) = (text(reference, "name"), text(reference, "key"));
    let found = load_entry::<Plain>(ctx, &resource::secrets().key(namespace, name));
    let found = found.map_err(|error| error.to_string())?;
    let found = found.ok_or_else(|| format!("the secret {namespace}/{name} does not exist"))?;
    let data = found.object.fields.get("data").and_then(|data| data.get(key)).and_then(Value::as_str);
    let bytes = data.and_then(|data| STANDARD.decode(data).ok()).filter(|bytes| !bytes.is_empty());
    let bytes = bytes.ok_or_else(|| format!("the secret {namespace}/{name} holds no key {key:?}"))?;
    Ok(event::key(&bytes))
}

/// Posts a message, following redirects that keep method and body.
pub(super) async fn post(
    transport: &dyn Transport,
    mut to: Uri,
    message: &Message,
) -> Result<String, Failed> {
    for _ in 0..=REDIRECTS {
        let mut request = Request::post(to.clone());
        if let Some(headers) = request.headers_mut() {
            headers.extend(message.headers.clone());
        }
        let request = request.body(Bytes::from(message.body.clone())).map_err(|error| error.to_string())?;
        let answer =
            transport.send(request, Trust::Verified).await.map_err(|error| format!("{to}: {error}"))?;
        let status = answer.status();
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        if status.is_success() {
            return Ok(status.as_u16().to_string());
        }
        if !matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
            let after = header(header::RETRY_AFTER).and_then(|text| text.trim().parse().ok());
            let after = after.map(|seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE));
            return Err(Failed { why: format!("{to}: the receiver answered {}", status.as_u16()), after });
        }
        let place = header(header::LOCATION).ok_or_else(|| format!("{to}: a redirect without a place"))?;
        to = redirected(&to, place).map_err(|why| format!("{to}: redirected to an address that {why}"))?;
    }
    Err(format!("{to}: more than {REDIRECTS} redirects").into())
}

fn redirected(from: &Uri, place: &str) -> Result<Uri, String> {
    if !place.starts_with('/') || place.starts_with("//") {
        let to = address(place)?;
        if from.scheme_str() == Some("https") && to.scheme_str() != Some("https") {
            return Err("is not encrypted, as the one before was".to_owned());
        }
        return Ok(to);
    }
    let mut parts = from.clone().into_parts();
    parts.path_and_query = Some(place.parse().map_err(|error| format!("is none: {error}"))?);
    Uri::from_parts(parts).map_err(|error| error.to_string())
}
