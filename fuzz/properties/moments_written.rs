//! Moments that are written in a spelling by others, and read by the product as what they were; and numbers as their digits say.

use super::moments::{Digits, EPOCH, encoded, moment, utc};
use jiff::Timestamp;
use jiff::fmt::{rfc2822, strtime};
use jiff::tz::TimeZone;
use redis2pg::encode::{EpochUnit, Format, Policy};
use redis2pg::model::ColumnType;

/// Years 1990 to 2100, in microseconds since 1970: what is taken for a time where it is a number.
const PLAUSIBLE: std::ops::Range<i128> = 631_152_000_000_000..4_102_444_800_000_000;

/// A number is the moment that its digits say, cut to microseconds toward the past, where it is plausible.
pub(crate) fn number_is_right((negative, digits, point): Digits, unit: EpochUnit, found: Option<i64>, text: &str) {
    let micros = |places: i64| floor(negative, &digits, point + places);
    let known = match unit {
        EpochUnit::S => micros(6),
        EpochUnit::Ms => micros(3),
        EpochUnit::Us => micros(0),
        EpochUnit::Ns => micros(-3),
        EpochUnit::Auto => match found {
            // One of the units, whichever.
            Some(found) => {
                [6, 3, 0, -3].into_iter().map(micros).find(|known| *known == Some(i128::from(found + EPOCH))).flatten()
            }
            None => None,
        },
    };
    let plausible = known.filter(|known| PLAUSIBLE.contains(known)).map(|known| known as i64 - EPOCH);
    assert_eq!(found, plausible, "{text}");
}

/// The whole number below digits with a point among them or beside them; `None` where it is very large.
fn floor(negative: bool, digits: &str, point: i64) -> Option<i128> {
    let kept = usize::try_from(point).unwrap_or(0);
    if kept > 38
        && digits.bytes().any(|digit| digit != b'0')
        && digits.trim_start_matches('0').len() + kept - digits.len().min(kept) > 38
    {
        return None;
    }
    let whole: String = digits.chars().chain(std::iter::repeat('0')).take(kept).collect();
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let rest = digits.bytes().skip(kept).any(|digit| digit != b'0');
    Some(if negative { -whole - i128::from(rest) } else { whole })
}

/// A moment of the plausible years that is written in a spelling is read as itself, or refused.
pub(crate) fn come_back(format: &Format, name: &str, number: i64) {
    // One without a date is refused for such a column before the run.
    if !format.has_date() {
        return;
    }
    let micros = i128::from(number).rem_euclid(PLAUSIBLE.end - PLAUSIBLE.start) + PLAUSIBLE.start;
    let known = Timestamp::from_microsecond(micros as i64).unwrap();
    let policy = Policy { formats: vec![format.clone()], ..Policy::default() };
    let read = |text: &str| encoded(ColumnType::Timestamp(6), &policy, text);
    let Some(text) = written(name, known) else { return };
    let Ok(bytes) = read(&text) else { return };
    let found = moment(i64::from_be_bytes(bytes.unwrap().as_slice().try_into().unwrap()));
    // Dates that a number stands for go by their own spelling: a text of digits could be ISO 8601 too.
    let again = written(name, found).unwrap();
    assert_eq!(again.trim(), text.trim(), "{known} by {name} was read as {found}");
}

fn written(name: &str, known: Timestamp) -> Option<String> {
    let clock = utc(known);
    Some(match name {
        "jackson_array" => {
            let (time, micros) = (clock.time(), clock.subsec_nanosecond() / 1000 * 1000);
            format!(
                "[{},{},{},{},{},{},{micros}]",
                clock.year(),
                clock.month(),
                clock.day(),
                time.hour(),
                time.minute(),
                time.second()
            )
        }
        "dotnet_date" => format!("/Date({})/", known.as_millisecond()),
        "dotnet_ticks" => (known.as_microsecond() * 10 + 621_355_968_000_000_000).to_string(),
        "mongo_extjson" => format!("{{\"$date\":{{\"$numberLong\":\"{}\"}}}}", known.as_millisecond()),
        "rfc2822" => rfc2822::to_string(&known.to_zoned_datetime(TimeZone::UTC)).ok()?,
        "unix" => format!("{}.{:06}", known.as_second(), known.subsec_microsecond()),
        "unix_ms" => known.as_millisecond().to_string(),
        "unix_us" => known.as_microsecond().to_string(),
        "unix_ns" => (known.as_microsecond() * 1000).to_string(),
        pattern => strtime::format(pattern, &known.to_zoned_datetime(TimeZone::UTC)).ok()?,
    })
}
