//! Server-side apply: who owns which fields of an object, and what becomes of it when a manager says what it wants.
//!
//! The rules are those of Kubernetes' structured merge: an apply owns every field that it sets, removes those that it
//! set before and nobody else owns, and conflicts with other managers whose fields it would change. Every other write
//! takes over what it changes. Everything is a function of documents, entries and a time; documents carry no entries
//! themselves.

mod compare;
mod element;
mod last_applied;
mod managers;
mod merge;
mod owned;
mod set;
mod shape;
#[cfg(test)]
mod testing;
mod typed;

use serde_json::{Map, Value};

pub use element::Element;
pub use managers::{Manager, Operation, name_of};
pub use set::Set;

use self::managers::{Entry, Managers};
use crate::meta::{ManagedFieldsEntry, StatusCause, StatusDetails};
use crate::schema::{Object, Shape};
use crate::status::ApiError;
use crate::time::Time;

/// Who owned everything in objects that nobody kept entries for.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// One server-side apply.
#[derive(Debug)]
pub struct Apply<'a> {
    /// The type of the object.
    pub object: &'static Object,
    /// The object as it is, with its type header and without entries.
    pub live: &'a Value,
    /// An object of the kind in which nothing is set.
    pub empty: &'a Value,
    /// The entries of the object as it is.
    pub entries: &'a [ManagedFieldsEntry],
    /// Who applies.
    pub manager: &'a Manager,
    /// Whether fields are taken over from others.
    pub force: bool,
    /// The time.
    pub now: Time,
}

/// What an apply led to.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The object without entries; `None` when nothing changes.
    pub object: Option<Value>,
    /// Its entries.
    pub entries: Vec<ManagedFieldsEntry>,
}

impl Apply<'_> {
    /// Applies a document.
    ///
    /// # Errors
    /// 400 for a document of another kind or with entries, 500 without reason for one that does not fit the type, 409 for
    /// fields that others own.
    pub fn run(&self, document: &Value) -> Result<Applied, ApiError> {
        self.check_document(document)?;
        let mut managers = Managers::decode(self.entries)
            .map_err(|error| ApiError::plain(format!("failed to decode managed fields: {error}")))?;
        if managers.is_empty() {
            let before = Manager {
                name: BEFORE_FIRST_APPLY.to_owned(),
                operation: Operation::Update,
                ..self.manager.clone()
            };
            managers = change(self.object, self.empty, self.live, managers, &before, self.now);
        }
        let shape = Shape::Object(self.object);
        typed::check(document, shape, false).map_err(|misfits| self.untyped("patch", document, &misfits))?;
        typed::check(self.live, shape, true).map_err(|misfits| self.untyped("live", self.live, &misfits))?;
        let again = last_applied::may_permit(self).then(|| managers.clone());
        let outcome = self.merge(document, managers, self.force).or_else(|conflicts| {
            let Some(managers) = again else { return Err(conflicts) };
            last_applied::permit(self, conflicts)?;
            self.merge(document, managers, true)
        });
        let (object, managers) = outcome.map_err(|conflicts| conflicts.to_error())?;
        let object = last_applied::renew(self, object, document);
        Ok(Applied { object, entries: managers.encode() })
    }

    fn check_document(&self, document: &Value) -> Result<(), ApiError> {
        let text = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let live = |key: &str| self.live.get(key).and_then(Value::as_str).unwrap_or_default();
        if (api_version, kind) != (live("apiVersion"), live("kind")) {
            return Err(ApiError::bad_request(format!("invalid object type: {}", kind_of(document))));
        }
        if document.pointer("/metadata/managedFields").is_some_and(|entries| !entries.is_null()) {
            return Err(ApiError::bad_request("metadata.managedFields must be nil"));
        }
        Ok(())
    }

    fn untyped(&self, which: &str, document: &Value, misfits: &typed::Misfits) -> ApiError {
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        ApiError::plain(format!(
            "failed to create typed {which} object ({}/{}; {}): {misfits}",
            text("/metadata/namespace"),
            text("/metadata/name"),
            kind_of(document)
        ))
    }

    fn merge(
        &self,
        document: &Value,
        mut managers: Managers,
        force: bool,
    ) -> Result<(Option<Value>, Managers), Conflicts> {
        let shape = Shape::Object(self.object);
        let (time, last) = managers.take(self.manager);
        let wanted = owned::fields(document, shape);
        let fields_left_out = !last.is_subset(&wanted);
        managers.set(Entry { manager: self.manager.clone(), time, fields: wanted });
        let mut merged = merge::merge(self.live, document, shape);
        if fields_left_out {
            merged = prune(&merged, &managers, &last, shape);
        }
        let found = compare::compare(self.live, &merged, shape);
        settle(&mut managers, &found, self.manager, force)?;
        strip(&mut managers, self.manager);
        if found.is_same() {
            return Ok((None, managers));
        }
        if let Some(entry) = managers.0.iter_mut().find(|entry| entry.manager == *self.manager) {
            entry.time = Some(self.now);
        }
        managers.cap();
        Ok((Some(merged), managers))
    }
}

