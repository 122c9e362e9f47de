use base64::Engine as _;

use super::*;

fn keyring(keys: &[(&str, &str)]) -> Keyring {
    let mut keyring = Keyring::new();
    for (key, user) in keys {
        keyring.add(key, Credentials { username: (*user).to_owned(), password: "p".to_owned() });
    }
    keyring
}

fn check(keys: &[(&str, &str)], image: &str, expected: Option<&str>) {
    let keyring = keyring(keys);
    let found = keyring.lookup(image).map(|credentials| credentials.username.as_str());
    assert_eq!(found, expected, "{image}");
}

#[test]
fn the_longest_path_of_a_host_wins() {
    let keys = [("quay.io", "host"), ("quay.io/team", "team"), ("quay.io/team/app", "app")];
    check(&keys, "quay.io/team/app:1", Some("app"));
    check(&keys, "quay.io/team/other", Some("team"));
    check(&keys, "quay.io/teamwork/x", Some("team"));
    check(&keys, "quay.io/x", Some("host"));
    check(&keys, "example.com/x", None);
}

#[test]
fn ports_are_compared_as_text() {
    check(&[("registry.example.com", "a")], "registry.example.com:443/x", None);
    check(&[("registry.example.com:443", "a")], "registry.example.com/x", None);
    check(&[("http://registry.example.com:80", "a")], "registry.example.com/x", None);
    check(&[("127.0.0.1:5002", "a")], "127.0.0.1:5002/team/private-one:v1", Some("a"));
}

#[test]
fn globs_stand_for_one_label_each() {
    check(&[("*.example.com", "a")], "r.example.com/x", Some("a"));
    check(&[("*.example.com", "a")], "example.com/x", None);
    check(&[("*.example.com", "a")], "a.b.example.com/x", None);
    check(&[("*.*.example.com", "a")], "a.b.example.com/x", Some("a"));
    check(&[("reg-[12].example.com", "a")], "reg-1.example.com/x", Some("a"));
    check(&[("*.example.com:5000", "a")], "r.example.com:5000/x", Some("a"));
}

#[test]
fn docker_hub_falls_back_to_its_old_key() {
    let keys = [("https://index.docker.io/v1/", "hub")];
    check(&keys, "docker.io/library/nginx:latest", Some("hub"));
    check(&keys, "index.docker.io/library/nginx", Some("hub"));
    check(&keys, "quay.io/library/nginx", None);
    check(
        &[("https://index.docker.io/v1/", "old"), ("docker.io", "new")],
        "docker.io/library/nginx",
        Some("new"),
    );
}

#[test]
fn the_first_of_several_credentials_for_a_key_is_used() {
    check(&[("quay.io", "first"), ("https://quay.io", "second")], "quay.io/x", Some("first"));
}

fn auth(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn both_formats_are_read_and_auth_wins() {
    let entry = format!(r#"{{"username":"u","password":"p","auth":"{}"}}"#, auth("name:pass:word"));
    for (format, document) in [
        (SecretFormat::DockerCfg, format!(r#"{{"quay.io":{entry}}}"#)),
        (SecretFormat::DockerConfigJson, format!(r#"{{"auths":{{"quay.io":{entry}}},"HttpHeaders":{{}}}}"#)),
    ] {
        let mut keyring = Keyring::new();
        keyring.add_secret(format, document.as_bytes()).unwrap();
        let found = keyring.lookup("quay.io/x").unwrap();
        assert_eq!((found.username.as_str(), found.password.as_str()), ("name", "pass:word"));
        assert!(!format!("{keyring:?}").contains("pass"));
    }
    let mut plain = Keyring::new();
    plain
        .add_secret(SecretFormat::DockerCfg, br#"{"quay.io":{"username":"u","password":"p","email":"x"}}"#)
        .unwrap();
    assert_eq!(plain.lookup("quay.io/x").unwrap().username, "u");
}

fn check_broken(auth: &str, expected: &str) {
    let document = serde_json::json!({ "x.example.com": { "auth": auth } }).to_string();
    let error = Keyring::new().add_secret(SecretFormat::DockerCfg, document.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), expected, "{auth}");
}

#[test]
fn what_cannot_be_read_says_so_in_the_words_of_go() {
    check_broken("!!!", "illegal base64 data at input byte 0");
    check_broken("YWJj!A==", "illegal base64 data at input byte 4");
    check_broken("YWJjZ", "illegal base64 data at input byte 4");
    check_broken("YQ=", "illegal base64 data at input byte 3");
    check_broken("YQ==x=", "illegal base64 data at input byte 4");
    check_broken("YWJj", "unable to parse auth field, must be formatted as base64(username:password)");
    for (text, expected) in [
        ("nope", "invalid character 'o' in literal null (expecting 'u')"),
        ("", "unexpected end of JSON input"),
        ("[]", "json: cannot unmarshal array into Go value of type credentialprovider.DockerConfig"),
    ] {
        let error = Keyring::new().add_secret(SecretFormat::DockerCfg, text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn unpadded_and_wrapped_auth_is_read() {
    for auth in ["dXNlcjpw", "dTpw\n", "dTpwcA==", "dTpwcA"] {
        let document = serde_json::json!({ "auths": { "quay.io": { "auth": auth } } }).to_string();
        assert_eq!(
            Keyring::new().add_secret(SecretFormat::DockerConfigJson, document.as_bytes()),
            Ok(()),
            "{auth}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn any_auth_is_read_or_refused_within_its_length(auth in "[A-Za-z0-9+/=!\n]{0,24}") {
        let document = serde_json::json!({ "h": { "auth": auth } }).to_string();
        if let Err(SecretError::Base64(at)) = Keyring::new().add_secret(SecretFormat::DockerCfg, document.as_bytes()) {
            proptest::prop_assert!(at <= auth.len());
        }
    }
}
