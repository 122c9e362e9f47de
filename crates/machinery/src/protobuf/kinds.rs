//! Plain kinds, reviews and options as Kubernetes' own clients send them: in protobuf, without a choice.
//!
//! Only what is read from such a body counts here: it becomes the JSON form, and everything behind works on that. Field
//! numbers are Kubernetes'; what a kind has beyond these fields is nothing that its clients set.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{DecodeError, open};
use crate::meta::{LocalObjectReference, ObjectMeta, ObjectReference};

/// Reads the object in an envelope into its JSON form, with its type header. `None` for a kind that is not known here.
///
/// # Errors
/// [`DecodeError`] when the bytes cannot be read.
pub fn to_json(bytes: &[u8]) -> Result<Option<Value>, DecodeError> {
    let envelope = open(bytes)?;
    let kind = envelope.type_meta.kind.as_str();
    let Some(read) = KINDS.iter().find(|(known, _)| *known == kind).map(|(_, read)| read) else {
        return Ok(None);
    };
    let mut value = read(&envelope.raw)?;
    value["kind"] = kind.into();
    value["apiVersion"] = envelope.type_meta.api_version.into();
    Ok(Some(value))
}

type Read = fn(&[u8]) -> Result<Value, DecodeError>;

fn read<T: Message + Default + Serialize>(bytes: &[u8]) -> Result<Value, DecodeError> {
    Ok(serde_json::to_value(T::decode(bytes)?)?)
}

/// The kinds, by name: no two groups have one of the same name.
const KINDS: &[(&str, Read)] = &[
    ("Namespace", read::<Namespace>),
    ("Secret", read::<Secret>),
    ("ConfigMap", read::<ConfigMap>),
    ("ServiceAccount", read::<ServiceAccount>),
    ("ResourceQuota", read::<ResourceQuota>),
    ("LimitRange", read::<LimitRange>),
    ("Role", read::<Role>),
    ("ClusterRole", read::<Role>),
    ("RoleBinding", read::<Binding>),
    ("ClusterRoleBinding", read::<Binding>),
    ("SelfSubjectReview", read::<Bare>),
    ("TokenReview", read::<TokenReview>),
    ("TokenRequest", read::<TokenRequest>),
    ("SelfSubjectAccessReview", read::<AccessReview>),
    ("SubjectAccessReview", read::<AccessReview>),
    ("LocalSubjectAccessReview", read::<AccessReview>),
    ("SelfSubjectRulesReview", read::<RulesReview>),
    ("DeleteOptions", read::<DeleteOptions>),
];

