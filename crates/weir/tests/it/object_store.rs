//! An object store in a folder of its own, and the part of a server's configuration that names it.

use std::{collections::BTreeMap, path::PathBuf};

use registry::testing::{BUCKET, KEYS};
use tempfile::TempDir;

pub(crate) use registry::testing::Mood;

/// A running object store.
pub(crate) struct ObjectStore {
    store: registry::testing::ObjectStore,
    _folder: TempDir,
}

impl ObjectStore {
    pub(crate) async fn start(mood: Mood) -> Self {
        let folder = tempfile::tempdir().expect("a folder for objects");
        let store = registry::testing::ObjectStore::start(folder.path(), mood).await;
        Self { store: store.expect("an object store"), _folder: folder }
    }

    /// The part of a server's configuration that names this store, and the file that it speaks of.
    pub(crate) fn configuration(&self, redirect: bool) -> (String, [(&'static str, &'static [u8]); 1]) {
        let (key, secret) = KEYS;
        let text = format!(
            "registry:\n  s3:\n    bucket: {BUCKET}\n    region: nowhere\n    endpoint: '{}'\n    \
             accessKeyId: {key}\n    secretAccessKeyFile: '{{folder}}/secret'\n    allowHttp: true\n    \
             redirect: {redirect}\n",
            self.store.endpoint()
        );
        (text, [("secret", secret.as_bytes())])
    }

    /// Requests that have come.
    pub(crate) fn requests(&self) -> usize {
        self.store.requests()
    }

    /// All objects with their contents.
    pub(crate) fn objects(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.store.objects().expect("a folder of objects")
    }
}
