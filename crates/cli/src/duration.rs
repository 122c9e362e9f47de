//! Durations as Go writes them: `1h30m`, `300ms`, `2s`, `0`.

use std::time::Duration;

/// Reads a duration that is not negative.
///
/// # Errors
/// `time: invalid duration "x"` and its relatives.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let (nanos, negative) = parse_signed(text)?;
    if negative && nanos > 0 {
        return Err(format!("time: negative duration {}", machinery::field::quote(text)));
    }
    Ok(Duration::from_nanos(nanos))
}

/// Reads a duration: nanoseconds, and whether it is negative.
pub(crate) fn parse_signed(text: &str) -> Result<(u64, bool), String> {
    let invalid = || format!("time: invalid duration {}", machinery::field::quote(text));
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok((0, false));
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let length = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(length);
        if number.is_empty() || number == "." {
            return Err(invalid());
        }
        let length = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(length);
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", machinery::field::quote(text)));
        }
        let scale: u64 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => {
                return Err(format!(
                    "time: unknown unit {} in duration {}",
                    machinery::field::quote(unit),
                    machinery::field::quote(text)
                ));
            }
        };
        total = add(total, number, scale).ok_or_else(invalid)?;
        rest = after;
    }
    Ok((total, negative))
}

/// Adds `number` times `scale`; the digits behind the point are cut to whole nanoseconds.
fn add(total: u64, number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut part = 0u64;
    let mut unit = scale;
    for digit in fraction.bytes() {
        unit /= 10;
        part += u64::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?) * unit;
    }
    let sum = total.checked_add(whole.checked_mul(scale)?)?.checked_add(part)?;
    (sum <= i64::MAX.unsigned_abs()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_go() {
        let check =
            |text: &str, want: u64| assert_eq!(parse(text), Ok(Duration::from_millis(want)), "{text}");
        check("0", 0);
        check("0s", 0);
        check("2s", 2000);
        check("1.5s", 1500);
        check("1h30m", 5_400_000);
        check("300ms", 300);
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(parse("nope").unwrap_err(), "time: invalid duration \"nope\"");
        assert_eq!(parse("3").unwrap_err(), "time: missing unit in duration \"3\"");
        assert_eq!(parse("3x").unwrap_err(), "time: unknown unit \"x\" in duration \"3x\"");
        assert_eq!(parse("").unwrap_err(), "time: invalid duration \"\"");
        assert_eq!(parse_signed("-1s"), Ok((1_000_000_000, true)));
        assert!(parse("99999999999999h").is_err());
    }
}
