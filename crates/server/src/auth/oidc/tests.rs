//! An issuer in this process: it signs tokens, publishes keys, rotates them and fails.

use std::sync::Mutex;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use oci::client::{ResponseBody, TransportError, Trust};
use serde_json::json;

use super::*;

const URL: &str = "https://idp.example.com/realm";
const NOW: i64 = 1_800_000_000;

/// The issuer's side: what it publishes, and how often it was asked.
#[derive(Debug, Default)]
struct Provider {
    answers: Mutex<BTreeMap<String, (u16, String)>>,
    asked: Mutex<usize>,
}

impl Provider {
    fn publish(&self, keys: &[&Signing]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.published()).collect();
        let mut answers = self.answers.lock().unwrap();
        let configuration = json!({"issuer": URL, "jwks_uri": "https://idp.example.com/keys"});
        answers.insert(format!("{URL}/.well-known/openid-configuration"), (200, configuration.to_string()));
        answers.insert("https://idp.example.com/keys".to_owned(), (200, json!({ "keys": keys }).to_string()));
    }

    fn answer(&self, url: &str, status: u16, body: &Value) {
        self.answers.lock().unwrap().insert(url.to_owned(), (status, body.to_string()));
    }

    fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }
}

impl Transport for Provider {
    fn send(
        &self,
        request: Request<Bytes>,
        trust: Trust,
    ) -> BoxFuture<'_, Result<Response<ResponseBody>, TransportError>> {
        assert_eq!(trust, Trust::Verified);
        *self.asked.lock().unwrap() += 1;
        let found = self.answers.lock().unwrap().get(&request.uri().to_string()).cloned();
        Box::pin(async move {
            let (status, body) = found.ok_or(TransportError::Closed)?;
            let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
            let mut answer = Response::new(body);
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            Ok(answer)
        })
    }
}

/// A key of an issuer.
struct Signing {
    id: &'static str,
    key: EcdsaKeyPair,
}

impl Signing {
    fn new(id: &'static str) -> Signing {
        let pair = rcgen::KeyPair::generate().unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pair.serialize_der()).unwrap();
        Signing { id, key }
    }

    fn published(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        json!({"kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "alg": "ES256", "x": x, "y": y})
    }

    fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({"alg": "ES256", "kid": self.id}), claims)
    }

    fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

fn settings() -> OidcSettings {
    serde_json::from_value(json!({
        "issuerUrl": URL, "audiences": ["weir"], "usernamePrefix": "idp:", "groupsClaim": "groups", "groupsPrefix": "idp:",
    }))
    .unwrap()
}

fn claims() -> Value {
    json!({"iss": URL, "aud": "weir", "sub": "alice", "exp": NOW + 60, "groups": ["dev", "ops"]})
}

fn with(key: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[key] = value;
    claims
}

/// A server that knows the keys of a provider.
async fn fetched(provider: &Arc<Provider>, settings: &OidcSettings) -> Oidc {
    let oidc = Oidc::over(settings, Arc::clone(provider) as Arc<dyn Transport>).unwrap();
    oidc.issuer.fetch_if_due().await;
    oidc
}

async fn one() -> (Signing, Oidc) {
    let (provider, key) = (Arc::new(Provider::default()), Signing::new("a"));
    provider.publish(&[&key]);
    let oidc = fetched(&provider, &settings()).await;
    (key, oidc)
}

fn owner(oidc: &Oidc, token: &str) -> Option<Actor> {
    oidc.owner(token, Timestamp::from_second(NOW).unwrap())
}

#[tokio::test]
async fn a_token_of_the_issuer_says_who_somebody_is() {
    let (key, oidc) = one().await;
    let actor = owner(&oidc, &key.token(&with("jti", json!("7")))).unwrap();
    assert_eq!(actor.user, "idp:alice");
    assert_eq!(*actor.groups, ["idp:dev", "idp:ops", "system:authenticated", "system:authenticated:oauth"]);
    assert_eq!(actor.extra["authentication.kubernetes.io/credential-id"], ["JTI=7"]);
    assert!(owner(&oidc, &key.token(&with("aud", json!(["x", "weir"])))).is_some());
}

