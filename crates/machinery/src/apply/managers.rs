//! Who owns which fields: the entries of `metadata.managedFields`, decoded.
//!
//! A manager that applies and one that updates are two, even under one name; so are those that write through different
//! subresources. Entries are written sorted: applies first, then by time and name.

use crate::RawExtension;
use crate::limits::MAX_UPDATE_MANAGERS;
use crate::meta::ManagedFieldsEntry;
use crate::time::Time;

use super::set::Set;

/// How a manager writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Server-side apply: the manager says all that it wants.
    Apply,
    /// Everything else: the manager changed something.
    Update,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        }
    }
}

/// Who writes, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// Its name.
    pub name: String,
    /// How it writes.
    pub operation: Operation,
    /// Group and version through which it writes.
    pub api_version: String,
    /// Subresource through which it writes; empty for the object itself.
    pub subresource: String,
}

impl Manager {
    /// True when both are one: who applies is the same through every version.
    fn is_same(&self, other: &Manager) -> bool {
        self.name == other.name
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    /// The manager as conflicts name it.
    pub(super) fn shown(&self) -> String {
        let mut text = crate::field::quote(&self.name);
        if !self.subresource.is_empty() {
            text.push_str(" with subresource ");
            text.push_str(&crate::field::quote(&self.subresource));
        }
        if self.operation == Operation::Update {
            text.push_str(" using ");
            text.push_str(&self.api_version);
        }
        text
    }

    fn order(&self, other: &Manager) -> std::cmp::Ordering {
        (&self.name, &self.api_version, &self.subresource).cmp(&(
            &other.name,
            &other.api_version,
            &other.subresource,
        ))
    }
}

/// What one manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) manager: Manager,
    pub(super) time: Option<Time>,
    pub(super) fields: Set,
}

/// What every manager owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Managers(pub(super) Vec<Entry>);

/// Entries that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadEntries(String);

impl Managers {
    /// Reads entries as they stand in objects.
    pub(super) fn decode(entries: &[ManagedFieldsEntry]) -> Result<Managers, BadEntries> {
        let mut managers = Managers::default();
        for entry in entries {
            let operation = match entry.operation.as_str() {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                other => {
                    return Err(BadEntries(format!("operation must be `Apply` or `Update`, not {other:?}")));
                }
            };
            if entry.fields_type != "FieldsV1" {
                return Err(BadEntries(format!("fieldsType must be FieldsV1, not {:?}", entry.fields_type)));
            }
            let fields = match &entry.fields_v1 {
                Some(raw) if !raw.is_zero() => {
                    Set::from_json(&raw.raw).map_err(|error| BadEntries(error.to_string()))?
                }
                _ => Set::default(),
            };
            let manager = Manager {
                name: entry.manager.clone(),
                operation,
                api_version: entry.api_version.clone(),
                subresource: entry.subresource.clone(),
            };
            managers.set(Entry { manager, time: entry.time, fields });
        }
        Ok(managers)
    }

