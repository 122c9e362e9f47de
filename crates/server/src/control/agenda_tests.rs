use super::*;

const PERIOD: Duration = Duration::from_secs(900);

fn key(namespace: &str, name: &str) -> StreamKey {
    StreamKey::new(namespace, name)
}

fn followed(host: &str, tag: &str) -> Followed {
    let target = Target { host: host.into(), path: "x/y".into(), tag: tag.into() };
    Followed { tag: tag.into(), target, period: PERIOD }
}

fn nobody(_: &StreamKey, _: &Target) -> Arc<str> {
    "".into()
}

struct Run {
    agenda: Agenda,
    budgets: Budgets,
    now: Instant,
}

impl Run {
    fn new(per_minute: u32) -> Run {
        let now = Instant::now();
        Run { agenda: Agenda::new(now, 7), budgets: Budgets::new(per_minute), now }
    }

    /// Hands out what is due until `end`; each errand sends a request for each tag and is done at once.
    fn until(&mut self, end: Instant, mut outcome: impl FnMut(&str) -> Outcome) -> Vec<(Instant, Errand)> {
        let mut handed = Vec::new();
        while self.now < end {
            self.agenda.advance(self.now, nobody);
            match self.agenda.take(self.now, &self.budgets) {
                Ok(errand) => {
                    errand.tags.iter().for_each(|_| self.budgets.sent(&errand.upstream, self.now));
                    self.agenda.done(&errand, &mut outcome, self.now, &self.budgets);
                    handed.push((self.now, errand));
                }
                Err(Some(at)) => self.now = at.min(end),
                Err(None) => self.now = end,
            }
        }
        handed
    }
}

#[test]
fn a_tag_is_due_once_a_period_within_a_tenth() {
    let mut run = Run::new(6000);
    run.agenda.set(&key("ns", "s"), vec![followed("h", "1")], run.now);
    let handed = run.until(run.now + PERIOD * 50, |_| Outcome::Good);
    assert!((49..=51).contains(&handed.len()), "{}", handed.len());
    for pair in handed.windows(2) {
        let gap = pair[1].0 - pair[0].0;
        assert!(gap >= PERIOD * 9 / 10 && gap <= PERIOD * 11 / 10, "{gap:?}");
    }
}

#[test]
fn what_follows_the_same_is_due_together_and_the_rest_is_spread() {
    let mut agenda = Agenda::new(Instant::now(), 7);
    let now = Instant::now();
    let mut dues = BTreeSet::new();
    for at in 0..100 {
        let same = [followed("h", "same"), followed("h", &at.to_string())];
        agenda.set(&key("ns", &at.to_string()), same.to_vec(), now);
        for (followed, state) in agenda.states(&key("ns", &at.to_string())) {
            dues.insert((followed.target, state.due));
        }
    }
    assert_eq!(dues.len(), 101);
    let early = dues.iter().filter(|(_, due)| *due < now + PERIOD / 2).count();
    assert!((30..70).contains(&early), "{early}");
}

#[test]
fn namespaces_take_turns_at_an_upstream_and_upstreams_do_not_wait_for_each_other() {
    let mut run = Run::new(60);
    for at in 0..200 {
        run.agenda.set(&key("big", &at.to_string()), vec![followed("h", &at.to_string())], run.now);
    }
    run.agenda.set(&key("small", "s"), vec![followed("h", "small")], run.now);
    run.agenda.set(&key("big", "other"), vec![followed("free", "1")], run.now);
    for at in 0..200 {
        run.agenda.tell(&followed("h", &at.to_string()).target, run.now);
    }
    run.agenda.tell(&followed("h", "small").target, run.now);
    run.agenda.tell(&followed("free", "1").target, run.now);
    let end = run.now + Duration::from_secs(30);
    let handed = run.until(end, |_| Outcome::Good);
    let place = |name: &str| handed.iter().position(|(_, errand)| *errand.stream.name == *name).unwrap();
    assert!(place("s") < 4, "{}", place("s"));
    assert!(place("other") < 4, "{}", place("other"));
    assert!((30..=34).contains(&handed.len()), "{}", handed.len());
}

