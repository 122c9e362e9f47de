//! What happens to the objects of a resource from now on, for controllers that look at things as they are.
//!
//! Who falls too far behind is told that something was missed and goes on from now: whoever reads the list after hearing
//! that has missed nothing.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use store::cache::Event;

use crate::context::Context;
use crate::resource::Resource;
use crate::stored::Served;

/// One change; `None` when something was missed.
pub type Change = Option<Arc<Event<Served>>>;

/// The changes of a resource after this call. Never ends.
pub fn of(ctx: &Context, resource: &'static Resource) -> BoxStream<'static, Change> {
    let (cache, prefix) = (Arc::clone(&ctx.cache), resource.prefix());
    let cursor = cache.subscribe(&prefix, cache.snapshot().revision).ok();
    stream::unfold(cursor, move |cursor| {
        let (cache, prefix) = (Arc::clone(&cache), prefix.clone());
        async move {
            let resume = || cache.subscribe(&prefix, cache.snapshot().revision).ok();
            let Some(mut cursor) = cursor else { return Some((None, resume())) };
            match cursor.next().await {
                Ok(event) => Some((Some(event), Some(cursor))),
                Err(_lagged) => Some((None, resume())),
            }
        }
    })
    .boxed()
}
