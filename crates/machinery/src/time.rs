//! Points in time as Kubernetes writes them: whole seconds, UTC, RFC 3339 with a `Z`.
//!
//! A zero time (never set) is a value of its own: it prints `null` in JSON and is an empty message in protobuf.
//! Sub-seconds and other zones are accepted on input and dropped. Nothing here reads a clock.

use std::fmt;
use std::str::FromStr;

use prost::Message;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time with a precision of one second, or no time at all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Message)]
pub struct Time {
    /// Seconds since 1970-01-01T00:00:00Z; `None` is the zero time.
    #[prost(int64, optional, tag = "1")]
    pub seconds: Option<i64>,
}

impl Time {
    /// The time that was never set.
    pub const ZERO: Time = Time { seconds: None };

    /// A time from seconds since the Unix epoch.
    pub const fn from_unix(seconds: i64) -> Time {
        Time { seconds: Some(seconds) }
    }

    /// True when the time was never set.
    pub const fn is_zero(&self) -> bool {
        self.seconds.is_none()
    }

    /// Whole seconds from `earlier` to `self`; 0 when either is not set.
    pub fn seconds_since(&self, earlier: Time) -> i64 {
        match (self.seconds, earlier.seconds) {
            (Some(a), Some(b)) => a.saturating_sub(b),
            _ => 0,
        }
    }
}

impl From<jiff::Timestamp> for Time {
    fn from(at: jiff::Timestamp) -> Time {
        Time::from_unix(at.as_second())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seconds.and_then(|s| jiff::Timestamp::from_second(s).ok()) {
            Some(at) => write!(f, "{}", at.strftime("%Y-%m-%dT%H:%M:%SZ")),
            None => f.write_str("null"),
        }
    }
}

/// A text that is no RFC 3339 time.
#[derive(Debug, thiserror::Error)]
#[error("parsing time {0:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {0:?} as \"2006\"")]
pub struct BadTime(String);

impl FromStr for Time {
    type Err = BadTime;

    fn from_str(text: &str) -> Result<Time, BadTime> {
        // RFC 3339 only: jiff alone would also take other ISO 8601 forms and bracketed zones.
        let shape = text.as_bytes();
        let rfc3339 = shape.len() >= 20 && shape[4] == b'-' && shape[10] == b'T' && !text.contains('[');
        match text.parse::<jiff::Timestamp>() {
            Ok(at) if rfc3339 => Ok(Time::from(at)),
            _ => Err(BadTime(text.to_owned())),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_zero() { serializer.serialize_none() } else { serializer.collect_str(self) }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        struct TimeVisitor;
        impl<'de> Visitor<'de> for TimeVisitor {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time or null")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_unit<E: de::Error>(self) -> Result<Time, E> {
                Ok(Time::ZERO)
            }
            fn visit_none<E: de::Error>(self) -> Result<Time, E> {
                Ok(Time::ZERO)
            }
        }
        deserializer.deserialize_any(TimeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn times_print_whole_seconds_in_utc() {
        let check = |text: &str, want: &str| assert_eq!(text.parse::<Time>().unwrap().to_string(), want);
        check("2024-05-01T10:20:30Z", "2024-05-01T10:20:30Z");
        check("2024-05-01T10:20:30.987654321Z", "2024-05-01T10:20:30Z");
        check("2024-05-01T12:20:30+02:00", "2024-05-01T10:20:30Z");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "2024", "2024-05-01", "yesterday", "2024-05-01 10:20:30Z", "2024-05-01T10:20:30"] {
            assert!(text.parse::<Time>().is_err(), "{text:?} must not parse");
        }
    }

    #[test]
    fn the_zero_time_is_null() {
        assert_eq!(serde_json::to_string(&Time::ZERO).unwrap(), "null");
        assert_eq!(serde_json::from_str::<Time>("null").unwrap(), Time::ZERO);
    }
}
