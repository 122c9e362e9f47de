use super::*;

fn descriptor(content: &str) -> String {
    let digest = Digest::sha256(content.as_bytes());
    format!(r#"{{"mediaType":"application/x","digest":"{digest}","size":{}}}"#, content.len())
}

fn image(media_type: &str) -> String {
    let (config, layer) = (descriptor("config"), descriptor("layer"));
    format!(r#"{{"schemaVersion":2,{media_type}"config":{config},"layers":[{layer}]}}"#)
}

fn index(media_type: &str, children: usize) -> String {
    let child = descriptor("child")
        .replace('}', r#","platform":{"architecture":"arm64","os":"linux","variant":"v8"}}"#);
    format!(r#"{{"schemaVersion":2,{media_type}"manifests":[{}]}}"#, vec![child; children].join(","))
}

fn typed(media_type: &str) -> String {
    format!(r#""mediaType":"{media_type}","#)
}

fn check_refused(content_type: &str, text: String, expected: &str) {
    let error = Manifest::parse(content_type, text.into()).expect_err(expected);
    assert_eq!(error.to_string(), expected);
}

#[test]
fn the_content_type_decides_the_parser() {
    for media_type in [media::DOCKER_SCHEMA2, media::OCI_MANIFEST] {
        let text = image(&typed(media_type));
        let manifest = Manifest::parse(&format!("{media_type}; charset=utf-8"), text.clone().into()).unwrap();
        assert_eq!(manifest.media_type(), media_type);
        assert_eq!(manifest.digest(), &Digest::sha256(text.as_bytes()));
        assert_eq!(manifest.raw(), text.as_bytes());
        assert_eq!(manifest.image().unwrap().layers[0].digest, Digest::sha256(b"layer"));
        assert_eq!(manifest.children(), None);
    }
    for media_type in [media::DOCKER_LIST, media::OCI_INDEX] {
        let manifest =
            Manifest::parse(&media_type.to_uppercase(), index(&typed(media_type), 2).into()).unwrap();
        assert_eq!(manifest.media_type(), media_type);
        let platform = manifest.children().unwrap()[1].platform.clone().unwrap();
        assert_eq!((platform.architecture.as_str(), platform.variant.as_str()), ("arm64", "v8"));
        assert_eq!(manifest.kind_name(), "*manifestlist.DeserializedManifestList");
    }
}

#[test]
fn only_oci_manifests_may_leave_their_media_type_out() {
    assert_eq!(
        Manifest::parse(media::OCI_MANIFEST, image("").into()).unwrap().media_type(),
        media::OCI_MANIFEST
    );
    assert_eq!(
        Manifest::parse(media::OCI_INDEX, index("", 1).into()).unwrap().media_type(),
        media::OCI_INDEX
    );
    check_refused(
        media::DOCKER_SCHEMA2,
        image(""),
        "mediaType in manifest should be 'application/vnd.docker.distribution.manifest.v2+json' not ''",
    );
    check_refused(
        media::DOCKER_LIST,
        index("", 1),
        "mediaType in manifest list should be 'application/vnd.docker.distribution.manifest.list.v2+json' not ''",
    );
    check_refused(
        media::OCI_INDEX,
        index(&typed("x/y"), 1),
        "if present, mediaType in image index should be 'application/vnd.oci.image.index.v1+json' not 'x/y'",
    );
    check_refused(
        media::OCI_MANIFEST,
        image(&typed("x/y")),
        "if present, mediaType in manifest should be 'application/vnd.oci.image.manifest.v1+json' not 'x/y'",
    );
}

#[test]
fn what_is_both_manifest_and_index_is_refused() {
    let both = image("").replace("\"config\"", "\"manifests\":[],\"config\"");
    check_refused(media::OCI_MANIFEST, both.clone(), "ocimanifest: expected manifest but found index");
    check_refused(media::OCI_INDEX, both, "index: expected index but found manifest");
}

#[test]
fn sizes_and_counts_are_bounded() {
    assert!(Manifest::parse(media::OCI_INDEX, index("", limits::INDEX_CHILDREN).into()).is_ok());
    check_refused(
        media::OCI_INDEX,
        index("", limits::INDEX_CHILDREN + 1),
        "manifest has too many children: 1001, at most 1000 are allowed",
    );
    let padded = format!("{}{}", image(""), " ".repeat(5 * 1024 * 1024));
    let error = Manifest::parse(media::OCI_MANIFEST, padded.into()).unwrap_err();
    assert!(matches!(error, ManifestError::TooMany { what: "bytes", .. }));
}

#[test]
fn descriptors_must_be_usable() {
    check_refused(
        media::OCI_MANIFEST,
        image("").replace("sha256:", "sha256"),
        "invalid checksum digest format",
    );
    check_refused(
        media::OCI_MANIFEST,
        image("").replace("\"size\":6", "\"size\":-6"),
        "invalid descriptor size -6",
    );
    check_refused(media::OCI_MANIFEST, "{}".into(), "invalid checksum digest format");
    check_refused(
        media::OCI_MANIFEST,
        image("").replace("\"layers\":[", "\"layers\":{").replace("}]}", "}}}").replace("{{", "{\"x\":{"),
        "json: cannot unmarshal object into Go struct field Manifest.layers of type []distribution.Descriptor",
    );
}

#[test]
fn content_types_that_cannot_be_read_are_errors() {
    for (content_type, expected) in [
        ("/", "mime: no media type"),
        ("a b", "mime: expected slash after first token"),
        ("a/", "mime: expected token after slash"),
        ("a/b c", "mime: unexpected content after media subtype"),
    ] {
        check_refused(content_type, "{}".into(), expected);
    }
}

#[test]
fn a_digest_of_another_algorithm_is_checked_by_that_algorithm() {
    let text = image("");
    let manifest = Manifest::parse(media::OCI_MANIFEST, text.clone().into()).unwrap();
    assert!(manifest.has_digest(&Digest::of(crate::digest::Algorithm::Sha512, text.as_bytes())));
    assert!(!manifest.has_digest(&Digest::sha256(b"")));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(kind in 0_usize..6, bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
        let _ = Manifest::parse(media::ACCEPTED_MANIFESTS[kind], bytes.into());
    }
}
