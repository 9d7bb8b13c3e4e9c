//! Sizes and durations as people write them: `64MiB`, `15s`. Pure; uses nothing but `std`.

use std::fmt;
use std::time::Duration;

/// A number of bytes. Read from `64MiB`, `64MB`, `64M` (1024-based, like `MiB`) or a bare number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// Longest unit first, so that `MiB` is not taken for bytes. `B` is last since every other unit ends in it.
const SIZE_UNITS: [(&str, u64); 13] = [
    ("tib", 1 << 40),
    ("gib", 1 << 30),
    ("mib", 1 << 20),
    ("kib", 1 << 10),
    ("tb", 1_000_000_000_000),
    ("gb", 1_000_000_000),
    ("mb", 1_000_000),
    ("kb", 1_000),
    ("t", 1 << 40),
    ("g", 1 << 30),
    ("m", 1 << 20),
    ("k", 1 << 10),
    ("b", 1),
];

impl ByteSize {
    /// Reads a size.
    ///
    /// # Errors
    /// A sentence for people where the text is not a size, or is beyond `u64`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let (digits, unit) = SIZE_UNITS
            .iter()
            .find_map(|(name, unit)| lower.strip_suffix(name).map(|digits| (digits.trim_end(), *unit)))
            .unwrap_or((lower.as_str(), 1));
        let bytes = decimal(digits, unit.into()).ok_or_else(|| format!("\"{text}\" is not a size"))?;
        u64::try_from(bytes).map(Self).map_err(|_| format!("\"{text}\" is larger than any memory"))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, unit) in [("TiB", 1_u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
            if self.0 >= unit && self.0.is_multiple_of(unit) {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// A span of time. Read from `500ms`, `15s`, `2m`, `1h`, `1d`, or a bare `0`; whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// In milliseconds; `ms` before `m` and `s`, which it ends in.
const TIME_UNITS: [(&str, u128); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Span {
    /// Reads a duration.
    ///
    /// # Errors
    /// A sentence for people where the text is not a duration; a number without a unit is refused, apart from 0.
    pub fn parse(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        if trimmed == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let (digits, unit) = TIME_UNITS
            .iter()
            .find_map(|(name, unit)| trimmed.strip_suffix(name).map(|digits| (digits.trim_end(), *unit)))
            .ok_or_else(|| format!("\"{text}\" has no unit of time"))?;
        let millis = decimal(digits, unit).ok_or_else(|| format!("\"{text}\" is not a duration"))?;
        u64::try_from(millis).map(Duration::from_millis).map(Self).map_err(|_| format!("\"{text}\" is too long"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis == 0 {
            return f.write_str("0");
        }
        for (name, unit) in TIME_UNITS.iter().rev() {
            if millis.is_multiple_of(*unit) {
                return write!(f, "{}{name}", millis / unit);
            }
        }
        write!(f, "{millis}ms")
    }
}

/// `digits[.digits]` times `unit`, exactly; `None` where that is no number or not whole.
fn decimal(text: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let whole = digits(whole)?.checked_mul(unit)?;
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = digits(fraction)?.checked_mul(unit)?;
    part.is_multiple_of(scale).then(|| whole.checked_add(part / scale))?
}

fn digits(text: &str) -> Option<u128> {
    let plain = text.replace('_', "");
    let all_digits = !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| plain.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::{ByteSize, Span};
    use std::time::Duration;

    #[test]
    fn sizes_are_read_with_their_units_and_printed_so_that_they_read_back() {
        for (text, bytes) in [("64MiB", 64 << 20), ("64 mb", 64_000_000), ("1.5k", 1536), ("4_096", 4096), ("7B", 7)] {
            let size = ByteSize::parse(text);
            assert_eq!(size, Ok(ByteSize(bytes)), "{text}");
            assert_eq!(ByteSize::parse(&ByteSize(bytes).to_string()), size);
        }
        for text in ["", "MiB", "-1", "1.3B", "64 MiBs", "99999999999TiB", "1e3"] {
            assert!(ByteSize::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        for (text, millis) in [("500ms", 500), ("15s", 15_000), ("2m", 120_000), ("1.5s", 1_500), ("0", 0)] {
            let span = Span::parse(text);
            assert_eq!(span, Ok(Span(Duration::from_millis(millis))), "{text}");
            assert_eq!(Span::parse(&Span(Duration::from_millis(millis)).to_string()), span);
        }
        for text in ["15", "s", "-2s", "1x", "1.5ms"] {
            assert!(Span::parse(text).is_err(), "{text}");
        }
    }
}
