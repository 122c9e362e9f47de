use std::time::Duration;

use machinery::image::{ImageStream, well_known};
use tokio::sync::Notify;

use super::super::Target;
use super::super::import::tests::set_tag;
use super::*;
use crate::import::testing::Trouble;
use crate::import::world::World;

const PERIOD: Duration = Duration::from_secs(900);

/// Runs the scheduler for a while.
async fn run_for(world: &Arc<World>, time: Duration) {
    let timetable = Arc::new(Timetable::new(3));
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
async fn streams_that_follow_the_same_tag_share_one_request() {
    let world = Arc::new(World::new());
    world.upstream.image("a.test/x/y", "1", "one");
    for at in 0..50 {
        imported(&world, &format!("s{at}"), "a.test/x/y:1").await;
    }
    run_for(&world, PERIOD * 10).await;
    let requests = world.upstream.requests();
    assert!((8..=11).contains(&requests.len()), "{}", requests.len());
    let moved = world.upstream.image("a.test/x/y", "1", "two");
    run_for(&world, PERIOD * 2).await;
    for at in 0..50 {
        let held = world.held(&format!("s{at}")).unwrap();
        assert_eq!(held.status.head("t").unwrap().image, moved.as_str());
    }
    let requests = world.upstream.requests();
    let manifests = requests.iter().filter(|request| request.starts_with("GET a.test/x/y/manifests")).count();
    assert_eq!(manifests, 1, "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failing_tag_is_tried_again_after_growing_delays_and_keeps_its_image() {
    let world = Arc::new(World::new());
    let one = world.upstream.image("a.test/x/y", "1", "one");
    imported(&world, "s", "a.test/x/y:1").await;
    world.upstream.trouble("a.test", Some(Trouble::Answers(503, "{}", None)));
    run_for(&world, PERIOD * 4).await;
    let tries = world.upstream.requests().iter().filter(|request| request.starts_with("HEAD")).count();
    assert!((7..=14).contains(&tries), "{tries}");
    assert_eq!(world.held("s").unwrap().status.head("t").unwrap().image, one.as_str());
    let failing = Arc::new(Timetable::new(3));
    let streams: Arc<dyn Streams> = world.clone();
    let watch = async {
        tokio::time::sleep(PERIOD * 3).await;
        let states = failing.states(&StreamKey::new("ns1", "s"));
        assert!(states[0].1.failures >= 3, "{states:?}");
        world.upstream.trouble("a.test", None);
        let moved = world.upstream.image("a.test/x/y", "1", "two");
        tokio::time::sleep(PERIOD + PERIOD / 10).await;
        let held = world.held("s").unwrap();
        assert_eq!(held.status.head("t").unwrap().image, moved.as_str());
        assert_eq!(failing.states(&StreamKey::new("ns1", "s"))[0].1.failures, 0);
    };
    let stop = Notify::new();
    tokio::join!(
        async {
            watch.await;
            stop.notify_one();
        },
        run(streams, Arc::clone(&failing), stop.notified())
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_registry_tells_of_is_looked_at_at_once() {
    let world = Arc::new(World::new());
    world.upstream.image("a.test/x/y", "1", "one");
    imported(&world, "s", "a.test/x/y:1").await;
    imported(&world, "other", "a.test/x/y:2").await;
    let timetable = Arc::new(Timetable::new(3));
    let streams: Arc<dyn Streams> = world.clone();
    let stop = Notify::new();
    let told = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let moved = world.upstream.image("a.test/x/y", "1", "two");
        world.upstream.requests();
        let target = Target { host: "a.test".into(), path: "x/y".into(), tag: "1".into() };
        crate::import::Surroundings::engine(&*world).forget_answers();
        assert_eq!(timetable.tell(&target), 1);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let held = world.held("s").unwrap();
        assert_eq!(held.status.head("t").unwrap().image, moved.as_str());
        assert!(world.upstream.requests().iter().all(|request| !request.ends_with("/2")));
        let nobody = Target { host: "a.test".into(), path: "x/z".into(), tag: "".into() };
        assert_eq!(timetable.tell(&nobody), 0);
        stop.notify_one();
    };
    tokio::join!(told, run(streams, Arc::clone(&timetable), stop.notified()));
}

#[tokio::test(start_paused = true)]
async fn a_followed_repository_gets_new_tags_and_an_unchanged_one_is_not_written() {
    let world = Arc::new(World::new());
    world.upstream.image("a.test/x/y", "1", "one");
    world.edit("s", |stream| {
        stream.spec.docker_image_repository = "a.test/x/y".to_owned();
        let insecure = (well_known::INSECURE_REPOSITORY.to_owned(), "true".to_owned());
        stream.metadata.annotations.extend([insecure]);
    });
    run_for(&world, PERIOD * 2).await;
    assert!(world.held("s").unwrap().status.head("1").is_some());
    let two = world.upstream.image("a.test/x/y", "2", "two");
    run_for(&world, PERIOD * 2).await;
    assert_eq!(world.held("s").unwrap().status.head("2").unwrap().image, two.as_str());
    let revision = world.revision();
    run_for(&world, PERIOD * 4).await;
    assert_eq!(world.revision(), revision);
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
    let timetable = Arc::new(Timetable::new(3));
    let streams: Arc<dyn Streams> = world.clone();
    let ((), ()) = tokio::join!(switch, run(streams, timetable, off.notified()));
    assert_eq!(world.upstream.requests(), [""; 0]);
}
