use std::time::Duration;

use machinery::image::ImageStream;
use tokio::sync::Notify;

use super::super::import::tests::set_tag;
use super::*;
use crate::import::testing::Trouble;
use crate::import::world::World;
use crate::random::Random;

const PERIOD: Duration = Duration::from_secs(900);

/// Runs the scheduler for a while.
async fn run_for(world: &Arc<World>, time: Duration) {
    let timetable = Arc::new(Timetable::new(PERIOD, 600, Random::seeded(3)));
    let streams: Arc<dyn Streams> = world.clone();
    run(streams, timetable, tokio::time::sleep(time)).await;
}

async fn imported(world: &World, name: &str, from: &str) {
    world.edit(name, |stream| set_tag(stream, "t", from, true));
    let request = decide::needed(&world.held(name).unwrap()).unwrap();
    Streams::import(world, &StreamKey::new("ns1", name), request, Why::Spec).await.unwrap();
    world.upstream.requests();
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_tag_is_polled_once_a_period_by_one_head_and_nothing_is_written() {
    let world = Arc::new(World::new());
    world.upstream.image("a.test/x/y", "1", "one");
    imported(&world, "s", "a.test/x/y:1").await;
    let revision = world.revision();
    run_for(&world, PERIOD * 20).await;
    let requests = world.upstream.requests();
    assert!((17..=23).contains(&requests.len()), "{}", requests.len());
    assert!(requests.iter().all(|request| request == "HEAD a.test/x/y/manifests/1"), "{requests:?}");
    assert_eq!(world.revision(), revision);
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_moves_is_followed_and_an_outage_changes_nothing_but_the_condition() {
    let world = Arc::new(World::new());
    world.upstream.image("a.test/x/y", "1", "one");
    imported(&world, "s", "a.test/x/y:1").await;
    let moved = world.upstream.image("a.test/x/y", "1", "two");
    run_for(&world, PERIOD * 2).await;
    assert_eq!(world.held("s").unwrap().status.head("t").unwrap().image, moved.as_str());
    world.upstream.trouble("a.test", Some(Trouble::Refused));
    run_for(&world, PERIOD * 3).await;
    let stream = world.held("s").unwrap();
    assert_eq!(stream.status.head("t").unwrap().image, moved.as_str());
    assert_eq!(stream.status.tag("t").unwrap().conditions.len(), 1);
    let revision = world.revision();
    run_for(&world, PERIOD * 5).await;
    assert_eq!(world.revision(), revision, "the same failure is told once");
}

#[tokio::test(start_paused = true)]
async fn a_slow_registry_delays_only_its_own_streams() {
    let world = Arc::new(World::new());
    world.upstream.trouble("silent.test", Some(Trouble::Silent));
    for at in 0..30 {
        world.edit(&format!("slow{at}"), |stream| {
            set_tag(stream, "t", &format!("silent.test/x/y{at}:1"), true);
        });
    }
    world.upstream.image("a.test/x/y", "1", "one");
    imported(&world, "s", "a.test/x/y:1").await;
    run_for(&world, PERIOD * 4).await;
    let polls = world.upstream.requests().len();
    assert!((3..=5).contains(&polls), "{polls}");
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_is_no_longer_scheduled_is_left_alone() {
    let world = Arc::new(World::new());
    world.upstream.image("a.test/x/y", "1", "one");
    imported(&world, "s", "a.test/x/y:1").await;
    let off = Notify::new();
    let switch = async {
        tokio::time::sleep(PERIOD * 2).await;
        let unscheduled = |stream: &mut ImageStream| {
            stream.spec.tag_mut("t").expect("the tag is there").import_policy.scheduled = false;
        };
        world.edit("s", unscheduled);
        world.upstream.requests();
        tokio::time::sleep(PERIOD * 5).await;
        off.notify_one();
    };
    let timetable = Arc::new(Timetable::new(PERIOD, 600, Random::seeded(3)));
    let streams: Arc<dyn Streams> = world.clone();
    let ((), ()) = tokio::join!(switch, run(streams, timetable, off.notified()));
    assert_eq!(world.upstream.requests(), [""; 0]);
}
