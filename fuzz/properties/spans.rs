//! Intervals, and ranges of moments and numbers.

use super::moments::{encoded, micros};
use jiff::Span;
use redis2pg::encode::Policy;
use redis2pg::model::{CastType, ColumnType};

/// The types of ranges whose bounds are read before the server reads them.
pub(crate) const RANGES: [&str; 6] = ["tsrange", "tstzrange", "daterange", "int4range", "int8range", "numrange"];

/// An interval printed in its parts is itself, and has the parts that jiff reads.
pub(crate) fn interval(text: &str, policy: &Policy) {
    let Ok(Some(bytes)) = encoded(ColumnType::Interval(-1), policy, text) else { return };
    let part = |at: usize| i32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let (micros, days, months) = (micros(&bytes[..8]), part(8), part(12));
    let again = format!("{months} mons {days} days {micros} microseconds");
    assert_eq!(encoded(ColumnType::Interval(-1), &Policy::default(), &again), Ok(Some(bytes)), "{again}");
    let trimmed = text.trim_matches(' ');
    if trimmed.trim_start_matches(['-', '+']).starts_with('P')
        && let Ok(span) = trimmed.parse::<Span>()
    {
        assert_eq!(i64::from(months), i64::from(span.get_years()) * 12 + i64::from(span.get_months()), "{text}");
        assert_eq!(i64::from(days), i64::from(span.get_weeks()) * 7 + i64::from(span.get_days()), "{text}");
        let clock = Span::new()
            .hours(span.get_hours())
            .minutes(span.get_minutes())
            .seconds(span.get_seconds())
            .milliseconds(span.get_milliseconds())
            .microseconds(span.get_microseconds())
            .nanoseconds(span.get_nanoseconds());
        let known = clock.total(jiff::Unit::Nanosecond).unwrap();
        // A float holds what jiff gives here only so far.
        if known.abs() < 9e15 {
            assert_eq!(known, micros as f64 * 1000.0, "{text}");
        }
    }
}

/// What is sent for a range is read as itself.
pub(crate) fn range(text: &str, name: &str) {
    let sql = format!("\"pg_catalog\".\"{name}\"");
    let cast = CastType { name: name.to_owned(), sql, equality: Some("=".into()), delimiter: None, element: None };
    let column_type = ColumnType::Cast(cast);
    let Ok(Some(bytes)) = encoded(column_type.clone(), &Policy::default(), text) else { return };
    let sent = std::str::from_utf8(&bytes).unwrap();
    assert!(
        sent == "empty" || sent.starts_with(['[', '(']) && sent.ends_with([']', ')']) && sent.contains(','),
        "{sent}"
    );
    assert!(sent.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{sent}");
    assert_eq!(encoded(column_type, &Policy::default(), sent).as_ref(), Ok(&Some(bytes.clone())), "{sent}");
}
