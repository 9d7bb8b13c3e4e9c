//! PostgreSQL's own ranges and multiranges: their bounds are read as values of the columns that hold the like, since the
//! server's readers drop an offset, round digits, and know words such as `now`.

use super::calendar::{DAY, civil_from_days};
use super::error::{EncodeError, quote};
use super::moment;
use super::number::integer;
use super::{Policy, Value, numeric};

/// Microseconds and days from 1970 to 2000.
const EPOCH_MICROS: i64 = super::calendar::EPOCH_2000;
const EPOCH_DAYS: i64 = EPOCH_MICROS / DAY;

/// What the bounds of a range are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    Int4,
    Int8,
    Numeric,
    Date,
    Timestamp,
    Timestamptz,
}

/// A type of ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RangeType {
    bound: Bound,
    /// Whether a value is several ranges in braces.
    multi: bool,
}

impl RangeType {
    /// The type of that name in `pg_catalog`.
    pub(super) fn of(name: &str) -> Option<Self> {
        let (stem, multi) = match name.strip_suffix("multirange") {
            Some(stem) => (stem, true),
            None => (name.strip_suffix("range")?, false),
        };
        let bound = match stem {
            "int4" => Bound::Int4,
            "int8" => Bound::Int8,
            "num" => Bound::Numeric,
            "date" => Bound::Date,
            "ts" => Bound::Timestamp,
            "tstz" => Bound::Timestamptz,
            _ => return None,
        };
        Some(Self { bound, multi })
    }

    /// Whether its bounds are days or moments.
    pub(super) fn holds_moments(self) -> bool {
        matches!(self.bound, Bound::Date | Bound::Timestamp | Bound::Timestamptz)
    }

    /// The range as the server is to read it.
    ///
    /// # Errors
    /// `type_input` where it is no range, and those of the bounds' type.
    pub(super) fn read(self, text: &str) -> Result<String, EncodeError> {
        let wrong = || EncodeError::new("type_input", format!("{} is no range such as [1,2) or empty", quote(text)));
        let trimmed = text.trim_ascii();
        let mut out = String::with_capacity(text.len() + 16);
        if !self.multi {
            let rest = self.one(trimmed, &mut out)?.ok_or_else(wrong)?;
            return if rest.is_empty() { Ok(out) } else { Err(wrong()) };
        }
        let inside = trimmed.strip_prefix('{').and_then(|text| text.strip_suffix('}')).ok_or_else(wrong)?;
        let mut rest = inside.trim_ascii();
        out.push('{');
        while !rest.is_empty() {
            rest = self.one(rest, &mut out)?.ok_or_else(wrong)?.trim_ascii_start();
            if let Some(next) = rest.strip_prefix(',') {
                rest = next.trim_ascii_start();
                out.push(',');
                if rest.is_empty() {
                    return Err(wrong());
                }
            } else if !rest.is_empty() {
                return Err(wrong());
            }
        }
        out.push('}');
        Ok(out)
    }

    /// Reads the range at the start; gives what follows it, or `None` where there is none.
    fn one<'a>(self, text: &'a str, out: &mut String) -> Result<Option<&'a str>, EncodeError> {
        if let Some((word, rest)) = text.split_at_checked(5)
            && word.eq_ignore_ascii_case("empty")
        {
            out.push_str("empty");
            return Ok(Some(rest));
        }
        let Some(opening) = text.chars().next().filter(|c| matches!(c, '[' | '(')) else { return Ok(None) };
        let Some((lower, rest)) = literal(text.get(1..).unwrap_or_default()) else { return Ok(None) };
        let Some((upper, rest)) = rest.strip_prefix(',').and_then(literal) else { return Ok(None) };
        let Some(closing) = rest.chars().next().filter(|c| matches!(c, ']' | ')')) else { return Ok(None) };
        out.push(opening);
        self.bound.push(lower.as_deref(), out)?;
        out.push(',');
        self.bound.push(upper.as_deref(), out)?;
        out.push(closing);
        Ok(rest.get(1..))
    }
}

/// A bound as it is written, without its quotes and backslashes (`None`: there is none), and what follows it.
fn literal(text: &str) -> Option<(Option<String>, &str)> {
    let (mut bound, mut quoted, mut written) = (String::new(), false, false);
    let mut places = text.char_indices().peekable();
    while let Some((at, c)) = places.next() {
        match c {
            ',' | ')' | ']' | '(' | '[' if !quoted => return Some((written.then_some(bound), text.get(at..)?)),
            '\\' => bound.push(places.next()?.1),
            '"' if quoted && places.next_if(|(_, next)| *next == '"').is_some() => bound.push('"'),
            '"' => quoted = !quoted,
            c => bound.push(c),
        }
        written = true;
    }
    None
}

