//! Kubernetes quantities: `500m`, `1Gi`, `20`, `1e3`.
//!
//! A quantity is a whole number of thousand-millionths (nano), which covers every suffix exactly; finer digits are
//! rounded up, as Kubernetes does. The form it was written in (decimal, binary, exponent) is kept for printing.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

const NANO: i128 = 1_000_000_000;
/// Kubernetes caps quantities here.
const MAX: i128 = (i64::MAX as i128) * NANO;

/// How a quantity is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `k`, `M`, `G`, …
    Decimal,
    /// `Ki`, `Mi`, `Gi`, …
    Binary,
    /// `e3`, `e6`, …
    Exponent,
}

/// An amount of something.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nano: i128,
    format: Format,
}

/// A text that is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
pub struct BadQuantity;

const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

impl Quantity {
    /// A whole number.
    pub const fn new(value: i64, format: Format) -> Quantity {
        Quantity { nano: value as i128 * NANO, format }
    }

    /// The whole number that is not smaller.
    pub fn value(&self) -> i64 {
        let whole = self.nano.div_euclid(NANO) + i128::from(self.nano.rem_euclid(NANO) > 0);
        i64::try_from(whole).unwrap_or(i64::MAX)
    }

    /// True for nothing.
    pub const fn is_zero(&self) -> bool {
        self.nano == 0
    }

    /// The sum, printed like `self`.
    #[must_use]
    pub fn plus(&self, other: Quantity) -> Quantity {
        Quantity { nano: self.nano.saturating_add(other.nano).clamp(-MAX, MAX), format: self.format }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        self.nano.cmp(&other.nano)
    }
}

impl FromStr for Quantity {
    type Err = BadQuantity;

    fn from_str(text: &str) -> Result<Quantity, BadQuantity> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(BadQuantity);
        }
        let (format, scale) = scale(suffix)?;
        let nano = scaled(whole, fraction, scale);
        Ok(Quantity { nano: if text.starts_with('-') { -nano } else { nano }, format })
    }
}

/// What a suffix multiplies by.
#[derive(Clone, Copy)]
enum Scale {
    Ten(i32),
    Two(u32),
}

fn scale(suffix: &str) -> Result<(Format, Scale), BadQuantity> {
    if let Some((_, bits)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Ok((Format::Binary, Scale::Two(*bits)));
    }
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Ok((Format::Decimal, Scale::Ten(*power)));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(BadQuantity)?;
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || digits.len() > 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadQuantity);
    }
    let power = exponent.parse().map_err(|_| BadQuantity)?;
    Ok((Format::Exponent, Scale::Ten(power)))
}

/// The number in nano, capped, rounded up.
fn scaled(whole: &str, fraction: &str, scale: Scale) -> i128 {
    let mut digits = 0i128;
    let mut places = 0i32;
    let mut rest = false;
    for (index, byte) in whole.bytes().chain(fraction.bytes()).enumerate() {
        let behind_point = index >= whole.len();
        // Beyond this many digits only the fraction may go on, and there it no longer counts but for rounding.
        if behind_point && (places >= 27 || digits >= MAX) {
            rest |= byte != b'0';
            continue;
        }
        digits = digits.saturating_mul(10).saturating_add(i128::from(byte - b'0')).min(MAX * 10);
        places += i32::from(behind_point);
    }
    let (factor, power) = match scale {
        Scale::Ten(power) => (1i128, power),
        Scale::Two(bits) => (1i128 << bits, 0),
    };
    let power = power.saturating_add(9).saturating_sub(places);
    let product = digits.saturating_mul(factor);
    let nano = if power >= 0 {
        (0..power.min(60)).fold(product, |value, _| value.saturating_mul(10))
    } else {
        let mut value = product;
        for _ in 0..power.unsigned_abs().min(60) {
            rest |= value % 10 != 0;
            value /= 10;
        }
        value + i128::from(rest)
    };
    nano.min(MAX)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.nano / NANO;
        if self.nano == 0 {
            return f.write_str("0");
        }
        if self.format == Format::Binary && self.nano % NANO == 0 && whole.abs() >= 1024 {
            let fitting = BINARY.iter().rev().find(|(_, bits)| whole % (1i128 << bits) == 0);
            return match fitting {
                Some((suffix, bits)) => write!(f, "{}{suffix}", whole / (1i128 << bits)),
                None => write!(f, "{whole}"),
            };
        }
        let mut value = self.nano;
        let mut index = 0;
        let last = if self.format == Format::Binary { 3 } else { DECIMAL.len() - 1 };
        while value % 1000 == 0 && index < last {
            value /= 1000;
            index += 1;
        }
        let (suffix, power) = DECIMAL[index];
        match self.format {
            Format::Exponent if power != 0 => write!(f, "{value}e{power}"),
            _ => write!(f, "{value}{suffix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_print_in_their_own_form() {
        let check = |text: &str, want: &str, value: i64| {
            let quantity: Quantity = text.parse().unwrap_or_else(|_| panic!("{text}"));
            assert_eq!((quantity.to_string().as_str(), quantity.value()), (want, value), "{text}");
        };
        check("0", "0", 0);
        check("20", "20", 20);
        check("1000", "1k", 1000);
        check("500m", "500m", 1);
        check("0.5", "500m", 1);
        check("1.5Gi", "1536Mi", 1_610_612_736);
        check("1Gi", "1Gi", 1 << 30);
        check("1024", "1024", 1024);
        check("1Ki", "1Ki", 1024);
        check("100Ki", "100Ki", 102_400);
        check("1e3", "1e3", 1000);
        check("12E", "9223372036854775807", i64::MAX);
        check("-5", "-5", -5);
        check("1.0000000001", "1000000001n", 2);
        check("1M", "1M", 1_000_000);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "x", "1x", "1.2.3", "1 Gi", "e3", "1e", "--1", ".", "1KI"] {
            assert_eq!(text.parse::<Quantity>(), Err(BadQuantity), "{text}");
        }
    }

    #[test]
    fn quantities_compare_by_amount() {
        let quantity = |text: &str| text.parse::<Quantity>().unwrap();
        assert_eq!(quantity("1Gi"), quantity("1073741824"));
        assert!(quantity("1G") < quantity("1Gi"));
        assert_eq!(quantity("1Gi").plus(quantity("1Gi")).to_string(), "2Gi");
    }

    proptest::proptest! {
        #[test]
        fn what_is_printed_reads_back(text in "[-+]?[0-9]{1,25}([.][0-9]{0,25})?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|e-?[0-9]{1,2})?") {
            let quantity: Quantity = text.parse().unwrap();
            let again: Quantity = quantity.to_string().parse().unwrap();
            proptest::prop_assert_eq!(quantity, again);
        }
    }
}
