//! What an unquoted word means in YAML 1.1.

/// The meaning of a plain scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    /// A date or time; a string for JSON, but one that must be quoted.
    Timestamp,
    Text,
}

/// Resolves a plain scalar.
pub(super) fn resolve(text: &str) -> Scalar {
    let Some(first) = text.chars().next() else { return Scalar::Null };
    match first {
        'y' | 'Y' | 'n' | 'N' | 't' | 'T' | 'f' | 'F' | 'o' | 'O' | '~' => word(text),
        '.' => match text {
            ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
            ".inf" | ".Inf" | ".INF" => Scalar::Float(f64::INFINITY),
            _ if is_float(text) => text.parse().map_or(Scalar::Text, Scalar::Float),
            _ => Scalar::Text,
        },
        '+' | '-' | '0'..='9' => match text {
            "+.inf" | "+.Inf" | "+.INF" => Scalar::Float(f64::INFINITY),
            "-.inf" | "-.Inf" | "-.INF" => Scalar::Float(f64::NEG_INFINITY),
            _ if is_timestamp(text) => Scalar::Timestamp,
            _ => number(&text.replace('_', "")),
        },
        _ => Scalar::Text,
    }
}

/// Old readers take `1:30` for a number to the base of sixty: it is written quoted.
pub(super) fn is_sexagesimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (integer, fraction) = match unsigned.split_once('.') {
        Some((integer, fraction)) => (integer, fraction),
        None => (unsigned, ""),
    };
    let mut parts = integer.split(':');
    let head = parts.next().unwrap_or_default();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let sixtieth = |part: &str| match part.as_bytes() {
        [unit] => unit.is_ascii_digit(),
        [ten, unit] => (b'0'..=b'5').contains(ten) && unit.is_ascii_digit(),
        _ => false,
    };
    let mut sixtieths = 0;
    head.starts_with(|c: char| c.is_ascii_digit())
        && digits(head)
        && parts.all(|part| {
            sixtieths += 1;
            sixtieth(part)
        })
        && sixtieths > 0
        && digits(fraction)
}

fn word(text: &str) -> Scalar {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Scalar::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Scalar::Bool(false)
        }
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        _ => Scalar::Text,
    }
}

/// Whole numbers to base 2, 8, 10 and 16, then decimal fractions.
fn number(text: &str) -> Scalar {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    let signless = digits.starts_with(|c: char| c.is_ascii_hexdigit());
    if let Ok(magnitude) = u64::from_str_radix(digits, base)
        && signless
    {
        match (negative, i64::try_from(magnitude)) {
            (false, Ok(value)) => return Scalar::Int(value),
            (true, Ok(value)) => return Scalar::Int(-value),
            (false, Err(_)) if !text.starts_with('+') => return Scalar::Uint(magnitude),
            (true, Err(_)) if magnitude == i64::MIN.unsigned_abs() => return Scalar::Int(i64::MIN),
            _ => {}
        }
    }
    if is_float(text) { text.parse().map_or(Scalar::Text, Scalar::Float) } else { Scalar::Text }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    mantissa && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

/// A date, or a date and a time of day in one of the forms that the reference knows.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return false;
    }
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some((bytes[at], &text[at + 1..]))),
        None => (text, None),
    };
    let mut parts = date.split('-').map(|part| if part.len() <= 4 { part.parse::<i8>().ok() } else { None });
    let year = date.get(..4).and_then(|year| year.parse::<i16>().ok());
    let (_, month, day, rest) = (parts.next(), parts.next(), parts.next(), parts.next());
    let (Some(year), Some(Some(month)), Some(Some(day)), None) = (year, month, day, rest) else {
        return false;
    };
    jiff::civil::Date::new(year, month, day).is_ok()
        && time.is_none_or(|(separator, time)| is_time_of_day(time, separator != b' '))
}

/// `15:4:5.999`, with a zone (`Z` or `+07:00`) if one is wanted.
fn is_time_of_day(text: &str, zoned: bool) -> bool {
    let time = if zoned {
        if let Some(time) = text.strip_suffix('Z') {
            time
        } else {
            let Some(at) = text.rfind(['+', '-']) else { return false };
            let zone = &text.as_bytes()[at + 1..];
            let shape = matches!(zone, [a, b, b':', c, d] if [a, b, c, d].iter().all(|x| x.is_ascii_digit()));
            if !shape {
                return false;
            }
            &text[..at]
        }
    } else {
        text
    };
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut parts = clock.split(':').map(|part| part.parse::<u8>().ok().filter(|_| part.len() <= 2));
    let clock = (parts.next(), parts.next(), parts.next(), parts.next());
    let fits = |part: Option<Option<u8>>, limit: u8| matches!(part, Some(Some(value)) if value < limit);
    fits(clock.0, 24)
        && fits(clock.1, 60)
        && fits(clock.2, 60)
        && clock.3.is_none()
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_mean_what_yaml_1_1_says() {
        let check = |text: &str, want: Scalar| assert_eq!(resolve(text), want, "{text}");
        check("", Scalar::Null);
        check("~", Scalar::Null);
        check("yes", Scalar::Bool(true));
        check("off", Scalar::Bool(false));
        check("n", Scalar::Bool(false));
        check("nope", Scalar::Text);
        check("0123", Scalar::Int(83));
        check("08", Scalar::Float(8.0));
        check("0x1f", Scalar::Int(31));
        check("0o17", Scalar::Int(15));
        check("0b11", Scalar::Int(3));
        check("-0x10", Scalar::Int(-16));
        check("1_000", Scalar::Int(1000));
        check("+1", Scalar::Int(1));
        check("18446744073709551615", Scalar::Uint(u64::MAX));
        check("-9223372036854775808", Scalar::Int(i64::MIN));
        check("1e3", Scalar::Float(1000.0));
        check(".5", Scalar::Float(0.5));
        check("1.", Scalar::Float(1.0));
        check("1.2.3", Scalar::Text);
        check("-", Scalar::Text);
        check("+-1", Scalar::Text);
        check("3.6", Scalar::Float(3.6));
        check("2024-01-01", Scalar::Timestamp);
        check("2024-1-1T1:2:3Z", Scalar::Timestamp);
        check("2026-01-01T00:00:00+02:00", Scalar::Timestamp);
        check("2026-01-01 00:00:00", Scalar::Timestamp);
        check("2024-13-01", Scalar::Text);
        check("2024-01-01T00:00:00", Scalar::Text);
        check("<<", Scalar::Text);
        check("=", Scalar::Text);
        check(".", Scalar::Text);
    }

    #[test]
    fn sexagesimals_are_noticed() {
        for yes in ["1:30", "-1:30:59", "190:20:30.15", "1_0:00"] {
            assert!(is_sexagesimal(yes), "{yes}");
        }
        for no in ["1:60", "a:30", "1", ":30", "1:", "1:300", "", "1:3a"] {
            assert!(!is_sexagesimal(no), "{no}");
        }
    }

    proptest::proptest! {
        #[test]
        fn resolving_never_panics(text in "[-+0-9.:eTZ_x]{0,20}|.{0,20}") {
            let _ = (resolve(&text), is_sexagesimal(&text));
        }
    }
}
