//! Durations for people, in the two dialects that users know: Docker's long words in tables and descriptions of images,
//! Kubernetes' short letters (`5d3h`) in AGE columns.

use std::fmt::Write as _;

use crate::time::Time;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// Seconds of the longest duration that Go knows: what "never" looks like.
const FOREVER: i64 = i64::MAX / 1_000_000_000;

/// Docker's words: `Less than a second`, `2 minutes`, `About an hour`, `3 weeks`.
pub fn human(seconds: i64) -> String {
    let hours = (seconds + HOUR / 2) / HOUR;
    match seconds {
        ..1 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..MINUTE => format!("{seconds} seconds"),
        _ if seconds / MINUTE == 1 => "About a minute".to_owned(),
        _ if seconds < HOUR => format!("{} minutes", seconds / MINUTE),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / HOUR / 24 / 365),
    }
}

/// The same since a time, with `ago` behind; a time that was never set is 292 years ago.
pub fn ago(since: Time, now: Time) -> String {
    let seconds = if since.is_zero() { FOREVER } else { now.seconds_since(since) };
    format!("{} ago", human(seconds))
}

/// Kubernetes' letters for the AGE column: `45s`, `3m20s`, `5d3h`, `2y10d`.
pub fn age(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / MINUTE, seconds / HOUR, seconds / DAY);
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        _ if seconds < 2 * MINUTE => format!("{seconds}s"),
        _ if minutes < 10 => two(minutes, 'm', seconds % MINUTE, 's'),
        _ if minutes < 3 * 60 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, 'h', minutes % 60, 'm'),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 24 * 8 => two(days, 'd', hours % 24, 'h'),
        _ if hours < 24 * 365 * 2 => format!("{days}d"),
        _ if hours < 24 * 365 * 8 => two(seconds / YEAR, 'y', days % 365, 'd'),
        _ => format!("{}y", seconds / YEAR),
    }
}

/// Kubernetes' letters with one unit only, as the older short form has them: `45s`, `3m`, `5d`, `2y`.
pub fn short(seconds: i64) -> String {
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => format!("{}m", seconds / MINUTE),
        HOUR..DAY => format!("{}h", seconds / HOUR),
        DAY..YEAR => format!("{}d", seconds / DAY),
        _ => format!("{}y", seconds / YEAR),
    }
}

fn two(large: i64, unit: char, small: i64, sub_unit: char) -> String {
    let mut text = format!("{large}{unit}");
    if small > 0 {
        // Writing to a string cannot fail.
        let _ = write!(text, "{small}{sub_unit}");
    }
    text
}

/// Reads a duration as Go writes it (`1h30m`, `2.5s`, `300ms`), in seconds; a bare number is seconds too.
pub fn parse_seconds(text: &str) -> Option<f64> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(f64::from(seconds));
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..]
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .map_or(rest.len(), |at| digits + at);
        let unit = match &rest[digits..unit_end] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        assert_eq!(parse_seconds("2"), Some(2.0));
        assert_eq!(parse_seconds("1h30m"), Some(5400.0));
        assert_eq!(parse_seconds("2.5s"), Some(2.5));
        for bad in ["", "s", "1x", "1h2", "-1s", "1..2s"] {
            assert_eq!(parse_seconds(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn docker_words() {
        let check = |seconds: i64, want: &str| assert_eq!(human(seconds), want, "{seconds}");
        check(-5, "Less than a second");
        check(0, "Less than a second");
        check(1, "1 second");
        check(59, "59 seconds");
        check(60, "About a minute");
        check(119, "About a minute");
        check(120, "2 minutes");
        check(3599, "59 minutes");
        check(3600, "About an hour");
        check(5399, "About an hour");
        check(5400, "2 hours");
        check(47 * HOUR, "47 hours");
        check(48 * HOUR, "2 days");
        check(13 * DAY, "13 days");
        check(14 * DAY, "2 weeks");
        check(59 * DAY, "8 weeks");
        check(60 * DAY, "2 months");
        check(2 * YEAR - DAY, "24 months");
        check(2 * YEAR, "2 years");
        assert_eq!(ago(Time::ZERO, Time::from_unix(0)), "292 years ago");
        assert_eq!(ago(Time::from_unix(10), Time::from_unix(70)), "About a minute ago");
    }

    #[test]
    fn kubernetes_letters() {
        let check = |seconds: i64, want: &str| assert_eq!(age(seconds), want, "{seconds}");
        check(-2, "<invalid>");
        check(-1, "0s");
        check(119, "119s");
        check(120, "2m");
        check(200, "3m20s");
        check(600, "10m");
        check(3 * HOUR - 1, "179m");
        check(3 * HOUR + 120, "3h2m");
        check(8 * HOUR, "8h");
        check(47 * HOUR, "47h");
        check(5 * DAY + 3 * HOUR, "5d3h");
        check(8 * DAY, "8d");
        check(2 * YEAR + 10 * DAY, "2y10d");
        check(8 * YEAR, "8y");
        assert_eq!(short(59), "59s");
        assert_eq!(short(3 * HOUR), "3h");
        assert_eq!(short(400 * DAY), "1y");
    }

    proptest::proptest! {
        #[test]
        fn no_duration_panics(seconds: i64) {
            let seconds = seconds.clamp(-FOREVER, FOREVER);
            let _ = (human(seconds), age(seconds), short(seconds));
        }
    }
}
