//! What an upstream lets one credential ask, learned from its answers, and how the server's own requests are spread over it.
//!
//! Registries tell a limit for a window of time and what is left of it. A part is kept for people, who do not wait for a
//! plan; the rest is spent evenly until the window is over, so that a budget that is used up never surprises anybody. What
//! is left is counted down here with every request and corrected by every answer that says more. Many registries do not
//! count the questions that tell whether a tag moved (HEAD): what a request costs is learned from what their counter did
//! between two answers, so that questions that cost nothing are not saved. Without a word from the registry there is no
//! budget. Pure: the time comes with every call.

use std::time::Duration;

use oci::client::RateLimit;
use tokio::time::Instant;

use super::limits::{BUDGET_KEPT_PART, BUDGET_WINDOW};

/// The budget of one credential at one upstream.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    told: Option<Told>,
    /// When the next request that nobody waits for may be sent.
    next: Option<Instant>,
    /// The part of the requests that the upstream did not count of late: 0 when it counts all of them, which is believed
    /// until it is seen to be otherwise, 1 when it counts none.
    free: f64,
    /// What the last answer said was left, and the requests sent since.
    answered: Option<(u64, u32)>,
    /// Requests sent so far, whoever wanted them.
    pub sent: u64,
}

/// How many answers it takes, roughly, to learn what requests cost.
const LEARNING: f64 = 4.0;

/// What the upstream said, and what became of it since.
#[derive(Clone, Copy, Debug)]
struct Told {
    limit: u64,
    remaining: u64,
    resets: Instant,
    window: Duration,
}

/// A budget in numbers, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests a window allows.
    pub limit: u64,
    /// How many of them are left.
    pub remaining: u64,
    /// Until all of them are there again.
    pub resets_in: Duration,
    /// Length of the window.
    pub window: Duration,
}

impl Budget {
    /// Takes in what an answer says.
    pub fn learn(&mut self, rate: &RateLimit, now: Instant) {
        let Some(limit) = rate.limit.or(self.told.map(|told| told.limit)) else { return };
        let Some(remaining) = rate.remaining else { return };
        if let Some((before, sent @ 1..)) = self.answered {
            // A counter that rose has begun anew and says nothing of what was taken.
            if remaining <= before {
                let taken = ((before - remaining) as f64 / f64::from(sent)).min(1.0);
                self.free += (1.0 - taken - self.free) / LEARNING;
            }
        }
        self.answered = Some((remaining, 0));
        let window = rate.window.or(self.told.map(|told| told.window)).unwrap_or(BUDGET_WINDOW);
        // The window goes on as it began, unless the upstream gave something back: then it has begun anew.
        let resets = match self.told {
            Some(told) if told.resets > now && remaining <= told.remaining => told.resets,
            _ => now + window,
        };
        self.told = Some(Told { limit, remaining: remaining.min(limit), resets, window });
    }

    /// How long a request that nobody waits for has to be put off now.
    pub fn wait(&self, now: Instant) -> Duration {
        let paced = self.next.map_or(Duration::ZERO, |next| next.saturating_duration_since(now));
        match self.current(now) {
            Some(told) if told.remaining <= kept(told.limit) => told.resets.saturating_duration_since(now),
            _ => paced,
        }
    }

    /// Counts a request that is sent now; `planned` ones put the next off.
    pub fn spend(&mut self, now: Instant, planned: bool) {
        self.sent += 1;
        if let Some((_, sent)) = &mut self.answered {
            *sent = sent.saturating_add(1);
        }
        let Some(mut told) = self.current(now) else {
            self.told = None;
            return;
        };
        if planned {
            let spare = told.remaining.saturating_sub(kept(told.limit)).max(1);
            let pause = told.resets.saturating_duration_since(now) / u32::try_from(spare).unwrap_or(u32::MAX);
            self.next = Some(self.next.unwrap_or(now).max(now) + pause.mul_f64(1.0 - self.free));
        }
        if self.free < 0.5 {
            told.remaining = told.remaining.saturating_sub(1);
        }
        self.told = Some(told);
    }

