use futures_util::FutureExt;

use super::*;

const PERIOD: Duration = Duration::from_secs(900);

fn timetable(pace: Pace) -> Timetable {
    Timetable::new(PERIOD, pace, &Random::seeded(7), Box::new(|_| Duration::ZERO))
}

fn wish(host: &str, image: &str) -> Wish {
    Wish { tag: "t".into(), host: host.into(), image: image.into(), period: None, once: false }
}

fn follow(project: &str, name: &str) -> Follow {
    Follow { stream: StreamKey::new(project, name), tag: "t".into() }
}

fn set(table: &Timetable, project: &str, name: &str, wish: Wish) -> Follow {
    let follow = follow(project, name);
    table.set(&follow.stream, vec![wish]);
    follow
}

#[tokio::test(start_paused = true)]
async fn a_tag_is_due_once_a_period_within_a_tenth() {
    let table = timetable(Pace::Free);
    let held = set(&table, "p", "a", wish("r.example", "x:1"));
    let mut last = table.next().await.due;
    table.done(&held, Polled::Told);
    for _ in 0..50 {
        let Turn { follow: found, due, hook } = table.next().await;
        assert_eq!((&found, due, hook), (&held, Instant::now(), None));
        let between = due - last;
        assert!(between >= PERIOD * 9 / 10 && between <= PERIOD * 11 / 10, "{between:?}");
        table.done(&held, Polled::Told);
        last = due;
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_follow_the_same_image_are_due_together_and_others_are_spread() {
    let table = timetable(Pace::Free);
    let same: Vec<_> =
        (0..20).map(|at| set(&table, "p", &format!("s{at}"), wish("r.example", "x:1"))).collect();
    let due: BTreeSet<Instant> = same.iter().map(|follow| table.due(follow).unwrap()).collect();
    assert_eq!(due.len(), 1);
    let start = Instant::now();
    let other = |at: usize| set(&table, "p", &format!("o{at}"), wish("r.example", &format!("x:{at}")));
    let due: Vec<Duration> = (0..200).map(|at| table.due(&other(at)).unwrap() - start).collect();
    assert!(due.iter().all(|due| *due <= PERIOD * 11 / 10), "{due:?}");
    let early = due.iter().filter(|due| **due < PERIOD / 2).count();
    assert!((70..130).contains(&early), "{early}");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_stream_puts_nothing_off_and_one_of_the_wish_begins_anew() {
    let table = timetable(Pace::Free);
    let held = set(&table, "p", "a", wish("r.example", "x:1"));
    let due = table.due(&held).unwrap();
    tokio::time::advance((due - Instant::now()) / 2).await;
    set(&table, "p", "a", wish("r.example", "x:1"));
    assert_eq!(table.due(&held), Some(due));
    set(&table, "p", "a", wish("r.example", "x:2"));
    assert_ne!(table.due(&held), Some(due));
    table.set(&held.stream, Vec::new());
    assert_eq!(table.due(&held), None);
    assert!(table.report().is_empty());
}

#[tokio::test(start_paused = true)]
async fn failures_double_the_pause_up_to_the_period() {
    let table = timetable(Pace::Free);
    let held = set(&table, "p", "a", wish("r.example", "x:1"));
    table.next().await;
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let before = Instant::now();
        table.done(&held, Polled::Failed);
        table.next().await;
        pauses.push(before.elapsed());
    }
    for (at, pause) in pauses.iter().enumerate() {
        let want = (RETRY_FIRST * (1 << at)).min(PERIOD);
        assert!(*pause >= want * 9 / 10 && *pause <= want * 11 / 10, "{at}: {pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn projects_take_turns_at_a_host() {
    let table = timetable(Pace::Free);
    for at in 0..100 {
        set(&table, "greedy", &format!("s{at}"), wish("r.example", &format!("x:{at}")));
    }
    set(&table, "small", "s", wish("r.example", "y:1"));
    tokio::time::advance(PERIOD * 2).await;
    let first: Vec<_> =
        [table.next().await, table.next().await].map(|turn| turn.follow.stream.namespace).into();
    assert!(first.iter().any(|project| **project == *"small"), "{first:?}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_full_or_wants_a_pause_holds_up_only_itself() {
    let table = Timetable::new(
        PERIOD,
        Pace::Free,
        &Random::seeded(7),
        Box::new(|host| if host == "paused.example" { Duration::from_secs(60) } else { Duration::ZERO }),
    );
    for at in 0..HOST_POLLS + 5 {
        set(&table, "p", &format!("slow{at}"), wish("slow.example", &format!("x:{at}")));
        set(&table, "p", &format!("paused{at}"), wish("paused.example", &format!("x:{at}")));
    }
    set(&table, "p", "a", wish("fine.example", "x:1"));
    tokio::time::advance(PERIOD * 2).await;
    let found: Vec<Follow> =
        std::iter::from_fn(|| table.next().now_or_never()).map(|turn| turn.follow).collect();
    assert_eq!(found.len(), HOST_POLLS + 1);
    assert!(found.contains(&follow("p", "a")));
    let report = &table.report()["slow.example"];
    assert_eq!((report.followed, report.waiting), (HOST_POLLS + 5, 5));
    let slow = found.iter().find(|follow| follow.stream.name.starts_with("slow")).unwrap();
    table.done(slow, Polled::Told);
    assert!(table.next().now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn starts_are_paced_when_somebody_says_so_and_never_when_nothing_may_start() {
    let (table, none) = (timetable(Pace::PerMinute(6)), timetable(Pace::PerMinute(0)));
    for at in 0..10 {
        for table in [&table, &none] {
            set(table, "p", &format!("s{at}"), wish("r.example", &format!("x:{at}")));
        }
    }
    tokio::time::advance(PERIOD * 2).await;
    let start = Instant::now();
    for _ in 0..10 {
        table.next().await;
    }
    assert_eq!(start.elapsed().as_secs(), 90);
    assert!(none.next().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_a_hook_tells_of_is_looked_at_first_and_again_when_a_look_is_under_way() {
    let table = timetable(Pace::PerMinute(0));
    let held = set(&table, "p", "a", wish("r.example", "x/y:1"));
    set(&table, "p", "b", wish("r.example", "x/y:2"));
    tokio::time::advance(PERIOD * 2).await;
    assert!(table.next().now_or_never().is_none(), "nothing is asked without a word");
    let (hook, now): (Arc<str>, _) = ("hub".into(), Instant::now());
    let tell = |follow: &Follow| {
        table.hurry(&follow.stream, vec![wish("r.example", "x/y:1")], &hook, Instant::now());
    };
    tell(&held);
    let turn = Turn { follow: held.clone(), due: now, hook: Some(Arc::clone(&hook)) };
    assert_eq!(table.next().await, turn);
    tell(&held);
    assert!(table.next().now_or_never().is_none(), "it is being looked at");
    table.done(&held, Polled::Told);
    assert_eq!(table.next().await, turn);
    let due = table.done(&held, Polled::Told).unwrap();
    assert!(due > now && table.next().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_only_a_hook_wants_is_looked_at_until_that_worked() {
    let table = timetable(Pace::Free);
    let (hook, held): (Arc<str>, _) = ("hub".into(), follow("p", "a"));
    table.hurry(&held.stream, vec![wish("r.example", "x:1")], &hook, Instant::now());
    assert_eq!(table.next().await.follow, held);
    assert!(table.done(&held, Polled::PutOff).is_some());
    // The stream changes and wishes nothing.
    table.set(&held.stream, Vec::new());
    assert_eq!(table.next().await.hook, Some(Arc::clone(&hook)));
    // Now it wishes it, too, and after that no more, in the middle of a look.
    set(&table, "p", "a", wish("r.example", "x:1"));
    table.set(&held.stream, Vec::new());
    assert_eq!(table.done(&held, Polled::Told), None);
    assert!(table.report().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_restart_puts_nothing_off() {
    let since = Duration::from_secs(1_790_000_000);
    let before = timetable(Pace::Free).continued("one", since);
    let held = set(&before, "p", "a", wish("r.example", "x:1"));
    let due = before.due(&held).unwrap();
    tokio::time::advance((due - Instant::now()) / 3).await;
    let passed = since + (due - Instant::now()) / 2;
    let after = timetable(Pace::Free).continued("one", passed);
    set(&after, "p", "a", wish("r.example", "x:1"));
    let again = after.due(&held).unwrap();
    assert!(
        again.max(due) - again.min(due) < Duration::from_millis(2),
        "{:?}",
        again.max(due) - again.min(due)
    );
    let other = timetable(Pace::Free).continued("two", passed);
    set(&other, "p", "a", wish("r.example", "x:1"));
    assert_ne!(other.due(&held), Some(due), "servers do not ask all at once");
}