/// Flux: any valid token of a provider was taken, whoever it was for.
#[tokio::test]
async fn cve_2026_40109_issuer_audience_and_subject_are_checked() {
    let (key, oidc) = one().await;
    for (claim, value) in [
        ("iss", json!("https://elsewhere.example.com")),
        ("aud", json!("somebody else")),
        ("aud", json!(["x", "y"])),
        ("aud", Value::Null),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("exp", json!(NOW - 60)),
        ("exp", Value::Null),
        ("nbf", json!(NOW + 60)),
        ("nbf", json!("soon")),
        ("groups", json!([1])),
        ("groups", json!({"a": 1})),
    ] {
        assert_eq!(owner(&oidc, &key.token(&with(claim, value.clone()))), None, "{claim}: {value}");
    }
}

/// zot: groups of earlier tokens were kept.
#[tokio::test]
async fn cve_2025_23208_groups_are_those_of_this_token() {
    let (key, oidc) = one().await;
    assert!(owner(&oidc, &key.token(&claims())).unwrap().groups.contains(&"idp:dev".to_owned()));
    let later = owner(&oidc, &key.token(&with("groups", json!([])))).unwrap();
    assert_eq!(*later.groups, ["system:authenticated", "system:authenticated:oauth"]);
}

/// distribution: a key that came in the token was taken when only its name matched.
#[tokio::test]
async fn cve_2025_24976_neither_key_nor_algorithm_come_from_the_token() {
    let (key, oidc) = one().await;
    let theirs = Signing { id: "a", key: Signing::new("a").key };
    assert_eq!(owner(&oidc, &theirs.token(&claims())), None);
    let header = json!({"alg": "ES256", "kid": "a", "jwk": theirs.published(), "jku": "https://evil.example.com", "x5u": "https://evil.example.com"});
    assert_eq!(owner(&oidc, &theirs.token_with(&header, &claims())), None);
    for alg in ["none", "HS256", "RS256", "ES384", ""] {
        assert_eq!(owner(&oidc, &key.token_with(&json!({"alg": alg, "kid": "a"}), &claims())), None, "{alg}");
    }
    // Extensions that must be understood are not.
    let critical = json!({"alg": "ES256", "kid": "a", "crit": ["x"]});
    assert_eq!(owner(&oidc, &key.token_with(&critical, &claims())), None);
    let unsigned = key.token(&claims());
    assert_eq!(owner(&oidc, &format!("{}.", unsigned.rsplit_once('.').unwrap().0)), None);
}

#[tokio::test]
async fn names_of_this_server_are_not_taken_from_anybody() {
    let (provider, key) = (Arc::new(Provider::default()), Signing::new("a"));
    provider.publish(&[&key]);
    let bare =
        OidcSettings { username_prefix: Some(String::new()), groups_prefix: String::new(), ..settings() };
    let oidc = fetched(&provider, &bare).await;
    assert_eq!(owner(&oidc, &key.token(&with("sub", json!("system:admin")))), None);
    let groups = owner(&oidc, &key.token(&with("groups", json!(["system:masters", "dev"])))).unwrap().groups;
    assert_eq!(*groups, ["dev", "system:authenticated", "system:authenticated:oauth"]);
}