impl Bound {
    /// Appends a bound as the server reads it without a change.
    fn push(self, bound: Option<&str>, out: &mut String) -> Result<(), EncodeError> {
        let Some(text) = bound else { return Ok(()) };
        let (value, policy) = (Value::Text(text), Policy::default());
        let range = || EncodeError::new("number_range", format!("{} is beyond the bounds of the range", quote(text)));
        match self {
            Self::Int4 => {
                let number = i32::try_from(integer(value)?.0).map_err(|_| range())?;
                out.push_str(&number.to_string());
            }
            Self::Int8 => {
                let number = i64::try_from(integer(value)?.0).map_err(|_| range())?;
                out.push_str(&number.to_string());
            }
            Self::Numeric => {
                numeric::encode(value, &policy, None)?;
                out.push_str(text.trim_matches(' '));
            }
            Self::Date => {
                let (days, _) = moment::date(value, &policy)?;
                push_day(i64::from(days.unwrap_or_default()) + EPOCH_DAYS, text, out)?;
            }
            Self::Timestamp => {
                let (micros, _) = moment::timestamp(value, &policy, 6)?;
                push_moment(micros.unwrap_or_default() + EPOCH_MICROS, text, out)?;
            }
            Self::Timestamptz => {
                let utc = Policy { assume_offset: Some(0), ..policy };
                let (micros, _) = moment::timestamptz(value, &utc, 6)?;
                push_moment(micros.unwrap_or_default() + EPOCH_MICROS, text, out)?;
                out.push_str("+00");
            }
        }
        Ok(())
    }
}

fn push_day(days: i64, text: &str, out: &mut String) -> Result<(), EncodeError> {
    let (year, month, day) = civil_from_days(days);
    if !(1..10_000).contains(&year) {
        return Err(EncodeError::new("timestamp_range", format!("{} has no place in the calendar", quote(text))));
    }
    out.push_str(&format!("{year:04}-{month:02}-{day:02}"));
    Ok(())
}

fn push_moment(micros: i64, text: &str, out: &mut String) -> Result<(), EncodeError> {
    push_day(micros.div_euclid(DAY), text, out)?;
    let (seconds, fraction) = (micros.rem_euclid(DAY) / 1_000_000, micros.rem_euclid(1_000_000));
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    out.push_str(&format!(" {hour:02}:{minute:02}:{second:02}.{fraction:06}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::RangeType;

    fn read(name: &str, text: &str) -> Result<String, String> {
        RangeType::of(name).unwrap().read(text).map_err(|error| error.reason.into_owned())
    }

    #[test]
    fn bounds_are_read_as_the_columns_that_hold_the_like_read_them() {
        for (name, text, sent) in [
            ("int4range", " [1, 3] ", "[1,3]"),
            ("int8range", "(,12.0)", "(,12)"),
            ("int4range", "Empty", "empty"),
            ("numrange", "[1.50,\"2e3\")", "[1.50,2e3)"),
            ("daterange", "[2024-01-02,)", "[2024-01-02,)"),
            ("tsrange", "[2024-01-02T03:04:05,]", "[2024-01-02 03:04:05.000000,]"),
            ("tsrange", "[2024-01-02 03:04:05+05:00,)", "[2024-01-01 22:04:05.000000,)"),
            ("tsrange", "[,\"2024-01-02 03:04:05.1234567\")", "[,2024-01-02 03:04:05.123456)"),
            ("tstzrange", "[2024-01-02 03:04:05+05:00,2024-01-02 03:04)", {
                "[2024-01-01 22:04:05.000000+00,2024-01-02 03:04:00.000000+00)"
            }),
            ("int4multirange", "{ [1,2) , (5,) }", "{[1,2),(5,)}"),
            ("int4multirange", "{}", "{}"),
        ] {
            assert_eq!(read(name, text).as_deref(), Ok(sent), "{name} {text}");
        }
    }

    #[test]
    fn what_the_server_would_bend_is_refused() {
        for (name, text, reason) in [
            ("tsrange", "[now,)", "timestamp_format"),
            ("tsrange", "[2024-01-02,infinity)", "timestamp_format"),
            ("daterange", "[today,)", "timestamp_format"),
            ("daterange", "[2024-01-02 03:04:05,)", "date_has_time"),
            ("daterange", "[01/02/2024,)", "timestamp_ambiguous"),
            ("tstzrange", "[2024-01-02 03:04:05 IST,)", "timestamp_ambiguous"),
            ("tstzrange", "[2024-02-30,)", "timestamp_range"),
            ("tsrange", "[\"\",)", "timestamp_empty"),
            ("int4range", "[1.5,)", "integer"),
            ("int4range", "[0x10,)", "integer"),
            ("int4range", "[2147483648,)", "number_range"),
            ("numrange", "[NaN,)", "number"),
            ("numrange", "[1_000,)", "number"),
            ("int4range", "[1]", "type_input"),
            ("int4range", "[1,2", "type_input"),
            ("int4range", "[1,2) x", "type_input"),
            ("int4range", "[1,2,3]", "type_input"),
            ("int4range", "", "type_input"),
            ("int4multirange", "[1,2)", "type_input"),
            ("int4multirange", "{[1,2),}", "type_input"),
            ("int4multirange", "{[1,2)(3,4)}", "type_input"),
        ] {
            assert_eq!(read(name, text), Err(reason.to_owned()), "{name} {text}");
        }
        assert_eq!((RangeType::of("range"), RangeType::of("int4")), (None, None));
    }
}