/// Messages whose fields are all printed when they are set.
macro_rules! messages {
    ($($(#[$about:meta])* $name:ident { $($field:ident: $type:ty = [$($tag:tt)*] $(with $with:literal)?;)* })*) => {$(
        $(#[$about])*
        #[derive(Clone, PartialEq, Serialize, Message)]
        #[serde(rename_all = "camelCase")]
        struct $name {
            $(
                #[prost($($tag)*)]
                #[serde(skip_serializing_if = "is_unset" $(, serialize_with = $with)?)]
                $field: $type,
            )*
        }
    )*};
}

messages! {
    /// An object of which only the metadata is sent.
    Bare { metadata: Option<ObjectMeta> = [message, optional, tag = "1"]; }
    Namespace {
        metadata: Option<ObjectMeta> = [message, optional, tag = "1"];
        spec: Option<NamespaceSpec> = [message, optional, tag = "2"];
    }
    NamespaceSpec { finalizers: Vec<String> = [string, repeated, tag = "1"]; }
    Secret {
        metadata: Option<ObjectMeta> = [message, optional, tag = "1"];
        data: BTreeMap<String, Vec<u8>> = [btree_map = "string, bytes", tag = "2"] with "base64_values";
        r#type: String = [string, tag = "3"];
        string_data: BTreeMap<String, String> = [btree_map = "string, string", tag = "4"];
        immutable: Option<bool> = [bool, optional, tag = "5"];
    }
    ConfigMap {
        metadata: Option<ObjectMeta> = [message, optional, tag = "1"];
        data: BTreeMap<String, String> = [btree_map = "string, string", tag = "2"];
        binary_data: BTreeMap<String, Vec<u8>> = [btree_map = "string, bytes", tag = "3"] with "base64_values";
        immutable: Option<bool> = [bool, optional, tag = "4"];
    }
    ServiceAccount {
        metadata: Option<ObjectMeta> = [message, optional, tag = "1"];
        secrets: Vec<ObjectReference> = [message, repeated, tag = "2"];
        image_pull_secrets: Vec<LocalObjectReference> = [message, repeated, tag = "3"];
        automount_service_account_token: Option<bool> = [bool, optional, tag = "4"];
    }
    ResourceQuota {
        metadata: Option<ObjectMeta> = [message, optional, tag = "1"];
        spec: Option<ResourceQuotaSpec> = [message, optional, tag = "2"];
    }
    ResourceQuotaSpec {
        hard: BTreeMap<String, Quantity> = [btree_map = "string, message", tag = "1"];
        scopes: Vec<String> = [string, repeated, tag = "2"];
    }
    LimitRange {
        metadata: Option<ObjectMeta> = [message, optional, tag = "1"];
        spec: Option<LimitRangeSpec> = [message, optional, tag = "2"];
    }
    LimitRangeSpec { limits: Vec<LimitRangeItem> = [message, repeated, tag = "1"]; }
    LimitRangeItem {
        r#type: String = [string, tag = "1"];
        max: BTreeMap<String, Quantity> = [btree_map = "string, message", tag = "2"];
        min: BTreeMap<String, Quantity> = [btree_map = "string, message", tag = "3"];
        default: BTreeMap<String, Quantity> = [btree_map = "string, message", tag = "4"];
        default_request: BTreeMap<String, Quantity> = [btree_map = "string, message", tag = "5"];
        max_limit_request_ratio: BTreeMap<String, Quantity> = [btree_map = "string, message", tag = "6"];
    }
    Role {
        metadata: Option<ObjectMeta> = [message, optional, tag = "1"];
        rules: Vec<PolicyRule> = [message, repeated, tag = "2"];
        aggregation_rule: Option<AggregationRule> = [message, optional, tag = "3"];
    }
    AggregationRule { cluster_role_selectors: Vec<LabelSelector> = [message, repeated, tag = "1"]; }
    LabelSelector {
        match_labels: BTreeMap<String, String> = [btree_map = "string, string", tag = "1"];
        match_expressions: Vec<LabelRequirement> = [message, repeated, tag = "2"];
    }
    LabelRequirement {
        key: String = [string, tag = "1"];
        operator: String = [string, tag = "2"];
        values: Vec<String> = [string, repeated, tag = "3"];
    }
    Binding {
        metadata: Option<ObjectMeta> = [message, optional, tag = "1"];
        subjects: Vec<Subject> = [message, repeated, tag = "2"];
        role_ref: Option<RoleRef> = [message, optional, tag = "3"];
    }
    Subject {
        kind: String = [string, tag = "1"];
        api_group: String = [string, tag = "2"];
        name: String = [string, tag = "3"];
        namespace: String = [string, tag = "4"];
    }
    RoleRef {
        api_group: String = [string, tag = "1"];
        kind: String = [string, tag = "2"];
        name: String = [string, tag = "3"];
    }
    TokenReview {
        metadata: Option<ObjectMeta> = [message, optional, tag = "1"];
        spec: Option<TokenReviewSpec> = [message, optional, tag = "2"];
    }
    TokenReviewSpec {
        token: String = [string, tag = "1"];
        audiences: Vec<String> = [string, repeated, tag = "2"];
    }
    TokenRequest {
        metadata: Option<ObjectMeta> = [message, optional, tag = "1"];
        spec: Option<TokenRequestSpec> = [message, optional, tag = "2"];
    }
    TokenRequestSpec {
        audiences: Vec<String> = [string, repeated, tag = "1"];
        bound_object_ref: Option<BoundObject> = [message, optional, tag = "3"];
        expiration_seconds: Option<i64> = [int64, optional, tag = "4"];
    }
    BoundObject {
        kind: String = [string, tag = "1"];
        api_version: String = [string, tag = "2"];
        name: String = [string, tag = "3"];
        uid: String = [string, tag = "4"];
    }
    AccessReview {
        metadata: Option<ObjectMeta> = [message, optional, tag = "1"];
        spec: Option<AccessReviewSpec> = [message, optional, tag = "2"];
    }
    /// Those about oneself leave out who is meant.
    AccessReviewSpec {
        resource_attributes: Option<ResourceAttributes> = [message, optional, tag = "1"];
        non_resource_attributes: Option<PathAttributes> = [message, optional, tag = "2"];
        user: String = [string, tag = "3"];
        groups: Vec<String> = [string, repeated, tag = "4"];
        extra: BTreeMap<String, Extra> = [btree_map = "string, message", tag = "5"];
        uid: String = [string, tag = "6"];
    }
    ResourceAttributes {
        namespace: String = [string, tag = "1"];
        verb: String = [string, tag = "2"];
        group: String = [string, tag = "3"];
        version: String = [string, tag = "4"];
        resource: String = [string, tag = "5"];
        subresource: String = [string, tag = "6"];
        name: String = [string, tag = "7"];
    }
    PathAttributes {
        path: String = [string, tag = "1"];
        verb: String = [string, tag = "2"];
    }
    RulesReview {
        metadata: Option<ObjectMeta> = [message, optional, tag = "1"];
        spec: Option<RulesReviewSpec> = [message, optional, tag = "2"];
    }
    RulesReviewSpec { namespace: String = [string, tag = "1"]; }
    DeleteOptions {
        grace_period_seconds: Option<i64> = [int64, optional, tag = "1"];
        preconditions: Option<Preconditions> = [message, optional, tag = "2"];
        orphan_dependents: Option<bool> = [bool, optional, tag = "3"];
        propagation_policy: Option<String> = [string, optional, tag = "4"];
        dry_run: Vec<String> = [string, repeated, tag = "5"];
    }
    Preconditions {
        uid: Option<String> = [string, optional, tag = "1"];
        resource_version: Option<String> = [string, optional, tag = "2"];
    }
}

/// The name of one field is no plain camel case.
#[derive(Clone, PartialEq, Eq, Serialize, Message)]
#[serde(rename_all = "camelCase")]
struct PolicyRule {
    #[prost(string, repeated, tag = "1")]
    verbs: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    #[serde(skip_serializing_if = "is_unset")]
    api_groups: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    #[serde(skip_serializing_if = "is_unset")]
    resources: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    #[serde(skip_serializing_if = "is_unset")]
    resource_names: Vec<String>,
    #[prost(string, repeated, tag = "5")]
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "is_unset")]
    non_resource_urls: Vec<String>,
}