#[test]
fn tags_of_a_stream_are_imported_together_as_far_as_the_budget_goes() {
    let mut run = Run::new(120);
    let tags: Vec<Followed> = (0..5).map(|at| followed("h", &at.to_string())).collect();
    run.agenda.set(&key("ns", "s"), tags, run.now);
    run.agenda.tell(&Target { tag: "".into(), ..followed("h", "0").target }, run.now);
    let handed = run.until(run.now + Duration::from_secs(10), |_| Outcome::Good);
    let sizes: Vec<usize> = handed.iter().map(|(_, errand)| errand.tags.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 5);
    assert_eq!(sizes[0], 3, "{sizes:?}");
    assert!(handed[0].1.told);
}

#[test]
fn failures_come_back_after_growing_delays_and_success_ends_that() {
    let mut run = Run::new(6000);
    run.agenda.set(&key("ns", "s"), vec![followed("h", "1"), followed("h", "2")], run.now);
    let failing = |tag: &str| if tag == "1" { Outcome::Failed("no".into()) } else { Outcome::Good };
    let handed = run.until(run.now + PERIOD * 10, failing);
    let count = |tag: &str| handed.iter().filter(|(_, errand)| errand.tags.contains(&tag.into())).count();
    assert!((9..=11).contains(&count("2")), "{}", count("2"));
    assert!(count("1") > count("2") + 3 && count("1") < 40, "{}", count("1"));
    let states = run.agenda.states(&key("ns", "s"));
    assert_eq!((states[0].1.error.as_deref(), states[1].1.error.as_deref()), (Some("no"), None));
    run.until(run.now + PERIOD * 2, |_| Outcome::Good);
    assert_eq!(run.agenda.states(&key("ns", "s"))[0].1.failures, 0);
}

#[test]
fn what_is_not_followed_any_more_is_left_alone_and_changes_of_others_keep_their_place() {
    let mut run = Run::new(6000);
    let stream = key("ns", "s");
    run.agenda.set(&stream, vec![followed("h", "1"), followed("h", "2")], run.now);
    let due = run.agenda.states(&stream)[1].1.due;
    run.agenda.set(&stream, vec![followed("h", "2")], run.now + Duration::from_secs(1));
    assert_eq!(run.agenda.states(&stream).len(), 1);
    assert_eq!(run.agenda.states(&stream)[0].1.due, due);
    run.agenda.set(&stream, Vec::new(), run.now);
    assert_eq!(run.until(run.now + PERIOD * 3, |_| Outcome::Good), []);
    assert!(run.agenda.book.is_empty() && run.agenda.followers.is_empty() && run.agenda.items.is_empty());
}

#[test]
fn what_is_told_while_it_is_out_is_looked_at_once_more() {
    let mut run = Run::new(6000);
    let stream = key("ns", "s");
    run.agenda.set(&stream, vec![followed("h", "1")], run.now);
    let target = followed("h", "1").target;
    assert_eq!(run.agenda.tell(&target, run.now), 1);
    run.agenda.advance(run.now, nobody);
    let errand = run.agenda.take(run.now, &run.budgets).unwrap();
    run.agenda.tell(&target, run.now);
    run.agenda.done(&errand, |_| Outcome::Good, run.now, &run.budgets);
    assert_eq!(run.agenda.states(&stream)[0].1.due, run.now);
}

#[test]
fn nothing_is_handed_out_when_nothing_may_be_asked() {
    let mut run = Run::new(0);
    run.agenda.set(&key("ns", "s"), vec![followed("h", "1")], run.now);
    assert_eq!(run.until(run.now + PERIOD * 3, |_| Outcome::Good), []);
}

#[test]
fn fifty_thousand_tags_are_spread_over_a_period_at_one_request_each() {
    let mut run = Run::new(6000);
    for at in 0..50_000 {
        let stream = key(&format!("ns{}", at % 50), &at.to_string());
        run.agenda.set(&stream, vec![followed("h", &at.to_string())], run.now);
    }
    let handed = run.until(run.now + PERIOD * 11 / 10, |_| Outcome::Good);
    let seen: BTreeSet<&StreamKey> = handed.iter().map(|(_, errand)| &errand.stream).collect();
    assert_eq!(seen.len(), 50_000);
    assert!(handed.len() < 65_000, "{}", handed.len());
}
