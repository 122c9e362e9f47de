//! Answers before they are put into the form that the client wants.

use bytes::Bytes;
use machinery::meta::{ListMeta, Status};

use crate::body::Body;
use crate::resource::Resource;

/// An answer: JSON that is ready, or what it is made of.
#[derive(Debug)]
pub enum Reply {
    /// One object with its type header and a newline.
    Object {
        /// HTTP status.
        code: u16,
        /// The object.
        bytes: Bytes,
        /// Whether it is an answer in its own right, not an object of the resource: then it has one form only.
        plain: bool,
    },
    /// A list of objects.
    List {
        /// The list's metadata.
        metadata: ListMeta,
        /// Items without type header: each lacks its opening brace.
        items: Vec<Bytes>,
        /// Kind of the items where it is not the resource's own.
        of: Option<&'static Resource>,
    },
    /// A watch.
    Watch(Body),
}

impl Reply {
    /// An object of the resource.
    pub fn object(code: u16, bytes: impl Into<Bytes>) -> Reply {
        Reply::Object { code, bytes: bytes.into(), plain: false }
    }

    /// An answer that has one form only.
    pub fn plain(code: u16, bytes: impl Into<Bytes>) -> Reply {
        Reply::Object { code, bytes: bytes.into(), plain: true }
    }

    /// A Status.
    pub fn status(code: u16, status: &Status) -> Reply {
        Reply::plain(code, status.to_json())
    }

    /// A list of objects of the resource.
    pub fn list(metadata: ListMeta, items: Vec<Bytes>) -> Reply {
        Reply::List { metadata, items, of: None }
    }
}
