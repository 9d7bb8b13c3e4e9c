//! Where a type keeps less than a value says, as it is told of those whose keys may go.

use super::super::{EpochUnit, Format, Note, Policy, Value};
use super::column;
use crate::encode::Encoder;
use crate::model::{ArrayType, CastType, ColumnType, ROUNDED, SERVER_READS};

fn told(column_type: ColumnType, policy: Policy, value: Value<'_>) -> Note {
    let encoder = Encoder::new(&column(column_type.clone()), policy).unwrap();
    let (mut plain, mut telling) = (Vec::new(), Vec::new());
    let note = encoder.encode(value, &mut plain).unwrap();
    let told = encoder.telling_losses().encode(value, &mut telling).unwrap();
    assert_eq!(plain, telling, "{column_type:?} {value:?}: what is written is the same");
    assert!(![Some(ROUNDED), Some(SERVER_READS)].contains(&note), "a load is not told");
    told
}

fn is_rounded(column_type: ColumnType, policy: Policy, value: Value<'_>) -> bool {
    told(column_type, policy, value) == Some(ROUNDED)
}

fn by(format: &str) -> Policy {
    let formats = vec![Format::parse(format).unwrap()];
    Policy { formats, assume_offset: Some(0), ..Policy::default() }
}

#[test]
fn a_float_is_what_it_shows() {
    use ColumnType::{Float4, Float8};
    for (column_type, text, rounded) in [
        (Float8, "0.1", false),
        (Float8, "0.10", false),
        (Float8, "1e-1", false),
        (Float8, "-0", false),
        (Float8, "0e5", false),
        (Float8, "1e300", false),
        (Float8, "5e-324", false),
        (Float8, "9007199254740992", false),
        (Float8, "123456789.12345678", false),
        (Float8, "0.10000000000000001", true),
        (Float8, "9007199254740993", true),
        (Float8, "1.23456789012345678", true),
        (Float8, "0.1000000000000000055511151231257827021181583404541015625", true),
        (Float4, "0.1", false),
        (Float4, "16777216", false),
        (Float4, "16777217", true),
        (Float4, "1.23456789012345", true),
    ] {
        for value in [Value::Text(text), Value::Number(text)] {
            assert_eq!(is_rounded(column_type.clone(), Policy::default(), value), rounded, "{column_type:?} {text}");
        }
    }
}

#[test]
fn a_moment_below_the_microsecond_is_cut() {
    use ColumnType::{Date, Time, Timestamp, Timestamptz, Timetz};
    let unit = |unit| Policy { epoch_unit: Some(unit), ..Policy::default() };
    for (column_type, policy, text, rounded) in [
        (Timestamptz, Policy::default(), "2024-01-02T03:04:05.123456Z", false),
        (Timestamptz, Policy::default(), "2024-01-02T03:04:05.123456000+05:30", false),
        (Timestamptz, Policy::default(), "2024-01-02T03:04:05.1234567Z", true),
        (Timestamp(6), Policy::default(), "2024-01-02T03:04:05.123456789", true),
        (Timestamp(6), Policy::default(), "2024-01-02T03:04:05.5", false),
        (Date, Policy::default(), "2024-01-02T00:00:00.0000001", true),
        (Date, Policy::default(), "2024-01-02", false),
        (Time(6), Policy::default(), "03:04:05.1234567", true),
        (Time(6), Policy::default(), "03:04:05.123456", false),
        (Time(6), by("%H:%M:%S%.f"), "03:04:05.1234567", true),
        (Timetz(6), Policy::default(), "03:04:05.1234567Z", true),
        (Timestamptz, unit(EpochUnit::Ns), "1704164645123456789", true),
        (Timestamptz, unit(EpochUnit::Ns), "1704164645123456000", false),
        (Timestamptz, unit(EpochUnit::S), "1704164645.1234567", true),
        (Timestamptz, unit(EpochUnit::S), "1704164645.123456", false),
        (Timestamptz, unit(EpochUnit::Auto), "1704164645123.4567", true),
        (Timestamptz, by("%Y-%m-%d %H:%M:%S%.f"), "2024-01-02 03:04:05.1234567", true),
        (Timestamptz, by("%Y-%m-%d %H:%M:%S%.f"), "2024-01-02 03:04:05.123456", false),
        (Timestamptz, by("dotnet_ticks"), "638397614451234567", true),
        (Timestamptz, by("dotnet_ticks"), "638397614451234560", false),
        (Timestamptz, by("jackson_array"), "[2024,1,2,3,4,5,123456789]", true),
        (Timestamptz, by("jackson_array"), "[2024,1,2,3,4,5,123456000]", false),
        (Timestamptz, by("mongo_extjson"), r#"{"$date":"2024-01-02T03:04:05.1234567Z"}"#, true),
        (Timestamptz, by("unix_ns"), "1704164645123456789", true),
    ] {
        let said = format!("{column_type:?} {text}");
        assert_eq!(is_rounded(column_type, policy, Value::Text(text)), rounded, "{said}");
    }
}

#[test]
fn blanks_at_the_end_of_a_char_are_lost_and_elements_tell_like_columns() {
    let char5 = || ColumnType::Bpchar(5);
    assert!(is_rounded(char5(), Policy::default(), Value::Text("ab ")));
    assert!(!is_rounded(char5(), Policy::default(), Value::Text("ab")));
    assert!(!is_rounded(ColumnType::Varchar(5), Policy::default(), Value::Text("ab ")));
    let array = |element| ColumnType::Array(Box::new(ArrayType { element, element_oid: 23 }));
    let floats = array(ColumnType::Float8);
    assert!(is_rounded(floats.clone(), Policy::default(), Value::Json("[0.1, 9007199254740993]")));
    assert!(!is_rounded(floats.clone(), Policy::default(), Value::Json("[0.1, 0.25]")));
    // What was repaired in another element does not hide it.
    let null = Policy { nonfinite: Some(crate::encode::Nonfinite::Null), ..Policy::default() };
    assert!(is_rounded(floats, null, Value::Json(r#"["NaN", 9007199254740993]"#)));
}

#[test]
fn what_the_server_reads_is_in_doubt_unless_its_readers_were_looked_through() {
    let cast = |sql: &str| {
        let name = sql.trim_matches('"').rsplit('"').next().unwrap_or(sql).to_owned();
        ColumnType::Cast(CastType { name, sql: sql.into(), equality: None, delimiter: None, element: None })
    };
    let of = |sql, text| told(cast(sql), Policy::default(), Value::Text(text));
    assert_eq!(of("\"public\".\"vector\"", "[1,2]"), Some(SERVER_READS));
    assert_eq!(of("\"pg_catalog\".\"money\"", "12.5"), None);
    assert_eq!(of("\"pg_catalog\".\"int4range\"", "[1,3]"), None);
    assert_eq!(of("\"pg_catalog\".\"tsrange\"", "[2024-01-02 03:04:05.123456,]"), None);
    assert_eq!(of("\"pg_catalog\".\"tsrange\"", "[2024-01-02 03:04:05.1234567,]"), Some(ROUNDED));
}
