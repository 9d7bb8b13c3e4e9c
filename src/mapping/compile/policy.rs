//! A column's policies: what was written, read, and held against the column's type. One that could never do anything is a
//! mistake of whoever wrote it.

use crate::encode::{EpochUnit, Format, Policy, parse_offset, parse_zone};
use crate::mapping::ColumnSpec;
use crate::model::ColumnType;
use jiff::tz::TimeZone;

/// A policy that cannot be: what is wrong and what to do.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) hint: &'static str,
}

/// What to do about a format that is none.
const FORMATS: &str = "docs/mapping.md lists the formats that a column of this type reads.";

/// The policy of a column.
///
/// # Errors
/// All faults: what cannot be read, what the column's type has no use for, what contradicts itself.
pub(super) fn compile_policy(wanted: &ColumnSpec, column_type: &ColumnType) -> Result<Policy, Vec<Fault>> {
    let element = match column_type {
        ColumnType::Array(array) => &array.element,
        other => other,
    };
    let mut faults = unused(wanted, column_type, element);
    let formats = read_formats(wanted, element, &mut faults);
    let assume_offset = wanted.assume_timezone.as_deref().and_then(parse_offset);
    let assume_zone = read_zone("assume_timezone", wanted.assume_timezone.as_deref(), &mut faults);
    let store_zone = read_zone("store_timezone", wanted.store_timezone.as_deref(), &mut faults);
    if assume_zone.is_some() && assume_offset.is_none() && matches!(element, ColumnType::Timetz(_)) {
        let message = "`assume_timezone`: without a date, a zone has no offset".to_owned();
        faults.push(Fault { message, hint: "Write `UTC` or an offset such as `+05:30`." });
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Policy {
        empty_as_null: wanted.empty_as_null,
        null_tokens: wanted.null_tokens.clone(),
        assume_zone: assume_zone.filter(|_| assume_offset.is_none()),
        assume_offset,
        store_zone,
        epoch_unit: wanted.epoch_unit,
        formats,
        min_value_as_null: wanted.min_value_as_null,
        round: wanted.round,
        reject_exponent: wanted.integer_from_exponent.is_some(),
        nonfinite: wanted.nonfinite,
        too_long: wanted.too_long,
        nul: wanted.nul,
        empty_object_as_array: wanted.empty_object_as_array,
        encoding: wanted.encoding,
        tells_losses: false,
    })
}

/// What cannot be read whatever the column's type is.
pub(super) fn unreadable_policies(wanted: &ColumnSpec) -> Vec<Fault> {
    let mut faults = Vec::new();
    read_zone("assume_timezone", wanted.assume_timezone.as_deref(), &mut faults);
    read_zone("store_timezone", wanted.store_timezone.as_deref(), &mut faults);
    let unread = wanted.formats.iter().filter_map(|text| Format::parse(text).err());
    faults.extend(unread.map(|message| Fault { message: format!("`formats`: {message}"), hint: FORMATS }));
    faults
}

fn read_zone(setting: &str, name: Option<&str>, faults: &mut Vec<Fault>) -> Option<TimeZone> {
    let name = name?;
    let zone = parse_zone(name);
    if zone.is_none() {
        let message = format!("`{setting}` is not understood: `{name}`");
        faults.push(Fault {
            message,
            hint: "Write `UTC`, an offset such as `+05:30`, or a name such as `Europe/Paris`.",
        });
    }
    zone
}

fn read_formats(wanted: &ColumnSpec, element: &ColumnType, faults: &mut Vec<Fault>) -> Vec<Format> {
    let mut formats = Vec::new();
    // That the type has no use for formats is said once.
    let useful = use_of("formats", element).0;
    for text in &wanted.formats {
        let message = match Format::parse(text) {
            Ok(format) if !useful || fits(&format, element) => {
                formats.push(format);
                continue;
            }
            Ok(format) if matches!(element, ColumnType::Time(_)) && format.has_offset() => {
                format!("`formats`: `{text}` reads an offset, which a time without zone does not keep")
            }
            Ok(_) => format!("`formats`: `{text}` gives no value for this type"),
            Err(message) => format!("`formats`: {message}"),
        };
        faults.push(Fault { message, hint: FORMATS });
    }
    if wanted.epoch_unit.is_some() && formats.iter().any(|format| matches!(format, Format::Unix(_))) {
        let message = "`epoch_unit` and `formats` both say the unit of numbers".to_owned();
        faults.push(Fault { message, hint: "Say the unit once: `epoch_unit`, or one of the `unix` formats." });
    }
    formats
}

