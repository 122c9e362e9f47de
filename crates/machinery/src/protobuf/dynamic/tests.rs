//! What Kubernetes' writers send is read as its JSON; what is generated is the same in both encodings.

use proptest::prelude::*;
use serde_json::{Map, json};

use super::schema::{Field, KINDS, Kind, Many, Message, message_at, message_of};
use super::*;
use crate::protobuf::transcode;

fn sent(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    use crate::protobuf::{MAGIC, TypeMeta, Unknown};
    use prost::Message as _;
    let type_meta = TypeMeta { api_version: api_version.to_owned(), kind: kind.to_owned() };
    let envelope = Unknown { type_meta, raw: raw.to_vec(), ..Default::default() };
    [MAGIC.as_slice(), &envelope.encode_to_vec()].concat()
}

fn read(api_version: &str, kind: &str, raw: &[u8]) -> Value {
    to_json(&sent(api_version, kind, raw)).unwrap().unwrap()
}

#[test]
fn bytes_of_other_programs_are_read() {
    // {rules: [{verbs: [get], nonResourceURLs: [/x]}]} and so on, put together by hand.
    let role = read("rbac.authorization.k8s.io/v1", "ClusterRole", b"\x12\x09\x0a\x03get\x2a\x02/x");
    assert_eq!(role["rules"], json!([{"verbs": ["get"], "nonResourceURLs": ["/x"]}]));
    let quota = read("v1", "ResourceQuota", b"\x12\x0a\x0a\x08\x0a\x01a\x12\x03\x0a\x011");
    assert_eq!(quota["spec"], json!({"hard": {"a": "1"}}));
    let options = read(
        "image.openshift.io/v1",
        "DeleteOptions",
        b"\x08\x00\x12\x03\x0a\x01u\x22\x0aBackground\x2a\x03All",
    );
    assert_eq!(
        options,
        json!({"apiVersion": "image.openshift.io/v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
               "preconditions": {"uid": "u"}, "propagationPolicy": "Background", "dryRun": ["All"]})
    );
}

#[test]
fn zeros_are_left_out_unless_they_mean_something() {
    // spec: {replicas: 0, paused: false, template: {spec: {hostNetwork: false, terminationGracePeriodSeconds: 0}}}
    let raw = b"\x12\x0e\x08\x00\x38\x00\x1a\x08\x12\x06\x58\x00\x20\x00\x0a\x00";
    let deployment = read("apps/v1", "Deployment", raw);
    assert_eq!(
        deployment["spec"],
        json!({"replicas": 0, "template": {"spec": {"terminationGracePeriodSeconds": 0, "volumes": [{}]}}})
    );
}

#[test]
fn values_with_a_form_of_their_own_are_read_and_written() {
    let pod = json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": "p", "creationTimestamp": "2024-02-03T04:05:06Z",
                     "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}]},
        "spec": {
            "volumes": [{"name": "v", "emptyDir": {}},
                        {"name": "c", "configMap": {"name": "x", "optional": false}}],
            "containers": [{
                "name": "a",
                "resources": {"limits": {"cpu": "100m"}},
                "livenessProbe": {"httpGet": {"port": "http"}, "periodSeconds": 3},
                "readinessProbe": {"tcpSocket": {"port": 80}},
            }],
        },
    });
    let bytes = transcode::object("v1", "Pod", pod.to_string().as_bytes()).unwrap();
    assert_eq!(to_json(&bytes).unwrap().unwrap(), pod);
}

#[test]
fn times_to_the_microsecond_stay_so() {
    let event = json!({"kind": "Event", "apiVersion": "v1", "eventTime": "2024-02-03T04:05:06.000007Z"});
    let bytes = transcode::object("v1", "Event", event.to_string().as_bytes()).unwrap();
    assert_eq!(to_json(&bytes).unwrap().unwrap(), event);
}

#[test]
fn other_kinds_are_not_known() {
    assert_eq!(to_json(&sent("apps.openshift.io/v1", "DeploymentConfig", b"")).unwrap(), None);
    assert_eq!(to_json(&sent("apps/v1beta1", "Deployment", b"")).unwrap(), None);
    assert!(to_json(b"{}").is_err());
}

#[test]
fn broken_messages_are_refused() {
    let refused = |raw: &[u8]| to_json(&sent("v1", "Secret", raw)).unwrap_err().to_string();
    assert!(refused(b"\xff").contains("cannot be read"));
    assert!(refused(b"\x0a\xff\xff\xff\xff\x0f").contains("cut off"));
    assert!(refused(b"\x1a\x01\xff").contains("UTF-8"));
    // A number where the message has text.
    assert!(refused(b"\x18\x01").contains("cannot be read"));
}

#[test]
fn what_a_field_cannot_hold_is_named() {
    let misfit = |spec: Value| from_json("apps/v1", "Deployment", &json!({ "spec": spec })).unwrap_err();
    assert_eq!(
        misfit(json!({"replicas": "x"})).to_string(),
        "DeploymentSpec.replicas cannot hold this value"
    );
    assert_eq!(misfit(json!({"template": {"spec": {"containers": {}}}})).field, "containers");
}

