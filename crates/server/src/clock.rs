//! The one place that knows what time it is.
//!
//! Production reads the system clock; a simulation starts at a chosen instant and advances with tokio's time, which
//! tests can pause, so that time-outs and timestamps freeze and move together.

use jiff::Timestamp;
use machinery::time::Time;
use tokio::time::Instant;

/// Tells the time.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Source);

#[derive(Clone, Copy, Debug)]
enum Source {
    System,
    Simulated { epoch: Timestamp, origin: Instant },
}

impl Clock {
    /// The machine's clock.
    pub const fn system() -> Clock {
        Clock(Source::System)
    }

    /// A clock that shows `epoch` now and follows tokio's time from here on.
    pub fn simulated(epoch: Timestamp) -> Clock {
        Clock(Source::Simulated { epoch, origin: Instant::now() })
    }

    /// Now, precisely.
    pub fn timestamp(&self) -> Timestamp {
        match self.0 {
            Source::System => system_now(),
            Source::Simulated { epoch, origin } => {
                let elapsed =
                    jiff::SignedDuration::try_from(origin.elapsed()).unwrap_or(jiff::SignedDuration::MAX);
                epoch.checked_add(elapsed).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Now, as objects carry it.
    pub fn now(&self) -> Time {
        Time::from(self.timestamp())
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is given")]
fn system_now() -> Timestamp {
    Timestamp::now()
}
