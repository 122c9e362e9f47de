//! What the fields of every kind are: name, type, how lists and maps belong together, what must be there, and what it is
//! for.
//!
//! One static description serves everybody: OpenAPI documents and `explain` are printed from it, server-side apply merges
//! by it. The names of types and fields, their types and their merge keys are the contract with clients; the words are
//! our own. Kinds without a description of their own are [`open`](Object::open): their metadata is known, the rest is
//! whatever it is found to be.

mod core;
mod image;
mod imports;
mod meta;
mod project;
mod rbac;
mod stream;
mod user;
mod view;
mod workload;

pub use self::core::*;
pub use self::image::*;
pub use imports::*;
pub use meta::*;
pub use project::*;
pub use rbac::*;
pub use stream::*;
pub use user::*;
pub use view::*;
pub use workload::{SCALE, merging, workload};

/// The type of a value.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Text.
    Text,
    /// Bytes in base64.
    Bytes,
    /// A time in RFC 3339.
    Time,
    /// True or false.
    Bool,
    /// A small integer.
    Int32,
    /// An integer.
    Int64,
    /// An integer or text.
    IntOrText,
    /// An amount with a unit, as text or a plain number.
    Quantity,
    /// An object with fields of its own.
    Object(&'static Object),
    /// An object whose keys are free.
    Map(&'static Shape),
    /// A list.
    List(&'static Shape, Merge),
    /// Anything.
    Any,
}

/// How the items of a list belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// They are one value.
    Atomic,
    /// Each value is in it or not.
    Set,
    /// Items are the same when these fields are. Strategic merge patches only look at the first.
    ByKey(&'static [&'static str]),
}

/// One field of an object.
#[derive(Debug)]
pub struct Field {
    /// Its name in documents.
    pub name: &'static str,
    /// Its type.
    pub shape: Shape,
    /// What it is for.
    pub doc: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// Whether what is left out reads as the zero value, or as the text in `default`.
    pub filled: bool,
    /// What a text that is left out reads as.
    pub default: &'static str,
    /// Whether a strategic merge patch replaces it as a whole.
    pub replaced: bool,
}

/// A type with fields.
#[derive(Debug)]
pub struct Object {
    /// Its full name in OpenAPI documents.
    pub name: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// Its fields, by name.
    pub fields: &'static [Field],
    /// Whether it is one value, owned and replaced as a whole.
    pub atomic: bool,
    /// Whether it may have other fields too.
    pub open: bool,
    /// Group, version and kind, for objects that are sent on their own.
    pub kind: Option<(&'static str, &'static str, &'static str)>,
}

/// A field; see [`Field`].
const fn field(name: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field { name, shape, doc, required: false, filled: false, default: "", replaced: false }
}

impl Field {
    const fn required(mut self) -> Field {
        self.required = true;
        self
    }

    const fn filled(mut self) -> Field {
        self.filled = true;
        self
    }

    const fn filled_with(mut self, default: &'static str) -> Field {
        self.filled = true;
        self.default = default;
        self
    }

    const fn replaced(mut self) -> Field {
        self.replaced = true;
        self
    }
}

impl Object {
    /// An object that may hold anything.
    pub(crate) const FREE: Object = Object::new("dev.weir.Free", "Anything.", &[]).open();

    const fn new(name: &'static str, doc: &'static str, fields: &'static [Field]) -> Object {
        Object { name, doc, fields, atomic: false, open: false, kind: None }
    }

    const fn atomic(mut self) -> Object {
        self.atomic = true;
        self
    }

    const fn open(mut self) -> Object {
        self.open = true;
        self
    }

    const fn kind(mut self, group: &'static str, version: &'static str, kind: &'static str) -> Object {
        self.kind = Some((group, version, kind));
        self
    }

    /// The description of one field.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// Objects of kinds that nobody described: only the metadata is known.
pub static UNDESCRIBED: Object = Object::new(
    "dev.weir.Object",
    "An object whose fields are not described here.",
    &[
        field("apiVersion", Shape::Text, "Group and version of this object. Requests need not say it."),
        field("kind", Shape::Text, "The kind of this object. Requests need not say it."),
        field("metadata", Shape::Object(&OBJECT_META), "Standard object metadata.").filled(),
    ],
)
.open();

/// Every kind that is described.
static KINDS: &[&Object] = &[
    &IMAGE,
    &IMAGE_SIGNATURE,
    &IMAGE_STREAM,
    &IMAGE_STREAM_IMAGE,
    &IMAGE_STREAM_IMPORT,
    &IMAGE_STREAM_LAYERS,
    &IMAGE_STREAM_MAPPING,
    &IMAGE_STREAM_TAG,
    &IMAGE_TAG,
    &SECRET_LIST,
    &NAMESPACE,
    &SECRET,
    &CONFIG_MAP,
    &SERVICE_ACCOUNT,
    &LIMIT_RANGE,
    &RESOURCE_QUOTA,
    &ROLE,
    &CLUSTER_ROLE,
    &ROLE_BINDING,
    &CLUSTER_ROLE_BINDING,
    &PROJECT,
    &PROJECT_REQUEST,
    &GROUP,
    &SCALE,
];

/// The description of a kind.
pub fn of(group: &str, version: &str, kind: &str) -> Option<&'static Object> {
    KINDS.iter().copied().find(|object| object.kind == Some((group, version, kind)))
}

#[cfg(test)]
mod tests;
