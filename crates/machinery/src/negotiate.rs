//! What form an answer takes and what form a body has: `Accept`, `Content-Type`, `pretty`.
//!
//! `Accept` is read as Kubernetes reads it: clauses by weight, parameters `as`, `v` and `g` ask for another kind of
//! document, `stream=watch` for a stream. A clause that asks for what the resource does not offer is passed over; when
//! none is left the answer is 406.

use crate::limits::MAX_ACCEPT_CLAUSES;
use crate::meta::StatusDetails;
use crate::query;
use crate::status::ApiError;

/// How a document is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/json`
    Json,
    /// `application/yaml`
    Yaml,
    /// `application/vnd.kubernetes.protobuf`
    Protobuf,
}

const ENCODINGS: [Encoding; 3] = [Encoding::Json, Encoding::Yaml, Encoding::Protobuf];
const MEDIA_TYPES: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

impl Encoding {
    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Encoding::Json => "application/json",
            Encoding::Yaml => "application/yaml",
            Encoding::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    fn subtype(self) -> &'static str {
        match self {
            Encoding::Json => "json",
            Encoding::Yaml => "yaml",
            Encoding::Protobuf => "vnd.kubernetes.protobuf",
        }
    }
}

/// The versions of `meta.k8s.io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaVersion {
    /// `v1`
    V1,
    /// `v1beta1`
    V1Beta1,
}

impl MetaVersion {
    /// Group and version, as they stand in documents.
    pub const fn api_version(self) -> &'static str {
        match self {
            MetaVersion::V1 => "meta.k8s.io/v1",
            MetaVersion::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// The versions of aggregated discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoveryVersion {
    /// `v2`
    V2,
    /// `v2beta1`
    V2Beta1,
}

/// What kind of document an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The object or list itself.
    Object,
    /// A table for people.
    Table(MetaVersion),
    /// Only the metadata of one object.
    Metadata(MetaVersion),
    /// Only the metadata of a list's objects.
    MetadataList(MetaVersion),
    /// All groups with their resources in one document.
    Discovery(DiscoveryVersion),
}

/// What a resource can answer with, beside JSON and YAML of the object itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// The object as protobuf.
    pub protobuf: bool,
    /// Tables.
    pub table: bool,
    /// Metadata alone.
    pub metadata: bool,
    /// Aggregated discovery.
    pub discovery: bool,
}

/// The form that was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// How it is encoded.
    pub encoding: Encoding,
    /// What it is.
    pub form: Form,
    /// The clause asked for indentation.
    pub pretty: bool,
}

impl Accepted {
    /// The value of `Content-Type`.
    pub fn content_type(&self) -> &'static str {
        match self.form {
            Form::Discovery(DiscoveryVersion::V2) => {
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            }
            Form::Discovery(DiscoveryVersion::V2Beta1) => {
                "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
            }
            _ => self.encoding.media_type(),
        }
    }

    /// Refuses the metadata form of one object for a list and the reverse. `type_name` says the kind, as
    /// `image.ImageStream`; of a list, `image.ImageStreamList`.
    ///
    /// # Errors
    /// 406.
    pub fn check_shape(&self, is_list: bool, type_name: impl FnOnce() -> String) -> Result<(), ApiError> {
        match (self.form, is_list) {
            (Form::Metadata(_), true) => Err(ApiError::not_acceptable(format!(
                "you requested PartialObjectMetadata, but the requested object is a list (*{})",
                type_name()
            ))),
            (Form::MetadataList(_), false) => Err(ApiError::not_acceptable(format!(
                "you requested PartialObjectMetadataList, but the requested object is not a list (*{})",
                type_name()
            ))),
            _ => Ok(()),
        }
    }
}

/// One clause of an `Accept` header.
struct Clause<'a> {
    r#type: &'a str,
    subtype: &'a str,
    weight: u16,
    parameters: &'a str,
}