/// An amount: its text alone is the JSON form.
#[derive(Clone, PartialEq, Eq, Serialize, Message)]
#[serde(transparent)]
struct Quantity {
    #[prost(string, tag = "1")]
    string: String,
}

/// Several values: the list alone is the JSON form.
#[derive(Clone, PartialEq, Eq, Serialize, Message)]
#[serde(transparent)]
struct Extra {
    #[prost(string, repeated, tag = "1")]
    items: Vec<String>,
}

/// True for what protobuf does not tell from absence.
fn is_unset<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn base64_values<S: Serializer>(
    values: &BTreeMap<String, Vec<u8>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(values.iter().map(|(key, value)| (key, STANDARD.encode(value))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protobuf::{MAGIC, TypeMeta, Unknown};

    fn sent(api_version: &str, kind: &str, raw: Vec<u8>) -> Vec<u8> {
        let type_meta = TypeMeta { api_version: api_version.to_owned(), kind: kind.to_owned() };
        let envelope = Unknown { type_meta, raw, ..Default::default() };
        [MAGIC.as_slice(), &envelope.encode_to_vec()].concat()
    }

    #[test]
    fn a_secret_is_read_as_its_json() {
        let metadata = ObjectMeta { name: "s".to_owned(), ..Default::default() };
        let secret = Secret {
            metadata: Some(metadata),
            data: BTreeMap::from([("a".to_owned(), b"x".to_vec())]),
            r#type: "Opaque".to_owned(),
            ..Default::default()
        };
        let value = to_json(&sent("v1", "Secret", secret.encode_to_vec())).unwrap().unwrap();
        assert_eq!(
            value,
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "eA=="}, "type": "Opaque"})
        );
    }

    #[test]
    fn bytes_of_other_programs_are_read() {
        // {rules: [{verbs: [get], nonResourceURLs: [/x]}]} and {spec: {hard: {a: 1}}}, put together by hand.
        let role = b"\x12\x09\x0a\x03get\x2a\x02/x";
        let value =
            to_json(&sent("rbac.authorization.k8s.io/v1", "ClusterRole", role.to_vec())).unwrap().unwrap();
        assert_eq!(value["rules"], json!([{"verbs": ["get"], "nonResourceURLs": ["/x"]}]));
        let quota = b"\x12\x0a\x0a\x08\x0a\x01a\x12\x03\x0a\x011";
        let value = to_json(&sent("v1", "ResourceQuota", quota.to_vec())).unwrap().unwrap();
        assert_eq!(value["spec"], json!({"hard": {"a": "1"}}));
        let options = b"\x12\x03\x0a\x01u\x22\x0aBackground\x2a\x03All";
        let value =
            to_json(&sent("image.openshift.io/v1", "DeleteOptions", options.to_vec())).unwrap().unwrap();
        assert_eq!(
            value,
            json!({"apiVersion": "image.openshift.io/v1", "kind": "DeleteOptions", "preconditions": {"uid": "u"}, "propagationPolicy": "Background", "dryRun": ["All"]})
        );
    }

    #[test]
    fn other_kinds_are_not_known() {
        assert_eq!(to_json(&sent("apps/v1", "Deployment", Vec::new())).unwrap(), None);
        assert!(to_json(&sent("v1", "Secret", vec![0xff])).is_err());
        assert!(to_json(b"{}").is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, kind in 0..KINDS.len()) {
            let _ = to_json(&sent("v1", KINDS[kind].0, bytes));
        }
    }
}
