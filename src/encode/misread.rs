//! Texts that a reader of PostgreSQL's own takes for something else without a word: they must not reach it.

use super::error::{EncodeError, quote};
use super::range::RangeType;
use crate::model::CastType;
use std::borrow::Cow;

/// Types whose readers change what they are given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Misreader {
    /// Rounds to cents, takes an empty text for nothing, and a comma anywhere for one between thousands.
    Money,
    /// Counts from the top where the number is negative, and in eights behind a zero; older servers read 0 in other texts.
    Unsigned { most: u64 },
    /// Drops offsets of bounds, rounds their digits, and takes words such as `now`.
    Range(RangeType),
}

impl Misreader {
    /// The type's, or that of an array's elements.
    pub(super) fn of(cast: &CastType) -> Option<Self> {
        let sql = cast.element.as_ref().unwrap_or(&cast.sql);
        match sql.strip_prefix("\"pg_catalog\".\"")?.strip_suffix('"')? {
            "money" => Some(Self::Money),
            "oid" | "xid" | "cid" => Some(Self::Unsigned { most: u64::from(u32::MAX) }),
            "xid8" => Some(Self::Unsigned { most: u64::MAX }),
            name => RangeType::of(name).map(Self::Range),
        }
    }

    /// Whether what is read are bounds that are moments, of which microseconds are kept.
    pub(super) fn reads_moments(self) -> bool {
        matches!(self, Self::Range(range) if range.holds_moments())
    }

    /// The text as its reader changes nothing in it.
    ///
    /// # Errors
    /// `number` or `too_precise` for money; `integer` or `number_range` for numbers of objects; for a range those of its
    /// bounds, and `type_input`.
    pub(super) fn read(self, text: &str) -> Result<Cow<'_, str>, EncodeError> {
        match self {
            Self::Money => money(text)?,
            Self::Unsigned { most } => unsigned(text, most)?,
            Self::Range(range) => return range.read(text).map(Cow::Owned),
        }
        Ok(Cow::Borrowed(text))
    }
}

fn money(text: &str) -> Result<(), EncodeError> {
    let no_amount = || EncodeError::new("number", format!("{} is no amount of money", quote(text)));
    let trimmed = text.trim_matches(' ');
    let unsigned = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    let amount = match unsigned.strip_prefix('$') {
        Some(amount) if unsigned.len() == trimmed.len() => amount.strip_prefix('-').unwrap_or(amount),
        Some(amount) => amount,
        None => unsigned,
    };
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mut groups = whole.split(',');
    let first = groups.next().unwrap_or_default();
    let grouped = whole.contains(',');
    let well_grouped =
        digits(first) && (!grouped || first.len() <= 3) && groups.all(|group| digits(group) && group.len() == 3);
    if !well_grouped || !digits(fraction) {
        return Err(no_amount());
    }
    if fraction.trim_end_matches('0').len() > 2 {
        let detail = format!("{} has digits below those that money holds", quote(text));
        return Err(EncodeError::new("too_precise", detail));
    }
    Ok(())
}

fn unsigned(text: &str, most: u64) -> Result<(), EncodeError> {
    let trimmed = text.trim_matches(' ');
    let is_octal = trimmed.len() > 1 && trimmed.starts_with('0');
    if trimmed.is_empty() || is_octal || !trimmed.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(EncodeError::new("integer", format!("{} is no number of an object or transaction", quote(text))));
    }
    match trimmed.parse::<u64>() {
        Ok(number) if number <= most => Ok(()),
        _ => Err(EncodeError::new("number_range", format!("{} is beyond {most}", quote(text)))),
    }
}

#[cfg(test)]
mod tests {
    use super::{money, unsigned};

    #[test]
    fn an_amount_of_money_is_what_no_reader_changes() {
        for text in ["0", "12.5", " -1,234,567.80 ", "$5", "-$5", "$-5", "+1", "1.000", "1234567"] {
            assert_eq!(money(text), Ok(()), "{text}");
        }
        for text in [
            "",
            " ",
            "1.",
            ".5",
            "12,34",
            "1,2345",
            "1,234,5",
            ",1",
            "1e5",
            "--1",
            "(5)",
            "5-",
            "$",
            "-",
            "1.2.3",
            "1,234.5,6",
        ] {
            assert_eq!(money(text).unwrap_err().reason, "number", "{text}");
        }
        for text in ["1.239", "-0.001"] {
            assert_eq!(money(text).unwrap_err().reason, "too_precise", "{text}");
        }
    }

    #[test]
    fn numbers_of_objects_have_digits_alone() {
        assert_eq!(unsigned(" 4294967295 ", u32::MAX.into()), Ok(()));
        for (text, reason) in [
            ("-1", "integer"),
            ("", "integer"),
            ("12abc", "integer"),
            ("0x10", "integer"),
            ("010", "integer"),
            ("4294967296", "number_range"),
        ] {
            assert_eq!(unsigned(text, u32::MAX.into()).unwrap_err().reason, reason, "{text}");
        }
        assert_eq!(unsigned("18446744073709551616", u64::MAX).unwrap_err().reason, "number_range");
    }
}