/// Chooses the form of an answer. What is offered is asked for only when the header leaves a choice.
///
/// # Errors
/// 406 when nothing that is offered is accepted.
pub fn accept(header: Option<&str>, offer: impl FnOnce() -> Offer) -> Result<Accepted, ApiError> {
    let header = header.map(str::trim).unwrap_or_default();
    if header.is_empty() || header == Encoding::Json.media_type() {
        return Ok(Accepted { encoding: Encoding::Json, form: Form::Object, pretty: false });
    }
    let offer = offer();
    let mut clauses: Vec<Clause<'_>> =
        header.split(',').take(MAX_ACCEPT_CLAUSES).filter_map(Clause::parse).collect();
    if !clauses.iter().any(|clause| ENCODINGS.iter().any(|&encoding| clause.names(encoding))) {
        let message = format!("406: Not Acceptable\n\nAvailable representations: {MEDIA_TYPES}");
        return Err(ApiError::not_acceptable(message).with_details(StatusDetails::default()));
    }
    clauses.sort_by_key(|clause| {
        (std::cmp::Reverse(clause.weight), clause.r#type == "*", clause.subtype == "*")
    });
    clauses.iter().find_map(|clause| clause.fits(offer)).ok_or_else(|| {
        ApiError::not_acceptable(format!("only the following media types are accepted: {MEDIA_TYPES}"))
    })
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Option<Clause<'a>> {
        let (media_type, parameters) = text.split_once(';').unwrap_or((text, ""));
        let (r#type, subtype) = media_type.trim().split_once('/')?;
        let mut clause = Clause { r#type, subtype, weight: 1000, parameters };
        if let Some(weight) = clause.parameters().find(|(key, _)| *key == "q").map(|(_, value)| value) {
            clause.weight = thousandths(weight);
        }
        (clause.weight > 0).then_some(clause)
    }

    fn parameters(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.parameters.split(';').filter_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            Some((key.trim(), value.trim().trim_matches('"')))
        })
    }

    fn names(&self, encoding: Encoding) -> bool {
        match (self.r#type, self.subtype) {
            ("*" | "application", "*") => true,
            ("application", subtype) => subtype == encoding.subtype(),
            _ => false,
        }
    }

    fn fits(&self, offer: Offer) -> Option<Accepted> {
        let (mut kind, mut group, mut version, mut pretty) = ("", "", "", false);
        for (key, value) in self.parameters() {
            match key {
                "as" => kind = value,
                "g" => group = value,
                "v" => version = value,
                "stream" if !matches!(value, "" | "watch") => return None,
                "pretty" => pretty = value == "1",
                _ => {}
            }
        }
        let asked = !(kind.is_empty() && group.is_empty() && version.is_empty());
        ENCODINGS.iter().filter(|&&encoding| self.names(encoding)).find_map(|&encoding| {
            let form = if asked { form(kind, group, version, encoding, offer)? } else { Form::Object };
            let metadata = matches!(form, Form::Metadata(_) | Form::MetadataList(_));
            let offered =
                encoding != Encoding::Protobuf || metadata || (offer.protobuf && form == Form::Object);
            offered.then_some(Accepted { encoding, form, pretty })
        })
    }
}

fn form(kind: &str, group: &str, version: &str, encoding: Encoding, offer: Offer) -> Option<Form> {
    match group {
        "meta.k8s.io" => {
            let version = match version {
                "v1" => MetaVersion::V1,
                "v1beta1" => MetaVersion::V1Beta1,
                _ => return None,
            };
            match kind {
                "Table" if offer.table && encoding != Encoding::Protobuf => Some(Form::Table(version)),
                "PartialObjectMetadata" if offer.metadata => Some(Form::Metadata(version)),
                "PartialObjectMetadataList" if offer.metadata => Some(Form::MetadataList(version)),
                _ => None,
            }
        }
        "apidiscovery.k8s.io" if offer.discovery && encoding == Encoding::Json => match (kind, version) {
            ("APIGroupDiscoveryList", "v2") => Some(Form::Discovery(DiscoveryVersion::V2)),
            ("APIGroupDiscoveryList", "v2beta1") => Some(Form::Discovery(DiscoveryVersion::V2Beta1)),
            _ => None,
        },
        _ => None,
    }
}

/// A weight in thousandths; nonsense counts as 1.
fn thousandths(text: &str) -> u16 {
    match text.parse::<f32>() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0) as u16,
        _ => 1000,
    }
}

/// The encoding of a body; none, or `*/*`, is JSON.
///
/// # Errors
/// 415 for any other media type.
pub fn body_encoding(content_type: Option<&str>) -> Result<Encoding, ApiError> {
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if matches!(media_type, "" | "*/*") {
        return Ok(Encoding::Json);
    }
    let found = ENCODINGS.into_iter().find(|encoding| media_type.eq_ignore_ascii_case(encoding.media_type()));
    found.ok_or_else(|| {
        ApiError::unsupported_media_type(format!(
            "the body of the request was in an unknown format - accepted media types include: {MEDIA_TYPES}"
        ))
    })
}

