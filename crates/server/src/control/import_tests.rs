use std::time::Duration;

use machinery::image::{ImageStream, TagReference, well_known};
use machinery::meta::ObjectReference;
use tokio::sync::Notify;

use super::*;
use crate::import::testing::Trouble;
use crate::import::world::World;

const PERIOD: Duration = Duration::from_secs(900);

/// Sets a tag of a stream to follow an image of another registry.
pub(in crate::control) fn set_tag(stream: &mut ImageStream, tag: &str, from: &str, scheduled: bool) {
    let mut reference = TagReference { name: tag.to_owned(), ..Default::default() };
    reference.from = Some(ObjectReference {
        kind: well_known::DOCKER_IMAGE.to_owned(),
        name: from.to_owned(),
        ..Default::default()
    });
    reference.import_policy.insecure = true;
    reference.import_policy.scheduled = scheduled;
    stream.spec.set_tag(reference);
}

/// Runs the controller beside a test, and stops it in the end.
async fn beside<T>(world: &Arc<World>, test: impl Future<Output = T>) -> T {
    let stop = Notify::new();
    let streams: Arc<dyn Streams> = world.clone();
    let (result, ()) = tokio::join!(
        async {
            let result = test.await;
            stop.notify_one();
            result
        },
        run(streams, stop.notified()),
    );
    result
}

/// Waits until a stream is as wanted.
async fn until(world: &World, name: &str, wanted: impl Fn(&ImageStream) -> bool) -> ImageStream {
    let mut changes = world.changes();
    loop {
        if let Some(stream) = world.held(name).filter(|stream| wanted(stream)) {
            return stream;
        }
        let change = timeout(Duration::from_secs(3600), changes.next()).await;
        change.expect("the stream changes").expect("changes never end");
    }
}

fn has_image(stream: &ImageStream) -> bool {
    stream.status.head("t").is_some()
}

#[tokio::test(start_paused = true)]
async fn what_the_spec_names_is_imported_as_soon_as_it_does() {
    let world = Arc::new(World::new());
    let one = world.upstream.image("a.test/x/y", "1", "one");
    let two = world.upstream.image("a.test/x/y", "2", "two");
    beside(&world, async {
        world.edit("s", |stream| set_tag(stream, "t", "a.test/x/y:1", false));
        let stream = until(&world, "s", has_image).await;
        assert_eq!(stream.status.head("t").unwrap().image, one.as_str());
        world.edit("s", |stream| set_tag(stream, "t", "a.test/x/y:2", false));
        let moved = |stream: &ImageStream| stream.status.head("t").unwrap().image == two.as_str();
        until(&world, "s", moved).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_while_nobody_ran_is_done_at_start() {
    let world = Arc::new(World::new());
    world.upstream.image("a.test/x/y", "1", "one");
    for at in 0..10 {
        world.edit(&format!("s{at}"), |stream| set_tag(stream, "t", "a.test/x/y:1", false));
    }
    beside(&world, async {
        for at in 0..10 {
            until(&world, &format!("s{at}"), has_image).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_and_not_tried_again_until_somebody_asks() {
    let world = Arc::new(World::new());
    beside(&world, async {
        world.edit("s", |stream| set_tag(stream, "t", "a.test/x/y:1", false));
        let failed =
            |stream: &ImageStream| stream.status.tag("t").is_some_and(|tag| !tag.conditions.is_empty());
        until(&world, "s", failed).await;
        world.upstream.image("a.test/x/y", "1", "one");
        world.upstream.requests();
        world.edit("s", |stream| drop(stream.metadata.labels.insert("a".into(), "b".into())));
        tokio::time::sleep(PERIOD).await;
        assert_eq!(world.upstream.requests(), [""; 0]);
        world.edit("s", |stream| stream.spec.tag_mut("t").unwrap().generation = Some(0));
        until(&world, "s", has_image).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn streams_of_a_silent_registry_hold_up_nobody_else() {
    let world = Arc::new(World::new());
    world.upstream.trouble("silent.test", Some(Trouble::Silent));
    world.upstream.image("a.test/x/y", "1", "one");
    for at in 0..40 {
        world.edit(&format!("slow{at}"), |stream| {
            set_tag(stream, "t", &format!("silent.test/x/y{at}:1"), false);
        });
    }
    beside(&world, async {
        // Let the slow ones come first.
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.edit("s", |stream| set_tag(stream, "t", "a.test/x/y:1", false));
        let start = tokio::time::Instant::now();
        until(&world, "s", has_image).await;
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_import_that_another_write_overtakes_is_done_again() {
    let world = Arc::new(World::new());
    world.upstream.pace(Duration::from_millis(100));
    world.upstream.image("a.test/x/y", "1", "one");
    beside(&world, async {
        world.edit("s", |stream| set_tag(stream, "t", "a.test/x/y:1", false));
        tokio::time::sleep(Duration::from_millis(150)).await;
        world.edit("s", |stream| drop(stream.metadata.labels.insert("a".into(), "b".into())));
        let stream = until(&world, "s", has_image).await;
        assert_eq!(stream.metadata.labels["a"], "b");
    })
    .await;
}
