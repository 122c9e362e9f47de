//! Ages and sizes as people read them, in the words of the reference client.
//!
//! Ages come in two dialects: the wordy one (`About an hour`, describe) and the short one (`3h5m`, AGE columns).

use machinery::time::Time;

/// Longest duration the reference can hold, in seconds: what an absent time looks like.
const FOREVER: i64 = i64::MAX / 1_000_000_000;

/// Seconds between a point in time and now; an absent time is as long ago as can be.
pub(crate) fn age(now: Time, then: Time) -> i64 {
    if then.is_zero() { FOREVER } else { now.seconds_since(then) }
}

/// `3 minutes`, `About an hour`, `292 years`.
pub(crate) fn wordy(seconds: i64) -> String {
    let minutes = seconds / 60;
    let hours = (seconds + 1800) / 3600;
    match seconds {
        s if s < 1 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        s if s < 60 => format!("{s} seconds"),
        _ if minutes == 1 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// `5 days ago`.
pub(crate) fn ago(now: Time, then: Time) -> String {
    format!("{} ago", wordy(age(now, then)))
}

/// Kubernetes' AGE column: `2m30s`, `5d`, `3y45d`.
pub(crate) fn column(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let with = |big: i64, unit: &str, small: i64, small_unit: &str| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{small_unit}") }
    };
    match seconds {
        s if s < -1 => "<invalid>".to_owned(),
        s if s < 0 => "0s".to_owned(),
        s if s < 60 * 2 => format!("{s}s"),
        s if minutes < 10 => with(minutes, "m", s % 60, "s"),
        _ if minutes < 60 * 3 => format!("{minutes}m"),
        _ if hours < 8 => with(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 24 * 8 => with(hours / 24, "d", hours % 24, "h"),
        _ if hours < 24 * 365 * 2 => format!("{}d", hours / 24),
        _ if hours < 24 * 365 * 8 => with(hours / 24 / 365, "y", hours / 24 % 365, "d"),
        _ => format!("{}y", hours / 24 / 365),
    }
}

/// `6y`: the largest unit alone.
pub(crate) fn short(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match seconds {
        s if s < -1 => "<invalid>".to_owned(),
        s if s < 0 => "0s".to_owned(),
        s if s < 60 => format!("{s}s"),
        _ if minutes < 60 => format!("{minutes}m"),
        _ if hours < 24 => format!("{hours}h"),
        _ if hours < 24 * 365 => format!("{}d", hours / 24),
        _ => format!("{}y", hours / 24 / 365),
    }
}

/// `75.86MB`: powers of a thousand, four significant digits.
pub(crate) fn size(bytes: i64) -> String {
    scaled(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"])
}

fn scaled(bytes: i64, base: f64, units: &[&str]) -> String {
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    format!("{}{}", four_digits(value), units[unit])
}

/// `%.4g` for values from 0 up to a thousand and a bit.
fn four_digits(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let before = value.abs().log10().floor();
    if !(-4.0..4.0).contains(&before) {
        // Rounding may have carried 999.96 to 1000: still four digits, no exponent.
        return format!("{value:.0}");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between -4 and 3")]
    let decimals = (3.0 - before) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_in_words() {
        let check = |seconds: i64, want: &str| assert_eq!(wordy(seconds), want, "{seconds}");
        check(-5, "Less than a second");
        check(0, "Less than a second");
        check(1, "1 second");
        check(59, "59 seconds");
        check(60, "About a minute");
        check(119, "About a minute");
        check(120, "2 minutes");
        check(3599, "59 minutes");
        check(3600, "About an hour");
        check(5400, "2 hours");
        check(47 * 3600, "47 hours");
        check(48 * 3600, "2 days");
        check(335 * 3600, "13 days");
        check(336 * 3600, "2 weeks");
        check(1440 * 3600, "2 months");
        check(17520 * 3600, "2 years");
        check(age(Time::from_unix(1), Time::ZERO), "292 years");
    }

    #[test]
    fn ages_in_columns() {
        let check = |seconds: i64, want: &str| assert_eq!(column(seconds), want, "{seconds}");
        check(-2, "<invalid>");
        check(119, "119s");
        check(150, "2m30s");
        check(600, "10m");
        check(3 * 3600, "3h");
        check(3 * 3600 + 300, "3h5m");
        check(26 * 3600, "26h");
        check(50 * 3600, "2d2h");
        check(9 * 24 * 3600, "9d");
        check(3 * 365 * 24 * 3600, "3y");
    }

    #[test]
    fn ages_in_a_single_unit() {
        let check = |seconds: i64, want: &str| assert_eq!(short(seconds), want, "{seconds}");
        check(-2, "<invalid>");
        check(59, "59s");
        check(3599, "59m");
        check(3600, "1h");
        check(24 * 3600, "1d");
        check(364 * 24 * 3600, "364d");
        check(9 * 365 * 24 * 3600, "9y");
    }

    #[test]
    fn sizes_have_four_digits() {
        let check = |bytes: i64, want: &str| assert_eq!(size(bytes), want);
        check(0, "0B");
        check(999, "999B");
        check(1611, "1.611kB");
        check(4430, "4.43kB");
        check(21_237, "21.24kB");
        check(75_858_000, "75.86MB");
        check(1000, "1kB");
        check(21_200, "21.2kB");
    }
}
