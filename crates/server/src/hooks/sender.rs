//! Who sends, and how each of them proves it.
//!
//! Every form has a secret and nothing else counts: no address, no user agent, no token of somebody's identity provider.
//! Secrets and signatures are compared in constant time. Where a sender gives an identity or a time, a repeat is known.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use machinery::query;

use super::limits::WINDOW;
use crate::deliver::event;

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Docker Hub: a token in the address, it can nothing else.
    DockerHub,
    /// GitHub: HMAC over the body.
    GitHub,
    /// GitLab: a token in a header of its own.
    GitLab,
    /// Harbor: the authorization header that its policy is given.
    Harbor,
    /// Quay: a token in the address.
    Quay,
    /// The distribution registry: an authorization header from its configuration.
    Distribution,
    /// `CloudEvents` and Amazon's `EventBridge`: a bearer token, or a signature as Standard Webhooks has it.
    CloudEvents,
    /// Scripts: the same.
    Plain,
}

/// A request that proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproved {
    /// There is no proof.
    #[error("the request carries no {0}")]
    Missing(&'static str),
    /// The proof is wrong.
    #[error("the {0} is not the right one")]
    Wrong(&'static str),
    /// The proof is too old, or of the future.
    #[error("the request's time is more than {WINDOW} seconds from now")]
    Stale,
}

impl Sender {
    /// The names of all of them.
    pub const NAMES: [&'static str; 8] =
        ["dockerhub", "github", "gitlab", "harbor", "quay", "distribution", "cloudevents", "plain"];

    /// The sender of a name.
    pub fn named(name: &str) -> Option<Sender> {
        Some(match name {
            "dockerhub" => Sender::DockerHub,
            "github" => Sender::GitHub,
            "gitlab" => Sender::GitLab,
            "harbor" => Sender::Harbor,
            "quay" => Sender::Quay,
            "distribution" => Sender::Distribution,
            "cloudevents" => Sender::CloudEvents,
            "plain" => Sender::Plain,
            _ => return None,
        })
    }

    /// Checks a request; `now` in seconds. The identities by which a repeat is known come back.
    ///
    /// # Errors
    /// [`Unproved`].
    pub fn verify(
        self,
        headers: &HeaderMap,
        query: &str,
        body: &[u8],
        secret: &[u8],
        now: i64,
    ) -> Result<Vec<String>, Unproved> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let id = |name: &str| header(name).map(str::to_owned).into_iter().collect::<Vec<_>>();
        match self {
            Sender::DockerHub | Sender::Quay => {
                let token = query::first(query, "token").ok_or(Unproved::Missing("token in its address"))?;
                same_token(token.as_bytes(), secret).map(|()| Vec::new())
            }
            Sender::GitHub => {
                let given = header("x-hub-signature-256").ok_or(Unproved::Missing("X-Hub-Signature-256"))?;
                let given = given.strip_prefix("sha256=").and_then(unhex);
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::verify(&key, body, &given.ok_or(Unproved::Wrong("signature"))?)
                    .map_err(|_| Unproved::Wrong("signature"))?;
                // The identity is not signed, the body is.
                let mut ids = id("x-github-delivery");
                ids.push(hex_digest(body));
                Ok(ids)
            }
            Sender::GitLab => {
                let token = header("x-gitlab-token").ok_or(Unproved::Missing("X-Gitlab-Token"))?;
                same_token(token.as_bytes(), secret)?;
                Ok(header("idempotency-key").map_or_else(|| id("webhook-id"), |id| vec![id.to_owned()]))
            }
            Sender::Harbor | Sender::Distribution => bearer(headers, secret).map(|()| Vec::new()),
            Sender::CloudEvents | Sender::Plain => {
                if headers.contains_key("webhook-signature") {
                    return signed(headers, body, secret, now);
                }
                bearer(headers, secret)?;
                Ok(id("ce-id"))
            }
        }
    }
}

/// A secret in the authorization header, with or without the word before it.
fn bearer(headers: &HeaderMap, secret: &[u8]) -> Result<(), Unproved> {
    let given = headers.get(header::AUTHORIZATION).ok_or(Unproved::Missing("Authorization header"))?;
    let given = given.as_bytes();
    let bare = given.strip_prefix(b"Bearer ").unwrap_or(given);
    same_token(bare, secret)
}

/// A signature as Standard Webhooks has it.
fn signed(headers: &HeaderMap, body: &[u8], secret: &[u8], now: i64) -> Result<Vec<String>, Unproved> {
    let header = |name: &'static str| {
        headers.get(name).and_then(|value| value.to_str().ok()).ok_or(Unproved::Missing(name))
    };
    let (id, time, given) =
        (header("webhook-id")?, header("webhook-timestamp")?, header("webhook-signature")?);
    let time: i64 = time.parse().map_err(|_| Unproved::Stale)?;
    let wanted = event::signature(secret, id, time, body);
    let fits = |one: &str| {
        let given = one.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
        given.is_some_and(|given| verify_slices_are_equal(&given, &wanted).is_ok())
    };
    if !given.split(' ').any(fits) {
        return Err(Unproved::Wrong("signature"));
    }
    if now.abs_diff(time) > WINDOW.unsigned_abs() {
        return Err(Unproved::Stale);
    }
    Ok(vec![id.to_owned()])
}