#[tokio::test]
async fn other_claims_make_the_name_and_are_asked_for() {
    let (provider, key) = (Arc::new(Provider::default()), Signing::new("a"));
    provider.publish(&[&key]);
    let by_mail = OidcSettings {
        username_claim: "email".to_owned(),
        username_prefix: None,
        required_claims: BTreeMap::from([("hd".to_owned(), "example.com".to_owned())]),
        ..settings()
    };
    let oidc = fetched(&provider, &by_mail).await;
    let mut claims = with("email", json!("a@example.com"));
    assert_eq!(owner(&oidc, &key.token(&claims)), None);
    claims["hd"] = json!("example.com");
    assert_eq!(owner(&oidc, &key.token(&claims)).unwrap().user, "a@example.com");
    claims["email_verified"] = json!(false);
    assert_eq!(owner(&oidc, &key.token(&claims)), None);
    let by_subject = fetched(&provider, &OidcSettings { username_prefix: None, ..settings() }).await;
    assert_eq!(owner(&by_subject, &key.token(&self::claims())).unwrap().user, format!("{URL}#alice"));
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_fetched_when_a_token_names_it_and_not_for_every_token() {
    let (provider, old, new) = (Arc::new(Provider::default()), Signing::new("old"), Signing::new("new"));
    provider.publish(&[&old]);
    let oidc = fetched(&provider, &settings()).await;
    provider.publish(&[&new]);
    let token = new.token(&claims());
    let asked = provider.asked();
    oidc.prepare(&token).await;
    assert_eq!((provider.asked(), owner(&oidc, &token)), (asked, None), "it was asked a moment ago");
    tokio::time::advance(crate::limits::OIDC_RETRY).await;
    oidc.prepare("no.token.atall").await;
    oidc.prepare(&new.token(&with("iss", json!("https://elsewhere.example.com")))).await;
    assert_eq!(provider.asked(), asked);
    oidc.prepare(&token).await;
    assert_eq!(provider.asked(), asked + 2);
    assert!(owner(&oidc, &token).is_some());
    // What is published no more proves nothing.
    assert_eq!(owner(&oidc, &old.token(&claims())), None);
}

#[tokio::test(start_paused = true)]
async fn ghsa_2v5f_5r6w_p67r_a_provider_in_trouble_lets_nobody_new_in_and_throws_nobody_out() {
    let (provider, key, other) = (Arc::new(Provider::default()), Signing::new("a"), Signing::new("b"));
    provider.publish(&[&key]);
    let oidc = fetched(&provider, &settings()).await;
    let place = format!("{URL}/.well-known/openid-configuration");
    for (status, body) in [
        (429, json!({})),
        (503, json!({})),
        (302, json!({})),
        (200, json!([])),
        (200, json!({"issuer": "https://elsewhere.example.com", "jwks_uri": "https://idp.example.com/keys"})),
        (200, json!({"issuer": URL, "jwks_uri": "http://idp.example.com/keys"})),
        (200, json!({"issuer": URL, "jwks_uri": "https://idp.example.com/none"})),
        (200, json!("x".repeat(crate::limits::OIDC_BODY))),
    ] {
        provider.answer(&place, status, &body);
        tokio::time::advance(crate::limits::OIDC_RETRY).await;
        oidc.prepare(&other.token(&claims())).await;
        assert!(owner(&oidc, &key.token(&claims())).is_some());
        assert_eq!(owner(&oidc, &other.token(&claims())), None);
    }
}

#[test]
fn settings_that_cannot_be_safe_are_refused() {
    let refused = |settings: &OidcSettings| Oidc::open(settings).unwrap_err();
    assert!(refused(&OidcSettings { issuer_url: "http://idp".to_owned(), ..settings() }).contains("https"));
    assert!(refused(&OidcSettings { audiences: Vec::new(), ..settings() }).contains("audiences"));
    assert!(refused(&OidcSettings { ca_file: Some("/no/such".into()), ..settings() }).contains("caFile"));
}

proptest::proptest! {
    #[test]
    fn no_token_panics(token in "[a-zA-Z0-9_.-]{0,80}", bytes: Vec<u8>) {
        let oidc = Oidc::over(&settings(), Arc::new(Provider::default())).unwrap();
        let encoded = URL_SAFE_NO_PAD.encode(bytes);
        for token in [token.as_str(), &format!("{encoded}.{encoded}.{encoded}")] {
            proptest::prop_assert_eq!(owner(&oidc, token), None);
        }
    }
}

#[tokio::test]
async fn groups_that_are_kept_here_join_those_of_the_token() {
    let (key, oidc) = one().await;
    let disk = store::sim::Faulty::from_image(1, Vec::new());
    let ctx = crate::simulation::world::context(disk, 1, Some(oidc)).await;
    let groups = crate::resource::find("user.openshift.io", "v1", "groups", "").unwrap();
    let group = |users: Value| {
        let mut group = crate::plain::Plain::default();
        group.metadata.name = "reviewers".to_owned();
        group.fields.insert("users".to_owned(), users);
        crate::stored::Storable::encode(&group)
    };
    let key_of_group = crate::streams::key(&groups.key("", "reviewers")).unwrap();
    let token = key.token(&claims());
    let mut found = Vec::new();
    for users in [json!(["alice"]), json!(["idp:alice"]), json!([])] {
        ctx.store.commit(store::Txn::new().put(key_of_group.clone(), group(users))).await.unwrap();
        let owner = crate::auth::token_owner(&ctx, &token, None).expect("the token is good");
        found.push(owner.actor.groups.contains(&"reviewers".to_owned()));
        assert!(owner.actor.groups.contains(&"idp:dev".to_owned()));
    }
    assert_eq!(found, [false, true, false], "a group names users as they are called here");
}