/// Group, version and kind as messages have them.
fn kind_of(document: &Value) -> String {
    let text = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let slash = if api_version.contains('/') { "" } else { "/" };
    format!("{slash}{api_version}, Kind={kind}")
}

/// One write that is no apply.
#[derive(Debug)]
pub struct Update<'a> {
    /// The type of the object.
    pub object: &'static Object,
    /// The object before: without entries; one in which nothing is set when the object is new.
    pub before: &'a Value,
    /// The object as it is to be, without entries.
    pub after: &'a Value,
    /// The entries of the object before.
    pub entries: &'a [ManagedFieldsEntry],
    /// The entries in the request, which may set them directly; those of writes through subresources may not.
    pub sent: &'a [ManagedFieldsEntry],
    /// Whether the object is new.
    pub is_new: bool,
    /// Who writes.
    pub manager: &'a Manager,
    /// The time.
    pub now: Time,
}

impl Update<'_> {
    /// The entries after the write.
    pub fn run(&self) -> Vec<ManagedFieldsEntry> {
        let managers = self.managers();
        // What nobody kept entries for stays so until the first apply.
        if managers.is_empty() && !self.is_new {
            return Vec::new();
        }
        let shape = Shape::Object(self.object);
        let fits = |document| typed::check(document, shape, true).is_ok();
        if !fits(self.before) || !fits(self.after) {
            return managers.encode();
        }
        let mut managers = change(self.object, self.before, self.after, managers, self.manager, self.now);
        managers.cap();
        let entries = managers.encode();
        // A write that only renews times is none.
        let only_times = !self.is_new
            && same_without_times(&entries, self.entries)
            && element::same(self.before, self.after);
        if only_times { self.entries.to_vec() } else { entries }
    }

    /// The entries that the write starts from: those in the request where it sets them, else those of the object.
    fn managers(&self) -> Managers {
        let direct =
            self.manager.subresource.is_empty() && !self.sent.is_empty() && self.sent != self.entries;
        if direct {
            if self.sent == [ManagedFieldsEntry::default()] {
                return Managers::default();
            }
            // Clients that know nothing of entries send none, or nonsense, without meaning it.
            if let Ok(sent) = Managers::decode(self.sent)
                && !sent.is_empty()
            {
                return sent;
            }
        }
        Managers::decode(self.entries).unwrap_or_default()
    }
}

fn same_without_times(a: &[ManagedFieldsEntry], b: &[ManagedFieldsEntry]) -> bool {
    let timeless = |entry: &ManagedFieldsEntry| ManagedFieldsEntry { time: None, ..entry.clone() };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| timeless(a) == timeless(b))
}

/// Makes a manager the owner of what it changed.
fn change(
    object: &'static Object,
    before: &Value,
    after: &Value,
    mut managers: Managers,
    manager: &Manager,
    now: Time,
) -> Managers {
    let found = compare::compare(before, after, Shape::Object(object));
    // Nobody else keeps what is changed or gone, whoever they are: also this manager's own entry of before.
    take_away(&mut managers, &found, None);
    managers.drop_empty();
    let mut mine = found.added.union(found.modified);
    mine.remove(&unowned());
    if !mine.is_empty() {
        let (_, held) = managers.take(manager);
        managers.set(Entry { manager: manager.clone(), time: Some(now), fields: mine.union(held) });
    }
    managers
}

