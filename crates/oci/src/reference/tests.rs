use super::*;

const HEX: &str = "3c87c572822935df60f0f5d3665bd376841a7fcfeb806b5f212de6a00e9a7b25";

fn reference(registry: &str, namespace: &str, name: &str, tag: &str, id: &str) -> Reference {
    Reference {
        registry: registry.into(),
        namespace: namespace.into(),
        name: name.into(),
        tag: tag.into(),
        id: id.into(),
    }
}

fn check_parse(text: &str, expected: &Reference) {
    assert_eq!(Reference::parse(text).as_ref(), Ok(expected), "{text}");
}

#[test]
fn references_split_into_their_five_parts() {
    let id = format!("sha256:{HEX}");
    check_parse("foo", &reference("", "", "foo", "", ""));
    check_parse("foo:tag", &reference("", "", "foo", "tag", ""));
    check_parse(&format!("foo@{id}"), &reference("", "", "foo", "", &id));
    check_parse(&format!("foo:t@{id}"), &reference("", "", "foo", "t", &id));
    check_parse("bar/foo:tag", &reference("", "bar", "foo", "tag", ""));
    check_parse("bar/foo/baz", &reference("", "bar", "foo/baz", "", ""));
    check_parse("quay.io/a/b/c", &reference("quay.io", "a", "b/c", "", ""));
    check_parse("localhost/foo", &reference("localhost", "", "foo", "", ""));
    check_parse("localhosts/foo", &reference("", "localhosts", "foo", "", ""));
    check_parse("localhost:5000/foo/bar:x", &reference("localhost:5000", "foo", "bar", "x", ""));
    check_parse("docker.io/foo", &reference("docker.io", "", "foo", "", ""));
    check_parse("host:5000/a__b/c---d", &reference("host:5000", "a__b", "c---d", "", ""));
    check_parse("UPPER.example/foo", &reference("UPPER.example", "", "foo", "", ""));
}

#[test]
fn a_lone_host_is_a_registry_with_everything_behind_it() {
    check_parse("example.com", &reference("example.com", "", "", "", ""));
    check_parse("localhost:5000", &reference("localhost:5000", "", "", "", ""));
    let text = format!("localhost:5000@sha256:{HEX}");
    check_parse(&text, &reference(&text, "", "", "", &format!("sha256:{HEX}")));
    assert_eq!(Reference::parse("example.com").unwrap().exact(), "");
}

