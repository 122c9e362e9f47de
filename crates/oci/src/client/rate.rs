//! What an answer says about how often one may ask.

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

/// A registry's limits, as far as it told them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// How many requests a window allows.
    pub limit: Option<u64>,
    /// How many of them are left.
    pub remaining: Option<u64>,
    /// How long a window is.
    pub window: Option<Duration>,
    /// How long to wait before asking again.
    pub retry_after: Option<Duration>,
}

impl RateLimit {
    /// Reads `RateLimit-Limit`, `RateLimit-Remaining` (both with an optional `;w=SECONDS`) and `Retry-After`.
    pub fn read(headers: &HeaderMap) -> Self {
        let (limit, limit_window) = counted(headers, "ratelimit-limit");
        let (remaining, remaining_window) = counted(headers, "ratelimit-remaining");
        Self {
            limit,
            remaining,
            window: limit_window.or(remaining_window),
            retry_after: retry_after(headers),
        }
    }
}

fn counted(headers: &HeaderMap, name: &str) -> (Option<u64>, Option<Duration>) {
    let Some(text) = headers.get(name).and_then(|value| value.to_str().ok()) else { return (None, None) };
    let mut parts = text.split(';').map(str::trim);
    let count = parts.next().and_then(|count| count.parse().ok());
    let window = parts.find_map(|part| part.strip_prefix("w=")).and_then(|seconds| seconds.parse().ok());
    (count, window.map(Duration::from_secs))
}

/// Seconds, or a date; a date counts from the answer's own `Date`, so no clock is needed.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp().as_second());
    let then = date(text)?;
    let now = date(headers.get(DATE)?.to_str().ok()?)?;
    Some(Duration::from_secs(u64::try_from(then - now).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> RateLimit {
        RateLimit::read(
            &pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(),
        )
    }

    #[test]
    fn counts_windows_and_waits_are_read() {
        let hub = read(&[("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "76;w=21600")]);
        assert_eq!(
            (hub.limit, hub.remaining, hub.window),
            (Some(100), Some(76), Some(Duration::from_secs(21600)))
        );
        assert_eq!(read(&[("retry-after", "7")]).retry_after, Some(Duration::from_secs(7)));
        let dated =
            [("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT"), ("date", "Wed, 21 Oct 2015 07:28:00 GMT")];
        assert_eq!(read(&dated).retry_after, Some(Duration::from_secs(30)));
        assert_eq!(read(&[("retry-after", "soon"), ("ratelimit-limit", "x")]), RateLimit::default());
    }
}