    /// Where the budget stands.
    pub fn standing(&self, now: Instant) -> Option<Standing> {
        self.current(now).map(|told| Standing {
            limit: told.limit,
            remaining: told.remaining,
            resets_in: told.resets.saturating_duration_since(now),
            window: told.window,
        })
    }

    /// What was told, as long as its window lasts; afterwards nothing is known until the next answer.
    fn current(&self, now: Instant) -> Option<Told> {
        self.told.filter(|told| told.resets > now)
    }
}

/// What is left for those who wait for an answer.
fn kept(limit: u64) -> u64 {
    limit / BUDGET_KEPT_PART
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn rate(limit: u64, remaining: u64) -> RateLimit {
        RateLimit { limit: Some(limit), remaining: Some(remaining), window: Some(HOUR), retry_after: None }
    }

    #[test]
    fn without_a_word_there_is_no_budget() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        for _ in 0..1000 {
            assert_eq!(budget.wait(now), Duration::ZERO);
            budget.spend(now, true);
        }
        assert_eq!((budget.standing(now), budget.sent), (None, 1000));
    }

    #[test]
    fn planned_requests_are_spread_and_leave_a_part_for_people() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        budget.learn(&rate(100, 100), start);
        let (mut now, mut sent) = (start, 0);
        while now < start + HOUR {
            let wait = budget.wait(now);
            now += wait.max(Duration::from_millis(1));
            if now >= start + HOUR {
                break;
            }
            if wait.is_zero() {
                budget.spend(now, true);
                sent += 1;
            }
        }
        assert!((80..=90).contains(&sent), "{sent}");
        assert!(budget.standing(start + HOUR - Duration::from_secs(1)).unwrap().remaining >= 10);
    }

    /// Planned requests within a window of an upstream whose answers say what `left` makes of their number.
    fn planned_in_a_window(left: impl Fn(u64) -> u64) -> u64 {
        let (mut budget, start) = (Budget::default(), Instant::now());
        budget.learn(&rate(100, 100), start);
        let (mut now, mut sent) = (start, 0);
        while now < start + HOUR {
            let wait = budget.wait(now);
            now += wait.max(Duration::from_millis(100));
            if wait.is_zero() {
                budget.spend(now, true);
                sent += 1;
                budget.learn(&rate(100, left(sent)), now);
            }
        }
        sent
    }

    #[test]
    fn questions_that_the_upstream_does_not_count_are_not_saved() {
        let free = planned_in_a_window(|_| 76);
        assert!(free > 10_000, "{free}");
        let counted = planned_in_a_window(|sent| 100_u64.saturating_sub(sent));
        assert!((80..=91).contains(&counted), "{counted}");
        let every_other = planned_in_a_window(|sent| 100_u64.saturating_sub(sent / 2));
        assert!((100..=200).contains(&every_other), "{every_other}");
    }

    #[test]
    fn what_is_used_up_waits_for_the_window_and_then_nothing_is_known() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        budget.learn(&rate(100, 5), start);
        assert_eq!(budget.wait(start + HOUR / 2), HOUR / 2);
        assert_eq!(budget.wait(start + HOUR), Duration::ZERO);
        assert_eq!(budget.standing(start + HOUR), None);
    }

    #[test]
    fn answers_correct_the_count_and_do_not_prolong_the_window() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        budget.learn(&rate(100, 50), start);
        budget.learn(&rate(100, 40), start + HOUR / 2);
        let standing = budget.standing(start + HOUR / 2).unwrap();
        assert_eq!((standing.remaining, standing.resets_in), (40, HOUR / 2));
        budget.learn(&rate(100, 99), start + HOUR * 3 / 4);
        assert_eq!(budget.standing(start + HOUR * 3 / 4).unwrap().resets_in, HOUR);
    }

    #[test]
    fn people_use_the_same_budget_and_put_nothing_off() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        budget.learn(&rate(100, 100), start);
        budget.spend(start, false);
        assert_eq!((budget.wait(start), budget.standing(start).unwrap().remaining), (Duration::ZERO, 99));
        budget.spend(start, true);
        assert!(budget.wait(start) > Duration::from_secs(30));
    }
}