#[test]
fn texts_that_are_no_reference_say_why() {
    let long = "a".repeat(256);
    for (text, expected) in [
        ("", "repository name must have at least one component"),
        ("Foo", "repository name must be lowercase"),
        ("host/UPPER:1", "repository name must be lowercase"),
        ("127.0.0.1:5001/library/UPPER:1", "repository name must be lowercase"),
        ("Bad@@", "invalid reference format"),
        ("bad@@ref", "invalid reference format"),
        ("Bad/Name@@", "invalid reference format"),
        ("*", "invalid reference format"),
        ("foo:", "invalid reference format"),
        ("foo@", "invalid reference format"),
        ("/foo", "invalid reference format"),
        ("foo/", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("a..b", "invalid reference format"),
        ("a___b", "invalid reference format"),
        ("a-_b", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("foo:-x", "invalid reference format"),
        ("foo bar", "invalid reference format"),
        ("[::1]:5000/foo", "invalid reference format"),
        ("https://example.com/foo", "invalid reference format"),
        ("host:port/foo", "invalid reference format"),
        (&long, "repository name must not be more than 255 characters"),
        (&format!("foo:{}", "t".repeat(129)), "invalid reference format"),
        (&format!("foo@sha256:{}", &HEX[..40]), "invalid checksum digest length"),
        (&format!("foo@md5:{}", &HEX[..32]), "unsupported digest algorithm"),
        (&format!("foo@sha256:{}", &HEX[..31]), "invalid reference format"),
        (&format!("foo@sha256:{}", HEX.to_uppercase()), "invalid checksum digest format"),
    ] {
        let error = Reference::parse(text).expect_err(text);
        assert_eq!(error.to_string(), expected, "{text}");
    }
    assert!(Reference::parse(&"a".repeat(255)).is_ok());
}

#[test]
fn defaults_are_those_of_a_docker_client() {
    for (text, expected) in [
        ("foo", "docker.io/library/foo:latest"),
        ("bar/foo:1", "docker.io/bar/foo:1"),
        ("index.docker.io/foo", "index.docker.io/library/foo:latest"),
        ("registry-1.docker.io/foo", "registry-1.docker.io/library/foo:latest"),
        ("quay.io/foo", "quay.io/foo:latest"),
    ] {
        assert_eq!(Reference::parse(text).unwrap().docker_client_defaults().exact(), expected);
    }
    let with_id = reference("", "", "foo", "", &format!("sha256:{HEX}")).docker_client_defaults();
    assert_eq!(with_id.tag, "latest");
}

#[test]
fn hub_names_turn_into_the_host_that_answers() {
    for (registry, insecure, url, host, port) in [
        ("", false, "https://", "docker.io", "443"),
        ("docker.io", false, "https://registry-1.docker.io", "registry-1.docker.io", "443"),
        ("index.docker.io", true, "https://registry-1.docker.io", "registry-1.docker.io", "80"),
        ("example.com:5000", true, "https://example.com:5000", "example.com", "5000"),
        ("example.com", true, "https://example.com", "example.com", "80"),
    ] {
        let reference = reference(registry, "", "foo", "", "");
        assert_eq!(reference.registry_url(), url);
        assert_eq!(reference.registry_host_port(insecure), (host.to_owned(), port.to_owned()));
    }
}

#[test]
fn printing_adds_the_hub_namespace_and_exact_does_not() {
    let id = format!("sha256:{HEX}");
    for (parts, exact, printed) in [
        (reference("", "", "foo", "", ""), "foo", "foo"),
        (reference("docker.io", "", "foo", "tag", ""), "docker.io/foo:tag", "docker.io/library/foo:tag"),
        (reference("bar", "", "foo", "tag", ""), "bar/foo:tag", "bar/foo:tag"),
        (reference("bar", "baz", "foo", "tag", "id3"), "bar/baz/foo:id3", "bar/baz/foo:id3"),
        (
            reference("bar", "baz", "foo", "tag", &id),
            &format!("bar/baz/foo@{id}"),
            &format!("bar/baz/foo@{id}"),
        ),
        (reference("bar", "baz", "", "tag", ""), "", ""),
    ] {
        assert_eq!(parts.exact(), exact);
        assert_eq!(parts.to_string(), printed);
    }
}

#[test]
fn narrower_and_wider_forms() {
    let id = format!("sha256:{HEX}");
    let full = reference("bar", "baz", "foo", "tag", &id);
    assert_eq!(full.clone().as_repository().exact(), "bar/baz/foo");
    assert_eq!(full.repository_name(), "baz/foo");
    assert_eq!(full.clone().most_specific(), reference("bar", "baz", "foo", "", &id));
    assert_eq!(reference("", "", "foo", "", "id").most_specific(), reference("", "", "foo", "id", ""));
    assert_eq!(reference("", "", "foo", "t", "id").most_specific(), reference("", "", "foo", "t", "id"));
    assert_eq!(reference("", "", "foo", "latest", "").minimal(), reference("", "", "foo", "", ""));
    for (text, expected) in [
        ("index.docker.io/library/foo:latest", "docker.io/foo"),
        ("registry-1.docker.io/bar/foo:1", "docker.io/bar/foo:1"),
        ("quay.io/library/foo:latest", "quay.io/library/foo"),
        ("library/foo:latest", "library/foo"),
    ] {
        assert_eq!(Reference::parse(text).unwrap().daemon_minimal().exact(), expected);
    }
}

#[test]
fn equality_looks_through_defaults_but_not_through_hub_aliases() {
    let parse = |text: &str| Reference::parse(text).unwrap();
    assert!(parse("foo").means_same(&parse("docker.io/library/foo:latest")));
    assert!(!parse("docker.io/foo").means_same(&parse("index.docker.io/foo")));
    assert!(!parse("foo:1").means_same(&parse("foo")));
}

#[test]
fn normalising_fills_in_domain_and_library() {
    for (text, expected) in [
        ("x:tag", "docker.io/library/x:tag"),
        ("a/b", "docker.io/a/b"),
        ("index.docker.io/x", "docker.io/library/x"),
        ("docker.io/a/b:1", "docker.io/a/b:1"),
        ("localhost/x", "localhost/x"),
        ("127.0.0.1:5001/library/python:3.6", "127.0.0.1:5001/library/python:3.6"),
        ("registry-1.docker.io/x", "registry-1.docker.io/x"),
    ] {
        assert_eq!(Named::parse(text).unwrap().to_string(), expected);
    }
    let named = Named::parse("nginx").unwrap().tag_by_default();
    assert_eq!(
        (named.host(), named.path(), named.tag()),
        ("registry-1.docker.io", "library/nginx", Some("latest"))
    );
    let pinned = named.with_digest(Digest::sha256(b""));
    assert_eq!(pinned.to_string(), format!("docker.io/library/nginx@{}", Digest::sha256(b"")));
    assert_eq!(pinned.clone().tag_by_default(), pinned);
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    fn component() -> impl Strategy<Value = String> {
        "[a-z0-9]{1,6}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}"
    }

    prop_compose! {
        fn spelled()(
            host in proptest::option::of("[a-z]{1,5}(\\.[a-z]{2,4}(:[0-9]{1,5})?|:[0-9]{1,5})"),
            path in proptest::collection::vec(component(), 2..5),
            tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}"),
            digest in proptest::option::of("sha256:[0-9a-f]{64}"),
        ) -> String {
            let mut text = host.map(|host| host + "/").unwrap_or_default() + &path.join("/");
            for (mark, part) in [(':', tag), ('@', digest)] {
                if let Some(part) = part {
                    text.push(mark);
                    text.push_str(&part);
                }
            }
            text
        }
    }

    proptest! {
        #[test]
        fn what_parses_prints_to_something_that_means_the_same(text in spelled()) {
            let parsed = Reference::parse(&text).unwrap().most_specific();
            let again = Reference::parse(&parsed.exact()).unwrap();
            prop_assert_eq!(&again, &parsed);
            let named = Named::try_from(&parsed).unwrap();
            prop_assert!(named.path().ends_with(&parsed.name));
        }

        #[test]
        fn normalising_is_idempotent(text in spelled()) {
            let named = Named::parse(&text).unwrap();
            prop_assert_eq!(Named::parse(&named.to_string()).unwrap(), named);
        }

        #[test]
        fn any_text_is_refused_or_parsed_without_panic(text in "\\PC{0,40}") {
            let _ = Reference::parse(&text);
            let _ = Named::parse(&text);
        }
    }
}