/// Compares digests, so that not even the length of a secret shows in the time it takes.
fn same_token(given: &[u8], secret: &[u8]) -> Result<(), Unproved> {
    let (given, secret) = (digest(&SHA256, given), digest(&SHA256, secret));
    verify_slices_are_equal(given.as_ref(), secret.as_ref()).map_err(|_| Unproved::Wrong("token"))
}

fn hex_digest(body: &[u8]) -> String {
    crate::random::hex(digest(&SHA256, body).as_ref())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"a secret of some length";
    const NOW: i64 = 1_700_000_000;

    fn check(
        sender: Sender,
        headers: &[(&'static str, &str)],
        query: &str,
        want: Result<Vec<&str>, Unproved>,
    ) {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let got = sender.verify(&headers, query, b"body", SECRET, NOW);
        assert_eq!(
            got,
            want.map(|ids| ids.into_iter().map(str::to_owned).collect()),
            "{sender:?} {headers:?}"
        );
    }

    fn standard(time: i64) -> String {
        format!("v1,{}", STANDARD.encode(event::signature(SECRET, "m1", time, b"body")))
    }

    #[test]
    fn every_sender_proves_the_secret_in_its_own_way() {
        let token = std::str::from_utf8(SECRET).unwrap();
        let bearer = format!("Bearer {token}");
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), b"body");
        let mac = format!("sha256={}", crate::random::hex(mac.as_ref()));
        let body = hex_digest(b"body");
        check(Sender::DockerHub, &[], "token=a+secret+of+some+length", Ok(vec![]));
        check(Sender::Quay, &[], "token=a%20secret%20of%20some%20length", Ok(vec![]));
        let github = [("x-hub-signature-256", mac.as_str()), ("x-github-delivery", "d1")];
        check(Sender::GitHub, &github, "", Ok(vec!["d1", &body]));
        check(Sender::GitLab, &[("x-gitlab-token", token), ("idempotency-key", "k")], "", Ok(vec!["k"]));
        check(Sender::Harbor, &[("authorization", token)], "", Ok(vec![]));
        check(Sender::Distribution, &[("authorization", &bearer)], "", Ok(vec![]));
        check(Sender::CloudEvents, &[("authorization", &bearer), ("ce-id", "e")], "", Ok(vec!["e"]));
        let (time, signature) = (NOW.to_string(), standard(NOW));
        let signed = [
            ("webhook-id", "m1"),
            ("webhook-timestamp", time.as_str()),
            ("webhook-signature", signature.as_str()),
        ];
        check(Sender::Plain, &signed, "", Ok(vec!["m1"]));
    }

    #[test]
    fn a_wrong_or_missing_proof_is_none() {
        for sender in Sender::NAMES {
            let sender = Sender::named(sender).unwrap();
            let got = sender.verify(&HeaderMap::new(), "", b"body", SECRET, NOW);
            assert!(matches!(got, Err(Unproved::Missing(_))), "{sender:?}");
        }
        check(Sender::DockerHub, &[], "token=", Err(Unproved::Wrong("token")));
        check(Sender::GitHub, &[("x-hub-signature-256", "sha256=00")], "", Err(Unproved::Wrong("signature")));
        check(Sender::GitHub, &[("x-hub-signature-256", "sha256=0")], "", Err(Unproved::Wrong("signature")));
        check(Sender::GitHub, &[("x-hub-signature-256", "sha1=00")], "", Err(Unproved::Wrong("signature")));
        check(Sender::GitLab, &[("x-gitlab-token", "a secret")], "", Err(Unproved::Wrong("token")));
        let (old, signature) = ((NOW - WINDOW - 1).to_string(), standard(NOW - WINDOW - 1));
        let stale =
            [("webhook-id", "m1"), ("webhook-timestamp", old.as_str()), ("webhook-signature", &signature)];
        check(Sender::Plain, &stale, "", Err(Unproved::Stale));
        let now = NOW.to_string();
        let moved =
            [("webhook-id", "m1"), ("webhook-timestamp", now.as_str()), ("webhook-signature", &signature)];
        check(Sender::Plain, &moved, "", Err(Unproved::Wrong("signature")));
    }

    #[test]
    fn cve_2026_40109_a_token_of_an_identity_provider_proves_nothing() {
        let token = "Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2FjY291bnRzLmdvb2dsZS5jb20ifQ.c2ln";
        for sender in [Sender::CloudEvents, Sender::Plain, Sender::Harbor, Sender::Distribution] {
            check(sender, &[("authorization", token)], "", Err(Unproved::Wrong("token")));
        }
    }
}
