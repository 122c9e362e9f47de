//! The images of a pod spec: where they stand, and how they are reached.

use serde_json::Value;

use super::text;

/// Lists of containers, in the order in which names are looked up: init containers first.
pub const LISTS: [&str; 2] = ["initContainers", "containers"];

/// Whether an image name means whatever is newest: no tag and no digest, or the tag `latest`. A text that is no image
/// name means nothing.
pub fn is_moving(image: &str) -> bool {
    if image.trim() != image || image.is_empty() {
        return false;
    }
    let (name, digest) = image.split_once('@').map_or((image, ""), |(name, digest)| (name, digest));
    let last = name.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => digest.is_empty(),
    }
}

/// One container of a pod spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which of the [`LISTS`].
    pub list: &'static str,
    /// Its place in the list.
    pub index: usize,
}

impl Place {
    /// The container's image; empty when it has none.
    pub fn image<'a>(&self, pod: &'a Value) -> &'a str {
        pod.get(self.list).and_then(|list| list.get(self.index)).map_or("", |found| text(found, "image"))
    }

    /// Sets the container's image; false when that is what it has.
    pub fn set_image(&self, pod: &mut Value, image: &str) -> bool {
        if self.image(pod) == image {
            return false;
        }
        let container = pod.get_mut(self.list).and_then(|list| list.get_mut(self.index));
        let Some(container) = container.and_then(Value::as_object_mut) else { return false };
        container.insert("image".to_owned(), image.into());
        true
    }
}

/// Every container of a pod spec with its name, init containers first.
pub fn containers(pod: &Value) -> impl Iterator<Item = (Place, &str)> {
    LISTS.into_iter().flat_map(move |list| {
        let items = pod.get(list).and_then(Value::as_array).into_iter().flatten().enumerate();
        items.map(move |(index, container)| (Place { list, index }, text(container, "name")))
    })
}