/// Takes what an apply changes from other managers.
///
/// # Errors
/// [`Conflicts`] when there is something to take and that is not wanted.
fn settle(
    managers: &mut Managers,
    found: &compare::Comparison,
    by: &Manager,
    force: bool,
) -> Result<(), Conflicts> {
    if !force && managers.0.iter().any(|entry| entry.manager != *by) {
        let touched = found.modified.clone().union(found.added.clone());
        let mut conflicts: Vec<(Manager, Set)> = Vec::new();
        for entry in managers.0.iter().filter(|entry| entry.manager != *by) {
            let fields = entry.fields.intersection(&touched);
            if !fields.is_empty() {
                conflicts.push((entry.manager.clone(), fields));
            }
        }
        if !conflicts.is_empty() {
            conflicts.sort_by_cached_key(|(manager, _)| manager.shown());
            return Err(Conflicts(conflicts));
        }
    }
    take_away(managers, found, Some(by));
    managers.drop_empty();
    Ok(())
}

/// Takes what was changed or removed from everybody but one.
fn take_away(managers: &mut Managers, found: &compare::Comparison, but: Option<&Manager>) {
    for entry in managers.0.iter_mut().filter(|entry| Some(&entry.manager) != but) {
        for gone in [&found.modified, &found.added, &found.removed] {
            entry.fields.remove(gone);
        }
    }
}

/// Takes out what the manager set before, left out now, and nobody else owns.
fn prune(merged: &Value, managers: &Managers, last: &Set, shape: Shape) -> Value {
    let named = |set: &Set| owned::with_named_fields(set, Some(shape));
    let last = named(last);
    let pruned = merge::remove(merged, &last, shape);
    // What anybody owns comes back, with all that is needed to hold it.
    let all = named(&owned::fields(merged, shape));
    let kept = named(&owned::fields(&pruned, shape)).union(named(&managers.everything()));
    let pruned = merge::remove(merged, &all.difference(&kept), shape);
    // And what went along although the manager had never set it.
    let left = named(&owned::fields(&pruned, shape));
    merge::remove(merged, &all.difference(&left).intersection(&last), shape)
}

/// Identity and bookkeeping belong to the server.
fn strip(managers: &mut Managers, manager: &Manager) {
    if let Some(entry) = managers.0.iter_mut().find(|entry| entry.manager == *manager) {
        entry.fields.remove(&unowned());
    }
    managers.drop_empty();
}

fn unowned() -> Set {
    const METADATA: [&str; 9] = [
        "clusterName",
        "creationTimestamp",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "selfLink",
        "uid",
    ];
    let mut set = Set::default();
    for name in ["apiVersion", "kind", "metadata"] {
        set.insert(&[Element::field(name)]);
    }
    for name in METADATA {
        set.insert(&[Element::field("metadata"), Element::field(name)]);
    }
    set
}

/// Fields that others own and that an apply would change.
#[derive(Debug)]
struct Conflicts(Vec<(Manager, Set)>);

impl Conflicts {
    fn to_error(&self) -> ApiError {
        let causes: Vec<StatusCause> = self
            .0
            .iter()
            .flat_map(|(manager, fields)| {
                let message = format!("conflict with {}", manager.shown());
                fields.paths().into_iter().map(move |field| StatusCause {
                    reason: "FieldManagerConflict".to_owned(),
                    message: message.clone(),
                    field,
                })
            })
            .collect();
        let message = match causes.as_slice() {
            [one] => format!("Apply failed with 1 conflict: {}: {}", one.message, one.field),
            several => {
                let mut lines = Vec::new();
                for (manager, fields) in &self.0 {
                    lines.push(format!("conflicts with {}:", manager.shown()));
                    lines.extend(fields.paths().into_iter().map(|path| format!("- {path}")));
                }
                format!("Apply failed with {} conflicts: {}", several.len(), lines.join("\n"))
            }
        };
        let details = StatusDetails { causes, ..StatusDetails::default() };
        ApiError::new(409, "Conflict", message).with_details(details)
    }
}

/// An object of a kind in which nothing is set, for kinds without a type of their own.
pub fn empty(api_version: &str, kind: &str) -> Value {
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    object.insert("metadata".to_owned(), Value::Object(Map::new()));
    Value::Object(object)
}

#[cfg(test)]
mod tests;
