use std::time::Duration;

use machinery::image::ImageStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::import::tests::set_tag;
use super::*;
use crate::control::Pace;
use crate::import::Surroundings;
use crate::import::testing::Trouble;
use crate::import::world::World;
use crate::random::Random;

const PERIOD: Duration = Duration::from_secs(900);

fn timetable(world: &World) -> Arc<Timetable> {
    Arc::new(Timetable::new(PERIOD, Pace::Free, &Random::seeded(3), world.engine().pause()))
}

/// Runs the scheduler for a while.
async fn run_for(world: &Arc<World>, time: Duration) {
    let timetable = timetable(world);
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
    let timetable = timetable(&world);
    let streams: Arc<dyn Streams> = world.clone();
    let ((), ()) = tokio::join!(switch, run(streams, timetable, off.notified()));
    assert_eq!(world.upstream.requests(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn streams_that_follow_the_same_tag_share_one_question() {
    let world = Arc::new(World::new());
    world.upstream.image("a.test/x/y", "1", "one");
    for at in 0..50 {
        imported(&world, &format!("s{at}"), "a.test/x/y:1").await;
    }
    run_for(&world, PERIOD * 10).await;
    let polls = world.upstream.requests().len();
    assert!((8..=12).contains(&polls), "{polls}");
    let moved = world.upstream.image("a.test/x/y", "1", "two");
    world.upstream.requests();
    run_for(&world, PERIOD + PERIOD / 5).await;
    for at in 0..50 {
        let stream = world.held(&format!("s{at}")).unwrap();
        assert_eq!(stream.status.head("t").unwrap().image, moved.as_str(), "s{at}");
    }
    let requests = world.upstream.requests();
    assert!(requests.len() <= 6, "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_import_is_tried_again_with_growing_pauses_until_it_is_had() {
    let world = Arc::new(World::new());
    world.edit("s", |stream| set_tag(stream, "t", "a.test/x/y:1", false));
    let request = decide::needed(&world.held("s").unwrap()).unwrap();
    Streams::import(&*world, &StreamKey::new("ns1", "s"), request, Why::Spec).await.unwrap();
    world.upstream.requests();
    let revision = world.revision();
    run_for(&world, PERIOD * 4).await;
    let tries = world.upstream.requests().len();
    assert!((5..=9).contains(&tries), "{tries}");
    assert_eq!(world.revision(), revision, "the same failure is told once");
    world.upstream.image("a.test/x/y", "1", "one");
    run_for(&world, PERIOD * 2).await;
    let stream = world.held("s").unwrap();
    assert!(stream.status.head("t").is_some() && stream.status.tag("t").unwrap().conditions.is_empty());
    world.upstream.requests();
    run_for(&world, PERIOD * 4).await;
    assert_eq!(world.upstream.requests(), [""; 0], "it was had, and is not scheduled");
}

#[tokio::test(start_paused = true)]
async fn a_whole_repository_is_followed_where_the_stream_says_how_often() {
    let world = Arc::new(World::new());
    for at in 0..60 {
        world.upstream.image("a.test/x/y", &format!("1.{at}"), &format!("image {at}"));
    }
    world.edit("s", |stream| {
        stream.spec.docker_image_repository = "a.test/x/y".into();
        stream.metadata.annotations.extend([
            (decide::PERIOD.to_owned(), "5m".to_owned()),
            ("openshift.io/image.insecureRepository".to_owned(), "true".to_owned()),
        ]);
    });
    run_for(&world, Duration::from_secs(700)).await;
    assert_eq!(world.held("s").unwrap().status.tags.len(), 60, "no ceiling of fifty");
    world.upstream.image("a.test/x/y", "2.0", "newer");
    run_for(&world, Duration::from_secs(700)).await;
    assert!(world.held("s").unwrap().status.head("2.0").is_some());
}

#[tokio::test(start_paused = true)]
async fn what_a_hook_tells_of_is_imported_at_once_by_one_question_for_all() {
    let world = Arc::new(World::new());
    world.upstream.image("a.test/x/y", "1", "one");
    for name in ["s1", "s2", "s3"] {
        imported(&world, name, "a.test/x/y:1").await;
        // Not on a schedule: only the hook makes anybody look.
        world.edit(name, |stream| set_tag(stream, "t", "a.test/x/y:1", false));
    }
    let moved = world.upstream.image("a.test/x/y", "1", "two");
    let table = timetable(&world);
    for name in ["s1", "s2", "s3"] {
        let wish = decide::wish_of_told(&world.held(name).unwrap(), "t").unwrap();
        table.hurry(&StreamKey::new("ns1", name), vec![wish], &"hub".into(), Instant::now());
    }
    let streams: Arc<dyn Streams> = world.clone();
    run(streams, Arc::clone(&table), tokio::time::sleep(Duration::from_secs(1))).await;
    for name in ["s1", "s2", "s3"] {
        assert_eq!(world.held(name).unwrap().status.head("t").unwrap().image, moved.as_str());
    }
    let asked = world.upstream.requests();
    let tags = asked.iter().filter(|request| request.ends_with("/manifests/1")).count();
    assert_eq!(tags, 2, "one HEAD and one GET: {asked:?}");
    assert!(table.report().is_empty(), "nobody follows it");
}
