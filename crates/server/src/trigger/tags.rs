//! Tags and streams as this server has them now.

use machinery::image::ImageStream;

use super::{TagName, Tags, current_image, lookup};
use crate::context::Ctx;
use crate::{stream, streams};

/// The server's streams, read from the cache.
#[derive(Clone, Copy, Debug)]
pub struct CurrentTags<'a>(pub &'a Ctx);

impl lookup::Streams for CurrentTags<'_> {
    fn stream(&self, namespace: &str, name: &str) -> Option<ImageStream> {
        match streams::load(self.0, namespace, name) {
            Ok(found) => found.map(|loaded| {
                let mut stream = loaded.into_inner();
                stream::decorate(&mut stream, &self.0.settings.images);
                stream
            }),
            Err(error) => {
                tracing::error!(namespace, name, %error, "a stream that a workload names cannot be read");
                None
            }
        }
    }
}

impl Tags for CurrentTags<'_> {
    fn image(&self, tag: &TagName<'_>) -> Option<String> {
        let stream = lookup::Streams::stream(self, tag.namespace, tag.stream)?;
        current_image(&stream, tag.tag)
    }
}