/// Values that the reader gives back as they are: no zeros that are left out.
fn value(field: &'static Field, depth: u32) -> BoxedStrategy<Value> {
    let single = match field.kind {
        Kind::Text | Kind::Quantity => "[a-z]{1,5}".prop_map(Value::from).boxed(),
        Kind::Bool => Just(Value::Bool(true)).boxed(),
        // Some are small in their types.
        Kind::Int => (1..i64::from(i32::MAX)).prop_map(Value::from).boxed(),
        Kind::Double => (1u8..9).prop_map(|n| f64::from(n) / 2.0).prop_map(Value::from).boxed(),
        Kind::Bytes => Just(json!("eA==")).boxed(),
        Kind::Time => Just(json!("2024-02-03T04:05:06Z")).boxed(),
        Kind::MicroTime => Just(json!("2024-02-03T04:05:06.123456Z")).boxed(),
        Kind::IntOrString => prop_oneof![Just(json!(0)), Just(json!(-7)), Just(json!("10%"))].boxed(),
        Kind::Raw => Just(json!({"f:x": {".": {}}})).boxed(),
        Kind::Texts => Just(json!(["a", "b"])).boxed(),
        Kind::Message(place) => object(message_at(place), depth),
    };
    match field.many {
        Many::One => single,
        Many::List => prop::collection::vec(single, 1..3).prop_map(Value::Array).boxed(),
        Many::Map => prop::collection::btree_map("[a-z]{1,3}", single, 1..3)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
            .boxed(),
    }
}

/// An object with some of a message's fields.
fn object(message: &'static Message, depth: u32) -> BoxedStrategy<Value> {
    if depth == 0 {
        return Just(json!({})).boxed();
    }
    let fields =
        prop::sample::subsequence(message.fields.iter().collect::<Vec<_>>(), 0..=message.fields.len().min(4));
    let filled = fields.prop_flat_map(move |fields| {
        fields
            .into_iter()
            .map(|field| value(field, depth - 1).prop_map(move |value| (field, value)))
            .collect::<Vec<_>>()
    });
    filled
        .prop_map(|fields| {
            let mut object = Map::new();
            for (field, value) in fields {
                match value {
                    Value::Object(inner) if field.name.is_empty() => object.extend(inner),
                    value => drop(object.insert(field.name.to_owned(), value)),
                }
            }
            Value::Object(object)
        })
        .boxed()
}

fn any_object() -> impl Strategy<Value = (&'static str, &'static str, Value)> {
    prop::sample::select(KINDS.to_vec()).prop_flat_map(|named| {
        let (api_version, kind): (&'static str, &'static str) = named;
        let message = message_of(api_version, kind).unwrap();
        object(message, 5).prop_map(move |mut object| {
            object["kind"] = kind.into();
            object["apiVersion"] = api_version.into();
            (api_version, kind, object)
        })
    })
}

const IMAGE_KINDS: &[&str] = &[
    "Image",
    "ImageSignature",
    "ImageStream",
    "ImageStreamImage",
    "ImageStreamImport",
    "ImageStreamLayers",
    "ImageStreamMapping",
    "ImageStreamTag",
    "ImageTag",
];

fn any_image_object() -> impl Strategy<Value = (&'static str, Value)> {
    prop::sample::select(IMAGE_KINDS.to_vec())
        .prop_flat_map(|kind| object(schema::named(kind).unwrap(), 6).prop_map(move |object| (kind, object)))
}

/// Leaves out fields that hold nothing: some types write them all the same.
fn pruned(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, pruned(value)));
            Value::Object(fields.filter(|(_, value)| *value != json!({})).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(pruned).collect()),
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn generated_objects_are_the_same_in_both_encodings((api_version, kind, object) in any_object()) {
        let bytes = transcode::object(api_version, kind, object.to_string().as_bytes()).unwrap();
        prop_assert_eq!(to_json(&bytes).unwrap().unwrap(), object);
    }

    /// The types of image kinds put every field where the facts have it.
    #[test]
    fn image_kinds_are_the_same_in_both_encodings((kind, object) in any_image_object()) {
        let group = crate::image::GROUP_VERSION;
        let bytes = transcode::object(group, kind, object.to_string().as_bytes()).unwrap();
        let mut found = Map::new();
        read::message(schema::named(kind).unwrap(), &open(&bytes).unwrap().raw, &mut found).unwrap();
        prop_assert_eq!(pruned(Value::Object(found)), pruned(object));
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, kind in 0..KINDS.len()) {
        let _ = to_json(&sent(KINDS[kind].0, KINDS[kind].1, &bytes));
    }

    #[test]
    fn no_damage_panics((api_version, kind, object) in any_object(), at: prop::sample::Index, byte: u8) {
        let mut bytes = transcode::object(api_version, kind, object.to_string().as_bytes()).unwrap();
        let place = at.index(bytes.len());
        bytes[place] = byte;
        let _ = to_json(&bytes);
    }
}