    /// The entries as they stand in objects.
    pub(super) fn encode(mut self) -> Vec<ManagedFieldsEntry> {
        let seconds = |entry: &Entry| entry.time.and_then(|time| time.seconds).unwrap_or(0);
        self.0.sort_by(|a, b| {
            let operation = a.manager.operation.cmp(&b.manager.operation);
            operation.then(seconds(a).cmp(&seconds(b))).then_with(|| a.manager.order(&b.manager))
        });
        let encoded = self.0.into_iter().map(|entry| ManagedFieldsEntry {
            manager: entry.manager.name,
            operation: entry.manager.operation.as_str().to_owned(),
            api_version: entry.manager.api_version,
            time: entry.time,
            fields_type: "FieldsV1".to_owned(),
            fields_v1: Some(RawExtension::from_json(entry.fields.to_json())),
            subresource: entry.manager.subresource,
        });
        encoded.collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a manager owns, and since when; its entry stays, empty, until it is [`set`](Managers::set) again.
    pub(super) fn take(&mut self, manager: &Manager) -> (Option<Time>, Set) {
        let entry = self.0.iter_mut().find(|entry| entry.manager.is_same(manager));
        entry.map(|entry| (entry.time, std::mem::take(&mut entry.fields))).unwrap_or_default()
    }

    /// Puts an entry in the place of the one of the same manager.
    pub(super) fn set(&mut self, entry: Entry) {
        match self.0.iter_mut().find(|held| held.manager.is_same(&entry.manager)) {
            Some(held) => *held = entry,
            None => self.0.push(entry),
        }
    }

    /// Forgets managers that own nothing.
    pub(super) fn drop_empty(&mut self) {
        self.0.retain(|entry| !entry.fields.is_empty());
    }

    /// Everything that anybody owns.
    pub(super) fn everything(&self) -> Set {
        self.0.iter().fold(Set::default(), |all, entry| all.union(entry.fields.clone()))
    }

    /// Folds the oldest updaters into one entry for old changes when there are too many of them.
    pub(super) fn cap(&mut self) {
        let mut updaters: Vec<usize> =
            (0..self.0.len()).filter(|at| self.0[*at].manager.operation == Operation::Update).collect();
        if updaters.len() <= MAX_UPDATE_MANAGERS {
            return;
        }
        updaters.sort_by(|a, b| {
            let (a, b) = (&self.0[*a], &self.0[*b]);
            let seconds = |entry: &Entry| entry.time.and_then(|time| time.seconds).unwrap_or(0);
            seconds(a).cmp(&seconds(b)).then_with(|| a.manager.order(&b.manager))
        });
        let surplus = updaters.len() - MAX_UPDATE_MANAGERS;
        // Two become one, and every further one joins them; each version has an entry of its own.
        let mut oldest: Vec<Entry> = Vec::new();
        let mut folded: Vec<usize> = Vec::new();
        let mut seen: Vec<(String, usize)> = Vec::new();
        let mut saved = 0;
        for at in updaters {
            if saved == surplus {
                break;
            }
            let entry = &self.0[at];
            let version = &entry.manager.api_version;
            match seen.iter().find(|(known, _)| known == version) {
                None => seen.push((version.clone(), at)),
                Some((_, first)) => {
                    let bucket = oldest.iter_mut().find(|bucket| bucket.manager.api_version == *version);
                    match bucket {
                        Some(bucket) => {
                            bucket.fields = std::mem::take(&mut bucket.fields).union(entry.fields.clone());
                            bucket.time = entry.time;
                        }
                        None => {
                            let fields = self.0[*first].fields.clone().union(entry.fields.clone());
                            let manager = Manager {
                                name: ANCIENT.to_owned(),
                                operation: Operation::Update,
                                api_version: version.clone(),
                                subresource: String::new(),
                            };
                            oldest.push(Entry { manager, time: entry.time, fields });
                            folded.push(*first);
                        }
                    }
                    folded.push(at);
                    saved += 1;
                }
            }
        }
        let mut at = 0;
        self.0.retain(|_| {
            at += 1;
            !folded.contains(&(at - 1))
        });
        for bucket in oldest {
            self.set(bucket);
        }
    }
}

/// Who owns what the oldest updaters owned.
const ANCIENT: &str = "ancient-changes";

/// The manager's name when a request names none: the first word of its user agent, `unknown` without one.
pub fn name_of(field_manager: &str, user_agent: &str) -> String {
    if !field_manager.is_empty() {
        return field_manager.to_owned();
    }
    let mut name = String::new();
    for c in user_agent.split('/').next().unwrap_or_default().chars().filter(|c| !c.is_control()) {
        if name.len() + c.len_utf8() > crate::limits::MAX_FIELD_MANAGER_BYTES {
            break;
        }
        name.push(c);
    }
    if name.is_empty() { "unknown".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn updater(index: usize) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: format!("m{index:02}"),
            operation: "Update".to_owned(),
            api_version: "v1".to_owned(),
            time: Some(Time::from_unix(i64::try_from(index).unwrap() + 1)),
            fields_type: "FieldsV1".to_owned(),
            fields_v1: Some(RawExtension::from_json(format!("{{\"f:f{index}\":{{}}}}").into_bytes())),
            ..Default::default()
        }
    }

    #[test]
    fn managers_without_a_name_have_that_of_their_program() {
        assert_eq!(name_of("me", "oc/4.20"), "me");
        assert_eq!(name_of("", "oc/4.20 (linux/amd64)"), "oc");
        assert_eq!(name_of("", ""), "unknown");
        assert_eq!(name_of("", "\u{7}b\n/1"), "b");
        assert_eq!(name_of("", &"x".repeat(1000)).len(), 128);
    }

    #[test]
    fn the_oldest_changes_become_one_entry() {
        let entries: Vec<_> = (0..13).map(updater).collect();
        let mut managers = Managers::decode(&entries).unwrap();
        let all = managers.everything();
        managers.cap();
        assert_eq!(managers.0.len(), MAX_UPDATE_MANAGERS);
        assert_eq!(managers.everything(), all);
        let encoded = managers.encode();
        assert_eq!(encoded[0].manager, "ancient-changes");
        assert_eq!(encoded[0].time, Some(Time::from_unix(4)));
        assert_eq!(encoded[1].manager, "m04");
    }

    #[test]
    fn entries_are_sorted_and_come_back() {
        let mut apply = updater(9);
        apply.operation = "Apply".to_owned();
        let entries = vec![updater(2), updater(1), apply];
        let encoded = Managers::decode(&entries).unwrap().encode();
        let names: Vec<_> = encoded.iter().map(|entry| entry.manager.as_str()).collect();
        assert_eq!(names, ["m09", "m01", "m02"]);
        assert_eq!(Managers::decode(&encoded).unwrap().encode(), encoded);
    }

    #[test]
    fn entries_that_cannot_be_understood_are_refused() {
        let check = |change: fn(&mut ManagedFieldsEntry)| {
            let mut entry = updater(0);
            change(&mut entry);
            assert!(Managers::decode(&[entry]).is_err());
        };
        check(|entry| entry.operation = "Replace".to_owned());
        check(|entry| entry.fields_type = "FieldsV2".to_owned());
        check(|entry| entry.fields_v1 = Some(RawExtension::from_json(b"{\"x\":{}}".to_vec())));
    }
}
