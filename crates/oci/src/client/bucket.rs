//! A token bucket: so many requests a second, a few at once.
//!
//! It runs on tokio's clock, so tests with paused time are exact. Places are given out in the order of asking; giving
//! up while waiting does not return one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Hands out permission to send.
#[derive(Debug)]
pub struct TokenBucket {
    rate: f64,
    burst: f64,
    state: Mutex<Option<(f64, Instant)>>,
}

impl TokenBucket {
    /// A full bucket of `burst` tokens that fills up by `rate` tokens a second.
    pub fn new(rate: f64, burst: u32) -> Self {
        Self { rate, burst: f64::from(burst), state: Mutex::new(None) }
    }

    /// Waits until a token is there and takes it.
    pub async fn take(&self) {
        let wait = self.reserve();
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes a token, in advance if need be; returns how long until it is really there.
    fn reserve(&self) -> Duration {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, last) = state.unwrap_or((self.burst, now));
        let filled = (tokens + now.saturating_duration_since(last).as_secs_f64() * self.rate).min(self.burst);
        let left = filled - 1.0;
        *state = Some((left, now));
        if left >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-left / self.rate) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let bucket = TokenBucket::new(2.0, 3);
        let start = Instant::now();
        for expected_millis in [0, 0, 0, 500, 1000, 1500] {
            bucket.take().await;
            let passed = start.elapsed().as_millis();
            assert!((expected_millis..expected_millis + 5).contains(&passed), "{passed}");
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        let rested = Instant::now();
        for _ in 0..3 {
            bucket.take().await;
        }
        assert_eq!(rested.elapsed(), Duration::ZERO);
    }
}