fn fits(format: &Format, column_type: &ColumnType) -> bool {
    match column_type {
        ColumnType::Time(_) => format.is_time() && !format.has_offset(),
        _ => format.has_date(),
    }
}

/// The policies that are set and that a column of this type has no use for.
fn unused(wanted: &ColumnSpec, column_type: &ColumnType, element: &ColumnType) -> Vec<Fault> {
    let is_array =
        matches!(column_type, ColumnType::Array(_)) || column_type.cast().is_some_and(|cast| cast.delimiter.is_some());
    let idle = written(wanted).filter_map(|name| {
        let (useful, hint) = match name {
            "empty_object_as_array" => (is_array, "It is for arrays."),
            "epoch_unit" if wanted.epoch_unit == Some(EpochUnit::Auto) => {
                (is_dated(element), "The unit `auto` is for dates and timestamps.")
            }
            name => use_of(name, element),
        };
        (!useful).then(|| Fault { message: format!("`{name}` does nothing for a column of this type"), hint })
    });
    idle.collect()
}

/// The names of the policies that are set, but for those that every type has a use for.
fn written(wanted: &ColumnSpec) -> impl Iterator<Item = &'static str> {
    let all = [
        ("epoch_unit", wanted.epoch_unit.is_some()),
        ("formats", !wanted.formats.is_empty()),
        ("assume_timezone", wanted.assume_timezone.is_some()),
        ("store_timezone", wanted.store_timezone.is_some()),
        ("min_value_as_null", wanted.min_value_as_null),
        ("round", wanted.round),
        ("integer_from_exponent", wanted.integer_from_exponent.is_some()),
        ("nonfinite", wanted.nonfinite.is_some()),
        ("too_long", wanted.too_long.is_some()),
        ("nul", wanted.nul.is_some()),
        ("empty_object_as_array", wanted.empty_object_as_array),
        ("encoding", wanted.encoding.is_some()),
    ];
    all.into_iter().filter_map(|(name, set)| set.then_some(name))
}

/// Whether a policy is of use for a type, and what it is for.
fn use_of(name: &str, column_type: &ColumnType) -> (bool, &'static str) {
    use ColumnType::{
        Bpchar, Cast, Citext, Date, Float4, Float8, Int2, Int4, Int8, Interval, Json, Jsonb, Name, Numeric, Text, Time,
        Timestamp, Timetz, Varchar,
    };
    match name {
        "epoch_unit" => {
            (is_dated(column_type) || matches!(column_type, Interval(_)), "It is for dates, timestamps and intervals.")
        }
        "formats" => (
            is_dated(column_type) || matches!(column_type, Time(_)),
            "It is for dates, timestamps and times without zone.",
        ),
        "assume_timezone" => {
            (column_type.is_moment() || matches!(column_type, Timetz(_)), "It is for timestamps and times with zone.")
        }
        "store_timezone" => (
            matches!(column_type, Timestamp(_) | Date),
            "It is for timestamps without zone and dates; a timestamptz has no zone of its own.",
        ),
        "min_value_as_null" => (is_dated(column_type), "It is for dates and timestamps."),
        "round" => (is_limited(column_type), "It is for types that hold fewer digits than a value may have."),
        "integer_from_exponent" => {
            (matches!(column_type, Int2 | Int4 | Int8), "It is for smallint, integer and bigint.")
        }
        "nonfinite" => {
            (matches!(column_type, Float4 | Float8 | Numeric(_)), "It is for real, double precision and numeric.")
        }
        "encoding" => (matches!(column_type, ColumnType::Bytea), "It is for bytea."),
        "too_long" => (
            matches!(column_type, Varchar(_) | Bpchar(_) | Name),
            "It is for varchar(n), char(n) and name; other types have no length of their own.",
        ),
        _ => (
            matches!(column_type, Text | Varchar(_) | Bpchar(_) | Citext(_) | Name | Json | Jsonb | Cast(_)),
            "It is for types of text, json and jsonb.",
        ),
    }
}

fn is_dated(column_type: &ColumnType) -> bool {
    column_type.is_moment() || *column_type == ColumnType::Date
}

/// Whether a value can have digits that the type does not hold and that are no matter of course.
fn is_limited(column_type: &ColumnType) -> bool {
    use ColumnType::{Date, Interval, Numeric, Time, Timestamp, TimestamptzDigits, Timetz};
    match column_type {
        Time(digits) | Timetz(digits) | Timestamp(digits) | TimestamptzDigits(digits) => *digits < 6,
        Interval(typmod) => *typmod >= 0,
        Numeric(limit) => limit.is_some(),
        other => *other == Date,
    }
}
