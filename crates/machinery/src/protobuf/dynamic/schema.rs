//! The messages of Kubernetes' kinds as data: which field has which number, name and type.
//!
//! `kubernetes.txt` is the source; it is read once. Messages never contain themselves (a test insists), so that reading
//! and writing end at the depth of the table however deep the bytes pretend to be.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The kinds that have a protobuf form here, with group and version.
pub(crate) const KINDS: &[(&str, &str)] = &[
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("authentication.k8s.io/v1", "SelfSubjectReview"),
    ("authentication.k8s.io/v1", "TokenRequest"),
    ("authentication.k8s.io/v1", "TokenReview"),
    ("authorization.k8s.io/v1", "LocalSubjectAccessReview"),
    ("authorization.k8s.io/v1", "SelfSubjectAccessReview"),
    ("authorization.k8s.io/v1", "SelfSubjectRulesReview"),
    ("authorization.k8s.io/v1", "SubjectAccessReview"),
    ("autoscaling/v1", "Scale"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
    ("meta.k8s.io/v1", "PartialObjectMetadata"),
    ("meta.k8s.io/v1beta1", "PartialObjectMetadata"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("v1", "ConfigMap"),
    ("v1", "Event"),
    ("v1", "LimitRange"),
    ("v1", "Namespace"),
    ("v1", "Pod"),
    ("v1", "ReplicationController"),
    ("v1", "ResourceQuota"),
    ("v1", "Secret"),
    ("v1", "ServiceAccount"),
    ("v1", "Status"),
];

/// All messages, and where each is.
#[derive(Debug)]
pub(crate) struct Schema {
    messages: Vec<Message>,
    by_name: BTreeMap<&'static str, usize>,
}

/// One message: its fields by number.
#[derive(Debug)]
pub(crate) struct Message {
    /// What it is called.
    pub(crate) name: &'static str,
    /// Its fields, by number.
    pub(crate) fields: Vec<Field>,
}

/// One field.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its number in the message.
    pub(crate) number: u32,
    /// Its name in JSON; empty for a message whose fields belong to the one around it.
    pub(crate) name: &'static str,
    /// How often it may be there.
    pub(crate) many: Many,
    /// What it holds.
    pub(crate) kind: Kind,
    /// Whether its zero is told apart from its absence.
    pub(crate) pointer: bool,
}

/// How often a field may be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Many {
    One,
    List,
    Map,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Bool,
    Int,
    Double,
    /// Base64 in JSON.
    Bytes,
    /// Seconds and nanoseconds; RFC 3339 in JSON, to the second.
    Time,
    /// The same to the microsecond.
    MicroTime,
    /// Its text alone is the JSON form.
    Quantity,
    /// A number or text.
    IntOrString,
    /// JSON inside.
    Raw,
    /// A list in a message of its own; the list alone is the JSON form.
    Texts,
    /// Another message, by its place in the table.
    Message(usize),
}

/// Tests know the messages of image kinds, too, as facts to hold their types against.
#[cfg(test)]
const MESSAGES: &str =
    concat!(include_str!("../kubernetes.txt"), include_str!("../../../tests/data/image-protobuf.txt"));
#[cfg(not(test))]
const MESSAGES: &str = include_str!("../kubernetes.txt");

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::read(MESSAGES));

/// The message of a kind; `None` for a kind that has none.
pub(crate) fn message_of(api_version: &str, kind: &str) -> Option<&'static Message> {
    KINDS.contains(&(api_version, kind)).then(|| SCHEMA.named(kind)).flatten()
}

/// The message of a field that holds one.
pub(crate) fn message_at(place: usize) -> &'static Message {
    &SCHEMA.messages[place]
}

/// A message by its name alone, for options, which clients send with any version.
pub(crate) fn named(name: &str) -> Option<&'static Message> {
    SCHEMA.named(name)
}

impl Schema {
    fn named(&self, name: &str) -> Option<&Message> {
        self.by_name.get(name).map(|&place| &self.messages[place])
    }

    fn read(text: &'static str) -> Schema {
        let lines = || text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let names = lines().filter(|line| !line.starts_with(' '));
        let by_name: BTreeMap<&'static str, usize> =
            names.enumerate().map(|(place, name)| (name, place)).collect();
        let mut messages: Vec<Message> = Vec::with_capacity(by_name.len());
        for line in lines() {
            match line.strip_prefix("  ") {
                None => messages.push(Message { name: line, fields: Vec::new() }),
                Some(field) => {
                    let message = messages.last_mut().expect("a field stands below its message");
                    message.fields.push(Field::read(field, &by_name));
                }
            }
        }
        Schema { messages, by_name }
    }
}

impl Field {
    fn read(line: &'static str, by_name: &BTreeMap<&'static str, usize>) -> Field {
        let mut words = line.split(' ');
        let number = words.next().and_then(|word| word.parse().ok()).expect("a field has a number");
        let name = words.next().filter(|name| *name != "<").unwrap_or_default();
        let word = words.next().expect("a field has a type");
        let (many, word) = match (word.strip_prefix("[]"), word.strip_prefix("{}")) {
            (Some(word), _) => (Many::List, word),
            (_, Some(word)) => (Many::Map, word),
            _ => (Many::One, word),
        };
        let (pointer, word) = word.strip_prefix('*').map_or((false, word), |word| (true, word));
        let kind = match word {
            "string" => Kind::Text,
            "bool" => Kind::Bool,
            "int" => Kind::Int,
            "double" => Kind::Double,
            "bytes" => Kind::Bytes,
            "time" => Kind::Time,
            "microtime" => Kind::MicroTime,
            "quantity" => Kind::Quantity,
            "intorstring" => Kind::IntOrString,
            "raw" => Kind::Raw,
            "texts" => Kind::Texts,
            message => Kind::Message(*by_name.get(message).expect("a type is a word or a message")),
        };
        Field { number, name, many, kind, pointer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(message: &Message, above: usize) -> usize {
        assert!(above < 20, "{} contains itself", message.name);
        let inner = message.fields.iter().filter_map(|field| match field.kind {
            Kind::Message(place) => Some(depth(message_at(place), above + 1)),
            _ => None,
        });
        inner.max().unwrap_or(above)
    }

    #[test]
    fn no_message_contains_itself() {
        for message in &SCHEMA.messages {
            assert!(depth(message, 0) < 20, "{}", message.name);
        }
    }

    #[test]
    fn every_kind_has_a_message_whose_numbers_are_in_order_and_whose_names_differ() {
        for (api_version, kind) in KINDS {
            assert!(message_of(api_version, kind).is_some(), "{kind}");
        }
        for message in &SCHEMA.messages {
            let numbers: Vec<u32> = message.fields.iter().map(|field| field.number).collect();
            assert!(numbers.is_sorted_by(|a, b| a < b), "{}", message.name);
            let mut names: Vec<&str> = message.fields.iter().map(|field| field.name).collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{}", message.name);
        }
    }
}