/// Whether JSON is indented: the parameter `pretty` says so, or, without it, the client is one that people look at.
pub fn wants_pretty(query: &str, user_agent: Option<&str>) -> bool {
    let asked = if query.contains("pretty") { query::first(query, "pretty") } else { None };
    match asked.as_deref() {
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
        Some(text) if !text.is_empty() => false,
        _ => user_agent.is_some_and(|agent| {
            ["curl", "Wget", "Mozilla/5.0"].iter().any(|known| agent.starts_with(known))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Offer = Offer { protobuf: true, table: true, metadata: true, discovery: false };
    const LITTLE: Offer = Offer { protobuf: false, table: false, metadata: true, discovery: false };
    const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

    fn chosen(header: &str, offer: Offer) -> (Encoding, Form) {
        let accepted = accept(Some(header), || offer).unwrap_or_else(|error| panic!("{header}: {error}"));
        (accepted.encoding, accepted.form)
    }

    #[test]
    fn the_best_clause_that_is_offered_wins() {
        let check = |header: &str, offer: Offer, want: (Encoding, Form)| {
            assert_eq!(chosen(header, offer), want, "{header}");
        };
        check("", ALL, (Encoding::Json, Form::Object));
        check("*/*", ALL, (Encoding::Json, Form::Object));
        check("application/json, */*", ALL, (Encoding::Json, Form::Object));
        check("application/yaml", ALL, (Encoding::Yaml, Form::Object));
        check(
            "text/html, application/yaml;q=0.5, application/json;q=0.9",
            ALL,
            (Encoding::Json, Form::Object),
        );
        check(
            "application/vnd.kubernetes.protobuf,application/json",
            ALL,
            (Encoding::Protobuf, Form::Object),
        );
        check("application/vnd.kubernetes.protobuf,application/json", LITTLE, (Encoding::Json, Form::Object));
        let metadata = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
        check(metadata, LITTLE, (Encoding::Protobuf, Form::Metadata(MetaVersion::V1)));
        check("application/json;stream=watch", ALL, (Encoding::Json, Form::Object));
        check(TABLE, ALL, (Encoding::Json, Form::Table(MetaVersion::V1)));
        let kubectl = format!("{TABLE},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json");
        check(&kubectl, ALL, (Encoding::Json, Form::Table(MetaVersion::V1)));
        check(&kubectl, LITTLE, (Encoding::Json, Form::Object));
        let metadata = "application/yaml;as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io";
        check(metadata, LITTLE, (Encoding::Yaml, Form::Metadata(MetaVersion::V1Beta1)));
    }

    #[test]
    fn discovery_says_its_form_in_the_content_type() {
        let offer = Offer { discovery: true, ..Offer::default() };
        let header = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
        let accepted = accept(Some(header), || offer).unwrap();
        assert_eq!(accepted.form, Form::Discovery(DiscoveryVersion::V2));
        assert_eq!(
            accepted.content_type(),
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        );
        assert_eq!(accept(Some(header), || ALL).unwrap().form, Form::Object);
    }

    #[test]
    fn what_cannot_be_had_is_not_acceptable() {
        let check = |header: &str, offer: Offer, want: &str, details: Option<StatusDetails>| {
            let error = accept(Some(header), || offer).unwrap_err();
            assert_eq!((error.code(), error.to_string().as_str()), (406, want), "{header}");
            assert_eq!(error.0.details, details);
        };
        check(
            "text/html",
            ALL,
            "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, \
             application/vnd.kubernetes.protobuf",
            Some(StatusDetails::default()),
        );
        let only = "only the following media types are accepted: application/json, application/yaml, \
                    application/vnd.kubernetes.protobuf";
        check(TABLE, LITTLE, only, None);
        check("application/json;as=Table;v=v7;g=meta.k8s.io", ALL, only, None);
        check("application/vnd.kubernetes.protobuf", LITTLE, only, None);
        check(
            "application/json;q=0",
            ALL,
            "406: Not Acceptable\n\nAvailable representations: application/json, \
            application/yaml, application/vnd.kubernetes.protobuf",
            Some(StatusDetails::default()),
        );
    }

    #[test]
    fn metadata_forms_must_fit_what_is_asked_for() {
        let accepted =
            Accepted { encoding: Encoding::Json, form: Form::Metadata(MetaVersion::V1), pretty: false };
        accepted.check_shape(false, || "image.ImageStream".to_owned()).unwrap();
        assert_eq!(
            accepted.check_shape(true, || "image.ImageStreamList".to_owned()).unwrap_err().to_string(),
            "you requested PartialObjectMetadata, but the requested object is a list (*image.ImageStreamList)"
        );
        let accepted = Accepted { form: Form::MetadataList(MetaVersion::V1), ..accepted };
        assert_eq!(
            accepted.check_shape(false, || "image.ImageStream".to_owned()).unwrap_err().to_string(),
            "you requested PartialObjectMetadataList, but the requested object is not a list (*image.ImageStream)"
        );
    }

    #[test]
    fn bodies_name_their_encoding() {
        assert_eq!(body_encoding(None), Ok(Encoding::Json));
        assert_eq!(body_encoding(Some("application/yaml; charset=utf-8")), Ok(Encoding::Yaml));
        assert_eq!(body_encoding(Some("Application/JSON")), Ok(Encoding::Json));
        let error = body_encoding(Some("text/plain")).unwrap_err();
        assert_eq!((error.code(), error.reason()), (415, "UnsupportedMediaType"));
    }

    #[test]
    fn people_get_indented_json() {
        assert!(wants_pretty("pretty=true", None));
        assert!(wants_pretty("", Some("curl/8.0")));
        assert!(!wants_pretty("pretty=false", Some("curl/8.0")));
        assert!(!wants_pretty("", Some("oc/4.21")));
        assert!(wants_pretty("pretty=", Some("Mozilla/5.0 (X11)")));
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_answered(header in "[a-z/;=*,. 0-9]{0,60}") {
            let _ = accept(Some(&header), || ALL);
        }
    }
}
