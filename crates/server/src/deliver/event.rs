//! The event about a move: CloudEvents 1.0, signed as the Standard Webhooks specification has it.
//!
//! Without a template an event goes out in structured mode; with one the body is what the template says and the event's
//! own attributes are headers. The signature covers identity, time and body, so none of the three can be exchanged.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::template;
use crate::ledger::Row;

/// What a secret in the form of Standard Webhooks begins with; base64 follows.
const SECRET_PREFIX: &str = "whsec_";

/// The data of the event about a row of the ledger.
pub fn data(namespace: &str, id: &str, row: &Row) -> Value {
    json!({
        "namespace": namespace,
        "stream": row.stream,
        "tag": row.tag,
        "move": id,
        "revision": row.revision,
        "time": row.time,
        "cause": row.cause,
        "actor": row.actor.user,
        "from": row.from,
        "to": row.to,
        "firstSeen": row.first_seen,
    })
}

/// The key that a stored secret means.
pub fn key(secret: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(secret).unwrap_or_default().trim_end();
    match text.strip_prefix(SECRET_PREFIX).map(|text| STANDARD.decode(text)) {
        Some(Ok(key)) => key,
        _ if text.is_empty() => secret.to_vec(),
        _ => text.as_bytes().to_vec(),
    }
}

/// The signature over identity, time (seconds) and body.
pub fn signature(key: &[u8], id: &str, time: i64, body: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{id}.{time}.").as_bytes());
    context.update(body);
    context.sign().as_ref().to_vec()
}

/// What is sent: headers and body.
#[derive(Debug)]
pub struct Message {
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// Puts an event into the form that is sent. `id` is the delivery's identity.
///
/// # Errors
/// When some value cannot stand in a header.
pub fn message(
    id: &str,
    event: &Value,
    template: Option<&Value>,
    key: &[u8],
    now: Timestamp,
) -> Result<Message, String> {
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let (namespace, stream, tag) = (text("namespace"), text("stream"), text("tag"));
    let removed = event.get("to").is_none_or(Value::is_null);
    let attributes = [
        ("specversion", "1.0".to_owned()),
        ("id", id.to_owned()),
        ("source", format!("/namespaces/{namespace}/imagestreams/{stream}")),
        ("type", format!("dev.weir.tag.{}", if removed { "removed" } else { "moved" })),
        ("subject", format!("{stream}:{tag}")),
        ("time", text("time").to_owned()),
    ];
    let mut headers = HeaderMap::new();
    let mut put = |name: String, value: &str| {
        let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
        let value = HeaderValue::try_from(value).map_err(|error| format!("{name}: {error}"))?;
        headers.insert(name, value);
        Ok::<(), String>(())
    };
    let body = match template {
        None => {
            put(header::CONTENT_TYPE.to_string(), "application/cloudevents+json; charset=utf-8")?;
            let mut whole = serde_json::Map::from_iter(
                attributes.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))),
            );
            whole.insert("datacontenttype".to_owned(), "application/json".into());
            whole.insert("data".to_owned(), event.clone());
            Value::Object(whole).to_string()
        }
        Some(template) => {
            put(header::CONTENT_TYPE.to_string(), "application/json")?;
            for (name, value) in &attributes {
                put(format!("ce-{name}"), value)?;
            }
            template::fill(template, event).to_string()
        }
    };
    let time = now.as_second();
    let signed = STANDARD.encode(signature(key, id, time, body.as_bytes()));
    put("webhook-id".to_owned(), id)?;
    put("webhook-timestamp".to_owned(), &time.to_string())?;
    put("webhook-signature".to_owned(), &format!("v1,{signed}"))?;
    Ok(Message { headers, body: body.into_bytes() })
}
